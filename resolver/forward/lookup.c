#include "resolver/forward/lookup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "resolver/forward/plan.h"
#include "resolver/forward/rebinding.h"
#include "resolver/forward/scrub.h"
#include "resolver/forward/special.h"
#include "resolver/forward/tries.h"
#include "zones/name.h"

#define TOLD_MAX 3  /* upstreams named when nobody answered */
#define HELD_MS  25 /* until it is seen again whether an extra packet is to be had */

static const char silent_stream[] = "no answer over TCP";

static void advance(struct lookup *lookup);

static uint64_t now_ms(const struct lookup_context *context)
{
    return uv_now(context->pool.loop);
}

static void count(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
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

static void drop_candidate(struct lookup *lookup, uint32_t candidate)
{
    tries_drop_candidate(lookup->attempts, candidate);
}

void lookup_context_close(struct lookup_context *context)
{
    tries_drop_all(&context->watched);
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
        if (a->stream && !a->upstream->stream_only && a->silent) {
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
            tries_listen(&lookup->context->watched, attempt, now_ms(lookup->context));
        } else {
            tries_drop(attempt);
        }
    }
    uv_close((uv_handle_t *)&lookup->timer, on_closed);
    lookup->context->finished(lookup, reply);
}

/* What is to be said of an answer beside its bytes. */
struct verdict {
    bool positive;
    bool lesser;
    bool filtered; /* addresses were taken out, and nothing is left */
};

static void finish_with(struct lookup *lookup, const uint8_t *message, size_t length,
                        uint32_t candidate, struct verdict verdict)
{
    const struct choice_candidate *c = &lookup->choice.candidates[candidate];
    struct forward_reply reply = {
        .message = message,
        .length = length,
        .upstream = c->upstream->label,
        .origin = c->class,
        .positive = verdict.positive && !verdict.filtered,
        .lesser = verdict.lesser,
        .ede_text = "",
    };

    if (verdict.filtered) {
        reply.ede_code = LOOKUP_EDE_FILTERED;
        reply.ede_text = "private addresses of a public name were taken out";
    }
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

    finish(lookup, &(struct forward_reply){
                       .message = message, .length = length, .upstream = "", .ede_text = "" });
}

/* ---- asking ---- */

static void fail_candidate(struct lookup *lookup, uint32_t candidate, bool spoke, const char *fault)
{
    drop_candidate(lookup, candidate);
    choice_failed(&lookup->choice, candidate, spoke, fault);
}

/* A socket failed: evidence against the upstream, unless the fault is ours. */
static void socket_failed(struct lookup_context *context, struct upstream *upstream, bool stream,
                          int code, const char *fault)
{
    if (error_is_ours(code)) {
        return;
    }
    if (stream && !upstream->stream_only) {
        upstream_spoke(upstream, now_ms(context)); /* it has sent us there */
    } else {
        directory_refused(context->directory, upstream, fault, now_ms(context));
    }
}

static int open_attempt(struct lookup *lookup, uint32_t candidate, bool stream)
{
    struct attempt_pool *pool = &lookup->context->pool;
    struct upstream *upstream = lookup->choice.candidates[candidate].upstream;
    struct attempt *attempt;

    int code = attempt_open(pool, upstream, stream, &lookup->question, &attempt);
    if (code == -EMFILE && tries_make_room(lookup->context->watched, lookup->attempts)) {
        code = attempt_open(pool, upstream, stream, &lookup->question, &attempt);
    }
    if (code == 0) {
        attempt->owner = lookup;
        attempt->candidate = candidate;
        attempt->question = lookup->hash;
        tries_add(&lookup->attempts, attempt);
    }
    return code;
}

static void ask(struct lookup *lookup, uint32_t candidate, bool stream, bool probe)
{
    struct lookup_context *context = lookup->context;
    struct upstream *upstream = lookup->choice.candidates[candidate].upstream;
    int code = open_attempt(lookup, candidate, stream);

    if (code < 0) {
        socket_failed(context, upstream, stream, code, fault_of(code));
        fail_candidate(lookup, candidate, stream && !error_is_ours(code), fault_of(code));
        return;
    }
    upstream_spend(upstream, now_ms(context));
    upstream->live_ms = now_ms(context);
    choice_asked(&lookup->choice, candidate, probe, now_ms(context));
    if (upstream->stream_only) {
        choice_streaming(&lookup->choice, candidate); /* nothing is sent twice there */
    }
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
        socket_failed(context, attempt->upstream, false, code, fault_of(code));
        fail_candidate(lookup, candidate, false, fault_of(code));
        return;
    }
    upstream_spend(attempt->upstream, now_ms(context));
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
    finish_with(lookup, lookup->kept, lookup->kept_length, lookup->choice.kept,
                (struct verdict){ .lesser = true });
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

/*
 * Note whose answer should be there, and who shows signs of death. Returns when
 * one of them may do so if it stays silent; UINT64_MAX: nobody.
 */
