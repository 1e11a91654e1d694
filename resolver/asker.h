#pragma once
/*
 * asker - who asks, as far as the choice of an answer depends on it
 *
 * Only for services that are not answered alike to everybody. On the
 * answering path, by the thread that answers.
 */
#include "resolver/query.h"

/*
 * The client of the present query: its address, or the subnet it asks for
 * (RFC 7871), and random bits. It is the thread's until the next call.
 */
struct steer_client *asker_find(struct query_thread *thread);

/* The service as the view of the present client has it, or itself. */
const struct steer_service *asker_in_view(const struct query_thread *thread,
                                          const struct steer_service *service);

/* The same, at no cost where there are no views. */
static inline const struct steer_service *asker_service(const struct query_thread *thread,
                                                        const struct steer_service *service)
{
    bool has_views = service->policy != NULL && service->policy->views != NULL;

    return has_views ? asker_in_view(thread, service) : service;
}
