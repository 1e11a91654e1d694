#pragma once
/*
 * parking - services that do not move back by themselves (failback: manual)
 *
 * Once the answers of such a service have left a region, every region but the
 * one they went to is parked: second choice until an operator releases it or
 * nothing better is left. Control thread.
 */
#include "resolver/snapshot.h"

/* The table has changed: park what was left since the last call. */
void parking_look(const struct snapshot *snapshot);

/*
 * A new generation: what is parked stays so, by the names of service and
 * region. `old` may be NULL; then what the service remembers (see
 * steer_remember) says where its answers stood before the start.
 */
void parking_adopt(const struct snapshot *old, const struct snapshot *fresh);
