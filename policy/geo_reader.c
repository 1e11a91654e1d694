#include "policy/geo_reader.h"

#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <maxminddb.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/error.h"

#define LIBRARY      "libmaxminddb.so.0"
#define V4_BITS      32
#define V6_BITS      64 /* as much of an address as ranges tell apart */
#define DEPTH_MAX    128
#define V4_DEPTH     96      /* of ::/96, where an IPv6 tree holds IPv4 */
#define CACHE_SLOTS  16384   /* many networks share their data */
#define VISITS_EACH  16      /* of one node: writers may share subtrees, but not for ever */
#define VISITS_FIRST 100000u /* however small the tree */

struct library {
    __typeof__(MMDB_open) *open;
    __typeof__(MMDB_close) *close;
    __typeof__(MMDB_read_node) *read_node;
    __typeof__(MMDB_aget_value) *get_value;
    __typeof__(MMDB_strerror) *text_of;
};

/* Where one half of a node leads to. */
struct record {
    uint8_t type;
    uint64_t value;
    MMDB_entry_s entry;
};

struct codes {
    char country[2];
    char continent[2];
};

struct cached {
    uint64_t offset; /* of the data, plus 1; 0: nothing */
    struct codes codes;
};

struct ranges {
    struct geo_range *list;
    uint32_t count;
    uint32_t room;
};

struct reader {
    struct library library;
    MMDB_s database;
    uint64_t visits_left;
    bool knows_any;
    struct ranges *ranges; /* those being written */
    unsigned bits;         /* what they tell apart */
    uint64_t skipped;      /* a node that is another family's, or UINT64_MAX */
    struct cached cache[CACHE_SLOTS];
    struct error *err;
};

/* ---- the library ---- */

static int find_symbol(void *library, const char *name, void *out, struct error *err)
{
    void *symbol = dlsym(library, name);

    if (symbol == NULL) {
        return error_set(err, -ENOSYS, "%s has no %s", LIBRARY, name);
    }
    /* ISO C converts no pointer to data into one to a function; POSIX's have one size. */
    memcpy(out, &symbol, sizeof(symbol));
    return 0;
}

static int load(struct library *out, struct error *err)
{
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);

    if (library == NULL) {
        const char *reason = dlerror();
        return error_set(err, -ELIBACC, "no MaxMind databases without libmaxminddb0: %s",
                         reason != NULL ? reason : LIBRARY);
    }
    int rc = find_symbol(library, "MMDB_open", &out->open, err);
    rc = rc < 0 ? rc : find_symbol(library, "MMDB_close", &out->close, err);
    rc = rc < 0 ? rc : find_symbol(library, "MMDB_read_node", &out->read_node, err);
    rc = rc < 0 ? rc : find_symbol(library, "MMDB_aget_value", &out->get_value, err);
    return rc < 0 ? rc : find_symbol(library, "MMDB_strerror", &out->text_of, err);
}

/* ---- what a network's data says ---- */

static int damaged(struct reader *r, const char *what)
{
    return error_set(r->err, -EINVAL, "it is damaged: %s", what);
}

/* A code of two letters; left as it is when there is none. */
static int read_code(struct reader *r, MMDB_entry_s *entry, const char *const *path, char out[2])
{
    MMDB_entry_data_s data;
    int status = r->library.get_value(entry, &data, path);

    if (status == MMDB_LOOKUP_PATH_DOES_NOT_MATCH_DATA_ERROR) {
        return 0;
    }
    if (status != MMDB_SUCCESS) {
        return damaged(r, r->library.text_of(status));
    }
    if (!data.has_data || data.type != MMDB_DATA_TYPE_UTF8_STRING || data.data_size != 2 ||
        !isalpha((unsigned char)data.utf8_string[0]) ||
        !isalpha((unsigned char)data.utf8_string[1])) {
        return 0;
    }
    out[0] = (char)toupper((unsigned char)data.utf8_string[0]);
    out[1] = (char)toupper((unsigned char)data.utf8_string[1]);
    return 0;
}

