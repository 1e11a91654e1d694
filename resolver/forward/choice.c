#include "resolver/forward/choice.h"

#define CLASSES         3                     /* of enum forward_class */
#define NEARER_PERCENT  80                    /* a region goes first that is so much nearer */
#define NEARER_US       2000                  /* and nearer by this */
#define AILING_PATIENCE (CHOICE_CONFIRMS + 2) /* hedge delays for one that loses many */

void choice_init(struct choice *choice, uint32_t hedge_ms, uint64_t deadline_ms)
{
    choice->count = 0;
    choice->kept = CHOICE_NONE;
    choice->hedge_ms = hedge_ms == 0 ? CHOICE_UNHEDGED_MS : hedge_ms;
    choice->deadline_ms = deadline_ms;
    choice->held_until_ms = 0;
    choice->has_stale = false;
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
    unsigned row = is_behind(c) ? 2 : c->spent ? 1 : 0;

    return row * CLASSES + (unsigned)c->class;
}

static bool is_nearer(const struct choice_candidate *a, const struct choice_candidate *b)
{
    return a->class == FORWARD_OTHER && a->region != b->region && a->distance_us != 0 &&
           (uint64_t)a->distance_us * 100 < (uint64_t)b->distance_us * NEARER_PERCENT &&
           a->distance_us + NEARER_US < b->distance_us;
}

/* Does `a`, written behind `b`, go before it? */
static bool goes_before(const struct choice_candidate *a, const struct choice_candidate *b)
{
    return level(a) < level(b) || (level(a) == level(b) && is_nearer(a, b));
}

