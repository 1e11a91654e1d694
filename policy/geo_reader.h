#pragma once
/*
 * geo_reader - the process that reads a MaxMind database for the server
 *
 * libmaxminddb ends the process on an assertion when a file is damaged, and a
 * file that is cut short while it is read is a SIGBUS. So the server never
 * opens one: this program's own binary, started with a hidden command, walks
 * the whole tree and writes a table of what it holds. Whatever happens to it,
 * the server lives and tells of it. It is started with posix_spawn because a
 * forked copy of a process with threads may wait forever for a lock that no
 * thread of it holds any more, and would copy the server's page tables.
 *
 * The table is written to stdout: a head, the ranges of IPv4, those of IPv6,
 * each ascending, the first one at 0. Neighbours differ. What is wrong is told
 * in one line on stderr. Both ends are the same binary on one machine, so
 * nothing is converted.
 */
#include <stdint.h>

#define GEO_COMMAND    "_geo" /* hidden: makes this binary the reader of the file behind it */
#define GEO_MAGIC      0x316f6547u
#define GEO_RANGES_MAX (4u << 20) /* of each family */
#define GEO_SECONDS    10         /* it ends itself after so long */
#define GEO_EXIT_TOLD  3          /* exit code: the line on stderr says why */

struct geo_head {
    uint32_t magic;
    uint32_t counts[2]; /* by family */
    uint32_t size;      /* of one range */
};

/* From `start` on, up to the next one. Codes are upper case, zeroes when not known. */
struct geo_range {
    uint64_t start; /* IPv4: the address; IPv6: its upper half */
    char country[2];
    char continent[2];
    uint32_t unused;
};

/* Read `path` and write its table. The exit code of the process. */
int geo_reader_run(const char *path);
