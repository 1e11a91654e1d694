#pragma once
/*
 * steer_names - what a service remembers, by the names of regions and addresses
 *
 * steer_memory holds numbers that mean something within one generation only;
 * on disk, and across a restart, names do. Control thread.
 */
#include "policy/health_file.h"
#include "policy/steer.h"

/*
 * What `service` remembers of pool `pool` for `family`; false when that is
 * nothing. The addresses are written to `addresses`, room for
 * HEALTH_FILE_GOOD_MAX.
 */
bool steer_names_of(const struct steer_service *service, unsigned family, uint32_t pool,
                    struct addr *addresses, struct health_good *out);

/*
 * Remember that, too, beside what is remembered of other pools, as far as
 * region and addresses are still configured. False: nothing is.
 */
bool steer_names_recall(const struct steer_service *service, const struct health_good *good);
