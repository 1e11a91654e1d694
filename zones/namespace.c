#include "zones/namespace.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "zones/compile.h"
#include "zones/rrset.h"
#include "zones/wire.h"
#include "zones/zonecut.h"
#include "zones/zonefile.h"

#define SLOTS_LEAST 16
#define TRIM_BYTES  ((size_t)1 << 20)

/* What a made-up zone says of itself: nobody transfers it. */
#define MADE_UP_SERIAL    1
#define MADE_UP_REFRESH_S 3600
#define MADE_UP_RETRY_S   900
#define MADE_UP_EXPIRE_S  604800
#define MADE_UP_NS_TTL_S  3600

static const uint8_t any_wire[] = {
    0xc0, 12,                        /* the question's name */
    0,    WIRE_HINFO, 0,    WIRE_IN, /* type, class */
    0,    0,          0x0e, 0x10,    /* 3600 s */
    0,    9,          7,    'R',     'F', 'C', '8', '4', '8', '2', 0,
};

const struct answer namespace_any = {
    .type = WIRE_ANY,
    .answers = 1,
    .length = sizeof(any_wire),
    .core_length = sizeof(any_wire),
    .wire = any_wire,
};

/* ---- the table ---- */

struct namespace *namespace_new(const struct hash_key *key)
{
    struct arena *arena = arena_new();
    struct arena *build = arena_new();

    if (arena == NULL || build == NULL) {
        arena_free(arena);
        arena_free(build);
        return NULL;
    }
    struct namespace *ns = arena_alloc(arena, sizeof(*ns));
    ns->slots = calloc(SLOTS_LEAST, sizeof(*ns->slots));
    if (ns->slots == NULL) {
        arena_free(arena);
        arena_free(build);
        return NULL;
    }
    ns->arena = arena;
    ns->build = build;
    ns->key = *key;
    ns->slot_mask = SLOTS_LEAST - 1;
    ns->least_labels = NAME_MAX_LABELS;
    ns->nodes_end = &ns->nodes;
    ns->zones_end = &ns->zones;
    return ns;
}

void namespace_free(struct namespace *ns)
{
    if (ns == NULL) {
        return;
    }
    free(ns->slots);
    arena_free(ns->build);
    arena_free(ns->arena); /* and `ns` with it */
}

static void place(struct namespace *ns, struct node *node)
{
    uint64_t hash = hash_own(&ns->key, node->dname, node->length);
    size_t i = hash & ns->slot_mask;

    while (ns->slots[i].node != NULL) {
        i = (i + 1) & ns->slot_mask;
    }
    ns->slots[i] = (struct namespace_slot){ .hash = hash, .node = node };
}

/* Fill a table of `count` slots, a power of two, from the list of nodes. */
static void rebuild(struct namespace *ns, size_t count)
{
    free(ns->slots);
    ns->slots = calloc(count, sizeof(*ns->slots));
    REQUIRE(ns->slots != NULL); /* as an arena does */
    ns->slot_mask = count - 1;
    for (struct node *node = ns->nodes; node != NULL; node = node->next) {
        place(ns, node);
    }
}

struct node *namespace_node(struct namespace *ns, const uint8_t *dname)
{
    size_t length = name_length(dname);
    struct node *node = (struct node *)namespace_find(ns, dname, length);

    if (node != NULL) {
        return node;
    }
    node = arena_alloc(ns->arena, offsetof(struct node, dname) + length);
    memcpy(node->dname, dname, length);
    node->length = (uint8_t)length;
    *ns->nodes_end = node;
    ns->nodes_end = &node->next;
    ns->node_count++;
    unsigned labels = name_labels(dname);
    ns->most_labels = labels > ns->most_labels ? labels : ns->most_labels;
    if (ns->node_count * 2 > ns->slot_mask + 1) {
        rebuild(ns, (ns->slot_mask + 1) * 2);
    } else {
        place(ns, node);
    }
    return node;
}

void namespace_drop_homeless(struct namespace *ns)
{
    struct node **link = &ns->nodes;
    size_t before = ns->node_count;

    ns->most_labels = 0;
    while (*link != NULL) {
        struct node *node = *link;
        if (node->zone == NULL) {
            *link = node->next;
            ns->node_count--;
            continue;
        }
        unsigned labels = name_labels(node->dname);
        ns->most_labels = labels > ns->most_labels ? labels : ns->most_labels;
        link = &node->next;
    }
    ns->nodes_end = link;
    if (ns->node_count < before) {
        rebuild(ns, ns->slot_mask + 1);
    }
}

