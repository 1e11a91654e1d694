#pragma once
/*
 * tls_settings - how a peer is addressed and its certificate is judged
 *
 * Plain data, as a configuration says it. Any thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TLS_PIN_BYTES 32

struct tls_settings {
    const char *name;    /* sent (SNI), must be in the certificate; NULL: pins alone decide */
    const char *ca_file; /* trusted authorities; NULL: the system's */
    const uint8_t (*pins)[TLS_PIN_BYTES]; /* SHA-256 of acceptable public keys (RFC 7858, app. A) */
    size_t pin_count;                     /* 0: the name and the authorities decide */
    const char *protocol;                 /* ALPN (RFC 7301): "dot"; NULL: none is offered */
    bool unverified;                      /* the certificate is not judged at all */
};

/* A copy, to be given to free(); NULL when memory is out. */
struct tls_settings *tls_settings_copy(const struct tls_settings *settings);

/* Same content? NULL is the same as NULL only. */
bool tls_settings_equal(const struct tls_settings *a, const struct tls_settings *b);
