#pragma once
/*
 * upstream - what live questions and probes have shown about one resolver
 *
 *           refused once; silent three times running; one in five lost;
 *           three questions failed that another upstream answered;
 *           half its answers and a probe slower than asking another region too
 *      UP  ---------------------------------------------------------->  SUSPECT
 *       ^                                                                  |
 *       +--- proofs in a row: 3, 10 when slow, or 20 after losses --------+
 *
 * A suspect upstream stands behind the living ones. It is probed several times
 * a second, so it is back within two seconds after its cause has gone: good
 * answers are the proofs, and whatever goes wrong between them makes them begin
 * anew. One that failed questions which others answered proves itself with live
 * questions, put to it beside the others. Whether it is slow, probes decide, on
 * both ways: live questions may take long because of what they ask. It never is
 * when nobody else is faster. A suspect that refuses, or of which
 * nothing good was heard for UPSTREAM_DOWN_MS, is down. Regions are no concern
 * of this: their health has words of its own.
 *
 * Decides only; the time is an argument, in monotonic milliseconds. Used from
 * one service loop; what another thread may read is atomic or, where said so,
 * written under the lock of the directory it lives in.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "resolver/forward/budget.h"
#include "resolver/forward/connection.h"
#include "resolver/forward/habits.h"
#include "resolver/forward/measure.h"
#include "resolver/snapshot.h"

#define UPSTREAM_SILENT_MS    200  /* a try as old as this without an answer is silent: unknown */
#define UPSTREAM_QUICK_MS     100  /* the same, where answers usually take less: at least */
#define UPSTREAM_LISTEN_MS    600  /* and at most: then nobody listens who has an answer already */
#define UPSTREAM_SILENT_COUNT 3    /* silent ones in a row make suspect */
#define UPSTREAM_SILENT_SPAN  100  /* ms between the first and the last: no burst of loss */
#define UPSTREAM_LOST_COUNT   8    /* lost ones make suspect, */
#define UPSTREAM_LOST_OF      40   /* among so many, */
#define UPSTREAM_LOST_SHARE   5    /* one in so many */
#define UPSTREAM_AILING_COUNT 3    /* losses that make nobody suspect yet, */
#define UPSTREAM_AILING_OF    20   /* among so many, */
#define UPSTREAM_AILING_SHARE 10   /* one in so many */
#define UPSTREAM_BAD_COUNT    3    /* distinct questions failed that others could answer */
#define UPSTREAM_DOWN_MS      1300 /* suspect, and nothing good for as long as this: down */
#define UPSTREAM_PROOFS       3    /* good answers in a row end a suspicion, */
#define UPSTREAM_LOSS_PROOFS  20   /* or so many, where some always came through */
#define UPSTREAM_SLOW_PROOFS  10   /* or so many, where only some are slow */
#define UPSTREAM_BESIDE_MS    200  /* a suspect is put a live question this often */
#define UPSTREAM_NO_LIVE_MS   30000 /* without a live question for so long probes are proof */
#define UPSTREAM_WATCH_MS     10   /* of tries overtaken by an answer, one each such time is kept */
#define UPSTREAM_DYING_COUNT  3    /* questions overdue without a word: signs of death */
#define UPSTREAM_DOUBT_COUNT  2    /* so many make it worth a probe */
#define UPSTREAM_DOUBT_LEAST  10   /* ms that such a probe is waited for: at least */
#define UPSTREAM_SLOW_OF      10   /* of so many answers, */
#define UPSTREAM_SLOW_COUNT   5    /* so many slow ones make suspect when a probe is slow, too, */
#define UPSTREAM_SLOW_PROBES  3    /* and so many slow probes in a row do so by themselves */
#define UPSTREAM_SLOW_AGAIN   2000 /* ms until slow answers are worth another probe */
#define UPSTREAM_HEDGE_LEAST  10   /* ms; nobody is hedged sooner */
#define UPSTREAM_HEDGE_MOST   75   /* nor later, on its own times: so region and hedge fit 100 ms */

/* Why an upstream is suspect. */
enum upstream_cause {
    UPSTREAM_REFUSED, /* its socket refuses, or it cannot be reached */
    UPSTREAM_SILENT,
    UPSTREAM_LOSSY,
    UPSTREAM_BAD, /* it fails what others answer */
    UPSTREAM_SLOW, /* asking another region as well is quicker */
};

