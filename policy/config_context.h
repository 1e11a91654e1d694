#pragma once
/*
 * config_context - one load on its way: the files, the model, what is wrong
 *
 * Lives on the stack of config_load_text. Every reader adds its errors here
 * and goes on, so that one run shows all of them. Control thread.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "policy/config.h"
#include "policy/config_names.h"
#include "policy/config_node.h"
#include "policy/model.h"

#define CONFIG_MAX_ERRORS 100

struct config_table;

struct config_found {
    struct error err;
    const struct config_file *file;
    unsigned order; /* in which it was found */
};

struct config_context {
    struct arena *scratch; /* trees and texts; gone when loading ends */
    struct arena *arena;   /* the model's */
    struct model *model;

    const struct config_file **files; /* in the order they were read */
    size_t file_count;
    size_t byte_count; /* of all files, values of variables included */
    size_t node_count;

    struct config_found *found; /* CONFIG_MAX_ERRORS of them */
    size_t found_count;
    size_t error_count; /* those not kept too */
    bool is_kept;       /* it was accepted once: what this machine lacks by now is no error */
    struct error spare; /* takes what is not kept */

    struct addr *own; /* of this machine, see config_own */
    size_t own_count;
    bool own_known;

    struct config_names region_names;
    struct config_names check_names;
    struct model_check *checks; /* named ones, by index of check_names */
    bool *check_broken;
    struct config_parts *parts; /* see config_part */

    /* Beside which key what is being read stands, and what else may: for hints. NULL: nothing. */
    const struct config_table *beside;
    const char *beside_key;
};

/* How much text the load may have, includes and variables filled in. */
static inline size_t config_context_most_bytes(const struct config_context *context)
{
    return context->is_kept ? CONFIG_MAX_KEPT : CONFIG_MAX_BYTES;
}

/* Returns -ENOMEM without anything to free, or 0. */
int config_context_init(struct config_context *context);

/* Frees all but the model, which is freed too unless it was taken (set to NULL). */
void config_context_fini(struct config_context *context);

/* Move all errors, in the order of the files, into the report with their lines. */
void config_context_move_errors(struct config_context *context, struct config_report *report);

/*
 * Add an error about `item`, whose way goes in front of the message: at its
 * key, at its value, or at any node of the files. `item` may be NULL: no way.
 * The result takes a hint (error_hint) and is never NULL.
 */
struct error *config_error_key(struct config_context *context, const struct config_item *item,
                               const char *format, ...) __attribute__((format(printf, 3, 4)));
struct error *config_error_value(struct config_context *context, const struct config_item *item,
                                 const char *format, ...) __attribute__((format(printf, 3, 4)));
struct error *config_error_node(struct config_context *context, const struct config_item *item,
                                const struct config_node *node, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Add an error at a place of a file that has no node. */
struct error *config_error_place(struct config_context *context, const struct config_file *file,
                                 unsigned line, unsigned col, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* Take over message and hint of an error made elsewhere, at the item's value. */
void config_error_take(struct config_context *context, const struct config_item *item,
                       const struct error *err);
