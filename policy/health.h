#pragma once
/*
 * health - what is believed about every probe, endpoint and region
 *
 * Only the control thread writes. Answers read the words of `health_region`
 * and `health_group` with relaxed loads; they need neither a lock nor an RCU
 * section for the words themselves, whose memory lives as long as a binding
 * (held by a snapshot) refers to them. One region failing is one store to its
 * word, one address failing one store per distinct group.
 *
 * A slot keeps its state and history across reloads while its key (target and
 * parameters; region name; endpoints with their probes) stays the same.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "policy/detect.h"
#include "policy/model.h"

/* Flags of a region's word; 0 means "in". Bits 16 and above: the epoch of its gate. */
enum {
    HEALTH_REGION_HELD = 1,        /* its checks have risen, hold_down is not over */
    HEALTH_REGION_GATED = 2,       /* below its minimum_healthy */
    HEALTH_REGION_DRAINED = 4,     /* by an operator; reversible */
    HEALTH_REGION_FORCED_DOWN = 8, /* by an operator; absolute */
    HEALTH_REGION_PROVE = 16,      /* on_dns_failure: prove */
    HEALTH_REGION_SUSPECT = 32,    /* answers carry ttl.suspect */
    HEALTH_REGION_SHARED = 64,     /* would be gated by silence alone just after another one left:
                                    * it shares its answers with the next region */
    HEALTH_REGION_FORCED_UP = 128, /* by an operator: in, whatever its checks say */
    HEALTH_REGION_AWAY = HEALTH_REGION_HELD | HEALTH_REGION_GATED | HEALTH_REGION_DRAINED |
                         HEALTH_REGION_FORCED_DOWN,
    HEALTH_EPOCH_SHIFT = 16,
};

/* Flags of a group's word; bits 16 and above: the epoch its `proven` belongs to. */
enum {
    HEALTH_GROUP_SUSPECT = 1, /* answers carry ttl.suspect */
    HEALTH_GROUP_SHARED = 2,  /* as HEALTH_REGION_SHARED, of this group alone */
    HEALTH_GROUP_RAMPING = 4, /* takes but `ramp` of its answers, for it has just come back */
    HEALTH_GROUP_WHOLE = 256, /* its minimum is met, and none of it is degraded; not a bit of a
                               * region's word: see steer_is_calm */
};

struct health_region {
    _Atomic uint32_t word;
};

/* Endpoints of a region as one service (or several with equal ones) sees them. */
struct health_group {
    _Atomic uint64_t up[ADDR_FAMILIES];   /* a bit per endpoint, in the order configured */
    _Atomic uint64_t held[ADDR_FAMILIES]; /* DOWN, risen, in hold_down */
    /*
     * Passed since the region's gate of this epoch. Of a region that proves
     * itself: passing now, in any epoch.
     */
    _Atomic uint64_t proven[ADDR_FAMILIES];
    _Atomic uint64_t degraded[ADDR_FAMILIES]; /* up, but not well: used when nothing better is */
    _Atomic uint32_t flags;
    uint32_t minimum;            /* endpoints that must be up, both families together */
    _Atomic uint32_t latency_us; /* of its checks, smoothed, moved by whole steps; 0: unknown */
    _Atomic uint32_t capacity;   /* of the endpoints that are up, together; 0: not given */
    _Atomic uint32_t ramp;       /* RAMPING: of 65536 answers so many */
    _Atomic uint64_t barred[ADDR_FAMILIES]; /* by an operator: never answered, on no rung */
};

/* One probe: a check against a target, run once whoever asks. */
struct health_probe {
    uint32_t slot;
    bool used;
    const struct model_check *check; /* the table's copy, shared by probes of the same words */
    struct addr target;              /* with port */
    const char *label;               /* for people: "seoul http 203.0.113.10:8080/healthz" */
    struct detect detect;
    bool misconfigured; /* a canary that is not there: alerts, decides nothing */
    uint64_t misconfigured_since_ms;
    uint64_t last_result_ms; /* 0: none yet */
    const char *reason;      /* what the newest decisive result was; the table's */
    const char *trouble;     /* why nothing comes of its probes here; NULL: something does */
    bool stale;              /* and for so long that it was told of */
    uint64_t sent_count;
    uint64_t failed_count;
    void *runner; /* the prober's */
};

struct health;
struct health_binding;

