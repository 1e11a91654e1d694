#include "policy/checks/dns_reply.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "policy/checks/check_quote.h"
#include "policy/checks/dns_data.h"
#include "zones/wire.h"
#include "zones/words.h"

/* What is in the answer section, as far as the check asks. */
struct answers {
    bool has_type; /* a record of the type asked for */
    bool has_address;
    bool has_missing;
    struct addr address; /* the first one */
    struct addr missing; /* the first expected one that is not there */
    struct dns_data data;
};

/* ---- verdicts in words ---- */

static void __attribute__((format(printf, 3, 4)))
decide(struct dns_reply_verdict *out, enum detect_outcome outcome, const char *format, ...)
{
    va_list args;

    out->outcome = outcome;
    out->misconfigured = false;
    va_start(args, format);
    (void)vsnprintf(out->reason, sizeof(out->reason), format, args);
    va_end(args);
}

/* ---- the answer section ---- */

static bool read_address(const struct wire_reader *reader, const struct wire_record *record,
                         struct addr *out)
{
    memset(out, 0, sizeof(*out));
    if (record->class != WIRE_IN) {
        return false;
    }
    if (record->type == WIRE_A && record->rdata_length == 4) {
        out->family = ADDR_V4;
    } else if (record->type == WIRE_AAAA && record->rdata_length == 16) {
        out->family = ADDR_V6;
    } else {
        return false;
    }
    memcpy(out->bytes, reader->message + record->rdata_at, record->rdata_length);
    return true;
}

/*
 * Walk the answer section. With `wanted` looks for that address; the first
 * address of all goes to `out`. The owner is not followed through CNAMEs: a
 * probe asks whether the resolver works, and whose records it sends is its own
 * affair unless addresses are expected.
 */
static bool walk(const struct model_check *check, const uint8_t *message, size_t length, size_t at,
                 const struct addr *wanted, struct answers *out)
{
    struct wire_reader reader;
    struct wire_record record;
    struct addr address;
    bool found = false;

    wire_reader_init(&reader, message, length);
    reader.at = at;
    for (unsigned left = wire_get16(message + 6); left > 0; left--) {
        if (!wire_read_record(&reader, &record)) {
            return found; /* malformed or truncated, which is judged elsewhere */
        }
        if (record.class == WIRE_IN &&
            (record.type == check->query_type || check->query_type == WIRE_ANY)) {
            out->has_type = true;
        }
        if (!read_address(&reader, &record, &address)) {
            continue;
        }
        if (!out->has_address) {
            out->address = address;
            out->has_address = true;
        }
        found = found || (wanted != NULL && addr_same_host(&address, wanted));
    }
    return found;
}

static void read_answers(const struct model_check *check, const uint8_t *message, size_t length,
                         size_t at, struct answers *out)
{
    memset(out, 0, sizeof(*out));
    (void)walk(check, message, length, at, NULL, out);
    for (size_t i = 0; i < check->expect_address_count; i++) {
        if (!walk(check, message, length, at, &check->expect_addresses[i], out)) {
            out->missing = check->expect_addresses[i];
            out->has_missing = true;
            return;
        }
    }
    if (check->expect_pattern != NULL) {
        dns_data_match(message, length, at, check->expect_pattern, &out->data);
    }
}

/* Something is expected of the data, and it is not there. */
static bool lacks_data(const struct model_check *check, const struct answers *answers)
{
    return answers->has_missing || (check->expect_pattern != NULL && answers->data.found == 0);
}

static bool expects_data(const struct model_check *check)
{
    return check->expect_address_count > 0 || check->expect_pattern != NULL;
}

/* ---- verdicts ---- */

/* An rcode that is not the one expected, or any but NOERROR when none is. */
static void decide_rcode(const struct model_check *check, unsigned rcode,
                         struct dns_reply_verdict *out)
{
    char got[WORDS_MAX];
    char wanted[WORDS_MAX];
    char address[ADDR_TEXT_MAX];
    char pattern[CHECK_QUOTE_MAX];

