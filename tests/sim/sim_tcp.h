#pragma once
/*
 * sim_tcp - the region's TCP endpoint
 *
 * Greets with a banner and keeps the connection until the peer ends it.
 * Loop thread only.
 */
#include "sim_listen.h"

struct sim_region;

struct sim_tcp {
    struct sim_region *region;
    struct sockaddr_storage address; /* with the port */
    struct sim_listen listen;
};

/* Serve at `address`; port 0 takes a free one. 0 or a negative errno. */
int sim_tcp_start(struct sim_tcp *tcp, struct sim_region *region,
                  const struct sockaddr_storage *address);
