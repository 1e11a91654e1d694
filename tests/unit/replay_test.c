/*
 * What happened to others, minute by minute in simulated time: the resolvers of
 * Seoul on 22 November 2018, and the empty record of us-east-1 on 20 October
 * 2025. What is asserted is what every service answers, every second.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/expansion.h"
#include "policy/hostname.h"
#include "policy/timing.h"
#include "tests/unit/sim_world.h"

#define SECOND UINT64_C(1000)
#define MINUTE (60 * SECOND)

/* A time of day in minutes. */
#define AT(hour, minute) ((hour) * 60u + (minute))

enum { FIRST = 1, SECOND_ONE = 2, THIRD = 4 }; /* pools, in the order of each service */

/* ---- Seoul ---- */

#define BEGINS   AT(8, 10)
#define FALLS    AT(8, 19)
#define IS_GONE  AT(8, 24)
#define RETURNS  AT(8, 50)
#define IS_WHOLE AT(9, 43)
#define ENDS     AT(10, 0)

enum { API, WEB, ONLY, SERVICES };

#define CHECKS(net)                                                                               \
    "    checks:\n"                                                                               \
    "      - {dns: {server: 10." net ".0.2, name: canary.corp.example}}\n"                         \
    "      - {dns: {server: 10." net ".0.3, name: canary.corp.example}}\n"                         \
    "      - {dns: {server: 10." net ".0.4, name: canary.corp.example}}\n"

static const char three_regions[] =
    "node: {region: seoul}\n"
    "regions:\n"
    "  seoul:\n"
    "    minimum_healthy: 2\n"
    "    on_dns_failure: %s\n" CHECKS("1")
    "  tokyo:\n"
    "    minimum_healthy: 2\n" CHECKS("2")
    "  singapore:\n"
    "    minimum_healthy: 2\n" CHECKS("3")
    "services:\n"
    "  api.example.com:\n"
    "    minimum_healthy: 1\n"
    "    check: {tcp: {port: 80}}\n"
    "    endpoints:\n"
    "      seoul: [192.0.1.1, 192.0.1.2]\n"
    "      tokyo: [192.0.2.1, 192.0.2.2]\n"
    "      singapore: [192.0.3.1]\n"
    "  web.example.com:\n"
    "    minimum_healthy: 1\n"
    "    check: {tcp: {port: 443}}\n"
    "    endpoints:\n"
    "      seoul: [192.0.1.3]\n"
    "      singapore: [192.0.3.3]\n"
    "  only.example.com:\n"
    "    minimum_healthy: 1\n"
    "    check: {tcp: {port: 22}}\n"
    "    endpoints:\n"
    "      seoul: [192.0.1.4]\n";

static uint64_t ms_of(unsigned minute, unsigned begins)
{
    return SIM_START_MS + (uint64_t)(minute - begins) * MINUTE;
}

/* Of 1000 questions to Seoul's resolvers so many are answered. */
static uint32_t answered_permille(uint64_t now_ms)
{
    static const struct {
        unsigned minute;
        uint32_t permille;
    } points[] = {
        { BEGINS, 1000 },  { FALLS, 1000 },      { IS_GONE, 0 },         { RETURNS, 0 },
        { RETURNS + 1, 600 }, { AT(9, 30), 900 }, { IS_WHOLE - 1, 970 }, { IS_WHOLE, 1000 },
        { ENDS + 1, 1000 },
    };
    size_t i = 1;

    while (now_ms >= ms_of(points[i].minute, BEGINS)) {
        i++;
    }
    uint64_t from = ms_of(points[i - 1].minute, BEGINS), to = ms_of(points[i].minute, BEGINS);
    int64_t rise = (int64_t)points[i].permille - (int64_t)points[i - 1].permille;
    return (uint32_t)((int64_t)points[i - 1].permille +
                      rise * (int64_t)(now_ms - from) / (int64_t)(to - from));
}

