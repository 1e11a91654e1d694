#include "base/tls_pins.h"

#include <stdlib.h>
#include <string.h>

bool tls_pins_match(const struct tls_library *library, const struct tls_settings *settings,
                    X509 *certificate)
{
    X509_PUBKEY *key = library->get_pubkey(certificate);
    uint8_t digest[TLS_PIN_BYTES];
    uint8_t *der = NULL;
    bool found = false;

    int size = library->i2d_pubkey(key, NULL);
    if (size > 0) {
        der = malloc((size_t)size);
    }
    if (der == NULL) {
        return false;
    }
    uint8_t *end = der;
    if (library->i2d_pubkey(key, &end) == size) {
        (void)library->sha256(der, (size_t)size, digest);
        for (size_t i = 0; i < settings->pin_count && !found; i++) {
            found = memcmp(settings->pins[i], digest, sizeof(digest)) == 0;
        }
    }
    free(der);
    return found;
}

bool tls_pins_match_chain(const struct tls_library *library, const struct tls_settings *settings,
                          X509_STORE_CTX *store)
{
    const OPENSSL_STACK *chain = (const OPENSSL_STACK *)library->store_ctx_get0_chain(store);

    for (int i = 0; i < library->sk_num(chain); i++) {
        if (tls_pins_match(library, settings, library->sk_value(chain, i))) {
            return true;
        }
    }
    return false;
}
