#include "resolver/cache/cache.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "resolver/cache/cache_entry.h"
#include "resolver/cache/cache_memory.h"
#include "resolver/cache/cache_queue.h"
#include "resolver/cache/cache_table.h"
#include "zones/wire.h"

/* Of the size, what is left to those on their way out, so that others need not wait for them. */
#define LEAVING_SHARE 16u
/* Of the size, the most that one entry may take. */
#define ENTRY_SHARE 16u

#define SWEEP_LEAST 256u /* entries looked at in one sweep */
#define SWEEP_SHARE 256u /* or one part in so many of all */

struct cache {
    struct cache_table table; /* first: readers need it, and the key */
    struct hash_key key;
    struct cache_counters counters;
    struct cache_memory memory;
    struct cache_queue queue;
    struct model_cache settings;  /* the service loop's */
    _Atomic uint32_t stale_ttl_s; /* of them, for readers */
    struct reclaimer *reclaimer;
    uint64_t sweep_cursor;
};

/* A counter of which this thread is the only writer. */
static void count(_Atomic uint64_t *counter, uint64_t by)
{
    uint64_t now = atomic_load_explicit(counter, memory_order_relaxed);

    atomic_store_explicit(counter, now + by, memory_order_relaxed);
}

static void count_entries(struct cache *cache)
{
    atomic_store_explicit(&cache->counters.entries, cache->table.entries, memory_order_relaxed);
}

/* ---- times ---- */

static int64_t age_ms(const struct cache_entry *entry, int64_t now_ms)
{
    return now_ms > entry->stored_ms ? now_ms - entry->stored_ms : 0;
}

static bool has_expired(const struct cache_entry *entry, int64_t now_ms)
{
    return age_ms(entry, now_ms) / 1000 >= (int64_t)entry->ttl_s;
}

/* Of no use any more, not even as a stale answer. */
static bool is_too_old(const struct cache *cache, const struct cache_entry *entry, int64_t now_ms)
{
    int64_t stale_s = entry->kind == CACHE_FAILURE ? 0 : (int64_t)cache->settings.serve_stale_s;

    return age_ms(entry, now_ms) / 1000 >= (int64_t)entry->ttl_s + stale_s;
}

uint32_t cache_left_s(const struct cache_entry *entry, int64_t now_ms)
{
    int64_t age_s = age_ms(entry, now_ms) / 1000;

    return age_s < (int64_t)entry->ttl_s ? entry->ttl_s - (uint32_t)age_s : 0;
}

/* ---- reading ---- */

uint64_t cache_hash(const struct cache *cache, const struct cache_key *key)
{
    uint64_t hash = hash_bytes(&cache->key, key->dname, key->length);
    uint64_t rest = (uint64_t)key->flags << 32 | (uint32_t)key->type << 16 | key->class;

    /* whoever does not know the first hash cannot make two names meet with the rest */
    return hash_fold(hash ^ rest, cache->key.k1 | 1);
}

/* Written only when it changes: the line of an entry that is hot stays with all who read it. */
static void raise(_Atomic uint8_t *hint, uint8_t most)
{
    uint8_t now = atomic_load_explicit(hint, memory_order_relaxed);

    if (now < most) {
        atomic_store_explicit(hint, (uint8_t)(now + 1), memory_order_relaxed);
    }
}

void cache_visit(struct cache_entry *entry)
{
    raise(&entry->visits, CACHE_VISITS_MOST);
    raise(&entry->asked, UINT8_MAX);
}

struct cache_entry *cache_find(const struct cache *cache, const struct cache_key *key,
                               uint64_t hash)
{
    struct cache_entry *entry = cache_table_find(&cache->table, key, hash);

    if (entry != NULL) {
        cache_visit(entry);
    }
    return entry;
}

struct cache_entry *cache_peek(const struct cache *cache, const struct cache_key *key)
{
    return cache_table_find(&cache->table, key, cache_hash(cache, key));
}

void cache_put_body(const struct cache_entry *entry, int64_t now_ms, uint32_t stale_ttl_s,
                    uint8_t *out)
{
    const uint8_t *offsets = entry->bytes + entry->name_length;
    bool is_stale = has_expired(entry, now_ms);
    uint32_t age_s = is_stale ? 0 : (uint32_t)(age_ms(entry, now_ms) / 1000);

    memcpy(out, cache_entry_body(entry), entry->body_length);
    for (unsigned i = 0; i < entry->ttl_count; i++) {
        uint16_t at;
        memcpy(&at, offsets + i * sizeof(at), sizeof(at));
        /* no record of it has a lower TTL than the entry */
        wire_put32(out + at, is_stale ? stale_ttl_s : wire_get32(out + at) - age_s);
    }
}

