#pragma once
/*
 * compile - a settled namespace's records into answers
 *
 * Follows CNAME chains inside our data, puts addresses of NS, MX and SRV
 * targets behind them, makes the negatives. One thread.
 */
#include "base/error.h"

struct namespace;

#define COMPILE_CHAIN_MAX      16 /* CNAMEs in a row */
#define COMPILE_ADDITIONAL_MAX 64 /* targets of one answer whose addresses are added */

/* Make all answers of `ns`. 0, or -EINVAL, explained with its place. */
int compile_answers(struct namespace *ns, struct error *err);
