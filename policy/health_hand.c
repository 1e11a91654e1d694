#include "policy/health_hand.h"

#include <stdlib.h>
#include <string.h>

#include "policy/health_cascade.h"
#include "policy/health_condition.h"
#include "policy/health_group.h"
#include "policy/health_region.h"

uint32_t health_hand_region(const struct health *health, const char *name)
{
    struct region_word *word = NULL;

    if (health->region_words != NULL) {
        HASH_FIND_STR(health->region_words, name, word);
    }
    return word == NULL ? 0 : word->flags;
}

static void set_region(struct health *health, const char *name, uint32_t flag, bool on)
{
    struct region_word *word = NULL;
    uint32_t forces = HEALTH_REGION_FORCED_UP | HEALTH_REGION_FORCED_DOWN;

    HASH_FIND_STR(health->region_words, name, word);
    if (word == NULL) {
        if (!on) {
            return;
        }
        word = health_table_get(1, sizeof(*word));
        word->name = health_table_copy(name);
        HASH_ADD_KEYPTR(hh, health->region_words, word->name, strlen(word->name), word);
    }
    if (on && (flag & forces) != 0) {
        word->flags &= ~forces; /* the last word counts */
    }
    word->flags = on ? word->flags | flag : word->flags & ~flag;
    if (word->flags == 0) {
        HASH_DEL(health->region_words, word);
        free(word->name);
        free(word);
    }
}

bool health_override(struct health *health, const char *region, uint32_t flag, bool on,
                     uint64_t now_ms)
{
    struct region_slot *slot = NULL;

    set_region(health, region, flag, on);
    HASH_FIND_STR(health->regions, region, slot);
    health_region_store_all(health, now_ms);
    health_group_settle(health, now_ms);
    health_region_tell_all(health, now_ms);
    health_cascade_tell_all(health);
    return slot != NULL;
}

/* The address as a key: without its port, and nothing undefined in between. */
static void put_key(const struct addr *address, struct addr *out)
{
    memset(out, 0, sizeof(*out));
    out->family = address->family;
    out->scope = address->scope;
    memcpy(out->bytes, address->bytes, addr_size_bytes(address));
}

enum health_force health_hand_endpoint(const struct health *health, const struct addr *address)
{
    struct endpoint_word *word = NULL;

    if (health->endpoint_words != NULL) {
        struct addr key;
        put_key(address, &key);
        HASH_FIND(hh, health->endpoint_words, &key, sizeof(key), word);
    }
    return word == NULL ? HEALTH_FORCE_NONE : word->force;
}

static void set_endpoint(struct health *health, const struct addr *address, enum health_force force)
{
    struct endpoint_word *word = NULL;
    struct addr key;

    put_key(address, &key);
    HASH_FIND(hh, health->endpoint_words, &key, sizeof(key), word);
    if (force == HEALTH_FORCE_NONE) {
        if (word != NULL) {
            HASH_DEL(health->endpoint_words, word);
            free(word);
        }
        return;
    }
    if (word == NULL) {
        word = health_table_get(1, sizeof(*word));
        memcpy(&word->address, &key, sizeof(key));
        HASH_ADD(hh, health->endpoint_words, address, sizeof(word->address), word);
    }
    word->force = force;
}

/* Give the word to the endpoints of a group. Returns whether one of them is at that address. */
static bool apply(struct group_slot *group, const struct addr *address, enum health_force force)
{
    bool found = false;

    for (size_t i = 0; i < group->endpoint_count; i++) {
        if (addr_same_host(&group->endpoints[i].address, address)) {
            group->endpoints[i].force = force;
            found = true;
        }
    }
    return found;
}

void health_force_endpoint(struct health *health, const struct addr *address,
                           enum health_force force, uint64_t now_ms)
{
    set_endpoint(health, address, force);
    for (struct group_slot *g = health->groups; g != NULL; g = g->hh.next) {
        if (apply(g, address, force)) {
            health_group_queue(health, g);
        }
    }
    health_group_settle(health, now_ms);
    health_cascade_tell_all(health);
}

uint32_t health_hand_pool(const struct health *health, const char *region, const char *service)
{
    return health->pool_word == NULL ? 0
                                     : health->pool_word(health->pool_word_user, region, service);
}

void health_ask_pool_words(struct health *health, health_pool_word *word, void *user)
{
    health->pool_word = word;
    health->pool_word_user = user;
}

void health_pool_words_changed(struct health *health, uint64_t now_ms)
{
    for (struct group_slot *g = health->groups; g != NULL; g = g->hh.next) {
        if (g->condition != NULL && health_condition_asks_others(g->condition)) {
            health_group_queue(health, g);
        }
    }
    health_group_settle(health, now_ms);
    health_cascade_tell_all(health);
}

void health_hand_clear(struct health *health)
{
    struct region_word *region, *next_region;
    struct endpoint_word *endpoint, *next_endpoint;

    HASH_ITER(hh, health->region_words, region, next_region)
    {
        HASH_DEL(health->region_words, region);
        free(region->name);
        free(region);
    }
    HASH_ITER(hh, health->endpoint_words, endpoint, next_endpoint)
    {
        HASH_DEL(health->endpoint_words, endpoint);
        free(endpoint);
    }
}
