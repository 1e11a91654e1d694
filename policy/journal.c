#include "policy/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json_writer.h"
#include "base/log.h"

#define FILE_NAME  "journal.jsonl"
#define FILES_MOST 1000u
#define TIME_BYTES 32

struct journal {
    uv_loop_t *loop;
    uv_work_t work;
    bool working;
    bool closing;
    bool told;   /* that it cannot be written */
    int trouble; /* of the last write */
    char *directory;
    uint64_t bytes;
    uint32_t files;
    uint64_t number;   /* of the last line */
    uint64_t left_out; /* lines that did not fit */
    struct text pending;
    /* the writing thread's, while it works */
    struct text writing;
    char *work_directory;
    uint64_t work_bytes;
    uint32_t work_files;
    int result;
};

struct journal *journal_new(uv_loop_t *loop)
{
    struct journal *journal = calloc(1, sizeof(*journal));

    if (journal != NULL) {
        journal->loop = loop;
    }
    return journal;
}

/* ---- writing ---- */

static void path_of(const char *directory, uint32_t age, char *out, size_t cap)
{
    if (age == 0) {
        (void)snprintf(out, cap, "%s/%s", directory, FILE_NAME);
    } else {
        (void)snprintf(out, cap, "%s/%s.%u", directory, FILE_NAME, age);
    }
}

/* Each file becomes one older; the oldest goes. */
static void rotate(const struct journal *journal)
{
    char from[PATH_MAX], to[PATH_MAX];

    for (uint32_t age = journal->work_files - 1; age > 0; age--) {
        path_of(journal->work_directory, age - 1, from, sizeof(from));
        path_of(journal->work_directory, age, to, sizeof(to));
        (void)rename(from, to); /* that there is none is fine */
    }
    if (journal->work_files == 1) {
        path_of(journal->work_directory, 0, from, sizeof(from));
        (void)unlink(from);
    }
}

static int write_all(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t written = write(fd, bytes, length);
        if (written < 0 && errno != EINTR) {
            return -errno;
        }
        if (written > 0) {
            bytes += written;
            length -= (size_t)written;
        }
    }
    return 0;
}

/* A crash or a full disk may have left half a line; what follows must not become part of it. */
static int end_line(int fd)
{
    struct stat file;
    char last;

    if (fstat(fd, &file) < 0 || file.st_size == 0 || pread(fd, &last, 1, file.st_size - 1) != 1 ||
        last == '\n') {
        return 0;
    }
    return write_all(fd, "\n", 1);
}

static int append(const struct journal *journal)
{
    const int flags = O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC;
    char path[PATH_MAX];
    struct stat file;
    struct error ignored;

    path_of(journal->work_directory, 0, path, sizeof(path));
    if (stat(path, &file) == 0 &&
        (uint64_t)file.st_size + journal->writing.length > journal->work_bytes) {
        rotate(journal);
    }
    int fd = open(path, flags, 0640);
    if (fd < 0 && errno == ENOENT && file_make_directory(journal->work_directory, &ignored) == 0) {
        fd = open(path, flags, 0640);
    }
    if (fd < 0) {
        return -errno;
    }
    int rc = end_line(fd);
    rc = rc < 0 ? rc : write_all(fd, text_string(&journal->writing), journal->writing.length);
    (void)close(fd);
    return rc;
}

/* In a thread of the pool. */
static void on_work(uv_work_t *work)
{
    struct journal *journal = work->data;

    journal->result = append(journal);
}

static void free_journal(struct journal *journal)
{
    text_fini(&journal->pending);
    text_fini(&journal->writing);
    free(journal->directory);
    free(journal->work_directory);
    free(journal);
}

static void take_pending(struct journal *journal)
{
    journal->writing = journal->pending;
    memset(&journal->pending, 0, sizeof(journal->pending));
    free(journal->work_directory);
    journal->work_directory = strdup(journal->directory);
    journal->work_bytes = journal->bytes;
    journal->work_files = journal->files;
}

static void start_writing(struct journal *journal);
static void finish(struct journal *journal);

