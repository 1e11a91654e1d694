#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "policy/config.h"
#include "resolver/snapshot.h"
#include "tests/unit/scratch.h"

static const char head[] = "node: {name: t, region: tokyo}\n"
                           "listen: [127.0.0.1:5300]\n"
                           "regions: {seoul: {minimum_healthy: 0}, tokyo: {minimum_healthy: 0}}\n";

static void ignore(void *user, const struct health_event *event)
{
    (void)user;
    (void)event;
}

static struct model *load(const char *text)
{
    struct config_report report = { 0 };
    struct model *model;
    char whole[4096];

    (void)snprintf(whole, sizeof(whole), "%s%s", head, text);
    assert_int_equal(config_load_text(whole, "t.yaml", &model, &report), 0);
    config_report_fini(&report);
    return model;
}

static int try_build(struct health *health, struct model *model, const struct snapshot *old,
                     struct snapshot **out, struct error *err)
{
    const struct hash_key key = { 1, 2 };
    struct health_binding *binding = health_bind(health, model, 1000);

    assert_non_null(binding);
    int rc = snapshot_build(model, binding, old, &key, 7, out, err);
    if (rc < 0) {
        health_unbind(health, binding);
    }
    return rc;
}

static struct snapshot *build(struct health *health, const char *text, const struct snapshot *old)
{
    struct snapshot *snapshot;
    struct error err;

    assert_int_equal(try_build(health, load(text), old, &snapshot, &err), 0);
    health_commit(health, snapshot->binding, 1000);
    return snapshot;
}

static const char *rule_of(const struct snapshot *snapshot, const char *name)
{
    uint8_t dname[NAME_MAX_BYTES];
    struct error err;

    assert_true(name_parse(name, dname, &err) >= 0);
    const struct forward_rule *rule = snapshot_forward(snapshot, dname);
    return rule == NULL ? "none" : rule->name;
}

static void the_longest_rule_is_the_one(void **state)
{
    struct health *health = health_new(ignore, NULL);
    (void)state;

    struct snapshot *s = build(health,
                               "forward:\n"
                               "  example: {upstreams: [10.0.0.1]}\n"
                               "  corp.example: {upstreams: [10.0.0.2]}\n"
                               "  a.corp.example: {upstreams: [10.0.0.3]}\n"
                               "  other.net: {upstreams: [10.0.0.4]}\n",
                               NULL);
    assert_int_equal(s->generation, 7);
    assert_string_equal(rule_of(s, "corp.example"), "corp.example");
    assert_string_equal(rule_of(s, "b.corp.example"), "corp.example");
    assert_string_equal(rule_of(s, "x.y.a.corp.example"), "a.corp.example");
    assert_string_equal(rule_of(s, "xcorp.example"), "example");
    assert_string_equal(rule_of(s, "net"), "none");
    assert_string_equal(rule_of(s, "."), "none");
    health_unbind(health, snapshot_free(s));
    s = build(health, "forward: {\".\": {upstreams: [10.0.0.1]}}\n", NULL);
    assert_string_equal(rule_of(s, "net"), ".");
    assert_string_equal(rule_of(s, "."), ".");
    health_unbind(health, snapshot_free(s));
    health_free(health);
}

static void upstreams_stand_by_class_then_as_written(void **state)
{
    struct health *health = health_new(ignore, NULL);
    struct snapshot *s;
    (void)state;

    s = build(health,
              "forward:\n"
              "  \".\":\n"
              "    upstreams:\n"
              "      - {region: public, address: 192.0.2.1}\n"
              "      - {region: seoul, address: 192.0.2.2}\n"
              "      - {region: tokyo, address: 192.0.2.3}\n"
              "      - 192.0.2.4\n"
              "      - {region: seoul, address: 192.0.2.5}\n",
              NULL);
    static const uint8_t order[] = { 3, 4, 2, 5, 1 };
    static const enum forward_class classes[] = { FORWARD_OWN, FORWARD_OWN, FORWARD_OTHER,
                                                  FORWARD_OTHER, FORWARD_PUBLIC };
    static const char *const regions[] = { "tokyo", "", "seoul", "seoul", "public" };
    const struct forward_rule *rule = &s->forwards[0];
    assert_int_equal(rule->upstream_count, 5);
    for (unsigned i = 0; i < 5; i++) {
        const struct forward_upstream *u = &rule->upstreams[i];
        assert_int_equal(u->address.bytes[3], order[i]);
        assert_int_equal(u->class, classes[i]);
        assert_string_equal(u->region_name, regions[i]);
        assert_int_equal(u->region != NULL, i != 1 && i != 4);
    }
    assert_ptr_equal(rule->upstreams[2].region, rule->upstreams[3].region);
    health_unbind(health, snapshot_free(s));
    health_free(health);
}

