#pragma once
/*
 * laggards - which clients were last answered with what, each thread for itself
 *
 * A table of fixed size; where it is full the answer given longest ago makes
 * room. Its thread writes without a lock or an allocation; any other may walk
 * it meanwhile, and passes over an entry that is just being written.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "policy/steer.h"

struct chosen;
struct laggards;
struct reclaimer;

/* The last answer to one client, of one service and family. */
struct laggards_answer {
    struct addr client; /* its own, or the subnet it asked for (RFC 7871) */
    uint8_t known_bits; /* of it */
    uint8_t family;     /* of the addresses answered */
    uint64_t service;   /* laggards_key of its dname */
    uint32_t view;      /* laggards_key of the view's name, its low bits; 0: of none */
    uint32_t ttl_s;
    uint64_t regions;  /* laggards_regions of the choice */
    uint64_t asked_ms; /* monotonic */
};

/* For so many clients. NULL when memory is out. */
struct laggards *laggards_new(uint32_t clients);

/* Free it now, NULL is fine; or once no reader can be looking at it any more. */
void laggards_free(struct laggards *laggards);
void laggards_retire(struct laggards *laggards, struct reclaimer *reclaimer);

/* What stands for a name. */
uint64_t laggards_key(const void *bytes, size_t length);

/* What stands for the regions chosen, the same whatever their order; 0: no address. */
uint64_t laggards_regions(const struct steer_service *service, const struct steer_choice *choice);

/* Remember it. The table's thread. */
void laggards_note(struct laggards *laggards, const struct laggards_answer *answer);

/* The same of what a query was answered with at `now_ms`. */
void laggards_note_chosen(struct laggards *laggards, const struct chosen *chosen, uint64_t now_ms);

/* Call `visit` for each answer of the service. Any thread that may read the table. */
typedef void laggards_visit(void *user, const struct laggards_answer *answer);
void laggards_walk(const struct laggards *laggards, uint64_t service, laggards_visit *visit,
                   void *user);
