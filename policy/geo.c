#include "policy/geo.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "policy/geo_reader.h"
#include "policy/model.h"
#include "zones/wire.h"

#define LETTERS     26
#define CODES       (LETTERS * LETTERS)
#define INDEX_SLOTS 65536u /* by the first two bytes of an IPv4 address */
#define INDEX_FROM  2048u  /* ranges from which on it is worth its 256 KiB */
#define SAID_MAX    256
#define FD_MIN      3 /* above those that the start of the reader rearranges */
#define GRACE_MS    2000u /* the reader ends itself; this is for one that cannot */
#define LOOK_MS     50u   /* between two looks whether it is still wanted */
#define HINT        "take the database anew, e.g. with geoipupdate, or remove it from clients"

/* Which file it was. */
struct stamp {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified;
};

struct geo {
    const char *file;
    struct stamp stamp;
    const uint16_t *lists; /* of each entry of the model, as written in `entries` */
    const struct model_country *entries;
    size_t entry_count;
    const uint32_t *v4_starts;
    const uint64_t *v6_starts;
    const uint16_t *values[ADDR_FAMILIES];
    uint32_t counts[ADDR_FAMILIES];
    const uint32_t *index; /* the range of each first address; NULL: few ranges */
};

/* What each code leads to: 0 or 1 + the index of an entry. */
struct decoder {
    uint16_t countries[CODES];
    uint16_t continents[CODES];
};

/* The reader's process while it is at work. */
struct reading {
    int table;  /* memory it writes to */
    int line;   /* what it has to say, and its end */
    pid_t pid;
    char text[SAID_MAX];
    size_t size;
};

static atomic_bool is_stopped;

void geo_stop(void)
{
    atomic_store(&is_stopped, true);
}

/* ---- starting the reader ---- */

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
        *fd = -1;
    }
}

static int move_up(int fd)
{
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, FD_MIN);
    int rc = moved < 0 ? -errno : moved;

    (void)close(fd);
    return rc;
}

