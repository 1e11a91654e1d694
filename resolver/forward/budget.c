#include "resolver/forward/budget.h"

#define PACKET    1000
#define MINUTE_MS 60000 /* a packet of a rate */

/* ---- a share of the questions ---- */

void budget_share_init(struct budget_share *share)
{
    *share = (struct budget_share){ .saved = (int64_t)BUDGET_LEAST * PACKET };
}

/* Half a second of the questions there are: as long as a dead upstream may go unseen. */
static int64_t most_saved(const struct budget_share *share)
{
    uint64_t rate = share->count > share->last_rate ? share->count : share->last_rate;

    return (int64_t)(rate / 2 > BUDGET_LEAST ? rate / 2 : BUDGET_LEAST) * PACKET;
}

void budget_share_earn(struct budget_share *share, uint64_t now_ms)
{
    uint64_t second = now_ms / 1000;

    if (second != share->second) {
        share->last_rate = second == share->second + 1 ? share->count : 0;
        share->second = second;
        share->count = 0;
    }
    share->count++;
    int64_t most = most_saved(share);
    share->saved += BUDGET_EARNED_PERMILLE;
    share->saved = share->saved > most ? most : share->saved;
}

bool budget_share_spend(struct budget_share *share)
{
    if (share->saved < PACKET) {
        return false;
    }
    share->saved -= PACKET;
    return true;
}

bool budget_share_owe(struct budget_share *share)
{
    if (share->saved < PACKET - BUDGET_OWED_MOST * PACKET) {
        return false;
    }
    share->saved -= PACKET;
    return true;
}

/* ---- a rate ---- */

static uint64_t most_of(const struct budget_rate *rate)
{
    uint64_t burst = rate->per_minute / BUDGET_BURST_SHARE;

    return (burst > BUDGET_BURST_LEAST ? burst : BUDGET_BURST_LEAST) * MINUTE_MS;
}

static void fill(struct budget_rate *rate, uint64_t now_ms)
{
    uint64_t most = most_of(rate);
    uint64_t passed_ms = now_ms > rate->filled_ms ? now_ms - rate->filled_ms : 0;

    /* after a minute it is full, whatever the rate: no overflow */
    rate->saved += (passed_ms < MINUTE_MS ? passed_ms : MINUTE_MS) * rate->per_minute;
    rate->saved = rate->saved > most || passed_ms >= MINUTE_MS ? most : rate->saved;
    rate->filled_ms = now_ms;
}

void budget_rate_set(struct budget_rate *rate, uint32_t per_minute, uint64_t now_ms)
{
    bool was_limited = rate->per_minute != 0;

    if (rate->per_minute == per_minute) {
        return;
    }
    if (was_limited) {
        fill(rate, now_ms);
    }
    rate->per_minute = per_minute;
    rate->filled_ms = now_ms;
    uint64_t most = most_of(rate);
    rate->saved = was_limited && rate->saved < most ? rate->saved : most;
}

bool budget_rate_has(struct budget_rate *rate, uint64_t now_ms)
{
    if (rate->per_minute == 0) {
        return true;
    }
    fill(rate, now_ms);
    return rate->saved >= MINUTE_MS;
}

bool budget_rate_spend(struct budget_rate *rate, uint64_t now_ms)
{
    if (rate->per_minute == 0) {
        return true;
    }
    if (!budget_rate_has(rate, now_ms)) {
        rate->saved = 0;
        return false;
    }
    rate->saved -= MINUTE_MS;
    return true;
}
