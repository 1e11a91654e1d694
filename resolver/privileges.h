#pragma once
/*
 * privileges - from root to an ordinary user, once the sockets are bound
 *
 * Before any thread exists.
 */
#include "base/error.h"

/*
 * Become `user` (a name or NULL). As root without a user: a warning, and
 * nothing changes; not as root: nothing to do. -errno, explained, when the user does not
 * exist or the change fails.
 */
int privileges_drop(const char *user, struct error *err);
