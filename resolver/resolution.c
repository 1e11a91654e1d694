#include "resolver/resolution.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "resolver/edns.h"
#include "resolver/hosts.h"
#include "resolver/local.h"
#include "resolver/outlook.h"
#include "resolver/publication.h"
#include "zones/name.h"
#include "zones/wire.h"

#define FAILURE_TTL_S  1    /* the least by RFC 9520, section 3.2: more would outlast the fault */
#define AGAIN_MS       1000 /* an expired name is asked for anew this often */
#define SEEK_MS        50   /* and of all of them one in so long, while nobody answers */
#define SWEEP_MS       1000
#define MESSAGE_MOST   WIRE_MESSAGE_MAX
#define REMARK_BYTES   96

struct resolution {
    struct resolution_host host;
    struct forwarder *forwarder;
    struct resolution_counters counters;
    uv_timer_t sweep;
    struct outlooks outlooks;
    uint64_t hosts_digest; /* of the hosts file in force */
    int64_t heard_ms; /* when an upstream last answered anything */
    int64_t seek_ms;  /* when one who may be dead is next worth a question that nobody waits for */
    bool closing;
    unsigned handles; /* timers not closed yet, and the forwarder */
    void (*closed)(void *user);
    void *closed_user;
    uint8_t message[MESSAGE_MOST]; /* the one being made from an entry */
    uint8_t answer[MESSAGE_MOST];  /* the same, while those who wait for it are told */
};

/* Somebody waits for a name of which something expired is at hand. */
struct pending {
    struct resolution *resolution;
    forward_done *done; /* NULL: was told */
    void *user;
    uv_timer_t timer;
    bool timer_open;
    bool asking; /* the forwarder has not answered yet */
    int64_t asked_ms;
    uint64_t rule; /* digest */
    struct forward_question question;
    uint8_t name[NAME_MAX_BYTES];
};

static int64_t now_ms(void)
{
    return (int64_t)clock_now_ms();
}

