#pragma once
/*
 * model - what a configuration says, as plain structs without behaviour
 *
 * Made by policy/config, immutable afterwards, freed in one call with its
 * arena. Every number here was either written by the user or has a default
 * that config.md states; nothing required is ever defaulted.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/log.h"
#include "base/tls.h"

struct arena;

#define MODEL_NONE   UINT32_MAX       /* no region given */
#define MODEL_PUBLIC (UINT32_MAX - 1) /* the reserved region `public` (upstreams only) */

/* Where in which file a thing was written; for errors found later. */
struct model_place {
    const char *path;
    unsigned line; /* 1-based; 0 when it was not written by the user */
    unsigned col;
};

/* `minimum_healthy`: a count or a percentage (rounded up). */
struct model_minimum {
    uint32_t value;
    bool percent;
};

enum model_check_kind {
    MODEL_CHECK_DNS,
    MODEL_CHECK_TCP,
    MODEL_CHECK_HTTP, /* https: with `tls` */
    MODEL_CHECK_TLS,  /* a handshake */
    MODEL_CHECK_ICMP, /* an echo */
    MODEL_CHECK_EXEC, /* a program; its exit code as monitoring plugins mean it */
    MODEL_CHECK_PUSH, /* told from outside */
    MODEL_CHECK_FILE, /* what stands in a file */
    MODEL_CHECK_KINDS,
};

struct model_header {
    const char *name;
    const char *value;
};

struct model_range {
    uint16_t first;
    uint16_t last;
};

/* When probes are sent and how many decide; see docs/failover.md. */
struct model_timing {
    uint32_t interval_ms;         /* 1000 */
    uint32_t timeout_ms;          /* 500; less than or equal to interval is not required */
    uint32_t confirm_interval_ms; /* interval/20, at least 50 */
    bool fall_auto;               /* evidence is weighed: see false_alarm_ms; else it is counted */
    uint64_t false_alarm_ms;      /* fall_auto: a living target is declared down once in so long */
    uint32_t fall;                /* 3 strong failures in a row; fall_auto: without loss */
    uint32_t silent_fall;         /* 10 probes unanswered; the same */
    uint32_t rise;                /* 2 successes in a row */
    uint32_t hold_down_ms;        /* 10000 */
    uint32_t hold_down_max_ms;    /* 300000 */
    uint32_t jitter_percent;      /* 10 */
};

struct model_check {
    const char *name; /* the user's, or NULL for an inline one */
    struct model_place place;
    enum model_check_kind kind;
    struct model_timing timing;

    bool has_server;    /* dns: ask this server rather than the endpoint */
    struct addr server; /* dns: with port, 53 by default */

    /*
     * The port probed: of tcp and http required, of dns 53 by default. An
     * endpoint written with a port is probed there instead.
     */
    uint16_t port;

    /* dns */
    const char *query_name; /* text; "{random}" in it is replaced in each probe */
    uint16_t query_type;
    bool expect_rcode_given;
    uint8_t expect_rcode;
    const struct addr *expect_addresses; /* each must be in the answer */
    size_t expect_address_count;
    const char *expect_pattern; /* POSIX extended; some record's data as text must match; or NULL */
    bool over_tcp;              /* never over UDP; with `tls`: over TLS */

    /* dns, tcp, http, tls: how the stream is secured; NULL: it is not (tls: never NULL) */
    const struct tls_settings *tls;
    uint32_t days_left; /* a certificate that expires sooner makes its target degraded; 0: never */

    /* tcp */
    const char *send;   /* bytes, or NULL: the connection alone proves it */
    size_t send_size;
    const char *expect; /* must be in what comes back; NULL: nothing need come */

    /* http */
    const char *method; /* "GET" */
    const char *path;   /* "/" */
    const char *host;   /* the service's name by default, NULL for a region's check; of exec, push
                         * and file it is the service's name */
    const struct model_header *headers;
    size_t header_count;
    const struct model_range *statuses; /* 200-299 by default */
    size_t status_count;
    const char *body;         /* must be in the body; NULL: any */
    const char *body_pattern; /* POSIX extended, must match somewhere in it; NULL: any */
    const char *json_pointer; /* RFC 6901; what it names must be there; NULL: any body */
    const char *json_value;   /* and be this, as JSON text or as a bare string; NULL: anything */

    /* exec */
    const char *const *arguments; /* the program first, NULL last; "{address}" etc. are replaced */
    size_t argument_count;

