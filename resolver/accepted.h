#pragma once
/*
 * accepted - the last accepted configuration, kept in the state directory
 *
 * Control thread.
 */
#include <stddef.h>

#include "base/error.h"
#include "policy/config.h"
#include "policy/model.h"

/*
 * Keep `model`'s whole text, and beside it where it came from. An unwritable
 * directory is a warning in the log, once per process, and nothing else.
 */
void accepted_save(const struct model *model);

/*
 * The state directory that the file `path` names, though the file as a whole
 * may not load: its first line of the form "state_directory: VALUE". Else the
 * default. Written to `out`.
 */
void accepted_directory(const char *path, char *out, size_t cap);

/*
 * Load what was kept in `state_directory` for the file `path`. -ENOENT when
 * nothing is kept for it; explained in `err`.
 */
int accepted_load(const char *state_directory, const char *path, struct model **out,
                  struct error *err);

/*
 * Load what is kept of the file that `model` is from, when it is another text:
 * -EALREADY when it is the same, else as accepted_load.
 */
int accepted_load_other(const struct model *model, struct model **out, struct error *err);
