#include "sim_later.h"

#include <stdlib.h>

struct sim_later_item {
    uv_timer_t timer;
    struct sim_later *later;
    struct sim_later_item *next;
    struct sim_later_item *previous;
    void (*fire)(void *);
    void *data;
};

void sim_later_init(struct sim_later *later, uv_loop_t *loop)
{
    *later = (struct sim_later){ .loop = loop };
}

static void on_closed(uv_handle_t *handle)
{
    struct sim_later_item *item = handle->data;
    free(item->data);
    free(item);
}

static void item_remove(struct sim_later_item *item)
{
    struct sim_later *later = item->later;
    if (item->previous != NULL) {
        item->previous->next = item->next;
    } else {
        later->first = item->next;
    }
    if (item->next != NULL) {
        item->next->previous = item->previous;
    }
    later->count--;
    uv_close((uv_handle_t *)&item->timer, on_closed);
}

static void on_timer(uv_timer_t *timer)
{
    struct sim_later_item *item = timer->data;
    item->fire(item->data);
    item_remove(item);
}

static struct sim_later_item *item_new(struct sim_later *later)
{
    struct sim_later_item *item = calloc(1, sizeof *item);
    if (item == NULL || uv_timer_init(later->loop, &item->timer) != 0) {
        free(item);
        return NULL;
    }
    item->later = later;
    item->timer.data = item;
    item->next = later->first;
    if (item->next != NULL) {
        item->next->previous = item;
    }
    later->first = item;
    later->count++;
    return item;
}

bool sim_later_do(struct sim_later *later, uint32_t delay_ms, void (*fire)(void *), void *data)
{
    if (delay_ms == 0) {
        fire(data);
        free(data);
        return true;
    }
    struct sim_later_item *item = later->count < SIM_LATER_MAX ? item_new(later) : NULL;
    if (item == NULL) {
        free(data);
        return false;
    }
    item->fire = fire;
    item->data = data;
    /* The loop's clock stands still while callbacks run; a delay counts from now. */
    uv_update_time(later->loop);
    uv_timer_start(&item->timer, on_timer, delay_ms, 0);
    return true;
}

void sim_later_close(struct sim_later *later)
{
    while (later->first != NULL) {
        item_remove(later->first);
    }
}
