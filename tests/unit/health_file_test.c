#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/text.h"
#include "policy/health_file.h"
#include "tests/unit/health_world.h"

#define WALL_MS UINT64_C(1795363200000) /* 2026-11-22T16:00:00Z */
#define MINUTE  60000u

/* What the world believes, as a file written at WALL_MS. */
static void render(const struct world *w, struct text *out)
{
    memset(out, 0, sizeof(*out));
    health_file_render(w->health, w->now_ms, WALL_MS, out);
    health_file_finish(out);
    assert_false(text_failed(out));
}

static int take(struct world *w, const char *bytes, size_t length, uint64_t wall_ms)
{
    struct error err;

    w->health = health_new(on_event, w);
    assert_non_null(w->health);
    int rc = health_file_take(w->health, bytes, length, w->now_ms, wall_ms, NULL, NULL, &err);
    w->binding = bind_model(w);
    health_commit(w->health, w->binding, w->now_ms);
    return rc;
}

/* Seoul gated, one endpoint of Tokyo down, one held. */
static void set_up_outage(struct world *w)
{
    set_up_model(w);
    add_usual_service(w);
    begin(w);
    pass_all(w);
    give_times(w, SEOUL_DNS, DETECT_STRONG, 3);
    give_times(w, "198.51.100.10:8080", DETECT_STRONG, 3);
    give_times(w, "198.51.100.11:8080", DETECT_STRONG, 3);
    give_times(w, "198.51.100.11:8080", DETECT_PASS, 2);
}

/* The process ends and another one begins, with a clock of its own. */
static void restart(struct world *w, const struct text *file, uint64_t wall_ms)
{
    end(w);
    w->told_count = 0;
    w->now_ms = 1234;
    assert_int_equal(take(w, text_string(file), file->length, wall_ms), 0);
}

static void what_is_young_counts_as_it_stood(void **state)
{
    struct health_endpoint_view view;
    struct text file;
    struct world w;
    (void)state;

    set_up_outage(&w);
    render(&w, &file);
    restart(&w, &file, WALL_MS + 5 * MINUTE);
    assert_int_equal(region_flags(&w, 0), HEALTH_REGION_GATED);
    assert_int_equal(region_flags(&w, 1), 0);
    assert_true(up(&w, 0, 1, ADDR_V4) == 0);
    assert_true(held(&w, 0, 1, ADDR_V4) == 2);
    assert_true(up(&w, 0, 0, ADDR_V4) == 3);
    assert_false(is_short(&w, 0, 0)); /* it is known */
    health_view_endpoint(w.binding, 0, 1, 0, &view);
    assert_string_equal(view.state, "down");
    assert_string_equal(view.probes[0]->reason, "connection refused");
    assert_int_equal(w.told_count, 0); /* nothing has changed */
    assert_int_equal(health_pending(w.binding), 9);
    end(&w);
    text_fini(&file);
}

static void the_first_result_alone_decides_then(void **state)
{
    struct text file;
    struct world w;
    (void)state;

    set_up_outage(&w);
    render(&w, &file);
    restart(&w, &file, WALL_MS + 5 * MINUTE);
    give_times(&w, "198.51.100.10:8080", DETECT_PASS, 1);
    give_times(&w, "198.51.100.11:8080", DETECT_STRONG, 1);
    give_times(&w, SEOUL_DNS, DETECT_PASS, 1);
    assert_true(up(&w, 0, 1, ADDR_V4) == 1);
    assert_true(held(&w, 0, 1, ADDR_V4) == 0);
    assert_int_equal(region_flags(&w, 0), 0);
    end(&w);
    text_fini(&file);
}

static void what_is_old_is_unknown_but_its_flaps_are_kept(void **state)
{
    struct text file;
    struct world w;
    (void)state;

    set_up_outage(&w);
    bring_back(&w, "198.51.100.11:8080");
    give_times(&w, "198.51.100.11:8080", DETECT_STRONG, 3); /* the second time */
    uint32_t hold_ms = probe_of(&w, "198.51.100.11:8080")->detect.hold_now_ms;
    assert_int_equal(hold_ms, 20000);
    render(&w, &file);
    restart(&w, &file, WALL_MS + 11 * MINUTE);
    assert_int_equal(region_flags(&w, 0), 0);
    assert_true(up(&w, 0, 1, ADDR_V4) == 3);
    assert_true(is_short(&w, 0, 1));
    assert_int_equal(probe_of(&w, "198.51.100.11:8080")->detect.hold_now_ms, hold_ms);
    end(&w);
    text_fini(&file);
}

