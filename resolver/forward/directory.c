#include "resolver/forward/directory.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/json_writer.h"
#include "base/log.h"
#include "base/tls.h"

#define BUCKETS 256 /* a rule names a few upstreams, a large configuration hundreds */

struct entry {
    struct upstream upstream;
    struct entry *next;    /* of the same bucket */
    struct entry *younger; /* in the order they were found */
};

struct directory {
    pthread_mutex_t lock;
    struct hash_key key;
    struct entry *buckets[BUCKETS];
    struct entry *oldest;
    struct entry **youngest;
    unsigned count;
    bool is_named; /* directory_rename was called */
    void (*changed)(void *user);
    void *changed_user;
};

struct directory *directory_new(void)
{
    struct directory *directory = calloc(1, sizeof(*directory));

    if (directory == NULL || pthread_mutex_init(&directory->lock, NULL) != 0) {
        free(directory);
        return NULL;
    }
    directory->key = hash_key_random();
    directory->youngest = &directory->oldest;
    return directory;
}

/* ---- entries ---- */

static void entry_free(struct entry *entry)
{
    if (entry != NULL) {
        free((struct tls_settings *)(uintptr_t)entry->upstream.target.tls);
        free(entry->upstream.region);
        free(entry->upstream.label);
        free(entry);
    }
}

void directory_free(struct directory *directory)
{
    if (directory == NULL) {
        return;
    }
    for (struct entry *entry = directory->oldest, *next; entry != NULL; entry = next) {
        next = entry->younger;
        entry_free(entry);
    }
    pthread_mutex_destroy(&directory->lock);
    free(directory);
}

static char *make_label(const struct forward_upstream *described)
{
    char address[ADDR_TEXT_MAX];
    char *label;

    addr_format_port(&described->address, address, sizeof(address));
    int length = described->region_name[0] == '\0'
                     ? asprintf(&label, "%s", address)
                     : asprintf(&label, "%s %s", described->region_name, address);
    return length < 0 ? NULL : label;
}

static struct entry *entry_new(const struct forward_upstream *described, uint64_t now_ms)
{
    struct entry *entry = calloc(1, sizeof(*entry));

    if (entry == NULL) {
        return NULL;
    }
    entry->upstream.address = described->address;
    entry->upstream.target.address = described->address;
    entry->upstream.target.has_source = described->has_source;
    entry->upstream.target.source = described->source;
    entry->upstream.stream_only = described->tcp || described->tls != NULL;
    entry->upstream.class = described->class;
    entry->upstream.since_ms = now_ms;
    entry->upstream.region = strdup(described->region_name);
    entry->upstream.label = make_label(described);
    entry->upstream.target.tls = described->tls == NULL ? NULL : tls_settings_copy(described->tls);
    if (entry->upstream.region == NULL || entry->upstream.label == NULL ||
        (described->tls != NULL && entry->upstream.target.tls == NULL)) {
        entry_free(entry);
        return NULL;
    }
    return entry;
}

static bool is(const struct upstream *upstream, const struct forward_upstream *described)
{
    const struct connection_target *target = &upstream->target;

    return addr_equal(&upstream->address, &described->address) &&
           strcmp(upstream->region, described->region_name) == 0 &&
           upstream->stream_only == (described->tcp || described->tls != NULL) &&
           target->has_source == described->has_source &&
           (!target->has_source || addr_equal(&target->source, &described->source)) &&
           tls_settings_equal(target->tls, described->tls);
}

static struct entry **bucket_of(struct directory *directory, const struct addr *address)
{
    uint64_t hash = hash_bytes(&directory->key, address->bytes, addr_size_bytes(address));

    return &directory->buckets[(hash + address->port) % BUCKETS];
}

struct upstream *directory_peek(struct directory *directory,
                                const struct forward_upstream *described)
{
    struct entry *entry = *bucket_of(directory, &described->address);

    while (entry != NULL && !is(&entry->upstream, described)) {
        entry = entry->next;
    }
    return entry == NULL ? NULL : &entry->upstream;
}

