#pragma once
/*
 * choice - whom to ask next, and whose answer counts
 *
 * One question's candidates stand in the order in which they are preferred:
 * living ones first, behind them those that were asked as much as they may be,
 * behind them those believed down; each by class (own region, others, public),
 * other regions by their distance where that is known, then as written. The
 * first is asked; one that stays silent for longer than it usually takes is
 * joined by one of another region, one that fails is replaced at once. Public
 * ones are asked only when every other is down or has failed this very
 * question; a suspicion is not enough for that. Those believed down come last,
 * but they come: no state is left only by a restart. When nobody is left to
 * ask, the silent are asked again; when all of them are believed down, not for
 * long.
 *
 * What counts, best first: any answer of the best class that is not down; a
 * positive one of another; a negative one of a lesser class, and that only
 * when nobody better is expected to answer any more, and never when the caller
 * has an older positive answer. While such a one is at hand the better are
 * asked again quickly: what they said may be lost.
 *
 * Decides only: no I/O, the time is an argument, in monotonic milliseconds.
 */
#include <stdbool.h>
#include <stdint.h>

#include "resolver/snapshot.h"

#define CHOICE_MOST         32  /* candidates; more of a rule are not used */
#define CHOICE_RESEND_MS    400 /* to each, while all are silent: at most */
#define CHOICE_RESEND_LEAST 40  /* and at least: four times what it usually takes, then doubled */
#define CHOICE_CONFIRMS     4   /* quick ones, while a lesser answer is at hand */
#define CHOICE_PATIENCE_MS  200 /* silence after which a better answer is not expected: at least */
#define CHOICE_DOUBT_MS     80  /* the same, of one that is dying or doubtful: at most */
#define CHOICE_PUBLIC_MS    300 /* silence that counts as failed before public is asked: at least */
#define CHOICE_DOWN_MS      600 /* silence of the down, when they are all that is left: at least */
#define CHOICE_UNHEDGED_MS  500 /* instead of hedge_ms when that is 0 */
#define CHOICE_LAST_MS      100 /* before the deadline: the time to take what there is */
#define CHOICE_NONE         UINT32_MAX

struct upstream;

enum choice_state {
    CHOICE_WAITING,  /* not asked yet */
    CHOICE_ASKED,    /* no answer yet */
    CHOICE_FAILED,   /* will not answer this question */
    CHOICE_ANSWERED, /* with a negative answer that is not taken yet */
};

struct choice_candidate {
    /* set by the caller */
    struct upstream *upstream; /* the caller's, not looked at */
    enum forward_class class;
    uint32_t region; /* equal numbers: one region */
    uint32_t usual_ms;
    uint32_t hedge_ms;    /* silence after which another is asked too; 0: the choice's */
    uint32_t distance_us; /* of its region; 0: unknown */
    bool away;            /* its region is gated, drained, held or forced down */
    bool suspect;         /* it failed of late */
    bool down;            /* a suspect for so long that it will not answer either */
    bool spent;           /* it may not be asked more often now */
    bool ailing;          /* it loses many; may be set at any time */
    bool dying;           /* it has not said a word to several questions; may be set at any time */
    bool doubtful;        /* it owes an answer, and one to a probe, too; may be set at any time */

    /* choice's own */
    enum choice_state state;
    bool probe;        /* asked beside the others, to see whether it is back */
    bool streaming;    /* its answer is on the way over TCP */
    bool spoke;        /* it failed with an answer, not with silence or a dead socket */
    bool overdue;      /* the caller has noted that it should have answered */
    unsigned times;    /* it was sent the question */
    uint64_t asked_ms; /* first */
    uint64_t sent_ms;  /* last, over TCP then */
    const char *fault; /* what came of it, in a few words; static */
};

struct choice {
    struct choice_candidate candidates[CHOICE_MOST]; /* in order after choice_start */
    uint32_t count;
    uint32_t kept; /* whose negative answer is at hand, or CHOICE_NONE */
    uint32_t hedge_ms;
    uint64_t deadline_ms;
    uint64_t held_until_ms; /* see choice_hold */
    bool has_stale;         /* the caller's: a lesser negative answer is no better than that */
};

enum choice_action {
    CHOICE_WAIT,      /* until `until_ms` or until something happens */
    CHOICE_ASK,       /* `candidate` for the first time */
    CHOICE_RESEND,    /* to `candidate` */
    CHOICE_TAKE_KEPT, /* answer with what is at hand */
    CHOICE_GIVE_UP,   /* nobody answered */
};

struct choice_step {
    enum choice_action action;
    uint32_t candidate;
    bool hedge; /* because of silence, not of a failure */
    bool extra; /* and so soon that it may well be for nothing: see choice_hold */
    uint64_t until_ms;
};

enum choice_verdict {
    CHOICE_TAKE, /* this is the answer */
    CHOICE_KEEP, /* it may become the answer: keep it instead of what was kept */
    CHOICE_DROP, /* what is kept is better */
};

void choice_init(struct choice *choice, uint32_t hedge_ms, uint64_t deadline_ms);

/* Add a candidate, best first as written. False when there are CHOICE_MOST. */
bool choice_add(struct choice *choice, const struct choice_candidate *candidate);

/* All were added: bring them in order. */
void choice_start(struct choice *choice);

/*
 * May this suspect be asked beside the others, to see whether it is back? Never
 * a public one while others live.
 */
bool choice_may_probe(const struct choice *choice, uint32_t candidate);

/*
 * What to do now. To be called again after each step was taken and reported
 * with one of the functions below, until it says to wait.
 */
struct choice_step choice_next(struct choice *choice, uint64_t now_ms);

/* The extra packet of the last step is not to be had before `until_ms`. */
void choice_hold(struct choice *choice, uint64_t until_ms);

/* Silence of `candidate` after which another is asked too. */
uint32_t choice_hedge_ms(const struct choice *choice, uint32_t candidate);

/* When `candidate`, which was asked, should have answered. */
uint64_t choice_overdue_ms(const struct choice *choice, uint32_t candidate);

/* `candidate` was sent the question (again); `probe`: see choice_may_probe. */
void choice_asked(struct choice *choice, uint32_t candidate, bool probe, uint64_t now_ms);

/* It has sent us to TCP. */
void choice_streaming(struct choice *choice, uint32_t candidate);

/* It will not answer; `spoke` when it said so itself. `fault` is static. */
void choice_failed(struct choice *choice, uint32_t candidate, bool spoke, const char *fault);

/* It answered well. */
enum choice_verdict choice_answered(struct choice *choice, uint32_t candidate, bool positive);
