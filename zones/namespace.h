#pragma once
/*
 * namespace - every name we have data for: zones and the services laid over them
 *
 * One table from names to nodes over all zones, so that a question costs one
 * find. Built by the control thread (add zones, lay services over, compile),
 * then immutable and read by any number of threads. Lives in its arena.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/addr.h"
#include "base/arena.h"
#include "base/error.h"
#include "base/hash.h"
#include "zones/answer.h"
#include "zones/name.h"
#include "zones/wire.h"

struct rrset;
struct zone;

/* A name that exists, be it only as an empty non-terminal (RFC 4592, 2.2.2). */
struct node {
    union {
        const struct answer *answers; /* one per type, after namespace_compile */
        struct rrset *rrsets;         /* what was loaded, before it */
    };
    const struct answer *alias; /* for every other type when the name is a CNAME, else NULL */
    const void *service;        /* answers A and AAAA, else NULL; the caller's */
    const struct zone *zone;
    struct node *next; /* all nodes, in the order added */
    uint16_t answer_count;
    uint8_t length; /* of dname, in bytes */
    uint8_t dname[];
};

/* A zone we are authoritative for. */
struct zone {
    const uint8_t *dname; /* the apex */
    uint8_t length;
    uint32_t serial;
    const char *file; /* NULL: made up for services */
    /*
     * The authority section for NODATA and NXDOMAIN (RFC 2308): one SOA, whose
     * owner, bytes 0 and 1, the copier makes a pointer to the apex in the
     * question: 0xc000 | (12 + name's length - apex's length).
     */
    struct answer negative;
    struct zone *next;
};

struct namespace_slot {
    uint64_t hash;
    struct node *node;
};

struct namespace
{
    struct arena *arena;
    struct arena *build; /* what was loaded; gone after compiling */
    struct hash_key key;
    struct namespace_slot *slots; /* open addressing; NULL node: free */
    size_t slot_mask;
    size_t node_count;
    unsigned most_labels;  /* of any node: longer names need no exact find */
    unsigned least_labels; /* of any apex */
    struct node *nodes;
    struct node **nodes_end;
    struct zone *zones; /* in the order added */
    struct zone **zones_end;
};

/* A new empty namespace in an arena of its own; NULL when memory is out. */
struct namespace *namespace_new(const struct hash_key *key);
void namespace_free(struct namespace *ns);

/*
 * Read a master file into the namespace as zone `dname`. Every error of the
 * file's first broken line as file:line:col; -EINVAL or the errno of reading,
 * -EEXIST for a second zone of this name. After a failure the namespace may
 * only be freed. Whether NS below the apex are a delegation is known once all
 * zones are: namespace_compile refuses them.
 */
int namespace_add_file(struct namespace *ns, const uint8_t *dname, const char *path,
                       struct error *err);

/*
 * A zone without a file, for services: a made-up SOA (its name server is the
 * first of `nameservers`, else the apex) with `negative_ttl_s`, and an NS set
 * when names of servers are given.
 */
int namespace_add_empty(struct namespace *ns, const uint8_t *dname,
                        const uint8_t *const *nameservers, size_t nameserver_count,
                        uint32_t negative_ttl_s, struct error *err);

/*
 * Lay a service over the name: A and AAAA are answered by `service`, other
 * types by what the zone has there. Without an enclosing zone the name becomes
 * the apex of a made-up one. -EEXIST when the name is a CNAME or has a service.
 */
int namespace_add_service(struct namespace *ns, const uint8_t *dname, const void *service,
                          uint32_t negative_ttl_s, struct error *err);

/*
 * An address record of a name within a zone that is there, for what points to
 * it; twice the same is one. -EINVAL when the name is in no zone, is a CNAME or
 * holds more than a message does.
 */
int namespace_add_address(struct namespace *ns, const uint8_t *dname, const struct addr *address,
                          uint32_t ttl_s, struct error *err);

/*
 * Make every answer: chains, additional data, negatives. Once, after all was
 * added. -EINVAL, explained with its place, for what only shows now: loops,
 * delegations, data of a zone below in the file of the one above.
 */
int namespace_compile(struct namespace *ns, struct error *err);

/* ---- the answering path ---- */

/* The node of exactly this name (a folded dname), or NULL. */
static inline const struct node *namespace_find(const struct namespace *ns, const uint8_t *dname,
                                                size_t length)
{
    uint64_t hash = hash_own(&ns->key, dname, length);

    for (size_t i = hash & ns->slot_mask;; i = (i + 1) & ns->slot_mask) {
        const struct namespace_slot *slot = &ns->slots[i];
        if (slot->node == NULL) {
            return NULL;
        }
        if (slot->hash == hash && slot->node->length == length &&
            memcmp(slot->node->dname, dname, length) == 0) {
            return slot->node;
        }
    }
}

/*
 * The nearest existing ancestor (RFC 4592: closest encloser) in our zones of a
 * name of `labels` labels that has no node, or NULL.
 */
const struct node *namespace_encloser(const struct namespace *ns, const uint8_t *dname,
                                      size_t length, unsigned labels);

/* The answer to ANY of every name with data but an alias: HINFO. RFC 8482, section 4.2. */
extern const struct answer namespace_any;

/* The answer of `node` to `type`: its own, the alias's, or NULL for NODATA. */
static inline const struct answer *namespace_answer(const struct node *node, uint16_t type)
{
    for (unsigned i = 0; i < node->answer_count; i++) {
        if (node->answers[i].type == type) {
            return &node->answers[i];
        }
    }
    if (type == WIRE_ANY && (node->answer_count > 0 || node->service != NULL)) {
        return &namespace_any;
    }
    return node->alias;
}

/* The zone with exactly this apex, or NULL. */
const struct zone *namespace_zone(const struct namespace *ns, const uint8_t *dname);

/* ---- for the modules that build a namespace ---- */

/* The node of the name, made where there is none. */
struct node *namespace_node(struct namespace *ns, const uint8_t *dname);

/* Take the nodes without a zone out. */
void namespace_drop_homeless(struct namespace *ns);

/* Is the node the apex of its zone? */
static inline bool namespace_is_apex(const struct node *node)
{
    return node->zone != NULL && node->zone->length == node->length;
}
