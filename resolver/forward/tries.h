#pragma once
/*
 * tries - lists of attempts: those of one question, and those listened to
 *
 * A try that another upstream's answer has overtaken belongs to no question
 * any more, but whether it is answered at all shows how its upstream is. Of
 * very many only some are listened to; each stands for those that were not.
 * One service loop.
 */
#include <stdbool.h>
#include <stdint.h>

#include "resolver/forward/attempt.h"

/* Put it first in a list. */
void tries_add(struct attempt **list, struct attempt *attempt);

/* Take it out of its list and close it. */
void tries_drop(struct attempt *attempt);

/* Drop all of a list that are of this candidate. */
void tries_drop_candidate(struct attempt *list, uint32_t candidate);

/* Drop all. */
void tries_drop_all(struct attempt **list);

/*
 * Sockets have run out: drop one of those listened to or, when there is none,
 * the oldest of a question's own. False when there is none either.
 */
bool tries_make_room(struct attempt *listened_to, struct attempt *own);

/* Move it to the list of those listened to, or drop it when it would show nothing more. */
void tries_listen(struct attempt **list, struct attempt *attempt, uint64_t now_ms);

/* How many tries this one stands for. */
uint32_t tries_weight(const struct attempt *attempt);
