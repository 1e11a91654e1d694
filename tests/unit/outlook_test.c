#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/error.h"
#include "resolver/outlook.h"
#include "zones/name.h"

#define FORGOTTEN_MAX 8

struct fixture {
    struct outlooks outlooks;
    struct forward_upstream upstreams[2];
    struct forward_rule rules[2];
    uint8_t corp[NAME_MAX_BYTES];
    struct snapshot snapshot;
    uint8_t forgotten[FORGOTTEN_MAX][NAME_MAX_BYTES];
    unsigned forgotten_count;
};

static void forget(void *user, const uint8_t *tree)
{
    struct fixture *f = user;

    assert_true(f->forgotten_count < FORGOTTEN_MAX);
    memcpy(f->forgotten[f->forgotten_count++], tree, name_length(tree));
}

static void adopt(struct fixture *f)
{
    f->forgotten_count = 0;
    outlooks_adopt(&f->outlooks, &f->snapshot, forget, f);
}

/* Rules for corp.example and for the rest of the world. */
static void begin(struct fixture *f)
{
    struct error err;

    memset(f, 0, sizeof(*f));
    outlooks_init(&f->outlooks);
    assert_true(name_parse("corp.example", f->corp, &err) > 0);
    for (unsigned i = 0; i < 2; i++) {
        f->upstreams[i].address = (struct addr){ .family = ADDR_V4, .port = 53 };
        f->upstreams[i].address.bytes[3] = (uint8_t)(i + 1);
        f->rules[i].upstreams = &f->upstreams[i];
        f->rules[i].upstream_count = 1;
    }
    f->rules[0].dname = f->corp;
    f->rules[1].dname = (const uint8_t *)"";
    f->snapshot.forwards = f->rules;
    f->snapshot.forward_count = 2;
    adopt(f);
}

static void rules_that_say_the_same_are_the_same(void **state)
{
    struct fixture f;
    (void)state;

    begin(&f);
    assert_int_equal(f.forgotten_count, 0); /* the first time there is nothing to forget */
    adopt(&f);
    assert_int_equal(f.forgotten_count, 0);
    outlooks_fini(&f.outlooks);
}

static void another_upstream_makes_another_rule(void **state)
{
    struct fixture f;
    (void)state;

    begin(&f);
    f.upstreams[0].address.port++;
    adopt(&f);
    assert_int_equal(f.forgotten_count, 2); /* the new one and the old one */
    assert_true(name_equal(f.forgotten[0], f.corp));
    assert_true(name_equal(f.forgotten[1], f.corp));
    f.rules[1].refuse_private = true;
    adopt(&f);
    assert_int_equal(f.forgotten_count, 2);
    assert_int_equal(f.forgotten[0][0], 0);
    outlooks_fini(&f.outlooks);
}

static void a_rule_that_comes_or_goes_is_forgotten(void **state)
{
    struct fixture f;
    (void)state;

    begin(&f);
    f.snapshot.forwards = &f.rules[1];
    f.snapshot.forward_count = 1;
    adopt(&f);
    assert_int_equal(f.forgotten_count, 1);
    assert_true(name_equal(f.forgotten[0], f.corp));
    f.snapshot.forwards = f.rules;
    f.snapshot.forward_count = 2;
    adopt(&f);
    assert_int_equal(f.forgotten_count, 1);
    assert_true(name_equal(f.forgotten[0], f.corp));
    outlooks_fini(&f.outlooks);
}

static void silence_is_known_until_the_rule_changes(void **state)
{
    struct fixture f;
    (void)state;

    begin(&f);
    uint64_t digest = outlooks_digest(&f.outlooks, &f.rules[0]);
    assert_false(outlooks_is_silent(&f.outlooks, digest));
    outlooks_set_silent(&f.outlooks, digest, true);
    outlooks_set_silent(&f.outlooks, digest, true);
    adopt(&f);
    assert_true(outlooks_is_silent(&f.outlooks, digest));
    assert_false(outlooks_is_silent(&f.outlooks, outlooks_digest(&f.outlooks, &f.rules[1])));
    outlooks_set_silent(&f.outlooks, digest, false);
    assert_false(outlooks_is_silent(&f.outlooks, digest));
    assert_int_equal(f.outlooks.silent_count, 0);
    outlooks_set_silent(&f.outlooks, digest, true);
    f.upstreams[0].address.port++;
    adopt(&f);
    assert_int_equal(f.outlooks.silent_count, 0);
    outlooks_fini(&f.outlooks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_that_say_the_same_are_the_same),
        cmocka_unit_test(another_upstream_makes_another_rule),
        cmocka_unit_test(a_rule_that_comes_or_goes_is_forgotten),
        cmocka_unit_test(silence_is_known_until_the_rule_changes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