static enum detect_outcome seoul_fate(struct sim *sim, const struct health_probe *probe,
                                      uint32_t *out_after_ms)
{
    const uint8_t *address = probe->target.bytes;

    *out_after_ms = 5;
    if (address[0] != 10 || address[1] != 1) {
        return DETECT_PASS; /* the endpoints live all the time, and so do the others */
    }
    return sim_random(sim) % 1000 < answered_permille(sim->now_ms) ? DETECT_PASS : DETECT_SILENT;
}

struct seen {
    uint64_t pools[SERVICES]; /* answered last */
    unsigned changes[SERVICES];
};

/* One second of all services. Never is an answer empty, whatever else it is. */
static void look(const struct sim *sim, struct seen *seen)
{
    for (size_t i = 0; i < SERVICES; i++) {
        uint64_t pools = sim_answer(sim, i);
        assert_true(pools != 0);
        seen->changes[i] += seen->pools[i] != 0 && pools != seen->pools[i];
        seen->pools[i] = pools;
    }
}

static void begin_seoul(struct sim *sim, const char *on_dns_failure, uint64_t seed)
{
    char yaml[4096];

    (void)snprintf(yaml, sizeof(yaml), three_regions, on_dns_failure);
    sim_begin(sim, sim_load(yaml), seed, seoul_fate, NULL);
}

/* What the api and the web may answer in a minute, when Seoul is left. */
static void check_minute_of_leave(unsigned minute, const struct seen *seen)
{
    bool before = minute < FALLS, gone = minute > IS_GONE && minute < RETURNS;
    bool after = minute >= IS_WHOLE + 2;

    for (size_t i = API; i <= WEB; i++) {
        if (before || after) {
            assert_int_equal(seen->pools[i], FIRST);
        } else if (gone) {
            assert_int_equal(seen->pools[i], SECOND_ONE);
        } else {
            assert_true(seen->pools[i] == FIRST || seen->pools[i] == SECOND_ONE);
        }
    }
    assert_int_equal(seen->pools[ONLY], FIRST); /* there is no other: its endpoint lives */
}

static void replay_leave(uint64_t seed)
{
    struct sim *sim = malloc(sizeof(*sim));
    struct seen seen = { { 0 }, { 0 } };
    unsigned gone[SERVICES] = { 0 };

    assert_non_null(sim);
    begin_seoul(sim, "leave", seed);
    const struct model *model = sim->snapshot->model;
    uint64_t bound = timing_service_ms(model, &model->services[API]);
    for (unsigned minute = BEGINS; minute < ENDS; minute++) {
        if (minute == RETURNS) {
            memcpy(gone, seen.changes, sizeof(gone));
        }
        for (unsigned s = 2; s < 60; s++) {
            sim_run(sim, ms_of(minute, BEGINS) + s * SECOND);
            look(sim, &seen);
            check_minute_of_leave(minute, &seen);
            if (sim->now_ms >= ms_of(IS_GONE, BEGINS) + bound + 20 && minute < RETURNS) {
                assert_int_equal(seen.pools[API], SECOND_ONE); /* moved within the bound */
            }
        }
    }
    /*
     * Gone, with some doubt on the slope down, where hold_down doubles with
     * each return; and back, with none over the long way up at a loss of 40%.
     */
    for (size_t i = API; i <= WEB; i++) {
        assert_in_range(gone[i], 1, 7);
        assert_in_range(seen.changes[i] - gone[i], 1, 3);
    }
    assert_int_equal(seen.changes[ONLY], 0);
    sim_end(sim);
    free(sim);
}

static void seoul_2018_leaves_and_comes_back_once(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        replay_leave(seed);
    }
}