static uint64_t look_around(struct lookup *lookup, uint64_t now)
{
    struct choice *choice = &lookup->choice;
    uint64_t soon_ms = UINT64_MAX;
    uint64_t at_ms;

    for (uint32_t i = 0; i < choice->count; i++) {
        struct choice_candidate *c = &choice->candidates[i];
        if (c->state != CHOICE_ASKED) {
            continue;
        }
        if (!c->overdue && now >= choice_overdue_ms(choice, i)) {
            c->overdue = true;
            upstream_overdue(c->upstream, c->asked_ms);
        }
        if (upstream_is_worth_a_probe(c->upstream, choice->kept != CHOICE_NONE) &&
            budget_share_owe(&lookup->context->share)) {
            directory_doubt(lookup->context->directory, c->upstream);
        }
        c->doubtful = upstream_is_doubtful(c->upstream, now, &at_ms);
        c->dying = upstream_is_dying(c->upstream, now);
        c->ailing = upstream_is_ailing(c->upstream, now);
        if (!c->doubtful && at_ms > now && at_ms < soon_ms) {
            soon_ms = at_ms;
        }
    }
    return soon_ms;
}

/*
 * May this packet go out, which is perhaps for nothing? Not above what its
 * upstream may be asked; of our share it is free where an upstream fails.
 */
static bool may_be_extra(struct lookup *lookup, const struct choice_step *step)
{
    struct upstream *upstream = lookup->choice.candidates[step->candidate].upstream;

    if (!budget_rate_has(&upstream->rate, now_ms(lookup->context))) {
        return false;
    }
    for (uint32_t i = 0; i < lookup->choice.count; i++) {
        const struct choice_candidate *c = &lookup->choice.candidates[i];
        bool fails = c->dying || c->ailing || c->suspect;
        if (c->state == CHOICE_ASKED && !c->probe && fails) {
            return true;
        }
    }
    return budget_share_spend(&lookup->context->share);
}

static void take_step(struct lookup *lookup, const struct choice_step *step)
{
    struct forward_counters *counters = lookup->context->pool.counters;
    struct upstream *upstream = lookup->choice.candidates[step->candidate].upstream;

    if (step->action == CHOICE_RESEND) {
        count(&counters->resends);
        ask_again(lookup, step->candidate);
        return;
    }
    if (step->hedge) {
        count(&counters->hedges);
        count(&upstream->hedges);
    } else if (!lookup->has_asked) {
        count(&counters->asked);
    }
    lookup->has_asked = true;
    ask(lookup, step->candidate, false, false);
}

/* Do what choice says until it says to wait. */
static void advance(struct lookup *lookup)
{
    for (;;) {
        uint64_t now = now_ms(lookup->context);
        uint64_t soon_ms = look_around(lookup, now);
        struct choice_step step = choice_next(&lookup->choice, now);
        switch (step.action) {
        case CHOICE_ASK:
        case CHOICE_RESEND:
            if (step.extra && !may_be_extra(lookup, &step)) {
                choice_hold(&lookup->choice, now + HELD_MS);
                break;
            }
            take_step(lookup, &step);
            break;
        case CHOICE_WAIT:
            wake_after(lookup, (soon_ms < step.until_ms ? soon_ms : step.until_ms) - now);
            return;
        case CHOICE_TAKE_KEPT:
        case CHOICE_GIVE_UP:
            end(lookup, step.action);
            return;
        }
    }
}

/* ---- replies ---- */

static void keep(struct lookup *lookup, const uint8_t *message, size_t length, uint32_t candidate)
{
    uint8_t *copy = malloc(length);

    if (copy == NULL) {
        /* no memory to wait for a better one */
        finish_with(lookup, message, length, candidate, (struct verdict){ .lesser = true });
        return;
    }
    memcpy(copy, message, length);
    free(lookup->kept);
    lookup->kept = copy;
    lookup->kept_length = length;
}

/* A public upstream does not know what there is inside, even when it is all that answers. */
static bool is_lesser(const struct choice *choice, uint32_t candidate)
{
    for (uint32_t i = 0; i < choice->count; i++) {
        if (choice->candidates[i].class != FORWARD_PUBLIC) {
            return choice->candidates[candidate].class == FORWARD_PUBLIC;
        }
    }
    return false;
}

static void on_good(struct lookup *lookup, uint32_t candidate, bool positive, size_t length)
{
    uint8_t *message = lookup->context->answer;
    struct verdict verdict = { .positive = positive };

    drop_candidate(lookup, candidate);
    if (positive && lookup->refuse_private) {
        verdict.filtered = rebinding_filter(message, &length) == REBINDING_EMPTY;
    }
    switch (choice_answered(&lookup->choice, candidate, positive)) {
    case CHOICE_TAKE:
        verdict.lesser = !positive && is_lesser(&lookup->choice, candidate);
        finish_with(lookup, message, length, candidate, verdict);
        return;
    case CHOICE_KEEP:
        keep(lookup, message, length, candidate);
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
        tries_drop(attempt);
        return;
    }
    drop_candidate(lookup, candidate);
    choice_streaming(&lookup->choice, candidate);
    ask(lookup, candidate, true, false);
    advance(lookup);
}

