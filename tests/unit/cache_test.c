#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "resolver/cache/cache.h"
#include "resolver/forward/builder.h"
#include "resolver/rcu.h"
#include "zones/wire.h"

#define DAY_S      86400u
#define MIB        (1024u * 1024u)
#define HOUR_MS    3600000
#if defined(__SANITIZE_THREAD__)
#define FLOOD 200000u /* it takes fifty times as long */
#else
#define FLOOD 1000000u
#endif
#define READERS    3u
#define NEGATIVE_S 900u
#define SLACK      64u /* the allocator may give a block some bytes more; an entry has 150 */

/* ---- a cache to try */

struct world {
    struct model_cache settings;
    struct reclaimer *reclaimer;
    struct cache *cache;
    uint64_t empty_bytes;
};

static void begin(struct world *w, uint64_t size_bytes)
{
    *w = (struct world){ .settings = { .size_bytes = size_bytes,
                                       .serve_stale_s = 3 * DAY_S,
                                       .max_ttl_s = DAY_S,
                                       .max_negative_ttl_s = NEGATIVE_S } };
    assert_int_equal(reclaimer_new(&w->reclaimer), 0);
    w->cache = cache_new(&w->settings, w->reclaimer);
    assert_non_null(w->cache);
    w->empty_bytes = cache_counters(w->cache)->bytes;
}

/* After a flush and the end of the reclaimer nothing is left. */
static void end(struct world *w)
{
    uint64_t entries = cache_counters(w->cache)->entries;

    assert_int_equal(cache_flush(w->cache, NULL, false), entries);
    reclaimer_free(w->reclaimer);
    assert_int_equal(cache_counters(w->cache)->entries, 0);
    uint64_t bytes = cache_counters(w->cache)->bytes;
    assert_in_range(bytes + SLACK, w->empty_bytes, w->empty_bytes + 2 * SLACK);
    cache_free(w->cache);
}

static uint64_t counted(const _Atomic uint64_t *counter)
{
    return atomic_load(counter);
}

/* ---- keys and messages */

struct key {
    uint8_t dname[NAME_MAX_BYTES];
    struct cache_key key;
};

static struct cache_key *key_of(struct key *k, const char *name, uint16_t type, uint8_t flags)
{
    struct error err;
    int length = name_parse(name, k->dname, &err);

    assert_true(length > 0);
    k->key = (struct cache_key){
        .dname = k->dname, .length = (uint8_t)length, .flags = flags, .type = type, .class = WIRE_IN
    };
    return &k->key;
}

struct message {
    uint8_t bytes[4096];
    size_t length;
    struct builder builder;
};

static void ask(struct message *m, const struct cache_key *key)
{
    uint8_t question[NAME_MAX_BYTES + 4];

    memcpy(question, key->dname, key->length);
    wire_put16(question + key->length, key->type);
    wire_put16(question + key->length + 2, key->class);
    builder_init(&m->builder, m->bytes, sizeof(m->bytes), question, key->length + 4u);
}

static void put_record(struct message *m, enum builder_section section, const uint8_t *owner,
                       uint16_t type, uint32_t ttl_s, const void *rdata, size_t size)
{
    size_t mark = builder_begin_record(&m->builder, section, owner, type, WIRE_IN, ttl_s);

    builder_put_bytes(&m->builder, rdata, size);
    builder_end_record(&m->builder, mark);
}

static void put_soa(struct message *m, const uint8_t *owner, uint32_t ttl_s, uint32_t minimum_s)
{
    uint8_t rdata[22] = { 0 };

    wire_put32(rdata + 18, minimum_s);
    put_record(m, BUILDER_AUTHORITY, owner, WIRE_SOA, ttl_s, rdata, sizeof(rdata));
}

static void finish(struct message *m, unsigned flags)
{
    m->length = builder_finish(&m->builder, (uint16_t)(WIRE_QR | flags));
    assert_true(m->length > 0);
}

