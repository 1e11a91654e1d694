#include "policy/health_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/text.h"
#include "policy/health_condition.h"
#include "policy/health_region.h"
#include "policy/health_table.h"

#define FIRST_LINE   "leeward-health 1\n"
#define FRESH_MS     600000u /* younger than this counts as it stood */
#define FILE_MOST    (256u << 20)
#define WORDS_MOST   12
#define REASON_MOST  160
#define RATE_PARTS   1000000.0f
#define RATE_HIGHEST 0.5f /* of what is lost: more is not believed */

struct restored_probe {
    struct probe_key key;
    enum probe_standing standing;
    uint64_t since_age_ms;
    uint64_t seen_age_ms;
    uint64_t recovered_age_ms; /* UINT64_MAX: it never went down */
    uint32_t hold_now_ms;
    uint32_t flaps;
    uint32_t usual_us;
    float strong_rate;
    float failed_rate;
    char *reason;
    UT_hash_handle hh;
};

struct restored_region {
    char *name;
    const char *state; /* a literal */
    uint64_t since_age_ms;
    uint64_t seen_age_ms;
    UT_hash_handle hh;
};

static const char *const standings[] = { "unknown", "up", "held", "down" };

static const char *const region_states[] = {
    "in", "lifted", "shared", "held", "gated", "drained", "forced up", "forced down",
};

static uint64_t checksum(const char *bytes, size_t length)
{
    static const struct hash_key key = { 5, 6 };

    return hash_bytes(&key, bytes, length);
}

/* ---- writing ---- */

/* A word without blanks; what would not be one is written as %XX. */
static void put_word(struct text *out, const char *word)
{
    for (const char *c = word; *c != '\0'; c++) {
        unsigned char byte = (unsigned char)*c;
        if (byte <= ' ' || byte >= 0x7f || byte == '%') {
            text_printf(out, "%%%02x", byte);
        } else {
            text_put_char(out, *c);
        }
    }
}

/* The monotonic time as civil time; it may lie before the start. */
static uint64_t wall_of(int64_t at_ms, uint64_t now_ms, uint64_t wall_ms)
{
    int64_t age = (int64_t)now_ms - at_ms;

    return age < 0 ? wall_ms : (uint64_t)age > wall_ms ? 0 : wall_ms - (uint64_t)age;
}

static unsigned parts_of(float rate)
{
    return rate <= 0 ? 0 : (unsigned)(rate * RATE_PARTS);
}

static void put_probe(const struct health *health, const struct probe_slot *slot, uint64_t now_ms,
                      uint64_t wall_ms, struct text *out)
{
    const struct detect *d = &slot->probe.detect;
    enum probe_standing standing = health_condition_probe(health, slot);
    const struct probe_key key = slot->key;
    int64_t seen = slot->probe.last_result_ms != 0 ? (int64_t)slot->probe.last_result_ms
                                                   : slot->restored_seen_ms;
    char reason[REASON_MOST];

    if (standing == PROBE_UNKNOWN) {
        return;
    }
    (void)snprintf(reason, sizeof(reason), "%s", slot->probe.reason);
    text_printf(out, "probe %016" PRIx64 "%016" PRIx64 " %s %" PRIu64 " %" PRIu64 " %u %u ", key.a,
                key.b, standings[standing], wall_of((int64_t)d->since_ms, now_ms, wall_ms),
                wall_of(seen, now_ms, wall_ms), d->hold_now_ms, detect_flaps(d, now_ms));
    text_printf(out, "%" PRIu64 " %u %u %u ",
                d->recovered_ms == 0 ? 0 : wall_of((int64_t)d->recovered_ms, now_ms, wall_ms),
                d->usual_us, parts_of(d->evidence.strong_rate), parts_of(d->evidence.failed_rate));
    put_word(out, reason);
    text_put_char(out, '\n');
}

static void put_region(const struct region_slot *region, uint64_t now_ms, uint64_t wall_ms,
                       struct text *out)
{
    text_put(out, "region ");
    put_word(out, region->name);
    text_put_char(out, ' ');
    put_word(out, region->told);
    text_printf(out, " %" PRIu64 " %" PRIu64 "\n",
                wall_of((int64_t)region->since_ms, now_ms, wall_ms), wall_ms);
}

