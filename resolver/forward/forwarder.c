#include "resolver/forward/forwarder.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/hash.h"
#include "resolver/forward/directory.h"
#include "resolver/forward/liveness.h"
#include "resolver/forward/lookup.h"
#include "resolver/forward/plan.h"
#include "resolver/forward/upstream.h"
#include "zones/name.h"

#define BUCKETS        4096  /* a power of two; chains stay short up to WAITERS_MOST */
#define WAITERS_MOST   10000 /* questions in flight, before rules say how many */
#define SOCKETS_MOST   20000
#define SOCKETS_LEAST  64
#define KEY_TAIL_BYTES 5 /* type, class, flags */

/* Somebody who wants to be told. */
struct waiter {
    struct waiter *next;
    forward_done *done;
    void *user;
};

struct forwarder {
    struct lookup_context context;
    struct forward_counters counters;
    struct hash_key key;
    struct lookup *buckets[BUCKETS];
    unsigned waiting;
    unsigned waiting_most;
    struct waiter *shed; /* to be told at the next turn that there was no room */
    uv_timer_t timer;    /* for that */
    bool timer_open;
    struct liveness *liveness; /* NULL when it is closed */
    bool closing;
    forward_answered *answered; /* NULL: nobody */
    void *answered_user;
    void (*closed)(void *user);
    void *closed_user;
};

static void count(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* ---- life ---- */

static void forwarder_free(struct forwarder *forwarder)
{
    liveness_free(forwarder->liveness);
    directory_free(forwarder->context.directory);
    free(forwarder->context.pool.buffer);
    free(forwarder->context.answer);
    free(forwarder);
}

/* The last handle has gone after forwarder_close: so has the forwarder. */
static void on_released(void *user)
{
    struct forwarder *forwarder = user;

    if (!forwarder->closing || forwarder->timer_open || forwarder->liveness != NULL ||
        forwarder->context.alive > 0 || forwarder->context.pool.alive > 0) {
        return;
    }
    void (*closed)(void *) = forwarder->closed;
    void *closed_user = forwarder->closed_user;
    forwarder_free(forwarder);
    closed(closed_user);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct forwarder *forwarder = handle->data;

    forwarder->timer_open = false;
    on_released(forwarder);
}

static void on_liveness_closed(void *user)
{
    struct forwarder *forwarder = user;

    forwarder->liveness = NULL;
    on_released(forwarder);
}

/* ---- whose attempt it is ---- */

static const struct attempt_events *events_of(const struct attempt *attempt)
{
    return attempt->candidate == LIVENESS_CANDIDATE ? liveness_events() : lookup_events();
}

static void on_reply(struct attempt *attempt, const uint8_t *message, size_t length,
                     size_t answers_at)
{
    events_of(attempt)->reply(attempt, message, length, answers_at);
}

static void on_error(struct attempt *attempt, int code)
{
    events_of(attempt)->error(attempt, code);
}

static void on_silent(struct attempt *attempt)
{
    events_of(attempt)->silent(attempt);
}

static void on_spent(struct attempt *attempt)
{
    events_of(attempt)->spent(attempt);
}

/* Half of what the process may open: clients and checks need the other half. */
static unsigned sockets_most(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur / 2 > SOCKETS_MOST) {
        return SOCKETS_MOST;
    }
    return limit.rlim_cur / 2 < SOCKETS_LEAST ? SOCKETS_LEAST : (unsigned)(limit.rlim_cur / 2);
}

static void on_attempt_released(void *user)
{
    struct lookup_context *context = user;

    on_released(context->user);
}

static void on_finished(struct lookup *lookup, const struct forward_reply *reply);

static void on_change(void *user)
{
    struct forwarder *forwarder = user;

    if (!forwarder->closing) {
        liveness_look(forwarder->liveness);
    }
}

/* False when memory is out; then nothing of it is on the loop. */
static bool set_up(struct forwarder *forwarder, uv_loop_t *loop)
{
    static const struct attempt_events events = {
        .reply = on_reply,
        .error = on_error,
        .silent = on_silent,
        .spent = on_spent,
        .released = on_attempt_released,
    };
    struct lookup_context *context = &forwarder->context;

    context->pool.loop = loop;
    context->pool.buffer = malloc(WIRE_MESSAGE_MAX);
    context->pool.counters = &forwarder->counters;
    context->pool.most = sockets_most();
    context->pool.events = &events;
    context->pool.user = context;
    context->directory = directory_new();
    context->answer = malloc(LOOKUP_ANSWER_MAX);
    context->finished = on_finished;
    context->released = on_released;
    context->user = forwarder;
    budget_share_init(&context->share);
    forwarder->key = hash_key_random();
    forwarder->waiting_most = WAITERS_MOST;
    forwarder->liveness = liveness_new(&context->pool, context->directory);
    return context->pool.buffer != NULL && context->directory != NULL && context->answer != NULL &&
           forwarder->liveness != NULL && attempt_pool_open(&context->pool) == 0;
}

