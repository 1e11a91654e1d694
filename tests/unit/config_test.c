#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/config_world.h"
#include "zones/name.h"

static void unknown_keys_suggest_the_nearest(void **state)
{
    static const struct bad list[] = {
        { "servces: {}\n", 1, 1, "unknown key 'servces'", "did you mean 'services'?" },
        { "qwertyuiop: {}\n", 1, 1, "unknown key 'qwertyuiop'", "" },
        { "node: {nmae: x}\n", 1, 8, "node: unknown key 'nmae'", "did you mean 'name'?" },
        { "log: {levle: info}\n", 1, 7, "log: unknown key 'levle'", "did you mean 'level'?" },
        { "log: {level: inof}\n", 1, 14, "log.level: unknown value 'inof'",
          "did you mean 'info'?" },
        { "log: {level: zzzzzz}\n", 1, 14, "unknown value 'zzzzzz'",
          "it must be error, warning, info or debug" },
        { SERVICE GOOD "    tttl: 3s\n", 6, 5, "services.s.example: unknown key 'tttl'",
          "did you mean 'ttl'?" },
        { "checks: {c: {http: {port: 80, paht: /}}}\n", 1, 31, "checks.c.http: unknown key 'paht'",
          "did you mean 'path'?" },
    };

    (void)state;
    expect_bad(list, COUNT_OF(list));
}

static void what_is_required_is_never_made_up(void **state)
{
    static const struct bad list[] = {
        { SERVICE "    endpoints: {a: [192.0.2.1]}\n", 3, 3,
          "services.s.example: minimum_healthy is required",
          "how many endpoints of a region must be healthy for it to be used, e.g. "
          "minimum_healthy: 1" },
        { "regions:\n  a:\n", 2, 3, "regions.a: minimum_healthy is required", "minimum_healthy" },
        { "regions:\n  a: {checks: []}\n", 2, 3, "minimum_healthy is required", NULL },
        { SERVICE "    minimum_healthy: 1\n", 3, 3, "endpoints is required", "endpoints: {" },
        { SERVICE "    minimum_healthy:\n    endpoints: {a: [192.0.2.1]}\n", 4, 21,
          "services.s.example.minimum_healthy: a value is missing", NULL },
        { "checks:\n  c: {http: {path: /}}\n", 2, 7, "checks.c.http: port is required", NULL },
        { "checks:\n  c: {tcp: {}}\n", 2, 7, "checks.c.tcp: port is required", NULL },
        { "checks:\n  c: {dns: {type: A}}\n", 2, 7, "checks.c.dns: name is required", NULL },
        { "checks:\n  c: {interval: 1s}\n", 2, 3, "a check must be one of dns, tcp, http",
          NULL },
        { "services:\n  s.example:\n" GOOD, 1, 1, "regions is required", NULL },
        { "forward:\n  .: {}\n", 2, 3, "upstreams is required", NULL },
        { "forward:\n  .: {upstreams: [{region: public}]}\n", 2, 19, "address is required", NULL },
        { "listen: [{}]\n", 1, 10, "address is required", NULL },
    };

    (void)state;
    expect_bad(list, COUNT_OF(list));
}

