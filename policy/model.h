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
    MODEL_CHECK_HTTP,
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
    uint32_t fall;                /* 3 strong failures in a row */
    uint32_t silent_fall;         /* 10 probes unanswered */
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

    /* http */
    const char *path; /* "/" */
    const char *host; /* the service's name by default, NULL for a region's check */
    const struct model_range *statuses; /* 200-299 by default */
    size_t status_count;
    const char *body; /* must be in the body; NULL: any */
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

struct model_service {
    const char *name;     /* text without the last dot */
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

/* How a certificate of an upstream is judged. At least one of name and pins is there. */
struct model_tls {
    const char *name;            /* must be in the certificate; NULL: pins alone decide */
    const char *ca_file;         /* trusted authorities; NULL: the system's */
    const uint8_t (*pins)[32];   /* SHA-256 of acceptable public keys (RFC 7858, appendix A) */
    size_t pin_count;            /* 0: the name and the authorities decide */
};

struct model_upstream {
    uint32_t region; /* index, MODEL_PUBLIC or MODEL_NONE */
    struct addr address;
    const struct model_tls *tls; /* NULL: no TLS */
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

    uint32_t minimum_regions; /* guards; 1 */
    const char *api_socket;   /* path, or NULL: no api */
    enum log_level log_level;
    enum log_format log_format;
    enum model_log_queries log_queries;
};

/* Free the model and everything in it. NULL is fine. */
void model_free(struct model *model);

/* How many of `total` a minimum means; percentages round up, at least 1 of a non-zero share. */
uint32_t model_minimum_count(struct model_minimum minimum, uint32_t total);
