#pragma once
/*
 * hostname - which addresses a host name stands for, whatever resolvers say
 *
 * The state of one name and address family. Answers and verdicts of checks are
 * fed in, the set of addresses comes out. Resolvers have emptied the records
 * of names that were alive: so an answer that takes away all or most of what
 * was there is doubted. Another failure domain is asked; where that knows no
 * more, the addresses stay while a check proves whose they are, and at most an
 * hour without such a proof. Silence takes nothing away.
 *
 * Big balancers answer with a few of many addresses in turn. So an answer has
 * far fewer addresses only when it has a third at most of all that were heard
 * in the last ten minutes and half at most of the largest answer lately, and
 * an address that was left out stays for another minute.
 *
 * Decides only: no I/O, the time is an argument, in monotonic milliseconds.
 * Any one thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

struct text;

#define HOSTNAME_MOST         32 /* addresses in the set; more of an answer are not used */
#define HOSTNAME_REMEMBERED   64 /* those of the last ten minutes with them */
#define HOSTNAME_SOURCE_BYTES 128
#define HOSTNAME_KEPT_MS      3600000 /* without a proof */
#define HOSTNAME_UNION_MS     600000
#define HOSTNAME_LEFT_OUT_MS  60000  /* an address left out stays for so long at least */
#define HOSTNAME_LEFT_OUT_MOST_MS 120000 /* and at most: one and a half times the TTL */
#define HOSTNAME_TTL_LEAST_S  5
#define HOSTNAME_TTL_MOST_S   300
#define HOSTNAME_DOUBT_MOST_S 30 /* until it is asked again while in doubt */
#define HOSTNAME_ABSENT_MOST_S 10 /* the same while there is no such name */

/* What came of a question. */
enum hostname_kind {
    HOSTNAME_UNASKED,
    HOSTNAME_POSITIVE,
    HOSTNAME_NXDOMAIN,
    HOSTNAME_NODATA,
    HOSTNAME_SILENT, /* SERVFAIL, no answer, nobody to ask */
};

/* What checks say of an address: is it whose it was? The one that counts most last. */
enum hostname_proof {
    HOSTNAME_UNPROVEN, /* no check of the kind, or no result yet */
    HOSTNAME_DISPROVEN,
    HOSTNAME_PROVEN,
};

enum hostname_wish {
    HOSTNAME_CONTENT,
    HOSTNAME_WANTS_SECOND, /* ask another failure domain than this answer's, now */
};

struct hostname_answer {
    enum hostname_kind kind;
    bool second;  /* it is what another failure domain said, asked because of the wish */
    bool expired; /* from a cache, its time is over: better than nothing, no more */
    const struct addr *addresses;
    size_t count;
    uint32_t ttl_s;
    const char *source; /* who said it, for people */
};

struct hostname_address {
    struct addr address; /* port 0 */
    bool in_set;
    enum hostname_proof proof;
    uint64_t seen_ms;    /* last in an answer */
    uint64_t seen_turn;  /* the turn of that */
    uint64_t missing_ms; /* left out of the answers since; 0: in the newest */
    uint64_t kept_ms;    /* in the set against what resolvers say since; 0: with them */
    uint64_t proven_ms;  /* last */
    uint64_t look;       /* at which `proof` was told */
};

/* An answer that was not believed. */
struct hostname_doubt {
    bool open;
    bool confirmed; /* another failure domain says the same */
    bool overruled; /* another one knows more */
    enum hostname_kind kind; /* POSITIVE: far fewer */
    size_t count;            /* what it had */
    size_t largest;          /* what there was before */
    uint64_t since_ms;
    char source[HOSTNAME_SOURCE_BYTES];
    char second[HOSTNAME_SOURCE_BYTES];
};

struct hostname {
    bool keep; /* else everything is believed at once */
    struct hostname_address addresses[HOSTNAME_REMEMBERED];
    size_t address_count;
    uint64_t version; /* counts changes of the set */
    uint64_t ask_ms;  /* when to ask again */
    unsigned silent_count; /* in a row */
    enum hostname_kind last; /* answer of the first asked, silence left out */
    uint64_t silent_ms;      /* when silence began */
    uint64_t turn;           /* counts first answers; a second one belongs to the turn */
    uint64_t heard_ms;       /* when the newest answer came that was not silence; 0: none did */
    uint32_t ttl_s;          /* its own, as it is used */
    char source[HOSTNAME_SOURCE_BYTES];
    size_t largest[2]; /* answer of this window of ten minutes, of the one before */
    uint64_t window_ms;
    struct hostname_doubt doubt;
};

/* Nothing known; to be asked at once. `keep`: see model_endpoint.keep_addresses. */
void hostname_init(struct hostname *hostname, bool keep, uint64_t now_ms);

/*
 * An answer came. Returns whether another failure domain is to be asked at
 * once; what that says, be it silence, must follow with `second` set.
 */
enum hostname_wish hostname_hear(struct hostname *hostname, const struct hostname_answer *answer,
                                 uint64_t now_ms);

/*
 * What checks say of an address of the set now. Several services may use it,
 * each with checks of its own: of what is told in one `look`, a number that
 * grows, what counts most is taken.
 */
void hostname_prove(struct hostname *hostname, const struct addr *address,
                    enum hostname_proof proof, uint64_t look, uint64_t now_ms);

/* Let time act: take out what has had its time. */
void hostname_tick(struct hostname *hostname, uint64_t now_ms);

/* When hostname_tick has something to do next; UINT64_MAX: not by itself. */
uint64_t hostname_tick_ms(const struct hostname *hostname);

/* The set, in an order that depends on the addresses alone; returns their number. */
size_t hostname_list(const struct hostname *hostname, struct addr out[HOSTNAME_MOST]);

/* Is anything in the set? / Is anything kept against what resolvers say? */
bool hostname_has_any(const struct hostname *hostname);
bool hostname_keeps_any(const struct hostname *hostname);

/* What is known of an address of the set, whatever its port; NULL: not in it. */
const struct hostname_address *hostname_find(const struct hostname *hostname,
                                             const struct addr *address);

/* Since when the kept ones are kept; 0: none are. */
uint64_t hostname_kept_ms(const struct hostname *hostname);

/* Why the set is what it is, as a few words for people; "" when resolvers say so. */
void hostname_explain(const struct hostname *hostname, uint64_t now_ms, struct text *out);

/* "positive", "NXDOMAIN", ... */
const char *hostname_kind_name(enum hostname_kind kind);
