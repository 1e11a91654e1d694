#include "resolver/hosts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "resolver/forward/builder.h"
#include "zones/name.h"
#include "zones/wire.h"

#define TTL_S       60 /* a change of the file is seen as soon as it is read again */
#define LINES_TOLD  5  /* bad lines named in the log; the rest is counted */
#define FACTS_MOST  256 /* of one name: no message holds more, and a blocklist has one address */
#define WORD_ENDS   " \t\r\n"

/* One thing said of a name: an address, or (of a reverse name) a name. */
struct fact {
    const struct fact *next; /* of the same name, in the order written */
    struct addr address;
    const uint8_t *target; /* NULL: the address counts */
};

struct host {
    const uint8_t *dname;
    uint32_t length;
    uint32_t count; /* of facts */
    const struct fact *first;
    struct fact *last;
};

struct hosts {
    struct arena *arena;
    struct hash_key key;
    uint64_t digest; /* of the file */
    struct host *hosts;
    size_t count;
    uint32_t *slots; /* index + 1; open addressing */
    size_t slot_count;
};

/* ---- the table ---- */

static size_t slot_of(const struct hosts *hosts, const uint8_t *dname, size_t length)
{
    size_t at = hash_bytes(&hosts->key, dname, length) & (hosts->slot_count - 1);

    while (hosts->slots[at] != 0) {
        const struct host *host = &hosts->hosts[hosts->slots[at] - 1];
        if (host->length == length && memcmp(host->dname, dname, length) == 0) {
            break;
        }
        at = (at + 1) & (hosts->slot_count - 1);
    }
    return at;
}

static void grow(struct hosts *hosts)
{
    hosts->slot_count = hosts->slot_count == 0 ? 64 : hosts->slot_count * 2;
    hosts->slots = arena_array(hosts->arena, hosts->slot_count, sizeof(*hosts->slots));
    for (size_t i = 0; i < hosts->count; i++) {
        const struct host *host = &hosts->hosts[i];
        hosts->slots[slot_of(hosts, host->dname, host->length)] = (uint32_t)i + 1;
    }
}

static struct host *find_or_add(struct hosts *hosts, const uint8_t *dname)
{
    size_t length = name_length(dname);

    if ((hosts->count + 1) * 2 > hosts->slot_count) {
        grow(hosts);
    }
    size_t at = slot_of(hosts, dname, length);
    if (hosts->slots[at] != 0) {
        return &hosts->hosts[hosts->slots[at] - 1];
    }
    hosts->hosts = arena_grow(hosts->arena, hosts->hosts, hosts->count, sizeof(*hosts->hosts));
    struct host *host = &hosts->hosts[hosts->count++];
    *host = (struct host){ .dname = arena_copy(hosts->arena, dname, length),
                            .length = (uint32_t)length };
    hosts->slots[at] = (uint32_t)hosts->count;
    return host;
}

static void add_fact(struct hosts *hosts, const uint8_t *dname, const struct addr *address,
                     const uint8_t *target)
{
    struct host *host = find_or_add(hosts, dname);

    if (host->count == FACTS_MOST) {
        return;
    }
    for (const struct fact *f = host->first; f != NULL; f = f->next) {
        if (target == NULL ? addr_equal(&f->address, address) : name_equal(f->target, target)) {
            return;
        }
    }
    struct fact *fact = arena_alloc(hosts->arena, sizeof(*fact));
    fact->address = *address;
    fact->target = target;
    if (host->last == NULL) {
        host->first = fact;
    } else {
        host->last->next = fact;
    }
    host->last = fact;
    host->count++;
}

/* ---- the file ---- */

static void reverse_name(const struct addr *address, uint8_t out[NAME_MAX_BYTES])
{
    char text[128] = "";
    size_t at = 0;
    struct error ignored;

    for (size_t i = addr_size_bytes(address); i > 0; i--) {
        unsigned byte = address->bytes[i - 1];
        int size = address->family == ADDR_V4
                       ? snprintf(text + at, sizeof(text) - at, "%u.", byte)
                       : snprintf(text + at, sizeof(text) - at, "%x.%x.", byte & 15, byte >> 4);
        at += (size_t)size;
    }
    (void)snprintf(text + at, sizeof(text) - at, "%s",
                   address->family == ADDR_V4 ? "in-addr.arpa" : "ip6.arpa");
    REQUIRE(name_parse(text, out, &ignored) > 0);
}

