#pragma once
/*
 * exchange - the words of one question to an upstream, and what a reply to them is
 *
 * What makes a reply hard to forge is in the words: the id, the letter case of
 * the name (draft-vixie-dnsext-dns0x20), our cookie (RFC 7873). Pure functions
 * over strangers' bytes, any thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "resolver/forward/forwarder.h"
#include "resolver/forward/habits.h"
#include "zones/wire.h"

#define EXCHANGE_COOKIE_BYTES (4 + HABITS_CLIENT_COOKIE + HABITS_SERVER_COOKIE) /* the option */
#define EXCHANGE_QUERY_MAX                                                                         \
    (WIRE_HEADER_BYTES + WIRE_QUESTION_BYTES + WIRE_OPT_BYTES + EXCHANGE_COOKIE_BYTES)
#define EXCHANGE_LETTERS(question_length) (((size_t)(question_length) + 7) / 8) /* bytes */

struct exchange {
    uint8_t asked[WIRE_QUESTION_BYTES]; /* name in the client's letters, type, class */
    uint16_t question_length;
    bool dnssec_ok;
    bool checking_disabled;

    /* the words as written last */
    uint16_t length;
    bool mixed;         /* in letters of our own */
    bool edns;          /* with an OPT record */
    uint16_t cookie_at; /* of the client cookie in the query, 0: none */
    uint8_t query[EXCHANGE_QUERY_MAX];
};

/* How to put it. */
struct exchange_manner {
    uint16_t id;
    bool edns;
    const uint8_t *letters;       /* random, a bit for each byte; NULL: the client's letters */
    const struct habits *cookies; /* whose cookies to send, with EDNS only; NULL: none */
};

/* Take the question over. */
void exchange_init(struct exchange *exchange, const struct forward_question *question);

/* Write the query anew. */
void exchange_write(struct exchange *exchange, const struct exchange_manner *manner);

enum exchange_cookie {
    EXCHANGE_NO_COOKIE,
    EXCHANGE_OUR_COOKIE,
    EXCHANGE_WRONG_COOKIE, /* not the one we sent, or not to be read as one */
};

/* What a reply shows. */
struct exchange_reply {
    size_t answers_at;
    unsigned rcode; /* with the upper bits of the OPT record */
    bool has_question;
    bool other_letters; /* the same name, but its letter case is not that of the query */
    bool has_opt;
    enum exchange_cookie cookie;
    const uint8_t *server_cookie; /* in the message */
    size_t server_cookie_length;
};

/*
 * Read a reply. False when it is none to this question with this id: a
 * stranger's. Records that cannot be read are as if they were not there.
 */
bool exchange_read(const struct exchange *exchange, uint16_t id, const uint8_t *message,
                   size_t length, struct exchange_reply *out);

enum exchange_verdict {
    EXCHANGE_TAKE,         /* what it says counts */
    EXCHANGE_DOUBT_CASE,   /* the letters are not ours */
    EXCHANGE_DOUBT_COOKIE, /* our cookie is missing where it was sent before, or wrong */
    EXCHANGE_BAD_COOKIE,   /* it wants the server cookie that came with it; RFC 7873, section 5.3 */
    EXCHANGE_COOKIE_REFUSED, /* it speaks EDNS, but takes a cookie for an error */
    EXCHANGE_EDNS_REFUSED,   /* because of EDNS: RFC 6891, sections 6.1.3 and 7 */
};

/* What is to be made of a datagram. */
enum exchange_verdict exchange_judge(const struct exchange *exchange,
                                     const struct exchange_reply *reply,
                                     const struct habits *habits);

/* Was EDNS sent and the question refused because of that? */
bool exchange_refuses_edns(const struct exchange *exchange, const struct exchange_reply *reply);

/* Does the reply say whether there is what was asked for? */
bool exchange_is_answered(const struct exchange_reply *reply);