static int read_codes(struct reader *r, MMDB_entry_s *entry, struct codes *out)
{
    static const char *const country[] = { "country", "iso_code", NULL };
    static const char *const continent[] = { "continent", "code", NULL };
    struct cached *cached = &r->cache[entry->offset % CACHE_SLOTS];

    if (cached->offset != (uint64_t)entry->offset + 1) {
        memset(cached, 0, sizeof(*cached));
        int rc = read_code(r, entry, country, cached->codes.country);
        rc = rc < 0 ? rc : read_code(r, entry, continent, cached->codes.continent);
        if (rc < 0) {
            return rc;
        }
        cached->offset = (uint64_t)entry->offset + 1;
    }
    *out = cached->codes;
    return 0;
}

/* ---- the tree ---- */

static int put_range(struct reader *r, uint64_t start, const struct codes *codes)
{
    struct ranges *to = r->ranges;
    struct geo_range range = { .start = start };

    memcpy(range.country, codes->country, sizeof(range.country));
    memcpy(range.continent, codes->continent, sizeof(range.continent));
    r->knows_any = r->knows_any || codes->country[0] != 0 || codes->continent[0] != 0;
    if (to->count > 0) {
        const struct geo_range *last = &to->list[to->count - 1];
        if (memcmp(last->country, range.country, 2) == 0 &&
            memcmp(last->continent, range.continent, 2) == 0) {
            return 0;
        }
    }
    if (to->count == GEO_RANGES_MAX) {
        return error_set(r->err, -E2BIG, "it has more than %u ranges", GEO_RANGES_MAX);
    }
    if (to->count == to->room) {
        uint32_t room = to->room == 0 ? 1024 : to->room * 2;
        struct geo_range *list = realloc(to->list, room * sizeof(*list));
        if (list == NULL) {
            return error_set(r->err, -ENOMEM, "out of memory");
        }
        to->list = list;
        to->room = room;
    }
    to->list[to->count++] = range;
    return 0;
}

static int read_node(struct reader *r, uint64_t node, struct record halves[2])
{
    MMDB_search_node_s read;

    if (r->visits_left-- == 0) {
        return damaged(r, "its tree has no end");
    }
    int status = r->library.read_node(&r->database, (uint32_t)node, &read);
    if (status != MMDB_SUCCESS) {
        return damaged(r, r->library.text_of(status));
    }
    halves[0] = (struct record){ read.left_record_type, read.left_record, read.left_record_entry };
    halves[1] =
        (struct record){ read.right_record_type, read.right_record, read.right_record_entry };
    return 0;
}

/* All below `record`, in ascending order; it is `depth` bits deep and begins at `start`. */
static int walk(struct reader *r, struct record *record, unsigned depth, uint64_t start)
{
    struct codes codes = { { 0 }, { 0 } };
    struct record halves[2];

    if (record->type == MMDB_RECORD_TYPE_DATA) {
        int rc = read_codes(r, &record->entry, &codes);
        return rc < 0 ? rc : put_range(r, start, &codes);
    }
    if (record->type == MMDB_RECORD_TYPE_EMPTY || record->value == r->skipped) {
        return put_range(r, start, &codes);
    }
    if (record->type != MMDB_RECORD_TYPE_SEARCH_NODE || depth >= DEPTH_MAX) {
        return damaged(r, "a node of its tree leads nowhere");
    }
    int rc = read_node(r, record->value, halves);
    if (rc == 0) {
        rc = walk(r, &halves[0], depth + 1, start);
    }
    if (rc == 0 && depth < r->bits) { /* deeper ones are told apart by nobody */
        rc = walk(r, &halves[1], depth + 1, start | UINT64_C(1) << (63 - depth));
    }
    return rc;
}

/* The record of ::/96, or of what is around it. */
static int find_v4(struct reader *r, struct record *out)
{
    struct record halves[2];

    for (unsigned depth = 0; depth < V4_DEPTH && out->type == MMDB_RECORD_TYPE_SEARCH_NODE;
         depth++) {
        int rc = read_node(r, out->value, halves);
        if (rc < 0) {
            return rc;
        }
        *out = halves[0];
    }
    return 0;
}

static int walk_family(struct reader *r, struct record *from, unsigned bits, uint64_t skipped,
                       struct ranges *out)
{
    r->ranges = out;
    r->bits = bits;
    r->skipped = skipped;
    return walk(r, from, 0, 0);
}

