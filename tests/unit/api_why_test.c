/* Why a name is answered as it is, over the api. */
#include "api_world.h"

#include "resolver/api/api_why_inside.h"

static void why_a_service_shows_the_ladder(void **state)
{
    json_t *why = ask_json(*state, "GET", "/api/v1/why?name=Api.svc.example.com&type=a", 200);

    assert_string_equal(string(why, "source"), "service");
    assert_string_equal(string(why, "rcode"), "NOERROR");
    assert_string_equal(string(why, "type"), "A");
    assert_int_equal(json_integer_value(json_object_get(why, "rung")), 1);
    assert_int_equal(json_array_size(json_object_get(why, "answer")), 2);
    assert_step(why, "api.svc.example.com is a service");
    assert_step(why, "rung 1");
    json_decref(why);
    why = ask_json(*state, "GET", "/api/v1/why?name=api.svc.example.com&type=AAAA", 200);
    assert_int_equal(json_array_size(json_object_get(why, "answer")), 0);
    assert_step(why, "no endpoint of it has an IPv6 address");
    json_decref(why);
}

/* The check of this target fails until that is believed. */
static void fail_target(struct fixture *f, const char *target)
{
    struct health *health = f->control.health;

    for (size_t i = 0; i < health_probe_count(health); i++) {
        struct health_probe *probe = health_probe(health, i);
        for (unsigned k = 0;
             strstr(probe->label, target) != NULL && k < 64 && probe->detect.state != DETECT_DOWN;
             k++) {
            uint64_t now_ms = clock_now_ms();
            uint32_t number = health_probe_sent(health, probe, now_ms);
            health_probe_result(health, probe, number, DETECT_STRONG, false, "status 500", now_ms);
        }
    }
}

static bool has_line(const json_t *list, const char *part)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *line = json_array_get(list, i);
        const char *text = json_is_string(line) ? json_string_value(line) : string(line, "text");
        if (strstr(text, part) != NULL) {
            return true;
        }
    }
    return false;
}

static void why_says_what_is_not_well_and_what_would_change_it(void **state)
{
    struct fixture *f = *state;

    fail_target(f, "203.0.113.10");
    fail_target(f, "203.0.113.11");
    json_t *why = ask_json(f, "GET", "/api/v1/why?name=api.svc.example.com", 200);
    const json_t *pool = json_array_get(json_object_get(why, "pools"), 0);
    const json_t *changes = json_object_get(why, "would_change");
    const json_t *endpoint = json_array_get(json_object_get(pool, "endpoints"), 0);
    assert_step(why, "rung 1 (region in or proving itself, minimum met): tokyo");
    assert_string_equal(string(pool, "region"), "seoul");
    assert_true(json_is_false(json_object_get(pool, "used")));
    assert_true(has_line(json_object_get(pool, "notes"), "0 of its endpoints are up"));
    assert_true(has_line(json_object_get(pool, "notes"), "203.0.113.10 is down for "));
    assert_true(has_line(json_object_get(pool, "notes"),
                         "by seoul http 203.0.113.10:8080/healthz: status 500 ("));
    assert_string_equal(string(endpoint, "check"), "seoul http 203.0.113.10:8080/healthz");
    assert_true(has_line(changes, "seoul answers (rung 1) when its endpoints pass again and "
                                  "hold_down (10s) is over"));
    assert_true(has_line(changes, "if tokyo fails: nothing is up then; on_all_down answers with"));
    json_decref(why);
}

static void why_names_who_took_a_region_out_and_until_when(void **state)
{
    struct fixture *f = *state;
    json_t *root = send_json(f, "POST", "/api/v1/overrides",
                             "{\"target\":\"seoul\",\"state\":\"drain\",\"reason\":\"kernel "
                             "update\",\"for\":\"30m\",\"force\":true}",
                             200);

    json_decref(root);
    root = ask_json(f, "GET", "/api/v1/why?name=api.svc.example.com", 200);
    const json_t *pool = json_array_get(json_object_get(root, "pools"), 0);
    assert_true(has_line(json_object_get(pool, "notes"), "seoul is drained by "));
    assert_true(has_line(json_object_get(pool, "notes"), ": kernel update, until 2"));
    assert_true(has_line(json_object_get(root, "would_change"),
                         "seoul answers (rung 1) when what was said by hand ends at "));
    json_decref(root);
    root = ask_json(f, "GET", "/api/v1/status", 200);
    const json_t *region = json_array_get(json_object_get(root, "regions"), 0);
    assert_string_equal(string(region, "state"), "drained");
    assert_string_equal(string(json_object_get(region, "override"), "reason"), "kernel update");
    json_decref(root);
}

