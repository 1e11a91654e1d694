#pragma once
/*
 * connection - streams to upstreams that stay open: TCP, and TLS over it
 *
 * Questions to one upstream share a stream: they are sent without waiting for
 * each other and answered in any order (RFC 7766, section 6.2.1.1; RFC 7858,
 * section 3.3). A stream that closes with questions unanswered is opened once
 * more, or a few times when each answers some, and they are sent again; one that
 * is idle for a while is closed. TLS sessions are resumed, certificates
 * verified. One service loop, in a process that ignores SIGPIPE.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/addr.h"
#include "policy/model.h"

struct connection_set;

/* Where a stream leads. Equal targets share streams. */
struct connection_target {
    struct addr address;
    bool has_source;
    struct addr source;
    const struct tls_settings *tls; /* NULL: plain TCP. Copied: it need not outlive the call */
};

/* One question on a stream; the caller's memory, until it was told or has cancelled. */
struct connection_ask {
    /*
     * Set by the caller. The message without its length; its id is changed to
     * one that nothing else on the stream has, drawn from the system's random
     * source (RFC 5452). It must stay until the ask is over.
     */
    uint8_t *message;
    uint16_t length;
    /*
     * A message with this id has come; whether it answers the question is for
     * the caller to see. True: it does, the ask is over (and may be freed in
     * the call). False: the stream is not to be trusted; it is closed and all
     * its asks fail with -EPROTO.
     */
    bool (*answered)(struct connection_ask *ask, const uint8_t *message, size_t length);
    /*
     * It will not be answered: -errno (UV_EOF: closed by the upstream twice
     * or more; -ETIMEDOUT: the stream is silent; -EKEYREJECTED: the certificate
     * is not accepted). The ask is over. `text` says it in a few words ("certificate
     * has expired"), static or the set's.
     */
    void (*failed)(struct connection_ask *ask, int code, const char *text);
    void *user;

    /* private */
    struct pending *pending;
    struct connection_ask *next;
    struct connection_ask **link;
    bool sent;
    unsigned again; /* times that it was sent on a stream that closed */
};

struct connection_counters {
    _Atomic uint64_t opened;
    _Atomic uint64_t resumed; /* TLS sessions */
    _Atomic uint64_t asked;
    _Atomic uint64_t reopened;  /* streams opened for questions of one that closed */
    _Atomic uint64_t strangers; /* messages whose id nobody had asked with; dropped */
};

/* How long streams are waited for and kept, in milliseconds. */
struct connection_limits {
    uint32_t silent_ms;   /* 2000: nothing came though something was due; it is given up */
    uint32_t doubt_ms;    /* 500: the same, and new questions go to a fresh stream */
    uint32_t idle_ms;     /* 10000: nothing was asked; it is closed */
    uint32_t idle_tls_ms; /* 30000 */
    uint32_t forget_ms;   /* 900000: no stream was open: the TLS session is forgotten */
};

/* No stream is open. NULL when memory is out. */
struct connection_set *connection_set_new(uv_loop_t *loop);

/* Other limits than those above, from now on: for those who cannot wait so long, as tests. */
void connection_set_limits(struct connection_set *set, const struct connection_limits *limits);

/*
 * Put the question to the target. Never tells before it returns. 0 or -errno,
 * then nothing will be told; `*out_text` says why in a few words, static or the set's.
 */
int connection_ask(struct connection_set *set, const struct connection_target *target,
                   struct connection_ask *ask, const char **out_text);

/*
 * Nobody waits for it any more: no event will be told. What comes for it is
 * dropped. An ask that is over may be cancelled too, if it is still there.
 */
void connection_cancel(struct connection_ask *ask);

const struct connection_counters *connection_counters(const struct connection_set *set);

/* Close everything; asks are over without being told. `closed` is called when all is freed. */
void connection_set_close(struct connection_set *set, void (*closed)(void *user), void *user);