static void tell_failure(struct journal *journal)
{
    journal->trouble = journal->result;
    if (journal->result < 0 && !journal->told) {
        journal->told = true;
        log_event(LOG_WARNING, "the journal is not kept", "directory=%s error=%s hint=%s",
                  journal->work_directory, strerror(-journal->result),
                  "make the directory writable or set node.state_directory");
    }
}

static void on_written(uv_work_t *work, int status)
{
    struct journal *journal = work->data;

    (void)status;
    journal->working = false;
    tell_failure(journal);
    text_fini(&journal->writing);
    if (journal->closing) {
        finish(journal);
    } else {
        start_writing(journal);
    }
}

static void start_writing(struct journal *journal)
{
    if (journal->working || journal->directory == NULL || journal->pending.length == 0) {
        return;
    }
    take_pending(journal);
    journal->work.data = journal;
    if (journal->work_directory != NULL &&
        uv_queue_work(journal->loop, &journal->work, on_work, on_written) == 0) {
        journal->working = true;
    } else {
        text_fini(&journal->writing);
    }
}

void journal_open(struct journal *journal, const char *directory, uint64_t bytes, uint32_t files)
{
    if (journal->directory == NULL || strcmp(journal->directory, directory) != 0) {
        free(journal->directory);
        journal->directory = strdup(directory);
        journal->told = false;
    }
    journal->bytes = bytes;
    journal->files = files < 1 ? 1 : files < FILES_MOST ? files : FILES_MOST;
    start_writing(journal);
}

int journal_trouble(const struct journal *journal)
{
    return journal->trouble;
}

static void put(struct json_writer *json, const char *key, const char *value)
{
    if (value != NULL) {
        json_writer_string(json, key, value);
    }
}

void journal_put_entry(struct json_writer *json, const struct journal_entry *entry)
{
    put(json, "kind", entry->kind);
    put(json, "target", entry->target);
    put(json, "from", entry->from);
    put(json, "to", entry->to);
    put(json, "reason", entry->reason);
    put(json, "author", entry->author);
}

static void put_line(struct journal *journal, const struct journal_entry *entry, struct text *out)
{
    struct json_writer json;
    char time[TIME_BYTES];

    clock_format_wall(clock_wall_ms(), time, sizeof(time));
    json_writer_init(&json, out);
    json_writer_object_begin(&json, NULL);
    json_writer_string(&json, "time", time);
    json_writer_uint(&json, "number", ++journal->number);
    journal_put_entry(&json, entry);
    json_writer_object_end(&json);
    text_put_char(out, '\n');
}

static void put_left_out(struct journal *journal)
{
    char reason[64];

    (void)snprintf(reason, sizeof(reason), "%" PRIu64 " lines were left out: the disk is slow",
                   journal->left_out);
    journal->left_out = 0;
    put_line(journal, &(struct journal_entry){ .kind = "journal", .reason = reason },
             &journal->pending);
}

void journal_note(struct journal *journal, const struct journal_entry *entry)
{
    if (journal->pending.length > JOURNAL_PENDING_MAX) {
        journal->left_out++;
        return;
    }
    if (journal->left_out > 0) {
        put_left_out(journal);
    }
    put_line(journal, entry, &journal->pending);
    if (text_failed(&journal->pending)) {
        text_fini(&journal->pending);
    }
    start_writing(journal);
}

/* The last lines, now: the loop ends. */
static void finish(struct journal *journal)
{
    if (journal->directory != NULL && journal->pending.length > 0) {
        take_pending(journal);
        journal->result = journal->work_directory == NULL ? -ENOMEM : append(journal);
        tell_failure(journal);
    }
    free_journal(journal);
}

void journal_close(struct journal *journal)
{
    if (journal == NULL) {
        return;
    }
    journal->closing = true;
    if (!journal->working) {
        finish(journal);
    }
}

/* ---- reading ---- */

/*
 * The last `room` bytes of a file, from the beginning of a line on, into `out`.
 * False: there is no such file. `*out_cut` is set when it holds more.
 */
