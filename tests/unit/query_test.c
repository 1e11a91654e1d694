#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "no_malloc.h"
#include "world.h"

static const char yaml[] =
    "node: {name: t, region: seoul}\n"
    "listen: [127.0.0.1:5300]\n"
    "access: {recursion: [loopback]}\n"
    "regions: {seoul: {minimum_healthy: 0}, tokyo: {minimum_healthy: 0}}\n"
    "services:\n"
    "  api.svc.example.com:\n"
    "    order: [seoul, tokyo]\n"
    "    ttl: {normal: 30s, suspect: 5s}\n"
    "    minimum_healthy: 1\n"
    "    endpoints: {seoul: [192.0.2.1, 192.0.2.2], tokyo: [198.51.100.1]}\n"
    "  many.svc.example.com:\n"
    "    order: [seoul]\n"
    "    minimum_healthy: 1\n"
    "    max_addresses: 64\n"
    "    endpoints: {seoul: [192.0.2.1, 192.0.2.2, 192.0.2.3, 192.0.2.4, 192.0.2.5,\n"
    "      192.0.2.6, 192.0.2.7, 192.0.2.8, 192.0.2.9, 192.0.2.10, 192.0.2.11, 192.0.2.12,\n"
    "      192.0.2.13, 192.0.2.14, 192.0.2.15, 192.0.2.16, 192.0.2.17, 192.0.2.18, 192.0.2.19,\n"
    "      192.0.2.20, 192.0.2.21, 192.0.2.22, 192.0.2.23, 192.0.2.24, 192.0.2.25, 192.0.2.26,\n"
    "      192.0.2.27, 192.0.2.28, 192.0.2.29, 192.0.2.30, 192.0.2.31, 192.0.2.32]}\n"
    "  lone.example.net:\n"
    "    order: [seoul]\n"
    "    minimum_healthy: 1\n"
    "    endpoints: {seoul: [\"2001:db8::1\"]}\n"
    "zones: {svc.example.com: {nameservers: [ns1.example.com]}}\n"
    "forward: {\".\": {upstreams: [127.0.0.1:1]}}\n";

static int set_up(void **state)
{
    struct world *world = __real_malloc(sizeof(*world));

    if (world == NULL || !world_init(world, yaml)) {
        return -1;
    }
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    world_fini(*state);
    free(*state);
    return 0;
}

static void a_service_answers_with_its_first_region(void **state)
{
    struct world *w = *state;
    struct wire_record record;
    unsigned seen = 0;

    assert_int_equal(world_ask(w, "api.svc.example.com", WIRE_A, 1232), QUERY_SEND);
    assert_int_equal(world_rcode(w), WIRE_NOERROR);
    assert_true((world_flags(w) & WIRE_AA) != 0);
    assert_int_equal(world_count(w, 0), 2);
    for (unsigned i = 0; i < 2; i++) {
        assert_true(world_record(w, i, &record));
        assert_int_equal(record.type, WIRE_A);
        assert_int_equal(record.ttl_s, 30);
        assert_memory_equal(w->message + record.rdata_at, "\xc0\x00\x02", 3);
        seen |= 1u << w->message[record.rdata_at + 3];
    }
    assert_int_equal(seen, 1u << 1 | 1u << 2);
}

static void the_letter_case_of_the_question_is_kept(void **state)
{
    struct world *w = *state;

    assert_int_equal(world_ask(w, "aPi.SVC.example.COM", WIRE_A, 0), QUERY_SEND);
    assert_int_equal(world_count(w, 0), 2);
    assert_memory_equal(w->message + WIRE_QUESTION, "\3aPi\3SVC\7example\3COM", 21);
}

static void a_family_without_endpoints_is_nodata_with_the_soa(void **state)
{
    struct world *w = *state;
    struct wire_record record;
    uint8_t apex[NAME_MAX_BYTES];
    struct error err;

    (void)name_parse("svc.example.com", apex, &err);
    assert_int_equal(world_ask(w, "api.svc.example.com", WIRE_AAAA, 0), QUERY_SEND);
    assert_int_equal(world_rcode(w), WIRE_NOERROR);
    assert_int_equal(world_count(w, 0), 0);
    assert_int_equal(world_count(w, 1), 1);
    assert_true(world_record(w, 0, &record));
    assert_int_equal(record.type, WIRE_SOA);
    assert_true(name_equal(record.owner, apex));
}

static void a_name_that_does_not_exist_is_nxdomain_with_the_soa(void **state)
{
    struct world *w = *state;
    struct wire_record record;

    assert_int_equal(world_ask(w, "a.b.nothing.svc.example.com", WIRE_A, 0), QUERY_SEND);
    assert_int_equal(world_rcode(w), WIRE_NXDOMAIN);
    assert_true((world_flags(w) & WIRE_AA) != 0);
    assert_true(world_record(w, 0, &record));
    assert_int_equal(record.type, WIRE_SOA);
    assert_int_equal(name_labels(record.owner), 3);
}

