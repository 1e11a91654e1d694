#include "policy/places.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "policy/geo.h"
#include "policy/model.h"
#include "zones/wire.h"

#define KEY_BITS 128
#define SCOPE_VARIES 0xff
#define BUCKETS_EACH 2 /* for each range */

/* An address as a number, its first bit the highest; IPv4 stands in the upper 32 bits. */
struct key {
    uint64_t high;
    uint64_t low;
};

/* From here on, up to the next one, all are of one place. */
struct range {
    struct key start;
    uint32_t place;
    uint8_t scope; /* of all its clients, when it is one prefix; else SCOPE_VARIES */
};

/*
 * Between the first prefix and the last the upper halves of addresses fall into
 * buckets of the same size, so many that few hold more than one start.
 */
struct table {
    struct range *ranges; /* the first starts at 0 */
    size_t count;
    uint64_t base;     /* where the first bucket begins */
    unsigned shift;    /* each is 1 << shift wide */
    size_t buckets;
    uint32_t *index;   /* by bucket, and one more: the range its first address is in */
};

/* The regions of one place, the nearest first. */
struct place {
    const uint32_t *regions;
    size_t count;
};

/* For who is in no prefix. */
struct database {
    const struct geo *geo;  /* NULL: it cannot be used */
    const uint32_t *places; /* of each thing it may find */
};

struct places {
    struct table tables[ADDR_FAMILIES];
    struct place *places;
    uint32_t count;
    struct database *databases;
    size_t database_count;
};

/* A prefix on its way into the table. */
struct span {
    struct key start;
    struct key last;
    uint32_t place;
    uint8_t bits;
};

static inline uint64_t read64(const uint8_t *bytes)
{
    return (uint64_t)wire_get32(bytes) << 32 | wire_get32(bytes + 4);
}

static inline struct key key_of(const struct addr *address)
{
    if (address->family == ADDR_V4) {
        return (struct key){ .high = (uint64_t)wire_get32(address->bytes) << 32 };
    }
    return (struct key){ .high = read64(address->bytes), .low = read64(address->bytes + 8) };
}

static inline bool is_below(struct key a, struct key b)
{
    return a.high < b.high || (a.high == b.high && a.low < b.low);
}

static inline bool is_same(struct key a, struct key b)
{
    return a.high == b.high && a.low == b.low;
}

/* The bits behind the first `bits`. */
static struct key rest_mask(unsigned bits)
{
    return (struct key){ .high = bits >= 64 ? 0 : UINT64_MAX >> bits,
                         .low = bits >= KEY_BITS ? 0
                                : bits > 64      ? UINT64_MAX >> (bits - 64)
                                                 : UINT64_MAX };
}

static struct key next_of(struct key key)
{
    key.low++;
    key.high += key.low == 0;
    return key;
}

static struct key previous_of(struct key key)
{
    key.high -= key.low == 0;
    key.low--;
    return key;
}

/* ---- building ---- */

/* The place with exactly these regions, made where there is none. */
static uint32_t place_of(struct places *map, const uint32_t *regions, size_t count)
{
    for (uint32_t i = 1; i < map->count; i++) {
        if (map->places[i].count == count &&
            memcmp(map->places[i].regions, regions, count * sizeof(uint32_t)) == 0) {
            return i;
        }
    }
    map->places[map->count] = (struct place){ .regions = regions, .count = count };
    return map->count++;
}

static struct span span_of(const struct addr_prefix *prefix, uint32_t place)
{
    struct key rest = rest_mask(prefix->bits);
    struct key start = key_of(&prefix->base);

    start.high &= ~rest.high;
    start.low &= ~rest.low;
    return (struct span){
        .start = start,
        .last = { .high = start.high | rest.high, .low = start.low | rest.low },
        .place = place,
        .bits = prefix->bits,
    };
}

/* By start, and what holds others before them. */
static int by_start(const void *a, const void *b)
{
    const struct span *x = a, *y = b;

    if (!is_same(x->start, y->start)) {
        return is_below(x->start, y->start) ? -1 : 1;
    }
    return (x->bits > y->bits) - (x->bits < y->bits);
}

/* From `start` on it is `place`; what began at the same point before is overruled. */
static void begin_range(struct table *table, struct key start, uint32_t place)
{
    if (table->count > 0 && is_same(table->ranges[table->count - 1].start, start)) {
        table->count--;
    }
    if (table->count == 0 || table->ranges[table->count - 1].place != place) {
        table->ranges[table->count++] = (struct range){ .start = start, .place = place };
    }
}

