#include "zones/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <ldns/ldns.h>
#include <cmocka.h>

/* ---- making messages ---- */

struct message {
    uint8_t bytes[WIRE_MESSAGE_MAX];
    size_t length;
};

static void put(struct message *m, const void *bytes, size_t size)
{
    memcpy(m->bytes + m->length, bytes, size);
    m->length += size;
}

static void put16(struct message *m, unsigned value)
{
    wire_put16(m->bytes + m->length, (uint16_t)value);
    m->length += 2;
}

static void header(struct message *m, unsigned flags, unsigned qd, unsigned an, unsigned au,
                   unsigned ad)
{
    m->length = 0;
    put16(m, 0xbeef);
    put16(m, flags);
    put16(m, qd);
    put16(m, an);
    put16(m, au);
    put16(m, ad);
}

/* The header of a query and a question for WwW.example.com A. */
static void plain_query(struct message *m, unsigned additionals)
{
    header(m, WIRE_RD, 1, 0, 0, additionals);
    put(m, "\3WwW\7eXample\3com", 17);
    put16(m, WIRE_A);
    put16(m, WIRE_IN);
}

static void put_opt(struct message *m, unsigned payload, unsigned version, unsigned flags,
                    const char *options, size_t size)
{
    put(m, "", 1);
    put16(m, WIRE_OPT);
    put16(m, payload);
    put16(m, version);
    put16(m, flags);
    put16(m, (unsigned)size);
    put(m, options, size);
}

/* Parse from memory of exactly this size, so that a sanitizer sees every step too far. */
static enum wire_verdict parse_exact(const uint8_t *bytes, size_t length, struct wire_query *query)
{
    uint8_t *copy = malloc(length + (length == 0));

    assert_non_null(copy);
    memcpy(copy, bytes, length);
    enum wire_verdict verdict = wire_query_parse(copy, length, query);
    free(copy);
    return verdict;
}

static bool sound_exact(const uint8_t *bytes, size_t length)
{
    uint8_t *copy = malloc(length + (length == 0));

    assert_non_null(copy);
    memcpy(copy, bytes, length);
    bool sound = wire_response_sound(copy, length);
    free(copy);
    return sound;
}

/* ---- queries ---- */

static void a_plain_query_is_parsed(void **state)
{
    struct message m;
    struct wire_query query;

    (void)state;
    plain_query(&m, 0);
    assert_int_equal(parse_exact(m.bytes, m.length, &query), WIRE_QUERY_OK);
    assert_int_equal(query.id, 0xbeef);
    assert_int_equal(query.flags, WIRE_RD);
    assert_int_equal(query.type, WIRE_A);
    assert_int_equal(query.class, WIRE_IN);
    assert_int_equal(query.question_end, m.length);
    assert_int_equal(query.name_length, 17);
    assert_memory_equal(query.dname, "\3www\7example\3com", 17);
    assert_int_equal(query.payload, 512);
    assert_false(query.edns);
    assert_false(query.dnssec_ok);
}

static void edns_is_understood(void **state)
{
    struct message m;
    struct wire_query query;

    (void)state;
    plain_query(&m, 1);
    size_t end = m.length;
    put_opt(&m, 4096, 0, 0x8000, "\0\12\0\3abc", 7);
    assert_int_equal(parse_exact(m.bytes, m.length, &query), WIRE_QUERY_OK);
    assert_true(query.edns);
    assert_true(query.dnssec_ok);
    assert_int_equal(query.payload, 4096);
    assert_int_equal(query.question_end, end);

    /* behind another record, which is skipped */
    plain_query(&m, 2);
    put(&m, "\1x\0\0\20\0\1\0\0\0\0\0\2hi", 15);
    put_opt(&m, 1232, 0, 0, "", 0);
    assert_int_equal(parse_exact(m.bytes, m.length, &query), WIRE_QUERY_OK);
    assert_int_equal(query.payload, 1232);
    assert_false(query.dnssec_ok);
}

static void another_edns_version_is_badvers(void **state)
{
    struct message m;
    struct wire_query query;

    (void)state;
    plain_query(&m, 1);
    put_opt(&m, 4096, 1, 0x8000, "", 0);
    assert_int_equal(parse_exact(m.bytes, m.length, &query), WIRE_QUERY_BADVERS);
    assert_true(query.edns);
    assert_true(query.dnssec_ok);
    assert_int_equal(query.type, WIRE_A);
}

