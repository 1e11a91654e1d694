#include "resolver/forward/scrub.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

#include "resolver/forward/builder.h"
#include "zones/wire.h"

/* ---- messages from text ---- */

/*
 * A record is a line "section owner TYPE rdata", its section an, au or ad; the
 * rdata is an address, a name, names, "#" and hex, or what rdata_put knows.
 */
struct message {
    uint8_t bytes[WIRE_MESSAGE_MAX + 4096];
    size_t length;
};

struct type_name {
    const char *text;
    uint16_t type;
};

static const struct type_name types[] = {
    { "A", 1 },     { "NS", 2 },     { "CNAME", 5 },  { "SOA", 6 },    { "PTR", 12 },  { "MX", 15 },
    { "TXT", 16 },  { "AAAA", 28 },  { "SRV", 33 },   { "DNAME", 39 }, { "OPT", 41 },  { "DS", 43 },
    { "NSEC", 47 }, { "RRSIG", 46 }, { "NSEC3", 50 }, { "TSIG", 250 }, { "ANY", 255 },
};

static uint16_t type_of(const char *text)
{
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (strcmp(types[i].text, text) == 0) {
            return types[i].type;
        }
    }
    fail_msg("no type %s", text);
    return 0;
}

static const char *type_text(uint16_t type)
{
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (types[i].type == type) {
            return types[i].text;
        }
    }
    return "?";
}

static void put(struct message *m, const void *bytes, size_t size)
{
    assert_true(m->length + size <= sizeof(m->bytes));
    memcpy(m->bytes + m->length, bytes, size);
    m->length += size;
}

static void put16(struct message *m, unsigned value)
{
    uint8_t bytes[2];

    wire_put16(bytes, (uint16_t)value);
    put(m, bytes, 2);
}

/* Uncompressed, its letter case kept; "@12" is a pointer. */
static void put_name(struct message *m, const char *text)
{
    if (*text == '@') {
        put16(m, 0xc000u | (unsigned)atoi(text + 1));
        return;
    }
    while (*text != '\0' && strcmp(text, ".") != 0) {
        size_t size = strcspn(text, ".");
        uint8_t length = (uint8_t)size;
        put(m, &length, 1);
        put(m, text, size);
        text += size + (text[size] == '.');
    }
    put(m, "", 1);
}

static void put_rdata(struct message *m, uint16_t type, char *rdata)
{
    static const uint8_t zeros[20];
    char *second = strchr(rdata, ' ');

    if (*rdata == '#') {
        for (rdata++; *rdata != '\0'; rdata += 2) {
            char digits[3] = { rdata[0], rdata[1], '\0' };
            uint8_t byte = (uint8_t)strtoul(digits, NULL, 16);
            put(m, &byte, 1);
        }
        return;
    }
    if (second != NULL) {
        *second++ = '\0';
    }
    uint8_t address[16];
    switch (type) {
    case WIRE_A:
    case WIRE_AAAA:
        assert_int_equal(inet_pton(type == WIRE_A ? AF_INET : AF_INET6, rdata, address), 1);
        put(m, address, type == WIRE_A ? 4 : 16);
        break;
    case WIRE_SOA: /* "mname rname" */
        put_name(m, rdata);
        put_name(m, second);
        put(m, zeros, 20);
        break;
    case 46: /* RRSIG: "covered signer" */
        put16(m, type_of(rdata));
        put(m, zeros, 16);
        put_name(m, second);
        put(m, "sign", 4);
        break;
    case WIRE_SRV: /* "port target" */
        put(m, zeros, 4);
        put16(m, (unsigned)atoi(rdata));
        put_name(m, second);
        break;
    case WIRE_MX: /* "preference name" */
        put16(m, (unsigned)atoi(rdata));
        put_name(m, second);
        break;
    default:
        put_name(m, rdata);
        break;
    }
}

