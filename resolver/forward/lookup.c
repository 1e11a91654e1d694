#include "resolver/forward/lookup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "policy/health.h"
#include "resolver/forward/scrub.h"
#include "resolver/forward/special.h"
#include "zones/name.h"

#define TOLD_MAX 3 /* upstreams named when nobody answered */

static const char silent_stream[] = "no answer over TCP";

static void advance(struct lookup *lookup);

static uint64_t now_ms(const struct lookup_context *context)
{
    return uv_now(context->pool.loop);
}

static struct lookup_context *context_of(const struct attempt *attempt)
{
    return attempt->pool->user;
}

/* What to say of a socket's error; static. */
static const char *fault_of(int code)
{
    switch (code) {
    case UV_EOF:
        return "connection closed";
    case -EPROTO:
        return "answered another question";
    case -EMFILE:
        return "no socket left here";
    default:
        return uv_strerror(code);
    }
}

/* ---- tries ---- */

static void link_attempt(struct attempt **list, struct attempt *attempt)
{
    attempt->next = *list;
    attempt->link = list;
    if (*list != NULL) {
        (*list)->link = &attempt->next;
    }
    *list = attempt;
}

static void unlink_attempt(struct attempt *attempt)
{
    *attempt->link = attempt->next;
    if (attempt->next != NULL) {
        attempt->next->link = attempt->link;
    }
}

static void drop(struct attempt *attempt)
{
    unlink_attempt(attempt);
    attempt_close(attempt);
}

static void drop_candidate(struct lookup *lookup, uint32_t candidate)
{
    for (struct attempt *attempt = lookup->attempts, *next; attempt != NULL; attempt = next) {
        next = attempt->next;
        if (attempt->candidate == candidate) {
            drop(attempt);
        }
    }
}

/* Listen to it for a moment longer when that may show something. */
static void watch_or_drop(struct attempt *attempt)
{
    if (attempt->spent || !upstream_watch_due(attempt->upstream, now_ms(context_of(attempt)))) {
        drop(attempt);
        return;
    }
    unlink_attempt(attempt);
    attempt->owner = NULL;
    link_attempt(&context_of(attempt)->watched, attempt);
}

void lookup_context_close(struct lookup_context *context)
{
    while (context->watched != NULL) {
        drop(context->watched);
    }
}

/* ---- the end ---- */

static void on_closed(uv_handle_t *handle)
{
    struct lookup *lookup = handle->data;
    struct lookup_context *context = lookup->context;

    free(lookup->kept);
    free(lookup);
    context->alive--;
    context->released(context->user);
}

/* A question was failed that another upstream answered. */
static void blame(const struct lookup *lookup, struct upstream *upstream, const char *what)
{
    directory_bad(lookup->context->directory, upstream, lookup->hash, what,
                  now_ms(lookup->context));
}

/* Who failed a question that was answered is told apart from a question that is bad. */
static void blame_all(const struct lookup *lookup)
{
    const struct choice *choice = &lookup->choice;

    for (uint32_t i = 0; i < choice->count; i++) {
        const struct choice_candidate *c = &choice->candidates[i];
        if (c->state == CHOICE_FAILED && c->spoke) {
            blame(lookup, c->upstream, c->fault);
        }
    }
    for (const struct attempt *a = lookup->attempts; a != NULL; a = a->next) {
        if (a->stream && a->silent) {
            blame(lookup, a->upstream, silent_stream);
        }
    }
}

static void finish(struct lookup *lookup, const struct forward_reply *reply)
{
    if (lookup->finished) {
        return;
    }
    lookup->finished = true;
    if (reply->message != NULL) {
        blame_all(lookup);
    }
    for (struct attempt *attempt = lookup->attempts, *next; attempt != NULL; attempt = next) {
        next = attempt->next;
        if (reply->message != NULL) {
            watch_or_drop(attempt);
        } else {
            drop(attempt);
        }
    }
    uv_close((uv_handle_t *)&lookup->timer, on_closed);
    lookup->context->finished(lookup, reply);
}