    if (check->expect_rcode_given) {
        decide(out, DETECT_STRONG, "%s, expected %s", words_rcode_name(rcode, got),
               words_rcode_name(check->expect_rcode, wanted));
    } else if (rcode == WIRE_NXDOMAIN && check->expect_address_count > 0) {
        addr_format(&check->expect_addresses[0], address, sizeof(address));
        decide(out, DETECT_STRONG, "NXDOMAIN, expected %s", address);
    } else if (rcode == WIRE_NXDOMAIN && check->expect_pattern != NULL) {
        decide(out, DETECT_STRONG, "NXDOMAIN, expected a match of '%s'",
               check_quote(check->expect_pattern, strlen(check->expect_pattern), pattern));
    } else if (rcode == WIRE_NXDOMAIN) {
        decide(out, DETECT_STRONG, "NXDOMAIN for %s", check->query_name);
        out->misconfigured = true;
    } else {
        decide(out, DETECT_STRONG, "%s", words_rcode_name(rcode, got));
    }
}

static void decide_missing(const struct answers *answers, struct dns_reply_verdict *out)
{
    char got[ADDR_TEXT_MAX] = "no address";
    char wanted[ADDR_TEXT_MAX];

    if (answers->has_address) {
        addr_format(&answers->address, got, sizeof(got));
    }
    addr_format(&answers->missing, wanted, sizeof(wanted));
    decide(out, DETECT_STRONG, "wrong answer: %s, expected %s", got, wanted);
}

/* No record's data matches. */
static void decide_mismatch(const struct model_check *check, const struct answers *answers,
                            struct dns_reply_verdict *out)
{
    char pattern[CHECK_QUOTE_MAX];
    const char *got = answers->data.first[0] == '\0' ? "no data" : answers->data.first;

    decide(out, DETECT_STRONG, "wrong answer: %s, expected a match of '%s'", got,
           check_quote(check->expect_pattern, strlen(check->expect_pattern), pattern));
}

/* NOERROR, no data and no rcode expected: there must be some. */
static void decide_data(const struct model_check *check, bool has_data,
                        struct dns_reply_verdict *out)
{
    char type[WORDS_MAX];

    if (has_data) {
        decide(out, DETECT_PASS, "NOERROR");
        return;
    }
    decide(out, DETECT_STRONG, "no %s record for %s", words_type_name(check->query_type, type),
           check->query_name);
    out->misconfigured = true;
}

enum dns_reply dns_reply_judge(const struct model_check *check, const uint8_t *query,
                               size_t query_length, const uint8_t *message, size_t length,
                               bool may_retry, struct dns_reply_verdict *out)
{
    size_t at;
    char name[WORDS_MAX];
    struct answers answers;

    if (!wire_response_matches(message, length, wire_get16(query), query + WIRE_HEADER_BYTES,
                               query_length - WIRE_HEADER_BYTES, true, &at)) {
        return DNS_REPLY_FOREIGN;
    }
    unsigned flags = wire_get16(message + 2);
    unsigned rcode = flags & WIRE_RCODE;
    bool truncated = (flags & WIRE_TC) != 0;

    read_answers(check, message, length, at, &answers);
    if (!truncated && !wire_response_sound(message, length)) {
        decide(out, DETECT_STRONG, "malformed answer");
    } else if (rcode != (check->expect_rcode_given ? check->expect_rcode : WIRE_NOERROR)) {
        decide_rcode(check, rcode, out);
    } else if (lacks_data(check, &answers) && truncated && may_retry) {
        return DNS_REPLY_TRUNCATED;
    } else if (answers.has_missing) {
        decide_missing(&answers, out);
    } else if (answers.data.found < 0) {
        decide(out, DETECT_VOID, "out of memory");
    } else if (lacks_data(check, &answers)) {
        decide_mismatch(check, &answers, out);
    } else if (check->expect_rcode_given || expects_data(check)) {
        decide(out, DETECT_PASS, "%s", words_rcode_name(rcode, name));
    } else {
        /* Cut short, it had more data than a datagram holds. */
        decide_data(check, answers.has_type || truncated, out);
    }
    return DNS_REPLY_DECIDED;
}
