#include "resolver/cache/cache_table.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define SLOTS       256u
#define USED_MOST   192u /* slots that are not empty: beyond, probing gets long */
#define SPLIT_ABOVE 144u /* entries of a full segment: with fewer, a clean one will do */
#define MERGE_BELOW 96u  /* entries of two neighbours */
#define DEPTH_MOST  24u  /* bits of a hash that choose a segment */

#define TAG_EMPTY 0u /* nothing further on */
#define TAG_GONE  1u /* was taken out */
#define TAG_FIRST 2u

#define CURSOR_END UINT64_MAX

struct segment {
    struct retired retired; /* first: released by address */
    struct cache_memory *memory;
    uint32_t id; /* not 0; tells a rebuilt segment from what it was */
    uint16_t live;
    uint16_t used; /* slots that are not empty */
    uint8_t depth; /* all hashes in it agree in so many upper bits */
    _Atomic uint32_t tags[SLOTS];
    _Atomic(struct cache_entry *) entries[SLOTS];
};

struct cache_directory {
    struct retired retired; /* first: released by address */
    struct cache_memory *memory;
    unsigned depth;
    _Atomic(struct segment *) segments[]; /* 1 << depth; neighbours may be the same */
};

/* ---- reading ---- */

/* The upper `depth` bits, which may be none. */
static inline size_t prefix_of(uint64_t hash, unsigned depth)
{
    return (size_t)(hash >> 1 >> (63 - depth));
}

/* Other bits than those of segment and slot. */
static inline uint32_t tag_of(uint64_t hash)
{
    uint32_t tag = (uint32_t)(hash >> 8);

    return tag < TAG_FIRST ? tag + TAG_FIRST : tag;
}

static inline struct cache_directory *directory_of(const struct cache_table *table)
{
    return atomic_load_explicit(&table->directory, memory_order_acquire);
}

static inline struct segment *segment_of(const struct cache_directory *directory, uint64_t hash)
{
    return atomic_load_explicit(&directory->segments[prefix_of(hash, directory->depth)],
                                memory_order_acquire);
}

static inline bool is_of(const struct cache_entry *entry, const struct cache_key *key,
                         uint64_t hash)
{
    return entry->hash == hash && entry->type == key->type && entry->class == key->class &&
           entry->key_flags == key->flags && entry->name_length == key->length &&
           memcmp(entry->bytes, key->dname, key->length) == 0;
}

struct cache_entry *cache_table_find(const struct cache_table *table, const struct cache_key *key,
                                     uint64_t hash)
{
    const struct segment *segment = segment_of(directory_of(table), hash);
    uint32_t wanted = tag_of(hash);

    for (unsigned i = 0; i < SLOTS; i++) {
        unsigned slot = (unsigned)(hash + i) % SLOTS;
        uint32_t tag = atomic_load_explicit(&segment->tags[slot], memory_order_acquire);
        if (tag == TAG_EMPTY) {
            break;
        }
        if (tag != wanted) {
            continue;
        }
        struct cache_entry *entry =
            atomic_load_explicit(&segment->entries[slot], memory_order_acquire);
        if (entry != NULL && is_of(entry, key, hash)) {
            return entry;
        }
    }
    return NULL;
}

/*
 * A cursor is a place among all hashes (the first of a segment), the segment's
 * id and the next slot in it. In a segment that was rebuilt meanwhile entries
 * have other slots: it is told from its beginning.
 */
static uint64_t cursor_at(uint64_t prefix, uint32_t id, unsigned slot)
{
    return prefix << 40 | (uint64_t)id << 8 | slot;
}

struct cache_entry *cache_table_next(const struct cache_table *table, uint64_t *cursor)
{
    const struct cache_directory *directory = directory_of(table);

    while (*cursor != CURSOR_END) {
        uint64_t prefix = *cursor >> 40;
        const struct segment *segment = segment_of(directory, prefix << 40);
        bool is_same = (uint32_t)(*cursor >> 8) == segment->id;
        unsigned slot = is_same ? (unsigned)(*cursor % SLOTS) : 0;
        struct cache_entry *entry = NULL;
        for (; slot < SLOTS && entry == NULL; slot++) {
            entry = atomic_load_explicit(&segment->entries[slot], memory_order_acquire);
        }
        if (slot < SLOTS) {
            *cursor = cursor_at(prefix, segment->id, slot);
        } else {
            uint64_t span = UINT64_C(1) << (DEPTH_MOST - segment->depth);
            uint64_t next = (prefix / span + 1) * span;
            *cursor = next >> DEPTH_MOST != 0 ? CURSOR_END : cursor_at(next, 0, 0);
        }
        if (entry != NULL) {
            return entry;
        }
    }
    return NULL;
}

