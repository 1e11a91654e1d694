#pragma once
/*
 * sim_dns - the region's resolver, UDP and TCP on one port
 *
 * Loop thread only.
 */
#include "sim_listen.h"
#include "sim_wire.h"

struct sim_region;

struct sim_dns {
    struct sim_region *region;
    struct sockaddr_storage address; /* with the port */
    int udp;
    int stray; /* a second UDP socket: answers from a wrong port */
    enum sim_reach reach;
    uv_poll_t poll;
    struct sim_listen tcp;
    struct sim_packet packet; /* the answer being built */
};

/*
 * Serve at `address`; port 0 takes a free one. Everything else the resolver
 * needs is in `region`. Returns 0 or a negative errno, then nothing is open.
 */
int sim_dns_start(struct sim_dns *dns, struct sim_region *region,
                  const struct sockaddr_storage *address);

/* Make the sockets behave; 0 or a negative errno. */
int sim_dns_set_reach(struct sim_dns *dns, enum sim_reach reach);

/* Stop serving. */
void sim_dns_close(struct sim_dns *dns);
