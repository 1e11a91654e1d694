#pragma once
/*
 * config_part - conditions as they are written, named ones and others
 *
 * A condition is a map with all, any, at_least and of, not, region or service,
 * in the section `checks` under a name or in place. As a tree of parts it does
 * not belong to a service yet; config_condition makes it one's own. Control
 * thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/config_context.h"

#define CONFIG_PART_DEPTH 16   /* of conditions within each other */
#define CONFIG_PART_MOST  1000 /* parts of one condition, names followed */

struct config_part {
    struct model_condition model; /* its parts are those below */
    const struct model_check *check;
    const struct config_node *node; /* SERVICE: where its name stands, */
    const char *way;                /* the way there */
    const char *name;               /* and the name */
    struct config_part **parts;
    size_t weight; /* parts in it, itself included */
    unsigned height;
};

struct config_named_part;

/* A service referred to in the condition of another one. */
struct config_use {
    struct model_condition *node;
    const struct config_part *from;
    const char *user; /* its name */
};

/* What a load knows of conditions. */
struct config_parts {
    struct config_item section;      /* `checks` */
    struct config_named_part *named; /* by the index of names */
    size_t named_count;
    struct config_part **services; /* parts that name one */
    size_t service_count;
    struct config_use *uses; /* those of a service stand together */
    size_t use_count;
};

/* Those of this load; never NULL. */
struct config_parts *config_part_all(struct config_context *context);

/* Is it written as a condition, rather than as a check? */
bool config_part_is(const struct config_item *item);

/* Note which entries of the section `checks` are conditions. The names are known by now. */
void config_part_note_named(struct config_context *context, const struct config_item *section);

/* Is the name of this index that of a condition? */
bool config_part_is_named(const struct config_context *context, uint32_t index);

/* Read the named ones; regions are known by now. */
void config_part_read_named(struct config_context *context);

/*
 * Read a name, a map, or a list, all of which must hold. Returns NULL,
 * reported, when any of it is wrong.
 */
struct config_part *config_part_read(struct config_context *context,
                                     const struct config_item *item);
