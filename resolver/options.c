#include "resolver/options.h"

#include "resolver/edns.h"
#include "resolver/reason.h"

/* Say in the OPT that ends the message for whom this answer is. RFC 7871, section 7.2.1. */
static void add_subnet(const struct query_thread *t, struct response *r, size_t opt_bytes)
{
    uint8_t *opt = r->message + r->at - opt_bytes;
    uint8_t asked = t->query.subnet_bits;
    uint8_t scope = t->scope_bits < asked ? t->scope_bits : asked;

    r->at += edns_add_subnet(opt, opt_bytes, &t->query, scope) - opt_bytes;
}

void options_add(struct query_thread *t, const struct snapshot *snapshot, struct response *r)
{
    const struct wire_query *q = &t->query;
    size_t size = WIRE_OPT_BYTES;
    char text[REASON_TEXT_MAX];

    if (q->has_subnet) {
        add_subnet(t, r, size);
        size = q->opt_bytes;
    }
    size_t used = r->at + EDNS_ERROR_BYTES;
    size_t end = r->limit + q->opt_bytes;
    /* for our own people: it tells of regions, and is long for an answer to strangers */
    if (!t->recursion || !q->wants_reason || snapshot == NULL || used >= end) {
        return;
    }
    size_t length = reason_put(t, snapshot, text, end - used);
    if (length > 0) {
        r->at += edns_add_error(r->message + r->at - size, size, EDNS_OTHER, text, length) - size;
    }
}

size_t options_remark(const struct query_thread *t, struct response *r)
{
    size_t opt_bytes = t->query.opt_bytes;
    size_t start = r->at - opt_bytes;

    if (opt_bytes == 0 || r->limit + opt_bytes - start < EDNS_OPT_MAX + opt_bytes) {
        return r->at;
    }
    size_t size =
        edns_put_error(r->message + start, t->query.dnssec_ok, 0, t->remark, t->remark_text);
    r->at = start + size;
    if (opt_bytes != WIRE_OPT_BYTES) {
        add_subnet(t, r, size);
    }
    return r->at;
}
