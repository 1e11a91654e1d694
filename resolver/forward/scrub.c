#include "resolver/forward/scrub.h"

#include <string.h>

#include "resolver/forward/builder.h"
#include "zones/name.h"
#include "zones/rdata.h"
#include "zones/wire.h"
#include "zones/words.h"

#define SIGNERS_MAX    8   /* zones whose denials are taken over */
#define RRSIG_FIXED    18  /* bytes before the signer's name; RFC 4034, section 3.1 */
#define FIRST_METATYPE 128 /* 128 to 255 are no data; RFC 6895, section 3.1 */
#define LAST_METATYPE  255
#define STEPS_MAX      65536 /* records looked at: a chain in 64 KiB must not cost a second */

/* RFC 4034, RFC 5155 */
enum {
    TYPE_RRSIG = 46,
    TYPE_NSEC = 47,
    TYPE_NSEC3 = 50,
};

/* The records of one section. */
struct section {
    size_t at;
    unsigned count;
};

struct scrub {
    const uint8_t *message;
    size_t length;
    struct section sections[BUILDER_SECTIONS];
    const struct scrub_question *question;
    uint16_t type;
    uint16_t class;
    unsigned rcode;               /* with the upper bits of the OPT record */
    uint8_t name[NAME_MAX_BYTES]; /* where the chain has led so far */
    uint8_t signers[SIGNERS_MAX][NAME_MAX_BYTES];
    unsigned signer_count;
    unsigned written;    /* records of the answer section */
    unsigned steps_left; /* see STEPS_MAX */
    const char *fault;
    struct builder builder;
};

/* One record while a section is walked. */
struct cursor {
    struct wire_reader reader;
    unsigned left;
    size_t owner_at;
    struct wire_record record;
};

static const char malformed[] = "malformed answer";
static const char too_large[] = "answer too large";

/* ---- walking ---- */

static struct cursor walk(const struct scrub *scrub, enum builder_section section)
{
    struct cursor cursor = { .left = scrub->sections[section].count };

    wire_reader_init(&cursor.reader, scrub->message, scrub->length);
    cursor.reader.at = scrub->sections[section].at;
    return cursor;
}

static bool step(struct scrub *scrub, struct cursor *cursor)
{
    if (cursor->left == 0) {
        return false;
    }
    if (scrub->steps_left == 0) {
        scrub->fault = too_large;
        return false;
    }
    scrub->steps_left--;
    cursor->left--;
    cursor->owner_at = cursor->reader.at;
    return wire_read_record(&cursor->reader, &cursor->record);
}

/* A record that can be data of the question's class. */
static bool is_data(const struct scrub *scrub, const struct wire_record *record)
{
    return record->type != WIRE_OPT &&
           (record->type < FIRST_METATYPE || record->type > LAST_METATYPE) &&
           (record->class == scrub->class || scrub->class == WIRE_CLASS_ANY);
}

/* Read the name at `at` inside the record's rdata, which must reach to `at` at least. */
static bool read_name_at(const struct scrub *scrub, const struct wire_record *record, size_t at,
                         uint8_t out[NAME_MAX_BYTES], size_t *out_next)
{
    struct wire_reader reader;
    size_t end = record->rdata_at + record->rdata_length;

    wire_reader_init(&reader, scrub->message, scrub->length);
    reader.at = at;
    if (at > end || wire_read_name(&reader, out) == 0 || reader.at > end) {
        return false;
    }
    *out_next = reader.at;
    return true;
}

/* The one name that is all of a record's rdata: of CNAME and DNAME. */
static bool read_target(const struct scrub *scrub, const struct wire_record *record,
                        uint8_t out[NAME_MAX_BYTES])
{
    size_t next;

    return read_name_at(scrub, record, record->rdata_at, out, &next) &&
           next == record->rdata_at + record->rdata_length;
}

static uint16_t covered_type(const struct scrub *scrub, const struct wire_record *record)
{
    return record->rdata_length < 2 ? 0 : wire_get16(scrub->message + record->rdata_at);
}

