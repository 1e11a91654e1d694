#pragma once
/*
 * check_stream - the TCP connection of one attempt
 *
 * Embedded in the attempts that need one. Errors of the connection decide the
 * attempt here; what the bytes mean is the owner's. Control loop only.
 */
#include <stddef.h>
#include <uv.h>

#include "policy/checks/attempt.h"

struct check_stream {
    uv_tcp_t tcp;
    uv_connect_t connecting;
    uv_write_t writing;
    struct check_attempt *attempt;
    const char *where; /* goes in front of errors; NULL: nothing */

    /* The owner's callbacks; each may decide the attempt. */
    void (*on_connected)(struct check_stream *stream);
    void (*on_received)(struct check_stream *stream, size_t size); /* bytes now in `buffer` */
    void (*on_ended)(struct check_stream *stream);                 /* the peer closed */

    char *buffer; /* the owner's; where the next bytes go, and how many */
    size_t buffer_size;
};

/*
 * Connect to `target`; `attempt`, `where` and the callbacks are set. Returns 0,
 * or a negative errno when the trouble is our own: then the attempt is the
 * caller's to cancel or decide. A target that cannot be reached decides it.
 */
int check_stream_open(struct check_stream *stream, const struct addr *target);

/* Send `size` bytes, which stay until the attempt is released. Once per stream. */
void check_stream_send(struct check_stream *stream, const void *bytes, size_t size);

/* Begin to read. */
void check_stream_read(struct check_stream *stream);
