#include "bench/cache_policies.h"

#include <stdlib.h>
#include <string.h>

#include "bench/die.h"

#define NOBODY UINT32_MAX

enum {
    NOWHERE,
    FIRST,
    SECOND,
    THIRD,
    FOURTH
};

struct list {
    uint32_t newest, oldest;
    size_t length;
};

/* Names in up to four lists, each name in one at most. */
struct policy {
    size_t capacity;
    uint32_t *newer, *older;
    uint8_t *where; /* which list, NOWHERE: none */
    uint8_t *visits;
    struct list lists[FOURTH + 1];
    uint32_t hand;   /* SIEVE */
    double target;   /* ARC: of the first list's length */
    uint8_t *sketch; /* W-TinyLFU: four rows */
    size_t row;      /* length of each, a power of two */
    size_t counted;
};

static void *zeros(size_t count, size_t size)
{
    void *memory = calloc(count, size);

    if (memory == NULL) {
        die("out of memory");
    }
    return memory;
}

static struct policy *start(size_t capacity, size_t universe)
{
    struct policy *p = zeros(1, sizeof(*p));

    p->capacity = capacity;
    p->newer = zeros(universe, sizeof(*p->newer));
    p->older = zeros(universe, sizeof(*p->older));
    p->where = zeros(universe, 1);
    p->visits = zeros(universe, 1);
    for (unsigned i = 0; i <= FOURTH; i++) {
        p->lists[i] = (struct list){ NOBODY, NOBODY, 0 };
    }
    p->hand = NOBODY;
    return p;
}

static void end(struct policy *p)
{
    free(p->newer);
    free(p->older);
    free(p->where);
    free(p->visits);
    free(p->sketch);
    free(p);
}

static void push(struct policy *p, unsigned where, uint32_t name)
{
    struct list *list = &p->lists[where];

    p->newer[name] = NOBODY;
    p->older[name] = list->newest;
    *(list->newest != NOBODY ? &p->newer[list->newest] : &list->oldest) = name;
    list->newest = name;
    list->length++;
    p->where[name] = (uint8_t)where;
}

static void take(struct policy *p, uint32_t name)
{
    struct list *list = &p->lists[p->where[name]];
    uint32_t newer = p->newer[name], older = p->older[name];

    *(newer != NOBODY ? &p->older[newer] : &list->newest) = older;
    *(older != NOBODY ? &p->newer[older] : &list->oldest) = newer;
    list->length--;
    p->where[name] = NOWHERE;
}

static void move(struct policy *p, unsigned where, uint32_t name)
{
    take(p, name);
    push(p, where, name);
}

/* ---- LRU */

static bool lru_ask(struct policy *p, uint32_t name)
{
    if (p->where[name] == FIRST) {
        move(p, FIRST, name);
        return true;
    }
    if (p->lists[FIRST].length == p->capacity) {
        take(p, p->lists[FIRST].oldest);
    }
    push(p, FIRST, name);
    return false;
}

/* ---- SIEVE */

static void sieve_evict(struct policy *p)
{
    uint32_t at = p->hand == NOBODY ? p->lists[FIRST].oldest : p->hand;

    while (p->visits[at] != 0) {
        p->visits[at] = 0;
        at = p->newer[at] == NOBODY ? p->lists[FIRST].oldest : p->newer[at];
    }
    p->hand = p->newer[at];
    take(p, at);
}

static bool sieve_ask(struct policy *p, uint32_t name)
{
    if (p->where[name] == FIRST) {
        p->visits[name] = 1;
        return true;
    }
    if (p->lists[FIRST].length == p->capacity) {
        sieve_evict(p);
    }
    p->visits[name] = 0;
    push(p, FIRST, name);
    return false;
}

/* ---- S3-FIFO: small, main, ghost */

static void s3fifo_evict_small(struct policy *p)
{
    while (p->lists[FIRST].length > 0) {
        uint32_t name = p->lists[FIRST].oldest;
        if (p->visits[name] > 1) {
            p->visits[name] = 0;
            move(p, SECOND, name);
            continue;
        }
        move(p, THIRD, name);
        if (p->lists[THIRD].length > p->capacity - p->capacity / 10) {
            take(p, p->lists[THIRD].oldest);
        }
        return;
    }
}

static void s3fifo_evict_main(struct policy *p)
{
    for (;;) {
        uint32_t name = p->lists[SECOND].oldest;
        if (p->visits[name] == 0) {
            take(p, name);
            return;
        }
        p->visits[name]--;
        move(p, SECOND, name);
    }
}

static bool s3fifo_ask(struct policy *p, uint32_t name)
{
    unsigned where = p->where[name];

    if (where == FIRST || where == SECOND) {
        p->visits[name] = (uint8_t)(p->visits[name] < 3 ? p->visits[name] + 1 : 3);
        return true;
    }
    while (p->lists[FIRST].length + p->lists[SECOND].length >= p->capacity) {
        if (p->lists[FIRST].length >= p->capacity / 10 || p->lists[SECOND].length == 0) {
            s3fifo_evict_small(p);
        } else {
            s3fifo_evict_main(p);
        }
    }
    p->visits[name] = 0;
    if (p->where[name] == THIRD) {
        move(p, SECOND, name);
    } else {
        push(p, FIRST, name);
    }
    return false;
}

/* ---- ARC: T1, T2 and their ghosts B1, B2 */

