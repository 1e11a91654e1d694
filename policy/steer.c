#include "policy/steer.h"

#include "base/text.h"
#include "policy/steer_filter.h"
#include "policy/steer_ladder.h"
#include "policy/steer_memory.h"
#include "policy/steer_quick.h"
#include "policy/steer_trace.h"

/* ---- rung 6 ---- */

/* Every endpoint configured, but none that an operator has forced down. */
static void choose_all(const struct steer_service *s, unsigned family,
                       const struct steer_view *views, struct steer_choice *choice)
{
    unsigned found[ADDR_FAMILIES] = { 0 };

    for (uint32_t i = 0; i < s->pool_count; i++) {
        bool forced = (views[i].word & HEALTH_REGION_FORCED_DOWN) != 0;
        choice->bits_of[i] = 0;
        for (unsigned f = 0; f < ADDR_FAMILIES && !forced; f++) {
            uint64_t bits = steer_all_bits(s->pools[i].counts[f]) & ~steer_barred(&s->pools[i], f);
            found[f] += bits != 0;
            choice->bits_of[i] = f == family ? bits : choice->bits_of[i];
        }
    }
    choice->several = true;
    choice->result = found[family] > 0         ? STEER_ADDRESSES
                     : found[0] + found[1] > 0 ? STEER_NODATA
                                               : STEER_SERVFAIL;
}

/* As it was when the service last stood on rung 1 or 2; false when nothing is left of that. */
static bool choose_last_good(const struct steer_service *s, unsigned family,
                             const struct steer_view *views, struct steer_choice *choice)
{
    unsigned other = family == ADDR_V4 ? ADDR_V6 : ADDR_V4;
    unsigned found = 0, others = 0;

    for (uint32_t i = 0; i < s->pool_count; i++) {
        uint64_t bits = steer_recall(s, family, views, i);
        choice->bits_of[i] = bits;
        found += bits != 0;
        others += steer_recall(s, other, views, i) != 0;
        if (bits != 0) {
            choice->pool = i;
            choice->bits = bits;
        }
    }
    if (found > 0) {
        choice->result = STEER_ADDRESSES;
        choice->several = found > 1;
        return true;
    }
    /* only the other family answered then: so it is now */
    bool never = atomic_load_explicit(&s->memory->pool[family], memory_order_relaxed) == 0;
    choice->result = STEER_NODATA;
    return never && others > 0;
}

/* Why `last_good` was not it, and what came of `all` instead. */
static const char *explain_all(const struct steer_service *s, const struct steer_choice *choice)
{
    bool is_remembered = false;

    for (uint32_t i = 0; i < s->pool_count; i++) {
        is_remembered = is_remembered || steer_memory_bits(s, ADDR_V4, i) != 0 ||
                        steer_memory_bits(s, ADDR_V6, i) != 0;
    }
    if (choice->result == STEER_SERVFAIL) {
        return "last_good, but everything is forced down: servfail";
    }
    return is_remembered ? "last_good, but what is remembered is forced down: all"
                         : "last_good, but nothing is remembered: all";
}

static void choose_all_down(const struct steer_service *s, unsigned family,
                            const struct steer_view *views, struct steer_choice *choice,
                            struct text *trace)
{
    const char *what = "all";

    choice->rung = 6;
    switch (s->on_all_down) {
    case MODEL_ALL_DOWN_SERVFAIL:
        choice->result = STEER_SERVFAIL;
        what = "servfail";
        break;
    case MODEL_ALL_DOWN_FALLBACK:
        choice->result = s->fallback_counts[family] > 0 ? STEER_FALLBACK : STEER_NODATA;
        what = "fallback";
        break;
    case MODEL_ALL_DOWN_LAST_GOOD:
        if (choose_last_good(s, family, views, choice)) {
            what = "last_good";
            break;
        }
        choose_all(s, family, views, choice);
        what = trace == NULL ? what : explain_all(s, choice);
        break;
    case MODEL_ALL_DOWN_ALL:
        choose_all(s, family, views, choice);
        what = choice->result == STEER_SERVFAIL ? "all, but everything is forced down: servfail"
                                                : what;
        break;
    }
    if (trace != NULL) {
        text_printf(trace, "rung 6 (nothing is up: on_all_down): %s\n", what);
    }
}

