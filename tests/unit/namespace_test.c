#include "zones/namespace.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <ldns/ldns.h>
#include <cmocka.h>

#include "base/text.h"
#include "tests/unit/scratch.h"

static struct scratch scratch;
static const struct hash_key key = { 1, 2 };
static const int a_service; /* something to point to */

static int set_up(void **state)
{
    (void)state;
    scratch_init(&scratch);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scratch_fini(&scratch);
    return 0;
}

static const uint8_t *dname(const char *name)
{
    static uint8_t bytes[4][NAME_MAX_BYTES];
    static unsigned next;
    struct error err;

    next = (next + 1) % 4;
    assert_true(name_parse(name, bytes[next], &err) > 0);
    return bytes[next];
}

static struct namespace *begin(void)
{
    struct namespace *ns = namespace_new(&key);

    assert_non_null(ns);
    return ns;
}

static int try_zone(struct namespace *ns, const char *apex, const char *zone, struct error *err)
{
    const char *name = strcmp(apex, ".") == 0 ? "root" : apex;

    return namespace_add_file(ns, dname(apex), scratch_write(&scratch, name, zone), err);
}

static void add_zone(struct namespace *ns, const char *apex, const char *zone)
{
    struct error err = { 0 };

    if (try_zone(ns, apex, zone, &err) != 0) {
        fail_msg("%s:%u: %s", err.path, err.line, err.message);
    }
}

static void add_service(struct namespace *ns, const char *name)
{
    struct error err = { 0 };

    assert_int_equal(namespace_add_service(ns, dname(name), &a_service, 30, &err), 0);
}

static void compile(struct namespace *ns)
{
    struct error err = { 0 };

    if (namespace_compile(ns, &err) != 0) {
        fail_msg("%s:%u: %s", err.path, err.line, err.message);
    }
}

#define SOA "$TTL 300\n@ 600 SOA ns1 host 7 3600 900 604800 60\n"

/* ---- asking, as a query does ---- */

static void put_section(struct text *out, const char *title, const ldns_rr_list *list)
{
    for (size_t i = 0; i < ldns_rr_list_rr_count(list); i++) {
        char *record = ldns_rr2str(ldns_rr_list_rr(list, i));
        for (char *c = record; *c != '\0'; c++) {
            *c = *c == '\t' ? ' ' : *c;
        }
        text_printf(out, "%s %s", title, record);
        free(record);
    }
}

/* Put the message together and let ldns, who knows nothing of us, read it. */
static void put_message(struct text *out, const uint8_t *name, uint16_t type,
                        const struct answer *answer, uint8_t rcode, size_t apex_length)
{
    static uint8_t message[WIRE_MESSAGE_MAX];
    ldns_pkt *packet;
    size_t at =
        wire_query_build(message, 1, (uint16_t)(WIRE_QR | rcode), name, type, WIRE_IN, 0, false);

    wire_put16(message + 6, answer->answers);
    wire_put16(message + 8, answer->authorities);
    wire_put16(message + 10, answer->additionals);
    assert_true(at + answer->length <= sizeof(message));
    memcpy(message + at, answer->wire, answer->length);
    if (apex_length > 0) {
        wire_put16(message + at, (uint16_t)(0xc000 | (12 + name_length(name) - apex_length)));
    }
    assert_true(wire_response_sound(message, at + answer->length));
    assert_int_equal(ldns_wire2pkt(&packet, message, at + answer->length), LDNS_STATUS_OK);
    text_put(out, rcode == WIRE_NXDOMAIN ? "NXDOMAIN\n" : "");
    put_section(out, "AN", ldns_pkt_answer(packet));
    put_section(out, "AU", ldns_pkt_authority(packet));
    put_section(out, "AD", ldns_pkt_additional(packet));
    ldns_pkt_free(packet);

    /* without additional data the message must still be whole */
    wire_put16(message + 10, 0);
    assert_int_equal(ldns_wire2pkt(&packet, message, at + answer->core_length), LDNS_STATUS_OK);
    ldns_pkt_free(packet);

    if (answer->tail != NULL) {
        struct wire_reader reader;
        uint8_t tail[NAME_MAX_BYTES];
        char text[NAME_TEXT_MAX];
        wire_reader_init(&reader, message, at + answer->length);
        reader.at = answer->tail_offset;
        assert_int_equal(wire_read_name(&reader, tail), answer->tail->length);
        assert_memory_equal(tail, answer->tail->dname, answer->tail->length);
        assert_true((message[answer->tail_offset] & 0xc0) == 0);
        (void)name_format(tail, text, sizeof(text));
        text_printf(out, "tail %s\n", text);
    }
}