/* One address, or none and an SOA with `ttl_s`. */
static void make_address(struct message *m, const struct cache_key *key, uint32_t ttl_s)
{
    static const uint8_t address[4] = { 192, 0, 2, 1 };

    ask(m, key);
    put_record(m, BUILDER_ANSWER, key->dname, WIRE_A, ttl_s, address, sizeof(address));
    finish(m, 0);
}

static void make_negative(struct message *m, const struct cache_key *key, unsigned rcode,
                          uint32_t ttl_s, uint32_t minimum_s)
{
    ask(m, key);
    put_soa(m, name_parent(key->dname), ttl_s, minimum_s);
    finish(m, rcode);
}

static bool store(struct world *w, const struct cache_key *key, const struct message *m,
                  int64_t stored_ms)
{
    struct cache_answer answer = {
        .message = m->bytes, .length = m->length, .origin = FORWARD_OWN, .stored_ms = stored_ms
    };

    return cache_store(w->cache, key, &answer);
}

static bool store_address(struct world *w, const char *name, uint32_t ttl_s, int64_t stored_ms)
{
    struct key k;
    struct message m;

    key_of(&k, name, WIRE_A, 0);
    make_address(&m, &k.key, ttl_s);
    return store(w, &k.key, &m, stored_ms);
}

static struct cache_entry *find(struct world *w, const struct cache_key *key)
{
    return cache_find(w->cache, key, cache_hash(w->cache, key));
}

static struct cache_entry *find_address(struct world *w, const char *name)
{
    struct key k;

    return find(w, key_of(&k, name, WIRE_A, 0));
}

/* ---- one answer */

static void what_was_stored_is_found_under_its_own_key_only(void **state)
{
    struct world w;
    struct key k;
    (void)state;

    begin(&w, MIB);
    assert_null(find_address(&w, "www.example.com"));
    assert_true(store_address(&w, "www.example.com", 300, 1000));
    struct cache_entry *entry = find_address(&w, "www.example.com");
    assert_non_null(entry);
    assert_int_equal(entry->kind, CACHE_POSITIVE);
    assert_int_equal(entry->ttl_s, 300);
    assert_int_equal(entry->origin, FORWARD_OWN);
    assert_int_equal(entry->records[0], 1);
    assert_int_equal(entry->records[1], 0);
    assert_false(entry->authentic);
    assert_null(find_address(&w, "ww.example.com"));
    assert_null(find(&w, key_of(&k, "www.example.com", WIRE_AAAA, 0)));
    assert_null(find(&w, key_of(&k, "www.example.com", WIRE_A, CACHE_DNSSEC_OK)));
    assert_null(find(&w, key_of(&k, "www.example.com", WIRE_A, CACHE_CHECKING_DISABLED)));
    key_of(&k, "www.example.com", WIRE_A, 0)->class = 3;
    assert_null(find(&w, &k.key));
    end(&w);
}

