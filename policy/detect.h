#pragma once
/*
 * detect - from probe outcomes to a verdict about one target
 *
 *     UNKNOWN -- first result --> UP <------ rise, then hold_down ------ DOWN
 *        |                        | first failure    ^ one success        ^
 *        +------------------------+---------> SUSPECT -- enough evidence --+
 *
 * Strong evidence is a refusal or a wrong answer; `fall` of them in a row make
 * DOWN. Weak evidence is silence: `silent_fall` probes unanswered, each older
 * than twice the target's usual latency and the oldest past `timeout`. One
 * success of any probe clears the suspicion.
 *
 * With `fall: auto` evidence is weighed instead of counted (see evidence.h): as
 * many failures in a row decide when the target loses next to nothing, more
 * when it is known to, and a success outweighs some failures, not all. What
 * makes SUSPECT, and when silence counts at all, stays the same.
 *
 * Let j be the interval stretched by its jitter, c the confirm_interval, r the
 * round trip and late = max(c, 2r, 10ms). From a failure to DOWN it takes at most
 *     strong: j + r + (fall - 1) c                            while r <= c
 *             j + r + max(c, r) + (fall - 2) c                else
 *     silent: j + max(timeout, late + (silent_fall - 2) c + max(2r, 10ms))
 * With `fall: auto` detect_strong_needed and detect_silent_needed stand for
 * `fall` and `silent_fall`; see detect_worst_ms.
 *
 * Time in which nobody looked (a suspended machine, a stopped process, a busy
 * loop) does not count against probes in flight: see STALL_MS in detect.c.
 *
 * Decides only: no I/O, the time is an argument, in monotonic milliseconds.
 * One target is used by one thread (the control thread).
 */
#include <stdbool.h>
#include <stdint.h>

#include "policy/evidence.h"
#include "policy/model.h"

#define DETECT_OPEN_MAX 40 /* probes in flight per target; above silent_fall's limit of 32 */
#define DETECT_OPEN_FEW 2  /* in flight without memory of their own: of a target in health */

enum detect_state {
    DETECT_UNKNOWN,
    DETECT_UP,
    DETECT_SUSPECT,
    DETECT_DOWN,
};

enum detect_outcome {
    DETECT_PASS,
    DETECT_WARNING, /* a pass, but the target says it is not well (or was slower than wanted) */
    DETECT_STRONG,  /* refused, reset, unreachable, wrong answer, bad status */
    DETECT_SILENT,  /* nothing came back within the timeout */
    DETECT_NEUTRAL, /* the target answered, but what it said proves nothing */
    DETECT_VOID,    /* trouble of our own: says nothing about the target at all */
};

struct detect_open {
    uint32_t number;
    bool forgiven; /* sent before a success came: no longer evidence */
    uint64_t sent_ms;
    uint64_t lost_ms; /* of its flight nobody looked for so long */
};

struct detect {
    struct model_timing timing;
    enum detect_state state;
    bool held;       /* DOWN, risen, and waiting for hold_down to pass */
    bool degraded;   /* the newest pass was a DETECT_WARNING */
    bool silently;   /* DOWN, and silence alone decided: what a cascade may be made of */
    bool heard;      /* something has come back, whatever it said */
    bool hastened;   /* the next probe was brought forward of the usual pace */
    bool scatter;    /* the next usual gap is any part of it: probes must not go in step */
    uint16_t verdict_sum; /* what was weighed and made it DOWN, in tenths; 0: nothing was */
    uint32_t random;      /* state of the jitter's generator */
    uint32_t next_number;
    struct detect_open open_few[DETECT_OPEN_FEW];
    struct detect_open *open_more; /* of DETECT_OPEN_MAX; NULL while the few suffice */
    uint32_t open_count;           /* see detect_open_probes */
    struct evidence evidence;      /* for `fall: auto`, and the loss for everybody */
    uint32_t strong_run;           /* since the last success */
    uint32_t silent_run;           /* probes given up after the timeout, since the last success */
    uint32_t pass_run;             /* since the last failure */
    uint32_t usual_us;             /* smoothed latency of successes; 0: none yet */
    uint64_t seen_ms;              /* when time was last told */
    uint64_t last_sent_ms;
    uint64_t next_send_ms;
    uint64_t since_ms;          /* when the present state began */
    uint64_t last_pass_ms;      /* when the newest success came; 0: never */
    uint64_t last_pass_sent_ms; /* when that probe had been sent */
    uint64_t first_failure_ms;  /* of the present run; 0: none */
    uint64_t silent_from_ms;    /* when the oldest probe of silent_run was sent */
    uint64_t hold_until_ms;
    uint32_t hold_now_ms;      /* hold_down with its doublings */
    uint32_t flaps;            /* see detect_flaps */
    uint64_t recovered_ms;     /* when it last came back; 0: never */
    uint64_t suspect_end_ms;   /* when the last suspicion that shortened TTLs ended; 0: never */
    uint64_t suspect_begin_ms; /* when the one that shortens them now began; 0: none does */
};

