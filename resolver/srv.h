#pragma once
/*
 * srv - a service answered as SRV: the endpoints chosen, with port and weight
 *
 * RFC 2782. Both address families together; the addresses of the hosts named
 * stand in the additional section as far as there is room. On the answering
 * path, any thread that holds the snapshot.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/steer.h"

/* Where the records go, and what was written. */
struct srv_answer {
    uint8_t *message;
    size_t at; /* where the next record goes */
    size_t limit;
    unsigned answers;
    unsigned additionals;
};

enum srv_result {
    SRV_ANSWERED,
    SRV_NODATA,
    SRV_SERVFAIL,
    SRV_CUT, /* not all records fit */
};

/* Is SRV answered for the service? */
static inline bool srv_is_given(const struct steer_service *service)
{
    return service->policy != NULL && service->policy->srv[ADDR_V4] != NULL;
}

/* Write the records, owned by the name at message offset `owner`. */
enum srv_result srv_put(struct srv_answer *answer, const struct steer_service *service,
                        struct steer_client *client, uint16_t owner);