/* A good answer came; when its silence was counted before, that was wrong. */
static void note_good(const struct attempt *attempt, uint64_t now)
{
    uint64_t now_us = uv_hrtime() / 1000;
    uint64_t took_us = now_us > attempt->sent_us ? now_us - attempt->sent_us : 0;
    const struct lookup *lookup = attempt->owner;
    unsigned times = lookup == NULL ? 1 : lookup->choice.candidates[attempt->candidate].times;

    if (times > 1 && !attempt->stream) {
        upstream_resent(attempt->upstream, times - 1, took_us, now);
    }
    if (attempt->silent) {
        directory_late(context_of(attempt)->directory, attempt->upstream, took_us,
                       tries_weight(attempt), now);
    } else {
        directory_good(context_of(attempt)->directory, attempt->upstream, took_us, now);
    }
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
        note_good(attempt, now);
        if (lookup == NULL) {
            tries_drop(attempt);
        } else {
            on_good(lookup, attempt->candidate, verdict == SCRUB_POSITIVE, answer_length);
        }
        return;
    }
    upstream_spoke(upstream, now);
    if (lookup == NULL) {
        directory_bad(context->directory, upstream, attempt->question, fault, now);
        tries_drop(attempt);
    } else {
        fail_candidate(lookup, attempt->candidate, true, fault);
        advance(lookup);
    }
}

static void on_error(struct attempt *attempt, int code)
{
    struct lookup *lookup = attempt->owner;
    struct lookup_context *context = context_of(attempt);
    bool spoke = attempt->stream && !attempt->upstream->stream_only && !error_is_ours(code);
    const char *fault = attempt->fault != NULL ? attempt->fault : fault_of(code);

    socket_failed(context, attempt->upstream, attempt->stream, code, fault);
    if (lookup != NULL) {
        fail_candidate(lookup, attempt->candidate, spoke, fault);
        advance(lookup);
        return;
    }
    if (spoke) {
        directory_bad(context->directory, attempt->upstream, attempt->question, fault,
                      now_ms(context));
    }
    tries_drop(attempt);
}

static void on_silent(struct attempt *attempt)
{
    struct lookup_context *context = context_of(attempt);

    if (!attempt->stream || attempt->upstream->stream_only) {
        directory_silent(context->directory, attempt->upstream, attempt->sent_ms,
                         tries_weight(attempt), now_ms(context));
    } else if (attempt->owner == NULL) {
        directory_bad(context->directory, attempt->upstream, attempt->question, silent_stream,
                      now_ms(context));
    }
}

static void on_spent(struct attempt *attempt)
{
    if (attempt->owner == NULL) {
        tries_drop(attempt);
    }
}

static void on_attempt_released(void *user)
{
    struct lookup_context *context = user;

    context->released(context->user);
}

const struct attempt_events *lookup_events(void)
{
    static const struct attempt_events events = {
        .reply = on_reply,
        .error = on_error,
        .silent = on_silent,
        .spent = on_spent,
        .released = on_attempt_released,
    };

    return &events;
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

static struct upstream *find_upstream(void *user, const struct forward_upstream *described)
{
    struct lookup_context *context = user;
    uint64_t now = now_ms(context);
    struct upstream *upstream = directory_find(context->directory, described, now);

    if (upstream != NULL) {
        upstream_look_at_budget(upstream, now);
    }
    return upstream;
}

/* Take from the rule all that is needed: it may be gone before the answer. */
static void plan(struct lookup *lookup, const struct forward_rule *rule)
{
    struct lookup_context *context = lookup->context;
    const struct plan_terms terms = {
        .stays = special_is_private(lookup->dname, lookup->question.type),
        .has_stale = lookup->question.has_stale,
        .second_opinion = lookup->question.second_opinion,
        .apart_from = lookup->question.apart_from,
        .now_ms = now_ms(context),
        .find = find_upstream,
        .user = context,
    };

    lookup->refuse_private = rule->refuse_private;
    lookup->is_private = plan_make(&lookup->choice, rule, &terms);
    if (!terms.second_opinion) {
        plan_note_rivals(&lookup->choice);
    }
    lookup->question.apart_from = NULL; /* the caller's, no longer */
    if (lookup->choice.count > 0) {
        budget_share_earn(&context->share, terms.now_ms);
    }
}

/* Some suspects are asked as well, a few times a second each: that is how they come back. */
static void ask_suspects(struct lookup *lookup)
{
    for (uint32_t i = 0; i < lookup->choice.count; i++) {
        struct upstream *upstream = lookup->choice.candidates[i].upstream;
        if (choice_may_probe(&lookup->choice, i) &&
            upstream_beside_due(upstream, now_ms(lookup->context))) {
            count(&lookup->context->pool.counters->probes);
            count(&upstream->probes);
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
