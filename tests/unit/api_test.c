/*
 * The api over its real socket: the loop in this thread, clients in others. The
 * control behind it is a stand-in with a real model, table and snapshot. The HTTP
 * library is the real one, loaded as in the server.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/clock.h"
#include "policy/config.h"
#include "policy/health.h"
#include "resolver/api/api.h"
#include "resolver/cli/cli_http.h"
#include "resolver/control.h"
#include "resolver/hand.h"
#include "resolver/removals.h"
#include "resolver/server.h"
#include "tests/unit/scratch.h"

#define PATIENCE_MS 20000u /* for a slow and busy machine */

struct control {
    struct health *health;
    struct snapshot *snapshot;
    struct hand *hand;
    struct removals *removals;
    uint64_t started_ms;
    bool ready;
    const char *warning;
    bool reload_at_once; /* end reloads within control_reload, successfully */
    control_reload_done *done;
    void *user;
};

/* ---- the stand-in ---- */

const struct snapshot *control_snapshot(const struct control *control)
{
    return control->snapshot;
}

struct health *control_health(const struct control *control)
{
    return control->health;
}

struct server *control_server(const struct control *control)
{
    (void)control;
    return NULL;
}

struct hand *control_hand(const struct control *control)
{
    return control->hand;
}

struct removals *control_removals(const struct control *control)
{
    return control->removals;
}

const struct prober *control_prober(const struct control *control)
{
    (void)control;
    return NULL; /* nothing is probed here */
}

const struct hostnames *control_hostnames(const struct control *control)
{
    (void)control;
    return NULL; /* no endpoint here has a host name */
}

const char *control_config_path(const struct control *control)
{
    (void)control;
    return "/etc/leeward/leeward.yaml";
}

const char *control_config_warning(const struct control *control)
{
    return control->warning;
}

bool control_is_ready(const struct control *control)
{
    return control->ready;
}

uint64_t control_started_ms(const struct control *control)
{
    return control->started_ms;
}

void control_reload(struct control *control, control_reload_done *done, void *user)
{
    control->done = done;
    control->user = user;
    if (control->reload_at_once) {
        done(user, true, "nothing changed");
        control->done = NULL;
    }
}

void server_sum(const struct server *server, struct server_counters *out)
{
    (void)server;
    out->by_source[0] = 9;
    out->by_rcode[3] = 2;
}

uint64_t server_received(const struct server_counters *counters)
{
    (void)counters;
    return 12;
}

void server_walk_laggards(const struct server *server,
                          void (*visit)(void *user, const struct laggards *laggards), void *user)
{
    (void)server, (void)visit, (void)user;
}

bool server_post(struct server *server, service_job *job, void *user)
{
    (void)server, (void)job, (void)user;
    return false;
}

bool server_do(struct server *server, service_job *job, void *user)
{
    (void)server;
    (void)job;
    (void)user;
    return false;
}

void server_describe_listeners(const struct server *server, struct json_writer *json)
{
    (void)server;
    (void)json;
}

/* ---- the HTTP library ---- */

static bool has_no_library;

void *__real_dlopen(const char *name, int flags);
void *__wrap_dlopen(const char *name, int flags);

void *__wrap_dlopen(const char *name, int flags)
{
    return has_no_library ? NULL : __real_dlopen(name, flags);
}

/* ---- the world ---- */

static const char yaml[] =
    "node: {name: app-17, region: seoul}\n"
    "listen: [\"127.0.0.1:5300\"]\n"
    "regions:\n"
    "  seoul:\n"
    "    minimum_healthy: 1\n"
    "    checks: [{dns: {server: 127.0.0.1, name: canary.corp.example}}]\n"
    "  tokyo: {minimum_healthy: 0}\n"
    "checks:\n"
    "  web: {http: {port: 8080, path: /healthz}}\n"
    "services:\n"
    "  api.svc.example.com:\n"
    "    order: [seoul, tokyo]\n"
    "    check: web\n"
    "    minimum_healthy: 1\n"
    "    endpoints: {seoul: [203.0.113.10, 203.0.113.11], tokyo: [198.51.100.10]}\n"
    "  near.svc.example.com:\n"
    "    steer: [nearest]\n"
    "    srv: 8080\n"
    "    minimum_healthy: 1\n"
    "    endpoints: {seoul: [203.0.113.20], tokyo: [198.51.100.20]}\n"
    "    views: {apps: {endpoints: {seoul: [10.1.0.20], tokyo: [10.2.0.20]}}}\n"
    "views:\n"
    "  apps: {clients: [10.0.0.0/8]}\n"
    "clients:\n"
    "  - {prefix: 192.0.2.0/24, regions: [tokyo, seoul]}\n"
    "zones:\n"
    "  corp.example: {file: corp.zone}\n"
    "forward:\n"
    "  \".\": {upstreams: [{region: seoul, address: 10.1.0.2}, {region: tokyo, address: "
    "10.2.0.2}]}\n";

