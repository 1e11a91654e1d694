#pragma once
/*
 * cache_file_world - caches with a few known answers, for the tests of the file
 *
 * What is loaded anywhere is compared with what was stored here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "resolver/cache/cache.h"
#include "resolver/cache/cache_file.h"
#include "zones/name.h"
#include "zones/wire.h"

#define WORLD_SERVE_STALE_S 1000
#define WORLD_TTL_S         300

static const struct model_cache world_settings = {
    .size_bytes = UINT64_C(8) << 20,
    .serve_stale_s = WORLD_SERVE_STALE_S,
    .stale_ttl_s = 30,
    .max_ttl_s = 86400,
    .max_negative_ttl_s = 900,
};

struct world {
    struct reclaimer *reclaimer;
    struct cache *cache;
};

static inline void world_init_with(struct world *world, const struct model_cache *settings)
{
    assert_int_equal(reclaimer_new(&world->reclaimer), 0);
    world->cache = cache_new(settings, world->reclaimer);
    assert_non_null(world->cache);
}

static inline void world_init(struct world *world)
{
    world_init_with(world, &world_settings);
}

static inline void world_fini(struct world *world)
{
    reclaimer_free(world->reclaimer);
    cache_free(world->cache);
}

/* ---- answers ---- */

struct world_message {
    uint8_t bytes[WIRE_MESSAGE_MAX];
    size_t length;
};

/* A response to a question, without records yet. */
static inline void world_respond(struct world_message *m, const struct cache_key *key,
                                 unsigned flags)
{
    memset(m->bytes, 0, WIRE_HEADER_BYTES);
    wire_put16(m->bytes + 2, (uint16_t)(WIRE_QR | WIRE_RD | WIRE_RA | flags));
    wire_put16(m->bytes + 4, 1);
    memcpy(m->bytes + WIRE_QUESTION, key->dname, key->length);
    m->length = WIRE_QUESTION + (size_t)key->length;
    wire_put16(m->bytes + m->length, key->type);
    wire_put16(m->bytes + m->length + 2, key->class);
    m->length += 4;
}

/* Add a record whose owner is the name at `owner_at` to section 0, 1 or 2. */
static inline void world_add(struct world_message *m, unsigned section, size_t owner_at,
                             uint16_t type, uint32_t ttl_s, const void *rdata, size_t size)
{
    uint8_t *out = m->bytes + m->length;
    uint8_t *count = m->bytes + 6 + 2 * section;

    assert_true(m->length + 12 + size <= sizeof(m->bytes));
    wire_put16(out, (uint16_t)(0xc000 | owner_at));
    wire_put16(out + 2, type);
    wire_put16(out + 4, WIRE_IN);
    wire_put32(out + 6, ttl_s);
    wire_put16(out + 10, (uint16_t)size);
    memcpy(out + 12, rdata, size);
    m->length += 12 + size;
    wire_put16(count, (uint16_t)(wire_get16(count) + 1));
}

/* A SOA whose minimum is `minimum_s`, at the question's name. */
static inline void world_add_soa(struct world_message *m, uint32_t ttl_s, uint32_t minimum_s)
{
    uint8_t rdata[22] = { 0, 0 }; /* both names the root */

    wire_put32(rdata + 2, 2018112201);
    wire_put32(rdata + 18, minimum_s);
    world_add(m, 1, WIRE_QUESTION, WIRE_SOA, ttl_s, rdata, sizeof(rdata));
}

static inline struct cache_key world_key(const char *name, uint16_t type, uint8_t flags,
                                         uint8_t dname[NAME_MAX_BYTES])
{
    struct error err;
    int length = name_parse(name, dname, &err);

    assert_true(length > 0);
    return (struct cache_key){
        .dname = dname,
        .length = (uint8_t)length,
        .flags = flags,
        .type = type,
        .class = WIRE_IN,
    };
}

static inline bool world_store(struct cache *cache, const struct cache_key *key,
                               const struct world_message *m, enum forward_class origin,
                               int64_t stored_ms)
{
    struct cache_answer answer = {
        .message = m->bytes,
        .length = m->length,
        .origin = origin,
        .stored_ms = stored_ms,
    };

    return cache_store(cache, key, &answer);
}

/* Store an address, made of `number`, for `name`. */
static inline bool world_store_address(struct cache *cache, const char *name, uint32_t number,
                                       uint32_t ttl_s, int64_t stored_ms)
{
    static _Thread_local struct world_message m;
    uint8_t dname[NAME_MAX_BYTES];
    uint8_t rdata[4];
    struct cache_key key = world_key(name, WIRE_A, 0, dname);

    wire_put32(rdata, number);
    world_respond(&m, &key, 0);
    world_add(&m, 0, WIRE_QUESTION, WIRE_A, ttl_s, rdata, sizeof(rdata));
    return world_store(cache, &key, &m, FORWARD_OWN, stored_ms);
}

#define WORLD_KINDS 7 /* entries of world_fill that a file holds */

