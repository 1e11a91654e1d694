#include "resolver/api/api_why.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_writer.h"
#include "resolver/api/api_cache.h"
#include "resolver/api/api_status.h"
#include "resolver/control.h"
#include "resolver/hostnames.h"
#include "resolver/query.h"
#include "resolver/record_text.h"
#include "resolver/resolution.h"
#include "resolver/server.h"
#include "zones/words.h"

struct question {
    const char *name; /* as asked */
    uint8_t dname[NAME_MAX_BYTES];
    size_t length;
    uint16_t type;
    struct addr client;
    char client_text[ADDR_TEXT_MAX];
};

/* What the answering path made of it. */
struct outcome {
    enum query_verdict verdict;
    enum query_source source;
    uint8_t *message; /* WIRE_MESSAGE_MAX bytes, owned */
    size_t length;
    bool recursion;
    bool is_local;      /* answered by the service loop without asking anyone */
    struct text cached; /* the entry that is kept of it, as JSON; empty: none */
    struct steer_client steered; /* as choosing saw the client; nothing known: it did not look */
    struct text plan;   /* whom its rule would have asked now, as a JSON list; empty: nobody */
};

struct why {
    const struct snapshot *snapshot;
    const struct question *question;
    const struct outcome *outcome;
    struct json_writer *json;
    struct text steps; /* a line per step */
    const struct hostnames *hostnames;
    uint32_t ttl_s;    /* the lowest of the answer */
    bool has_ttl;
};

/* ---- the question ---- */

static bool read_question(const char *name, const char *type, const char *client,
                          struct question *out, struct api_reply *reply)
{
    struct error err = { 0 };

    memset(out, 0, sizeof(*out));
    out->name = name;
    out->type = WIRE_A;
    int length = name_parse(name, out->dname, &err);
    if (length <= 0) {
        api_reply_error(reply, 400, "bad_name", "%s", err.message);
        return false;
    }
    out->length = (size_t)length;
    if (type != NULL && record_text_type(type, &out->type, &err) < 0) {
        api_reply_error(reply, 400, "unknown_type", "%s", err.message);
        return false;
    }
    if (addr_parse(client != NULL ? client : "127.0.0.1", 0, &out->client, &err) < 0) {
        api_reply_error(reply, 400, "bad_client", "%s", err.message);
        return false;
    }
    addr_format(&out->client, out->client_text, sizeof(out->client_text));
    return true;
}

/* Is it others who say what the answer is? */
static bool is_elsewhere(enum query_source source)
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
    const struct question *question;
    struct outcome *outcome;
};

/* Ask the answering path itself, as a stream would, so that nothing is cut. */
static void ask(const struct work *work, const struct cache *cache)
{
    const struct question *question = work->question;
    struct outcome *out = work->outcome;

    struct server_counters counters = { 0 };
    struct query_thread thread;
    struct sockaddr_storage source;
    struct query_client client = {
        .source = (const struct sockaddr *)&source,
        .local_is_loopback = addr_is_loopback(&question->client),
        .stream = true,
    };

    (void)addr_to_sockaddr(&question->client, &source);
    query_thread_init(&thread, &counters);
    thread.cache = cache;
    thread.now_ms = (int64_t)clock_now_ms();
    size_t length = wire_query_build(out->message, 0, WIRE_RD, question->dname, question->type,
                                     WIRE_IN, WIRE_UDP_MOST, false);
    out->verdict = query_answer(&thread, work->snapshot, &client, out->message, length,
                                WIRE_MESSAGE_MAX, &out->length);
    out->source = counted_source(&counters);
    out->recursion = thread.recursion;
    out->steered = thread.steered;
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
    const struct question *question = work->question;
    const struct node *node =
        namespace_find(work->snapshot->ns, question->dname, question->length);
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
    const struct question *asked = work->question;
    struct outcome *out = work->outcome;
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
    if (is_elsewhere(work->outcome->source) && !work->outcome->is_local) {
        plan(work, resolution);
    }
}

/* ---- steps ---- */