struct forwarder *forwarder_new(uv_loop_t *loop)
{
    struct forwarder *forwarder = calloc(1, sizeof(*forwarder));

    if (forwarder == NULL) {
        return NULL;
    }
    struct lookup_context *context = &forwarder->context;
    if (!set_up(forwarder, loop)) {
        forwarder_free(forwarder);
        return NULL;
    }
    liveness_start(forwarder->liveness);
    directory_on_change(context->directory, on_change, forwarder);
    (void)uv_timer_init(loop, &forwarder->timer);
    forwarder->timer.data = forwarder;
    forwarder->timer_open = true;
    return forwarder;
}

/* ---- those who wait ---- */

/* A few bytes per question asked: without them the promise to answer it cannot be kept. */
static struct waiter *waiter_new(forward_done *done, void *user)
{
    struct waiter *waiter = malloc(sizeof(*waiter));

    REQUIRE(waiter != NULL);
    *waiter = (struct waiter){ .done = done, .user = user };
    return waiter;
}

/* Tell all of a list and free it. Those told may ask again at once. */
static void tell(struct forwarder *forwarder, struct waiter *waiters,
                 const struct forward_reply *reply)
{
    while (waiters != NULL) {
        struct waiter *waiter = waiters;
        waiters = waiter->next;
        if (reply->message == NULL) {
            count(&forwarder->counters.failed);
        }
        if (waiter->done != NULL) {
            waiter->done(waiter->user, reply);
        }
        free(waiter);
    }
}

static void on_shed(uv_timer_t *timer)
{
    static const struct forward_reply reply = {
        .ede_code = LOOKUP_EDE_NETWORK_ERROR,
        .ede_text = "too many questions in flight",
        .upstream = "",
    };
    struct forwarder *forwarder = timer->data;
    struct waiter *waiters = forwarder->shed;

    forwarder->shed = NULL;
    tell(forwarder, waiters, &reply);
}

static void shed(struct forwarder *forwarder, struct waiter *waiter)
{
    count(&forwarder->counters.shed);
    waiter->next = forwarder->shed;
    forwarder->shed = waiter;
    (void)uv_timer_start(&forwarder->timer, on_shed, 0, 0);
}

/* ---- questions in flight ---- */

static uint64_t hash_question(const struct forwarder *forwarder,
                              const struct forward_question *question, const uint8_t *dname)
{
    uint8_t key[NAME_MAX_BYTES + KEY_TAIL_BYTES];
    uint8_t *tail = key + question->name_length;

    memcpy(key, dname, question->name_length);
    wire_put16(tail, question->type);
    wire_put16(tail + 2, question->class);
    tail[4] = (uint8_t)(question->dnssec_ok | question->checking_disabled << 1);
    return hash_bytes(&forwarder->key, key, question->name_length + (size_t)KEY_TAIL_BYTES);
}

static struct lookup **bucket_of(struct forwarder *forwarder, uint64_t hash)
{
    return &forwarder->buckets[hash % BUCKETS];
}

static bool is_same(const struct lookup *lookup, const struct forward_question *question,
                    const uint8_t *dname)
{
    const struct forward_question *other = &lookup->question;

    return !other->second_opinion && !lookup->forgotten && other->type == question->type &&
           other->class == question->class && other->dnssec_ok == question->dnssec_ok &&
           other->checking_disabled == question->checking_disabled &&
           other->name_length == question->name_length &&
           memcmp(lookup->dname, dname, question->name_length) == 0;
}

static struct lookup *find(struct forwarder *forwarder, const struct forward_question *question,
                           const uint8_t *dname, uint64_t hash)
{
    struct lookup *lookup = *bucket_of(forwarder, hash);

    while (lookup != NULL && (lookup->hash != hash || !is_same(lookup, question, dname))) {
        lookup = lookup->next;
    }
    return lookup;
}

static void on_finished(struct lookup *lookup, const struct forward_reply *reply)
{
    struct forwarder *forwarder = lookup->context->user;
    struct lookup **at = bucket_of(forwarder, lookup->hash);
    struct waiter *waiters = lookup->waiters;
    struct forward_reply told = *reply;

    while (*at != lookup) {
        at = &(*at)->next;
    }
    *at = lookup->next;
    lookup->waiters = NULL;
    for (const struct waiter *waiter = waiters; waiter != NULL; waiter = waiter->next) {
        forwarder->waiting--;
    }
    if (forwarder->answered != NULL && !forwarder->closing && !lookup->question.second_opinion &&
        !lookup->forgotten) {
        forwarder->answered(forwarder->answered_user, &lookup->question, lookup->dname, &told);
    }
    tell(forwarder, waiters, &told);
}

static void join(struct forwarder *forwarder, struct lookup *lookup, struct waiter *waiter)
{
    *lookup->waiters_end = waiter;
    lookup->waiters_end = &waiter->next;
    forwarder->waiting++;
}