static void ask_into(struct text *out, const struct namespace *ns, const char *question,
                     uint16_t type)
{
    const uint8_t *name = dname(question);
    size_t length = name_length(name);
    const struct node *node = namespace_find(ns, name, length);
    const struct node *holder =
        node == NULL ? namespace_encloser(ns, name, length, name_labels(name)) : node;

    if (holder == NULL) {
        text_put(out, "not ours\n");
        return;
    }
    const struct answer *answer = node == NULL ? NULL : namespace_answer(node, type);
    if (node != NULL && node->service != NULL && (type == WIRE_A || type == WIRE_AAAA)) {
        assert_null(answer);
        text_put(out, "service\n");
    } else if (answer == NULL) {
        put_message(out, name, type, &holder->zone->negative,
                    node == NULL ? WIRE_NXDOMAIN : WIRE_NOERROR, holder->zone->length);
    } else {
        put_message(out, name, type, answer, answer->rcode, 0);
        if (answer->outside != NULL) {
            char text[NAME_TEXT_MAX];
            (void)name_format(answer->outside, text, sizeof(text));
            text_printf(out, "outside %s\n", text);
        }
    }
}

static void expect(const struct namespace *ns, const char *question, uint16_t type,
                   const char *expected)
{
    struct text out = { 0 };

    ask_into(&out, ns, question, type);
    assert_string_equal(text_string(&out), expected);
    text_fini(&out);
}

#define NEGATIVE(zone) "AU " zone ". 60 IN SOA ns1." zone ". host." zone ". 7 3600 900 604800 60\n"

/* ---- answers ---- */

static void data_nodata_and_nxdomain_are_told_apart(void **state)
{
    struct namespace *ns = begin();

    (void)state;
    add_zone(ns, "example.com",
             SOA "@ NS ns1\nns1 A 192.0.2.1\nwww A 192.0.2.2\nwww A 192.0.2.3\n"
                 "www 60 A 192.0.2.2\nx.deep.er TXT hello\n");
    compile(ns);
    expect(ns, "www.example.com", WIRE_A,
           "AN www.example.com. 60 IN A 192.0.2.2\nAN www.example.com. 60 IN A 192.0.2.3\n");
    expect(ns, "www.example.com", WIRE_AAAA, NEGATIVE("example.com"));
    expect(ns, "deep.er.example.com", WIRE_A, NEGATIVE("example.com"));
    expect(ns, "er.example.com", WIRE_TXT, NEGATIVE("example.com"));
    expect(ns, "none.example.com", WIRE_A, "NXDOMAIN\n" NEGATIVE("example.com"));
    expect(ns, "a.b.c.d.e.f.www.example.com", WIRE_A, "NXDOMAIN\n" NEGATIVE("example.com"));
    expect(ns, "example.com", WIRE_SOA,
           "AN example.com. 600 IN SOA ns1.example.com. host.example.com. 7 3600 900 604800 60\n");
    expect(ns, "example.com", WIRE_NS,
           "AN example.com. 300 IN NS ns1.example.com.\nAD ns1.example.com. 300 IN A 192.0.2.1\n");
    expect(ns, "example.org", WIRE_A, "not ours\n");
    expect(ns, "com", WIRE_A, "not ours\n");
    expect(ns, ".", WIRE_A, "not ours\n");
    assert_int_equal(namespace_zone(ns, dname("example.com"))->serial, 7);
    assert_null(namespace_zone(ns, dname("www.example.com")));
    namespace_free(ns);
}

static void any_is_answered_with_hinfo_where_there_is_data(void **state)
{
    struct namespace *ns = begin();

    (void)state;
    add_zone(ns, "example.com", SOA "a.b A 192.0.2.1\nc CNAME a.b\n");
    add_service(ns, "s.example.com");
    compile(ns);
    expect(ns, "a.b.example.com", WIRE_ANY, "AN a.b.example.com. 3600 IN HINFO \"RFC8482\" \"\"\n");
    expect(ns, "s.example.com", WIRE_ANY, "AN s.example.com. 3600 IN HINFO \"RFC8482\" \"\"\n");
    expect(ns, "b.example.com", WIRE_ANY, NEGATIVE("example.com"));
    expect(ns, "c.example.com", WIRE_ANY, "AN c.example.com. 300 IN CNAME a.b.example.com.\n");
    namespace_free(ns);
}

