/*
 * The prober with a real health table against sockets on loopback. What the
 * probes say is the subject of check_dns_test, check_http_test, check_tcp_test
 * and check_tls_test; here it is when they are sent, judged and freed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <uv.h>

#include "base/clock.h"
#include "policy/checks/prober.h"
#include "tests/unit/patient_clock.h"
#include "zones/wire.h"

#define PATIENCE_MS 30000 /* for a slow and busy machine */

struct fixture {
    uv_loop_t loop;
    uv_timer_t ticks; /* so that the loop turns whatever happens */
    uv_check_t check_handle;
    uint64_t deadline_ms;
    struct health *health;
    struct prober *prober;
    bool closed;

    struct model_check check;
    struct model_region region;
    struct model model;
    struct health_binding *binding;
    int fd; /* the target's socket */
};

static void hear_nothing(void *user, const struct health_event *event)
{
    (void)user;
    (void)event;
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

/* The target: bound to a port of its own; the caller listens, or does not. */
static void open_target(struct fixture *f, int type)
{
    struct sockaddr_in own = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof(own);

    f->fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    assert_true(f->fd >= 0);
    assert_int_equal(bind(f->fd, (struct sockaddr *)&own, size), 0);
    assert_int_equal(getsockname(f->fd, (struct sockaddr *)&own, &size), 0);
    assert_true(addr_from_sockaddr((struct sockaddr *)&own, &f->check.server));
    f->check.has_server = true;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    *state = f;
    f->fd = -1;
    f->deadline_ms = clock_now_ms() + PATIENCE_MS;
    assert_int_equal(uv_loop_init(&f->loop), 0);
    (void)uv_timer_init(&f->loop, &f->ticks);
    (void)uv_timer_start(&f->ticks, on_tick, 1, 1);
    (void)uv_check_init(&f->loop, &f->check_handle);
    f->health = health_new(hear_nothing, NULL);
    f->prober = prober_new(&f->loop, f->health);
    assert_non_null(f->health);
    assert_non_null(f->prober);
    f->check.kind = MODEL_CHECK_TCP;
    f->check.path = "/";
    f->check.timing = (struct model_timing){
        .interval_ms = 20,
        .timeout_ms = 5000,
        .confirm_interval_ms = 5,
        .fall = 3,
        .silent_fall = 3,
        .rise = 2,
    };
    f->region.name = "seoul";
    f->region.minimum_healthy.value = 1;
    f->region.checks = &f->check;
    f->region.check_count = 1;
    f->model.regions = &f->region;
    f->model.region_count = 1;
    return 0;
}

static void on_prober_closed(void *user)
{
    ((struct fixture *)user)->closed = true;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    prober_close(f->prober, on_prober_closed, f);
    uv_close((uv_handle_t *)&f->ticks, NULL);
    uv_close((uv_handle_t *)&f->check_handle, NULL);
    (void)uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_true(f->closed);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    if (f->binding != NULL) {
        health_unbind(f->health, f->binding);
    }
    health_free(f->health);
    if (f->fd >= 0) {
        (void)close(f->fd);
    }
    free(f);
    return 0;
}

static struct health_probe *begin(struct fixture *f)
{
    uint64_t now = clock_now_ms();

    f->binding = health_bind(f->health, &f->model, now);
    assert_non_null(f->binding);
    health_commit(f->health, f->binding, now);
    prober_sync(f->prober);
    assert_int_equal(health_probe_count(f->health), 1);
    return health_probe(f->health, 0);
}

static void turn(struct fixture *f)
{
    (void)uv_run(&f->loop, UV_RUN_ONCE);
    assert_true(clock_now_ms() < f->deadline_ms);
}

static void turn_until(struct fixture *f, const struct health_probe *probe,
                       enum detect_state wanted)
{
    while (probe->detect.state != wanted) {
        turn(f);
    }
}

static void a_target_that_answers_comes_up_and_is_probed_again(void **state)
{
    struct fixture *f = *state;

    open_target(f, SOCK_STREAM);
    assert_int_equal(listen(f->fd, 1000), 0);
    struct health_probe *probe = begin(f);
    assert_int_equal(health_pending(f->binding), 1);
    turn_until(f, probe, DETECT_UP);
    assert_int_equal(health_pending(f->binding), 0);
    while (probe->sent_count < 5) {
        turn(f);
    }
    assert_int_equal(probe->failed_count, 0);
}

static void a_target_that_refuses_goes_down_and_returns(void **state)
{
    struct fixture *f = *state;

    open_target(f, SOCK_STREAM);
    struct health_probe *probe = begin(f);
    turn_until(f, probe, DETECT_DOWN);
    assert_string_equal(probe->reason, "connection refused");
    assert_int_equal(listen(f->fd, 1000), 0);
    turn_until(f, probe, DETECT_UP);
}

static void a_silent_target_goes_down_at_its_timeout(void **state)
{
    struct fixture *f = *state;
    uint64_t began = clock_now_ms();

    open_target(f, SOCK_STREAM);
    assert_int_equal(listen(f->fd, 1000), 0); /* and never accepts */
    f->check.kind = MODEL_CHECK_HTTP;
    f->check.timing.timeout_ms = 60;
    struct health_probe *probe = begin(f);
    turn_until(f, probe, DETECT_DOWN);
    assert_string_equal(probe->reason, "no reply within 60ms");
    assert_true(clock_now_ms() - began >= 60);
}

static void a_probe_that_left_the_table_is_stopped(void **state)
{
    struct fixture *f = *state;

    open_target(f, SOCK_STREAM);
    assert_int_equal(listen(f->fd, 1000), 0);
    f->check.kind = MODEL_CHECK_HTTP; /* stays unanswered */
    struct health_probe *probe = begin(f);
    while (probe->detect.open_count == 0) {
        turn(f);
    }
    struct health_binding *old = f->binding;
    f->region.check_count = 0;
    f->binding = health_bind(f->health, &f->model, clock_now_ms());
    health_commit(f->health, f->binding, clock_now_ms());
    health_unbind(f->health, old);
    prober_sync(f->prober);
    assert_null(probe->runner);
    uint64_t sent = probe->sent_count;
    for (uint64_t until = clock_now_ms() + 100; clock_now_ms() < until;) {
        turn(f);
    }
    assert_int_equal(probe->sent_count, sent);
}

static void closing_leaves_nothing_in_flight(void **state)
{
    struct fixture *f = *state;

    open_target(f, SOCK_STREAM);
    assert_int_equal(listen(f->fd, 1000), 0);
    f->check.kind = MODEL_CHECK_HTTP;
    struct health_probe *probe = begin(f);
    while (probe->detect.open_count == 0) {
        turn(f);
    }
    /* tear_down closes, and the loop must be empty then */
}

static void what_cannot_be_sent_is_no_evidence(void **state)
{
    struct fixture *f = *state;
    struct rlimit all;
    struct rlimit none;

    open_target(f, SOCK_STREAM);
    assert_int_equal(listen(f->fd, 1000), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &all), 0);
    none = all;
    none.rlim_cur = 0;
    (void)uv_run(&f->loop, UV_RUN_NOWAIT);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    struct health_probe *probe = begin(f);
    for (uint64_t until = clock_now_ms() + 250; clock_now_ms() < until;) {
        turn(f);
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &all), 0);
    assert_int_equal(probe->sent_count, 0);
    assert_int_equal(probe->detect.state, DETECT_UNKNOWN);
    turn_until(f, probe, DETECT_UP);
    assert_int_equal(probe->failed_count, 0);
}

