#pragma once
/*
 * pending - the questions put to one stream that are not answered yet
 *
 * They wait to be sent, in their order, and then for answers, by id. Decides
 * only. One thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct connection_ask;

#define PENDING_BUCKETS 64 /* of asks, by id */
#define PENDING_IDS     64 /* random ids drawn at a time */

/*
 * A cancelled question keeps its id until it is answered, for the answer would
 * be taken for that of another one. Some never are; a stream with this many ids
 * in use is given no more questions, so that a free one is found at once.
 */
#define PENDING_UNANSWERED_MOST 16384

/* Random numbers, drawn from the system some at a time. Zeroed at first. */
struct pending_ids {
    uint16_t ids[PENDING_IDS];
    unsigned left;
};

struct pending {
    unsigned asks;                             /* that are not over */
    unsigned unanswered;                       /* ids in use */
    struct connection_ask *queue, **queue_end; /* not sent yet */
    struct connection_ask *sent[PENDING_BUCKETS];
    uint64_t taken[65536 / 64]; /* ids in use, a bit each */
};

/* `pending` is zeroed. It holds no memory. */
void pending_init(struct pending *pending);

/* To be sent, after the others. */
void pending_put(struct pending *pending, struct connection_ask *ask);

/* Take it out of whatever it is in. If it was sent its id stays in use. */
void pending_remove(struct connection_ask *ask);

/*
 * Write as many of the queued questions as `out` has room for, each with its
 * length in front and an id that was free; they count as sent. The size.
 */
size_t pending_send(struct pending *pending, struct pending_ids *ids, uint8_t *out, size_t cap);

/*
 * A message with this id has come. False when nobody asked with it. Else it is
 * free again, and `*out` is the question, removed, or NULL: it was cancelled.
 */
bool pending_answered(struct pending *pending, uint16_t id, struct connection_ask **out);

/* All that are left, sent or not, are in the queue then. */
void pending_gather(struct pending *pending);