static void values_have_units_and_ranges(void **state)
{
    static const struct bad list[] = {
        { SERVICE GOOD "    ttl: 30\n", 6, 10, "services.s.example.ttl: '30' has no unit", "30s" },
        { SERVICE GOOD "    ttl: {normal: 1500ms}\n", 6, 19, "not a whole number of seconds",
          NULL },
        { SERVICE GOOD "    ttl: {normal: 5s, suspect: 6s}\n", 6, 32,
          "services.s.example.ttl.suspect: is longer than ttl.normal, 5s", NULL },
        { SERVICE GOOD "    max_addresses: 0\n", 6, 20, "it must be 1 to 64", NULL },
        { SERVICE GOOD "    max_addresses: 65\n", 6, 20, "it must be 1 to 64", NULL },
        { SERVICE GOOD "    max_addresses: 8s\n", 6, 20, "'8s' is not a whole number", NULL },
        { SERVICE GOOD "    max_addresses: [8]\n", 6, 20, "must be a single value", NULL },
        { SERVICE "    minimum_healthy: 0\n    endpoints: {a: 192.0.2.1}\n", 4, 22,
          "it must be at least 1", NULL },
        { SERVICE "    minimum_healthy: 0%\n    endpoints: {a: 192.0.2.1}\n", 4, 22,
          "it must be at least 1%", NULL },
        { SERVICE "    minimum_healthy: 101%\n    endpoints: {a: 192.0.2.1}\n", 4, 22,
          "neither a count nor a percentage", NULL },
        { "checks: {c: {tcp: {port: 1}, interval: 9ms}}\n", 1, 40, "10ms to 1h", NULL },
        { "checks: {c: {tcp: {port: 1}, interval: 2h}}\n", 1, 40, "10ms to 1h", NULL },
        { "checks: {c: {tcp: {port: 1}, timeout: 0s}}\n", 1, 39, "1ms to 1m", NULL },
        { "checks: {c: {tcp: {port: 1}, fall: 0}}\n", 1, 36, "1 to 100", NULL },
        { "checks: {c: {tcp: {port: 1}, fall: 101}}\n", 1, 36, "1 to 100", NULL },
        { "checks: {c: {tcp: {port: 1}, silent_fall: 33}}\n", 1, 43, "1 to 32", NULL },
        { "checks: {c: {tcp: {port: 1}, jitter: 10}}\n", 1, 38, "'10' has no unit", "30%" },
        { "checks: {c: {tcp: {port: 1}, hold_down: 10m, hold_down_max: 5m}}\n", 1, 61,
          "is less than hold_down", NULL },
        { "checks: {c: {tcp: {port: 0}}}\n", 1, 26, "1 to 65535", NULL },
        { "checks: {c: {tcp: {port: 65536}}}\n", 1, 26, "1 to 65535", NULL },
        { "node: {threads: 0}\n", 1, 17, "1 to 64", NULL },
        { "node: {threads: many}\n", 1, 17, "'many' is not a whole number", NULL },
        { "forward: {.: {upstreams: 10.0.0.1, hedge: 100}}\n", 1, 43, "'100' has no unit", NULL },
        { "forward: {.: {upstreams: 10.0.0.1, hedge: atuo}}\n", 1, 43, "'atuo' is not a duration",
          NULL },
        { "forward: {.: {upstreams: 10.0.0.1, rebinding: refused}}\n", 1, 47,
          "unknown value 'refused'", "did you mean 'refuse'?" },
        { "access: {in_flight: 63}\n", 1, 21, "it must be 64 to 1000000", NULL },
        { "access: {in_flight_per_client: 0}\n", 1, 32, "it must be 1 to 1000000", NULL },
        { "guards: {minimum_regions: -1}\n", 1, 27, "'-1' is not a whole number", NULL },
        { REGIONS "guards: {minimum_regions: 3}\n", 2, 27, "there are only 2 regions", NULL },
    };

    (void)state;
    expect_bad(list, COUNT_OF(list));
}

static void references_must_lead_somewhere(void **state)
{
    static const struct bad list[] = {
        { SERVICE GOOD "    check: wbe\nchecks: {web: {tcp: {port: 80}}}\n", 6, 12,
          "services.s.example.check: unknown check 'wbe'", "did you mean 'web'?" },
        { SERVICE GOOD "    check: [nothing]\n", 6, 13, "unknown check 'nothing'",
          "in the section checks" },
        { "regions: {seoul: {minimum_healthy: 0}}\nservices:\n  s.example:\n"
          "    minimum_healthy: 1\n    endpoints: {seol: [192.0.2.1]}\n",
          5, 17, "services.s.example.endpoints: unknown region 'seol'", "did you mean 'seoul'?" },
        { SERVICE GOOD "    order: [a, b]\n", 6, 16, "region 'b' has no endpoints", NULL },
        { SERVICE "    minimum_healthy: 1\n    order: [a]\n"
                  "    endpoints: {a: [192.0.2.1], b: [192.0.2.2]}\n",
          6, 33, "the region has endpoints but is not in order", NULL },
        { SERVICE GOOD "    order: [a, a]\n", 6, 16, "region 'a' is named twice", NULL },
        { REGIONS "node: {region: c}\n", 2, 16, "node.region: unknown region 'c'", NULL },
        { "node: {region: c}\n", 1, 16, "there are no regions", NULL },
        { REGIONS "forward: {.: {upstreams: [{region: bb, address: 10.0.0.1}]}}\n", 2, 36,
          "unknown region 'bb'", "did you mean 'b'?" },
        { "regions: {a: {minimum_healthy: 1, checks: [c]}}\nchecks: {c: {tcp: {port: 80}}}\n", 1,
          44, "server is required: a region's check has no endpoint to ask", NULL },
        { "regions: {a: {minimum_healthy: 2, checks: {tcp: {server: \"10.0.0.1:80\"}}}}\n", 1, 32,
          "2 must pass, but the region has 1 check", "at most 1" },
        { "regions: {a: {minimum_healthy: 1}}\n", 1, 32, "1 must pass, but the region has 0 checks",
          "write 0" },
        { SERVICE "    minimum_healthy: 2\n    endpoints: {a: [192.0.2.1]}\n", 4, 22,
          "2 must be healthy, but a has 1 endpoint", "at most 1" },
    };

    (void)state;
    expect_bad(list, COUNT_OF(list));
}

