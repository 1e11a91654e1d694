#include "resolver/query.h"

#include <netinet/in.h>
#include <string.h>

#include "base/addr.h"
#include "resolver/asker.h"
#include "resolver/cached.h"
#include "resolver/chosen.h"
#include "resolver/laggards.h"
#include "resolver/options.h"
#include "resolver/response.h"
#include "resolver/srv.h"

#define TTL_AT           6  /* of a record whose owner is a pointer */
#define CNAME_FIXED      12 /* bytes of such a record before its data */

void query_thread_init(struct query_thread *thread, struct server_counters *counters)
{
    memset(thread, 0, sizeof(*thread));
    thread->counters = counters;
}

const char *query_source_name(enum query_source source)
{
    static const char *const names[] = { "service", "zone",    "cache", "stale",
                                         "forward", "refused", "broken" };

    return names[source];
}

/* Turns the order of addresses: clients draw ids at random, or count them up. */
static inline uint32_t turn_of(const struct wire_query *q)
{
    return q->id * UINT32_C(0x9e3779b1); /* Knuth's multiplicative hash */
}

static inline bool is_loopback_source(const struct sockaddr *source)
{
    if (source->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)source;
        return (ntohl(v4->sin_addr.s_addr) >> 24) == 127;
    }
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)source;
    return source->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

static bool is_listed(const struct model_acl *acl, const struct query_client *client)
{
    struct addr source;

    return addr_from_sockaddr(client->source, &source) &&
           snapshot_acl_allows(acl, &source, client->local_is_loopback);
}

static inline bool is_allowed(const struct model_acl *acl, const struct query_client *client)
{
    if (acl->any ||
        (acl->loopback && client->local_is_loopback && is_loopback_source(client->source))) {
        return true;
    }
    return acl->prefix_count > 0 && is_listed(acl, client);
}

size_t query_put_error(uint8_t *message, uint16_t id, uint16_t flags, unsigned rcode)
{
    uint16_t kept = flags & (WIRE_OPCODE | WIRE_RD | WIRE_CD);

    wire_put16(message, id);
    wire_put16(message + 2, (uint16_t)(WIRE_QR | kept | (rcode & WIRE_RCODE)));
    memset(message + 4, 0, WIRE_HEADER_BYTES - 4);
    return WIRE_HEADER_BYTES;
}

/*
 * Write the header and OPT around what the response holds; returns its length.
 * `snapshot` is where a service came from, if one did.
 */
static inline size_t finish(struct query_thread *t, const struct snapshot *snapshot,
                            struct response *r)
{
    const struct wire_query *q = &t->query;
    uint16_t flags = (uint16_t)(WIRE_QR | (q->flags & (WIRE_RD | WIRE_CD)) | r->flags |
                                (t->recursion ? WIRE_RA : 0) | (r->rcode & WIRE_RCODE));

    if (q->edns) {
        wire_put_opt(r->message + r->at, q->dnssec_ok, (uint8_t)(r->rcode >> 4));
        r->at += WIRE_OPT_BYTES;
        r->additionals++;
    }
    if (__builtin_expect(q->has_options, false)) {
        options_add(t, snapshot, r);
    }
    wire_put16(r->message + 2, flags);
    wire_put16(r->message + 6, (uint16_t)r->answers);
    wire_put16(r->message + 8, (uint16_t)r->authorities);
    wire_put16(r->message + 10, (uint16_t)r->additionals);
    return r->at;
}

/* Copy a compiled answer, without its additional part when space is short. */
static inline bool put_compiled(struct response *r, const struct answer *answer)
{
    size_t room = r->limit - r->at;
    bool whole = answer->length <= room;

    if (!whole && answer->core_length > room) {
        return false;
    }
    size_t length = whole ? answer->length : answer->core_length;
    memcpy(r->message + r->at, answer->wire, length);
    r->at += length;
    r->answers += answer->answers;
    r->authorities += answer->authorities;
    r->additionals += whole ? answer->additionals : 0;
    return true;
}

/*
 * The SOA for a negative answer (RFC 2308, section 3). Its owner is the apex:
 * a pointer into the question where the question is in the zone, else written
 * out. `ttl_s` lowers the TTL where it is smaller.
 */