static struct upstream *add(struct directory *directory, const struct forward_upstream *described,
                            uint64_t now_ms)
{
    struct entry **bucket = bucket_of(directory, &described->address);
    struct entry *entry = directory->count < DIRECTORY_MOST ? entry_new(described, now_ms) : NULL;

    if (entry == NULL) {
        return NULL;
    }
    pthread_mutex_lock(&directory->lock);
    entry->next = *bucket;
    *bucket = entry;
    *directory->youngest = entry;
    directory->youngest = &entry->younger;
    directory->count++;
    pthread_mutex_unlock(&directory->lock);
    return &entry->upstream;
}

/* Where several rules in force have it, the lowest of their limits holds. */
static bool is_limit_new(const struct upstream *upstream, uint32_t per_minute)
{
    uint32_t is = upstream->rate.per_minute;

    if (!upstream->named) {
        return per_minute != is;
    }
    return per_minute != 0 && (is == 0 || per_minute < is);
}

struct upstream *directory_find(struct directory *directory,
                                const struct forward_upstream *described, uint64_t now_ms)
{
    struct upstream *upstream = directory_peek(directory, described);

    if (upstream == NULL) {
        upstream = add(directory, described, now_ms);
        if (upstream == NULL) {
            return NULL;
        }
    }
    bool is_limited = is_limit_new(upstream, described->max_queries_per_minute);
    if (upstream->class != described->class || is_limited) {
        pthread_mutex_lock(&directory->lock);
        upstream->class = described->class; /* the node has moved to another region */
        if (is_limited) {
            budget_rate_set(&upstream->rate, described->max_queries_per_minute, now_ms);
        }
        pthread_mutex_unlock(&directory->lock);
    }
    return upstream;
}

void directory_lock(struct directory *directory)
{
    pthread_mutex_lock(&directory->lock);
}

void directory_unlock(struct directory *directory)
{
    pthread_mutex_unlock(&directory->lock);
}

void directory_rename(struct directory *directory)
{
    pthread_mutex_lock(&directory->lock);
    directory->is_named = true;
    for (struct entry *entry = directory->oldest; entry != NULL; entry = entry->younger) {
        entry->upstream.named = false;
        if (entry->upstream.loop) {
            entry->upstream.loop = false;
            entry->upstream.reason[0] = '\0';
        }
        entry->upstream.loop_id = 0;
        entry->upstream.watched = false;
    }
    pthread_mutex_unlock(&directory->lock);
}

void directory_name(struct directory *directory, struct upstream *upstream)
{
    pthread_mutex_lock(&directory->lock);
    upstream->named = true;
    pthread_mutex_unlock(&directory->lock);
}

/* ---- changes of state ---- */

void directory_on_change(struct directory *directory, void (*changed)(void *user), void *user)
{
    directory->changed = changed;
    directory->changed_user = user;
}

static void tell_change(const struct directory *directory)
{
    if (directory->changed != NULL) {
        directory->changed(directory->changed_user);
    }
}

static void suspect(struct directory *directory, struct upstream *upstream,
                    enum upstream_cause cause, const char *reason, uint64_t now_ms)
{
    pthread_mutex_lock(&directory->lock);
    upstream_set(upstream, true, cause, reason, now_ms);
    pthread_mutex_unlock(&directory->lock);
    log_event(LOG_WARNING, "upstream suspect", "upstream=%s reason=%s", upstream->label, reason);
    tell_change(directory);
}

static void restore(struct directory *directory, struct upstream *upstream, uint64_t now_ms)
{
    uint64_t lasted_ms = now_ms - upstream->since_ms;

    pthread_mutex_lock(&directory->lock);
    upstream_set(upstream, false, upstream->cause, "", now_ms);
    pthread_mutex_unlock(&directory->lock);
    log_event(LOG_INFO, "upstream restored", "upstream=%s suspect_ms=%llu", upstream->label,
              (unsigned long long)lasted_ms);
    tell_change(directory);
}

void directory_doubt(struct directory *directory, struct upstream *upstream)
{
    upstream->probing.wanted = true;
    tell_change(directory);
}

static unsigned to_ms(uint64_t us)
{
    return (unsigned)((us + 999) / 1000);
}

