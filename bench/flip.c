/*
 * bench-flip - from a verdict to the last answer that does not know it
 *
 * Loads a configuration, lets every probe succeed, and then brings the first
 * region down and back up through policy/health as the prober does, while
 * another thread chooses answers (steer_choose) of services at random. For each
 * flip: how long the call took in which the verdict fell, how long after its
 * beginning the last old answer was chosen, and how many services, all asked
 * one after the other when the call had returned, still gave the old one.
 * Time is an argument of policy/health, so hold_down costs none here.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/die.h"
#include "policy/config.h"
#include "policy/health.h"
#include "policy/steer.h"
#include "resolver/snapshot.h"

#define SECOND_NS    UINT64_C(1000000000)
#define AFTER_NS     (20 * SECOND_NS / 1000) /* a flip is watched so long after its verdict */
#define DENSE_NS     (SECOND_NS / 1000)      /* answers in so much of it are counted */
#define WATCHED      1000                    /* so many, and the flip was watched */
#define ROUNDS_MOST  1000
#define RESULTS_MOST 100 /* until a verdict */

/* What the choosing thread and the one that flips share. */
struct watch {
    const struct snapshot *snapshot;
    _Atomic bool stop;
    _Atomic uint64_t began_ns;  /* of the call that the verdict may fall in; 0: none is watched */
    _Atomic bool is_down;       /* what is old: the region, or all but it */
    _Atomic uint64_t last_ns;   /* when the last old answer was begun, after that */
    _Atomic uint64_t old_count; /* of them */
    _Atomic uint64_t dense;     /* answers chosen within DENSE_NS */
    _Atomic uint64_t turns;     /* of the choosing thread */
};

struct flip {
    uint64_t call_ns; /* the call that brought the verdict */
    uint64_t last_ns; /* from its beginning to the last old answer; 0: there was none */
    uint64_t dense;
    size_t left; /* services that gave the old answer afterwards */
};

struct world {
    struct health *health;
    struct health_probe *probe; /* the first region's */
    struct snapshot *snapshot;
    struct watch watch;
    uint64_t now_ms;
};

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

static void ignore(void *user, const struct health_event *event)
{
    (void)user;
    (void)event;
}

/* ---- choosing ---- */

/* Does the service lead to the first region? */
static bool leads_home(const struct steer_service *service)
{
    struct steer_choice choice;

    steer_choose(service, ADDR_V4, NULL, &choice);
    return choice.result == STEER_ADDRESSES && !choice.several &&
           service->pools[choice.pool].region_index == 0;
}

static void note_old(struct watch *w, uint64_t at_ns)
{
    atomic_store(&w->last_ns, at_ns);
    atomic_fetch_add(&w->old_count, 1);
}

static void *choose_on(void *user)
{
    struct watch *w = user;
    uint64_t random = 0x9e3779b97f4a7c15;

    while (!atomic_load_explicit(&w->stop, memory_order_relaxed)) {
        atomic_fetch_add_explicit(&w->turns, 1, memory_order_relaxed);
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        uint64_t began = atomic_load(&w->began_ns);
        bool is_down = atomic_load(&w->is_down);
        uint64_t at = now_ns();
        bool is_old = leads_home(&w->snapshot->services[random % w->snapshot->service_count]) ==
                      is_down;
        if (began == 0 || at < began || began != atomic_load(&w->began_ns)) {
            continue;
        }
        if (at - began < DENSE_NS) {
            atomic_fetch_add(&w->dense, 1);
        }
        if (is_old) {
            note_old(w, at);
        }
    }
    return NULL;
}

static size_t count_old(const struct snapshot *snapshot, bool is_down)
{
    size_t old = 0;

    for (size_t i = 0; i < snapshot->service_count; i++) {
        old += leads_home(&snapshot->services[i]) == is_down;
    }
    return old;
}

/* ---- flipping ---- */

static void tell_result(struct world *w, struct health_probe *probe, enum detect_outcome outcome)
{
    uint32_t number = health_probe_sent(w->health, probe, w->now_ms);

    health_probe_result(w->health, probe, number, outcome, false,
                        outcome == DETECT_PASS ? "ok" : "connection refused", w->now_ms);
}

static bool is_down(const struct world *w)
{
    const struct health_region *region = health_binding_region(w->snapshot->binding, 0);

    return (atomic_load(&region->word) & HEALTH_REGION_AWAY) != 0;
}

/* Both threads have a core now, as far as anybody can tell. */
static void wait_for_company(struct watch *w)
{
    uint64_t turns = atomic_load(&w->turns);

    while (atomic_load(&w->turns) - turns < 100) {
    }
}