static void seoul_2018_proves_itself_while_its_resolvers_are_gone(void **state)
{
    struct sim *sim = malloc(sizeof(*sim));
    struct seen seen = { { 0 }, { 0 } };

    (void)state;
    assert_non_null(sim);
    begin_seoul(sim, "prove", 7);
    bool gated = false;
    for (unsigned minute = BEGINS; minute < ENDS; minute++) {
        for (unsigned s = 2; s < 60; s++) {
            sim_run(sim, ms_of(minute, BEGINS) + s * SECOND);
            look(sim, &seen);
            struct health_region_view view;
            health_view_region(sim->health, sim->snapshot->binding, 0, &view);
            gated = gated || strcmp(view.state, "gated") == 0;
            for (size_t i = 0; i < SERVICES; i++) {
                assert_int_equal(seen.pools[i], FIRST);
            }
        }
    }
    assert_true(gated); /* it was below its minimum, and its endpoints answered for it */
    sim_end(sim);
    free(sim);
}

/* ---- Seoul, by the number of its resolvers ---- */

/* Of three so many answer from that minute on, two are its minimum; and what api and web answer. */
static const struct stage {
    unsigned minute;
    unsigned resolvers;
    uint64_t pools;
} stages[] = {
    { BEGINS, 3, FIRST },         { FALLS, 2, FIRST },        { AT(8, 21), 1, SECOND_ONE },
    { IS_GONE, 0, SECOND_ONE },   { RETURNS, 1, SECOND_ONE }, { AT(9, 10), 2, FIRST },
    { AT(9, 20), 1, SECOND_ONE }, { AT(9, 30), 2, FIRST },    { IS_WHOLE, 3, FIRST },
};

static const struct stage *stage_at(uint64_t now_ms)
{
    size_t i = 0;

    while (i + 1 < sizeof(stages) / sizeof(stages[0]) &&
           now_ms >= ms_of(stages[i + 1].minute, BEGINS)) {
        i++;
    }
    return &stages[i];
}

static enum detect_outcome resolver_fate(struct sim *sim, const struct health_probe *probe,
                                         uint32_t *out_after_ms)
{
    const uint8_t *address = probe->target.bytes;
    bool is_seouls = address[0] == 10 && address[1] == 1;

    *out_after_ms = 5;
    return is_seouls && address[3] - 2u >= stage_at(sim->now_ms)->resolvers ? DETECT_SILENT
                                                                            : DETECT_PASS;
}

#define HOLD_DOWN_MS 10000u

/* So long after a change it is in the answers: a verdict; or `rise` and hold_down, doubled once. */
static uint64_t settled_ms(const struct sim *sim, const struct stage *stage)
{
    const struct model *model = sim->snapshot->model;

    return stage->pools == FIRST ? 2000 + 2 * HOLD_DOWN_MS
                                 : timing_service_ms(model, &model->services[API]) + 20;
}

/* In each minute it is known what each service answers, to the second. */
static void seoul_2018_minute_by_minute(void **state)
{
    struct sim *sim = malloc(sizeof(*sim));
    struct seen seen = { { 0 }, { 0 } };

    (void)state;
    assert_non_null(sim);
    char yaml[4096];
    (void)snprintf(yaml, sizeof(yaml), three_regions, "leave");
    sim_begin(sim, sim_load(yaml), 1, resolver_fate, NULL);
    for (unsigned minute = BEGINS; minute < ENDS; minute++) {
        for (unsigned s = 2; s < 60; s++) {
            sim_run(sim, ms_of(minute, BEGINS) + s * SECOND);
            look(sim, &seen);
            const struct stage *now = stage_at(sim->now_ms);
            uint64_t past_ms = sim->now_ms - ms_of(now->minute, BEGINS);
            uint64_t before = now == stages ? now->pools : now[-1].pools;
            bool settled = past_ms >= settled_ms(sim, now);
            bool held = now->pools == FIRST && past_ms < HOLD_DOWN_MS;
            for (size_t i = API; i <= WEB; i++) {
                assert_true((!held && seen.pools[i] == now->pools) ||
                            (!settled && seen.pools[i] == before));
            }
            assert_int_equal(seen.pools[ONLY], FIRST);
        }
    }
    for (size_t i = API; i <= WEB; i++) {
        assert_int_equal(seen.changes[i], 4); /* away and back, twice */
    }
    sim_end(sim);
    free(sim);
}

