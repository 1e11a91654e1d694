#pragma once
/*
 * cache_policies - ways to choose what leaves a cache, to be compared
 *
 * Names are numbers below a universe, all of the same weight. Ours is the
 * program's own code; the others are written here from their papers:
 * SIEVE (Zhang et al., NSDI 2024), S3-FIFO (Yang et al., SOSP 2023), ARC
 * (Megiddo and Modha, FAST 2003), W-TinyLFU (Einziger et al., ACM TOS 2017).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct policy;

struct policy_kind {
    const char *name;
    struct policy *(*start)(size_t capacity, size_t universe);
    bool (*ask)(struct policy *policy, uint32_t name); /* was it there? it is now, if wanted */
    void (*end)(struct policy *policy);
};

extern const struct policy_kind policy_lru, policy_sieve, policy_s3fifo, policy_arc, policy_tinylfu;