static void finish_with(struct lookup *lookup, const uint8_t *message, size_t length,
                        const char *upstream)
{
    struct forward_reply reply = { .message = message, .length = length, .upstream = upstream };

    reply.ede_text = "";
    finish(lookup, &reply);
}

static void finish_without(struct lookup *lookup, enum lookup_ede ede, const char *text)
{
    struct forward_reply reply = { .ede_code = (uint16_t)ede, .ede_text = text };

    reply.upstream = "";
    finish(lookup, &reply);
}

void lookup_cancel(struct lookup *lookup, const char *text)
{
    finish_without(lookup, LOOKUP_EDE_NETWORK_ERROR, text);
}

/* Nobody answered: say who was asked and what came of it. */
static void give_up(struct lookup *lookup)
{
    const struct choice *choice = &lookup->choice;
    enum lookup_ede ede = LOOKUP_EDE_NO_REACHABLE_AUTHORITY;
    char text[320] = "no upstream to ask";
    size_t at = 0;
    unsigned told = 0;

    for (uint32_t i = 0; i < choice->count; i++) {
        const struct choice_candidate *c = &choice->candidates[i];
        if (c->state == CHOICE_WAITING) {
            continue;
        }
        if (c->spoke) {
            ede = LOOKUP_EDE_NETWORK_ERROR;
        }
        if (told++ < TOLD_MAX && at < sizeof(text)) {
            int size =
                snprintf(text + at, sizeof(text) - at, "%s%.80s: %s", at > 0 ? "; " : "",
                         c->upstream->label, c->state == CHOICE_FAILED ? c->fault : "no answer");
            at += size > 0 ? (size_t)size : 0;
        }
    }
    if (told > TOLD_MAX && at < sizeof(text)) {
        (void)snprintf(text + at, sizeof(text) - at, "; %u more", told - TOLD_MAX);
    }
    finish_without(lookup, ede, text);
}

/* A name that must not leave the company, and nobody inside to ask: it does not exist. */
static void deny(struct lookup *lookup)
{
    uint8_t message[WIRE_HEADER_BYTES + WIRE_QUESTION_BYTES];
    const struct forward_question *question = &lookup->question;
    size_t length = wire_query_build(message, 0, WIRE_QR | WIRE_RD | WIRE_RA | WIRE_NXDOMAIN,
                                     question->name, question->type, question->class, 0, false);

    finish_with(lookup, message, length, "");
}

/* ---- asking ---- */

static void fail_candidate(struct lookup *lookup, uint32_t candidate, bool spoke, const char *fault)
{
    drop_candidate(lookup, candidate);
    choice_failed(&lookup->choice, candidate, spoke, fault);
}

/* A socket failed: evidence against the upstream, unless the fault is ours. */
static void socket_failed(struct lookup_context *context, struct upstream *upstream, bool stream,
                          int code)
{
    if (error_is_ours(code)) {
        return;
    }
    if (stream) {
        upstream_spoke(upstream, now_ms(context)); /* it has sent us there */
    } else {
        directory_refused(context->directory, upstream, fault_of(code), now_ms(context));
    }
}

/*
 * Open an attempt. Where sockets have run out, the one of this question that
 * has been silent longest gives up its own.
 */
static int open_attempt(struct lookup *lookup, uint32_t candidate, bool stream)
{
    struct attempt_pool *pool = &lookup->context->pool;
    struct upstream *upstream = lookup->choice.candidates[candidate].upstream;
    struct attempt *attempt;

    int code = attempt_open(pool, upstream, stream, &lookup->question, &attempt);
    if (code == -EMFILE && lookup->attempts != NULL) {
        struct attempt *oldest = lookup->attempts;
        while (oldest->next != NULL) {
            oldest = oldest->next;
        }
        drop(oldest);
        code = attempt_open(pool, upstream, stream, &lookup->question, &attempt);
    }
    if (code == 0) {
        attempt->owner = lookup;
        attempt->candidate = candidate;
        attempt->question = lookup->hash;
        link_attempt(&lookup->attempts, attempt);
    }
    return code;
}