static void a_body_is_that_of_the_message_with_ttls_lowered_by_its_age(void **state)
{
    struct world w;
    struct key k;
    struct message m;
    uint8_t body[64], *expected;
    (void)state;

    begin(&w, MIB);
    make_address(&m, key_of(&k, "www.example.com", WIRE_A, 0), 300);
    assert_true(store(&w, &k.key, &m, 5000));
    const struct cache_entry *entry = find(&w, &k.key);
    expected = m.bytes + WIRE_HEADER_BYTES + k.key.length + 4;
    assert_int_equal(entry->body_length, m.bytes + m.length - expected);
    static const struct {
        int64_t now_ms;
        uint32_t ttl_s, left_s;
    } cases[] = {
        { 5000, 300, 300 }, { 0, 300, 300 },  { 5999, 300, 300 },         { 6000, 299, 299 },
        { 304999, 1, 1 },   { 305000, 7, 0 }, { INT64_C(1) << 50, 7, 0 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cache_put_body(entry, cases[i].now_ms, 7, body);
        wire_put32(expected + 6, cases[i].ttl_s);
        assert_memory_equal(body, expected, entry->body_length);
        assert_int_equal(cache_left_s(entry, cases[i].now_ms), cases[i].left_s);
    }
    end(&w);
}

static void each_ttl_is_lowered_on_its_own(void **state)
{
    static const uint8_t target[] = "\1b\7example\3com", address[4] = { 192, 0, 2, 1 };
    struct world w;
    struct key k;
    struct message m;
    struct wire_reader reader;
    struct wire_record record;
    (void)state;

    begin(&w, MIB);
    ask(&m, key_of(&k, "a.example.com", WIRE_A, 0));
    put_record(&m, BUILDER_ANSWER, k.dname, WIRE_CNAME, 600, target, sizeof(target));
    put_record(&m, BUILDER_ANSWER, target, WIRE_A, 60, address, sizeof(address));
    finish(&m, WIRE_AD);
    assert_true(store(&w, &k.key, &m, 0));
    const struct cache_entry *entry = find(&w, &k.key);
    assert_int_equal(entry->kind, CACHE_POSITIVE);
    assert_int_equal(entry->ttl_s, 60);
    assert_true(entry->authentic);
    cache_put_body(entry, 10500, 30, m.bytes + WIRE_HEADER_BYTES + k.key.length + 4);
    wire_reader_init(&reader, m.bytes, m.length);
    reader.at = WIRE_HEADER_BYTES + k.key.length + 4u;
    assert_true(wire_read_record(&reader, &record));
    assert_int_equal(record.ttl_s, 590);
    assert_true(wire_read_record(&reader, &record));
    assert_int_equal(record.ttl_s, 50);
    assert_true(name_equal(record.owner, target));
    end(&w);
}

/* ---- how long */

static void ttls_are_floored_and_capped(void **state)
{
    static const struct {
        uint32_t ttl_s, min_s, max_s;
        enum forward_class origin;
        uint32_t kept_s; /* 0: not stored */
    } cases[] = {
        { 300, 0, DAY_S, FORWARD_OWN, 300 },
        { 300, 0, DAY_S, FORWARD_OTHER, 300 },
        { 300, 0, DAY_S, FORWARD_PUBLIC, 30 },
        { 20, 0, DAY_S, FORWARD_PUBLIC, 20 },
        { 20, 60, DAY_S, FORWARD_PUBLIC, 30 },
        { 2 * DAY_S, 0, DAY_S, FORWARD_OWN, DAY_S },
        { 1, 60, DAY_S, FORWARD_OWN, 60 },
        { 0, 60, DAY_S, FORWARD_OWN, 60 },
        { 0, 0, DAY_S, FORWARD_OWN, 0 },
        { 100, 60, 50, FORWARD_OWN, 50 },
        { UINT32_C(0x80000000), 0, DAY_S, FORWARD_OWN, 0 }, /* RFC 2181, section 8 */
        { UINT32_MAX, 5, DAY_S, FORWARD_OWN, 5 },
        { INT32_MAX, 0, UINT32_MAX, FORWARD_OWN, INT32_MAX },
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct world w;
        struct key k;
        struct message m;
        uint8_t body[64];
        begin(&w, MIB);
        w.settings.min_ttl_s = cases[i].min_s;
        w.settings.max_ttl_s = cases[i].max_s;
        cache_configure(w.cache, &w.settings);
        make_address(&m, key_of(&k, "www.example.com", WIRE_A, 0), cases[i].ttl_s);
        struct cache_answer answer = { m.bytes, m.length, cases[i].origin, 0 };
        assert_int_equal(cache_store(w.cache, &k.key, &answer), cases[i].kept_s > 0);
        const struct cache_entry *entry = find(&w, &k.key);
        assert_int_equal(entry != NULL, cases[i].kept_s > 0);
        if (entry != NULL) {
            assert_int_equal(entry->ttl_s, cases[i].kept_s);
            cache_put_body(entry, 0, 30, body);
            assert_int_equal(wire_get32(body + 6), cases[i].kept_s);
        }
        end(&w);
    }
}

static void a_negative_answer_lives_as_long_as_its_soa_says(void **state)
{
    static const struct {
        unsigned rcode;
        uint32_t ttl_s, minimum_s, kept_s;
    } cases[] = {
        { WIRE_NXDOMAIN, 300, 600, 300 }, { WIRE_NXDOMAIN, 600, 300, 300 },
        { WIRE_NOERROR, 300, 600, 300 },  { WIRE_NOERROR, 7200, 7200, NEGATIVE_S },
        { WIRE_NOERROR, 300, 0, 0 },      { WIRE_NXDOMAIN, 0, 300, 0 },
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct world w;
        struct key k;
        struct message m;
        begin(&w, MIB);
        make_negative(&m, key_of(&k, "no.example.com", WIRE_A, 0), cases[i].rcode, cases[i].ttl_s,
                      cases[i].minimum_s);
        assert_int_equal(store(&w, &k.key, &m, 0), cases[i].kept_s > 0);
        const struct cache_entry *entry = find(&w, &k.key);
        if (entry != NULL) {
            assert_int_equal(entry->ttl_s, cases[i].kept_s);
            assert_int_equal(entry->rcode, cases[i].rcode);
            assert_int_equal(entry->kind,
                             cases[i].rcode == WIRE_NXDOMAIN ? CACHE_NXDOMAIN : CACHE_NODATA);
        }
        end(&w);
    }
}

static void a_chain_that_ends_in_nothing_is_negative(void **state)
{
    static const uint8_t target[] = "\1b\7example\3com", zone[] = "\7example\3com";
    static const unsigned rcodes[] = { WIRE_NOERROR, WIRE_NXDOMAIN };
    struct world w;
    struct key k;
    struct message m;
    (void)state;

    begin(&w, MIB);
    for (unsigned i = 0; i < 2; i++) {
        ask(&m, key_of(&k, "a.example.com", WIRE_A, 0));
        put_record(&m, BUILDER_ANSWER, k.dname, WIRE_CNAME, 600, target, sizeof(target));
        finish(&m, rcodes[i]);
        assert_false(store(&w, &k.key, &m, 0)); /* no SOA */
        ask(&m, &k.key);
        put_record(&m, BUILDER_ANSWER, k.dname, WIRE_CNAME, 600, target, sizeof(target));
        put_soa(&m, zone, 100, 50);
        finish(&m, rcodes[i]);
        assert_true(store(&w, &k.key, &m, 0));
        assert_int_equal(find(&w, &k.key)->kind, i == 0 ? CACHE_NODATA : CACHE_NXDOMAIN);
        assert_int_equal(find(&w, &k.key)->ttl_s, 50);
    }
    /* the alias itself is what was asked for */
    ask(&m, key_of(&k, "a.example.com", WIRE_CNAME, 0));
    put_record(&m, BUILDER_ANSWER, k.dname, WIRE_CNAME, 600, target, sizeof(target));
    finish(&m, 0);
    assert_true(store(&w, &k.key, &m, 0));
    assert_int_equal(find(&w, &k.key)->kind, CACHE_POSITIVE);
    end(&w);
}

/* ---- what is not stored */

static void what_is_no_sound_answer_to_the_key_is_not_stored(void **state)
{
    struct world w;
    struct key k, other;
    struct message m;
    (void)state;

    begin(&w, MIB);
    make_address(&m, key_of(&k, "www.example.com", WIRE_A, 0), 300);
    size_t whole = m.length;
    for (m.length = 0; m.length < whole; m.length++) {
        assert_false(store(&w, &k.key, &m, 0));
    }
    assert_false(store(&w, key_of(&other, "ww2.example.com", WIRE_A, 0), &m, 0));
    assert_false(store(&w, key_of(&other, "www.example.com", WIRE_AAAA, 0), &m, 0));
    static const uint16_t flags[] = { 0, WIRE_QR | WIRE_TC, WIRE_QR | WIRE_SERVFAIL,
                                      WIRE_QR | WIRE_REFUSED };
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        wire_put16(m.bytes + 2, flags[i]);
        assert_false(store(&w, &k.key, &m, 0));
    }
    ask(&m, &k.key);
    put_record(&m, BUILDER_ANSWER, k.dname, WIRE_A, 300, "\1\2\3\4", 4);
    put_record(&m, BUILDER_ADDITIONAL, (const uint8_t *)"", WIRE_OPT, 300, "", 0);
    finish(&m, 0);
    assert_false(store(&w, &k.key, &m, 0));
    assert_int_equal(counted(&cache_counters(w.cache)->stored), 0);
    end(&w);
}

