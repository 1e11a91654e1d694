#include "resolver/movements.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "policy/steer.h"

/* Where an answer comes from, in words that outlive the snapshot. */
struct place {
    const char *from; /* a region's name, interned, or one of the words below; NULL: not told */
    uint8_t rung;
};

/* Movements of one kind that were only counted. */
struct crowd {
    const char *from;
    const char *to;
    const char *reason;
    size_t count;
};

#define CROWDS 8 /* kinds that are told apart; the others go by the last one */

struct movements {
    movements_listener *listener;
    void *user;
    struct place *places; /* by the service's index */
    size_t count;
    struct place *past;     /* of the generation before, until each service has looked */
    const uint32_t *before; /* of each service: 1 + its index there, or 0 */
    char **names;           /* interned region names; few, kept to the end */
    size_t name_count;
    size_t moved;                /* in this round */
    struct crowd crowds[CROWDS]; /* behind those the listener was told one by one */
    size_t crowd_count;
};

struct movements *movements_new(movements_listener *listener, void *user)
{
    struct movements *movements = calloc(1, sizeof(*movements));

    if (movements != NULL) {
        movements->listener = listener;
        movements->user = user;
    }
    return movements;
}

void movements_free(struct movements *movements)
{
    if (movements == NULL) {
        return;
    }
    for (size_t i = 0; i < movements->name_count; i++) {
        free(movements->names[i]);
    }
    free(movements->names);
    free(movements->places);
    free(movements->past);
    free(movements);
}

static const char *intern(struct movements *m, const char *name)
{
    for (size_t i = 0; i < m->name_count; i++) {
        if (strcmp(m->names[i], name) == 0) {
            return m->names[i];
        }
    }
    char **names = realloc(m->names, (m->name_count + 1) * sizeof(char *));
    char *copy = strdup(name);
    REQUIRE(names != NULL && copy != NULL);
    m->names = names;
    names[m->name_count++] = copy;
    return copy;
}

/* Where it was is looked for when its turn comes: there may be a million of them. */
static void take_from_past(struct movements *m, size_t service)
{
    if (m->past != NULL && m->places[service].from == NULL && m->before[service] != 0) {
        m->places[service] = m->past[m->before[service] - 1];
    }
}

static void leave_past(struct movements *m)
{
    for (size_t i = 0; m->past != NULL && i < m->count; i++) {
        take_from_past(m, i);
    }
    free(m->past);
    m->past = NULL;
    m->before = NULL;
}

static void take_all(struct movements *m, const struct snapshot *old, const struct snapshot *fresh,
                     struct place *places)
{
    for (size_t i = 0; i < fresh->service_count; i++) {
        const struct steer_service *before = snapshot_before(old, fresh, i);
        if (before != NULL && before->index < m->count) {
            places[i] = m->places[before->index];
        }
    }
}

void movements_adopt(struct movements *movements, const struct snapshot *old,
                     const struct snapshot *fresh)
{
    struct movements *m = movements;
    size_t count = fresh->service_count;
    struct place *places = calloc(count == 0 ? 1 : count, sizeof(*places));

    REQUIRE(places != NULL);
    leave_past(m);
    if (old != NULL && fresh->before != NULL && fresh->before_generation == old->generation) {
        m->past = m->places;
        m->before = fresh->before;
    } else {
        if (old != NULL) {
            take_all(m, old, fresh, places);
        }
        free(m->places);
    }
    m->places = places;
    m->count = count;
}

/* The family that speaks for the service: IPv4 where it has any, or none at all yet. */
static unsigned main_family(const struct steer_service *service)
{
    unsigned count[ADDR_FAMILIES] = { service->fallback_counts[ADDR_V4],
                                      service->fallback_counts[ADDR_V6] };

    for (uint32_t i = 0; i < service->pool_count; i++) {
        count[ADDR_V4] += service->pools[i].counts[ADDR_V4];
        count[ADDR_V6] += service->pools[i].counts[ADDR_V6];
    }
    return count[ADDR_V4] == 0 && count[ADDR_V6] > 0 ? ADDR_V6 : ADDR_V4;
}