static void names_are_checked(void **state)
{
    static const struct bad list[] = {
        { "regions: {public: {minimum_healthy: 0}}\n", 1, 11, "this name is reserved", NULL },
        { "regions: {any: {minimum_healthy: 0}}\n", 1, 11, "this name is reserved", NULL },
        { "regions: {ALL: {minimum_healthy: 0}}\n", 1, 11, "this name is reserved", NULL },
        { "regions: {a/b: {minimum_healthy: 0}}\n", 1, 11, "not a good name of a region", NULL },
        { "checks: {a b: {tcp: {port: 1}}}\n", 1, 10, "not a good name of a check", NULL },
        { REGIONS "services:\n  a..b:\n" GOOD, 3, 3, "empty label", NULL },
        { REGIONS "services:\n  .:\n" GOOD, 3, 3, "the root cannot be a service", NULL },
        { REGIONS "services:\n  s.example:\n" GOOD "  S.Example.:\n" GOOD, 6, 3,
          "is given twice, first at t.yaml:3:3", NULL },
        { "zones:\n  a.example:\n  A.example:\n", 3, 3, "is given twice, first at t.yaml:2:3",
          NULL },
        { "zones:\n  a.example: {nameservers: [a..b]}\n", 2, 29, "empty label", NULL },
        { "zones: {a: {file: x, nameservers: [b]}}\n", 1, 22, "is for a zone without a file",
          NULL },
        { "forward:\n  a: {upstreams: 10.0.0.1}\n  A: {upstreams: 10.0.0.1}\n", 3, 3,
          "is given twice", NULL },
        { "checks: {c: {dns: {name: \"{random}.a..b\"}}}\n", 1, 26, "empty label", NULL },
        { "checks: {c: {dns: {name: a, type: AAA}}}\n", 1, 35, "unknown type 'AAA'",
          "did you mean" },
        { "checks: {c: {dns: {name: a, expect: {rcode: NXDOMIAN}}}}\n", 1, 45,
          "unknown response code 'NXDOMIAN'", "did you mean 'NXDOMAIN'?" },
        { "checks: {c: {dns: {name: a, expect: {address: \"::1\"}}}}\n", 1, 47,
          "never in an answer of type A", NULL },
        { "checks: {c: {dns: {name: a, expect: {address: 10.0.0.1, rcode: REFUSED}}}}\n", 1, 64,
          "an answer of REFUSED holds no addresses", NULL },
        { "checks: {c: {http: {port: 1, path: healthz}}}\n", 1, 36, "'healthz' is not a path",
          NULL },
        { "checks: {c: {http: {port: 1, path: \"/a b\"}}}\n", 1, 36, "is not a path", NULL },
        { "checks: {c: {http: {port: 1, host: \"a\\r\\nb: c\"}}}\n", 1, 36,
          "must not hold control characters", NULL },
        { "checks: {c: {http: {port: 1, expect: {status: 299-200}}}}\n", 1, 47,
          "'299-200' is not an HTTP status", NULL },
        { "checks: {c: {http: {port: 1, expect: {status: [200, 99]}}}}\n", 1, 53,
          "'99' is not an HTTP status", NULL },
        { "checks: {c: {tcp: {port: 1}, dns: {name: a}}}\n", 1, 10,
          "a check is only one of dns, tcp, http", NULL },
    };

    (void)state;
    expect_bad(list, COUNT_OF(list));
}