static void step(struct why *why, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void step(struct why *why, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    text_vprintf(&why->steps, format, args);
    va_end(args);
    text_put_char(&why->steps, '\n');
}

static void put_type(struct why *why, const char *before, uint16_t type, const char *behind)
{
    text_put(&why->steps, before);
    record_text_put_type(&why->steps, type);
    text_put(&why->steps, behind);
    text_put_char(&why->steps, '\n');
}

static void explain_zone_of(struct why *why, const struct zone *zone)
{
    char apex[NAME_TEXT_MAX];

    (void)name_format(zone->dname, apex, sizeof(apex));
    if (zone->file != NULL) {
        step(why, "in zone %s, serial %u, from %s", apex, zone->serial, zone->file);
    } else {
        step(why, "in zone %s, which has no file: it is there for its services", apex);
    }
}

/* What is known of its endpoints that are given as host names. */
static void explain_names(struct why *why, const struct steer_service *service)
{
    const struct model *model = why->snapshot->model;

    for (uint32_t p = 0; p < service->pool_count; p++) {
        const struct model_pool *pool = &model->services[service->index].pools[p];
        for (size_t i = 0; i < pool->written_count; i++) {
            if (pool->written[i].hostname != NULL) {
                hostnames_explain(why->hostnames, &pool->written[i],
                                  service->pools[p].region_name, &why->steps);
            }
        }
    }
}

/* Is it answered as CNAME now? */
static void explain_cname(struct why *why, const struct steer_service *service, unsigned family,
                          struct steer_client *client, struct steer_choice *choice)
{
    const uint8_t *target =
        service->cnames == NULL ? NULL : steer_cname(service, family, client, choice);
    char shown[NAME_TEXT_MAX];

    if (target != NULL) {
        (void)name_format(target, shown, sizeof(shown));
        step(why, "answered as CNAME to %s (answer: cname), with the addresses known behind it",
             shown);
    }
}

/* The service's own steps; true when it has endpoints of the family at all. */
static bool explain_service(struct why *why, const struct steer_service *service,
                            struct steer_choice *choice)
{
    unsigned family = why->question->type == WIRE_AAAA ? ADDR_V6 : ADDR_V4;

    step(why, "%s is a service", service->name);
    if (service->policy != NULL && service->policy->view_name != NULL) {
        step(why, "the client is in the view %s", service->policy->view_name);
    }
    explain_names(why, service);
    if (!service->has_family[family]) {
        step(why, "no endpoint of it has an %s address: NODATA",
             family == ADDR_V4 ? "IPv4" : "IPv6");
        return false;
    }
    /* with the very draws of the answer */
    struct steer_client asker = why->outcome->steered;
    struct steer_client *client = asker.known_bits > 0 ? &asker : NULL;
    steer_explain(service, family, client, choice, &why->steps);
    explain_cname(why, service, family, client, choice);
    unsigned chosen = 0;
    for (uint32_t i = 0; choice->several && i < service->pool_count; i++) {
        chosen += (unsigned)__builtin_popcountll(choice->bits_of[i]);
    }
    chosen = choice->several ? chosen : (unsigned)__builtin_popcountll(choice->bits);
    if (choice->result == STEER_ADDRESSES && choice->pick_count == 0 &&
        chosen > service->max_addresses) {
        step(why, "%u addresses qualify, each answer holds %u of them in turn (max_addresses)",
             chosen, service->max_addresses);
    }
    return true;
}

/* The types of the name; ANY is compiled for every name and says nothing. */
static void explain_types(struct why *why, const struct node *node)
{
    if (node->answer_count == 0) {
        step(why, "the name exists only because names below it do: NODATA");
        return;
    }
    text_put(&why->steps, "the name exists, with");
    for (unsigned i = 0; i < node->answer_count; i++) {
        if (node->answers[i].type != WIRE_ANY) {
            text_put_char(&why->steps, ' ');
            record_text_put_type(&why->steps, node->answers[i].type);
        }
    }
    text_put_char(&why->steps, '\n');
}

static void put_alias(void *user, unsigned section, uint16_t type, const char *line)
{
    if (section == 0 && type == WIRE_CNAME) {
        step(user, "alias: %s", line);
    }
}

/* The CNAMEs of the answer, compiled to stand behind exactly this question. */
static void explain_chain(struct why *why, const struct answer *answer)
{
    const struct question *q = why->question;
    uint8_t *message = malloc(WIRE_MESSAGE_MAX);

    if (message == NULL) {
        return; /* only these steps are missing then */
    }
    size_t length = wire_query_build(message, 0, 0, q->dname, q->type, WIRE_IN, 0, false);
    if (answer->core_length <= WIRE_MESSAGE_MAX - length) {
        memcpy(message + length, answer->wire, answer->core_length);
        wire_put16(message + 6, answer->answers);
        (void)record_text_walk(message, length + answer->core_length, put_alias, why);
    }
    free(message);
}

/* Where a chain of aliases leaves our data, and why it is not asked for further. */
static void explain_end(struct why *why, const uint8_t *outside)
{
    char target[NAME_TEXT_MAX];

    (void)name_format(outside, target, sizeof(target));
    if (!why->outcome->recursion) {
        step(why,
             "%s is in no zone and no service of ours, and %s may not have it resolved "
             "(access.recursion): the aliases alone",
             target, why->question->client_text);
    } else {
        step(why,
             "%s is in no zone and no service of ours, and no forward rule is for it: the "
             "aliases alone",
             target);
    }
}

static void explain_node(struct why *why, const struct node *node)
{
    const struct answer *answer = namespace_answer(node, why->question->type);

    explain_zone_of(why, node->zone);
    if (node->alias != NULL && answer != NULL && why->question->type != WIRE_CNAME) {
        explain_chain(why, answer);
        if (answer->outside != NULL) {
            explain_end(why, answer->outside);
        }
        return;
    }
    explain_types(why, node);
    if (answer == NULL && node->answer_count > 0) {
        put_type(why, "there is no ", why->question->type, " among them: NODATA");
    }
}

static void explain_absent(struct why *why, const struct node *encloser)
{
    char nearest[NAME_TEXT_MAX];

    explain_zone_of(why, encloser->zone);
    (void)name_format(encloser->dname, nearest, sizeof(nearest));
    step(why, "the name does not exist: NXDOMAIN; the nearest that does is %s", nearest);
}

/* ---- other names ---- */

static const char *region_state(const struct health_region *region)
{
    uint32_t word = atomic_load_explicit(&region->word, memory_order_relaxed);

    if ((word & HEALTH_REGION_FORCED_DOWN) != 0) {
        return "forced down";
    }
    if ((word & HEALTH_REGION_DRAINED) != 0) {
        return "drained";
    }
    if ((word & HEALTH_REGION_GATED) != 0) {
        return "gated";
    }
    return (word & HEALTH_REGION_HELD) != 0 ? "held" : "in";
}

static void explain_upstream(struct why *why, unsigned number,
                             const struct forward_upstream *upstream)
{
    static const char *const classes[] = {
        [FORWARD_OWN] = "own region",
        [FORWARD_OTHER] = "another region",
        [FORWARD_PUBLIC] = "public, only when all others failed",
    };
    char address[ADDR_TEXT_MAX];

    addr_format_port(&upstream->address, address, sizeof(address));
    text_printf(&why->steps, "upstream %u: %s", number, address);
    if (upstream->region_name[0] != '\0') {
        text_printf(&why->steps, " in %s", upstream->region_name);
    }
    if (upstream->region != NULL) {
        text_printf(&why->steps, ", region %s", region_state(upstream->region));
    }
    text_printf(&why->steps, " (%s)\n", classes[upstream->class]);
}

static void explain_cached(struct why *why)
{
    switch (why->outcome->source) {
    case QUERY_CACHE:
        step(why, "it was asked before and what was answered is fresh: nobody is asked");
        break;
    case QUERY_STALE:
        step(why, "what was answered before has expired, but nobody can be asked now: served all "
                  "the same (cache.serve_stale)");
        break;
    default:
        if (why->outcome->cached.length > 0) {
            step(why, "what was answered before has expired: it is asked anew; the old answer "
                      "serves when nobody answers in time (cache.stale_wait)");
        }
        break;
    }
}

/* `node`: a name of ours whose aliases lead elsewhere, else NULL. */
static void explain_forward(struct why *why, const struct node *node)
{
    const struct answer *answer = node == NULL ? NULL : namespace_answer(node, why->question->type);
    const uint8_t *asked = why->question->dname;
    char target[NAME_TEXT_MAX];

    if (answer != NULL && answer->outside != NULL) {
        asked = answer->outside;
        (void)name_format(asked, target, sizeof(target));
        explain_zone_of(why, node->zone);
        explain_chain(why, answer);
        step(why,
             "%s is in no zone and no service of ours: it is asked elsewhere, and the "
             "answer put behind the aliases",
             target);
    } else {
        step(why, "in no zone and no service of ours");
    }
    const struct forward_rule *rule = snapshot_forward(why->snapshot, asked);
    step(why, "%s may have other names resolved (access.recursion)", why->question->client_text);
    if (rule == NULL) {
        return;
    }
    explain_cached(why);
    step(why, "forward rule '%s', upstreams as written (below: as they would be asked now):",
         rule->name);
    for (uint32_t i = 0; i < rule->upstream_count; i++) {
        explain_upstream(why, i + 1, &rule->upstreams[i]);
    }
    if (rule->hedge_auto) {
        step(why, "unanswered for longer than the upstream usually takes (10 to 75 ms) the next "
                  "region is asked too; an error goes on at once");
    } else if (rule->hedge_ms > 0) {
        step(why, "unanswered after %u ms the next region is asked too; an error goes on at once",
             rule->hedge_ms);
    } else {
        step(why, "an error goes on to the next at once (hedge is off)");
    }
}

static void explain_refused(struct why *why, bool is_ours)
{
    const struct question *question = why->question;

    if (question->type == WIRE_AXFR || question->type == WIRE_IXFR) {
        step(why, "zone transfers are refused");
        return;
    }
    if (is_ours) {
        step(why, "%s may not ask for our names (access.query): REFUSED", question->client_text);
        return;
    }
    step(why, "in no zone and no service of ours");
    if (!why->outcome->recursion) {
        step(why, "%s may not have other names resolved (access.recursion): REFUSED",
             question->client_text);
    } else {
        step(why, "no forward rule is for it: REFUSED");
    }
}

/* ---- the reply ---- */

static void put_record(void *user, unsigned section, uint16_t type, const char *line)
{
    struct why *why = user;
    const char *ttl = strchr(line, ' ');

    (void)type;
    if (section == 0) {
        json_writer_string(why->json, NULL, line);
        unsigned long seconds = ttl != NULL ? strtoul(ttl, NULL, 10) : 0;
        if (!why->has_ttl || seconds < why->ttl_s) {
            why->ttl_s = (uint32_t)seconds;
            why->has_ttl = true;
        }
    }
}

static void put_answer(struct why *why)
{
    const struct outcome *outcome = why->outcome;
    char scratch[WORDS_MAX];

    if (outcome->verdict == QUERY_SEND) {
        unsigned rcode = wire_get16(outcome->message + 2) & WIRE_RCODE;
        json_writer_string(why->json, "rcode", words_rcode_name(rcode, scratch));
    } else {
        json_writer_null(why->json, "rcode");
    }
    json_writer_list_begin(why->json, "answer");
    if (outcome->verdict == QUERY_SEND) {
        (void)record_text_walk(outcome->message, outcome->length, put_record, why);
    }
    json_writer_list_end(why->json);
    if (why->has_ttl) {
        json_writer_uint(why->json, "ttl_s", why->ttl_s);
    } else {
        json_writer_null(why->json, "ttl_s");
    }
}

/* The service as the client's view has it. */
static const struct steer_service *in_view(const struct why *why,
                                           const struct steer_service *service)
{
    const struct steer_policy *policy = service->policy;
    const struct addr *client = &why->question->client;

    if (policy == NULL || policy->views == NULL) {
        return service;
    }
    size_t view = snapshot_view(policy->rules, policy->rule_count, client,
                                addr_is_loopback(client), NULL);
    return view < policy->rule_count && policy->views[view] != NULL ? policy->views[view]
                                                                    : service;
}

/* The service that has the last word: the node's own, or the end of an alias. */
static const struct steer_service *find_service(const struct why *why, const struct node *node)
{
    uint16_t type = why->question->type;

    if (node == NULL || (type != WIRE_A && type != WIRE_AAAA)) {
        return NULL;
    }
    if (node->service != NULL) {
        return in_view(why, node->service);
    }
    const struct answer *answer = namespace_answer(node, type);
    return answer != NULL && answer->tail != NULL ? in_view(why, answer->tail->service) : NULL;
}

/* Explain, and say which rung it was where there is one. */
static void put_cause(struct why *why)
{
    const struct question *q = why->question;
    const struct namespace *ns = why->snapshot->ns;
    const struct node *node = namespace_find(ns, q->dname, q->length);
    const struct node *encloser =
        node != NULL ? node : namespace_encloser(ns, q->dname, q->length, name_labels(q->dname));
    const struct steer_service *service = find_service(why, node);
    struct steer_choice choice;

    if (why->outcome->source == QUERY_REFUSED) {
        explain_refused(why, encloser != NULL);
    } else if (why->outcome->is_local) {
        step(why, "nobody is asked for such a name: it is in the hosts file, or special (RFC 6761, "
                  "6303) or a single label; a forward rule for it would go before this");
    } else if (is_elsewhere(why->outcome->source)) {
        explain_forward(why, node);
    } else if (node == NULL) {
        explain_absent(why, encloser);
    } else if (service == NULL || node->service == NULL) {
        explain_node(why, node);
    }
    if (service == NULL || why->outcome->source == QUERY_REFUSED ||
        !explain_service(why, service, &choice)) {
        json_writer_null(why->json, "rung");
        return;
    }
    json_writer_object_begin(why->json, "choice");
    api_status_put_choice(service, q->type == WIRE_AAAA ? ADDR_V6 : ADDR_V4, &choice, why->json);
    json_writer_object_end(why->json);
    json_writer_uint(why->json, "rung", choice.rung);
}

static void put_steps(const struct why *why)
{
    const char *line = text_string(&why->steps);

    json_writer_list_begin(why->json, "steps");
    while (*line != '\0') {
        struct text one = { 0 };
        size_t length = strcspn(line, "\n");
        text_put_bytes(&one, line, length);
        json_writer_string(why->json, NULL, text_string(&one));
        text_fini(&one);
        line += length + (line[length] == '\n');
    }
    json_writer_list_end(why->json);
}

static void put_reply(struct why *why)
{
    struct json_writer *json = why->json;
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
    put_steps(why);
    if (why->outcome->cached.length > 0) {
        json_writer_raw(json, "cached", text_string(&why->outcome->cached));
    }
    if (why->outcome->plan.length > 0) {
        json_writer_raw(json, "upstreams", text_string(&why->outcome->plan));
    }
    json_writer_object_end(json);
    text_fini(&type);
}

void api_why_put(struct control *control, const char *name, const char *type, const char *client,
                 struct api_reply *reply)
{
    struct question question;
    struct outcome outcome = { 0 };
    struct json_writer json;
    struct why why = {
        .snapshot = control_snapshot(control),
        .hostnames = control_hostnames(control),
        .question = &question,
        .outcome = &outcome,
        .json = &json,
    };

    if (!read_question(name, type, client, &question, reply)) {
        return;
    }
    outcome.message = malloc(WIRE_MESSAGE_MAX);
    if (outcome.message == NULL) {
        api_reply_error(reply, 500, "memory", "out of memory");
        return;
    }
    struct work work = { why.snapshot, &question, &outcome };
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
