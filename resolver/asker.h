#pragma once
/*
 * asker - who asks, as far as the choice of an answer depends on it
 *
 * Only for services that are not answered alike to everybody. On the
 * answering path, by the thread that answers.
 */
#include <netinet/in.h>
#include <string.h>

#include "resolver/query.h"

/* odd: steps over all numbers */
#define ASKER_STEP UINT64_C(0x9e3779b97f4a7c15)

/*
 * The client of the present query: its address, or the subnet it asks for
 * (RFC 7871), and random bits. It is the thread's until the next call.
 */
struct steer_client *asker_find(struct query_thread *thread);

/* Fill in the address of what asker_draw returned. */
struct steer_client *asker_locate(struct query_thread *thread);

/* The same where it does not matter who asks: random bits, and nothing of its address. */
static inline struct steer_client *asker_draw(struct query_thread *thread)
{
    struct steer_client *asker = &thread->steered;

    thread->draws += ASKER_STEP;
    uint64_t mixed = (thread->draws ^ thread->query.id) * ASKER_STEP;
    asker->turn = (uint32_t)((mixed ^ mixed >> 29) * ASKER_STEP >> 32);
    asker->scope_bits = 0;
    return asker;
}

/* As much of it as choosing for `service` needs. */
static inline struct steer_client *asker_of(struct query_thread *thread,
                                            const struct steer_service *service)
{
    struct steer_client *asker = asker_draw(thread);
    const struct sockaddr *source = thread->client->source;

    if (service->policy == NULL || !service->policy->is_personal) {
        return asker;
    }
    if (__builtin_expect(source->sa_family != AF_INET || thread->query.has_subnet, false)) {
        return asker_locate(thread);
    }
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)source;
    asker->address = (struct addr){ .family = ADDR_V4 };
    memcpy(asker->address.bytes, &v4->sin_addr, sizeof(v4->sin_addr));
    asker->known_bits = 32;
    return asker;
}

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