static const char zone[] = "@ 300 IN SOA ns.corp.example. host.corp.example. 7 60 60 60 60\n"
                           "@ 300 IN NS ns.corp.example.\n"
                           "ns 300 IN A 192.0.2.1\n"
                           "www 300 IN CNAME api.svc.example.com.\n"
                           "away 300 IN CNAME www.else.example.\n";

struct call {
    const char *path;
    const char *method;
    const char *target;
    const char *sent; /* NULL: no body */
    struct cli_http_reply reply;
    struct error err;
    int rc;
    uv_async_t *ended;
};

struct fixture {
    struct scratch scratch;
    char socket[100];
    struct control control;
    uv_loop_t loop;
    uv_async_t ended;
    uv_timer_t patience;
    struct api *api;
    bool api_closed;
    bool call_ended;
    bool reload_ends; /* by a timer, while the client waits */
    bool reload_ok;
};

static void on_health(void *user, const struct health_event *event)
{
    (void)user;
    (void)event;
}

static void on_hand(void *user, const struct override *override, const char *what)
{
    (void)user;
    (void)override;
    (void)what;
}

static void build(struct fixture *f)
{
    struct config_report report = { 0 };
    struct text text = { 0 };
    struct model *model;
    struct hash_key key = hash_key_random();
    struct error err = { 0 };
    char path[256];

    (void)scratch_write(&f->scratch, "corp.zone", zone);
    (void)snprintf(path, sizeof(path), "%s/leeward.yaml", f->scratch.dir);
    if (config_load_text(yaml, path, &model, &report) < 0) {
        config_report_print(&report, &text);
        fail_msg("%s", text_string(&text));
    }
    config_report_fini(&report);
    f->control.started_ms = clock_now_ms() - 5000;
    f->control.health = health_new(on_health, NULL);
    struct health_binding *binding = health_bind(f->control.health, model, clock_now_ms());
    assert_non_null(binding);
    if (snapshot_build(model, binding, NULL, &key, 3, &f->control.snapshot, &err) < 0) {
        fail_msg("%s", err.message);
    }
    health_commit(f->control.health, binding, clock_now_ms());
}

static void on_ended(uv_async_t *async)
{
    struct fixture *f = async->data;
    f->call_ended = true;
    uv_stop(&f->loop);
}

static void on_patience(uv_timer_t *timer)
{
    (void)timer;
    fail_msg("no end after %u ms", PATIENCE_MS);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct error err = { 0 };

    scratch_init(&f->scratch);
    (void)snprintf(f->socket, sizeof(f->socket), "%s/api.sock", f->scratch.dir);
    f->control.warning = "";
    f->control.ready = true;
    build(f);
    assert_int_equal(uv_loop_init(&f->loop), 0);
    assert_int_equal(uv_async_init(&f->loop, &f->ended, on_ended), 0);
    f->ended.data = f;
    assert_int_equal(uv_timer_init(&f->loop, &f->patience), 0);
    f->control.hand = hand_new(&f->loop, f->control.health, on_hand, NULL);
    f->control.removals = removals_new();
    assert_true(f->control.hand != NULL && f->control.removals != NULL);
    hand_adopt(f->control.hand, f->control.snapshot);
    if (api_open(&f->loop, &f->control, f->socket, &f->api, &err) < 0) {
        fail_msg("%s", err.message);
    }
    *state = f;
    return 0;
}