    /* push */
    uint32_t push_ttl_ms; /* a report without a ttl of its own is good for so long */

    /* file */
    const char *file; /* there and not beginning with "down": up; "{address}" is replaced */

    uint32_t degraded_ms; /* a pass slower than this makes its target degraded; 0: never */
};

/*
 * What must hold for an endpoint to be up: a tree over checks of its service
 * and over regions and services as a whole. `all` needs all parts, `any` one.
 */
enum model_condition_kind {
    MODEL_CONDITION_CHECK,    /* `index` in the service's checks passes */
    MODEL_CONDITION_REGION,   /* region `index` is in */
    MODEL_CONDITION_SERVICE,  /* some pool of service `index` stands on rung 1 or 2 */
    MODEL_CONDITION_AT_LEAST, /* `needed` of the parts hold */
    MODEL_CONDITION_NOT,      /* the one part does not */
};

struct model_condition {
    enum model_condition_kind kind;
    uint32_t index;
    uint32_t needed;
    const struct model_condition *parts;
    size_t part_count;
    struct model_place place;
};

enum model_dns_failure {
    MODEL_DNS_FAILURE_LEAVE, /* a gated region is left */
    MODEL_DNS_FAILURE_PROVE, /* its endpoints stay while their own checks pass */
};

struct model_region {
    const char *name;
    struct model_place place;
    struct model_minimum minimum_healthy; /* of its own checks */
    const struct model_check *checks;     /* dns, tcp or http; each with a server/address */
    size_t check_count;
    enum model_dns_failure on_dns_failure;
};

struct model_endpoint {
    struct addr address; /* port 0: the check's; family 0: see hostname */
    struct model_place place;
    const uint8_t *hostname; /* dname it was resolved from, or is to be; NULL: given as address */
    bool as_cname;           /* answered as CNAME to the host name */
    bool keep_addresses;     /* what a resolver takes away stays while it proves itself */
    uint32_t weight;         /* 1; 0: only when nothing else is there */
    uint32_t capacity;       /* in the units of the service's load; 0: not given */
};

/* The endpoints of one service in one region. */
struct model_pool {
    uint32_t region; /* index into model.regions */
    const struct model_endpoint *endpoints;
    size_t endpoint_count;
    /* as written, where names among them became addresses (see expansion.h); else NULL */
    const struct model_endpoint *written;
    size_t written_count;
};

enum model_all_down {
    MODEL_ALL_DOWN_LAST_GOOD,
    MODEL_ALL_DOWN_ALL,
    MODEL_ALL_DOWN_SERVFAIL,
    MODEL_ALL_DOWN_FALLBACK,
};

/* The steps by which a service's answers are chosen, in order. */
enum model_filter_kind {
    MODEL_FILTER_REGION_ORDER, /* `order` as written */
    MODEL_FILTER_NEAREST,      /* the order of the client's place */
    MODEL_FILTER_LATENCY,      /* the quickest first, near-equals in `order` */
    MODEL_FILTER_ALL,          /* regions together instead of the first one */
    MODEL_FILTER_WEIGHT,       /* endpoints are drawn by their weight */
    MODEL_FILTER_CAPACITY,     /* what a region cannot carry spills to others */
    MODEL_FILTER_STICKY,       /* the same client, the same endpoints */
    MODEL_FILTER_SHUFFLE,      /* a random order */
    MODEL_FILTER_LIMIT,        /* so many addresses */
    MODEL_FILTER_TRICKLE,      /* a small share to the next region, so that it stays proven */
};

struct model_filter {
    enum model_filter_kind kind;
    struct model_place place;
    uint32_t limit;         /* LIMIT */
    uint32_t band_us;       /* LATENCY: slower by no more than this is as good; 10 ms */
    uint32_t share_65536;   /* TRICKLE: of 65536 answers so many */
    uint8_t sticky_v4_bits; /* STICKY: clients with so many bits in common are one; 24 */
    uint8_t sticky_v6_bits; /* 56 */
    /* CAPACITY: what clients of each pool's region bring, in the units of `capacity`, by pool;
     * NULL: not given, shares follow capacity */
    const uint32_t *load;
};

enum model_failback {
    MODEL_FAILBACK_AUTO,
    MODEL_FAILBACK_MANUAL, /* a region that was left stays second choice until it is released */
};

