/* What checks trust, and the library that it needs, which the test can withhold. */
#include "check_world.h"

#include <errno.h>

#include "policy/checks/check_trust.h"

static bool forbidden;

void *__real_dlopen(const char *name, int flags);
void *__wrap_dlopen(const char *name, int flags);

void *__wrap_dlopen(const char *name, int flags)
{
    return forbidden ? NULL : __real_dlopen(name, flags);
}

static int set_up_tls(void **state)
{
    return set_up(state, MODEL_CHECK_TLS, sizeof(struct fixture));
}

static int forget(void **state)
{
    (void)state;
    check_trust_clear();
    return 0;
}

/* The first test of all: once loaded, the library stays. */
static void without_the_library_it_is_our_own_trouble(void **state)
{
    static const struct tls_settings settings = { .name = "www.example" };
    struct fixture *f = *state;

    f->check.tls = &settings;
    serve_stream(f, STAY_SILENT, false, "");
    forbidden = true;
    probe_once(f);
    forbidden = false;
    assert_int_equal(f->outcome, DETECT_VOID);
    assert_memory_equal(f->reason, "cannot load TLS", 15);
    assert_false(f->has_peer); /* and the target was not bothered */
}

static void what_cannot_be_loaded_is_not_tried_again_at_once(void **state)
{
    static const struct tls_settings absent = { .name = "a.example", .ca_file = "/nonexistent/ca" };
    static const struct tls_settings same = { .name = "b.example", .ca_file = "/nonexistent/ca" };
    struct tls_context *context;
    struct error err;

    (void)state;
    assert_int_equal(check_trust_find(&absent, 1000, &context, &err), -ENOENT);
    assert_non_null(strstr(err.message, "/nonexistent/ca"));
    /* another name, but the same file */
    memset(&err, 0, sizeof(err));
    assert_int_equal(check_trust_find(&same, 1001, &context, &err), -ENOENT);
    assert_non_null(strstr(err.message, "/nonexistent/ca"));
    assert_int_equal(check_trust_find(&same, 60000, &context, &err), -ENOENT);
}

static void a_failure_of_one_file_is_none_of_another(void **state)
{
    static const struct tls_settings absent = { .name = "a.example", .ca_file = "/nonexistent/ca" };
    static const struct tls_settings unverified = { .name = "a.example",
                                                    .ca_file = "/nonexistent/ca",
                                                    .unverified = true };
    struct tls_context *context;
    struct error err;

    (void)state;
    assert_int_equal(check_trust_find(&absent, 1000, &context, &err), -ENOENT);
    assert_int_equal(check_trust_find(&unverified, 1000, &context, &err), 0);
    tls_context_unref(context);
}

static void what_is_trusted_is_kept_between_probes(void **state)
{
    static const struct tls_settings settings = { .name = "a.example", .unverified = true };
    static const struct tls_settings other = { .name = "b.example",
                                               .unverified = true,
                                               .protocol = "dot" };
    struct tls_context *first, *second;
    struct error err;

    (void)state;
    assert_int_equal(check_trust_find(&settings, 1000, &first, &err), 0);
    tls_context_unref(first);
    assert_int_equal(check_trust_find(&other, 2000, &second, &err), 0);
    assert_ptr_equal(first, second);
    tls_context_unref(second);
}

static void what_is_in_use_outlives_the_end(void **state)
{
    static const struct tls_settings settings = { .name = "a.example", .unverified = true };
    struct tls_context *context;
    struct error err;

    (void)state;
    assert_int_equal(check_trust_find(&settings, 1000, &context, &err), 0);
    check_trust_clear();
    struct tls *tls = tls_new(context, &settings, NULL);
    assert_non_null(tls);
    tls_free(tls);
    tls_context_unref(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_the_library_it_is_our_own_trouble, set_up_tls,
                                        tear_down),
        cmocka_unit_test_teardown(what_cannot_be_loaded_is_not_tried_again_at_once, forget),
        cmocka_unit_test_teardown(a_failure_of_one_file_is_none_of_another, forget),
        cmocka_unit_test_teardown(what_is_trusted_is_kept_between_probes, forget),
        cmocka_unit_test_teardown(what_is_in_use_outlives_the_end, forget),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
