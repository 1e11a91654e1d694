#pragma once
/*
 * sim_dns - the region's resolver: UDP and TCP on one port, TLS on another
 *
 * Loop thread only.
 */
#include "sim_answer.h"
#include "sim_listen.h"
#include "sim_tls.h"

struct sim_region;

struct sim_dns {
    struct sim_region *region;
    struct sockaddr_storage address; /* with the port */
    int udp;
    int stray;     /* a second UDP socket: answers from a wrong port */
    int elsewhere; /* a third: the right port, another address; -1: none */
    enum sim_reach reach;
    uv_poll_t poll;
    struct sim_listen tcp;
    bool has_tls;
    struct sim_tls tls;
    struct sim_answer answer; /* the one being given */
};

/*
 * Serve UDP and TCP at `address`; port 0 takes a free one. Everything else
 * the resolver needs is in `region`. Returns 0 or a negative errno, then
 * nothing is open.
 */
int sim_dns_start(struct sim_dns *dns, struct sim_region *region,
                  const struct sockaddr_storage *address);

/* Make the sockets behave; 0 or a negative errno. */
int sim_dns_set_reach(struct sim_dns *dns, enum sim_reach reach);

/* The tricks have changed: bring the listening sockets in line. 0 or a negative errno. */
int sim_dns_apply_tricks(struct sim_dns *dns);

/* Stop serving. */
void sim_dns_close(struct sim_dns *dns);
