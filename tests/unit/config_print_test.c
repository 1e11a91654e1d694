#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/config.h"
#include "policy/config_print.h"
#include "policy/config_sections.h"
#include "tests/unit/config_world.h"

static const char whole[] =
    "node: {region: \"no\", threads: 2, user: nobody, name: \"n 1\"}\n"
    "listen: [127.0.0.1:53, \"[::1]:53\", {address: 10.0.0.1}]\n"
    "access: {query: [10.0.0.0/8, loopback, \"2001:db8::/32\"], recursion: [], transfer: []}\n"
    "regions:\n"
    "  seoul:\n"
    "    minimum_healthy: 50%\n"
    "    checks:\n"
    "      - {dns: {server: 10.1.0.2, name: \"{random}.canary.example\", type: TXT}}\n"
    "      - dns: {server: \"10.1.1.2:5353\", name: a, expect: {address: [10.0.0.1, 10.0.0.2]}}\n"
    "      - dns: {server: \"2001:db8::2\", name: a, expect: {rcode: nxdomain}}\n"
    "      - {tcp: {server: 10.1.1.2:22}}\n"
    "      - {http: {server: 10.1.1.2, port: 80}}\n"
    "      - can\n"
    "      - fixed\n"
    "    on_dns_failure: prove\n"
    "  tokyo: {minimum_healthy: 1, checks: can}\n"
    "  no: {minimum_healthy: 0}\n"
    "checks:\n"
    "  can: {dns: {server: 10.2.0.2, name: x}, interval: 200ms, silent_fall: 4, timeout: 200ms}\n"
    "  web: {http: {port: 8080, path: \"/h?a=\\\"b\\\"\", expect: {status: [200-299, 304],"
    " body: '\"ok\" $${X} 한글 # : \\'}}, jitter: 0%}\n"
    "  fixed: {http: {server: 10.1.1.2, port: 80, host: b.svc.example.com}, rise: 9}\n"
    "services:\n"
    "  api.svc.example.com:\n"
    "    order: [tokyo, seoul]\n"
    "    ttl: 3s\n"
    "    check: [web, {tcp: {port: 80}, hold_down: 0s}, fixed]\n"
    "    minimum_healthy: 50%\n"
    "    on_all_down: {fallback: [192.0.2.80, \"2001:db8::1\"]}\n"
    "    max_failover: 2s\n"
    "    endpoints:\n"
    "      seoul: [203.0.113.10:81, 203.0.113.11, \"2001:db8:1::10\", \"[2001:db8::11]:80\"]\n"
    "      tokyo: [{address: 198.51.100.10}]\n"
    "  B.svc.example.com.: {check: [web, fixed], minimum_healthy: 1, on_all_down: servfail,"
    " endpoints: {no: 192.0.2.1, tokyo: 192.0.2.2}}\n"
    "  'o''dd\\;\\032\\.x.example': {minimum_healthy: 1, on_all_down: all, endpoints:"
    " {seoul: 192.0.2.1}}\n"
    "  h.svc.example.com: {minimum_healthy: 2, endpoints: {no: {hostname: a.net, answer: cname},"
    " seoul: [192.0.2.1, {hostname: B.net., port: 81, keep_addresses: off}]}}\n"
    "zones:\n"
    "  svc.example.com: {nameservers: [ns1.example.com, 'n\\@s.example.com.']}\n"
    "  other.example: {file: \"zones/it's ${X:-ok}.zone\"}\n"
    "  empty.example:\n"
    "forward:\n"
    "  \".\": {upstreams: [{region: seoul, address: 10.1.0.2}, {region: public, address: 1.1.1.1},"
    " \"2001:db8::53\"], hedge: off}\n"
    "  internal.example: {upstreams: 10.1.0.9}\n"
    "  tls.example:\n"
    "    upstreams:\n"
    "      - {address: 1.1.1.1, tls: off.example, tcp: on, max_queries: 61/m, source: 10.0.0.9}\n"
    "      - {address: 1.0.0.1, region: tokyo, tls: {ca_file: /dev/null, name: \"off\", pins:"
    " [47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=]}}\n"
    "      - {address: \"2001:db8::1\", tls: {pins: [47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU,"
    " e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855]}}\n"
    "    rebinding: refuse\n"
    "    hedge: 70ms\n"
    "cache: {size: 1GiB, serve_stale: off, prefetch: off, min_ttl: 90s, stale_wait: 1500ms}\n"
    "hosts: etc/hosts\n"
    "guards: {minimum_regions: 2}\n"
    "api: {socket: off}\n"
    "log: {level: debug, format: json, queries: off}\n";