static void put_record(struct message *m, const char *line, size_t size, uint32_t ttl_s)
{
    char text[512], section[8], owner[300], type[16], rdata[300];
    unsigned at;

    assert_true(size < sizeof(text));
    memcpy(text, line, size);
    text[size] = '\0';
    assert_int_equal(sscanf(text, "%7s %299s %15s %299[^\n]", section, owner, type, rdata), 4);
    at = strcmp(section, "an") == 0 ? 6 : strcmp(section, "au") == 0 ? 8 : 10;
    wire_put16(m->bytes + at, (uint16_t)(wire_get16(m->bytes + at) + 1));
    put_name(m, owner);
    put16(m, type_of(type));
    put16(m, type_of(type) == WIRE_OPT ? 1232 : WIRE_IN);
    put16(m, ttl_s >> 16);
    put16(m, ttl_s & 0xffff);
    size_t mark = m->length;
    put16(m, 0);
    put_rdata(m, type_of(type), rdata);
    wire_put16(m->bytes + mark, (uint16_t)(m->length - mark - 2));
}

/* A response with question and records. Returns the length of the question. */
static size_t make(struct message *m, const char *name, const char *type, unsigned flags,
                   const char *records)
{
    memset(m->bytes, 0, WIRE_HEADER_BYTES);
    m->length = WIRE_HEADER_BYTES;
    wire_put16(m->bytes, 4711);
    wire_put16(m->bytes + 2, (uint16_t)(WIRE_QR | WIRE_RA | flags));
    wire_put16(m->bytes + 4, 1);
    put_name(m, name);
    put16(m, type_of(type));
    put16(m, WIRE_IN);
    size_t question = m->length - WIRE_QUESTION;
    while (*records != '\0') {
        size_t size = strcspn(records, "\n");
        put_record(m, records, size, 300);
        records += size + (records[size] == '\n');
    }
    return question;
}

/* ---- text from messages ---- */

static void show_name(const uint8_t *dname, char *out, size_t cap)
{
    assert_true(name_format(dname, out, cap) < cap);
}

static void show_rdata(struct wire_reader reader, const struct wire_record *record, char *out,
                       size_t cap)
{
    uint8_t dname[NAME_MAX_BYTES];
    char first[NAME_TEXT_MAX], second[NAME_TEXT_MAX];
    const uint8_t *rdata = reader.message + record->rdata_at;

    reader.at = record->rdata_at + (record->type == WIRE_MX    ? 2u
                                    : record->type == WIRE_SRV ? 6u
                                                               : 0);
    switch (record->type) {
    case WIRE_A:
        (void)inet_ntop(AF_INET, rdata, out, (socklen_t)cap);
        return;
    case WIRE_AAAA:
        (void)inet_ntop(AF_INET6, rdata, out, (socklen_t)cap);
        return;
    case 46:
        (void)snprintf(out, cap, "%s", type_text(wire_get16(rdata)));
        return;
    case WIRE_SOA:
        assert_true(wire_read_name(&reader, dname) > 0);
        show_name(dname, first, sizeof(first));
        assert_true(wire_read_name(&reader, dname) > 0);
        show_name(dname, second, sizeof(second));
        (void)snprintf(out, cap, "%s %s", first, second);
        return;
    case WIRE_NS:
    case WIRE_CNAME:
    case WIRE_PTR:
    case WIRE_MX:
    case WIRE_SRV:
    case WIRE_DNAME:
    case 47:
        assert_true(wire_read_name(&reader, dname) > 0);
        show_name(dname, out, cap);
        return;
    default:
        (void)snprintf(out, cap, "%u", record->rdata_length);
    }
}

