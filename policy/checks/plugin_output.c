#include "policy/checks/plugin_output.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static enum detect_outcome outcome_of(int exit_code)
{
    switch (exit_code) {
    case 0:
        return DETECT_PASS;
    case 1:
        return DETECT_WARNING;
    case 3:
    case 126:
    case 127:
        return DETECT_VOID;
    default:
        return DETECT_STRONG;
    }
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The first line with words in it, without what is behind `stop`. False when there is none. */
static bool find_words(const char *bytes, size_t size, char stop, const char **out_words,
                       size_t *out_size)
{
    const char *end = bytes + size;

    while (bytes < end && (is_blank(*bytes) || *bytes == '\n')) {
        bytes++;
    }
    const char *line_end = bytes;
    while (line_end < end && *line_end != '\n' && *line_end != stop && *line_end != '\0') {
        line_end++;
    }
    while (line_end > bytes && is_blank(line_end[-1])) {
        line_end--;
    }
    *out_words = bytes;
    *out_size = (size_t)(line_end - bytes);
    return line_end > bytes;
}

/* How many bytes the character here has; 0: it is none (RFC 3629, section 4, but for ranges). */
static size_t character_size(const unsigned char *at, size_t left)
{
    size_t size = at[0] < 0x80 ? 1 : at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;

    if ((at[0] >= 0x80 && at[0] < 0xc2) || at[0] > 0xf4 || size > left) {
        return 0;
    }
    for (size_t i = 1; i < size; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return size;
}

void plugin_output_show(const char *words, size_t size, char out[PLUGIN_REASON_MAX])
{
    const unsigned char *at = (const unsigned char *)words;
    size_t used = 0;

    while (size > 0) {
        size_t step = character_size(at, size);
        bool shown = step > 1 || (step == 1 && at[0] >= 0x20 && at[0] != 0x7f);
        size_t length = shown ? step : 1;
        if (used + length >= PLUGIN_REASON_MAX) {
            break;
        }
        if (shown) {
            memcpy(out + used, at, length);
        } else {
            out[used] = at[0] == '\t' ? ' ' : '?';
        }
        used += length;
        at += length;
        size -= length;
    }
    out[used] = '\0';
}

void plugin_output_judge(int exit_code, const char *output, size_t output_size,
                         const char *complaint, size_t complaint_size, struct plugin_verdict *out)
{
    const char *words;
    size_t size;

    out->outcome = outcome_of(exit_code);
    if (find_words(output, output_size, '|', &words, &size) ||
        find_words(complaint, complaint_size, '\n', &words, &size)) {
        plugin_output_show(words, size, out->reason);
    } else {
        (void)snprintf(out->reason, sizeof(out->reason), "exit code %d", exit_code);
    }
}