/* What chooses, guards and tells. */
static const char deciding[] =
    "listen: [127.0.0.1:53, \"[::1]:53\"]\n"
    "regions: {seoul: {minimum_healthy: 0}, tokyo: {minimum_healthy: 0}, \"no\": {minimum_healthy:"
    " 0}}\n"
    "services:\n"
    "  api.svc.example.com: {minimum_healthy: 1, failback: manual, endpoints: {tokyo:"
    " 192.0.2.1}}\n"
    "  steered.example:\n"
    "    minimum_healthy: 1\n"
    "    steer: [{latency: {band: 25ms}}, {capacity: {load: {tokyo: 600}}}, {trickle: 0.5%},"
    " weight, {sticky: {ipv6: 48}}, {limit: 2}]\n"
    "    ramp: 90s\n"
    "    srv: 8443\n"
    "    endpoints: {no: {hostname: c.net, weight: 3, capacity: 7}, tokyo: [{address:"
    " 192.0.2.3:81, weight: 0, capacity: 9}, {address: 192.0.2.4, capacity: 1}]}\n"
    "    views:\n"
    "      \"no\": {endpoints: {tokyo: {address: 10.0.0.1, capacity: 2}, seoul: {address:"
    " 10.0.0.2, weight: 5, capacity: 2}}}\n"
    "      outside: {order: [no, tokyo], endpoints: {tokyo: {address: 10.0.0.3, capacity: 2},"
    " no: {address: 10.0.0.4, capacity: 3}}}\n"
    "  weighted.example: {minimum_healthy: 1, policy: weighted, endpoints: {no: 192.0.2.1},"
    " views: {outside: {endpoints: {no: 192.0.2.7}}}}\n"
    "  shuffled.example: {minimum_healthy: 1, steer: [nearest, shuffle], endpoints: {no:"
    " 192.0.2.1}}\n"
    "views:\n"
    "  outside: {clients: [172.16.0.0/12]}\n"
    "  \"no\": {clients: [loopback, 10.0.0.0/8, \"fd00::/8\"], listen: [127.0.0.1,"
    " \"[::1]:53\"]}\n"
    "clients:\n"
    "  - {prefix: 10.1.0.0/16, region: \"no\"}\n"
    "  - {prefix: \"2001:db8::/32\", regions: [tokyo, seoul]}\n"
    "  - {geo: /dev/null, countries: {NO: [\"no\"], KR: [seoul, tokyo]}, continents: {AS: tokyo}}\n"
    "  - {geo: /dev/zero, continents: {EU: \"no\"}}\n"
    "guards: {minimum_regions: 2, removal_limit: {fraction: 7%, window: 90s}, cascade_window: off,"
    " accept: \"no\", isolation: {witnesses: [192.0.2.53, \"[2001:db8::53]:54\"],"
    " minimum_reachable: 2}}\n"
    "maintenance:\n"
    "  - {target: \"[st]*/*\", reason: \"a: b\", from: 2026-11-22T02:00:00Z, to:"
    " 2027-01-01T00:00:01Z}\n"
    "  - {target: tokyo/api.svc.example.com, reason: x, every: [tue, sunday], at: 23:05,"
    " for: 26h}\n"
    "  - {target: \"no\", reason: x, every: day, at: 00:00, for: 61m}\n"
    "notify:\n"
    "  - {exec: [/bin/sh, -c, \"exit ${LEEWARD_NO_SUCH:-3}\", \"\"], on: [reload, \"region\"],"
    " tries: 1}\n"
    "  - {webhook: \"https://[::1]:8443/x?y=%20#z\", on: [service, endpoint, override, guard],"
    " timeout: 1500ms}\n"
    "journal: {size: 1MiB, files: 7}\n"
    "laggards: 4096\n"
    "generation: 20261122123456789\n";

