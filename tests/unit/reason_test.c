#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "no_malloc.h"
#include "resolver/laggards.h"
#include "resolver/reason.h"
#include "world.h"

static const char yaml[] =
    "node: {name: t, region: seoul}\n"
    "listen: [127.0.0.1:5300]\n"
    "access: {recursion: [loopback]}\n"
    "checks:\n"
    "  open: {tcp: {port: 80}, fall: 3}\n"
    "  canary: {dns: {name: canary.example.com, server: 192.0.2.53}, fall: 3}\n"
    "regions:\n"
    "  seoul: {minimum_healthy: 1, checks: [canary]}\n"
    "  tokyo: {minimum_healthy: 0}\n"
    "views: {inside: {clients: [127.0.0.0/8]}}\n"
    "services:\n"
    "  api.svc.example.com:\n"
    "    order: [seoul, tokyo]\n"
    "    ttl: {normal: 30s, suspect: 5s}\n"
    "    minimum_healthy: 1\n"
    "    endpoints: {seoul: [192.0.2.1, 192.0.2.2], tokyo: [198.51.100.1]}\n"
    "  far.svc.example.com:\n"
    "    order: [seoul, tokyo]\n"
    "    minimum_healthy: 1\n"
    "    ttl: {normal: 30s, suspect: 5s}\n"
    "    check: open\n"
    "    endpoints: {seoul: [192.0.2.1, 192.0.2.2], tokyo: [198.51.100.1]}\n"
    "  seen.svc.example.com:\n"
    "    order: [seoul, tokyo]\n"
    "    policy: nearest\n"
    "    minimum_healthy: 1\n"
    "    endpoints: {seoul: [192.0.2.1], tokyo: [198.51.100.1]}\n"
    "    views: {inside: {endpoints: {seoul: [10.0.0.1], tokyo: [10.1.0.1]}}}\n"
    "zones: {svc.example.com: {nameservers: [ns1.example.com]}}\n"
    "forward: {\".\": {upstreams: [127.0.0.1:1]}}\n";

/* The probe whose label holds these words. */
static struct health_probe *probe_of(struct world *w, const char *words)
{
    for (size_t i = 0; i < health_probe_count(w->health); i++) {
        struct health_probe *probe = health_probe(w->health, i);
        if (probe->used && strstr(probe->label, words) != NULL) {
            return probe;
        }
    }
    fail_msg("no probe %s", words);
    return NULL;
}

static void give(struct world *w, const char *words, unsigned times, enum detect_outcome outcome,
                 const char *reason, uint64_t now_ms)
{
    struct health_probe *probe = probe_of(w, words);

    for (unsigned i = 0; i < times; i++) {
        uint32_t number = health_probe_sent(w->health, probe, now_ms);
        health_probe_result(w->health, probe, number, outcome, false, reason, now_ms);
    }
}

/* Everything passes once. */
static void pass_all(struct world *w)
{
    for (size_t i = 0; i < health_probe_count(w->health); i++) {
        give(w, health_probe(w->health, i)->label, 1, DETECT_PASS, "well", 2000);
    }
}

static int set_up(void **state)
{
    struct world *world = __real_malloc(sizeof(*world));

    if (world == NULL || !world_init(world, yaml)) {
        return -1;
    }
    pass_all(world);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    world_fini(*state);
    free(*state);
    return 0;
}

/* Ask with an OPT that holds these options. */
static void ask_with(struct world *w, const char *name, uint16_t type, uint16_t payload,
                     const void *options, size_t size)
{
    uint8_t dname[NAME_MAX_BYTES];
    struct error err;

    assert_true(name_parse(name, dname, &err) > 0);
    w->length = wire_query_build(w->message, 7, WIRE_RD, dname, type, WIRE_IN, payload, false);
    wire_put16(w->message + w->length - 2, (uint16_t)size);
    memcpy(w->message + w->length, options, size);
    w->length += size;
    forbidden_calls = 0;
    forbidden = true;
    enum query_verdict verdict = world_answer(w);
    forbidden = false;
    assert_int_equal(verdict, QUERY_SEND);
    assert_int_equal(forbidden_calls, 0);
    assert_true(wire_response_sound(w->message, w->length));
}

