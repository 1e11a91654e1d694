#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/text.h"
#include "resolver/hosts.h"
#include "tests/unit/scratch.h"
#include "zones/name.h"
#include "zones/wire.h"

static const struct hosts *read_text(struct arena *arena, const char *text)
{
    const struct hosts *hosts = NULL;
    struct scratch scratch;
    struct error err;

    scratch_init(&scratch);
    assert_int_equal(hosts_read(arena, scratch_write(&scratch, "hosts", text), &hosts, &err), 0);
    scratch_fini(&scratch);
    return hosts;
}

static size_t ask(const struct hosts *hosts, const char *text, uint16_t type, uint8_t *out)
{
    uint8_t dname[NAME_MAX_BYTES];
    struct error err;
    int length = name_parse(text, dname, &err);

    assert_true(length > 0);
    const struct forward_question question = {
        .name = dname,
        .name_length = (uint8_t)length,
        .type = type,
        .class = WIRE_IN,
    };
    return hosts_answer(hosts, &question, dname, out);
}

static unsigned answers_of(const uint8_t *message)
{
    return wire_get16(message + 6);
}

static void names_have_the_addresses_written(void **state)
{
    struct arena *arena = arena_new();
    uint8_t out[HOSTS_MESSAGE_MAX];
    (void)state;

    const struct hosts *hosts = read_text(arena, "# ours\n"
                                                 "10.0.0.1\tDB.corp.example db # the first\n"
                                                 "10.0.0.2 db.corp.example\r\n"
                                                 "2001:db8::7 db.corp.example\n"
                                                 "10.0.0.1 db.corp.example\n");
    size_t length = ask(hosts, "db.corp.example", WIRE_A, out);
    assert_true(length > 4 && wire_response_sound(out, length));
    assert_int_equal(answers_of(out), 2);
    assert_memory_equal(out + length - 4, "\12\0\0\2", 4);
    assert_true(ask(hosts, "db.corp.example", WIRE_AAAA, out) > 0);
    assert_int_equal(answers_of(out), 1);
    assert_true(ask(hosts, "db", WIRE_A, out) > 0);
    assert_int_equal(answers_of(out), 1);
    assert_int_equal(ask(hosts, "www.corp.example", WIRE_A, out), 0);
    assert_int_equal(ask(NULL, "db", WIRE_A, out), 0);
    arena_free(arena);
}

static void other_types_of_such_a_name_do_not_exist(void **state)
{
    struct arena *arena = arena_new();
    uint8_t out[HOSTS_MESSAGE_MAX];
    (void)state;

    const struct hosts *hosts = read_text(arena, "10.0.0.1 db\n");
    assert_true(ask(hosts, "db", WIRE_MX, out) > 0);
    assert_int_equal(answers_of(out), 0);
    assert_int_equal(wire_get16(out + 2) & WIRE_RCODE, WIRE_NOERROR);
    arena_free(arena);
}

static void an_address_has_the_first_name_of_its_line(void **state)
{
    static const uint8_t db[] = "\2db\4corp";
    struct arena *arena = arena_new();
    uint8_t out[HOSTS_MESSAGE_MAX];
    (void)state;

    const struct hosts *hosts = read_text(arena, "10.0.0.1 db.corp db\n2001:db8::7 six\n");
    size_t length = ask(hosts, "1.0.0.10.in-addr.arpa", WIRE_PTR, out);
    assert_true(length > sizeof(db));
    assert_int_equal(answers_of(out), 1);
    assert_memory_equal(out + length - sizeof(db), db, sizeof(db));
    assert_true(ask(hosts,
                    "7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
                    WIRE_PTR, out) > 0);
    assert_int_equal(answers_of(out), 1);
    arena_free(arena);
}