/* When it is probed; liveness's. */
struct upstream_probing {
    uint64_t sent_ms; /* the last probe, 0: none */
    unsigned failed;  /* probes in a row */
    bool good;        /* the last one was */
    bool wanted;      /* one more, now */
    unsigned slow;    /* in a row */
    uint64_t took_us; /* the last one that was answered */
};

struct upstream {
    struct addr address;
    char *region; /* "" when none was given */
    char *label;  /* for people: "tokyo 10.2.0.10:53" */

    struct connection_target target; /* how it is reached; its tls is the directory's copy */
    bool stream_only;                /* never over UDP: `tcp: true`, or TLS */
    struct habits habits;            /* what it does on the wire; attempt's */

    /* what is believed; written under the directory's lock */
    enum forward_class class;
    bool suspect;
    bool loop;  /* it leads back to us */
    bool named; /* by the rules in force; see directory_name */
    enum upstream_cause cause;
    uint64_t since_ms; /* of that state */
    char reason[96];   /* why it is suspect, "" when it is not */

    /* evidence; the loop's alone */
    struct measure measure;
    struct budget_rate rate; /* max_queries */
    unsigned silent_count;
    uint64_t silent_first_ms; /* when the first of them was sent */
    uint64_t heard_ms;        /* when it last said anything, 0: never */
    unsigned overdue;         /* questions past their hedge delay without a word since */
    uint64_t overdue_first_ms; /* when the first of them was sent */
    uint16_t slow_answers; /* of the last UPSTREAM_SLOW_OF, one bit each, the newest lowest */
    uint64_t slow_due_ms;  /* see UPSTREAM_SLOW_AGAIN */
    /* the fastest that lives in another region of its rule, or NULL; as it was last seen */
    const struct upstream *rival;
    unsigned bad_count;
    uint64_t bad_questions[UPSTREAM_BAD_COUNT]; /* hashes: one bad domain counts once */
    unsigned proofs;          /* in a row */
    uint64_t live_ms;         /* when it was last put a live question */
    uint64_t beside_due_ms;   /* see UPSTREAM_BESIDE_MS */
    uint64_t watch_due_ms;    /* see UPSTREAM_WATCH_MS */
    uint32_t unwatched;       /* overtaken tries that were not listened to since */
    uint64_t loop_id;         /* of the name asked of it to find a loop, 0: none */
    uint32_t near_us;         /* round trip of its probes, smoothed; 0: unknown */
    struct upstream_probing probing;
    bool watched; /* liveness probes it */

    /* for other threads */
    _Atomic uint32_t usual_us; /* smoothed time to an answer, 0 before the first */
    _Atomic uint32_t p95_us;   /* see measure_p95_us */
    _Atomic uint32_t loss_permille;
    _Atomic uint32_t rank_us; /* of near_us, moved only by real changes; 0: unknown */
    _Atomic bool spent;       /* max_queries leaves it nothing just now */
    _Atomic uint64_t proved_ms;     /* when it last gave a proof */
    _Atomic uint64_t next_probe_ms; /* 0: none is planned */
    _Atomic uint64_t sent;          /* packets and connections */
    _Atomic uint64_t failed;        /* tries that brought no good answer */
    _Atomic uint64_t hedges;        /* of them asked because another was silent */
    _Atomic uint64_t probes;
    _Atomic uint64_t over_budget; /* packets sent above max_queries */
};

/*
 * It gave a good answer to a live question after `took_us`, positive or
 * negative. True when that ends a suspicion.
 */
bool upstream_good(struct upstream *upstream, uint64_t took_us, uint64_t now_ms);

/*
 * The same, but its silence had been counted already, with `weight`: it is
 * there, and slower than it was. No proof.
 */
void upstream_late(struct upstream *upstream, uint64_t took_us, uint32_t weight, uint64_t now_ms);

/*
 * A question sent again `resent` times was answered `took_us` after the last:
 * as soon as probes are, so that what was sent before is lost.
 */
void upstream_resent(struct upstream *upstream, unsigned resent, uint64_t took_us,
                     uint64_t now_ms);

/* It said something that is no answer yet (TC): it is there, its silences are forgotten. */
void upstream_heard(struct upstream *upstream, uint64_t now_ms);

