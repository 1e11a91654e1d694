#pragma once
/*
 * probe_identity - which probes are one and the same, and what they are called
 *
 * A probe is a check against a target. What is asked for twice in the same
 * words is run once, and keeps its state while its words stay the same. Pure
 * functions over the model; any thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"
#include "policy/model.h"

/*
 * Where a check is used. `target` has its port; of a check that asks nobody in
 * particular it is zeroed. `region` is the region's name.
 */
struct probe_identity {
    const struct model_check *check;
    const struct addr *target;
    const char *region;
};

/* 128 bits of what makes two probes, or two checks, the same one; the same in every process. */
struct probe_key {
    uint64_t a;
    uint64_t b;
};

struct probe_key probe_identity_digest(const char *words, size_t length);

/*
 * Does such a check belong to one probe: because words in it are replaced, or
 * because it goes by its name?
 */
bool probe_identity_is_own(const struct model_check *check);

/*
 * Everything that makes two probes the same one, as one string for free().
 * Memory that is out is a programming error, here as below.
 */
char *probe_identity_key(const struct probe_identity *identity);

/*
 * The two parts that a key is made of, one behind the other: what the check
 * says whoever it is put to, and whom it is put to. For whoever makes many
 * keys of one check.
 */
void probe_identity_put_check(const struct model_check *check, struct text *key);
void probe_identity_put_target(const struct probe_identity *identity, struct text *key);

/* For people: "seoul http 203.0.113.10:8080/healthz"; for free(). */
char *probe_identity_label(const struct probe_identity *identity);

/*
 * The check as this probe runs it: a deep copy without a place, in which
 * "{address}", "{port}", "{region}" and "{service}" have got their values.
 */
void probe_identity_copy(const struct probe_identity *identity, struct model_check *out);

/* Free what such a copy holds. */
void probe_identity_free(struct model_check *check);
