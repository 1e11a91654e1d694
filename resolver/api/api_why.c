#include "resolver/api/api_why.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "resolver/api/api_cache.h"
#include "resolver/api/api_why_inside.h"
#include "resolver/record_text.h"
#include "resolver/resolution.h"
#include "resolver/server.h"
#include "zones/words.h"

/* ---- the question ---- */

static bool read_type(const char *type, struct why_question *out, struct api_reply *reply)
{
    struct error err = { 0 };

    out->type = WIRE_A;
    if (type != NULL && record_text_type(type, &out->type, &err) < 0) {
        api_reply_error(reply, 400, "unknown_type", "%s", err.message);
        return false;
    }
    return true;
}

static bool read_client(const char *client, const char *ecs, struct why_question *out,
                        struct api_reply *reply)
{
    struct error err = { 0 };

    if (addr_parse(client != NULL ? client : "127.0.0.1", 0, &out->client, &err) < 0) {
        api_reply_error(reply, 400, "bad_client", "%s", err.message);
        return false;
    }
    addr_format(&out->client, out->client_text, sizeof(out->client_text));
    if (ecs == NULL) {
        return true;
    }
    if (addr_prefix_parse(ecs, &out->subnet, &err) < 0) {
        api_reply_error(reply, 400, "bad_ecs", "%s", err.message);
        return false;
    }
    api_why_cut_address(&out->subnet.base, out->subnet.bits); /* RFC 7871, section 6 */
    out->has_subnet = true;
    return true;
}

/* Does it listen there? */
static bool is_ours(const struct model *model, const struct addr *address)
{
    for (size_t i = 0; i < model->listener_count; i++) {
        const struct addr *own = &model->listeners[i].address;
        if (addr_equal(own, address) ||
            (addr_is_any(own) && own->family == address->family && own->port == address->port)) {
            return true;
        }
    }
    return false;
}

/* Nobody said where the client asks: anywhere, if all that leads to the same view. */
static void derive_listener(const struct model *model, struct why_question *out)
{
    size_t view = 0;

    for (size_t i = 0; i < model->listener_count; i++) {
        const struct addr *listener = &model->listeners[i].address;
        if (listener->family != out->client.family) {
            continue;
        }
        size_t seen = snapshot_view(model->views, model->view_count, &out->client,
                                    out->local_is_loopback, listener);
        if (out->has_listener && seen != view) {
            out->has_listener = false;
            out->has_to_say = true;
            return;
        }
        view = seen;
        out->has_listener = true;
        out->listener = *listener;
    }
}

static bool read_listener(const struct model *model, const char *listener, struct why_question *out,
                          struct api_reply *reply)
{
    struct error err = { 0 };

    out->local_is_loopback = addr_is_loopback(&out->client);
    if (listener == NULL) {
        derive_listener(model, out);
        return true;
    }
    if (addr_parse(listener, 53, &out->listener, &err) < 0) {
        api_reply_error(reply, 400, "bad_listener", "%s", err.message);
        return false;
    }
    addr_format_port(&out->listener, out->listener_text, sizeof(out->listener_text));
    if (!is_ours(model, &out->listener)) {
        api_reply_error(reply, 400, "bad_listener", "%s is not listened at (see `listen`)",
                        out->listener_text);
        return false;
    }
    out->has_listener = true;
    if (!addr_is_any(&out->listener)) {
        out->local_is_loopback = addr_is_loopback(&out->listener);
    }
    return true;
}

static bool read_question(const struct model *model, const struct api_request *request,
                          struct why_question *out, struct api_reply *reply)
{
    struct error err = { 0 };

    memset(out, 0, sizeof(*out));
    out->name = request->name;
    int length = name_parse(request->name, out->dname, &err);
    if (length <= 0) {
        api_reply_error(reply, 400, "bad_name", "%s", err.message);
        return false;
    }
    out->length = (size_t)length;
    return read_type(request->type, out, reply) &&
           read_client(request->client, request->ecs, out, reply) &&
           read_listener(model, request->listener, out, reply);
}

bool api_why_is_elsewhere(enum query_source source)
{
    return source == QUERY_FORWARDED || source == QUERY_CACHE || source == QUERY_STALE;
}

/* The source that was counted is the source of the answer. */
static enum query_source counted_source(const struct server_counters *counters)
{
    for (unsigned i = 0; i < QUERY_SOURCES; i++) {
        if (counters->by_source[i] > 0) {
            return (enum query_source)i;
        }
    }
    return QUERY_BROKEN;
}

