#pragma once
/*
 * api_world - the api over its real socket: the loop in this thread, clients in others
 *
 * The control behind it is a stand-in with a real model, table and snapshot. The
 * HTTP library is the real one, loaded as in the server.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <jansson.h>
#include <pthread.h>

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
    int journal_trouble;
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

struct announcer *control_announcer(const struct control *control)
{
    (void)control;
    return NULL; /* nobody is to be told */
}

int control_journal_trouble(const struct control *control)
{
    return control->journal_trouble;
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
    "listen: [\"127.0.0.1:5300\", \"127.0.0.2:5300\"]\n"
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
    "    views:\n"
    "      apps: {endpoints: {seoul: [10.1.0.20], tokyo: [10.2.0.20]}}\n"
    "      desk: {endpoints: {seoul: [10.1.0.30], tokyo: [10.2.0.30]}}\n"
    "views:\n"
    "  apps: {clients: [10.0.0.0/8]}\n"
    "  desk: {listen: [\"127.0.0.2:5300\"]}\n"
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

static inline void on_health(void *user, const struct health_event *event)
{
    (void)user;
    (void)event;
}

static inline void on_hand(void *user, const struct override *override, const char *what)
{
    (void)user;
    (void) override;
    (void)what;
}

static inline void build(struct fixture *f)
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

static inline void on_ended(uv_async_t *async)
{
    struct fixture *f = async->data;
    f->call_ended = true;
    uv_stop(&f->loop);
}

static inline void on_patience(uv_timer_t *timer)
{
    (void)timer;
    fail_msg("no end after %u ms", PATIENCE_MS);
}

static inline int setup(void **state)
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

static inline void on_api_closed(void *user)
{
    struct fixture *f = user;
    f->api_closed = true;
}

static inline void close_api(struct fixture *f)
{
    if (f->api != NULL) {
        api_close(f->api, on_api_closed, f);
        f->api = NULL;
        while (!f->api_closed) {
            (void)uv_run(&f->loop, UV_RUN_ONCE);
        }
    }
}

static inline int teardown(void **state)
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

static inline void *run_call(void *user)
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

static inline void turn_until_ended(struct fixture *f)
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
static inline struct cli_http_reply send_body(struct fixture *f, const char *method,
                                              const char *target, const char *sent)
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

static inline struct cli_http_reply ask(struct fixture *f, const char *method, const char *target)
{
    return send_body(f, method, target, NULL);
}

static inline json_t *send_json(struct fixture *f, const char *method, const char *target,
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

static inline json_t *ask_json(struct fixture *f, const char *method, const char *target,
                               unsigned status)
{
    return send_json(f, method, target, NULL, status);
}

static inline const char *string(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value != NULL ? value : "(none)";
}

static inline void assert_refusal(struct fixture *f, const char *method, const char *target,
                                  const char *sent, unsigned status, const char *code,
                                  const char *part)
{
    json_t *root = send_json(f, method, target, sent, status);
    const json_t *error = json_object_get(root, "error");

    assert_string_equal(string(error, "code"), code);
    if (strstr(string(error, "message"), part) == NULL) {
        fail_msg("'%s' is not in '%s'", part, string(error, "message"));
    }
    json_decref(root);
}

static inline void assert_error(struct fixture *f, const char *method, const char *target,
                                unsigned status, const char *code, const char *part)
{
    assert_refusal(f, method, target, NULL, status, code, part);
}

static inline bool has_step(const json_t *why, const char *part)
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

static inline void assert_step(const json_t *why, const char *part)
{
    if (!has_step(why, part)) {
        char *all = json_dumps(why, JSON_INDENT(1));
        print_message("%s\n", all);
        free(all);
        fail_msg("no step says '%s'", part);
    }
}
