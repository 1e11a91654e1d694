#pragma once
/*
 * attempt - one question put to one upstream, over UDP or a stream
 *
 *   datagram ---- answers ------------------------------> the owner
 *            ---- letters or cookie not ours: a doubt --> the same over TCP
 *            ---- EDNS or its cookie refused -----------> again without
 *            ---- wants a server cookie ----------------> again with it, then TCP
 *   doubt, and TCP is of no use ------------------------> again from another port,
 *            and once more without what is in doubt (see habits.h)
 *
 * Each has a socket of its own: connected, so that only the upstream's
 * datagrams arrive and a refusal is told at once, its port chosen at random by
 * the kernel, its id by us (RFC 5452, section 9). What does not answer the
 * question exactly is counted and ignored; while a doubt is cleared up over
 * TCP, a datagram that is as it should be is still taken. Nothing but that is
 * decided here: everything is told to the owner, who closes the attempt. One
 * service loop, in a process that ignores SIGPIPE.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "resolver/forward/connection.h"
#include "resolver/forward/datagram.h"
#include "resolver/forward/exchange.h"
#include "resolver/forward/forwarder.h"
#include "zones/wire.h"

#define ATTEMPT_RANDOM 2048 /* random bytes drawn at a time */

struct attempt;
struct upstream;

/* Told by an attempt. In each but the last the owner may close it. */
struct attempt_events {
    /*
     * A message answers the question; it is valid during the call. Its
     * question, if it has one, is in the letter case asked.
     */
    void (*reply)(struct attempt *attempt, const uint8_t *message, size_t length,
                  size_t answers_at);
    /* The way there is of no more use: -errno (UV_EOF: closed by the upstream). */
    void (*error)(struct attempt *attempt, int code);
    /* It was sent upstream_silent_ms ago; once each time it was sent. */
    void (*silent)(struct attempt *attempt);
    /* UPSTREAM_LISTEN_MS ago: `spent` is set now; the owner need not close it. */
    void (*spent)(struct attempt *attempt);
    /* One was closed and freed, or a part of the pool was. */
    void (*released)(void *user);
};

/* What the attempts of one loop share. */
struct attempt_pool {
    /* filled in by its owner */
    uv_loop_t *loop;
    uint8_t *buffer; /* WIRE_MESSAGE_MAX bytes to receive into */
    const struct attempt_events *events;
    void *user;
    struct forward_counters *counters;
    unsigned most; /* attempts open at a time */

    /* to be read */
    unsigned open;
    unsigned alive;                     /* attempts, and parts of the pool, not freed yet */
    struct connection_set *connections; /* streams that attempts share */

    /* private */
    struct datagram_set *datagrams;
    uint8_t random[ATTEMPT_RANDOM];
    size_t random_left;
};

/* Why a stream was asked. */
enum attempt_stream {
    ATTEMPT_STREAM_ASKED,      /* that was the owner's wish, or there is nothing else */
    ATTEMPT_STREAM_CASE,       /* a datagram's letters were not ours */
    ATTEMPT_STREAM_COOKIE,     /* its cookie was not */
    ATTEMPT_STREAM_BAD_COOKIE, /* it would not take the cookie it gave us */
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
    uint64_t sent_ms; /* last, as the loop counts */
    uint64_t sent_us; /* the same of uv_hrtime */
    bool stream;      /* it was asked, or has answered, over a stream */
    bool dnssec_ok;
    bool settled; /* for a timer that was late */
    bool silent;  /* that was told */
    bool spent;
    bool closing;
    uint16_t question_length;
    const char *fault; /* in `error`: what a stream says of it in a few words, or NULL */

    /* private */
    bool asking;       /* a stream, at this moment */
    bool unstreamable; /* TCP told nothing of a doubt */
    bool fresh;        /* asked from a second port */
    bool plain;        /* asked again without EDNS */
    bool cookieless;   /* asked again without a cookie */
    bool cookie_tried; /* asked again with the server cookie */
    enum attempt_stream reason;
    uint32_t patience_ms; /* see upstream_silent_ms */
    uv_timer_t timer;
    struct datagram datagram;
    struct connection_ask ask;
    struct exchange exchange;
    uint8_t streamed[EXCHANGE_QUERY_MAX]; /* the words for `ask`, with an id of its own */
};

/* Fill in the rest of the pool, of which the owner's part is there. 0 or -errno. */
int attempt_pool_open(struct attempt_pool *pool);

/* Close what they share, once all attempts are closed; `released` is told when that is freed. */
void attempt_pool_close(struct attempt_pool *pool);

/*
 * Put the question to the upstream. 0 and the attempt, which is freed some
 * time after attempt_close; -errno when that cannot even be tried, -EMFILE
 * also when the pool has `most` open. Never tells an event before it returns.
 */
int attempt_open(struct attempt_pool *pool, struct upstream *upstream, bool stream,
                 const struct forward_question *question, struct attempt **out);

/*
 * Send it once more, over UDP, from the same port with the same id: that gives
 * a forger no second chance (RFC 5452, section 5). What is on a stream needs
 * no second time. 0 or -errno.
 */
int attempt_resend(struct attempt *attempt);

/* Close it; no event will be told. May be called twice. */
void attempt_close(struct attempt *attempt);

/* The question as it was asked of us: name in the client's letter case, type, class. */
const uint8_t *attempt_question(const struct attempt *attempt);