static void ask(struct lookup *lookup, uint32_t candidate, bool stream, bool probe)
{
    struct lookup_context *context = lookup->context;
    struct upstream *upstream = lookup->choice.candidates[candidate].upstream;
    int code = open_attempt(lookup, candidate, stream);

    if (code < 0) {
        socket_failed(context, upstream, stream, code);
        fail_candidate(lookup, candidate, stream && !error_is_ours(code), fault_of(code));
        return;
    }
    choice_asked(&lookup->choice, candidate, probe, now_ms(context));
}

/* Ask it once more: what was sent may be lost. */
static void ask_again(struct lookup *lookup, uint32_t candidate)
{
    struct lookup_context *context = lookup->context;
    struct attempt *attempt = lookup->attempts;

    while (attempt != NULL && attempt->candidate != candidate) {
        attempt = attempt->next;
    }
    if (attempt == NULL) {
        ask(lookup, candidate, false, false); /* it had to give up its socket */
        return;
    }
    int code = attempt_resend(attempt);
    if (code < 0 && !error_is_ours(code)) {
        socket_failed(context, attempt->upstream, false, code);
        fail_candidate(lookup, candidate, false, fault_of(code));
        return;
    }
    choice_asked(&lookup->choice, candidate, false, now_ms(context));
}

static void on_timer(uv_timer_t *timer)
{
    advance(timer->data);
}

/* Come back after `delay_ms`. Starting a timer that is not closing cannot fail. */
static void wake_after(struct lookup *lookup, uint64_t delay_ms)
{
    (void)uv_timer_start(&lookup->timer, on_timer, delay_ms, 0);
}

static void take_kept(struct lookup *lookup)
{
    const struct choice *choice = &lookup->choice;

    finish_with(lookup, lookup->kept, lookup->kept_length,
                choice->candidates[choice->kept].upstream->label);
}

static void end(struct lookup *lookup, enum choice_action how)
{
    if (lookup->starting) {
        wake_after(lookup, 0); /* nobody is told from within lookup_start */
    } else if (how == CHOICE_TAKE_KEPT) {
        take_kept(lookup);
    } else if (lookup->is_private) {
        deny(lookup);
    } else {
        give_up(lookup);
    }
}

/* Do what choice says until it says to wait. */
static void advance(struct lookup *lookup)
{
    struct forward_counters *counters = lookup->context->pool.counters;

    for (;;) {
        uint64_t now = now_ms(lookup->context);
        struct choice_step step = choice_next(&lookup->choice, now);
        switch (step.action) {
        case CHOICE_ASK:
            if (step.hedge) {
                atomic_fetch_add_explicit(&counters->hedges, 1, memory_order_relaxed);
            }
            ask(lookup, step.candidate, false, false);
            break;
        case CHOICE_RESEND:
            ask_again(lookup, step.candidate);
            break;
        case CHOICE_WAIT:
            wake_after(lookup, step.until_ms - now);
            return;
        case CHOICE_TAKE_KEPT:
        case CHOICE_GIVE_UP:
            end(lookup, step.action);
            return;
        }
    }
}

/* ---- replies ---- */

static void keep(struct lookup *lookup, const uint8_t *message, size_t length,
                 const struct upstream *upstream)
{
    uint8_t *copy = malloc(length);

    if (copy == NULL) {
        /* no memory to wait for a better one */
        finish_with(lookup, message, length, upstream->label);
        return;
    }
    memcpy(copy, message, length);
    free(lookup->kept);
    lookup->kept = copy;
    lookup->kept_length = length;
}