static void addresses_fit_their_use(void **state)
{
    static const struct bad list[] = {
        { SERVICE "    minimum_healthy: 1\n    endpoints: {a: [api.example]}\n", 5, 21,
          "services.s.example.endpoints.a[0]: 'api.example' is not an IP address", NULL },
        { SERVICE "    minimum_healthy: 1\n    endpoints: {a: [0.0.0.0]}\n", 5, 21,
          "0.0.0.0 stands for every address", NULL },
        { SERVICE "    minimum_healthy: 1\n    endpoints: {a: [\"::\"]}\n", 5, 21,
          "stands for every address", NULL },
        { SERVICE "    minimum_healthy: 1\n    endpoints: {a: [224.0.0.1]}\n", 5, 21, "multicast",
          NULL },
        { SERVICE "    minimum_healthy: 1\n    endpoints: {a: [255.255.255.255]}\n", 5, 21,
          "reserved", NULL },
        { SERVICE "    minimum_healthy: 1\n    endpoints: {a: [\"ff02::1\"]}\n", 5, 21, "multicast",
          NULL },
        { SERVICE "    minimum_healthy: 1\n    endpoints: {a: [\"fe80::1\"]}\n", 5, 21,
          "link-local", NULL },
        { SERVICE "    minimum_healthy: 1\n    endpoints: {a: [\"::ffff:192.0.2.1\"]}\n", 5, 21,
          "write the IPv4 address", NULL },
        { SERVICE "    minimum_healthy: 1\n    endpoints: {a: [192.0.2.1, 192.0.2.1:81]}\n", 5, 32,
          "192.0.2.1 is given twice", NULL },
        { SERVICE "    minimum_healthy: 1\n    endpoints: {a: []}\n", 5, 17, "has no endpoints",
          NULL },
        { SERVICE "    minimum_healthy: 1\n    endpoints: {}\n", 4 + 1, 5, "there are none", NULL },
        { SERVICE "    minimum_healthy: 1\n    endpoints: [192.0.2.1]\n", 5, 16,
          "must be a map from regions to addresses", NULL },
        { SERVICE GOOD "    on_all_down: {fallback: [\"192.0.2.80:80\"]}\n", 6, 30,
          "without a port", NULL },
        { SERVICE GOOD "    on_all_down: fallback\n", 6, 18, "fallback needs addresses", NULL },
        { SERVICE GOOD "    on_all_down: {fallback: []}\n", 6, 5, "fallback needs addresses",
          NULL },
        { SERVICE GOOD "    on_all_down: last_god\n", 6, 18, "unknown value 'last_god'",
          "did you mean 'last_good'?" },
        { "listen: [127.0.0.1, 127.0.0.1:53]\n", 1, 21, "127.0.0.1:53 is given twice", NULL },
        { "listen: []\n", 1, 1, "there are no addresses", NULL },
        { "listen: 127.0.0.1:0\n", 1, 9, "a port must be 1 to 65535", NULL },
        { "listen: 224.0.0.251\n", 1, 9, "multicast", NULL },
        { "access: {query: [everyone]}\n", 1, 18, "'everyone' is not an IP prefix", "any" },
        { "access: {query: [10.0.0.0/33]}\n", 1, 18, "must be 0 to 32", NULL },
        { "forward: {.: {upstreams: []}}\n", 1, 15, "there are none", NULL },
        { "forward: {.: {upstreams: [10.0.0.1, 10.0.0.1:53]}}\n", 1, 37,
          "10.0.0.1:53 is given twice", NULL },
        { "forward: {.: {upstreams: 127.0.0.1}}\n", 1, 26, "is where this server listens", NULL },
        { "listen: 0.0.0.0:5300\nforward: {.: {upstreams: \"127.0.0.1:5300\"}}\n", 2, 26,
          "is where this server listens", NULL },
        { "forward: {.: {upstreams: 127.0.0.1}}\n", 1, 26, "listens: 127.0.0.1:53 by default",
          NULL },
        { "listen: [10.9.9.9, 127.0.0.1]\nforward: {.: {upstreams: 127.0.0.1}}\n", 2, 26,
          "127.0.0.1:53 is where this server listens: 127.0.0.1:53 at t.yaml:1:20", NULL },
        { "listen: \"[::]:53\"\nforward: {.: {upstreams: \"::1\"}}\n", 2, 26,
          "listens: [::]:53 at t.yaml:1:9", NULL },
        { "forward: {.: {upstreams: 0.0.0.0}}\n", 1, 26, "stands for every address", NULL },
        { "forward: {.: {upstreams: [{address: 10.0.0.1, source: 10.0.0.2:53}]}}\n", 1, 55,
          "without a port", NULL },
        { "forward: {.: {upstreams: [{address: 10.0.0.1, source: \"::1\"}]}}\n", 1, 55,
          "::1 is IPv6, but the upstream's address is IPv4", NULL },
        { "forward: {.: {upstreams: [{address: 10.0.0.1, source: 0.0.0.0}]}}\n", 1, 55,
          "stands for every address", NULL },
        { "zones: {corp.example: {}}\nforward: {ad.corp.example: {upstreams: 10.0.0.1}}\n", 2, 11,
          "would never be asked", "all names in corp.example itself" },
        { SERVICE GOOD "forward: {below.s.example: {upstreams: 10.0.0.1}}\n", 6, 11,
          "would never be asked", "all names in s.example itself" },
    };

    (void)state;
    expect_bad(list, COUNT_OF(list));
}

static void a_worst_case_above_the_limit_names_the_check(void **state)
{
    static const struct bad list[] = {
        { SERVICE GOOD "    check: web\n    max_failover: 1s\nchecks: {web: {tcp: {port: 80}}}\n",
          7, 19,
          "leaving a region can take 1600ms: so long check 'web' needs to be sure of silence",
          "silent_fall" },
        { SERVICE GOOD "    check: {tcp: {port: 80}, silent_fall: 1, timeout: 10ms, fall: 100}\n"
                       "    max_failover: 6s\n",
          7, 19, "leaving a region can take 6050ms: so long the tcp check in line 6", "fall" },
        { "regions: {a: {minimum_healthy: 1, checks: [{tcp: {server: \"10.0.0.1:80\"}}]}}\n"
          "services:\n  s.example:\n" GOOD "    max_failover: 1599ms\n",
          6, 19, "the tcp check in line 1 of region a", NULL },
        { SERVICE GOOD "    max_failover: 1s\n", 6, 19, "nothing is checked", NULL },
    };

    (void)state;
    expect_bad(list, COUNT_OF(list));
}

