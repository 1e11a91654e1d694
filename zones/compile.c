#include "zones/compile.h"

#include <errno.h>
#include <stdlib.h>

#include "base/text.h"
#include "zones/namespace.h"
#include "zones/rdata.h"
#include "zones/rrset.h"
#include "zones/sections.h"
#include "zones/wire.h"

/* What a node gets; its records are needed until all nodes are done. */
struct result {
    const struct answer *answers;
    const struct answer *alias;
    uint16_t count;
};

struct compiler {
    struct namespace *ns;
    struct error *err;
    struct sections sections;
    struct answer draft; /* counts of the answer being written */
    struct answer *made; /* of the node being compiled */
    size_t made_count;
    size_t made_capacity;
};

/* From a name over CNAMEs to where they lead. */
struct chain {
    const struct node *links[COMPILE_CHAIN_MAX]; /* the aliases */
    size_t count;
    const struct node *end;  /* NULL: there is no such name */
    const struct zone *zone; /* that has or would have the end; NULL: not ours */
    const uint8_t *target;   /* the name at the end */
};

static const struct rrset *find_set(const struct node *node, uint16_t type)
{
    return rrset_find(node->rrsets, type, NULL);
}

static bool is_address(uint16_t type)
{
    return type == WIRE_A || type == WIRE_AAAA;
}

/* ---- one answer ---- */

static void begin(struct compiler *c, const struct node *node, uint16_t type)
{
    sections_begin(&c->sections, node->dname);
    c->draft = (struct answer){ .type = type };
}

static struct answer *keep(struct compiler *c, const struct answer *answer)
{
    if (c->made_count == c->made_capacity) {
        size_t capacity = c->made_capacity == 0 ? 16 : c->made_capacity * 2;
        struct answer *made = realloc(c->made, capacity * sizeof(*made));
        REQUIRE(made != NULL); /* as an arena does */
        c->made = made;
        c->made_capacity = capacity;
    }
    c->made[c->made_count] = *answer;
    return &c->made[c->made_count++];
}

/* Everything but additional data is written. */
static void end_core(struct compiler *c)
{
    c->draft.core_length = (uint16_t)c->sections.length;
}

static struct answer *finish(struct compiler *c)
{
    c->draft.length = (uint16_t)c->sections.length;
    c->draft.wire = arena_copy(c->ns->arena, c->sections.wire, c->sections.length);
    return keep(c, &c->draft);
}

static int too_large(struct compiler *c, const struct node *node, const struct rrset *set)
{
    char name[NAME_TEXT_MAX];

    (void)name_format(node->dname, name, sizeof(name));
    return error_set_at(c->err, -EINVAL, set->path, set->line, set->col,
                        "%.200s: the answer is larger than a message of 65535 bytes", name);
}

/* ---- additional data ---- */

static bool has_targets(uint16_t type)
{
    return type == WIRE_NS || type == WIRE_MX || type == WIRE_SRV;
}

/* The static addresses of a name; false when they do not fit. */
static bool put_addresses(struct compiler *c, const struct node *node)
{
    static const uint16_t types[] = { WIRE_A, WIRE_AAAA };

    for (size_t i = 0; i < 2; i++) {
        const struct rrset *set = find_set(node, types[i]);
        if (set == NULL) {
            continue;
        }
        struct sections_mark mark = sections_mark(&c->sections);
        if (!sections_put(&c->sections, node->dname, set, set->ttl_s)) {
            sections_undo(&c->sections, mark);
            return false;
        }
        c->draft.additionals = (uint16_t)(c->draft.additionals + set->count);
    }
    return true;
}

static bool is_among(const struct node *const *nodes, size_t count, const struct node *node)
{
    for (size_t i = 0; i < count; i++) {
        if (nodes[i] == node) {
            return true;
        }
    }
    return false;
}

/* Behind NS, MX and SRV: what the client would ask next (RFC 1035, section 3.3.9). */
static void put_additional(struct compiler *c, const struct rrset *set)
{
    const struct node *seen[COMPILE_ADDITIONAL_MAX];
    size_t count = 0;

    if (!has_targets(set->type)) {
        return;
    }
    for (const struct rrset_record *r = set->records; r != NULL; r = r->next) {
        const uint8_t *target = rdata_target(set->type, r->rdata);
        const struct node *node = namespace_find(c->ns, target, name_length(target));
        /* a service's addresses are chosen when it is asked for itself */
        if (node == NULL || node->service != NULL || is_among(seen, count, node)) {
            continue;
        }
        if (count == COMPILE_ADDITIONAL_MAX || !put_addresses(c, node)) {
            return;
        }
        seen[count++] = node;
    }
}

/* ---- names with data ---- */

static int compile_set(struct compiler *c, const struct node *node, const struct rrset *set)
{
    begin(c, node, set->type);
    if (!sections_put(&c->sections, node->dname, set, set->ttl_s)) {
        return too_large(c, node, set);
    }
    c->draft.answers = set->count;
    end_core(c);
    put_additional(c, set);
    (void)finish(c);
    return 0;
}

