#pragma once
/*
 * forwarder_world - a forwarder, one rule and its upstreams, all in one thread
 *
 * A question is asked as a client's would be; what a test waits for is waited
 * for in turns of the loop, in a time that passes there alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/json_writer.h"
#include "policy/health.h"
#include "resolver/forward/choice.h"
#include "resolver/forward/forwarder.h"
#include "resolver/forward/upstream.h"
#include "tests/unit/forwarder_stubs.h"
#include "tests/unit/patient_clock.h"

#define GUARD_MS 60000 /* a run that takes longer hangs */
#define NO_HEDGE 1700  /* longer than any answer here takes, on a slow machine too */

static struct forwarder *forwarder;
static struct forward_upstream upstreams[STUBS_MAX];
static struct forward_rule rule;
static struct health_region regions[STUBS_MAX];
static bool has_stale; /* of the questions asked from now on */

/*
 * One more upstream of the rule. Where one alone would do, tests add a second
 * that is not asked: as long as there is one left, nobody is asked twice.
 */
static inline struct stub *add(enum behaviour behaviour, enum forward_class class)
{
    static const char *const names[STUBS_MAX] = { "seoul", "tokyo", "singapore", "mumbai" };
    struct stub *stub = &stubs[stub_count];

    *stub = (struct stub){ .behaviour = behaviour };
    for (unsigned tries = 0; !stub_bind(stub, 0); tries++) {
        assert_true(tries < 100);
    }
    atomic_store(&regions[stub_count].word, 0);
    upstreams[stub_count] = (struct forward_upstream){
        .address = stub->address,
        .class = class,
        .region_name = class == FORWARD_PUBLIC ? "public" : names[stub_count],
        .region = class == FORWARD_PUBLIC ? NULL : &regions[stub_count],
    };
    rule.upstream_count = ++stub_count;
    return stub;
}

static inline int set_up(void **state)
{
    (void)state;
    assert_int_equal(uv_loop_init(&loop), 0);
    forwarder = forwarder_new(&loop);
    assert_non_null(forwarder);
    stub_count = 0;
    has_stale = false;
    rule = (struct forward_rule){ .name = ".", .upstreams = upstreams, .hedge_ms = NO_HEDGE };
    rule.dname = (const uint8_t *)"";
    return 0;
}

static inline void on_closed(void *user)
{
    *(bool *)user = true;
}

static inline void close_all(void)
{
    bool closed = false;

    forwarder_close(forwarder, on_closed, &closed);
    assert_false(closed);
    for (unsigned i = 0; i < stub_count; i++) {
        stub_die(&stubs[i]);
    }
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_true(closed);
    forwarder = NULL;
}

static inline int tear_down(void **state)
{
    (void)state;
    if (forwarder != NULL) {
        close_all();
    }
    assert_int_equal(uv_loop_close(&loop), 0);
    return 0;
}

/* ---- asking ---- */

struct question {
    unsigned done;
    int from; /* the stub whose answer it is, -1 when there is none */
    bool answered;
    unsigned rcode;
    unsigned answers;
    uint8_t bytes[64]; /* of the message */
    uint16_t ede_code;
    char ede_text[400];
    char upstream[128];
    enum forward_class origin;
    bool positive, lesser;
    uint64_t took_ms;
    uint64_t asked_ms;
};

static inline void on_done(void *user, const struct forward_reply *reply)
{
    struct question *question = user;

    question->done++;
    question->took_ms = uv_now(&loop) - question->asked_ms;
    question->from = -1;
    question->ede_code = reply->ede_code;
    (void)snprintf(question->ede_text, sizeof(question->ede_text), "%s", reply->ede_text);
    (void)snprintf(question->upstream, sizeof(question->upstream), "%s", reply->upstream);
    question->origin = reply->origin;
    question->positive = reply->positive;
    question->lesser = reply->lesser;
    question->answered = reply->message != NULL;
    if (!question->answered) {
        return;
    }
    assert_true(wire_response_sound(reply->message, reply->length));
    question->rcode = wire_get16(reply->message + 2) & WIRE_RCODE;
    question->answers = wire_get16(reply->message + 6);
    memcpy(question->bytes, reply->message, reply->length < 64 ? reply->length : 64);
    if (question->answers > 0) {
        question->from = reply->message[reply->length - 2];
    }
}

static inline void ask_about(struct question *question, const char *wire_name, uint16_t type,
                             bool dnssec_ok)
{
    struct forward_question q = {
        .name = (const uint8_t *)wire_name,
        .name_length = (uint8_t)name_length((const uint8_t *)wire_name),
        .type = type,
        .class = WIRE_IN,
        .dnssec_ok = dnssec_ok,
        .has_stale = has_stale,
    };

    memset(question, 0, sizeof(*question));
    uv_update_time(&loop);
    question->asked_ms = uv_now(&loop);
    forwarder_ask(forwarder, &rule, &q, on_done, question);
    assert_int_equal(question->done, 0);
}

static inline void ask(struct question *question)
{
    ask_about(question, "\3wWw\7example\3com", WIRE_A, false);
}

static inline void on_guard(uv_timer_t *timer)
{
    (void)timer;
    fail_msg("nothing happens any more");
}

static inline void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

/* Run the loop until the condition holds. */
static inline void run_until(bool (*holds)(void *user), void *user)
{
    uv_timer_t guard, tick;

    uv_timer_init(&loop, &guard);
    uv_timer_init(&loop, &tick);
    uv_timer_start(&guard, on_guard, GUARD_MS, 0);
    uv_timer_start(&tick, on_tick, 5, 5);
    while (!holds(user)) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    uv_close((uv_handle_t *)&guard, NULL);
    uv_close((uv_handle_t *)&tick, NULL);
    (void)uv_run(&loop, UV_RUN_NOWAIT);
}

static inline bool is_done(void *user)
{
    return ((struct question *)user)->done > 0;
}

static inline void wait_for(struct question *question)
{
    run_until(is_done, question);
    assert_int_equal(question->done, 1);
}

static inline uint64_t counter(const _Atomic uint64_t *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

#define COUNTER(name) counter(&forwarder_counters(forwarder)->name)

/* Does `status` say this of some upstream? */
static inline bool is_described(const char *what)
{
    struct text text = { 0 };
    struct json_writer json;

    json_writer_init(&json, &text);
    json_writer_list_begin(&json, NULL);
    forwarder_describe(forwarder, &json);
    json_writer_list_end(&json);
    bool found = strstr(text_string(&text), what) != NULL;
    text_fini(&text);
    return found;
}

static inline bool is_up(void *user)
{
    static struct question q;

    (void)user;
    if (q.asked_ms == 0 || q.done > 0) {
        ask(&q);
    }
    return !is_described("\"state\":\"down\"") && !is_described("\"state\":\"suspect\"");
}

static inline bool is_suspect(void *user)
{
    struct question *q = user;

    if (q->asked_ms == 0 || q->done > 0) {
        ask(q);
    }
    return is_described("suspect");
}

/* Have the rule's upstreams probed. */
static inline void adopt(void)
{
    static struct model model = { .in_flight = 10000 };
    struct snapshot snapshot = { .model = &model, .forwards = &rule, .forward_count = 1 };

    forwarder_adopt(forwarder, &snapshot);
}

static inline bool is_down(void *user)
{
    (void)user;
    return forwarder_is_down(forwarder, &rule);
}