struct cache_entry *cache_next(const struct cache *cache, uint64_t *cursor)
{
    return cache_table_next(&cache->table, cursor);
}

const struct cache_counters *cache_counters(const struct cache *cache)
{
    return &cache->counters;
}

/* ---- leaving ---- */

static void release_entry(struct retired *retired)
{
    struct cache_entry *entry = (struct cache_entry *)retired;

    cache_memory_release(&entry->owner->memory, entry->size_bytes);
    free(entry);
}

/* It is in neither table nor queue any more. */
static void retire(struct cache *cache, struct cache_entry *entry)
{
    cache_memory_retire(&cache->memory, entry->size_bytes);
    entry->retired.release = release_entry;
    entry->owner = cache;
    reclaimer_retire(cache->reclaimer, &entry->retired);
}

static void forget(struct cache *cache, struct cache_entry *entry)
{
    cache_table_remove(&cache->table, entry);
    cache_queue_remove(&cache->queue, entry);
    retire(cache, entry);
    count_entries(cache);
}

static bool evict(struct cache *cache)
{
    struct cache_entry *entry = cache_queue_evict(&cache->queue);

    if (entry == NULL) {
        return false;
    }
    cache_table_remove(&cache->table, entry);
    retire(cache, entry);
    count_entries(cache);
    count(&cache->counters.evicted, 1);
    return true;
}

/* ---- the whole ---- */

/* What may be charged for those that are not on their way out. */
static uint64_t most_live(const struct cache *cache)
{
    return cache->settings.size_bytes - cache->settings.size_bytes / LEAVING_SHARE;
}

void cache_configure(struct cache *cache, const struct model_cache *settings)
{
    cache->settings = *settings;
    atomic_store_explicit(&cache->stale_ttl_s, settings->stale_ttl_s, memory_order_relaxed);
    cache->memory.most_bytes = settings->size_bytes;
    while (cache->memory.live_bytes > most_live(cache) && evict(cache)) {
    }
}

uint32_t cache_stale_ttl_s(const struct cache *cache)
{
    return atomic_load_explicit(&cache->stale_ttl_s, memory_order_relaxed);
}

const struct model_cache *cache_settings(const struct cache *cache)
{
    return &cache->settings;
}

struct cache *cache_new(const struct model_cache *settings, struct reclaimer *reclaimer)
{
    struct cache *cache = calloc(1, sizeof(*cache));

    if (cache == NULL) {
        return NULL;
    }
    cache->memory.charged = &cache->counters.bytes;
    cache->reclaimer = reclaimer;
    if (!cache_table_init(&cache->table, &cache->memory, reclaimer)) {
        free(cache);
        return NULL;
    }
    cache->key = hash_key_random();
    cache_queue_init(&cache->queue);
    cache_configure(cache, settings);
    return cache;
}

static void free_entry(struct cache_entry *entry)
{
    free(entry);
}

void cache_free(struct cache *cache)
{
    if (cache != NULL) {
        cache_table_fini(&cache->table, free_entry);
        cache_queue_fini(&cache->queue);
        free(cache);
    }
}

/* ---- storing ---- */

/* Grow the queue's memory when it wants that and there is room. */
static void grow_queue(struct cache *cache)
{
    size_t need = cache_queue_need(&cache->queue);

    if (need == 0 || !cache_memory_has_room(&cache->memory, need)) {
        return;
    }
    size_t before = cache_queue_memory(&cache->queue);
    cache_queue_grow(&cache->queue);
    size_t after = cache_queue_memory(&cache->queue);
    cache_memory_add(&cache->memory, after);
    cache_memory_retire(&cache->memory, before);
    cache_memory_release(&cache->memory, before);
}

/*
 * Make room for an entry and what the table needs for it. What is evicted
 * stays charged until nobody reads it, so there may be none for a moment even so.
 */
static bool make_room(struct cache *cache, const struct cache_entry *entry)
{
    size_t need = entry->size_bytes + cache_table_need(&cache->table, entry->hash);

    if (entry->size_bytes > cache->settings.size_bytes / ENTRY_SHARE ||
        !cache_memory_has_room(&cache->memory, need)) {
        return false;
    }
    while (cache->memory.live_bytes + need > most_live(cache)) {
        if (!evict(cache)) {
            return false;
        }
        need = entry->size_bytes + cache_table_need(&cache->table, entry->hash);
    }
    return cache_memory_has_room(&cache->memory, need);
}