static void an_access_list_means_what_it_says(void **state)
{
    struct error err;
    struct addr_prefix prefix;
    struct addr inside, outside, loopback;
    (void)state;

    assert_int_equal(addr_prefix_parse("10.1.0.0/16", &prefix, &err), 0);
    assert_int_equal(addr_parse("10.1.2.3", 0, &inside, &err), 0);
    assert_int_equal(addr_parse("10.2.2.3", 0, &outside, &err), 0);
    assert_int_equal(addr_parse("127.0.0.9", 0, &loopback, &err), 0);
    const struct model_acl none = { 0 };
    const struct model_acl any = { .any = true };
    const struct model_acl local = { .loopback = true };
    const struct model_acl listed = { .prefixes = &prefix, .prefix_count = 1 };
    assert_false(snapshot_acl_allows(&none, &loopback, true));
    assert_true(snapshot_acl_allows(&any, &outside, false));
    assert_true(snapshot_acl_allows(&local, &loopback, true));
    assert_false(snapshot_acl_allows(&local, &loopback, false)); /* both ends must be */
    assert_false(snapshot_acl_allows(&local, &inside, true));
    assert_true(snapshot_acl_allows(&listed, &inside, false));
    assert_false(snapshot_acl_allows(&listed, &outside, false));
}

static void what_cannot_be_built_is_left_to_the_caller(void **state)
{
    struct health *health = health_new(ignore, NULL);
    struct scratch s;
    struct snapshot *snapshot;
    struct error err;
    char text[512];
    (void)state;

    scratch_init(&s);
    (void)scratch_write(&s, "bad.zone", "$TTL 60\n@ SOA ns1 h 1 1h 15m 1w 60\nwww A 192.0.2.\n");
    (void)snprintf(text, sizeof(text), "zones: {example.com: {file: %s}}\n", s.path);
    struct model *model = load(text);
    assert_true(try_build(health, model, NULL, &snapshot, &err) < 0);
    assert_non_null(strstr(err.path, "bad.zone"));
    assert_int_equal(err.line, 3);
    assert_int_equal(model->zone_count, 1); /* still there */
    model_free(model);
    /* an error that only shows between zones and services has the service's place */
    (void)scratch_write(&s, "good.zone", "$TTL 60\n@ SOA ns1 h 1 1h 15m 1w 60\nwww CNAME other\n");
    (void)snprintf(text, sizeof(text),
                   "zones: {example.com: {file: %s}}\n"
                   "services: {www.example.com: {order: [seoul], minimum_healthy: 1,\n"
                   "  endpoints: {seoul: [192.0.2.1]}}}\n",
                   s.path);
    model = load(text);
    assert_true(try_build(health, model, NULL, &snapshot, &err) < 0);
    assert_true(err.line > 0 && err.message[0] != '\0');
    model_free(model);
    health_free(health);
    scratch_fini(&s);
}

static void a_service_remembers_across_generations(void **state)
{
    static const char before[] = "services:\n"
                                 "  api.example.com: {order: [seoul, tokyo], minimum_healthy: 1,\n"
                                 "    endpoints: {seoul: [192.0.2.1], tokyo: [192.0.2.2]}}\n";
    static const char after[] = "services:\n"
                                "  new.example.com: {order: [seoul], minimum_healthy: 1,\n"
                                "    endpoints: {seoul: [192.0.2.9]}}\n"
                                "  api.example.com: {order: [tokyo, seoul], minimum_healthy: 1,\n"
                                "    endpoints: {seoul: [192.0.2.1], tokyo: [192.0.2.2]}}\n";
    struct health *health = health_new(ignore, NULL);
    (void)state;

    struct snapshot *old = build(health, before, NULL);
    steer_remember(&old->services[0]);
    assert_int_equal(atomic_load(&old->services[0].memory->pool[ADDR_V4]), 1);
    struct snapshot *fresh = build(health, after, old);
    const struct steer_service *api = &fresh->services[1];
    assert_string_equal(api->name, "api.example.com");
    /* the region it stood on is the second now */
    assert_int_equal(atomic_load(&api->memory->pool[ADDR_V4]), 2);
    assert_int_equal(atomic_load(&fresh->services[0].memory->pool[ADDR_V4]), 0);
    assert_ptr_equal(snapshot_service(fresh, api->dname), api);
    health_unbind(health, snapshot_free(old));
    health_unbind(health, snapshot_free(fresh));
    health_free(health);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_rule_is_the_one),
        cmocka_unit_test(upstreams_stand_by_class_then_as_written),
        cmocka_unit_test(an_access_list_means_what_it_says),
        cmocka_unit_test(what_cannot_be_built_is_left_to_the_caller),
        cmocka_unit_test(a_service_remembers_across_generations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
