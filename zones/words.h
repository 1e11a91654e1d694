#pragma once
/*
 * words - types and response codes as people write them
 *
 * The few that a configuration or a log line may reasonably name; all others
 * have their number. Pure functions, any thread.
 */
#include <stdint.h>

#include "base/error.h"

#define WORDS_MAX 16

/* Read "AAAA" or "TYPE28" (RFC 3597, section 5). On failure -EINVAL, explained. */
int words_type(const char *text, uint16_t *out, struct error *err);

/* Read "NXDOMAIN". On failure -EINVAL, explained. */
int words_rcode(const char *text, uint8_t *out, struct error *err);

/* The name of a type; "TYPE64000", in `scratch`, when it has none here. */
const char *words_type_name(uint16_t type, char scratch[WORDS_MAX]);

/* The name of a response code, "BADVERS" for 16; "RCODE11", in `scratch`, when it has none. */
const char *words_rcode_name(unsigned rcode, char scratch[WORDS_MAX]);

/* The name of a response code, static, or NULL. */
const char *words_rcode_find(unsigned rcode);
