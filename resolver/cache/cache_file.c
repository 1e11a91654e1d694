#include "resolver/cache/cache_file.h"

#include <errno.h>
#include <string.h>

#include "base/hash.h"

/*
 * All numbers are big endian, but for the mark and the checksums, which are
 * made of words of this machine: a file moves between equal machines only.
 *
 * Header:  magic 8, version 2, nothing 2, mark 4, saved 8 (civil ms), checksum 8
 * Record:  length 4 (of all of it), tag 1, origin 1, rcode 1, flags 1, key flags 1, asked 1,
 *          name length 1, nothing 1, type 2, class 2, counts 3 * 2, body length 2,
 *          stored 8 (civil ms), ttl 4, name, body, checksum 8
 * End:     length 4, tag 1, count 8, checksum 8
 */
#define MAGIC      "leewrdC\n"
#define MAGIC_SIZE 8
#define VERSION    1
#define MARK       0x01020304u

#define SAVED_AT 16

#define TAG_AT        4
#define RECORD_FIXED  36
#define RECORD_LEAST  (RECORD_FIXED + 1 + CACHE_FILE_CHECKSUM_BYTES)
#define QUESTION_REST 4 /* type and class */

enum tag {
    TAG_ANSWER = 1,
    TAG_END = 2,
};

enum {
    FLAG_AUTHENTIC = 1,
};

/* Older is too old whatever the settings; keeps sums far from their limits. */
#define AGE_MOST_MS (INT64_C(20) * 365 * 86400 * 1000)

/* Public: the checksum is against accidents; the file is its owner's alone. */
static const struct hash_key checksum_key = {
    .k0 = UINT64_C(0x1b873593cc9e2d51),
    .k1 = UINT64_C(0x85ebca6be6546b64),
};

static void put64(uint8_t *p, uint64_t value)
{
    wire_put32(p, (uint32_t)(value >> 32));
    wire_put32(p + 4, (uint32_t)value);
}

static uint64_t get64(const uint8_t *p)
{
    return (uint64_t)wire_get32(p) << 32 | wire_get32(p + 4);
}

static uint64_t checksum(const uint8_t *bytes, size_t length)
{
    return hash_bytes(&checksum_key, bytes, length - CACHE_FILE_CHECKSUM_BYTES);
}

static bool is_whole(const uint8_t *bytes, size_t length)
{
    return get64(bytes + length - CACHE_FILE_CHECKSUM_BYTES) == checksum(bytes, length);
}

void cache_file_seal(uint8_t *bytes, size_t length)
{
    put64(bytes + length - CACHE_FILE_CHECKSUM_BYTES, checksum(bytes, length));
}

/* ---- writing ---- */

size_t cache_file_put_header(uint8_t *out, const struct cache_file_times *times)
{
    const uint32_t mark = MARK;

    memcpy(out, MAGIC, MAGIC_SIZE);
    wire_put16(out + 8, VERSION);
    wire_put16(out + 10, 0);
    memcpy(out + 12, &mark, sizeof(mark));
    put64(out + SAVED_AT, times->wall_ms);
    cache_file_seal(out, CACHE_FILE_HEADER_BYTES);
    return CACHE_FILE_HEADER_BYTES;
}

/* What was stored while the file is being written counts as old as the file. */
static uint64_t stored_wall_ms(const struct cache_entry *entry,
                               const struct cache_file_times *times)
{
    if (entry->stored_ms >= times->now_ms) {
        return times->wall_ms;
    }
    uint64_t age_ms = (uint64_t)times->now_ms - (uint64_t)entry->stored_ms;
    return age_ms < times->wall_ms ? times->wall_ms - age_ms : 0;
}

