#pragma once
/*
 * clock - the two times: monotonic for deciding, civil for logs
 *
 * Any thread. Deciding modules take the time as an argument and call none
 * of these.
 */
#include <stddef.h>
#include <stdint.h>

/* Monotonic milliseconds / microseconds / nanoseconds since some fixed point. */
uint64_t clock_now_ms(void);
uint64_t clock_now_us(void);
uint64_t clock_now_ns(void);

/* The same milliseconds for the answering path: cheaper, up to a few behind. */
uint64_t clock_coarse_ms(void);

/* Civil time in milliseconds since 1970, UTC; it may jump. */
uint64_t clock_wall_ms(void);

/* Write civil time as 2018-11-22T08:19:00.123Z; `out` holds at least 25 bytes. */
void clock_format_wall(uint64_t wall_ms, char *out, size_t cap);
