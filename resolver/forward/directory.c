#include "resolver/forward/directory.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/json_writer.h"
#include "base/log.h"

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

static void entry_free(struct entry *entry)
{
    if (entry != NULL) {
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
    entry->upstream.class = described->class;
    entry->upstream.since_ms = now_ms;
    entry->upstream.region = strdup(described->region_name);
    entry->upstream.label = make_label(described);
    if (entry->upstream.region == NULL || entry->upstream.label == NULL) {
        entry_free(entry);
        return NULL;
    }
    return entry;
}

static bool is(const struct upstream *upstream, const struct forward_upstream *described)
{
    return addr_equal(&upstream->address, &described->address) &&
           strcmp(upstream->region, described->region_name) == 0;
}

struct upstream *directory_find(struct directory *directory,
                                const struct forward_upstream *described, uint64_t now_ms)
{
    const struct addr *address = &described->address;
    uint64_t hash = hash_bytes(&directory->key, address->bytes, addr_size_bytes(address));
    struct entry **bucket = &directory->buckets[(hash + address->port) % BUCKETS];
    struct entry *entry = *bucket;

    while (entry != NULL && !is(&entry->upstream, described)) {
        entry = entry->next;
    }
    if (entry != NULL && entry->upstream.class == described->class) {
        return &entry->upstream;
    }
    if (entry == NULL) {
        entry = directory->count < DIRECTORY_MOST ? entry_new(described, now_ms) : NULL;
        if (entry == NULL) {
            return NULL;
        }
        entry->next = *bucket;
        *bucket = entry;
        pthread_mutex_lock(&directory->lock);
        *directory->youngest = entry;
        directory->youngest = &entry->younger;
        directory->count++;
        pthread_mutex_unlock(&directory->lock);
        return &entry->upstream;
    }
    pthread_mutex_lock(&directory->lock);
    entry->upstream.class = described->class; /* the node has moved to another region */
    pthread_mutex_unlock(&directory->lock);
    return &entry->upstream;
}

static void set(struct directory *directory, struct upstream *upstream, bool suspect,
                const char *reason, uint64_t now_ms)
{
    uint64_t lasted_ms = now_ms - upstream->since_ms;

    pthread_mutex_lock(&directory->lock);
    upstream_set(upstream, suspect, reason, now_ms);
    pthread_mutex_unlock(&directory->lock);
    if (suspect) {
        log_event(LOG_WARNING, "upstream suspect", "upstream=%s reason=%s", upstream->label,
                  reason);
    } else {
        log_event(LOG_INFO, "upstream restored", "upstream=%s suspect_ms=%llu", upstream->label,
                  (unsigned long long)lasted_ms);
    }
}

void directory_good(struct directory *directory, struct upstream *upstream, uint64_t took_ms,
                    uint64_t now_ms)
{
    if (upstream_good(upstream, took_ms, now_ms)) {
        set(directory, upstream, false, "", now_ms);
    }
}

void directory_silent(struct directory *directory, struct upstream *upstream, uint64_t sent_ms,
                      uint64_t now_ms)
{
    char reason[sizeof(upstream->reason)];

    if (upstream_silent(upstream, sent_ms)) {
        (void)snprintf(reason, sizeof(reason), "no answer to %u questions in a row",
                       upstream->silent_count);
        set(directory, upstream, true, reason, now_ms);
    }
}

void directory_refused(struct directory *directory, struct upstream *upstream, const char *what,
                       uint64_t now_ms)
{
    if (upstream_refused(upstream)) {
        set(directory, upstream, true, what, now_ms);
    }
}

void directory_bad(struct directory *directory, struct upstream *upstream, uint64_t question,
                   const char *what, uint64_t now_ms)
{
    char reason[sizeof(upstream->reason)];

    if (upstream_bad(upstream, question)) {
        (void)snprintf(reason, sizeof(reason), "%s to %u questions that others answered", what,
                       upstream->bad_count);
        set(directory, upstream, true, reason, now_ms);
    }
}

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

static void describe(const struct upstream *upstream, struct json_writer *json, uint64_t now_ms)
{
    char address[ADDR_TEXT_MAX];
    uint32_t usual_ms = atomic_load_explicit(&upstream->usual_ms, memory_order_relaxed);

    addr_format_port(&upstream->address, address, sizeof(address));
    json_writer_object_begin(json, NULL);
    json_writer_string(json, "address", address);
    json_writer_string(json, "region", upstream->region);
    json_writer_string(json, "class", class_name(upstream->class));
    json_writer_string(json, "state", upstream->suspect ? "suspect" : "up");
    json_writer_uint(json, "since_ms",
                     now_ms > upstream->since_ms ? now_ms - upstream->since_ms : 0);
    json_writer_string(json, "reason", upstream->reason);
    if (usual_ms == 0) {
        json_writer_null(json, "usual_ms");
    } else {
        json_writer_uint(json, "usual_ms", usual_ms);
    }
    json_writer_uint(json, "sent", atomic_load_explicit(&upstream->sent, memory_order_relaxed));
    json_writer_uint(json, "failed", atomic_load_explicit(&upstream->failed, memory_order_relaxed));
    json_writer_object_end(json);
}

void directory_describe(struct directory *directory, struct json_writer *json, uint64_t now_ms)
{
    pthread_mutex_lock(&directory->lock);
    for (const struct entry *entry = directory->oldest; entry != NULL; entry = entry->younger) {
        describe(&entry->upstream, json, now_ms);
    }
    pthread_mutex_unlock(&directory->lock);
}
