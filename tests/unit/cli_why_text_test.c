#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "resolver/cli/cli_why_text.h"

static void assert_rendered_all(const char *json, bool all, const char *wanted)
{
    const struct cli_why_view view = { .all = all };
    struct text out = { 0 };
    json_t *root = json_loads(json, 0, NULL);

    assert_non_null(root);
    cli_why_text_put(root, &view, &out);
    assert_string_equal(text_string(&out), wanted);
    json_decref(root);
    text_fini(&out);
}

static void assert_rendered(const char *json, const char *wanted)
{
    assert_rendered_all(json, false, wanted);
}

static void an_answer_comes_with_its_steps(void **state)
{
    (void)state;
    assert_rendered(
        "{\"name\":\"api.svc.example.com\",\"type\":\"A\",\"client\":\"127.0.0.1\","
        "\"source\":\"service\",\"rcode\":\"NOERROR\",\"rung\":2,\"ttl_s\":5,"
        "\"answer\":[\"api.svc.example.com. 5 IN A 198.51.100.10\"],"
        "\"steps\":[\"one\",\"two\"]}",
        "api.svc.example.com A for 127.0.0.1: NOERROR, source service, rung 2, TTL 5 s\n"
        "  api.svc.example.com. 5 IN A 198.51.100.10\n"
        "because\n"
        "  1. one\n"
        "  2. two\n");
}

static void a_forwarded_name_has_no_answer_of_ours(void **state)
{
    (void)state;
    assert_rendered("{\"name\":\"a.example\",\"type\":\"A\",\"client\":\"::1\","
                    "\"source\":\"forward\",\"rcode\":null,\"rung\":null,\"ttl_s\":null,"
                    "\"answer\":[],\"steps\":[\"one\"],\"upstreams\":[{\"address\":\"10.1.0.2:53\","
                    "\"state\":\"suspect\",\"since_ms_ago\":1500,\"reason\":\"SERVFAIL\"}]}",
                    "a.example A for ::1: asked of others, source forward\n"
                    "because\n"
                    "  1. one\n"
                    "upstreams\n"
                    "  10.1.0.2:53 is suspect for 1s: SERVFAIL\n");
}

static const char two_regions[] =
    "{\"name\":\"a.example\",\"type\":\"A\",\"client\":\"::1\",\"source\":\"service\","
    "\"rcode\":\"NOERROR\",\"rung\":1,\"ttl_s\":30,\"answer\":[],\"steps\":[],\"pools\":["
    "{\"region\":\"seoul\",\"used\":false,\"notes\":[\"10.1.0.2 is down for 3s\"],"
    "\"endpoints\":[]},"
    "{\"region\":\"tokyo\",\"used\":true,\"notes\":[],\"endpoints\":[{\"address\":\"10.2.0.2\","
    "\"state\":\"up\",\"since_ms_ago\":4000,\"checks\":[{\"label\":\"tokyo tcp 10.2.0.2:80\","
    "\"state\":\"up\",\"reason\":\"connected\",\"evidence\":{\"text\":\"3% of its probes fail "
    "usually\"}}]}]}],"
    "\"would_change\":[{\"text\":\"if tokyo fails: seoul answers (rung 4)\"}]}";

static void only_what_is_not_well_is_told_of_regions(void **state)
{
    (void)state;
    assert_rendered(two_regions,
                    "a.example A for ::1: NOERROR, source service, rung 1, TTL 30 s\n"
                    "regions\n"
                    "  seoul does not answer\n"
                    "    10.1.0.2 is down for 3s\n"
                    "this would change it\n"
                    "  if tokyo fails: seoul answers (rung 4)\n");
}

static void everything_is_told_when_it_is_asked_for(void **state)
{
    (void)state;
    assert_rendered_all(two_regions, true,
                        "a.example A for ::1: NOERROR, source service, rung 1, TTL 30 s\n"
                        "regions\n"
                        "  seoul does not answer\n"
                        "    10.1.0.2 is down for 3s\n"
                        "  tokyo answers; all well\n"
                        "    10.2.0.2 is up for 4s\n"
                        "      tokyo tcp 10.2.0.2:80 is up: connected (3% of its probes fail "
                        "usually)\n"
                        "this would change it\n"
                        "  if tokyo fails: seoul answers (rung 4)\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_comes_with_its_steps),
        cmocka_unit_test(a_forwarded_name_has_no_answer_of_ours),
        cmocka_unit_test(only_what_is_not_well_is_told_of_regions),
        cmocka_unit_test(everything_is_told_when_it_is_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
