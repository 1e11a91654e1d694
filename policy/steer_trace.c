#include "policy/steer_trace.h"

#include <string.h>

#define ADDRESS_AT 12 /* of a compiled record: behind owner, type, class, TTL and length */

static unsigned count(const uint64_t bits[ADDR_FAMILIES])
{
    return (unsigned)__builtin_popcountll(bits[0]) + (unsigned)__builtin_popcountll(bits[1]);
}

const char *steer_trace_state(const struct steer_view *view)
{
    if ((view->word & HEALTH_REGION_FORCED_DOWN) != 0) {
        return "forced down";
    }
    if ((view->word & HEALTH_REGION_DRAINED) != 0) {
        return "drained";
    }
    if ((view->word & HEALTH_REGION_GATED) != 0) {
        return "gated by its own checks";
    }
    if ((view->hand >> STEER_HAND_FORCED_UP & 1) != 0 ||
        (view->word & HEALTH_REGION_FORCED_UP) != 0) {
        return "forced up";
    }
    if ((view->hand >> STEER_HAND_PARKED & 1) != 0) {
        return "waiting to be released (failback: manual)";
    }
    return (view->word & HEALTH_REGION_HELD) != 0 ? "in hold_down" : "in";
}

static void put_pool(struct text *trace, const struct steer_pool *pool,
                     const struct steer_view *v)
{
    text_printf(trace, "region %s is %s; endpoints up: %u of %u IPv4, %u of %u IPv6",
                pool->region_name, steer_trace_state(v),
                (unsigned)__builtin_popcountll(v->up[ADDR_V4]), pool->counts[ADDR_V4],
                (unsigned)__builtin_popcountll(v->up[ADDR_V6]), pool->counts[ADDR_V6]);
    if (count(v->held) > 0) {
        text_printf(trace, "; in hold_down: %u", count(v->held));
    }
    if (count(v->degraded) > 0) {
        text_printf(trace, "; degraded: %u", count(v->degraded));
    }
    if ((v->word & HEALTH_REGION_GATED) != 0) {
        text_printf(trace, "; passed since the gate: %u", count(v->proven));
    }
    if ((v->flags & HEALTH_GROUP_RAMPING) != 0) {
        uint32_t ramp = atomic_load_explicit(&pool->group->ramp, memory_order_relaxed);
        text_printf(trace, "; just back, takes %u%% of its answers",
                    (unsigned)((uint64_t)ramp * 100 >> 16));
    }
    if ((v->word & HEALTH_REGION_SHARED) != 0 || (v->flags & HEALTH_GROUP_SHARED) != 0) {
        text_put(trace, "; silent just after another region left: shares its answers");
    }
    text_printf(trace, "; minimum_healthy %u\n", v->minimum);
}

void steer_trace_pools(struct text *trace, const struct steer_service *service,
                       const struct steer_view *views)
{
    for (uint32_t i = 0; i < service->pool_count; i++) {
        put_pool(trace, &service->pools[i], &views[i]);
    }
}

static void put_names(struct text *trace, const struct steer_service *service, uint64_t pools)
{
    const char *between = "";

    for (uint64_t rest = pools; rest != 0; rest &= rest - 1) {
        uint32_t i = (uint32_t)__builtin_ctzll(rest);
        text_printf(trace, "%s%s", between, service->pools[i].region_name);
        between = ", ";
    }
}

void steer_trace_rung(struct text *trace, const struct steer_service *service, unsigned rung,
                      const char *what, uint64_t pools)
{
    text_printf(trace, "rung %u (%s): ", rung, what);
    put_names(trace, service, pools);
    text_put(trace, pools == 0 ? "no region\n" : "\n");
}

void steer_trace_filter(struct text *trace, const struct steer_service *service,
                        const char *filter, uint64_t passed, uint64_t dropped, const char *why)
{
    text_printf(trace, "%s: passes ", filter);
    put_names(trace, service, passed);
    if (dropped != 0) {
        text_put(trace, "; drops ");
        put_names(trace, service, dropped);
    }
    text_printf(trace, "%s%s\n", why[0] == '\0' ? "" : ": ", why);
}

/* "12.3ms" */
static void put_ms(struct text *trace, uint32_t us)
{
    text_printf(trace, "%u.%ums", us / 1000, us / 100 % 10);
}

void steer_trace_latency(struct text *trace, const struct steer_service *service, uint64_t pools,
                         uint32_t band_us)
{
    const char *between = "latency: ";

    for (uint64_t rest = pools; rest != 0; rest &= rest - 1) {
        const struct steer_pool *pool = &service->pools[__builtin_ctzll(rest)];
        uint32_t us = atomic_load_explicit(&pool->group->latency_us, memory_order_relaxed);
        text_printf(trace, "%s%s ", between, pool->region_name);
        if (us == 0) {
            text_put(trace, "not measured");
        } else {
            put_ms(trace, us);
        }
        between = ", ";
    }
    text_put(trace, "; band ");
    put_ms(trace, band_us);
    text_put_char(trace, '\n');
}

void steer_trace_ttl(struct text *trace, const struct steer_service *service, uint64_t pools)
{
    text_put(trace, "the TTL is the short one, for this may soon change: ");
    put_names(trace, service, pools);
    text_put_char(trace, '\n');
}

void steer_trace_address(const struct steer_service *service, unsigned family, uint16_t pick,
                         char out[ADDR_TEXT_MAX])
{
    struct addr address = { .family = (uint8_t)family };
    const uint8_t *record = service->pools[steer_pick_pool(pick)].records[family] +
                            steer_pick_endpoint(pick) * steer_record_bytes(family);

    memcpy(address.bytes, record + ADDRESS_AT, addr_size_bytes(&address));
    addr_format(&address, out, ADDR_TEXT_MAX);
}

static void put_address(struct text *trace, const struct steer_service *service, unsigned family,
                        uint16_t pick)
{
    char shown[ADDR_TEXT_MAX];

    steer_trace_address(service, family, pick, shown);
    text_put(trace, shown);
}

void steer_trace_endpoints(struct text *trace, const struct steer_service *service,
                           unsigned family, uint32_t pool, uint64_t bits, const char *why)
{
    const char *between = "without ";

    if (bits == 0) {
        return;
    }
    for (uint64_t rest = bits; rest != 0; rest &= rest - 1) {
        text_put(trace, between);
        put_address(trace, service, family,
                    steer_pick(pool, (unsigned)__builtin_ctzll(rest)));
        between = ", ";
    }
    text_printf(trace, " (%s): %s\n", service->pools[pool].region_name, why);
}

void steer_trace_picks(struct text *trace, const struct steer_service *service, unsigned family,
                       const char *filter, const struct steer_choice *choice)
{
    text_printf(trace, "%s:", filter);
    for (unsigned i = 0; i < choice->pick_count; i++) {
        text_put(trace, i == 0 ? " " : ", ");
        put_address(trace, service, family, choice->picks[i]);
    }
    text_put_char(trace, '\n');
}