const struct node *namespace_encloser(const struct namespace *ns, const uint8_t *dname,
                                      size_t length, unsigned labels)
{
    const uint8_t *end = dname + length;

    while (labels > ns->least_labels) {
        dname = name_parent(dname);
        labels--;
        if (labels > ns->most_labels) {
            continue;
        }
        const struct node *node = namespace_find(ns, dname, (size_t)(end - dname));
        if (node != NULL) {
            return node;
        }
    }
    return NULL;
}

const struct zone *namespace_zone(const struct namespace *ns, const uint8_t *dname)
{
    const struct node *node = namespace_find(ns, dname, name_length(dname));

    return node != NULL && namespace_is_apex(node) ? node->zone : NULL;
}

/* ---- zones ---- */

static int zone_new(struct namespace *ns, const uint8_t *dname, const char *file,
                    struct zone **out_zone, struct error *err)
{
    const struct zone *other = namespace_zone(ns, dname);
    char name[NAME_TEXT_MAX];

    if (other != NULL) {
        (void)name_format(dname, name, sizeof(name));
        return error_set_at(err, -EEXIST, file, 0, 0,
                            "the zone %.200s is there already, from %.100s", name,
                            other->file == NULL ? "the services" : other->file);
    }
    struct zone *zone = arena_alloc(ns->arena, sizeof(*zone));
    struct node *apex = namespace_node(ns, dname);
    zone->dname = apex->dname;
    zone->length = apex->length;
    zone->file = file == NULL ? NULL : arena_strdup(ns->arena, file);
    apex->zone = zone;
    *ns->zones_end = zone;
    ns->zones_end = &zone->next;
    unsigned labels = name_labels(dname);
    ns->least_labels = labels < ns->least_labels ? labels : ns->least_labels;
    *out_zone = zone;
    return 0;
}

/* One file being loaded. */
struct load {
    struct namespace *ns;
    struct zone *zone;
    const char *path; /* of the last record, in the build arena */
};

__attribute__((format(printf, 3, 4))) static int refuse(const struct zonefile_record *record,
                                                        struct error *err, const char *format, ...)
{
    char message[sizeof(err->message)];
    char name[NAME_TEXT_MAX];
    va_list args;

    (void)name_format(record->owner, name, sizeof(name));
    va_start(args, format);
    (void)vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    return error_set_at(err, -EINVAL, record->path, record->line, record->col, "%.200s: %s", name,
                        message);
}

static bool has_wildcard(const uint8_t *dname)
{
    for (; *dname != 0; dname = name_parent(dname)) {
        if (dname[0] == 1 && dname[1] == '*') {
            return true;
        }
    }
    return false;
}

/* Why records of this type are not taken, or NULL. */
static const char *refused_type(uint16_t type)
{
    switch (type) {
    case 24: /* SIG */
    case 25: /* KEY */
    case 30: /* NXT */
    case 43: /* DS */
    case 46: /* RRSIG */
    case 47: /* NSEC */
    case 48: /* DNSKEY */
    case 50: /* NSEC3 */
    case 51: /* NSEC3PARAM */
        return "DNSSEC records: serving a signed zone is not available yet";
    case WIRE_DNAME:
        return "DNAME is not available yet";
    default:
        /* OPT, and types that are questions only: RFC 6895, section 3.1 */
        return type == 0 || type == WIRE_OPT || (type >= 128 && type <= 255)
                   ? "this type is not one of data"
                   : NULL;
    }
}

static int check_record(const struct load *load, const struct zonefile_record *record,
                        struct error *err)
{
    const char *why = refused_type(record->type);

    if (!name_is_within(record->owner, load->zone->dname)) {
        char apex[NAME_TEXT_MAX];
        (void)name_format(load->zone->dname, apex, sizeof(apex));
        return refuse(record, err, "is outside the zone %.150s", apex);
    }
    if (why != NULL) {
        return refuse(record, err, "%s", why);
    }
    if (has_wildcard(record->owner)) {
        return refuse(record, err, "a wildcard is not available yet");
    }
    if (record->type == WIRE_SOA && !name_equal(record->owner, load->zone->dname)) {
        return refuse(record, err, "a SOA that is not at the zone's apex");
    }
    return 0;
}

