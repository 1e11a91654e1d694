#pragma once
/*
 * health_file - what is believed about every probe, kept across a restart
 *
 * A small file of text lines, replaced whole, with a version, a count and a
 * checksum. What is younger than ten minutes counts as it stood until the first
 * result, which alone decides then; of what is older only the flaps are kept.
 *
 *     leeward-health 1
 *     probe KEY STATE SINCE SEEN HOLD FLAPS RECOVERED USUAL STRONG FAILED REASON
 *     region NAME STATE SINCE SEEN
 *     good SERVICE FAMILY REGION ADDRESS,ADDRESS     (a line for each region)
 *     end LINES CHECKSUM
 *
 * Rendering and taking are for the control thread and touch no disk; reading
 * and writing the file are for any thread and touch nothing else.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/error.h"

#define HEALTH_FILE_GOOD_MAX 64 /* addresses of one family remembered */

struct health;
struct probe_slot;
struct region_slot;
struct text;

/* What a service last answered with in one region when it stood well, by name; see steer_memory. */
struct health_good {
    const char *service;
    enum addr_family family;
    const char *region;
    const struct addr *addresses;
    size_t address_count;
};

/* Begin the file: what `health` believes at `now_ms`, which is `wall_ms` in civil time. */
void health_file_render(const struct health *health, uint64_t now_ms, uint64_t wall_ms,
                        struct text *out);

/* Add what a service remembers; in the same text, after health_file_render. */
void health_file_put_good(struct text *out, const struct health_good *good);

/* The last line. What the text holds then is the file. */
void health_file_finish(struct text *out);

/* Replace the file at `path`; 0 or a negative errno, explained. */
int health_file_write(const char *path, const char *bytes, size_t length, struct error *err);

/* Called for each service remembered; what it is given lives until it returns. */
typedef void health_file_good(void *user, const struct health_good *good);

/*
 * Take over what the file's bytes say, before the first binding is made. Every
 * line is checked before the first one counts; -EBADMSG, explained, when
 * anything is wrong, and then nothing is taken. `good` may be NULL.
 */
int health_file_take(struct health *health, const char *bytes, size_t length, uint64_t now_ms,
                     uint64_t wall_ms, health_file_good *good, void *user, struct error *err);

/*
 * Read `path` and take it over. No file is fine. One that is damaged is renamed
 * to PATH.damaged, which the error tells; the start goes on without it.
 */
int health_file_read(struct health *health, const char *path, uint64_t now_ms, uint64_t wall_ms,
                     health_file_good *good, void *user, struct error *err);

/* ---- for the table ---- */

/* A slot, or a region, is new: give it what the file said of it. */
void health_file_restore(struct health *health, struct probe_slot *slot, uint64_t now_ms);
void health_file_restore_region(struct health *health, struct region_slot *region, uint64_t now_ms);

/* Forget what the file said; done when the first binding is committed. */
void health_file_forget(struct health *health);