/* ---- memory ---- */

static void release_segment(struct retired *retired)
{
    struct segment *segment = (struct segment *)retired;

    cache_memory_release(segment->memory, cache_memory_size(segment));
    free(segment);
}

static void release_directory(struct retired *retired)
{
    struct cache_directory *directory = (struct cache_directory *)retired;

    cache_memory_release(directory->memory, cache_memory_size(directory));
    free(directory);
}

static size_t directory_size(unsigned depth)
{
    return sizeof(struct cache_directory) + (sizeof(struct segment *) << depth);
}

static struct segment *new_segment(struct cache_table *table, unsigned depth)
{
    struct segment *segment = calloc(1, sizeof(*segment));

    if (segment == NULL) {
        return NULL;
    }
    segment->retired.release = release_segment;
    segment->memory = table->memory;
    segment->depth = (uint8_t)depth;
    if (++table->last_id == 0) {
        table->last_id = 1;
    }
    segment->id = table->last_id;
    cache_memory_add(table->memory, cache_memory_size(segment));
    return segment;
}

static struct cache_directory *new_directory(struct cache_table *table, unsigned depth)
{
    struct cache_directory *directory = calloc(1, directory_size(depth));

    if (directory == NULL) {
        return NULL;
    }
    directory->retired.release = release_directory;
    directory->memory = table->memory;
    directory->depth = depth;
    cache_memory_add(table->memory, cache_memory_size(directory));
    return directory;
}

/* One that was never published. */
static void drop_segment(struct segment *segment)
{
    if (segment != NULL) {
        cache_memory_retire(segment->memory, cache_memory_size(segment));
        release_segment(&segment->retired);
    }
}

static void retire_segment(struct cache_table *table, struct segment *segment)
{
    cache_memory_retire(table->memory, cache_memory_size(segment));
    reclaimer_retire(table->reclaimer, &segment->retired);
}

static void retire_directory(struct cache_table *table, struct cache_directory *directory)
{
    cache_memory_retire(table->memory, cache_memory_size(directory));
    reclaimer_retire(table->reclaimer, &directory->retired);
}

/* ---- segments, written ---- */

/* The writer's own view of what it alone changes. */
static uint32_t tag_at(const struct segment *segment, unsigned slot)
{
    return atomic_load_explicit(&segment->tags[slot % SLOTS], memory_order_relaxed);
}

static struct cache_entry *entry_at(const struct segment *segment, unsigned slot)
{
    return atomic_load_explicit(&segment->entries[slot % SLOTS], memory_order_relaxed);
}

static void set_tag(struct segment *segment, unsigned slot, uint32_t tag)
{
    atomic_store_explicit(&segment->tags[slot % SLOTS], tag, memory_order_release);
}

static void set_entry(struct segment *segment, unsigned slot, struct cache_entry *entry)
{
    atomic_store_explicit(&segment->entries[slot % SLOTS], entry, memory_order_release);
}

/* There is an empty slot. A reader that sees the tag first finds what it belongs to, or NULL. */
static void put(struct segment *segment, struct cache_entry *entry)
{
    unsigned slot = (unsigned)entry->hash % SLOTS;

    while (tag_at(segment, slot) >= TAG_FIRST) {
        slot++;
    }
    if (tag_at(segment, slot) == TAG_EMPTY) {
        segment->used++;
    }
    segment->live++;
    set_entry(segment, slot, entry);
    set_tag(segment, slot, tag_of(entry->hash));
}

static unsigned slot_of(const struct segment *segment, const struct cache_entry *entry)
{
    unsigned slot = (unsigned)entry->hash % SLOTS;

    for (unsigned i = 0; entry_at(segment, slot) != entry; i++) {
        REQUIRE(i < SLOTS); /* the entry is in the table */
        slot = (slot + 1) % SLOTS;
    }
    return slot;
}