static bool put_negative(const struct query_thread *t, struct response *r, const struct zone *zone,
                         bool within_question, uint32_t ttl_s)
{
    const struct answer *soa = &zone->negative;
    size_t owner = within_question ? 2 : zone->length;
    size_t rest = soa->length - 2u;

    if (r->limit - r->at < owner + rest) {
        return false;
    }
    uint8_t *out = r->message + r->at;
    if (within_question) {
        unsigned offset = (unsigned)(WIRE_QUESTION + t->query.name_length - zone->length);
        wire_put16(out, (uint16_t)(0xc000u | offset));
    } else {
        memcpy(out, zone->dname, zone->length);
    }
    memcpy(out + owner, soa->wire + 2, rest);
    if (ttl_s < wire_get32(out + owner + TTL_AT - 2)) {
        wire_put32(out + owner + TTL_AT - 2, ttl_s);
    }
    r->at += owner + rest;
    r->authorities++;
    return true;
}

static void put_failure(const struct query_thread *t, struct response *r)
{
    r->rcode = WIRE_SERVFAIL;
    r->flags = 0;
    r->at = t->query.question_end; /* aliases that led here go too */
    r->answers = 0;
}

/* What was chosen of a service in `zone`, owned by the name at message offset `owner`. */
static bool put_choice(struct query_thread *t, struct response *r, const struct zone *zone,
                              const struct steer_service *service, unsigned family,
                              uint16_t owner, const struct steer_choice *choice)
{
    size_t length;
    bool cut = false;

    if (choice->result == STEER_SERVFAIL) {
        put_failure(t, r);
        return true;
    }
    if (choice->result == STEER_NODATA) {
        return put_negative(t, r, zone, owner == WIRE_QUESTION, service->ttl_suspect_s);
    }
    r->answers += steer_put(service, family, choice, owner, turn_of(&t->query), r->message + r->at,
                            r->limit - r->at, &length, &cut);
    r->at += length;
    return !cut;
}

/* The CNAME of a service, owned by the name at message offset `owner`. False: no room. */
static bool put_cname(struct response *r, const uint8_t *target, uint16_t owner, uint32_t ttl_s)
{
    size_t length = name_length(target);
    uint8_t *out = r->message + r->at;

    if (r->limit - r->at < CNAME_FIXED + length) {
        return false;
    }
    wire_put16(out, (uint16_t)(0xc000u | owner));
    wire_put16(out + 2, WIRE_CNAME);
    wire_put16(out + 4, WIRE_IN);
    wire_put32(out + TTL_AT, ttl_s);
    wire_put16(out + 10, (uint16_t)length);
    memcpy(out + CNAME_FIXED, target, length);
    r->at += CNAME_FIXED + length;
    r->answers++;
    return true;
}

/*
 * The CNAME of the chosen pool, and behind it the addresses known of it where
 * they are asked for, so that a stub is served.
 */
static bool put_named(struct query_thread *t, struct response *r, const struct zone *zone,
                      const struct steer_service *service, uint16_t owner, const uint8_t *target,
                      const struct steer_choice *choice)
{
    uint16_t type = t->query.type;
    uint16_t behind = (uint16_t)(r->at + CNAME_FIXED);
    uint32_t ttl_s = choice->short_ttl ? service->ttl_suspect_s : service->ttl_normal_s;

    if (!put_cname(r, target, owner, ttl_s)) {
        return false;
    }
    if ((type != WIRE_A && type != WIRE_AAAA) || choice->result != STEER_ADDRESSES) {
        return true; /* whoever asked goes on from there */
    }
    return put_choice(t, r, zone, service, type == WIRE_AAAA ? ADDR_V6 : ADDR_V4, behind, choice);
}

/*
 * Choose and put in one, where the service says how; false when that cannot be
 * said so quickly. `*asker` is whom it was drawn for, if it was: a closer look
 * is at the same draw, or what is rare would be rarer still.
 */
static inline bool put_at_once(struct query_thread *t, struct response *r,
                               const struct steer_service *service, unsigned family,
                               uint16_t owner, struct steer_client **asker, bool *out_fits)
{
    unsigned way = atomic_load_explicit(&service->way[family], memory_order_relaxed);
    uint8_t *out = r->message + r->at;
    size_t cap = r->limit - r->at, length;
    bool cut;
    int count;

    if (__builtin_expect(way == STEER_WAY_DIRECT, true)) {
        count = steer_put_direct(service, family, owner, turn_of(&t->query), out, cap, &length,
                                 &cut);
    } else if (way == STEER_WAY_QUICK) {
        *asker = asker_of(t, service);
        count = steer_put_quick(service, family, *asker, owner, turn_of(&t->query), out, cap,
                                &length, &cut);
        t->scope_bits = (*asker)->scope_bits;
    } else {
        return false;
    }
    if (count < 0) {
        return false;
    }
    r->answers += (unsigned)count;
    r->at += length;
    *out_fits = !cut;
    return true;
}

