#include "policy/checks/check_trust.h"

#include <stdlib.h>

#define AGAIN_MS 5000 /* until what could not be loaded is tried once more */

/* Probes of a broken kind come many times a second, and each try reads files. */
struct failure {
    struct failure *next;
    struct tls_settings *key;
    struct error error;
    uint64_t until_ms;
};

static struct tls_contexts contexts = { .keeps = true };
static struct failure *failures; /* a few: one for each file that cannot be read */

/* Whatever else the settings say, what is loaded for them is the same. */
static struct tls_settings key_of(const struct tls_settings *settings)
{
    return (struct tls_settings){ .ca_file = settings->ca_file,
                                  .unverified = settings->unverified || settings->name == NULL };
}

static struct failure *find_failure(const struct tls_settings *key)
{
    struct failure *failure = failures;

    while (failure != NULL && !tls_settings_equal(failure->key, key)) {
        failure = failure->next;
    }
    return failure;
}

static void free_failure(struct failure *failure)
{
    free(failure->key);
    free(failure);
}

/* Without memory it is not remembered, which costs time and no more. */
static void remember(const struct tls_settings *key, uint64_t now_ms, const struct error *err)
{
    struct failure *failure = find_failure(key);

    if (failure == NULL) {
        failure = calloc(1, sizeof(*failure));
        if (failure == NULL) {
            return;
        }
        failure->key = tls_settings_copy(key);
        if (failure->key == NULL) {
            free_failure(failure);
            return;
        }
        failure->next = failures;
        failures = failure;
    }
    failure->error = *err;
    failure->until_ms = now_ms + AGAIN_MS;
}

int check_trust_find(const struct tls_settings *settings, uint64_t now_ms, struct tls_context **out,
                     struct error *err)
{
    const struct failure *failure = NULL;
    struct tls_settings key;

    if (failures != NULL) {
        key = key_of(settings);
        failure = find_failure(&key);
    }
    if (failure != NULL && now_ms < failure->until_ms) {
        *err = failure->error;
        return err->code;
    }
    int code = tls_context_find(&contexts, settings, now_ms, out, err);
    if (code < 0) {
        key = key_of(settings);
        remember(&key, now_ms, err);
    }
    return code;
}

void check_trust_clear(void)
{
    while (failures != NULL) {
        struct failure *failure = failures;
        failures = failure->next;
        free_failure(failure);
    }
    tls_contexts_clear(&contexts);
}
