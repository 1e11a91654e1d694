/* What operators say, and what would be if they did, over the api. */
#include "api_world.h"

#define OVERRIDES "/api/v1/overrides"

static void a_drain_is_set_listed_and_taken_back(void **state)
{
    static const char drain[] = "{\"target\": \"seoul\", \"state\": \"drain\", "
                                "\"reason\": \"new racks\", \"for\": \"30m\"}";
    struct fixture *f = *state;

    json_decref(send_json(f, "POST", OVERRIDES, drain, 200));
    json_t *status = ask_json(f, "GET", "/api/v1/status", 200);
    const json_t *list = json_object_get(status, "overrides");
    assert_int_equal(json_array_size(list), 1);
    const json_t *entry = json_array_get(list, 0);
    assert_string_equal(string(entry, "target"), "seoul");
    assert_string_equal(string(entry, "reason"), "new racks");
    assert_non_null(strstr(string(entry, "author"), "uid "));
    assert_true(json_is_string(json_object_get(entry, "until")));
    const json_t *region = json_array_get(json_object_get(status, "regions"), 0);
    assert_string_equal(string(region, "state"), "drained");
    json_decref(status);
    json_t *why = ask_json(f, "GET", "/api/v1/why?name=api.svc.example.com", 200);
    assert_step(why, "drained");
    json_decref(why);
    status = ask_json(f, "DELETE", OVERRIDES "/seoul", 200);
    assert_int_equal(json_array_size(json_object_get(status, "overrides")), 0);
    json_decref(status);
    assert_error(f, "DELETE", OVERRIDES "/seoul", 404, "unknown_target", "nothing was said");
}

static void a_drain_that_leaves_too_little_needs_force(void **state)
{
    static const char all[] =
        "{\"target\": \"*\", \"state\": \"drain\", \"reason\": \"moving house\"}";
    static const char forced[] = "{\"target\": \"*\", \"state\": \"drain\", "
                                 "\"reason\": \"moving house\", \"force\": true}";
    static const char service[] = "{\"target\": \"*/api\", \"state\": \"drain\", "
                                  "\"reason\": \"moving house\"}";
    struct fixture *f = *state;

    assert_refusal(f, "POST", OVERRIDES, all, 409, "guarded", "minimum_regions is 1");
    assert_refusal(f, "POST", OVERRIDES, service, 409, "guarded", "api.svc.example.com");
    json_decref(send_json(f, "POST", OVERRIDES, forced, 200));
}

static void an_override_that_makes_no_sense_is_explained(void **state)
{
    static const struct {
        const char *sent;
        unsigned status;
        const char *code;
        const char *part;
    } cases[] = {
        { "drain seoul", 400, "bad_request", "line 1" },
        { "{}", 400, "bad_request", "\"target\"" },
        { "{\"target\":\"seoul\",\"state\":\"away\",\"reason\":\"x\"}", 400, "bad_request",
          "drain, up or down" },
        { "{\"target\":\"seoul\",\"state\":\"drain\"}", 400, "bad_request", "\"reason\"" },
        { "{\"target\":\"seoul\",\"state\":\"drain\",\"reason\":\"x\",\"for\":\"30\"}", 400,
          "bad_request", "\"for\": '30' has no unit; write 500ms, 30s" },
        { "{\"target\":\"seol\",\"state\":\"drain\",\"reason\":\"x\"}", 404, "unknown_target",
          "did you mean 'seoul'?" },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_refusal(*state, "POST", OVERRIDES, cases[i].sent, cases[i].status, cases[i].code,
                       cases[i].part);
    }
}

/* ---- what would be ---- */

static void a_simulation_shows_answers_and_shares(void **state)
{
    struct fixture *f = *state;

    json_t *reply = send_json(f, "POST", "/api/v1/simulate", "{\"down\": [\"seoul\"]}", 200);
    const json_t *scenario = json_array_get(json_object_get(reply, "scenarios"), 0);
    assert_int_equal(json_integer_value(json_object_get(scenario, "services_changed")), 4);
    assert_int_equal(
        json_integer_value(json_object_get(scenario, "services_without_healthy_region")), 0);
    const json_t *service = json_array_get(json_object_get(scenario, "services"), 0);
    const json_t *after = json_object_get(json_object_get(service, "after"), "A");
    assert_string_equal(json_string_value(json_array_get(json_object_get(after, "regions"), 0)),
                        "tokyo");
    const json_t *tokyo = json_array_get(json_object_get(scenario, "regions"), 1);
    assert_true(json_number_value(json_object_get(tokyo, "answers_percent_after")) > 99.0);
    const json_t *shares = json_object_get(json_object_get(service, "after"), "answers_percent");
    assert_true(json_number_value(json_object_get(shares, "tokyo")) > 99.0);
    assert_null(json_object_get(shares, "seoul"));
    json_decref(reply);
    /* nothing has changed */
    json_t *why = ask_json(f, "GET", "/api/v1/why?name=api.svc.example.com", 200);
    assert_step(why, "seoul");
    json_decref(why);
}

