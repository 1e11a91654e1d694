#pragma once
/*
 * channel - one TCP stream to an upstream, with TLS over it when it is told so
 *
 * Bytes, not messages. Nothing is told from within a call of it. One loop; in
 * a process that ignores SIGPIPE.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/addr.h"

struct channel;
struct tls_settings;
struct tls;
struct tls_context;
struct tls_ticket;

#define CHANNEL_READ_BYTES (16u * 1024u) /* a TLS record is no longer */

/* Between two turns of the loop nothing is kept here, so all channels of a loop share one. */
struct channel_buffers {
    uint8_t received[CHANNEL_READ_BYTES];
    uint8_t plain[CHANNEL_READ_BYTES];
};

/* The channel may be closed in each of them. */
struct channel_events {
    /* It is open, certificate judged and all: bytes may be written. */
    void (*ready)(struct channel *channel);
    void (*received)(struct channel *channel, const uint8_t *bytes, size_t size);
    /* All that was written has gone to the system. */
    void (*written)(struct channel *channel);
    /*
     * It is of no more use: -errno (UV_EOF: closed by the upstream) and a few
     * words, static. The owner closes it now; nothing else will be told.
     */
    void (*ended)(struct channel *channel, int code, const char *text);
    /* After channel_close: its memory may be freed. */
    void (*closed)(struct channel *channel);
};

struct channel {
    void *owner;

    /* private */
    uv_tcp_t tcp;
    uv_connect_t connect;
    const struct channel_events *events;
    struct channel_buffers *buffers;
    struct tls *tls; /* NULL: plain */
    bool connected;  /* TCP is */
    bool ready;
    bool closing;
};

struct channel_opening {
    uv_loop_t *loop;
    const struct addr *address;
    const struct addr *source; /* NULL: the system's choice; its port is not used */
    struct channel_buffers *buffers;
    /* NULL: plain TCP. All three must outlive the channel's close. */
    struct tls_context *context;
    const struct tls_settings *settings;
    struct tls_ticket *ticket;
};

/*
 * Begin to open it; `channel` is zeroed but for its owner. 0 or -errno. After a
 * failure too channel_close must be called, and the memory kept until `closed`.
 */
int channel_open(struct channel *channel, const struct channel_opening *opening,
                 const struct channel_events *events);

/*
 * Write to a channel that is ready; the bytes are copied where they must wait.
 * 0 or -errno: then it is of no more use, and `ended` is not told.
 */
int channel_write(struct channel *channel, const uint8_t *bytes, size_t size);

/* Bytes that wait to be taken by the system. */
size_t channel_unsent(const struct channel *channel);

/* A TLS session of before was taken / was offered, to an upstream that can be reached. */
bool channel_is_resumed(const struct channel *channel);
bool channel_offered_ticket(const struct channel *channel);

/* Close it; what waits to be sent is lost. Nothing but `closed` will be told. */
void channel_close(struct channel *channel);
