#pragma once
/*
 * journal - every transition, override, reload and guard's decision, on disk
 *
 * One JSON object a line in state_directory/journal.jsonl, rotated by size to
 * journal.jsonl.1 and on. Lines are gathered and written by a thread of the
 * loop's pool, so that a slow disk delays nothing; what does not fit the
 * gathering is counted and told in the next line. Control thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/text.h"

struct journal;
struct json_writer;

#define JOURNAL_PENDING_MAX ((size_t)1024 * 1024) /* bytes gathered while the disk is slow */

/* What happened. Strings may be NULL: the member is left out. */
struct journal_entry {
    const char *kind;   /* "check", "region", "service", "override", "reload", "guard", "start" */
    const char *target; /* what it happened to */
    const char *from;   /* states by name */
    const char *to;
    const char *reason; /* why, for people */
    const char *author; /* who, of what a person did */
};

/* NULL when memory is out. Nothing is written until it is opened. */
struct journal *journal_new(uv_loop_t *loop);

/* From now on files in `directory`, at most `bytes` each and `files` of them. Again: others. */
void journal_open(struct journal *journal, const char *directory, uint64_t bytes, uint32_t files);

/* Take down what happened, now. */
void journal_note(struct journal *journal, const struct journal_entry *entry);

/* What is not NULL of it, as members of an open object. */
void journal_put_entry(struct json_writer *json, const struct journal_entry *entry);

/* How the last write ended: 0, or negative errno and what was to be kept is lost. */
int journal_trouble(const struct journal *journal);

/* Write what is pending and go; `journal` is gone when the loop has run once more. */
void journal_close(struct journal *journal);

/* ---- reading ---- */

/* Which lines are wanted. */
struct journal_query {
    uint64_t since_ms;  /* civil; 0: all there are */
    const char *target; /* a part of the target's text; NULL: any */
    size_t limit;       /* the newest so many */
};

/*
 * Append the lines that fit as elements of a JSON list, oldest first; what is
 * pending is not among them yet. At most JOURNAL_READ_MAX bytes at the end of
 * the journal are looked at. Returns their number, and in `*out_cut` whether
 * there may be older ones that fit, too.
 */
#define JOURNAL_READ_MAX ((size_t)4 * 1024 * 1024)
size_t journal_read(const char *directory, const struct journal_query *query, struct text *out,
                    bool *out_cut);
