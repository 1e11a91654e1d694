#pragma once
/*
 * config - leeward.yaml into the model, every error with its place
 *
 * Loading never exits and has no effect but its result: a whole new model, or
 * every error that was found. Control thread and command line.
 */
#include <stddef.h>
#include <stdio.h>

#include "base/error.h"
#include "base/text.h"
#include "policy/model.h"

/* All that was wrong, in the order of the file. */
struct config_report {
    struct error *errors;
    size_t count;
    size_t capacity;
    struct text sources; /* internal: lines shown beside errors */
    void *lines;         /* internal */
};

/*
 * Read `path` with its includes and environment variables. On success
 * `*out_model` is the caller's (model_free) and the report is empty. On
 * failure -EINVAL (or the errno of reading the file) and at least one error in
 * the report. The report is always the caller's to free (config_report_fini).
 */
int config_load(const char *path, struct model **out_model, struct config_report *report);

/* The same for text that is already read; relative paths are relative to `path`'s folder. */
int config_load_text(const char *text, const char *path, struct model **out_model,
                     struct config_report *report);

/*
 * The same for text that was accepted once, as model.source has it: programs,
 * authorities and databases that are not there any more are no errors, for a
 * server that must start does without them.
 */
int config_load_kept(const char *text, const char *path, struct model **out_model,
                     struct config_report *report);

/* The embedded default: loopback, forwarding to what /etc/resolv.conf names. */
int config_load_default(struct model **out_model, struct config_report *report);

/* Add an error found later (a zone file that does not load, say). */
void config_report_add(struct config_report *report, const struct error *err);

void config_report_fini(struct config_report *report);

/* Write every error as path:line:col: message, the line, a caret and the hint. */
void config_report_print(const struct config_report *report, struct text *out);

/* The effective configuration as YAML that loads to the same model. */
void config_print(const struct model *model, struct text *out);

/* Worst-case detection per service, as a table for people. */
void config_print_timing(const struct model *model, struct text *out);

/* The reference page (Markdown) and the JSON Schema, made from the parser's tables. */
void config_print_reference(struct text *out);
void config_print_schema(struct text *out);
