/*
 * replay - recorded queries through the query path, without sockets
 *
 * usage: bench-replay CONFIG QUERIES COUNT [REGION]
 * QUERIES holds lines "NAME TYPE"; each becomes a query with EDNS as most
 * resolvers send it. All of them are answered in turn until COUNT answers were
 * made; REGION is down meanwhile. Prints a JSON line: answers, nanoseconds and
 * allocations per answer.
 * `replay_answers` is the symbol to count instructions of (bench/callgrind.py).
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "policy/config.h"
#include "resolver/query.h"
#include "resolver/snapshot.h"

#define QUERIES_MAX 65536
#define QUERY_BYTES (WIRE_HEADER_BYTES + WIRE_QUESTION_BYTES + WIRE_OPT_BYTES)

struct recorded {
    size_t length;
    uint8_t bytes[QUERY_BYTES];
};

void replay_answers(struct query_thread *thread, const struct snapshot *snapshot,
                    const struct query_client *client, const struct recorded *queries, size_t count,
                    size_t answers);

static size_t allocations; /* counted between the two clock readings only */
static bool counting;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

void *__wrap_malloc(size_t size)
{
    allocations += counting;
    return __real_malloc(size);
}

static _Noreturn void die(const char *what, const char *which)
{
    fprintf(stderr, "replay: %s: %s\n", what, which);
    exit(1);
}

static void ignore(void *user, const struct health_event *event)
{
    (void)user;
    (void)event;
}

static struct snapshot *load(const char *path, struct health *health)
{
    struct config_report report = { 0 };
    struct model *model;
    struct snapshot *snapshot;
    struct error err;
    const struct hash_key key = { 1, 2 }; /* the same table in every run */

    if (config_load(path, &model, &report) < 0) {
        struct text text = { 0 };
        config_report_print(&report, &text);
        die("config", text_string(&text));
    }
    struct health_binding *binding = health_bind(health, model, clock_now_ms());
    if (snapshot_build(model, binding, NULL, &key, 1, &snapshot, &err) < 0) {
        die("snapshot", err.message);
    }
    health_commit(health, binding, clock_now_ms());
    return snapshot;
}

static size_t read_queries(const char *path, struct recorded *queries)
{
    char line[2048], name[1024], type[16];
    size_t count = 0;
    FILE *file = fopen(path, "r");

    if (file == NULL) {
        die("cannot open", path);
    }
    while (count < QUERIES_MAX && fgets(line, sizeof(line), file) != NULL) {
        uint8_t dname[NAME_MAX_BYTES];
        struct error err;
        if (sscanf(line, "%1023s %15s", name, type) != 2) {
            continue;
        }
        if (name_parse(name, dname, &err) < 0) {
            die("name", err.message);
        }
        uint16_t number = strcmp(type, "AAAA") == 0  ? WIRE_AAAA
                          : strcmp(type, "TXT") == 0 ? WIRE_TXT
                                                     : WIRE_A;
        queries[count].length = wire_query_build(queries[count].bytes, (uint16_t)count, WIRE_RD,
                                                 dname, number, WIRE_IN, WIRE_UDP_MOST, false);
        count++;
    }
    fclose(file);
    return count;
}