static void on_api_closed(void *user)
{
    struct fixture *f = user;
    f->api_closed = true;
}

static void close_api(struct fixture *f)
{
    if (f->api != NULL) {
        api_close(f->api, on_api_closed, f);
        f->api = NULL;
        while (!f->api_closed) {
            (void)uv_run(&f->loop, UV_RUN_ONCE);
        }
    }
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    close_api(f);
    hand_close(f->control.hand);
    removals_free(f->control.removals);
    uv_close((uv_handle_t *)&f->ended, NULL);
    uv_close((uv_handle_t *)&f->patience, NULL);
    (void)uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    health_unbind(f->control.health, snapshot_free(f->control.snapshot));
    health_free(f->control.health);
    scratch_fini(&f->scratch);
    free(f);
    return 0;
}

/* ---- clients ---- */

static void *run_call(void *user)
{
    struct call *call = user;
    struct text sent = { 0 };

    text_put(&sent, call->sent == NULL ? "" : call->sent);
    call->rc = cli_http(call->path, call->method, call->target, call->sent == NULL ? NULL : &sent,
                        PATIENCE_MS, &call->reply, &call->err);
    text_fini(&sent);
    (void)uv_async_send(call->ended);
    return NULL;
}

static void turn_until_ended(struct fixture *f)
{
    assert_int_equal(uv_timer_start(&f->patience, on_patience, PATIENCE_MS + 5000, 0), 0);
    while (!f->call_ended) {
        (void)uv_run(&f->loop, UV_RUN_ONCE);
        if (f->reload_ends && f->control.done != NULL) {
            f->control.done(f->control.user, f->reload_ok,
                            f->reload_ok ? "generation 4" : "leeward.yaml:3:1: no such key\n");
            f->control.done = NULL;
        }
    }
    (void)uv_timer_stop(&f->patience);
}

/* Ask with a body and answer; the reply is the caller's to free. */
static struct cli_http_reply send_body(struct fixture *f, const char *method, const char *target,
                                       const char *sent)
{
    struct call call = {
        .path = f->socket, .method = method, .target = target, .sent = sent, .ended = &f->ended
    };
    pthread_t thread;

    f->call_ended = false;
    assert_int_equal(pthread_create(&thread, NULL, run_call, &call), 0);
    turn_until_ended(f);
    assert_int_equal(pthread_join(thread, NULL), 0);
    if (call.rc < 0) {
        fail_msg("%s %s: %s", method, target, call.err.message);
    }
    return call.reply;
}

static struct cli_http_reply ask(struct fixture *f, const char *method, const char *target)
{
    return send_body(f, method, target, NULL);
}

static json_t *send_json(struct fixture *f, const char *method, const char *target,
                         const char *sent, unsigned status)
{
    struct cli_http_reply reply = send_body(f, method, target, sent);

    assert_int_equal(reply.status, status);
    json_t *root =
        json_loadb(text_string(&reply.body), reply.body.length, JSON_REJECT_DUPLICATES, NULL);
    if (root == NULL) {
        fail_msg("no JSON: %s", text_string(&reply.body));
    }
    text_fini(&reply.body);
    return root;
}

static json_t *ask_json(struct fixture *f, const char *method, const char *target, unsigned status)
{
    return send_json(f, method, target, NULL, status);
}

static const char *string(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value != NULL ? value : "(none)";
}

static void assert_refusal(struct fixture *f, const char *method, const char *target,
                           const char *sent, unsigned status, const char *code, const char *part)
{
    json_t *root = send_json(f, method, target, sent, status);
    const json_t *error = json_object_get(root, "error");

    assert_string_equal(string(error, "code"), code);
    if (strstr(string(error, "message"), part) == NULL) {
        fail_msg("'%s' is not in '%s'", part, string(error, "message"));
    }
    json_decref(root);
}

static void assert_error(struct fixture *f, const char *method, const char *target, unsigned status,
                         const char *code, const char *part)
{
    assert_refusal(f, method, target, NULL, status, code, part);
}

static bool has_step(const json_t *why, const char *part)
{
    size_t index;
    const json_t *step;

    json_array_foreach(json_object_get(why, "steps"), index, step)
    {
        if (strstr(json_string_value(step), part) != NULL) {
            return true;
        }
    }
    return false;
}