void choice_start(struct choice *choice)
{
    struct choice_candidate *all = choice->candidates;

    /* insertion keeps the written order of equals */
    for (uint32_t i = 1; i < choice->count; i++) {
        struct choice_candidate c = all[i];
        uint32_t at = i;
        for (; at > 0 && goes_before(&c, &all[at - 1]); at--) {
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

/* Silence after which another is asked too. */
static uint32_t hedge_of(const struct choice *choice, const struct choice_candidate *c)
{
    return c->hedge_ms != 0 ? c->hedge_ms : choice->hedge_ms;
}

/* Silence after which its answer is not expected before others'. */
static uint32_t patience_ms(const struct choice *choice, const struct choice_candidate *c)
{
    uint32_t hedge = hedge_of(choice, c);
    uint32_t patience = at_least(2 * hedge, CHOICE_PATIENCE_MS);

    if (c->dying) {
        return hedge < CHOICE_DOUBT_MS ? hedge : CHOICE_DOUBT_MS;
    }
    if (c->doubtful) {
        return AILING_PATIENCE * hedge < CHOICE_DOUBT_MS ? AILING_PATIENCE * hedge
                                                         : CHOICE_DOUBT_MS;
    }
    if (c->ailing && AILING_PATIENCE * hedge < patience) {
        return AILING_PATIENCE * hedge;
    }
    return at_least(patience, 3 * c->usual_ms);
}

/* Silence of one believed down after which it is believed for this question, too. */
static uint32_t down_ms(const struct choice_candidate *c)
{
    return at_least(3 * c->usual_ms, CHOICE_DOWN_MS);
}

static uint32_t public_ms(const struct choice *choice, const struct choice_candidate *c)
{
    return at_least(3 * hedge_of(choice, c), CHOICE_PUBLIC_MS);
}

/* Silence after which it is sent the question again: each time twice as long. */
static uint32_t resend_ms(const struct choice *choice, const struct choice_candidate *c)
{
    uint32_t ms = at_least(4 * hedge_of(choice, c), CHOICE_RESEND_LEAST);

    for (unsigned i = 1; i < c->times && ms < CHOICE_RESEND_MS; i++) {
        ms *= 2;
    }
    return ms < CHOICE_RESEND_MS ? ms : CHOICE_RESEND_MS;
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
            !is_silent(c, now_ms, public_ms(choice, c))) {
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
 * Is anybody being asked, other than as a probe? `*out_newest` is the one of
 * the newest try that has not failed, or NULL.
 */
static bool is_anybody_asked(const struct choice *choice,
                             const struct choice_candidate **out_newest)
{
    bool any = false;

    *out_newest = NULL;
    for (uint32_t i = 0; i < choice->count; i++) {
        const struct choice_candidate *c = &choice->candidates[i];
        bool asked = c->state == CHOICE_ASKED && !c->probe;
        any = any || asked;
        if ((asked || c->state == CHOICE_ANSWERED) &&
            (*out_newest == NULL || c->asked_ms > (*out_newest)->asked_ms)) {
            *out_newest = c;
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

/* Nobody is left but some believed down, and they have had time to show that they are back. */
static bool are_all_down(const struct choice *choice, uint64_t now_ms)
{
    for (uint32_t i = 0; i < choice->count; i++) {
        const struct choice_candidate *c = &choice->candidates[i];
        if (c->state != CHOICE_FAILED && (!c->down || !is_silent(c, now_ms, down_ms(c)))) {
            return false;
        }
    }
    return true;
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
    c->spent = false;
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
    if (choice->has_stale) {
        choice_failed(choice, candidate, false, "a negative answer of a lesser class");
        return CHOICE_DROP;
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

/* A lesser answer is at hand: is this one worth a quick second try? */
static bool is_confirmed(const struct choice *choice, const struct choice_candidate *c,
                         uint64_t now_ms)
{
    return choice->kept != CHOICE_NONE && c->times <= CHOICE_CONFIRMS &&
           level(c) < level(&choice->candidates[choice->kept]) && is_expected(choice, c, now_ms);
}

/* When it is to be sent the question again, if nobody else is left to ask (or `confirm`). */
static uint64_t again_ms(const struct choice *choice, const struct choice_candidate *c,
                         bool confirm)
{
    return c->sent_ms + (confirm ? hedge_of(choice, c) : resend_ms(choice, c));
}

static bool may_resend(const struct choice_candidate *c)
{
    return c->state == CHOICE_ASKED && !c->probe && !c->streaming;
}

static void wait_for(const struct choice *choice, const struct choice_candidate *c, uint64_t now_ms,
                     uint64_t *until_ms)
{
    earlier(until_ms, c->asked_ms + hedge_of(choice, c), now_ms);
    earlier(until_ms, c->asked_ms + CHOICE_RESEND_MS, now_ms);
    earlier(until_ms, begun_ms(c) + patience_ms(choice, c), now_ms);
    earlier(until_ms, begun_ms(c) + 2 * patience_ms(choice, c), now_ms);
    earlier(until_ms, begun_ms(c) + public_ms(choice, c), now_ms);
    earlier(until_ms, begun_ms(c) + down_ms(c), now_ms);
    if (may_resend(c)) {
        earlier(until_ms, again_ms(choice, c, is_confirmed(choice, c, now_ms)), now_ms);
        earlier(until_ms, c->sent_ms + CHOICE_RESEND_MS, now_ms);
    }
}

/* The next moment at which silence alone may change what is to be done. */
static struct choice_step wait_step(const struct choice *choice, uint64_t now_ms)
{
    struct choice_step step = { .action = CHOICE_WAIT, .until_ms = choice->deadline_ms };

    earlier(&step.until_ms, choice->held_until_ms, now_ms);
    if (choice->kept != CHOICE_NONE) {
        earlier(&step.until_ms, choice->deadline_ms - CHOICE_LAST_MS, now_ms);
    }
    for (uint32_t i = 0; i < choice->count; i++) {
        if (choice->candidates[i].state == CHOICE_ASKED) {
            wait_for(choice, &choice->candidates[i], now_ms, &step.until_ms);
        }
    }
    return step;
}

/* One that was sent the question long enough ago to be sent it again. */
static uint32_t find_resend(const struct choice *choice, bool confirm, uint64_t now_ms)
{
    for (uint32_t i = 0; i < choice->count; i++) {
        const struct choice_candidate *c = &choice->candidates[i];
        bool wanted = !confirm || is_confirmed(choice, c, now_ms);
        if (may_resend(c) && wanted && now_ms >= again_ms(choice, c, confirm)) {
            return i;
        }
    }
    return CHOICE_NONE;
}

/* Send it again to one of the silent, when that is due. */
static struct choice_step resend_step(const struct choice *choice, bool confirm, uint64_t now_ms)
{
    struct choice_step step = { .action = CHOICE_RESEND, .hedge = true };

    step.candidate = find_resend(choice, confirm, now_ms);
    if (step.candidate != CHOICE_NONE) {
        step.extra = now_ms < choice->candidates[step.candidate].sent_ms + CHOICE_RESEND_MS;
    }
    return step;
}

/* Is the newest try (NULL: none) still given its time? */
static bool is_in_time(const struct choice *choice, const struct choice_candidate *newest,
                       uint64_t now_ms)
{
    return newest != NULL && now_ms < newest->asked_ms + hedge_of(choice, newest);
}

/* Ask one that was not asked yet. */
static struct choice_step ask_step(const struct choice *choice, bool is_asked,
                                   const struct choice_candidate *newest, uint64_t now_ms)
{
    struct choice_step step = { .action = CHOICE_ASK, .hedge = is_asked };

    step.candidate = pick(choice, now_ms);
    if (!is_asked) {
        return step;
    }
    step.extra = choice->candidates[step.candidate].class != FORWARD_PUBLIC &&
                 (newest == NULL || now_ms < newest->asked_ms + CHOICE_RESEND_MS);
    return step;
}

struct choice_step choice_next(struct choice *choice, uint64_t now_ms)
{
    struct choice_step step = { .action = CHOICE_GIVE_UP };
    const struct choice_candidate *newest;

    if (choice->kept != CHOICE_NONE && kept_is_due(choice, now_ms)) {
        step.action = CHOICE_TAKE_KEPT;
        return step;
    }
    if (now_ms >= choice->deadline_ms) {
        return step;
    }
    bool is_asked = is_anybody_asked(choice, &newest);
    bool is_left = pick(choice, now_ms) != CHOICE_NONE;
    if (!is_left && ((!is_asked && !promote_probes(choice)) || is_hopeless(choice, now_ms) ||
                     are_all_down(choice, now_ms))) {
        return step;
    }
    step = resend_step(choice, true, now_ms);
    if (step.candidate == CHOICE_NONE && (!is_asked || !is_in_time(choice, newest, now_ms))) {
        step = is_left ? ask_step(choice, is_asked, newest, now_ms)
                       : resend_step(choice, false, now_ms);
    }
    if (step.candidate == CHOICE_NONE || (step.extra && now_ms < choice->held_until_ms)) {
        return wait_step(choice, now_ms);
    }
    return step;
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
    c->times++;
}

void choice_hold(struct choice *choice, uint64_t until_ms)
{
    choice->held_until_ms = until_ms;
}

uint32_t choice_hedge_ms(const struct choice *choice, uint32_t candidate)
{
    return hedge_of(choice, &choice->candidates[candidate]);
}

uint64_t choice_overdue_ms(const struct choice *choice, uint32_t candidate)
{
    const struct choice_candidate *c = &choice->candidates[candidate];

    return c->asked_ms + hedge_of(choice, c);
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
