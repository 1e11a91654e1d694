#include "resolver/forward/exchange.h"

#include <string.h>

#define OPTION_COOKIE     10  /* RFC 7873, section 9 */
#define OPTION_HEAD       4   /* code and length */
#define SERVER_COOKIE_MIN 8   /* RFC 7873, section 4 */
#define BADCOOKIE         23  /* RFC 7873, section 8 */
#define RECORDS_MAX       512 /* looked through for OPT: far more than a datagram holds */

void exchange_init(struct exchange *exchange, const struct forward_question *question)
{
    memcpy(exchange->asked, question->name, question->name_length);
    wire_put16(exchange->asked + question->name_length, question->type);
    wire_put16(exchange->asked + question->name_length + 2, question->class);
    exchange->question_length = (uint16_t)(question->name_length + 4u);
    exchange->dnssec_ok = question->dnssec_ok;
    exchange->checking_disabled = question->checking_disabled;
}

/* ---- writing ---- */

static size_t name_size(const struct exchange *exchange)
{
    return exchange->question_length - 4u;
}

/* Change the case of the letters whose bit is set; lengths of labels are no letters. */
static void mix(uint8_t *name, size_t size, const uint8_t *letters)
{
    for (size_t i = 0; i < size; i++) {
        uint8_t folded = name_fold_byte(name[i]);
        if (folded >= 'a' && folded <= 'z') {
            name[i] = (uint8_t)(name[i] ^ (letters[i / 8] >> i % 8 & 1) << 5);
        }
    }
}

/* Put the option behind the OPT record, which ends the query. */
static void put_cookie(struct exchange *exchange, const struct habits *habits)
{
    size_t server = habits->server_cookie_length;
    size_t size = HABITS_CLIENT_COOKIE + server;
    uint8_t *option = exchange->query + exchange->length;

    wire_put16(option - 2, (uint16_t)(OPTION_HEAD + size));
    wire_put16(option, OPTION_COOKIE);
    wire_put16(option + 2, (uint16_t)size);
    exchange->cookie_at = (uint16_t)(exchange->length + OPTION_HEAD);
    memcpy(option + OPTION_HEAD, habits->client_cookie, HABITS_CLIENT_COOKIE);
    memcpy(option + OPTION_HEAD + HABITS_CLIENT_COOKIE, habits->server_cookie, server);
    exchange->length = (uint16_t)(exchange->length + OPTION_HEAD + size);
}

void exchange_write(struct exchange *exchange, const struct exchange_manner *manner)
{
    /* AD asks to be told whether the answer was validated: RFC 6840, section 5.7. */
    uint16_t flags = (uint16_t)(WIRE_RD | WIRE_AD | (exchange->checking_disabled ? WIRE_CD : 0));
    const uint8_t *tail = exchange->asked + name_size(exchange);

    exchange->mixed = manner->letters != NULL;
    exchange->edns = manner->edns;
    exchange->cookie_at = 0;
    exchange->length = (uint16_t)wire_query_build(
        exchange->query, manner->id, flags, exchange->asked, wire_get16(tail), wire_get16(tail + 2),
        manner->edns ? WIRE_UDP_MOST : 0, exchange->dnssec_ok);
    if (exchange->mixed) {
        mix(exchange->query + WIRE_QUESTION, name_size(exchange), manner->letters);
    }
    if (manner->edns && manner->cookies != NULL) {
        put_cookie(exchange, manner->cookies);
    }
}

/* ---- reading ---- */

static bool is_same_folded(const uint8_t *a, const uint8_t *b, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (name_fold_byte(a[i]) != name_fold_byte(b[i])) {
            return false;
        }
    }
    return true;
}

/* The question of the message, when that differs from ours in letter case at most, or NULL. */
static const uint8_t *find_question(const struct exchange *exchange, const uint8_t *message,
                                    size_t length)
{
    const uint8_t *ours = exchange->query + WIRE_QUESTION;
    const uint8_t *theirs = message + WIRE_QUESTION;
    size_t name = name_size(exchange);

    if (length < WIRE_HEADER_BYTES || length - WIRE_HEADER_BYTES < exchange->question_length ||
        memcmp(theirs + name, ours + name, 4) != 0 || !is_same_folded(theirs, ours, name)) {
        return NULL;
    }
    return theirs;
}

static void read_cookie(const struct exchange *exchange, const uint8_t *cookie, size_t length,
                        struct exchange_reply *out)
{
    size_t server = length - HABITS_CLIENT_COOKIE;