static void targets_bring_their_addresses_unless_they_are_services(void **state)
{
    struct namespace *ns = begin();

    (void)state;
    add_zone(ns, "example.com",
             SOA "@ MX 10 mail\n@ MX 20 mail.example.net.\n@ MX 30 svc\n@ MX 40 none\n"
                 "@ MX 50 mail\n"
                 "mail AAAA 2001:db8::1\nmail A 192.0.2.1\n"
                 "_x._tcp SRV 0 0 1 mail\n_x._tcp SRV 0 0 2 mail\n_x._tcp SRV 0 0 3 .\n"
                 "svc A 192.0.2.77\n");
    add_zone(ns, "example.net", SOA "mail A 192.0.2.2\n");
    add_service(ns, "svc.example.com");
    compile(ns);
    expect(ns, "example.com", WIRE_MX,
           "AN example.com. 300 IN MX 10 mail.example.com.\n"
           "AN example.com. 300 IN MX 20 mail.example.net.\n"
           "AN example.com. 300 IN MX 30 svc.example.com.\n"
           "AN example.com. 300 IN MX 40 none.example.com.\n"
           "AN example.com. 300 IN MX 50 mail.example.com.\n"
           "AD mail.example.com. 300 IN A 192.0.2.1\n"
           "AD mail.example.com. 300 IN AAAA 2001:db8::1\n"
           "AD mail.example.net. 300 IN A 192.0.2.2\n");
    expect(ns, "_x._tcp.example.com", WIRE_SRV,
           "AN _x._tcp.example.com. 300 IN SRV 0 0 1 mail.example.com.\n"
           "AN _x._tcp.example.com. 300 IN SRV 0 0 2 mail.example.com.\n"
           "AN _x._tcp.example.com. 300 IN SRV 0 0 3 .\n"
           "AD mail.example.com. 300 IN A 192.0.2.1\n"
           "AD mail.example.com. 300 IN AAAA 2001:db8::1\n");
    namespace_free(ns);
}

static void names_are_compressed_but_not_in_srv(void **state)
{
    struct namespace *ns = begin();

    (void)state;
    add_zone(ns, "example.com", SOA "@ NS ns1\nx SRV 0 0 1 a.x\nmx MX 5 a.mx\np PTR p\n");
    compile(ns);

    const struct node *apex = namespace_find(ns, dname("example.com"), 13);
    const struct answer *ns_answer = namespace_answer(apex, WIRE_NS);
    /* owner 2, fixed 10, "ns1" and a pointer to the question */
    assert_int_equal(ns_answer->length, 12 + 4 + 2);
    assert_int_equal(wire_get16(ns_answer->wire), 0xc00c);
    assert_int_equal(wire_get16(ns_answer->wire + 16), 0xc00c);

    const struct node *x = namespace_find(ns, dname("x.example.com"), 15);
    /* the target stands in full: 2 + 15 bytes behind three numbers */
    assert_int_equal(namespace_answer(x, WIRE_SRV)->length, 12 + 6 + 17);
    const struct node *mx = namespace_find(ns, dname("mx.example.com"), 16);
    assert_int_equal(namespace_answer(mx, WIRE_MX)->length, 12 + 2 + 2 + 2);
    const struct node *p = namespace_find(ns, dname("p.example.com"), 15);
    assert_int_equal(namespace_answer(p, WIRE_PTR)->length, 12 + 2);
    namespace_free(ns);
}

static void an_answer_does_not_depend_on_the_hash_key(void **state)
{
    const struct hash_key other = { 99, 77 };
    struct namespace *ns[2] = { namespace_new(&key), namespace_new(&other) };

    (void)state;
    for (int i = 0; i < 2; i++) {
        add_zone(ns[i], "example.com",
                 SOA
                 "@ NS b\n@ NS a\na A 192.0.2.1\nb A 192.0.2.2\n$GENERATE 1-100 h$ A 192.0.2.$\n");
        compile(ns[i]);
    }
    const struct node *a = ns[0]->nodes;
    const struct node *b = ns[1]->nodes;
    for (; a != NULL && b != NULL; a = a->next, b = b->next) {
        assert_memory_equal(a->dname, b->dname, a->length);
        assert_int_equal(a->answer_count, b->answer_count);
        for (unsigned i = 0; i < a->answer_count; i++) {
            assert_int_equal(a->answers[i].type, b->answers[i].type);
            assert_int_equal(a->answers[i].length, b->answers[i].length);
            assert_memory_equal(a->answers[i].wire, b->answers[i].wire, a->answers[i].length);
        }
    }
    assert_true(a == NULL && b == NULL);
    namespace_free(ns[0]);
    namespace_free(ns[1]);
}

/* ---- aliases ---- */

