#pragma once
/*
 * fairness - no client's questions in flight may crowd out the others'
 *
 * Questions that must be asked elsewhere are counted by client: an IPv4
 * address, or the /64 an IPv6 address is in. Answerers count them in, the
 * service loop counts them out; atomics, any thread. A fixed table of counters
 * found by a keyed hash: two clients may share one, which no stranger can
 * bring about on purpose.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/hash.h"

#define FAIRNESS_SLOTS 4096 /* a power of two */
#define FAIRNESS_NONE  UINT32_MAX

struct fairness {
    struct hash_key key;
    _Atomic uint32_t in_flight[FAIRNESS_SLOTS];
};

void fairness_init(struct fairness *fairness);

/* The counter of a client. */
uint32_t fairness_slot(const struct fairness *fairness, const struct sockaddr *client);

/* One more in flight, unless the client has `most` already: then false. */
bool fairness_enter(struct fairness *fairness, uint32_t slot, uint32_t most);

/* One less; FAIRNESS_NONE is fine. */
void fairness_leave(struct fairness *fairness, uint32_t slot);
