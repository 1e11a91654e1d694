/*
 * cache - hit ratios of ways to choose what leaves a cache
 *
 * usage: bench-cache [REQUESTS]
 * Replays traces of names, the same in every run: REQUESTS drawn from 100,000
 * names by Zipf's law; alone, with bursts of a million names that never come
 * again between them, with such bursts mixed in, or with other names becoming
 * the popular ones from time to time. Prints a JSON line for each trace and
 * capacity: the hit ratio of each policy over the requests for names that do
 * come again, the first part left out.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/cache_policies.h"
#include "bench/die.h"
#include "resolver/cache/cache.h"
#include "resolver/cache/cache_queue.h"

#define NAMES        100000u
#define REQUESTS     2000000u
#define BURST        1000000u
#define BURSTS       3u
#define MIXED_IN     4u      /* such names for one of the others, while a burst is mixed in */
#define DRIFTS       8u      /* sets of popular names, in turn */
#define DRIFT_EVERY  250000u /* requests */
#define WARM_UP      5u      /* one part in so many is not counted */
#define NEVER        UINT32_MAX
#define ENTRY_WEIGHT 200u

struct trace {
    uint32_t *names;
    size_t length;
    size_t universe;
    size_t counted_from;
};

/* ---- ours: the program's own queue */

struct ours {
    struct cache_queue queue;
    struct cache_entry **entries;
    size_t universe;
    uint64_t capacity_bytes, bytes;
};

static struct policy *ours_start(size_t capacity, size_t universe)
{
    struct ours *ours = calloc(1, sizeof(*ours));
    struct cache_entry **entries = calloc(universe, sizeof(struct cache_entry *));

    if (ours == NULL || entries == NULL) {
        die("out of memory");
    }
    cache_queue_init(&ours->queue);
    ours->entries = entries;
    ours->universe = universe;
    ours->capacity_bytes = capacity * ENTRY_WEIGHT;
    return (struct policy *)ours;
}