static void what_was_stored_later_is_not_replaced(void **state)
{
    struct world w;
    (void)state;

    begin(&w, MIB);
    assert_true(store_address(&w, "www.example.com", 300, 2000));
    assert_false(store_address(&w, "www.example.com", 100, 1999));
    assert_int_equal(find_address(&w, "www.example.com")->ttl_s, 300);
    assert_true(store_address(&w, "www.example.com", 100, 2000));
    assert_int_equal(find_address(&w, "www.example.com")->ttl_s, 100);
    assert_int_equal(counted(&cache_counters(w.cache)->entries), 1);
    end(&w);
}

static void a_cache_of_no_size_stores_nothing(void **state)
{
    struct world w;
    struct key k;
    (void)state;

    begin(&w, 0);
    assert_false(store_address(&w, "www.example.com", 300, 0));
    cache_store_failure(w.cache, key_of(&k, "www.example.com", WIRE_A, 0), 22, 5, 0);
    assert_null(find(&w, &k.key));
    end(&w);
}

/* ---- failures */

static void a_failure_is_kept_unless_something_can_be_served_stale(void **state)
{
    struct world w;
    struct key k;
    (void)state;

    begin(&w, MIB);
    key_of(&k, "www.example.com", WIRE_A, 0);
    cache_store_failure(w.cache, &k.key, 23, 5, 1000);
    const struct cache_entry *entry = find(&w, &k.key);
    assert_int_equal(entry->kind, CACHE_FAILURE);
    assert_int_equal(entry->rcode, WIRE_SERVFAIL);
    assert_int_equal(entry->failure_ede, 23);
    assert_int_equal(cache_left_s(entry, 3000), 3);
    /* an older answer, from disk, is better; but nobody need be asked meanwhile */
    assert_true(store_address(&w, "www.example.com", 300, -10 * HOUR_MS));
    entry = find(&w, &k.key);
    assert_int_equal(entry->kind, CACHE_POSITIVE);
    assert_int_equal(entry->stale_until_ms, 6000);
    cache_store_failure(w.cache, &k.key, 23, 5, 9000);
    assert_ptr_equal(find(&w, &k.key), entry);
    assert_int_equal(entry->stale_until_ms, 14000);
    /* not beyond the time that stale answers are served for */
    int64_t end_ms =
        -10 * HOUR_MS + (300 + (int64_t)cache_settings(w.cache)->serve_stale_s) * 1000;
    cache_store_failure(w.cache, &k.key, 23, 5, end_ms - 2000);
    assert_int_equal(entry->stale_until_ms, end_ms);
    /* too old */
    int64_t late = (int64_t)DAY_S * 4000;
    cache_store_failure(w.cache, &k.key, 22, 5, late);
    assert_int_equal(find(&w, &k.key)->kind, CACHE_FAILURE);
    cache_store_failure(w.cache, &k.key, 22, 10, late + 1000);
    assert_int_equal(cache_left_s(find(&w, &k.key), late + 1000), 10);
    assert_int_equal(counted(&cache_counters(w.cache)->entries), 1);
    end(&w);
}