/* A new target, UNKNOWN; its first probe is due at `now_ms`. */
void detect_init(struct detect *detect, const struct model_timing *timing, uint32_t seed,
                 uint64_t now_ms);

/* Free what it holds; it can be initialized again. */
void detect_fini(struct detect *detect);

/* Its `open_count` probes in flight, oldest first; until it is told anything. */
const struct detect_open *detect_open_probes(const struct detect *detect);

/* May another probe be sent, and is it time? */
bool detect_is_due(const struct detect *detect, uint64_t now_ms);

/* The next probe is wanted now, whatever the pace. */
void detect_want_now(struct detect *detect, uint64_t now_ms);

/*
 * A probe is being sent; only when it may (fewer than DETECT_OPEN_MAX are in
 * flight). Returns its number, by which its result is known.
 */
uint32_t detect_sent(struct detect *detect, uint64_t now_ms);

/*
 * The result of probe `number`; unknown numbers are ignored. Acts as
 * detect_tick does, too. Returns true when the state, `held` or `silently`
 * changed, or `degraded` of a target that is not DOWN.
 */
bool detect_result(struct detect *detect, uint32_t number, enum detect_outcome outcome,
                   uint64_t now_ms);

/*
 * Let time act: silence becomes doubt, evidence or a verdict, hold_down ends.
 * Returns true when the state or `held` changed.
 */
bool detect_tick(struct detect *detect, uint64_t now_ms);

/*
 * When detect_is_due or detect_tick should be asked next, at the latest. Never
 * before `now_ms`, and not `now_ms` once both have been asked and obeyed.
 */
uint64_t detect_wake_ms(const struct detect *detect, uint64_t now_ms);

/* Probes unanswered and old enough to count, in the present run. */
uint32_t detect_silent_count(const struct detect *detect, uint64_t now_ms);

/* So many failures, or unanswered probes, in a row make DOWN at the loss measured. */
uint32_t detect_strong_needed(const struct detect *detect);
uint32_t detect_silent_needed(const struct detect *detect);

/* What speaks against the target, for people; sums are tenths of nats, or probes counted. */
struct detect_evidence {
    bool weighed;            /* `fall: auto`: sums; else probes are counted */
    bool silent;             /* silence speaks louder than answers do */
    uint32_t sum;            /* by now, of the louder of the two */
    uint32_t needed;         /* in the same unit: that makes DOWN */
    uint32_t lost_permille;  /* of the probes, while it was up: whatever was no pass */
    uint32_t wrong_permille; /* of the answers, while it was up: failures */
};

struct detect_evidence detect_evidence(const struct detect *detect, uint64_t now_ms);

/*
 * How often it has gone DOWN without five quiet minutes in between; 0 when the
 * last five minutes were quiet.
 */
uint32_t detect_flaps(const struct detect *detect, uint64_t now_ms);

/*
 * From a failure to DOWN it takes at most so many ms: answers that are wrong or
 * refused, or silence, of a target with the round trip `rtt_ms` that loses next
 * to nothing while it lives. The other is for `fall: auto` and a target that
 * loses as much as is believed at all, half of its probes.
 */
uint32_t detect_worst_ms(const struct model_timing *timing, bool silent, uint32_t rtt_ms);
uint32_t detect_worst_lossy_ms(const struct model_timing *timing, bool silent, uint32_t rtt_ms);

/*
 * Should answers that lean on this target carry `ttl.suspect`? While UNKNOWN,
 * for at most 60 s; and while SUSPECT for at most 60 s and not within 5 min of
 * the last time.
 */
bool detect_is_short_ttl(const struct detect *detect, uint64_t now_ms);

/* Lift a DOWN that turned out to prove nothing: UP without rise or hold_down, no flap. */
void detect_absolve(struct detect *detect, uint64_t now_ms);

/* "unknown", "up", "suspect", "down" (or "held" for DOWN and risen). */
const char *detect_state_name(const struct detect *detect);