/* Store one answer of each kind at `now_ms`, and a failure. */
static inline void world_fill(struct cache *cache, int64_t now_ms)
{
    static struct world_message m;
    static const uint8_t long_text[3000] = { 255, 't' };
    static const uint8_t address[16] = { 10, 0, 0, 1, 10, 0, 0, 2 };
    uint8_t dname[NAME_MAX_BYTES];
    struct cache_key key = world_key("two.example", WIRE_A, 0, dname);

    world_respond(&m, &key, WIRE_AD);
    world_add(&m, 0, WIRE_QUESTION, WIRE_A, WORLD_TTL_S, address, 4);
    world_add(&m, 0, WIRE_QUESTION, WIRE_A, WORLD_TTL_S, address + 4, 4);
    assert_true(world_store(cache, &key, &m, FORWARD_OWN, now_ms));

    key = world_key("chain.example", WIRE_AAAA, 0, dname);
    world_respond(&m, &key, 0);
    world_add(&m, 0, WIRE_QUESTION, WIRE_CNAME, 600, "\3end\0", 5);
    world_add(&m, 0, m.length - 5, WIRE_AAAA, WORLD_TTL_S, address, 16);
    world_add(&m, 2, WIRE_QUESTION, WIRE_TXT, 500, "\4more", 5);
    assert_true(world_store(cache, &key, &m, FORWARD_OTHER, now_ms));

    key = world_key("nodata.example", WIRE_MX, 0, dname);
    world_respond(&m, &key, 0);
    world_add_soa(&m, 3600, WORLD_TTL_S);
    assert_true(world_store(cache, &key, &m, FORWARD_OWN, now_ms));

    key = world_key("nx.example", WIRE_A, CACHE_CHECKING_DISABLED, dname);
    world_respond(&m, &key, WIRE_NXDOMAIN);
    world_add_soa(&m, WORLD_TTL_S, 3600);
    assert_true(world_store(cache, &key, &m, FORWARD_OWN, now_ms));

    key = world_key("signed.example", WIRE_A, CACHE_DNSSEC_OK, dname);
    world_respond(&m, &key, WIRE_AD);
    world_add(&m, 0, WIRE_QUESTION, WIRE_A, WORLD_TTL_S, address, 4);
    world_add(&m, 0, WIRE_QUESTION, 46, WORLD_TTL_S, long_text, 100);
    assert_true(world_store(cache, &key, &m, FORWARD_PUBLIC, now_ms));

    key = world_key(".", WIRE_NS, 0, dname);
    world_respond(&m, &key, 0);
    world_add(&m, 0, WIRE_QUESTION, WIRE_NS, WORLD_TTL_S, "\1a\0", 3);
    assert_true(world_store(cache, &key, &m, FORWARD_OWN, now_ms));

    key = world_key("large.example", WIRE_TXT, 0, dname);
    world_respond(&m, &key, 0);
    world_add(&m, 0, WIRE_QUESTION, WIRE_TXT, WORLD_TTL_S, long_text, 256);
    assert_true(world_store(cache, &key, &m, FORWARD_OWN, now_ms));

    key = world_key("broken.example", WIRE_A, 0, dname);
    cache_store_failure(cache, &key, 22, 5, now_ms);
}

/* ---- comparing ---- */

static inline size_t world_count(const struct cache *cache)
{
    uint64_t cursor = 0;
    size_t count = 0;

    while (cache_next(cache, &cursor) != NULL) {
        count++;
    }
    return count;
}

static inline struct cache_entry *world_find(struct cache *cache, const struct cache_entry *like)
{
    struct cache_key key = {
        .dname = cache_entry_name(like),
        .length = like->name_length,
        .flags = like->key_flags,
        .type = like->type,
        .class = like->class,
    };

    return cache_find(cache, &key, cache_hash(cache, &key));
}

/* Everything but the time it was stored and the hints. */
static inline bool world_same(const struct cache_entry *a, const struct cache_entry *b)
{
    return a->ttl_s == b->ttl_s && a->kind == b->kind && a->origin == b->origin &&
           a->rcode == b->rcode && a->authentic == b->authentic &&
           memcmp(a->records, b->records, sizeof(a->records)) == 0 &&
           a->body_length == b->body_length &&
           memcmp(cache_entry_body(a), cache_entry_body(b), a->body_length) == 0;
}

/* Is all that is in `loaded` in `original` too, and no fresher, at the same moment? */
static inline void world_assert_nothing_wrong(struct cache *loaded, struct cache *original)
{
    uint64_t cursor = 0;
    struct cache_entry *entry;

    while ((entry = cache_next(loaded, &cursor)) != NULL) {
        struct cache_entry *other = world_find(original, entry);
        assert_non_null(other);
        assert_true(world_same(entry, other));
        assert_true(entry->stored_ms <= other->stored_ms + 2); /* the clocks tick apart */
    }
}

/* ---- files in memory ---- */

struct world_file {
    uint8_t *bytes;
    size_t length;
    size_t first; /* record's offset */
};

static inline struct world_file world_save(struct cache *cache,
                                           const struct cache_file_times *times)
{
    struct world_file file = { .bytes = malloc(1 << 20) };
    struct cache_entry *entry;
    uint64_t cursor = 0, count = 0;

    assert_non_null(file.bytes);
    file.length = cache_file_put_header(file.bytes, times);
    file.first = file.length;
    while ((entry = cache_next(cache, &cursor)) != NULL) {
        assert_true(file.length + CACHE_FILE_RECORD_MOST < 1 << 20);
        size_t length =
            cache_file_put_record(entry, times, file.bytes + file.length, CACHE_FILE_RECORD_MOST);
        file.length += length;
        count += length > 0;
    }
    file.length += cache_file_put_end(count, file.bytes + file.length);
    return file;
}

/* Load it in one go: 0 or -EINVAL. `stored` may be NULL. */
static inline int world_load(struct cache *cache, const uint8_t *bytes, size_t length,
                             const struct cache_file_times *times, uint64_t *stored)
{
    static struct cache_file_reading reading;
    struct error err = { .code = 0 };
    size_t at = 0;
    long taken;

    cache_file_begin(&reading, cache, times);
    while ((taken = cache_file_take(&reading, bytes + at, length - at, &err)) > 0) {
        at += (size_t)taken;
        assert_true(at <= length);
    }
    if (stored != NULL) {
        *stored = reading.stored;
    }
    if (taken == 0) {
        taken = cache_file_finish(&reading, length - at, &err);
    }
    assert_true(taken == 0 || err.message[0] != '\0');
    return (int)taken;
}
