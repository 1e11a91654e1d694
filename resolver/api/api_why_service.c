#include "resolver/api/api_why_inside.h"

#include <string.h>

#include "policy/places.h"
#include "resolver/api/api_status.h"
#include "resolver/hostnames.h"
#include "resolver/srv.h"

/* ---- which service, which choices ---- */

/* The service as the client's view has it. */
static const struct steer_service *in_view(const struct why *why,
                                           const struct steer_service *service)
{
    const struct steer_policy *policy = service->policy;
    const struct addr *client = &why->question->client;

    if (policy == NULL || policy->views == NULL) {
        return service;
    }
    size_t view = snapshot_view(policy->rules, policy->rule_count, client,
                                why->question->local_is_loopback, api_why_listener(why->question));
    return view < policy->rule_count && policy->views[view] != NULL ? policy->views[view] : service;
}

/* Is this type of the service's name chosen, not written? */
static bool is_steered(const struct steer_service *service, uint16_t type, const struct answer *own)
{
    if (type == WIRE_A || type == WIRE_AAAA || (type == WIRE_SRV && srv_is_given(service))) {
        return true;
    }
    return service->cnames != NULL && (own == NULL || own == &namespace_any);
}

const struct steer_service *api_why_find_service(const struct why *why, const struct node *node)
{
    uint16_t type = why->question->type;
    const struct answer *answer = node == NULL ? NULL : namespace_answer(node, type);

    if (node == NULL) {
        return NULL;
    }
    if (node->service != NULL) {
        const struct steer_service *service = in_view(why, node->service);
        return is_steered(service, type, answer) ? service : NULL;
    }
    if (answer == NULL || answer->tail == NULL) {
        return NULL;
    }
    const struct steer_service *service = in_view(why, answer->tail->service);
    return is_steered(service, type, NULL) ? service : NULL;
}

struct steer_client *api_why_asker(const struct why *why, struct steer_client *out)
{
    *out = why->outcome->steered; /* with the very draws of the answer */
    return out->known_bits > 0 ? out : NULL;
}

uint64_t api_why_pools_of(const struct steer_service *service, const struct steer_choice *choice)
{
    uint64_t pools = 0;

    if (choice->result != STEER_ADDRESSES) {
        return 0;
    }
    for (unsigned i = 0; i < choice->pick_count; i++) {
        pools |= UINT64_C(1) << steer_pick_pool(choice->picks[i]);
    }
    if (pools != 0) {
        return pools;
    }
    for (uint32_t p = 0; choice->several && p < service->pool_count; p++) {
        pools |= (uint64_t)(choice->bits_of[p] != 0) << p;
    }
    return choice->several ? pools : UINT64_C(1) << choice->pool;
}

/* ---- the client ---- */

static void put_prefix(struct text *out, const struct addr *base, unsigned bits)
{
    char text[ADDR_TEXT_MAX];

    addr_format(base, text, sizeof(text));
    text_printf(out, "%s/%u", text, bits);
}

/* The longest prefix of `clients` around it, or NULL. */
static const struct model_clients *find_prefix(const struct model *model,
                                               const struct addr *address)
{
    const struct model_clients *found = NULL;

    for (size_t i = 0; i < model->clients_count; i++) {
        const struct model_clients *clients = &model->clients[i];
        if (addr_prefix_contains(&clients->prefix, address) &&
            (found == NULL || clients->prefix.bits > found->prefix.bits)) {
            found = clients;
        }
    }
    return found;
}

static void put_regions(const struct model *model, const uint32_t *regions, size_t count,
                        struct json_writer *json, struct text *words)
{
    json_writer_list_begin(json, "nearest");
    for (size_t i = 0; i < count; i++) {
        text_printf(words, "%s%s", i == 0 ? "" : ", ", model->regions[regions[i]].name);
        json_writer_string(json, NULL, model->regions[regions[i]].name);
    }
    json_writer_list_end(json);
}

/* Where it stands, and how that is known. */
static void explain_place(struct why *why, const struct steer_policy *policy,
                          const struct steer_client *client)
{
    const struct model *model = why->view.snapshot->model;
    struct text words = { 0 };
    uint8_t scope;
    size_t count;
    uint32_t place = places_find(policy->places, &client->address, client->known_bits, &scope);
    const uint32_t *regions = places_regions(policy->places, place, &count);
    const struct model_clients *prefix = find_prefix(model, &client->address);

    if (prefix != NULL) {
        struct text text = { 0 };
        put_prefix(&text, &prefix->prefix.base, prefix->prefix.bits);
        text_printf(&words, "it is in %s (clients), nearest: ", text_string(&text));
        json_writer_string(why->view.json, "prefix", text_string(&text));
        text_fini(&text);
    } else if (place != 0) {
        text_put(&words, "its country is in the map (geo), nearest: ");
    } else if (count > 0) {
        text_put(&words, "nothing tells where it is, so it counts as being where this node is: ");
    } else {
        text_put(&words, "nothing tells where it is, nor where this node is (node.region): the "
                         "order is as written");
    }
    json_writer_string(why->view.json, "place",
                       prefix != NULL ? "prefix"
                       : place != 0   ? "geo"
                       : count > 0    ? "node"
                                      : "unknown");
    put_regions(model, regions, count, why->view.json, &words);
    api_why_step(why, "%s", text_string(&words));
    text_fini(&words);
}

