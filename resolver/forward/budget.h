#pragma once
/*
 * budget - how much may be asked beyond need, and how much of one upstream
 *
 * Two token buckets. A share is filled by questions: each earns a 25th of an
 * extra packet, so that with what was saved up, and with probes, no more than
 * 5% are extra before long, yet a sudden fault finds some at hand. A rate is
 * filled by time: packets a minute, for providers that drop what is above
 * their limit.
 *
 * Decides only; the time is an argument, in monotonic milliseconds. One thread.
 */
#include <stdbool.h>
#include <stdint.h>

#define BUDGET_EARNED_PERMILLE 40 /* of an extra packet, by each question */
#define BUDGET_LEAST           20 /* extra packets that can be saved up: at least */
#define BUDGET_OWED_MOST       4
#define BUDGET_BURST_LEAST     10  /* of a rate */
#define BUDGET_BURST_SHARE     600 /* of a minute's packets: those of a tenth of a second */

struct budget_share {
    int64_t saved; /* thousandths of a packet; below 0: owed */
    uint64_t second;
    uint32_t count;     /* questions of that second */
    uint32_t last_rate; /* of the one before */
};

/* Filled as far as it goes at the least. */
void budget_share_init(struct budget_share *share);

/* A question was asked: that earns something. */
void budget_share_earn(struct budget_share *share, uint64_t now_ms);

/* Take one packet out. False when there is not that much. */
bool budget_share_spend(struct budget_share *share);

/*
 * The same for one that must not wait, such as to see whether an upstream is
 * there: up to BUDGET_OWED_MOST may be owed.
 */
bool budget_share_owe(struct budget_share *share);

struct budget_rate {
    uint32_t per_minute; /* 0: no limit */
    uint64_t saved;      /* 60000ths of a packet, so that a millisecond earns per_minute */
    uint64_t filled_ms;
};

/* From now on so many a minute; what is saved up stays as far as it fits. */
void budget_rate_set(struct budget_rate *rate, uint32_t per_minute, uint64_t now_ms);

/* Is there one packet left? */
bool budget_rate_has(struct budget_rate *rate, uint64_t now_ms);

/* One packet goes out. False when there was none left; then it goes all the same. */
bool budget_rate_spend(struct budget_rate *rate, uint64_t now_ms);
