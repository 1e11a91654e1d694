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
 * has gone. One that has been suspect for so long that such a question failed
 * too is down. Regions are no concern of this: their health has words of its own.
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

#define UPSTREAM_SILENT_MS    200  /* a try as old as this without an answer is silent: at least */
#define UPSTREAM_LISTEN_MS    600  /* and at most: then nobody listens who has an answer already */
#define UPSTREAM_SILENT_COUNT 3    /* silent ones in a row make suspect */
#define UPSTREAM_SILENT_SPAN  100  /* ms between the first and the last: no burst of loss */
#define UPSTREAM_BAD_COUNT    3    /* distinct questions failed that others could answer */
#define UPSTREAM_PROBE_MS     1000 /* a suspect one is asked this often */
#define UPSTREAM_DOWN_MS      1300 /* as long as this suspect is down: a probe was silent too */
#define UPSTREAM_WATCH_MS     50   /* of tries overtaken by an answer, one each such time is kept */

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
    uint64_t watch_due_ms; /* see UPSTREAM_WATCH_MS */

    _Atomic uint32_t usual_ms; /* smoothed time to an answer, 0 before the first */
    _Atomic uint64_t sent;     /* packets and connections */
    _Atomic uint64_t failed;   /* tries that brought no good answer */
};

/*
 * It gave a good answer after `took_ms`, positive or negative. True when that
 * ends a suspicion.
 */
bool upstream_good(struct upstream *upstream, uint64_t took_ms, uint64_t now_ms);

/* It said something that is no answer yet (TC): it is there, its silences are forgotten. */
void upstream_heard(struct upstream *upstream, uint64_t now_ms);

/* It answered, but badly (SERVFAIL and the like). It is there all the same. */
void upstream_spoke(struct upstream *upstream, uint64_t now_ms);

/* How old a try is when its silence counts: what is usually slow is given more time. */
uint32_t upstream_silent_ms(const struct upstream *upstream);

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

/* Has it been suspect for so long that it must be taken to be down? */
bool upstream_is_down(const struct upstream *upstream, uint64_t now_ms);

/* May this suspect be asked beside the others? True at most once a second. */
bool upstream_probe_due(struct upstream *upstream, uint64_t now_ms);

/* Shall a try whose question was answered by another be listened to? */
bool upstream_watch_due(struct upstream *upstream, uint64_t now_ms);