static void a_service_outside_every_zone_is_its_own(void **state)
{
    struct world *w = *state;
    struct wire_record record;

    assert_int_equal(world_ask(w, "lone.example.net", WIRE_AAAA, 0), QUERY_SEND);
    assert_int_equal(world_count(w, 0), 1);
    assert_int_equal(world_ask(w, "lone.example.net", WIRE_SOA, 0), QUERY_SEND);
    assert_int_equal(world_count(w, 0), 1);
    assert_int_equal(world_ask(w, "below.lone.example.net", WIRE_A, 0), QUERY_SEND);
    assert_int_equal(world_rcode(w), WIRE_NXDOMAIN);
    assert_true(world_record(w, 0, &record));
    assert_int_equal(name_labels(record.owner), 3);
}

static void an_answer_that_does_not_fit_is_cut_with_tc(void **state)
{
    struct world *w = *state;

    assert_int_equal(world_ask(w, "many.svc.example.com", WIRE_A, 0), QUERY_SEND);
    assert_true((world_flags(w) & WIRE_TC) != 0);
    assert_int_equal(world_count(w, 0), 0);
    assert_true(w->length <= WIRE_UDP_PLAIN);
    assert_int_equal(world_ask(w, "many.svc.example.com", WIRE_A, 1232), QUERY_SEND);
    assert_true((world_flags(w) & WIRE_TC) == 0);
    assert_int_equal(world_count(w, 0), 32);
    w->stream = true;
    assert_int_equal(world_ask(w, "many.svc.example.com", WIRE_A, 0), QUERY_SEND);
    w->stream = false;
    assert_int_equal(world_count(w, 0), 32);
}

static void other_names_are_forwarded_for_those_who_may_recurse(void **state)
{
    struct world *w = *state;

    assert_int_equal(world_ask(w, "www.example.org", WIRE_A, 0), QUERY_FORWARD);
    w->source.sin_addr.s_addr = htonl(0xc0000263); /* 192.0.2.99 */
    assert_int_equal(world_ask(w, "www.example.org", WIRE_A, 0), QUERY_SEND);
    assert_int_equal(world_rcode(w), WIRE_REFUSED);
    assert_true((world_flags(w) & WIRE_RA) == 0);
    w->source.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    w->local_is_loopback = false;
    assert_int_equal(world_ask(w, "www.example.org", WIRE_A, 0), QUERY_SEND);
    assert_int_equal(world_rcode(w), WIRE_REFUSED);
    w->local_is_loopback = true;
    /* RD clear: nothing is asked elsewhere */
    (void)world_ask(w, "www.example.org", WIRE_A, 0);
    wire_put16(w->message + 2, 0);
    assert_int_equal(world_answer(w), QUERY_SEND);
    assert_int_equal(world_rcode(w), WIRE_REFUSED);
}

static void an_unknown_edns_version_is_badvers(void **state)
{
    struct world *w = *state;

    w->length = wire_query_build(w->message, 7, 0, (const uint8_t *)"\3api\3svc\7example\3com",
                                 WIRE_A, WIRE_IN, 1232, true);
    w->message[w->length - WIRE_OPT_BYTES + 6] = 1;
    assert_int_equal(world_answer(w), QUERY_SEND);
    assert_int_equal(world_rcode(w), 0);
    assert_int_equal(world_count(w, 0), 0);
    assert_int_equal(world_count(w, 2), 1);
    const uint8_t *opt = w->message + w->length - WIRE_OPT_BYTES;
    assert_int_equal(opt[5], WIRE_BADVERS >> 4);
    assert_int_equal(opt[6], 0);
    assert_int_equal(opt[7] & 0x80, 0x80); /* DO comes back */
    assert_int_equal(w->counters.by_rcode[WIRE_BADVERS], 1);
}

