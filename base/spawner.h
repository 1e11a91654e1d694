#pragma once
/*
 * spawner - a small process of its own that runs programs for the server
 *
 * The server has threads, much memory and many sockets, and must not fork. So
 * programs (checks, hooks) are started by a process that has nothing: this
 * program's own binary, started with posix_spawn and a hidden command when the
 * first program is to be run. Nobody who runs none pays for it, a reload may
 * bring the first one, and starting it does not copy the server's page tables.
 * It has the rights that the server has at that time: after node.user, not
 * root's. Whoever confines the server further opens it before that.
 *
 * The two talk in whole messages over a pair of sockets. When the server is
 * gone, however it ended, the helper reads the end of the stream, kills what
 * runs and ends. (PR_SET_PDEATHSIG would kill it before it could do that.)
 *
 * A program runs in a process group of its own, with the environment it was
 * given and nothing else, its input or none, and no descriptor but the first
 * three. Its group is killed at its time limit, when it is cancelled, and when
 * it has ended: what wants to outlive it calls setsid.
 *
 * The functions here are the server's side; one thread. The other side is in
 * spawner_helper.
 */
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

#define SPAWNER_COMMAND       "_spawner" /* hidden: makes this binary the helper */
#define SPAWNER_PROGRAMS_MAX  64         /* at once */
#define SPAWNER_REQUEST_MAX   65536      /* arguments, environment and input together */
#define SPAWNER_OUTPUT_MAX    4096       /* more is read and dropped */
#define SPAWNER_COMPLAINT_MAX 512        /* of what is written to stderr */

struct spawner {
    int fd;    /* becomes readable when results wait; -1: none runs */
    pid_t pid; /* of the helper */
};

/* What to run; nothing of it is kept. */
struct spawner_program {
    const char *const *arguments;   /* the program first, NULL last; sought in PATH without a '/' */
    const char *const *environment; /* "NAME=value", NULL last */
    const void *input;              /* for its stdin */
    size_t input_size;              /* 0: stdin is /dev/null */
    uint32_t timeout_ms;            /* killed after so long; 0: never */
};

enum spawner_end {
    SPAWNER_EXITED,      /* `value` is the exit status */
    SPAWNER_KILLED,      /* by signal `value`, not ours */
    SPAWNER_TIMED_OUT,   /* by us */
    SPAWNER_NOT_STARTED, /* `value` is an errno */
    SPAWNER_REFUSED,     /* too many run already */
};

struct spawner_result {
    uint32_t id;
    enum spawner_end end;
    int value;
    char output[SPAWNER_OUTPUT_MAX + 1]; /* of stdout, terminated; it may hold any bytes */
    size_t output_size;
    char complaint[SPAWNER_COMPLAINT_MAX + 1]; /* of stderr, the same */
    size_t complaint_size;
};

/* Start a helper. -errno, explained, when that cannot be. */
int spawner_open(struct spawner *out, struct error *err);

/* Kill all that runs and the helper. Nothing on a closed one. */
void spawner_close(struct spawner *spawner);

/*
 * Have a program run; `id` tells its result from others. Never waits. -errno:
 * -E2BIG, -EAGAIN when the helper is behind, -EPIPE when it is gone.
 */
int spawner_run(const struct spawner *spawner, uint32_t id, const struct spawner_program *program);

/* Kill it; no result will come unless it is under way. -errno as above. */
int spawner_cancel(const struct spawner *spawner, uint32_t id);

/* Take one result: 1; 0 when none waits; -EPIPE when the helper is gone. */
int spawner_receive(const struct spawner *spawner, struct spawner_result *out);