/* A question that the service loop puts to itself. */
struct work {
    const struct snapshot *snapshot;
    const struct why_question *question;
    struct why_outcome *outcome;
};

/* Behind the query with its empty OPT: for whom it is asked. RFC 7871, section 6. */
static size_t add_subnet(const struct addr_prefix *subnet, uint8_t *message, size_t length)
{
    size_t bytes = wire_subnet_bytes(subnet->bits);
    uint8_t *out = message + length;

    wire_put16(out - 2, (uint16_t)bytes);
    wire_put16(out, WIRE_SUBNET);
    wire_put16(out + 2, (uint16_t)(bytes - 4));
    wire_put16(out + 4, subnet->base.family == ADDR_V4 ? 1 : 2);
    out[6] = subnet->bits;
    out[7] = 0;
    memcpy(out + 8, subnet->base.bytes, bytes - 8);
    return length + bytes;
}

/* Ask the answering path itself, as a stream would, so that nothing is cut. */
static void ask(const struct work *work, const struct cache *cache)
{
    const struct why_question *question = work->question;
    struct why_outcome *out = work->outcome;
    struct server_counters counters = { 0 };
    struct query_thread thread;
    struct sockaddr_storage source;
    struct query_client client = {
        .source = (const struct sockaddr *)&source,
        .local_is_loopback = question->local_is_loopback,
        .stream = true,
        .listener = api_why_listener(question),
    };

    (void)addr_to_sockaddr(&question->client, &source);
    query_thread_init(&thread, &counters);
    thread.cache = cache;
    thread.now_ms = (int64_t)clock_now_ms();
    size_t length = wire_query_build(out->message, 0, WIRE_RD, question->dname, question->type,
                                     WIRE_IN, WIRE_UDP_MOST, false);
    if (question->has_subnet) {
        length = add_subnet(&question->subnet, out->message, length);
    }
    out->verdict = query_answer(&thread, work->snapshot, &client, out->message, length,
                                WIRE_MESSAGE_MAX, &out->length);
    out->source = counted_source(&counters);
    out->recursion = thread.recursion;
    out->steered = thread.steered;
    out->scope_bits = thread.scope_bits;
    if (cache != NULL && thread.recursion) {
        const struct cache_key key = query_cache_key(&thread.query);
        const struct cache_entry *entry = cache_peek(cache, &key);
        if (entry != NULL) {
            struct json_writer json;
            json_writer_init(&json, &out->cached);
            api_cache_put_entry(entry, thread.now_ms, &json);
        }
    }
}

/* Whom the rule would have asked now, the next one first. */
static void plan(const struct work *work, struct resolution *resolution)
{
    const struct why_question *question = work->question;
    const struct node *node = namespace_find(work->snapshot->ns, question->dname, question->length);
    const struct answer *answer = node == NULL ? NULL : namespace_answer(node, question->type);
    const uint8_t *asked =
        answer != NULL && answer->outside != NULL ? answer->outside : question->dname;
    const struct forward_rule *rule = snapshot_forward(work->snapshot, asked);
    struct json_writer json;

    if (rule != NULL) {
        json_writer_init(&json, &work->outcome->plan);
        json_writer_list_begin(&json, NULL);
        forwarder_explain(resolution_forwarder(resolution), rule, &json);
        json_writer_list_end(&json);
    }
}

/* Names that nobody is asked for, but which the answerers leave to the service loop. */
static void answer_locally(const struct work *work)
{
    const struct why_question *asked = work->question;
    struct why_outcome *out = work->outcome;
    const struct forward_question question = {
        .name = asked->dname,
        .name_length = (uint8_t)asked->length,
        .type = asked->type,
        .class = WIRE_IN,
    };

    if (namespace_find(work->snapshot->ns, asked->dname, asked->length) != NULL) {
        return; /* an alias of ours that leads elsewhere */
    }
    size_t length = resolution_local(work->snapshot, &question, out->message);
    if (length > 0) {
        out->is_local = true;
        out->verdict = QUERY_SEND;
        out->length = length;
    }
}

static void ask_with_cache(void *user, struct resolution *resolution, struct cache *cache)
{
    const struct work *work = user;

    ask(work, cache);
    if (work->outcome->source == QUERY_FORWARDED) {
        answer_locally(work);
    }
    if (api_why_is_elsewhere(work->outcome->source) && !work->outcome->is_local) {
        plan(work, resolution);
    }
}

/* ---- steps ---- */

void api_why_step(struct why *why, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    text_vprintf(&why->steps, format, args);
    va_end(args);
    text_put_char(&why->steps, '\n');
}