/* ---- choosing ---- */

/* Everything but the first rung; also the whole when it is to be explained. */
static __attribute__((noinline)) void choose_climbing(const struct steer_service *s,
                                                      unsigned family,
                                                      struct steer_client *client,
                                                      struct steer_choice *choice,
                                                      struct text *trace)
{
    struct steer_view views[STEER_POOLS_MAX];
    struct steer_ladder ladder;

    steer_ladder_look(s, views);
    if (trace != NULL) {
        steer_trace_pools(trace, s, views);
    }
    steer_ladder_climb(s, family, views, &ladder, trace);
    if (ladder.rung != 0) {
        steer_filter(s, family, client, &ladder, choice, trace);
        return;
    }
    choice->short_ttl = true;
    choice->several = false;
    choice->pick_count = 0;
    choice->pool = 0;
    choice->bits = 0;
    if (!ladder.any) {
        choose_all_down(s, family, views, choice, trace);
        return;
    }
    choice->result = STEER_NODATA;
    choice->rung = 4;
    if (trace != NULL) {
        text_put(trace, "no endpoint of this address family is up, one of the other is: "
                        "NODATA\n");
    }
}

void steer_choose(const struct steer_service *service, unsigned family,
                  struct steer_client *client, struct steer_choice *choice)
{
    struct steer_ladder ladder;

    if (client != NULL) {
        client->scope_bits = 0;
        if (steer_quick_may(service) && steer_quick(service, family, client, choice)) {
            return;
        }
        client->scope_bits = 0; /* what it was looked up for did not decide */
    }
    if (steer_ladder_glance(service, family, &ladder)) {
        steer_filter(service, family, client, &ladder, choice, NULL);
        return;
    }
    choose_climbing(service, family, client, choice, NULL);
}

void steer_explain(const struct steer_service *service, unsigned family,
                   struct steer_client *client, struct steer_choice *choice, struct text *trace)
{
    if (client != NULL) {
        client->scope_bits = 0;
    }
    choose_climbing(service, family, client, choice, trace);
}

/* ---- answered as CNAME ---- */

/* Is `a` of a better rung, or of the same and a pool preferred to that of `b`? */
static bool leads(const struct steer_service *service, const struct steer_client *client,
                  const struct steer_choice *a, const struct steer_choice *b)
{
    if (a->result != STEER_ADDRESSES || a->several) {
        return false;
    }
    if (b->result != STEER_ADDRESSES || b->several || a->rung != b->rung) {
        return b->result != STEER_ADDRESSES || b->several || a->rung < b->rung;
    }
    return steer_filter_rank(service, client, a->pool) <
           steer_filter_rank(service, client, b->pool);
}

const uint8_t *steer_cname(const struct steer_service *service, unsigned family,
                           struct steer_client *client, struct steer_choice *choice)
{
    struct steer_choice other;

    steer_choose(service, family == ADDR_V4 ? ADDR_V6 : ADDR_V4, client, &other);
    steer_choose(service, family, client, choice);
    bool is_other = leads(service, client, &other, choice);
    const struct steer_choice *lead = is_other ? &other : choice;
    if (lead->result != STEER_ADDRESSES || lead->several ||
        service->cnames[lead->pool] == NULL) {
        return NULL;
    }
    if (is_other) {
        /* another pool's addresses do not stand behind this one's name */
        choice->result = STEER_NODATA;
        choice->short_ttl = lead->short_ttl;
        choice->rung = lead->rung;
    }
    return service->cnames[lead->pool];
}
