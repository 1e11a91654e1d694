#include "resolver/api/api_override.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_writer.h"
#include "policy/config_value.h"
#include "resolver/control.h"
#include "resolver/hand.h"

#define FOR_MOST_MS (366ull * 24 * 3600 * 1000)

static void put_time(struct json_writer *json, const char *key, int64_t seconds)
{
    char text[32];

    if (seconds == 0) {
        json_writer_null(json, key);
        return;
    }
    clock_format_wall((uint64_t)seconds * 1000, text, sizeof(text));
    json_writer_string(json, key, text);
}

void api_override_put_one(const char *key, const struct override *o, struct json_writer *json)
{
    json_writer_object_begin(json, key);
    json_writer_string(json, "target", o->target);
    json_writer_string(json, "state", override_kind_name(o->kind));
    json_writer_string(json, "reason", o->reason);
    json_writer_string(json, "author", o->author);
    put_time(json, "since", o->since_s);
    put_time(json, "until", o->until_s);
    json_writer_bool(json, "scheduled", o->scheduled);
    json_writer_bool(json, "ended_early", o->muted);
    json_writer_object_end(json);
}

void api_override_put(struct control *control, struct json_writer *json)
{
    const struct overrides *overrides = hand_overrides(control_hand(control));

    json_writer_list_begin(json, "overrides");
    for (size_t i = 0; i < overrides_count(overrides); i++) {
        api_override_put_one(NULL, overrides_at(overrides, i), json);
    }
    json_writer_list_end(json);
}

void api_override_list(struct control *control, struct api_reply *reply)
{
    struct json_writer json;

    reply->status = 200;
    reply->content_type = API_REPLY_JSON;
    json_writer_init(&json, &reply->body);
    json_writer_object_begin(&json, NULL);
    json_writer_bool(&json, "kept", hand_is_kept(control_hand(control)));
    api_override_put(control, &json);
    json_writer_object_end(&json);
    text_put_char(&reply->body, '\n');
}

/* ---- reading what is asked for ---- */

static bool take_text(const json_t *root, const char *key, bool required, char *out, size_t cap,
                      struct api_reply *reply)
{
    const json_t *value = json_object_get(root, key);
    const char *text = json_string_value(value);

    out[0] = '\0';
    if (value == NULL && !required) {
        return true;
    }
    if (text == NULL || (required && text[0] == '\0')) {
        api_reply_error(reply, 400, "bad_request", "\"%s\" is %s", key,
                        required ? "required, a text" : "a text");
        return false;
    }
    if (strlen(text) >= cap) {
        api_reply_error(reply, 400, "bad_request", "\"%s\" is longer than %zu bytes", key, cap - 1);
        return false;
    }
    memcpy(out, text, strlen(text) + 1);
    return true;
}

static bool take_state(const json_t *root, struct override *out, struct api_reply *reply)
{
    const char *state = json_string_value(json_object_get(root, "state"));

    for (unsigned i = OVERRIDE_DRAIN; state != NULL && i <= OVERRIDE_FORCE_DOWN; i++) {
        if (strcmp(state, override_kind_name((enum override_kind)i)) == 0) {
            out->kind = (enum override_kind)i;
            return true;
        }
    }
    api_reply_error(reply, 400, "bad_request", "\"state\" is drain, up or down");
    return false;
}

static bool take_duration(const json_t *root, struct override *out, struct api_reply *reply)
{
    char text[32];
    uint64_t ms;
    struct error err;

    if (!take_text(root, "for", false, text, sizeof(text), reply)) {
        return false;
    }
    if (text[0] == '\0') {
        return true;
    }
    if (config_value_ms(text, &ms, &err) < 0) {
        api_reply_error(reply, 400, "bad_request", "\"for\": %s%s%s", err.message,
                        err.hint[0] == '\0' ? "" : "; ", err.hint);
        return false;
    }
    if (ms < 1000 || ms > FOR_MOST_MS) {
        api_reply_error(reply, 400, "bad_request", "\"for\" is from 1s to 366d");
        return false;
    }
    out->until_s = (int64_t)((clock_wall_ms() + ms + 999) / 1000);
    return true;
}

