#pragma once
/*
 * privileges - from root to an ordinary user, once the sockets are bound
 *
 * Before any thread exists.
 */
#include "base/error.h"

/*
 * As root, make the directory `path` when it is not there and give it to `user`
 * when it was made; what already exists stays as it is. Without a user, or not
 * as root, nothing is done. A failure shows when the directory is used.
 */
void privileges_give(const char *path, const char *user);

/*
 * Become `user` (a name or NULL). As root without a user: a warning, and
 * nothing changes; not as root: nothing to do. -errno, explained, when the user does not
 * exist or the change fails.
 */
int privileges_drop(const char *user, struct error *err);