void api_why_put_lines(struct json_writer *json, const char *key, const struct text *text)
{
    const char *line = text_string(text);

    json_writer_list_begin(json, key);
    while (*line != '\0') {
        struct text one = { 0 };
        size_t length = strcspn(line, "\n");
        text_put_bytes(&one, line, length);
        json_writer_string(json, NULL, text_string(&one));
        text_fini(&one);
        line += length + (line[length] == '\n');
    }
    json_writer_list_end(json);
}

/* ---- the reply ---- */

static void put_record(void *user, unsigned section, uint16_t type, const char *line)
{
    struct why *why = user;
    const char *ttl = strchr(line, ' ');

    (void)type;
    if (section == 0) {
        json_writer_string(why->view.json, NULL, line);
        unsigned long seconds = ttl != NULL ? strtoul(ttl, NULL, 10) : 0;
        if (!why->has_ttl || seconds < why->ttl_s) {
            why->ttl_s = (uint32_t)seconds;
            why->has_ttl = true;
        }
    }
}

static void put_answer(struct why *why)
{
    const struct why_outcome *outcome = why->outcome;
    char scratch[WORDS_MAX];

    if (outcome->verdict == QUERY_SEND) {
        unsigned rcode = wire_get16(outcome->message + 2) & WIRE_RCODE;
        json_writer_string(why->view.json, "rcode", words_rcode_name(rcode, scratch));
    } else {
        json_writer_null(why->view.json, "rcode");
    }
    json_writer_list_begin(why->view.json, "answer");
    if (outcome->verdict == QUERY_SEND) {
        (void)record_text_walk(outcome->message, outcome->length, put_record, why);
    }
    json_writer_list_end(why->view.json);
    if (why->has_ttl) {
        json_writer_uint(why->view.json, "ttl_s", why->ttl_s);
    } else {
        json_writer_null(why->view.json, "ttl_s");
    }
}

/* What is ours about it: the steps, and members of the service where one answers. */
static void put_cause(struct why *why)
{
    const struct why_question *q = why->question;
    const struct namespace *ns = why->view.snapshot->ns;
    const struct node *node = namespace_find(ns, q->dname, q->length);
    const struct node *encloser =
        node != NULL ? node : namespace_encloser(ns, q->dname, q->length, name_labels(q->dname));
    const struct steer_service *service = api_why_find_service(why, node);

    api_why_explain_name(why, node, encloser, service);
    if (service != NULL && why->outcome->source != QUERY_REFUSED) {
        api_why_explain_service(why, service);
    } else {
        json_writer_null(why->view.json, "rung");
    }
}

static void put_reply(struct why *why)
{
    struct json_writer *json = why->view.json;
    struct text type = { 0 };

    record_text_put_type(&type, why->question->type);
    json_writer_object_begin(json, NULL);
    json_writer_string(json, "name", why->question->name);
    json_writer_string(json, "type", text_string(&type));
    json_writer_string(json, "client", why->question->client_text);
    json_writer_string(json, "source",
                       why->outcome->is_local ? "local" : query_source_name(why->outcome->source));
    put_answer(why);
    put_cause(why);
    api_why_put_lines(json, "steps", &why->steps);
    if (why->outcome->cached.length > 0) {
        json_writer_raw(json, "cached", text_string(&why->outcome->cached));
    }
    if (why->outcome->plan.length > 0) {
        json_writer_raw(json, "upstreams", text_string(&why->outcome->plan));
    }
    json_writer_object_end(json);
    text_fini(&type);
}

void api_why_put(struct control *control, const struct api_request *request,
                 struct api_reply *reply)
{
    struct why_question question;
    struct why_outcome outcome = { 0 };
    struct json_writer json;
    struct why why = {
        .view = api_health_look(control, &json),
        .question = &question,
        .outcome = &outcome,
    };

    if (!read_question(why.view.snapshot->model, request, &question, reply)) {
        return;
    }
    outcome.message = malloc(WIRE_MESSAGE_MAX);
    if (outcome.message == NULL) {
        api_reply_error(reply, 500, "memory", "out of memory");
        return;
    }
    struct work work = { why.view.snapshot, &question, &outcome };
    if (!server_do(control_server(control), ask_with_cache, &work)) {
        ask(&work, NULL);
    }
    json_writer_init(&json, &reply->body);
    put_reply(&why);
    text_put_char(&reply->body, '\n');
    text_fini(&why.steps);
    text_fini(&outcome.cached);
    text_fini(&outcome.plan);
    free(outcome.message);
}
