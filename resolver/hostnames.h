#pragma once
/*
 * hostnames - the addresses of endpoints given as host names, kept up to date
 *
 * A table of the names that the model in force uses, and one that is on its
 * way. Each is asked again when its TTL ends, A and AAAA each on its own, the
 * way clients' questions go. What its answers and checks mean is decided by
 * policy/hostname; here are timers and questions. Control loop.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "policy/hostname.h"
#include "policy/model.h"

struct hostnames;
struct json_writer;
struct server;
struct snapshot;
struct text;

/*
 * `changed` is called when addresses are others than those of the model in
 * force, never from within a call of this module. NULL when memory is out.
 */
struct hostnames *hostnames_new(uv_loop_t *loop, void (*changed)(void *user), void *user);

/* From now on this server is asked. Until then nobody is. */
void hostnames_serve(struct hostnames *hostnames, struct server *server);

/* Names of this model are wanted too: those that are new are asked at once. */
void hostnames_want(struct hostnames *hostnames, const struct model *model);

/*
 * This model is in force: names it does not have are forgotten, unanswered ones
 * asked at once. `taken`: it is the one that was expanded last, so that the
 * addresses of then are no news any more; else what was expanded since came to
 * nothing.
 */
void hostnames_adopt(struct hostnames *hostnames, const struct model *model, bool taken);

/* Names of which nothing was heard yet, be it that nobody answers. */
size_t hostnames_pending(const struct hostnames *hostnames);

/* Put the addresses as they are into the model; see expansion.h. */
void hostnames_expand(struct hostnames *hostnames, struct model *model);

/* Are addresses others than those of the model in force? */
bool hostnames_are_news(const struct hostnames *hostnames);

/* Verdicts may have changed: see what checks say of the addresses of this snapshot, in force. */
void hostnames_look(struct hostnames *hostnames, const struct snapshot *snapshot);

/* The state of one name, or NULL. */
const struct hostname *hostnames_find(const struct hostnames *hostnames, const uint8_t *dname,
                                      bool keep, unsigned family);

/* What is known of a name, an element per family of an open JSON list. */
void hostnames_describe(const struct hostnames *hostnames, const struct model_endpoint *written,
                        const char *region, struct json_writer *json);

/* A line for each family of the name that says why its addresses are what they are. */
void hostnames_explain(const struct hostnames *hostnames, const struct model_endpoint *written,
                       const char *region, struct text *out);

/* Stop; it is freed in a close callback. NULL is fine. */
void hostnames_close(struct hostnames *hostnames);