static int spawn_reader(const char *file, int table, int line, pid_t *out)
{
    char *arguments[] = { (char *)(uintptr_t) "leeward", (char *)(uintptr_t)GEO_COMMAND,
                          (char *)(uintptr_t)file, NULL };
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;

    (void)sigemptyset(&none);
    int rc = posix_spawn_file_actions_init(&actions);
    if (rc != 0) {
        return -rc;
    }
    rc = posix_spawnattr_init(&attributes);
    if (rc == 0) {
        (void)posix_spawnattr_setsigmask(&attributes, &none);
        (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
        (void)posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
        (void)posix_spawn_file_actions_adddup2(&actions, table, STDOUT_FILENO);
        (void)posix_spawn_file_actions_adddup2(&actions, line, STDERR_FILENO);
        (void)posix_spawn_file_actions_addclosefrom_np(&actions, FD_MIN);
        rc = posix_spawn(out, "/proc/self/exe", &actions, &attributes, arguments, environ);
        (void)posix_spawnattr_destroy(&attributes);
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    return -rc;
}

static int start(const char *file, struct reading *out)
{
    int pair[2] = { -1, -1 };
    int fd = memfd_create("leeward-geo", MFD_CLOEXEC);
    int rc = fd < 0 ? -errno : 0;

    *out = (struct reading){ .table = -1, .line = -1 };
    if (rc == 0) {
        rc = out->table = move_up(fd);
    }
    if (rc >= 0 && pipe2(pair, O_CLOEXEC) < 0) {
        rc = -errno;
    }
    if (rc >= 0) {
        rc = out->line = move_up(pair[0]);
        int told = move_up(pair[1]);
        rc = rc < 0 ? rc : told < 0 ? told : spawn_reader(file, out->table, told, &out->pid);
        close_fd(&told);
    }
    if (rc < 0) {
        close_fd(&out->table);
        close_fd(&out->line);
    }
    return rc < 0 ? rc : 0;
}

/* ---- waiting for it ---- */

/* False when it is not at its end at that time. */
static bool listen_to(struct reading *r, uint64_t deadline_ms)
{
    struct pollfd ready = { .fd = r->line, .events = POLLIN };
    char dropped[512];

    for (;;) {
        uint64_t now_ms = clock_now_ms();
        if (now_ms >= deadline_ms || atomic_load(&is_stopped)) {
            return false;
        }
        uint64_t rest_ms = deadline_ms - now_ms;
        if (poll(&ready, 1, (int)(rest_ms < LOOK_MS ? rest_ms : LOOK_MS)) <= 0) {
            continue; /* interrupted, or nothing yet */
        }
        size_t room = sizeof(r->text) - 1 - r->size;
        char *to = room > 0 ? r->text + r->size : dropped;
        ssize_t size = read(r->line, to, room > 0 ? room : sizeof(dropped));
        if (size == 0 || (size < 0 && errno != EINTR)) {
            return true;
        }
        r->size += room > 0 && size > 0 ? (size_t)size : 0;
    }
}

/* The first line, nothing but what can be printed. */
static const char *line_of(struct reading *r)
{
    r->text[r->size] = '\0';
    r->text[strcspn(r->text, "\n")] = '\0';
    for (char *c = r->text; *c != '\0'; c++) {
        *c = *c < ' ' || *c > '~' ? '?' : *c;
    }
    return r->text;
}

static int judge(struct reading *r, bool in_time, int status, struct error *err)
{
    if (atomic_load(&is_stopped)) {
        return error_set(err, -ECANCELED, "the server is stopping");
    }
    if (!in_time || (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)) {
        return error_set(err, -ETIMEDOUT, "reading it takes more than %d s", GEO_SECONDS);
    }
    if (WIFSIGNALED(status)) {
        return error_set(err, -EINVAL, "it is damaged: who reads it dies (%s)",
                         strsignal(WTERMSIG(status)));
    }
    if (WEXITSTATUS(status) == GEO_EXIT_TOLD) {
        return error_set(err, -EINVAL, "%s", line_of(r));
    }
    if (WEXITSTATUS(status) != 0) {
        return error_set(err, -EINVAL, "who reads it ends with exit code %d: %.160s",
                         WEXITSTATUS(status), line_of(r));
    }
    return 0;
}

static int finish(struct reading *r, struct error *err)
{
    int status = 0;
    bool in_time = listen_to(r, clock_now_ms() + GEO_SECONDS * 1000u + GRACE_MS);

    if (!in_time) {
        (void)kill(r->pid, SIGKILL);
    }
    while (waitpid(r->pid, &status, 0) < 0) {
        if (errno != EINTR) {
            return error_set(err, -errno, "who reads it is lost: %s", strerror(errno));
        }
    }
    return judge(r, in_time, status, err);
}

/* ---- its table ---- */

static unsigned code_at(const char code[2])
{
    return (unsigned)(code[0] - 'A') * LETTERS + (unsigned)(code[1] - 'A');
}

static bool is_code(const char code[2])
{
    return code[0] >= 'A' && code[0] <= 'Z' && code[1] >= 'A' && code[1] <= 'Z';
}

static bool is_known(const char code[2])
{
    return code[0] != '\0' || code[1] != '\0';
}

/* Zeroes or letters, and in ascending order from 0: whatever the file was, that holds. */
static bool is_sound(const struct geo_range *ranges, uint32_t count, uint64_t most)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct geo_range *range = &ranges[i];
        if (range->start > most || (i == 0 ? range->start != 0
                                           : range->start <= ranges[i - 1].start) ||
            (is_known(range->country) && !is_code(range->country)) ||
            (is_known(range->continent) && !is_code(range->continent))) {
            return false;
        }
    }
    return count > 0;
}

static uint16_t decode(const struct decoder *decoder, const struct geo_range *range)
{
    uint16_t value = 0;

    if (is_known(range->country)) {
        value = decoder->countries[code_at(range->country)];
    }
    if (value == 0 && is_known(range->continent)) {
        value = decoder->continents[code_at(range->continent)];
    }
    return value;
}