size_t cache_file_put_record(const struct cache_entry *entry, const struct cache_file_times *times,
                             uint8_t *out, size_t cap)
{
    size_t variable = (size_t)entry->name_length + entry->body_length;
    size_t length = RECORD_FIXED + variable + CACHE_FILE_CHECKSUM_BYTES;

    if (entry->kind == CACHE_FAILURE || length > cap) {
        return 0;
    }
    wire_put32(out, (uint32_t)length);
    out[4] = TAG_ANSWER;
    out[5] = entry->origin;
    out[6] = entry->rcode;
    out[7] = entry->authentic ? FLAG_AUTHENTIC : 0;
    out[8] = entry->key_flags;
    out[9] = atomic_load_explicit(&entry->asked, memory_order_relaxed);
    out[10] = entry->name_length;
    out[11] = 0;
    wire_put16(out + 12, entry->type);
    wire_put16(out + 14, entry->class);
    for (unsigned i = 0; i < 3; i++) {
        wire_put16(out + 16 + 2 * i, entry->records[i]);
    }
    wire_put16(out + 22, entry->body_length);
    put64(out + 24, stored_wall_ms(entry, times));
    wire_put32(out + 32, entry->ttl_s);
    memcpy(out + RECORD_FIXED, cache_entry_name(entry), entry->name_length);
    memcpy(out + RECORD_FIXED + entry->name_length, cache_entry_body(entry), entry->body_length);
    cache_file_seal(out, length);
    return length;
}

size_t cache_file_put_end(uint64_t count, uint8_t *out)
{
    wire_put32(out, CACHE_FILE_END_BYTES);
    out[TAG_AT] = TAG_END;
    put64(out + 5, count);
    cache_file_seal(out, CACHE_FILE_END_BYTES);
    return CACHE_FILE_END_BYTES;
}

/* ---- reading ---- */

void cache_file_begin(struct cache_file_reading *reading, struct cache *cache,
                      const struct cache_file_times *times)
{
    reading->cache = cache;
    reading->times = *times;
    reading->saved_wall_ms = 0;
    reading->records = 0;
    reading->stored = 0;
    reading->begun = false;
    reading->ended = false;
}

static long take_header(struct cache_file_reading *reading, const uint8_t *bytes, size_t length,
                        struct error *err)
{
    const uint32_t mark = MARK;

    if (memcmp(bytes, MAGIC, length < MAGIC_SIZE ? length : MAGIC_SIZE) != 0) {
        return error_set(err, -EINVAL, "not a cache of ours");
    }
    if (length < CACHE_FILE_HEADER_BYTES) {
        return 0;
    }
    if (memcmp(bytes + 12, &mark, sizeof(mark)) == 0 && !is_whole(bytes, CACHE_FILE_HEADER_BYTES)) {
        return error_set(err, -EINVAL, "wrong checksum of the header");
    }
    if (memcmp(bytes + 12, &mark, sizeof(mark)) != 0) {
        return error_set(err, -EINVAL, "saved by a machine of another byte order, or damaged");
    }
    if (wire_get16(bytes + 8) != VERSION) {
        return error_set(err, -EINVAL, "format %u, not %u", wire_get16(bytes + 8), VERSION);
    }
    reading->saved_wall_ms = get64(bytes + SAVED_AT);
    reading->begun = true;
    return CACHE_FILE_HEADER_BYTES;
}

static long take_end(struct cache_file_reading *reading, const uint8_t *bytes, size_t length,
                     struct error *err)
{
    if (length != CACHE_FILE_END_BYTES) {
        return error_set(err, -EINVAL, "an end of %zu bytes", length);
    }
    uint64_t count = get64(bytes + 5);
    if (count != reading->records) {
        return error_set(err, -EINVAL, "%llu records where %llu were saved",
                         (unsigned long long)reading->records, (unsigned long long)count);
    }
    reading->ended = true;
    return CACHE_FILE_END_BYTES;
}

/*
 * How old what was stored at `wall_ms` is at least. Once the clock went back
 * only the age when it was saved is known; fresh it is not believed to be.
 */
