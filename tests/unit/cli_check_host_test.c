#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pwd.h>
#include <string.h>

#include "resolver/cli/cli_check_host.h"
#include "tests/unit/scratch.h"

/* Its name in memory of its own: the next look-up overwrites the entry. */
static const char *name_of(const struct passwd *entry, char name[64])
{
    (void)snprintf(name, 64, "%s", entry->pw_name);
    return name;
}

static void put(const char *user, const char *state, const char *socket, struct text *out)
{
    struct model model;

    memset(&model, 0, sizeof(model));
    model.node_user = user;
    model.state_directory = state;
    model.api_socket = socket;
    cli_check_host_put("leeward.yaml", &model, out);
}

static void a_user_that_is_missing_is_named(void **state)
{
    struct text out = { 0 };

    (void)state;
    put("no-such-user-here", "/nowhere/at/all", NULL, &out);
    assert_non_null(strstr(text_string(&out),
                           "leeward.yaml: warning: node.user: no user named 'no-such-user-here'"));
    text_fini(&out);
}

static void without_a_user_nothing_is_said(void **state)
{
    struct text out = { 0 };

    (void)state;
    put(NULL, "/proc/nothing", "/proc/none/leeward.sock", &out);
    assert_int_equal(out.length, 0);
    text_fini(&out);
}

static void folders_that_can_be_made_are_fine(void **state)
{
    struct scratch scratch;
    struct text out = { 0 };
    char folder[128], socket[128], name[64];
    const struct passwd *self = getpwuid(getuid());

    (void)state;
    if (self == NULL) {
        skip(); /* nobody that passwd knows */
    }
    scratch_init(&scratch);
    (void)snprintf(folder, sizeof(folder), "%s/a/b/c", scratch.dir);
    (void)snprintf(socket, sizeof(socket), "%s/run/leeward.sock", scratch.dir);
    put(name_of(self, name), folder, socket, &out);
    assert_string_equal(text_string(&out), "");
    scratch_fini(&scratch);
    text_fini(&out);
}

static void what_cannot_be_written_is_named(void **state)
{
    struct scratch scratch;
    struct text out = { 0 };
    char folder[128], socket[128], name[64];
    const struct passwd *who = getuid() == 0 ? getpwnam("nobody") : getpwuid(getuid());

    (void)state;
    if (who == NULL) {
        skip();
    }
    scratch_init(&scratch);
    assert_int_equal(chmod(scratch.dir, 0500), 0);
    (void)snprintf(folder, sizeof(folder), "%s/state", scratch.dir);
    (void)snprintf(socket, sizeof(socket), "%s/leeward.sock", scratch.dir);
    put(name_of(who, name), folder, socket, &out);
    assert_non_null(strstr(text_string(&out), "leeward.yaml: warning: node.state_directory: user"));
    assert_non_null(strstr(text_string(&out), "leeward.yaml: warning: api.socket: user"));
    assert_int_equal(chmod(scratch.dir, 0700), 0);
    scratch_fini(&scratch);
    text_fini(&out);
}

static void a_file_of_authorities_without_a_certificate_is_named(void **state)
{
    struct scratch scratch;
    struct text out = { 0 };
    struct model_check checks[3];
    struct tls_settings tls[3];
    struct model_region region;
    struct model model;
    char good[256], bad[256];

    (void)state;
    scratch_init(&scratch);
    memset(checks, 0, sizeof(checks));
    memset(tls, 0, sizeof(tls));
    memset(&region, 0, sizeof(region));
    memset(&model, 0, sizeof(model));
    (void)snprintf(good, sizeof(good), "%s",
                   scratch_write(&scratch, "good.pem",
                                 "our own\n-----BEGIN CERTIFICATE-----\nMAo=\n"
                                 "-----END CERTIFICATE-----\n"));
    (void)snprintf(bad, sizeof(bad), "%s",
                   scratch_write(&scratch, "bad.pem", "-----BEGIN PRIVATE KEY-----\nMAo=\n"));
    tls[0].ca_file = good;
    tls[1].ca_file = tls[2].ca_file = bad;
    for (unsigned i = 0; i < 3; i++) {
        checks[i].kind = MODEL_CHECK_TCP;
        checks[i].tls = &tls[i];
    }
    region.checks = checks;
    region.check_count = 3;
    model.regions = &region;
    model.region_count = 1;
    cli_check_host_put("leeward.yaml", &model, &out);
    const char *found = strstr(text_string(&out), "ca_file: there is no certificate in ");
    assert_non_null(found);
    assert_non_null(strstr(found, "bad.pem"));
    assert_null(strstr(found + 1, "ca_file: there is")); /* once is enough */
    assert_null(strstr(text_string(&out), "good.pem"));
    scratch_fini(&scratch);
    text_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_user_that_is_missing_is_named),
        cmocka_unit_test(without_a_user_nothing_is_said),
        cmocka_unit_test(folders_that_can_be_made_are_fine),
        cmocka_unit_test(what_cannot_be_written_is_named),
        cmocka_unit_test(a_file_of_authorities_without_a_certificate_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
