#include "resolver/forward/pending.h"

#include <string.h>

#include "base/hash.h"
#include "resolver/forward/connection.h"
#include "zones/wire.h"

#define PREFIX_BYTES 2u

void pending_init(struct pending *pending)
{
    pending->queue_end = &pending->queue;
}

/* ---- ids ---- */

static uint64_t id_bit(uint16_t id)
{
    return UINT64_C(1) << (id % 64);
}

static bool is_taken(const struct pending *pending, uint16_t id)
{
    return (pending->taken[id / 64] & id_bit(id)) != 0;
}

static uint16_t draw_random(struct pending_ids *ids)
{
    if (ids->left == 0) {
        hash_random(ids->ids, sizeof(ids->ids));
        ids->left = PENDING_IDS;
    }
    return ids->ids[--ids->left];
}

/* At most half of them are taken, so this ends soon. */
static uint16_t draw_id(struct pending *pending, struct pending_ids *ids)
{
    uint16_t id;

    do {
        id = draw_random(ids);
    } while (is_taken(pending, id));
    pending->taken[id / 64] |= id_bit(id);
    pending->unanswered++;
    return id;
}

/* ---- lists ---- */

static struct connection_ask **bucket(struct pending *pending, uint16_t id)
{
    return &pending->sent[id % PENDING_BUCKETS];
}

void pending_put(struct pending *pending, struct connection_ask *ask)
{
    ask->next = NULL;
    ask->link = pending->queue_end;
    ask->sent = false;
    ask->pending = pending;
    *pending->queue_end = ask;
    pending->queue_end = &ask->next;
    pending->asks++;
}

static void put_sent(struct pending *pending, struct connection_ask *ask, uint16_t id)
{
    struct connection_ask **head = bucket(pending, id);

    ask->next = *head;
    if (ask->next != NULL) {
        ask->next->link = &ask->next;
    }
    ask->link = head;
    ask->sent = true;
    ask->pending = pending;
    *head = ask;
    pending->asks++;
}

void pending_remove(struct connection_ask *ask)
{
    struct pending *pending = ask->pending;

    *ask->link = ask->next;
    if (ask->next != NULL) {
        ask->next->link = ask->link;
    } else if (!ask->sent) {
        pending->queue_end = ask->link;
    }
    pending->asks--;
    ask->pending = NULL;
    ask->next = NULL;
    ask->link = NULL;
}

void pending_gather(struct pending *pending)
{
    for (unsigned i = 0; i < PENDING_BUCKETS; i++) {
        while (pending->sent[i] != NULL) {
            struct connection_ask *ask = pending->sent[i];
            pending_remove(ask);
            pending_put(pending, ask);
        }
    }
}

/* ---- questions and answers ---- */

size_t pending_send(struct pending *pending, struct pending_ids *ids, uint8_t *out, size_t cap)
{
    size_t size = 0;

    /* the queue may be long when the stream opens: hence twice */
    while (pending->queue != NULL && pending->unanswered < 2 * PENDING_UNANSWERED_MOST) {
        struct connection_ask *ask = pending->queue;
        if (cap - size < PREFIX_BYTES + ask->length) {
            break;
        }
        uint16_t id = draw_id(pending, ids);
        pending_remove(ask);
        put_sent(pending, ask, id);
        wire_put16(ask->message, id);
        wire_put16(out + size, ask->length);
        memcpy(out + size + PREFIX_BYTES, ask->message, ask->length);
        size += PREFIX_BYTES + ask->length;
    }
    return size;
}

bool pending_answered(struct pending *pending, uint16_t id, struct connection_ask **out)
{
    struct connection_ask *ask = *bucket(pending, id);

    if (!is_taken(pending, id)) {
        return false;
    }
    pending->taken[id / 64] &= ~id_bit(id);
    pending->unanswered--;
    while (ask != NULL && wire_get16(ask->message) != id) {
        ask = ask->next;
    }
    if (ask != NULL) {
        pending_remove(ask);
    }
    *out = ask;
    return true;
}
