#include "resolver/forward/choice.h"

#define CLASSES 3 /* of enum forward_class */

void choice_init(struct choice *choice, uint32_t hedge_ms, uint64_t deadline_ms)
{
    choice->count = 0;
    choice->kept = CHOICE_NONE;
    choice->hedge_ms = hedge_ms == 0 ? CHOICE_UNHEDGED_MS : hedge_ms;
    choice->deadline_ms = deadline_ms;
}

bool choice_add(struct choice *choice, const struct choice_candidate *candidate)
{
    if (choice->count == CHOICE_MOST) {
        return false;
    }
    choice->candidates[choice->count++] = *candidate;
    return true;
}

/* Only to be asked behind the others? */
static bool is_behind(const struct choice_candidate *c)
{
    return c->away || c->suspect;
}

/* How good a place is: lower is better, and all the living before all the others. */
static unsigned level(const struct choice_candidate *c)
{
    return (is_behind(c) ? CLASSES : 0) + (unsigned)c->class;
}

void choice_start(struct choice *choice)
{
    struct choice_candidate *all = choice->candidates;

    /* insertion keeps the written order of equals */
    for (uint32_t i = 1; i < choice->count; i++) {
        struct choice_candidate c = all[i];
        uint32_t at = i;
        for (; at > 0 && level(&all[at - 1]) > level(&c); at--) {
            all[at] = all[at - 1];
        }
        all[at] = c;
    }
}

/* ---- time ---- */

static uint32_t at_least(uint32_t value, uint32_t least)
{
    return value < least ? least : value;
}

/* Silence after which its answer is not expected before others'. */
static uint32_t patience_ms(const struct choice *choice, const struct choice_candidate *c)
{
    uint32_t patience = at_least(2 * choice->hedge_ms, CHOICE_PATIENCE_MS);

    return at_least(patience, 3 * c->usual_ms);
}

static uint32_t public_ms(const struct choice *choice)
{
    return at_least(3 * choice->hedge_ms, CHOICE_PUBLIC_MS);
}

/* Over TCP its time begins anew. */
static uint64_t begun_ms(const struct choice_candidate *c)
{
    return c->streaming ? c->sent_ms : c->asked_ms;
}

static bool is_silent(const struct choice_candidate *c, uint64_t now_ms, uint32_t ms)
{
    return c->state == CHOICE_ASKED && now_ms >= begun_ms(c) + ms;
}

/* ---- whom to ask ---- */

/* Has every candidate that is not public been given up, for now or for this question? */
static bool public_is_due(const struct choice *choice, uint64_t now_ms)
{
    for (uint32_t i = 0; i < choice->count; i++) {
        const struct choice_candidate *c = &choice->candidates[i];
        if (c->class != FORWARD_PUBLIC && !c->away && !c->down && c->state != CHOICE_FAILED &&
            !is_silent(c, now_ms, public_ms(choice))) {
            return false;
        }
    }
    return true;
}

bool choice_may_probe(const struct choice *choice, uint32_t candidate)
{
    const struct choice_candidate *c = &choice->candidates[candidate];

    return c->suspect && !c->away && c->state == CHOICE_WAITING &&
           (c->class != FORWARD_PUBLIC || public_is_due(choice, 0));
}

/* Is one of this region being asked, other than as a probe? */
static bool region_is_asked(const struct choice *choice, uint32_t region)
{
    for (uint32_t i = 0; i < choice->count; i++) {
        const struct choice_candidate *c = &choice->candidates[i];
        if (c->region == region && c->state == CHOICE_ASKED && !c->probe) {
            return true;
        }
    }
    return false;
}

static uint32_t find_waiting(const struct choice *choice, bool living, bool other_region,
                             uint64_t now_ms)
{
    for (uint32_t i = 0; i < choice->count; i++) {
        const struct choice_candidate *c = &choice->candidates[i];
        if (c->state != CHOICE_WAITING || (living && is_behind(c)) ||
            (other_region && region_is_asked(choice, c->region)) ||
            (c->class == FORWARD_PUBLIC && !public_is_due(choice, now_ms))) {
            continue;
        }
        return i;
    }
    return CHOICE_NONE;
}

