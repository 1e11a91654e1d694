#include "resolver/forward/connection.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "resolver/forward/channel.h"
#include "resolver/forward/frames.h"
#include "resolver/forward/pending.h"
#include "resolver/forward/target.h"
#include "zones/wire.h"

#define STREAMS_MOST 4            /* to one target */
#define ASKS_ENOUGH  100          /* on one stream, before another is opened */
#define AGAIN_MOST   4            /* times a question is sent again after streams that closed */
#define UNSENT_MOST  (256 * 1024) /* bytes: the upstream does not read */
#define OUTPUT_BYTES (2 + WIRE_MESSAGE_MAX)
#define TICK_MOST_MS 250
#define SWEEP_MS     60000 /* between looks at targets without streams */

struct connection {
    struct channel channel;
    struct connection_set *set;
    struct target *target;
    struct connection *next, **link; /* of the target; not once it is closing */
    struct connection *next_dirty;
    bool dirty; /* has questions to be sent before the loop sleeps */
    bool ready;
    bool closing;
    bool answered;           /* a question */
    bool waits;              /* for the connection to open, or for an answer */
    uint64_t waits_since_ms; /* since when nothing has come */
    uint64_t active_ms;      /* the last question or answer */
    struct pending pending;
    struct frames frames;
};

struct connection_set {
    uv_loop_t *loop;
    uv_timer_t timer;
    uv_prepare_t prepare;
    unsigned handles; /* not closed yet: the two above and the channels' */
    unsigned channels;
    struct connection_limits limits;
    struct target *targets;
    struct connection *dirty;
    struct tls_contexts contexts;
    struct connection_counters counters;
    struct channel_buffers *buffers; /* from the first stream on */
    uint8_t *output;                 /* OUTPUT_BYTES, questions on their way to a stream */
    struct pending_ids ids;
    uint64_t ticked_ms;
    bool late; /* the last tick was */
    bool closing;
    void (*closed)(void *user);
    void *user;
    struct error error;
};

static const struct channel_events channel_events;