/* For whom else the answer is the same. RFC 7871, section 7.2.1. */
static void explain_scope(struct why *why)
{
    const struct why_outcome *outcome = why->outcome;
    struct text prefix = { 0 };
    struct addr base = outcome->steered.address;
    unsigned bits = outcome->scope_bits < why->question->subnet.bits ? outcome->scope_bits
                                                                     : why->question->subnet.bits;

    api_why_cut_address(&base, bits);
    put_prefix(&prefix, &base, bits);
    if (bits == 0) {
        api_why_step(why, "the answer is the same for everybody (ECS scope /0)");
    } else {
        api_why_step(why, "the answer is for all of %s (ECS scope)", text_string(&prefix));
    }
    json_writer_uint(why->view.json, "scope_bits", bits);
    text_fini(&prefix);
}

static void explain_subnet(struct why *why)
{
    const struct addr_prefix *subnet = &why->question->subnet;
    struct text text = { 0 };

    put_prefix(&text, &subnet->base, subnet->bits);
    api_why_step(why, "%s asks for the clients in %s (ECS)", why->question->client_text,
                 text_string(&text));
    json_writer_string(why->view.json, "subnet", text_string(&text));
    text_fini(&text);
}

/* Who asks, as far as the choice depends on it. */
static void explain_client(struct why *why, const struct steer_service *service)
{
    const struct steer_policy *policy = service->policy;
    struct json_writer *json = why->view.json;
    struct steer_client asker;
    const struct steer_client *client = api_why_asker(why, &asker);

    json_writer_object_begin(json, "asker");
    json_writer_string(json, "address", why->question->client_text);
    if (why->question->listener_text[0] != '\0') {
        json_writer_string(json, "listener", why->question->listener_text);
        api_why_step(why, "it asks at %s", why->question->listener_text);
    } else if (why->question->has_to_say && policy != NULL && policy->views != NULL) {
        api_why_step(why, "which view it is in depends on the address it asks at: say which one "
                          "(--listener)");
    }
    if (policy != NULL && policy->view_name != NULL) {
        json_writer_string(json, "view", policy->view_name);
        api_why_step(why, "the client is in the view %s", policy->view_name);
    } else {
        json_writer_null(json, "view");
        if (policy != NULL && policy->views != NULL) {
            api_why_step(why, "the client is in no view of it: it gets what everybody else does");
        }
    }
    if (why->question->has_subnet) {
        explain_subnet(why);
    }
    if (policy != NULL && policy->places != NULL && client != NULL) {
        explain_place(why, policy, client);
    }
    if (why->question->has_subnet) {
        explain_scope(why);
    }
    json_writer_object_end(json);
}

/* ---- the choice ---- */

/* What is known of its endpoints that are given as host names. */
static void explain_names(struct why *why, const struct steer_service *service)
{
    const struct model *model = why->view.snapshot->model;

    for (uint32_t p = 0; p < service->pool_count; p++) {
        const struct model_pool *pool = &model->services[service->index].pools[p];
        for (size_t i = 0; i < pool->written_count; i++) {
            if (pool->written[i].hostname != NULL) {
                hostnames_explain(control_hostnames(why->view.control), &pool->written[i],
                                  service->pools[p].region_name, &why->steps);
            }
        }
    }
}

/* Is it answered as CNAME now? */
static void explain_cname(struct why *why, const struct steer_service *service, unsigned family,
                          struct steer_client *client, struct steer_choice *choice)
{
    const uint8_t *target =
        service->cnames == NULL ? NULL : steer_cname(service, family, client, choice);
    char shown[NAME_TEXT_MAX];

    if (target != NULL) {
        (void)name_format(target, shown, sizeof(shown));
        api_why_step(why,
                     "answered as CNAME to %s (answer: cname), with the addresses known "
                     "behind it",
                     shown);
    }
}

static void explain_limit(struct why *why, const struct steer_service *service,
                          const struct steer_choice *choice)
{
    unsigned chosen = 0;

    for (uint32_t i = 0; choice->several && i < service->pool_count; i++) {
        chosen += (unsigned)__builtin_popcountll(choice->bits_of[i]);
    }
    chosen = choice->several ? chosen : (unsigned)__builtin_popcountll(choice->bits);
    if (choice->result == STEER_ADDRESSES && choice->pick_count == 0 &&
        chosen > service->max_addresses) {
        api_why_step(why,
                     "%u addresses qualify, each answer holds %u of them in turn "
                     "(max_addresses)",
                     chosen, service->max_addresses);
    }
}