static void show(const uint8_t *message, size_t length, char *out, size_t cap)
{
    static const char *const sections[] = { "an", "au", "ad" };
    struct wire_reader reader;
    uint8_t dname[NAME_MAX_BYTES];
    size_t used = 0;

    out[0] = '\0';
    wire_reader_init(&reader, message, length);
    reader.at = WIRE_HEADER_BYTES;
    assert_true(wire_read_name(&reader, dname) > 0);
    (void)wire_read32(&reader);
    for (unsigned s = 0; s < 3; s++) {
        for (unsigned i = wire_get16(message + 6 + 2 * s); i > 0; i--) {
            struct wire_record record;
            char owner[NAME_TEXT_MAX], rdata[2 * NAME_TEXT_MAX];
            assert_true(wire_read_record(&reader, &record));
            show_name(record.owner, owner, sizeof(owner));
            show_rdata(reader, &record, rdata, sizeof(rdata));
            used += (size_t)snprintf(out + used, cap - used, "%s%s %s %s %s", used > 0 ? "\n" : "",
                                     sections[s], owner, type_text(record.type), rdata);
            assert_true(used < cap);
        }
    }
    assert_int_equal(reader.at, length);
}

/* ---- the tables ---- */

struct scrubbed {
    const char *title;
    const char *name;
    const char *type;
    bool dnssec_ok;
    unsigned flags;
    const char *records;
    enum scrub_verdict verdict;
    const char *expected; /* what is left, or the fault */
};

static struct message in;
static uint8_t out[WIRE_MESSAGE_MAX];

static enum scrub_verdict scrub(size_t question, bool dnssec_ok, size_t *out_length,
                                const char **out_fault)
{
    /* copies of exactly the right size, so that a sanitizer sees every step outside */
    uint8_t *message = malloc(in.length);
    uint8_t *asked = malloc(question);
    assert_non_null(message);
    assert_non_null(asked);
    memcpy(message, in.bytes, in.length);
    memcpy(asked, in.bytes + WIRE_QUESTION, question);
    struct scrub_question q = { .bytes = asked, .length = question, .dnssec_ok = dnssec_ok };
    enum scrub_verdict verdict = scrub_answer(message, in.length, WIRE_QUESTION + question, &q, out,
                                              sizeof(out), out_length, out_fault);
    free(message);
    free(asked);
    return verdict;
}

static void check(const struct scrubbed *cases, size_t count)
{
    char text[4096];

    for (size_t i = 0; i < count; i++) {
        const struct scrubbed *c = &cases[i];
        size_t length;
        const char *fault = "";
        size_t question = make(&in, c->name, c->type, c->flags, c->records);
        enum scrub_verdict verdict = scrub(question, c->dnssec_ok, &length, &fault);
        if (verdict == SCRUB_FAILED) {
            (void)snprintf(text, sizeof(text), "%s", fault);
        } else {
            assert_true(wire_response_sound(out, length));
            assert_memory_equal(out + WIRE_QUESTION, in.bytes + WIRE_QUESTION, question);
            assert_int_equal(wire_get16(out + 4), 1);
            assert_int_equal(wire_get16(out + 2),
                             WIRE_QR | WIRE_RD | WIRE_RA | (c->flags & (WIRE_AD | WIRE_RCODE)));
            show(out, length, text, sizeof(text));
        }
        if (verdict != c->verdict || strcmp(text, c->expected) != 0) {
            fail_msg("%s: verdict %d\n%s", c->title, (int)verdict, text);
        }
    }
}

#define CHECK(cases) check(cases, sizeof(cases) / sizeof((cases)[0]))
#define P            SCRUB_POSITIVE
#define N            SCRUB_NEGATIVE
#define F            SCRUB_FAILED

