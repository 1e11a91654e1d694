#include "resolver/api/api_push.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_writer.h"
#include "policy/checks/check_push.h"
#include "policy/checks/plugin_output.h"
#include "policy/config_value.h"
#include "resolver/control.h"

#define VERB       "/push"
#define TTL_LEAST  1000u
#define SHOWN_MAX  100 /* of a foreign word in an error */
#define NAMES_MOST 1024

struct report {
    char target[PUSH_BOARD_NAME_MAX];
    enum push_state state;
    uint32_t ttl_ms; /* 0: the check's */
    char message[PLUGIN_REASON_MAX];
    unsigned probes; /* that it is about */
};

/* ---- the target ---- */

/* The path without its verb, its address as we write it. */
static bool take_target(const char *rest, struct report *out, struct api_reply *reply)
{
    size_t length = strlen(rest);
    size_t verb = strlen(VERB);
    struct addr address;
    struct error err;

    if (length <= verb || strcmp(rest + length - verb, VERB) != 0) {
        api_reply_error(reply, 404, "unknown_path",
                        "nothing at '%.*s'; did you mean "
                        "/api/v1/checks/TARGET/push?",
                        SHOWN_MAX, rest);
        return false;
    }
    length -= verb;
    if (length >= sizeof(out->target)) {
        api_reply_error(reply, 404, "unknown_check", "no push check has so long a name");
        return false;
    }
    memcpy(out->target, rest, length);
    out->target[length] = '\0';
    char *slash = strchr(out->target, '/');
    if (slash == NULL) {
        return true;
    }
    if (addr_parse(slash + 1, 0, &address, &err) < 0) {
        api_reply_error(reply, 400, "bad_request", "%s", err.message);
        return false;
    }
    addr_format(&address, slash + 1, sizeof(out->target) - (size_t)(slash + 1 - out->target));
    return true;
}

/* Count the probes that it is about; the ttl is theirs unless it was given. */
static void count_probes(struct health *health, struct report *report)
{
    for (size_t slot = 0; slot < health_probe_count(health); slot++) {
        const struct health_probe *probe = health_probe(health, slot);
        if (check_push_is_about(probe, report->target)) {
            report->probes++;
            if (report->ttl_ms == 0) {
                report->ttl_ms = probe->check->push_ttl_ms;
            }
        }
    }
}

static void put_unknown(struct health *health, const char *target, struct api_reply *reply)
{
    const char *names[NAMES_MOST];
    size_t count = 0;

    for (size_t slot = 0; slot < health_probe_count(health) && count < NAMES_MOST; slot++) {
        const char *name = check_push_name(health_probe(health, slot));
        if (name != NULL) {
            names[count++] = name;
        }
    }
    const char *address = strchr(target, '/');
    size_t length = address == NULL ? strlen(target) : (size_t)(address - target);
    for (size_t i = 0; i < count && address != NULL; i++) {
        if (strlen(names[i]) == length && memcmp(names[i], target, length) == 0) {
            api_reply_error(reply, 404, "unknown_check", "the check '%s' is of no endpoint at %.*s",
                            names[i], SHOWN_MAX, address + 1);
            return;
        }
    }
    const char *near = text_nearest(target, names, count);
    api_reply_error(reply, 404, "unknown_check", "no push check named '%.*s'%s%s%s", SHOWN_MAX,
                    target, near != NULL ? "; did you mean '" : "", near != NULL ? near : "",
                    near != NULL ? "'?" : "");
}

/* ---- the body ---- */

static bool refuse(struct api_reply *reply, const char *message)
{
    api_reply_error(reply, 400, "bad_request", "%s", message);
    return false;
}

static bool take_ttl(const char *text, struct report *out, struct api_reply *reply)
{
    struct error err;
    uint64_t ms;

    if (text == NULL) {
        return refuse(reply, "\"ttl\" is a duration such as \"10s\"");
    }
    if (config_value_ms(text, &ms, &err) < 0) {
        api_reply_error(reply, 400, "bad_request", "\"ttl\": %s", err.message);
        return false;
    }
    if (ms < TTL_LEAST || ms > PUSH_BOARD_TTL_MAX_MS) {
        return refuse(reply, "\"ttl\" is from 1s to 24h");
    }
    out->ttl_ms = (uint32_t)ms;
    return true;
}

static bool take_member(const char *key, const json_t *value, struct report *out,
                        struct api_reply *reply)
{
    const char *text = json_string_value(value);

    if (strcmp(key, "state") == 0) {
        return (text != NULL && push_state_parse(text, &out->state)) ||
               refuse(reply, "\"state\" is up, degraded or down");
    }
    if (strcmp(key, "ttl") == 0) {
        return take_ttl(text, out, reply);
    }
    if (strcmp(key, "message") == 0) {
        if (text == NULL) {
            return refuse(reply, "\"message\" is a text");
        }
        plugin_output_show(text, strlen(text), out->message);
        return true;
    }
    api_reply_error(reply, 400, "bad_request", "no key \"%.*s\" here: state, ttl, message",
                    SHOWN_MAX, key);
    return false;
}

static bool read_body(json_t *root, struct report *out, struct api_reply *reply)
{
    const char *key;
    json_t *value;

    if (json_object_get(root, "state") == NULL) {
        return refuse(reply, "\"state\" is required: up, degraded or down");
    }
    json_object_foreach(root, key, value)
    {
        if (!take_member(key, value, out, reply)) {
            return false;
        }
    }
    return true;
}

static bool take_body(const struct api_request *request, struct report *out,
                      struct api_reply *reply)
{
    json_error_t where;
    json_t *root = json_loadb(request->body, request->body_length, JSON_REJECT_DUPLICATES, &where);

    if (root == NULL) {
        api_reply_error(reply, 400, "bad_request", "the body is not JSON: line %d, column %d: %s",
                        where.line, where.column, where.text);
        return false;
    }
    bool good = read_body(root, out, reply);
    json_decref(root);
    return good;
}

/* ---- the page ---- */

static void put_taken(const struct report *report, struct api_reply *reply)
{
    struct json_writer json;

    reply->status = 200;
    reply->content_type = API_REPLY_JSON;
    json_writer_init(&json, &reply->body);
    json_writer_object_begin(&json, NULL);
    json_writer_string(&json, "target", report->target);
    json_writer_string(&json, "state", push_state_name(report->state));
    json_writer_uint(&json, "ttl_ms", report->ttl_ms);
    json_writer_string(&json, "message", report->message);
    json_writer_uint(&json, "probes", report->probes);
    json_writer_object_end(&json);
    text_put_char(&reply->body, '\n');
}

void api_push_put(struct control *control, const struct snapshot *snapshot,
                  const struct api_request *request, struct api_reply *reply)
{
    struct health *health = control_health(control);
    struct push_board *board = check_push_board();
    struct report report = { .state = PUSH_UP };

    (void)snapshot;
    if (!take_target(request->rest, &report, reply) || !take_body(request, &report, reply)) {
        return;
    }
    count_probes(health, &report);
    if (report.probes == 0) {
        put_unknown(health, report.target, reply);
        return;
    }
    int rc = board == NULL ? -ENOMEM
                           : push_board_report(board, report.target, report.state, report.ttl_ms,
                                               report.message, clock_now_ms());
    if (rc == -ENOSPC) {
        api_reply_error(reply, 507, "full", "more than %u targets are reported",
                        PUSH_BOARD_TARGETS_MAX);
    } else if (rc < 0) {
        api_reply_error(reply, 500, "failed", "%s", strerror(-rc));
    } else {
        put_taken(&report, reply);
    }
}