static void count(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* ---- the cache ---- */

static struct cache_key key_of(const struct forward_question *question, const uint8_t *dname)
{
    return (struct cache_key){
        .dname = dname,
        .length = question->name_length,
        .flags = (uint8_t)((question->dnssec_ok ? CACHE_DNSSEC_OK : 0) |
                           (question->checking_disabled ? CACHE_CHECKING_DISABLED : 0)),
        .type = question->type,
        .class = question->class,
    };
}

/* No visit: whoever found it expired has counted already, and one that was asked once stays one. */
static struct cache_entry *find(const struct resolution *r, const struct cache_key *key)
{
    return cache_peek(r->host.cache, key);
}

/* May it still be served, though expired? */
static bool is_servable(const struct resolution *r, const struct cache_entry *entry, int64_t now)
{
    int64_t expired_ms = now - entry->stored_ms - (int64_t)entry->ttl_s * 1000;

    return entry->kind != CACHE_FAILURE &&
           expired_ms < (int64_t)cache_settings(r->host.cache)->serve_stale_s * 1000;
}

/* The entry as the message an upstream would have sent for `question`. */
static void make_reply(const struct resolution *r, const struct forward_question *question,
                       const struct cache_entry *entry, int64_t now, uint8_t *message,
                       struct forward_reply *out)
{
    unsigned flags = WIRE_QR | WIRE_RD | WIRE_RA | (entry->authentic ? WIRE_AD : 0) | entry->rcode;
    size_t at = WIRE_QUESTION + question->name_length;

    memset(message, 0, WIRE_HEADER_BYTES);
    wire_put16(message + 2, (uint16_t)flags);
    wire_put16(message + 4, 1);
    for (unsigned i = 0; i < 3; i++) {
        wire_put16(message + 6 + 2 * (size_t)i, entry->records[i]);
    }
    memcpy(message + WIRE_QUESTION, question->name, question->name_length);
    wire_put16(message + at, question->type);
    wire_put16(message + at + 2, question->class);
    at += 4;
    REQUIRE(at + entry->body_length <= MESSAGE_MOST);
    cache_put_body(entry, now, cache_stale_ttl_s(r->host.cache), message + at);
    *out = (struct forward_reply){
        .message = message,
        .length = at + entry->body_length,
        .ede_text = "",
        .upstream = "",
        .origin = (enum forward_class)entry->origin,
        .positive = entry->kind == CACHE_POSITIVE,
    };
}

static void tell_cached(struct resolution *r, const struct forward_question *question,
                        struct cache_entry *entry, forward_done *done, void *user)
{
    struct forward_reply reply = {
        .ede_code = EDNS_CACHED_ERROR,
        .ede_text = "asked a moment ago, nobody answered",
        .upstream = "",
    };

    if (entry->kind != CACHE_FAILURE) {
        make_reply(r, question, entry, now_ms(), r->message, &reply);
    }
    cache_visit(entry);
    count(&r->counters.hits);
    done(user, &reply);
}

static void tell_stale(struct resolution *r, const struct forward_question *question,
                       const struct cache_entry *entry, const char *why, forward_done *done,
                       void *user)
{
    int64_t now = now_ms();
    int64_t expired_ms = now - entry->stored_ms - (int64_t)entry->ttl_s * 1000;
    char remark[REMARK_BYTES];
    struct forward_reply reply;

    make_reply(r, question, entry, now, r->message, &reply);
    (void)snprintf(remark, sizeof(remark), "expired %llds ago; %s", (long long)expired_ms / 1000,
                   why);
    reply.ede_code =
        entry->kind == CACHE_NXDOMAIN ? EDNS_STALE_NXDOMAIN : EDNS_STALE_ANSWER;
    reply.ede_text = remark;
    count(&r->counters.stale);
    done(user, &reply);
}

/* ---- what is known of a rule ---- */

static bool is_hopeless(const struct resolution *r, const struct forward_rule *rule,
                        uint64_t digest)
{
    return outlooks_is_silent(&r->outlooks, digest) || forwarder_is_down(r->forwarder, rule);
}

/* ---- what upstreams said ---- */

/* Somebody answers again under this rule. */
static void hear(struct resolution *r, const uint8_t *dname)
{
    if (r->outlooks.silent_count == 0) {
        return;
    }
    r->host.awake(r->host.user);
    const struct forward_rule *rule =
        snapshot_forward(publication_read(r->host.publication), dname);
    if (rule != NULL) {
        outlooks_set_silent(&r->outlooks, outlooks_digest(&r->outlooks, rule), false);
    }
}

/*
 * Would it put something worse in the place of what is there? A negative answer
 * of one who is not the first to be asked counts less than a positive one, even
 * an old one.
 */
static bool is_worse(const struct resolution *r, const struct cache_key *key,
                     const struct forward_reply *reply, int64_t now)
{
    if (reply->positive || !reply->lesser) {
        return false;
    }
    const struct cache_entry *entry = find(r, key);
    return entry != NULL && entry->kind == CACHE_POSITIVE && is_servable(r, entry, now);
}

/* Those who wait get what is kept, with the TTLs that it is kept for. */
static void tell_kept(struct resolution *r, const struct forward_question *question,
                      const struct cache_key *key, int64_t now, struct forward_reply *reply)
{
    const struct cache_entry *entry = find(r, key);
    struct forward_reply kept;

    if (entry != NULL && entry->kind != CACHE_FAILURE) {
        make_reply(r, question, entry, now, r->answer, &kept);
        reply->message = kept.message;
        reply->length = kept.length;
    }
}

static void on_answered(void *user, const struct forward_question *question, const uint8_t *dname,
                        struct forward_reply *reply)
{
    struct resolution *r = user;
    const struct cache_key key = key_of(question, dname);
    int64_t now = now_ms();

    r->host.awake(r->host.user);
    if (reply->message == NULL) {
        cache_store_failure(r->host.cache, &key, reply->ede_code, FAILURE_TTL_S, now);
        return;
    }
    r->heard_ms = now;
    hear(r, dname);
    if (!is_worse(r, &key, reply, now)) {
        const struct cache_answer answer = {
            .message = reply->message,
            .length = reply->length,
            /* a lesser one's "no" is kept as short as what public says */
            .origin = reply->lesser && !reply->positive ? FORWARD_PUBLIC : reply->origin,
            .stored_ms = now,
        };
        if (cache_store(r->host.cache, &key, &answer)) {
            tell_kept(r, question, &key, now, reply);
        }
    }
}

/* ---- asking while something expired is at hand ---- */

static void release(struct resolution *r)
{
    if (--r->handles > 0 || !r->closing) {
        return;
    }
    void (*closed)(void *) = r->closed;
    void *closed_user = r->closed_user;
    outlooks_fini(&r->outlooks);
    free(r);
    closed(closed_user);
}

static void settle(struct pending *p)
{
    if (!p->asking && !p->timer_open) {
        struct resolution *r = p->resolution;
        free(p);
        release(r);
    }
}

static void on_pending_closed(uv_handle_t *handle)
{
    struct pending *p = handle->data;

    p->timer_open = false;
    settle(p);
}

static void stop_waiting(struct pending *p)
{
    p->done = NULL;
    if (!uv_is_closing((uv_handle_t *)&p->timer)) {
        uv_close((uv_handle_t *)&p->timer, on_pending_closed);
    }
}

/* Give what is at hand, if it is still there. False when it is not. */
static bool give_stale(struct pending *p, const char *why)
{
    struct resolution *r = p->resolution;
    uint8_t dname[NAME_MAX_BYTES];

    r->host.awake(r->host.user);
    name_fold(p->name, p->question.name_length, dname);
    const struct cache_key key = key_of(&p->question, dname);
    struct cache_entry *entry = find(r, &key);
    if (entry == NULL || !is_servable(r, entry, now_ms())) {
        return false;
    }
    forward_done *done = p->done;
    void *user = p->user;
    stop_waiting(p);
    tell_stale(r, &p->question, entry, why, done, user);
    return true;
}

static void on_patience(uv_timer_t *timer)
{
    struct pending *p = timer->data;

    if (p->done == NULL || !give_stale(p, "no answer in time")) {
        return;
    }
    if (p->resolution->heard_ms < p->asked_ms) {
        outlooks_set_silent(&p->resolution->outlooks, p->rule, true);
    }
}

static void on_pending_reply(void *user, const struct forward_reply *reply)
{
    struct pending *p = user;

    p->asking = false;
    if (p->done != NULL) {
        bool poor = reply->message == NULL || (reply->lesser && !reply->positive);
        if (!poor || !give_stale(p, "nobody answered")) {
            forward_done *done = p->done;
            void *done_user = p->user;
            stop_waiting(p);
            done(done_user, reply);
        }
    }
    settle(p);
}

static void ask_beside(struct resolution *r, const struct forward_rule *rule, uint64_t digest,
                       const struct forward_question *question, const struct cache_entry *entry,
                       forward_done *done, void *user)
{
    struct pending *p = calloc(1, sizeof(*p));

    if (p == NULL) {
        tell_stale(r, question, entry, "out of memory", done, user);
        return;
    }
    p->resolution = r;
    p->done = done;
    p->user = user;
    p->asked_ms = now_ms();
    p->rule = digest;
    p->question = *question;
    memcpy(p->name, question->name, question->name_length);
    p->question.name = p->name;
    p->question.has_stale = entry->kind == CACHE_POSITIVE;
    (void)uv_timer_init(r->host.loop, &p->timer);
    p->timer.data = p;
    p->timer_open = true;
    p->asking = true;
    r->handles++;
    uv_update_time(r->host.loop);
    (void)uv_timer_start(&p->timer, on_patience, cache_settings(r->host.cache)->stale_wait_ms, 0);
    forwarder_ask(r->forwarder, rule, &p->question, on_pending_reply, p);
}

/* Ask for it anew behind; not again for a moment, whatever comes of it. */
static void refresh(struct resolution *r, const struct forward_rule *rule,
                    const struct forward_question *question, struct cache_entry *entry)
{
    struct forward_question again = *question;

    again.has_stale = entry->kind == CACHE_POSITIVE;
    count(&r->counters.refreshed);
    forwarder_ask(r->forwarder, rule, &again, NULL, NULL);
}

/* It has expired, but may be served. */
static void ask_expired(struct resolution *r, const struct forward_rule *rule,
                        const struct forward_question *question, struct cache_entry *entry,
                        forward_done *done, void *user)
{
    int64_t now = now_ms();
    uint64_t digest = outlooks_digest(&r->outlooks, rule);

    if (atomic_load_explicit(&entry->stale_until_ms, memory_order_relaxed) > now) {
        tell_stale(r, question, entry, "nobody can be asked now", done, user);
        return;
    }
    if (!is_hopeless(r, rule, digest)) {
        count(&r->counters.misses);
        ask_beside(r, rule, digest, question, entry, done, user);
        return;
    }
    atomic_store_explicit(&entry->stale_until_ms, now + AGAIN_MS, memory_order_relaxed);
    if (now >= r->seek_ms) { /* no storm of questions onto the dead: probes look after them, too */
        r->seek_ms = now + SEEK_MS;
        refresh(r, rule, question, entry);
    }
    tell_stale(r, question, entry, "the upstreams are down", done, user);
}

/* ---- asking ---- */

/* Names that nobody is to be asked for. Returns the length of the answer in `message`. */
static size_t answer_locally(struct resolution *r, const struct snapshot *snapshot,
                             const struct forward_question *question, const uint8_t *dname)
{
    size_t length = resolution_local(snapshot, question, r->message);

    if (length == 0 && forwarder_is_loop(r->forwarder, dname)) {
        /* a question of our own that came back: it must not go round again */
        return wire_query_build(r->message, 0, WIRE_QR | WIRE_RD | WIRE_RA | WIRE_REFUSED,
                                question->name, question->type, question->class, 0, false);
    }
    return length;
}

static void tell_message(struct resolution *r, size_t length, forward_done *done, void *user)
{
    const struct forward_reply reply = {
        .message = r->message,
        .length = length,
        .ede_text = "",
        .upstream = "",
    };

    count(&r->counters.local);
    done(user, &reply);
}

static void tell_shed(struct resolution *r, forward_done *done, void *user)
{
    static const struct forward_reply reply = {
        .ede_code = EDNS_OTHER,
        .ede_text = "too many questions in flight",
        .upstream = "",
    };

    count(&r->counters.shed);
    done(user, &reply);
}

void resolution_ask(struct resolution *resolution, const struct snapshot *snapshot,
                    const struct forward_question *question, forward_done *done, void *user)
{
    struct resolution *r = resolution;
    const struct forward_rule *rule;
    uint8_t dname[NAME_MAX_BYTES];

    name_fold(question->name, question->name_length, dname);
    rule = snapshot_forward(snapshot, dname);
    size_t length = answer_locally(r, snapshot, question, dname);
    if (length > 0) {
        tell_message(r, length, done, user);
        return;
    }
    REQUIRE(rule != NULL); /* see snapshot_resolves */
    const struct cache_key key = key_of(question, dname);
    struct cache_entry *entry =
        question->anew || question->second_opinion ? NULL : find(r, &key);
    bool is_full = forwarder_waiting(r->forwarder) >= snapshot->model->in_flight;
    if (entry != NULL && cache_left_s(entry, now_ms()) > 0) {
        tell_cached(r, question, entry, done, user);
    } else if (entry != NULL && is_servable(r, entry, now_ms())) {
        if (is_full) {
            tell_stale(r, question, entry, "too many questions in flight", done, user);
            return;
        }
        ask_expired(r, rule, question, entry, done, user);
    } else if (is_full) {
        tell_shed(r, done, user);
    } else {
        count(&r->counters.misses);
        forwarder_ask(r->forwarder, rule, question, done, user);
    }
}

size_t resolution_local(const struct snapshot *snapshot, const struct forward_question *question,
                        uint8_t *out)
{
    uint8_t dname[NAME_MAX_BYTES];

    name_fold(question->name, question->name_length, dname);
    const struct forward_rule *rule = snapshot_forward(snapshot, dname);
    size_t length = hosts_answer(snapshot->hosts, question, dname, out);
    return length > 0 || rule == NULL ? length : local_answer(question, dname, rule->dname, out);
}

void resolution_refresh(struct resolution *resolution, const struct snapshot *snapshot,
                        const struct forward_question *question)
{
    struct resolution *r = resolution;
    uint8_t dname[NAME_MAX_BYTES];

    name_fold(question->name, question->name_length, dname);
    const struct forward_rule *rule = snapshot_forward(snapshot, dname);
    const struct cache_key key = key_of(question, dname);
    struct cache_entry *entry = find(r, &key);
    if (rule != NULL && entry != NULL && snapshot->model->cache.prefetch &&
        forwarder_waiting(r->forwarder) < snapshot->model->in_flight / 2) {
        atomic_store_explicit(&entry->refreshing, true, memory_order_relaxed);
        refresh(r, rule, question, entry);
    }
}

/* ---- snapshots ---- */

static bool is_in_hosts(const void *user, const uint8_t *dname)
{
    return hosts_has(user, dname);
}

/* Names of the hosts file are not answered from the cache any more. */
static void forget_hosts(struct resolution *r, const struct hosts *hosts)
{
    if (hosts != NULL) {
        (void)cache_flush_if(r->host.cache, is_in_hosts, hosts);
    }
}

/* What was cached under a rule that is new, gone or changed may be wrong now. */
static void forget_rule(void *user, const uint8_t *tree)
{
    struct resolution *r = user;

    (void)cache_flush(r->host.cache, tree, true);
    forwarder_forget(r->forwarder, tree);
}

void resolution_adopt(struct resolution *resolution, const struct snapshot *snapshot)
{
    struct resolution *r = resolution;

    outlooks_adopt(&r->outlooks, snapshot, forget_rule, r);
    if (hosts_digest(snapshot->hosts) != r->hosts_digest) {
        r->hosts_digest = hosts_digest(snapshot->hosts);
        forget_hosts(r, snapshot->hosts);
    }
    cache_configure(r->host.cache, &snapshot->model->cache);
    forwarder_adopt(r->forwarder, snapshot);
}

void resolution_loaded(struct resolution *resolution)
{
    struct resolution *r = resolution;

    r->host.awake(r->host.user);
    forget_hosts(r, publication_read(r->host.publication)->hosts);
}

/* ---- life ---- */

static void on_sweep(uv_timer_t *timer)
{
    struct resolution *r = timer->data;

    cache_sweep(r->host.cache, now_ms());
}

static void on_sweep_closed(uv_handle_t *handle)
{
    release(handle->data);
}

static void on_forwarder_closed(void *user)
{
    release(user);
}

struct resolution *resolution_new(const struct resolution_host *host)
{
    struct resolution *r = calloc(1, sizeof(*r));

    if (r == NULL) {
        return NULL;
    }
    r->host = *host;
    r->forwarder = forwarder_new(host->loop);
    if (r->forwarder == NULL) {
        free(r);
        return NULL;
    }
    outlooks_init(&r->outlooks);
    forwarder_on_answer(r->forwarder, on_answered, r);
    (void)uv_timer_init(host->loop, &r->sweep);
    r->sweep.data = r;
    (void)uv_timer_start(&r->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
    r->handles = 2;
    return r;
}

const struct snapshot *resolution_snapshot(const struct resolution *resolution)
{
    return publication_read(resolution->host.publication);
}

const struct resolution_counters *resolution_counters(const struct resolution *resolution)
{
    return &resolution->counters;
}

struct forwarder *resolution_forwarder(const struct resolution *resolution)
{
    return resolution->forwarder;
}

void resolution_close(struct resolution *resolution, void (*closed)(void *user), void *user)
{
    struct resolution *r = resolution;

    r->closing = true;
    r->closed = closed;
    r->closed_user = user;
    uv_close((uv_handle_t *)&r->sweep, on_sweep_closed);
    forwarder_close(r->forwarder, on_forwarder_closed, r);
}
