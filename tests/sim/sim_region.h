#pragma once
/*
 * sim_region - one simulated region: its endpoints and their faults
 *
 * Everything happens on the thread that runs the loop.
 */
#include "sim_control.h"
#include "sim_data.h"
#include "sim_dns.h"
#include "sim_fault.h"
#include "sim_http.h"
#include "sim_later.h"
#include "sim_stats.h"
#include "sim_tcp.h"
#include "sim_trick.h"

struct sim_region {
    /* set by the caller before sim_region_start */
    const char *name;
    uint32_t delay_ms; /* before every answer, the region's distance */
    uint64_t seed;
    bool log;
    struct sim_data data;
    const char *tls_folder; /* for what sim_certs_init writes; NULL: no TLS */
    const char *tls_name;   /* in the certificates */
    uint16_t tls_port;      /* 0: a free one */

    /* the region's own */
    struct sim_fault faults[SIM_TARGETS];
    struct sim_tricks tricks; /* of dns */
    uv_timer_t flaps[SIM_TARGETS];
    uv_signal_t signals[2];
    struct sim_later later;
    struct sim_stats stats;
    struct sim_dns dns;
    struct sim_http http;
    struct sim_tcp tcp;
    struct sim_control control;
    bool quitting; /* asked to end, the reply is still to be written */
    bool ending;
};

/*
 * Open everything at `address` on `loop`: the ports in the order dns, http,
 * tcp, each 0 for a free one; the control socket at `control_path`, or none
 * when that is NULL. Returns 0 or a negative errno, and the name of the part
 * that failed in `out_part`; after a failure the process can only exit.
 */
int sim_region_start(struct sim_region *region, uv_loop_t *loop,
                     const struct sockaddr_storage *address, const uint16_t ports[SIM_TARGETS],
                     const char *control_path, const char **out_part);

/* Bring the sockets of one endpoint in line with its fault. 0 or a negative errno. */
int sim_region_apply(struct sim_region *region, enum sim_target target);

/* Close everything, so that the loop runs out of work. May be called twice. */
void sim_region_end(struct sim_region *region);

/* Write a line to stderr if the log is on. */
void sim_region_log(const struct sim_region *region, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