/* A key that is none may be one that was meant: without its "until" a drain is for ever. */
static bool has_known_keys(const json_t *root, struct api_reply *reply)
{
    static const char *const known[] = { "target", "state", "reason", "for", "force" };
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)root, key, value)
    {
        bool is_known = false;
        for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
            is_known = is_known || strcmp(known[i], key) == 0;
        }
        if (!is_known) {
            api_reply_error(reply, 400, "bad_request",
                            "no key \"%.40s\" here: target, state, reason, for, force", key);
            return false;
        }
    }
    return true;
}

static bool read_request(const json_t *root, struct override *out, struct api_reply *reply)
{
    memset(out, 0, sizeof(*out));
    return has_known_keys(root, reply) &&
           take_text(root, "target", true, out->target, sizeof(out->target), reply) &&
           take_state(root, out, reply) &&
           take_text(root, "reason", true, out->reason, sizeof(out->reason), reply) &&
           take_duration(root, out, reply);
}

/*
 * What is said of an endpoint goes by its address. With a port written, which
 * is how status shows it, it must not mean others beside the one that is meant.
 */
static bool means_one(const struct model *model, const char *target, struct api_reply *reply)
{
    const struct addr *other = NULL;
    struct addr meant;
    struct error ignored;
    bool is_there = false;
    char text[ADDR_TEXT_MAX];

    if (addr_parse(target, 0, &meant, &ignored) < 0 || meant.port == 0) {
        return true;
    }
    for (size_t s = 0; s < model->service_count; s++) {
        const struct model_service *service = &model->services[s];
        for (size_t p = 0; p < service->pool_count; p++) {
            for (size_t e = 0; e < service->pools[p].endpoint_count; e++) {
                const struct addr *address = &service->pools[p].endpoints[e].address;
                if (addr_same_host(address, &meant)) { /* one without a port is at any */
                    bool is_it = address->port == meant.port || address->port == 0;
                    is_there = is_there || is_it;
                    other = is_it ? other : address;
                }
            }
        }
    }
    if (other == NULL) {
        return true;
    }
    addr_format_port(other, text, sizeof(text));
    if (is_there) {
        api_reply_error(
            reply, 409, "refused",
            "an endpoint is meant by its address, whatever its port, and '%.100s' would "
            "mean %s, too; say it without a port if all are meant",
            target, text);
    } else {
        api_reply_error(reply, 404, "unknown_target",
                        "no endpoint is meant by '%.100s'; at this address there is %s", target,
                        text);
    }
    return false;
}

static void put_refusal(const struct error *err, struct api_reply *reply)
{
    const char *code = err->code == -ENOENT  ? "unknown_target"
                       : err->code == -EBUSY ? "guarded"
                                             : "refused";

    api_reply_error(reply, err->code == -ENOENT ? 404 : 409, code, "%s%s%s", err->message,
                    err->hint[0] == '\0' ? "" : "; ", err->hint);
}

void api_override_set(struct control *control, const struct api_request *request,
                      struct api_reply *reply)
{
    struct override o;
    struct error err = { 0 };
    json_error_t where;
    json_t *root = json_loadb(request->body, request->body_length, JSON_REJECT_DUPLICATES, &where);

    if (root == NULL) {
        api_reply_error(reply, 400, "bad_request", "the body is not JSON: line %d, column %d: %s",
                        where.line, where.column, where.text);
        return;
    }
    bool force = json_is_true(json_object_get(root, "force"));
    bool good = read_request(root, &o, reply);
    json_decref(root);
    if (!good) {
        return;
    }
    if (!means_one(control_snapshot(control)->model, o.target, reply)) {
        return;
    }
    (void)snprintf(o.author, sizeof(o.author), "%s", request->author);
    if (hand_set(control_hand(control), &o, force, &err) < 0) {
        put_refusal(&err, reply);
        return;
    }
    api_override_list(control, reply);
}

void api_override_release(struct control *control, const struct api_request *request,
                          struct api_reply *reply)
{
    struct error err = { 0 };
    enum override_release which = OVERRIDE_RELEASE_ALL;

    if (request->type != NULL && strcmp(request->type, "drain") == 0) {
        which = OVERRIDE_RELEASE_DRAIN;
    } else if (request->type != NULL && strcmp(request->type, "force") == 0) {
        which = OVERRIDE_RELEASE_FORCE;
    } else if (request->type != NULL) {
        api_reply_error(reply, 400, "bad_request", "type is drain or force");
        return;
    }
    if (hand_release(control_hand(control), request->rest, which, request->author, &err) < 0) {
        put_refusal(&err, reply);
        return;
    }
    api_override_list(control, reply);
}
