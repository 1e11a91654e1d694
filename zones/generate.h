#pragma once
/*
 * generate - the arithmetic of $GENERATE: a range, and templates filled from it
 *
 * Not in any RFC; as BIND's manual describes it. Pure functions, any thread.
 */
#include <stdint.h>

#include "base/error.h"
#include "base/text.h"

#define GENERATE_COUNT_MAX 65536 /* entries one $GENERATE makes */

struct generate_range {
    uint32_t first;
    uint32_t last;
    uint32_t step;
};

/* Read "1-254" or "0-100/2". -EINVAL, explained. */
int generate_range(const char *text, struct generate_range *out, struct error *err);

/*
 * Append `template` with `value` for each "$" and each "${offset,width,base}"
 * (base d, o, x, X; n, N for reversed nibbles); "\$" and "$$" are a dollar.
 * -EINVAL, explained.
 */
int generate_expand(const char *template, uint32_t value, struct text *out, struct error *err);
