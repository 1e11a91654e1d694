#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <uv.h>

#include "base/json_writer.h"
#include "policy/expansion.h"
#include "resolver/hostnames.h"
#include "resolver/resolution.h"
#include "world.h"

/*
 * The service loop is played by the test: jobs posted to it run at once, in
 * this thread, and what they ask is answered from a script.
 */
static const char yaml[] =
    "regions: {seoul: {minimum_healthy: 0}, tokyo: {minimum_healthy: 0}}\n"
    "forward: {elsewhere.example: {upstreams: [127.0.0.1:1]}}\n"
    "services:\n"
    "  api.svc.example.com:\n"
    "    minimum_healthy: 1\n"
    "    endpoints:\n"
    "      seoul: [{hostname: x.elsewhere.example}]\n"
    "      tokyo: [{hostname: y.nowhere.example}]\n";

struct script {
    unsigned rcode;
    const char *address; /* NULL: none */
    bool alias;          /* a CNAME before it */
    bool silent;
};

static struct world world;
static uv_loop_t loop;
static struct hostnames *hostnames;
static struct script script, script_second;
static unsigned asked, asked_second, asked_anew, changes;
static bool lost; /* jobs come to nothing, as when the loop ends */
static char apart_from[HOSTNAME_SOURCE_BYTES];

const struct snapshot *resolution_snapshot(const struct resolution *resolution)
{
    (void)resolution;
    return world.snapshot;
}

static size_t put_record(uint8_t *out, uint16_t type, uint32_t ttl_s, const void *data, size_t size)
{
    wire_put16(out, 0xc00c);
    wire_put16(out + 2, type);
    wire_put16(out + 4, WIRE_IN);
    wire_put32(out + 6, ttl_s);
    wire_put16(out + 10, (uint16_t)size);
    memcpy(out + 12, data, size);
    return 12 + size;
}

static void reply(const struct script *what, const struct forward_question *question,
                  forward_done *done, void *user)
{
    uint8_t message[512];
    size_t length = wire_query_build(message, 0, WIRE_QR, question->name, question->type, WIRE_IN,
                                     0, false);
    struct forward_reply answer = { .ede_text = "no answer", .upstream = "" };
    struct addr addr;
    struct error err;

    if (what->silent) {
        done(user, &answer);
        return;
    }
    message[3] = (uint8_t)(message[3] | what->rcode);
    if (what->alias) {
        length += put_record(message + length, WIRE_CNAME, 30, "\1z\0", 3);
        wire_put16(message + 6, 1);
    }
    if (what->address != NULL && question->type == WIRE_A) {
        assert_int_equal(addr_parse(what->address, 0, &addr, &err), 0);
        length += put_record(message + length, WIRE_A, 60, addr.bytes, 4);
        wire_put16(message + 6, (uint16_t)(1 + what->alias));
    }
    answer.message = message;
    answer.length = length;
    answer.upstream = "seoul 127.0.0.1:1";
    done(user, &answer);
}

void resolution_ask(struct resolution *resolution, const struct snapshot *snapshot,
                    const struct forward_question *question, forward_done *done, void *user)
{
    (void)resolution;
    (void)snapshot;
    asked++;
    asked_anew += question->anew;
    if (question->second_opinion) {
        asked_second++;
        (void)snprintf(apart_from, sizeof(apart_from), "%s", question->apart_from);
    }
    reply(question->second_opinion ? &script_second : &script, question, done, user);
}

bool server_post(struct server *server, service_job *job, void *user)
{
    (void)server;
    job(user, lost ? NULL : (struct resolution *)(void *)&loop, NULL);
    return true;
}

static void on_changed(void *user)
{
    (void)user;
    changes++;
}

static int set_up(void **state)
{
    (void)state;
    asked = asked_second = asked_anew = changes = 0;
    lost = false;
    script = script_second = (struct script){ 0 };
    assert_true(world_init(&world, yaml));
    assert_int_equal(uv_loop_init(&loop), 0);
    hostnames = hostnames_new(&loop, on_changed, NULL);
    assert_non_null(hostnames);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    hostnames_close(hostnames);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    world_fini(&world);
    return 0;
}

static const struct model *model(void)
{
    return world.snapshot->model;
}

/* From here on it asks, and until everything was heard the loop runs. */
static void serve(void)
{
    hostnames_want(hostnames, model());
    hostnames_serve(hostnames, (struct server *)(void *)&loop);
    while (hostnames_pending(hostnames) > 0) {
        uv_run(&loop, UV_RUN_ONCE);
    }
}

static void run_until(const unsigned *counter, unsigned wanted)
{
    while (*counter < wanted) {
        uv_run(&loop, UV_RUN_ONCE);
    }
}

static const struct hostname *state_of(unsigned pool, unsigned family)
{
    const struct model_endpoint *endpoint = &model()->services[0].pools[pool].endpoints[0];

    return hostnames_find(hostnames, endpoint->hostname, endpoint->keep_addresses, family);
}

