#pragma once
/*
 * hosts - names and addresses from a file like /etc/hosts
 *
 * Read by the control thread when a configuration is loaded, immutable
 * afterwards, part of a snapshot. A name that is there is answered from there
 * alone: its other types do not exist.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/error.h"
#include "resolver/forward/forwarder.h"

struct arena;
struct hosts;

#define HOSTS_FILE_MOST   (16u << 20)
#define HOSTS_MESSAGE_MAX 4096

/*
 * Read `path` into the arena. Lines that cannot be read are skipped, told in
 * the log with their place. -errno, explained, when the file cannot be read.
 */
int hosts_read(struct arena *arena, const char *path, const struct hosts **out, struct error *err);

/*
 * The answer to `question`, whose name in lower case is `dname`, as a message
 * as forward_reply has it. `out` holds HOSTS_MESSAGE_MAX bytes. Returns its
 * length, 0 when the name is not there.
 */
size_t hosts_answer(const struct hosts *hosts, const struct forward_question *question,
                    const uint8_t *dname, uint8_t *out);

/* Is the name there, be it a reverse one? `hosts` may be NULL. */
bool hosts_has(const struct hosts *hosts, const uint8_t *dname);

/* Equal for files of equal content, from one read to the next; 0 for NULL. */
uint64_t hosts_digest(const struct hosts *hosts);