static void a_pass_that_took_long_is_a_warning(void **state)
{
    struct fixture *f = *state;

    open_target(f, SOCK_STREAM);
    assert_int_equal(listen(f->fd, 1000), 0);
    f->check.kind = MODEL_CHECK_HTTP;
    f->check.degraded_ms = 20;
    f->check.timing.interval_ms = PATIENCE_MS; /* one probe */
    struct health_probe *probe = begin(f);
    while (probe->detect.open_count == 0) {
        turn(f);
    }
    uint64_t sent_ms = detect_open_probes(&probe->detect)[0].sent_ms;
    while (clock_now_ms() <= sent_ms + 60) {
        turn(f);
    }
    int fd = accept(f->fd, NULL, NULL);
    assert_true(fd >= 0);
    assert_true(write(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 38) == 38);
    turn_until(f, probe, DETECT_UP);
    assert_true(probe->detect.degraded);
    assert_int_equal(strncmp(probe->reason, "slow: ", 6), 0);
    (void)close(fd);
}

static void a_probe_that_is_wanted_now_is_sent_out_of_turn(void **state)
{
    struct fixture *f = *state;

    open_target(f, SOCK_STREAM);
    assert_int_equal(listen(f->fd, 1000), 0);
    f->check.timing.interval_ms = 100 * PATIENCE_MS;
    struct health_probe *probe = begin(f);
    turn_until(f, probe, DETECT_UP);
    uint64_t sent = probe->sent_count;
    prober_probe_now(f->prober, probe->slot);
    while (probe->sent_count == sent) {
        turn(f);
    }
    while (probe->detect.open_count > 0) {
        turn(f);
    }
    prober_probe_now(f->prober, 99); /* there is no such slot */
    assert_int_equal(probe->failed_count, 0);
}

static void what_was_started_is_counted(void **state)
{
    struct fixture *f = *state;
    struct prober_view view;

    open_target(f, SOCK_STREAM);
    assert_int_equal(listen(f->fd, 1000), 0);
    struct health_probe *probe = begin(f);
    while (probe->sent_count < 5 || probe->detect.open_count > 0) {
        turn(f);
    }
    prober_view(f->prober, &view);
    assert_int_equal(view.started, probe->sent_count);
    assert_true(view.late <= view.started);
    assert_int_equal(view.in_flight, 0);
    assert_true(view.in_flight_max > 0);
    assert_true(view.late_p50_ms <= view.late_p99_ms);
}

/* ---- a loop that is held up ---- */

/* A resolver in a thread of its own, so that it answers while the loop does not turn. */
struct resolver {
    int fd;
    uv_thread_t thread;
    uv_mutex_t lock;
    uv_cond_t changed;
    bool open; /* it may answer */
    bool stop;
    uint64_t answered;
};