static void what_a_shell_would_expand_is_quoted(void **state)
{
    static const struct {
        const char *target;
        const char *shown;
    } cases[] = {
        { "seoul/api.svc.example.com", "`leeward release seoul/api.svc.example.com`" },
        { "2001:db8::1", "`leeward release 2001:db8::1`" },
        { "*/api", "`leeward release '*/api'`" },
        { "seoul/it's me", "`leeward release 'seoul/it'\\''s me'`" },
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct text out = { 0 };
        api_why_put_release(cases[i].target, &out);
        assert_string_equal(text_string(&out), cases[i].shown);
        text_fini(&out);
    }
    json_decref(send_json(f, "POST", "/api/v1/overrides",
                          "{\"target\":\"s*/api\",\"state\":\"drain\",\"reason\":\"x\"}", 200));
    json_t *why = ask_json(f, "GET", "/api/v1/why?name=api.svc.example.com", 200);
    assert_true(has_line(json_object_get(why, "would_change"),
                         "when it is released (`leeward release 's*/api'`)"));
    json_decref(why);
}

static void a_region_that_ramps_is_said_to_do_so(void **state)
{
    struct fixture *f = *state;
    const struct steer_service *service = NULL;

    for (size_t i = 0; i < f->control.snapshot->service_count; i++) {
        const struct steer_service *s = &f->control.snapshot->services[i];
        service = strcmp(s->name, "api.svc.example.com") == 0 ? s : service;
    }
    assert_non_null(service);
    struct health_group *group = (struct health_group *)(uintptr_t)service->pools[0].group;
    atomic_store(&group->ramp, 0); /* no answer is of its share */
    atomic_fetch_or(&group->flags, HEALTH_GROUP_RAMPING);
    json_t *why = ask_json(f, "GET", "/api/v1/why?name=api.svc.example.com", 200);
    const json_t *changes = json_object_get(why, "would_change");
    assert_true(has_line(changes, "seoul ramps: it takes 0% of its answers by now"));
    assert_false(has_line(changes, "seoul answers"));
    json_decref(why);
}

/* Silent from some second on: as it is told at the moment when it is believed. */
static void go_silent(struct detect *d, const struct model_timing *timing, uint64_t *now_ms)
{
    uint64_t silent_ms = *now_ms + 60000;

    for (; d->state != DETECT_DOWN; (*now_ms)++) {
        if (detect_is_due(d, *now_ms)) {
            uint32_t number = detect_sent(d, *now_ms);
            if (*now_ms < silent_ms) {
                (void)detect_result(d, number, DETECT_PASS, *now_ms);
            }
        }
        while (d->open_count > 0 &&
               detect_open_probes(d)[0].sent_ms + timing->timeout_ms <= *now_ms) {
            (void)detect_result(d, detect_open_probes(d)[0].number, DETECT_SILENT, *now_ms);
        }
        (void)detect_tick(d, *now_ms);
        assert_true(*now_ms < silent_ms + 60000);
    }
}

static void a_silent_death_counts_the_probes_it_was_told_by(void **state)
{
    static const struct model_timing timing = { .interval_ms = 1000,
                                                .timeout_ms = 500,
                                                .confirm_interval_ms = 50,
                                                .fall_auto = true,
                                                .false_alarm_ms = 31536000000,
                                                .fall = 3,
                                                .silent_fall = 10,
                                                .rise = 2,
                                                .hold_down_ms = 10000,
                                                .hold_down_max_ms = 300000,
                                                .jitter_percent = 10 };
    struct health_probe probe = { .reason = "no answer" };
    struct text words = { 0 };
    unsigned count = 0;
    uint64_t now_ms = 1;
    (void)state;

    detect_init(&probe.detect, &timing, 7, now_ms);
    go_silent(&probe.detect, &timing, &now_ms);
    assert_true(probe.detect.silently);
    api_health_describe_evidence(&probe, now_ms, &words);
    const char *behind = strstr(text_string(&words), ", ");
    assert_non_null(behind);
    assert_int_equal(sscanf(behind, ", %u probes in a row without an answer by now", &count), 1);
    assert_non_null(strstr(behind, "probes in a row without an answer by now"));
    assert_true(count >= timing.fall); /* as many as it took, those in flight among them */
    detect_fini(&probe.detect);
    text_fini(&words);
}

