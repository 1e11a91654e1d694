#include "policy/config_pin.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define BASE64_LENGTH 43 /* of 32 bytes, without the one "=" behind them */

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static const char *behind_prefix(const char *text)
{
    static const char *const prefixes[] = { "sha256//", "sha256/", "sha256:" };

    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
        if (strncmp(text, prefixes[i], strlen(prefixes[i])) == 0) {
            return text + strlen(prefixes[i]);
        }
    }
    return text;
}

static int hex_value(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static bool read_hex(const char *text, uint8_t *out)
{
    for (size_t i = 0; i < CONFIG_PIN_BYTES; i++) {
        if (i > 0 && *text == ':') {
            text++;
        }
        int high = hex_value(text[0]);
        int low = high < 0 ? -1 : hex_value(text[1]);
        if (low < 0) {
            return false;
        }
        out[i] = (uint8_t)(high * 16 + low);
        text += 2;
    }
    return *text == '\0';
}

/* Base64 (RFC 4648, section 4); what is left of the last digit must be zero. */
static bool read_base64(const char *text, uint8_t *out)
{
    uint32_t bits = 0;
    unsigned held = 0;

    for (size_t i = 0; i < BASE64_LENGTH; i++) {
        const char *digit = text[i] == '\0' ? NULL : strchr(base64_digits, text[i]);
        if (digit == NULL) {
            return false;
        }
        bits = bits << 6 | (uint32_t)(digit - base64_digits);
        held += 6;
        if (held >= 8) {
            held -= 8;
            *out++ = (uint8_t)(bits >> held);
            bits &= (1u << held) - 1;
        }
    }
    const char *rest = text + BASE64_LENGTH;
    return bits == 0 && (rest[0] == '\0' || strcmp(rest, "=") == 0);
}

int config_pin_read(const char *text, uint8_t out[CONFIG_PIN_BYTES], struct error *err)
{
    const char *digits = behind_prefix(text);

    if (read_hex(digits, out) || read_base64(digits, out)) {
        return 0;
    }
    error_set(err, -EINVAL, "'%.80s' is not a pin", text);
    error_hint(err, "the SHA-256 of the server's public key, in base64 (44 characters) or "
                    "hexadecimal (64)");
    return err->code;
}

void config_pin_put(const uint8_t pin[CONFIG_PIN_BYTES], struct text *out)
{
    text_put(out, "\"sha256:");
    for (size_t i = 0; i < CONFIG_PIN_BYTES; i++) {
        text_printf(out, "%02x", pin[i]);
    }
    text_put_char(out, '"');
}