static void each_family_is_asked_and_news_are_told(void **state)
{
    (void)state;
    script = (struct script){ .address = "192.0.2.1", .alias = true };
    assert_int_equal(hostnames_pending(hostnames), 0);
    serve();
    assert_int_equal(asked, 2); /* y has no rule: nobody can be asked */
    assert_int_equal(asked_anew, 0);
    run_until(&changes, 1);
    assert_true(hostnames_are_news(hostnames));
    assert_true(hostname_has_any(state_of(0, ADDR_V4)));
    assert_int_equal(state_of(0, ADDR_V4)->ttl_s, 30); /* the alias's */
    assert_int_equal(state_of(0, ADDR_V6)->last, HOSTNAME_NODATA);
    assert_int_equal(state_of(1, ADDR_V4)->last, HOSTNAME_UNASKED);
}

static void what_was_put_into_the_model_in_force_is_no_news(void **state)
{
    struct config_report report = { 0 };
    struct model *fresh;

    (void)state;
    script.address = "192.0.2.1";
    serve();
    assert_int_equal(config_load_text(yaml, "w.yaml", &fresh, &report), 0);
    config_report_fini(&report);
    hostnames_expand(hostnames, fresh);
    assert_int_equal(fresh->services[0].pools[0].endpoint_count, 1);
    assert_int_equal(fresh->services[0].pools[1].endpoint_count, 0);
    assert_true(hostnames_are_news(hostnames));
    hostnames_adopt(hostnames, fresh, false); /* refused */
    assert_true(hostnames_are_news(hostnames));
    hostnames_expand(hostnames, fresh);
    hostnames_adopt(hostnames, fresh, true);
    assert_false(hostnames_are_news(hostnames));
    model_free(fresh);
}

static void a_doubtful_answer_is_put_to_others_at_once(void **state)
{
    struct hostname *known;

    (void)state;
    script.address = "192.0.2.1";
    script_second.silent = true;
    serve();
    script = (struct script){ .rcode = WIRE_NXDOMAIN };
    known = (struct hostname *)(uintptr_t)state_of(0, ADDR_V4);
    known->ask_ms = 0; /* its time has come */
    hostnames_adopt(hostnames, model(), false);
    run_until(&asked_second, 1);
    uv_run(&loop, UV_RUN_ONCE);
    assert_string_equal(apart_from, "seoul 127.0.0.1:1");
    assert_int_equal(asked_anew, 2); /* both questions: not from a cache */
    while (!hostname_keeps_any(known)) {
        uv_run(&loop, UV_RUN_ONCE);
    }
}

static void names_nobody_uses_any_more_are_forgotten(void **state)
{
    static const char none[] = "regions: {seoul: {minimum_healthy: 0}}\n";
    struct config_report report = { 0 };
    struct model *fresh;

    (void)state;
    serve();
    assert_int_equal(config_load_text(none, "w.yaml", &fresh, &report), 0);
    config_report_fini(&report);
    hostnames_adopt(hostnames, fresh, true);
    assert_null(state_of(0, ADDR_V4));
    assert_false(hostnames_are_news(hostnames));
    model_free(fresh);
}

static void inquiries_on_their_way_at_the_end_come_to_nothing(void **state)
{
    (void)state;
    script.address = "192.0.2.1";
    hostnames_want(hostnames, model());
    hostnames_serve(hostnames, (struct server *)(void *)&loop);
    uv_run(&loop, UV_RUN_NOWAIT); /* answered, not read yet; the rest does tear_down */
}

static void a_service_loop_that_ends_answers_nothing(void **state)
{
    (void)state;
    lost = true;
    hostnames_want(hostnames, model());
    hostnames_serve(hostnames, (struct server *)(void *)&loop);
    uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(hostnames_pending(hostnames), 2);
}

static void each_name_is_described(void **state)
{
    struct json_writer json;
    struct text out = { 0 };

    (void)state;
    script.address = "192.0.2.1";
    serve();
    json_writer_init(&json, &out);
    json_writer_list_begin(&json, NULL);
    hostnames_describe(hostnames, &model()->services[0].pools[0].endpoints[0], "seoul", &json);
    json_writer_list_end(&json);
    assert_non_null(strstr(text_string(&out), "\"addresses\":[\"192.0.2.1\"]"));
    assert_non_null(strstr(text_string(&out), "\"kept_ms_ago\":null"));
    text_fini(&out);
    hostnames_explain(hostnames, &model()->services[0].pools[0].endpoints[0], "seoul", &out);
    assert_non_null(strstr(text_string(&out),
                           "endpoint of seoul: x.elsewhere.example A: 1 address, last answer "
                           "positive\n"));
    text_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_family_is_asked_and_news_are_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_put_into_the_model_in_force_is_no_news, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_doubtful_answer_is_put_to_others_at_once, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(names_nobody_uses_any_more_are_forgotten, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(inquiries_on_their_way_at_the_end_come_to_nothing, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_service_loop_that_ends_answers_nothing, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(each_name_is_described, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