/* ---- us-east-1 ---- */

#define EAST_BEGINS AT(6, 40)
#define IS_EMPTY    AT(6, 48) /* UTC: 23:48 in the evening there */
#define IS_BACK     AT(9, 25)
#define EAST_ENDS   AT(9, 40)
#define TTL_S       5u
#define ADDRESSES   3u

enum { TABLE, EAST_ONLY, EAST_SERVICES };

static const char two_regions[] =
    "node: {region: west}\n"
    "regions:\n"
    "  east: {minimum_healthy: 0}\n"
    "  west: {minimum_healthy: 0}\n"
    "services:\n"
    "  table.example.com:\n"
    "    minimum_healthy: 1\n"
    "    check: {tcp: {port: 80}}\n"
    "    endpoints:\n"
    "      east: [{hostname: dynamodb.east.example, keep_addresses: %s}]\n"
    "      west: [192.0.9.1]\n"
    "  only.example.com:\n"
    "    minimum_healthy: 1\n"
    "    check: {tcp: {port: 80}}\n"
    "    endpoints:\n"
    "      east: [{hostname: dynamodb.east.example, keep_addresses: %s}]\n";

struct east {
    struct sim sim;
    struct hostname name;
    uint64_t taken; /* the version of the set that is in force */
    uint64_t looks;
    char yaml[2048];
    unsigned changes[EAST_SERVICES];
    uint64_t pools[EAST_SERVICES];
};

static enum detect_outcome lives(struct sim *sim, const struct health_probe *probe,
                                 uint32_t *out_after_ms)
{
    (void)sim;
    (void)probe;
    *out_after_ms = 30;
    return DETECT_PASS;
}

static size_t look_up(void *user, const uint8_t *dname, bool keep_addresses,
                      struct addr out[EXPANSION_MOST])
{
    const struct hostname *name = user;
    struct addr list[HOSTNAME_MOST];
    size_t count = hostname_list(name, list);

    (void)dname;
    assert_int_equal(keep_addresses, name->keep);
    memcpy(out, list, count * sizeof(*list));
    return count;
}

static struct model *expanded(struct east *e)
{
    struct model *model = sim_load(e->yaml);

    expansion_apply(model, look_up, &e->name);
    e->taken = e->name.version;
    return model;
}

/* What any resolver says at that time: all ask the same servers. */
static void resolve(struct east *e, uint64_t now_ms)
{
    struct addr list[ADDRESSES];
    bool empty = now_ms >= ms_of(IS_EMPTY, EAST_BEGINS) && now_ms < ms_of(IS_BACK, EAST_BEGINS);
    struct hostname_answer answer = { .kind = empty ? HOSTNAME_NODATA : HOSTNAME_POSITIVE,
                                      .addresses = list,
                                      .count = empty ? 0 : ADDRESSES,
                                      .ttl_s = TTL_S,
                                      .source = "west 10.1.0.2:53" };

    for (unsigned i = 0; i < ADDRESSES; i++) {
        list[i] = (struct addr){ .family = ADDR_V4, .bytes = { 192, 0, 5, (uint8_t)(i + 1) } };
    }
    if (hostname_hear(&e->name, &answer, now_ms) == HOSTNAME_WANTS_SECOND) {
        answer.second = true;
        answer.source = "east 10.2.0.2:53";
        (void)hostname_hear(&e->name, &answer, now_ms);
    }
}

/* What checks say of the addresses, as far as they are in force. */
static void prove(struct east *e)
{
    const struct health_binding *binding = e->sim.snapshot->binding;
    size_t count = health_group_size(binding, TABLE, 0);

    e->looks++;
    for (size_t i = 0; i < count; i++) {
        struct health_endpoint_view view;
        health_view_endpoint(binding, TABLE, 0, i, &view);
        bool good = strcmp(view.state, "up") == 0;
        hostname_prove(&e->name, &view.address, good ? HOSTNAME_PROVEN : HOSTNAME_DISPROVEN,
                       e->looks, e->sim.now_ms);
    }
}

