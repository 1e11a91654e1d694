#pragma once
/*
 * steer_wheel - draws by weight from many endpoints, each in a few instructions
 *
 * A wheel has as many slots as there are endpoints or somewhat more, all of the
 * same width, and each holds at most two endpoints: where it stops is in
 * proportion to the weights. Source: Walker, "New fast method for generating
 * discrete random numbers with arbitrary frequency distributions" (1974), and
 * Vose, "A linear algorithm for generating random numbers with a given
 * distribution" (1991). Pure arithmetic, any thread.
 */
#include <stddef.h>
#include <stdint.h>

#define STEER_LOT_SHIFT 16
#define STEER_LOT_PICK  UINT64_C(0xffff)

/* Of sequences of draws: odd, and of a good spectrum, so that several in a row are independent. */
#define STEER_DRAW_MULTIPLIER UINT64_C(0xd1342543de82ef95)

/* Lots are counted through all pools in order. */
struct steer_slot {
    uint32_t bound; /* below it `own`, else `other` */
    uint16_t own;
    uint16_t other;
};

struct steer_wheel {
    const struct steer_slot *slots;
    const uint16_t *picks; /* by lot */
    unsigned shift;        /* of 64 bits, to the number of a slot */
};

/* How many slots a wheel of `count` lots has (at least 2): a power of two. */
size_t steer_wheel_slots(size_t count);

/*
 * Fill a wheel of so many slots with `count` lots, at most 2^16: each a weight,
 * from STEER_LOT_SHIFT on, above a pick. The lots are used up. Weights are not
 * 0, and below 2^31 together. `slots` and `picks` (one for each lot) are the
 * caller's; `out` points to them and lives no longer.
 */
void steer_wheel_fill(struct steer_slot *slots, size_t slot_count, uint16_t *picks, uint64_t *lots,
                      size_t count, struct steer_wheel *out);

/* A sequence of lots, drawn with replacement. */
struct steer_spin {
    const struct steer_slot *slots;
    unsigned shift;
    unsigned tries; /* left, so that it ends where hardly any lot is of use */
    uint64_t at;
};

/* Begin to draw for somebody who needs `most` of them. */
static inline struct steer_spin steer_wheel_begin(const struct steer_wheel *wheel, uint64_t seed,
                                                  unsigned most)
{
    return (struct steer_spin){ .slots = wheel->slots,
                                .shift = wheel->shift,
                                .tries = 4 * most + 8,
                                .at = seed };
}

/* The next lot. Only while there are tries. */
static inline unsigned steer_wheel_next(struct steer_spin *spin)
{
    spin->tries--;
    spin->at = spin->at * STEER_DRAW_MULTIPLIER + 1;
    const struct steer_slot *slot = &spin->slots[spin->at >> spin->shift];
    return (uint32_t)spin->at < slot->bound ? slot->own : slot->other;
}
