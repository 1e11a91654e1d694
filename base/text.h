#pragma once
/*
 * text - a growing string, for what people and scrapers read
 *
 * Never on the answering path. When memory is out the text remembers it and
 * goes on as a no-op; `text_failed` tells. One thread at a time.
 */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct text {
    char *bytes; /* terminated; NULL while empty */
    size_t length;
    size_t capacity;
    bool failed;
};

/* Free what it holds and make it empty again. */
void text_fini(struct text *text);

/* Append. */
void text_put(struct text *text, const char *string);
void text_put_bytes(struct text *text, const char *bytes, size_t length);
void text_put_char(struct text *text, char c);
void text_printf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_vprintf(struct text *text, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

/* The string so far, never NULL. It is the text's until the next call. */
const char *text_string(const struct text *text);

/* Did memory run out on the way? */
bool text_failed(const struct text *text);

/* A duration for people: "850ms", "12s", "3m 5s", "2h 10m", "4d 3h"; also without allocating. */
#define TEXT_DURATION_MAX 40
void text_format_duration(unsigned long long ms, char out[TEXT_DURATION_MAX]);
void text_put_duration(struct text *text, unsigned long long ms);

/*
 * The candidate nearest to `word` by edit distance, or NULL when none is near
 * enough to be what was meant.
 */
const char *text_nearest(const char *word, const char *const *candidates, size_t count);
