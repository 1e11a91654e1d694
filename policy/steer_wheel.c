#include "policy/steer_wheel.h"

#include <stdbool.h>

#define WIDTH (UINT64_C(1) << 32) /* of a slot, in units of its bound */
#define SPENT (UINT64_C(1) << 63) /* a lot that has its slots */

size_t steer_wheel_slots(size_t count)
{
    size_t slots = 2;

    while (slots < count) {
        slots *= 2;
    }
    return slots;
}

/* Weights become shares of the wheel: together they just fill it. */
static void widen(uint64_t *lots, size_t count, size_t slot_count)
{
    uint64_t sum = 0; /* not 0, for no weight is */

    for (size_t i = 0; i < count; i++) {
        sum += lots[i] >> STEER_LOT_SHIFT;
    }
    for (size_t i = 0; i < count; i++) {
        __extension__ unsigned __int128 weight = lots[i] >> STEER_LOT_SHIFT;
        uint64_t share = (uint64_t)(weight * slot_count * WIDTH / sum);
        lots[i] = share << STEER_LOT_SHIFT | (lots[i] & STEER_LOT_PICK);
    }
}

static bool is_large(uint64_t lot)
{
    return lot >> STEER_LOT_SHIFT >= WIDTH;
}

/* The next one that is large, or is not, and has not had its slots; `count`: none. */
static size_t find(const uint64_t *lots, size_t count, size_t from, bool large)
{
    while (from < count && ((lots[from] & SPENT) != 0 || is_large(lots[from]) != large)) {
        from++;
    }
    return from;
}

/*
 * Every slot goes to a lot that does not fill one, and what it leaves to the
 * large lot whose turn it is; that is a small one in its turn when it has given
 * enough. Slots beyond the number of lots go to large ones whole.
 */
static void fill(struct steer_slot *slots, size_t slot_count, uint64_t *lots, size_t count)
{
    size_t large = find(lots, count, 0, true), small = find(lots, count, 0, false);
    size_t turned = count;

    for (size_t n = 0; n < slot_count; n++) {
        size_t own = turned < count ? turned : small < count ? small : large;
        size_t other = large < count ? large : own; /* no large one is left: it was rounded off */
        uint64_t share = own == other ? 0 : lots[own] >> STEER_LOT_SHIFT;
        slots[n] = (struct steer_slot){ .bound = (uint32_t)share,
                                        .own = (uint16_t)own,
                                        .other = (uint16_t)other };
        if (own != large) {
            lots[own] |= SPENT;
            small = find(lots, count, small, false);
            turned = count;
        }
        if (large < count) {
            lots[large] -= (WIDTH - share) << STEER_LOT_SHIFT;
            if (!is_large(lots[large])) {
                turned = large;
                large = find(lots, count, large + 1, true);
            }
        }
    }
}

void steer_wheel_fill(struct steer_slot *slots, size_t slot_count, uint16_t *picks, uint64_t *lots,
                      size_t count, struct steer_wheel *out)
{
    for (size_t i = 0; i < count; i++) {
        picks[i] = (uint16_t)lots[i];
    }
    widen(lots, count, slot_count);
    fill(slots, slot_count, lots, count);
    *out = (struct steer_wheel){ .slots = slots,
                                 .picks = picks,
                                 .shift = 64u - (unsigned)__builtin_ctzll(slot_count) };
}