static void what_is_printed_loads_and_prints_the_same(void **state)
{
    static const char *const texts[] = { whole, deciding };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct model *first = load_good(texts[i]);
        struct model *second = load_good(first->source);
        struct text printed = { 0 };
        config_print(second, &printed);
        assert_string_equal(text_string(&printed), first->source);
        assert_string_equal(second->source, first->source);
        text_fini(&printed);
        model_free(first);
        model_free(second);
    }
}

static void what_is_printed_means_the_same(void **state)
{
    struct model *first = load_good(whole);
    struct model *second = load_good(first->source);

    (void)state;
    for (size_t i = 0; i < first->service_count; i++) {
        const struct model_service *a = &first->services[i];
        const struct model_service *b = &second->services[i];
        assert_string_equal(a->name, b->name);
        assert_int_equal(a->pool_count, b->pool_count);
        assert_int_equal(a->check_count, b->check_count);
        for (size_t j = 0; j < a->check_count; j++) {
            assert_memory_equal(&a->checks[j].timing, &b->checks[j].timing,
                                sizeof(a->checks[j].timing));
            assert_true((a->checks[j].name == NULL) == (b->checks[j].name == NULL));
            assert_true((a->checks[j].host == NULL) == (b->checks[j].host == NULL));
            if (a->checks[j].host != NULL) {
                assert_string_equal(a->checks[j].host, b->checks[j].host);
            }
        }
    }
    assert_string_equal(second->services[0].checks[0].host, "api.svc.example.com");
    assert_string_equal(second->services[0].checks[2].host, "b.svc.example.com");
    assert_string_equal(second->services[1].checks[0].host, "b.svc.example.com");
    assert_string_equal(second->services[0].checks[0].body, "\"ok\" ${X} 한글 # : \\");
    assert_null(second->regions[0].checks[4].host);
    assert_string_equal(second->regions[0].checks[6].host, "b.svc.example.com");
    assert_int_equal(second->node_region, 2);
    assert_string_equal(second->node_name, "n 1");
    model_free(first);
    model_free(second);
}

static void what_is_printed_asks_the_same(void **state)
{
    struct model *first = load_good(whole);
    struct model *second = load_good(first->source);
    const struct model_upstream *a = first->forwards[2].upstreams;
    const struct model_upstream *b = second->forwards[2].upstreams;

    (void)state;
    assert_string_equal(second->forwards[2].name, "tls.example");
    for (size_t i = 0; i < 3; i++) {
        assert_true(addr_equal(&a[i].address, &b[i].address));
        assert_int_equal(a[i].region, b[i].region);
        assert_int_equal(a[i].tcp, b[i].tcp);
        assert_int_equal(a[i].has_source, b[i].has_source);
        assert_int_equal(a[i].max_queries_per_minute, b[i].max_queries_per_minute);
        assert_int_equal(a[i].tls->pin_count, b[i].tls->pin_count);
        assert_memory_equal(a[i].tls->pins, b[i].tls->pins, 32 * a[i].tls->pin_count);
    }
    assert_string_equal(b[0].tls->name, "off.example");
    assert_string_equal(b[1].tls->name, "off");
    assert_string_equal(b[1].tls->ca_file, "/dev/null");
    assert_null(b[2].tls->name);
    assert_true(second->forwards[2].refuse_private);
    assert_int_equal(second->forwards[2].hedge_ms, 70);
    assert_true(first->cache.size_bytes == second->cache.size_bytes);
    assert_int_equal(second->cache.serve_stale_s, 0);
    assert_int_equal(second->cache.stale_wait_ms, 1500);
    assert_false(second->cache.prefetch);
    assert_non_null(strstr(second->hosts, "/etc/hosts"));
    assert_true(second->hosts[0] == '/');
    model_free(first);
    model_free(second);
}

static void expect_same_pools(const struct model_service *a, const struct model_service *b)
{
    assert_int_equal(a->pool_count, b->pool_count);
    for (size_t p = 0; p < a->pool_count; p++) {
        assert_int_equal(a->pools[p].region, b->pools[p].region);
        assert_int_equal(a->pools[p].endpoint_count, b->pools[p].endpoint_count);
        for (size_t e = 0; e < a->pools[p].endpoint_count; e++) {
            const struct model_endpoint *x = &a->pools[p].endpoints[e];
            const struct model_endpoint *y = &b->pools[p].endpoints[e];
            assert_true(addr_equal(&x->address, &y->address));
            assert_int_equal(x->weight, y->weight);
            assert_int_equal(x->capacity, y->capacity);
        }
    }
}