/* ---- leaving */

static void a_flush_takes_the_name_or_its_tree(void **state)
{
    static const char *const names[] = { "example.com", "a.example.com", "b.a.example.com",
                                         "example.org", "xexample.com" };
    struct world w;
    struct key k;
    struct message m;
    (void)state;

    begin(&w, MIB);
    for (size_t i = 0; i < 5; i++) {
        assert_true(store_address(&w, names[i], 300, 0));
    }
    make_negative(&m, key_of(&k, "a.example.com", WIRE_AAAA, 0), 0, 300, 300);
    assert_true(store(&w, &k.key, &m, 0));
    assert_int_equal(cache_flush(w.cache, k.dname, false), 2);
    assert_null(find(&w, &k.key));
    assert_null(find_address(&w, "a.example.com"));
    assert_non_null(find_address(&w, "b.a.example.com"));
    key_of(&k, "example.com", WIRE_A, 0);
    assert_int_equal(cache_flush(w.cache, k.dname, true), 2);
    assert_non_null(find_address(&w, "xexample.com"));
    assert_non_null(find_address(&w, "example.org"));
    assert_int_equal(counted(&cache_counters(w.cache)->entries), 2);
    assert_int_equal(cache_flush(w.cache, (const uint8_t *)"", true), 2);
    assert_null(find_address(&w, "example.org"));
    end(&w);
}

