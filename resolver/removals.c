#include "resolver/removals.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define SERVICES_AT_ONCE 64 /* looked at in one piece */

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

/* ---- what a review asks ---- */

/* What was seen of the services in force, and what left before: another thread may read it. */
struct removals_inquiry {
    const struct snapshot *snapshot;
    struct removals *before; /* a copy of the ledger */
    size_t *first;           /* of each service: the bit of its first endpoint */
    uint64_t *left;          /* a bit for each endpoint: would its going be a loss? */
    size_t next;             /* the service to look at */
    uint32_t *passing;       /* checks of each region */
};

static struct removals *copy_ledger(const struct removals *removals)
{
    struct removals *copy = removals_new();

    if (copy == NULL) {
        return NULL;
    }
    copy->list = calloc(removals->count + 1, sizeof(*copy->list));
    for (size_t i = 0; copy->list != NULL && i < removals->count; i++) {
        copy->list[i] = removals->list[i];
        copy->list[i].service = strdup(removals->list[i].service);
        copy->count += copy->list[i].service != NULL;
        if (copy->list[i].service == NULL) {
            break;
        }
    }
    if (copy->count != removals->count || copy->list == NULL) {
        removals_free(copy);
        return NULL;
    }
    return copy;
}

void removals_end(struct removals_inquiry *inquiry)
{
    if (inquiry != NULL) {
        removals_free(inquiry->before);
        free(inquiry->first);
        free(inquiry->left);
        free(inquiry->passing);
        free(inquiry);
    }
}

struct removals_inquiry *removals_begin(struct removals *removals, const struct snapshot *snapshot,
                                        uint64_t now_ms)
{
    struct removals_inquiry *inquiry = calloc(1, sizeof(*inquiry));

    if (inquiry == NULL) {
        return NULL;
    }
    forget_old(removals, snapshot->model->guards.removal_window_ms, now_ms);
    inquiry->snapshot = snapshot;
    inquiry->before = copy_ledger(removals);
    inquiry->first = calloc(snapshot->model->service_count + 1, sizeof(*inquiry->first));
    inquiry->passing = calloc(snapshot->model->region_count + 1, sizeof(*inquiry->passing));
    if (inquiry->before == NULL || inquiry->first == NULL || inquiry->passing == NULL) {
        removals_end(inquiry);
        return NULL;
    }
    for (size_t i = 0; i < snapshot->model->region_count; i++) {
        inquiry->passing[i] = health_region_passing(snapshot->binding, i);
    }
    return inquiry;
}

static void set_bit(struct removals_inquiry *inquiry, size_t bit, bool on)
{
    if (bit % 64 == 0 && (bit & (bit - 1)) == 0) { /* full at each power of two */
        size_t words = bit == 0 ? 1 : bit / 32;
        inquiry->left = reallocarray(inquiry->left, words, sizeof(*inquiry->left));
        REQUIRE(inquiry->left != NULL);
    }
    if (bit % 64 == 0) {
        inquiry->left[bit / 64] = 0;
    }
    inquiry->left[bit / 64] |= (uint64_t)on << (bit % 64);
}

bool removals_look(struct removals_inquiry *inquiry)
{
    const struct model *model = inquiry->snapshot->model;

    for (unsigned n = 0; n < SERVICES_AT_ONCE && inquiry->next < model->service_count; n++) {
        size_t s = inquiry->next++;
        const struct model_service *service = &model->services[s];
        size_t bit = inquiry->first[s];
        for (size_t p = 0; p < service->pool_count; p++) {
            for (size_t e = 0; e < service->pools[p].endpoint_count; e++) {
                set_bit(inquiry, bit++,
                        health_endpoint_is_left(inquiry->snapshot->binding, s, p, e));
            }
        }
        inquiry->first[s + 1] = bit;
    }
    return inquiry->next < model->service_count;
}

static bool is_up(const void *user, size_t service, size_t pool, size_t endpoint)
{
    const struct removals_inquiry *inquiry = user;
    const struct model_service *asked = &inquiry->snapshot->model->services[service];
    size_t bit = inquiry->first[service] + endpoint;

    for (size_t p = 0; p < pool; p++) {
        bit += asked->pools[p].endpoint_count;
    }
    return (inquiry->left[bit / 64] >> (bit % 64) & 1) != 0;
}

static uint32_t on_passing(const void *user, size_t region)
{
    const struct removals_inquiry *inquiry = user;

    return inquiry->passing[region];
}

static uint32_t on_lost_before(const void *user, const char *service)
{
    const struct removals_inquiry *inquiry = user;

    return lost_before(inquiry->before, service);
}

struct review *removals_compare(const struct removals_inquiry *inquiry, const struct model *fresh)
{
    const struct review_old old = {
        .model = inquiry->snapshot->model,
        .is_up = is_up,
        .passing = on_passing,
        .lost_before = on_lost_before,
        .user = inquiry,
    };

    return review_new(&old, fresh);
}

struct review *removals_review(struct removals *removals, const struct snapshot *snapshot,
                               const struct model *fresh, uint64_t now_ms)
{
    struct removals_inquiry *inquiry = removals_begin(removals, snapshot, now_ms);

    while (inquiry != NULL && removals_look(inquiry)) {
    }
    struct review *review = inquiry == NULL ? NULL : removals_compare(inquiry, fresh);
    removals_end(inquiry);
    return review;
}

/* ---- the ledger ---- */

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