// clang-format off
static void only_what_was_asked_for_is_taken(void **state)
{
    static const struct scrubbed cases[] = {
        { "addresses", "www.example.com", "A", false, WIRE_AA | WIRE_AD,
          "an www.example.com A 192.0.2.1\nan @12 A 192.0.2.2", P,
          "an www.example.com A 192.0.2.1\nan www.example.com A 192.0.2.2" },
        { "whatever the letter case", "wWw.example.com", "A", false, 0,
          "an WWW.EXAMPLE.COM A 192.0.2.1", P, "an www.example.com A 192.0.2.1" },
        { "no strangers", "www.example.com", "A", false, 0,
          "an bank.example.org A 203.0.113.66\nan @12 A 192.0.2.2\nan @12 AAAA 2001:db8::1", P,
          "an www.example.com A 192.0.2.2" },
        { "no authority, nothing additional", "www.example.com", "A", false, 0,
          "an @12 A 192.0.2.2\nau example.com NS ns.evil.example\nau example.com SOA a b\n"
          "ad ns.evil.example A 203.0.113.66\nad . OPT #", P, "an www.example.com A 192.0.2.2" },
        { "no signatures unasked", "www.example.com", "A", false, 0,
          "an @12 A 192.0.2.2\nan @12 RRSIG A example.com", P, "an www.example.com A 192.0.2.2" },
        { "signatures asked for", "www.example.com", "A", true, WIRE_AD,
          "an @12 RRSIG A example.com\nan @12 A 192.0.2.2\nan @12 RRSIG AAAA example.com", P,
          "an www.example.com A 192.0.2.2\nan www.example.com RRSIG A" },
        { "a signature as such", "www.example.com", "RRSIG", true, 0,
          "an @12 RRSIG A example.com", P, "an www.example.com RRSIG A" },
        { "names inside", "example.com", "MX", false, 0,
          "an @12 MX 10 mail.example.com\nan @12 MX 20 mail.example.net", P,
          "an example.com MX mail.example.com\nan example.com MX mail.example.net" },
        { "names that may not be compressed", "_x._tcp.example.com", "SRV", false, 0,
          "an @12 SRV 80 @20", P, "an _x._tcp.example.com SRV example.com" },
        { "everything at the name", "example.com", "ANY", false, 0,
          "an @12 A 192.0.2.1\nan @12 TXT #0161\nan www.example.com A 192.0.2.2", P,
          "an example.com A 192.0.2.1\nan example.com TXT 2" },
        { "nothing that is no data", "example.com", "ANY", false, 0,
          "an @12 A 192.0.2.1\nan @12 TSIG #00\nan @12 OPT #", P, "an example.com A 192.0.2.1" },
        { "unknown rdata as it is", "example.com", "TXT", false, 0,
          "an @12 TXT #03616263", P, "an example.com TXT 4" },
    };

    (void)state;
    CHECK(cases);
}

static void aliases_are_followed(void **state)
{
    static const struct scrubbed cases[] = {
        { "a chain", "www.example.com", "A", false, 0,
          "an @12 CNAME a.example.net\nan a.example.net CNAME b.example.org\n"
          "an b.example.org A 192.0.2.1", P,
          "an www.example.com CNAME a.example.net\nan a.example.net CNAME b.example.org\n"
          "an b.example.org A 192.0.2.1" },
        { "in any order", "www.example.com", "A", false, 0,
          "an b.example.org A 192.0.2.1\nan a.example.net CNAME b.example.org\n"
          "an @12 CNAME a.example.net", P,
          "an www.example.com CNAME a.example.net\nan a.example.net CNAME b.example.org\n"
          "an b.example.org A 192.0.2.1" },
        { "not what hangs beside it", "www.example.com", "A", false, 0,
          "an @12 CNAME a.example.net\nan b.example.net A 203.0.113.66\n"
          "an c.example.net CNAME a.example.net\nan a.example.net A 192.0.2.1", P,
          "an www.example.com CNAME a.example.net\nan a.example.net A 192.0.2.1" },
        { "one alias per name", "www.example.com", "A", false, 0,
          "an @12 CNAME a.example.net\nan @12 CNAME b.example.net\nan a.example.net A 192.0.2.1\n"
          "an b.example.net A 203.0.113.66", P,
          "an www.example.com CNAME a.example.net\nan a.example.net A 192.0.2.1" },
        { "the alias itself", "www.example.com", "CNAME", false, 0,
          "an @12 CNAME a.example.net\nan a.example.net A 192.0.2.1", P,
          "an www.example.com CNAME a.example.net" },
        { "with its signatures", "www.example.com", "A", true, 0,
          "an @12 CNAME a.example.com\nan @12 RRSIG CNAME example.com\n"
          "an a.example.com A 192.0.2.1\nan a.example.com RRSIG A example.com", P,
          "an www.example.com CNAME a.example.com\nan www.example.com RRSIG CNAME\n"
          "an a.example.com A 192.0.2.1\nan a.example.com RRSIG A" },
        { "the DNAME it was made from", "x.y.example.com", "A", false, 0,
          "an y.example.com DNAME example.net\nan @12 CNAME x.example.net\n"
          "an x.example.net A 192.0.2.1", P,
          "an y.example.com DNAME example.net\nan x.y.example.com CNAME x.example.net\n"
          "an x.example.net A 192.0.2.1" },
        { "no DNAME that leads elsewhere", "x.y.example.com", "A", false, 0,
          "an y.example.com DNAME evil.example\nan com DNAME example.net\n"
          "an @12 CNAME x.example.net\nan x.example.net A 192.0.2.1", P,
          "an x.y.example.com CNAME x.example.net\nan x.example.net A 192.0.2.1" },
        { "no DNAME at the name itself", "x.example.com", "A", false, 0,
          "an @12 DNAME example.net\nan @12 CNAME example.net\nan example.net A 192.0.2.1", P,
          "an x.example.com CNAME example.net\nan example.net A 192.0.2.1" },
        { "that ends in nothing", "www.example.com", "AAAA", false, 0,
          "an @12 CNAME a.example.net\nau example.net SOA ns.example.net h.example.net", N,
          "an www.example.com CNAME a.example.net\n"
          "au example.net SOA ns.example.net h.example.net" },
        { "that ends in nowhere", "www.example.com", "A", false, WIRE_NXDOMAIN,
          "an @12 CNAME a.example.net\nau example.net SOA a b", N,
          "an www.example.com CNAME a.example.net\nau example.net SOA a b" },
        { "in a circle", "www.example.com", "A", false, 0,
          "an @12 CNAME a.example.net\nan a.example.net CNAME www.example.com", F,
          "too many aliases" },
        { "to itself", "www.example.com", "A", false, 0, "an @12 CNAME @12", F,
          "too many aliases" },
    };

    (void)state;
    CHECK(cases);
}