static void broken_additional_records_are_formerr(void **state)
{
    struct message m;
    struct wire_query query;

    (void)state;
    plain_query(&m, 2); /* two OPT */
    put_opt(&m, 4096, 0, 0, "", 0);
    put_opt(&m, 4096, 0, 0, "", 0);
    assert_int_equal(parse_exact(m.bytes, m.length, &query), WIRE_QUERY_FORMERR);

    plain_query(&m, 1); /* OPT at another name than the root */
    put(&m, "\1x", 2);
    put_opt(&m, 4096, 0, 0, "", 0);
    assert_int_equal(parse_exact(m.bytes, m.length, &query), WIRE_QUERY_FORMERR);

    plain_query(&m, 1); /* an option longer than the record */
    put_opt(&m, 4096, 0, 0, "\0\12\0\4abc", 7);
    assert_int_equal(parse_exact(m.bytes, m.length, &query), WIRE_QUERY_FORMERR);
    plain_query(&m, 1);
    put_opt(&m, 4096, 0, 0, "\0\12\0", 3);
    assert_int_equal(parse_exact(m.bytes, m.length, &query), WIRE_QUERY_FORMERR);

    plain_query(&m, 5); /* too many */
    for (int i = 0; i < 5; i++) {
        put(&m, "\0\0\20\0\1\0\0\0\0\0\0", 11);
    }
    assert_int_equal(parse_exact(m.bytes, m.length, &query), WIRE_QUERY_FORMERR);

    plain_query(&m, 1); /* a compressed owner */
    put(&m, "\300\14\0\20\0\1\0\0\0\0\0\0", 12);
    assert_int_equal(parse_exact(m.bytes, m.length, &query), WIRE_QUERY_FORMERR);
}

static void what_is_no_query_gets_its_verdict(void **state)
{
    struct message m;
    struct wire_query query;

    (void)state;
    plain_query(&m, 0);
    m.bytes[2] |= 0x80;
    assert_int_equal(parse_exact(m.bytes, m.length, &query), WIRE_QUERY_DROP);
    for (unsigned opcode = 1; opcode < 16; opcode++) {
        plain_query(&m, 0);
        m.bytes[2] = (uint8_t)(opcode << 3);
        assert_int_equal(parse_exact(m.bytes, m.length, &query), WIRE_QUERY_NOTIMP);
        assert_int_equal(query.question_end, 12);
        assert_int_equal(query.id, 0xbeef);
    }
    for (int field = 4; field < 10; field += 2) {
        plain_query(&m, 0);
        m.bytes[field + 1] = field == 4 ? 2 : 1;
        assert_int_equal(parse_exact(m.bytes, m.length, &query), WIRE_QUERY_FORMERR);
    }
    header(&m, 0, 0, 0, 0, 0);
    assert_int_equal(parse_exact(m.bytes, m.length, &query), WIRE_QUERY_FORMERR);
    assert_int_equal(query.question_end, 12);
}

/* A query whose question's name is `size` bytes, in labels of 63 at most. */
static void query_of_name_bytes(struct message *m, size_t size)
{
    header(m, 0, 1, 0, 0, 0);
    while (size > 1) {
        size_t label = size - 2 < 63 ? size - 2 : 63;
        m->bytes[m->length++] = (uint8_t)label;
        memset(m->bytes + m->length, 'A', label);
        m->length += label;
        size -= label + 1;
    }
    put(m, "", 1);
    put16(m, WIRE_A);
    put16(m, WIRE_IN);
}

static void hostile_questions_are_formerr(void **state)
{
    struct message m;
    struct wire_query query;

    (void)state;
    query_of_name_bytes(&m, 255);
    assert_int_equal(parse_exact(m.bytes, m.length, &query), WIRE_QUERY_OK);
    assert_int_equal(query.name_length, 255);
    query_of_name_bytes(&m, 256);
    assert_int_equal(parse_exact(m.bytes, m.length, &query), WIRE_QUERY_FORMERR);
    query_of_name_bytes(&m, 20000);
    assert_int_equal(parse_exact(m.bytes, m.length, &query), WIRE_QUERY_FORMERR);
    for (unsigned first = 64; first < 256; first++) {
        plain_query(&m, 0);
        m.bytes[12] = (uint8_t)first;
        assert_int_equal(parse_exact(m.bytes, m.length, &query), WIRE_QUERY_FORMERR);
    }
}

