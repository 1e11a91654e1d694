#include "policy/health_cascade.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "policy/health_group.h"
#include "policy/health_region.h"

#define LOOKS_MOST 100000 /* at siblings, when one is about to leave */

struct sibling_set {
    unsigned refs;
    uint32_t count;
    struct group_slot **key; /* the groups, in order */
    UT_hash_handle hh;
    struct set_member {
        struct group_slot *group;
        uint32_t at; /* where the group keeps its membership */
    } members[];
};

/* ---- sets ---- */

static void join(struct group_slot *group, struct sibling_set *set, uint32_t at)
{
    size_t count = group->membership_count;

    if ((count & (count - 1)) == 0) { /* full at each power of two */
        size_t room = count == 0 ? 1 : 2 * count;
        group->memberships = reallocarray(group->memberships, room, sizeof(*group->memberships));
        REQUIRE(group->memberships != NULL);
    }
    group->memberships[count] = (struct group_membership){ .set = set, .at = at };
    set->members[at].group = group;
    set->members[at].at = (uint32_t)count;
    group->membership_count++;
}

static void leave(struct sibling_set *set, uint32_t at)
{
    struct group_slot *group = set->members[at].group;
    uint32_t hole = set->members[at].at;
    const struct group_membership *last = &group->memberships[--group->membership_count];

    group->memberships[hole] = *last;
    last->set->members[last->at].at = hole;
}

struct sibling_set *health_cascade_use(struct health *health, struct group_slot *const *groups,
                                       size_t count)
{
    struct sibling_set *set = NULL;
    size_t key_size = count * sizeof(struct group_slot *);

    if (count < 2) {
        return NULL;
    }
    HASH_FIND(hh, health->sibling_sets, groups, key_size, set);
    if (set != NULL) {
        set->refs++;
        return set;
    }
    set = health_table_get(1, sizeof(*set) + count * sizeof(set->members[0]));
    set->refs = 1;
    set->count = (uint32_t)count;
    for (uint32_t i = 0; i < count; i++) {
        join(groups[i], set, i);
    }
    set->key = health_table_get(count, sizeof(struct group_slot *));
    memcpy(set->key, groups, key_size);
    HASH_ADD_KEYPTR(hh, health->sibling_sets, set->key, key_size, set);
    return set;
}

void health_cascade_drop(struct health *health, struct sibling_set *set)
{
    if (set == NULL || --set->refs > 0) {
        return;
    }
    HASH_DEL(health->sibling_sets, set);
    free(set->key);
    for (uint32_t i = 0; i < set->count; i++) {
        leave(set, i);
    }
    free(set);
}

/* ---- the window ---- */

static uint64_t window_ms(const struct health *health)
{
    return health->committed == NULL ? 0 : health->committed->cascade_window_ms;
}

/* When the window after a departure ends; 0: nothing left. */
static uint64_t window_end(const struct health *health, uint64_t left_ms)
{
    return left_ms == 0 ? 0 : left_ms + window_ms(health);
}

/* Has anything left within the window? Mostly not, and then nobody looks further. */
static bool is_window_open(const struct health *health, uint64_t now_ms)
{
    return now_ms < window_end(health, health->left_ms);
}

/* When the region was left: by its word, or because most of its pools have fallen. */
static uint64_t region_left_ms(const struct region_slot *region)
{
    bool is_fallen = region->fallen_count > 0 && 2 * region->fallen_count >= region->group_count;

    return is_fallen && region->fallen_ms > region->left_ms ? region->fallen_ms : region->left_ms;
}

static uint64_t region_window_end(const struct health *health, const struct region_slot *region,
                                  uint64_t now_ms)
{
    const struct health_binding *binding = health->committed;

    if (!region->active || binding == NULL) {
        return 0;
    }
    const uint64_t *siblings = binding->plans[region->index].siblings;
    for (size_t i = 0; i < binding->region_count; i++) {
        if (i != region->index && ((siblings[i / 64] >> (i % 64)) & 1) != 0) {
            uint64_t end = window_end(health, region_left_ms(binding->regions[i]));
            if (now_ms < end) {
                return end;
            }
        }
    }
    return 0;
}

bool health_cascade_spares_region(const struct health *health, struct region_slot *region,
                                  uint64_t now_ms)
{
    if (region->sharing) {
        return now_ms < region->share_until_ms;
    }
    if ((health_region_word(region) & HEALTH_REGION_AWAY) != 0 || !is_window_open(health, now_ms)) {
        return false;
    }
    region->share_until_ms = region_window_end(health, region, now_ms);
    return region->share_until_ms != 0;
}

static uint64_t group_left_ms(const struct group_slot *group)
{
    uint64_t region_ms = group->region->left_ms;

    return group->left_ms > region_ms ? group->left_ms : region_ms;
}

static uint64_t group_window_end(const struct health *health, const struct group_slot *group,
                                 uint64_t now_ms)
{
    unsigned looks = 0;

    for (size_t i = 0; i < group->membership_count; i++) {
        const struct sibling_set *set = group->memberships[i].set;
        for (uint32_t m = 0; m < set->count && looks < LOOKS_MOST; m++, looks++) {
            const struct group_slot *other = set->members[m].group;
            uint64_t end = window_end(health, group_left_ms(other));
            if (other->region != group->region && now_ms < end) {
                return end;
            }
        }
    }
    return 0;
}

bool health_cascade_spares_group(const struct health *health, struct group_slot *group,
                                 uint64_t now_ms)
{
    if (group->sharing) {
        return now_ms < group->share_until_ms;
    }
    if (!group->stands || !is_window_open(health, now_ms)) {
        return false;
    }
    group->share_until_ms = group_window_end(health, group, now_ms);
    return group->share_until_ms != 0;
}

static void forget(uint64_t *left_ms, uint64_t since_ms)
{
    *left_ms = *left_ms > since_ms ? 0 : *left_ms;
}

void health_cascade_forget(struct health *health, uint64_t since_ms)
{
    for (struct region_slot *r = health->regions; r != NULL; r = r->hh.next) {
        forget(&r->left_ms, since_ms);
        forget(&r->fallen_ms, since_ms);
    }
    for (struct group_slot *g = health->groups; g != NULL; g = g->hh.next) {
        forget(&g->left_ms, since_ms);
    }
}

/* ---- telling ---- */

static void tell_group(struct health *health, struct group_slot *group)
{
    char target[160];
    const struct health_event event = {
        .kind = HEALTH_EVENT_GUARD,
        .name = "cascade_window",
        .target = target,
        .from = group->told_sharing ? "shared" : "up",
        .to = group->sharing  ? "shared"
              : group->stands ? "up"
                              : "down",
        .reason = group->sharing  ? "only silence speaks against it, just after another region left"
                  : group->stands ? "it answers again"
                                  : "the window is over, or something refused",
    };

    health_group_name(group, target, sizeof(target));
    group->told_sharing = group->sharing;
    if (health->listener != NULL) {
        health->listener(health->user, &event);
    }
}

void health_cascade_tell_all(struct health *health)
{
    for (size_t i = health->sharing.count; i-- > 0;) {
        struct group_slot *group = health->sharing.groups[i];
        if (group->sharing != group->told_sharing) {
            tell_group(health, group);
        }
        if (!group->sharing) {
            group->is_listed = false;
            health_table_unlist(&health->sharing, group);
        }
    }
}
