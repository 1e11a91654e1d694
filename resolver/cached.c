#include "resolver/cached.h"

#include "resolver/edns.h"

#define PREFETCH_ASKED   3  /* times: it is worth asking for before it expires */
#define PREFETCH_PERCENT 10 /* of its life left, at least a second */
#define PREFETCH_LEAST_S 5  /* of life; what is shorter would be asked for all the time */

/* Is it asked often enough to be renewed before it expires? Once each life. */
static inline void consider_refresh(struct query_thread *t, struct cache_entry *entry,
                                    uint32_t left_s)
{
    uint32_t late_s = entry->ttl_s / (100 / PREFETCH_PERCENT);

    late_s = late_s == 0 && entry->ttl_s >= PREFETCH_LEAST_S ? 1 : late_s;
    if (left_s > late_s ||
        atomic_load_explicit(&entry->asked, memory_order_relaxed) < PREFETCH_ASKED ||
        atomic_load_explicit(&entry->refreshing, memory_order_relaxed)) {
        return;
    }
    t->refresh = entry;
}

static inline void put_entry(const struct query_thread *t, struct response *r,
                             const struct cache_entry *entry)
{
    const struct wire_query *q = &t->query;

    r->rcode = entry->rcode;
    if (entry->body_length > r->limit - r->at) {
        response_cut_short(r, q->question_end);
        return;
    }
    if (entry->authentic && (q->dnssec_ok || (q->flags & WIRE_AD) != 0)) {
        r->flags |= WIRE_AD; /* only for those who know what it means: RFC 6840, section 5.8 */
    }
    cache_put_body(entry, t->now_ms, cache_stale_ttl_s(t->cache), r->message + r->at);
    r->at += entry->body_length;
    r->answers = entry->records[0];
    r->authorities = entry->records[1];
    r->additionals = entry->records[2];
}

enum query_source cached_put(struct query_thread *t, struct response *r)
{
    const struct cache_key key = query_cache_key(&t->query);
    struct cache_entry *entry = cache_find(t->cache, &key, cache_hash(t->cache, &key));

    if (entry == NULL) {
        return QUERY_SOURCES;
    }
    uint32_t left_s = cache_left_s(entry, t->now_ms);
    if (entry->kind == CACHE_FAILURE) {
        if (left_s == 0) {
            return QUERY_SOURCES;
        }
        r->rcode = WIRE_SERVFAIL;
        t->remark = EDNS_CACHED_ERROR;
        t->remark_text = "asked a moment ago, nobody answered";
        return QUERY_CACHE;
    }
    if (left_s == 0) {
        if (atomic_load_explicit(&entry->stale_until_ms, memory_order_relaxed) <= t->now_ms) {
            return QUERY_SOURCES;
        }
        t->remark = entry->kind == CACHE_NXDOMAIN ? EDNS_STALE_NXDOMAIN : EDNS_STALE_ANSWER;
        t->remark_text = "nobody can be asked now";
        put_entry(t, r, entry);
        return QUERY_STALE;
    }
    consider_refresh(t, entry, left_s);
    put_entry(t, r, entry);
    return QUERY_CACHE;
}
