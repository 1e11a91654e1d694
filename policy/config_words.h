#pragma once
/*
 * config_words - the words of DNS in the file: types and response codes
 *
 * Pure functions, any thread.
 */
#include <stdint.h>

#include "base/error.h"

#define CONFIG_WORDS_MAX       16
#define CONFIG_WORDS_TYPE_A    1  /* RFC 1035, section 3.2.2 */
#define CONFIG_WORDS_TYPE_AAAA 28 /* RFC 3596, section 2.1 */

/* Read "AAAA" or "TYPE28" (RFC 3597, section 5). On failure -EINVAL, explained. */
int config_words_type(const char *text, uint16_t *out, struct error *err);

/* Read "NXDOMAIN". On failure -EINVAL, explained. */
int config_words_rcode(const char *text, uint8_t *out, struct error *err);

/* Write the name of a type, "TYPE64000" when it has none here; returns `out`. */
const char *config_words_type_name(uint16_t type, char out[CONFIG_WORDS_MAX]);

/* The name of a response code that config_words_rcode knows, else NULL. */
const char *config_words_rcode_name(uint8_t rcode);