/* How long its answers take has changed: it may be too slow now. */
static void look_at_times(struct directory *directory, struct upstream *upstream, uint64_t now_ms)
{
    char reason[sizeof(upstream->reason)];
    bool is_worse = upstream->suspect && upstream->cause != UPSTREAM_SILENT &&
                    upstream->cause != UPSTREAM_REFUSED;

    if (!is_worse && upstream_is_slow(upstream)) {
        const struct upstream *rival = upstream->rival;
        (void)snprintf(reason, sizeof(reason), "slow: %u ms to a probe, %.40s takes %u ms",
                       to_ms(upstream->probing.took_us),
                       rival->region[0] != '\0' ? rival->region : rival->label,
                       to_ms(rival->near_us));
        suspect(directory, upstream, UPSTREAM_SLOW, reason, now_ms);
    } else if (upstream_slow_due(upstream, now_ms)) {
        directory_doubt(directory, upstream);
    }
}

void directory_good(struct directory *directory, struct upstream *upstream, uint64_t took_us,
                    uint64_t now_ms)
{
    if (upstream_good(upstream, took_us, now_ms)) {
        restore(directory, upstream, now_ms);
    }
    look_at_times(directory, upstream, now_ms);
}

void directory_late(struct directory *directory, struct upstream *upstream, uint64_t took_us,
                    uint32_t weight, uint64_t now_ms)
{
    upstream_late(upstream, took_us, weight, now_ms);
    look_at_times(directory, upstream, now_ms);
}

void directory_probe_answered(struct directory *directory, struct upstream *upstream, bool good,
                              uint64_t took_us, uint64_t now_ms)
{
    if (upstream_probe_answered(upstream, good, took_us, now_ms)) {
        restore(directory, upstream, now_ms);
    }
    look_at_times(directory, upstream, now_ms);
}

void directory_silent(struct directory *directory, struct upstream *upstream, uint64_t sent_ms,
                      uint32_t weight, uint64_t now_ms)
{
    char reason[sizeof(upstream->reason)];
    enum upstream_cause cause;

    if (!upstream_silent(upstream, sent_ms, weight, now_ms, &cause)) {
        return;
    }
    if (cause == UPSTREAM_LOSSY) {
        uint32_t loss = measure_recent_loss_permille(&upstream->measure, UPSTREAM_LOST_OF, now_ms);
        (void)snprintf(reason, sizeof(reason), "no answer to %u%% of the last questions",
                       (loss + 5) / 10);
    } else {
        (void)snprintf(reason, sizeof(reason), "no answer to %u questions in a row",
                       upstream->silent_count);
    }
    suspect(directory, upstream, cause, reason, now_ms);
}

void directory_refused(struct directory *directory, struct upstream *upstream, const char *what,
                       uint64_t now_ms)
{
    if (upstream_refused(upstream)) {
        suspect(directory, upstream, UPSTREAM_REFUSED, what, now_ms);
    }
}

void directory_bad(struct directory *directory, struct upstream *upstream, uint64_t question,
                   const char *what, uint64_t now_ms)
{
    char reason[sizeof(upstream->reason)];

    if (upstream_bad(upstream, question)) {
        (void)snprintf(reason, sizeof(reason), "%s to %u questions that others answered", what,
                       upstream->bad_count);
        suspect(directory, upstream, UPSTREAM_BAD, reason, now_ms);
    }
}

bool directory_loop(struct directory *directory, uint64_t loop_id, uint64_t now_ms)
{
    struct entry *entry = directory->oldest;

    while (entry != NULL && (loop_id == 0 || entry->upstream.loop_id != loop_id)) {
        entry = entry->younger;
    }
    if (entry == NULL) {
        return false;
    }
    if (!entry->upstream.loop) {
        pthread_mutex_lock(&directory->lock);
        entry->upstream.loop = true;
        entry->upstream.since_ms = now_ms;
        (void)snprintf(entry->upstream.reason, sizeof(entry->upstream.reason),
                       "it leads back to this server");
        pthread_mutex_unlock(&directory->lock);
        log_event(LOG_WARNING, "upstream leads back to us: not asked until the next reload",
                  "upstream=%s", entry->upstream.label);
        tell_change(directory);
    }
    return true;
}

/* ---- status ---- */

