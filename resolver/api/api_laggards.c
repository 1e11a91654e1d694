#include "resolver/api/api_laggards.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_writer.h"
#include "policy/steer_ladder.h"
#include "resolver/api/api_service.h"
#include "resolver/control.h"
#include "resolver/laggards.h"
#include "resolver/server.h"

#define DRAWS (STEER_CAPACITY | STEER_TRICKLE) /* filters by which the region is drawn */

/* The answers remembered of one service. */
struct finding {
    const struct steer_service *service;
    uint64_t key;
    struct laggards_answer *answers;
    size_t count, capacity;
    bool failed; /* memory ran out */
};

/* ---- collecting ---- */

static void on_answer(void *user, const struct laggards_answer *answer)
{
    struct finding *f = user;

    if (f->count == f->capacity) {
        size_t capacity = f->capacity == 0 ? 256 : f->capacity * 2;
        struct laggards_answer *answers = realloc(f->answers, capacity * sizeof(*answers));
        if (answers == NULL) {
            f->failed = true;
            return;
        }
        f->answers = answers;
        f->capacity = capacity;
    }
    f->answers[f->count++] = *answer;
}

static void on_table(void *user, const struct laggards *laggards)
{
    struct finding *f = user;

    laggards_walk(laggards, f->key, on_answer, f);
}

static int compare_clients(const struct laggards_answer *a, const struct laggards_answer *b)
{
    int order = (int)a->client.family - (int)b->client.family;

    order = order != 0 ? order : memcmp(a->client.bytes, b->client.bytes, sizeof(a->client.bytes));
    order = order != 0 ? order : (int)a->known_bits - (int)b->known_bits;
    return order != 0 ? order : (int)a->family - (int)b->family;
}

/* By client, the newest answer first. */
static int by_client(const void *left, const void *right)
{
    const struct laggards_answer *a = left;
    const struct laggards_answer *b = right;
    int order = compare_clients(a, b);

    return order != 0 ? order : (a->asked_ms < b->asked_ms) - (a->asked_ms > b->asked_ms);
}

/* Threads share the questions of one client: its last answer is the newest of all tables. */
static void keep_last(struct finding *f)
{
    size_t kept = 0;

    if (f->count > 0) {
        qsort(f->answers, f->count, sizeof(*f->answers), by_client);
    }
    for (size_t i = 0; i < f->count; i++) {
        if (kept == 0 || compare_clients(&f->answers[kept - 1], &f->answers[i]) != 0) {
            f->answers[kept++] = f->answers[i];
        }
    }
    f->count = kept;
}

/* ---- judging ---- */

/* The service as the view of the answer had it. */
static const struct steer_service *in_view(const struct steer_service *service, uint32_t view)
{
    const struct steer_policy *policy = service->policy;

    for (size_t i = 0;
         view != 0 && policy != NULL && policy->views != NULL && i < policy->rule_count; i++) {
        const struct steer_service *seen = policy->views[i];
        const char *name = seen == NULL || seen->policy == NULL ? NULL : seen->policy->view_name;
        if (name != NULL && (uint32_t)laggards_key(name, strlen(name)) == view) {
            return seen;
        }
    }
    return service;
}

/* The pool that alone was answered with, or NULL: several, none, or not configured any more. */
static const struct steer_pool *pool_of(const struct steer_service *service, uint64_t regions)
{
    for (uint32_t i = 0; i < service->pool_count; i++) {
        const char *name = service->pools[i].region_name;
        if (laggards_key(name, strlen(name)) == regions) {
            return &service->pools[i];
        }
    }
    return NULL;
}

/* Where the region is drawn for each answer: could this one still be drawn? */
static bool may_be_drawn(const struct steer_service *service, const struct laggards_answer *answer)
{
    const struct steer_pool *pool = pool_of(service, answer->regions);
    bool draws = service->policy != NULL && (service->policy->filters & DRAWS) != 0;
    struct steer_view views[STEER_POOLS_MAX];
    struct steer_ladder ladder;

    if (pool == NULL) {
        return false;
    }
    steer_ladder_look(service, views);
    steer_ladder_climb(service, answer->family, views, &ladder, NULL);
    uint64_t drawn = draws ? ladder.pools : ladder.ramping | ladder.shared;
    return ladder.rung != 0 && (drawn >> (pool - service->pools) & 1) != 0;
}

static bool is_stale(const struct steer_service *base, const struct laggards_answer *answer)
{
    const struct steer_service *service = in_view(base, answer->view);
    struct steer_client client = { .address = answer->client, .known_bits = answer->known_bits };
    struct steer_choice choice;

    if (service->cnames != NULL) {
        (void)steer_cname(service, answer->family, &client, &choice);
    } else {
        steer_choose(service, answer->family, &client, &choice);
    }
    return laggards_regions(service, &choice) != answer->regions && !may_be_drawn(service, answer);
}

