#pragma once
/*
 * sim_stats - counts of what arrived
 *
 * Loop thread only. Arrivals are counted before any fault decides about
 * them, so a blackholed endpoint still tells how often it was asked.
 */
#include "sim_trick.h"

#include <stddef.h>
#include <stdint.h>

/* Different questions counted one by one; later ones are counted in the sums only. */
#define SIM_STATS_QUESTIONS 65536
#define SIM_STATS_BUCKETS   16384

struct sim_stats_question;

/* What the queries carried; all but the first by transport alike. */
struct sim_stats_queries {
    uint64_t by_over[SIM_OVERS];
    uint64_t rd;
    uint64_t ad;
    uint64_t cd;
    uint64_t dnssec_ok;
    uint64_t mixed_case;
    uint64_t edns;
    uint64_t ecs;
    uint64_t cookies;        /* those with a cookie of the client */
    uint64_t server_cookies; /* and with one of ours that is right */
};

struct sim_stats {
    uint64_t dns_queries; /* datagrams and messages over TCP and TLS */
    uint64_t dns_tcp;     /* those over TCP */
    uint64_t http_requests;
    uint64_t tcp_accepts; /* connections of the TCP endpoint */
    uint64_t dropped;     /* arrivals that got no answer, whatever the reason */
    struct sim_stats_queries queries;
    uint64_t connections[SIM_OVERS]; /* of the resolver; UDP has none */
    uint64_t tls_handshakes;         /* completed */
    uint64_t tls_resumed;            /* of these, with a session of before */
    uint64_t tls_failed;             /* begun and not completed */
    unsigned question_count;
    struct sim_stats_question *buckets[SIM_STATS_BUCKETS];
};

/* Count a well-formed query. */
void sim_stats_count(struct sim_stats *stats, const struct sim_query *query, enum sim_over over);

/*
 * Sum up what was asked for a name: by transport in `by_over`, of `type`
 * only unless it is 0.
 */
void sim_stats_sum(const struct sim_stats *stats, const struct sim_dname *name, uint16_t type,
                   uint64_t by_over[SIM_OVERS]);

/* Back to zero; frees what the questions took. */
void sim_stats_reset(struct sim_stats *stats);
