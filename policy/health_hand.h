#pragma once
/*
 * health_hand - the operator's words on regions and endpoints
 *
 * Kept by name and by address, so that they hold for what a reload brings back.
 * Inside of policy/health; control thread only.
 */
#include "policy/health_table.h"

/* The flags set for the region of this name. */
uint32_t health_hand_region(const struct health *health, const char *name);

/* The word for the endpoints at this address, whatever its port. */
enum health_force health_hand_endpoint(const struct health *health, const struct addr *address);

/* The flag said of the pool in `region` of the service named, see health_pool_word. */
uint32_t health_hand_pool(const struct health *health, const char *region, const char *service);

/* Forget everything. */
void health_hand_clear(struct health *health);
