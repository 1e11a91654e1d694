#pragma once
/*
 * snapshot - one generation of everything an answer needs, immutable
 *
 * Built from a model and its health binding, published with RCU, freed after a
 * grace period; each on a thread that has the control thread's leave, which
 * touches neither the model nor the binding meanwhile. Holds the model,
 * the binding and all compiled data.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "policy/health.h"
#include "policy/model.h"
#include "policy/steer.h"
#include "zones/namespace.h"

/* What kind of place an upstream is, best first (architecture, section 8). */
enum forward_class {
    FORWARD_OWN,    /* this node's region, or no region given */
    FORWARD_OTHER,  /* another region */
    FORWARD_PUBLIC, /* outside the company: only when all else failed */
};

struct forward_upstream {
    struct addr address;
    enum forward_class class;
    const char *region_name;           /* "" when none was given */
    const struct health_region *region; /* NULL when none was given */
    const struct tls_settings *tls;        /* the model's; NULL: no TLS */
    bool tcp;                           /* never over UDP */
    bool has_source;
    struct addr source; /* sent from here */
    uint32_t max_queries_per_minute; /* 0: no limit */
};

/* One `forward` rule: the names at and below `dname`. */
struct forward_rule {
    const char *name;
    const uint8_t *dname;
    const struct forward_upstream *upstreams; /* by class, then as written */
    uint32_t upstream_count;
    bool hedge_auto;     /* past what the upstream itself usually takes */
    uint32_t hedge_ms;   /* else: after this long, 0: off */
    bool refuse_private; /* drop answers with private addresses (DNS rebinding) */
};

struct hosts;
struct places;

struct snapshot {
    uint64_t generation; /* counts accepted configurations from 1 */
    struct arena *arena;
    struct model *model;
    struct health_binding *binding;
    struct namespace *ns;
    const struct steer_service *services; /* by index in the model */
    size_t service_count;
    size_t service_total;       /* see snapshot_service_total; 0: not counted */
    bool is_automatic;          /* no service has `failback: manual`: nobody need look for one */
    const uint32_t *before;     /* of each service: 1 + the index in `before_generation` of the */
    uint64_t before_generation; /* one that answered the same, 0: none. NULL: nothing was before */
    const struct forward_rule *forwards; /* most labels first */
    size_t forward_count;
    const struct hosts *hosts; /* NULL: no hosts file */
    const struct places *places; /* of clients; NULL: no service asks for them */
};

/*
 * Build from `model` and `binding`, which the snapshot owns from then on (also
 * on failure the caller keeps them: they are taken over only on success).
 * `old` (may be NULL) is the one in force and stays it: it hands over what
 * services remember (see snapshot_inherit). -EINVAL, explained, when a zone
 * does not load.
 */
int snapshot_build(struct model *model, struct health_binding *binding,
                   const struct snapshot *old, const struct hash_key *key, uint64_t generation,
                   struct snapshot **out, struct error *err);

/*
 * The same for a model that differs from that of `old` in addresses of names
 * only: files that were read for `old` are not read again where they are kept.
 */
int snapshot_rebuild(struct model *model, struct health_binding *binding,
                     const struct snapshot *old, const struct hash_key *key, uint64_t generation,
                     struct snapshot **out, struct error *err);

/* Free it and its model; the binding is returned for health_unbind. */
struct health_binding *snapshot_free(struct snapshot *snapshot);

/* The rule for a dname, or NULL: refused. */
const struct forward_rule *snapshot_forward(const struct snapshot *snapshot,
                                            const uint8_t *dname);

/* Can a name that is not ours be resolved: by a rule, or because it is in the hosts file? */
bool snapshot_resolves(const struct snapshot *snapshot, const uint8_t *dname);

/* How many services there are, each with its views counted once. */
size_t snapshot_service_total(const struct snapshot *snapshot);

/* "api.svc.example.com", of a view "api.svc.example.com (view internal)"; in `out` or as it is. */
#define SNAPSHOT_LABEL_MAX 384
const char *snapshot_service_label(const struct steer_service *service,
                                   char out[SNAPSHOT_LABEL_MAX]);

/* The service of exactly this dname, or NULL. */
const struct steer_service *snapshot_service(const struct snapshot *snapshot,
                                             const uint8_t *dname);

/* The service of `old` that answered what `service` answers, for the same view; NULL: none. */
const struct steer_service *snapshot_counterpart(const struct snapshot *old,
                                                 const struct steer_service *service);

/* The same by what was found when `fresh` was built against `old`, where it was. */
const struct steer_service *snapshot_before(const struct snapshot *old,
                                            const struct snapshot *fresh, size_t service);

/* Hand over again what services of `old` remember: they have looked since `fresh` was built. */
void snapshot_inherit(const struct snapshot *fresh, const struct snapshot *old);

/*
 * The first view that fits: by the client, or by the listener or local address
 * it asked at (NULL: not known). `count` when none does.
 */
size_t snapshot_view(const struct model_view *views, size_t count, const struct addr *source,
                     bool local_is_loopback, const struct addr *listener);

/* Is `source` in the list, asked at an address that is loopback or not? */
bool snapshot_acl_allows(const struct model_acl *acl, const struct addr *source,
                         bool local_is_loopback);