static void a_chain_is_followed_through_all_zones(void **state)
{
    struct namespace *ns = begin();

    (void)state;
    add_zone(ns, "example.com",
             SOA "one CNAME two\ntwo 60 CNAME three.example.net.\n"
                 "gone CNAME nowhere.example.net.\nempty CNAME ent.example.net.\n"
                 "away CNAME far\nfar CNAME away.example.org.\nmx CNAME post.example.net.\n");
    add_zone(ns, "example.net",
             SOA "three A 192.0.2.3\nthree TXT hi\nx.ent A 192.0.2.1\npost MX 5 three\n");
    compile(ns);
    expect(ns, "one.example.com", WIRE_A,
           "AN one.example.com. 300 IN CNAME two.example.com.\n"
           "AN two.example.com. 60 IN CNAME three.example.net.\n"
           "AN three.example.net. 300 IN A 192.0.2.3\n");
    expect(ns, "one.example.com", WIRE_TXT,
           "AN one.example.com. 300 IN CNAME two.example.com.\n"
           "AN two.example.com. 60 IN CNAME three.example.net.\n"
           "AN three.example.net. 300 IN TXT \"hi\"\n");
    expect(ns, "one.example.com", WIRE_AAAA,
           "AN one.example.com. 300 IN CNAME two.example.com.\n"
           "AN two.example.com. 60 IN CNAME three.example.net.\n" NEGATIVE("example.net"));
    expect(ns, "one.example.com", WIRE_CNAME,
           "AN one.example.com. 300 IN CNAME two.example.com.\n");
    expect(ns, "gone.example.com", WIRE_A,
           "NXDOMAIN\nAN gone.example.com. 300 IN CNAME nowhere.example.net.\n" NEGATIVE(
               "example.net"));
    expect(ns, "gone.example.com", WIRE_CNAME,
           "AN gone.example.com. 300 IN CNAME nowhere.example.net.\n");
    expect(ns, "empty.example.com", WIRE_A,
           "AN empty.example.com. 300 IN CNAME ent.example.net.\n" NEGATIVE("example.net"));
    expect(ns, "away.example.com", WIRE_A,
           "AN away.example.com. 300 IN CNAME far.example.com.\n"
           "AN far.example.com. 300 IN CNAME away.example.org.\n"
           "outside away.example.org\n");
    expect(ns, "away.example.com", WIRE_CNAME,
           "AN away.example.com. 300 IN CNAME far.example.com.\n");
    expect(ns, "mx.example.com", WIRE_MX,
           "AN mx.example.com. 300 IN CNAME post.example.net.\n"
           "AN post.example.net. 300 IN MX 5 three.example.net.\n"
           "AD three.example.net. 300 IN A 192.0.2.3\n");
    namespace_free(ns);
}

static void a_chain_into_a_service_has_it_as_its_tail(void **state)
{
    struct namespace *ns = begin();

    (void)state;
    add_zone(ns, "example.com",
             SOA "www CNAME api.svc\nweb CNAME www\nsub.api.svc CNAME api.svc\n"
                 "api.svc TXT static\napi.svc A 192.0.2.99\nfar CNAME lone.example.org.\n");
    add_service(ns, "api.svc.example.com");
    add_service(ns, "lone.example.org");
    compile(ns);
    expect(ns, "api.svc.example.com", WIRE_A, "service\n");
    expect(ns, "api.svc.example.com", WIRE_AAAA, "service\n");
    expect(ns, "api.svc.example.com", WIRE_TXT, "AN api.svc.example.com. 300 IN TXT \"static\"\n");
    expect(ns, "api.svc.example.com", WIRE_MX, NEGATIVE("example.com"));
    expect(ns, "www.example.com", WIRE_A,
           "AN www.example.com. 300 IN CNAME api.svc.example.com.\ntail api.svc.example.com\n");
    expect(ns, "web.example.com", WIRE_AAAA,
           "AN web.example.com. 300 IN CNAME www.example.com.\n"
           "AN www.example.com. 300 IN CNAME api.svc.example.com.\ntail api.svc.example.com\n");
    /* the target is a suffix of the question */
    expect(ns, "sub.api.svc.example.com", WIRE_A,
           "AN sub.api.svc.example.com. 300 IN CNAME api.svc.example.com.\n"
           "tail api.svc.example.com\n");
    expect(ns, "www.example.com", WIRE_TXT,
           "AN www.example.com. 300 IN CNAME api.svc.example.com.\n"
           "AN api.svc.example.com. 300 IN TXT \"static\"\n");
    /* what is not there is the service's to say */
    expect(ns, "www.example.com", WIRE_MX,
           "AN www.example.com. 300 IN CNAME api.svc.example.com.\ntail api.svc.example.com\n");
    expect(ns, "far.example.com", WIRE_A,
           "AN far.example.com. 300 IN CNAME lone.example.org.\ntail lone.example.org\n");
    expect(ns, "far.example.com", WIRE_TXT,
           "AN far.example.com. 300 IN CNAME lone.example.org.\ntail lone.example.org\n");
    namespace_free(ns);
}