static void on_good(struct lookup *lookup, uint32_t candidate, bool positive, size_t length)
{
    const uint8_t *message = lookup->context->answer;
    const struct upstream *upstream = lookup->choice.candidates[candidate].upstream;

    drop_candidate(lookup, candidate);
    switch (choice_answered(&lookup->choice, candidate, positive)) {
    case CHOICE_TAKE:
        finish_with(lookup, message, length, upstream->label);
        return;
    case CHOICE_KEEP:
        keep(lookup, message, length, upstream);
        break;
    case CHOICE_DROP:
        break;
    }
    if (!lookup->finished) {
        advance(lookup);
    }
}

/* The answer is too long for a datagram: fetch it from the same upstream over TCP. */
static void on_truncated(struct attempt *attempt)
{
    struct lookup *lookup = attempt->owner;
    struct lookup_context *context = context_of(attempt);
    uint32_t candidate = attempt->candidate;

    upstream_heard(attempt->upstream, now_ms(context)); /* whether it is good, TCP will show */
    if (lookup == NULL) {
        drop(attempt);
        return;
    }
    drop_candidate(lookup, candidate);
    choice_streaming(&lookup->choice, candidate);
    ask(lookup, candidate, true, false);
    advance(lookup);
}

static void on_reply(struct attempt *attempt, const uint8_t *message, size_t length,
                     size_t answers_at)
{
    struct lookup *lookup = attempt->owner;
    struct lookup_context *context = context_of(attempt);
    struct upstream *upstream = attempt->upstream;
    uint64_t now = now_ms(context);
    struct scrub_question question = {
        .bytes = attempt_question(attempt),
        .length = attempt->question_length,
        .dnssec_ok = attempt->dnssec_ok,
    };
    size_t answer_length;
    const char *fault;

    if ((wire_get16(message + 2) & WIRE_TC) != 0 && !attempt->stream) {
        on_truncated(attempt);
        return;
    }
    enum scrub_verdict verdict =
        scrub_answer(message, length, answers_at, &question, context->answer, LOOKUP_ANSWER_MAX,
                     &answer_length, &fault);
    if (verdict != SCRUB_FAILED) {
        directory_good(context->directory, upstream, now - attempt->sent_ms, now);
        if (lookup == NULL) {
            drop(attempt);
        } else {
            on_good(lookup, attempt->candidate, verdict == SCRUB_POSITIVE, answer_length);
        }
        return;
    }
    upstream_spoke(upstream, now);
    if (lookup == NULL) {
        directory_bad(context->directory, upstream, attempt->question, fault, now);
        drop(attempt);
    } else {
        fail_candidate(lookup, attempt->candidate, true, fault);
        advance(lookup);
    }
}

static void on_error(struct attempt *attempt, int code)
{
    struct lookup *lookup = attempt->owner;
    struct lookup_context *context = context_of(attempt);
    bool spoke = attempt->stream && !error_is_ours(code);

    socket_failed(context, attempt->upstream, attempt->stream, code);
    if (lookup != NULL) {
        fail_candidate(lookup, attempt->candidate, spoke, fault_of(code));
        advance(lookup);
        return;
    }
    if (spoke) {
        directory_bad(context->directory, attempt->upstream, attempt->question, fault_of(code),
                      now_ms(context));
    }
    drop(attempt);
}

static void on_silent(struct attempt *attempt)
{
    struct lookup_context *context = context_of(attempt);

    if (!attempt->stream) {
        directory_silent(context->directory, attempt->upstream, attempt->sent_ms, now_ms(context));
    } else if (attempt->owner == NULL) {
        directory_bad(context->directory, attempt->upstream, attempt->question, silent_stream,
                      now_ms(context));
    }
}

static void on_spent(struct attempt *attempt)
{
    if (attempt->owner == NULL) {
        drop(attempt);
    }
}

static void on_attempt_released(void *user)
{
    struct lookup_context *context = user;

    context->released(context->user);
}

