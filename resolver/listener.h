#pragma once
/*
 * listener - the sockets of one address to answer on, and their options
 *
 * Control thread.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/addr.h"
#include "base/error.h"
#include "policy/model.h"

#define LISTENER_THREADS_MAX 64

struct listener {
    struct addr address; /* with the port that was bound */
    struct addr asked;   /* as configured; port 0 means any */
    bool is_loopback;
    bool is_wildcard;              /* answers must name the address they come from */
    int udp[LISTENER_THREADS_MAX]; /* one per answerer */
    size_t udp_count;
    int tcp;
};

/*
 * Bind `udp_count` UDP sockets and a TCP socket. On failure nothing stays
 * open: -errno, explained with the place where the address was written.
 */
int listener_open(const struct model_listener *model, size_t udp_count, struct listener *out,
                  struct error *err);

void listener_close(struct listener *listener);
