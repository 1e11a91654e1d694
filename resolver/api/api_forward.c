#include "resolver/api/api_forward.h"

#include "base/json_writer.h"
#include "resolver/cache/cache.h"
#include "resolver/control.h"
#include "resolver/query.h"
#include "resolver/resolution.h"
#include "resolver/server.h"

/* What goes into the reply; `sum` is of all threads. */
struct work {
    struct json_writer *json;
    struct server_counters sum;
};

static void put(struct json_writer *json, const char *key, const _Atomic uint64_t *counter)
{
    json_writer_uint(json, key, atomic_load_explicit(counter, memory_order_relaxed));
}

static void put_sum(struct json_writer *json, const char *key, const _Atomic uint64_t *a,
                    const _Atomic uint64_t *b)
{
    json_writer_uint(json, key,
                     atomic_load_explicit(a, memory_order_relaxed) +
                         atomic_load_explicit(b, memory_order_relaxed));
}

static void put_cache(const struct work *work, const struct resolution_counters *asked,
                      const struct cache *cache)
{
    const struct cache_counters *kept = cache_counters(cache);
    struct json_writer *json = work->json;

    json_writer_object_begin(json, "cache");
    put(json, "entries", &kept->entries);
    put(json, "bytes", &kept->bytes);
    json_writer_uint(json, "size_bytes", cache_settings(cache)->size_bytes);
    put_sum(json, "hits", &asked->hits, &work->sum.by_source[QUERY_CACHE]);
    put(json, "misses", &asked->misses);
    put_sum(json, "stale", &asked->stale, &work->sum.by_source[QUERY_STALE]);
    put(json, "refreshed", &asked->refreshed);
    put(json, "evicted", &kept->evicted);
    put(json, "expired", &kept->expired);
    put(json, "local", &asked->local);
    put_sum(json, "shed", &asked->shed, &work->sum.unfair);
    json_writer_object_end(json);
}

static void put_questions(struct json_writer *json, const struct forward_counters *counters)
{
    json_writer_object_begin(json, "forward");
    put(json, "questions", &counters->questions);
    put(json, "coalesced", &counters->coalesced);
    put(json, "asked", &counters->asked);
    put(json, "hedges", &counters->hedges);
    put(json, "resends", &counters->resends);
    put(json, "probes", &counters->probes);
    put(json, "sent", &counters->sent);
    put(json, "failed", &counters->failed);
    put(json, "mismatched", &counters->mismatched);
    json_writer_object_end(json);
}

static void put_all(void *user, struct resolution *resolution, struct cache *cache)
{
    const struct work *work = user;
    struct forwarder *forwarder = resolution_forwarder(resolution);

    put_cache(work, resolution_counters(resolution), cache);
    put_questions(work->json, forwarder_counters(forwarder));
    json_writer_list_begin(work->json, "upstreams");
    forwarder_describe(forwarder, work->json);
    json_writer_list_end(work->json);
}

void api_forward_put(struct control *control, struct json_writer *json)
{
    struct work work = { .json = json };

    server_sum(control_server(control), &work.sum);
    (void)server_do(control_server(control), put_all, &work);
}
