#pragma once
/*
 * cli_dns - one DNS question asked and waited for
 *
 * Over UDP, over TCP when the answer is truncated. Blocking. One thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/error.h"

#define CLI_DNS_TRIES      2
#define CLI_DNS_TIMEOUT_MS 2000u /* of each try */

struct cli_dns_answer {
    uint8_t *message; /* the caller's to free */
    size_t length;
    uint64_t took_us; /* of the try that was answered */
    bool tcp;
};

struct cli_dns_question {
    const uint8_t *dname;
    uint16_t type;
    bool tcp;     /* at once */
    bool explain; /* the server is to say why it answers like this: RFC 8914 */
};

/*
 * Ask `server` (with port), recursion desired, with EDNS. 0 with `out` filled,
 * or -errno, explained: -ETIMEDOUT, -ECONNREFUSED and their like.
 */
int cli_dns_ask(const struct addr *server, const struct cli_dns_question *question,
                struct cli_dns_answer *out, struct error *err);
