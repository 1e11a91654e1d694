#include "resolver/srv.h"

#include <string.h>

#include "policy/steer_filter.h"
#include "zones/name.h"
#include "zones/wire.h"

#define SRV_FIXED   18    /* owner pointer, type, class, TTL, length, priority, weight, port */
#define POINTER_MAX 0x4000u
#define CHOSEN_MAX  (ADDR_FAMILIES * STEER_ENDPOINTS_MAX)

/* One record: an endpoint, and where its target was written. */
struct chosen {
    uint16_t pick;
    uint8_t family;
    uint16_t target_at;
};

struct list {
    struct chosen items[CHOSEN_MAX];
    unsigned count;
};

static const struct steer_srv *srv_of(const struct steer_service *service,
                                      const struct chosen *chosen)
{
    return &service->policy->srv[chosen->family][steer_pick_pool(chosen->pick)]
                                [steer_pick_endpoint(chosen->pick)];
}

/* Addresses that a host name was resolved to are one target. */
static bool is_listed(const struct steer_service *service, const struct list *list,
                      const uint8_t *target)
{
    for (unsigned i = 0; i < list->count; i++) {
        if (srv_of(service, &list->items[i])->target == target) {
            return true;
        }
    }
    return false;
}

/* Returns whether it is one more. */
static bool add(const struct steer_service *service, struct list *list, unsigned family,
                uint16_t pick)
{
    struct chosen chosen = { .pick = pick, .family = (uint8_t)family };

    if (list->count == CHOSEN_MAX || is_listed(service, list, srv_of(service, &chosen)->target)) {
        return false;
    }
    list->items[list->count++] = chosen;
    return true;
}

/* The endpoints of one family's choice, at most as many as an answer holds. */
static void add_choice(const struct steer_service *service, unsigned family,
                       const struct steer_choice *choice, struct list *list)
{
    unsigned left = service->max_addresses;

    for (unsigned i = 0; i < choice->pick_count; i++) {
        (void)add(service, list, family, choice->picks[i]);
    }
    for (uint32_t p = 0; choice->pick_count == 0 && p < service->pool_count; p++) {
        uint64_t bits = choice->several        ? choice->bits_of[p]
                        : choice->pool == p ? choice->bits
                                               : 0;
        for (; bits != 0 && left > 0; bits &= bits - 1) {
            left -= add(service, list, family, steer_pick(p, (unsigned)__builtin_ctzll(bits)));
        }
    }
}

static bool put_record(struct srv_answer *answer, const struct steer_srv *srv, uint16_t owner,
                       uint32_t priority, uint32_t ttl_s)
{
    size_t length = name_length(srv->target);
    uint8_t *out = answer->message + answer->at;

    if (answer->limit - answer->at < SRV_FIXED + length) {
        return false;
    }
    wire_put16(out, (uint16_t)(0xc000u | owner));
    wire_put16(out + 2, WIRE_SRV);
    wire_put16(out + 4, WIRE_IN);
    wire_put32(out + 6, ttl_s);
    wire_put16(out + 10, (uint16_t)(6 + length));
    wire_put16(out + 12, (uint16_t)priority);
    wire_put16(out + 14, srv->weight);
    wire_put16(out + 16, srv->port);
    memcpy(out + SRV_FIXED, srv->target, length); /* never compressed: RFC 2782 */
    answer->at += SRV_FIXED + length;
    answer->answers++;
    return true;
}

/* The address of a host named, where it is one of ours and there is room. */
static void put_address(struct srv_answer *answer, const struct steer_service *service,
                        const struct chosen *chosen, uint32_t ttl_s)
{
    unsigned size = steer_record_bytes(chosen->family);
    const struct steer_srv *srv = srv_of(service, chosen);
    const uint8_t *const *cnames = service->cnames;
    bool is_foreign = cnames != NULL && cnames[steer_pick_pool(chosen->pick)] == srv->target;

    if (is_foreign || answer->limit - answer->at < size || chosen->target_at >= POINTER_MAX) {
        return;
    }
    uint8_t *out = answer->message + answer->at;
    memcpy(out, service->pools[steer_pick_pool(chosen->pick)].records[chosen->family] +
                    steer_pick_endpoint(chosen->pick) * size, size);
    wire_put16(out, (uint16_t)(0xc000u | chosen->target_at));
    wire_put32(out + 6, ttl_s);
    answer->at += size;
    answer->additionals++;
}

static enum srv_result put_all(struct srv_answer *answer, const struct steer_service *service,
                               const struct steer_client *client, struct list *list,
                               uint16_t owner, bool is_ranked, uint32_t ttl_s)
{
    for (unsigned i = 0; i < list->count; i++) {
        struct chosen *chosen = &list->items[i];
        uint32_t rank =
            is_ranked ? steer_filter_rank(service, client, steer_pick_pool(chosen->pick)) : 0;
        chosen->target_at = (uint16_t)(answer->at + SRV_FIXED);
        if (!put_record(answer, srv_of(service, chosen), owner, rank, ttl_s)) {
            return SRV_CUT;
        }
    }
    for (unsigned i = 0; i < list->count; i++) {
        put_address(answer, service, &list->items[i], ttl_s);
    }
    return SRV_ANSWERED;
}

enum srv_result srv_put(struct srv_answer *answer, const struct steer_service *service,
                        struct steer_client *client, uint16_t owner)
{
    struct list list;
    bool is_short = false, has_failed = false, is_ranked = false;

    list.count = 0;
    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        struct steer_choice choice;
        if (!service->has_family[f]) {
            continue;
        }
        steer_choose(service, f, client, &choice);
        has_failed = has_failed || choice.result == STEER_SERVFAIL;
        if (choice.result == STEER_ADDRESSES) {
            is_short = is_short || choice.short_ttl;
            is_ranked = is_ranked || (choice.rung >= 4 && choice.several);
            add_choice(service, f, &choice, &list);
        }
    }
    if (list.count == 0) {
        return has_failed ? SRV_SERVFAIL : SRV_NODATA;
    }
    return put_all(answer, service, client, &list, owner, is_ranked,
                   is_short ? service->ttl_suspect_s : service->ttl_normal_s);
}
