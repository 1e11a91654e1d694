#include "resolver/cache/cache_entry.h"

#include <stdlib.h>
#include <string.h>

#include "zones/wire.h"

#define TTL_TOP_BIT     0x80000000u
#define SOA_RDATA_LEAST 22u /* two roots and five numbers, RFC 1035, section 3.3.13 */

enum section {
    ANSWER,
    AUTHORITY,
    ADDITIONAL
};

/* A message on the way to be an entry. */
struct reading {
    const struct cache_key *key;
    const struct model_cache *settings;
    struct wire_reader reader;
    uint16_t records[3];
    size_t body_at;
    unsigned ttl_count;
    uint32_t ttl_s; /* the lowest */
    enum cache_kind kind;
    bool is_public;
    bool has_soa; /* in the authority section */
};

static uint32_t lower(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* RFC 2181, section 8: a TTL with the highest bit set is none. */
static uint32_t sane(uint32_t ttl_s)
{
    return (ttl_s & TTL_TOP_BIT) != 0 ? 0 : ttl_s;
}

const uint8_t *cache_entry_name(const struct cache_entry *entry)
{
    return entry->bytes;
}

const uint8_t *cache_entry_body(const struct cache_entry *entry)
{
    return entry->bytes + entry->name_length + entry->ttl_count * sizeof(uint16_t);
}

/* Header and question; false when they are not those of an answer to the key. */
static bool read_question(struct reading *r)
{
    const uint8_t *message = r->reader.message;
    const struct cache_key *key = r->key;
    uint8_t name[NAME_MAX_BYTES];

    if (r->reader.length < WIRE_HEADER_BYTES || wire_get16(message + 4) != 1) {
        return false;
    }
    uint16_t flags = wire_get16(message + 2);
    unsigned rcode = flags & WIRE_RCODE;
    if ((flags & WIRE_QR) == 0 || (flags & WIRE_TC) != 0 ||
        (rcode != WIRE_NOERROR && rcode != WIRE_NXDOMAIN)) {
        return false;
    }
    r->kind = rcode == WIRE_NXDOMAIN ? CACHE_NXDOMAIN : CACHE_NODATA;
    for (unsigned section = ANSWER; section <= ADDITIONAL; section++) {
        r->records[section] = wire_get16(message + 6 + 2 * (size_t)section);
    }
    r->reader.at = WIRE_QUESTION;
    size_t length = wire_read_name(&r->reader, name);
    if (length != key->length || r->reader.at != WIRE_QUESTION + length ||
        memcmp(name, key->dname, length) != 0) {
        return false;
    }
    bool is_it = wire_read16(&r->reader) == key->type;
    is_it = wire_read16(&r->reader) == key->class && is_it;
    r->body_at = r->reader.at;
    return is_it && !r->reader.failed;
}

static bool is_wanted(const struct cache_key *key, const struct wire_record *record)
{
    return record->class == key->class && (record->type == key->type || key->type == WIRE_ANY);
}

/*
 * Its TTL as we keep it. That of a negative answer's SOA is how long the
 * answer holds (RFC 2308, section 5).
 */
static uint32_t kept_ttl(const struct reading *r, const struct wire_record *record,
                         bool is_negative_soa)
{
    uint32_t ttl_s = sane(record->ttl_s);

    if (is_negative_soa) {
        const uint8_t *end = r->reader.message + record->rdata_at + record->rdata_length;
        ttl_s = lower(ttl_s, sane(wire_get32(end - 4)));
    }
    if (ttl_s < r->settings->min_ttl_s) {
        ttl_s = r->settings->min_ttl_s;
    }
    ttl_s = lower(ttl_s, r->settings->max_ttl_s);
    if (is_negative_soa) {
        ttl_s = lower(ttl_s, r->settings->max_negative_ttl_s);
    }
    return r->is_public ? lower(ttl_s, CACHE_ENTRY_PUBLIC_TTL_S) : ttl_s;
}

/*
 * Read the records, and when `entry` is given write where its TTLs are and
 * what they are. False when they are not sound.
 */
static bool read_records(struct reading *r, struct cache_entry *entry)
{
    struct wire_record record;

    r->ttl_count = 0;
    r->ttl_s = UINT32_MAX;
    for (unsigned section = ANSWER; section <= ADDITIONAL; section++) {
        for (unsigned i = 0; i < r->records[section]; i++) {
            if (!wire_read_record(&r->reader, &record) || record.type == WIRE_OPT) {
                return false;
            }
            bool is_negative_soa = false;
            if (section == ANSWER && r->kind == CACHE_NODATA && is_wanted(r->key, &record)) {
                r->kind = CACHE_POSITIVE;
            } else if (section == AUTHORITY && r->kind != CACHE_POSITIVE &&
                       record.type == WIRE_SOA && record.rdata_length >= SOA_RDATA_LEAST) {
                is_negative_soa = true;
                r->has_soa = true;
            }
            uint32_t ttl_s = kept_ttl(r, &record, is_negative_soa);
            if (entry != NULL) {
                uint16_t at = (uint16_t)(record.rdata_at - 6 - r->body_at);
                uint8_t *body = entry->bytes + entry->name_length + 2u * entry->ttl_count;
                memcpy(entry->bytes + entry->name_length + 2u * r->ttl_count, &at, sizeof(at));
                wire_put32(body + at, ttl_s);
            }
            r->ttl_s = lower(r->ttl_s, ttl_s);
            r->ttl_count++;
        }
    }
    return true;
}

/* An entry with room for so much; the key is filled in, the rest is zero. */
static struct cache_entry *new_entry(const struct cache_key *key, uint64_t hash, unsigned ttl_count,
                                     size_t body_length)
{
    size_t size = offsetof(struct cache_entry, bytes) + key->length + 2u * ttl_count + body_length;
    struct cache_entry *entry = malloc(size < sizeof(*entry) ? sizeof(*entry) : size);

    if (entry == NULL) {
        return NULL;
    }
    memset(entry, 0, sizeof(*entry));
    entry->hash = hash;
    entry->key_flags = key->flags;
    entry->name_length = key->length;
    entry->type = key->type;
    entry->class = key->class;
    entry->ttl_count = (uint16_t)ttl_count;
    entry->body_length = (uint16_t)body_length;
    atomic_init(&entry->stale_until_ms, INT64_MIN);
    memcpy(entry->bytes, key->dname, key->length);
    return entry;
}

struct cache_entry *cache_entry_new(const struct cache_key *key, uint64_t hash,
                                    const struct cache_answer *answer,
                                    const struct model_cache *settings)
{
    struct reading r = { .key = key,
                         .settings = settings,
                         .is_public = answer->origin == FORWARD_PUBLIC };

    wire_reader_init(&r.reader, answer->message, answer->length);
    if (answer->length > WIRE_MESSAGE_MAX || !read_question(&r) || !read_records(&r, NULL)) {
        return NULL;
    }
    bool is_negative = r.kind != CACHE_POSITIVE;
    if ((is_negative && !r.has_soa) || r.ttl_count == 0 || r.ttl_s == 0) {
        return NULL;
    }
    size_t body_length = r.reader.at - r.body_at;
    struct cache_entry *entry = new_entry(key, hash, r.ttl_count, body_length);
    if (entry == NULL) {
        return NULL;
    }
    uint16_t flags = wire_get16(answer->message + 2);
    entry->stored_ms = answer->stored_ms;
    entry->ttl_s = r.ttl_s;
    entry->kind = (uint8_t)r.kind;
    entry->origin = (uint8_t)answer->origin;
    entry->rcode = (uint8_t)(flags & WIRE_RCODE);
    entry->authentic = (flags & WIRE_AD) != 0;
    memcpy(entry->records, r.records, sizeof(entry->records));
    memcpy(entry->bytes + key->length + 2u * r.ttl_count, answer->message + r.body_at, body_length);
    r.reader.at = r.body_at;
    (void)read_records(&r, entry); /* it has been read before */
    return entry;
}

struct cache_entry *cache_entry_new_failure(const struct cache_key *key, uint64_t hash,
                                            uint16_t ede_code, uint32_t ttl_s, int64_t now_ms)
{
    struct cache_entry *entry = new_entry(key, hash, 0, 0);

    if (entry != NULL) {
        entry->kind = CACHE_FAILURE;
        entry->rcode = WIRE_SERVFAIL;
        entry->failure_ede = ede_code;
        entry->ttl_s = ttl_s;
        entry->stored_ms = now_ms;
    }
    return entry;
}
