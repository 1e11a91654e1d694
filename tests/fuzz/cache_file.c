/*
 * Any bytes as the cache on disk. The first byte says whether the checksums
 * are made right before, so that what is behind them is reached too. What is
 * loaded can be found, put out within its bounds at any time, is of no later
 * time than ours, and comes back the same from a file of our own.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "resolver/cache/cache.h"
#include "resolver/cache/cache_file.h"
#include "zones/name.h"
#include "zones/wire.h"

#define NOW_MS  INT64_C(1000000)
#define WALL_MS UINT64_C(1542873600000) /* the seeds are of this moment */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct model_cache settings = {
    .size_bytes = 256u << 20, /* never full: what is refused is the file's fault */
    .serve_stale_s = 259200,
    .stale_ttl_s = 30,
    .max_ttl_s = 86400,
    .max_negative_ttl_s = 900,
};

static const struct cache_file_times times = { NOW_MS, WALL_MS };

/* Kept: a thread for each input would be slow. */
static struct cache *cache, *again;

static void begin(void)
{
    struct reclaimer *reclaimer = NULL;

    REQUIRE(reclaimer_new(&reclaimer) == 0);
    cache = cache_new(&settings, reclaimer);
    again = cache_new(&settings, reclaimer);
    REQUIRE(cache != NULL && again != NULL);
}

/* Make the checksums right as far as the lengths lead. */
static void seal_all(uint8_t *bytes, size_t length)
{
    size_t at = CACHE_FILE_HEADER_BYTES;

    if (length < CACHE_FILE_HEADER_BYTES) {
        return;
    }
    cache_file_seal(bytes, CACHE_FILE_HEADER_BYTES);
    while (length - at >= CACHE_FILE_END_BYTES) {
        uint32_t claimed = wire_get32(bytes + at);
        if (claimed < CACHE_FILE_END_BYTES || claimed > length - at) {
            return;
        }
        cache_file_seal(bytes + at, claimed);
        at += claimed;
    }
}

/* Load it; returns the number of entries stored. */
static uint64_t load(struct cache *into, const uint8_t *bytes, size_t length, bool is_ours)
{
    static struct cache_file_reading reading;
    struct error err = { .code = 0 };
    size_t at = 0;
    long taken;

    cache_file_begin(&reading, into, &times);
    while ((taken = cache_file_take(&reading, bytes + at, length - at, &err)) > 0) {
        at += (size_t)taken;
        REQUIRE(at <= length);
    }
    REQUIRE(taken == 0 || taken == -EINVAL);
    REQUIRE(taken == 0 || err.message[0] != '\0');
    REQUIRE(reading.stored <= reading.records);
    if (is_ours) {
        REQUIRE(taken == 0 && at == length);
        REQUIRE(cache_file_finish(&reading, 0, &err) == 0);
    }
    return reading.stored;
}

static struct cache_entry *find(struct cache *in, const struct cache_entry *entry)
{
    struct cache_key key = {
        .dname = cache_entry_name(entry),
        .length = entry->name_length,
        .flags = entry->key_flags,
        .type = entry->type,
        .class = entry->class,
    };

    return cache_find(in, &key, cache_hash(in, &key));
}

/*
 * Do names point to nothing but the question's? In a forged file others may
 * lead through a TTL, and that changes; in what our builder made they cannot.
 */
static bool has_plain_names(const struct cache_entry *entry)
{
    const uint8_t *body = cache_entry_body(entry);

    for (size_t i = 0; i < entry->body_length; i++) {
        if (body[i] >= 0xc0 &&
            (i + 1 == entry->body_length || body[i] != 0xc0 || body[i + 1] != WIRE_QUESTION)) {
            return false;
        }
    }
    return true;
}

