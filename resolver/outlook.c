#include "resolver/outlook.h"

#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/error.h"
#include "zones/name.h"

struct outlook {
    uint64_t digest;
    uint8_t *dname; /* of the rule, owned */
    bool silent;
};

void outlooks_init(struct outlooks *outlooks)
{
    *outlooks = (struct outlooks){ .key = hash_key_random() };
}

static void free_list(struct outlook *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(list[i].dname);
    }
    free(list);
}

void outlooks_fini(struct outlooks *outlooks)
{
    free_list(outlooks->list, outlooks->count);
    outlooks->list = NULL;
    outlooks->count = 0;
}

uint64_t outlooks_digest(const struct outlooks *outlooks, const struct forward_rule *rule)
{
    const struct hash_key *key = &outlooks->key;
    uint64_t digest = hash_bytes(key, rule->dname, name_length(rule->dname));

    digest ^= hash_bytes(key, &rule->refuse_private, sizeof(rule->refuse_private));
    for (uint32_t i = 0; i < rule->upstream_count; i++) {
        const struct addr *address = &rule->upstreams[i].address;
        uint64_t part = hash_bytes(key, address->bytes, addr_size_bytes(address));
        digest = (digest ^ part ^ address->port) * UINT64_C(0x9e3779b97f4a7c15);
    }
    return digest;
}

static struct outlook *find(struct outlook *list, size_t count, uint64_t digest)
{
    for (size_t i = 0; i < count; i++) {
        if (list[i].digest == digest) {
            return &list[i];
        }
    }
    return NULL;
}

static uint8_t *copy_of(const uint8_t *dname)
{
    size_t length = name_length(dname);
    uint8_t *copy = malloc(length);

    REQUIRE(copy != NULL);
    memcpy(copy, dname, length);
    return copy;
}

void outlooks_adopt(struct outlooks *outlooks, const struct snapshot *snapshot,
                    void (*forget)(void *user, const uint8_t *tree), void *user)
{
    struct outlook *old = outlooks->list;
    size_t old_count = outlooks->count;
    size_t count = snapshot->forward_count;
    struct outlook *list = calloc(count + 1, sizeof(*list));

    REQUIRE(list != NULL);
    outlooks->silent_count = 0;
    for (size_t i = 0; i < count; i++) {
        const struct forward_rule *rule = &snapshot->forwards[i];
        list[i].digest = outlooks_digest(outlooks, rule);
        list[i].dname = copy_of(rule->dname);
        const struct outlook *before = find(old, old_count, list[i].digest);
        list[i].silent = before != NULL && before->silent;
        outlooks->silent_count += list[i].silent;
        if (old != NULL && before == NULL) {
            forget(user, rule->dname);
        }
    }
    for (size_t i = 0; i < old_count; i++) {
        if (find(list, count, old[i].digest) == NULL) {
            forget(user, old[i].dname);
        }
    }
    free_list(old, old_count);
    outlooks->list = list;
    outlooks->count = count;
}

bool outlooks_is_silent(const struct outlooks *outlooks, uint64_t digest)
{
    const struct outlook *outlook =
        outlooks->silent_count == 0 ? NULL : find(outlooks->list, outlooks->count, digest);

    return outlook != NULL && outlook->silent;
}

void outlooks_set_silent(struct outlooks *outlooks, uint64_t digest, bool silent)
{
    struct outlook *outlook = find(outlooks->list, outlooks->count, digest);

    if (outlook != NULL && outlook->silent != silent) {
        outlook->silent = silent;
        outlooks->silent_count += silent ? 1 : (size_t)-1;
    }
}
