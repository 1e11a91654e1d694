#pragma once
/*
 * demo_story - what the demo says, on a terminal or into a file
 *
 * On a terminal the last line is alive; elsewhere only events are written. One
 * thread.
 */
#include <stdbool.h>
#include <stdint.h>

#include "resolver/cli/cli_table.h"

struct demo_story {
    bool terminal; /* stdout is one */
    bool colored;
    unsigned width;
    uint64_t begin_us; /* the time that is 0.0 s */
    bool live;         /* a live line stands there and must be cleared */
};

void demo_story_begin(struct demo_story *story, bool terminal, bool colored, unsigned width,
                      uint64_t now_us);

/* Text without a time. */
void demo_story_print(struct demo_story *story, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* An event: its time, one word in colour, what happened. */
void demo_story_event(struct demo_story *story, uint64_t now_us, enum cli_paint paint,
                      const char *word, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* Replace the live line; nothing when this is no terminal. */
void demo_story_live(struct demo_story *story, uint64_t now_us, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Clear the live line. */
void demo_story_end(struct demo_story *story);