/* SOA and CNAME stand alone in their sets, a CNAME at its name too. RFC 1034, section 3.6.2. */
static int check_company(const struct load *load, const struct node *node,
                         const struct zonefile_record *record, struct error *err)
{
    for (const struct rrset *set = node->rrsets; set != NULL; set = set->next) {
        if (set->zone != load->zone) {
            continue;
        }
        if (set->type != record->type && (set->type == WIRE_CNAME || record->type == WIRE_CNAME)) {
            return refuse(record, err, "a CNAME and other data (line %u) at one name", set->line);
        }
    }
    return 0;
}

static int add_record(void *user, const struct zonefile_record *record, struct error *err)
{
    struct load *load = user;
    struct namespace *ns = load->ns;

    if (check_record(load, record, err) < 0) {
        return err->code;
    }
    struct node *node = namespace_node(ns, record->owner);
    if (check_company(load, node, record, err) < 0) {
        return err->code;
    }
    struct rrset *set = rrset_find(node->rrsets, record->type, load->zone);
    if (set == NULL) {
        if (load->path == NULL || strcmp(load->path, record->path) != 0) {
            load->path = arena_strdup(ns->build, record->path);
        }
        set = rrset_append(ns->build, &node->rrsets, record->type, load->zone, record->ttl_s);
        set->path = load->path;
        set->line = record->line;
        set->col = record->col;
    }
    enum rrset_added added =
        rrset_add(ns->build, set, record->rdata, record->rdata_length, record->ttl_s);
    if (added == RRSET_FULL) {
        return refuse(record, err, "more records of one type than a message of 65535 bytes holds");
    }
    if (set->count > 1 && (record->type == WIRE_SOA || record->type == WIRE_CNAME)) {
        return refuse(record, err, "a second %s; the first is in line %u",
                      record->type == WIRE_SOA ? "SOA" : "CNAME", set->line);
    }
    return 0;
}

/* Take the serial out of the zone's SOA; false when it has none. */
static bool read_soa(struct namespace *ns, struct zone *zone)
{
    const struct node *apex = namespace_find(ns, zone->dname, zone->length);
    const struct rrset *soa = rrset_find(apex->rrsets, WIRE_SOA, zone);

    if (soa == NULL) {
        return false;
    }
    const struct rrset_record *record = soa->records;
    zone->serial = wire_get32(record->rdata + record->length - 20);
    return true;
}

int namespace_add_file(struct namespace *ns, const uint8_t *dname, const char *path,
                       struct error *err)
{
    struct load load = { .ns = ns };

    int rc = zone_new(ns, dname, path, &load.zone, err);
    if (rc == 0) {
        rc = zonefile_read(path, dname, add_record, &load, err);
    }
    if (rc == 0 && !read_soa(ns, load.zone)) {
        char name[NAME_TEXT_MAX];
        (void)name_format(dname, name, sizeof(name));
        (void)error_set_at(err, -EINVAL, path, 0, 0, "the zone %.200s has no SOA", name);
        error_hint(err, "every zone begins with one: @ SOA ns1 hostmaster 1 1h 15m 1w 60");
        return err->code;
    }
    return rc;
}

/* Name, serial and the rest of a made-up SOA. */
static uint16_t make_soa(const uint8_t *apex, const uint8_t *mname, uint32_t negative_ttl_s,
                         uint8_t out[2 * NAME_MAX_BYTES + 20])
{
    static const uint8_t mailbox[] = "\012hostmaster";
    static const uint32_t numbers[] = { MADE_UP_SERIAL, MADE_UP_REFRESH_S, MADE_UP_RETRY_S,
                                        MADE_UP_EXPIRE_S };
    const size_t prefix = sizeof(mailbox) - 1;
    size_t apex_length = name_length(apex);
    size_t used = name_length(mname);

    memcpy(out, mname, used);
    if (prefix + apex_length <= NAME_MAX_BYTES) {
        memcpy(out + used, mailbox, prefix);
        used += prefix;
    }
    memcpy(out + used, apex, apex_length);
    used += apex_length;
    for (size_t i = 0; i < 4; i++, used += 4) {
        wire_put32(out + used, numbers[i]);
    }
    wire_put32(out + used, negative_ttl_s);
    return (uint16_t)(used + 4);
}

