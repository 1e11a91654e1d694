#include "resolver/chosen.h"

#include "resolver/asker.h"

/* The service that the question, or its aliases, led to; NULL: none. */
static const struct steer_service *find_service(const struct query_thread *thread,
                                                const struct snapshot *snapshot)
{
    const struct wire_query *q = &thread->query;
    const struct node *node = namespace_find(snapshot->ns, q->dname, q->name_length);

    if (node != NULL && node->service == NULL) {
        const struct answer *answer = namespace_answer(node, q->type);
        node = answer == NULL ? NULL : answer->tail;
    }
    return node == NULL || node->service == NULL ? NULL : asker_service(thread, node->service);
}

static unsigned family_of(const struct wire_query *q, const struct steer_service *service)
{
    if (q->type == WIRE_AAAA) {
        return ADDR_V6;
    }
    return q->type != WIRE_A && !service->has_family[ADDR_V4] ? ADDR_V6 : ADDR_V4;
}

/*
 * With the draw of its answer, where that depended on one; some answers never
 * look at it, and not all at its address.
 */
static struct steer_client find_client(struct query_thread *thread,
                                       const struct steer_service *service)
{
    const struct steer_client before = thread->steered;
    struct steer_client now = *asker_find(thread);
    bool is_personal = service->policy != NULL && service->policy->is_personal;
    bool is_same = addr_equal(&before.address, &now.address) && before.known_bits == now.known_bits;

    now.turn = is_same || !is_personal ? before.turn : now.turn;
    return now;
}

bool chosen_find(struct query_thread *thread, const struct snapshot *snapshot, struct chosen *out)
{
    out->service = find_service(thread, snapshot);
    if (out->service == NULL) {
        return false;
    }
    out->family = family_of(&thread->query, out->service);
    out->client = find_client(thread, out->service);
    if (out->service->cnames != NULL) {
        (void)steer_cname(out->service, out->family, &out->client, &out->choice);
    } else {
        steer_choose(out->service, out->family, &out->client, &out->choice);
    }
    return true;
}