static const char *class_name(enum forward_class class)
{
    switch (class) {
    case FORWARD_OWN:
        return "own";
    case FORWARD_OTHER:
        return "other";
    case FORWARD_PUBLIC:
        return "public";
    }
    return "";
}

static const char *transport_of(const struct upstream *upstream)
{
    return upstream->target.tls != NULL ? "tls" : upstream->stream_only ? "tcp" : "udp";
}

/* Microseconds as milliseconds, rounded up; null when nothing is known. */
static void put_us(struct json_writer *json, const char *key, const _Atomic uint32_t *value)
{
    uint32_t us = atomic_load_explicit(value, memory_order_relaxed);

    if (us == 0) {
        json_writer_null(json, key);
    } else {
        json_writer_uint(json, key, ((uint64_t)us + 999) / 1000);
    }
}

static void put_count(struct json_writer *json, const char *key, const _Atomic uint64_t *value)
{
    json_writer_uint(json, key, atomic_load_explicit(value, memory_order_relaxed));
}

static void put_place(const struct upstream *upstream, struct json_writer *json)
{
    char address[ADDR_TEXT_MAX];

    addr_format_port(&upstream->address, address, sizeof(address));
    json_writer_string(json, "address", address);
    json_writer_string(json, "region", upstream->region);
    json_writer_string(json, "class", class_name(upstream->class));
}

static void put_transport(const struct upstream *upstream, struct json_writer *json)
{
    json_writer_string(json, "transport", transport_of(upstream));
    if (upstream->target.tls == NULL || upstream->target.tls->name == NULL) {
        json_writer_null(json, "tls_name");
    } else {
        json_writer_string(json, "tls_name", upstream->target.tls->name);
    }
}

static void put_times(const struct upstream *upstream, struct json_writer *json)
{
    uint32_t loss = atomic_load_explicit(&upstream->loss_permille, memory_order_relaxed);

    put_us(json, "usual_ms", &upstream->usual_us);
    put_us(json, "rtt_ms", &upstream->usual_us);
    put_us(json, "p95_ms", &upstream->p95_us);
    json_writer_uint(json, "loss_percent", (loss + 5) / 10);
}

static void put_next_probe(const struct upstream *upstream, struct json_writer *json,
                           uint64_t now_ms)
{
    uint64_t at_ms = atomic_load_explicit(&upstream->next_probe_ms, memory_order_relaxed);

    if (at_ms == 0) {
        json_writer_null(json, "next_probe_ms");
    } else {
        json_writer_uint(json, "next_probe_ms", at_ms > now_ms ? at_ms - now_ms : 0);
    }
}

void directory_describe_one(const struct upstream *upstream, uint32_t hedge_ms,
                            struct json_writer *json, uint64_t now_ms)
{
    json_writer_object_begin(json, NULL);
    put_place(upstream, json);
    json_writer_string(json, "state", upstream_state(upstream, now_ms));
    json_writer_uint(json, "since_ms_ago",
                     now_ms > upstream->since_ms ? now_ms - upstream->since_ms : 0);
    json_writer_string(json, "reason", upstream->reason);
    put_transport(upstream, json);
    put_times(upstream, json);
    json_writer_uint(json, "hedge_ms", hedge_ms);
    put_count(json, "sent", &upstream->sent);
    put_count(json, "failed", &upstream->failed);
    put_count(json, "hedges", &upstream->hedges);
    put_count(json, "probes", &upstream->probes);
    if (upstream->rate.per_minute == 0) {
        json_writer_null(json, "budget");
    } else {
        json_writer_uint(json, "budget", upstream->rate.per_minute);
    }
    put_count(json, "over_budget", &upstream->over_budget);
    put_next_probe(upstream, json, now_ms);
    json_writer_object_end(json);
}

void directory_describe(struct directory *directory, struct json_writer *json, uint64_t now_ms)
{
    pthread_mutex_lock(&directory->lock);
    for (const struct entry *entry = directory->oldest; entry != NULL; entry = entry->younger) {
        if (entry->upstream.named || !directory->is_named) {
            directory_describe_one(&entry->upstream, upstream_hedge_ms(&entry->upstream), json,
                                   now_ms);
        }
    }
    pthread_mutex_unlock(&directory->lock);
}
