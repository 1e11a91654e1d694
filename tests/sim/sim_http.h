#pragma once
/*
 * sim_http - the region's HTTP/1.1 endpoint
 *
 * Any GET is answered with 200 and the region's name. Loop thread only.
 */
#include "sim_listen.h"

struct sim_region;

struct sim_http {
    struct sim_region *region;
    struct sockaddr_storage address; /* with the port */
    struct sim_listen listen;
};

/* Serve at `address`; port 0 takes a free one. 0 or a negative errno. */
int sim_http_start(struct sim_http *http, struct sim_region *region,
                   const struct sockaddr_storage *address);