static void a_worst_case_at_the_limit_is_accepted(void **state)
{
    (void)state;
    model_free(load_good(SERVICE GOOD "    check: {tcp: {port: 80}}\n    max_failover: 1600ms\n"));
}

static void what_is_not_built_yet_is_refused_as_such(void **state)
{
    static const struct bad list[] = {
        { "fleet: {}\n", 1, 1, "fleet is not available yet", NULL },
        { "api: {page: \"127.0.0.1:8453\"}\n", 1, 7, "api: page is not available yet", NULL },
        { "listen: [{address: 10.0.0.1, tls: {}}]\n", 1, 30, "tls is not available yet", NULL },
        { "listen: [{address: 10.0.0.1, https: {}}]\n", 1, 30, "https is not available yet", NULL },
        { "access: {transfer: [10.0.0.1]}\n", 1, 10, "transfer is not available yet", NULL },
        { "access: {rate_limit: {}}\n", 1, 10, "rate_limit is not available yet", NULL },
        { "zones: {a: {sign: {}}}\n", 1, 13, "sign is not available yet", NULL },
        { "zones: {a: {primary: {}}}\n", 1, 13, "primary is not available yet", NULL },
        { "zones: {a: {query: [any]}}\n", 1, 13, "query is not available yet", NULL },
        { REGIONS "services:\n  \"*.example\":\n" GOOD, 3, 3, "a wildcard service is not available",
          NULL },
    };

    (void)state;
    expect_bad(list, COUNT_OF(list));
}

/* The complete example of the design: what works in it must not be complained about. */
static const char complete[] =
    "node:\n"
    "  name: app-17\n"
    "  region: seoul\n"
    "  state_directory: /var/lib/leeward\n"
    "  threads: auto\n"
    "  user: leeward\n"
    "listen:\n"
    "  - 127.0.0.1:53\n"
    "  - \"[::1]:53\"\n"
    "  - {address: 0.0.0.0:853, tls: {certificate: server.pem, key: server.key}}\n"
    "  - {address: 0.0.0.0:443, https: {certificate: server.pem, key: k, path: /dns-query}}\n"
    "access:\n"
    "  query: [any]\n"
    "  recursion: [loopback]\n"
    "  transfer: []\n"
    "  rate_limit: {responses_per_second: 20, slip: 2, exempt: [loopback]}\n"
    "regions:\n"
    "  seoul:\n"
    "    minimum_healthy: 50%\n"
    "    checks:\n"
    "      - {dns: {server: 10.1.0.2, name: canary.corp.example, type: A}, interval: 1s}\n"
    "      - {dns: {server: 10.1.1.2, name: canary.corp.example, type: A}, interval: 1s}\n"
    "    on_dns_failure: leave\n"
    "  tokyo: {minimum_healthy: 1, checks: [{dns: {server: 10.2.0.2, name: a.example}}]}\n"
    "  singapore: {minimum_healthy: 0}\n"
    "checks:\n"
    "  web:\n"
    "    http: {port: 8080, path: /healthz, host: api.svc.example.com, expect: {status: 200-299,"
    " body: ok}}\n"
    "    interval: 1s\n"
    "    timeout: 500ms\n"
    "    confirm_interval: 50ms\n"
    "    fall: 3\n"
    "    silent_fall: 10\n"
    "    rise: 2\n"
    "    hold_down: 10s\n"
    "services:\n"
    "  api.svc.example.com:\n"
    "    policy: failover\n"
    "    order: [seoul, tokyo, singapore]\n"
    "    ttl: {normal: 30s, suspect: 5s}\n"
    "    failback: auto\n"
    "    max_addresses: 8\n"
    "    check: web\n"
    "    minimum_healthy: 1\n"
    "    on_all_down: last_good\n"
    "    max_failover: 2s\n"
    "    endpoints:\n"
    "      seoul: [203.0.113.10, 203.0.113.11, \"2001:db8:1::10\"]\n"
    "      tokyo: [{address: 198.51.100.10, weight: 2, capacity: 500}]\n"
    "      singapore: [{hostname: api-sg.elb.example.net, answer: address}]\n"
    "zones:\n"
    "  svc.example.com:\n"
    "    file: svc.example.com.zone\n"
    "    sign: {algorithm: ecdsap256sha256, keys: keys/}\n"
    "  corp.example:\n"
    "    primary: {address: 10.0.0.5, tsig: key1}\n"
    "forward:\n"
    "  \".\":\n"
    "    upstreams:\n"
    "      - {region: seoul, address: 10.1.0.2, max_queries: 900/s}\n"
    "      - {region: tokyo, address: 10.2.0.10}\n"
    "      - {region: public, address: 1.1.1.1, tls: cloudflare-dns.com}\n"
    "    hedge: auto\n"
    "  internal.example: {upstreams: [10.1.0.9]}\n"
    "cache: {size: 64MiB, serve_stale: 3d, prefetch: true, persist: true, max_ttl: 1d}\n"
    "clients:\n"
    "  - {prefix: 10.1.0.0/16, region: seoul}\n"
    "  - {geo: GeoLite2-Country.mmdb, countries: {KR: [seoul, tokyo]}}\n"
    "guards:\n"
    "  minimum_regions: 1\n"
    "  removal_limit: {fraction: 30%, window: 10m}\n"
    "  cascade_window: 60s\n"
    "  accept: \"\"\n"
    "  isolation: {witnesses: [192.0.2.53, 198.51.100.53], minimum_reachable: 1}\n"
    "api: {socket: /run/leeward/leeward.sock, page: 127.0.0.1:8453}\n"
    "log: {level: info, format: logfmt}\n"
    "notify:\n"
    "  - {exec: [/usr/local/bin/page-oncall], on: [region]}\n"
    "fleet:\n"
    "  etcd: {endpoints: [\"http://10.0.0.10:2379\"], tls: {ca: , certificate: , key: }}\n"
    "  role: both\n"
    "include: [/nonexistent/services.d/*.yaml]\n";