/* One result after the other until the verdict falls in the course of one. */
static void flip_once(struct world *w, bool down, struct flip *out)
{
    struct watch *watch = &w->watch;

    for (unsigned i = 0; i < RESULTS_MOST; i++) {
        w->now_ms += 1000;
        if (!down && i > 2) {
            w->now_ms += UINT64_C(86400000); /* past any hold_down */
        }
        atomic_store(&watch->last_ns, 0);
        atomic_store(&watch->old_count, 0);
        atomic_store(&watch->dense, 0);
        atomic_store(&watch->is_down, down);
        wait_for_company(watch);
        uint64_t began = now_ns();
        atomic_store(&watch->began_ns, began);
        tell_result(w, w->probe, down ? DETECT_STRONG : DETECT_PASS);
        health_probe_tick(w->health, w->probe, w->now_ms);
        out->call_ns = now_ns() - began;
        if (is_down(w) == down) {
            out->left = count_old(w->snapshot, down);
            while (now_ns() - began < AFTER_NS) {
                (void)usleep(1000);
            }
            uint64_t last = atomic_load(&watch->last_ns);
            out->last_ns = last > began ? last - began : 0;
            out->dense = atomic_load(&watch->dense);
            atomic_store(&watch->began_ns, 0);
            return;
        }
        atomic_store(&watch->began_ns, 0);
    }
    die("no verdict after %d results", RESULTS_MOST);
}

static void print_flips(const char *what, const struct flip *flips, size_t count)
{
    uint64_t call = 0, last = 0;
    size_t left = 0, watched = 0;

    for (size_t i = 0; i < count; i++) {
        call = flips[i].call_ns > call ? flips[i].call_ns : call;
        last = flips[i].last_ns > last ? flips[i].last_ns : last;
        watched += flips[i].dense >= WATCHED;
        left += flips[i].left;
    }
    printf("%s flips %zu call_us %.1f last_old_us %.1f watched %zu left %zu\n", what, count,
           (double)call / 1000, (double)last / 1000, watched, left);
}

static void flip_all(struct world *w, size_t rounds)
{
    static struct flip down[ROUNDS_MOST], up[ROUNDS_MOST];
    pthread_t thread;

    w->watch.snapshot = w->snapshot;
    if (pthread_create(&thread, NULL, choose_on, &w->watch) != 0) {
        die("no thread: %s", strerror(errno));
    }
    for (size_t i = 0; i < rounds; i++) {
        flip_once(w, true, &down[i]);
        flip_once(w, false, &up[i]);
    }
    atomic_store(&w->watch.stop, true);
    (void)pthread_join(thread, NULL);
    print_flips("down", down, rounds);
    print_flips("up", up, rounds);
}

/* ---- what is flipped ---- */

static struct model *load(const char *path)
{
    struct config_report report = { 0 };
    struct model *model;

    if (config_load(path, &model, &report) < 0) {
        struct text text = { 0 };
        config_report_print(&report, &text);
        die("%s", text_string(&text));
    }
    config_report_fini(&report);
    return model;
}

static size_t resident_kib(void)
{
    unsigned long size, resident;
    FILE *file = fopen("/proc/self/statm", "r");

    if (file == NULL || fscanf(file, "%lu %lu", &size, &resident) != 2) {
        die("/proc/self/statm cannot be read");
    }
    (void)fclose(file);
    return resident * (size_t)sysconf(_SC_PAGESIZE) / 1024;
}

static void make_world(struct world *w, const char *path)
{
    const struct hash_key key = { 1, 2 };
    struct error err;
    uint64_t began = now_ns();

    struct model *model = load(path);
    uint64_t loaded = now_ns();
    w->now_ms = 1000;
    w->health = health_new(ignore, NULL);
    struct health_binding *binding = health_bind(w->health, model, w->now_ms);
    uint64_t bound = now_ns();
    if (snapshot_build(model, binding, NULL, &key, 1, &w->snapshot, &err) < 0) {
        die("%s", err.message);
    }
    health_commit(w->health, binding, w->now_ms);
    printf("services %zu probes %zu load_ms %.0f bind_ms %.0f build_ms %.0f resident_kib %zu\n",
           w->snapshot->service_count, health_probe_count(w->health),
           (double)(loaded - began) / 1e6, (double)(bound - loaded) / 1e6,
           (double)(now_ns() - bound) / 1e6, resident_kib());
}

/* Every probe passes; the one check of a name server is the first region's. */
static void pass_all(struct world *w)
{
    for (unsigned turn = 0; turn < 3; turn++) {
        w->now_ms += 1000;
        for (size_t i = 0; i < health_probe_count(w->health); i++) {
            struct health_probe *probe = health_probe(w->health, i);
            tell_result(w, probe, DETECT_PASS);
            w->probe = probe->check->kind == MODEL_CHECK_DNS ? probe : w->probe;
        }
    }
    if (w->probe == NULL || count_old(w->snapshot, true) != w->snapshot->service_count) {
        die("not every service leads to the first region, which a dns check must gate");
    }
}

int main(int argc, char **argv)
{
    static struct world world;
    size_t rounds = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;

    if (rounds < 1 || rounds > ROUNDS_MOST) {
        (void)fprintf(stderr, "usage: bench-flip CONFIG ROUNDS (1 to %d)\n", ROUNDS_MOST);
        return 2;
    }
    make_world(&world, argv[1]);
    pass_all(&world);
    flip_all(&world, rounds);
    health_unbind(world.health, snapshot_free(world.snapshot));
    health_free(world.health);
    return 0;
}
