#pragma once
/*
 * sim_stats - counts of what arrived
 *
 * Loop thread only. Arrivals are counted before any fault decides about
 * them, so a blackholed endpoint still tells how often it was asked.
 */
#include <stddef.h>
#include <stdint.h>

/* Different names counted one by one; later ones are counted in the sums only. */
#define SIM_STATS_NAMES   4096
#define SIM_STATS_BUCKETS 1024

struct sim_stats_name {
    struct sim_stats_name *next;
    uint64_t a;
    uint64_t aaaa;
    uint64_t other;
    size_t size;
    uint8_t dname[]; /* wire form, lower case */
};

struct sim_stats {
    uint64_t dns_queries; /* datagrams and messages over TCP */
    uint64_t dns_tcp;     /* those over TCP */
    uint64_t http_requests;
    uint64_t tcp_accepts; /* connections of the TCP endpoint */
    uint64_t dropped;     /* arrivals that got no answer, whatever the reason */
    unsigned name_count;
    struct sim_stats_name *buckets[SIM_STATS_BUCKETS];
};

/* Count a well-formed query for `dname` (`size` bytes) and `type`. */
void sim_stats_count(struct sim_stats *stats, const uint8_t *dname, size_t size, uint16_t type);

/* The counts of one name, or NULL when it was never asked for. */
const struct sim_stats_name *sim_stats_find(const struct sim_stats *stats, const uint8_t *dname,
                                            size_t size);

/* Back to zero; frees what the names took. */
void sim_stats_reset(struct sim_stats *stats);