/* As an answerer does, into memory of just the size. */
static void put_out(const struct cache_entry *entry, int64_t now_ms)
{
    size_t question = WIRE_HEADER_BYTES + (size_t)entry->name_length + 4;
    size_t length = question + entry->body_length;
    uint8_t *message = calloc(1, length);

    REQUIRE(message != NULL && length <= WIRE_MESSAGE_MAX);
    wire_put16(message + 2, WIRE_QR);
    wire_put16(message + 4, 1);
    for (unsigned i = 0; i < 3; i++) {
        wire_put16(message + 6 + 2 * i, entry->records[i]);
    }
    memcpy(message + WIRE_QUESTION, cache_entry_name(entry), entry->name_length);
    cache_put_body(entry, now_ms, settings.stale_ttl_s, message + question);
    REQUIRE(!has_plain_names(entry) || wire_response_sound(message, length));
    free(message);
}

static void check(struct cache_entry *entry)
{
    REQUIRE(entry->name_length == name_length(cache_entry_name(entry)));
    REQUIRE(entry->kind != CACHE_FAILURE && entry->origin <= FORWARD_PUBLIC);
    REQUIRE(entry->stored_ms <= NOW_MS);
    REQUIRE(cache_left_s(entry, NOW_MS) <= settings.max_ttl_s);
    REQUIRE(find(cache, entry) == entry);
    put_out(entry, NOW_MS);
    put_out(entry, NOW_MS + 1500);
    put_out(entry, NOW_MS + INT64_C(1000) * 86400 * 400);
}

/* A limit lower than its TTL may have made it too old only once it was there. */
static bool is_too_old(const struct cache_entry *entry)
{
    return NOW_MS - entry->stored_ms >=
           INT64_C(1000) * ((int64_t)entry->ttl_s + settings.serve_stale_s);
}

static void check_again(const struct cache_entry *entry)
{
    const struct cache_entry *other = find(again, entry);

    if (other == NULL) {
        REQUIRE(is_too_old(entry) || !has_plain_names(entry));
        return;
    }
    REQUIRE(other->ttl_s == entry->ttl_s && other->stored_ms <= entry->stored_ms);
    REQUIRE(other->kind == entry->kind && other->rcode == entry->rcode);
    REQUIRE(other->origin == entry->origin && other->authentic == entry->authentic);
    REQUIRE(other->body_length == entry->body_length);
    REQUIRE(memcmp(cache_entry_body(other), cache_entry_body(entry), entry->body_length) == 0);
}

/* Save what was loaded and load that. */
static void round_trip(uint64_t stored)
{
    size_t room = CACHE_FILE_HEADER_BYTES + stored * CACHE_FILE_RECORD_MOST + CACHE_FILE_END_BYTES;
    uint8_t *bytes = malloc(room);
    size_t length = 0;
    uint64_t cursor = 0, count = 0;
    struct cache_entry *entry;

    REQUIRE(bytes != NULL);
    length = cache_file_put_header(bytes, &times);
    while (count < stored && (entry = cache_next(cache, &cursor)) != NULL) {
        if (!has_plain_names(entry)) {
            continue;
        }
        size_t put = cache_file_put_record(entry, &times, bytes + length, CACHE_FILE_RECORD_MOST);
        REQUIRE(put > 0 && put <= CACHE_FILE_RECORD_MOST);
        length += put;
        count++;
    }
    length += cache_file_put_end(count, bytes + length);
    REQUIRE(load(again, bytes, length, true) <= count);
    for (cursor = 0; (entry = cache_next(cache, &cursor)) != NULL;) {
        check_again(entry);
    }
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t cursor = 0;
    struct cache_entry *entry;

    if (size < 1) {
        return 0;
    }
    if (cache == NULL) {
        begin();
    }
    uint8_t *bytes = malloc(size > 1 ? size - 1 : 1); /* just the size: a step beyond is seen */
    REQUIRE(bytes != NULL);
    memcpy(bytes, data + 1, size - 1);
    if ((data[0] & 1) != 0) {
        seal_all(bytes, size - 1);
    }
    uint64_t stored = load(cache, bytes, size - 1, false);
    free(bytes);
    while ((entry = cache_next(cache, &cursor)) != NULL) {
        check(entry);
    }
    if (stored > 0 && stored < 64) {
        round_trip(stored);
    }
    (void)cache_flush(cache, NULL, true);
    (void)cache_flush(again, NULL, true);
    return 0;
}