static void a_sweep_drops_what_is_too_old_even_to_be_stale(void **state)
{
    struct world w;
    struct key k;
    char name[32];
    (void)state;

    begin(&w, MIB);
    for (unsigned i = 0; i < 300; i++) {
        (void)snprintf(name, sizeof(name), "n%u.example.com", i);
        assert_true(store_address(&w, name, i < 100 ? 100 : 1000, 0));
    }
    cache_store_failure(w.cache, key_of(&k, "broken.example.com", WIRE_A, 0), 22, 5, 0);
    int64_t edge = (int64_t)w.settings.serve_stale_s * 1000 + 100 * 1000;
    for (unsigned i = 0; i < 10; i++) {
        cache_sweep(w.cache, 6000);
    }
    assert_int_equal(counted(&cache_counters(w.cache)->entries), 300);
    for (unsigned i = 0; i < 10; i++) {
        cache_sweep(w.cache, edge);
    }
    assert_int_equal(counted(&cache_counters(w.cache)->entries), 200);
    assert_int_equal(counted(&cache_counters(w.cache)->expired), 101);
    end(&w);
}

/* ---- many */

/* Names of equal length that differ in a number; the message is patched. */
struct series {
    struct key k;
    struct message m;
};

#define SERIES_NAME "00000000.some-longer-name.svc.example.com"

static void series_begin(struct series *s)
{
    make_address(&s->m, key_of(&s->k, SERIES_NAME, WIRE_A, 0), 300);
}

static const struct cache_key *series_at(struct series *s, uint32_t number)
{
    for (unsigned i = 0; i < 8; i++) {
        s->k.dname[1 + i] = (uint8_t) "0123456789abcdef"[number >> (4 * i) & 15];
    }
    memcpy(s->m.bytes + WIRE_QUESTION, s->k.dname, 9);
    return &s->k.key;
}

static void ten_thousand_names_take_less_than_half_of_four_mib(void **state)
{
    struct world w;
    struct series s;
    (void)state;

    begin(&w, 64 * MIB);
    series_begin(&s);
    for (uint32_t i = 0; i < 10000; i++) {
        assert_true(store(&w, series_at(&s, i), &s.m, 0));
    }
    assert_int_equal(counted(&cache_counters(w.cache)->entries), 10000);
    for (uint32_t i = 0; i < 10000; i++) {
        assert_non_null(find(&w, series_at(&s, i)));
    }
    reclaimer_free(w.reclaimer); /* what is on its way out */
    assert_true(counted(&cache_counters(w.cache)->bytes) < 4u * MIB / 2);
    assert_int_equal(reclaimer_new(&w.reclaimer), 0);
    cache_free(w.cache);
    reclaimer_free(w.reclaimer);
}