/* The next one that may be asked: living ones first, other regions first. */
static uint32_t pick(const struct choice *choice, uint64_t now_ms)
{
    uint32_t found = find_waiting(choice, true, true, now_ms);

    if (found == CHOICE_NONE) {
        found = find_waiting(choice, true, false, now_ms);
    }
    if (found == CHOICE_NONE) {
        found = find_waiting(choice, false, true, now_ms);
    }
    return found == CHOICE_NONE ? find_waiting(choice, false, false, now_ms) : found;
}

/*
 * Is anybody being asked, other than as a probe? `*out_newest_ms` is when the
 * newest try that has not failed was begun.
 */
static bool is_anybody_asked(const struct choice *choice, uint64_t *out_newest_ms)
{
    bool any = false;

    *out_newest_ms = 0;
    for (uint32_t i = 0; i < choice->count; i++) {
        const struct choice_candidate *c = &choice->candidates[i];
        bool asked = c->state == CHOICE_ASKED && !c->probe;
        any = any || asked;
        if ((asked || c->state == CHOICE_ANSWERED) && c->asked_ms > *out_newest_ms) {
            *out_newest_ms = c->asked_ms;
        }
    }
    return any;
}

/* Those asked as probes are all that is left: now they count. */
static bool promote_probes(struct choice *choice)
{
    bool any = false;

    for (uint32_t i = 0; i < choice->count; i++) {
        struct choice_candidate *c = &choice->candidates[i];
        any = any || (c->state == CHOICE_ASKED && c->probe);
        c->probe = false;
    }
    return any;
}

/*
 * Nobody is left but some believed down, and they have had their time, while a
 * living one has said that it cannot answer: the fault is the question's.
 */
static bool is_hopeless(const struct choice *choice, uint64_t now_ms)
{
    bool refused_alive = false;

    for (uint32_t i = 0; i < choice->count; i++) {
        const struct choice_candidate *c = &choice->candidates[i];
        if (c->state == CHOICE_FAILED) {
            refused_alive = refused_alive || (c->spoke && !is_behind(c));
        } else if (!is_behind(c) || !is_silent(c, now_ms, 2 * patience_ms(choice, c))) {
            return false;
        }
    }
    return refused_alive;
}

/* ---- whose answer counts ---- */

/* A waiting one is not worth waiting for when another of its region stays silent. */
static bool region_is_silent(const struct choice *choice, uint32_t region, uint64_t now_ms)
{
    for (uint32_t i = 0; i < choice->count; i++) {
        const struct choice_candidate *c = &choice->candidates[i];
        if (c->region == region && is_silent(c, now_ms, patience_ms(choice, c))) {
            return true;
        }
    }
    return false;
}

/* Is a candidate expected to answer within its usual time? */
static bool is_expected(const struct choice *choice, const struct choice_candidate *c,
                        uint64_t now_ms)
{
    switch (c->state) {
    case CHOICE_WAITING:
        return !region_is_silent(choice, c->region, now_ms);
    case CHOICE_ASKED:
        return !is_silent(c, now_ms, patience_ms(choice, c));
    case CHOICE_FAILED:
    case CHOICE_ANSWERED:
        break;
    }
    return false;
}

/* Is what is kept as good as it gets? */
static bool kept_is_due(const struct choice *choice, uint64_t now_ms)
{
    unsigned kept = level(&choice->candidates[choice->kept]);

    if (now_ms + CHOICE_LAST_MS >= choice->deadline_ms) {
        return true;
    }
    for (uint32_t i = 0; i < choice->count; i++) {
        const struct choice_candidate *c = &choice->candidates[i];
        if (level(c) < kept && is_expected(choice, c, now_ms)) {
            return false;
        }
    }
    return true;
}

enum choice_verdict choice_answered(struct choice *choice, uint32_t candidate, bool positive)
{
    struct choice_candidate *c = &choice->candidates[candidate];