static void arc_replace(struct policy *p, bool in_b2)
{
    size_t t1 = p->lists[FIRST].length;

    if (t1 > 0 && ((double)t1 > p->target || (in_b2 && (double)t1 == p->target) ||
                   p->lists[SECOND].length == 0)) {
        move(p, THIRD, p->lists[FIRST].oldest);
    } else {
        move(p, FOURTH, p->lists[SECOND].oldest);
    }
}

static void arc_adapt(struct policy *p, double by)
{
    double target = p->target + by;

    p->target = target < 0 ? 0 : target > (double)p->capacity ? (double)p->capacity : target;
}

static void arc_miss(struct policy *p)
{
    size_t t1 = p->lists[FIRST].length, b1 = p->lists[THIRD].length;
    size_t all = t1 + b1 + p->lists[SECOND].length + p->lists[FOURTH].length;

    if (t1 + b1 == p->capacity) {
        if (t1 < p->capacity) {
            take(p, p->lists[THIRD].oldest);
            arc_replace(p, false);
        } else {
            take(p, p->lists[FIRST].oldest);
        }
    } else if (all >= p->capacity) {
        if (all == 2 * p->capacity) {
            take(p, p->lists[FOURTH].oldest);
        }
        arc_replace(p, false);
    }
}

static bool arc_ask(struct policy *p, uint32_t name)
{
    double b1 = (double)p->lists[THIRD].length, b2 = (double)p->lists[FOURTH].length;

    switch (p->where[name]) {
    case FIRST:
    case SECOND:
        move(p, SECOND, name);
        return true;
    case THIRD:
        arc_adapt(p, b2 > b1 ? b2 / b1 : 1);
        arc_replace(p, false);
        move(p, SECOND, name);
        return false;
    case FOURTH:
        arc_adapt(p, b1 > b2 ? -b1 / b2 : -1);
        arc_replace(p, true);
        move(p, SECOND, name);
        return false;
    default:
        arc_miss(p);
        push(p, FIRST, name);
        return false;
    }
}

/* ---- W-TinyLFU: a window, and behind it a segmented LRU that a sketch admits to */

static struct policy *tinylfu_start(size_t capacity, size_t universe)
{
    struct policy *p = start(capacity, universe);

    for (p->row = 16; p->row < 4 * capacity; p->row *= 2) {
    }
    p->sketch = zeros(4, p->row);
    return p;
}

static uint8_t *tinylfu_counter(struct policy *p, unsigned row, uint32_t name)
{
    uint64_t hash = (name + UINT64_C(1)) * UINT64_C(0x9e3779b97f4a7c15);

    hash = (hash ^ hash >> 32) * UINT64_C(0xd6e8feb86659fd93) + row * (hash >> 17 | 1);
    return &p->sketch[row * p->row + (size_t)(hash >> 24) % p->row];
}

static unsigned tinylfu_estimate(struct policy *p, uint32_t name)
{
    unsigned least = 15;

    for (unsigned row = 0; row < 4; row++) {
        unsigned count = *tinylfu_counter(p, row, name);
        least = count < least ? count : least;
    }
    return least;
}

static void tinylfu_count(struct policy *p, uint32_t name)
{
    for (unsigned row = 0; row < 4; row++) {
        uint8_t *counter = tinylfu_counter(p, row, name);
        *counter = (uint8_t)(*counter < 15 ? *counter + 1 : 15);
    }
    if (++p->counted == 10 * p->capacity) {
        for (size_t i = 0; i < 4 * p->row; i++) {
            p->sketch[i] /= 2;
        }
        p->counted /= 2;
    }
}

static bool tinylfu_hit(struct policy *p, uint32_t name)
{
    size_t window = p->capacity / 100 + 1;

    if (p->where[name] == NOWHERE) {
        return false;
    }
    if (p->where[name] == FIRST) {
        move(p, FIRST, name);
        return true;
    }
    move(p, THIRD, name); /* protected */
    if (p->lists[THIRD].length > (p->capacity - window) * 4 / 5) {
        move(p, SECOND, p->lists[THIRD].oldest);
    }
    return true;
}

static bool tinylfu_ask(struct policy *p, uint32_t name)
{
    size_t window = p->capacity / 100 + 1;

    tinylfu_count(p, name);
    if (tinylfu_hit(p, name)) {
        return true;
    }
    push(p, FIRST, name);
    if (p->lists[FIRST].length <= window) {
        return false;
    }
    uint32_t candidate = p->lists[FIRST].oldest;
    size_t behind = p->lists[SECOND].length + p->lists[THIRD].length;
    if (behind < p->capacity - window) {
        move(p, SECOND, candidate);
        return false;
    }
    uint32_t victim = p->lists[p->lists[SECOND].length > 0 ? SECOND : THIRD].oldest;
    if (tinylfu_estimate(p, candidate) > tinylfu_estimate(p, victim)) {
        take(p, victim);
        move(p, SECOND, candidate);
    } else {
        take(p, candidate);
    }
    return false;
}

const struct policy_kind policy_lru = { "LRU", start, lru_ask, end };
const struct policy_kind policy_sieve = { "SIEVE", start, sieve_ask, end };
const struct policy_kind policy_s3fifo = { "S3-FIFO", start, s3fifo_ask, end };
const struct policy_kind policy_arc = { "ARC", start, arc_ask, end };
const struct policy_kind policy_tinylfu = { "W-TinyLFU", tinylfu_start, tinylfu_ask, end };