enum health_event_kind {
    HEALTH_EVENT_PROBE,  /* a probe's state changed */
    HEALTH_EVENT_REGION, /* a region's word changed its meaning */
    HEALTH_EVENT_ALERT,  /* a canary is misconfigured, or no longer */
    HEALTH_EVENT_GUARD,  /* a guard holds something, or no longer: "cascade_window", "isolation" */
};

struct health_event {
    enum health_event_kind kind;
    const char *name; /* the probe's label, the region's name or the guard's */
    /* the probe's address with port, the region's name, or what the guard holds: a region, a
     * group's endpoints ("tokyo 198.51.100.10 and 1 more") or "this node" */
    const char *target;
    const struct health_probe *probe; /* PROBE and ALERT; else NULL */
    const char *from; /* states by name; a region's may be "lifted": see minimum_regions */
    const char *to;
    const char *reason;
    uint64_t since_last_pass_ms;     /* 0: never passed */
    uint64_t since_first_failure_ms; /* 0: not failing */
    uint32_t failed;                 /* failures in a row, unanswered probes among them */
    uint32_t needed;                 /* so many in a row make it down, see detect_strong_needed */
    uint32_t sum;                    /* what was weighed and made it down, in tenths; 0: nothing */
    uint32_t threshold;              /* and what it takes */
};

/* Called in the control thread after the words were stored. */
typedef void health_listener(void *user, const struct health_event *event);

/* What a region looks like to people. */
struct health_region_view {
    const char *name;
    /* "in", "shared", "held", "gated", "drained", "forced up", "forced down" */
    const char *state;
    bool lifted;                       /* would be gated, but minimum_regions lifts the gates */
    uint32_t up, held, total, minimum; /* its own checks */
    uint64_t since_ms;                 /* monotonic; 0: since the start */
    char reason[200];
    const struct health_probe *const *probes;
    size_t probe_count;
};

/* What an endpoint of a group looks like to people. */
struct health_endpoint_view {
    struct addr address;
    /* "up", "degraded", "stale" (up, but nothing comes of its probes any more), "suspect",
     * "unknown", "shared", "held", "down", "unchecked", "forced up", "forced down" */
    const char *state;
    uint64_t since_ms;
    char failing[200]; /* of a service with a condition: the parts that do not hold; else "" */
    const struct health_probe *const *probes;
    size_t probe_count;
};

struct health *health_new(health_listener *listener, void *user);
void health_free(struct health *health);

/*
 * Find or make the slots that `model` needs. New probes are due at once, so
 * that their first result can be waited for (health_pending) before the
 * binding is committed. NULL when memory is out.
 */
struct health_binding *health_bind(struct health *health, const struct model *model,
                                   uint64_t now_ms);

/*
 * The same in pieces, for a model of very many services: begin, then bind some
 * of its services until none is left (false). The model stays as it is
 * meanwhile, and until then the binding is only there to be given back. One
 * model at a time.
 */
struct health_binding *health_bind_begin(struct health *health, const struct model *model,
                                         uint64_t now_ms);
bool health_bind_some(struct health_binding *binding, const struct model *model, uint64_t now_ms);

/* From now on this binding's regions, gates and minimum_regions decide. */
void health_commit(struct health *health, struct health_binding *binding, uint64_t now_ms);

/*
 * The same in pieces: regions decide at once, and what groups owe to the new
 * guards follows service by service; call until it says false. What a check
 * says meanwhile acts at once, as always. Another commit takes its place.
 */
void health_commit_begin(struct health *health, struct health_binding *binding, uint64_t now_ms);
bool health_commit_some(struct health *health, uint64_t now_ms);

/* Give a binding back (never committed, or no snapshot reads it any more). */
void health_unbind(struct health *health, struct health_binding *binding);

/* The same in pieces: call until it says false, and then the binding is gone. */
bool health_unbind_some(struct health *health, struct health_binding *binding);

/* Probes of this binding that have no result yet. */
size_t health_pending(const struct health_binding *binding);

/*
 * Are there any? Asked again and again it does not count those that have one
 * again; of very many services it may take several times to come to the end.
 */
bool health_is_pending(struct health_binding *binding);

/* The words of region `region`, and of pool `pool` of service `service`, of the bound model. */
const struct health_region *health_binding_region(const struct health_binding *binding,
                                                  size_t region);
const struct health_group *health_binding_group(const struct health_binding *binding,
                                                size_t service, size_t pool);