void health_file_render(const struct health *health, uint64_t now_ms, uint64_t wall_ms,
                        struct text *out)
{
    text_put(out, FIRST_LINE);
    for (size_t i = 0; i < health->probe_count; i++) {
        if (health->probes[i]->probe.used) {
            put_probe(health, health->probes[i], now_ms, wall_ms, out);
        }
    }
    for (const struct region_slot *r = health->regions; r != NULL; r = r->hh.next) {
        if (r->active && r->since_ms != 0) {
            put_region(r, now_ms, wall_ms, out);
        }
    }
}

void health_file_put_good(struct text *out, const struct health_good *good)
{
    text_put(out, "good ");
    put_word(out, good->service);
    text_put(out, good->family == ADDR_V4 ? " 4 " : " 6 ");
    put_word(out, good->region);
    for (size_t i = 0; i < good->address_count && i < HEALTH_FILE_GOOD_MAX; i++) {
        char address[ADDR_TEXT_MAX];
        if (good->addresses[i].port == 0) {
            addr_format(&good->addresses[i], address, sizeof(address));
        } else {
            addr_format_port(&good->addresses[i], address, sizeof(address));
        }
        text_put_char(out, i == 0 ? ' ' : ',');
        put_word(out, address);
    }
    text_put_char(out, '\n');
}

void health_file_finish(struct text *out)
{
    size_t lines = 0;

    for (size_t i = 0; i < out->length; i++) {
        lines += out->bytes[i] == '\n';
    }
    uint64_t sum = checksum(text_string(out), out->length);
    text_printf(out, "end %zu %016" PRIx64 "\n", lines, sum);
}

int health_file_write(const char *path, const char *bytes, size_t length, struct error *err)
{
    return file_replace(path, bytes, length, err);
}

/* ---- reading ---- */

struct reader {
    struct health *health;
    uint64_t wall_ms;
    bool counts; /* else lines are only checked */
    health_file_good *good;
    void *user;
};

/* Split a line at its blanks, in place. Returns the number of words. */
static size_t split(char *line, char *words[WORDS_MOST])
{
    size_t count = 0;
    char *rest = line;

    while (rest != NULL && count < WORDS_MOST) {
        words[count++] = rest;
        rest = strchr(rest, ' ');
        if (rest != NULL) {
            *rest++ = '\0';
        }
    }
    return rest == NULL ? count : WORDS_MOST + 1;
}

/* Undo put_word, in place. */
static bool decode_word(char *word)
{
    char *to = word;

    for (const char *c = word; *c != '\0'; c++) {
        if (*c != '%') {
            *to++ = *c;
            continue;
        }
        char hex[3] = { c[1], c[1] == '\0' ? '\0' : c[2], '\0' };
        char *end;
        unsigned long byte = strtoul(hex, &end, 16);
        if (end != hex + 2 || byte == 0) {
            return false;
        }
        *to++ = (char)byte;
        c += 2;
    }
    *to = '\0';
    return true;
}

static bool read_number(const char *word, int base, uint64_t most, uint64_t *out)
{
    char *end;

    if (word[0] == '\0' || word[0] == '-' || word[0] == '+' || word[0] == ' ') {
        return false;
    }
    errno = 0;
    unsigned long long number = strtoull(word, &end, base);
    *out = number;
    return errno == 0 && *end == '\0' && number <= most;
}

/* Civil time may have jumped: what lies a little in the future is new, what lies far is old. */
static uint64_t age_of(uint64_t at_ms, uint64_t wall_ms)
{
    if (at_ms <= wall_ms) {
        return wall_ms - at_ms;
    }
    return at_ms - wall_ms < FRESH_MS ? 0 : UINT64_MAX;
}

static bool read_key(const char *word, struct probe_key *out)
{
    char half[17] = { 0 };

    if (strlen(word) != 32) {
        return false;
    }
    memcpy(half, word, 16);
    return read_number(half, 16, UINT64_MAX, &out->a) &&
           read_number(word + 16, 16, UINT64_MAX, &out->b);
}