static void why_sees_the_client_in_its_view_and_at_its_place(void **state)
{
    json_t *why =
        ask_json(*state, "GET", "/api/v1/why?name=near.svc.example.com&client=10.5.6.7", 200);

    assert_step(why, "the client is in the view apps");
    assert_string_equal(string(json_object_get(why, "asker"), "view"), "apps");
    assert_true(has_line(json_object_get(why, "answer"), "10.1.0.20"));
    json_decref(why);
    why = ask_json(*state, "GET",
                   "/api/v1/why?name=near.svc.example.com&client=8.8.8.8&ecs=192.0.2.0/24", 200);
    assert_step(why, "8.8.8.8 asks for the clients in 192.0.2.0/24 (ECS)");
    assert_step(why, "it is in 192.0.2.0/24 (clients), nearest: tokyo, seoul");
    assert_step(why, "the answer is for all of 192.0.2.0/24 (ECS scope)");
    assert_string_equal(string(json_object_get(why, "asker"), "place"), "prefix");
    assert_true(has_line(json_object_get(why, "answer"), "198.51.100.20"));
    json_decref(why);
    assert_error(*state, "GET", "/api/v1/why?name=near.svc.example.com&ecs=nonsense", 400,
                 "bad_ecs", "nonsense");
}

#define NEAR "/api/v1/why?name=near.svc.example.com"

static void why_sees_the_client_where_it_asks(void **state)
{
    json_t *why = ask_json(*state, "GET", NEAR "&client=8.8.8.8&listener=127.0.0.2:5300", 200);

    assert_step(why, "it asks at 127.0.0.2:5300");
    assert_step(why, "the client is in the view desk");
    assert_string_equal(string(json_object_get(why, "asker"), "listener"), "127.0.0.2:5300");
    assert_true(has_line(json_object_get(why, "answer"), "10.1.0.30"));
    json_decref(why);
    why = ask_json(*state, "GET", NEAR "&client=8.8.8.8&listener=127.0.0.1:5300", 200);
    assert_step(why, "the client is in no view of it");
    assert_true(has_line(json_object_get(why, "answer"), "203.0.113.20"));
    json_decref(why);
    assert_error(*state, "GET", NEAR "&listener=127.0.0.3:5300", 400, "bad_listener",
                 "127.0.0.3:5300 is not listened at");
    assert_error(*state, "GET", NEAR "&listener=there", 400, "bad_listener", "");
}

static void why_says_when_it_matters_where_a_client_asks(void **state)
{
    json_t *why = ask_json(*state, "GET", NEAR "&client=8.8.8.8", 200);

    assert_step(why, "which view it is in depends on the address it asks at");
    assert_true(has_line(json_object_get(why, "answer"), "203.0.113.20"));
    json_decref(why);
    why = ask_json(*state, "GET", NEAR "&client=10.5.6.7", 200); /* apps, wherever it asks */
    assert_false(has_line(json_object_get(why, "steps"), "depends on the address"));
    assert_step(why, "the client is in the view apps");
    json_decref(why);
}

static void why_explains_srv_as_the_endpoints_it_names(void **state)
{
    json_t *why = ask_json(*state, "GET", "/api/v1/why?name=near.svc.example.com&type=SRV", 200);

    assert_step(why, "SRV: the IPv4 endpoints");
    assert_int_equal(json_integer_value(json_object_get(why, "rung")), 1);
    assert_true(has_line(json_object_get(why, "would_change"), "if seoul fails: tokyo answers"));
    json_decref(why);
}

static void why_a_zone_names_its_file(void **state)
{
    json_t *why = ask_json(*state, "GET", "/api/v1/why?name=ns.corp.example&type=A", 200);

    assert_string_equal(string(why, "source"), "zone");
    assert_string_equal(json_string_value(json_array_get(json_object_get(why, "answer"), 0)),
                        "ns.corp.example. 300 IN A 192.0.2.1");
    assert_step(why, "in zone corp.example, serial 7, from ");
    assert_step(why, "corp.zone");
    json_decref(why);
    why = ask_json(*state, "GET", "/api/v1/why?name=ns.corp.example&type=TXT", 200);
    assert_step(why, "there is no TXT among them: NODATA");
    json_decref(why);
    why = ask_json(*state, "GET", "/api/v1/why?name=not.there.corp.example", 200);
    assert_string_equal(string(why, "rcode"), "NXDOMAIN");
    assert_step(why, "the nearest that does is corp.example");
    json_decref(why);
}