/* The steps of one family; false when the service has no endpoint of it. */
static bool explain_family(struct why *why, const struct steer_service *service, unsigned family,
                           struct steer_choice *choice)
{
    struct steer_client asker;
    struct steer_client *client = api_why_asker(why, &asker);

    if (!service->has_family[family]) {
        return false;
    }
    steer_explain(service, family, client, choice, &why->steps);
    explain_cname(why, service, family, client, choice);
    explain_limit(why, service, choice);
    return true;
}

/* SRV names endpoints of both families. RFC 2782. */
static void explain_srv(struct why *why, struct why_choice *choice)
{
    const struct steer_service *service = choice->service;

    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        if (service->has_family[f]) {
            api_why_step(why, "SRV: the %s endpoints", f == ADDR_V4 ? "IPv4" : "IPv6");
        }
        choice->has[f] = explain_family(why, service, f, &choice->of[f]);
    }
    bool is_second = !choice->has[ADDR_V4] ||
                     (choice->has[ADDR_V6] && choice->of[ADDR_V4].result != STEER_ADDRESSES);
    choice->main = is_second ? ADDR_V6 : ADDR_V4;
}

static void explain_choices(struct why *why, struct why_choice *choice)
{
    uint16_t type = why->question->type;

    if (type == WIRE_SRV && srv_is_given(choice->service)) {
        explain_srv(why, choice);
    } else {
        unsigned family = type == WIRE_AAAA ? ADDR_V6 : ADDR_V4;
        if (type != WIRE_A && type != WIRE_AAAA && !choice->service->has_family[ADDR_V4]) {
            family = ADDR_V6;
        }
        choice->main = family;
        choice->has[family] = explain_family(why, choice->service, family, &choice->of[family]);
        if (!choice->has[family]) {
            api_why_step(why, "no endpoint of it has an %s address: NODATA",
                         family == ADDR_V4 ? "IPv4" : "IPv6");
        }
    }
    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        choice->pools |= choice->has[f] ? api_why_pools_of(choice->service, &choice->of[f]) : 0;
    }
}

/* ---- the TTL ---- */

static const char *ttl_reason(const struct steer_choice *choice)
{
    if (choice->result == STEER_NODATA) {
        return "there may soon be something to answer with";
    }
    if (choice->rung == 6) {
        return "nothing is up, any recovery changes it";
    }
    if (choice->rung > 1) {
        return "better regions than these may come back at any time";
    }
    return choice->short_ttl ? "something it rests on is in doubt, or a better region is about to "
                               "come back"
                             : "nothing that it rests on is in doubt";
}

static void explain_ttl(struct why *why, const struct why_choice *choice)
{
    const struct steer_choice *main = &choice->of[choice->main];
    uint32_t ttl_s = api_status_ttl_s(choice->service, main);
    bool is_short = main->short_ttl || main->result == STEER_NODATA;
    const char *reason = ttl_reason(main);

    if (main->result == STEER_SERVFAIL) {
        json_writer_string(why->view.json, "ttl_reason", "SERVFAIL has none");
        return;
    }
    json_writer_string(why->view.json, "ttl_reason", reason);
    api_why_step(why, "TTL %u s (%s): %s", ttl_s, is_short ? "ttl.suspect" : "ttl.normal", reason);
}

/* ---- the whole ---- */

/* Answers stay as they were while this node hears nothing at all. */
static void explain_isolation(struct why *why)
{
    char reason[200];
    uint64_t since_ms;

    if (health_is_isolated(why->view.health, &since_ms, reason, sizeof(reason))) {
        struct text age = { 0 };
        text_put_duration(&age, api_health_age_ms(&why->view, since_ms));
        api_why_step(why,
                     "this node is cut off since %s (%s): regions and endpoints count as they "
                     "stood before",
                     text_string(&age), reason);
        text_fini(&age);
    }
}

void api_why_explain_service(struct why *why, const struct steer_service *service)
{
    struct json_writer *json = why->view.json;
    struct why_choice choice = { .service = service };

    api_why_step(why, "%s is a service", service->name);
    explain_isolation(why);
    explain_client(why, service);
    explain_names(why, service);
    explain_choices(why, &choice);
    if (!choice.has[choice.main]) {
        json_writer_null(json, "rung");
        return;
    }
    const struct steer_choice *main = &choice.of[choice.main];
    json_writer_object_begin(json, "choice");
    api_status_put_choice(service, choice.main, main, json);
    json_writer_object_end(json);
    json_writer_uint(json, "rung", main->rung);
    explain_ttl(why, &choice);
    api_why_put_pools(why, &choice);
    api_why_put_changes(why, &choice);
}
