#pragma once
/*
 * parking - services that do not move back by themselves (failback: manual)
 *
 * Once the answers of such a service have left a region, every region but the
 * one they went to is parked: second choice until an operator releases it or
 * nothing better is left. Control thread.
 */
#include "resolver/snapshot.h"

/* Is it one of those? */
bool parking_is_manual(const struct snapshot *snapshot, const struct steer_service *service);

/*
 * The table has changed: park what such a service has left since it remembered
 * something last (see steer_remember).
 */
void parking_look(const struct steer_service *service);

/*
 * A new generation: what is parked stays so, by the names of service and
 * region. `old` may be NULL; then what the service remembers (see
 * steer_remember) says where its answers stood before the start.
 */
void parking_adopt(const struct snapshot *old, const struct snapshot *fresh);