static bool read_standing(const char *word, enum probe_standing *out)
{
    for (unsigned i = PROBE_UP; i <= PROBE_DOWN; i++) {
        if (strcmp(word, standings[i]) == 0) {
            *out = (enum probe_standing)i;
            return true;
        }
    }
    return false;
}

static void add_probe(struct health *health, const struct restored_probe *from)
{
    struct restored_probe *known = NULL;

    HASH_FIND(hh, health->restored, &from->key, sizeof(from->key), known);
    if (known == NULL) {
        struct restored_probe *probe = health_table_get(1, sizeof(*probe));
        *probe = *from;
        probe->reason = health_table_copy(from->reason);
        HASH_ADD(hh, health->restored, key, sizeof(probe->key), probe);
    }
}

/* probe KEY STATE SINCE SEEN HOLD FLAPS RECOVERED USUAL STRONG FAILED REASON */
static bool read_probe(const struct reader *reader, char *words[WORDS_MOST], size_t count)
{
    struct restored_probe probe = { 0 };
    uint64_t n[8];

    if (count != 12 || !read_key(words[1], &probe.key) ||
        !read_standing(words[2], &probe.standing) || !decode_word(words[11])) {
        return false;
    }
    for (unsigned i = 0; i < 8; i++) {
        bool is_time = i == 0 || i == 1 || i == 4;
        if (!read_number(words[3 + i], 10, is_time ? INT64_MAX : UINT32_MAX, &n[i])) {
            return false;
        }
    }
    probe.since_age_ms = age_of(n[0], reader->wall_ms);
    probe.seen_age_ms = age_of(n[1], reader->wall_ms);
    probe.hold_now_ms = (uint32_t)n[2];
    probe.flaps = (uint32_t)n[3];
    probe.recovered_age_ms = n[4] == 0 ? UINT64_MAX : age_of(n[4], reader->wall_ms);
    probe.usual_us = (uint32_t)n[5];
    probe.strong_rate = (float)n[6] / RATE_PARTS;
    probe.failed_rate = (float)n[7] / RATE_PARTS;
    probe.reason = words[11];
    if (reader->counts) {
        add_probe(reader->health, &probe);
    }
    return true;
}

static const char *region_state_of(const char *word)
{
    for (size_t i = 0; i < sizeof(region_states) / sizeof(region_states[0]); i++) {
        if (strcmp(word, region_states[i]) == 0) {
            return region_states[i];
        }
    }
    return NULL;
}

/* region NAME STATE SINCE SEEN */
static bool read_region(const struct reader *reader, char *words[WORDS_MOST], size_t count)
{
    struct restored_region *known = NULL;
    uint64_t since, seen;

    if (count != 5 || !decode_word(words[1]) || !decode_word(words[2]) ||
        region_state_of(words[2]) == NULL || !read_number(words[3], 10, INT64_MAX, &since) ||
        !read_number(words[4], 10, INT64_MAX, &seen)) {
        return false;
    }
    HASH_FIND_STR(reader->health->restored_regions, words[1], known);
    if (reader->counts && known == NULL) {
        struct restored_region *region = health_table_get(1, sizeof(*region));
        region->name = health_table_copy(words[1]);
        region->state = region_state_of(words[2]);
        region->since_age_ms = age_of(since, reader->wall_ms);
        region->seen_age_ms = age_of(seen, reader->wall_ms);
        HASH_ADD_KEYPTR(hh, reader->health->restored_regions, region->name, strlen(region->name),
                        region);
    }
    return true;
}

