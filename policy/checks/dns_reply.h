#pragma once
/*
 * dns_reply - what the answer to a dns probe says about the resolver
 *
 * Decides only: no I/O. Control loop only, for the patterns it has compiled.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/detect.h"
#include "policy/model.h"

enum dns_reply {
    DNS_REPLY_FOREIGN,   /* not the answer to this query: ignore it */
    DNS_REPLY_TRUNCATED, /* ask again over TCP */
    DNS_REPLY_DECIDED,
};

struct dns_reply_verdict {
    enum detect_outcome outcome; /* PASS or STRONG; VOID when memory is out */
    bool misconfigured;          /* NXDOMAIN or NODATA, and nothing was expected */
    char reason[160];
};

/*
 * Judge the `length` bytes at `message` as the answer to `query`, which has one
 * question and no EDNS. `may_retry`: it came over UDP. `*out` is set when DECIDED.
 */
enum dns_reply dns_reply_judge(const struct model_check *check, const uint8_t *query,
                               size_t query_length, const uint8_t *message, size_t length,
                               bool may_retry, struct dns_reply_verdict *out);