static void begin_east(struct east *e, bool keep)
{
    const char *word = keep ? "true" : "false";

    memset(e, 0, sizeof(*e));
    (void)snprintf(e->yaml, sizeof(e->yaml), two_regions, word, word);
    hostname_init(&e->name, keep, SIM_START_MS);
    resolve(e, SIM_START_MS);
    sim_begin(&e->sim, expanded(e), 3, lives, NULL);
}

static void pass_second(struct east *e, uint64_t until_ms)
{
    sim_run(&e->sim, until_ms);
    prove(e);
    if (e->name.ask_ms <= until_ms) {
        resolve(e, until_ms);
    }
    hostname_tick(&e->name, until_ms);
    if (e->name.version != e->taken) {
        sim_adopt(&e->sim, expanded(e));
    }
    for (size_t i = 0; i < EAST_SERVICES; i++) {
        uint64_t pools = sim_answer(&e->sim, i);
        e->changes[i] += pools != e->pools[i];
        e->pools[i] = pools;
    }
}

static void us_east_1_2025_with_addresses_kept_nothing_moves(void **state)
{
    struct east *e = malloc(sizeof(*e));
    struct addr list[HOSTNAME_MOST];

    (void)state;
    assert_non_null(e);
    begin_east(e, true);
    for (unsigned minute = EAST_BEGINS; minute < EAST_ENDS; minute++) {
        for (unsigned s = 1; s < 60; s += 2) {
            pass_second(e, ms_of(minute, EAST_BEGINS) + s * SECOND);
            assert_int_equal(e->pools[TABLE], FIRST);
            assert_int_equal(e->pools[EAST_ONLY], FIRST);
            assert_int_equal(hostname_list(&e->name, list), ADDRESSES);
        }
        /* for hours: their checks prove whose they are */
        bool doubted = minute > IS_EMPTY && minute < IS_BACK;
        bool settled = minute < IS_EMPTY || minute > IS_BACK;
        assert_true(!doubted || hostname_keeps_any(&e->name));
        assert_true(!settled || !hostname_keeps_any(&e->name));
    }
    assert_int_equal(e->changes[TABLE], 1); /* the first answer */
    assert_int_equal(e->sim.snapshot->generation, 1);
    sim_end(&e->sim);
    free(e);
}

static void us_east_1_2025_believed_at_once_moves_what_can(void **state)
{
    struct east *e = malloc(sizeof(*e));

    (void)state;
    assert_non_null(e);
    begin_east(e, false);
    for (unsigned minute = EAST_BEGINS; minute < EAST_ENDS; minute++) {
        for (unsigned s = 1; s < 60; s += 2) {
            pass_second(e, ms_of(minute, EAST_BEGINS) + s * SECOND);
            assert_true(e->pools[TABLE] != 0);
        }
        bool is_empty = minute >= IS_EMPTY && minute < IS_BACK;
        assert_int_equal(e->pools[TABLE], is_empty ? SECOND_ONE : FIRST);
        /* there is no other: this is what the record took down, everywhere */
        assert_int_equal(e->pools[EAST_ONLY], is_empty ? 0 : FIRST);
    }
    assert_int_equal(e->changes[TABLE], 3); /* the first answer, away and back */
    assert_int_equal(e->changes[EAST_ONLY], 3);
    sim_end(&e->sim);
    free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seoul_2018_leaves_and_comes_back_once),
        cmocka_unit_test(seoul_2018_proves_itself_while_its_resolvers_are_gone),
        cmocka_unit_test(seoul_2018_minute_by_minute),
        cmocka_unit_test(us_east_1_2025_with_addresses_kept_nothing_moves),
        cmocka_unit_test(us_east_1_2025_believed_at_once_moves_what_can),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
