#pragma once
/*
 * http_body - does the body of a response hold what a check expects of it?
 *
 * Judges what has come so far, as often as more comes. Decides only: no I/O.
 * Control loop only, for the patterns it has compiled.
 */
#include <stdbool.h>
#include <stddef.h>

#include "policy/model.h"

enum http_body_verdict {
    HTTP_BODY_MORE,    /* not yet */
    HTTP_BODY_FITS,    /* it holds everything; what else may come changes nothing */
    HTTP_BODY_WRONG,   /* it does not; the reason says what */
    HTTP_BODY_UNKNOWN, /* memory is out */
};

/* What is known of one body. Zeroed at first. */
struct http_body {
    size_t searched; /* bytes in which the text expected does not begin */
    size_t examined; /* given to the pattern so far, in all */
    bool has_text;
    bool has_pattern;
};

/* Does the check expect anything of the body? */
bool http_body_is_wanted(const struct model_check *check);

/*
 * Judge the `size` bytes at `bytes`, all that has come, and a zero byte behind
 * them. `complete`: nothing further will come. The reason is set when it is
 * WRONG.
 */
enum http_body_verdict http_body_judge(struct http_body *body, const struct model_check *check,
                                       const char *bytes, size_t size, bool complete, char *reason,
                                       size_t cap);