/* What is not ours is answered from a cache that has an address for each such name. */
static void fill_cache(struct query_thread *thread, const struct snapshot *snapshot,
                       const struct recorded *queries, size_t count, struct cache *cache)
{
    static const uint8_t record[] = { 0xc0, 12, 0, WIRE_A, 0, WIRE_IN, 0, 0, 14, 16, 0, 4 };
    uint8_t message[QUERY_UDP_BUFFER];

    for (size_t i = 0; i < count; i++) {
        const struct wire_query *q = &thread->query;
        memcpy(message, queries[i].bytes, queries[i].length);
        if (wire_query_parse(message, queries[i].length, &thread->query) != WIRE_QUERY_OK ||
            namespace_encloser(snapshot->ns, q->dname, q->name_length, q->labels) != NULL) {
            continue;
        }
        size_t at = q->question_end;
        memcpy(message + at, record, sizeof(record));
        wire_put32(message + at + sizeof(record), UINT32_C(0xcb007100) + (uint32_t)(i & 0xff));
        wire_put16(message + 2, WIRE_QR | WIRE_RD | WIRE_RA);
        wire_put16(message + 6, 1);
        wire_put32(message + 8, 0);
        const struct cache_key key = query_cache_key(&thread->query);
        const struct cache_answer answer = { .message = message,
                                             .length = at + sizeof(record) + 4,
                                             .origin = FORWARD_OWN,
                                             .stored_ms = thread->now_ms };
        if (!cache_store(cache, &key, &answer)) {
            die("cannot be cached", "an answer");
        }
    }
}

/* The copy stands for recvmmsg's; it is part of what is counted. */
__attribute__((noinline)) void replay_answers(struct query_thread *thread,
                                              const struct snapshot *snapshot,
                                              const struct query_client *client,
                                              const struct recorded *queries, size_t count,
                                              size_t answers)
{
    static uint8_t buffer[QUERY_UDP_BUFFER];
    size_t which = 0;

    for (size_t i = 0; i < answers; i++) {
        size_t length = queries[which].length;
        memcpy(buffer, queries[which].bytes, length);
        if (query_answer(thread, snapshot, client, buffer, length, sizeof(buffer), &length) !=
            QUERY_SEND) {
            die("a query was not answered", "not ours?");
        }
        which = which + 1 == count ? 0 : which + 1;
    }
}

int main(int argc, char **argv)
{
    static struct server_counters counters;
    struct query_thread thread;
    struct sockaddr_in source = { .sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    const struct query_client client = { .source = (struct sockaddr *)&source,
                                         .local_is_loopback = true };

    if (argc != 4 && argc != 5) {
        fprintf(stderr, "usage: bench-replay CONFIG QUERIES COUNT [REGION]\n");
        return 2;
    }
    struct health *health = health_new(ignore, NULL);
    struct snapshot *snapshot = load(argv[1], health);
    uint32_t flag = HEALTH_REGION_FORCED_DOWN;
    if (argc == 5 && !health_override(health, argv[4], flag, true, clock_now_ms())) {
        die("no such region", argv[4]);
    }
    struct recorded *queries = calloc(QUERIES_MAX, sizeof(*queries));
    size_t count = queries == NULL ? 0 : read_queries(argv[2], queries);
    size_t answers = strtoull(argv[3], NULL, 10);
    if (count == 0 || answers == 0) {
        die("nothing to replay", argv[2]);
    }
    struct reclaimer *reclaimer;
    if (reclaimer_new(&reclaimer) < 0) {
        die("cannot start", "the reclaimer");
    }
    struct cache *cache = cache_new(&snapshot->model->cache, reclaimer);
    query_thread_init(&thread, &counters);
    thread.cache = cache;
    thread.now_ms = (int64_t)clock_now_ms();
    fill_cache(&thread, snapshot, queries, count, cache);
    memset(&counters, 0, sizeof(counters));
    counting = true;
    uint64_t begin = clock_now_ns();
    replay_answers(&thread, snapshot, &client, queries, count, answers);
    uint64_t end = clock_now_ns();
    counting = false;
    printf("{\"answers\": %zu, \"ns_per_answer\": %.1f, \"allocations\": %zu, "
           "\"service\": %llu, \"zone\": %llu, \"cache\": %llu}\n",
           answers, (double)(end - begin) / (double)answers, allocations,
           (unsigned long long)counters.by_source[QUERY_SERVICE],
           (unsigned long long)counters.by_source[QUERY_ZONE],
           (unsigned long long)counters.by_source[QUERY_CACHE]);
    reclaimer_free(reclaimer);
    cache_free(cache);
    health_unbind(health, snapshot_free(snapshot));
    health_free(health);
    free(queries);
    return 0;
}