static bool read_tail(const char *path, size_t room, struct text *out, bool *out_cut)
{
    struct stat file;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &file) < 0 || !S_ISREG(file.st_mode)) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return false;
    }
    size_t size = (size_t)file.st_size;
    size_t from = size > room ? size - room : 0;
    *out_cut = *out_cut || from > 0;
    char *bytes = malloc(size - from + 1);
    ssize_t got = bytes == NULL ? -1 : pread(fd, bytes, size - from, (off_t)from);
    (void)close(fd);
    if (got > 0) {
        const char *end = bytes + got;
        const char *line = from == 0 ? bytes : memchr(bytes, '\n', (size_t)got);
        line = line == NULL ? end : line + (from != 0);
        text_put_bytes(out, line, (size_t)(end - line));
    }
    free(bytes);
    return got >= 0;
}

/*
 * The lines at the end of the journal, at most JOURNAL_READ_MAX bytes, oldest
 * first. `*out_cut`: there are older ones.
 */
static void read_end(const char *directory, struct text *out, bool *out_cut)
{
    struct text newer = { 0 };

    for (uint32_t age = 0; age < FILES_MOST && !*out_cut; age++) {
        char path[PATH_MAX];
        struct text older = { 0 };
        path_of(directory, age, path, sizeof(path));
        bool is_there = read_tail(path, JOURNAL_READ_MAX - newer.length, &older, out_cut);
        text_put_bytes(&older, text_string(&newer), newer.length);
        text_fini(&newer);
        newer = older;
        if (!is_there) {
            break;
        }
    }
    *out = newer;
}

/* "time" is fixed in form, so that texts compare as times do. */
static bool is_wanted(const json_t *line, const struct journal_query *query, const char *since)
{
    const char *time = json_string_value(json_object_get(line, "time"));
    const char *target = json_string_value(json_object_get(line, "target"));

    if (time == NULL || (query->since_ms > 0 && strcmp(time, since) < 0)) {
        return false;
    }
    return query->target == NULL || (target != NULL && strstr(target, query->target) != NULL);
}

struct line {
    const char *text;
    size_t length;
};

/* Is even the oldest of these lines not older than what is wanted? */
static bool begins_within(const struct text *all, const struct journal_query *query)
{
    json_t *line = json_loadb(text_string(all), strcspn(text_string(all), "\n"), 0, NULL);
    struct journal_query any = { .since_ms = query->since_ms };
    char since[TIME_BYTES];

    clock_format_wall(query->since_ms, since, sizeof(since));
    bool within = !json_is_object(line) || is_wanted(line, &any, since);
    json_decref(line);
    return within;
}

/* Lines that cannot be read (a crash in the middle of one) are passed over. */
static size_t pick(const struct text *all, const struct journal_query *query, struct line *lines)
{
    char since[TIME_BYTES];
    size_t count = 0;

    clock_format_wall(query->since_ms, since, sizeof(since));
    for (const char *at = text_string(all); *at != '\0';) {
        size_t length = strcspn(at, "\n");
        json_t *line = json_loadb(at, length, 0, NULL);
        if (json_is_object(line) && is_wanted(line, query, since)) {
            lines[count % query->limit] = (struct line){ at, length };
            count++;
        }
        json_decref(line);
        at += length + (at[length] == '\n');
    }
    return count;
}

size_t journal_read(const char *directory, const struct journal_query *query, struct text *out,
                    bool *out_cut)
{
    struct text all = { 0 };
    bool has_older = false;
    struct line *lines = calloc(query->limit == 0 ? 1 : query->limit, sizeof(*lines));

    *out_cut = false;
    if (lines == NULL || query->limit == 0) {
        free(lines);
        return 0;
    }
    read_end(directory, &all, &has_older);
    size_t count = pick(&all, query, lines);
    size_t kept = count < query->limit ? count : query->limit;
    *out_cut = count > kept || (has_older && begins_within(&all, query));
    for (size_t i = 0; i < kept; i++) {
        const struct line *line = &lines[(count - kept + i) % query->limit];
        text_put(out, i == 0 ? "" : ",\n");
        text_put_bytes(out, line->text, line->length);
    }
    free(lines);
    text_fini(&all);
    return kept;
}