/* What needs a closer look: nothing of the family, a CNAME, views, something about to change. */
static __attribute__((noinline)) bool put_indirect(struct query_thread *t, struct response *r,
                                                   const struct node *node, unsigned family,
                                                   uint16_t owner, struct steer_client *asker)
{
    const struct steer_service *service = asker_service(t, node->service);
    bool fits;

    if (!service->has_family[family]) {
        return put_negative(t, r, node->zone, owner == WIRE_QUESTION, UINT32_MAX);
    }
    if (service != node->service && put_at_once(t, r, service, family, owner, &asker, &fits)) {
        return fits;
    }
    asker = asker != NULL ? asker : asker_of(t, service);
    const uint8_t *target = NULL;
    struct steer_choice choice;
    if (service->cnames != NULL) {
        target = steer_cname(service, family, asker, &choice);
    } else {
        steer_choose(service, family, asker, &choice);
    }
    t->scope_bits = asker->scope_bits;
    return target == NULL ? put_choice(t, r, node->zone, service, family, owner, &choice)
                          : put_named(t, r, node->zone, service, owner, target, &choice);
}

/* The pool's name that stands for `service` now, whatever the type asked for; NULL: none. */
static const uint8_t *find_cname(struct query_thread *t, const struct steer_service *service,
                                 struct steer_choice *choice)
{
    if (service->cnames == NULL) {
        return NULL;
    }
    struct steer_client *asker = asker_find(t);
    const uint8_t *target = steer_cname(service, ADDR_V4, asker, choice);
    t->scope_bits = asker->scope_bits;
    return target;
}

/* SRV of `service`, owned by the name at message offset `owner`. False: no room. */
static bool put_srv(struct query_thread *t, struct response *r, const struct zone *zone,
                    const struct steer_service *service, uint16_t owner)
{
    struct srv_answer srv = { .message = r->message, .at = r->at, .limit = r->limit };
    struct steer_client *asker = asker_find(t);
    enum srv_result result = srv_put(&srv, service, asker, owner);

    t->scope_bits = asker->scope_bits;
    switch (result) {
    case SRV_NODATA:
        return put_negative(t, r, zone, owner == WIRE_QUESTION, service->ttl_suspect_s);
    case SRV_SERVFAIL:
        put_failure(t, r);
        return true;
    case SRV_CUT:
        return false;
    case SRV_ANSWERED:
        break;
    }
    r->at = srv.at;
    r->answers += srv.answers;
    r->additionals += srv.additionals;
    return true;
}

/* Steered addresses of `node`'s service, with their owner at message offset `owner`. */
static inline bool put_service(struct query_thread *t, struct response *r, const struct node *node,
                               unsigned family, uint16_t owner)
{
    struct steer_client *asker = NULL;
    bool fits;

    return put_at_once(t, r, node->service, family, owner, &asker, &fits)
               ? fits
               : put_indirect(t, r, node, family, owner, asker);
}

/* The end of a chain of aliases that is a service. */
static bool put_tail(struct query_thread *t, struct response *r, const struct answer *answer)
{
    const struct node *node = answer->tail;
    uint16_t type = t->query.type;
    struct steer_choice choice;

    if (type == WIRE_A || type == WIRE_AAAA) {
        unsigned family = type == WIRE_AAAA ? ADDR_V6 : ADDR_V4;
        return put_service(t, r, node, family, answer->tail_offset);
    }
    const struct steer_service *service = asker_service(t, node->service);
    if (type == WIRE_SRV && srv_is_given(service)) {
        return put_srv(t, r, node->zone, service, answer->tail_offset);
    }
    const uint8_t *target = find_cname(t, service, &choice);
    return target == NULL
               ? put_negative(t, r, node->zone, false, UINT32_MAX)
               : put_named(t, r, node->zone, service, answer->tail_offset, target, &choice);
}

/* Requests that are not questions to data, or to another world than IN. */
static bool is_unserved(const struct wire_query *q)
{
    return q->class != WIRE_IN || q->type == WIRE_AXFR || q->type == WIRE_IXFR;
}