static int walk_all(struct reader *r, struct ranges ranges[ADDR_FAMILIES])
{
    struct record root = { .type = MMDB_RECORD_TYPE_SEARCH_NODE };
    struct record empty = { .type = MMDB_RECORD_TYPE_EMPTY };
    struct record v4 = root;
    bool is_v6 = r->database.metadata.ip_version == 6;
    int rc = is_v6 ? find_v4(r, &v4) : 0;

    /* IPv4 stands in an IPv6 tree once, and aliases (2002::/16 and others) lead there */
    uint64_t skipped = is_v6 && v4.type == MMDB_RECORD_TYPE_SEARCH_NODE ? v4.value : UINT64_MAX;
    if (rc == 0) {
        rc = walk_family(r, &v4, V4_BITS, UINT64_MAX, &ranges[ADDR_V4]);
    }
    if (rc == 0) {
        rc = walk_family(r, is_v6 ? &root : &empty, V6_BITS, skipped, &ranges[ADDR_V6]);
    }
    for (uint32_t i = 0; rc == 0 && i < ranges[ADDR_V4].count; i++) {
        ranges[ADDR_V4].list[i].start >>= 32;
    }
    return rc;
}

static int read_database(struct reader *r, const char *path, struct ranges ranges[ADDR_FAMILIES])
{
    errno = 0;
    int status = r->library.open(path, MMDB_MODE_MMAP, &r->database);

    if (status != MMDB_SUCCESS) {
        return error_set(r->err, -EINVAL, "%s",
                         status == MMDB_FILE_OPEN_ERROR || status == MMDB_IO_ERROR
                             ? strerror(errno)
                             : r->library.text_of(status));
    }
    r->visits_left = (uint64_t)r->database.metadata.node_count * VISITS_EACH + VISITS_FIRST;
    int rc = walk_all(r, ranges);
    if (rc == 0 && !r->knows_any) {
        rc = error_set(r->err, -EINVAL, "it tells of no country and no continent (it is a %.100s)",
                       r->database.metadata.database_type);
    }
    r->library.close(&r->database);
    return rc;
}

/* ---- the process ---- */

static int write_all(const void *bytes, size_t size)
{
    const char *at = bytes;

    while (size > 0) {
        ssize_t written = write(STDOUT_FILENO, at, size);
        if (written < 0 && errno != EINTR) {
            return -errno;
        }
        at += written > 0 ? written : 0;
        size -= written > 0 ? (size_t)written : 0;
    }
    return 0;
}

static int write_table(const struct ranges ranges[ADDR_FAMILIES], struct error *err)
{
    struct geo_head head = { .magic = GEO_MAGIC, .size = sizeof(struct geo_range) };

    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        head.counts[f] = ranges[f].count;
    }
    int rc = write_all(&head, sizeof(head));
    for (unsigned f = 0; f < ADDR_FAMILIES && rc == 0; f++) {
        rc = write_all(ranges[f].list, ranges[f].count * sizeof(struct geo_range));
    }
    return rc == 0 ? 0 : error_set(err, rc, "its table cannot be kept: %s", strerror(-rc));
}

/* It is expected to die: no core, the usual signals, and not later than its time. */
static void prepare(void)
{
    static const struct rlimit none = { 0, 0 };

    (void)setrlimit(RLIMIT_CORE, &none);
    (void)signal(SIGALRM, SIG_DFL);
    (void)alarm(GEO_SECONDS);
}

int geo_reader_run(const char *path)
{
    struct ranges ranges[ADDR_FAMILIES] = { { 0 } };
    struct error err = { 0 };
    struct reader *r = calloc(1, sizeof(*r));

    if (r == NULL) {
        return 1;
    }
    prepare();
    r->err = &err;
    int rc = load(&r->library, &err);
    rc = rc < 0 ? rc : read_database(r, path, ranges);
    rc = rc < 0 ? rc : write_table(ranges, &err);
    if (rc < 0) {
        (void)fprintf(stderr, "%s\n", err.message);
    }
    free(ranges[ADDR_V4].list);
    free(ranges[ADDR_V6].list);
    free(r);
    return rc < 0 ? GEO_EXIT_TOLD : 0;
}
