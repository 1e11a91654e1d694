#pragma once
/*
 * check_stream - the connection of one attempt: TCP, and TLS over it
 *
 * Embedded in the attempts that need one. It is over TLS when the check says
 * so; the handshake is a whole one each time, as a session resumed would hide
 * a certificate that is no good any more. Errors of the connection decide the
 * attempt here; what the bytes mean is the owner's. Control loop only.
 */
#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "policy/checks/attempt.h"

struct tls;
struct tls_context;

struct check_stream {
    uv_tcp_t tcp;
    uv_connect_t connecting;
    uv_write_t writing;
    struct check_attempt *attempt;
    const char *where; /* goes in front of errors; NULL: nothing */

    /* The owner's callbacks; each may decide the attempt. */
    void (*on_connected)(struct check_stream *stream); /* with TLS: the handshake is complete */
    void (*on_received)(struct check_stream *stream, size_t size); /* bytes now in `buffer` */
    void (*on_ended)(struct check_stream *stream);                 /* the peer closed */

    /*
     * Where the next bytes go, and how many; the owner's. NULL when reading
     * begins: a few KiB shared by all, which hold them during the call only.
     */
    char *buffer;
    size_t buffer_size;

    /* internal */
    struct tls_context *context;
    struct tls *tls;
    bool secured; /* the handshake is complete */
    bool reading;
};

/*
 * Connect to `target`; `attempt`, `where` and the callbacks are set. Returns 0,
 * or a negative errno when the trouble is our own: then the attempt is the
 * caller's to cancel or decide. A target that cannot be reached decides it, and
 * so does TLS that cannot be had here.
 */
int check_stream_open(struct check_stream *stream, const struct addr *target);

/* Send `size` bytes, which stay until the attempt is released. Once per stream. */
void check_stream_send(struct check_stream *stream, const void *bytes, size_t size);

/* Begin to read. */
void check_stream_read(struct check_stream *stream);

/*
 * Take leave of the peer and decide the attempt. A pass becomes a warning when
 * the certificate expires sooner than the check wants.
 */
void check_stream_decide(struct check_stream *stream, enum detect_outcome outcome,
                         bool misconfigured, const char *reason);

/* Until when the certificate is good, as seconds from now. False without one. */
bool check_stream_seconds_left(const struct check_stream *stream, int64_t *out_s);

/* Free what it holds, when the attempt is released; a zeroed one is fine. */
void check_stream_fini(struct check_stream *stream);
