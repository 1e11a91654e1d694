#pragma once
/*
 * health_table - slots of the health table, their keys and their bindings
 *
 * The inside of policy/health, shared by its files: health.c (what evidence
 * does), health_condition, health_group and health_region (what the words say),
 * health_cascade and health_isolation (guards), health_note (why, for those who
 * answer), health_file (across restarts), health_table.c (which probes there
 * are) and health_binding.c (which groups and regions a model has). Control
 * thread only, but for what health.h and health_note.h say.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uthash.h>

#include "base/text.h"
#include "policy/health.h"
#include "policy/probe_identity.h"

struct group_slot;
struct region_slot;
struct sibling_set;
struct health_condition;
struct noted;

/* How a probe counts, whatever its detection is about. */
enum probe_standing {
    PROBE_UNKNOWN, /* as up, until its first result */
    PROBE_UP,
    PROBE_HELD,
    PROBE_DOWN,
};

/* A check as probes run it. */
struct shared_check {
    struct probe_key key; /* of its words */
    struct model_check check;
    unsigned refs; /* probes */
    bool own;      /* one probe's alone, and not to be found by its key */
    UT_hash_handle hh;
};

struct probe_slot {
    struct health_probe probe; /* first: the two are one object */
    struct probe_key key;
    struct shared_check *check; /* what the probe's `check` points into */
    unsigned refs;              /* bindings that use it */
    struct group_slot **groups; /* that lean on it */
    size_t group_count;
    struct region_slot **regions;
    size_t region_count;
    _Atomic(struct noted *) noted; /* see health_note; NULL: nothing was ever */
    bool short_ttl;
    bool down_by_canary;          /* DOWN, and what decided was a canary that is not there */
    bool is_witness;              /* of the network itself: whatever comes back is a pass */
    enum probe_standing stood;    /* before it last went DOWN */
    enum probe_standing restored; /* as the file has it, until the first result */
    uint32_t told_us;             /* its latency, as its groups last heard of it */
    uint64_t went_ms;             /* when it last went DOWN */
    int64_t restored_seen_ms;     /* when that was seen; before the start of time, perhaps */
    UT_hash_handle hh;
};

struct region_slot {
    struct health_region words;
    char *name; /* the key */
    unsigned refs;
    bool active;    /* of the committed configuration */
    uint32_t index; /* in it */
    bool prove;
    bool lifted;
    bool gating;  /* its checks gate it, be the gate lifted or not */
    bool sharing; /* see HEALTH_REGION_SHARED */
    bool told_sharing;
    struct model_minimum minimum;
    struct health_probe **probes; /* each a probe_slot's */
    size_t probe_count;
    const char *told; /* how it stood when that was told last; a literal */
    uint64_t since_ms;
    uint64_t gated_ms;
    uint64_t left_ms;        /* when it was last left; 0: never */
    uint64_t share_until_ms; /* sharing */
    size_t group_count;
    size_t fallen_count;        /* groups of it that do not meet their minimum */
    uint64_t fallen_ms;         /* when the last one fell; 0: never */
    struct group_slot **ramped; /* groups that come back little by little */
    size_t ramped_count;
    struct group_slot **dependents; /* groups whose conditions ask about this region */
    size_t dependent_count;
    char reason[240];
    _Atomic(struct noted *) noted; /* see health_note; NULL: nothing was ever */
    UT_hash_handle hh;
};

struct group_endpoint {
    struct addr address;
    uint32_t capacity;
    uint8_t bit; /* within its family */
    enum health_force force;
    struct health_probe **probes; /* in the order of the service's checks */
    size_t probe_count;
};

/* A set of siblings a group is in, and where the set knows it. */
struct group_membership {
    struct sibling_set *set;
    uint32_t at;
};

struct group_slot {
    struct health_group words;
    char *key; /* see group_key in health_binding.c; not a string */
    size_t key_size;
    unsigned refs;
    uint64_t id; /* never used twice */
    struct region_slot *region;
    struct group_endpoint *endpoints;
    size_t endpoint_count;
    struct health_condition *condition; /* NULL: all checks */
    bool has_capacity;
    bool is_known; /* its words have been computed once */
    bool stands;   /* as many are up as its minimum says */
    bool queued;   /* to be computed again */
    bool sharing;  /* see HEALTH_GROUP_SHARED */
    bool told_sharing;
    bool is_listed; /* among those that share, until that they no longer do is told */
    bool ramping;
    uint32_t ramp_ms;
    uint64_t ramp_from_ms;
    uint64_t left_ms; /* when it last fell below its minimum; 0: never */
    uint64_t share_until_ms;
    struct group_slot **dependents; /* groups whose conditions ask about its service */
    size_t dependent_count;
    struct group_membership *memberships;
    size_t membership_count;
    struct group_slot *next_doomed;
    UT_hash_handle hh;
};

