#include "resolver/cli/demo_story.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void demo_story_begin(struct demo_story *story, bool terminal, bool colored, unsigned width,
                      uint64_t now_us)
{
    *story = (struct demo_story){
        .terminal = terminal,
        .colored = colored,
        .width = width,
        .begin_us = now_us,
    };
}

void demo_story_end(struct demo_story *story)
{
    if (story->live) {
        (void)fputs("\r\033[K", stdout);
        (void)fflush(stdout);
        story->live = false;
    }
}

void demo_story_print(struct demo_story *story, const char *format, ...)
{
    va_list args;

    demo_story_end(story);
    va_start(args, format);
    (void)vprintf(format, args);
    va_end(args);
    (void)fflush(stdout);
}

static void put_time(const struct demo_story *story, uint64_t now_us, struct text *out)
{
    text_printf(out, "%6.2f s  ", (double)(now_us - story->begin_us) / 1e6);
}

void demo_story_event(struct demo_story *story, uint64_t now_us, enum cli_paint paint,
                      const char *word, const char *format, ...)
{
    struct text line = { 0 };
    va_list args;

    demo_story_end(story);
    put_time(story, now_us, &line);
    cli_table_paint(&line, story->colored, paint, word);
    for (size_t i = strlen(word); i < 10; i++) {
        text_put_char(&line, ' ');
    }
    va_start(args, format);
    text_vprintf(&line, format, args);
    va_end(args);
    (void)printf("%s\n", text_string(&line));
    (void)fflush(stdout);
    text_fini(&line);
}

void demo_story_live(struct demo_story *story, uint64_t now_us, const char *format, ...)
{
    struct text line = { 0 };
    va_list args;

    if (!story->terminal) {
        return;
    }
    put_time(story, now_us, &line);
    va_start(args, format);
    text_vprintf(&line, format, args);
    va_end(args);
    /* a line that wraps could not be cleared */
    int most = story->width > 1 ? (int)story->width - 1 : 79;
    (void)printf("\r\033[K%.*s", most, text_string(&line));
    (void)fflush(stdout);
    story->live = true;
    text_fini(&line);
}