static int64_t age_ms(const struct cache_file_reading *reading, uint64_t wall_ms, uint32_t ttl_s)
{
    uint64_t saved_ms = reading->saved_wall_ms;
    uint64_t now_ms = reading->times.wall_ms;
    bool went_back = now_ms < saved_ms || now_ms < wall_ms;
    uint64_t until_ms = went_back ? saved_ms : now_ms;
    uint64_t age = until_ms > wall_ms ? until_ms - wall_ms : 0;
    uint64_t least = went_back ? (uint64_t)ttl_s * 1000 : 0;

    age = age > least ? age : least;
    return age < AGE_MOST_MS ? (int64_t)age : AGE_MOST_MS;
}

/*
 * When it was stored, by this machine's monotonic clock. A floor under TTLs
 * that is higher than it was then makes it live longer: it is taken as stored
 * so much earlier.
 */
static int64_t stored_ms(const struct cache_file_reading *reading, const uint8_t *record)
{
    uint32_t ttl_s = wire_get32(record + 32);
    uint32_t floor_s = cache_settings(reading->cache)->min_ttl_s;
    int64_t longer_ms = floor_s > ttl_s ? (int64_t)(floor_s - ttl_s) * 1000 : 0;

    return reading->times.now_ms - age_ms(reading, get64(record + 24), ttl_s) - longer_ms;
}

static bool is_too_old(const struct cache_file_reading *reading, const uint8_t *record)
{
    uint32_t ttl_s = wire_get32(record + 32);
    int64_t left_ms = (int64_t)ttl_s * 1000 - age_ms(reading, get64(record + 24), ttl_s);
    int64_t stale_ms = (int64_t)cache_settings(reading->cache)->serve_stale_s * 1000;

    return left_ms + stale_ms <= 0;
}

/*
 * Make it a message again, as cache_store takes it. Returns its length, 0 when
 * it cannot be one.
 */
static size_t build_message(uint8_t *message, const uint8_t *record)
{
    uint8_t name_length = record[10];
    uint16_t body_length = wire_get16(record + 22);
    size_t question_end = WIRE_HEADER_BYTES + (size_t)name_length + QUESTION_REST;
    uint8_t *type_at = message + WIRE_QUESTION + name_length;
    unsigned flags = WIRE_QR | WIRE_RD | WIRE_RA | (record[6] & WIRE_RCODE);

    if (question_end + body_length > WIRE_MESSAGE_MAX) {
        return 0;
    }
    flags |= (record[7] & FLAG_AUTHENTIC) != 0 ? WIRE_AD : 0;
    wire_put16(message, 0);
    wire_put16(message + 2, (uint16_t)flags);
    wire_put16(message + 4, 1);
    memcpy(message + 6, record + 16, 6);
    memcpy(message + WIRE_QUESTION, record + RECORD_FIXED, name_length);
    memcpy(type_at, record + 12, QUESTION_REST);
    memcpy(message + question_end, record + RECORD_FIXED + name_length, body_length);
    return question_end + body_length;
}

/* Is the name a dname, lower case and uncompressed, of just this length? */
static bool is_dname(const uint8_t *message, size_t length, uint8_t name_length)
{
    struct wire_reader reader;
    uint8_t dname[NAME_MAX_BYTES];

    wire_reader_init(&reader, message, length);
    reader.at = WIRE_QUESTION;
    return wire_read_name(&reader, dname) == name_length &&
           reader.at == WIRE_QUESTION + (size_t)name_length &&
           memcmp(dname, message + WIRE_QUESTION, name_length) == 0;
}

/*
 * Are the counted records all there, nothing behind them, and does the answer
 * live as long as the one that lives shortest?
 */
static bool is_sound(const uint8_t *message, size_t length, size_t question_end, uint32_t ttl_s)
{
    struct wire_reader reader;
    struct wire_record record;
    uint32_t lowest_s = UINT32_MAX;
    unsigned left = 0;

    for (unsigned i = 0; i < 3; i++) {
        left += wire_get16(message + 6 + 2 * (size_t)i);
    }
    wire_reader_init(&reader, message, length);
    reader.at = question_end;
    while (left > 0 && wire_read_record(&reader, &record)) {
        lowest_s = record.ttl_s < lowest_s ? record.ttl_s : lowest_s;
        left--;
    }
    return left == 0 && reader.at == length && lowest_s == ttl_s;
}

