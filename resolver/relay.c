#include "resolver/relay.h"

#include <string.h>

#include "resolver/edns.h"

void relay_keep(struct handover_question *out, const struct wire_query *query,
                const uint8_t *message, bool stream)
{
    out->id = query->id;
    out->flags = query->flags;
    out->type = query->type;
    out->class = query->class;
    out->payload = query->payload;
    out->name_length = query->name_length;
    out->edns = query->edns;
    out->dnssec_ok = query->dnssec_ok;
    out->stream = stream;
    out->refresh = false;
    memcpy(out->name, message + WIRE_QUESTION, query->name_length);
}

size_t relay_dname(const struct handover_question *question, uint8_t out[NAME_MAX_BYTES])
{
    name_fold(question->name, question->name_length, out);
    return question->name_length;
}

/* Header without counts but the question's, and the question. Returns the offset behind it. */
static size_t put_head(const struct handover_question *q, unsigned flags, uint8_t *out)
{
    size_t at = WIRE_QUESTION + q->name_length;

    wire_put16(out, q->id);
    wire_put16(out + 2, (uint16_t)(WIRE_QR | WIRE_RA | (q->flags & (WIRE_RD | WIRE_CD)) | flags));
    memset(out + 4, 0, 8);
    wire_put16(out + 4, 1);
    memcpy(out + WIRE_QUESTION, q->name, q->name_length);
    wire_put16(out + at, q->type);
    wire_put16(out + at + 2, q->class);
    return at + 4;
}

/* OPT, with an extended error where there is a text. Returns its size. */
static size_t put_opt(const struct handover_question *q, uint16_t ede_code, const char *ede_text,
                      uint8_t *out)
{
    if (!q->edns) {
        return 0;
    }
    if (ede_text == NULL) {
        wire_put_opt(out, q->dnssec_ok, 0);
        return WIRE_OPT_BYTES;
    }
    return edns_put_error(out, q->dnssec_ok, 0, ede_code, ede_text);
}

static size_t limit_of(const struct handover_question *q, size_t cap)
{
    size_t limit = WIRE_UDP_PLAIN;

    if (q->stream) {
        limit = WIRE_MESSAGE_MAX;
    } else if (q->edns && q->payload > WIRE_UDP_PLAIN) {
        limit = q->payload < WIRE_UDP_MOST ? q->payload : WIRE_UDP_MOST;
    }
    return limit < cap ? limit : cap;
}

static size_t put_failed(const struct handover_question *q, unsigned rcode, uint16_t ede_code,
                         const char *ede_text, uint8_t *out)
{
    size_t at = put_head(q, rcode, out);
    size_t opt = put_opt(q, ede_code, ede_text, out + at);

    wire_put16(out + 10, opt > 0);
    return at + opt;
}

size_t relay_put_failure(const struct handover_question *question, unsigned rcode,
                         const char *text, uint8_t *out, size_t cap)
{
    (void)cap; /* head, question and OPT are below 512 bytes in any case */
    return put_failed(question, rcode, EDNS_OTHER, text, out);
}

size_t relay_put(const struct handover_question *question, const struct forward_reply *reply,
                 uint8_t *out, size_t cap, unsigned *out_rcode)
{
    const struct handover_question *q = question;

    if (reply->message == NULL) {
        *out_rcode = WIRE_SERVFAIL;
        return put_failed(q, WIRE_SERVFAIL, reply->ede_code, reply->ede_text, out);
    }
    unsigned kept = WIRE_RCODE | WIRE_AA;
    if (q->dnssec_ok || (q->flags & WIRE_AD) != 0) {
        kept |= WIRE_AD; /* only for those who know what it means: RFC 6840, section 5.8 */
    }
    unsigned flags = wire_get16(reply->message + 2) & kept;
    size_t question_end = WIRE_QUESTION + q->name_length + 4u;
    size_t sections = reply->length - question_end;
    size_t at = put_head(q, flags, out);
    size_t limit = limit_of(q, cap);
    size_t opt = q->edns ? WIRE_OPT_BYTES : 0;
    /* an answer with a remark, such as that it is stale; where there is room for it */
    bool remark = q->edns && reply->ede_text != NULL && reply->ede_text[0] != '\0' &&
                  at + sections + EDNS_OPT_MAX <= limit;

    *out_rcode = flags & WIRE_RCODE;
    if (at + sections + opt > limit) {
        /* ask again over TCP: RFC 2181, section 9 */
        wire_put16(out + 2, (uint16_t)(wire_get16(out + 2) | WIRE_TC));
        sections = 0;
    } else {
        memcpy(out + at, reply->message + question_end, sections);
        memcpy(out + 6, reply->message + 6, 6);
    }
    at += sections;
    at += put_opt(q, reply->ede_code, remark ? reply->ede_text : NULL, out + at);
    if (q->edns) {
        wire_put16(out + 10, (uint16_t)(wire_get16(out + 10) + 1));
    }
    return at;
}
