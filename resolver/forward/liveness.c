#include "resolver/forward/liveness.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/log.h"
#include "resolver/forward/special.h"
#include "zones/name.h"

#define LOOP_LABEL  "leeward-loop-"
#define LOOP_DIGITS 16
#define LABEL_BYTES (sizeof(LOOP_LABEL) - 1 + LOOP_DIGITS)
#define LOOP_DOMAIN "\10internal" /* reserved for private use; nobody answers it by default */
#define SLOW_FAILED 2 /* a slow suspect is asked as one that failed so many probes */

/* One upstream that is probed. */
struct watch {
    struct liveness *liveness;
    struct upstream *upstream;
    uint8_t name[NAME_MAX_BYTES]; /* whose SOA it is asked for */
    uint8_t name_length;
    bool was_told;         /* it was asked for the loop's name */
    bool was_suspect;      /* when it was last looked at */
    struct attempt *probe; /* the last one, NULL when it is over */
    bool is_lost;          /* it came to nothing, but may come late */
    struct attempt *loop;
};

struct liveness {
    struct attempt_pool *pool;
    struct directory *directory;
    struct watch *watches;
    size_t count;
    uv_timer_t timer;
    bool closing;
    void (*closed)(void *user);
    void *closed_user;
};

static uint64_t now_ms(const struct liveness *liveness)
{
    return uv_now(liveness->pool->loop);
}