/*
 * A slot before an empty one need not say that there may be more further on,
 * so it becomes empty, and so do those of the same kind before it.
 */
static void clear_slot(struct segment *segment, unsigned slot)
{
    set_tag(segment, slot, TAG_GONE);
    set_entry(segment, slot, NULL);
    segment->live--;
    if (tag_at(segment, slot + 1) != TAG_EMPTY) {
        return;
    }
    for (slot += SLOTS; tag_at(segment, slot) == TAG_GONE; slot--) {
        set_tag(segment, slot, TAG_EMPTY);
        segment->used--;
    }
}

/* Put a segment's entries into `low`, or `high` where `bit` of the hash is set. */
static void deal(const struct segment *from, uint64_t bit, struct segment *low,
                 struct segment *high)
{
    for (unsigned slot = 0; slot < SLOTS; slot++) {
        struct cache_entry *entry = entry_at(from, slot);
        if (entry != NULL) {
            put((entry->hash & bit) != 0 ? high : low, entry);
        }
    }
}

/* Have all of the directory that covers the hashes of `segment` lead to it. */
static void install(struct cache_directory *directory, uint64_t hash, struct segment *segment)
{
    unsigned spare = directory->depth - segment->depth;
    size_t first = prefix_of(hash, segment->depth) << spare;

    for (size_t i = 0; i < (size_t)1 << spare; i++) {
        atomic_store_explicit(&directory->segments[first + i], segment, memory_order_release);
    }
}

/* The same directory with twice the places. */
static struct cache_directory *doubled(struct cache_table *table, const struct cache_directory *old)
{
    struct cache_directory *fresh = new_directory(table, old->depth + 1);

    for (size_t i = 0; fresh != NULL && i < (size_t)2 << old->depth; i++) {
        struct segment *segment = atomic_load_explicit(&old->segments[i / 2], memory_order_relaxed);
        atomic_init(&fresh->segments[i], segment);
    }
    return fresh;
}

/* ---- growing and shrinking ---- */

static bool clean(struct cache_table *table, struct segment *old, uint64_t hash)
{
    struct segment *fresh = new_segment(table, old->depth);

    if (fresh == NULL) {
        return false;
    }
    deal(old, 0, fresh, fresh);
    install(directory_of(table), hash, fresh);
    retire_segment(table, old);
    return true;
}

static bool split(struct cache_table *table, struct segment *old, uint64_t hash)
{
    struct cache_directory *directory = directory_of(table);
    struct cache_directory *wider = directory;
    unsigned depth = old->depth + 1u;
    uint64_t bit = UINT64_C(1) << (64 - depth);

    if (depth > DEPTH_MOST) {
        return false;
    }
    struct segment *low = new_segment(table, depth);
    struct segment *high = new_segment(table, depth);
    if (low != NULL && high != NULL && depth > directory->depth) {
        wider = doubled(table, directory);
    }
    if (low == NULL || high == NULL || wider == NULL) {
        drop_segment(low);
        drop_segment(high);
        return false;
    }
    deal(old, bit, low, high);
    install(wider, hash & ~bit, low);
    install(wider, hash | bit, high);
    if (wider != directory) {
        atomic_store_explicit(&table->directory, wider, memory_order_release);
        retire_directory(table, directory);
    }
    retire_segment(table, old);
    return true;
}

/* Join a segment with its neighbour when both together are nearly empty. */
static void merge(struct cache_table *table, struct segment *segment, uint64_t hash)
{
    struct cache_directory *directory = directory_of(table);

    if (segment->depth == 0) {
        return;
    }
    uint64_t bit = UINT64_C(1) << (64 - segment->depth);
    struct segment *other = segment_of(directory, hash ^ bit);
    if (other->depth != segment->depth || segment->live + other->live >= MERGE_BELOW ||
        !cache_memory_has_room(table->memory, cache_memory_estimate(sizeof(*segment)))) {
        return;
    }
    struct segment *fresh = new_segment(table, segment->depth - 1u);
    if (fresh == NULL) {
        return;
    }
    deal(segment, 0, fresh, fresh);
    deal(other, 0, fresh, fresh);
    install(directory, hash, fresh);
    retire_segment(table, segment);
    retire_segment(table, other);
}

/* ---- the table, written ---- */