static void every_shorter_query_is_refused(void **state)
{
    struct message m;
    struct wire_query query;

    (void)state;
    plain_query(&m, 2);
    put(&m, "\1x\0\0\20\0\1\0\0\0\0\0\2hi", 15);
    put_opt(&m, 4096, 0, 0x8000, "\0\12\0\3abc", 7);
    for (size_t length = 0; length < m.length; length++) {
        enum wire_verdict verdict = parse_exact(m.bytes, length, &query);
        assert_int_equal(verdict, length < 12 ? WIRE_QUERY_DROP : WIRE_QUERY_FORMERR);
    }
    assert_int_equal(parse_exact(m.bytes, m.length, &query), WIRE_QUERY_OK);
}

static void random_bytes_never_break_the_parser(void **state)
{
    (void)state;
    srand(11);
    for (int round = 0; round < 200000; round++) {
        struct message m;
        struct wire_query query;
        plain_query(&m, 2);
        put(&m, "\1x\0\0\20\0\1\0\0\0\0\0\2hi", 15);
        put_opt(&m, 4096, 0, 0x8000, "\0\12\0\3abc", 7);
        for (int i = 0; i < 1 + rand() % 4; i++) {
            m.bytes[(size_t)rand() % m.length] = (uint8_t)rand();
        }
        m.length -= (size_t)rand() % 3;
        enum wire_verdict verdict = parse_exact(m.bytes, m.length, &query);
        if (verdict == WIRE_QUERY_OK || verdict == WIRE_QUERY_BADVERS) {
            assert_int_equal(query.question_end, 12 + query.name_length + 4);
            assert_true(query.question_end <= m.length);
            assert_int_equal(name_length(query.dname), query.name_length);
        }
    }
}

/* ---- our own queries ---- */

static void a_built_query_is_what_ldns_reads(void **state)
{
    uint8_t bytes[WIRE_HEADER_BYTES + WIRE_QUESTION_BYTES + WIRE_OPT_BYTES];
    struct wire_query query;
    ldns_pkt *packet;

    (void)state;
    size_t length = wire_query_build(bytes, 77, WIRE_RD | WIRE_CD, (const uint8_t *)"\3wWw\2eU",
                                     WIRE_AAAA, WIRE_IN, 1400, true);
    assert_int_equal(length, 12 + 8 + 4 + 11);
    assert_memory_equal(bytes + 12, "\3wWw\2eU", 8);
    assert_int_equal(ldns_wire2pkt(&packet, bytes, length), LDNS_STATUS_OK);
    assert_int_equal(ldns_pkt_id(packet), 77);
    assert_true(ldns_pkt_rd(packet) && ldns_pkt_cd(packet) && !ldns_pkt_qr(packet));
    assert_int_equal(ldns_pkt_edns_udp_size(packet), 1400);
    assert_true(ldns_pkt_edns_do(packet));
    const ldns_rr *question = ldns_rr_list_rr(ldns_pkt_question(packet), 0);
    assert_int_equal(ldns_rr_get_type(question), LDNS_RR_TYPE_AAAA);
    ldns_pkt_free(packet);
    assert_int_equal(wire_query_parse(bytes, length, &query), WIRE_QUERY_OK);
    assert_int_equal(query.payload, 1400);

    length = wire_query_build(bytes, 1, 0, (const uint8_t *)"", WIRE_NS, WIRE_IN, 0, true);
    assert_int_equal(length, 12 + 1 + 4);
    assert_int_equal(wire_get16(bytes + 10), 0);
}

/* ---- names in responses ---- */

static size_t read_name_at(const struct message *m, size_t at, uint8_t *out, size_t *next)
{
    struct wire_reader reader;
    uint8_t *copy = malloc(m->length);

    assert_non_null(copy);
    memcpy(copy, m->bytes, m->length);
    wire_reader_init(&reader, copy, m->length);
    reader.at = at;
    size_t length = wire_read_name(&reader, out);
    assert_int_equal(length == 0, reader.failed);
    *next = reader.at;
    free(copy);
    return length;
}