/* The text of the answer's extended error; NULL: it has none. The options end the message. */
static const char *explained(struct world *w)
{
    static char text[REASON_TEXT_MAX + 1];
    struct wire_record record;
    unsigned records = world_count(w, 0) + world_count(w, 1) + world_count(w, 2);

    for (unsigned i = 0; i < records && world_record(w, i, &record); i++) {
        const uint8_t *at = w->message + record.rdata_at;
        const uint8_t *end = at + record.rdata_length;
        for (; record.type == WIRE_OPT && at < end; at += 4 + wire_get16(at + 2)) {
            if (wire_get16(at) == WIRE_ERROR) {
                size_t length = wire_get16(at + 2) - 2u;
                assert_int_equal(wire_get16(at + 4), 0);
                assert_true(length <= REASON_TEXT_MAX);
                memcpy(text, at + 6, length);
                text[length] = '\0';
                return text;
            }
        }
    }
    return NULL;
}

static const uint8_t wish[] = { 0, 15, 0, 0 }; /* the option, empty */

static void who_asks_is_told_why(void **state)
{
    struct world *w = *state;

    ask_with(w, "api.svc.example.com", WIRE_A, 1232, wish, sizeof(wish));
    assert_int_equal(world_count(w, 0), 2);
    assert_string_equal(explained(w), "api.svc.example.com for 127.0.0.1/32: rung 1 (in): "
                                      "seoul (in, 2 of 2 up); ttl 30 s; if seoul fails: tokyo; "
                                      "not tokyo (in, 1 of 1 up)");
}

static void nobody_else_is(void **state)
{
    struct world *w = *state;

    assert_int_equal(world_ask(w, "api.svc.example.com", WIRE_A, 1232), QUERY_SEND);
    assert_null(explained(w));
    ask_with(w, "ns1.svc.example.com", WIRE_A, 1232, wish, sizeof(wish)); /* no service */
    assert_null(explained(w));
}

static void whatever_the_option_holds(void **state)
{
    static const uint8_t full[] = { 0, 15, 0, 6, 0, 22, 'w', 'h', 'y', '?' };
    struct world *w = *state;

    ask_with(w, "api.svc.example.com", WIRE_A, 1232, full, sizeof(full));
    assert_non_null(explained(w));
}

static void a_drained_region_is_named_since_when_and_until_when(void **state)
{
    struct world *w = *state;

    assert_true(health_override(w->health, "seoul", HEALTH_REGION_DRAINED, true, 2000));
    w->thread.now_ms = 2000 + 192 * 1000;
    ask_with(w, "api.svc.example.com", WIRE_A, 1232, wish, sizeof(wish));
    assert_string_equal(explained(w),
                        "api.svc.example.com for 127.0.0.1/32: rung 1 (in): tokyo (in, 1 of 1 up); "
                        "ttl 30 s; if tokyo fails: seoul; not seoul (drained for 3m 12s, "
                        "2 of 2 up; until it is released)");
}

/* ---- what is not well ---- */

static void what_is_down_is_told_since_when_by_which_check_and_on_what(void **state)
{
    struct world *w = *state;

    give(w, "seoul tcp 192.0.2.2:80", 3, DETECT_STRONG, "connection refused", 3000);
    w->thread.now_ms = 3000 + 40 * 1000;
    ask_with(w, "far.svc.example.com", WIRE_A, 1232, wish, sizeof(wish));
    assert_int_equal(world_count(w, 0), 1);
    assert_string_equal(explained(w),
                        "far.svc.example.com for 127.0.0.1/32: rung 1 (in): seoul (in, 1 of 2 up; "
                        "192.0.2.2 down for 40s: seoul tcp 192.0.2.2:80: connection refused, "
                        "3 of 3 in a row); ttl 30 s; if seoul fails: tokyo; not tokyo (in, "
                        "1 of 1 up)");

    give(w, "seoul tcp 192.0.2.1:80", 3, DETECT_STRONG, "connection refused", 4000);
    ask_with(w, "far.svc.example.com", WIRE_A, 1232, wish, sizeof(wish));
    assert_non_null(strstr(explained(w),
                           "not seoul (in, 0 of 2 up; 192.0.2.1 down for 39s: seoul tcp "
                           "192.0.2.1:80: connection refused, 3 of 3 in a row and 1 more; "
                           "back 10s after they pass)"));
}