static void a_flood_of_random_names_stays_below_the_bound_and_leaves_what_is_asked(void **state)
{
    const struct cache_counters *counters;
    struct world w;
    struct series s;
    unsigned lost = 0;
    (void)state;

    begin(&w, MIB);
    series_begin(&s);
    counters = cache_counters(w.cache);
    for (uint32_t i = 0; i < FLOOD; i++) {
        if (i % 64 == 0) { /* a few names that are asked for all the time */
            const struct cache_key *key = series_at(&s, i / 64 % 20);
            if (find(&w, key) == NULL) {
                lost += i > FLOOD / 10;
                (void)store(&w, key, &s.m, 0);
            }
        }
        (void)store(&w, series_at(&s, i + 1000), &s.m, 0);
        assert_true(counted(&counters->bytes) <= MIB);
    }
    assert_true(counted(&counters->evicted) > 0);
    assert_true(counted(&counters->entries) > 1000);
    assert_int_equal(lost, 0);
    w.settings.size_bytes = MIB / 4;
    cache_configure(w.cache, &w.settings);
    assert_true(counted(&counters->entries) < MIB / 4 / 150);
    end(&w);
}

static void one_large_answer_does_not_take_all_the_room(void **state)
{
    struct world w;
    struct key k;
    struct message m;
    static const uint8_t bytes[2000];
    (void)state;

    begin(&w, 16384);
    ask(&m, key_of(&k, "txt.example.com", WIRE_TXT, 0));
    put_record(&m, BUILDER_ANSWER, k.dname, WIRE_TXT, 300, bytes, sizeof(bytes));
    finish(&m, 0);
    assert_false(store(&w, &k.key, &m, 0));
    end(&w);
}

static void what_stays_is_told_while_the_table_grows_and_shrinks(void **state)
{
    static uint8_t told[2000];
    struct world w;
    struct series s;
    struct cache_entry *entry;
    uint64_t cursor = 0;
    uint32_t next = 2000;
    (void)state;

    begin(&w, 64 * MIB);
    series_begin(&s);
    for (uint32_t i = 0; i < 2000; i++) {
        assert_true(store(&w, series_at(&s, i), &s.m, i)); /* stored_ms tells which */
    }
    memset(told, 0, sizeof(told));
    while ((entry = cache_next(w.cache, &cursor)) != NULL) {
        if (entry->stored_ms < 2000) {
            told[entry->stored_ms] = 1;
        }
        for (unsigned i = 0; i < 5 && next < 12000; i++, next++) {
            assert_true(store(&w, series_at(&s, next), &s.m, next));
        }
    }
    assert_null(cache_next(w.cache, &cursor));
    for (unsigned i = 0; i < 2000; i++) {
        assert_int_equal(told[i], 1);
    }
    /* the younger ones get too old while it is told again */
    memset(told, 0, sizeof(told));
    w.settings.serve_stale_s = 0;
    cache_configure(w.cache, &w.settings);
    for (uint32_t i = 0; i < 100; i++) {
        assert_true(store(&w, series_at(&s, i), &s.m, HOUR_MS + i));
    }
    cursor = 0;
    while ((entry = cache_next(w.cache, &cursor)) != NULL) {
        if (entry->stored_ms >= HOUR_MS) {
            told[entry->stored_ms - HOUR_MS] = 1;
        }
        cache_sweep(w.cache, HOUR_MS);
    }
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(told[i], 1);
    }
    assert_int_equal(counted(&cache_counters(w.cache)->entries), 100);
    end(&w);
}

/* ---- readers beside the writer */

struct crowd {
    struct cache *cache;
    _Atomic bool stop;
    _Atomic unsigned running, wrong;
    _Atomic uint64_t found;
};

static void read_one(struct crowd *crowd, struct series *s, uint32_t number)
{
    const struct cache_key *key = series_at(s, number);
    uint8_t body[64];
    struct cache_entry *entry = cache_find(crowd->cache, key, cache_hash(crowd->cache, key));

    if (entry == NULL) {
        return;
    }
    cache_put_body(entry, 0, 30, body);
    bool is_right = entry->body_length == 16 && memcmp(body + 12, "\300\0\2\1", 4) == 0 &&
                    memcmp(cache_entry_name(entry), key->dname, key->length) == 0;
    /* or it is one of the failures */
    if (is_right || entry->kind == CACHE_FAILURE) {
        atomic_fetch_add(&crowd->found, 1);
    } else {
        atomic_fetch_add(&crowd->wrong, 1);
    }
}