/* The innermost of the open spans ends; the one around it goes on behind it. */
static void end_span(struct table *table, const struct span *const *open, size_t depth)
{
    struct key behind = next_of(open[depth - 1]->last);

    if (behind.high != 0 || behind.low != 0) {
        begin_range(table, behind, depth > 1 ? open[depth - 2]->place : 0);
    }
}

/* Prefixes lie in one another or apart: flatten them. */
static void flatten(struct span *spans, size_t count, struct table *table, struct arena *arena)
{
    const struct span *open[KEY_BITS + 2];
    size_t depth = 0;

    qsort(spans, count, sizeof(*spans), by_start);
    table->ranges = arena_array(arena, 2 * count + 1, sizeof(*table->ranges));
    begin_range(table, (struct key){ 0 }, 0);
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && is_same(spans[i].start, spans[i - 1].start) &&
            spans[i].bits == spans[i - 1].bits) {
            continue; /* the same prefix twice */
        }
        while (depth > 0 && is_below(open[depth - 1]->last, spans[i].start)) {
            end_span(table, open, depth--);
        }
        open[depth++] = &spans[i];
        begin_range(table, spans[i].start, spans[i].place);
    }
    while (depth > 0) {
        end_span(table, open, depth--);
    }
}

/* How many bits it takes to tell the two apart. */
static unsigned bits_apart(struct key a, struct key b)
{
    uint64_t high = a.high ^ b.high, low = a.low ^ b.low;

    return high != 0 ? (unsigned)__builtin_clzll(high) + 1
           : low != 0 ? (unsigned)__builtin_clzll(low) + 65
                      : KEY_BITS;
}

/* The shortest prefix around the key that stays within range `at`. */
static unsigned scope_of(const struct table *table, size_t at, struct key key)
{
    unsigned scope = 0;

    if (at > 0) {
        scope = bits_apart(key, previous_of(table->ranges[at].start));
    }
    if (at + 1 < table->count) {
        unsigned bits = bits_apart(key, table->ranges[at + 1].start);
        scope = bits > scope ? bits : scope;
    }
    return scope;
}

/* Is the range one prefix? Then every client in it has the same scope. */
static void note_scope(struct table *table, size_t at)
{
    struct range *range = &table->ranges[at];
    unsigned scope = scope_of(table, at, range->start);
    struct key rest = rest_mask(scope);
    struct key last = { range->start.high | rest.high, range->start.low | rest.low };
    struct key behind = at + 1 < table->count ? table->ranges[at + 1].start : (struct key){ 0 };
    bool is_prefix = (range->start.high & rest.high) == 0 && (range->start.low & rest.low) == 0 &&
                     is_same(next_of(last), behind);

    range->scope = is_prefix ? (uint8_t)scope : SCOPE_VARIES;
}

/* So that a search begins where it is nearly done. */
static void make_index(struct table *table, struct arena *arena)
{
    if (table->count < 2) {
        return;
    }
    uint64_t base = table->ranges[1].start.high;
    uint64_t span = table->ranges[table->count - 1].start.high - base;
    size_t at = 0;

    table->base = base;
    while (span >> table->shift >= BUCKETS_EACH * table->count) {
        table->shift++;
    }
    table->buckets = (size_t)(span >> table->shift) + 1;
    table->index = arena_array(arena, table->buckets + 1, sizeof(*table->index));
    for (size_t b = 0; b < table->buckets; b++) {
        struct key first = { .high = base + ((uint64_t)b << table->shift) };
        while (at + 1 < table->count && !is_below(first, table->ranges[at + 1].start)) {
            at++;
        }
        table->index[b] = (uint32_t)at;
    }
    table->index[table->buckets] = (uint32_t)(table->count - 1);
    for (size_t i = 0; i < table->count; i++) {
        note_scope(table, i);
    }
}

/* As many as there may be: each prefix, each country, and the node's own. */
static size_t most_places(const struct model *model)
{
    size_t most = model->clients_count + 1;

    for (size_t i = 0; i < model->geo_count; i++) {
        most += model->geos[i].country_count;
    }
    return most;
}

static struct places *build(const struct model *model, struct arena *arena)
{
    struct places *map = arena_alloc(arena, sizeof(*map));
    struct arena *scratch = arena_new();