static void lines_that_make_no_sense_are_skipped(void **state)
{
    struct arena *arena = arena_new();
    uint8_t out[HOSTS_MESSAGE_MAX];
    (void)state;

    const struct hosts *hosts =
        read_text(arena, "nonsense here\n10.0.0\n10.0.0.9\n10.0.0.3 a..b good\n\n   \n#\n"
                         "10.0.0.4 last");
    assert_true(ask(hosts, "good", WIRE_A, out) > 0);
    assert_true(ask(hosts, "last", WIRE_A, out) > 0);
    assert_int_equal(ask(hosts, "here", WIRE_A, out), 0);
    arena_free(arena);
}

static void a_name_with_too_many_addresses_answers_with_what_fits(void **state)
{
    struct arena *arena = arena_new();
    struct text text = { 0 };
    uint8_t out[HOSTS_MESSAGE_MAX];
    (void)state;

    for (unsigned i = 0; i < 1000; i++) {
        text_printf(&text, "10.1.%u.%u many\n", i / 250, i % 250);
    }
    const struct hosts *hosts = read_text(arena, text_string(&text));
    size_t length = ask(hosts, "many", WIRE_A, out);
    assert_in_range(length, HOSTS_MESSAGE_MAX - 32, HOSTS_MESSAGE_MAX);
    assert_true(wire_response_sound(out, length));
    text_fini(&text);
    arena_free(arena);
}

static void a_blocklist_is_read_in_a_moment(void **state)
{
    struct arena *arena = arena_new();
    struct text text = { 0 };
    uint8_t out[HOSTS_MESSAGE_MAX];
    (void)state;

    for (unsigned i = 0; i < 200000; i++) { /* pairs of these would take minutes */
        text_printf(&text, "0.0.0.0 n%u.example\n", i);
    }
    const struct hosts *hosts = read_text(arena, text_string(&text));
    assert_true(ask(hosts, "n199999.example", WIRE_A, out) > 0);
    assert_true(ask(hosts, "0.0.0.0.in-addr.arpa", WIRE_PTR, out) > 0);
    text_fini(&text);
    arena_free(arena);
}

static void names_are_found_without_an_answer(void **state)
{
    struct arena *arena = arena_new();
    struct error err;
    uint8_t dname[NAME_MAX_BYTES];
    (void)state;

    const struct hosts *hosts = read_text(arena, "10.0.0.1 db.lan\n");
    assert_true(name_parse("db.lan", dname, &err) > 0);
    assert_true(hosts_has(hosts, dname));
    assert_false(hosts_has(NULL, dname));
    assert_true(name_parse("lan", dname, &err) > 0);
    assert_false(hosts_has(hosts, dname));
    assert_true(name_parse("1.0.0.10.in-addr.arpa", dname, &err) > 0);
    assert_true(hosts_has(hosts, dname));
    arena_free(arena);
}

static void files_are_compared_by_content(void **state)
{
    struct arena *arena = arena_new();
    (void)state;

    const struct hosts *a = read_text(arena, "10.0.0.1 db\n");
    const struct hosts *b = read_text(arena, "10.0.0.1 db\n");
    const struct hosts *c = read_text(arena, "10.0.0.2 db\n");
    assert_true(hosts_digest(a) == hosts_digest(b));
    assert_true(hosts_digest(a) != hosts_digest(c));
    assert_true(hosts_digest(a) != hosts_digest(NULL));
    arena_free(arena);
}

static void a_file_that_is_not_there_is_an_error(void **state)
{
    struct arena *arena = arena_new();
    const struct hosts *hosts = NULL;
    struct error err;
    (void)state;

    assert_int_equal(hosts_read(arena, "/nonexistent/hosts", &hosts, &err), -ENOENT);
    assert_null(hosts);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_have_the_addresses_written),
        cmocka_unit_test(other_types_of_such_a_name_do_not_exist),
        cmocka_unit_test(an_address_has_the_first_name_of_its_line),
        cmocka_unit_test(lines_that_make_no_sense_are_skipped),
        cmocka_unit_test(a_name_with_too_many_addresses_answers_with_what_fits),
        cmocka_unit_test(a_blocklist_is_read_in_a_moment),
        cmocka_unit_test(names_are_found_without_an_answer),
        cmocka_unit_test(files_are_compared_by_content),
        cmocka_unit_test(a_file_that_is_not_there_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
