#include "policy/checks/schedule.h"

#include <stdlib.h>

#include "base/error.h"

void schedule_fini(struct schedule *schedule)
{
    free(schedule->places);
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
    struct schedule_place *places =
        reallocarray(schedule->places, count, sizeof(struct schedule_place));
    if (places == NULL) {
        return false;
    }
    schedule->places = places;
    schedule->capacity = (uint32_t)count;
    return true;
}

static void set(struct schedule *s, uint32_t place, const struct schedule_place *what)
{
    s->places[place - 1] = *what;
    what->entry->place = place;
}

static uint64_t at(const struct schedule *s, uint32_t place)
{
    return s->places[place - 1].at_ms;
}

/* Towards the top from `place` while it is earlier than what stands above it. */
static uint32_t rise(struct schedule *s, uint32_t place, uint64_t at_ms)
{
    while (place > 1 && at(s, place / 2) > at_ms) {
        set(s, place, &s->places[place / 2 - 1]);
        place /= 2;
    }
    return place;
}

/* Away from the top while something below it is earlier. */
static uint32_t sink(struct schedule *s, uint32_t place, uint64_t at_ms)
{
    for (uint32_t below; (below = 2 * place) <= s->count; place = below) {
        below += below < s->count && at(s, below + 1) < at(s, below);
        if (at(s, below) >= at_ms) {
            break;
        }
        set(s, place, &s->places[below - 1]);
    }
    return place;
}

/* What stands at `place`, or is to, goes where its time belongs. */
static void settle(struct schedule *s, uint32_t place, struct schedule_entry *entry)
{
    const struct schedule_place what = { .at_ms = entry->at_ms, .entry = entry };

    place = sink(s, rise(s, place, what.at_ms), what.at_ms);
    set(s, place, &what);
}

void schedule_put(struct schedule *schedule, struct schedule_entry *entry, uint64_t at_ms)
{
    uint32_t place = entry->place;

    if (place == 0) {
        REQUIRE(schedule->count < schedule->capacity);
        place = ++schedule->count;
    }
    entry->at_ms = at_ms;
    settle(schedule, place, entry);
}

void schedule_drop(struct schedule *schedule, struct schedule_entry *entry)
{
    uint32_t place = entry->place;

    if (place == 0) {
        return;
    }
    struct schedule_entry *last = schedule->places[--schedule->count].entry;
    entry->place = 0;
    if (last != entry) {
        settle(schedule, place, last);
    }
}

struct schedule_entry *schedule_first(const struct schedule *schedule)
{
    return schedule->count == 0 ? NULL : schedule->places[0].entry;
}
