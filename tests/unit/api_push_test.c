/*
 * What is reported over the api, with a real table and a control that has
 * nothing else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "policy/checks/check_push.h"
#include "policy/config.h"
#include "policy/health.h"
#include "resolver/api/api_push.h"
#include "resolver/control.h"

struct control {
    struct health *health;
    struct health_binding *binding;
    struct model *model;
};

struct health *control_health(const struct control *control)
{
    return control->health;
}

static const char yaml[] = "node: {name: app-17}\n"
                           "listen: [\"127.0.0.1:5300\"]\n"
                           "regions: {seoul: {minimum_healthy: 0}}\n"
                           "checks:\n"
                           "  queue: {push: {ttl: 45s}}\n"
                           "services:\n"
                           "  api.svc.example.com:\n"
                           "    order: [seoul]\n"
                           "    check: queue\n"
                           "    minimum_healthy: 1\n"
                           "    endpoints: {seoul: [203.0.113.10, \"2001:db8::1\"]}\n"
                           "  db.svc.example.com:\n"
                           "    order: [seoul]\n"
                           "    check: {push: {ttl: 10s}}\n"
                           "    minimum_healthy: 1\n"
                           "    endpoints: {seoul: [203.0.113.20]}\n";

static int setup(void **state)
{
    static struct control control;
    struct config_report report = { 0 };
    struct text text = { 0 };

    if (config_load_text(yaml, "/etc/leeward/leeward.yaml", &control.model, &report) < 0) {
        config_report_print(&report, &text);
        fail_msg("%s", text_string(&text));
    }
    config_report_fini(&report);
    control.health = health_new(NULL, NULL);
    control.binding = health_bind(control.health, control.model, clock_now_ms());
    assert_non_null(control.binding);
    *state = &control;
    return 0;
}

static int teardown(void **state)
{
    struct control *control = *state;

    health_unbind(control->health, control->binding);
    health_free(control->health);
    model_free(control->model);
    return 0;
}

static unsigned post(struct control *control, const char *rest, const char *body,
                     struct api_reply *reply)
{
    struct api_request request = {
        .method = "POST",
        .rest = rest,
        .body = body,
        .body_length = strlen(body),
    };

    memset(reply, 0, sizeof(*reply));
    api_push_put(control, NULL, &request, reply);
    return reply->status;
}

static void assert_refused(struct control *control, const char *rest, const char *body,
                           unsigned status, const char *words)
{
    struct api_reply reply;

    assert_int_equal(post(control, rest, body, &reply), status);
    if (strstr(text_string(&reply.body), words) == NULL) {
        fail_msg("%s", text_string(&reply.body));
    }
    assert_memory_equal(text_string(&reply.body), "{\"error\":", 9);
    api_reply_fini(&reply);
}

static void assert_board(const char *name, const char *address, enum push_state wanted,
                         const char *message)
{
    struct push_view view;

    push_board_look(check_push_board(), name, address, 1000, clock_now_ms(), &view);
    assert_int_equal(view.standing, PUSH_REPORTED);
    assert_int_equal(view.state, wanted);
    assert_string_equal(view.message, message);
}

static void a_report_reaches_the_board(void **state)
{
    struct api_reply reply;

    assert_int_equal(post(*state, "queue/push",
                          "{\"state\":\"degraded\",\"ttl\":\"1h\",\"message\":\"a\\nb\"}", &reply),
                     200);
    assert_string_equal(text_string(&reply.body),
                        "{\"target\":\"queue\",\"state\":\"degraded\",\"ttl_ms\":3600000,"
                        "\"message\":\"a?b\",\"probes\":2}\n");
    api_reply_fini(&reply);
    assert_board("queue", "203.0.113.10", PUSH_DEGRADED, "a?b");
}

static void one_endpoint_is_reported_by_its_address(void **state)
{
    struct api_reply reply;

    assert_int_equal(
        post(*state, "queue/2001:db8:0:0::1/push", "{\"state\":\"down\",\"ttl\":\"1h\"}", &reply),
        200);
    assert_non_null(strstr(text_string(&reply.body), "\"target\":\"queue/2001:db8::1\""));
    assert_non_null(strstr(text_string(&reply.body), "\"probes\":1}"));
    api_reply_fini(&reply);
    assert_board("queue", "2001:db8::1", PUSH_DOWN, "");
}

static void without_a_ttl_the_checks_own_holds(void **state)
{
    struct api_reply reply;

    assert_int_equal(post(*state, "queue/push", "{\"state\":\"up\"}", &reply), 200);
    assert_non_null(strstr(text_string(&reply.body), "\"ttl_ms\":45000"));
    api_reply_fini(&reply);
}

static void a_check_written_in_place_goes_by_its_service(void **state)
{
    struct api_reply reply;

    assert_int_equal(
        post(*state, "db.svc.example.com/push", "{\"state\":\"up\",\"ttl\":\"1h\"}", &reply), 200);
    api_reply_fini(&reply);
    assert_board("db.svc.example.com", NULL, PUSH_UP, "");
}

static void unknown_targets_are_refused(void **state)
{
    static const char up[] = "{\"state\":\"up\"}";

    assert_refused(*state, "queu/push", up, 404, "did you mean 'queue'?");
    assert_refused(*state, "queue/203.0.113.99/push", up, 404, "unknown_check");
    assert_refused(*state, "queue/tokyo/push", up, 400, "bad_request");
    assert_refused(*state, "queue", up, 404, "/api/v1/checks/TARGET/push");
    assert_refused(*state, "/push", up, 404, "unknown_path");
}

static void bad_bodies_are_refused(void **state)
{
    assert_refused(*state, "queue/push", "", 400, "not JSON");
    assert_refused(*state, "queue/push", "[1]", 400, "is required");
    assert_refused(*state, "queue/push", "{\"ttl\":\"10s\"}", 400, "is required");
    assert_refused(*state, "queue/push", "{\"state\":\"fine\"}", 400, "up, degraded or down");
    assert_refused(*state, "queue/push", "{\"state\":1}", 400, "up, degraded or down");
    assert_refused(*state, "queue/push", "{\"state\":\"up\",\"ttl\":10}", 400, "duration");
    assert_refused(*state, "queue/push", "{\"state\":\"up\",\"ttl\":\"10\"}", 400, "ttl");
    assert_refused(*state, "queue/push", "{\"state\":\"up\",\"ttl\":\"2d\"}", 400, "24h");
    assert_refused(*state, "queue/push", "{\"state\":\"up\",\"message\":[]}", 400, "a text");
    assert_refused(*state, "queue/push", "{\"state\":\"up\",\"tll\":\"9s\"}", 400, "tll");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_report_reaches_the_board),
        cmocka_unit_test(one_endpoint_is_reported_by_its_address),
        cmocka_unit_test(without_a_ttl_the_checks_own_holds),
        cmocka_unit_test(a_check_written_in_place_goes_by_its_service),
        cmocka_unit_test(unknown_targets_are_refused),
        cmocka_unit_test(bad_bodies_are_refused),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
