#include "resolver/forward/tries.h"

#include "resolver/forward/upstream.h"

void tries_add(struct attempt **list, struct attempt *attempt)
{
    attempt->next = *list;
    attempt->link = list;
    if (*list != NULL) {
        (*list)->link = &attempt->next;
    }
    *list = attempt;
}

static void take_out(struct attempt *attempt)
{
    *attempt->link = attempt->next;
    if (attempt->next != NULL) {
        attempt->next->link = attempt->link;
    }
}

void tries_drop(struct attempt *attempt)
{
    take_out(attempt);
    attempt_close(attempt);
}

void tries_drop_candidate(struct attempt *list, uint32_t candidate)
{
    for (struct attempt *attempt = list, *next; attempt != NULL; attempt = next) {
        next = attempt->next;
        if (attempt->candidate == candidate) {
            tries_drop(attempt);
        }
    }
}

void tries_drop_all(struct attempt **list)
{
    while (*list != NULL) {
        tries_drop(*list);
    }
}

bool tries_make_room(struct attempt *listened_to, struct attempt *own)
{
    struct attempt *given_up = listened_to != NULL ? listened_to : own;

    while (listened_to == NULL && given_up != NULL && given_up->next != NULL) {
        given_up = given_up->next; /* the newest are in front */
    }
    if (given_up != NULL) {
        tries_drop(given_up);
    }
    return given_up != NULL;
}

uint32_t tries_weight(const struct attempt *attempt)
{
    return attempt->owner == NULL ? attempt->candidate : 1;
}

/* A silence that was counted already may still turn out to be none. */
static uint32_t weight_to_be(const struct attempt *attempt, uint64_t now_ms)
{
    if (attempt->spent) {
        return 0;
    }
    return attempt->silent ? 1 : upstream_watch(attempt->upstream, now_ms);
}

void tries_listen(struct attempt **list, struct attempt *attempt, uint64_t now_ms)
{
    uint32_t weight = weight_to_be(attempt, now_ms);

    if (weight == 0) {
        tries_drop(attempt);
        return;
    }
    take_out(attempt);
    attempt->owner = NULL;
    attempt->candidate = weight; /* it is nobody's candidate any more */
    tries_add(list, attempt);
}
