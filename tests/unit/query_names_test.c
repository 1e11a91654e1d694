#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "policy/expansion.h"
#include "scratch.h"
#include "world.h"

#define TARGET "elb.example.net"

/* api: a CNAME in seoul, an address in tokyo; www.svc.example.com is an alias of it. */
static const char config[] =
    "regions: {seoul: {minimum_healthy: 0}, tokyo: {minimum_healthy: 0}}\n"
    "zones: {svc.example.com: {file: %s}}\n"
    "services:\n"
    "  api.svc.example.com:\n"
    "    ttl: {normal: 30s, suspect: 5s}\n"
    "    minimum_healthy: 1\n"
    "    on_all_down: %s\n"
    "    endpoints:\n"
    "      seoul: [{hostname: " TARGET ", answer: %s}]\n"
    "      tokyo: [192.0.2.20]\n";

static const char zone[] = "@ 300 IN SOA ns hostmaster 1 2 3 4 60\n"
                           "@ 300 IN NS ns\n"
                           "ns 300 IN A 192.0.2.53\n"
                           "www 300 IN CNAME api\n";

struct wish {
    const char *answer; /* "cname" or "address" */
    const char *on_all_down;
    const char *addresses[3]; /* of the name, NULL: no more */
};

static struct world world;
static struct scratch scratch;

static size_t look_up(void *user, const uint8_t *dname, bool keep, struct addr out[EXPANSION_MOST])
{
    const struct wish *wish = user;
    struct error err;
    size_t count = 0;

    (void)dname;
    (void)keep;
    while (count < 3 && wish->addresses[count] != NULL) {
        assert_int_equal(addr_parse(wish->addresses[count], 0, &out[count], &err), 0);
        count++;
    }
    return count;
}

/* As world_init, with the names expanded. */
static void begin(const struct wish *wish)
{
    const struct hash_key key = { 1, 2 };
    struct config_report report = { 0 };
    struct model *model;
    struct error err = { 0 };
    char text[1024];

    scratch_init(&scratch);
    (void)snprintf(text, sizeof(text), config, scratch_write(&scratch, "zone", zone),
                   wish->on_all_down == NULL ? "all" : wish->on_all_down, wish->answer);
    memset(&world, 0, sizeof(world));
    if (config_load_text(text, "world.yaml", &model, &report) < 0) {
        fail_msg("%s", report.errors[0].message);
    }
    config_report_fini(&report);
    expansion_apply(model, look_up, (void *)(uintptr_t)wish);
    world.health = health_new(world_ignore, NULL);
    struct health_binding *binding = health_bind(world.health, model, 1000);
    if (snapshot_build(model, binding, NULL, &key, 1, &world.snapshot, &err) < 0) {
        fail_msg("%s", err.message);
    }
    health_commit(world.health, binding, 1000);
    query_thread_init(&world.thread, &world.counters);
    world.source = (struct sockaddr_in){ .sin_family = AF_INET,
                                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    world.local_is_loopback = true;
}

static void end(void)
{
    world_fini(&world);
    scratch_fini(&scratch);
}

/* The records of the answer as "type data", one a line. */
static void expect(const char *name, uint16_t type, const char *wanted)
{
    char shown[512] = "";
    size_t at = 0;

    assert_int_equal(world_ask(&world, name, type, 1232), QUERY_SEND);
    for (unsigned i = 0; i < world_count(&world, 0); i++) {
        struct wire_record record;
        char text[NAME_TEXT_MAX], owner[NAME_TEXT_MAX];
        assert_true(world_record(&world, i, &record));
        (void)name_format(record.owner, owner, sizeof(owner));
        if (record.type == WIRE_CNAME) {
            uint8_t target[NAME_MAX_BYTES];
            struct wire_reader reader;
            wire_reader_init(&reader, world.message, world.length);
            reader.at = record.rdata_at;
            assert_true(wire_read_name(&reader, target) > 0);
            (void)name_format(target, text, sizeof(text));
        } else {
            struct addr addr = { .family = record.type == WIRE_A ? ADDR_V4 : ADDR_V6 };
            memcpy(addr.bytes, world.message + record.rdata_at, addr_size_bytes(&addr));
            addr_format(&addr, text, sizeof(text));
        }
        at += (size_t)snprintf(shown + at, sizeof(shown) - at, "%s %u %s\n", owner, record.ttl_s,
                               text);
    }
    assert_string_equal(shown, wanted);
}

#define API "api.svc.example.com"
#define WWW "www.svc.example.com"
#define ELB TARGET

static void a_cname_has_the_addresses_behind_it(void **state)
{
    const struct wish wish = { "cname", NULL, { "192.0.2.1", "2001:db8::1" } };

    (void)state;
    begin(&wish);
    expect(API, WIRE_A, API " 30 " ELB "\n" ELB " 30 192.0.2.1\n");
    expect(API, WIRE_AAAA, API " 30 " ELB "\n" ELB " 30 2001:db8::1\n");
    assert_int_equal(world_flags(&world) & WIRE_AA, WIRE_AA);
    end();
}

static void every_type_is_answered_with_the_cname(void **state)
{
    static const uint16_t types[] = { WIRE_CNAME, WIRE_TXT, WIRE_MX, 65 };
    const struct wish wish = { "cname", NULL, { "192.0.2.1" } };

    (void)state;
    begin(&wish);
    for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        expect(API, types[i], API " 30 " ELB "\n");
    }
    expect(API, WIRE_AAAA, API " 30 " ELB "\n"); /* it has none, and that is its own to say */
    end();
}

