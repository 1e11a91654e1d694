#pragma once
/*
 * config_files - the file, what it includes, and all of it as one tree
 *
 * Control thread and command line.
 */
#include <stddef.h>

#include "base/error.h"
#include "policy/config_context.h"

/*
 * Read a whole file of at most CONFIG_MAX_BYTES. `*out_text` is the caller's
 * (free) and terminated. Returns a negative errno, explained.
 */
int config_files_read(const char *path, char **out_text, size_t *out_length, struct error *err);

/*
 * The tree of a text and of the files it includes. Returns NULL with at least
 * one error in the context when any of them cannot be read or parsed.
 */
const struct config_node *config_files_load(struct config_context *context, const char *text,
                                            size_t length, const char *path);

/* `path` as written in `file`: relative ones start from its folder. In the model's arena. */
const char *config_files_resolve(struct config_context *context, const struct config_file *file,
                                 const char *path);