/* Remember who signed, if the signature can be of this owner. RFC 4035, section 5.3.1. */
static void remember_signer(struct scrub *scrub, const struct wire_record *record)
{
    uint8_t *signer = scrub->signers[scrub->signer_count % SIGNERS_MAX];
    size_t next;

    if (scrub->signer_count == SIGNERS_MAX || record->rdata_length < RRSIG_FIXED ||
        !read_name_at(scrub, record, record->rdata_at + RRSIG_FIXED, signer, &next) ||
        !name_is_within(record->owner, signer)) {
        return;
    }
    for (unsigned i = 0; i < scrub->signer_count; i++) {
        if (name_equal(scrub->signers[i], signer)) {
            return;
        }
    }
    scrub->signer_count++;
}

/* ---- writing ---- */

/*
 * The name at `at` as it stands there, letter case kept. It was read before,
 * so it is whole and its pointers end.
 */
static void copy_name(const struct scrub *scrub, size_t at, uint8_t out[NAME_MAX_BYTES])
{
    const uint8_t *message = scrub->message;
    size_t used = 0;

    for (;;) {
        while ((message[at] & 0xc0) == 0xc0) {
            at = (size_t)(message[at] & 0x3f) << 8 | message[at + 1];
        }
        size_t size = message[at] + 1u;
        memcpy(out + used, message + at, size);
        if (size == 1) {
            return;
        }
        used += size;
        at += size;
    }
}

/* Rdata whose names may be compressed is written name by name, checked on the way. */
static bool put_rdata(struct scrub *scrub, const struct wire_record *record)
{
    const struct rdata_layout *layout = rdata_layout(record->type);
    uint8_t name[NAME_MAX_BYTES];
    size_t at = record->rdata_at;
    size_t end = at + record->rdata_length;

    if (layout == NULL) {
        builder_put_bytes(&scrub->builder, scrub->message + at, record->rdata_length);
        return true;
    }
    if (record->rdata_length < layout->before) {
        return false;
    }
    builder_put_bytes(&scrub->builder, scrub->message + at, layout->before);
    at += layout->before;
    for (unsigned i = 0; i < layout->names; i++) {
        size_t next;
        if (!read_name_at(scrub, record, at, name, &next)) {
            return false;
        }
        copy_name(scrub, at, name);
        builder_put_name(&scrub->builder, name, layout->compress);
        at = next;
    }
    builder_put_bytes(&scrub->builder, scrub->message + at, end - at);
    return end - at == layout->after;
}

static void put_record(struct scrub *scrub, enum builder_section section,
                       const struct cursor *cursor)
{
    const struct wire_record *record = &cursor->record;
    uint32_t ttl_s = record->ttl_s > INT32_MAX ? 0 : record->ttl_s; /* RFC 2181, section 8 */
    uint8_t owner[NAME_MAX_BYTES];

    copy_name(scrub, cursor->owner_at, owner);
    size_t mark =
        builder_begin_record(&scrub->builder, section, owner, record->type, record->class, ttl_s);
    if (!put_rdata(scrub, record)) {
        scrub->fault = malformed;
    }
    builder_end_record(&scrub->builder, mark);
    scrub->written += section == BUILDER_ANSWER;
    if (record->type == TYPE_RRSIG && section == BUILDER_ANSWER) {
        remember_signer(scrub, record);
    }
}

/* The signatures over `type` at `owner`, when they are wanted. */
static void put_signatures(struct scrub *scrub, const uint8_t *owner, uint16_t type)
{
    struct cursor cursor = walk(scrub, BUILDER_ANSWER);

    while (scrub->question->dnssec_ok && step(scrub, &cursor)) {
        const struct wire_record *record = &cursor.record;
        if (is_data(scrub, record) && record->type == TYPE_RRSIG &&
            covered_type(scrub, record) == type && name_equal(record->owner, owner)) {
            put_record(scrub, BUILDER_ANSWER, &cursor);
        }
    }
}

/* ---- the answer section ---- */

static bool is_asked_for(const struct scrub *scrub, const struct wire_record *record)
{
    return is_data(scrub, record) && name_equal(record->owner, scrub->name) &&
           (record->type == scrub->type || scrub->type == WIRE_ANY);
}

/* Write what was asked for, at the end of the chain. False when there is nothing. */
static bool put_asked_for(struct scrub *scrub)
{
    struct cursor cursor = walk(scrub, BUILDER_ANSWER);
    bool found = false;

    while (step(scrub, &cursor)) {
        if (is_asked_for(scrub, &cursor.record)) {
            put_record(scrub, BUILDER_ANSWER, &cursor);
            found = true;
        }
    }
    if (found && scrub->type != WIRE_ANY && scrub->type != TYPE_RRSIG) {
        put_signatures(scrub, scrub->name, scrub->type);
    }
    return found;
}

