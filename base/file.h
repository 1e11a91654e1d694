#pragma once
/*
 * file - whole files read and replaced, with errors that say what to do
 *
 * Control plane only. Any thread.
 */
#include <stddef.h>

#include "base/error.h"

/*
 * Read at most `most` bytes of `path` into fresh memory (free), terminated.
 * -EFBIG when it is longer, else the errno, explained.
 */
int file_read(const char *path, size_t most, char **out_bytes, size_t *out_length,
              struct error *err);

/*
 * Replace `path` by `length` bytes so that after a crash either the old or the
 * new file is there whole: written beside it, synced, renamed.
 */
int file_replace(const char *path, const char *bytes, size_t length, struct error *err);

/* Make the directory (and its parents) when it is not there. */
int file_make_directory(const char *path, struct error *err);