/* One line: an address and its names. False when something in it cannot be read. */
static bool read_line(struct hosts *hosts, char *line)
{
    uint8_t dname[NAME_MAX_BYTES];
    uint8_t reverse[NAME_MAX_BYTES];
    struct addr address;
    struct error ignored;
    char *rest = NULL;
    bool first = true;
    bool good = true;

    line[strcspn(line, "#")] = '\0';
    char *word = strtok_r(line, WORD_ENDS, &rest);
    if (word == NULL) {
        return true;
    }
    if (addr_parse(word, 0, &address, &ignored) < 0 || address.port != 0) {
        return false;
    }
    reverse_name(&address, reverse);
    while ((word = strtok_r(NULL, WORD_ENDS, &rest)) != NULL) {
        if (name_parse(word, dname, &ignored) <= 1) {
            good = false;
            continue;
        }
        add_fact(hosts, dname, &address, NULL);
        if (first) { /* the canonical name comes first: hosts(5) */
            add_fact(hosts, reverse, &address, find_or_add(hosts, dname)->dname);
            first = false;
        }
    }
    return good && !first;
}

static void read_lines(struct hosts *hosts, const char *path, char *text, size_t length)
{
    const char *end = text + length;
    unsigned number = 0;
    unsigned bad = 0;

    for (char *line = text; line != NULL;) {
        char *next = memchr(line, '\n', (size_t)(end - line));
        if (next != NULL) {
            *next++ = '\0';
        }
        number++;
        if (!read_line(hosts, line) && bad++ < LINES_TOLD) {
            log_event(LOG_WARNING, "hosts line not understood", "place=%s:%u hint=%s", path, number,
                      "write an address and the names it has");
        }
        line = next;
    }
    if (bad > LINES_TOLD) {
        log_event(LOG_WARNING, "more hosts lines not understood", "file=%s lines=%u", path,
                  bad - LINES_TOLD);
    }
}

int hosts_read(struct arena *arena, const char *path, const struct hosts **out, struct error *err)
{
    static const struct hash_key plain = { 1, 2 }; /* only to compare files with */
    char *text;
    size_t length;

    int rc = file_read(path, HOSTS_FILE_MOST, &text, &length, err);
    if (rc < 0) {
        return rc;
    }
    struct hosts *hosts = arena_alloc(arena, sizeof(*hosts));
    hosts->arena = arena;
    hosts->key = hash_key_random();
    hosts->digest = hash_bytes(&plain, text, length) | 1; /* 0 is none */
    grow(hosts);
    read_lines(hosts, path, text, length);
    free(text);
    *out = hosts;
    return 0;
}

/* ---- answers ---- */

static bool is_asked_for(const struct fact *fact, uint16_t asked, uint16_t *out_type)
{
    *out_type = fact->target != NULL               ? WIRE_PTR
                : fact->address.family == ADDR_V4 ? WIRE_A
                                                   : WIRE_AAAA;
    return asked == *out_type || asked == WIRE_ANY;
}

size_t hosts_answer(const struct hosts *hosts, const struct forward_question *question,
                    const uint8_t *dname, uint8_t *out)
{
    uint8_t asked[WIRE_QUESTION_BYTES];
    struct builder b;
    uint16_t type;

    if (hosts == NULL || question->class != WIRE_IN) {
        return 0;
    }
    uint32_t index = hosts->slots[slot_of(hosts, dname, question->name_length)];
    if (index == 0) {
        return 0;
    }
    memcpy(asked, question->name, question->name_length);
    wire_put16(asked + question->name_length, question->type);
    wire_put16(asked + question->name_length + 2, question->class);
    builder_init(&b, out, HOSTS_MESSAGE_MAX, asked, question->name_length + 4u);
    for (const struct fact *f = hosts->hosts[index - 1].first; f != NULL; f = f->next) {
        if (!is_asked_for(f, question->type, &type)) {
            continue;
        }
        struct builder before = b;
        size_t mark = builder_begin_record(&b, BUILDER_ANSWER, dname, type, WIRE_IN, TTL_S);
        if (f->target != NULL) {
            builder_put_name(&b, f->target, true);
        } else {
            builder_put_bytes(&b, f->address.bytes, addr_size_bytes(&f->address));
        }
        builder_end_record(&b, mark);
        if (b.full) { /* a name with hundreds of addresses: as many as fit */
            b = before;
            break;
        }
    }
    return builder_finish(&b, WIRE_QR | WIRE_RD | WIRE_RA);
}

bool hosts_has(const struct hosts *hosts, const uint8_t *dname)
{
    return hosts != NULL && hosts->slots[slot_of(hosts, dname, name_length(dname))] != 0;
}

uint64_t hosts_digest(const struct hosts *hosts)
{
    return hosts == NULL ? 0 : hosts->digest;
}
