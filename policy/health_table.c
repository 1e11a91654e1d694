#include "policy/health_table.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/text.h"
#include "policy/health_file.h"
#include "policy/health_hand.h"
#include "policy/health_note.h"
#include "policy/probe_identity.h"

/* Without it there is nothing sensible left to do. */
void *health_table_get(size_t count, size_t size)
{
    void *memory = calloc(count == 0 ? 1 : count, size);

    REQUIRE(memory != NULL);
    return memory;
}

char *health_table_copy(const char *string)
{
    if (string == NULL) {
        return NULL;
    }
    char *copy = strdup(string);
    REQUIRE(copy != NULL);
    return copy;
}

struct health *health_new(health_listener *listener, void *user)
{
    struct health *health = calloc(1, sizeof(*health));

    if (health != NULL) {
        health->listener = listener;
        health->user = user;
        health->minimum_regions = 1;
    }
    return health;
}

/* ---- probes ---- */

void health_probe_set_reason(struct health_probe *probe, const char *reason)
{
    if (probe->reason == NULL || strcmp(probe->reason, reason) != 0) {
        free((void *)(uintptr_t)probe->reason);
        probe->reason = health_table_copy(reason);
    }
}

/* A slot number that is free; the table grows when none is. */
static struct probe_slot *take_slot(struct health *health)
{
    bool is_first = true;

    for (size_t i = health->first_free; i < health->probe_count; i++) {
        struct probe_slot *slot = health->probes[i];
        if (!slot->probe.used && slot->probe.runner == NULL) {
            health->first_free = is_first ? i + 1 : health->first_free;
            return slot;
        }
        is_first = is_first && slot->probe.used;
        health->first_free = is_first ? i + 1 : health->first_free;
    }
    size_t count = health->probe_count + 1;
    struct probe_slot **probes = realloc(health->probes, count * sizeof(struct probe_slot *));
    REQUIRE(probes != NULL);
    health->probes = probes;
    probes[health->probe_count] = health_table_get(1, sizeof(struct probe_slot));
    probes[health->probe_count]->probe.slot = (uint32_t)health->probe_count;
    health->probe_count = count;
    health->first_free = is_first ? count : health->first_free;
    return probes[count - 1];
}

/*
 * The key of a probe, whose words stay in health->key. One check is mostly looked for at one
 * endpoint after the other, so what it says itself is put there once. The key
 * of a witness is its own: what it is told means something else.
 */
static struct probe_key key_of(struct health *health, const struct probe_identity *identity,
                          bool is_witness)
{
    struct text *key = &health->key;

    if (health->keyed != identity->check) {
        key->length = 0;
        text_put(key, is_witness ? "witness|" : "");
        probe_identity_put_check(identity->check, key);
        health->key_of_check = key->length;
        health->keyed = is_witness ? NULL : identity->check;
    }
    key->length = health->key_of_check;
    probe_identity_put_target(identity, key);
    REQUIRE(!text_failed(key));
    return probe_identity_digest(key->bytes, key->length);
}

void health_table_forget_keys(struct health *health)
{
    health->keyed = NULL;
    text_fini(&health->key);
    text_fini(&health->group_key);
    free(health->spare_group);
    health->spare_group = NULL;
}

/* The check of the key looked for last: one that others run already, or a copy. */
static struct shared_check *use_check(struct health *health, const struct probe_identity *identity)
{
    struct probe_key key = probe_identity_digest(health->key.bytes, health->key_of_check);
    struct shared_check *shared = NULL;
    bool own = probe_identity_is_own(identity->check);

    if (!own) {
        HASH_FIND(hh, health->checks, &key, sizeof(key), shared);
    }
    if (shared == NULL) {
        shared = health_table_get(1, sizeof(*shared));
        shared->key = key;
        shared->own = own;
        probe_identity_copy(identity, &shared->check);
        if (!own) {
            HASH_ADD(hh, health->checks, key, sizeof(shared->key), shared);
        }
    }
    shared->refs++;
    return shared;
}

static void drop_check(struct health *health, struct shared_check *shared)
{
    if (--shared->refs > 0) {
        return;
    }
    if (!shared->own) {
        HASH_DEL(health->checks, shared);
    }
    probe_identity_free(&shared->check);
    free(shared);
}

/* A probe that nobody has asked for before. */
static struct probe_slot *make_probe(struct health *health, const struct probe_identity *identity,
                                     struct probe_key key, bool is_witness, uint64_t now_ms)
{
    struct probe_slot *slot = take_slot(health);
    uint32_t number = slot->probe.slot;
    uint32_t seed;