static void count(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* ---- the name that only we know ---- */

static uint8_t write_loop_name(uint64_t id, uint8_t out[NAME_MAX_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t *at = out;

    *at++ = (uint8_t)LABEL_BYTES;
    memcpy(at, LOOP_LABEL, sizeof(LOOP_LABEL) - 1);
    at += sizeof(LOOP_LABEL) - 1;
    for (unsigned i = 0; i < LOOP_DIGITS; i++) {
        *at++ = (uint8_t)digits[id >> (60 - 4 * i) & 0xf];
    }
    memcpy(at, LOOP_DOMAIN, sizeof(LOOP_DOMAIN));
    return (uint8_t)(at - out + (ptrdiff_t)sizeof(LOOP_DOMAIN));
}

uint64_t liveness_loop_id(const uint8_t *dname)
{
    uint64_t id = 0;

    if (dname[0] != LABEL_BYTES || memcmp(dname + 1, LOOP_LABEL, sizeof(LOOP_LABEL) - 1) != 0 ||
        memcmp(dname + 1 + LABEL_BYTES, LOOP_DOMAIN, sizeof(LOOP_DOMAIN)) != 0) {
        return 0;
    }
    for (unsigned i = 0; i < LOOP_DIGITS; i++) {
        uint8_t c = dname[sizeof(LOOP_LABEL) + i];
        if ((c < '0' || c > '9') && (c < 'a' || c > 'f')) {
            return 0;
        }
        id = id << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return id;
}

/* ---- when ---- */

static bool is_public(const struct watch *watch)
{
    return watch->upstream->class == FORWARD_PUBLIC;
}

/* Does any upstream live that is not public? */
static bool is_company_alive(const struct liveness *liveness)
{
    for (size_t i = 0; i < liveness->count; i++) {
        const struct watch *watch = &liveness->watches[i];
        if (!is_public(watch) && !watch->upstream->suspect && !watch->upstream->loop) {
            return true;
        }
    }
    return false;
}

/* How long after the last probe of a suspect the next one goes out. */
static uint32_t pause_of(const struct upstream *upstream)
{
    uint32_t pause = LIVENESS_FIRST_MS;

    if (upstream->cause == UPSTREAM_BAD) {
        return LIVENESS_MOST_MS; /* live questions are its proof */
    }
    if (upstream->probing.good) {
        return LIVENESS_PROOF_MS;
    }
    for (unsigned i = 1; i < upstream->probing.failed && pause < LIVENESS_MOST_MS; i++) {
        pause *= 2;
    }
    return pause < LIVENESS_MOST_MS ? pause : LIVENESS_MOST_MS;
}

/* Is any upstream measured against the others? */
static bool is_race_on(const struct liveness *liveness)
{
    for (size_t i = 0; i < liveness->count; i++) {
        if (liveness->watches[i].upstream->probing.slow > 0) {
            return true;
        }
    }
    return false;
}

/* When a living one is to be probed that is not public. */
static uint64_t due_alive_ms(const struct watch *watch)
{
    const struct upstream *upstream = watch->upstream;
    const struct upstream_probing *probing = &upstream->probing;

    if (probing->sent_ms == 0 || probing->wanted) {
        return 0;
    }
    if (probing->slow > 0) {
        return probing->sent_ms + LIVENESS_PROOF_MS;
    }
    if (probing->failed > 0) {
        return probing->sent_ms + LIVENESS_FIRST_MS;
    }
    if (is_race_on(watch->liveness)) {
        return probing->sent_ms + LIVENESS_MOST_MS;
    }
    return (upstream->heard_ms > probing->sent_ms ? upstream->heard_ms : probing->sent_ms) +
           LIVENESS_IDLE_MS;
}

/* When it is to be probed next; UINT64_MAX: not at all. */
static uint64_t due_ms(const struct watch *watch, bool company_lives)
{
    const struct upstream *upstream = watch->upstream;
    const struct upstream_probing *probing = &upstream->probing;

    if (upstream->loop) {
        return UINT64_MAX;
    }
    if (is_public(watch) && (company_lives || !upstream->suspect)) {
        return probing->sent_ms + LIVENESS_PUBLIC_MS;
    }
    if (upstream->suspect) {
        return probing->sent_ms + pause_of(upstream);
    }
    return due_alive_ms(watch);
}

/* ---- asking ---- */

static struct attempt *put(struct watch *watch, const uint8_t *name, uint8_t length, uint16_t type)
{
    struct liveness *liveness = watch->liveness;
    struct upstream *upstream = watch->upstream;
    /* CD: whether the name is signed well is not what is asked */
    const struct forward_question question = {
        .name = name,
        .name_length = length,
        .type = type,
        .class = WIRE_IN,
        .checking_disabled = true,
    };
    struct attempt *attempt;
    int code = attempt_open(liveness->pool, upstream, false, &question, &attempt);

    if (code < 0) {
        if (!error_is_ours(code)) {
            directory_refused(liveness->directory, upstream, uv_strerror(code), now_ms(liveness));
        }
        return NULL;
    }
    attempt->owner = watch;
    attempt->candidate = LIVENESS_CANDIDATE;
    count(&liveness->pool->counters->probes);
    count(&upstream->probes);
    upstream_spend(upstream, now_ms(liveness));
    return attempt;
}

static void end_attempt(struct attempt **attempt)
{
    if (*attempt != NULL) {
        attempt_close(*attempt);
        *attempt = NULL;
    }
}

static void note_failure(struct watch *watch)
{
    watch->upstream->probing.good = false;
    watch->upstream->probing.failed++;
}

static void probe(struct watch *watch)
{
    struct upstream_probing *probing = &watch->upstream->probing;

    end_attempt(&watch->probe);
    probing->sent_ms = now_ms(watch->liveness);
    probing->wanted = false;
    watch->is_lost = false;
    watch->probe = put(watch, watch->name, watch->name_length, WIRE_SOA);
    if (watch->probe == NULL) {
        note_failure(watch);
    }
}

static void tell_loop_name(struct watch *watch)
{
    uint8_t name[NAME_MAX_BYTES];
    uint8_t length = write_loop_name(watch->upstream->loop_id, name);

    end_attempt(&watch->loop);
    watch->was_told = true;
    watch->loop = put(watch, name, length, WIRE_TXT);
}

/* The last probe has had its time. */
static void give_up(struct watch *watch)
{
    struct liveness *liveness = watch->liveness;

    watch->is_lost = true;
    note_failure(watch);
    directory_silent(liveness->directory, watch->upstream, watch->probe->sent_ms, 1,
                     now_ms(liveness));
}

/* Do what is due for one. Returns when to come back. */
static uint64_t look_at(struct watch *watch, bool company_lives)
{
    uint64_t now = now_ms(watch->liveness);
    struct upstream *upstream = watch->upstream;

    if (!watch->was_told || (watch->was_suspect && !upstream->suspect)) {
        tell_loop_name(watch); /* again, too, to one that may not have been there to hear it */
    }
    watch->was_suspect = upstream->suspect;
    if (watch->probe != NULL && !watch->is_lost) {
        uint64_t until_ms = upstream->probing.sent_ms + upstream_probe_timeout_ms(upstream, now);
        if (now < until_ms) {
            return until_ms;
        }
        give_up(watch);
    }
    if (now >= due_ms(watch, company_lives)) {
        probe(watch);
        if (watch->probe != NULL) {
            return upstream->probing.sent_ms + upstream_probe_timeout_ms(upstream, now);
        }
    }
    return due_ms(watch, company_lives);
}

static void on_timer(uv_timer_t *timer)
{
    struct liveness *liveness = timer->data;
    bool company_lives = is_company_alive(liveness);
    uint64_t first_ms = UINT64_MAX;

    for (size_t i = 0; i < liveness->count; i++) {
        struct watch *watch = &liveness->watches[i];
        uint64_t at_ms = look_at(watch, company_lives);
        uint64_t due = due_ms(watch, company_lives);
        atomic_store_explicit(&watch->upstream->next_probe_ms, due == UINT64_MAX ? 0 : due,
                              memory_order_relaxed);
        first_ms = at_ms < first_ms ? at_ms : first_ms;
    }
    uint64_t now = now_ms(liveness);
    if (first_ms != UINT64_MAX) {
        (void)uv_timer_start(timer, on_timer, first_ms > now ? first_ms - now : 1, 0);
    }
}

void liveness_look(struct liveness *liveness)
{
    if (!liveness->closing && liveness->count > 0) {
        (void)uv_timer_start(&liveness->timer, on_timer, 0, 0);
    }
}

/* ---- answers ---- */

/* An attempt is over. True when it was a probe, not the loop's. */
static bool forget(struct watch *watch, struct attempt *attempt)
{
    bool is_probe = attempt == watch->probe;

    end_attempt(is_probe ? &watch->probe : &watch->loop);
    return is_probe;
}

static void on_reply(struct attempt *attempt, const uint8_t *message, size_t length,
                     size_t answers_at)
{
    struct watch *watch = attempt->owner;
    struct liveness *liveness = watch->liveness;
    struct upstream *upstream = watch->upstream;
    uint64_t now_us = uv_hrtime() / 1000;
    uint64_t took_us = now_us > attempt->sent_us ? now_us - attempt->sent_us : 0;
    unsigned rcode = wire_get16(message + 2) & WIRE_RCODE;
    bool good = rcode == WIRE_NOERROR || rcode == WIRE_NXDOMAIN;

    (void)length;
    (void)answers_at;
    if (!forget(watch, attempt)) {
        return; /* what there is to learn of a loop comes another way */
    }
    if (watch->is_lost) {
        directory_late(liveness->directory, upstream, took_us, 1, now_ms(liveness));
        return;
    }
    upstream->probing.good = true;
    if (!upstream->suspect || upstream->cause != UPSTREAM_LOSSY) {
        upstream->probing.failed = 0; /* through a lossy line some always come */
    }
    directory_probe_answered(liveness->directory, upstream, good, took_us, now_ms(liveness));
    if (upstream->suspect && upstream->probing.slow > 0) {
        upstream->probing.good = false;
        upstream->probing.failed = SLOW_FAILED;
    }
    liveness_look(liveness);
}

static void on_error(struct attempt *attempt, int code)
{
    struct watch *watch = attempt->owner;
    struct liveness *liveness = watch->liveness;
    const char *fault = attempt->fault != NULL ? attempt->fault : uv_strerror(code);
    bool is_evidence = !error_is_ours(code) && (!attempt->stream || watch->upstream->stream_only);

    if (forget(watch, attempt)) {
        note_failure(watch);
    }
    if (is_evidence) {
        directory_refused(liveness->directory, watch->upstream, fault, now_ms(liveness));
    }
    liveness_look(liveness);
}

/* Probes have a patience of their own. */
static void on_silent(struct attempt *attempt)
{
    (void)attempt;
}

static void on_spent(struct attempt *attempt)
{
    struct watch *watch = attempt->owner;

    if (attempt == watch->loop) {
        (void)forget(watch, attempt);
    }
}

const struct attempt_events *liveness_events(void)
{
    static const struct attempt_events events = {
        .reply = on_reply,
        .error = on_error,
        .silent = on_silent,
        .spent = on_spent,
    };

    return &events;
}

/* ---- whom ---- */

static void end_all(struct liveness *liveness)
{
    for (size_t i = 0; i < liveness->count; i++) {
        struct watch *watch = &liveness->watches[i];
        end_attempt(&watch->probe);
        end_attempt(&watch->loop);
        atomic_store_explicit(&watch->upstream->next_probe_ms, 0, memory_order_relaxed);
    }
    free(liveness->watches);
    liveness->watches = NULL;
    liveness->count = 0;
}

static void add(struct liveness *liveness, struct upstream *upstream, const uint8_t *dname)
{
    static const uint8_t root[] = "";
    struct watch *watch = &liveness->watches[liveness->count];

    if (upstream->watched) {
        return; /* another rule has it too */
    }
    if (upstream->class == FORWARD_PUBLIC && special_is_private(dname, WIRE_A)) {
        dname = root; /* such a name must not leave the company */
    }
    liveness->count++;
    *watch = (struct watch){ .liveness = liveness, .upstream = upstream };
    watch->name_length = (uint8_t)name_length(dname);
    memcpy(watch->name, dname, watch->name_length);
    upstream->watched = true;
    while (upstream->loop_id == 0) {
        hash_random(&upstream->loop_id, sizeof(upstream->loop_id));
    }
    if (upstream->class != FORWARD_PUBLIC) {
        upstream->probing.sent_ms = 0; /* now */
    } else if (upstream->probing.sent_ms == 0) {
        upstream->probing.sent_ms = now_ms(liveness);
    }
}

void liveness_adopt(struct liveness *liveness, const struct forward_rule *rules, size_t rule_count)
{
    size_t most = 0;

    end_all(liveness);
    (void)uv_timer_stop(&liveness->timer);
    directory_rename(liveness->directory);
    for (size_t i = 0; i < rule_count; i++) {
        most += rules[i].upstream_count;
    }
    liveness->watches = calloc(most + 1, sizeof(*liveness->watches));
    if (liveness->watches == NULL) {
        log_event(LOG_ERROR, "upstreams are not probed", "error=%s", "no memory");
    }
    for (size_t i = 0; i < rule_count; i++) {
        for (uint32_t j = 0; j < rules[i].upstream_count; j++) {
            struct upstream *upstream =
                directory_find(liveness->directory, &rules[i].upstreams[j], now_ms(liveness));
            if (upstream == NULL) {
                continue;
            }
            directory_name(liveness->directory, upstream);
            if (liveness->watches != NULL) {
                add(liveness, upstream, rules[i].dname);
            }
        }
    }
    liveness_look(liveness);
}

/* ---- life ---- */

struct liveness *liveness_new(struct attempt_pool *pool, struct directory *directory)
{
    struct liveness *liveness = calloc(1, sizeof(*liveness));

    if (liveness == NULL) {
        return NULL;
    }
    liveness->pool = pool;
    liveness->directory = directory;
    return liveness;
}

void liveness_free(struct liveness *liveness)
{
    free(liveness);
}

void liveness_start(struct liveness *liveness)
{
    (void)uv_timer_init(liveness->pool->loop, &liveness->timer);
    liveness->timer.data = liveness;
}

static void on_closed(uv_handle_t *handle)
{
    struct liveness *liveness = handle->data;
    void (*closed)(void *) = liveness->closed;
    void *user = liveness->closed_user;

    free(liveness);
    closed(user);
}

void liveness_close(struct liveness *liveness, void (*closed)(void *user), void *user)
{
    liveness->closing = true;
    liveness->closed = closed;
    liveness->closed_user = user;
    end_all(liveness);
    uv_close((uv_handle_t *)&liveness->timer, on_closed);
}