static void what_passes_again_is_told_with_the_time_it_has_left(void **state)
{
    struct world *w = *state;

    give(w, "seoul tcp 192.0.2.2:80", 3, DETECT_STRONG, "connection refused", 3000);
    give(w, "seoul tcp 192.0.2.1:80", 3, DETECT_STRONG, "connection refused", 3000);
    give(w, "seoul tcp 192.0.2.1:80", 2, DETECT_PASS, "accepted", 4000);
    w->thread.now_ms = 6000;
    ask_with(w, "far.svc.example.com", WIRE_A, 1232, wish, sizeof(wish));
    assert_non_null(strstr(explained(w),
                           "192.0.2.1 in hold_down for 2s: seoul tcp 192.0.2.1:80 passes again "
                           "and 1 more; back in 8s)"));
}

static void a_gated_region_is_told_with_its_check(void **state)
{
    struct world *w = *state;

    give(w, "192.0.2.53", 3, DETECT_STRONG, "SERVFAIL", 3000);
    w->thread.now_ms = 3000 + 26 * 3600 * 1000;
    ask_with(w, "far.svc.example.com", WIRE_A, 1232, wish, sizeof(wish));
    const char *text = explained(w);
    assert_non_null(strstr(text, "rung 1 (in): tokyo (in, 1 of 1 up); ttl 30 s; "
                                 "if tokyo fails: seoul; "));
    assert_non_null(strstr(text, "not seoul (gated by its own checks for 1d 2h: 0 of 1 checks "
                                 "pass, minimum_healthy 1; seoul "));
    assert_non_null(strstr(text, ": SERVFAIL, 3 of 3 in a row; 2 of 2 up; back 10s after they "
                                 "pass)"));
    give(w, "192.0.2.53", 2, DETECT_PASS, "answered", 4000);
    ask_with(w, "far.svc.example.com", WIRE_A, 1232, wish, sizeof(wish));
    assert_non_null(strstr(explained(w), "not seoul (in hold_down for "));
    assert_non_null(strstr(explained(w), " passes again; 2 of 2 up; back in 0ms)"));
}

static void what_is_well_again_is_told_no_more(void **state)
{
    struct world *w = *state;

    ask_with(w, "far.svc.example.com", WIRE_A, 1232, wish, sizeof(wish));
    char before[REASON_TEXT_MAX + 1];
    (void)snprintf(before, sizeof(before), "%s", explained(w));
    give(w, "192.0.2.53", 3, DETECT_STRONG, "SERVFAIL", 3000);
    give(w, "seoul tcp 192.0.2.1:80", 3, DETECT_STRONG, "connection refused", 3000);
    for (uint64_t now_ms = 4000; now_ms < 20000; now_ms += 500) {
        give(w, "192.0.2.53", 1, DETECT_PASS, "answered", now_ms);
        give(w, "seoul tcp 192.0.2.1:80", 1, DETECT_PASS, "accepted", now_ms);
    }
    w->thread.now_ms = 20000;
    ask_with(w, "far.svc.example.com", WIRE_A, 1232, wish, sizeof(wish));
    assert_string_equal(explained(w), before);
}

static void the_answer_is_whole_however_much_there_is_to_say(void **state)
{
    struct world *w = *state;

    give(w, "192.0.2.53", 3, DETECT_STRONG, "SERVFAIL", 3000);
    give(w, "seoul tcp 192.0.2.1:80", 3, DETECT_STRONG, "connection refused", 3000);
    for (uint16_t payload = 512; payload <= 1232; payload++) {
        ask_with(w, "far.svc.example.com", WIRE_A, payload, wish, sizeof(wish));
        assert_int_equal(world_count(w, 0), 1);
        assert_int_equal(world_flags(w) & WIRE_TC, 0);
        assert_true(w->length <= payload);
        assert_non_null(explained(w));
    }
}