struct service_binding {
    struct group_slot **groups; /* one per pool; NULL: not bound yet */
    size_t group_count;
    struct sibling_set *siblings; /* NULL: it has one pool only */
};

/* The regions' checks as a binding wants them, applied when it is committed. */
struct region_plan {
    struct model_minimum minimum;
    bool prove;
    struct health_probe **probes;
    size_t probe_count;
    uint64_t *siblings; /* a bit per region that some service has beside this one */
};

struct health_binding {
    struct health *health;
    struct region_slot **regions;
    struct region_plan *plans;
    size_t region_count;
    struct service_binding *services;
    size_t service_count;
    size_t bound;   /* so many services from the first on have been bound */
    size_t settled; /* so many services from the first on wait for no result */
    uint32_t minimum_regions;
    uint32_t cascade_window_ms;
    struct health_probe **witnesses;
    size_t witness_count;
    uint32_t witness_minimum;
};

/* An operator's word, kept whether or not what it is about exists. */
struct region_word {
    char *name;
    uint32_t flags;
    UT_hash_handle hh;
};

struct endpoint_word {
    struct addr address; /* without port; the key, its padding zero */
    enum health_force force;
    UT_hash_handle hh;
};

/* A list of groups that something is going on with. */
struct group_list {
    struct group_slot **groups;
    size_t count;
    size_t capacity;
};

struct restored_probe;
struct restored_region;

struct health {
    health_listener *listener;
    void *user;
    uint32_t minimum_regions;
    struct probe_slot **probes; /* by slot number; never shrinks */
    size_t probe_count;
    size_t first_free; /* no slot before it is free */
    struct probe_slot *probes_by_key;
    struct shared_check *checks;
    struct region_slot *regions;
    struct group_slot *groups;
    struct text group_key;           /* of the group looked for last */
    struct text key;                 /* of the probe looked for last */
    size_t key_of_check;             /* so many bytes of it are what the check says, */
    const struct model_check *keyed; /* which is this one; NULL: of none that comes again */
    uint64_t next_id;                /* of groups */
    struct group_slot *doomed;       /* that nobody keeps */
    bool is_burying;
    const struct health_binding *committed; /* NULL: none is */
    struct group_slot *spare_group;         /* zeroed, for the next one to be looked for */
    size_t renewed;                         /* so many of its services have had their words since */
    bool quiet; /* what changes now is neither a departure nor a return */
    struct group_list dirty;
    struct group_list sharing;
    struct group_list ramping;
    uint64_t ramp_next_ms;
    struct sibling_set *sibling_sets;
    uint64_t left_ms; /* when anything was last left; 0: never */
    struct region_word *region_words;
    struct endpoint_word *endpoint_words;
    health_pool_word *pool_word; /* NULL: none has one */
    void *pool_word_user;
    struct restored_probe *restored; /* what the file said, until a binding is committed */
    struct restored_region *restored_regions;

    uint64_t heard_ms;   /* the last success of anything; 0: none yet */
    uint64_t target_ms;  /* the last success of a target; 0: none yet */
    uint64_t isolate_ms; /* when to ask whether this node is cut off; 0: not now */
    bool isolated;
    uint64_t isolated_ms;
    char isolated_reason[200];
};

/* Keep a copy of these words as the probe's reason; none is made of the words it has. */
void health_probe_set_reason(struct health_probe *probe, const char *reason);

/* Recompute and store every word. Nothing counts as a departure or a return. */
void health_refresh(struct health *health, uint64_t now_ms);

/* Zeroed memory of the control plane, for free(); without it the program ends. */
void *health_table_get(size_t count, size_t size);
char *health_table_copy(const char *string);

/* Add to an array of pointers that grows as it must; a pointer it ends with is not added again. */
void health_table_link(void ***array, size_t *count, void *pointer);
void health_table_unlink(void **array, size_t *count, const void *pointer);

/*
 * The probe of this check against its server or, without one, `endpoint`; made
 * when nobody runs it yet. `region` is for people; NULL: it is a witness.
 */
struct probe_slot *health_table_use_probe(struct health *health, const struct model_check *check,
                                          const struct addr *endpoint, const char *region,
                                          uint64_t now_ms);

/* No check that has been looked for is there any longer: their models may go. */
void health_table_forget_keys(struct health *health);

/*
 * Give a probe back. The slot stays taken until its runner has let go of it;
 * see take_slot.
 */
void health_table_drop_probe(struct health *health, struct probe_slot *slot);

/* Keep a group, or give it back; what nobody keeps leaves the table. */
void health_binding_keep(struct group_slot *group);
void health_binding_drop(struct health *health, struct group_slot *group);

/* Add to a list, or take out of it (its order is not kept). */
void health_table_list(struct group_list *list, struct group_slot *group);
void health_table_unlist(struct group_list *list, const struct group_slot *group);
