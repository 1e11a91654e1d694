#pragma once
/*
 * upstream - what live questions have shown about one resolver
 *
 *            refused once; silent three times running; three
 *            questions failed that another upstream answered
 *      UP  ------------------------------------------------->  SUSPECT
 *       ^                                                         |
 *       +------------------- one good answer ---------------------+
 *
 * A suspect upstream stands behind the living ones, but one live question a
 * second is put to it as well, so it is back about a second after its cause
 * has gone. Regions are no concern of this: their health has words of its own.
 *
 * Decides only; the time is an argument, in monotonic milliseconds. Used from
 * one service loop; what another thread may read is atomic or, where said so,
 * written under the lock of the directory it lives in.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "resolver/snapshot.h"

#define UPSTREAM_SILENT_MS    600  /* a try older than this without an answer is silent */
#define UPSTREAM_SILENT_COUNT 3    /* of them in a row make suspect */
#define UPSTREAM_SILENT_SPAN  100  /* ms between the first and the last: no burst of loss */
#define UPSTREAM_BAD_COUNT    3    /* distinct questions failed that others could answer */
#define UPSTREAM_PROBE_MS     1000 /* a suspect one is asked this often */
#define UPSTREAM_WATCHED      8    /* tries listened to after their question was answered */

struct upstream {
    struct addr address;
    char *region; /* "" when none was given */
    char *label;  /* for people: "tokyo 10.2.0.10:53" */

    /* what is believed; written under the directory's lock */
    enum forward_class class;
    bool suspect;
    uint64_t since_ms; /* of that state */
    char reason[96];   /* why it is suspect, "" when it is not */

    /* evidence; the loop's alone */
    unsigned silent_count;
    uint64_t silent_first_ms; /* when the first of them was sent */
    uint64_t heard_ms;        /* when it last said anything */
    unsigned bad_count;
    uint64_t bad_questions[UPSTREAM_BAD_COUNT]; /* hashes: one bad domain counts once */
    uint64_t probe_due_ms;
    unsigned watched; /* tries still listened to, see UPSTREAM_WATCHED */

    _Atomic uint32_t usual_ms; /* smoothed time to an answer, 0 before the first */
    _Atomic uint64_t sent;     /* packets and connections */
    _Atomic uint64_t failed;   /* tries that brought no good answer */
};

/*
 * It gave a good answer after `took_ms`, positive or negative. True when that
 * ends a suspicion.
 */
bool upstream_good(struct upstream *upstream, uint64_t took_ms, uint64_t now_ms);

/* It answered, but badly (SERVFAIL and the like): it is there, its silences are forgotten. */
void upstream_spoke(struct upstream *upstream, uint64_t now_ms);

/*
 * What was sent at `sent_ms` is still unanswered. True when that makes it
 * suspect; no evidence when it has said anything since.
 */
bool upstream_silent(struct upstream *upstream, uint64_t sent_ms);

/* Its socket refused, or it cannot be reached. True when that makes it suspect. */
bool upstream_refused(struct upstream *upstream);

/*
 * It failed the question with this hash, which another upstream answered well.
 * True when that makes it suspect.
 */
bool upstream_bad(struct upstream *upstream, uint64_t question);

/* Store a verdict. The directory's lock is held. */
void upstream_set(struct upstream *upstream, bool suspect, const char *reason, uint64_t now_ms);

/* May this suspect be asked beside the others? True at most once a second. */
bool upstream_probe_due(struct upstream *upstream, uint64_t now_ms);
