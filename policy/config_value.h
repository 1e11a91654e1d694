#pragma once
/*
 * config_value - numbers with their units, as people write them
 *
 * Whole numbers only: half a second is 500ms. Each reader returns 0 and
 * writes `*out`, or -EINVAL, explained without saying of which key; it is
 * then the caller who checks the range. Pure functions, any thread.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/text.h"
#include "policy/model.h"

/* "8": a plain number. */
int config_value_count(const char *text, uint64_t *out, struct error *err);

/* "500ms", "30s", "5m", "2h", "3d" in milliseconds. */
int config_value_ms(const char *text, uint64_t *out, struct error *err);

/* "512B", "64KiB", "64MiB", "2GiB" in bytes. */
int config_value_size(const char *text, uint64_t *out, struct error *err);

/* "900/s", "60/m" in events per minute. */
int config_value_rate(const char *text, uint64_t *out, struct error *err);

/* "true", "on", "false", "off". */
int config_value_bool(const char *text, bool *out, struct error *err);

/* "30%". */
int config_value_percent(const char *text, uint64_t *out, struct error *err);

/* "2" or "50%". */
int config_value_minimum(const char *text, struct model_minimum *out, struct error *err);

/* Write a duration as config_value_ms reads it, in the largest unit that is exact. */
void config_value_put_ms(uint64_t ms, struct text *out);

/* The same for a size and for a rate (events per minute). */
void config_value_put_size(uint64_t bytes, struct text *out);
void config_value_put_rate(uint64_t per_minute, struct text *out);

void config_value_put_minimum(struct model_minimum minimum, struct text *out);
