#pragma once
/*
 * datagram - many short-lived UDP sockets on one loop, each connected to one peer
 *
 * A connected socket hears nobody but its peer, and is told at once when that
 * refuses; its port is chosen at random by the kernel (RFC 5452, section 9.2).
 * They hang on a poll set of their own, which the loop watches as one: opening
 * and closing one costs the loop nothing. One loop.
 */
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "base/addr.h"

struct datagram;
struct datagram_set;

struct datagram_events {
    /* This came from the peer; it is the set's buffer, which may be written to. */
    void (*arrived)(struct datagram *datagram, uint8_t *message, size_t length);
    /* The socket is of no more use: -errno. */
    void (*failed)(struct datagram *datagram, int code);
};

/*
 * One socket, in its owner's memory. Once closed, that memory must stay for
 * what is left of the loop's turn.
 */
struct datagram {
    struct datagram_set *set;
    uint32_t slot; /* in the set, while it is open */
    int fd;        /* -1: closed */
};

/*
 * A set that receives into `buffer`, `size` bytes of the caller's, and tells
 * `events`, which must stay as well. It does not keep the loop from ending.
 * NULL when memory or descriptors are out.
 */
struct datagram_set *datagram_set_new(uv_loop_t *loop, uint8_t *buffer, size_t size,
                                      const struct datagram_events *events);

/* All its sockets are closed: free it; `closed`, if not NULL, is told when that is done. */
void datagram_set_close(struct datagram_set *set, void (*closed)(void *user), void *user);

/* Open a socket towards `peer`, from the address `source` if not NULL. 0 or -errno. */
int datagram_open(struct datagram *datagram, struct datagram_set *set, const struct addr *peer,
                  const struct addr *source);

/* 0 or -errno. */
int datagram_send(const struct datagram *datagram, const uint8_t *message, size_t length);

/* No event will be told. May be called twice, also from within an event. */
void datagram_close(struct datagram *datagram);
