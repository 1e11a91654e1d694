#pragma once
/*
 * plan - who may be asked a question of a rule, as candidates in their order
 *
 * Takes from the rule and from what is known of its upstreams all that choice
 * wants to know. No I/O, the time is an argument. Where upstreams are looked
 * up is the caller's; under the directory's lock any thread may make a plan
 * to look at.
 */
#include <stdbool.h>
#include <stdint.h>

#include "resolver/forward/choice.h"

struct upstream;

struct plan_terms {
    bool stays;     /* the name must not leave the company; see special.h */
    bool has_stale; /* see forward_question */
    bool second_opinion;
    const char *apart_from;
    uint64_t now_ms;
    /* The upstream described, or NULL: it is left out. */
    struct upstream *(*find)(void *user, const struct forward_upstream *described);
    void *user;
};

/*
 * Bring the candidates of `rule` into `choice`, with a deadline from now on.
 * True when there are none, and that only because the name must not leave. For
 * a second opinion those of one region are left out, should it be all of them.
 */
bool plan_make(struct choice *choice, const struct forward_rule *rule,
               const struct plan_terms *terms);

/* Tell each candidate's upstream who lives in another region and is nearest. The loop's alone. */
void plan_note_rivals(const struct choice *choice);
