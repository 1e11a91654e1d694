#include "resolver/forward/habits.h"

#include <string.h>

bool habits_has(const struct habits *habits, enum habits_protection protection, uint64_t now_ms)
{
    return now_ms >= habits->off_until_ms[protection];
}

bool habits_speaks_edns(const struct habits *habits, uint64_t now_ms)
{
    return now_ms >= habits->edns_off_until_ms;
}

void habits_kept(struct habits *habits, enum habits_protection protection)
{
    habits->doubts[protection] = 0;
}

static void give_up(struct habits *habits, enum habits_protection protection, uint64_t until_ms)
{
    habits->doubts[protection] = 0;
    if (habits->off_until_ms[protection] < until_ms) {
        habits->off_until_ms[protection] = until_ms;
    }
    if (protection == HABITS_COOKIES) {
        habits->sends_cookies = false;
        habits->server_cookie_length = 0;
    }
}

void habits_lost(struct habits *habits, enum habits_protection protection, uint64_t now_ms)
{
    give_up(habits, protection, now_ms + HABITS_LOST_MS);
}

bool habits_doubted(struct habits *habits, enum habits_protection protection, uint64_t now_ms)
{
    if (!habits_has(habits, protection, now_ms)) {
        return true;
    }
    if (++habits->doubts[protection] < HABITS_DOUBTS) {
        return false;
    }
    give_up(habits, protection, now_ms + HABITS_OFF_MS);
    return true;
}

bool habits_cookie_due(const struct habits *habits, uint64_t now_ms)
{
    return now_ms >= habits->client_cookie_end_ms;
}

void habits_draw_cookie(struct habits *habits, const uint8_t random[HABITS_CLIENT_COOKIE],
                        uint64_t now_ms)
{
    memcpy(habits->client_cookie, random, HABITS_CLIENT_COOKIE);
    habits->client_cookie_end_ms = now_ms + HABITS_COOKIE_MS;
    habits->server_cookie_length = 0;
}

void habits_cookie_came(struct habits *habits, const uint8_t client[HABITS_CLIENT_COOKIE],
                        const uint8_t *server, size_t length)
{
    habits_kept(habits, HABITS_COOKIES);
    habits->sends_cookies = true;
    /* an answer to what was sent with the cookie before this one has no cookie for us */
    if (memcmp(client, habits->client_cookie, HABITS_CLIENT_COOKIE) == 0 &&
        length <= HABITS_SERVER_COOKIE) {
        memcpy(habits->server_cookie, server, length);
        habits->server_cookie_length = (uint8_t)length;
    }
}

void habits_cookies_refused(struct habits *habits, uint64_t now_ms)
{
    give_up(habits, HABITS_COOKIES, now_ms + HABITS_OFF_MS);
}

void habits_edns_came(struct habits *habits)
{
    habits->sends_edns = true;
}

void habits_edns_refused(struct habits *habits, uint64_t now_ms)
{
    if (habits->sends_edns) {
        habits->sends_edns = false;
        return;
    }
    habits->edns_off_until_ms = now_ms + HABITS_OFF_MS;
}