typedef int compile_one(struct compiler *c, const struct node *node, const struct rrset *set,
                        const struct chain *chain);

/* Call `one` for the static sets of `from`, those asked for most first. */
static int for_each_set(struct compiler *c, const struct node *node, const struct node *from,
                        const struct chain *chain, compile_one *one)
{
    for (unsigned round = 0; round < 2; round++) {
        for (const struct rrset *set = from->rrsets; set != NULL; set = set->next) {
            bool first = is_address(set->type);
            if (first != (round == 0) || (first && from->service != NULL)) {
                continue;
            }
            int rc = one(c, node, set, chain);
            if (rc < 0) {
                return rc;
            }
        }
    }
    return 0;
}

static int compile_plain(struct compiler *c, const struct node *node, const struct rrset *set,
                         const struct chain *chain)
{
    (void)chain;
    return compile_set(c, node, set);
}

/* ---- aliases ---- */

static int refuse_chain(struct compiler *c, const struct chain *chain, const char *what)
{
    const struct rrset *first = find_set(chain->links[0], WIRE_CNAME);
    char name[NAME_TEXT_MAX];
    struct text names = { 0 };

    for (size_t i = 0; i < chain->count; i++) {
        (void)name_format(chain->links[i]->dname, name, sizeof(name));
        text_printf(&names, "%s -> ", name);
    }
    (void)name_format(chain->target, name, sizeof(name));
    text_put(&names, name);
    (void)error_set_at(c->err, -EINVAL, first->path, first->line, first->col, "%s: %s", what,
                       text_string(&names));
    text_fini(&names);
    return c->err->code;
}

static int follow(struct compiler *c, const struct node *node, struct chain *chain)
{
    const struct rrset *alias;

    *chain = (struct chain){ .end = node, .zone = node->zone, .target = node->dname };
    while (chain->end != NULL && (alias = find_set(chain->end, WIRE_CNAME)) != NULL) {
        if (is_among(chain->links, chain->count, chain->end)) {
            return refuse_chain(c, chain, "CNAMEs in a circle");
        }
        if (chain->count == COMPILE_CHAIN_MAX) {
            return refuse_chain(c, chain, "more than 16 CNAMEs in a row");
        }
        chain->links[chain->count++] = chain->end;
        chain->target = alias->records->rdata;
        size_t length = name_length(chain->target);
        chain->end = namespace_find(c->ns, chain->target, length);
        const struct node *holder =
            chain->end != NULL
                ? chain->end
                : namespace_encloser(c->ns, chain->target, length, name_labels(chain->target));
        chain->zone = holder == NULL ? NULL : holder->zone;
    }
    return 0;
}

/* The CNAMEs, as the beginning of an answer of `type`. */
static int put_chain(struct compiler *c, const struct chain *chain, uint16_t type)
{
    begin(c, chain->links[0], type);
    for (size_t i = 0; i < chain->count; i++) {
        const struct rrset *alias = find_set(chain->links[i], WIRE_CNAME);
        if (!sections_put(&c->sections, chain->links[i]->dname, alias, alias->ttl_s)) {
            return too_large(c, chain->links[i], alias);
        }
    }
    c->draft.answers = (uint16_t)chain->count;
    return 0;
}

static const struct rrset *soa_of(const struct namespace *ns, const struct zone *zone)
{
    return find_set(namespace_find(ns, zone->dname, zone->length), WIRE_SOA);
}

/* RFC 2308, section 5: the lower of the SOA's TTL and its minimum. */
static uint32_t negative_ttl(const struct rrset *soa)
{
    const struct rrset_record *record = soa->records;
    uint32_t minimum = wire_get32(record->rdata + record->length - 4);

    return soa->ttl_s < minimum ? soa->ttl_s : minimum;
}

/* For all types that are not at the end of the chain. */
static int compile_rest(struct compiler *c, const struct chain *chain)
{
    if (put_chain(c, chain, 0) < 0) {
        return c->err->code;
    }
    if (chain->end != NULL && chain->end->service != NULL) {
        c->draft.tail = chain->end; /* whether it is itself a CNAME is the service's to say */
        c->draft.tail_offset = (uint16_t)c->sections.target;
    } else if (chain->zone != NULL) {
        const struct rrset *soa = soa_of(c->ns, chain->zone);
        if (!sections_put(&c->sections, chain->zone->dname, soa, negative_ttl(soa))) {
            return too_large(c, chain->links[0], soa);
        }
        c->draft.authorities = 1;
        c->draft.rcode = chain->end == NULL ? WIRE_NXDOMAIN : WIRE_NOERROR;
    } else {
        c->draft.outside = arena_copy(c->ns->arena, chain->target, name_length(chain->target));
    }
    end_core(c);
    (void)finish(c);
    return 0;
}