int namespace_add_empty(struct namespace *ns, const uint8_t *dname,
                        const uint8_t *const *nameservers, size_t nameserver_count,
                        uint32_t negative_ttl_s, struct error *err)
{
    uint8_t soa[2 * NAME_MAX_BYTES + 20];
    struct zone *zone;

    int rc = zone_new(ns, dname, NULL, &zone, err);
    if (rc < 0) {
        return rc;
    }
    struct node *apex = namespace_node(ns, dname);
    struct rrset *set = rrset_append(ns->build, &apex->rrsets, WIRE_SOA, zone, negative_ttl_s);
    uint16_t length =
        make_soa(dname, nameserver_count > 0 ? nameservers[0] : dname, negative_ttl_s, soa);
    (void)rrset_add(ns->build, set, soa, length, negative_ttl_s);
    (void)read_soa(ns, zone);
    if (nameserver_count == 0) {
        return 0;
    }
    set = rrset_append(ns->build, &apex->rrsets, WIRE_NS, zone, MADE_UP_NS_TTL_S);
    for (size_t i = 0; i < nameserver_count; i++) {
        if (rrset_add(ns->build, set, nameservers[i], (uint16_t)name_length(nameservers[i]),
                      MADE_UP_NS_TTL_S) == RRSET_FULL) {
            return error_set(err, -EINVAL, "more name servers than a message holds");
        }
    }
    return 0;
}

int namespace_add_service(struct namespace *ns, const uint8_t *dname, const void *service,
                          uint32_t negative_ttl_s, struct error *err)
{
    size_t length = name_length(dname);
    const struct node *there = namespace_find(ns, dname, length);
    char name[NAME_TEXT_MAX];

    (void)name_format(dname, name, sizeof(name));
    if (there != NULL && there->service != NULL) {
        return error_set(err, -EEXIST, "%.200s has a service already", name);
    }
    const struct rrset *alias = there == NULL ? NULL : rrset_find(there->rrsets, WIRE_CNAME, NULL);
    if (alias != NULL) {
        return error_set_at(err, -EEXIST, alias->path, alias->line, alias->col,
                            "%.200s is a CNAME here and a service", name);
    }
    bool enclosed = false;
    for (const uint8_t *tree = dname; !enclosed; tree = name_parent(tree)) {
        enclosed = namespace_zone(ns, tree) != NULL;
        if (*tree == 0) {
            break;
        }
    }
    if (!enclosed) {
        int rc = namespace_add_empty(ns, dname, NULL, 0, negative_ttl_s, err);
        if (rc < 0) {
            return rc;
        }
    }
    namespace_node(ns, dname)->service = service;
    return 0;
}

/* The zone around a name, or NULL. */
static const struct zone *enclosing(const struct namespace *ns, const uint8_t *dname)
{
    const struct zone *zone = namespace_zone(ns, dname);

    for (const uint8_t *tree = dname; zone == NULL && *tree != 0;) {
        tree = name_parent(tree);
        zone = namespace_zone(ns, tree);
    }
    return zone;
}

int namespace_add_address(struct namespace *ns, const uint8_t *dname, const struct addr *address,
                          uint32_t ttl_s, struct error *err)
{
    uint16_t type = address->family == ADDR_V4 ? WIRE_A : WIRE_AAAA;
    const struct zone *zone = enclosing(ns, dname);
    struct node *node = namespace_node(ns, dname);

    if (zone == NULL || rrset_find(node->rrsets, WIRE_CNAME, NULL) != NULL) {
        char name[NAME_TEXT_MAX];
        (void)name_format(dname, name, sizeof(name));
        return error_set(err, -EINVAL, "%.200s %s", name,
                         zone == NULL ? "is in none of the zones" : "is a CNAME already");
    }
    struct rrset *set = rrset_find(node->rrsets, type, NULL);
    if (set == NULL) {
        set = rrset_append(ns->build, &node->rrsets, type, zone, ttl_s);
    }
    if (rrset_add(ns->build, set, address->bytes, (uint16_t)addr_size_bytes(address), ttl_s) ==
        RRSET_FULL) {
        return error_set(err, -EINVAL, "more addresses than a message holds");
    }
    return 0;
}

/*
 * Free what was loaded. It lies between what stays, so the allocator is asked
 * to give the pages back: for a million names that is 75 MB.
 */
static void drop_build(struct namespace *ns)
{
    bool large = arena_size_bytes(ns->build) > TRIM_BYTES;

    arena_free(ns->build);
    ns->build = NULL;
    if (large) {
        (void)malloc_trim(0);
    }
}

int namespace_compile(struct namespace *ns, struct error *err)
{
    int rc = zonecut_settle(ns, err);

    if (rc == 0) {
        rc = compile_answers(ns, err);
    }
    if (rc == 0) {
        drop_build(ns);
    }
    return rc;
}