static void expect_same_filters(const struct model_service *a, const struct model_service *b)
{
    assert_int_equal(a->filter_count, b->filter_count);
    for (size_t i = 0; i < a->filter_count; i++) {
        const struct model_filter *x = &a->filters[i];
        const struct model_filter *y = &b->filters[i];
        assert_int_equal(x->kind, y->kind);
        assert_int_equal(x->limit, y->limit);
        assert_int_equal(x->band_us, y->band_us);
        assert_int_equal(x->share_65536, y->share_65536);
        assert_int_equal(x->sticky_v4_bits, y->sticky_v4_bits);
        assert_int_equal(x->sticky_v6_bits, y->sticky_v6_bits);
        assert_int_equal(x->load == NULL, y->load == NULL);
        for (size_t p = 0; x->load != NULL && p < a->pool_count; p++) {
            assert_int_equal(x->load[p], y->load[p]);
        }
    }
}

static void what_is_printed_steers_the_same(void **state)
{
    struct model *first = load_good(deciding);
    struct model *second = load_good(first->source);

    (void)state;
    assert_int_equal(first->service_count, 7);
    assert_int_equal(second->service_count, 7);
    for (size_t i = 0; i < first->service_count; i++) {
        const struct model_service *a = &first->services[i];
        const struct model_service *b = &second->services[i];
        expect_same_pools(a, b);
        expect_same_filters(a, b);
        assert_int_equal(a->view, b->view);
        assert_int_equal(a->view_count, b->view_count);
        assert_int_equal(a->failback, b->failback);
        assert_int_equal(a->ramp_ms, b->ramp_ms);
        assert_int_equal(a->srv_port, b->srv_port);
    }
    assert_int_equal(second->view_count, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(first->views[i].loopback, second->views[i].loopback);
        assert_int_equal(first->views[i].prefix_count, second->views[i].prefix_count);
        assert_int_equal(first->views[i].listener_count, second->views[i].listener_count);
    }
    assert_int_equal(second->clients_count, 2);
    assert_int_equal(second->geo_count, 2);
    assert_int_equal(second->geos[0].country_count, 3);
    model_free(first);
    model_free(second);
}

static void what_is_printed_guards_and_tells_the_same(void **state)
{
    struct model *first = load_good(deciding);
    struct model *second = load_good(first->source);
    const struct model_guards *guards = &second->guards;

    (void)state;
    assert_int_equal(guards->minimum_regions, 2);
    assert_int_equal(guards->removal_percent, 7);
    assert_int_equal(guards->removal_window_ms, 90000);
    assert_int_equal(guards->cascade_window_ms, 0);
    assert_string_equal(guards->accept, "no");
    assert_int_equal(guards->witness_count, 2);
    assert_int_equal(guards->witness_minimum, 2);
    assert_int_equal(second->maintenance_count, 3);
    for (size_t i = 0; i < 3; i++) {
        const struct model_maintenance *a = &first->maintenances[i];
        const struct model_maintenance *b = &second->maintenances[i];
        assert_string_equal(a->target, b->target);
        assert_string_equal(a->reason, b->reason);
        assert_int_equal(a->weekly, b->weekly);
        assert_true(a->from_s == b->from_s && a->to_s == b->to_s);
        assert_int_equal(a->weekdays, b->weekdays);
        assert_int_equal(a->start_s, b->start_s);
        assert_int_equal(a->duration_s, b->duration_s);
    }
    assert_int_equal(second->hook_count, 2);
    assert_int_equal(second->hooks[0].argument_count, 4);
    assert_string_equal(second->hooks[0].arguments[2], "exit 3");
    assert_string_equal(second->hooks[1].url, first->hooks[1].url);
    assert_int_equal(second->hooks[1].on, first->hooks[1].on);
    assert_int_equal(second->journal_files, 7);
    assert_int_equal(second->laggards, 4096);
    assert_true(second->file_generation == 20261122123456789u);
    model_free(first);
    model_free(second);
}