static void an_alias_of_ours_leads_on(void **state)
{
    const struct wish wish = { "cname", NULL, { "192.0.2.1" } };

    (void)state;
    begin(&wish);
    expect(WWW, WIRE_A, WWW " 300 " API "\n" API " 30 " ELB "\n" ELB " 30 192.0.2.1\n");
    expect(WWW, WIRE_AAAA, WWW " 300 " API "\n" API " 30 " ELB "\n");
    expect(WWW, WIRE_MX, WWW " 300 " API "\n" API " 30 " ELB "\n");
    end();
}

static void another_region_answers_with_addresses(void **state)
{
    const struct wish wish = { "cname", NULL, { NULL } };

    (void)state;
    begin(&wish);
    expect(API, WIRE_A, API " 30 192.0.2.20\n");
    expect(API, WIRE_AAAA, "");
    assert_int_equal(world_rcode(&world), WIRE_NOERROR);
    assert_int_equal(world_count(&world, 1), 1);
    expect(API, WIRE_TXT, "");
    assert_int_equal(world_count(&world, 1), 1);
    expect(WWW, WIRE_A, WWW " 300 " API "\n" API " 30 192.0.2.20\n");
    expect(WWW, WIRE_MX, WWW " 300 " API "\n");
    assert_int_equal(world_count(&world, 1), 1);
    end();
}

static void one_family_of_the_name_is_enough_for_both(void **state)
{
    const struct wish wish = { "cname", NULL, { "2001:db8::1" } };

    (void)state;
    begin(&wish);
    expect(API, WIRE_AAAA, API " 30 " ELB "\n" ELB " 30 2001:db8::1\n");
    expect(API, WIRE_A, API " 30 " ELB "\n");
    expect(API, WIRE_MX, API " 30 " ELB "\n");
    end();
}

static void flattened_only_the_addresses_are_said(void **state)
{
    const struct wish wish = { "address", NULL, { "192.0.2.1" } };

    (void)state;
    begin(&wish);
    expect(API, WIRE_A, API " 30 192.0.2.1\n");
    expect(API, WIRE_AAAA, "");
    expect(API, WIRE_TXT, "");
    end();
}

