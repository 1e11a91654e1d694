#include "policy/checks/schedule.h"

#include <stdlib.h>

#include "base/error.h"

void schedule_fini(struct schedule *schedule)
{
    free(schedule->entries);
    *schedule = (struct schedule){ 0 };
}

bool schedule_reserve(struct schedule *schedule, size_t count)
{
    if (count <= schedule->capacity) {
        return true;
    }
    if (count > UINT32_MAX / 2) {
        return false;
    }
    struct schedule_entry **entries =
        reallocarray(schedule->entries, count, sizeof(struct schedule_entry *));
    if (entries == NULL) {
        return false;
    }
    schedule->entries = entries;
    schedule->capacity = (uint32_t)count;
    return true;
}

static void set(struct schedule *s, uint32_t place, struct schedule_entry *entry)
{
    s->entries[place - 1] = entry;
    entry->place = place;
}

static uint64_t at(const struct schedule *s, uint32_t place)
{
    return s->entries[place - 1]->at_ms;
}

/* Towards the top while it is earlier than what stands above it. */
static void rise(struct schedule *s, struct schedule_entry *entry)
{
    uint32_t place = entry->place;

    while (place > 1 && at(s, place / 2) > entry->at_ms) {
        set(s, place, s->entries[place / 2 - 1]);
        place /= 2;
    }
    set(s, place, entry);
}

/* Away from the top while something below it is earlier. */
static void sink(struct schedule *s, struct schedule_entry *entry)
{
    uint32_t place = entry->place;

    for (;;) {
        uint32_t below = 2 * place;
        if (below > s->count) {
            break;
        }
        below += below < s->count && at(s, below + 1) < at(s, below);
        if (at(s, below) >= entry->at_ms) {
            break;
        }
        set(s, place, s->entries[below - 1]);
        place = below;
    }
    set(s, place, entry);
}

void schedule_put(struct schedule *schedule, struct schedule_entry *entry, uint64_t at_ms)
{
    if (entry->place == 0) {
        REQUIRE(schedule->count < schedule->capacity);
        set(schedule, ++schedule->count, entry);
    }
    entry->at_ms = at_ms;
    rise(schedule, entry);
    sink(schedule, entry);
}

void schedule_drop(struct schedule *schedule, struct schedule_entry *entry)
{
    uint32_t place = entry->place;

    if (place == 0) {
        return;
    }
    struct schedule_entry *last = schedule->entries[--schedule->count];
    entry->place = 0;
    if (last != entry) {
        set(schedule, place, last);
        rise(schedule, last);
        sink(schedule, last);
    }
}

struct schedule_entry *schedule_first(const struct schedule *schedule)
{
    return schedule->count == 0 ? NULL : schedule->entries[0];
}
