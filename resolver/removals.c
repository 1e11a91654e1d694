#include "resolver/removals.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

struct removal {
    char *service;
    uint32_t lost;
    uint64_t at_ms;
};

struct removals {
    struct removal *list; /* oldest first */
    size_t count;
};

struct removals *removals_new(void)
{
    return calloc(1, sizeof(struct removals));
}

void removals_free(struct removals *removals)
{
    if (removals == NULL) {
        return;
    }
    for (size_t i = 0; i < removals->count; i++) {
        free(removals->list[i].service);
    }
    free(removals->list);
    free(removals);
}

static void forget_old(struct removals *removals, uint64_t window_ms, uint64_t now_ms)
{
    size_t old = 0;

    while (old < removals->count && now_ms - removals->list[old].at_ms >= window_ms) {
        free(removals->list[old++].service);
    }
    removals->count -= old;
    if (old > 0) {
        memmove(removals->list, removals->list + old, removals->count * sizeof(*removals->list));
    }
}

static uint32_t lost_before(const struct removals *removals, const char *service)
{
    uint32_t lost = 0;

    for (size_t i = 0; i < removals->count; i++) {
        lost += strcmp(removals->list[i].service, service) == 0 ? removals->list[i].lost : 0;
    }
    return lost;
}

/* What the review asks of us. */
struct view {
    const struct removals *removals;
    const struct snapshot *snapshot;
};

static bool is_up(const void *user, size_t service, size_t pool, size_t endpoint)
{
    const struct view *view = user;
    struct health_endpoint_view shown;

    health_view_endpoint(view->snapshot->binding, service, pool, endpoint, &shown);
    return strcmp(shown.state, "down") != 0 && strcmp(shown.state, "forced down") != 0;
}

static uint32_t on_lost_before(const void *user, const char *service)
{
    const struct view *view = user;

    return lost_before(view->removals, service);
}

struct review *removals_review(struct removals *removals, const struct snapshot *snapshot,
                               const struct model *fresh, uint64_t now_ms)
{
    const struct view view = { removals, snapshot };
    const struct review_old old = {
        .model = snapshot->model,
        .is_up = is_up,
        .lost_before = on_lost_before,
        .user = &view,
    };

    forget_old(removals, snapshot->model->guards.removal_window_ms, now_ms);
    return review_new(&old, fresh);
}

void removals_note(struct removals *removals, const struct review *review, uint64_t now_ms)
{
    for (size_t i = 0; i < review->change_count; i++) {
        const struct review_change *change = &review->changes[i];
        if (change->lost == 0) {
            continue;
        }
        struct removal *list =
            reallocarray(removals->list, removals->count + 1, sizeof(*removals->list));
        REQUIRE(list != NULL);
        removals->list = list;
        list[removals->count++] = (struct removal){
            .service = strdup(change->name),
            .lost = change->lost,
            .at_ms = now_ms,
        };
        REQUIRE(list[removals->count - 1].service != NULL);
    }
}

uint64_t removals_lost(const struct removals *removals, uint64_t window_ms, uint64_t now_ms)
{
    uint64_t lost = 0;

    for (size_t i = 0; i < removals->count; i++) {
        lost += now_ms - removals->list[i].at_ms < window_ms ? removals->list[i].lost : 0;
    }
    return lost;
}
