#pragma once
/*
 * health_suppose - how endpoints would stand if regions and services stood otherwise
 *
 * For questions of the kind what if: conditions are judged as the table judges
 * them, with other words put in for regions and services, into a copy of a
 * group's words. Nothing of the table changes. Control thread only.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/health.h"

enum health_supposed {
    HEALTH_SUPPOSED_AS_IT_IS,
    HEALTH_SUPPOSED_IN,
    HEALTH_SUPPOSED_AWAY,
};

/* What is put in. Both are asked again and again, and are given `user`. */
struct health_supposition {
    /* How would region `region` of the configuration stand? */
    enum health_supposed (*region)(void *user, size_t region);
    /* Would service `service` of it stand well in some region? */
    bool (*service)(void *user, size_t service);
    void *user;
};

/* Are endpoints of this pool judged by how regions or services stand? */
bool health_suppose_matters(const struct health_binding *binding, size_t service, size_t pool);

/*
 * Change in `words`, a copy of those of the pool's group, what conditions would
 * say otherwise than now. An endpoint that the operator forced stays so.
 */
void health_suppose_conditions(const struct health_binding *binding, size_t service, size_t pool,
                               const struct health_supposition *supposed, uint64_t now_ms,
                               struct health_group *words);

/* Set the capacity in `words` to that of the endpoints that are up in them. */
void health_suppose_capacity(const struct health_binding *binding, size_t service, size_t pool,
                             struct health_group *words);

/*
 * Is a pool of so many endpoints with these words in a region with this word
 * well, as a condition about it sees it? `said`: see health_pool_word.
 */
bool health_suppose_stands(uint32_t region_word, uint32_t said, size_t endpoint_count,
                           const struct health_group *words);