/* It answered, but badly (SERVFAIL and the like). It is there all the same. */
void upstream_spoke(struct upstream *upstream, uint64_t now_ms);

/*
 * It answered a probe; `good`: not with a failure. True when that ends a
 * suspicion.
 */
bool upstream_probe_answered(struct upstream *upstream, bool good, uint64_t took_us,
                             uint64_t now_ms);

/* How old a try is when its silence counts: what is usually slow is given more time. */
uint32_t upstream_silent_ms(const struct upstream *upstream);

/*
 * What was sent at `sent_ms` is still unanswered, and so are weight - 1 more.
 * True when that makes it suspect: of silence, or, where it has said anything
 * since, of losses (`*out_cause`).
 */
bool upstream_silent(struct upstream *upstream, uint64_t sent_ms, uint32_t weight, uint64_t now_ms,
                     enum upstream_cause *out_cause);

/* Its socket refused, or it cannot be reached. True when that makes it suspect. */
bool upstream_refused(struct upstream *upstream);

/*
 * It failed the question with this hash, which another upstream answered well.
 * True when that makes it suspect.
 */
bool upstream_bad(struct upstream *upstream, uint64_t question);

/*
 * A question sent at `sent_ms` has no answer when it should be there, and this
 * is said of each question once.
 */
void upstream_overdue(struct upstream *upstream, uint64_t sent_ms);

/*
 * Is it worth a probe, now, to see whether it is there? `waited_for`: a lesser
 * answer is at hand and waits for it, so that one question overdue will do.
 */
bool upstream_is_worth_a_probe(const struct upstream *upstream, bool waited_for);

/*
 * Questions are overdue, and a probe was not answered in the time that probes
 * take. `*out_at_ms` is when that will be so if it stays silent, 0: it will not.
 */
bool upstream_is_doubtful(const struct upstream *upstream, uint64_t now_ms, uint64_t *out_at_ms);

/*
 * Does it show signs of death: several questions overdue, not a word since the
 * first of them, and doubtful or, where nobody probes it, silent for longer than
 * it usually takes?
 */
bool upstream_is_dying(const struct upstream *upstream, uint64_t now_ms);

/*
 * What another region would have answered by, had it been asked when this one
 * was late; 0: nobody there is known to be faster by a clear margin. Microseconds.
 */
uint64_t upstream_slow_us(const struct upstream *upstream);

/* Must it be taken to be slow? What it is suspected of already may be worse. */
bool upstream_is_slow(const struct upstream *upstream);

/* Are its answers so slow that a probe is to show whether it is? True now and then only. */
bool upstream_slow_due(struct upstream *upstream, uint64_t now_ms);

/* Does it lose so much that who asks it does well to ask another too? */
bool upstream_is_ailing(const struct upstream *upstream, uint64_t now_ms);

/* Store a verdict. The directory's lock is held. `cause` counts when it is suspect. */
void upstream_set(struct upstream *upstream, bool suspect, enum upstream_cause cause,
                  const char *reason, uint64_t now_ms);

/* Must it be taken to be down? Under the directory's lock also from another thread. */
bool upstream_is_down(const struct upstream *upstream, uint64_t now_ms);

/*
 * Its state in a word: "up", "suspect", "down", "loop", or "unknown" before it
 * ever answered. See upstream_is_down.
 */
const char *upstream_state(const struct upstream *upstream, uint64_t now_ms);

/* After how long another is asked too, on its own times; UPSTREAM_HEDGE_MOST: nothing is known. */
uint32_t upstream_hedge_ms(const struct upstream *upstream);

/* How long a probe is waited for. */
uint32_t upstream_probe_timeout_ms(const struct upstream *upstream, uint64_t now_ms);

/*
 * May this suspect be put a live question beside the others? True at most once
 * each UPSTREAM_BESIDE_MS.
 */
bool upstream_beside_due(struct upstream *upstream, uint64_t now_ms);

/* Something is sent to it, and counted. */
void upstream_spend(struct upstream *upstream, uint64_t now_ms);

/* See whether max_queries leaves it something: sets `spent`. */
void upstream_look_at_budget(struct upstream *upstream, uint64_t now_ms);

/*
 * Shall a try whose question was answered by another be listened to? Returns
 * for how many it stands, 0: no.
 */
uint32_t upstream_watch(struct upstream *upstream, uint64_t now_ms);