/* May `dname`, which is not ours, be asked elsewhere for this client? */
static bool may_forward(const struct query_thread *t, const struct snapshot *snapshot,
                        const uint8_t *dname)
{
    return t->recursion && (t->query.flags & WIRE_RD) != 0 && snapshot_resolves(snapshot, dname);
}

/*
 * What stands written at `node`, or a chain of aliases from it that ends in a
 * service. QUERY_SOURCES: its end, a name of others, must be asked elsewhere.
 */
static enum query_source put_static(struct query_thread *t, struct response *r,
                                    const struct snapshot *snapshot, const struct node *node)
{
    uint16_t type = t->query.type;
    const struct answer *answer = namespace_answer(node, type);
    enum query_source source = QUERY_ZONE;
    bool fits;

    if (answer == NULL) {
        fits = put_negative(t, r, node->zone, true, UINT32_MAX);
    } else if (answer->outside != NULL && may_forward(t, snapshot, answer->outside)) {
        return QUERY_SOURCES;
    } else {
        r->rcode = answer->rcode;
        fits = put_compiled(r, answer);
        if (fits && answer->tail != NULL) {
            source = QUERY_SERVICE;
            fits = put_tail(t, r, answer);
        }
    }
    if (!fits) {
        response_cut_short(r, t->query.question_end);
    }
    return source;
}

/*
 * Another type than addresses of a service's name: SRV, what stands written
 * there, or the CNAME.
 */
static enum query_source put_beside(struct query_thread *t, struct response *r,
                                    const struct snapshot *snapshot, const struct node *node)
{
    const struct steer_service *service = asker_service(t, node->service);
    const struct answer *own = namespace_answer(node, t->query.type);
    bool is_written = own != NULL && own != &namespace_any;
    struct steer_choice choice;

    if (t->query.type == WIRE_SRV && srv_is_given(service)) {
        if (!put_srv(t, r, node->zone, service, WIRE_QUESTION)) {
            response_cut_short(r, t->query.question_end);
        }
        return QUERY_SERVICE;
    }
    const uint8_t *target = is_written ? NULL : find_cname(t, service, &choice);
    if (target == NULL) {
        return put_static(t, r, snapshot, node);
    }
    if (!put_named(t, r, node->zone, service, WIRE_QUESTION, target, &choice)) {
        response_cut_short(r, t->query.question_end);
    }
    return QUERY_SERVICE;
}

/* A name that exists. */
static inline enum query_source put_node(struct query_thread *t, struct response *r,
                                         const struct snapshot *snapshot, const struct node *node)
{
    const struct wire_query *q = &t->query;
    bool is_address = q->type == WIRE_A || q->type == WIRE_AAAA;

    r->flags = WIRE_AA;
    if (node->service == NULL) {
        return put_static(t, r, snapshot, node);
    }
    if (!is_address) {
        return put_beside(t, r, snapshot, node);
    }
    unsigned family = q->type == WIRE_AAAA ? ADDR_V6 : ADDR_V4;
    if (!put_service(t, r, node, family, WIRE_QUESTION)) {
        response_cut_short(r, t->query.question_end);
    }
    return QUERY_SERVICE;
}

/* A name that is not ours, for a client that may have it resolved. QUERY_SOURCES: ask. */
static __attribute__((noinline)) enum query_source put_elsewhere(struct query_thread *t,
                                              const struct snapshot *snapshot, struct response *r)
{
    if (t->cache != NULL) {
        enum query_source source = cached_put(t, r);
        if (source != QUERY_SOURCES) {
            return source;
        }
    }
    if (may_forward(t, snapshot, t->query.dname)) {
        return QUERY_SOURCES;
    }
    r->rcode = WIRE_REFUSED;
    return QUERY_REFUSED;
}

/* The answer to a well-formed query; QUERY_SOURCES: it must be forwarded. */
static enum query_source respond(struct query_thread *t, const struct snapshot *snapshot,
                                 const struct query_client *client, struct response *r)
{
    const struct wire_query *q = &t->query;

    if (is_unserved(q)) {
        r->rcode = WIRE_REFUSED;
        return QUERY_REFUSED;
    }
    const struct node *node = namespace_find(snapshot->ns, q->dname, q->name_length);
    const struct node *encloser = node;
    if (node == NULL) {
        encloser = namespace_encloser(snapshot->ns, q->dname, q->name_length, q->labels);
        if (encloser == NULL && t->recursion) {
            return put_elsewhere(t, snapshot, r);
        }
    }
    if (encloser == NULL || !is_allowed(&snapshot->model->query, client)) {
        r->rcode = WIRE_REFUSED;
        return QUERY_REFUSED;
    }
    if (node != NULL) {
        return put_node(t, r, snapshot, node);
    }
    r->flags = WIRE_AA;
    r->rcode = WIRE_NXDOMAIN;
    if (!put_negative(t, r, encloser->zone, true, UINT32_MAX)) {
        response_cut_short(r, t->query.question_end);
    }
    return QUERY_ZONE;
}

