#pragma once
/*
 * scrub - an upstream's answer, made into a message of our own
 *
 * Only what belongs to the question is taken: the alias chain from the name
 * asked (DNAMEs that make it included), the records of the type asked at its
 * end, and for a negative answer the SOA that encloses the name. With DNSSEC
 * asked for, the signatures of these and the denials of the zones that signed
 * them. Everything else an upstream may send is left behind (RFC 5452, section
 * 6; RFC 2181, section 5.4.1). Pure functions over strangers' bytes, any thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCRUB_CHAIN_MAX 16 /* aliases one after the other */

struct scrub_question {
    const uint8_t *bytes; /* uncompressed name as we sent it, type, class */
    size_t length;
    bool dnssec_ok;
};

enum scrub_verdict {
    SCRUB_POSITIVE, /* records of the type asked */
    SCRUB_NEGATIVE, /* NXDOMAIN, or nothing of the type */
    SCRUB_FAILED,   /* this upstream does not answer the question */
};

/*
 * Rebuild `message`, which wire_response_matches has found to answer the
 * question, into `out`: header (id 0; QR, RD, RA, its rcode and AD), question,
 * answer and authority, no OPT. TTLs with the highest bit set become 0 (RFC
 * 2181, section 8). `answers_at` is the offset behind its question. On
 * SCRUB_FAILED `*out_fault` says why in a few static words and `out` is undefined.
 */
enum scrub_verdict scrub_answer(const uint8_t *message, size_t length, size_t answers_at,
                                const struct scrub_question *question, uint8_t *out,
                                size_t capacity, size_t *out_length, const char **out_fault);
