#pragma once
/*
 * snapshot_policy - what a service's filters, views and SRV need, compiled
 *
 * A part of building a snapshot: control thread only.
 */
#include "policy/places.h"
#include "resolver/snapshot_service.h"

/* What services share: the map of clients, and the orders of pools made of it. */
struct snapshot_orders {
    const struct places *places; /* NULL: not built yet */
    struct snapshot_order *list;
};

/*
 * Compile what the service has beside its pools into `service->policy`; it
 * stays NULL when there is nothing. Its pools, name and families are there.
 */
void snapshot_compile_policy(struct snapshot_draft *draft, struct snapshot_orders *orders,
                             const struct model_service *model, bool is_view,
                             struct steer_service *service);

/*
 * The names that SRV records point to, into the policy and the namespace. The
 * service is in the namespace. -EINVAL, explained, when one is too long.
 */
int snapshot_compile_srv(struct snapshot_draft *draft, const struct model_service *model,
                         struct steer_service *service);
