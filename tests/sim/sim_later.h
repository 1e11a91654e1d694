#pragma once
/*
 * sim_later - things done after a delay
 *
 * A bounded list of one-shot timers; loop thread only. Work of equal delay
 * is done in the order in which it was handed in.
 */
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

/* No more than this many are kept waiting; what comes on top is refused. */
#define SIM_LATER_MAX 8192

struct sim_later_item;

struct sim_later {
    uv_loop_t *loop;
    struct sim_later_item *first;
    unsigned count;
};

/* Prepare an empty list on `loop`, which must outlive it. */
void sim_later_init(struct sim_later *later, uv_loop_t *loop);

/*
 * Call fire(data) after `delay_ms`, at once when that is 0. `data` comes
 * from malloc and is freed afterwards, and also when false is returned
 * because the list is full.
 */
bool sim_later_do(struct sim_later *later, uint32_t delay_ms, void (*fire)(void *), void *data);

/* Forget everything that waits; the timers end when the loop next turns. */
void sim_later_close(struct sim_later *later);
