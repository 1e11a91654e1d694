#pragma once
/*
 * schedule - who is to be woken next, among very many
 *
 * A binary heap of entries that their owners embed. It holds pointers to them
 * beside their times, so that looking for a place touches no entry; ten
 * thousand cost 160 KiB and no handle of the loop each.
 * Decides only: no clock. One thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct schedule_entry {
    uint64_t at_ms;
    uint32_t place; /* 1-based; 0: not in the schedule */
};

struct schedule_place {
    uint64_t at_ms;
    struct schedule_entry *entry;
};

/* Zeroed: empty. */
struct schedule {
    struct schedule_place *places;
    uint32_t count;
    uint32_t capacity;
};

/* Free what the schedule holds; the entries are their owners'. */
void schedule_fini(struct schedule *schedule);

/* Room for so many entries in all. False when memory is out, and nothing changed. */
bool schedule_reserve(struct schedule *schedule, size_t count);

/* Wake it at `at_ms` and at no other time. There must be room for it. */
void schedule_put(struct schedule *schedule, struct schedule_entry *entry, uint64_t at_ms);

/* Do not wake it; it need not be in the schedule. */
void schedule_drop(struct schedule *schedule, struct schedule_entry *entry);

/* The earliest, or NULL. */
struct schedule_entry *schedule_first(const struct schedule *schedule);