static void make_decoder(const struct geo *geo, struct decoder *out)
{
    memset(out, 0, sizeof(*out));
    for (size_t i = 0; i < geo->entry_count; i++) {
        const struct model_country *entry = &geo->entries[i];
        (entry->is_continent ? out->continents : out->countries)[code_at(entry->code)] =
            geo->lists[i];
    }
}

/* Keep one family's ranges; those that lead to the same are one. */
static void keep(struct geo *geo, unsigned family, const struct geo_range *ranges, uint32_t count,
                 const struct decoder *decoder, struct arena *arena)
{
    uint32_t kept = 0;
    uint16_t last = 0;

    for (uint32_t i = 0; i < count; i++) {
        uint16_t value = decode(decoder, &ranges[i]);
        kept += i == 0 || value != last;
        last = value;
    }
    uint32_t *v4 = family == ADDR_V4 ? arena_array(arena, kept, sizeof(*v4)) : NULL;
    uint64_t *v6 = family == ADDR_V6 ? arena_array(arena, kept, sizeof(*v6)) : NULL;
    uint16_t *values = arena_array(arena, kept, sizeof(*values));
    kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint16_t value = decode(decoder, &ranges[i]);
        if (i > 0 && value == last) {
            continue;
        }
        if (v4 != NULL) {
            v4[kept] = (uint32_t)ranges[i].start;
        } else {
            v6[kept] = ranges[i].start;
        }
        values[kept++] = last = value;
    }
    geo->v4_starts = v4 != NULL ? v4 : geo->v4_starts;
    geo->v6_starts = v6 != NULL ? v6 : geo->v6_starts;
    geo->values[family] = values;
    geo->counts[family] = kept;
}

static void make_index(struct geo *geo, struct arena *arena)
{
    if (geo->counts[ADDR_V4] < INDEX_FROM) {
        return;
    }
    uint32_t *index = arena_array(arena, INDEX_SLOTS + 1, sizeof(*index));
    uint32_t at = 0;
    for (uint32_t slot = 0; slot < INDEX_SLOTS; slot++) {
        while (at + 1 < geo->counts[ADDR_V4] && geo->v4_starts[at + 1] <= slot << 16) {
            at++;
        }
        index[slot] = at;
    }
    index[INDEX_SLOTS] = geo->counts[ADDR_V4] - 1;
    geo->index = index;
}

static int keep_all(struct geo *geo, const void *table, size_t size, struct arena *arena)
{
    const struct geo_head *head = table;
    const struct geo_range *ranges = (const struct geo_range *)(head + 1);
    struct decoder decoder;

    if (size < sizeof(*head) || head->magic != GEO_MAGIC || head->size != sizeof(*ranges) ||
        head->counts[ADDR_V4] > GEO_RANGES_MAX || head->counts[ADDR_V6] > GEO_RANGES_MAX ||
        size != sizeof(*head) +
                    ((size_t)head->counts[ADDR_V4] + head->counts[ADDR_V6]) * sizeof(*ranges)) {
        return -EINVAL;
    }
    const struct geo_range *v6 = ranges + head->counts[ADDR_V4];
    if (!is_sound(ranges, head->counts[ADDR_V4], UINT32_MAX) ||
        !is_sound(v6, head->counts[ADDR_V6], UINT64_MAX)) {
        return -EINVAL;
    }
    make_decoder(geo, &decoder);
    keep(geo, ADDR_V4, ranges, head->counts[ADDR_V4], &decoder, arena);
    keep(geo, ADDR_V6, v6, head->counts[ADDR_V6], &decoder, arena);
    make_index(geo, arena);
    return 0;
}