static void expect_compile_error(const char *zone, unsigned line, const char *message)
{
    struct namespace *ns = begin();
    struct error err = { 0 };

    add_zone(ns, "example.com", zone);
    assert_int_equal(namespace_compile(ns, &err), -EINVAL);
    assert_string_equal(err.message, message);
    assert_string_equal(err.path, scratch.path);
    assert_int_equal(err.line, line);
    assert_true(err.col > 0);
    namespace_free(ns);
}

static void circles_of_cnames_are_refused_by_name(void **state)
{
    (void)state;
    expect_compile_error(SOA "a CNAME a\n", 3,
                         "CNAMEs in a circle: a.example.com -> a.example.com");
    expect_compile_error(SOA "x A 192.0.2.1\na CNAME b\nb CNAME c\nc CNAME b\n", 4,
                         "CNAMEs in a circle: a.example.com -> b.example.com -> c.example.com -> "
                         "b.example.com");
}

static void sixteen_cnames_are_followed_and_seventeen_refused(void **state)
{
    struct text zone = { 0 };
    struct error err = { 0 };

    (void)state;
    text_put(&zone, SOA "c0 A 192.0.2.1\n");
    for (int i = 1; i <= 16; i++) {
        text_printf(&zone, "c%d CNAME c%d\n", i, i - 1);
    }
    struct namespace *ns = begin();
    add_zone(ns, "example.com", text_string(&zone));
    compile(ns);
    const struct node *node = namespace_find(ns, dname("c16.example.com"), 17);
    assert_int_equal(namespace_answer(node, WIRE_A)->answers, 17);
    namespace_free(ns);

    text_put(&zone, "c17 CNAME c16\n");
    ns = begin();
    add_zone(ns, "example.com", text_string(&zone));
    assert_int_equal(namespace_compile(ns, &err), -EINVAL);
    assert_int_equal(err.line, 20);
    namespace_free(ns);
    text_fini(&zone);
}

/* ---- files that are refused ---- */