static void pointers_back_are_followed(void **state)
{
    struct message m;
    uint8_t name[NAME_MAX_BYTES];
    size_t next;

    (void)state;
    header(&m, WIRE_QR, 1, 0, 0, 0);
    put(&m, "\7EXAMPLE\3com", 13); /* at 12 */
    put(&m, "\3www\300\14", 6);    /* at 25 */
    put(&m, "\1a\300\31", 4);      /* at 31: to 25, and on to 12 */
    assert_int_equal(read_name_at(&m, 31, name, &next), 2 + 4 + 13);
    assert_memory_equal(name, "\1a\3www\7example\3com", 19);
    assert_int_equal(next, 35);
    assert_int_equal(read_name_at(&m, 25, name, &next), 4 + 13);
    assert_int_equal(next, 31);
    assert_int_equal(read_name_at(&m, 12, name, &next), 13);
    assert_int_equal(next, 25);
}

static void hostile_pointers_are_refused(void **state)
{
    struct message m;
    uint8_t name[NAME_MAX_BYTES];
    size_t next;

    (void)state;
    header(&m, WIRE_QR, 1, 0, 0, 0);
    put(&m, "\300\14", 2); /* to itself */
    assert_int_equal(read_name_at(&m, 12, name, &next), 0);

    header(&m, WIRE_QR, 1, 0, 0, 0);
    put(&m, "\300\16\0\0", 4); /* forward */
    assert_int_equal(read_name_at(&m, 12, name, &next), 0);

    header(&m, WIRE_QR, 1, 0, 0, 0);
    put(&m, "\1a\300\14", 4); /* to its own beginning */
    assert_int_equal(read_name_at(&m, 12, name, &next), 0);

    header(&m, WIRE_QR, 1, 0, 0, 0);
    put(&m, "\300\20\1a\300\14", 6); /* two that meet */
    assert_int_equal(read_name_at(&m, 14, name, &next), 0);

    header(&m, WIRE_QR, 1, 0, 0, 0);
    put(&m, "\300\5", 2); /* into the header */
    assert_int_equal(read_name_at(&m, 12, name, &next), 0);

    header(&m, WIRE_QR, 1, 0, 0, 0);
    put(&m, "\300", 1); /* half a pointer */
    assert_int_equal(read_name_at(&m, 12, name, &next), 0);

    for (unsigned first = 64; first < 192; first++) {
        header(&m, WIRE_QR, 1, 0, 0, 0); /* neither label nor pointer */
        m.bytes[m.length++] = (uint8_t)first;
        put(&m, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 66);
        assert_int_equal(read_name_at(&m, 12, name, &next), 0);
    }
}

static void a_staircase_of_pointers_is_bounded(void **state)
{
    struct message m;
    uint8_t name[NAME_MAX_BYTES];
    size_t next;

    (void)state;
    header(&m, WIRE_QR, 1, 0, 0, 0);
    put(&m, "\1a", 3);
    size_t before = 12;
    for (unsigned hop = 1; hop <= 40; hop++) {
        size_t at = m.length;
        put16(&m, 0xc000u | (unsigned)before);
        assert_int_equal(read_name_at(&m, at, name, &next), hop <= 16 ? 3 : 0);
        before = at;
    }
}

static void an_expanded_name_holds_255_bytes_at_most(void **state)
{
    struct message m;
    uint8_t name[NAME_MAX_BYTES];
    size_t next;

    (void)state;
    query_of_name_bytes(&m, 250);
    size_t at = m.length;
    put(&m, "\4bbbb\300\14", 7);
    assert_int_equal(read_name_at(&m, at, name, &next), 255);
    at = m.length;
    put(&m, "\5bbbbb\300\14", 8);
    assert_int_equal(read_name_at(&m, at, name, &next), 0);
}

static void a_failed_reader_stays_failed(void **state)
{
    struct wire_reader reader;
    struct wire_record record;
    uint8_t name[NAME_MAX_BYTES];

    (void)state;
    wire_reader_init(&reader, (const uint8_t *)"\1\2\3\4\5\6\7\10", 8);
    assert_int_equal(wire_read16(&reader), 0x0102);
    assert_int_equal(wire_read32(&reader), 0x03040506);
    assert_false(reader.failed);
    assert_int_equal(wire_read32(&reader), 0);
    assert_true(reader.failed);
    assert_int_equal(wire_read16(&reader), 0); /* though two bytes are left */
    assert_int_equal(wire_read_name(&reader, name), 0);
    assert_false(wire_read_record(&reader, &record));
}

