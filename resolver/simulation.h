#pragma once
/*
 * simulation - what every service would answer if this and that were down
 *
 * Services are looked at as they are with the health words of those that are
 * meant changed in a copy, what conditions on regions and services make of that
 * included, and the very code that answers chooses. Nothing of the running
 * server changes. Control thread.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "policy/steer.h"
#include "resolver/snapshot.h"

#define SIMULATION_TARGETS_MAX 64
#define SIMULATION_DRAWS       64 /* answers drawn of each service, for shares */

struct override;

/* What is supposed: targets as of overrides, forced down or up. */
struct simulation {
    const struct override *targets;
    size_t target_count;
};

/* One service in a supposed world. */
struct simulated_service {
    struct steer_choice choices[ADDR_FAMILIES]; /* to nobody in particular */
    bool is_well;                   /* a region meets its minimum: rung 1 to 3, in some family */
    double shares[STEER_POOLS_MAX]; /* of its answers, by pool */
};

/*
 * Choose for `service` as things would be; NULL: as they are. The choices'
 * pools and bits are those of the service itself.
 */
void simulation_choose(const struct snapshot *snapshot, const struct steer_service *service,
                       const struct simulation *simulation, struct simulated_service *out);

/*
 * The same for one client (NULL: nobody in particular) and one family. Returns
 * the name when it would be answered as CNAME, else NULL.
 */
const uint8_t *simulation_answer(const struct snapshot *snapshot,
                                 const struct steer_service *service,
                                 const struct simulation *simulation, unsigned family,
                                 struct steer_client *client, struct steer_choice *choice);

/*
 * Does the service lean on regions or services, stand on rung 1 or 2 in some
 * region as things are, and would not in any as they would be?
 */
bool simulation_loses(const struct snapshot *snapshot, const struct steer_service *service,
                      const struct simulation *simulation);

/*
 * Add the service's endpoints that would be up (NULL: that are) to `up`, by
 * region, and all of them to `all`.
 */
void simulation_count(const struct snapshot *snapshot, const struct steer_service *service,
                      const struct simulation *simulation, size_t *up, size_t *all);