/* good SERVICE FAMILY REGION ADDRESS,ADDRESS */
static bool read_good(const struct reader *reader, char *words[WORDS_MOST], size_t count)
{
    struct addr addresses[HEALTH_FILE_GOOD_MAX];
    struct health_good good = { .addresses = addresses };
    struct error err;

    if (count < 4 || count > 5 || !decode_word(words[1]) || !decode_word(words[3]) ||
        (strcmp(words[2], "4") != 0 && strcmp(words[2], "6") != 0)) {
        return false;
    }
    good.service = words[1];
    good.family = words[2][0] == '4' ? ADDR_V4 : ADDR_V6;
    good.region = words[3];
    char *rest = count == 5 ? words[4] : NULL;
    while (rest != NULL) {
        char *word = rest;
        rest = strchr(word, ',');
        if (rest != NULL) {
            *rest++ = '\0';
        }
        if (good.address_count == HEALTH_FILE_GOOD_MAX || !decode_word(word) ||
            addr_parse(word, 0, &addresses[good.address_count], &err) < 0 ||
            addresses[good.address_count].family != good.family) {
            return false;
        }
        good.address_count++;
    }
    if (reader->counts && reader->good != NULL) {
        reader->good(reader->user, &good);
    }
    return true;
}

static bool read_line(const struct reader *reader, char *line)
{
    char *words[WORDS_MOST];
    size_t count = split(line, words);

    if (strcmp(words[0], "probe") == 0) {
        return read_probe(reader, words, count);
    }
    if (strcmp(words[0], "region") == 0) {
        return read_region(reader, words, count);
    }
    return strcmp(words[0], "good") == 0 && read_good(reader, words, count);
}

/* The lines between the first and the last; 0, or the number of the line that is wrong. */
static unsigned read_lines(const struct reader *reader, const char *bytes, size_t length)
{
    struct text line = { 0 };
    unsigned number = 1;
    unsigned wrong = 0;
    const char *end = bytes + length;

    while (bytes < end && wrong == 0) {
        const char *stop = memchr(bytes, '\n', (size_t)(end - bytes));
        number++;
        line.length = 0;
        text_put_bytes(&line, bytes, (size_t)(stop - bytes));
        text_put_char(&line, '\0');
        wrong = text_failed(&line) || !read_line(reader, line.bytes) ? number : 0;
        bytes = stop + 1;
    }
    text_fini(&line);
    return wrong;
}

/* Is the file whole? Then `*out_length` are its bytes before the last line. */
static bool is_whole(const char *bytes, size_t length, size_t *out_length)
{
    size_t first = strlen(FIRST_LINE);
    uint64_t lines, sum;
    size_t found = 0;
    char last[64];
    char *words[WORDS_MOST];

    if (length < first || memcmp(bytes, FIRST_LINE, first) != 0 || bytes[length - 1] != '\n' ||
        memchr(bytes, '\0', length) != NULL) {
        return false;
    }
    size_t at = length - 1;
    while (at > 0 && bytes[at - 1] != '\n') {
        at--;
    }
    if (length - 1 - at >= sizeof(last)) {
        return false;
    }
    memcpy(last, bytes + at, length - 1 - at);
    last[length - 1 - at] = '\0';
    for (size_t i = 0; i < at; i++) {
        found += bytes[i] == '\n';
    }
    *out_length = at;
    return split(last, words) == 3 && strcmp(words[0], "end") == 0 &&
           read_number(words[1], 10, UINT64_MAX, &lines) && lines == found &&
           read_number(words[2], 16, UINT64_MAX, &sum) && sum == checksum(bytes, at);
}

int health_file_take(struct health *health, const char *bytes, size_t length, uint64_t now_ms,
                     uint64_t wall_ms, health_file_good *good, void *user, struct error *err)
{
    struct reader reader = { health, wall_ms, false, good, user };
    size_t first = strlen(FIRST_LINE);
    size_t whole;

    (void)now_ms;
    if (!is_whole(bytes, length, &whole) || whole < first) {
        return error_set(err, -EBADMSG, "not a whole file of health");
    }
    unsigned wrong = read_lines(&reader, bytes + first, whole - first);
    if (wrong != 0) {
        return error_set(err, -EBADMSG, "line %u is not one of a file of health", wrong);
    }
    reader.counts = true;
    (void)read_lines(&reader, bytes + first, whole - first);
    return 0;
}

