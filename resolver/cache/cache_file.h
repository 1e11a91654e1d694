#pragma once
/*
 * cache_file - what the cache looks like on disk
 *
 * A header, a record for each answer, and an end that counts them; each with a
 * checksum over all of its bytes. Nothing that is read is believed unchecked:
 * no length, no name, and an answer goes the way of one from the network.
 * Times on disk are civil; an entry never comes back fresher than it was.
 * No I/O; any thread, one at a time for a reading.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "resolver/cache/cache.h"
#include "zones/wire.h"

#define CACHE_FILE_NAME "cache"

#define CACHE_FILE_HEADER_BYTES   32
#define CACHE_FILE_END_BYTES      21
#define CACHE_FILE_RECORD_MOST    66000 /* bytes of one record */
#define CACHE_FILE_CHECKSUM_BYTES 8     /* the last ones of each */

/* One moment by both clocks. */
struct cache_file_times {
    int64_t now_ms;   /* monotonic */
    uint64_t wall_ms; /* civil */
};

/* ---- writing ---- */

/* Write the header of a file saved at `times`. Returns CACHE_FILE_HEADER_BYTES. */
size_t cache_file_put_header(uint8_t *out, const struct cache_file_times *times);

/*
 * Write `entry`. Returns the length; 0 when it is not kept, being a failure,
 * or does not fit into `cap`, which CACHE_FILE_RECORD_MOST always suffices for.
 */
size_t cache_file_put_record(const struct cache_entry *entry, const struct cache_file_times *times,
                             uint8_t *out, size_t cap);

/* Write the end of a file of `count` records. Returns CACHE_FILE_END_BYTES. */
size_t cache_file_put_end(uint64_t count, uint8_t *out);

/*
 * Set the checksum in the last bytes of a header, record or end of `length`
 * bytes. The others call it; tests that forge need it.
 */
void cache_file_seal(uint8_t *bytes, size_t length);

/* ---- reading ---- */

/* How far the reading of a file is. Set up by cache_file_begin; fields are to be read only. */
struct cache_file_reading {
    struct cache *cache;
    struct cache_file_times times; /* of the reading */
    uint64_t saved_wall_ms;
    uint64_t records; /* read and found whole */
    uint64_t stored;  /* of them: are in the cache now */
    bool begun;       /* the header was read */
    bool ended;       /* the end was read */
    uint8_t message[WIRE_MESSAGE_MAX];
};

/* Begin to read into `cache`, of which the caller is the writer. */
void cache_file_begin(struct cache_file_reading *reading, struct cache *cache,
                      const struct cache_file_times *times);

/*
 * Take what comes next in the file and stands at `bytes`: header, record or
 * end. Returns its length, 0 when more bytes are needed (at most
 * CACHE_FILE_RECORD_MOST in all), or -EINVAL, explained, when this is damaged
 * or not ours; no more is to be taken then.
 *
 * What has been expired for longer than the cache serves stale answers is
 * read and not stored. When the civil clock went back the age is not known:
 * then all of it is expired.
 */
long cache_file_take(struct cache_file_reading *reading, const uint8_t *bytes, size_t length,
                     struct error *err);

/* The file has ended, `rest` bytes were not taken. 0, or -EINVAL, explained: it was cut short. */
int cache_file_finish(const struct cache_file_reading *reading, size_t rest, struct error *err);