static void the_complete_example_lacks_only_what_is_not_built_yet(void **state)
{
    static const char *const words[] = {
        "tls is not available yet",        "https is not available yet",
        "rate_limit is not available yet", "sign is not available yet",
        "primary is not available yet",    "GeoLite2-Country.mmdb cannot be read",
        "page is not available yet",       "/usr/local/bin/page-oncall cannot be run",
        "fleet is not available yet",
    };
    struct config_report report;
    struct model *model = NULL;

    (void)state;
    assert_int_equal(config_load_text(complete, "t.yaml", &model, &report), -22);
    for (size_t i = 0; i < report.count; i++) {
        if (i >= COUNT_OF(words) || strstr(report.errors[i].message, words[i]) == NULL) {
            fail_with(complete, &report);
        }
    }
    assert_int_equal(report.count, COUNT_OF(words));
    config_report_fini(&report);
}

static void all_errors_come_in_the_order_of_the_file(void **state)
{
    static const char text[] = "log: {level: loud}\n"
                               "services:\n"
                               "  s.example:\n"
                               "    check: web\n"
                               "    ttl: 5\n"
                               "    endpoints: {a: [10.0.0.256], c: [192.0.2.1]}\n"
                               "regions: {a: {minimum_healthy: x}}\n"
                               "extra: 1\n";
    static const unsigned lines[] = { 1, 3, 4, 5, 6, 6, 7, 8 };
    struct config_report report;
    struct model *model = NULL;

    (void)state;
    assert_true(config_load_text(text, "t.yaml", &model, &report) < 0);
    if (report.count != COUNT_OF(lines)) {
        fail_with(text, &report);
    }
    for (size_t i = 0; i < report.count; i++) {
        assert_int_equal(report.errors[i].line, lines[i]);
    }
    config_report_fini(&report);
}

static void errors_beyond_a_hundred_are_counted(void **state)
{
    struct text text = { 0 };
    struct config_report report;
    struct model *model = NULL;

    (void)state;
    for (unsigned i = 0; i < 150; i++) {
        text_printf(&text, "k%u: 1\n", i);
    }
    assert_true(config_load_text(text_string(&text), "t.yaml", &model, &report) < 0);
    assert_int_equal(report.count, 101);
    assert_non_null(strstr(report.errors[100].message, "50 more errors"));
    config_report_fini(&report);
    text_fini(&text);
}

/* ------------------------------------------------------------------ what is read */