/* Served often before, it is not to be the first to go. */
static void restore_hints(struct cache *cache, const struct cache_key *key, uint8_t asked)
{
    if (asked == 0) {
        return;
    }
    /* finding it counts as a visit */
    struct cache_entry *entry = cache_find(cache, key, cache_hash(cache, key));
    if (entry != NULL) {
        atomic_store_explicit(&entry->asked, asked, memory_order_relaxed);
    }
}

/* The checksum is right; `length` is the record's. */
static long take_answer(struct cache_file_reading *reading, const uint8_t *record, size_t length,
                        struct error *err)
{
    size_t variable = (size_t)record[10] + wire_get16(record + 22);

    if (length != RECORD_FIXED + variable + CACHE_FILE_CHECKSUM_BYTES ||
        record[5] > FORWARD_PUBLIC || record[6] > WIRE_RCODE || record[7] > FLAG_AUTHENTIC ||
        record[8] > (CACHE_DNSSEC_OK | CACHE_CHECKING_DISABLED)) {
        return error_set(err, -EINVAL, "a record that contradicts itself");
    }
    size_t size = build_message(reading->message, record);
    if (size == 0 || !is_dname(reading->message, size, record[10]) ||
        !is_sound(reading->message, size, size - wire_get16(record + 22),
                  wire_get32(record + 32))) {
        return error_set(err, -EINVAL, "a record that is no DNS answer");
    }
    struct cache_key key = {
        .dname = record + RECORD_FIXED,
        .length = record[10],
        .flags = record[8],
        .type = wire_get16(record + 12),
        .class = wire_get16(record + 14),
    };
    struct cache_answer answer = {
        .message = reading->message,
        .length = size,
        .origin = (enum forward_class)record[5],
        .stored_ms = stored_ms(reading, record),
    };
    reading->records++;
    if (!is_too_old(reading, record) && cache_store(reading->cache, &key, &answer)) {
        reading->stored++;
        restore_hints(reading->cache, &key, record[9]);
    }
    return (long)length;
}

static long take_record(struct cache_file_reading *reading, const uint8_t *bytes, size_t length,
                        struct error *err)
{
    if (length < TAG_AT + 1) {
        return 0;
    }
    uint32_t claimed = wire_get32(bytes);
    size_t least = bytes[TAG_AT] == TAG_END ? CACHE_FILE_END_BYTES : RECORD_LEAST;
    if (claimed < least || claimed > CACHE_FILE_RECORD_MOST) {
        return error_set(err, -EINVAL, "a record of %u bytes", claimed);
    }
    if (length < claimed) {
        return 0;
    }
    if (!is_whole(bytes, claimed)) {
        return error_set(err, -EINVAL, "wrong checksum of a record of %u bytes", claimed);
    }
    switch (bytes[TAG_AT]) {
    case TAG_ANSWER:
        return take_answer(reading, bytes, claimed, err);
    case TAG_END:
        return take_end(reading, bytes, claimed, err);
    default:
        return error_set(err, -EINVAL, "a record of kind %u", bytes[TAG_AT]);
    }
}

long cache_file_take(struct cache_file_reading *reading, const uint8_t *bytes, size_t length,
                     struct error *err)
{
    if (length == 0) {
        return 0;
    }
    if (reading->ended) {
        return error_set(err, -EINVAL, "more behind the end");
    }
    return reading->begun ? take_record(reading, bytes, length, err)
                          : take_header(reading, bytes, length, err);
}

int cache_file_finish(const struct cache_file_reading *reading, size_t rest, struct error *err)
{
    if (!reading->begun) {
        return error_set(err, -EINVAL, "no whole header");
    }
    if (rest > 0) {
        return error_set(err, -EINVAL, "the last record is cut short");
    }
    if (!reading->ended) {
        return error_set(err, -EINVAL, "the end is missing");
    }
    return 0;
}
