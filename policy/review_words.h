#pragma once
/*
 * review_words - what differs between two of a kind, in words
 *
 * "ttl 30s/5s -> 10s/5s; max_addresses 8 -> 4": what answers follow from, as
 * a configuration would say it, old and new side by side. Each function
 * appends to `out`, and nothing when there is no difference. Pure; any thread.
 */
#include "base/text.h"
#include "policy/model.h"

/* The rules of a service, beside its endpoints and their order; checks by name stay names. */
void review_words_service(const struct model *from_model, const struct model_service *from,
                          const struct model *to_model, const struct model_service *to,
                          struct text *out);

/* What is asked of a region: minimum_healthy, on_dns_failure, checks. */
void review_words_region(const struct model_region *from, const struct model_region *to,
                         struct text *out);

/* What an endpoint that stays says of itself: "weight 1 -> 0". */
void review_words_endpoint(const struct model_endpoint *from, const struct model_endpoint *to,
                           struct text *out);

void review_words_guards(const struct model_guards *from, const struct model_guards *to,
                         struct text *out);

/*
 * The entries of a section that is a map, such as "checks": each that differs,
 * came or went, with its name and what differs. `text` is taken over.
 */
typedef void review_words_told(void *user, const char *name, struct text *text);
void review_words_entries(const struct model *from, const struct model *to, const char *key,
                          review_words_told *told, void *user);

/* What stands in a section that is a list, such as "clients". */
void review_words_section(const struct model *from, const struct model *to, const char *key,
                          struct text *out);

void review_words_minimum(struct model_minimum minimum, struct text *out);