static void scalars_are_quoted_where_they_have_to_be(void **state)
{
    static const struct {
        const char *value;
        const char *printed;
    } list[] = {
        { "api.example", "api.example" },
        { "/run/x.sock", "/run/x.sock" },
        { "10.0.0.1:53", "10.0.0.1:53" },
        { "a-b_c", "a-b_c" },
        { "", "\"\"" },
        { ".", "\".\"" },
        { "-x", "\"-x\"" },
        { "no", "\"no\"" },
        { "Null", "\"Null\"" },
        { "12", "\"12\"" },
        { "::1", "\"::1\"" },
        { "a: b", "\"a: b\"" },
        { "a #b", "\"a #b\"" },
        { "50%", "\"50%\"" },
        { "say \"x\\\"", "\"say \\\"x\\\\\\\"\"" },
        { "${A}", "\"$${A}\"" },
        { "\t\n\x1b", "\"\\x09\\x0A\\x1B\"" },
        { "\xc2\x85 \xe2\x80\xa8", "\"\\x85 \\u2028\"" },
        { "한글", "\"한글\"" },
        { "\xff", "\"\\uFFFD\"" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        struct text out = { 0 };
        config_print_scalar(list[i].value, &out);
        assert_string_equal(text_string(&out), list[i].printed);
        text_fini(&out);
    }
}

static void the_timing_table_names_the_slowest_check(void **state)
{
    struct model *model = load_good(whole);
    struct text out = { 0 };

    (void)state;
    config_print_timing(model, &out);
    assert_non_null(strstr(text_string(&out), "api.svc.example.com"));
    assert_non_null(
        strstr(text_string(&out), "1200ms    1600ms    2300ms            2s  the tcp check"));
    assert_non_null(strstr(text_string(&out), "b.svc.example.com"));
    text_fini(&out);
    model_free(model);
}

static void the_timing_table_tells_views_from_their_service(void **state)
{
    struct model *model = load_good(deciding);
    struct text out = { 0 };

    (void)state;
    config_print_timing(model, &out);
    assert_non_null(strstr(text_string(&out), "\nsteered.example "));
    assert_non_null(strstr(text_string(&out), "\nsteered.example (no) "));
    assert_non_null(strstr(text_string(&out), "\nweighted.example (outside) "));
    text_fini(&out);
    model_free(model);
}

static void reference_and_schema_know_every_key(void **state)
{
    const struct config_table *tables[CONFIG_SECTIONS_MAX_TABLES];
    size_t count = config_sections_list(tables);
    struct text reference = { 0 };
    struct text schema = { 0 };

    (void)state;
    config_print_reference(&reference);
    config_print_schema(&schema);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < tables[i]->row_count; j++) {
            const struct config_row *row = &tables[i]->rows[j];
            struct text key = { 0 };
            text_printf(&key, "`%s`", row->key);
            assert_non_null(strstr(text_string(&reference), text_string(&key)));
            text_fini(&key);
            text_printf(&key, "\"%s\":{", row->key);
            assert_true(row->kind == CONFIG_LATER ||
                        strstr(text_string(&schema), text_string(&key)) != NULL);
            text_fini(&key);
            assert_non_null(row->help);
            assert_int_equal(row->help[strlen(row->help) - 1], '.');
        }
    }
    text_fini(&reference);
    text_fini(&schema);
}

static void the_schema_is_json(void **state)
{
    struct text schema = { 0 };
    struct config_report report;
    struct model *model = NULL;

    (void)state;
    /* read by our own parser, JSON being YAML: it must get as far as unknown keys */
    config_print_schema(&schema);
    assert_true(config_load_text(text_string(&schema), "schema", &model, &report) < 0);
    for (size_t i = 0; i < report.count; i++) {
        assert_non_null(strstr(report.errors[i].message, "unknown key"));
    }
    config_report_fini(&report);
    text_fini(&schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_printed_loads_and_prints_the_same),
        cmocka_unit_test(what_is_printed_means_the_same),
        cmocka_unit_test(what_is_printed_asks_the_same),
        cmocka_unit_test(what_is_printed_steers_the_same),
        cmocka_unit_test(what_is_printed_guards_and_tells_the_same),
        cmocka_unit_test(scalars_are_quoted_where_they_have_to_be),
        cmocka_unit_test(the_timing_table_names_the_slowest_check),
        cmocka_unit_test(the_timing_table_tells_views_from_their_service),
        cmocka_unit_test(reference_and_schema_know_every_key),
        cmocka_unit_test(the_schema_is_json),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