/*
 * Does the DNAME turn the chain's name into `target`? RFC 6672, section 2.2:
 * the labels below its owner are kept, the owner is replaced.
 */
static bool dname_leads_to(const struct scrub *scrub, const struct wire_record *record,
                           const uint8_t *target)
{
    uint8_t replacement[NAME_MAX_BYTES];
    size_t below = name_length(scrub->name) - name_length(record->owner);

    if (name_equal(record->owner, scrub->name) || !name_is_within(scrub->name, record->owner) ||
        !read_target(scrub, record, replacement)) {
        return false;
    }
    return name_length(target) == below + name_length(replacement) &&
           memcmp(target, scrub->name, below) == 0 && name_equal(target + below, replacement);
}

/* The DNAME that the alias from the chain's name to `target` was made from, if any. */
static void put_dname(struct scrub *scrub, const uint8_t *target)
{
    struct cursor cursor = walk(scrub, BUILDER_ANSWER);

    while (step(scrub, &cursor)) {
        const struct wire_record *record = &cursor.record;
        if (is_data(scrub, record) && record->type == WIRE_DNAME &&
            dname_leads_to(scrub, record, target)) {
            put_record(scrub, BUILDER_ANSWER, &cursor);
            put_signatures(scrub, record->owner, WIRE_DNAME);
            return;
        }
    }
}

/* Write the alias at the chain's name and go to its target. False when there is none. */
static bool follow_alias(struct scrub *scrub)
{
    struct cursor cursor = walk(scrub, BUILDER_ANSWER);
    uint8_t target[NAME_MAX_BYTES];

    while (step(scrub, &cursor)) {
        const struct wire_record *record = &cursor.record;
        if (!is_data(scrub, record) || record->type != WIRE_CNAME ||
            !name_equal(record->owner, scrub->name)) {
            continue;
        }
        if (!read_target(scrub, record, target)) {
            scrub->fault = malformed;
            return false;
        }
        put_dname(scrub, target);
        put_record(scrub, BUILDER_ANSWER, &cursor);
        put_signatures(scrub, scrub->name, WIRE_CNAME);
        memcpy(scrub->name, target, name_length(target));
        return true;
    }
    return false;
}

/* Is what was asked for there? */
static bool put_answers(struct scrub *scrub)
{
    for (unsigned aliases = 0; aliases <= SCRUB_CHAIN_MAX; aliases++) {
        if (put_asked_for(scrub)) {
            return true;
        }
        if (!follow_alias(scrub)) {
            return false;
        }
    }
    scrub->fault = "too many aliases";
    return false;
}

/* ---- the authority section ---- */

static bool authority_has(struct scrub *scrub, uint16_t type)
{
    struct cursor cursor = walk(scrub, BUILDER_AUTHORITY);

    while (step(scrub, &cursor)) {
        if (is_data(scrub, &cursor.record) && cursor.record.type == type) {
            return true;
        }
    }
    return false;
}

/* The SOA of the zone that says the name, or the type, is not there. RFC 2308. */
static bool put_soa(struct scrub *scrub)
{
    struct cursor cursor = walk(scrub, BUILDER_AUTHORITY);

    while (step(scrub, &cursor)) {
        const struct wire_record *record = &cursor.record;
        if (is_data(scrub, record) && record->type == WIRE_SOA &&
            name_is_within(scrub->name, record->owner)) {
            put_record(scrub, BUILDER_AUTHORITY, &cursor);
            if (scrub->question->dnssec_ok && scrub->signer_count < SIGNERS_MAX) {
                memcpy(scrub->signers[scrub->signer_count++], record->owner,
                       name_length(record->owner));
            }
            return true;
        }
    }
    return false;
}

static bool is_signers(const struct scrub *scrub, const uint8_t *owner)
{
    for (unsigned i = 0; i < scrub->signer_count; i++) {
        if (name_is_within(owner, scrub->signers[i])) {
            return true;
        }
    }
    return false;
}

/*
 * Denials and signatures of the zones that have a part in the answer: a
 * negative one cannot be validated without, nor one made from a wildcard (RFC
 * 4035, section 3.1.3).
 */
