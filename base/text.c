#include "base/text.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void text_fini(struct text *text)
{
    free(text->bytes);
    memset(text, 0, sizeof(*text));
}

static bool reserve(struct text *text, size_t more)
{
    if (text->failed || more > SIZE_MAX / 2 - text->length - 1) {
        text->failed = true;
        return false;
    }
    size_t need = text->length + more + 1;
    if (need <= text->capacity) {
        return true;
    }
    size_t capacity = text->capacity < 128 ? 128 : text->capacity;
    while (capacity < need) {
        capacity *= 2;
    }
    char *bytes = realloc(text->bytes, capacity);
    if (bytes == NULL) {
        text->failed = true;
        return false;
    }
    text->bytes = bytes;
    text->capacity = capacity;
    return true;
}

void text_put_bytes(struct text *text, const char *bytes, size_t length)
{
    if (!reserve(text, length)) {
        return;
    }
    if (length > 0) {
        memcpy(text->bytes + text->length, bytes, length);
    }
    text->length += length;
    text->bytes[text->length] = '\0';
}

void text_put(struct text *text, const char *string)
{
    text_put_bytes(text, string, strlen(string));
}

void text_put_char(struct text *text, char c)
{
    if (reserve(text, 1)) {
        text->bytes[text->length++] = c;
        text->bytes[text->length] = '\0';
    }
}

void text_vprintf(struct text *text, const char *format, va_list args)
{
    va_list again;

    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    if (length >= 0 && reserve(text, (size_t)length)) {
        (void)vsnprintf(text->bytes + text->length, (size_t)length + 1, format, again);
        text->length += (size_t)length;
    }
    va_end(again);
}

void text_printf(struct text *text, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    text_vprintf(text, format, args);
    va_end(args);
}

const char *text_string(const struct text *text)
{
    return text->bytes == NULL ? "" : text->bytes;
}

bool text_failed(const struct text *text)
{
    return text->failed;
}

void text_format_duration(unsigned long long ms, char out[TEXT_DURATION_MAX])
{
    unsigned long long s = ms / 1000;

    if (ms < 1000) {
        (void)snprintf(out, TEXT_DURATION_MAX, "%llums", ms);
    } else if (s < 60) {
        (void)snprintf(out, TEXT_DURATION_MAX, "%llus", s);
    } else if (s < 3600) {
        (void)snprintf(out, TEXT_DURATION_MAX, "%llum %llus", s / 60, s % 60);
    } else if (s < 86400) {
        (void)snprintf(out, TEXT_DURATION_MAX, "%lluh %llum", s / 3600, s / 60 % 60);
    } else {
        (void)snprintf(out, TEXT_DURATION_MAX, "%llud %lluh", s / 86400, s / 3600 % 24);
    }
}

void text_put_duration(struct text *text, unsigned long long ms)
{
    char words[TEXT_DURATION_MAX];

    text_format_duration(ms, words);
    text_put(text, words);
}

#define NEAREST_MAX 64 /* longer words are no typing mistake of a key */

/* Edit distance in which swapping two neighbours is one step. */
static size_t distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
    size_t rows[3][NEAREST_MAX + 1];
    size_t *before = rows[0], *last = rows[1], *now = rows[2];

    for (size_t j = 0; j <= b_length; j++) {
        last[j] = j;
        before[j] = 0;
    }
    for (size_t i = 1; i <= a_length; i++) {
        now[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            size_t best = last[j - 1] + (a[i - 1] != b[j - 1]);
            best = last[j] + 1 < best ? last[j] + 1 : best;
            best = now[j - 1] + 1 < best ? now[j - 1] + 1 : best;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before[j - 2] + 1 < best) {
                best = before[j - 2] + 1;
            }
            now[j] = best;
        }
        size_t *spare = before;
        before = last;
        last = now;
        now = spare;
    }
    return last[b_length];
}

const char *text_nearest(const char *word, const char *const *candidates, size_t count)
{
    const char *best = NULL;
    size_t length = strlen(word);
    size_t best_distance = length / 3 + 1; /* one mistake per three letters */

    if (length > NEAREST_MAX) {
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        size_t other = strlen(candidates[i]);
        if (other > NEAREST_MAX) {
            continue;
        }
        size_t d = distance(word, length, candidates[i], other);
        if (d <= best_distance && (best == NULL || d < best_distance)) {
            best = candidates[i];
            best_distance = d;
        }
    }
    return best;
}
