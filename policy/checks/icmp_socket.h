#pragma once
/*
 * icmp_socket - one socket for each family, shared by all echoes in flight
 *
 * A raw socket where one could be opened, as root or with CAP_NET_RAW, else a
 * ping socket (icmp(7), net.ipv4.ping_group_range). A raw socket sees every
 * ICMP packet of the machine, so a filter in the kernel passes only what is
 * about our echoes, and nothing before the first one. A ping socket writes an
 * id of its own into requests and learns of errors from its error queue. What
 * comes belongs to an echo when sequence number and random cookie do, or what is
 * quoted of them: see icmp_packet_is_about.
 *
 * The sockets are the process's, since they are opened while it may. There is
 * no handle on the loop while no echo is in flight. Control thread.
 */
#include <stdbool.h>
#include <uv.h>

#include "base/addr.h"
#include "policy/checks/icmp_packet.h"

/* One request on its way, in the memory of whoever sent it. */
struct icmp_echo {
    /* Called once, never from within icmp_echo_send. `error` is NULL for a reply. */
    void (*ended)(struct icmp_echo *echo, const char *error);

    /* icmp_socket's */
    struct addr target;
    uint8_t cookie[ICMP_PACKET_COOKIE];
    uint16_t sequence;
    bool waiting;
    struct icmp_echo *next;
};

/*
 * Open the raw sockets; to be called before privileges are dropped, whether or
 * not the configuration has icmp checks by then. Where they are not to be had
 * nothing is said: see icmp_socket_ready.
 */
void icmp_socket_open(void);

/* Is there a socket for the family (enum addr_family)? -errno, explained, when not. */
int icmp_socket_ready(uint8_t family, struct error *err);

/*
 * Send an echo request to `target`, whose port is ignored. Only when there is
 * a socket. -errno of the system when it could not be sent; `ended` is not
 * called then.
 */
int icmp_echo_send(uv_loop_t *loop, struct icmp_echo *echo, const struct addr *target);

/* Forget it; nothing when it has ended. */
void icmp_echo_cancel(struct icmp_echo *echo);

/* Close the sockets; no echo may be in flight. For the end of tests. */
void icmp_socket_close(void);