    c->state = CHOICE_ANSWERED;
    c->suspect = false; /* it is back */
    c->down = false;
    if (positive) {
        return CHOICE_TAKE;
    }
    unsigned best = level(c);
    for (uint32_t i = 0; i < choice->count; i++) {
        unsigned other = level(&choice->candidates[i]);
        best = other < best ? other : best;
    }
    if (level(c) <= best) {
        return CHOICE_TAKE;
    }
    if (choice->kept != CHOICE_NONE && level(&choice->candidates[choice->kept]) <= level(c)) {
        return CHOICE_DROP;
    }
    choice->kept = candidate;
    return CHOICE_KEEP;
}

/* ---- steps ---- */

static void earlier(uint64_t *until_ms, uint64_t at_ms, uint64_t now_ms)
{
    if (at_ms > now_ms && at_ms < *until_ms) {
        *until_ms = at_ms;
    }
}

/* The next moment at which silence alone may change what is to be done. */
static struct choice_step wait_step(const struct choice *choice, uint64_t now_ms)
{
    struct choice_step step = { .action = CHOICE_WAIT, .until_ms = choice->deadline_ms };

    if (choice->kept != CHOICE_NONE) {
        earlier(&step.until_ms, choice->deadline_ms - CHOICE_LAST_MS, now_ms);
    }
    for (uint32_t i = 0; i < choice->count; i++) {
        const struct choice_candidate *c = &choice->candidates[i];
        if (c->state == CHOICE_ASKED) {
            earlier(&step.until_ms, c->asked_ms + choice->hedge_ms, now_ms);
            earlier(&step.until_ms, begun_ms(c) + patience_ms(choice, c), now_ms);
            earlier(&step.until_ms, begun_ms(c) + 2 * patience_ms(choice, c), now_ms);
            earlier(&step.until_ms, begun_ms(c) + public_ms(choice), now_ms);
            earlier(&step.until_ms, c->sent_ms + CHOICE_RESEND_MS, now_ms);
        }
    }
    return step;
}

/* One that was sent the question long enough ago to be sent it again. */
static uint32_t find_resend(const struct choice *choice, uint64_t now_ms)
{
    for (uint32_t i = 0; i < choice->count; i++) {
        const struct choice_candidate *c = &choice->candidates[i];
        if (c->state == CHOICE_ASKED && !c->probe && !c->streaming &&
            now_ms >= c->sent_ms + CHOICE_RESEND_MS) {
            return i;
        }
    }
    return CHOICE_NONE;
}

struct choice_step choice_next(struct choice *choice, uint64_t now_ms)
{
    struct choice_step step = { .action = CHOICE_GIVE_UP };
    uint64_t newest_ms;

    if (choice->kept != CHOICE_NONE && kept_is_due(choice, now_ms)) {
        step.action = CHOICE_TAKE_KEPT;
        return step;
    }
    if (now_ms >= choice->deadline_ms) {
        return step;
    }
    step.candidate = pick(choice, now_ms);
    step.action = CHOICE_ASK;
    step.hedge = is_anybody_asked(choice, &newest_ms);
    bool in_time = step.hedge && now_ms < newest_ms + choice->hedge_ms;
    if (step.candidate == CHOICE_NONE) {
        if ((!step.hedge && !promote_probes(choice)) || is_hopeless(choice, now_ms)) {
            step.action = CHOICE_GIVE_UP;
            return step;
        }
        step.candidate = find_resend(choice, now_ms);
        step.action = CHOICE_RESEND;
    }
    return in_time || step.candidate == CHOICE_NONE ? wait_step(choice, now_ms) : step;
}

/* ---- events ---- */

void choice_asked(struct choice *choice, uint32_t candidate, bool probe, uint64_t now_ms)
{
    struct choice_candidate *c = &choice->candidates[candidate];

    if (c->state == CHOICE_WAITING) {
        c->state = CHOICE_ASKED;
        c->asked_ms = now_ms;
        c->probe = probe;
    }
    c->sent_ms = now_ms;
}

void choice_streaming(struct choice *choice, uint32_t candidate)
{
    choice->candidates[candidate].streaming = true;
}

void choice_failed(struct choice *choice, uint32_t candidate, bool spoke, const char *fault)
{
    struct choice_candidate *c = &choice->candidates[candidate];

    c->state = CHOICE_FAILED;
    c->spoke = spoke;
    c->fault = fault;
}