static void civil_time_may_jump(void **state)
{
    static const struct {
        int64_t jump_ms;
        bool is_fresh;
    } cases[] = {
        { 0, true },
        { -5 * (int64_t)MINUTE, true },
        { 9 * (int64_t)MINUTE, true },
        { -11 * (int64_t)MINUTE, false },
        { 86400000, false },
        { -86400000, false },
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct text file;
        struct world w;
        set_up_outage(&w);
        render(&w, &file);
        restart(&w, &file, (uint64_t)((int64_t)WALL_MS + cases[i].jump_ms));
        assert_int_equal(region_flags(&w, 0), cases[i].is_fresh ? HEALTH_REGION_GATED : 0);
        end(&w);
        text_fini(&file);
    }
}

/* A restart before the first result must not make old news young. */
static void what_was_restored_ages_on(void **state)
{
    struct text file, again = { 0 };
    struct world w;
    (void)state;

    set_up_outage(&w);
    render(&w, &file);
    restart(&w, &file, WALL_MS + 6 * MINUTE);
    w.now_ms += 1000;
    health_file_render(w.health, w.now_ms, WALL_MS + 6 * MINUTE + 1000, &again);
    health_file_finish(&again);
    restart(&w, &again, WALL_MS + 12 * MINUTE);
    assert_int_equal(region_flags(&w, 0), 0);
    end(&w);
    text_fini(&file);
    text_fini(&again);
}

static void a_check_that_changed_is_not_recognized(void **state)
{
    struct text file;
    struct world w;
    (void)state;

    set_up_outage(&w);
    render(&w, &file);
    w.web.path = "/other";
    restart(&w, &file, WALL_MS);
    assert_true(up(&w, 0, 1, ADDR_V4) == 3);
    assert_int_equal(region_flags(&w, 0), HEALTH_REGION_GATED);
    end(&w);
    text_fini(&file);
}

static void a_region_that_proves_itself_still_does(void **state)
{
    struct text file;
    struct world w;
    (void)state;

    set_up_model(&w);
    add_usual_service(&w);
    w.regions[0].on_dns_failure = MODEL_DNS_FAILURE_PROVE;
    begin(&w);
    pass_all(&w);
    give_times(&w, SEOUL_DNS, DETECT_STRONG, 3);
    give_times(&w, "203.0.113.10:8080", DETECT_STRONG, 3);
    render(&w, &file);
    restart(&w, &file, WALL_MS);
    assert_int_equal(region_flags(&w, 0), HEALTH_REGION_GATED | HEALTH_REGION_PROVE);
    assert_true(proven(&w, 0, 0, ADDR_V4) == 2);
    end(&w);
    text_fini(&file);
}

/* Any byte changed, any end cut off: refused, and nothing of it is believed. */
static void damage_is_found_wherever_it_is(void **state)
{
    struct text file;
    struct world w;
    (void)state;

    set_up_outage(&w);
    render(&w, &file);
    end(&w);
    for (size_t i = 0; i < file.length; i++) {
        struct health *health = health_new(NULL, NULL);
        struct error err;
        file.bytes[i] ^= 1;
        assert_int_equal(
            health_file_take(health, file.bytes, file.length, 1, WALL_MS, NULL, NULL, &err),
            -EBADMSG);
        file.bytes[i] ^= 1;
        assert_int_equal(health_file_take(health, file.bytes, i, 1, WALL_MS, NULL, NULL, &err),
                         -EBADMSG);
        health_free(health);
    }
    text_fini(&file);
}

static void lines_that_make_no_sense_are_refused_though_they_add_up(void **state)
{
    static const char *const lines[] = {
        "probe 00 up 1 1 1 1 1 1 1 1 x",
        "probe 0123456789abcdef0123456789abcdef sideways 1 1 1 1 1 1 1 1 x",
        "probe 0123456789abcdef0123456789abcdef up 1 1 1 1 1 1 1 1",
        "probe 0123456789abcdef0123456789abcdef up 1 1 1 1 1 1 1 1 x y",
        "probe 0123456789abcdef0123456789abcdef up -1 1 1 1 1 1 1 1 x",
        "probe 0123456789abcdef0123456789abcdef up 1 1 99999999999 1 1 1 1 1 x",
        "probe 0123456789abcdef0123456789abcdef up 1 1 1 1 1 1 1 1 %zz",
        "probe 0123456789abcdef0123456789abcdef up 1 1 1 1 1 1 1 1 %0",
        "region seoul asleep 1 1",
        "region seoul in 1",
        "good api 5 seoul 1.2.3.4",
        "good api 4 seoul 2001:db8::1",
        "good api 4 seoul 1.2.3",
        "good api",
        "nonsense",
        "",
    };
    (void)state;

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct health *health = health_new(NULL, NULL);
        struct text file = { 0 };
        struct error err;
        text_printf(&file, "leeward-health 1\n%s\n", lines[i]);
        health_file_finish(&file);
        assert_int_equal(
            health_file_take(health, file.bytes, file.length, 1, WALL_MS, NULL, NULL, &err),
            -EBADMSG);
        assert_non_null(strstr(err.message, "line 2"));
        text_fini(&file);
        health_free(health);
    }
}