static void count(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* ---- the end of a connection ---- */

static void set_clean(struct connection *c)
{
    struct connection **link = &c->set->dirty;

    if (!c->dirty) {
        return;
    }
    while (*link != c) {
        link = &(*link)->next_dirty;
    }
    *link = c->next_dirty;
    c->dirty = false;
}

/* Nothing is asked on it any more. Its asks stay where they are. */
static void shut(struct connection *c)
{
    if (c->closing) {
        return;
    }
    c->closing = true;
    set_clean(c);
    *c->link = c->next;
    if (c->next != NULL) {
        c->next->link = c->link;
    }
    c->target->open--;
    c->target->used_ms = uv_now(c->set->loop);
    channel_close(&c->channel);
}

/* Asks are over and nobody is told. */
static void drop_asks(struct connection *c)
{
    pending_gather(&c->pending);
    while (c->pending.queue != NULL) {
        pending_remove(c->pending.queue);
    }
}

static void release_handle(struct connection_set *set)
{
    if (--set->handles > 0 || !set->closing) {
        return;
    }
    target_free_all(&set->targets);
    void (*closed)(void *user) = set->closed;
    void *user = set->user;
    free(set->buffers);
    free(set->output);
    free(set);
    closed(user);
}

static void on_channel_closed(struct channel *channel)
{
    struct connection *c = channel->owner;
    struct connection_set *set = c->set;

    c->target->alive--;
    set->channels--;
    frames_fini(&c->frames);
    free(c);
    release_handle(set);
}

/* ---- a connection's beginning ---- */

static void on_timer(uv_timer_t *timer);

static uint64_t tick_ms(const struct connection_set *set)
{
    const struct connection_limits *limits = &set->limits;
    uint32_t least = limits->silent_ms < limits->idle_ms ? limits->silent_ms : limits->idle_ms;
    uint64_t tick = least / 8u + 1;

    return tick < TICK_MOST_MS ? tick : TICK_MOST_MS;
}

static void start_ticking(struct connection_set *set)
{
    uint64_t tick = tick_ms(set);

    if (uv_timer_get_repeat(&set->timer) != tick) {
        set->ticked_ms = uv_now(set->loop);
        (void)uv_timer_start(&set->timer, on_timer, tick, tick);
    }
}

static int make_buffers(struct connection_set *set)
{
    if (set->buffers == NULL) {
        set->buffers = malloc(sizeof(*set->buffers));
    }
    if (set->output == NULL) {
        set->output = malloc(OUTPUT_BYTES);
    }
    return set->buffers != NULL && set->output != NULL ? 0 : -ENOMEM;
}

static void link_connection(struct connection *c)
{
    struct connection **link = &c->target->connections;

    while (*link != NULL) {
        link = &(*link)->next;
    }
    c->link = link;
    *link = c;
    c->target->open++;
}

static struct connection *new_connection(struct connection_set *set, struct target *target)
{
    struct connection *c = calloc(1, sizeof(*c));

    if (c == NULL) {
        return NULL;
    }
    c->set = set;
    c->target = target;
    pending_init(&c->pending);
    c->channel.owner = c;
    c->waits = true;
    c->waits_since_ms = uv_now(set->loop);
    c->active_ms = c->waits_since_ms;
    target->alive++;
    set->channels++;
    set->handles++;
    link_connection(c);
    return c;
}

static int open_connection(struct connection_set *set, struct target *target,
                           struct connection **out, const char **out_text)
{
    int code = make_buffers(set);

    *out_text = "out of memory";
    if (code < 0) {
        return code;
    }
    code = target_find_context(target, &set->contexts, uv_now(set->loop), &set->error);
    if (code < 0) {
        *out_text = set->error.message;
        return code;
    }
    struct connection *c = new_connection(set, target);
    if (c == NULL) {
        return -ENOMEM;
    }
    const struct channel_opening opening = {
        .loop = set->loop,
        .address = &target->where.address,
        .source = target->where.has_source ? &target->where.source : NULL,
        .buffers = set->buffers,
        .context = target->context,
        .settings = target->settings,
        .ticket = &target->ticket,
    };
    code = channel_open(&c->channel, &opening, &channel_events);
    if (code < 0) {
        shut(c);
        *out_text = uv_strerror(code);
        return code;
    }
    start_ticking(set);
    count(&set->counters.opened);
    *out = c;
    return 0;
}

/* ---- where a question goes ---- */

static uint64_t waited_ms(const struct connection *c, uint64_t now_ms)
{
    return c->waits && now_ms > c->waits_since_ms ? now_ms - c->waits_since_ms : 0;
}

/*
 * The first stream with room that is not in doubt, so that the others become
 * idle and close. `room` is false when there is none; then it is the one with
 * the fewest asks, or NULL.
 */
static struct connection *pick_connection(const struct connection_set *set,
                                          const struct target *target, bool *room)
{
    uint64_t now_ms = uv_now(set->loop);
    struct connection *best = NULL;

    for (struct connection *c = target->connections; c != NULL; c = c->next) {
        if (c->pending.unanswered >= PENDING_UNANSWERED_MOST) {
            continue;
        }
        if (c->pending.asks < ASKS_ENOUGH && waited_ms(c, now_ms) < set->limits.doubt_ms) {
            *room = true;
            return c;
        }
        if (best == NULL || c->pending.asks < best->pending.asks) {
            best = c;
        }
    }
    *room = false;
    return best;
}

static int find_connection(struct connection_set *set, struct target *target,
                           struct connection **out, const char **out_text)
{
    bool room;
    struct connection *best = pick_connection(set, target, &room);

    if (!room && target->open < STREAMS_MOST) {
        int code = open_connection(set, target, out, out_text);
        if (code == 0 || best == NULL) {
            return code;
        }
    }
    if (best == NULL) {
        *out_text = "too many questions are unanswered";
        return -EBUSY;
    }
    *out = best;
    return 0;
}

/* One that was opened only now: others to the target may have closed unnoticed as well. */
static int find_fresh_connection(struct connection_set *set, struct target *target,
                                 struct connection **out, const char **out_text)
{
    for (struct connection *c = target->connections; c != NULL; c = c->next) {
        if (!c->ready) {
            *out = c;
            return 0;
        }
    }
    count(&set->counters.reopened);
    return open_connection(set, target, out, out_text);
}

/* ---- sending ---- */

static void on_prepare(uv_prepare_t *prepare);

static void set_dirty(struct connection *c)
{
    struct connection_set *set = c->set;

    if (c->dirty || !c->ready || c->pending.queue == NULL) {
        return;
    }
    c->dirty = true;
    c->next_dirty = set->dirty;
    set->dirty = c;
    (void)uv_prepare_start(&set->prepare, on_prepare);
}

static void put_ask(struct connection *c, struct connection_ask *ask)
{
    pending_put(&c->pending, ask);
    c->active_ms = uv_now(c->set->loop);
    set_dirty(c);
}

static void end(struct connection *c, int code, const char *text, bool again);

static void flush(struct connection *c)
{
    while (!c->closing && channel_unsent(&c->channel) < UNSENT_MOST) {
        size_t size = pending_send(&c->pending, &c->set->ids, c->set->output, OUTPUT_BYTES);
        if (size == 0) {
            return;
        }
        if (!c->waits) {
            c->waits = true;
            c->waits_since_ms = uv_now(c->set->loop);
        }
        int code = channel_write(&c->channel, c->set->output, size);
        if (code < 0) {
            end(c, code, uv_strerror(code), true);
        }
    }
}

/* Before the loop sleeps: questions that came in one turn leave in one go. */
static void on_prepare(uv_prepare_t *prepare)
{
    struct connection_set *set = prepare->data;

    while (set->dirty != NULL) {
        struct connection *c = set->dirty;
        set_clean(c);
        flush(c);
    }
    if (!set->closing) {
        (void)uv_prepare_stop(&set->prepare);
    }
}

/* ---- the end of a stream with asks ---- */

/*
 * Those that were not sent twice yet go to a fresh stream; the others stay. An
 * upstream may close each stream after an answer: then they may go more often.
 */
static void ask_again(struct connection *c)
{
    unsigned most = c->answered ? AGAIN_MOST : 1;
    struct connection_ask *next;
    const char *text;

    for (struct connection_ask *ask = c->pending.queue; ask != NULL; ask = next) {
        struct connection *fresh;
        next = ask->next;
        if (ask->again >= most || find_fresh_connection(c->set, c->target, &fresh, &text) < 0) {
            continue;
        }
        ask->again++;
        pending_remove(ask);
        put_ask(fresh, ask);
    }
}

/* The stream is over. `again`: its questions may be asked once more. */
static void end(struct connection *c, int code, const char *text, bool again)
{
    struct connection_set *set = c->set;

    shut(c);
    pending_gather(&c->pending);
    if (again) {
        ask_again(c);
    }
    /* what is told may ask, cancel and close: c stays until a later turn of the loop */
    while (c->pending.queue != NULL) {
        struct connection_ask *ask = c->pending.queue;
        pending_remove(ask);
        if (!set->closing) {
            ask->failed(ask, code, text);
        }
    }
}

/* ---- what comes ---- */

static bool on_message(void *user, const uint8_t *message, size_t length)
{
    struct connection *c = user;
    struct connection_ask *ask;

    if (!pending_answered(&c->pending, wire_get16(message), &ask)) {
        count(&c->set->counters.strangers);
        return true;
    }
    c->active_ms = uv_now(c->set->loop);
    c->answered = true;
    if (ask == NULL) {
        return true; /* it was cancelled */
    }
    if (!ask->answered(ask, message, length) && !c->closing) {
        pending_put(&c->pending, ask);
        end(c, -EPROTO, "answered another question", false);
    }
    return !c->closing;
}

static void on_received(struct channel *channel, const uint8_t *bytes, size_t size)
{
    struct connection *c = channel->owner;
    int code = frames_feed(&c->frames, bytes, size, on_message, c);

    if (c->closing) {
        return;
    }
    if (code < 0) {
        end(c, code, code == -EPROTO ? "sent what is no message" : uv_strerror(code), true);
        return;
    }
    c->waits = c->pending.unanswered > 0;
    c->waits_since_ms = uv_now(c->set->loop);
    set_dirty(c);
}

static void on_ready(struct channel *channel)
{
    struct connection *c = channel->owner;

    c->ready = true;
    c->waits = false;
    if (channel_is_resumed(channel)) {
        count(&c->set->counters.resumed);
    }
    set_dirty(c);
}

static void on_written(struct channel *channel)
{
    set_dirty(channel->owner);
}

static void on_ended(struct channel *channel, int code, const char *text)
{
    struct connection *c = channel->owner;
    bool again = c->ready;

    if (!c->ready && code != -EKEYREJECTED && channel_offered_ticket(channel)) {
        /* perhaps the session was to blame: once more, without */
        tls_ticket_clear(&c->target->ticket);
        again = true;
    }
    end(c, code, text, again);
}

static const struct channel_events channel_events = {
    .ready = on_ready,
    .received = on_received,
    .written = on_written,
    .ended = on_ended,
    .closed = on_channel_closed,
};

/* ---- time ---- */

static bool is_idle(const struct connection *c, uint64_t now_ms)
{
    const struct connection_limits *limits = &c->set->limits;
    uint32_t limit_ms = c->target->settings != NULL ? limits->idle_tls_ms : limits->idle_ms;

    return c->pending.asks == 0 && now_ms > c->active_ms && now_ms - c->active_ms >= limit_ms;
}

static bool is_silent(const struct connection *c, uint64_t now_ms)
{
    return waited_ms(c, now_ms) >= c->set->limits.silent_ms;
}

static struct connection *find_stream(struct connection_set *set,
                                      bool (*is)(const struct connection *c, uint64_t now_ms))
{
    uint64_t now_ms = uv_now(set->loop);

    for (struct target *target = set->targets; target != NULL; target = target->next) {
        for (struct connection *c = target->connections; c != NULL; c = c->next) {
            if (is(c, now_ms)) {
                return c;
            }
        }
    }
    return NULL;
}

/* Each leaves the list; what takes its place is neither idle nor silent. */
static void end_old_streams(struct connection_set *set)
{
    struct connection *c;

    while ((c = find_stream(set, is_silent)) != NULL) {
        end(c, -ETIMEDOUT, c->ready ? "the stream is silent" : "no connection was made", c->ready);
    }
    while ((c = find_stream(set, is_idle)) != NULL) {
        shut(c);
    }
}

/*
 * After a turn of the loop that took long, timers come before answers that were
 * in time. So a tick that is late gives the streams their turn, once.
 */
static bool is_late(struct connection_set *set)
{
    uint64_t now_ms = uv_now(set->loop);
    bool late = now_ms - set->ticked_ms > 2 * uv_timer_get_repeat(&set->timer);

    set->ticked_ms = now_ms;
    set->late = late && !set->late;
    return set->late;
}

static void on_timer(uv_timer_t *timer)
{
    struct connection_set *set = timer->data;

    if (is_late(set)) {
        return;
    }
    end_old_streams(set);
    target_forget(&set->targets, set->limits.forget_ms, uv_now(set->loop));
    if (set->closing || set->channels > 0) {
        return;
    }
    if (set->targets == NULL) {
        (void)uv_timer_stop(timer);
        uv_timer_set_repeat(timer, 0);
    } else if (uv_timer_get_repeat(timer) != SWEEP_MS) {
        (void)uv_timer_start(timer, on_timer, SWEEP_MS, SWEEP_MS);
    }
}

/* ---- for the caller ---- */

struct connection_set *connection_set_new(uv_loop_t *loop)
{
    struct connection_set *set = calloc(1, sizeof(*set));

    if (set == NULL) {
        return NULL;
    }
    set->loop = loop;
    set->limits = (struct connection_limits){
        .silent_ms = 2000,
        .doubt_ms = 500,
        .idle_ms = 10000,
        .idle_tls_ms = 30000,
        .forget_ms = 900000,
    };
    (void)uv_timer_init(loop, &set->timer);
    set->timer.data = set;
    (void)uv_prepare_init(loop, &set->prepare);
    set->prepare.data = set;
    set->handles = 2;
    return set;
}

void connection_set_limits(struct connection_set *set, const struct connection_limits *limits)
{
    set->limits = *limits;
}

int connection_ask(struct connection_set *set, const struct connection_target *where,
                   struct connection_ask *ask, const char **out_text)
{
    struct connection *c;

    ask->pending = NULL;
    ask->again = 0;
    *out_text = "streams are being closed";
    if (set->closing) {
        return -ECANCELED;
    }
    REQUIRE(ask->length >= WIRE_HEADER_BYTES);
    struct target *target = target_find(&set->targets, where, uv_now(set->loop));
    if (target == NULL) {
        *out_text = "out of memory";
        return -ENOMEM;
    }
    int code = find_connection(set, target, &c, out_text);
    if (code < 0) {
        start_ticking(set); /* the target is to be forgotten some day */
        return code;
    }
    put_ask(c, ask);
    count(&set->counters.asked);
    return 0;
}

void connection_cancel(struct connection_ask *ask)
{
    if (ask->pending != NULL) {
        pending_remove(ask);
    }
}

const struct connection_counters *connection_counters(const struct connection_set *set)
{
    return &set->counters;
}

static void on_handle_closed(uv_handle_t *handle)
{
    release_handle(handle->data);
}

void connection_set_close(struct connection_set *set, void (*closed)(void *user), void *user)
{
    set->closing = true;
    set->closed = closed;
    set->user = user;
    for (struct target *target = set->targets; target != NULL; target = target->next) {
        while (target->connections != NULL) {
            struct connection *c = target->connections;
            drop_asks(c);
            shut(c);
        }
    }
    uv_close((uv_handle_t *)&set->timer, on_handle_closed);
    uv_close((uv_handle_t *)&set->prepare, on_handle_closed);
}