    map->places = arena_array(arena, most_places(model), sizeof(*map->places));
    map->count = 1;
    if (model->node_region != MODEL_NONE) {
        map->places[0] = (struct place){ .regions = &model->node_region, .count = 1 };
    }
    for (unsigned f = 0; f < ADDR_FAMILIES && scratch != NULL; f++) {
        struct span *spans = arena_array(scratch, model->clients_count + 1, sizeof(*spans));
        size_t count = 0;
        for (size_t i = 0; i < model->clients_count; i++) {
            if (model->clients[i].prefix.base.family == f) {
                uint32_t place = place_of(map, model->clients[i].regions,
                                          model->clients[i].region_count);
                spans[count++] = span_of(&model->clients[i].prefix, place);
            }
        }
        flatten(spans, count, &map->tables[f], arena);
        make_index(&map->tables[f], arena);
    }
    arena_free(scratch);
    return map;
}

const struct places *places_build(const struct model *model, struct arena *arena)
{
    return build(model, arena);
}

/* The places of what it may find: 0 is nothing, then the entries of its model. */
static const uint32_t *list_places(struct places *map, const struct model_geo *geo,
                                   struct arena *arena)
{
    uint32_t *places = arena_array(arena, geo->country_count + 1, sizeof(*places));

    for (size_t i = 0; i < geo->country_count; i++) {
        places[i + 1] = place_of(map, geo->countries[i].regions, geo->countries[i].region_count);
    }
    return places;
}

int places_read(const struct model *model, const struct places *old, bool keep,
                struct arena *arena, const struct places **out, struct error *err)
{
    struct places *map = build(model, arena);
    int first = 0;

    map->databases = arena_array(arena, model->geo_count, sizeof(*map->databases));
    map->database_count = model->geo_count;
    for (size_t i = 0; i < model->geo_count; i++) {
        const struct model_geo *geo = &model->geos[i];
        struct database *database = &map->databases[i];
        const struct geo *before =
            old != NULL && i < old->database_count ? old->databases[i].geo : NULL;
        struct error inner = { 0 };
        int rc = 0;

        database->places = list_places(map, geo, arena);
        if (keep) {
            database->geo = geo_keep(geo, before, arena);
        } else {
            rc = geo_read(geo, before, arena, &database->geo, &inner);
        }
        if (rc < 0 && first == 0) {
            first = error_set_at(err, rc, geo->place.path, geo->place.line, geo->place.col, "%s",
                                 inner.message);
            error_hint(err, "%s", inner.hint);
        }
    }
    *out = map;
    return first;
}

/* ---- finding ---- */

uint32_t places_count(const struct places *places)
{
    return places->count;
}

static inline uint32_t find_prefix(const struct places *places, const struct addr *client,
                                   uint8_t known_bits, uint8_t *out_scope)
{
    const struct table *table = &places->tables[client->family];
    struct key key = key_of(client);
    size_t low = 0, high = 1;

    *out_scope = 0;
    if (table->count <= 1) {
        return table->count == 0 ? 0 : table->ranges[0].place;
    }
    if (key.high >= table->base) {
        size_t bucket = (size_t)((key.high - table->base) >> table->shift);
        bucket = bucket < table->buckets ? bucket : table->buckets - 1;
        low = table->index[bucket];
        high = table->index[bucket + 1] + (size_t)1;
    }
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        const struct range *range = &table->ranges[middle];
        /* the lower half is mostly the same: nobody splits a network that finely */
        if (key.high < range->start.high ||
            (key.high == range->start.high && key.low < range->start.low)) {
            high = middle;
        } else {
            low = middle;
        }
    }
    unsigned scope = table->ranges[low].scope;
    scope = scope != SCOPE_VARIES ? scope : scope_of(table, low, key);
    *out_scope = (uint8_t)(scope < known_bits ? scope : known_bits);
    return table->ranges[low].place;
}

/* Of who is in no prefix; `*scope` is of that, and becomes that of both. */
static uint32_t find_in_databases(const struct places *places, const struct addr *client,
                                  uint8_t known_bits, uint8_t *scope)
{
    uint32_t place = 0;

    for (size_t i = 0; i < places->database_count && place == 0; i++) {
        const struct database *database = &places->databases[i];
        uint8_t its = 0;
        if (database->geo != NULL) {
            place = database->places[geo_find(database->geo, client, known_bits, &its)];
        }
        *scope = its > *scope ? its : *scope;
    }
    return place;
}

uint32_t places_find(const struct places *places, const struct addr *client, uint8_t known_bits,
                     uint8_t *out_scope)
{
    uint32_t place = find_prefix(places, client, known_bits, out_scope);

    return place != 0 || places->database_count == 0
               ? place
               : find_in_databases(places, client, known_bits, out_scope);
}

const uint32_t *places_regions(const struct places *places, uint32_t place, size_t *out_count)
{
    *out_count = places->places[place].count;
    return places->places[place].regions;
}