static void assert_step(const json_t *why, const char *part)
{
    if (!has_step(why, part)) {
        char *all = json_dumps(why, JSON_INDENT(1));
        print_message("%s\n", all);
        free(all);
        fail_msg("no step says '%s'", part);
    }
}

/* ---- pages ---- */

static void it_says_that_it_is_alive(void **state)
{
    struct cli_http_reply reply = ask(*state, "GET", "/healthz");

    assert_int_equal(reply.status, 200);
    assert_string_equal(text_string(&reply.body), "alive\n");
    text_fini(&reply.body);
}

static void readiness_says_what_is_waited_for(void **state)
{
    struct fixture *f = *state;

    f->control.ready = false;
    f->control.warning = "leeward.yaml:3:1: no such key";
    struct cli_http_reply reply = ask(f, "GET", "/readyz");
    assert_int_equal(reply.status, 503);
    assert_string_equal(text_string(&reply.body), "not ready: 4 checks have no result yet\n"
                                                  "warning: leeward.yaml:3:1: no such key\n");
    text_fini(&reply.body);
    f->control.ready = true;
    f->control.warning = "";
    reply = ask(f, "GET", "/readyz");
    assert_int_equal(reply.status, 200);
    assert_string_equal(text_string(&reply.body), "ready\n");
    text_fini(&reply.body);
}

static void status_holds_regions_services_and_counters(void **state)
{
    json_t *root = ask_json(*state, "GET", "/api/v1/status", 200);
    const json_t *region = json_array_get(json_object_get(root, "regions"), 0);
    const json_t *service = json_array_get(json_object_get(root, "services"), 0);
    const json_t *answer = json_object_get(json_object_get(service, "answer"), "A");
    const json_t *queries = json_object_get(root, "queries");

    assert_string_equal(string(root, "node"), "app-17");
    assert_int_equal(json_integer_value(json_object_get(root, "generation")), 3);
    assert_true(json_integer_value(json_object_get(root, "uptime_ms")) >= 5000);
    assert_int_equal(json_integer_value(json_object_get(queries, "total")), 12);
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(queries, "by_rcode"), "NXDOMAIN")), 2);
    assert_string_equal(string(region, "name"), "seoul");
    assert_string_equal(string(region, "state"), "in");
    assert_int_equal(json_array_size(json_object_get(region, "checks")), 1);
    assert_string_equal(string(service, "name"), "api.svc.example.com");
    assert_int_equal(json_integer_value(json_object_get(answer, "rung")), 1);
    assert_int_equal(json_array_size(json_object_get(answer, "addresses")), 2);
    assert_true(json_is_null(json_object_get(json_object_get(service, "answer"), "AAAA")));
    assert_int_equal(json_array_size(json_object_get(service, "pools")), 2);
    json_decref(root);
}

static void a_service_is_found_in_any_letter_case(void **state)
{
    json_t *root = ask_json(*state, "GET", "/api/v1/services/API.svc.example.com.", 200);
    const json_t *pool = json_array_get(json_object_get(root, "pools"), 0);
    const json_t *endpoint = json_array_get(json_object_get(pool, "endpoints"), 0);

    assert_string_equal(string(root, "name"), "api.svc.example.com");
    assert_string_equal(string(endpoint, "address"), "203.0.113.10");
    assert_string_equal(string(endpoint, "state"), "unknown");
    assert_int_equal(json_array_size(json_object_get(endpoint, "checks")), 1);
    json_decref(root);
}

static void what_is_unknown_suggests_the_nearest(void **state)
{
    assert_error(*state, "GET", "/api/v1/services/apo.svc.example.com", 404, "unknown_service",
                 "did you mean 'api.svc.example.com'?");
    assert_error(*state, "GET", "/api/v1/statsu", 404, "unknown_path",
                 "did you mean '/api/v1/status'?");
    assert_error(*state, "GET", "/%ff%0a", 404, "unknown_path", "nothing at");
}