static void negative_answers_keep_the_soa_that_speaks_for_the_name(void **state)
{
    static const struct scrubbed cases[] = {
        { "no such name", "no.example.com", "A", false, WIRE_NXDOMAIN,
          "au example.com SOA ns.example.com h.example.com", N,
          "au example.com SOA ns.example.com h.example.com" },
        { "nothing of the type", "www.example.com", "A", false, 0, "au @16 SOA a b", N,
          "au example.com SOA a b" },
        { "without a SOA", "www.example.com", "A", false, 0, "", N, "" },
        { "not a stranger's", "www.example.com", "A", false, WIRE_NXDOMAIN,
          "au example.org SOA a b\nau sub.www.example.com SOA a b", N, "" },
        { "one only", "www.example.com", "A", false, WIRE_NXDOMAIN,
          "au example.com SOA a b\nau com SOA c d", N, "au example.com SOA a b" },
        { "no servers, no denials unasked", "no.example.com", "A", false, WIRE_NXDOMAIN,
          "au example.com NS ns.example.com\nau example.com SOA a b\n"
          "au a.example.com NSEC z.example.com\nad ns.example.com A 203.0.113.66", N,
          "au example.com SOA a b" },
        { "denials asked for", "no.example.com", "A", true, WIRE_NXDOMAIN | WIRE_AD,
          "au example.com SOA a b\nau example.com RRSIG SOA example.com\n"
          "au a.example.com NSEC z.example.com\nau a.example.com RRSIG NSEC example.com\n"
          "au example.org NSEC z.example.org\nau example.org RRSIG NSEC example.org\n"
          "au example.com NS ns.example.com\nau example.com RRSIG NS example.com", N,
          "au example.com SOA a b\nau example.com RRSIG SOA\nau a.example.com NSEC z.example.com\n"
          "au a.example.com RRSIG NSEC" },
        { "and those of a wildcard's answer", "x.example.com", "A", true, 0,
          "an @12 A 192.0.2.1\nan @12 RRSIG A example.com\n"
          "au a.example.com NSEC z.example.com\nau a.example.com RRSIG NSEC example.com\n"
          "au example.com SOA a b\nau example.com RRSIG SOA example.com\n"
          "au a.example.org NSEC z.example.org", P,
          "an x.example.com A 192.0.2.1\nan x.example.com RRSIG A\n"
          "au a.example.com NSEC z.example.com\nau a.example.com RRSIG NSEC" },
        { "but no zone signs for a name outside", "x.example.com", "A", true, 0,
          "an @12 A 192.0.2.1\nan @12 RRSIG A example.org\nau a.example.org NSEC z.example.org", P,
          "an x.example.com A 192.0.2.1\nan x.example.com RRSIG A" },
    };

    (void)state;
    CHECK(cases);
}

