#pragma once
/*
 * sim_trick - what the resolver does wrong on purpose, answer by answer
 *
 * A table with one slot for each trick. Any number of them are on at once,
 * each for the answers that its conditions fit and, when so told, only for
 * the next few of those. How often each was played is counted. Plain data
 * without sockets; loop thread only.
 */
#include "sim_wire.h"

enum sim_over {
    SIM_OVER_UDP,
    SIM_OVER_TCP,
    SIM_OVER_TLS,
    SIM_OVERS
};

/* In the order of README.md, which says what each does. */
enum sim_trick_kind {
    SIM_TRICK_WRONGID,
    SIM_TRICK_WRONGNAME,
    SIM_TRICK_WRONGTYPE,
    SIM_TRICK_FOLDCASE,
    SIM_TRICK_NOQUESTION,
    SIM_TRICK_NOREPLYBIT,
    SIM_TRICK_WRONGPORT,
    SIM_TRICK_WRONGADDRESS,
    SIM_TRICK_PREVIOUS,
    SIM_TRICK_DUPLICATE,
    SIM_TRICK_GUESSES,
    SIM_TRICK_HONEST,
    SIM_TRICK_DELAY,
    SIM_TRICK_LOSE,
    SIM_TRICK_SILENCE,
    SIM_TRICK_RCODE,
    SIM_TRICK_NXDOMAIN,
    SIM_TRICK_NODATA,
    SIM_TRICK_NOSOA,
    SIM_TRICK_MINIMUM,
    SIM_TRICK_TTL,
    SIM_TRICK_CHAIN,
    SIM_TRICK_UNFINISHED,
    SIM_TRICK_LOOP,
    SIM_TRICK_DNAME,
    SIM_TRICK_MANY,
    SIM_TRICK_TEXT,
    SIM_TRICK_FOREIGN,
    SIM_TRICK_TRUNCATE,
    SIM_TRICK_OVERSIZE,
    SIM_TRICK_GARBAGE,
    SIM_TRICK_EMPTY,
    SIM_TRICK_HEADER,
    SIM_TRICK_MALFORMED,
    SIM_TRICK_NOOPT,
    SIM_TRICK_STRAYOPT,
    SIM_TRICK_TWOOPTS,
    SIM_TRICK_BADOPT,
    SIM_TRICK_OPTNAME,
    SIM_TRICK_OPTSIZE,
    SIM_TRICK_OPTVERSION,
    SIM_TRICK_OPTION,
    SIM_TRICK_ECS,
    SIM_TRICK_KEEPALIVE,
    SIM_TRICK_EDNSFORMERR,
    SIM_TRICK_EDNSBADVERS,
    SIM_TRICK_EDNSSILENCE,
    SIM_TRICK_COOKIES,
    SIM_TRICK_COOKIEWRONG,
    SIM_TRICK_COOKIEABSENT,
    SIM_TRICK_COOKIESHORT,
    SIM_TRICK_BADCOOKIE,
    SIM_TRICK_REFUSE,
    SIM_TRICK_NOCONNECT,
    SIM_TRICK_CLOSEACCEPT,
    SIM_TRICK_CLOSEQUERY,
    SIM_TRICK_HALF,
    SIM_TRICK_TRICKLE,
    SIM_TRICK_REORDER,
    SIM_TRICK_CLOSEAFTER,
    SIM_TRICK_IDLE,
    SIM_TRICK_CERTIFICATE,
    SIM_TRICK_TLSSILENCE,
    SIM_TRICK_TLSGARBAGE,
    SIM_TRICK_TLSVERSION,
    SIM_TRICK_NORESUME,
    SIM_TRICKS
};

/* Arguments that are words; the names stand in the table in the same order. */
enum sim_previous {
    SIM_PREVIOUS_INSTEAD,
    SIM_PREVIOUS_ALSO
};
enum sim_foreign {
    SIM_FOREIGN_ALL,
    SIM_FOREIGN_ANSWER,
    SIM_FOREIGN_AUTHORITY,
    SIM_FOREIGN_ADDITIONAL
};
enum sim_truncate {
    SIM_TRUNCATE_EMPTY,
    SIM_TRUNCATE_FULL
};
enum sim_malformed {
    SIM_MALFORMED_CUT,
    SIM_MALFORMED_COUNTS,
    SIM_MALFORMED_POINTER,
    SIM_MALFORMED_RDLENGTH,
    SIM_MALFORMED_TRAILING
};
enum sim_badcookie {
    SIM_BADCOOKIE_ONCE,
    SIM_BADCOOKIE_ALWAYS
};
enum sim_goodbye {
    SIM_GOODBYE_CLOSE,
    SIM_GOODBYE_RESET,
    SIM_GOODBYE_SILENCE
};
enum sim_certificate {
    SIM_CERTIFICATE_GOOD,
    SIM_CERTIFICATE_EXPIRED,
    SIM_CERTIFICATE_FUTURE,
    SIM_CERTIFICATE_WRONGNAME,
    SIM_CERTIFICATE_SELFSIGNED,
    SIM_CERTIFICATES
};
enum sim_tlsversion {
    SIM_TLSVERSION_1_2,
    SIM_TLSVERSION_1_3
};

struct sim_trick {
    bool on;
    bool limited;          /* goes off when `left` has been used up */
    uint32_t left;         /* answers to come */
    uint32_t number;       /* the argument: a number, or the index of a word */
    unsigned over;         /* bits 1 << enum sim_over */
    uint16_t type;         /* of the question, 0: any */
    struct sim_dname name; /* this one and those below it; size 0: any */
    uint64_t used;         /* times played since the last reset */
};

struct sim_tricks {
    struct sim_trick slots[SIM_TRICKS];
};

/* What an answer is about to be given to. */
struct sim_asked {
    enum sim_over over;
    const struct sim_query *query; /* NULL: a connection on which none has come */
    bool honest;                   /* only the tricks that are abilities are played */
    unsigned used;                 /* tricks played on it so far */
};

/*
 * Switch a trick on: "NAME [ARGUMENT] [next=N] [over=udp,tcp,tls] [name=NAME]
 * [type=TYPE]". `words` is changed in the process. What the slot held before
 * is replaced, its count kept. Returns NULL or a sentence on what is wrong;
 * then nothing has changed.
 */
const char *sim_trick_set(struct sim_tricks *tricks, char *words);

/* The trick of that name, or SIM_TRICKS when there is none. */
enum sim_trick_kind sim_trick_find(const char *name);

/* Switch one off. */
void sim_trick_off(struct sim_tricks *tricks, enum sim_trick_kind kind);

/* Switch all off; the counts stay. */
void sim_trick_clear(struct sim_tricks *tricks);

/* All counts back to zero. */
void sim_trick_reset(struct sim_tricks *tricks);

/* True when the trick is on and fits. Nothing is counted. */
bool sim_trick_fits(const struct sim_tricks *tricks, enum sim_trick_kind kind,
                    const struct sim_asked *asked);

/* As sim_trick_fits; a trick that fits counts as played. */
bool sim_trick_use(struct sim_tricks *tricks, enum sim_trick_kind kind, struct sim_asked *asked);

/* The argument last given to a trick. */
uint32_t sim_trick_number(const struct sim_tricks *tricks, enum sim_trick_kind kind);

/* Write "wrongid next=2, ttl 0" or "none"; cut off when it does not fit. */
void sim_trick_format(const struct sim_tricks *tricks, char *text, size_t size);

/* Write "wrongid=3 ttl=1" for those played, or "none". */
void sim_trick_format_used(const struct sim_tricks *tricks, char *text, size_t size);