static void methods_and_pages_to_come_are_told_apart(void **state)
{
    assert_error(*state, "GET", "/api/v1/reload", 405, "wrong_method", "use POST");
    assert_error(*state, "POST", "/api/v1/status", 405, "wrong_method", "use GET");
    assert_error(*state, "GET", "/metrics", 501, "not_available", "not available yet");
}

static void the_configuration_is_shown_as_it_is_in_effect(void **state)
{
    struct cli_http_reply reply = ask(*state, "GET", "/api/v1/config");

    assert_int_equal(reply.status, 200);
    assert_non_null(strstr(text_string(&reply.body), "api.svc.example.com"));
    text_fini(&reply.body);
}

/* ---- why ---- */

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
        for (unsigned k = 0; strstr(probe->label, target) != NULL && k < 64 &&
                             probe->detect.state != DETECT_DOWN; k++) {
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
                             "update\",\"for\":\"30m\",\"force\":true}", 200);

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

static void why_sees_the_client_in_its_view_and_at_its_place(void **state)
{
    json_t *why = ask_json(*state, "GET",
                           "/api/v1/why?name=near.svc.example.com&client=10.5.6.7", 200);

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

static void why_explains_srv_as_the_endpoints_it_names(void **state)
{
    json_t *why =
        ask_json(*state, "GET", "/api/v1/why?name=near.svc.example.com&type=SRV", 200);

    assert_step(why, "SRV: the IPv4 endpoints");
    assert_int_equal(json_integer_value(json_object_get(why, "rung")), 1);
    assert_true(has_line(json_object_get(why, "would_change"), "if seoul fails: tokyo answers"));
    json_decref(why);
}

static void a_view_is_listed_within_its_service(void **state)
{
    json_t *root = ask_json(*state, "GET", "/api/v1/status", 200);
    const json_t *services = json_object_get(root, "services");
    const json_t *near = json_array_get(services, 1);
    const json_t *view = json_array_get(json_object_get(near, "views"), 0);

    assert_int_equal(json_array_size(services), 2);
    assert_string_equal(string(near, "name"), "near.svc.example.com");
    assert_string_equal(string(near, "steer"), "nearest");
    assert_true(json_is_null(json_object_get(near, "view")));
    assert_string_equal(string(view, "view"), "apps");
    assert_true(json_is_object(json_object_get(root, "probing")));
    assert_true(json_is_null(json_object_get(json_object_get(root, "guards"), "isolated")));
    json_decref(root);
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

/* ---- reload ---- */

/* ---- the operator's hand ---- */

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
          "bad_request", "\"for\"" },
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
    assert_int_equal(json_integer_value(json_object_get(scenario, "services_changed")), 3);
    assert_int_equal(
        json_integer_value(json_object_get(scenario, "services_without_healthy_region")), 0);
    const json_t *service = json_array_get(json_object_get(scenario, "services"), 0);
    const json_t *after = json_object_get(json_object_get(service, "after"), "A");
    assert_string_equal(json_string_value(json_array_get(json_object_get(after, "regions"), 0)),
                        "tokyo");
    const json_t *tokyo = json_array_get(json_object_get(scenario, "regions"), 1);
    assert_true(json_number_value(json_object_get(tokyo, "answers_percent_after")) > 99.0);
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
    reply = send_json(*state, "POST", "/api/v1/simulate", "{\"down\": [\"seoul\", \"tokyo\"]}",
                      200);
    const json_t *both = json_array_get(json_object_get(reply, "scenarios"), 0);
    assert_int_equal(json_integer_value(json_object_get(both, "services_without_healthy_region")),
                     3); /* a view has answers of its own */
    json_decref(reply);
    assert_refusal(*state, "POST", "/api/v1/simulate", "{\"down\": [\"tokio\"]}", 404,
                   "unknown_target", "did you mean 'tokyo'?");
    assert_refusal(*state, "POST", "/api/v1/simulate", "{}", 400, "bad_request", "supposed");
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

static void a_reload_is_waited_for(void **state)
{
    struct fixture *f = *state;

    f->reload_ends = true;
    f->reload_ok = true;
    json_t *root = ask_json(f, "POST", "/api/v1/reload", 200);
    assert_int_equal(json_integer_value(json_object_get(root, "generation")), 3);
    assert_string_equal(string(root, "report"), "generation 4");
    assert_string_equal(string(root, "config"), "/etc/leeward/leeward.yaml");
    assert_int_equal(json_integer_value(json_object_get(root, "services")), 2);
    json_decref(root);
}

static void a_reload_may_end_at_once(void **state)
{
    struct fixture *f = *state;

    f->control.reload_at_once = true;
    json_t *root = ask_json(f, "POST", "/api/v1/reload", 200);
    assert_string_equal(string(root, "report"), "nothing changed");
    json_decref(root);
}

static void a_refused_reload_carries_the_report(void **state)
{
    struct fixture *f = *state;

    f->reload_ends = true;
    f->reload_ok = false;
    assert_error(f, "POST", "/api/v1/reload", 409, "refused", "leeward.yaml:3:1: no such key");
}

static void closing_does_not_wait_for_a_reload(void **state)
{
    struct fixture *f = *state;
    struct call call = {
        .path = f->socket, .method = "POST", .target = "/api/v1/reload", .ended = &f->ended
    };
    pthread_t thread;

    f->call_ended = false;
    assert_int_equal(pthread_create(&thread, NULL, run_call, &call), 0);
    assert_int_equal(uv_timer_start(&f->patience, on_patience, PATIENCE_MS, 0), 0);
    while (f->control.done == NULL) {
        (void)uv_run(&f->loop, UV_RUN_ONCE);
    }
    close_api(f);
    turn_until_ended(f);
    assert_int_equal(pthread_join(thread, NULL), 0);
    text_fini(&call.reply.body);
    assert_true(call.rc < 0);
    f->control.done(f->control.user, true, "too late");
}

/* ---- the socket ---- */

static int open_second(struct fixture *f, const char *path, struct error *err)
{
    struct api *second = NULL;
    int rc = api_open(&f->loop, &f->control, path, &second, err);

    if (rc == 0) {
        f->api_closed = false;
        api_close(second, on_api_closed, f);
        while (!f->api_closed) {
            (void)uv_run(&f->loop, UV_RUN_ONCE);
        }
        f->api_closed = false;
    }
    return rc;
}

static void a_live_socket_is_not_taken_over(void **state)
{
    struct fixture *f = *state;
    struct error err = { 0 };

    assert_int_equal(open_second(f, f->socket, &err), -EADDRINUSE);
    assert_non_null(strstr(err.message, "another server listens there"));
    struct cli_http_reply reply = ask(f, "GET", "/healthz");
    assert_int_equal(reply.status, 200);
    text_fini(&reply.body);
}

static void a_dead_socket_is_replaced_and_another_file_is_not(void **state)
{
    struct fixture *f = *state;
    struct error err = { 0 };
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct stat file;

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/dead.sock", f->scratch.dir);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(close(fd), 0);
    assert_int_equal(open_second(f, address.sun_path, &err), 0);
    assert_int_equal(stat(address.sun_path, &file), -1);
    assert_int_equal(open_second(f, scratch_write(&f->scratch, "plain", "precious"), &err),
                     -EADDRINUSE);
    assert_non_null(strstr(err.message, "no socket"));
    assert_int_equal(stat(f->scratch.path, &file), 0);
}

static void the_socket_is_for_owner_and_group_and_goes_with_the_server(void **state)
{
    struct fixture *f = *state;
    struct stat file;

    assert_int_equal(stat(f->socket, &file), 0);
    assert_int_equal(file.st_mode & 0777, 0660);
    close_api(f);
    assert_int_equal(stat(f->socket, &file), -1);
}

static void a_folder_that_is_missing_is_made(void **state)
{
    struct fixture *f = *state;
    struct error err = { 0 };
    char path[200];

    (void)snprintf(path, sizeof(path), "%s/run/api.sock", f->scratch.dir);
    assert_int_equal(open_second(f, path, &err), 0);
    (void)snprintf(path, sizeof(path), "%s/no/such/api.sock", f->scratch.dir);
    assert_int_equal(open_second(f, path, &err), -ENOENT);
    (void)memset(path, 'x', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    assert_int_equal(open_second(f, path, &err), -ENAMETOOLONG);
}

/* ---- without the HTTP library ---- */

static void assert_refused(struct fixture *f)
{
    assert_error(f, "GET", "/api/v1/status", 503, "no_http_server", "install libmicrohttpd");
}

/* What is loaded stays loaded, so these two come first. */
static void without_the_http_library_every_client_is_told_so(void **state)
{
    has_no_library = true;
    for (int i = 0; i < 20; i++) {
        assert_refused(*state);
    }
    has_no_library = false;
}

static void the_http_library_may_be_installed_later(void **state)
{
    struct fixture *f = *state;

    has_no_library = true;
    assert_refused(f);
    has_no_library = false;
    for (int i = 0; i < 2; i++) {
        struct cli_http_reply reply = ask(f, "GET", "/healthz");
        assert_int_equal(reply.status, 200);
        text_fini(&reply.body);
    }
}

static void what_never_had_a_client_closes(void **state)
{
    struct fixture *f = *state;
    struct stat file;

    close_api(f);
    assert_int_equal(stat(f->socket, &file), -1);
}

/* A client that says nothing, and one that says nonsense, hold nobody up. */
static void others_are_served_beside_a_silent_client(void **state)
{
    struct fixture *f = *state;
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int silent = socket(AF_UNIX, SOCK_STREAM, 0);
    int broken = socket(AF_UNIX, SOCK_STREAM, 0);

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", f->socket);
    assert_int_equal(connect(silent, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(connect(broken, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(write(silent, "GET /hea", 8), 8);
    assert_int_equal(write(broken, "\0\1\2\r\n\r\n", 7), 7);
    struct cli_http_reply reply = ask(f, "GET", "/healthz");
    assert_int_equal(reply.status, 200);
    text_fini(&reply.body);
    (void)close(silent);
    (void)close(broken);
}

int main(void)
{
#define API_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        API_TEST(without_the_http_library_every_client_is_told_so),
        API_TEST(the_http_library_may_be_installed_later),
        API_TEST(what_never_had_a_client_closes),
        API_TEST(it_says_that_it_is_alive),
        API_TEST(readiness_says_what_is_waited_for),
        API_TEST(status_holds_regions_services_and_counters),
        API_TEST(a_service_is_found_in_any_letter_case),
        API_TEST(what_is_unknown_suggests_the_nearest),
        API_TEST(methods_and_pages_to_come_are_told_apart),
        API_TEST(the_configuration_is_shown_as_it_is_in_effect),
        API_TEST(why_a_service_shows_the_ladder),
        API_TEST(why_says_what_is_not_well_and_what_would_change_it),
        API_TEST(why_names_who_took_a_region_out_and_until_when),
        API_TEST(why_sees_the_client_in_its_view_and_at_its_place),
        API_TEST(why_explains_srv_as_the_endpoints_it_names),
        API_TEST(a_view_is_listed_within_its_service),
        API_TEST(why_a_zone_names_its_file),
        API_TEST(why_an_alias_goes_on_into_the_service),
        API_TEST(why_an_alias_to_a_foreign_name_tells_both),
        API_TEST(why_another_name_lists_the_upstreams),
        API_TEST(why_a_stranger_is_refused),
        API_TEST(why_complains_of_what_it_cannot_read),
        API_TEST(a_drain_is_set_listed_and_taken_back),
        API_TEST(a_drain_that_leaves_too_little_needs_force),
        API_TEST(an_override_that_makes_no_sense_is_explained),
        API_TEST(a_simulation_shows_answers_and_shares),
        API_TEST(every_region_is_a_game_day),
        API_TEST(a_review_tells_what_would_change),
        API_TEST(a_reload_is_waited_for),
        API_TEST(a_reload_may_end_at_once),
        API_TEST(a_refused_reload_carries_the_report),
        API_TEST(closing_does_not_wait_for_a_reload),
        API_TEST(a_live_socket_is_not_taken_over),
        API_TEST(a_dead_socket_is_replaced_and_another_file_is_not),
        API_TEST(the_socket_is_for_owner_and_group_and_goes_with_the_server),
        API_TEST(a_folder_that_is_missing_is_made),
        API_TEST(others_are_served_beside_a_silent_client),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