/*
 * Let time act on ramps and guards: call it at health_wake_ms, the monotonic
 * time at which there is something to do (never before `now_ms`; UINT64_MAX:
 * until something else happens, nothing). Ask again after every call that
 * brings results, binds, commits or overrides. Cheap when nothing is going on.
 */
uint64_t health_wake_ms(const struct health *health, uint64_t now_ms);
void health_tick(struct health *health, uint64_t now_ms);

/*
 * Is this node cut off (no witness answers, no check succeeds), so that the
 * words stay as they were before? Then since when, and why, in a sentence.
 */
bool health_is_isolated(const struct health *health, uint64_t *out_since_ms, char *out_reason,
                        size_t cap);

/* For people: any thread must not; control thread only. */
void health_view_region(const struct health *health, const struct health_binding *binding,
                        size_t region, struct health_region_view *out);

/* How many of its own checks pass, as `up` of the view; without the words for people. */
uint32_t health_region_passing(const struct health_binding *binding, size_t region);

size_t health_group_size(const struct health_binding *binding, size_t service, size_t pool);
void health_view_endpoint(const struct health_binding *binding, size_t service, size_t pool,
                          size_t endpoint, struct health_endpoint_view *out);

/* Is its state anything but "down" and "forced down"? Without the words for people. */
bool health_endpoint_is_left(const struct health_binding *binding, size_t service, size_t pool,
                             size_t endpoint);

/* ---- for the prober ---- */

/* Slots 0 to count-1; a slot may be unused. Pointers stay valid for the life of `health`. */
size_t health_probe_count(const struct health *health);
struct health_probe *health_probe(struct health *health, size_t slot);

/* A probe is being sent; returns its number. */
uint32_t health_probe_sent(struct health *health, struct health_probe *probe, uint64_t now_ms);

/*
 * Its result. `reason` says in a few words what came back ("connection
 * refused", "status 500", "no answer within 500ms"). `misconfigured` marks an
 * NXDOMAIN or NODATA to a dns check without `expect`: the table decides by what
 * the other regions say whether it counts.
 */
void health_probe_result(struct health *health, struct health_probe *probe, uint32_t number,
                         enum detect_outcome outcome, bool misconfigured, const char *reason,
                         uint64_t now_ms);

/*
 * A probe could not be sent, for `reason`, which is this node's: no evidence.
 * Like results of the outcome DETECT_VOID it is told of as `trouble` when
 * nothing has come of the probe yet, or not for some intervals; its state stays.
 */
void health_probe_trouble(struct health *health, struct health_probe *probe, const char *reason,
                          uint64_t now_ms);

/* Let time act on a probe (see detect_tick). */
void health_probe_tick(struct health *health, struct health_probe *probe, uint64_t now_ms);

/* ---- operator's hand (control thread) ---- */

/*
 * Set or clear HEALTH_REGION_DRAINED, FORCED_DOWN or FORCED_UP of a region by
 * name, also of bindings to come. Setting one of the forces clears the other; a
 * force outranks a drain, and that the checks. Returns whether there is such a
 * region now.
 */
bool health_override(struct health *health, const char *region, uint32_t flag, bool on,
                     uint64_t now_ms);

/* An operator's word on one endpoint, wherever it serves; it outranks its checks. */
enum health_force {
    HEALTH_FORCE_NONE,
    HEALTH_FORCE_UP,
    HEALTH_FORCE_DOWN,
};

/*
 * Set the word for every endpoint at `address` (whatever its port), also of
 * bindings to come, until it is set to NONE.
 */
void health_force_endpoint(struct health *health, const struct addr *address,
                           enum health_force force, uint64_t now_ms);

/*
 * The operator's word on one region of one service, as a flag of a region:
 * HEALTH_REGION_DRAINED, FORCED_DOWN or FORCED_UP; 0: none. Words of groups do
 * not have it, for services with the same endpoints share them.
 */
typedef uint32_t health_pool_word(void *user, const char *region, const char *service);

/*
 * Conditions on services ask `word` (NULL: nobody says anything) from now on.
 * When it says something else than before, call health_pool_words_changed.
 */
void health_ask_pool_words(struct health *health, health_pool_word *word, void *user);

/* It says something else now: judge again what leans on services. */
void health_pool_words_changed(struct health *health, uint64_t now_ms);