/* Milliseconds until the TTL has run out; negative: since. */
static int64_t left_ms(const struct laggards_answer *answer, uint64_t now_ms)
{
    return (int64_t)(answer->asked_ms + (uint64_t)answer->ttl_s * 1000) - (int64_t)now_ms;
}

static int by_time_left(const void *left, const void *right)
{
    int64_t a = left_ms(left, 0);
    int64_t b = left_ms(right, 0);

    return (a > b) - (a < b);
}

/* Leave those that lag behind, and return how many are left. */
static void keep_stale(struct finding *f)
{
    size_t kept = 0;

    for (size_t i = 0; i < f->count; i++) {
        if (is_stale(f->service, &f->answers[i])) {
            f->answers[kept++] = f->answers[i];
        }
    }
    f->count = kept;
    if (kept > 0) {
        qsort(f->answers, kept, sizeof(*f->answers), by_time_left);
    }
}

/* ---- the reply ---- */

static void put_client(struct json_writer *json, const struct laggards_answer *answer)
{
    char address[ADDR_TEXT_MAX];
    struct text text = { 0 };

    addr_format(&answer->client, address, sizeof(address));
    text_put(&text, address);
    if (answer->known_bits != 8 * addr_size_bytes(&answer->client)) {
        text_printf(&text, "/%u", answer->known_bits);
    }
    json_writer_string(json, "client", text_string(&text));
    text_fini(&text);
}

static void put_answer(const struct finding *f, const struct laggards_answer *answer,
                       uint64_t now_ms, struct json_writer *json)
{
    const struct steer_service *service = in_view(f->service, answer->view);
    const struct steer_pool *pool = pool_of(service, answer->regions);

    json_writer_object_begin(json, NULL);
    put_client(json, answer);
    json_writer_string(json, "type", answer->family == ADDR_V4 ? "A" : "AAAA");
    if (pool != NULL) {
        json_writer_string(json, "region", pool->region_name);
    } else {
        json_writer_null(json, "region"); /* several, or none */
    }
    json_writer_uint(json, "asked_ms_ago",
                     now_ms > answer->asked_ms ? now_ms - answer->asked_ms : 0);
    json_writer_int(json, "ttl_left_ms", left_ms(answer, now_ms));
    json_writer_bool(json, "expired", left_ms(answer, now_ms) <= 0);
    json_writer_object_end(json);
}

static void put_finding(const struct finding *f, size_t remembered, struct api_reply *reply)
{
    uint64_t now_ms = clock_now_ms();
    size_t expired = 0;
    struct json_writer json;

    for (size_t i = 0; i < f->count; i++) {
        expired += left_ms(&f->answers[i], now_ms) <= 0;
    }
    reply->status = 200;
    reply->content_type = API_REPLY_JSON;
    json_writer_init(&json, &reply->body);
    json_writer_object_begin(&json, NULL);
    json_writer_string(&json, "service", f->service->name);
    json_writer_uint(&json, "remembered", remembered);
    json_writer_uint(&json, "lagging", f->count);
    json_writer_uint(&json, "expired", expired);
    json_writer_bool(&json, "cut", f->count > API_LAGGARDS_MAX);
    json_writer_list_begin(&json, "clients");
    for (size_t i = 0; i < f->count && i < API_LAGGARDS_MAX; i++) {
        put_answer(f, &f->answers[i], now_ms, &json);
    }
    json_writer_list_end(&json);
    json_writer_object_end(&json);
    text_put_char(&reply->body, '\n');
}

void api_laggards_put(struct control *control, const struct snapshot *snapshot,
                      const struct api_request *request, struct api_reply *reply)
{
    struct finding f = { 0 };
    uint8_t dname[NAME_MAX_BYTES];
    struct error err;

    if (snapshot->model->laggards == 0) {
        api_reply_error(reply, 409, "not_remembered",
                        "clients are not remembered: write e.g. laggards: 10000");
        return;
    }
    if (request->name == NULL || request->name[0] == '\0') {
        api_reply_error(reply, 400, "name_missing",
                        "which service? /api/v1/laggards?name=api.svc.example.com");
        return;
    }
    int length = name_parse(request->name, dname, &err);
    if (length > 0) {
        f.service = snapshot_service(snapshot, dname);
    }
    if (f.service == NULL) {
        api_service_put_unknown(snapshot->model, request->name, reply);
        return;
    }
    f.key = laggards_key(dname, (size_t)length);
    server_walk_laggards(control_server(control), on_table, &f);
    if (f.failed) {
        api_reply_error(reply, 500, "out_of_memory", "out of memory");
    } else {
        keep_last(&f);
        size_t remembered = f.count;
        keep_stale(&f);
        put_finding(&f, remembered, reply);
    }
    free(f.answers);
}