static void what_does_not_answer_has_failed(void **state)
{
    static const struct scrubbed cases[] = {
        { "SERVFAIL", "example.com", "A", false, WIRE_SERVFAIL, "", F, "SERVFAIL" },
        { "REFUSED", "example.com", "A", false, WIRE_REFUSED, "an @12 A 192.0.2.1", F, "REFUSED" },
        { "NOTIMP", "example.com", "A", false, WIRE_NOTIMP, "", F, "NOTIMP" },
        { "an rcode of its own", "example.com", "A", false, 15, "", F, "an unknown error" },
        { "lies", "example.com", "A", false, 0, "an example.org A 203.0.113.66", F,
          "answer does not belong to the question" },
        { "lies with a SOA", "example.com", "A", false, 0,
          "an example.org A 203.0.113.66\nau example.com SOA a b", F,
          "answer does not belong to the question" },
        { "another type", "example.com", "A", false, 0, "an @12 AAAA 2001:db8::1", F,
          "answer does not belong to the question" },
        { "a DNAME without its alias", "x.example.com", "A", false, 0,
          "an example.com DNAME example.net", F, "answer does not belong to the question" },
        { "a referral", "www.example.com", "A", false, 0,
          "au example.com NS ns.example.com\nad ns.example.com A 192.0.2.1", F,
          "a referral, not an answer" },
        { "NXDOMAIN and yet an address", "example.com", "A", false, WIRE_NXDOMAIN,
          "an @12 A 192.0.2.1", F, "NXDOMAIN with data" },
        { "an address of three bytes", "example.com", "A", false, 0, "an @12 A #c00002", F,
          "malformed answer" },
        { "an address of five", "example.com", "A", false, 0, "an @12 A #c000020101", F,
          "malformed answer" },
        { "an alias to no name", "example.com", "A", false, 0, "an @12 CNAME #", F,
          "malformed answer" },
        { "an alias and more", "example.com", "A", false, 0, "an @12 CNAME #016100ff", F,
          "malformed answer" },
        { "an alias that runs out", "example.com", "A", false, 0, "an @12 CNAME #0361", F,
          "malformed answer" },
        { "a pointer forward", "example.com", "CNAME", false, 0, "an @12 CNAME #cfff", F,
          "malformed answer" },
        { "a pointer to itself", "example.com", "CNAME", false, 0, "an @12 CNAME #c029", F,
          "malformed answer" },
        { "a short SOA", "example.com", "SOA", false, 0, "an @12 SOA #016100016200ffff", F,
          "malformed answer" },
        { "a preference alone", "example.com", "MX", false, 0, "an @12 MX #00", F,
          "malformed answer" },
        { "two OPT records", "example.com", "A", false, 0,
          "an @12 A 192.0.2.1\nad . OPT #\nad . OPT #", F, "malformed answer" },
        { "an OPT record of a name", "example.com", "A", false, 0,
          "an @12 A 192.0.2.1\nad example.com OPT #", F, "malformed answer" },
        { "a broken record that is left out does no harm", "example.com", "A", false, 0,
          "an @12 A 192.0.2.1\nan example.org CNAME #", P, "an example.com A 192.0.2.1" },
    };

    (void)state;
    CHECK(cases);
}
// clang-format on

