#pragma once
/*
 * lookup - one question in flight: puts into effect what choice decides
 *
 * A lookup asks upstreams until one answers in a way that counts or its
 * deadline has come. Tries that another upstream's answer has overtaken are
 * listened to for a moment longer, because whether they are answered at all
 * is what is known of their upstream. One service loop.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "resolver/forward/attempt.h"
#include "resolver/forward/budget.h"
#include "resolver/forward/choice.h"
#include "resolver/forward/directory.h"
#include "resolver/forward/forwarder.h"

/* An answer leaves room for what is put behind it: OPT with its options. */
#define LOOKUP_ANSWER_MAX (WIRE_MESSAGE_MAX - 512)

/* RFC 8914, section 4 */
enum lookup_ede {
    LOOKUP_EDE_FILTERED = 17,
    LOOKUP_EDE_NO_REACHABLE_AUTHORITY = 22,
    LOOKUP_EDE_NETWORK_ERROR = 23,
};

struct lookup;
struct waiter;

/* What the lookups of one loop share. */
struct lookup_context {
    struct attempt_pool pool;
    struct directory *directory;
    struct budget_share share; /* of extra packets */
    uint8_t *answer;         /* LOOKUP_ANSWER_MAX bytes: the one being made */
    struct attempt *watched; /* tries whose question is answered already */
    unsigned alive;          /* lookups not freed yet */
    /*
     * The lookup is over; the reply is valid during the call. It is freed some
     * time later. Never called from lookup_start.
     */
    void (*finished)(struct lookup *lookup, const struct forward_reply *reply);
    /* A lookup or an attempt was freed. */
    void (*released)(void *user);
    void *user;
};

struct lookup {
    /* the forwarder's */
    struct lookup *next;
    struct waiter *waiters;
    struct waiter **waiters_end;
    uint64_t hash; /* of the question */
    bool forgotten; /* asked under a rule that no longer holds */

    /* lookup's own, to be read */
    struct lookup_context *context;
    struct forward_question question; /* its name is `name` */
    uint8_t name[NAME_MAX_BYTES];     /* in the letter case asked */
    uint8_t dname[NAME_MAX_BYTES];

    /* private */
    bool starting;
    bool finished;
    bool is_private; /* see special.h: nobody is asked, for only public ones could be */
    bool refuse_private; /* see rebinding.h */
    bool has_asked;      /* somebody */
    struct choice choice;
    struct attempt *attempts;
    uint8_t *kept; /* the answer of choice.kept */
    size_t kept_length;
    uv_timer_t timer;
};

/* What the attempts of lookups tell; their pool's user is the context. */
const struct attempt_events *lookup_events(void);

/* A lookup of this question, or NULL when memory is out. */
struct lookup *lookup_new(struct lookup_context *context, const struct forward_question *question,
                          const uint8_t *dname, uint64_t hash);

/* Begin to ask the upstreams of `rule`, which is read during this call only. */
void lookup_start(struct lookup *lookup, const struct forward_rule *rule);

/* End it now with a failure that says `text`. */
void lookup_cancel(struct lookup *lookup, const char *text);

/* Close the tries that are only listened to. */
void lookup_context_close(struct lookup_context *context);