void forwarder_ask(struct forwarder *forwarder, const struct forward_rule *rule,
                   const struct forward_question *question, forward_done *done, void *user)
{
    uint8_t dname[NAME_MAX_BYTES];
    struct waiter *waiter = waiter_new(done, user);

    REQUIRE(!uv_is_closing((uv_handle_t *)&forwarder->timer));
    count(&forwarder->counters.questions);
    if (forwarder->waiting >= forwarder->waiting_most || forwarder->closing) {
        shed(forwarder, waiter);
        return;
    }
    name_fold(question->name, question->name_length, dname);
    uint64_t hash = hash_question(forwarder, question, dname);
    struct lookup *lookup =
        question->second_opinion ? NULL : find(forwarder, question, dname, hash);
    if (lookup != NULL) {
        count(&forwarder->counters.coalesced);
        join(forwarder, lookup, waiter);
        return;
    }
    lookup = lookup_new(&forwarder->context, question, dname, hash);
    if (lookup == NULL) {
        shed(forwarder, waiter);
        return;
    }
    lookup->next = *bucket_of(forwarder, hash);
    *bucket_of(forwarder, hash) = lookup;
    join(forwarder, lookup, waiter);
    uv_update_time(forwarder->context.pool.loop); /* a batch before us may have taken long */
    lookup_start(lookup, rule);
}

/* ---- the rest ---- */

void forwarder_on_answer(struct forwarder *forwarder, forward_answered *answered, void *user)
{
    forwarder->answered = answered;
    forwarder->answered_user = user;
}

void forwarder_adopt(struct forwarder *forwarder, const struct snapshot *snapshot)
{
    forwarder->waiting_most = snapshot->model->in_flight;
    liveness_adopt(forwarder->liveness, snapshot->forwards, snapshot->forward_count);
}

/* Are all upstreams of the rule down that are of a kind, and is there any? */
static bool are_down(struct forwarder *forwarder, const struct forward_rule *rule, bool is_public)
{
    uint64_t now_ms = uv_now(forwarder->context.pool.loop);
    bool any = false;

    for (uint32_t i = 0; i < rule->upstream_count; i++) {
        const struct forward_upstream *described = &rule->upstreams[i];
        if ((described->class == FORWARD_PUBLIC) != is_public) {
            continue;
        }
        const struct upstream *upstream = directory_peek(forwarder->context.directory, described);
        if (upstream == NULL || !upstream_is_down(upstream, now_ms)) {
            return false;
        }
        any = true;
    }
    return any;
}

void forwarder_forget(struct forwarder *forwarder, const uint8_t *tree)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct lookup *l = forwarder->buckets[i]; l != NULL; l = l->next) {
            l->forgotten = l->forgotten || name_is_within(l->dname, tree);
        }
    }
}

bool forwarder_is_down(struct forwarder *forwarder, const struct forward_rule *rule)
{
    for (uint32_t i = 0; i < rule->upstream_count; i++) {
        if (rule->upstreams[i].class != FORWARD_PUBLIC) {
            return are_down(forwarder, rule, false);
        }
    }
    return are_down(forwarder, rule, true);
}

bool forwarder_is_loop(struct forwarder *forwarder, const uint8_t *dname)
{
    return directory_loop(forwarder->context.directory, liveness_loop_id(dname),
                          uv_now(forwarder->context.pool.loop));
}

unsigned forwarder_waiting(const struct forwarder *forwarder)
{
    return forwarder->waiting;
}

const struct forward_counters *forwarder_counters(const struct forwarder *forwarder)
{
    return &forwarder->counters;
}

void forwarder_describe(struct forwarder *forwarder, struct json_writer *json)
{
    directory_describe(forwarder->context.directory, json, clock_now_ms());
}

static struct upstream *peek(void *user, const struct forward_upstream *described)
{
    return directory_peek(user, described);
}

void forwarder_explain(struct forwarder *forwarder, const struct forward_rule *rule,
                       struct json_writer *json)
{
    struct directory *directory = forwarder->context.directory;
    struct choice choice;
    const struct plan_terms terms = { .now_ms = clock_now_ms(), .find = peek, .user = directory };

    directory_lock(directory);
    (void)plan_make(&choice, rule, &terms);
    for (uint32_t i = 0; i < choice.count; i++) {
        directory_describe_one(choice.candidates[i].upstream, choice_hedge_ms(&choice, i), json,
                               terms.now_ms);
    }
    directory_unlock(directory);
}

void forwarder_close(struct forwarder *forwarder, void (*closed)(void *user), void *user)
{
    REQUIRE(!forwarder->closing);
    forwarder->closing = true;
    forwarder->closed = closed;
    forwarder->closed_user = user;
    for (size_t i = 0; i < BUCKETS; i++) {
        while (forwarder->buckets[i] != NULL) {
            lookup_cancel(forwarder->buckets[i], "the server is stopping");
        }
    }
    lookup_context_close(&forwarder->context);
    liveness_close(forwarder->liveness, on_liveness_closed, forwarder);
    attempt_pool_close(&forwarder->context.pool);
    while (forwarder->shed != NULL) {
        on_shed(&forwarder->timer);
    }
    uv_close((uv_handle_t *)&forwarder->timer, on_timer_closed);
}
