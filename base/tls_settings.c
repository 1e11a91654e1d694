#include "base/tls_settings.h"

#include <stdlib.h>
#include <string.h>

static size_t text_size(const char *text)
{
    return text != NULL ? strlen(text) + 1 : 0;
}

static char *put_text(char **at, const char *text)
{
    size_t size = text_size(text);
    char *copy = *at;

    if (size == 0) {
        return NULL;
    }
    memcpy(copy, text, size);
    *at += size;
    return copy;
}

struct tls_settings *tls_settings_copy(const struct tls_settings *settings)
{
    size_t pins_size = settings->pin_count * TLS_PIN_BYTES;
    struct tls_settings *copy =
        malloc(sizeof(*copy) + pins_size + text_size(settings->name) +
               text_size(settings->ca_file) + text_size(settings->protocol));

    if (copy == NULL) {
        return NULL;
    }
    char *at = (char *)(copy + 1);
    *copy = (struct tls_settings){ .pin_count = settings->pin_count,
                                   .unverified = settings->unverified };
    if (pins_size > 0) {
        memcpy(at, settings->pins, pins_size);
        copy->pins = (const uint8_t(*)[TLS_PIN_BYTES])at;
        at += pins_size;
    }
    copy->name = put_text(&at, settings->name);
    copy->ca_file = put_text(&at, settings->ca_file);
    copy->protocol = put_text(&at, settings->protocol);
    return copy;
}

static bool texts_equal(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

bool tls_settings_equal(const struct tls_settings *a, const struct tls_settings *b)
{
    if (a == NULL || b == NULL || a == b) {
        return a == b;
    }
    return a->pin_count == b->pin_count && a->unverified == b->unverified &&
           texts_equal(a->name, b->name) && texts_equal(a->ca_file, b->ca_file) &&
           texts_equal(a->protocol, b->protocol) &&
           (a->pin_count == 0 || memcmp(a->pins, b->pins, a->pin_count * TLS_PIN_BYTES) == 0);
}