/* How long a message to this client may be, OPT's bytes taken off. */
static size_t message_limit(const struct wire_query *q, const struct query_client *client,
                            size_t cap)
{
    size_t limit = WIRE_UDP_PLAIN;

    if (client->stream) {
        limit = WIRE_MESSAGE_MAX;
    } else if (q->edns && q->payload > WIRE_UDP_PLAIN) {
        limit = q->payload < WIRE_UDP_MOST ? q->payload : WIRE_UDP_MOST;
    }
    limit = limit < cap ? limit : cap;
    return limit - q->opt_bytes;
}

static void count(struct query_thread *t, enum query_source source, unsigned rcode)
{
    query_count(&t->counters->by_source[source]);
    query_count(&t->counters->by_rcode[rcode]);
}

/* Remember what this client was answered with. */
static __attribute__((noinline)) void note_client(struct query_thread *t,
                                                  const struct snapshot *snapshot,
                                                  struct laggards *laggards)
{
    struct chosen chosen;
    bool is_address = t->query.type == WIRE_A || t->query.type == WIRE_AAAA;

    if (is_address && chosen_find(t, snapshot, &chosen)) {
        laggards_note_chosen(laggards, &chosen, (uint64_t)t->now_ms);
    }
}

/* What could not be read as a question to answer. */
static enum query_verdict reject(struct query_thread *t, enum wire_verdict verdict,
                                 uint8_t *message, size_t *out_length)
{
    const struct wire_query *q = &t->query;

    if (verdict == WIRE_QUERY_DROP) {
        query_count(&t->counters->dropped);
        return QUERY_DROP;
    }
    if (verdict == WIRE_QUERY_BADVERS) {
        struct response r = { .message = message, .at = q->question_end, .rcode = WIRE_BADVERS };
        wire_put16(message + 10, 0);
        *out_length = finish(t, NULL, &r);
        count(t, QUERY_BROKEN, r.rcode);
        return QUERY_SEND;
    }
    unsigned rcode = verdict == WIRE_QUERY_NOTIMP ? WIRE_NOTIMP : WIRE_FORMERR;
    *out_length = query_put_error(message, q->id, q->flags, rcode);
    count(t, QUERY_BROKEN, rcode);
    return QUERY_SEND;
}

enum query_verdict query_answer(struct query_thread *thread, const struct snapshot *snapshot,
                                const struct query_client *client, uint8_t *message, size_t length,
                                size_t cap, size_t *out_length)
{
    struct query_thread *t = thread;
    enum wire_verdict verdict = wire_query_parse(message, length, &t->query);

    t->recursion = false;
    t->scope_bits = 0;
    t->client = client;
    if (verdict == WIRE_QUERY_OK && t->query.type == WIRE_OPT) {
        verdict = WIRE_QUERY_FORMERR;
    }
    if (verdict != WIRE_QUERY_OK) {
        return reject(t, verdict, message, out_length);
    }
    t->recursion = is_allowed(&snapshot->model->recursion, client);
    struct response r = {
        .message = message,
        .at = t->query.question_end,
        .limit = message_limit(&t->query, client, cap),
    };
    enum query_source source = respond(t, snapshot, client, &r);
    if (source == QUERY_SOURCES) {
        query_count(&t->counters->by_source[QUERY_FORWARDED]);
        return QUERY_FORWARD;
    }
    *out_length = finish(t, source == QUERY_SERVICE ? snapshot : NULL, &r);
    if (source >= QUERY_CACHE && cached_is_remarkable(source, &r)) {
        *out_length = options_remark(t, &r);
    }
    struct laggards *laggards = atomic_load_explicit(&t->laggards, memory_order_acquire);
    if (__builtin_expect(laggards != NULL, false) && source == QUERY_SERVICE) {
        note_client(t, snapshot, laggards);
    }
    count(t, source, r.rcode);
    return QUERY_SEND;
}
