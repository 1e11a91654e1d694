#pragma once
/*
 * habits - what one upstream has shown it can do on the wire
 *
 * Whether it keeps the letter case of a question (the 0x20 encoding), speaks
 * EDNS (RFC 6891) and cookies (RFC 7873): learned from its answers, forgotten
 * after a while, so that a mended one gets the better protection back.
 *
 * A datagram proves nothing against an upstream, for anybody may have sent it.
 * One that lacks a protection only raises a doubt: the same words are then put
 * to the upstream over TCP, and the protection is given up when that answer
 * lacks it too, or when TCP was of no use for two doubts with no datagram in
 * between that had the protection. Each doubt is of a question with an id and
 * a port of its own, so a forger would have to guess both twice.
 *
 * Decides only; the time is an argument, in monotonic milliseconds. Used from
 * one service loop. All zero is the start; so it is for another target.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HABITS_CLIENT_COOKIE 8       /* bytes; RFC 7873, section 4 */
#define HABITS_SERVER_COOKIE 32      /* at most */
#define HABITS_LOST_MS       3600000 /* what was proved over TCP is believed this long */
#define HABITS_OFF_MS        600000  /* what was not */
#define HABITS_COOKIE_MS     3600000 /* a client cookie is used: it is no mark to be followed by */
#define HABITS_DOUBTS        2       /* that TCP did not answer: then a protection is given up */

enum habits_protection {
    HABITS_CASE,
    HABITS_COOKIES,
    HABITS_PROTECTIONS,
};

struct habits {
    uint64_t off_until_ms[HABITS_PROTECTIONS]; /* it is given up until then */
    uint8_t doubts[HABITS_PROTECTIONS];
    uint64_t edns_off_until_ms;    /* it answers EDNS with FORMERR: none is sent until then */
    uint64_t client_cookie_end_ms; /* then another is drawn; 0: not drawn yet */
    uint8_t client_cookie[HABITS_CLIENT_COOKIE];
    uint8_t server_cookie[HABITS_SERVER_COOKIE]; /* its own for us, server_cookie_length bytes */
    uint8_t server_cookie_length;
    bool sends_cookies; /* so an answer without one is not believed over UDP */
    bool sends_edns;    /* an answer had an OPT record */
};

/* Is the protection in use? */
bool habits_has(const struct habits *habits, enum habits_protection protection, uint64_t now_ms);

/* May a query carry an OPT record? */
bool habits_speaks_edns(const struct habits *habits, uint64_t now_ms);

/* A datagram came that had the protection: doubts of it are over. */
void habits_kept(struct habits *habits, enum habits_protection protection);

/* An answer over TCP lacked the protection: it is given up for HABITS_LOST_MS. */
void habits_lost(struct habits *habits, enum habits_protection protection, uint64_t now_ms);

/*
 * A datagram lacked the protection and TCP told nothing. True when that, or
 * another doubt meanwhile, ends it for HABITS_OFF_MS: ask without.
 */
bool habits_doubted(struct habits *habits, enum habits_protection protection, uint64_t now_ms);

/* Is a client cookie to be drawn? To be asked before it is sent. */
bool habits_cookie_due(const struct habits *habits, uint64_t now_ms);

/* Use these random bytes as the client cookie; the server's belonged to the last one. */
void habits_draw_cookie(struct habits *habits, const uint8_t random[HABITS_CLIENT_COOKIE],
                        uint64_t now_ms);

/*
 * An answer brought `client`, which was sent with its question, and the
 * server's own cookie of `length` bytes, 0 to HABITS_SERVER_COOKIE.
 */
void habits_cookie_came(struct habits *habits, const uint8_t client[HABITS_CLIENT_COOKIE],
                        const uint8_t *server, size_t length);

/* It refused a question because of a cookie and answered it without: none for HABITS_OFF_MS. */
void habits_cookies_refused(struct habits *habits, uint64_t now_ms);

/* An answer had an OPT record. */
void habits_edns_came(struct habits *habits);

/*
 * It refused a question because of EDNS and answered it without. EDNS is given
 * up for HABITS_OFF_MS; one that has shown to speak it must do that twice.
 */
void habits_edns_refused(struct habits *habits, uint64_t now_ms);