static void the_upper_bits_of_the_rcode_count(void **state)
{
    size_t length;
    const char *fault;

    (void)state;
    size_t question = make(&in, "example.com", "A", 0, "an @12 A 192.0.2.1");
    put_record(&in, "ad . OPT #", 10, 1u << 24); /* BADVERS */
    assert_int_equal(scrub(question, false, &length, &fault), SCRUB_FAILED);
    assert_string_equal(fault, "BADVERS");
}

static void a_ttl_with_the_highest_bit_is_zero(void **state)
{
    static const uint32_t given[] = { 0, 300, INT32_MAX, 0x80000000u, UINT32_MAX };
    static const uint32_t taken[] = { 0, 300, INT32_MAX, 0, 0 };
    size_t length;
    const char *fault;

    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        size_t question = make(&in, "a.b", "A", 0, "");
        put_record(&in, "an @12 A 192.0.2.1", 18, given[i]);
        assert_int_equal(scrub(question, false, &length, &fault), SCRUB_POSITIVE);
        assert_int_equal(wire_get32(out + WIRE_QUESTION + question + 6), taken[i]);
    }
}

static void another_class_is_no_answer(void **state)
{
    size_t length;
    const char *fault;

    (void)state;
    size_t question = make(&in, "a.b", "A", 0, "an @12 A 192.0.2.1");
    in.bytes[WIRE_QUESTION + question + 5] = 3; /* CH */
    assert_int_equal(scrub(question, false, &length, &fault), SCRUB_FAILED);
}

static void the_letter_case_of_names_inside_is_kept(void **state)
{
    size_t length;
    const char *fault;

    (void)state;
    size_t question = make(&in, "1.2.0.192.in-addr.arpa", "PTR", 0, "an @12 PTR MyHost.Example");
    assert_int_equal(scrub(question, false, &length, &fault), SCRUB_POSITIVE);
    assert_memory_equal(out + length - 16, "\6MyHost\7Example", 16);
}

static void names_are_compressed(void **state)
{
    size_t length;
    const char *fault;

    (void)state;
    size_t question = make(&in, "www.example.com", "A", 0,
                           "an www.example.com CNAME web.example.com\n"
                           "an web.example.com A 192.0.2.1\nan WEB.example.com A 192.0.2.2");
    assert_int_equal(scrub(question, false, &length, &fault), SCRUB_POSITIVE);
    /* each owner a pointer, the alias one label and a pointer */
    assert_int_equal(length, WIRE_QUESTION + question + 12 + 6 + 2 * (12 + 4));
}

static void a_chain_has_an_end(void **state)
{
    char records[4096];
    size_t length;
    const char *fault;

    (void)state;
    for (unsigned links = SCRUB_CHAIN_MAX; links <= SCRUB_CHAIN_MAX + 1; links++) {
        size_t used = 0;
        for (unsigned i = 0; i < links; i++) {
            used += (size_t)snprintf(records + used, sizeof(records) - used,
                                     "an n%u.example CNAME n%u.example\n", i, i + 1);
        }
        (void)snprintf(records + used, sizeof(records) - used, "an n%u.example A 192.0.2.1", links);
        size_t question = make(&in, "n0.example", "A", 0, records);
        assert_int_equal(scrub(question, false, &length, &fault),
                         links == SCRUB_CHAIN_MAX ? SCRUB_POSITIVE : SCRUB_FAILED);
    }
}

static void names_that_grow_stay_readable(void **state)
{
    char records[8192], name[600] = "example";
    size_t used = 0;
    size_t length;
    const char *fault;

    (void)state;
    for (unsigned i = 0; i < 60; i++) { /* each name is the one before and a label */
        char longer[600];
        (void)snprintf(longer, sizeof(longer), "a.%.500s", name);
        memcpy(name, longer, sizeof(name));
        used += (size_t)snprintf(records + used, sizeof(records) - used, "an @12 NS %s\n", name);
    }
    size_t question = make(&in, "example", "NS", 0, records);
    assert_int_equal(scrub(question, false, &length, &fault), SCRUB_POSITIVE);
    assert_true(wire_response_sound(out, length));
    assert_int_equal(wire_get16(out + 6), 60);
}