static void broken_zones_are_refused_with_their_place(void **state)
{
    static const struct {
        const char *zone;
        unsigned line;
        const char *message;
    } cases[] = {
        { "$TTL 1\na A 192.0.2.1\n", 0, "the zone example.com has no SOA" },
        { SOA "@ SOA ns1 host 8 1 1 1 1\n", 3,
          "example.com: a second SOA; the first is in line 2" },
        { SOA "a SOA ns1 host 8 1 1 1 1\n", 3,
          "a.example.com: a SOA that is not at the zone's apex" },
        { SOA "a.example.org. A 192.0.2.1\n", 3, "a.example.org: is outside the zone example.com" },
        { SOA "com. A 192.0.2.1\n", 3, "com: is outside the zone example.com" },
        { SOA "a CNAME b\na A 192.0.2.1\n", 4,
          "a.example.com: a CNAME and other data (line 3) at one name" },
        { SOA "a A 192.0.2.1\na CNAME b\n", 4,
          "a.example.com: a CNAME and other data (line 3) at one name" },
        { SOA "@ CNAME b\n", 3, "example.com: a CNAME and other data (line 2) at one name" },
        { SOA "a CNAME b\na CNAME c\n", 4,
          "a.example.com: a second CNAME; the first is in line 3" },
        { SOA "* A 192.0.2.1\n", 3, "*.example.com: a wildcard is not available yet" },
        { SOA "a.*.b A 192.0.2.1\n", 3, "a.*.b.example.com: a wildcard is not available yet" },
        { SOA "a DNAME b\n", 3, "a.example.com: DNAME is not available yet" },
        { SOA "@ DNSKEY 256 3 8 AwEAAQ==\n", 3,
          "example.com: DNSSEC records: serving a signed zone is not available yet" },
        { SOA "a NSEC b A\n", 3,
          "a.example.com: DNSSEC records: serving a signed zone is not available yet" },
        { SOA "a TYPE250 \\# 0\n", 3, "a.example.com: this type is not one of data" },
        { SOA "a BOGUS x\n", 3, "unknown record type 'BOGUS'" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct namespace *ns = begin();
        struct error err = { 0 };
        assert_int_equal(try_zone(ns, "example.com", cases[i].zone, &err), -EINVAL);
        assert_string_equal(err.message, cases[i].message);
        assert_int_equal(err.line, cases[i].line);
        assert_string_equal(err.path, scratch.path);
        namespace_free(ns);
    }
}

static void what_shows_late_is_refused_with_its_place(void **state)
{
    (void)state;
    expect_compile_error(SOA "sub NS ns.sub\nns.sub A 192.0.2.1\n", 3,
                         "sub.example.com: a delegation (NS below the zone's apex) is not "
                         "available yet");
}

static void identical_records_are_one(void **state)
{
    struct namespace *ns = begin();

    (void)state;
    add_zone(ns, "example.com",
             SOA "@ 600 SOA NS1 host 7 3600 900 604800 60\na CNAME b\na CNAME B\n"
                 "t TXT a\nt TXT A\nt TXT a\n");
    compile(ns);
    expect(ns, "a.example.com", WIRE_CNAME, "AN a.example.com. 300 IN CNAME b.example.com.\n");
    expect(ns, "t.example.com", WIRE_TXT,
           "AN t.example.com. 300 IN TXT \"a\"\nAN t.example.com. 300 IN TXT \"A\"\n");
    namespace_free(ns);
}

static void a_set_larger_than_a_message_is_refused(void **state)
{
    struct error err = { 0 };
    struct namespace *ns = begin();

    (void)state;
    assert_int_equal(
        try_zone(ns, "example.com", SOA "$GENERATE 0-9999 a TYPE1 \\# 4 ${0,8,x}\n", &err),
        -EINVAL);
    assert_int_equal(err.line, 3);
    namespace_free(ns);

    ns = begin();
    add_zone(ns, "example.com", SOA "$GENERATE 0-3999 a TYPE1 \\# 4 ${0,8,x}\n");
    compile(ns);
    const struct node *node = namespace_find(ns, dname("a.example.com"), 15);
    assert_int_equal(namespace_answer(node, WIRE_A)->answers, 4000);
    namespace_free(ns);
    expect_compile_error(SOA "$GENERATE 0-3600 a PTR x$.y.example.net.\n", 3,
                         "a.example.com: the answer is larger than a message of 65535 bytes");
}

static void addresses_that_do_not_fit_are_left_out(void **state)
{
    struct namespace *ns = begin();

    (void)state;
    add_zone(ns, "example.com",
             SOA "@ NS big\n@ NS small\n$GENERATE 0-3999 big TYPE1 \\# 4 ${0,8,x}\n"
                 "$GENERATE 0-1999 big TXT x$\nmany MX 1 big\n"
                 "$GENERATE 0-3000 many MX $ x$.many\nsmall A 192.0.2.1\n");
    compile(ns);
    const struct node *node = namespace_find(ns, dname("many.example.com"), 18);
    const struct answer *answer = namespace_answer(node, WIRE_MX);
    assert_int_equal(answer->answers, 3002);
    assert_int_equal(answer->additionals, 0);
    assert_int_equal(answer->length, answer->core_length);
    namespace_free(ns);
}

/* ---- several zones ---- */

static void a_zone_below_another_holds_its_names(void **state)
{
    static const char *const parent = SOA "@ NS ns1\nsub NS ns.sub\nns.sub A 192.0.2.1\n"
                                          "other.ns.sub AAAA 2001:db8::1\nwww A 192.0.2.2\n";
    static const char *const child = SOA "@ NS ns9\nwww A 192.0.2.3\n";

    (void)state;
    for (int order = 0; order < 2; order++) {
        struct namespace *ns = begin();
        add_zone(ns, order == 0 ? "example.com" : "sub.example.com", order == 0 ? parent : child);
        add_zone(ns, order == 1 ? "example.com" : "sub.example.com", order == 1 ? parent : child);
        compile(ns);
        expect(ns, "sub.example.com", WIRE_NS,
               "AN sub.example.com. 300 IN NS ns9.sub.example.com.\n");
        expect(ns, "www.sub.example.com", WIRE_A, "AN www.sub.example.com. 300 IN A 192.0.2.3\n");
        /* glue is no data of the zone below */
        expect(ns, "ns.sub.example.com", WIRE_A, "NXDOMAIN\n" NEGATIVE("sub.example.com"));
        expect(ns, "other.ns.sub.example.com", WIRE_A, "NXDOMAIN\n" NEGATIVE("sub.example.com"));
        expect(ns, "www.example.com", WIRE_A, "AN www.example.com. 300 IN A 192.0.2.2\n");
        expect(ns, "sub.example.com", WIRE_SOA,
               "AN sub.example.com. 600 IN SOA ns1.sub.example.com. host.sub.example.com. 7 3600 "
               "900 604800 60\n");
        namespace_free(ns);
    }
}

static void other_data_of_a_zone_below_is_refused_in_the_one_above(void **state)
{
    static const char *const strays[] = { "www.sub A 192.0.2.1\n", "sub TXT x\n",
                                          "sub NS ns.sub\nwww.sub TXT x\n", "sub CNAME b\n" };
    static const unsigned lines[] = { 3, 3, 4, 3 };

    (void)state;
    for (size_t i = 0; i < sizeof(strays) / sizeof(strays[0]); i++) {
        struct namespace *ns = begin();
        struct error err = { 0 };
        char zone[256];
        add_zone(ns, "sub.example.com", SOA);
        (void)snprintf(zone, sizeof(zone), "%s%s", SOA, strays[i]);
        add_zone(ns, "example.com", zone);
        assert_int_equal(namespace_compile(ns, &err), -EINVAL);
        assert_string_equal(err.path, scratch.path);
        assert_int_equal(err.line, lines[i]);
        assert_non_null(strstr(err.message, "belongs to the zone sub.example.com"));
        assert_non_null(strstr(err.hint, "move the record to "));
        namespace_free(ns);
    }
}

static void a_second_zone_of_one_name_is_refused(void **state)
{
    struct namespace *ns = begin();
    struct error err = { 0 };

    (void)state;
    add_zone(ns, "example.com", SOA);
    assert_int_equal(try_zone(ns, "example.com", SOA, &err), -EEXIST);
    assert_int_equal(namespace_add_empty(ns, dname("example.com"), NULL, 0, 1, &err), -EEXIST);
    namespace_free(ns);
}

static void the_root_can_be_a_zone(void **state)
{
    struct namespace *ns = begin();

    (void)state;
    add_zone(ns, ".", SOA "com A 192.0.2.1\n@ NS com\n");
    compile(ns);
    expect(ns, "com", WIRE_A, "AN com. 300 IN A 192.0.2.1\n");
    expect(ns, ".", WIRE_NS, "AN . 300 IN NS com.\nAD com. 300 IN A 192.0.2.1\n");
    expect(ns, "a.b.c", WIRE_A, "NXDOMAIN\nAU . 60 IN SOA ns1. host. 7 3600 900 604800 60\n");
    namespace_free(ns);
}

/* ---- services ---- */

static void a_service_without_a_zone_makes_one_up(void **state)
{
    struct namespace *ns = begin();
    struct error err = { 0 };

    (void)state;
    add_service(ns, "api.example.com");
    add_service(ns, "v2.api.example.com");
    assert_int_equal(namespace_add_service(ns, dname("api.example.com"), &a_service, 30, &err),
                     -EEXIST);
    compile(ns);
    expect(ns, "api.example.com", WIRE_A, "service\n");
    expect(ns, "v2.api.example.com", WIRE_AAAA, "service\n");
    expect(ns, "api.example.com", WIRE_TXT,
           "AU api.example.com. 30 IN SOA api.example.com. hostmaster.api.example.com. 1 3600 900 "
           "604800 30\n");
    expect(ns, "v3.api.example.com", WIRE_A,
           "NXDOMAIN\nAU api.example.com. 30 IN SOA api.example.com. hostmaster.api.example.com. "
           "1 3600 900 604800 30\n");
    expect(ns, "example.com", WIRE_A, "not ours\n");
    namespace_free(ns);
}

static void an_empty_zone_names_its_servers(void **state)
{
    struct namespace *ns = begin();
    struct error err = { 0 };
    const uint8_t *servers[] = { dname("ns1.example.com"), dname("ns2.example.net") };

    (void)state;
    assert_int_equal(namespace_add_empty(ns, dname("svc.example.com"), servers, 2, 20, &err), 0);
    add_service(ns, "a.svc.example.com");
    compile(ns);
    expect(ns, "svc.example.com", WIRE_NS,
           "AN svc.example.com. 3600 IN NS ns1.example.com.\n"
           "AN svc.example.com. 3600 IN NS ns2.example.net.\n");
    expect(ns, "b.svc.example.com", WIRE_A,
           "NXDOMAIN\nAU svc.example.com. 20 IN SOA ns1.example.com. hostmaster.svc.example.com. "
           "1 3600 900 604800 20\n");
    assert_null(namespace_zone(ns, dname("svc.example.com"))->file);
    namespace_free(ns);
}

static void a_service_may_not_be_a_cname(void **state)
{
    struct namespace *ns = begin();
    struct error err = { 0 };

    (void)state;
    add_zone(ns, "example.com", SOA "a CNAME b\n");
    assert_int_equal(namespace_add_service(ns, dname("a.example.com"), &a_service, 30, &err),
                     -EEXIST);
    assert_string_equal(err.path, scratch.path);
    assert_int_equal(err.line, 3);
    namespace_free(ns);
}

static void a_made_up_zone_with_the_longest_name_has_a_sound_soa(void **state)
{
    struct namespace *ns = begin();
    char name[300];
    struct error err = { 0 };

    (void)state;
    memset(name, 'a', sizeof(name));
    name[62] = name[125] = name[188] = '.';
    name[253 - 2] = '\0';
    add_service(ns, name);
    assert_int_equal(namespace_compile(ns, &err), 0);
    const struct zone *zone = ns->zones;
    assert_int_equal(zone->negative.length, 12 + 2 * zone->length + 20);
    namespace_free(ns);
}

/* ---- the table ---- */

static void ten_thousand_names_are_found_and_no_others(void **state)
{
    struct namespace *ns = begin();

    (void)state;
    add_zone(ns, "example.com", SOA "$GENERATE 0-9999 h$.deep A 192.0.2.1\n");
    compile(ns);
    assert_int_equal(ns->node_count, 10002); /* and the apex, and "deep" */
    assert_true(ns->node_count * 2 <= ns->slot_mask + 1);
    for (int i = 0; i < 20000; i++) {
        char name[64];
        (void)snprintf(name, sizeof(name), "h%d.deep.example.com", i);
        const uint8_t *bytes = dname(name);
        const struct node *node = namespace_find(ns, bytes, name_length(bytes));
        assert_true((node != NULL) == (i < 10000));
        const struct node *encloser =
            namespace_encloser(ns, bytes, name_length(bytes), name_labels(bytes));
        assert_int_equal(name_labels(encloser->dname), 3);
    }
    namespace_free(ns);
}

static void long_names_are_enclosed_too(void **state)
{
    struct namespace *ns = begin();
    uint8_t name[NAME_MAX_BYTES];

    (void)state;
    add_zone(ns, "x", SOA);
    compile(ns);
    for (size_t i = 0; i < 127; i++) {
        name[2 * i] = 1;
        name[2 * i + 1] = i == 126 ? 'x' : 'a';
    }
    name[254] = 0;
    assert_ptr_equal(namespace_encloser(ns, name, 255, name_labels(name)), ns->nodes);
    name[253] = 'y';
    assert_null(namespace_encloser(ns, name, 255, name_labels(name)));
    namespace_free(ns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_nodata_and_nxdomain_are_told_apart),
        cmocka_unit_test(any_is_answered_with_hinfo_where_there_is_data),
        cmocka_unit_test(targets_bring_their_addresses_unless_they_are_services),
        cmocka_unit_test(names_are_compressed_but_not_in_srv),
        cmocka_unit_test(an_answer_does_not_depend_on_the_hash_key),
        cmocka_unit_test(a_chain_is_followed_through_all_zones),
        cmocka_unit_test(a_chain_into_a_service_has_it_as_its_tail),
        cmocka_unit_test(circles_of_cnames_are_refused_by_name),
        cmocka_unit_test(sixteen_cnames_are_followed_and_seventeen_refused),
        cmocka_unit_test(broken_zones_are_refused_with_their_place),
        cmocka_unit_test(what_shows_late_is_refused_with_its_place),
        cmocka_unit_test(identical_records_are_one),
        cmocka_unit_test(a_set_larger_than_a_message_is_refused),
        cmocka_unit_test(addresses_that_do_not_fit_are_left_out),
        cmocka_unit_test(a_zone_below_another_holds_its_names),
        cmocka_unit_test(other_data_of_a_zone_below_is_refused_in_the_one_above),
        cmocka_unit_test(a_second_zone_of_one_name_is_refused),
        cmocka_unit_test(the_root_can_be_a_zone),
        cmocka_unit_test(a_service_without_a_zone_makes_one_up),
        cmocka_unit_test(an_empty_zone_names_its_servers),
        cmocka_unit_test(a_service_may_not_be_a_cname),
        cmocka_unit_test(a_made_up_zone_with_the_longest_name_has_a_sound_soa),
        cmocka_unit_test(ten_thousand_names_are_found_and_no_others),
        cmocka_unit_test(long_names_are_enclosed_too),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