/* ---- responses ---- */

static void put_response(struct message *m)
{
    header(m, WIRE_QR | WIRE_AA, 1, 2, 1, 1);
    put(m, "\3www\7example\3com", 17);
    put16(m, WIRE_A);
    put16(m, WIRE_IN);
    put(m, "\300\14\0\5\0\1\0\0\0\74\0\4\1b\300\20", 16);
    put(m, "\1b\300\20\0\1\0\1\0\0\0\74\0\4\300\0\2\1", 18);
    put(m, "\300\20\0\2\0\1\0\0\0\74\0\5\2ns\300\20", 17);
    put_opt(m, 1232, 0, 0, "", 0);
}

static void every_shorter_response_is_unsound(void **state)
{
    struct message m;

    (void)state;
    put_response(&m);
    assert_true(sound_exact(m.bytes, m.length));
    for (size_t length = 0; length < m.length; length++) {
        assert_false(sound_exact(m.bytes, length));
    }
    /* bytes behind the last record do no harm */
    put16(&m, 0);
    assert_true(sound_exact(m.bytes, m.length));
}

static void counts_beyond_the_bytes_are_unsound(void **state)
{
    struct message m;

    (void)state;
    for (int field = 4; field < 12; field += 2) {
        put_response(&m);
        wire_put16(m.bytes + field, 0xffff);
        assert_false(sound_exact(m.bytes, m.length));
    }
}

static void a_response_matches_only_its_question(void **state)
{
    static const uint8_t question[] = "\3wWw\7eXample\3com\0\0\1\0\1";
    const size_t size = 21;
    struct message m;
    size_t end = 0;

    (void)state;
    header(&m, WIRE_QR, 1, 0, 0, 0);
    put(&m, question, size);
    assert_true(wire_response_matches(m.bytes, m.length, 0xbeef, question, size, false, &end));
    assert_int_equal(end, 12 + size);
    assert_false(wire_response_matches(m.bytes, m.length, 0xbeee, question, size, true, &end));
    assert_false(wire_response_matches(m.bytes, m.length - 1, 0xbeef, question, size, true, &end));
    assert_false(wire_response_matches(m.bytes, 11, 0xbeef, question, size, true, &end));
    for (size_t i = 12; i < m.length; i++) {
        m.bytes[i] ^= 0x20; /* letter case, type and class alike */
        assert_false(wire_response_matches(m.bytes, m.length, 0xbeef, question, size, true, &end));
        m.bytes[i] ^= 0x20;
    }
    m.bytes[2] ^= 0x80; /* a query */
    assert_false(wire_response_matches(m.bytes, m.length, 0xbeef, question, size, true, &end));
    m.bytes[2] ^= 0x80 | 0x08; /* another opcode */
    assert_false(wire_response_matches(m.bytes, m.length, 0xbeef, question, size, true, &end));
}

static void only_an_error_may_lack_the_question(void **state)
{
    static const uint8_t question[] = "\1a\0\0\1\0\1";
    struct message m;
    size_t end;

    (void)state;
    for (unsigned rcode = 0; rcode < 16; rcode++) {
        bool allowed = rcode == WIRE_FORMERR || rcode == WIRE_SERVFAIL || rcode == WIRE_NOTIMP ||
                       rcode == WIRE_REFUSED;
        header(&m, WIRE_QR | rcode, 0, 0, 0, 0);
        assert_int_equal(wire_response_matches(m.bytes, 12, 0xbeef, question, 7, true, &end),
                         allowed);
        assert_false(wire_response_matches(m.bytes, 12, 0xbeef, question, 7, false, &end));
    }
    assert_int_equal(end, 12);
}

/* ---- against ldns ---- */

static const char *const record_texts[] = {
    "a.example.com. 60 IN A 192.0.2.1",
    "b.a.example.com. 61 IN AAAA 2001:db8::1",
    "www.example.com. 62 IN CNAME a.example.com.",
    "example.com. 63 IN MX 10 mail.example.com.",
    "example.com. 64 IN SOA ns.example.com. host.example.com. 1 2 3 4 5",
    "_x._tcp.example.net. 65 IN SRV 1 2 3 a.example.net.",
    "x.example.net. 66 IN TXT \"hello\" \"world\"",
    "example.org. 67 IN NS ns.example.org.",
    ". 68 IN NS a.root-servers.net.",
    "y.example.org. 69 IN TYPE65280 \\# 5 c00cc00c00",
};