static void an_answer_that_does_not_fit_has_failed(void **state)
{
    const char *fault;
    size_t length;

    (void)state;
    size_t question = make(&in, "a.b", "A", 0, "an @12 A 192.0.2.1");
    struct scrub_question q = { .bytes = in.bytes + WIRE_QUESTION, .length = question };
    for (size_t room = 0; room < WIRE_QUESTION + question + 16; room++) {
        uint8_t *little = malloc(room + 1);
        assert_non_null(little);
        assert_int_equal(scrub_answer(in.bytes, in.length, WIRE_QUESTION + question, &q, little,
                                      room, &length, &fault),
                         SCRUB_FAILED);
        assert_string_equal(fault, "answer too large");
        free(little);
    }
}

/* Thousands of records with long owners, and a chain through them: no answer, but soon. */
static void a_costly_answer_is_given_up(void **state)
{
    const char *fault;
    size_t length;
    size_t question = make(&in, "n0.example", "A", 0, "");

    (void)state;
    for (unsigned i = 0; i < SCRUB_CHAIN_MAX; i++) {
        char line[64];
        int size = snprintf(line, sizeof(line), "an n%u.example CNAME n%u.example", i, i + 1);
        put_record(&in, line, (size_t)size, 1);
    }
    while (in.length + 12 < WIRE_MESSAGE_MAX) {
        put_record(&in, "an @12 TXT #", 12, 1);
    }
    assert_int_equal(scrub(question, true, &length, &fault), SCRUB_FAILED);
    assert_string_equal(fault, "answer too large");
}

/* Cut and bent in every place: the result is a failure or a sound message. */
static void no_damage_gets_through(void **state)
{
    static const char records[] =
        "an www.example.com CNAME a.b.example.net\nan b.example.net DNAME c.example.net\n"
        "an a.b.example.net CNAME a.c.example.net\nan a.c.example.net A 192.0.2.1\n"
        "an a.c.example.net RRSIG A example.net\nau example.net SOA ns.example.net @16\n"
        "au example.net RRSIG SOA example.net\nau a.example.net NSEC z.example.net\nad . OPT #";
    static const uint8_t bends[] = { 0x01, 0x80, 0xc0, 0xff };
    const char *fault;
    size_t length;
    size_t question = make(&in, "www.example.com", "A", 0, records);
    size_t whole = in.length;

    (void)state;
    for (size_t i = WIRE_HEADER_BYTES; i < whole; i++) {
        in.length = i;
        assert_int_equal(scrub(question, true, &length, &fault), SCRUB_FAILED);
    }
    in.length = whole;
    for (size_t i = 2; i < whole; i++) {
        for (unsigned b = 0; b < sizeof(bends); b++) {
            if (i >= WIRE_QUESTION && i < WIRE_QUESTION + question) {
                continue; /* matched before it comes here */
            }
            in.bytes[i] ^= bends[b];
            if (scrub(question, true, &length, &fault) != SCRUB_FAILED) {
                assert_true(wire_response_sound(out, length));
            }
            in.bytes[i] ^= bends[b];
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_was_asked_for_is_taken),
        cmocka_unit_test(aliases_are_followed),
        cmocka_unit_test(negative_answers_keep_the_soa_that_speaks_for_the_name),
        cmocka_unit_test(what_does_not_answer_has_failed),
        cmocka_unit_test(the_upper_bits_of_the_rcode_count),
        cmocka_unit_test(a_ttl_with_the_highest_bit_is_zero),
        cmocka_unit_test(another_class_is_no_answer),
        cmocka_unit_test(the_letter_case_of_names_inside_is_kept),
        cmocka_unit_test(names_are_compressed),
        cmocka_unit_test(a_chain_has_an_end),
        cmocka_unit_test(names_that_grow_stay_readable),
        cmocka_unit_test(an_answer_that_does_not_fit_has_failed),
        cmocka_unit_test(a_costly_answer_is_given_up),
        cmocka_unit_test(no_damage_gets_through),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