static int take_table(struct geo *geo, int fd, struct arena *arena, struct error *err)
{
    struct stat found;

    if (fstat(fd, &found) < 0 || found.st_size <= 0) {
        return error_set(err, -EINVAL, "nothing came of reading it");
    }
    size_t size = (size_t)found.st_size;
    void *table = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (table == MAP_FAILED) {
        return error_set(err, -errno, "its table cannot be taken: %s", strerror(errno));
    }
    int rc = keep_all(geo, table, size, arena);
    (void)munmap(table, size);
    return rc < 0 ? error_set(err, rc, "its table is not sound") : 0;
}

static int read_anew(struct geo *geo, struct arena *arena, struct error *err)
{
    struct reading reading;
    int rc = start(geo->file, &reading);

    if (rc < 0) {
        return error_set(err, rc, "no process to read it: %s", strerror(-rc));
    }
    rc = finish(&reading, err);
    if (rc == 0) {
        rc = take_table(geo, reading.table, arena, err);
    }
    close_fd(&reading.table);
    close_fd(&reading.line);
    return rc;
}

/* ---- the same again ---- */

static struct stamp stamp_of(const struct stat *found)
{
    return (struct stamp){ found->st_dev, found->st_ino, found->st_size, found->st_mtim };
}

static bool is_same_file(const struct stamp *a, const struct stamp *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->modified.tv_sec == b->modified.tv_sec && a->modified.tv_nsec == b->modified.tv_nsec;
}

/* Are the same things distinguished of a file of this name? */
static bool is_alike(const struct geo *a, const struct geo *b)
{
    if (strcmp(a->file, b->file) != 0 || a->entry_count != b->entry_count) {
        return false;
    }
    for (size_t i = 0; i < a->entry_count; i++) {
        const struct model_country *mine = &a->entries[i], *its = &b->entries[i];
        if (a->lists[i] != b->lists[i] || mine->is_continent != its->is_continent ||
            memcmp(mine->code, its->code, sizeof(mine->code)) != 0) {
            return false;
        }
    }
    return true;
}

static void copy_table(struct geo *geo, const struct geo *old, struct arena *arena)
{
    const uint32_t *counts = old->counts;

    memcpy(geo->counts, counts, sizeof(geo->counts));
    geo->v4_starts = arena_copy(arena, old->v4_starts, counts[ADDR_V4] * sizeof(uint32_t));
    geo->v6_starts = arena_copy(arena, old->v6_starts, counts[ADDR_V6] * sizeof(uint64_t));
    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        geo->values[f] = arena_copy(arena, old->values[f], counts[f] * sizeof(uint16_t));
    }
    make_index(geo, arena);
}

/* ---- the whole ---- */

/* Entries with the same regions are one: the first of them. */
static const uint16_t *group(const struct model_geo *model, struct arena *arena)
{
    uint16_t *lists = arena_array(arena, model->country_count, sizeof(*lists));

    for (size_t i = 0; i < model->country_count; i++) {
        const struct model_country *mine = &model->countries[i];
        size_t first = 0;
        while (model->countries[first].region_count != mine->region_count ||
               memcmp(model->countries[first].regions, mine->regions,
                      mine->region_count * sizeof(*mine->regions)) != 0) {
            first++;
        }
        lists[i] = (uint16_t)(first + 1);
    }
    return lists;
}

static struct geo *geo_new(const struct model_geo *model, struct arena *arena)
{
    struct geo *geo = arena_alloc(arena, sizeof(*geo));

    geo->file = model->file;
    geo->entries = model->countries;
    geo->entry_count = model->country_count;
    geo->lists = group(model, arena);
    return geo;
}

static int explain(const char *file, int rc, struct error *err)
{
    struct error inner = *err;

    (void)error_set(err, rc, "the database %.120s cannot be used: %.200s", file, inner.message);
    error_hint(err, HINT);
    return rc;
}

