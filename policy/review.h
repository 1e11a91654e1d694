#pragma once
/*
 * review - what one configuration would change against another, by meaning
 *
 * Not the text is compared but what follows from it: which services come, go,
 * change their order, their endpoints or their rules, and how much healthy
 * capacity would leave. More than guards.removal_limit allows needs consent:
 * `guards: {accept: ID}` with the ID of exactly this difference. Pure; any
 * thread that may read what it is given.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"
#include "policy/model.h"

#define REVIEW_ID_BYTES 17 /* 16 hexadecimal digits and the end */

enum review_kind {
    REVIEW_REGION_ADDED,
    REVIEW_REGION_REMOVED,
    REVIEW_SERVICE_ADDED,
    REVIEW_SERVICE_REMOVED,
    REVIEW_ORDER,     /* the regions of a service, or their order */
    REVIEW_ENDPOINTS, /* of a service in a region */
    REVIEW_RULES,     /* policy, minimum_healthy, ttl, check, ... */
    REVIEW_ZONE,      /* a zone added, removed or from another file */
    REVIEW_GUARDS,
    REVIEW_REGION,  /* what is asked of it: minimum_healthy, on_dns_failure, checks */
    REVIEW_CHECK,   /* one with a name */
    REVIEW_VIEW,    /* who is in it */
    REVIEW_FORWARD, /* a rule */
    REVIEW_SECTION, /* clients, maintenance, access */
};

/* One difference, with a sentence for people. */
struct review_change {
    enum review_kind kind;
    char *name;    /* of the service, region or zone */
    char *text;    /* "endpoints in seoul: -203.0.113.10 (up), +203.0.113.12" */
    uint32_t lost; /* healthy endpoints that would leave */
    bool by_state; /* follows from what is up, too: no part of the ID */
};

/* Of a service that would lose more than is allowed. */
struct review_excess {
    char *service;
    uint32_t healthy; /* endpoints up before */
    uint32_t
        lost; /* of them, those of the window so far too; weight 0 and an unmet minimum count */
    uint32_t allowed;
};

struct review {
    struct review_change *changes;
    size_t change_count;
    struct review_excess *excesses;
    size_t excess_count;
    uint64_t generation, running; /* `generation:` of the new file and of the old one */
    bool accepted;                /* there is an excess, and the new file consents to it */
    char id[REVIEW_ID_BYTES];     /* of exactly this difference; the same on every node */
};

/* Does endpoint `endpoint` of pool `pool` of service `service` of the old model count as up? */
typedef bool review_is_up(const void *user, size_t service, size_t pool, size_t endpoint);

/* How many checks of region `region` of the old model pass? */
typedef uint32_t review_passing(const void *user, size_t region);

/* How many healthy endpoints of the service named left within the window already. */
typedef uint32_t review_lost_before(const void *user, const char *service);

struct review_old {
    const struct model *model;
    review_is_up *is_up;             /* NULL: all are */
    review_passing *passing;         /* NULL: all do */
    review_lost_before *lost_before; /* NULL: none */
    const void *user;
};

/*
 * Compare. The limits are the old model's, so that a file cannot lift the
 * guard that is to judge it. NULL when memory is out.
 */
struct review *review_new(const struct review_old *old, const struct model *fresh);
void review_free(struct review *review);

/* An older plan never overwrites a newer one, whatever it consents to. */
static inline bool review_is_older(const struct review *review)
{
    return review->generation < review->running;
}

/* Would it be refused? */
static inline bool review_is_refused(const struct review *review)
{
    return review_is_older(review) || (review->excess_count > 0 && !review->accepted);
}

/* Healthy endpoints of `service` that leave with this change. */
uint32_t review_lost(const struct review *review, const char *service);

/* In words: that it is older, or what is too much. One line. */
void review_put_refusal(const struct review *review, struct text *out);

/* "endpoints", "service removed", ... */
const char *review_kind_name(enum review_kind kind);
