#pragma once
/*
 * api_why_inside - what the parts of an explanation have in common
 *
 * The inside of api_why: api_why.c (the question and its answer), api_why_name
 * (zones, aliases, other people's names), api_why_service (client, filters,
 * TTL), api_why_pool (what is not well) and api_why_change (what would make it
 * another answer). Control thread.
 */
#include "base/text.h"
#include "resolver/api/api_health.h"
#include "resolver/query.h"

struct why_question {
    const char *name; /* as asked */
    uint8_t dname[NAME_MAX_BYTES];
    size_t length;
    uint16_t type;
    struct addr client;
    char client_text[ADDR_TEXT_MAX];
    bool has_subnet; /* as a resolver would ask for this client (RFC 7871) */
    struct addr_prefix subnet;
    bool local_is_loopback;
    bool has_listener; /* it is known where the client asks, or it makes no difference */
    bool has_to_say;   /* it is not known, and makes a difference to the view */
    struct addr listener;
    char listener_text[ADDR_TEXT_MAX]; /* as given; "": it was not */
};

/* Where the client asks, as far as that is known: for snapshot_view. */
static inline const struct addr *api_why_listener(const struct why_question *question)
{
    return question->has_listener ? &question->listener : NULL;
}

/* What the answering path made of it. */
struct why_outcome {
    enum query_verdict verdict;
    enum query_source source;
    uint8_t *message; /* WIRE_MESSAGE_MAX bytes, owned */
    size_t length;
    bool recursion;
    bool is_local;      /* answered by the service loop without asking anyone */
    uint8_t scope_bits; /* of the client's address so many decided */
    struct text cached; /* the entry that is kept of it, as JSON; empty: none */
    struct steer_client steered; /* as choosing saw the client; nothing known: it did not look */
    struct text plan;   /* whom its rule would have asked now, as a JSON list; empty: nobody */
};

struct why {
    struct api_view view;
    const struct why_question *question;
    const struct why_outcome *outcome;
    struct text steps; /* a line per step */
    uint32_t ttl_s;    /* the lowest of the answer */
    bool has_ttl;
};

/* The choices that one question asks for: of SRV there are two. */
struct why_choice {
    const struct steer_service *service;
    bool has[ADDR_FAMILIES];
    struct steer_choice of[ADDR_FAMILIES];
    unsigned main; /* the family that speaks for the whole */
    uint64_t pools; /* that answer */
};

/* A step, as a line. */
void api_why_step(struct why *why, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Clear what is behind the first `bits` of an address. */
static inline void api_why_cut_address(struct addr *address, unsigned bits)
{
    for (unsigned i = bits; i < 8 * sizeof(address->bytes); i++) {
        address->bytes[i / 8] &= (uint8_t) ~(0x80u >> i % 8);
    }
}

/* A list of the lines of `text`, as a member. */
void api_why_put_lines(struct json_writer *json, const char *key, const struct text *text);

/* Is it others who say what the answer is? */
bool api_why_is_elsewhere(enum query_source source);

/*
 * The steps by which the name was found; `encloser` is its node or the nearest
 * above it, and `service` what has the last word, or NULL.
 */
void api_why_explain_name(struct why *why, const struct node *node, const struct node *encloser,
                          const struct steer_service *service);

/* The service that answers the question as this client's view has it, or NULL. */
const struct steer_service *api_why_find_service(const struct why *why, const struct node *node);

/* The client as the choice sees it; NULL: the choice is the same for everybody. */
struct steer_client *api_why_asker(const struct why *why, struct steer_client *out);

/* Its steps, and what is known of client, choice and TTL as members. */
void api_why_explain_service(struct why *why, const struct steer_service *service);

/* `pools`: each with its endpoints and, in lines, what is not well with it. */
void api_why_put_pools(const struct why *why, const struct why_choice *choice);

/* `would_change`: what would make it another answer, and when that may be. */
void api_why_put_changes(const struct why *why, const struct why_choice *choice);

/* "`leeward release TARGET`", quoted as a shell needs it. */
void api_why_put_release(const char *target, struct text *out);

/* The pools that a choice answers with. */
uint64_t api_why_pools_of(const struct steer_service *service, const struct steer_choice *choice);