static void everything_has_its_documented_default(void **state)
{
    struct model *model = load_good(SERVICE GOOD "    check: {http: {port: 80}}\n");
    const struct model_service *service = &model->services[0];
    const struct model_timing *timing = &service->checks[0].timing;

    (void)state;
    assert_string_equal(model->path, "t.yaml");
    assert_string_equal(model->state_directory, "/var/lib/leeward");
    assert_string_equal(model->api_socket, "/run/leeward/leeward.sock");
    assert_non_null(model->node_name);
    assert_null(model->node_user);
    assert_int_equal(model->node_region, MODEL_NONE);
    assert_int_equal(model->threads, 0);
    assert_int_equal(model->listener_count, 1);
    assert_int_equal(model->listeners[0].address.port, 53);
    assert_true(addr_is_loopback(&model->listeners[0].address));
    assert_true(model->query.any);
    assert_true(model->recursion.loopback && !model->recursion.any);
    assert_int_equal(model->guards.minimum_regions, 1);
    assert_int_equal(model->log_level, LOG_INFO);
    assert_int_equal(model->log_format, LOG_FORMAT_LOGFMT);
    assert_int_equal(model->in_flight, 10000);
    assert_int_equal(model->in_flight_per_client, 1000);
    assert_null(model->hosts);
    assert_true(model->cache.size_bytes == 64u * 1024 * 1024);
    assert_int_equal(model->cache.serve_stale_s, 259200);
    assert_int_equal(model->cache.stale_ttl_s, 30);
    assert_int_equal(model->cache.stale_wait_ms, 300);
    assert_true(model->cache.prefetch && model->cache.persist);
    assert_int_equal(model->cache.min_ttl_s, 0);
    assert_int_equal(model->cache.max_ttl_s, 86400);
    assert_int_equal(model->cache.max_negative_ttl_s, 900);
    assert_int_equal(service->ttl_normal_s, 30);
    assert_int_equal(service->ttl_suspect_s, 5);
    assert_int_equal(service->max_addresses, 8);
    assert_int_equal(service->max_failover_ms, 0);
    assert_int_equal(service->on_all_down, MODEL_ALL_DOWN_LAST_GOOD);
    assert_int_equal(timing->interval_ms, 1000);
    assert_int_equal(timing->timeout_ms, 500);
    assert_int_equal(timing->confirm_interval_ms, 50);
    assert_true(timing->fall_auto);
    assert_int_equal(timing->fall, 3);
    assert_int_equal(timing->silent_fall, 10);
    assert_int_equal(timing->rise, 2);
    assert_int_equal(timing->hold_down_ms, 10000);
    assert_int_equal(timing->hold_down_max_ms, 300000);
    assert_int_equal(timing->jitter_percent, 10);
    assert_string_equal(service->checks[0].path, "/");
    assert_string_equal(service->checks[0].host, "s.example");
    assert_int_equal(service->checks[0].statuses[0].first, 200);
    assert_int_equal(service->checks[0].statuses[0].last, 299);
    model_free(model);
}

static void confirmations_follow_a_slow_interval(void **state)
{
    struct model *model =
        load_good(SERVICE GOOD "    check: {tcp: {port: 80}, interval: 10s, hold_down: 1h}\n");
    const struct model_timing *timing = &model->services[0].checks[0].timing;

    (void)state;
    assert_int_equal(timing->confirm_interval_ms, 500);
    assert_int_equal(timing->hold_down_max_ms, 3600000);
    model_free(model);
}

static void a_service_is_read_whole(void **state)
{
    struct model *model = load_good(
        "regions: {a: {minimum_healthy: 0}, b: {minimum_healthy: 0, on_dns_failure: prove}}\n"
        "checks: {web: {http: {port: 8080, host: h, expect: {status: [200, 301-302], body: ok}}}}\n"
        "services:\n"
        "  Api.Example.:\n"
        "    minimum_healthy: 34%\n"
        "    order: [b, a]\n"
        "    ttl: 3s\n"
        "    max_addresses: 2\n"
        "    check: [web, {tcp: {port: 22}, fall: 1}]\n"
        "    on_all_down: {fallback: [192.0.2.80, \"2001:db8::80\"]}\n"
        "    endpoints:\n"
        "      a: [192.0.2.1, \"192.0.2.2:81\", {address: \"2001:db8::1\"}]\n"
        "      b: 192.0.2.3\n");
    const struct model_service *service = &model->services[0];
    uint8_t dname[NAME_MAX_BYTES];
    struct error err;

    (void)state;
    assert_true(name_parse("api.example", dname, &err) > 0);
    assert_true(name_equal(service->dname, dname));
    assert_string_equal(service->name, "api.example");
    assert_int_equal(service->place.line, 4);
    assert_int_equal(service->place.col, 3);
    assert_true(service->minimum_healthy.percent);
    assert_int_equal(service->pool_count, 2);
    assert_int_equal(service->pools[0].region, 1);
    assert_int_equal(service->pools[1].region, 0);
    assert_int_equal(service->pools[1].endpoint_count, 3);
    assert_int_equal(service->pools[1].endpoints[0].address.port, 0);
    assert_int_equal(service->pools[1].endpoints[1].address.port, 81);
    assert_int_equal(service->pools[1].endpoints[2].address.family, ADDR_V6);
    assert_int_equal(service->ttl_normal_s, 3);
    assert_int_equal(service->ttl_suspect_s, 3);
    assert_int_equal(service->check_count, 2);
    assert_string_equal(service->checks[0].name, "web");
    assert_string_equal(service->checks[0].host, "h");
    assert_string_equal(service->checks[0].body, "ok");
    assert_int_equal(service->checks[0].status_count, 2);
    assert_int_equal(service->checks[0].statuses[1].last, 302);
    assert_null(service->checks[1].name);
    assert_int_equal(service->checks[1].timing.fall, 1);
    assert_int_equal(service->on_all_down, MODEL_ALL_DOWN_FALLBACK);
    assert_int_equal(service->fallback_count, 2);
    assert_int_equal(model->regions[1].on_dns_failure, MODEL_DNS_FAILURE_PROVE);
    model_free(model);
}