void lookup_context_init(struct lookup_context *context)
{
    static const struct attempt_events events = {
        .reply = on_reply,
        .error = on_error,
        .silent = on_silent,
        .spent = on_spent,
        .released = on_attempt_released,
    };

    context->pool.events = &events;
    context->pool.user = context;
}

/* ---- the beginning ---- */

struct lookup *lookup_new(struct lookup_context *context, const struct forward_question *question,
                          const uint8_t *dname, uint64_t hash)
{
    struct lookup *lookup = calloc(1, sizeof(*lookup));

    if (lookup == NULL) {
        return NULL;
    }
    lookup->context = context;
    lookup->waiters_end = &lookup->waiters;
    lookup->hash = hash;
    lookup->question = *question;
    lookup->question.name = lookup->name;
    memcpy(lookup->name, question->name, question->name_length);
    memcpy(lookup->dname, dname, question->name_length);
    (void)uv_timer_init(context->pool.loop, &lookup->timer);
    lookup->timer.data = lookup;
    context->alive++;
    return lookup;
}

/*
 * Upstreams of one named region go down together; nothing says so of those
 * without a name, so each is a region of its own.
 */
static uint32_t region_of(const struct choice *choice, const struct upstream *upstream)
{
    for (uint32_t i = 0; upstream->region[0] != '\0' && i < choice->count; i++) {
        if (strcmp(choice->candidates[i].upstream->region, upstream->region) == 0) {
            return choice->candidates[i].region;
        }
    }
    return choice->count;
}

static bool is_planned(const struct choice *choice, const struct upstream *upstream)
{
    for (uint32_t i = 0; i < choice->count; i++) {
        if (choice->candidates[i].upstream == upstream) {
            return true;
        }
    }
    return false;
}

static bool is_away(const struct forward_upstream *described)
{
    return described->region != NULL &&
           (atomic_load_explicit(&described->region->word, memory_order_relaxed) &
            HEALTH_REGION_AWAY) != 0;
}

/* Take from the rule all that is needed: it may be gone before the answer. */
static void plan(struct lookup *lookup, const struct forward_rule *rule)
{
    struct choice *choice = &lookup->choice;
    uint64_t now = now_ms(lookup->context);
    bool stays = special_is_private(lookup->dname, lookup->question.type);
    bool kept_inside = false;

    choice_init(choice, rule->hedge_ms, now + FORWARD_DEADLINE_MS);
    for (uint32_t i = 0; i < rule->upstream_count; i++) {
        const struct forward_upstream *described = &rule->upstreams[i];
        if (stays && described->class == FORWARD_PUBLIC) {
            kept_inside = true;
            continue;
        }
        struct upstream *upstream = directory_find(lookup->context->directory, described, now);
        if (upstream == NULL || is_planned(choice, upstream)) {
            continue;
        }
        struct choice_candidate candidate = {
            .upstream = upstream,
            .class = described->class,
            .region = region_of(choice, upstream),
            .usual_ms = atomic_load_explicit(&upstream->usual_ms, memory_order_relaxed),
            .away = is_away(described),
            .suspect = upstream->suspect,
            .down = upstream_is_down(upstream, now),
        };
        (void)choice_add(choice, &candidate);
    }
    lookup->is_private = kept_inside && choice->count == 0;
    choice_start(choice);
}

/* Suspects are asked as well, once a second each: that is how they come back. */
static void ask_suspects(struct lookup *lookup)
{
    for (uint32_t i = 0; i < lookup->choice.count; i++) {
        if (choice_may_probe(&lookup->choice, i) &&
            upstream_probe_due(lookup->choice.candidates[i].upstream, now_ms(lookup->context))) {
            ask(lookup, i, false, true);
        }
    }
}

void lookup_start(struct lookup *lookup, const struct forward_rule *rule)
{
    lookup->starting = true;
    plan(lookup, rule);
    advance(lookup);
    ask_suspects(lookup);
    lookup->starting = false;
}