    memset(slot, 0, sizeof(*slot));
    slot->probe.slot = number;
    slot->probe.used = true;
    slot->probe.target = *identity->target;
    slot->key = key;
    slot->short_ttl = true; /* UNKNOWN */
    slot->is_witness = is_witness;
    slot->check = use_check(health, identity);
    slot->probe.check = &slot->check->check;
    slot->probe.label = probe_identity_label(identity);
    health_probe_set_reason(&slot->probe, "not probed yet");
    hash_random(&seed, sizeof(seed));
    detect_init(&slot->probe.detect, &identity->check->timing, seed, now_ms);
    health_file_restore(health, slot, now_ms);
    HASH_ADD(hh, health->probes_by_key, key, sizeof(slot->key), slot);
    return slot;
}

struct probe_slot *health_table_use_probe(struct health *health, const struct model_check *check,
                                          const struct addr *endpoint, const char *region,
                                          uint64_t now_ms)
{
    struct addr target = check->has_server ? check->server : *endpoint;
    struct probe_slot *slot = NULL;
    bool is_witness = region == NULL;

    if (target.port == 0) {
        target.port = check->port;
    }
    const struct probe_identity identity = {
        .check = check,
        .target = &target,
        .region = is_witness ? "witness" : region,
    };
    const struct probe_key key = key_of(health, &identity, is_witness);
    HASH_FIND(hh, health->probes_by_key, &key, sizeof(key), slot);
    if (slot == NULL) {
        slot = make_probe(health, &identity, key, is_witness, now_ms);
    }
    slot->refs++;
    return slot;
}

void health_table_drop_probe(struct health *health, struct probe_slot *slot)
{
    REQUIRE(slot->refs > 0);
    if (--slot->refs > 0) {
        return;
    }
    HASH_DEL(health->probes_by_key, slot);
    drop_check(health, slot->check);
    detect_fini(&slot->probe.detect);
    health_note_free(atomic_exchange_explicit(&slot->noted, NULL, memory_order_relaxed));
    free((void *)(uintptr_t)slot->probe.label);
    free((void *)(uintptr_t)slot->probe.reason);
    free((void *)(uintptr_t)slot->probe.trouble);
    free(slot->groups);
    free(slot->regions);
    slot->probe.label = NULL;
    slot->probe.reason = NULL;
    slot->probe.trouble = NULL;
    slot->check = NULL;
    slot->probe.check = NULL;
    slot->groups = NULL;
    slot->group_count = 0;
    slot->regions = NULL;
    slot->region_count = 0;
    slot->probe.used = false;
    if (slot->probe.slot < health->first_free) {
        health->first_free = slot->probe.slot;
    }
}

/*
 * Who adds the same pointer again does so before another one is added, so only
 * the last one is looked at.
 */
void health_table_link(void ***array, size_t *count, void *pointer)
{
    if (*count > 0 && (*array)[*count - 1] == pointer) {
        return;
    }
    if ((*count & (*count - 1)) == 0) { /* full at each power of two */
        void **bigger = reallocarray(*array, *count == 0 ? 1 : 2 * *count, sizeof(void *));
        REQUIRE(bigger != NULL);
        *array = bigger;
    }
    (*array)[(*count)++] = pointer;
}

/* From the end: what was added last mostly leaves first (see health_unbind). */
void health_table_unlink(void **array, size_t *count, const void *pointer)
{
    for (size_t i = *count; i-- > 0;) {
        if (array[i] == pointer) {
            array[i] = array[--*count];
            return;
        }
    }
}

void health_table_list(struct group_list *list, struct group_slot *group)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity == 0 ? 8 : 2 * list->capacity;
        list->groups = reallocarray(list->groups, list->capacity, sizeof(struct group_slot *));
        REQUIRE(list->groups != NULL);
    }
    list->groups[list->count++] = group;
}

void health_table_unlist(struct group_list *list, const struct group_slot *group)
{
    for (size_t i = 0; i < list->count; i++) {
        if (list->groups[i] == group) {
            list->groups[i] = list->groups[--list->count];
            return;
        }
    }
}

/* ---- the whole ---- */

void health_free(struct health *health)
{
    if (health == NULL) {
        return;
    }
    REQUIRE(health->groups == NULL && health->regions == NULL); /* bindings come back first */
    health_hand_clear(health);
    health_file_forget(health);
    health_table_forget_keys(health);
    free(health->dirty.groups);
    free(health->sharing.groups);
    free(health->ramping.groups);
    for (size_t i = 0; i < health->probe_count; i++) {
        free(health->probes[i]);
    }
    free(health->probes);
    free(health);
}

size_t health_probe_count(const struct health *health)
{
    return health->probe_count;
}

struct health_probe *health_probe(struct health *health, size_t slot)
{
    return &health->probes[slot]->probe;
}
