#pragma once
/*
 * watch - tells when files change that a configuration was made from
 *
 * They are looked at once a second: resolv.conf is replaced by renames, bind
 * mounts and links, of which no single notification tells. Control thread.
 */
#include <uv.h>

#include "policy/model.h"

struct watch;

/* Call `changed` with the path of a file whose content has become another. NULL: out of memory. */
struct watch *watch_new(uv_loop_t *loop, void (*changed)(void *user, const char *path), void *user);

/* A model is about to be made from the files as they are now: that is no news any more. */
void watch_look(struct watch *watch);

/*
 * From now on watch the files that `model` was made from. Those that were
 * watched before still are what they were: a change while the model was on its
 * way is told.
 */
void watch_adopt(struct watch *watch, const struct model *model);

/* Stop; it is freed in a close callback. NULL is fine. */
void watch_close(struct watch *watch);
