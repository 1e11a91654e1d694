#pragma once
/*
 * sim_stream - DNS over one connection, TCP or TLS
 *
 * Cuts the messages out of the bytes, answers them and plays the tricks that
 * only a connection knows. Loop thread only.
 */
#include "sim_answer.h"
#include "sim_listen.h"

struct sim_dns;
struct sim_held;

struct sim_stream {
    struct sim_dns *dns;
    struct sim_conn *conn;
    enum sim_over over;
    bool mute; /* nothing more is answered */
    unsigned query_count;
    uint64_t clear_at_ms;  /* of the loop: what is said byte by byte has been said */
    struct sim_held *held; /* answers kept to be given in another order, the last first */
    unsigned held_count;
    void *tls; /* that of sim_tls */
    size_t size;
    uint8_t input[SIM_LISTEN_INPUT];
};

/*
 * Begin on a connection just accepted and attach the stream to it. NULL when
 * it is closed already, by a trick or for want of memory.
 */
struct sim_stream *sim_stream_open(struct sim_dns *dns, struct sim_conn *conn, enum sim_over over);

/* Take up to `size` bytes as they came out of the connection; returns how many. */
size_t sim_stream_take(struct sim_stream *stream, const uint8_t *bytes, size_t size);

/* Free a stream; NULL is let alone. */
void sim_stream_free(struct sim_stream *stream);