static struct cache_directory *new_empty(struct cache_table *table)
{
    struct segment *segment = new_segment(table, 0);
    struct cache_directory *directory = segment == NULL ? NULL : new_directory(table, 0);

    if (directory == NULL) {
        drop_segment(segment);
        return NULL;
    }
    atomic_init(&directory->segments[0], segment);
    return directory;
}

bool cache_table_init(struct cache_table *table, struct cache_memory *memory,
                      struct reclaimer *reclaimer)
{
    *table = (struct cache_table){ .memory = memory, .reclaimer = reclaimer };
    struct cache_directory *directory = new_empty(table);
    atomic_store_explicit(&table->directory, directory, memory_order_release);
    return directory != NULL;
}

size_t cache_table_need(const struct cache_table *table, uint64_t hash)
{
    const struct cache_directory *directory = directory_of(table);
    const struct segment *segment = segment_of(directory, hash);
    size_t need = 0;

    if (segment->used < USED_MOST) {
        return 0;
    }
    if (segment->live > SPLIT_ABOVE) {
        need += cache_memory_estimate(sizeof(*segment));
        if (segment->depth == directory->depth) {
            need += cache_memory_estimate(directory_size(directory->depth + 1));
        }
    }
    return need + cache_memory_estimate(sizeof(*segment));
}

bool cache_table_put(struct cache_table *table, struct cache_entry *entry)
{
    struct segment *segment = segment_of(directory_of(table), entry->hash);

    /* all may fall into one half, but for keyed hashes that will not go on for long */
    while (segment->used >= USED_MOST) {
        bool done = segment->live > SPLIT_ABOVE ? split(table, segment, entry->hash)
                                                : clean(table, segment, entry->hash);
        if (!done) {
            return false;
        }
        segment = segment_of(directory_of(table), entry->hash);
    }
    put(segment, entry);
    table->entries++;
    return true;
}

void cache_table_replace(struct cache_table *table, struct cache_entry *old,
                         struct cache_entry *fresh)
{
    struct segment *segment = segment_of(directory_of(table), old->hash);

    set_entry(segment, slot_of(segment, old), fresh);
}

void cache_table_remove(struct cache_table *table, struct cache_entry *entry)
{
    struct segment *segment = segment_of(directory_of(table), entry->hash);

    clear_slot(segment, slot_of(segment, entry));
    table->entries--;
    merge(table, segment, entry->hash);
}

/* Call `leave` for what is in a segment. */
static void leave_all(const struct segment *segment,
                      void (*leave)(void *user, struct cache_entry *entry), void *user)
{
    for (unsigned slot = 0; slot < SLOTS; slot++) {
        struct cache_entry *entry = entry_at(segment, slot);
        if (entry != NULL) {
            leave(user, entry);
        }
    }
}

/* The next segment behind place `*at` of a directory, or NULL. */
static struct segment *next_segment(const struct cache_directory *directory, size_t *at)
{
    if (*at >> directory->depth != 0) {
        return NULL;
    }
    struct segment *segment = atomic_load_explicit(&directory->segments[*at], memory_order_relaxed);
    *at += (size_t)1 << (directory->depth - segment->depth);
    return segment;
}

bool cache_table_clear(struct cache_table *table,
                       void (*leave)(void *user, struct cache_entry *entry), void *user)
{
    struct cache_directory *old = directory_of(table);
    struct cache_directory *empty = new_empty(table);
    struct segment *segment;
    size_t at = 0;

    if (empty == NULL) {
        return false;
    }
    atomic_store_explicit(&table->directory, empty, memory_order_release);
    table->entries = 0;
    while ((segment = next_segment(old, &at)) != NULL) {
        leave_all(segment, leave, user);
        retire_segment(table, segment);
    }
    retire_directory(table, old);
    return true;
}

static void leave_for_good(void *user, struct cache_entry *entry)
{
    void (**leave)(struct cache_entry *) = user;

    (*leave)(entry);
}

void cache_table_fini(struct cache_table *table, void (*leave)(struct cache_entry *entry))
{
    struct cache_directory *directory = directory_of(table);
    struct segment *segment;
    size_t at = 0;

    while (directory != NULL && (segment = next_segment(directory, &at)) != NULL) {
        leave_all(segment, leave_for_good, &leave);
        free(segment);
    }
    free(directory);
    atomic_store_explicit(&table->directory, NULL, memory_order_relaxed);
}
