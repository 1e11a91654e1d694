#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "policy/config.h"

#define GONE_IN "/nonexistent/of-an-older-day/"

typedef int loader(const char *text, const char *path, struct model **out_model,
                   struct config_report *report);

/* Does it load? */
static bool loads(loader *load, const char *text)
{
    struct config_report report = { 0 };
    struct model *model = NULL;
    bool good = load(text, "test.yaml", &model, &report) == 0;

    if (good) {
        model_free(model);
    }
    config_report_fini(&report);
    return good;
}

static void what_is_gone_from_the_machine_is_an_error_in_a_new_configuration_only(void **state)
{
    static const char *const texts[] = {
        "checks: {c: {exec: {command: " GONE_IN "plugin}}}\n",
        "checks: {c: {tls: {name: a.example, ca_file: " GONE_IN "ca.pem}}}\n",
        "regions: {a: {minimum_healthy: 0}}\n"
        "clients: [{geo: " GONE_IN "country.mmdb, countries: {KR: a}}]\n",
        "notify: [{exec: " GONE_IN "hook, on: region}]\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_false(loads(config_load_text, texts[i]));
        assert_true(loads(config_load_kept, texts[i]));
    }
}

static void what_is_wrong_in_itself_is_an_error_in_a_kept_one_too(void **state)
{
    (void)state;
    assert_false(loads(config_load_kept, "regions: {a: {}}\n"));
    assert_false(loads(config_load_kept, "checks: {c: {exec: {}}}\n"));
}

/* With all defaults written out it is several times as long as the file it came from. */
static void a_kept_one_may_be_longer_than_a_file(void **state)
{
    struct text text = { 0 };

    (void)state;
    text_put(&text, "regions: {a: {minimum_healthy: 0}}\n");
    while (text.length < (size_t)17 * 1024 * 1024) {
        text_put(&text, "# and so on, and so on, and so on, and so on, and so on, and so on\n");
    }
    assert_false(text_failed(&text));
    assert_false(loads(config_load_text, text_string(&text)));
    assert_true(loads(config_load_kept, text_string(&text)));
    text_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_gone_from_the_machine_is_an_error_in_a_new_configuration_only),
        cmocka_unit_test(what_is_wrong_in_itself_is_an_error_in_a_kept_one_too),
        cmocka_unit_test(a_kept_one_may_be_longer_than_a_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
