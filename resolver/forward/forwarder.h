#pragma once
/*
 * forwarder - asks other resolvers, region by region, until one answers
 *
 * Lives on one service loop and is used from that loop only. Equal questions
 * in flight are asked once. The state of upstreams is kept by address for the
 * life of the forwarder, across snapshots; rules are read during
 * forwarder_ask only, so a snapshot may go while a question is in flight.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/text.h"
#include "resolver/snapshot.h"

#define FORWARD_DEADLINE_MS 1800 /* below the shortest timeout of common stubs */

struct forwarder;

struct forward_question {
    const uint8_t *name; /* wire form, uncompressed, the client's letter case */
    uint8_t name_length;
    uint16_t type;
    uint16_t class;
    bool dnssec_ok;
    bool checking_disabled; /* CD */
};

/* What came of it. All pointers are only valid during the call. */
struct forward_reply {
    /*
     * The answer as a message of our own making: header with rcode and the AD
     * bit, the question, scrubbed sections, no OPT; NULL when nobody answered
     * (then SERVFAIL is due).
     */
    const uint8_t *message;
    size_t length;
    uint16_t ede_code;    /* RFC 8914, when `message` is NULL */
    const char *ede_text; /* a few words: who was asked and what came of it */
    const char *upstream; /* for people: "tokyo 10.2.0.10:53" */
};

typedef void forward_done(void *user, const struct forward_reply *reply);

struct forward_counters {
    _Atomic uint64_t questions; /* asked of the forwarder */
    _Atomic uint64_t coalesced; /* of them: shared another's answer */
    _Atomic uint64_t sent;      /* packets and connections to upstreams */
    _Atomic uint64_t hedges;
    _Atomic uint64_t failed;    /* questions nobody answered */
    _Atomic uint64_t mismatched; /* datagrams that answered no question of ours */
    _Atomic uint64_t shed;      /* refused because too many were in flight */
};

/* A forwarder on `loop`; NULL when memory is out. */
struct forwarder *forwarder_new(uv_loop_t *loop);

/*
 * Ask. `done` is called exactly once, at the latest after FORWARD_DEADLINE_MS,
 * never from within this call.
 */
void forwarder_ask(struct forwarder *forwarder, const struct forward_rule *rule,
                   const struct forward_question *question, forward_done *done, void *user);

const struct forward_counters *forwarder_counters(const struct forwarder *forwarder);

/*
 * Upstreams as JSON list members for `status` (address, region, class, state,
 * since, reason, usual_ms, sent, failed). Any thread: guarded inside by a lock
 * that only this and state changes take.
 */
struct json_writer;
void forwarder_describe(struct forwarder *forwarder, struct json_writer *json);

/* Fail what is in flight and close; `closed` is called when it is freed. */
void forwarder_close(struct forwarder *forwarder, void (*closed)(void *user), void *user);