/* ---- what services remember ---- */

struct remembered {
    unsigned count;
    char last[400];
};

static void on_good(void *user, const struct health_good *good)
{
    struct remembered *r = user;
    char address[ADDR_TEXT_MAX];
    size_t used;

    r->count++;
    (void)snprintf(r->last, sizeof(r->last), "%s %d %s", good->service, good->family, good->region);
    for (size_t i = 0; i < good->address_count; i++) {
        used = strlen(r->last);
        addr_format_port(&good->addresses[i], address, sizeof(address));
        (void)snprintf(r->last + used, sizeof(r->last) - used, " %s", address);
    }
}

static void what_services_remember_comes_back_by_name(void **state)
{
    const struct addr v6[] = { address("2001:db8::1", 0), address("2001:db8::2", 53) };
    struct remembered r = { 0 };
    struct text file = { 0 };
    struct error err;
    (void)state;

    struct health *health = health_new(NULL, NULL);
    health_file_render(health, 1, WALL_MS, &file);
    health_file_put_good(&file,
                         &(struct health_good){ "a b%\n.example", ADDR_V4, "seoul", NULL, 0 });
    health_file_put_good(
        &file, &(struct health_good){ "api.svc.example.com", ADDR_V6, "new seoul", v6, 2 });
    health_file_finish(&file);
    assert_int_equal(
        health_file_take(health, file.bytes, file.length, 1, WALL_MS, on_good, &r, &err), 0);
    assert_int_equal(r.count, 2);
    assert_string_equal(r.last, "api.svc.example.com 1 new seoul [2001:db8::1]:0 [2001:db8::2]:53");
    text_fini(&file);
    health_free(health);
}

/* ---- on disk ---- */

static void a_damaged_file_is_set_aside_and_a_missing_one_is_fine(void **state)
{
    char directory[] = "/tmp/health-file-XXXXXX";
    char path[64], aside[80];
    struct text file;
    struct error err;
    struct world w;
    (void)state;

    assert_non_null(mkdtemp(directory));
    (void)snprintf(path, sizeof(path), "%s/health", directory);
    (void)snprintf(aside, sizeof(aside), "%s.damaged", path);
    set_up_outage(&w);
    struct health *health = health_new(NULL, NULL);
    assert_int_equal(health_file_read(health, path, 1, WALL_MS, NULL, NULL, &err), 0);
    render(&w, &file);
    assert_int_equal(health_file_write(path, file.bytes, file.length, &err), 0);
    assert_int_equal(health_file_read(health, path, 1, WALL_MS, NULL, NULL, &err), 0);
    assert_int_equal(health_file_write(path, file.bytes, file.length - 5, &err), 0);
    assert_int_equal(health_file_read(health, path, 1, WALL_MS, NULL, NULL, &err), -EBADMSG);
    assert_non_null(strstr(err.message, "set aside as"));
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(access(aside, F_OK), 0);
    assert_int_equal(unlink(aside), 0);
    assert_int_equal(rmdir(directory), 0);
    health_free(health);
    end(&w);
    text_fini(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_young_counts_as_it_stood),
        cmocka_unit_test(the_first_result_alone_decides_then),
        cmocka_unit_test(what_is_old_is_unknown_but_its_flaps_are_kept),
        cmocka_unit_test(civil_time_may_jump),
        cmocka_unit_test(what_was_restored_ages_on),
        cmocka_unit_test(a_check_that_changed_is_not_recognized),
        cmocka_unit_test(a_region_that_proves_itself_still_does),
        cmocka_unit_test(damage_is_found_wherever_it_is),
        cmocka_unit_test(lines_that_make_no_sense_are_refused_though_they_add_up),
        cmocka_unit_test(what_services_remember_comes_back_by_name),
        cmocka_unit_test(a_damaged_file_is_set_aside_and_a_missing_one_is_fine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
