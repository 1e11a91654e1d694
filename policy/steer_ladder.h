#pragma once
/*
 * steer_ladder - which endpoints of a service stand on the best rung that has any
 *
 * Pure functions of the health words; any thread that holds the snapshot.
 */
#include "policy/steer.h"

/* What the words say about one pool at one moment, the operator's hand laid over it. */
struct steer_view {
    uint32_t word; /* the region's */
    uint64_t up[ADDR_FAMILIES];
    uint64_t held[ADDR_FAMILIES];
    uint64_t proven[ADDR_FAMILIES]; /* of the present gate, else nothing */
    uint64_t degraded[ADDR_FAMILIES];
    uint32_t minimum;
    uint32_t flags; /* the group's, without its epoch */
    uint8_t hand;
};

/* The rung that answers, for one family. Sets of pools have a bit for each. */
struct steer_ladder {
    uint8_t rung;       /* 1 to 5; 0: none has an endpoint of the family */
    bool any;           /* some family has one */
    uint64_t pools;     /* that stand on it, with endpoints of the family */
    uint64_t suspect;   /* whose answers carry the short TTL */
    uint64_t ramping;   /* that take but a part of their answers */
    uint64_t shared;    /* that share their answers with the next one */
    uint64_t returning; /* on rung 2 while the answer is on rung 1: about to come back */
    uint64_t bits[STEER_POOLS_MAX]; /* endpoints, where `pools` has the bit; degraded ones only
                                     * where none is well */
};

/*
 * Is the rung the first? Looks once at every pool, without what no rung but
 * the first needs. False: climb.
 */
bool steer_ladder_glance(const struct steer_service *service, unsigned family,
                         struct steer_ladder *ladder);

/* Look at all pools until nothing moves any more (a few times at most). */
void steer_ladder_look(const struct steer_service *service,
                       struct steer_view views[STEER_POOLS_MAX]);

/* Find the rung. `trace` may be NULL. */
void steer_ladder_climb(const struct steer_service *service, unsigned family,
                        const struct steer_view *views, struct steer_ladder *ladder,
                        struct text *trace);
