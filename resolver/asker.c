#include "resolver/asker.h"

#include <netinet/in.h>
#include <string.h>

#include "base/addr.h"

enum {
    SUBNET_V4 = 1, /* RFC 7871, section 6: address family numbers */
    SUBNET_V6 = 2,
};

/* IPv4 within IPv6 (RFC 4291, section 2.5.5.2) is IPv4. */
static void unmap(struct addr *address)
{
    static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

    if (address->family == ADDR_V6 && memcmp(address->bytes, mapped, sizeof(mapped)) == 0) {
        memmove(address->bytes, address->bytes + 12, 4);
        memset(address->bytes + 4, 0, 12);
        address->family = ADDR_V4;
    }
}

/* The source of the query; no address of another family than these two ever comes. */
static inline void read_source(const struct sockaddr *source, struct addr *out)
{
    *out = (struct addr){ .family = ADDR_V4 };
    if (source->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)source;
        memcpy(out->bytes, &v4->sin_addr, 4);
        return;
    }
    (void)addr_from_sockaddr(source, out);
    unmap(out);
}

struct steer_client *asker_locate(struct query_thread *thread)
{
    struct steer_client *asker = &thread->steered;
    const struct wire_query *q = &thread->query;

    if (q->has_subnet && q->subnet_bits > 0) {
        asker->address = (struct addr){
            .family = q->subnet_family == SUBNET_V4 ? ADDR_V4 : ADDR_V6,
        };
        memcpy(asker->address.bytes, q->subnet, sizeof(q->subnet));
        asker->known_bits = q->subnet_bits;
        return asker;
    }
    read_source(thread->client->source, &asker->address);
    asker->known_bits = asker->address.family == ADDR_V4 ? 32 : 128;
    return asker;
}

struct steer_client *asker_find(struct query_thread *thread)
{
    (void)asker_draw(thread);
    return asker_locate(thread);
}

const struct steer_service *asker_in_view(const struct query_thread *thread,
                                          const struct steer_service *service)
{
    const struct query_client *client = thread->client;
    const struct steer_policy *policy = service->policy;
    struct addr source;

    read_source(client->source, &source);
    size_t view = snapshot_view(policy->rules, policy->rule_count, &source,
                                client->local_is_loopback, client->listener);
    const struct steer_service *seen = view < policy->rule_count ? policy->views[view] : NULL;
    return seen != NULL ? seen : service;
}