/* Nothing is lost: who wants to know what was wrong finds it beside. */
static int set_aside(const char *path, struct error *err)
{
    struct text aside = { 0 };
    struct error why = *err;

    text_printf(&aside, "%s.damaged", path);
    if (text_failed(&aside) || rename(path, text_string(&aside)) != 0) {
        (void)error_set_at(err, why.code, path, 0, 0, "%s; it could not be set aside: %s",
                           why.message, strerror(errno));
    } else {
        (void)error_set_at(err, why.code, path, 0, 0, "%s; set aside as %s", why.message,
                           text_string(&aside));
    }
    error_hint(err, "the start goes on without it; checks find out anew");
    text_fini(&aside);
    return err->code;
}

int health_file_read(struct health *health, const char *path, uint64_t now_ms, uint64_t wall_ms,
                     health_file_good *good, void *user, struct error *err)
{
    char *bytes;
    size_t length;
    int rc = file_read(path, FILE_MOST, &bytes, &length, err);

    if (rc == -ENOENT) {
        return 0;
    }
    if (rc == -EFBIG) {
        return set_aside(path, err);
    }
    if (rc < 0) {
        return rc;
    }
    rc = health_file_take(health, bytes, length, now_ms, wall_ms, good, user, err);
    free(bytes);
    return rc < 0 ? set_aside(path, err) : 0;
}

/* ---- giving it to the slots ---- */

static uint64_t ago(uint64_t now_ms, uint64_t age_ms)
{
    return age_ms < now_ms ? now_ms - age_ms : 1; /* 0 means never */
}

static float believed(float rate)
{
    return rate > RATE_HIGHEST ? RATE_HIGHEST : rate;
}

/* How it flaps, answers and loses stays true for longer than how it stood. */
static void restore_habits(struct detect *d, const struct restored_probe *from, uint64_t now_ms)
{
    uint32_t most = d->timing.hold_down_max_ms > d->timing.hold_down_ms ? d->timing.hold_down_max_ms
                                                                        : d->timing.hold_down_ms;

    if (from->recovered_age_ms != UINT64_MAX) {
        d->recovered_ms = ago(now_ms, from->recovered_age_ms);
        d->hold_now_ms = from->hold_now_ms > most                     ? most
                         : from->hold_now_ms < d->timing.hold_down_ms ? d->timing.hold_down_ms
                                                                      : from->hold_now_ms;
        d->flaps = from->flaps;
    }
    uint32_t longest =
        d->timing.timeout_ms < UINT32_MAX / 1000 ? d->timing.timeout_ms * 1000 : UINT32_MAX;
    d->usual_us = from->usual_us < longest ? from->usual_us : longest;
    d->evidence.strong_rate = believed(from->strong_rate);
    d->evidence.failed_rate = believed(from->failed_rate);
}

void health_file_restore(struct health *health, struct probe_slot *slot, uint64_t now_ms)
{
    struct restored_probe *found = NULL;

    if (health->restored == NULL) {
        return;
    }
    const struct probe_key key = slot->key;
    HASH_FIND(hh, health->restored, &key, sizeof(key), found);
    if (found == NULL || found->seen_age_ms == UINT64_MAX) {
        return;
    }
    restore_habits(&slot->probe.detect, found, now_ms);
    if (found->seen_age_ms < FRESH_MS) {
        slot->restored = found->standing;
        slot->restored_seen_ms = (int64_t)now_ms - (int64_t)found->seen_age_ms;
        slot->probe.detect.since_ms = ago(now_ms, found->since_age_ms);
        health_probe_set_reason(&slot->probe, found->reason);
    }
}

void health_file_restore_region(struct health *health, struct region_slot *region, uint64_t now_ms)
{
    struct restored_region *found = NULL;

    HASH_FIND_STR(health->restored_regions, region->name, found);
    if (found != NULL && found->seen_age_ms < FRESH_MS) {
        region->told = found->state;
        region->since_ms = ago(now_ms, found->since_age_ms);
    }
}

void health_file_forget(struct health *health)
{
    struct restored_probe *probe, *next;
    struct restored_region *region, *next_region;

    HASH_ITER(hh, health->restored, probe, next)
    {
        HASH_DEL(health->restored, probe);
        free(probe->reason);
        free(probe);
    }
    HASH_ITER(hh, health->restored_regions, region, next_region)
    {
        HASH_DEL(health->restored_regions, region);
        free(region->name);
        free(region);
    }
}
