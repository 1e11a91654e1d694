#pragma once
/*
 * sim_listen - a listening TCP socket that can play dead or silent
 *
 * Loop thread only. The socket is opened once and keeps its port until the
 * end, whatever it plays:
 *
 *   open      listens, connections are accepted at once
 *   refusing  bound but not listening, so that the kernel answers with RST;
 *             connections that were open are reset, as by a dying process
 *   silent    listens with a backlog of nothing that is kept full, so that
 *             the kernel drops every SYN; open connections stay, unanswered
 */
#include "sim_fault.h"
#include "sim_later.h"

#include <sys/socket.h>

#define SIM_LISTEN_CONNS   256 /* the oldest one is reset to make room */
#define SIM_LISTEN_INPUT   8192
#define SIM_LISTEN_FILLERS 4

struct sim_conn {
    uv_tcp_t tcp;
    struct sim_listen *listen;
    struct sim_conn *next; /* towards the older */
    struct sim_conn *previous;
    uint64_t id;
    struct sockaddr_storage peer;
    bool closing;
    bool busy;      /* an answer is on its way; on_bytes waits for it */
    bool mute;      /* something was swallowed: nothing is answered any more */
    bool ending;    /* our side has said all, the peer's goodbye is awaited */
    void *attached; /* the owner's, freed in on_close */
    size_t input_size;
    uint8_t input[SIM_LISTEN_INPUT];
};

struct sim_listen {
    int fd;
    uv_poll_t poll;
    enum sim_reach reach;
    struct sim_later *later;
    struct sim_conn *newest;
    struct sim_conn *oldest;
    unsigned count;
    uint64_t last_id;
    int fillers[SIM_LISTEN_FILLERS];
    unsigned filler_count;
    void *owner;
    void (*on_open)(struct sim_conn *);  /* may be NULL */
    void (*on_bytes)(struct sim_conn *); /* takes with sim_listen_take */
    void (*on_close)(struct sim_conn *); /* may be NULL; the last that is heard of it */

    /*
     * May be NULL. Gets what sim_listen_send was given, when its time has
     * come, and writes something in its place with sim_listen_write.
     */
    void (*on_send)(struct sim_conn *, const void *bytes, size_t size, bool end);
};

/*
 * Begin to listen on the bound socket `fd`, which now belongs to `server`.
 * The members owner, on_open and on_bytes are set by the caller before.
 * Returns 0 or a negative errno.
 */
int sim_listen_start(struct sim_listen *server, struct sim_later *later, int fd);

/*
 * Change what the socket plays. Returns 0 or a negative errno: -EADDRINUSE
 * when somebody else listens there meanwhile, -EBUSY when the backlog could
 * not be filled.
 */
int sim_listen_set_reach(struct sim_listen *server, enum sim_reach reach);

/* Take `size` bytes off the front of what has been read. */
void sim_listen_take(struct sim_conn *conn, size_t size);

/*
 * Send bytes, which are copied, after `delay_ms`; then end the connection
 * if `end`. Until then the connection is busy if `exclusive`. Nothing is
 * sent when the connection has gone or the socket plays dead or silent.
 */
void sim_listen_send(struct sim_conn *conn, uint32_t delay_ms, const void *bytes, size_t size,
                     bool end, bool exclusive);

/* Write bytes, which are copied, at once; then end the connection if `end`. */
void sim_listen_write(struct sim_conn *conn, const void *bytes, size_t size, bool end);

/* The open connection with that id, or NULL. */
struct sim_conn *sim_listen_find(struct sim_listen *server, uint64_t id);

/* Close a connection, with a RST if `reset`. It is freed when the loop next turns. */
void sim_listen_drop(struct sim_conn *conn, bool reset);

/* Close everything; the handles end when the loop next turns. */
void sim_listen_close(struct sim_listen *server);