static void view_and_place_are_told(void **state)
{
    struct world *w = *state;

    ask_with(w, "seen.svc.example.com", WIRE_A, 1232, wish, sizeof(wish));
    assert_non_null(strstr(explained(w), "for 127.0.0.1/32, view inside, nearest seoul: rung 1"));
}

static void it_comes_beside_the_clients_subnet(void **state)
{
    static const uint8_t both[] = { 0, 8, 0, 7, 0, 1, 24, 0, 192, 0, 2, 0, 15, 0, 0 };
    struct world *w = *state;

    ask_with(w, "seen.svc.example.com", WIRE_A, 1232, both, sizeof(both));
    assert_non_null(strstr(explained(w), "for 192.0.2.0/24"));
}

static void it_never_grows_beyond_the_payload(void **state)
{
    struct world *w = *state;

    for (uint16_t payload = 512; payload < 700; payload++) {
        ask_with(w, "api.svc.example.com", WIRE_AAAA, payload, wish, sizeof(wish));
        assert_true(w->length <= payload);
        ask_with(w, "seen.svc.example.com", WIRE_A, payload, wish, sizeof(wish));
        assert_true(w->length <= payload);
        assert_non_null(explained(w));
    }
}

static void what_is_cut_ends_in_dots(void **state)
{
    struct world *w = *state;
    char text[REASON_TEXT_MAX];

    const struct query_client client = { .source = (const struct sockaddr *)&w->source };

    (void)world_ask(w, "api.svc.example.com", WIRE_A, 1232);
    w->thread.client = &client; /* else only for the time of the call */
    size_t whole = reason_put(&w->thread, w->snapshot, text, sizeof(text));
    assert_true(whole > REASON_TEXT_LEAST);
    for (size_t cap = 0; cap < whole; cap++) {
        size_t length = reason_put(&w->thread, w->snapshot, text, cap);
        assert_true(length <= cap);
        assert_true(cap < REASON_TEXT_LEAST ? length == 0
                                            : memcmp(text + length - 3, "...", 3) == 0);
    }
}

/* ---- clients remembered ---- */

struct seen {
    unsigned count;
    struct laggards_answer last;
};

static void on_answer(void *user, const struct laggards_answer *answer)
{
    struct seen *seen = user;

    seen->count++;
    seen->last = *answer;
}

static void a_client_is_remembered_with_its_regions(void **state)
{
    static const uint8_t dname[] = "\3api\3svc\7example\3com";
    struct world *w = *state;
    struct laggards *laggards = laggards_new(100);
    struct seen seen = { 0 };

    assert_non_null(laggards);
    atomic_store(&w->thread.laggards, laggards);
    w->thread.now_ms = 5000;
    ask_with(w, "api.svc.example.com", WIRE_A, 1232, wish, sizeof(wish));
    ask_with(w, "api.svc.example.com", WIRE_A, 1232, wish, 0);
    assert_int_equal(world_ask(w, "api.svc.example.com", WIRE_TXT, 1232), QUERY_SEND);
    laggards_walk(laggards, laggards_key(dname, sizeof(dname)), on_answer, &seen);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.last.regions, laggards_key("seoul", 5));
    assert_int_equal(seen.last.ttl_s, 30);
    assert_int_equal(seen.last.asked_ms, 5000);
    assert_int_equal(seen.last.known_bits, 32);
    assert_memory_equal(seen.last.client.bytes, "\x7f\0\0\1", 4);
    laggards_free(laggards);
    atomic_store(&w->thread.laggards, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(who_asks_is_told_why, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nobody_else_is, set_up, tear_down),
        cmocka_unit_test_setup_teardown(whatever_the_option_holds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_drained_region_is_named_since_when_and_until_when, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_is_down_is_told_since_when_by_which_check_and_on_what,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_passes_again_is_told_with_the_time_it_has_left, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_gated_region_is_told_with_its_check, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_well_again_is_told_no_more, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_answer_is_whole_however_much_there_is_to_say, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(view_and_place_are_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_comes_beside_the_clients_subnet, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_never_grows_beyond_the_payload, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_cut_ends_in_dots, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_client_is_remembered_with_its_regions, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
