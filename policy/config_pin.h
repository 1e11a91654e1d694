#pragma once
/*
 * config_pin - SHA-256 pins of public keys, as people write them
 *
 * Of the SubjectPublicKeyInfo, as in RFC 7858, appendix A. Pure, any thread.
 */
#include <stdint.h>

#include "base/error.h"
#include "base/text.h"

#define CONFIG_PIN_BYTES 32

/*
 * Read base64 or hexadecimal digits (colons between bytes allowed), behind
 * "sha256/", "sha256//" or "sha256:" or nothing. On failure -EINVAL, explained.
 */
int config_pin_read(const char *text, uint8_t out[CONFIG_PIN_BYTES], struct error *err);

/* Write a pin as config_pin_read reads it. */
void config_pin_put(const uint8_t pin[CONFIG_PIN_BYTES], struct text *out);