static void *read_all_the_time(void *user)
{
    struct crowd *crowd = user;
    struct series s;
    uint64_t cursor = 0;

    series_begin(&s);
    urcu_qsbr_register_thread();
    rcu_sleep();
    atomic_fetch_add(&crowd->running, 1);
    for (uint32_t i = 0; !atomic_load_explicit(&crowd->stop, memory_order_relaxed); i++) {
        rcu_wake();
        for (uint32_t k = 0; k < 16; k++) {
            read_one(crowd, &s, (i * 16 + k) % 4000);
        }
        const struct cache_entry *entry = cache_next(crowd->cache, &cursor);
        if (entry == NULL) {
            cursor = 0;
        } else if (entry->name_length != s.k.key.length) {
            atomic_fetch_add(&crowd->wrong, 1);
        }
        rcu_sleep();
    }
    urcu_qsbr_unregister_thread();
    return NULL;
}

static void write_for_a_while(struct world *w, struct crowd *crowd)
{
    struct series s;
    uint64_t begun = atomic_load(&crowd->found);

    series_begin(&s);
    for (uint32_t i = 0; i < 60000 || atomic_load(&crowd->found) < begun + 100; i++) {
        (void)store(w, series_at(&s, i * 7 % 8000), &s.m, 0);
        if (i % 16384 == 16383) {
            (void)cache_flush(w->cache, NULL, false);
        } else if (i % 4096 == 4095) {
            (void)cache_flush(w->cache, series_at(&s, i % 8000)->dname, false);
        }
        if (i % 1024 == 0) {
            cache_sweep(w->cache, 0);
            cache_store_failure(w->cache, series_at(&s, i % 8000), 22, 5, 0);
            sched_yield();
        }
    }
}

static void readers_see_whole_entries_while_they_come_and_go(void **state)
{
    struct world w;
    struct crowd crowd = { .stop = false };
    pthread_t threads[READERS];
    (void)state;

    begin(&w, MIB / 2);
    crowd.cache = w.cache;
    for (unsigned i = 0; i < READERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, read_all_the_time, &crowd), 0);
    }
    while (atomic_load(&crowd.running) < READERS) {
        sched_yield();
    }
    urcu_qsbr_register_thread();
    write_for_a_while(&w, &crowd);
    rcu_sleep();
    urcu_qsbr_unregister_thread();
    atomic_store(&crowd.stop, true);
    for (unsigned i = 0; i < READERS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(atomic_load(&crowd.wrong), 0);
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_stored_is_found_under_its_own_key_only),
        cmocka_unit_test(a_body_is_that_of_the_message_with_ttls_lowered_by_its_age),
        cmocka_unit_test(each_ttl_is_lowered_on_its_own),
        cmocka_unit_test(ttls_are_floored_and_capped),
        cmocka_unit_test(a_negative_answer_lives_as_long_as_its_soa_says),
        cmocka_unit_test(a_chain_that_ends_in_nothing_is_negative),
        cmocka_unit_test(what_is_no_sound_answer_to_the_key_is_not_stored),
        cmocka_unit_test(what_was_stored_later_is_not_replaced),
        cmocka_unit_test(a_cache_of_no_size_stores_nothing),
        cmocka_unit_test(a_failure_is_kept_unless_something_can_be_served_stale),
        cmocka_unit_test(a_flush_takes_the_name_or_its_tree),
        cmocka_unit_test(a_sweep_drops_what_is_too_old_even_to_be_stale),
        cmocka_unit_test(ten_thousand_names_take_less_than_half_of_four_mib),
        cmocka_unit_test(a_flood_of_random_names_stays_below_the_bound_and_leaves_what_is_asked),
        cmocka_unit_test(one_large_answer_does_not_take_all_the_room),
        cmocka_unit_test(what_stays_is_told_while_the_table_grows_and_shrinks),
        cmocka_unit_test(readers_see_whole_entries_while_they_come_and_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