static void answer(struct resolver *r, uint8_t *message, size_t size, struct sockaddr_in *to)
{
    static const uint8_t record[] = "\xc0\x0c\0\1\0\1\0\0\0\74\0\4\12\1\2\3";

    wire_put16(message + 2, WIRE_QR | WIRE_RD | WIRE_RA);
    wire_put16(message + 6, 1);
    memcpy(message + size, record, sizeof(record) - 1);
    (void)sendto(r->fd, message, size + sizeof(record) - 1, 0, (struct sockaddr *)to, sizeof(*to));
}

static void resolve(void *arg)
{
    struct resolver *r = arg;
    uint8_t message[512];
    struct sockaddr_in from;
    bool stop = false;

    while (!stop) {
        socklen_t from_size = sizeof(from);
        ssize_t size = recvfrom(r->fd, message, 400, 0, (struct sockaddr *)&from, &from_size);
        uv_mutex_lock(&r->lock);
        while (!r->open && !r->stop) {
            uv_cond_wait(&r->changed, &r->lock);
        }
        stop = r->stop;
        if (size > WIRE_HEADER_BYTES && !stop) {
            answer(r, message, (size_t)size, &from);
            r->answered++;
            uv_cond_broadcast(&r->changed);
        }
        uv_mutex_unlock(&r->lock);
    }
}

static void tell(struct resolver *r, bool open, bool stop)
{
    uv_mutex_lock(&r->lock);
    r->open = open;
    r->stop = stop;
    uv_cond_broadcast(&r->changed);
    uv_mutex_unlock(&r->lock);
}

struct stall {
    struct resolver *resolver;
    struct health_probe *probe;
    bool over;
};

/*
 * Behind the turn's reading, with a probe unanswered: hold the loop up until
 * its answer has come and its timeout is long over.
 */
static void on_check(uv_check_t *check)
{
    struct stall *stall = check->data;
    const struct detect *detect = &stall->probe->detect;

    if (stall->over || detect->open_count == 0) {
        return;
    }
    stall->over = true;
    const struct detect_open *newest = &detect_open_probes(detect)[detect->open_count - 1];
    uint64_t until = newest->sent_ms + detect->timing.timeout_ms + 200;
    tell(stall->resolver, true, false);
    uv_mutex_lock(&stall->resolver->lock);
    while (stall->resolver->answered < stall->probe->sent_count) {
        uv_cond_wait(&stall->resolver->changed, &stall->resolver->lock);
    }
    uv_mutex_unlock(&stall->resolver->lock);
    while (clock_now_ms() < until) {
    }
}

static void a_loop_that_was_held_up_reads_before_it_judges(void **state)
{
    struct fixture *f = *state;
    struct resolver resolver = { .open = true };
    struct stall stall = { .resolver = &resolver };
    struct sockaddr_storage to;

    open_target(f, SOCK_DGRAM);
    resolver.fd = f->fd;
    (void)uv_mutex_init(&resolver.lock);
    (void)uv_cond_init(&resolver.changed);
    f->check.kind = MODEL_CHECK_DNS;
    f->check.query_name = "canary.corp.example";
    f->check.query_type = WIRE_A;
    f->check.timing.timeout_ms = 1000;
    f->check.timing.silent_fall = 1; /* one silence would do */
    assert_int_equal(uv_thread_create(&resolver.thread, resolve, &resolver), 0);
    stall.probe = begin(f);
    turn_until(f, stall.probe, DETECT_UP);

    tell(&resolver, false, false);
    f->check_handle.data = &stall;
    (void)uv_check_start(&f->check_handle, on_check);
    while (!stall.over) {
        turn(f);
    }
    for (uint64_t sent = stall.probe->sent_count; stall.probe->sent_count < sent + 3;) {
        turn(f);
    }
    assert_int_equal(stall.probe->failed_count, 0);
    assert_int_equal(stall.probe->detect.state, DETECT_UP);

    (void)uv_check_stop(&f->check_handle);
    tell(&resolver, true, true);
    socklen_t size = addr_to_sockaddr(&f->check.server, &to);
    (void)sendto(f->fd, "", 1, 0, (struct sockaddr *)&to, size); /* wakes it */
    assert_int_equal(uv_thread_join(&resolver.thread), 0);
    uv_cond_destroy(&resolver.changed);
    uv_mutex_destroy(&resolver.lock);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_target_that_answers_comes_up_and_is_probed_again),
        TEST(a_target_that_refuses_goes_down_and_returns),
        TEST(a_silent_target_goes_down_at_its_timeout),
        TEST(a_probe_that_left_the_table_is_stopped),
        TEST(closing_leaves_nothing_in_flight),
        TEST(what_cannot_be_sent_is_no_evidence),
        TEST(a_pass_that_took_long_is_a_warning),
        TEST(a_probe_that_is_wanted_now_is_sent_out_of_turn),
        TEST(what_was_started_is_counted),
        TEST(a_loop_that_was_held_up_reads_before_it_judges),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