static void a_named_check_takes_each_service_s_name_as_its_host(void **state)
{
    struct model *model = load_good(
        REGIONS "checks: {web: {http: {port: 80}}}\nservices:\n"
                "  x.example: {minimum_healthy: 1, check: web, endpoints: {a: 192.0.2.1}}\n"
                "  y.example: {minimum_healthy: 1, check: web, endpoints: {a: 192.0.2.1}}\n");

    (void)state;
    assert_string_equal(model->services[0].checks[0].host, "x.example");
    assert_string_equal(model->services[1].checks[0].host, "y.example");
    model_free(model);
}

static void checks_of_regions_are_read_whole(void **state)
{
    struct model *model =
        load_good("regions:\n  a:\n    minimum_healthy: 2\n    checks:\n"
                  "      - {dns: {server: 10.0.0.2, name: \"{random}.example\", type: AAAA,"
                  " expect: {address: \"2001:db8::1\", rcode: NOERROR}}}\n"
                  "      - {tcp: {server: 10.0.0.3, port: 22}}\n"
                  "      - {http: {server: \"10.0.0.4:8080\"}}\n"
                  "      - {dns: {server: \"10.0.0.2:5353\", name: x, type: TYPE65280}}\n");
    const struct model_check *checks = model->regions[0].checks;

    (void)state;
    assert_int_equal(model->regions[0].check_count, 4);
    assert_true(checks[0].has_server);
    assert_int_equal(checks[0].server.port, 53);
    assert_string_equal(checks[0].query_name, "{random}.example");
    assert_int_equal(checks[0].query_type, 28);
    assert_true(checks[0].expect_rcode_given);
    assert_int_equal(checks[0].expect_address_count, 1);
    assert_int_equal(checks[1].server.port, 22);
    assert_int_equal(checks[1].port, 22);
    assert_int_equal(checks[2].server.port, 8080);
    assert_int_equal(checks[2].port, 8080);
    assert_null(checks[2].host);
    assert_int_equal(checks[3].server.port, 5353);
    assert_int_equal(checks[3].query_type, 65280);
    model_free(model);
}

static void relative_paths_start_from_the_folder_of_the_file(void **state)
{
    struct config_report report;
    struct model *model = NULL;

    (void)state;
    assert_int_equal(config_load_text("zones: {a: {file: z/a.zone}, b: {file: /b.zone}}\n"
                                      "node: {state_directory: state}\napi: {socket: off}\n",
                                      "etc/leeward/x.yaml", &model, &report),
                     0);
    assert_string_equal(model->zones[0].file, "etc/leeward/z/a.zone");
    assert_string_equal(model->zones[1].file, "/b.zone");
    assert_string_equal(model->state_directory, "etc/leeward/state");
    assert_null(model->api_socket);
    config_report_fini(&report);
    model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_keys_suggest_the_nearest),
        cmocka_unit_test(what_is_required_is_never_made_up),
        cmocka_unit_test(values_have_units_and_ranges),
        cmocka_unit_test(references_must_lead_somewhere),
        cmocka_unit_test(names_are_checked),
        cmocka_unit_test(addresses_fit_their_use),
        cmocka_unit_test(a_worst_case_above_the_limit_names_the_check),
        cmocka_unit_test(a_worst_case_at_the_limit_is_accepted),
        cmocka_unit_test(what_is_not_built_yet_is_refused_as_such),
        cmocka_unit_test(the_complete_example_lacks_only_what_is_not_built_yet),
        cmocka_unit_test(all_errors_come_in_the_order_of_the_file),
        cmocka_unit_test(errors_beyond_a_hundred_are_counted),
        cmocka_unit_test(everything_has_its_documented_default),
        cmocka_unit_test(confirmations_follow_a_slow_interval),
        cmocka_unit_test(a_service_is_read_whole),
        cmocka_unit_test(a_named_check_takes_each_service_s_name_as_its_host),
        cmocka_unit_test(checks_of_regions_are_read_whole),
        cmocka_unit_test(relative_paths_start_from_the_folder_of_the_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