/* Put it in; on failure it is freed. */
static bool insert(struct cache *cache, struct cache_entry *entry, const struct cache_key *key)
{
    entry->size_bytes = (uint32_t)cache_memory_size(entry);
    if (!make_room(cache, entry)) {
        free(entry);
        return false;
    }
    /* making room may have cost the one that it replaces */
    struct cache_entry *old = cache_table_find(&cache->table, key, entry->hash);
    if (old == NULL && !cache_table_put(&cache->table, entry)) {
        free(entry);
        return false;
    }
    cache_memory_add(&cache->memory, entry->size_bytes);
    if (old == NULL) {
        cache_queue_add(&cache->queue, entry);
        grow_queue(cache);
    } else {
        uint8_t asked = atomic_load_explicit(&old->asked, memory_order_relaxed);
        cache_queue_replace(&cache->queue, old, entry);
        atomic_store_explicit(&entry->asked, asked, memory_order_relaxed);
        cache_table_replace(&cache->table, old, entry);
        retire(cache, old);
    }
    count_entries(cache);
    count(&cache->counters.stored, 1);
    return true;
}

bool cache_store(struct cache *cache, const struct cache_key *key,
                 const struct cache_answer *answer)
{
    uint64_t hash = cache_hash(cache, key);
    const struct cache_entry *old = cache_table_find(&cache->table, key, hash);
    bool was_failure = old != NULL && old->kind == CACHE_FAILURE;

    if (old != NULL && !was_failure && old->stored_ms > answer->stored_ms) {
        return false;
    }
    struct cache_entry *entry = cache_entry_new(key, hash, answer, &cache->settings);
    if (entry == NULL) {
        return false;
    }
    if (was_failure && old->stored_ms > entry->stored_ms) {
        /* better than nothing; but what was found out meanwhile holds */
        atomic_init(&entry->stale_until_ms, old->stored_ms + (int64_t)old->ttl_s * 1000);
    }
    return insert(cache, entry, key);
}

void cache_store_failure(struct cache *cache, const struct cache_key *key, uint16_t ede_code,
                         uint32_t ttl_s, int64_t now_ms)
{
    uint64_t hash = cache_hash(cache, key);
    struct cache_entry *old = cache_table_find(&cache->table, key, hash);

    if (old != NULL && old->kind != CACHE_FAILURE && !is_too_old(cache, old, now_ms)) {
        int64_t until_ms = now_ms + (int64_t)ttl_s * 1000;
        int64_t life_s = (int64_t)old->ttl_s + cache->settings.serve_stale_s;
        int64_t end_ms = old->stored_ms + life_s * 1000;
        until_ms = until_ms < end_ms ? until_ms : end_ms;
        atomic_store_explicit(&old->stale_until_ms, until_ms, memory_order_relaxed);
        return;
    }
    struct cache_entry *entry =
        ttl_s == 0 ? NULL : cache_entry_new_failure(key, hash, ede_code, ttl_s, now_ms);
    if (entry != NULL) {
        (void)insert(cache, entry, key);
    }
}

/* ---- forgetting ---- */

static void retire_cleared(void *user, struct cache_entry *entry)
{
    retire(user, entry);
}

static uint64_t flush_all(struct cache *cache)
{
    uint64_t entries = cache->table.entries;
    size_t remembered = cache_queue_memory(&cache->queue);

    if (!cache_table_clear(&cache->table, retire_cleared, cache)) {
        return 0;
    }
    cache_queue_clear(&cache->queue);
    cache_memory_retire(&cache->memory, remembered);
    cache_memory_release(&cache->memory, remembered);
    count_entries(cache);
    return entries;
}

uint64_t cache_flush_if(struct cache *cache, cache_is_gone *is_gone, const void *user)
{
    struct cache_entry *entry;
    uint64_t flushed = 0;
    uint64_t cursor = 0;

    while ((entry = cache_next(cache, &cursor)) != NULL) {
        if (is_gone(user, cache_entry_name(entry))) {
            forget(cache, entry);
            flushed++;
        }
    }
    return flushed;
}

static bool is_at(const void *user, const uint8_t *dname)
{
    return name_equal(dname, user);
}

static bool is_at_or_below(const void *user, const uint8_t *dname)
{
    return name_is_within(dname, user);
}

uint64_t cache_flush(struct cache *cache, const uint8_t *dname, bool tree)
{
    if (dname == NULL || (tree && dname[0] == 0)) {
        return flush_all(cache);
    }
    return cache_flush_if(cache, tree ? is_at_or_below : is_at, dname);
}

void cache_sweep(struct cache *cache, int64_t now_ms)
{
    uint64_t most = SWEEP_LEAST + cache->table.entries / SWEEP_SHARE;

    for (uint64_t i = 0; i < most; i++) {
        struct cache_entry *entry = cache_next(cache, &cache->sweep_cursor);
        if (entry == NULL) {
            cache->sweep_cursor = 0;
            return;
        }
        if (is_too_old(cache, entry, now_ms)) {
            forget(cache, entry);
            count(&cache->counters.expired, 1);
        }
    }
}