static void every_region_is_a_game_day(void **state)
{
    json_t *reply = send_json(*state, "POST", "/api/v1/simulate", "{\"every_region\": true}", 200);
    const json_t *scenarios = json_object_get(reply, "scenarios");

    assert_int_equal(json_array_size(scenarios), 2);
    json_decref(reply);
    reply = send_json(*state, "POST", "/api/v1/simulate",
                      "{\"every_region\": true, \"down\": [\"seoul\"]}", 200);
    assert_int_equal(json_array_size(json_object_get(reply, "scenarios")), 1); /* that is down */
    json_decref(reply);
    reply =
        send_json(*state, "POST", "/api/v1/simulate", "{\"down\": [\"seoul\", \"tokyo\"]}", 200);
    const json_t *both = json_array_get(json_object_get(reply, "scenarios"), 0);
    assert_int_equal(json_integer_value(json_object_get(both, "services_without_healthy_region")),
                     4); /* a view has answers of its own */
    json_decref(reply);
    assert_refusal(*state, "POST", "/api/v1/simulate", "{\"down\": [\"tokio\"]}", 404,
                   "unknown_target", "did you mean 'tokyo'?");
    assert_refusal(*state, "POST", "/api/v1/simulate", "{}", 400, "bad_request", "supposed");
}

static void history_begins_when_it_is_told_to(void **state)
{
    static const char *const good[] = { "1h",
                                        "2026-11-22",
                                        "2026-11-22T08:19",
                                        "2026-11-22T08:19Z",
                                        "2026-11-22T08:19:00Z",
                                        "2026-11-22%2008:19:00" };
    static const char *const bad[] = { "yesterday", "60", "2026-11-22T08:19%2B09:00", "1970" };

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        char path[96];
        (void)snprintf(path, sizeof(path), "/api/v1/history?since=%s", good[i]);
        json_decref(ask_json(*state, "GET", path, 200));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char path[96];
        (void)snprintf(path, sizeof(path), "/api/v1/history?since=%s", bad[i]);
        assert_error(*state, "GET", path, 400, "bad_since", "2026-11-22T08:19:00Z");
    }
}

static void history_that_is_not_kept_is_an_error(void **state)
{
    static const char path[] = "/api/v1/history?target=there-is-no-such-thing";
    struct fixture *f = *state;

    json_decref(ask_json(f, "GET", path, 200));
    f->control.journal_trouble = -EACCES;
    assert_error(f, "GET", path, 409, "not_kept", "Permission denied");
}

static void a_review_tells_what_would_change(void **state)
{
    static const char less[] =
        "regions: {seoul: {minimum_healthy: 0}, tokyo: {minimum_healthy: 0}}\n"
        "services:\n"
        "  api.svc.example.com:\n"
        "    order: [tokyo, seoul]\n"
        "    minimum_healthy: 1\n"
        "    endpoints: {seoul: [203.0.113.99], tokyo: [198.51.100.10]}\n";
    struct fixture *f = *state;

    json_t *reply = send_json(f, "POST", "/api/v1/review?name=new.yaml", less, 200);
    assert_true(json_is_true(json_object_get(reply, "refused")));
    const json_t *excess = json_array_get(json_object_get(reply, "too_much"), 0);
    assert_string_equal(string(excess, "service"), "api.svc.example.com");
    assert_int_equal(json_integer_value(json_object_get(excess, "lost")), 2);
    assert_int_equal(json_integer_value(json_object_get(excess, "allowed")), 1);
    struct text accepting = { 0 };
    text_printf(&accepting, "%sguards: {accept: \"%s\"}\n", less, string(reply, "id"));
    json_decref(reply);
    reply = send_json(f, "POST", "/api/v1/review", text_string(&accepting), 200);
    assert_true(json_is_true(json_object_get(reply, "accepted")));
    assert_false(json_is_true(json_object_get(reply, "refused")));
    json_decref(reply);
    text_fini(&accepting);
    assert_refusal(f, "POST", "/api/v1/review?name=new.yaml", "regions: [", 400, "invalid",
                   "new.yaml:2");
}

int main(void)
{
#define API_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        API_TEST(a_drain_is_set_listed_and_taken_back),
        API_TEST(a_drain_that_leaves_too_little_needs_force),
        API_TEST(an_override_that_makes_no_sense_is_explained),
        API_TEST(a_simulation_shows_answers_and_shares),
        API_TEST(every_region_is_a_game_day),
        API_TEST(history_begins_when_it_is_told_to),
        API_TEST(history_that_is_not_kept_is_an_error),
        API_TEST(a_review_tells_what_would_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