static void what_is_no_query_gets_the_right_error_or_none(void **state)
{
    struct world *w = *state;
    static const uint8_t name[] = "\3api\3svc\7example\3com";

    /* a response is never answered */
    w->length = wire_query_build(w->message, 7, WIRE_QR, name, WIRE_A, WIRE_IN, 0, false);
    assert_int_equal(world_answer(w), QUERY_DROP);
    w->length = 11;
    assert_int_equal(world_answer(w), QUERY_DROP);
    /* another opcode: NOTIMP, its opcode kept */
    w->length =
        wire_query_build(w->message, 7, 4u << WIRE_OPCODE_SHIFT, name, WIRE_SOA, WIRE_IN, 0, false);
    assert_int_equal(world_answer(w), QUERY_SEND);
    assert_int_equal(world_rcode(w), WIRE_NOTIMP);
    assert_int_equal(w->length, WIRE_HEADER_BYTES);
    /* two questions, a cut name, OPT as a type: FORMERR */
    w->length = wire_query_build(w->message, 7, 0, name, WIRE_A, WIRE_IN, 0, false);
    wire_put16(w->message + 4, 2);
    assert_int_equal(world_answer(w), QUERY_SEND);
    assert_int_equal(world_rcode(w), WIRE_FORMERR);
    w->length = wire_query_build(w->message, 7, 0, name, WIRE_A, WIRE_IN, 0, false) - 3;
    assert_int_equal(world_answer(w), QUERY_SEND);
    assert_int_equal(world_rcode(w), WIRE_FORMERR);
    w->length = wire_query_build(w->message, 7, 0, name, WIRE_OPT, WIRE_IN, 0, false);
    assert_int_equal(world_answer(w), QUERY_SEND);
    assert_int_equal(world_rcode(w), WIRE_FORMERR);
    /* another class, a transfer: REFUSED */
    w->length = wire_query_build(w->message, 7, 0, name, WIRE_TXT, 3, 0, false);
    assert_int_equal(world_answer(w), QUERY_SEND);
    assert_int_equal(world_rcode(w), WIRE_REFUSED);
    w->length = wire_query_build(w->message, 7, 0, name, WIRE_AXFR, WIRE_IN, 0, false);
    assert_int_equal(world_answer(w), QUERY_SEND);
    assert_int_equal(world_rcode(w), WIRE_REFUSED);
}

static void no_answer_allocates(void **state)
{
    struct world *w = *state;
    static const char *const names[] = { "api.svc.example.com", "many.svc.example.com",
                                         "svc.example.com",     "nothing.svc.example.com",
                                         "lone.example.net",    "www.example.org" };
    static const uint16_t types[] = { WIRE_A, WIRE_AAAA, WIRE_NS, WIRE_SOA, WIRE_ANY, WIRE_TXT };

    forbidden_calls = 0;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        for (size_t k = 0; k < sizeof(types) / sizeof(types[0]); k++) {
            forbidden = true;
            enum query_verdict verdict = world_ask(w, names[i], types[k], 1232);
            forbidden = false;
            assert_true(verdict == QUERY_SEND || verdict == QUERY_FORWARD);
        }
    }
    assert_int_equal(forbidden_calls, 0);
    /* and the trap is a real one */
    forbidden = true;
    void *nothing = malloc(1);
    forbidden = false;
    assert_null(nothing);
    assert_int_equal(forbidden_calls, 1);
}

static void every_prefix_and_every_changed_byte_is_survived(void **state)
{
    struct world *w = *state;
    uint8_t whole[512];
    size_t length = wire_query_build(whole, 9, WIRE_RD, (const uint8_t *)"\3api\3svc\7example\3com",
                                     WIRE_A, WIRE_IN, 1232, true);

    for (size_t cut = 0; cut <= length; cut++) {
        memcpy(w->message, whole, length);
        w->length = cut;
        if (world_answer(w) == QUERY_SEND) {
            assert_true(w->length >= WIRE_HEADER_BYTES && w->length <= QUERY_UDP_BUFFER);
            assert_true((world_flags(w) & WIRE_QR) != 0);
        }
    }
    for (size_t at = 0; at < length; at++) {
        for (unsigned value = 0; value < 256; value++) {
            memcpy(w->message, whole, length);
            w->message[at] = (uint8_t)value;
            uint16_t id = wire_get16(w->message);
            w->length = length;
            if (world_answer(w) == QUERY_SEND) {
                assert_int_equal(wire_get16(w->message), id);
                assert_true(wire_response_sound(w->message, w->length));
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_service_answers_with_its_first_region),
        cmocka_unit_test(the_letter_case_of_the_question_is_kept),
        cmocka_unit_test(a_family_without_endpoints_is_nodata_with_the_soa),
        cmocka_unit_test(a_name_that_does_not_exist_is_nxdomain_with_the_soa),
        cmocka_unit_test(a_service_outside_every_zone_is_its_own),
        cmocka_unit_test(an_answer_that_does_not_fit_is_cut_with_tc),
        cmocka_unit_test(other_names_are_forwarded_for_those_who_may_recurse),
        cmocka_unit_test(an_unknown_edns_version_is_badvers),
        cmocka_unit_test(what_is_no_query_gets_the_right_error_or_none),
        cmocka_unit_test(no_answer_allocates),
        cmocka_unit_test(every_prefix_and_every_changed_byte_is_survived),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
