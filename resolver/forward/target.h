#pragma once
/*
 * target - an upstream as streams reach it, and what they share
 *
 * Found by content: address, source and TLS settings. Keeps the TLS session
 * that the next stream resumes. One thread.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "resolver/forward/connection.h"
#include "base/tls.h"

struct connection;

struct target {
    struct target *next;
    struct connection_target where; /* its tls is `settings` */
    struct tls_settings *settings;     /* ours; NULL: no TLS */
    struct tls_context *context;    /* NULL: none was needed yet */
    struct tls_ticket ticket;

    /* its owner's */
    struct connection *connections;
    unsigned open;  /* connections in the list */
    unsigned alive; /* those whose memory is not freed yet */
    uint64_t used_ms;
};

/* The one of the list that is `where`, put into it when it is new. NULL when memory is out. */
struct target *target_find(struct target **list, const struct connection_target *where,
                           uint64_t now_ms);

/* Load what it trusts, as new as there is. 0 or -errno, explained. */
int target_find_context(struct target *target, struct tls_contexts *contexts, uint64_t now_ms,
                        struct error *err);

/* Free those of the list that nothing is left of and that were not used for `forget_ms`. */
void target_forget(struct target **list, uint64_t forget_ms, uint64_t now_ms);

/* Free all of the list; no connection is left. */
void target_free_all(struct target **list);