    if (exchange->cookie_at == 0) {
        return; /* nobody asked */
    }
    /* ours alone, sent back, is as good a proof as any: nobody else knows it */
    if (length < HABITS_CLIENT_COOKIE || (server > 0 && server < SERVER_COOKIE_MIN) ||
        server > HABITS_SERVER_COOKIE ||
        memcmp(cookie, exchange->query + exchange->cookie_at, HABITS_CLIENT_COOKIE) != 0) {
        out->cookie = EXCHANGE_WRONG_COOKIE;
        return;
    }
    out->cookie = EXCHANGE_OUR_COOKIE;
    out->server_cookie = cookie + HABITS_CLIENT_COOKIE;
    out->server_cookie_length = server;
}

/* The options of the OPT record; of several cookies the first counts. RFC 7873, section 4. */
static void read_options(const struct exchange *exchange, const uint8_t *options, size_t length,
                         struct exchange_reply *out)
{
    while (length >= OPTION_HEAD) {
        size_t size = wire_get16(options + 2);
        if (size > length - OPTION_HEAD) {
            return;
        }
        if (wire_get16(options) == OPTION_COOKIE && out->cookie == EXCHANGE_NO_COOKIE) {
            read_cookie(exchange, options + OPTION_HEAD, size, out);
        }
        options += OPTION_HEAD + size;
        length -= OPTION_HEAD + size;
    }
}

/* Find the OPT record among the additional ones. */
static void read_opt(const struct exchange *exchange, const uint8_t *message, size_t length,
                     struct exchange_reply *out)
{
    unsigned before = (unsigned)wire_get16(message + 6) + wire_get16(message + 8);
    unsigned count = before + wire_get16(message + 10);
    struct wire_reader reader;
    struct wire_record record;

    wire_reader_init(&reader, message, length);
    reader.at = out->answers_at;
    for (unsigned i = 0; i < count && i < RECORDS_MAX; i++) {
        if (!wire_read_record(&reader, &record)) {
            return;
        }
        if (i >= before && record.type == WIRE_OPT && record.owner[0] == 0) {
            out->has_opt = true;
            out->rcode |= record.ttl_s >> 24 << 4;
            read_options(exchange, message + record.rdata_at, record.rdata_length, out);
            return;
        }
    }
}

bool exchange_read(const struct exchange *exchange, uint16_t id, const uint8_t *message,
                   size_t length, struct exchange_reply *out)
{
    const uint8_t *ours = exchange->query + WIRE_QUESTION;
    const uint8_t *theirs = find_question(exchange, message, length);

    *out = (struct exchange_reply){ .has_question = theirs != NULL };
    if (!wire_response_matches(message, length, id, theirs != NULL ? theirs : ours,
                               exchange->question_length, true, &out->answers_at)) {
        return false;
    }
    out->has_question = out->answers_at > WIRE_HEADER_BYTES;
    out->other_letters = out->has_question && memcmp(theirs, ours, exchange->question_length) != 0;
    out->rcode = wire_get16(message + 2) & WIRE_RCODE;
    if (wire_get16(message + 10) > 0) {
        read_opt(exchange, message, length, out);
    }
    return true;
}

/* ---- judging ---- */

bool exchange_refuses_edns(const struct exchange *exchange, const struct exchange_reply *reply)
{
    if (!exchange->edns) {
        return false;
    }
    return reply->rcode == WIRE_BADVERS ||
           (!reply->has_opt && (reply->rcode == WIRE_FORMERR || reply->rcode == WIRE_NOTIMP));
}

bool exchange_is_answered(const struct exchange_reply *reply)
{
    return reply->rcode == WIRE_NOERROR || reply->rcode == WIRE_NXDOMAIN;
}

enum exchange_verdict exchange_judge(const struct exchange *exchange,
                                     const struct exchange_reply *reply,
                                     const struct habits *habits)
{
    if (exchange->mixed && reply->other_letters) {
        return EXCHANGE_DOUBT_CASE;
    }
    if (exchange->cookie_at != 0 &&
        (reply->cookie == EXCHANGE_WRONG_COOKIE ||
         (reply->cookie == EXCHANGE_NO_COOKIE && habits->sends_cookies))) {
        return EXCHANGE_DOUBT_COOKIE;
    }
    if (exchange->cookie_at != 0 && reply->rcode == BADCOOKIE) {
        return EXCHANGE_BAD_COOKIE;
    }
    if (exchange->cookie_at != 0 && reply->cookie == EXCHANGE_NO_COOKIE && reply->has_opt &&
        reply->rcode == WIRE_FORMERR) {
        return EXCHANGE_COOKIE_REFUSED;
    }
    return exchange_refuses_edns(exchange, reply) ? EXCHANGE_EDNS_REFUSED : EXCHANGE_TAKE;
}