static void why_an_alias_goes_on_into_the_service(void **state)
{
    json_t *why = ask_json(*state, "GET", "/api/v1/why?name=www.corp.example", 200);

    assert_int_equal(json_array_size(json_object_get(why, "answer")), 3);
    assert_step(why, "alias: www.corp.example. 300 IN CNAME api.svc.example.com.");
    assert_step(why, "api.svc.example.com is a service");
    json_decref(why);
}

static void why_an_alias_to_a_foreign_name_tells_both(void **state)
{
    json_t *why = ask_json(*state, "GET", "/api/v1/why?name=away.corp.example", 200);

    assert_string_equal(string(why, "source"), "forward");
    assert_step(why, "in zone corp.example, serial 7");
    assert_step(why, "alias: away.corp.example. 300 IN CNAME www.else.example.");
    assert_step(why,
                "www.else.example is in no zone and no service of ours: it is asked elsewhere");
    assert_step(why, "forward rule '.'");
    json_decref(why);
    why = ask_json(*state, "GET", "/api/v1/why?name=away.corp.example&client=10.9.9.9", 200);
    assert_string_equal(string(why, "source"), "zone");
    assert_step(why, "10.9.9.9 may not have it resolved (access.recursion)");
    json_decref(why);
}

static void why_another_name_lists_the_upstreams(void **state)
{
    json_t *why = ask_json(*state, "GET", "/api/v1/why?name=www.random.example", 200);

    assert_string_equal(string(why, "source"), "forward");
    assert_true(json_is_null(json_object_get(why, "rcode")));
    assert_step(why, "forward rule '.'");
    assert_step(why, "upstream 1: 10.1.0.2:53 in seoul, region in (own region)");
    assert_step(why, "upstream 2: 10.2.0.2:53 in tokyo");
    json_decref(why);
}

static void why_a_stranger_is_refused(void **state)
{
    json_t *why =
        ask_json(*state, "GET", "/api/v1/why?name=www.random.example&client=192.0.2.7", 200);

    assert_string_equal(string(why, "source"), "refused");
    assert_string_equal(string(why, "rcode"), "REFUSED");
    assert_step(why, "192.0.2.7 may not have other names resolved (access.recursion)");
    json_decref(why);
}

static void why_complains_of_what_it_cannot_read(void **state)
{
    assert_error(*state, "GET", "/api/v1/why", 400, "name_missing", "which name?");
    assert_error(*state, "GET", "/api/v1/why?name=a..b", 400, "bad_name", "");
    assert_error(*state, "GET", "/api/v1/why?name=a.example&type=AAAAA", 400, "unknown_type",
                 "did you mean 'AAAA'?");
    assert_error(*state, "GET", "/api/v1/why?name=a.example&client=here", 400, "bad_client", "");
}

int main(void)
{
#define API_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        API_TEST(why_a_service_shows_the_ladder),
        API_TEST(why_says_what_is_not_well_and_what_would_change_it),
        API_TEST(why_names_who_took_a_region_out_and_until_when),
        API_TEST(what_a_shell_would_expand_is_quoted),
        API_TEST(a_region_that_ramps_is_said_to_do_so),
        cmocka_unit_test(a_silent_death_counts_the_probes_it_was_told_by),
        API_TEST(why_sees_the_client_in_its_view_and_at_its_place),
        API_TEST(why_sees_the_client_where_it_asks),
        API_TEST(why_says_when_it_matters_where_a_client_asks),
        API_TEST(why_explains_srv_as_the_endpoints_it_names),
        API_TEST(why_a_zone_names_its_file),
        API_TEST(why_an_alias_goes_on_into_the_service),
        API_TEST(why_an_alias_to_a_foreign_name_tells_both),
        API_TEST(why_another_name_lists_the_upstreams),
        API_TEST(why_a_stranger_is_refused),
        API_TEST(why_complains_of_what_it_cannot_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