/* Any spread hash will do here. */
static uint64_t hash_of(uint32_t name)
{
    uint64_t hash = (name + UINT64_C(1)) * UINT64_C(0x9e3779b97f4a7c15);

    hash = (hash ^ hash >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    hash = (hash ^ hash >> 27) * UINT64_C(0x94d049bb133111eb);
    return hash ^ hash >> 31;
}

static struct cache_entry *ours_new(uint32_t name)
{
    struct cache_entry *entry = calloc(1, sizeof(*entry));

    if (entry == NULL) {
        die("out of memory");
    }
    entry->hash = hash_of(name);
    entry->size_bytes = ENTRY_WEIGHT;
    entry->ttl_s = name; /* the bench's own use: which it is */
    return entry;
}

static bool ours_ask(struct policy *policy, uint32_t name)
{
    struct ours *ours = (struct ours *)policy;
    struct cache_entry *entry = ours->entries[name];

    if (entry != NULL) {
        uint8_t visits = atomic_load(&entry->visits);
        atomic_store(&entry->visits, (uint8_t)(visits < CACHE_VISITS_MOST ? visits + 1 : visits));
        return true;
    }
    while (ours->bytes + ENTRY_WEIGHT > ours->capacity_bytes) {
        struct cache_entry *gone = cache_queue_evict(&ours->queue);
        ours->entries[gone->ttl_s] = NULL;
        free(gone);
        ours->bytes -= ENTRY_WEIGHT;
    }
    ours->entries[name] = ours_new(name);
    ours->bytes += ENTRY_WEIGHT;
    if (cache_queue_need(&ours->queue) > 0) {
        cache_queue_grow(&ours->queue);
    }
    cache_queue_add(&ours->queue, ours->entries[name]);
    return false;
}

static void ours_end(struct policy *policy)
{
    struct ours *ours = (struct ours *)policy;

    for (size_t i = 0; i < ours->universe; i++) {
        free(ours->entries[i]);
    }
    free(ours->entries);
    cache_queue_fini(&ours->queue);
    free(ours);
}

static const struct policy_kind policy_ours = { "leeward", ours_start, ours_ask, ours_end };

/* ---- the optimum: it knows what comes (Belady), and need not keep what it sees */

struct use {
    uint32_t next; /* when it is wanted again */
    uint32_t name;
};

struct optimum {
    struct use *heap; /* the latest on top; some out of date */
    size_t length, kept;
    uint32_t *next_of; /* of what is kept, else 0 */
};

static void swap(struct use *a, struct use *b)
{
    struct use c = *a;

    *a = *b;
    *b = c;
}

static void heap_push(struct optimum *o, struct use use)
{
    size_t at = o->length++;

    o->heap[at] = use;
    while (at > 0 && o->heap[(at - 1) / 2].next < o->heap[at].next) {
        swap(&o->heap[(at - 1) / 2], &o->heap[at]);
        at = (at - 1) / 2;
    }
}

static struct use heap_pop(struct optimum *o)
{
    struct use top = o->heap[0];
    size_t at = 0, child;

    o->heap[0] = o->heap[--o->length];
    while ((child = 2 * at + 1) < o->length) {
        if (child + 1 < o->length && o->heap[child + 1].next > o->heap[child].next) {
            child++;
        }
        if (o->heap[child].next <= o->heap[at].next) {
            break;
        }
        swap(&o->heap[child], &o->heap[at]);
        at = child;
    }
    return top;
}

static bool optimum_ask(struct optimum *o, uint32_t name, uint32_t next, size_t capacity)
{
    bool hit = o->next_of[name] != 0;

    o->kept -= hit;
    o->next_of[name] = 0;
    if (next == NEVER) {
        return hit;
    }
    o->next_of[name] = next;
    o->kept++;
    heap_push(o, (struct use){ next, name });
    while (o->kept > capacity) {
        struct use latest = heap_pop(o);
        if (o->next_of[latest.name] == latest.next) {
            o->next_of[latest.name] = 0;
            o->kept--;
        }
    }
    return hit;
}

static uint32_t *next_uses(const struct trace *trace)
{
    uint32_t *next = calloc(trace->length, sizeof(*next));
    uint32_t *last = malloc(trace->universe * sizeof(*last));

    if (next == NULL || last == NULL) {
        die("out of memory");
    }
    memset(last, 0xff, trace->universe * sizeof(*last)); /* NEVER */
    for (size_t i = trace->length; i-- > 0;) {
        next[i] = last[trace->names[i]];
        last[trace->names[i]] = (uint32_t)i;
    }
    free(last);
    return next;
}

static double ratio(size_t hits, size_t asked)
{
    return asked == 0 ? 0 : (double)hits / (double)asked;
}

static double optimum_ratio(const struct trace *trace, const uint32_t *next, size_t capacity)
{
    struct optimum o = { .heap = calloc(trace->length, sizeof(*o.heap)),
                         .next_of = calloc(trace->universe, sizeof(*o.next_of)) };
    size_t hits = 0, asked = 0;

    if (o.heap == NULL || o.next_of == NULL) {
        die("out of memory");
    }
    for (size_t i = 0; i < trace->length; i++) {
        bool hit = optimum_ask(&o, trace->names[i], next[i], capacity);
        bool counts = i >= trace->counted_from && trace->names[i] < NAMES;
        hits += hit && counts;
        asked += counts;
    }
    free(o.heap);
    free(o.next_of);
    return ratio(hits, asked);
}

static double policy_ratio(const struct policy_kind *kind, const struct trace *trace,
                           size_t capacity)
{
    struct policy *policy = kind->start(capacity, trace->universe);
    size_t hits = 0, asked = 0;

    for (size_t i = 0; i < trace->length; i++) {
        bool hit = kind->ask(policy, trace->names[i]);
        bool counts = i >= trace->counted_from && trace->names[i] < NAMES;
        hits += hit && counts;
        asked += counts;
    }
    kind->end(policy);
    return ratio(hits, asked);
}

/* ---- traces */

/* xorshift64*, as published by Vigna */
static uint64_t next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(0x2545f4914f6cdd1d);
}

