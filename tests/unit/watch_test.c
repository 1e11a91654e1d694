#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "resolver/watch.h"

struct fixture {
    char path[32];
    uv_loop_t loop;
    struct watch *watch;
    struct model model;
    unsigned changes;
};

static void write_file(const struct fixture *f, const char *text)
{
    FILE *file = fopen(f->path, "w");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void on_changed(void *user, const char *path)
{
    struct fixture *f = user;

    assert_string_equal(path, f->path);
    f->changes++;
}

static void begin(struct fixture *f)
{
    *f = (struct fixture){ .path = "/tmp/leeward-watch-XXXXXX" };
    int fd = mkstemp(f->path);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    write_file(f, "nameserver 192.0.2.1\n");
    f->model.hosts = f->path;
    assert_int_equal(uv_loop_init(&f->loop), 0);
    f->watch = watch_new(&f->loop, on_changed, f);
    assert_non_null(f->watch);
    watch_adopt(f->watch, &f->model);
}

static void end(struct fixture *f)
{
    watch_close(f->watch);
    (void)uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    (void)unlink(f->path);
}

/* Until the files are looked at; the timer is all that the loop has. */
static unsigned look_once(struct fixture *f)
{
    (void)uv_run(&f->loop, UV_RUN_NOWAIT); /* before that it does not know what is due */
    uint64_t due_ms = uv_now(&f->loop) + (uint64_t)uv_backend_timeout(&f->loop);
    while (uv_now(&f->loop) < due_ms) { /* a signal ends a turn early */
        (void)uv_run(&f->loop, UV_RUN_ONCE);
    }
    return f->changes;
}

static void a_change_is_told_once(void **state)
{
    struct fixture f;
    (void)state;

    begin(&f);
    write_file(&f, "nameserver 192.0.2.22\n");
    assert_int_equal(look_once(&f), 1);
    assert_int_equal(look_once(&f), 1);
    end(&f);
}

static void a_change_while_a_model_is_on_its_way_is_told(void **state)
{
    struct fixture f;
    (void)state;

    begin(&f);
    watch_look(f.watch); /* the model is made from this */
    write_file(&f, "nameserver 192.0.2.22\n");
    watch_adopt(f.watch, &f.model);
    assert_int_equal(look_once(&f), 1);
    end(&f);
}

static void what_a_model_was_made_from_is_no_news(void **state)
{
    struct fixture f;
    (void)state;

    begin(&f);
    write_file(&f, "nameserver 192.0.2.22\n");
    watch_look(f.watch);
    watch_adopt(f.watch, &f.model);
    assert_int_equal(look_once(&f), 0);
    end(&f);
}

static void a_file_that_is_gone_has_not_changed(void **state)
{
    struct fixture f;
    (void)state;

    begin(&f);
    assert_int_equal(unlink(f.path), 0);
    watch_look(f.watch);
    assert_int_equal(look_once(&f), 0);
    write_file(&f, "nameserver 192.0.2.1\n");
    assert_int_equal(look_once(&f), 0);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_change_is_told_once),
        cmocka_unit_test(a_change_while_a_model_is_on_its_way_is_told),
        cmocka_unit_test(what_a_model_was_made_from_is_no_news),
        cmocka_unit_test(a_file_that_is_gone_has_not_changed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