/* The type is at the end of the chain. */
static int compile_end(struct compiler *c, const struct node *node, const struct rrset *set,
                       const struct chain *chain)
{
    if (put_chain(c, chain, set->type) < 0) {
        return c->err->code;
    }
    if (!sections_put(&c->sections, chain->end->dname, set, set->ttl_s)) {
        return too_large(c, node, set);
    }
    c->draft.answers = (uint16_t)(c->draft.answers + set->count);
    end_core(c);
    put_additional(c, set);
    (void)finish(c);
    return 0;
}

/* A service is at the end: its addresses are put behind the CNAMEs when asked. */
static int compile_tails(struct compiler *c, const struct chain *chain)
{
    static const uint16_t types[] = { WIRE_A, WIRE_AAAA };

    if (put_chain(c, chain, WIRE_A) < 0) {
        return c->err->code;
    }
    c->draft.tail = chain->end;
    c->draft.tail_offset = (uint16_t)c->sections.target;
    end_core(c);
    struct answer answer = *finish(c);
    answer.type = types[1];
    (void)keep(c, &answer);
    return 0;
}

/* CNAME itself, and ANY (RFC 8482 lets us choose), are answered by the one record. */
static int compile_own(struct compiler *c, const struct node *node)
{
    const struct rrset *alias = find_set(node, WIRE_CNAME);

    if (compile_set(c, node, alias) < 0) {
        return c->err->code;
    }
    struct answer answer = c->made[c->made_count - 1];
    answer.type = WIRE_ANY;
    (void)keep(c, &answer);
    return 0;
}

static int compile_alias(struct compiler *c, const struct node *node)
{
    struct chain chain;

    int rc = follow(c, node, &chain);
    if (rc == 0 && chain.end != NULL && chain.end->service != NULL) {
        rc = compile_tails(c, &chain);
    }
    if (rc == 0 && chain.end != NULL) {
        rc = for_each_set(c, node, chain.end, &chain, compile_end);
    }
    if (rc == 0) {
        rc = compile_own(c, node);
    }
    /* last: it is found by `alias`, not by its type */
    return rc == 0 ? compile_rest(c, &chain) : rc;
}

/* ---- everything ---- */

static int compile_node(struct compiler *c, const struct node *node, struct result *out)
{
    bool alias = find_set(node, WIRE_CNAME) != NULL;

    c->made_count = 0;
    int rc = alias ? compile_alias(c, node) : for_each_set(c, node, node, NULL, compile_plain);
    if (rc < 0 || c->made_count == 0) {
        return rc;
    }
    struct answer *answers = arena_copy(c->ns->arena, c->made, c->made_count * sizeof(*c->made));
    out->answers = answers;
    out->count = (uint16_t)(c->made_count - alias);
    out->alias = alias ? &answers[out->count] : NULL;
    return 0;
}

/* The authority section of NODATA and NXDOMAIN; its owner is filled in by who copies it. */
static void compile_negative(struct compiler *c, struct zone *zone)
{
    const struct rrset *soa = soa_of(c->ns, zone);
    const struct rrset_record *record = soa->records;
    size_t length = 12u + record->length;
    uint8_t *wire = arena_alloc(c->ns->arena, length);

    wire_put16(wire, 0xc000 | WIRE_QUESTION);
    wire_put16(wire + 2, WIRE_SOA);
    wire_put16(wire + 4, WIRE_IN);
    wire_put32(wire + 6, negative_ttl(soa));
    wire_put16(wire + 10, record->length);
    memcpy(wire + 12, record->rdata, record->length);
    zone->negative = (struct answer){
        .authorities = 1,
        .length = (uint16_t)length,
        .core_length = (uint16_t)length,
        .wire = wire,
    };
}

static int compile_nodes(struct compiler *c, struct result *results)
{
    struct result *result = results;

    for (const struct node *node = c->ns->nodes; node != NULL; node = node->next, result++) {
        int rc = compile_node(c, node, result);
        if (rc < 0) {
            return rc;
        }
    }
    for (struct zone *zone = c->ns->zones; zone != NULL; zone = zone->next) {
        compile_negative(c, zone);
    }
    result = results;
    for (struct node *node = c->ns->nodes; node != NULL; node = node->next, result++) {
        node->answers = result->answers;
        node->alias = result->alias;
        node->answer_count = result->count;
    }
    return 0;
}

int compile_answers(struct namespace *ns, struct error *err)
{
    struct compiler *c = calloc(1, sizeof(*c));
    struct result *results = calloc(ns->node_count + 1, sizeof(*results));
    int rc;

    if (c == NULL || results == NULL) {
        rc = error_set(err, -ENOMEM, "out of memory");
    } else {
        c->ns = ns;
        c->err = err;
        rc = compile_nodes(c, results);
        free(c->made);
    }
    free(results);
    free(c);
    return rc;
}