int geo_read(const struct model_geo *model, const struct geo *old, struct arena *arena,
             const struct geo **out, struct error *err)
{
    struct geo *geo = geo_new(model, arena);
    struct stat found;
    int rc = 0;

    if (stat(model->file, &found) < 0) {
        rc = error_set(err, -errno, "%s", strerror(errno));
    } else if (!S_ISREG(found.st_mode)) {
        rc = error_set(err, -EINVAL, "it is not a file");
    } else {
        geo->stamp = stamp_of(&found);
        if (old != NULL && is_alike(geo, old) && is_same_file(&geo->stamp, &old->stamp)) {
            copy_table(geo, old, arena);
        } else {
            rc = read_anew(geo, arena, err);
        }
    }
    if (rc < 0) {
        return explain(model->file, rc, err);
    }
    *out = geo;
    return 0;
}

const struct geo *geo_keep(const struct model_geo *model, const struct geo *old,
                           struct arena *arena)
{
    struct geo *geo = geo_new(model, arena);

    if (old == NULL || !is_alike(geo, old)) {
        return NULL;
    }
    geo->stamp = old->stamp;
    copy_table(geo, old, arena);
    return geo;
}

/* ---- finding ---- */

/* The last of `count` ranges from `low` on that does not start above the key. */
static inline uint32_t seek32(const uint32_t *starts, uint32_t low, uint32_t count, uint32_t key)
{
    while (count > 1) {
        uint32_t half = count / 2;
        low += starts[low + half] <= key ? half : 0;
        count -= half;
    }
    return low;
}

static inline uint32_t seek64(const uint64_t *starts, uint32_t count, uint64_t key)
{
    uint32_t low = 0;

    while (count > 1) {
        uint32_t half = count / 2;
        low += starts[low + half] <= key ? half : 0;
        count -= half;
    }
    return low;
}

/* How many bits it takes to tell the key from both its neighbours' nearest, all of 64 bits. */
static inline unsigned scope_between(uint64_t key, uint64_t below, uint64_t above)
{
    uint64_t nearest = (key ^ below) < (key ^ above) ? key ^ below : key ^ above;

    return nearest == 0 ? 64 : (unsigned)__builtin_clzll(nearest) + 1;
}

static inline uint32_t find_v4(const struct geo *geo, uint32_t key, unsigned *out_scope)
{
    const uint32_t *starts = geo->v4_starts;
    uint32_t at = 0, count = geo->counts[ADDR_V4];

    if (geo->index != NULL) {
        at = geo->index[key >> 16];
        count = geo->index[(key >> 16) + 1] - at + 1;
    }
    at = seek32(starts, at, count, key);
    /* there is no neighbour at either end: what differs in no bit of the key's world */
    uint64_t own = (uint64_t)key << 32;
    uint64_t below = at > 0 ? (uint64_t)(starts[at] - 1) << 32 : ~own;
    uint64_t above =
        at + 1 < geo->counts[ADDR_V4] ? (uint64_t)starts[at + 1] << 32 : ~own;
    *out_scope = geo->counts[ADDR_V4] == 1 ? 0 : scope_between(own, below, above);
    return geo->values[ADDR_V4][at];
}

static inline uint32_t find_v6(const struct geo *geo, uint64_t key, unsigned *out_scope)
{
    const uint64_t *starts = geo->v6_starts;
    uint32_t count = geo->counts[ADDR_V6], at = seek64(starts, count, key);
    uint64_t below = at > 0 ? starts[at] - 1 : ~key;
    uint64_t above = at + 1 < count ? starts[at + 1] : ~key;

    *out_scope = count == 1 ? 0 : scope_between(key, below, above);
    return geo->values[ADDR_V6][at];
}

uint32_t geo_find(const struct geo *geo, const struct addr *client, uint8_t known_bits,
                  uint8_t *out_scope)
{
    unsigned scope;
    uint32_t value =
        client->family == ADDR_V4
            ? find_v4(geo, wire_get32(client->bytes), &scope)
            : find_v6(geo,
                      (uint64_t)wire_get32(client->bytes) << 32 | wire_get32(client->bytes + 4),
                      &scope);

    *out_scope = (uint8_t)(scope < known_bits ? scope : known_bits);
    return value;
}