/* Clients that get endpoints of their own. */
struct model_view {
    const char *name;
    struct model_place place;
    bool loopback; /* source and local address are loopback */
    const struct addr_prefix *prefixes;
    size_t prefix_count;
    const struct addr *listeners; /* asked at one of these, with port */
    size_t listener_count;
};

struct model_service {
    const char *name;     /* text without the last dot */
    /*
     * A service with `views` is followed by one more service for each of its
     * views: the same name and everything else but the endpoints.
     */
    uint32_t view;       /* index in model.views; MODEL_NONE: for everybody else */
    uint32_t view_count; /* services behind this one that are views of it */
    const uint8_t *dname; /* wire form, lower case */
    struct model_place place;
    struct model_pool *pools; /* in the order of `order` */
    size_t pool_count;
    uint32_t ttl_normal_s;  /* 30 */
    uint32_t ttl_suspect_s; /* 5, at most ttl_normal_s */
    uint32_t max_addresses; /* 8 */
    struct model_minimum minimum_healthy; /* endpoints of a region for its group to count */
    const struct model_check *checks;     /* all must pass; none: endpoints count as up */
    size_t check_count;
    const struct model_condition *condition; /* over the checks; NULL: all must pass */
    const struct model_filter *filters;      /* never empty; [region_order] by default */
    size_t filter_count;
    enum model_failback failback;
    uint32_t ramp_ms;  /* a region that came back takes its share little by little; 0: at once */
    uint16_t srv_port; /* SRV is answered with this port; 0: it is not */
    enum model_all_down on_all_down;
    const struct addr *fallback;
    size_t fallback_count;
    uint32_t max_failover_ms; /* 0: not given */
};

struct model_zone {
    const char *name;
    const uint8_t *dname;
    struct model_place place;
    const char *file; /* absolute or relative to the working directory; NULL: services only */
    const uint8_t *const *nameservers; /* NS names of a zone without a file, dnames */
    size_t nameserver_count;
};

struct model_upstream {
    uint32_t region; /* index, MODEL_PUBLIC or MODEL_NONE */
    struct addr address;
    const struct tls_settings *tls; /* NULL: no TLS */
    bool tcp;                    /* never over UDP */
    bool has_source;
    struct addr source;              /* sent from here, port 0 */
    uint32_t max_queries_per_minute; /* 0: no limit */
};

enum model_hedge {
    MODEL_HEDGE_AUTO,  /* past what the upstream itself usually takes */
    MODEL_HEDGE_FIXED, /* after hedge_ms */
    MODEL_HEDGE_OFF,
};

struct model_forward {
    const char *name;
    const uint8_t *dname; /* the tree it is for; "." for everything */
    struct model_place place;
    const struct model_upstream *upstreams; /* in the order written */
    size_t upstream_count;
    const char *from;    /* the file like resolv.conf that named some of them, or NULL */
    size_t from_count;   /* how many: the last ones */
    enum model_hedge hedge; /* when the next region is asked too */
    uint32_t hedge_ms;      /* MODEL_HEDGE_FIXED */
    bool refuse_private;    /* private addresses in its answers are dropped */
};

/* Answers of others, kept. */
struct model_cache {
    uint64_t size_bytes; /* 0: no cache */
    uint32_t serve_stale_s;      /* how long an expired answer may serve; 0: never */
    uint32_t stale_ttl_s;        /* 30; RFC 8767, section 4 */
    uint32_t stale_wait_ms;      /* 300; what upstreams that live are waited for */
    bool prefetch;
    bool persist;
    uint32_t min_ttl_s;          /* 0 */
    uint32_t max_ttl_s;          /* a day */
    uint32_t max_negative_ttl_s; /* 15 minutes */
};

struct model_listener {
    struct addr address; /* with port, 53 by default */
    struct model_place place;
};

/* An access list. */
struct model_acl {
    bool any;
    bool loopback; /* source AND local address are loopback */
    const struct addr_prefix *prefixes;
    size_t prefix_count;
};

/* Where clients stand: the regions nearest to them, the nearest first. */
struct model_clients {
    struct model_place place;
    struct addr_prefix prefix;
    const uint32_t *regions;
    size_t region_count;
};

struct model_country {
    char code[3];      /* ISO 3166-1, or of a continent as the database has it: "EU" */
    bool is_continent; /* used where no country matches */
    const uint32_t *regions;
    size_t region_count;
};

struct model_geo {
    struct model_place place;
    const char *file; /* a MaxMind database */
    const struct model_country *countries;
    size_t country_count;
};

