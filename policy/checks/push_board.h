#pragma once
/*
 * push_board - what outside systems have reported, and until when it holds
 *
 * A report is about a target by its name: a check's ("queue") or one endpoint's
 * of it ("queue/203.0.113.10"), which then is asked for first. It holds for its
 * ttl; afterwards the silence of whoever reported is evidence. A target that
 * was never reported is given its ttl from when it was first asked for.
 *
 * Decides only: the time is an argument, in monotonic milliseconds. One thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PUSH_BOARD_TARGETS_MAX 4096
#define PUSH_BOARD_NAME_MAX    320 /* a check's or service's name, "/", an address */
#define PUSH_BOARD_MESSAGE_MAX 120
#define PUSH_BOARD_TTL_MAX_MS  86400000u

enum push_state {
    PUSH_UP,
    PUSH_DEGRADED,
    PUSH_DOWN,
};

enum push_standing {
    PUSH_AWAITED,  /* not reported yet, and its time is not over */
    PUSH_MISSING,  /* never reported, and it should have been by now */
    PUSH_REPORTED, /* `state` holds */
    PUSH_EXPIRED,  /* it held */
};

struct push_view {
    enum push_standing standing;
    enum push_state state;
    uint64_t age_ms;     /* of the report, or of the wait for it */
    const char *message; /* "" when none; valid until the board changes */
};

struct push_board;

/* An empty board, or NULL when memory is out. */
struct push_board *push_board_new(void);
void push_board_free(struct push_board *board);

/*
 * Who is told of each report, so that it acts at once and not with the next
 * probe; NULL: nobody. `target` is the name it was reported for.
 */
void push_board_listen(struct push_board *board, void (*listener)(void *user, const char *target),
                       void *user);

/*
 * Take a report. `message` is cut to what is kept; the caller has seen to it
 * that it can be shown. -ENAMETOOLONG; -ENOSPC when the board is full of
 * reports that hold; -ENOMEM.
 */
int push_board_report(struct push_board *board, const char *target, enum push_state state,
                      uint32_t ttl_ms, const char *message, uint64_t now_ms);

/*
 * What is known of `name`: of "name/address" when that was reported, else of
 * the name itself. `address` may be NULL. `ttl_ms` is what a target that was
 * never reported has from its first look.
 */
void push_board_look(struct push_board *board, const char *name, const char *address,
                     uint32_t ttl_ms, uint64_t now_ms, struct push_view *out);

/* "up", "degraded", "down"; and back: false when it is none of them. */
const char *push_state_name(enum push_state state);
bool push_state_parse(const char *word, enum push_state *out);