/* The region that answers alone, though more of them might; NULL: several do. */
static const char *only_region(const struct steer_service *service,
                               const struct steer_choice *choice)
{
    const char *only = NULL;

    if (!choice->several) {
        return service->pools[choice->pool].region_name;
    }
    for (uint32_t i = 0; i < service->pool_count; i++) {
        if (choice->bits_of[i] != 0 && only != NULL) {
            return NULL;
        }
        only = choice->bits_of[i] != 0 ? service->pools[i].region_name : only;
    }
    return only;
}

static struct place where(struct movements *m, const struct steer_service *service)
{
    struct steer_choice choice;
    struct place place;
    const char *only;

    steer_choose(service, main_family(service), NULL, &choice);
    place.rung = choice.rung;
    switch (choice.result) {
    case STEER_FALLBACK:
        place.from = "fallback";
        break;
    case STEER_NODATA:
        place.from = "nowhere (NODATA)";
        break;
    case STEER_SERVFAIL:
        place.from = "nowhere (SERVFAIL)";
        break;
    default:
        only = only_region(service, &choice);
        place.from = only == NULL ? "several regions" : intern(m, only);
        break;
    }
    return place;
}

static const char *rung_meaning(unsigned rung)
{
    static const char *const meanings[] = {
        "?",
        "region in, minimum met",
        "in hold_down",
        "region gated, endpoints proven since",
        "everything that is up",
        "everything that is up in drained regions",
        "nothing is up: on_all_down",
    };

    return meanings[rung < 7 ? rung : 0];
}

static const char *name_of(const struct place *place)
{
    return place->from == NULL ? "(start)" : place->from;
}

static void write_line(const struct steer_service *service, const struct place *before,
                       const struct place *now)
{
    enum log_level level = now->rung <= 2 ? LOG_INFO : LOG_WARNING;

    if (before->from == NULL) {
        /* the first answer is news only where it is not the first region's */
        level = now->rung == 1 ? LOG_DEBUG : level;
    }
    log_event(level, "service moved", "service=%s from=%s to=%s rung=%u because=%s", service->name,
              name_of(before), now->from, now->rung, rung_meaning(now->rung));
}

static void count(struct movements *m, const char *from, const char *to, const char *reason)
{
    static const char several[] = "several";

    for (size_t i = 0; i < m->crowd_count; i++) {
        struct crowd *crowd = &m->crowds[i];
        bool is_same = crowd->from == from && crowd->to == to && crowd->reason == reason;
        if (is_same || i + 1 == CROWDS) {
            crowd->from = is_same ? from : several;
            crowd->to = is_same ? to : several;
            crowd->reason = is_same ? reason : several;
            crowd->count++;
            return;
        }
    }
    m->crowds[m->crowd_count++] = (struct crowd){ from, to, reason, 1 };
}

static void tell(struct movements *m, const struct steer_service *service,
                 const struct place *before, const struct place *now)
{
    const char *reason = rung_meaning(now->rung);
    size_t moved = m->moved++;

    if (moved < MOVEMENTS_LINES_MAX) {
        write_line(service, before, now);
    }
    if (moved < MOVEMENTS_TOLD_MAX) {
        m->listener(m->user, service->name, name_of(before), now->from, reason);
    } else {
        count(m, name_of(before), now->from, reason);
    }
}

void movements_look(struct movements *movements, const struct steer_service *service)
{
    struct movements *m = movements;
    struct place now = where(m, service);

    take_from_past(m, service->index);
    struct place before = m->places[service->index];

    if (before.from == now.from && before.rung == now.rung) {
        return;
    }
    m->places[service->index] = now;
    if (before.from == NULL && now.rung == 1) { /* as the first region is no news */
        write_line(service, &before, &now);
    } else {
        tell(m, service, &before, &now);
    }
}

static void tell_crowd(struct movements *m, const struct crowd *crowd)
{
    char service[64];

    (void)snprintf(service, sizeof(service), "(%zu more services)", crowd->count);
    m->listener(m->user, service, crowd->from, crowd->to, crowd->reason);
}

void movements_sum_up(struct movements *movements)
{
    struct movements *m = movements;

    if (m->moved > MOVEMENTS_LINES_MAX) {
        log_event(LOG_INFO, "services moved", "more=%zu", m->moved - MOVEMENTS_LINES_MAX);
    }
    for (size_t i = 0; i < m->crowd_count; i++) {
        tell_crowd(m, &m->crowds[i]);
    }
    m->crowd_count = 0;
    m->moved = 0;
}