static double *zipf_sums(double exponent)
{
    double *sums = calloc(NAMES, sizeof(*sums));
    double sum = 0;

    if (sums == NULL) {
        die("out of memory");
    }
    for (size_t i = 0; i < NAMES; i++) {
        sum += 1.0 / pow((double)(i + 1), exponent);
        sums[i] = sum;
    }
    return sums;
}

static uint32_t draw(const double *sums, uint64_t *state)
{
    double at = (double)(next_random(state) >> 11) * 0x1p-53 * sums[NAMES - 1];
    uint32_t low = 0, high = NAMES - 1;

    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (sums[middle] < at) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

enum kind {
    KIND_PLAIN,
    KIND_SCANS,
    KIND_MIXED,
    KIND_DRIFT,
    KINDS
};

static const char *const kind_names[KINDS] = { "plain", "scans", "mixed", "drift" };

/* A burst after each quarter of the requests; mixed, some requests are part of it. */
static struct trace make_trace(double exponent, enum kind kind, size_t requests)
{
    size_t scanned = kind == KIND_PLAIN || kind == KIND_DRIFT ? 0 : (size_t)BURSTS * BURST;
    struct trace trace = { .universe = NAMES + scanned };
    double *sums = zipf_sums(exponent);
    uint64_t state = UINT64_C(88172645463325252);
    uint32_t fresh = NAMES;
    size_t part = requests / (BURSTS + 1);

    trace.names = calloc(2 * (requests + scanned), sizeof(*trace.names));
    if (trace.names == NULL) {
        die("out of memory");
    }
    for (size_t i = 0; i < requests; i++) {
        if (scanned > 0 && i > 0 && i % part == 0 && i / part <= BURSTS) {
            for (size_t k = 0; k < BURST; k++) {
                trace.names[trace.length++] = fresh++;
                if (kind == KIND_MIXED && k % MIXED_IN == 0) {
                    trace.names[trace.length++] = draw(sums, &state);
                }
            }
        }
        if (i == requests / WARM_UP) {
            trace.counted_from = trace.length;
        }
        size_t drift = kind == KIND_DRIFT ? i / DRIFT_EVERY * (NAMES / DRIFTS) : 0;
        trace.names[trace.length++] = (uint32_t)((draw(sums, &state) + drift) % NAMES);
    }
    free(sums);
    return trace;
}

static void compare(const struct trace *trace, double exponent, enum kind kind)
{
    static const struct policy_kind *const kinds[] = {
        &policy_ours, &policy_lru, &policy_sieve, &policy_s3fifo, &policy_arc, &policy_tinylfu
    };
    static const unsigned shares[] = { 10, 100 };
    uint32_t *next = next_uses(trace);

    for (size_t s = 0; s < sizeof(shares) / sizeof(shares[0]); s++) {
        size_t capacity = NAMES / shares[s];
        printf("{\"zipf\": %.1f, \"kind\": \"%s\", \"capacity\": %zu, \"ratios\": {", exponent,
               kind_names[kind], capacity);
        for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
            printf("\"%s\": %.4f, ", kinds[i]->name, policy_ratio(kinds[i], trace, capacity));
        }
        printf("\"optimum\": %.4f}}\n", optimum_ratio(trace, next, capacity));
        fflush(stdout);
    }
    free(next);
}

int main(int argc, char **argv)
{
    static const double exponents[] = { 0.9, 1.0 };
    size_t requests = argc > 1 ? strtoull(argv[1], NULL, 10) : REQUESTS;

    if (argc > 2 || requests < 1000) {
        fprintf(stderr, "usage: bench-cache [REQUESTS]\n");
        return 2;
    }
    for (size_t e = 0; e < sizeof(exponents) / sizeof(exponents[0]); e++) {
        for (enum kind kind = KIND_PLAIN; kind < KINDS; kind++) {
            struct trace trace = make_trace(exponents[e], kind, requests);
            compare(&trace, exponents[e], kind);
            free(trace.names);
        }
    }
    return 0;
}