static void put_denials(struct scrub *scrub, bool soa)
{
    struct cursor cursor = walk(scrub, BUILDER_AUTHORITY);

    while (step(scrub, &cursor)) {
        const struct wire_record *record = &cursor.record;
        uint16_t type = record->type == TYPE_RRSIG ? covered_type(scrub, record) : record->type;
        bool wanted = type == TYPE_NSEC || type == TYPE_NSEC3 ||
                      (type == WIRE_SOA && record->type == TYPE_RRSIG && soa);
        if (wanted && is_data(scrub, record) && is_signers(scrub, record->owner)) {
            put_record(scrub, BUILDER_AUTHORITY, &cursor);
        }
    }
}

/* ---- the whole ---- */

/*
 * Find the sections and the full rcode (RFC 6891, section 6.1.3). There may be
 * one OPT record, of the root (section 6.1.1).
 */
static void open_sections(struct scrub *scrub, size_t answers_at)
{
    size_t at = answers_at;
    struct cursor cursor = { 0 };
    bool has_opt = false;

    for (unsigned i = 0; i < BUILDER_SECTIONS; i++) {
        scrub->sections[i].at = at;
        scrub->sections[i].count = wire_get16(scrub->message + 6 + 2 * (size_t)i);
        cursor = walk(scrub, (enum builder_section)i);
        while (step(scrub, &cursor)) {
            if (i != BUILDER_ADDITIONAL || cursor.record.type != WIRE_OPT) {
                continue;
            }
            if (has_opt || cursor.record.owner[0] != 0) {
                scrub->fault = malformed;
            }
            has_opt = true;
            scrub->rcode |= cursor.record.ttl_s >> 24 << 4;
        }
        at = cursor.reader.at;
    }
}

static enum scrub_verdict put_sections(struct scrub *scrub)
{
    bool found = put_answers(scrub);
    bool soa = false;

    if (scrub->fault == NULL && scrub->sections[BUILDER_ANSWER].count > 0 && scrub->written == 0) {
        scrub->fault = "answer does not belong to the question";
    }
    if (scrub->fault == NULL && found && scrub->rcode == WIRE_NXDOMAIN) {
        scrub->fault = "NXDOMAIN with data";
    }
    if (scrub->fault == NULL && !found) {
        soa = put_soa(scrub);
        if (!soa && scrub->written == 0 && scrub->rcode == WIRE_NOERROR &&
            authority_has(scrub, WIRE_NS)) {
            scrub->fault = "a referral, not an answer";
        }
    }
    if (scrub->fault == NULL && scrub->question->dnssec_ok) {
        put_denials(scrub, soa);
    }
    return scrub->fault != NULL ? SCRUB_FAILED : found ? SCRUB_POSITIVE : SCRUB_NEGATIVE;
}

enum scrub_verdict scrub_answer(const uint8_t *message, size_t length, size_t answers_at,
                                const struct scrub_question *question, uint8_t *out,
                                size_t capacity, size_t *out_length, const char **out_fault)
{
    struct scrub scrub = {
        .message = message,
        .length = length,
        .question = question,
        .steps_left = STEPS_MAX,
    };
    size_t name = name_length(question->bytes);

    *out_fault = malformed;
    if (!wire_response_sound(message, length)) {
        return SCRUB_FAILED;
    }
    uint16_t flags = wire_get16(message + 2);
    scrub.rcode = flags & WIRE_RCODE;
    scrub.type = wire_get16(question->bytes + name);
    scrub.class = wire_get16(question->bytes + name + 2);
    name_fold(question->bytes, name, scrub.name);
    open_sections(&scrub, answers_at);
    if (scrub.rcode != WIRE_NOERROR && scrub.rcode != WIRE_NXDOMAIN) {
        const char *error = words_rcode_find(scrub.rcode);
        *out_fault = error != NULL ? error : "an unknown error";
        return SCRUB_FAILED;
    }
    builder_init(&scrub.builder, out, capacity, question->bytes, question->length);
    enum scrub_verdict verdict = put_sections(&scrub);
    if (verdict == SCRUB_FAILED) {
        *out_fault = scrub.fault;
        return SCRUB_FAILED;
    }
    *out_length = builder_finish(
        &scrub.builder, (uint16_t)(WIRE_QR | WIRE_RD | WIRE_RA | (flags & WIRE_AD) | scrub.rcode));
    if (*out_length == 0) {
        *out_fault = too_large;
        return SCRUB_FAILED;
    }
    return verdict;
}
