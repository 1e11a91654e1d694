#include "policy/steer_share.h"

#include "policy/steer_wheel.h"

#define SUM_BITS 31 /* below 2^32 with what is added to weights that are shifted out */

int steer_share_shift(uint64_t sum, size_t count)
{
    uint64_t most = sum + count; /* idle ones count as well */

    return SUM_BITS - 1 - (63 - __builtin_clzll(most | 1));
}

uint64_t steer_share_lot(uint32_t weight, int shift, unsigned pool, unsigned endpoint)
{
    uint64_t counted = weight == 0 ? 1 : weight;

    counted = shift >= 0 ? counted << shift : counted >> -shift;
    counted = counted == 0 ? 1 : counted;
    return counted << STEER_LOT_SHIFT | steer_pick(pool, endpoint);
}

/* Idle endpoints do not count beside others. */
static uint32_t sum_of(const struct steer_share *share, unsigned family, unsigned count)
{
    uint64_t idle = share->idle[family];
    uint64_t sum = 0, idle_sum = 0;

    for (unsigned e = 0; e < count; e++) {
        uint64_t weight = share->lots[family][e] >> STEER_LOT_SHIFT;
        bool is_idle = (idle >> e & 1) != 0;
        sum += is_idle ? 0 : weight;
        idle_sum += is_idle ? weight : 0;
    }
    return (uint32_t)(sum != 0 ? sum : idle_sum);
}

void steer_share_settle(struct steer_policy *policy, struct steer_share *shares,
                        const struct steer_service *service)
{
    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        policy->is_even[f] = true;
        for (uint32_t i = 0; i < service->pool_count; i++) {
            shares[i].sums[f] = sum_of(&shares[i], f, service->pools[i].counts[f]);
            policy->is_even[f] = policy->is_even[f] && shares[i].sums[f] == shares[0].sums[f];
        }
    }
}

bool steer_share_wants_wheel(const struct steer_policy *policy, const struct steer_service *service,
                             unsigned family)
{
    unsigned drawing = policy->filters & (STEER_WEIGHT | STEER_SHUFFLE);
    unsigned other = policy->filters & (STEER_STICKY | STEER_CAPACITY | STEER_TRICKLE);

    return (policy->filters & STEER_ALL) != 0 && drawing != 0 && other == 0 && !policy->has_idle &&
           2 * service->max_addresses <= policy->endpoints[family];
}

enum steer_quick steer_share_quick(const struct steer_policy *policy,
                                   const struct steer_service *service)
{
    const unsigned drawing = STEER_WEIGHT | STEER_SHUFFLE | STEER_STICKY;
    bool all = (policy->filters & STEER_ALL) != 0;

    if (policy->has_idle || service->pool_count == 0 || (all && service->cnames != NULL)) {
        return STEER_QUICK_NOT;
    }
    if ((policy->filters & ~(drawing | STEER_NEAREST)) == 0) {
        return STEER_QUICK_ORDERED;
    }
    if ((policy->filters & STEER_TRICKLE) != 0) {
        return STEER_QUICK_GENERAL;
    }
    if ((policy->filters & STEER_CAPACITY) != 0) {
        return policy->has_load ? STEER_QUICK_GENERAL : STEER_QUICK_CAPACITY;
    }
    if (policy->places != NULL) {
        return STEER_QUICK_GENERAL; /* where a client stands is told to those who remember it */
    }
    if (all && (policy->filters & STEER_STICKY) != 0) {
        return STEER_QUICK_STICKY;
    }
    return steer_share_wants_wheel(policy, service, ADDR_V4) && policy->endpoints[ADDR_V4] <= 64
               ? STEER_QUICK_DRAWN
               : STEER_QUICK_GENERAL;
}