static void a_cname_that_does_not_fit_is_cut(void **state)
{
    const struct wish wish = { "cname", NULL, { "192.0.2.1" } };

    (void)state;
    begin(&wish);
    world.length = wire_query_build(world.message, 1, WIRE_RD,
                                    (const uint8_t *)"\3api\3svc\7example\3com", WIRE_A, WIRE_IN,
                                    0, false);
    size_t question = world.length;
    const struct query_client client = { .source = (const struct sockaddr *)&world.source,
                                         .local_is_loopback = true };
    for (size_t cap = question; cap < question + 64; cap++) {
        uint8_t copy[512];
        size_t length;
        memcpy(copy, world.message, question);
        assert_int_equal(query_answer(&world.thread, world.snapshot, &client, copy, question, cap,
                                      &length),
                         QUERY_SEND);
        assert_true(length <= cap);
        bool whole = wire_get16(copy + 6) == 2;
        assert_int_equal((wire_get16(copy + 2) & WIRE_TC) != 0, !whole);
    }
    end();
}

static void a_cname_does_not_stand_beside_records(void **state)
{
    static const char beside[] = "@ 300 IN SOA ns hostmaster 1 2 3 4 60\n"
                                 "api 300 IN TXT \"here\"\n";
    const struct hash_key key = { 1, 2 };
    struct config_report report = { 0 };
    struct snapshot *snapshot;
    struct model *model;
    struct error err;
    char text[1024];

    (void)state;
    scratch_init(&scratch);
    (void)snprintf(text, sizeof(text), config, scratch_write(&scratch, "zone", beside), "all",
                   "cname");
    assert_int_equal(config_load_text(text, "w.yaml", &model, &report), 0);
    config_report_fini(&report);
    const struct wish wish = { .answer = "cname" };
    expansion_apply(model, look_up, (void *)(uintptr_t)&wish);
    struct health *health = health_new(world_ignore, NULL);
    struct health_binding *binding = health_bind(health, model, 1000);
    assert_int_equal(snapshot_build(model, binding, NULL, &key, 1, &snapshot, &err), -EINVAL);
    assert_non_null(strstr(err.message, "records at that name"));
    assert_int_equal(err.line, 4);
    health_unbind(health, binding);
    health_free(health);
    model_free(model);
    scratch_fini(&scratch);
}

static void with_no_address_at_all_it_is_servfail(void **state)
{
    static const char only[] = "regions: {seoul: {minimum_healthy: 0}}\n"
                               "services:\n"
                               "  api.svc.example.com:\n"
                               "    minimum_healthy: 1\n"
                               "    endpoints: {seoul: [{hostname: " TARGET "}]}\n";
    const struct wish wish = { .answer = "address" };
    const struct hash_key key = { 1, 2 };
    struct config_report report = { 0 };
    struct model *model;
    struct error err;

    (void)state;
    begin(&wish); /* for the thread and the client */
    struct snapshot *before = world.snapshot;
    assert_int_equal(config_load_text(only, "w.yaml", &model, &report), 0);
    config_report_fini(&report);
    expansion_apply(model, look_up, (void *)(uintptr_t)&wish);
    struct health_binding *binding = health_bind(world.health, model, 1000);
    assert_int_equal(snapshot_build(model, binding, NULL, &key, 1, &world.snapshot, &err), 0);
    health_commit(world.health, binding, 1000);
    static const uint16_t types[] = { WIRE_A, WIRE_AAAA };
    for (unsigned i = 0; i < 2; i++) {
        expect(API, types[i], "");
        assert_int_equal(world_rcode(&world), WIRE_SERVFAIL);
    }
    health_unbind(world.health, snapshot_free(world.snapshot));
    world.snapshot = before;
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cname_has_the_addresses_behind_it),
        cmocka_unit_test(every_type_is_answered_with_the_cname),
        cmocka_unit_test(an_alias_of_ours_leads_on),
        cmocka_unit_test(another_region_answers_with_addresses),
        cmocka_unit_test(one_family_of_the_name_is_enough_for_both),
        cmocka_unit_test(flattened_only_the_addresses_are_said),
        cmocka_unit_test(a_cname_that_does_not_fit_is_cut),
        cmocka_unit_test(a_cname_does_not_stand_beside_records),
        cmocka_unit_test(with_no_address_at_all_it_is_servfail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
