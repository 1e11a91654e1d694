#pragma once
/*
 * sim_net - addresses and bound sockets
 *
 * Everything in the simulator runs on one thread, that of the libuv loop.
 * All functions returning int give 0 (or a descriptor) or a negative errno.
 */
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* Parse an IPv4 or IPv6 address without port; false when it is neither. */
bool sim_net_parse(const char *text, struct sockaddr_storage *out_address);

/* Write an address without its port; `text` holds INET6_ADDRSTRLEN bytes. */
void sim_net_format(const struct sockaddr_storage *address, char *text);

/* The size the kernel wants for this address's family. */
socklen_t sim_net_size(const struct sockaddr_storage *address);

/* The port of an address, in host order. */
uint16_t sim_net_port(const struct sockaddr_storage *address);

/* Write a port, given in host order, into an address. */
void sim_net_set_port(struct sockaddr_storage *address, uint16_t port);

/*
 * Open a non-blocking socket of `type` (SOCK_STREAM or SOCK_DGRAM) bound to
 * `address` and its port. A TCP socket gets SO_REUSEADDR, so that one
 * restarted need not wait for TIME_WAIT; a UDP socket does not, because
 * there it would let two regions share one port without a word.
 */
int sim_net_bind(const struct sockaddr_storage *address, int type);

/*
 * As sim_net_bind, for a port the kernel picks: the number is stored in
 * `address`. The socket ends up bound to that number explicitly, so that it
 * keeps it when it is disconnected or stops listening.
 */
int sim_net_bind_free(struct sockaddr_storage *address, int type);

/*
 * Bind a UDP and a TCP socket to the same port: that of `address`, or when
 * it is 0 one that is free for both, stored in `address`.
 */
int sim_net_bind_pair(struct sockaddr_storage *address, int *out_udp, int *out_tcp);