/* A time in which a target is drained: once, or every week. */
struct model_maintenance {
    struct model_place place;
    const char *target; /* REGION or REGION/SERVICE, globs allowed */
    const char *reason;
    bool weekly;
    int64_t from_s;       /* once: seconds since 1970 UTC, as to_s */
    int64_t to_s;
    uint8_t weekdays;     /* weekly: bit 0 is Sunday; UTC */
    uint32_t start_s;     /* of the day */
    uint32_t duration_s;
};

enum model_notify_on {
    MODEL_NOTIFY_REGION = 1,
    MODEL_NOTIFY_SERVICE = 2,
    MODEL_NOTIFY_ENDPOINT = 4,
    MODEL_NOTIFY_OVERRIDE = 8,
    MODEL_NOTIFY_GUARD = 16,
    MODEL_NOTIFY_RELOAD = 32,
};

/* Who is told of what happens. */
struct model_hook {
    struct model_place place;
    const char *const *arguments; /* a program, NULL last; or NULL */
    size_t argument_count;
    const char *url; /* a webhook, or NULL */
    unsigned on;     /* model_notify_on */
    uint32_t timeout_ms; /* of one try; 10 s */
    uint32_t tries;      /* 5 */
};

struct model_guards {
    uint32_t minimum_regions; /* 1 */
    uint32_t cascade_window_ms;   /* 60000; 0: off */
    uint32_t removal_percent;     /* 30: of healthy capacity, in one window; 100: no limit */
    uint32_t removal_window_ms;   /* 600000 */
    const char *accept;           /* the ID of one larger change, "" */
    const struct addr *witnesses; /* with port, 53 by default; asked as DNS servers */
    size_t witness_count;
    uint32_t witness_minimum;     /* 1: fewer than so many reachable means cut off */
};

enum model_log_queries {
    MODEL_LOG_QUERIES_OFF,
    MODEL_LOG_QUERIES_ERRORS,
    MODEL_LOG_QUERIES_ALL,
};

struct model {
    struct arena *arena; /* owns the model too */
    const char *path;    /* the file, or NULL for the embedded default */
    const char *source;  /* the whole text with includes resolved, for the last accepted config */

    const char *node_name;
    uint32_t node_region; /* index or MODEL_NONE */
    const char *state_directory;
    uint32_t threads;      /* answerers per address; 0: auto */
    const char *node_user; /* dropped to after binding; NULL: unset */

    struct model_listener *listeners;
    size_t listener_count;
    struct model_acl query;     /* [any] */
    struct model_acl recursion; /* [loopback] */
    uint32_t in_flight;            /* questions being asked elsewhere: in all; 10000 */
    uint32_t in_flight_per_client; /* 1000 */

    struct model_region *regions;
    size_t region_count;
    struct model_service *services;
    size_t service_count;
    struct model_zone *zones;
    size_t zone_count;
    struct model_forward *forwards;
    size_t forward_count;
    struct model_cache cache;
    const char *hosts; /* a file like /etc/hosts, or NULL */

    uint64_t file_generation; /* `generation:` of the file; an older one is refused; 0: none */
    struct model_guards guards;
    struct model_view *views; /* the first that fits */
    size_t view_count;
    bool is_nameless; /* no endpoint is the name of a host: nobody need look for one */
    struct model_clients *clients; /* the longest prefix that fits */
    size_t clients_count;
    struct model_geo *geos; /* for who is in no prefix; the first that knows */
    size_t geo_count;
    struct model_maintenance *maintenances;
    size_t maintenance_count;
    struct model_hook *hooks;
    size_t hook_count;
    uint64_t journal_bytes;  /* of one file; 8 MiB */
    uint32_t journal_files;  /* kept; 4 */
    uint32_t laggards;       /* clients remembered, each thread; 0: none */
    const char *api_socket;   /* path, or NULL: no api */
    enum log_level log_level;
    enum log_format log_format;
    enum model_log_queries log_queries;
};

/* Free the model and everything in it. NULL is fine. */
void model_free(struct model *model);

/* How many of `total` a minimum means; percentages round up, at least 1 of a non-zero share. */
uint32_t model_minimum_count(struct model_minimum minimum, uint32_t total);

/* The longest timeout of any check, in ms; 0: there is none. Every service is looked at. */
uint32_t model_longest_timeout(const struct model *model);

/* What a check is called in the file: "dns", "tcp", "http", "https", "tls", ... */
const char *model_check_word(const struct model_check *check);
