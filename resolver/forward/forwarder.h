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
    /*
     * An older positive answer is at hand: public upstreams need not be asked,
     * and a negative answer of a lesser class is no better (see choice.h).
     */
    bool has_stale;
    bool anew; /* not from a cache, be it as fresh as it may */
    /*
     * What others than those of one region say, who are not asked: the region
     * of the upstream of this label (see forward_reply; read while the question
     * is put, no longer), or of the first that would be asked. Shared with no
     * other question, and told to nobody but who asks.
     */
    bool second_opinion;
    const char *apart_from; /* NULL: the first's region */
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
    uint16_t ede_code;    /* RFC 8914; with a message: 0 or what was taken out of it (17) */
    const char *ede_text; /* a few words: who was asked and what came of it */
    const char *upstream; /* for people: "tokyo 10.2.0.10:53" */
    enum forward_class origin; /* of the upstream that answered */
    bool positive;
    bool lesser; /* negative, and better upstreams could not be heard */
};

typedef void forward_done(void *user, const struct forward_reply *reply);

struct forward_counters {
    _Atomic uint64_t questions; /* asked of the forwarder */
    _Atomic uint64_t coalesced; /* of them: shared another's answer */
    _Atomic uint64_t asked;     /* put to upstreams: what the next three are extra to */
    _Atomic uint64_t sent;      /* packets and connections to upstreams */
    _Atomic uint64_t hedges;    /* another was asked because one was silent */
    _Atomic uint64_t resends;   /* one was asked again, for the same reason */
    _Atomic uint64_t probes;    /* of liveness, and live questions put beside to a suspect */
    _Atomic uint64_t failed;    /* questions nobody answered */
    _Atomic uint64_t mismatched; /* datagrams that answered no question of ours */
    _Atomic uint64_t shed;      /* refused because too many were in flight */
};

/* A forwarder on `loop`; NULL when memory is out. */
struct forwarder *forwarder_new(uv_loop_t *loop);

/*
 * Have `answered` called once for each question that was really asked, before
 * those who wait are told; dname is the question's name in lower case. It may
 * put another message into the reply, which must stay until they were told.
 */
typedef void forward_answered(void *user, const struct forward_question *question,
                              const uint8_t *dname, struct forward_reply *reply);
void forwarder_on_answer(struct forwarder *forwarder, forward_answered *answered, void *user);

/*
 * The rules of this snapshot are in force: keep an eye on their upstreams,
 * also when nobody asks. Read during the call only; the next one replaces it.
 */
void forwarder_adopt(struct forwarder *forwarder, const struct snapshot *snapshot);

/*
 * What was asked of names at and below `tree` was asked under a rule that no
 * longer holds: those who wait are told, but it is not noted (see
 * forwarder_on_answer), and nobody else is told the same.
 */
void forwarder_forget(struct forwarder *forwarder, const uint8_t *tree);

/*
 * Is every upstream of this rule that is not public down, so that waiting for
 * them is of no use?
 */
bool forwarder_is_down(struct forwarder *forwarder, const struct forward_rule *rule);

/*
 * Is this the name of a probe that this forwarder has sent out, so that the
 * upstream it was sent to leads back to us? That one is not asked any more
 * until rules are adopted anew. No answer of ours should follow but REFUSED.
 */
bool forwarder_is_loop(struct forwarder *forwarder, const uint8_t *dname);

/*
 * Ask. `done` is called exactly once, at the latest after FORWARD_DEADLINE_MS,
 * never from within this call; NULL when nobody waits (a refresh).
 */
void forwarder_ask(struct forwarder *forwarder, const struct forward_rule *rule,
                   const struct forward_question *question, forward_done *done, void *user);

/* Questions in flight, coalesced ones counted each. */
unsigned forwarder_waiting(const struct forwarder *forwarder);

const struct forward_counters *forwarder_counters(const struct forwarder *forwarder);

/*
 * Upstreams as JSON list members for `status`; see directory_describe. Any
 * thread: guarded inside by a lock that only this and state changes take.
 */
struct json_writer;
void forwarder_describe(struct forwarder *forwarder, struct json_writer *json);

/*
 * The upstreams of a rule as elements of an open JSON list, in the order in
 * which they would be asked now, each as forwarder_describe does, its hedge_ms
 * that of the rule. Those that lead back to us are left out, and so is what was
 * never asked and never adopted. Any thread that holds the rule's snapshot.
 */
void forwarder_explain(struct forwarder *forwarder, const struct forward_rule *rule,
                       struct json_writer *json);

/* Fail what is in flight and close; `closed` is called when it is freed. */
void forwarder_close(struct forwarder *forwarder, void (*closed)(void *user), void *user);