static void add_random_records(ldns_pkt *packet, ldns_pkt_section section)
{
    for (int i = rand() % 8; i > 0; i--) {
        ldns_rr *rr;
        const char *text =
            record_texts[(size_t)rand() % (sizeof(record_texts) / sizeof(record_texts[0]))];
        assert_int_equal(ldns_rr_new_frm_str(&rr, text, 0, NULL, NULL), LDNS_STATUS_OK);
        ldns_pkt_push_rr(packet, section, rr);
    }
}

static void compare_section(struct wire_reader *reader, const ldns_rr_list *list)
{
    for (size_t i = 0; i < ldns_rr_list_rr_count(list); i++) {
        const ldns_rr *rr = ldns_rr_list_rr(list, i);
        const ldns_rdf *owner = ldns_rr_owner(rr);
        struct wire_record record;
        assert_true(wire_read_record(reader, &record));
        assert_int_equal(name_length(record.owner), ldns_rdf_size(owner));
        assert_memory_equal(record.owner, ldns_rdf_data(owner), ldns_rdf_size(owner));
        assert_int_equal(record.type, ldns_rr_get_type(rr));
        assert_int_equal(record.class, ldns_rr_get_class(rr));
        assert_int_equal(record.ttl_s, ldns_rr_ttl(rr));
        assert_int_equal(record.rdata_at + record.rdata_length, reader->at);
    }
}

static void random_messages_read_as_ldns_wrote_them(void **state)
{
    (void)state;
    srand(5);
    for (int round = 0; round < 500; round++) {
        ldns_pkt *packet = ldns_pkt_query_new(ldns_dname_new_frm_str("www.example.com."),
                                              LDNS_RR_TYPE_A, LDNS_RR_CLASS_IN, LDNS_QR);
        uint8_t *bytes;
        size_t length;
        add_random_records(packet, LDNS_SECTION_ANSWER);
        add_random_records(packet, LDNS_SECTION_AUTHORITY);
        add_random_records(packet, LDNS_SECTION_ADDITIONAL);
        assert_int_equal(ldns_pkt2wire(&bytes, packet, &length), LDNS_STATUS_OK);
        assert_true(sound_exact(bytes, length));
        struct wire_reader reader;
        uint8_t name[NAME_MAX_BYTES];
        wire_reader_init(&reader, bytes, length);
        reader.at = 12;
        assert_int_equal(wire_read_name(&reader, name), 17);
        reader.at += 4;
        compare_section(&reader, ldns_pkt_answer(packet));
        compare_section(&reader, ldns_pkt_authority(packet));
        compare_section(&reader, ldns_pkt_additional(packet));
        assert_int_equal(reader.at, length);
        for (size_t cut = 0; cut < length; cut++) {
            assert_false(wire_response_sound(bytes, cut));
        }
        free(bytes);
        ldns_pkt_free(packet);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_query_is_parsed),
        cmocka_unit_test(edns_is_understood),
        cmocka_unit_test(another_edns_version_is_badvers),
        cmocka_unit_test(broken_additional_records_are_formerr),
        cmocka_unit_test(what_is_no_query_gets_its_verdict),
        cmocka_unit_test(hostile_questions_are_formerr),
        cmocka_unit_test(every_shorter_query_is_refused),
        cmocka_unit_test(random_bytes_never_break_the_parser),
        cmocka_unit_test(a_built_query_is_what_ldns_reads),
        cmocka_unit_test(pointers_back_are_followed),
        cmocka_unit_test(hostile_pointers_are_refused),
        cmocka_unit_test(a_staircase_of_pointers_is_bounded),
        cmocka_unit_test(an_expanded_name_holds_255_bytes_at_most),
        cmocka_unit_test(a_failed_reader_stays_failed),
        cmocka_unit_test(every_shorter_response_is_unsound),
        cmocka_unit_test(counts_beyond_the_bytes_are_unsound),
        cmocka_unit_test(a_response_matches_only_its_question),
        cmocka_unit_test(only_an_error_may_lack_the_question),
        cmocka_unit_test(random_messages_read_as_ldns_wrote_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
