#pragma once
/*
 * attempt - one question put to one upstream, over UDP or TCP
 *
 * Each attempt has a socket of its own: connected, so that only the upstream's
 * datagrams arrive and a refusal is told at once, its port chosen at random by
 * the kernel, its id by us (RFC 5452, section 9). What does not answer the
 * question exactly is counted and ignored. Decides nothing: everything is told
 * to the owner, who closes the attempt. One service loop, in a process that
 * ignores SIGPIPE.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "resolver/forward/forwarder.h"
#include "zones/wire.h"

#define ATTEMPT_QUERY_MAX  (WIRE_HEADER_BYTES + WIRE_QUESTION_BYTES + WIRE_OPT_BYTES)
#define ATTEMPT_IDS        256 /* ids drawn at a time */
#define ATTEMPT_STREAM_LEN 2   /* before a message on TCP; RFC 1035, section 4.2.2 */

struct attempt;
struct upstream;

/* Told by an attempt. In each but the last the owner may close it. */
struct attempt_events {
    /* A message answers the question; it is valid during the call. */
    void (*reply)(struct attempt *attempt, const uint8_t *message, size_t length,
                  size_t answers_at);
    /* The socket is of no more use: -errno (UV_EOF: closed by the upstream). */
    void (*error)(struct attempt *attempt, int code);
    /* It was sent upstream_silent_ms ago; once each time it was sent. */
    void (*silent)(struct attempt *attempt);
    /* UPSTREAM_LISTEN_MS ago: `spent` is set now; the owner need not close it. */
    void (*spent)(struct attempt *attempt);
    /* One was closed and freed. */
    void (*released)(void *user);
};

/* What the attempts of one loop share. Filled in by its owner but for the last. */
struct attempt_pool {
    uv_loop_t *loop;
    uint8_t *buffer; /* WIRE_MESSAGE_MAX bytes to receive into */
    const struct attempt_events *events;
    void *user;
    struct forward_counters *counters;
    unsigned most; /* sockets open at a time */
    unsigned open;
    unsigned alive; /* attempts not freed yet */
    uint16_t ids[ATTEMPT_IDS];
    unsigned ids_left;
};

struct attempt {
    /* the owner's */
    struct attempt *next;
    struct attempt **link; /* what points at this one in the owner's list */
    void *owner;
    uint32_t candidate;
    uint64_t question; /* hash */

    /* the attempt's, to be read */
    struct attempt_pool *pool;
    struct upstream *upstream;
    uint64_t sent_ms; /* last */
    bool stream;
    bool dnssec_ok;
    bool settled; /* for a timer that was late */
    bool silent;  /* that was told */
    bool spent;
    bool closing;
    uint16_t question_length;
    uint16_t query_length;
    uint8_t query[ATTEMPT_STREAM_LEN + ATTEMPT_QUERY_MAX]; /* behind its length */

    /* private */
    unsigned handles;
    uint32_t patience_ms; /* see upstream_silent_ms */
    uv_timer_t timer;
    union {
        uv_udp_t udp;
        uv_tcp_t tcp;
        uv_handle_t handle;
    };
    uv_connect_t connect;
    uv_write_t write;
    uint8_t prefix[ATTEMPT_STREAM_LEN];
    uint8_t *message; /* what comes over TCP */
    size_t expected;  /* its length, 0 before that is known */
    size_t got;       /* of it, or of the prefix */
};

/*
 * Put the question to the upstream. 0 and the attempt, which is freed some
 * time after attempt_close; -errno when that cannot even be tried, -EMFILE
 * also when the pool has `most` open. Never tells an event before it returns.
 */
int attempt_open(struct attempt_pool *pool, struct upstream *upstream, bool stream,
                 const struct forward_question *question, struct attempt **out);

/*
 * Send it once more, over UDP, from the same port with the same id: that gives
 * a forger no second chance (RFC 5452, section 5). 0 or -errno.
 */
int attempt_resend(struct attempt *attempt);

/* Close it; no event will be told. May be called twice. */
void attempt_close(struct attempt *attempt);

/* The question it asks, as sent: name, type, class. */
const uint8_t *attempt_question(const struct attempt *attempt);
