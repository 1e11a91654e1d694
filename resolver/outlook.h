#pragma once
/*
 * outlook - what is known of each forward rule, from one snapshot to the next
 *
 * A rule is known by a digest of what it says: one that says something else is
 * another rule, and what was learned under it holds no longer. Service loop only.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "resolver/snapshot.h"

struct outlook;

struct outlooks {
    struct hash_key key;
    struct outlook *list; /* by index in snapshot->forwards; NULL: none adopted yet */
    size_t count;
    size_t silent_count; /* of them */
};

void outlooks_init(struct outlooks *outlooks);
void outlooks_fini(struct outlooks *outlooks);

/* Of what the rule says: name, upstreams, what of their answers is refused. */
uint64_t outlooks_digest(const struct outlooks *outlooks, const struct forward_rule *rule);

/*
 * The rules of this snapshot are in force. `forget` is called for the tree of
 * each rule that is new, gone or changed; not the first time.
 */
void outlooks_adopt(struct outlooks *outlooks, const struct snapshot *snapshot,
                    void (*forget)(void *user, const uint8_t *tree), void *user);

/* Did somebody wait for the rule's upstreams in vain, and no answer came since? */
bool outlooks_is_silent(const struct outlooks *outlooks, uint64_t digest);
void outlooks_set_silent(struct outlooks *outlooks, uint64_t digest, bool silent);
