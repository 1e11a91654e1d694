#include "resolver/api/api_why_inside.h"

#include <stdlib.h>
#include <string.h>

#include "resolver/record_text.h"

static void put_type(struct why *why, const char *before, uint16_t type, const char *behind)
{
    text_put(&why->steps, before);
    record_text_put_type(&why->steps, type);
    text_put(&why->steps, behind);
    text_put_char(&why->steps, '\n');
}

static void explain_zone_of(struct why *why, const struct zone *zone)
{
    char apex[NAME_TEXT_MAX];

    (void)name_format(zone->dname, apex, sizeof(apex));
    if (zone->file != NULL) {
        api_why_step(why, "in zone %s, serial %u, from %s", apex, zone->serial, zone->file);
    } else {
        api_why_step(why, "in zone %s, which has no file: it is there for its services", apex);
    }
}

/* The types of the name; ANY is compiled for every name and says nothing. */
static void explain_types(struct why *why, const struct node *node)
{
    if (node->answer_count == 0) {
        api_why_step(why, "the name exists only because names below it do: NODATA");
        return;
    }
    text_put(&why->steps, "the name exists, with");
    for (unsigned i = 0; i < node->answer_count; i++) {
        if (node->answers[i].type != WIRE_ANY) {
            text_put_char(&why->steps, ' ');
            record_text_put_type(&why->steps, node->answers[i].type);
        }
    }
    text_put_char(&why->steps, '\n');
}

static void put_alias(void *user, unsigned section, uint16_t type, const char *line)
{
    if (section == 0 && type == WIRE_CNAME) {
        api_why_step(user, "alias: %s", line);
    }
}

/* The CNAMEs of the answer, compiled to stand behind exactly this question. */
static void explain_chain(struct why *why, const struct answer *answer)
{
    const struct why_question *q = why->question;
    uint8_t *message = malloc(WIRE_MESSAGE_MAX);

    if (message == NULL) {
        return; /* only these steps are missing then */
    }
    size_t length = wire_query_build(message, 0, 0, q->dname, q->type, WIRE_IN, 0, false);
    if (answer->core_length <= WIRE_MESSAGE_MAX - length) {
        memcpy(message + length, answer->wire, answer->core_length);
        wire_put16(message + 6, answer->answers);
        (void)record_text_walk(message, length + answer->core_length, put_alias, why);
    }
    free(message);
}

/* Where a chain of aliases leaves our data, and why it is not asked for further. */
static void explain_end(struct why *why, const uint8_t *outside)
{
    char target[NAME_TEXT_MAX];

    (void)name_format(outside, target, sizeof(target));
    if (!why->outcome->recursion) {
        api_why_step(why,
                     "%s is in no zone and no service of ours, and %s may not have it resolved "
                     "(access.recursion): the aliases alone",
                     target, why->question->client_text);
    } else {
        api_why_step(why,
                     "%s is in no zone and no service of ours, and no forward rule is for it: the "
                     "aliases alone",
                     target);
    }
}

static void explain_node(struct why *why, const struct node *node)
{
    const struct answer *answer = namespace_answer(node, why->question->type);

    explain_zone_of(why, node->zone);
    if (node->alias != NULL && answer != NULL && why->question->type != WIRE_CNAME) {
        explain_chain(why, answer);
        if (answer->outside != NULL) {
            explain_end(why, answer->outside);
        }
        return;
    }
    explain_types(why, node);
    if (answer == NULL && node->answer_count > 0) {
        put_type(why, "there is no ", why->question->type, " among them: NODATA");
    }
}

static void explain_absent(struct why *why, const struct node *encloser)
{
    char nearest[NAME_TEXT_MAX];

    explain_zone_of(why, encloser->zone);
    (void)name_format(encloser->dname, nearest, sizeof(nearest));
    api_why_step(why, "the name does not exist: NXDOMAIN; the nearest that does is %s", nearest);
}

/* ---- other names ---- */

static const char *region_state(const struct health_region *region)
{
    static const struct {
        uint32_t flag;
        const char *name;
    } states[] = {
        { HEALTH_REGION_FORCED_DOWN, "forced down" },
        { HEALTH_REGION_DRAINED, "drained" },
        { HEALTH_REGION_GATED, "gated" },
        { HEALTH_REGION_HELD, "held" },
        { HEALTH_REGION_FORCED_UP, "forced up" },
        { HEALTH_REGION_SHARED, "shared" },
    };
    uint32_t word = atomic_load_explicit(&region->word, memory_order_relaxed);

    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        if ((word & states[i].flag) != 0) {
            return states[i].name;
        }
    }
    return "in";
}

static void explain_upstream(struct why *why, unsigned number,
                             const struct forward_upstream *upstream)
{
    static const char *const classes[] = {
        [FORWARD_OWN] = "own region",
        [FORWARD_OTHER] = "another region",
        [FORWARD_PUBLIC] = "public, only when all others failed",
    };
    char address[ADDR_TEXT_MAX];

    addr_format_port(&upstream->address, address, sizeof(address));
    text_printf(&why->steps, "upstream %u: %s", number, address);
    if (upstream->region_name[0] != '\0') {
        text_printf(&why->steps, " in %s", upstream->region_name);
    }
    if (upstream->region != NULL) {
        text_printf(&why->steps, ", region %s", region_state(upstream->region));
    }
    text_printf(&why->steps, " (%s)\n", classes[upstream->class]);
}

static void explain_cached(struct why *why)
{
    switch (why->outcome->source) {
    case QUERY_CACHE:
        api_why_step(why, "it was asked before and what was answered is fresh: nobody is asked");
        break;
    case QUERY_STALE:
        api_why_step(why, "what was answered before has expired, but nobody can be asked now: "
                          "served all the same (cache.serve_stale)");
        break;
    default:
        if (why->outcome->cached.length > 0) {
            api_why_step(why, "what was answered before has expired: it is asked anew; the old "
                              "answer serves when nobody answers in time (cache.stale_wait)");
        }
        break;
    }
}

/* `node`: a name of ours whose aliases lead elsewhere, else NULL. */
static void explain_forward(struct why *why, const struct node *node)
{
    const struct answer *answer = node == NULL ? NULL : namespace_answer(node, why->question->type);
    const uint8_t *asked = why->question->dname;
    char target[NAME_TEXT_MAX];

    if (answer != NULL && answer->outside != NULL) {
        asked = answer->outside;
        (void)name_format(asked, target, sizeof(target));
        explain_zone_of(why, node->zone);
        explain_chain(why, answer);
        api_why_step(why,
                     "%s is in no zone and no service of ours: it is asked elsewhere, and the "
                     "answer put behind the aliases",
                     target);
    } else {
        api_why_step(why, "in no zone and no service of ours");
    }
    const struct forward_rule *rule = snapshot_forward(why->view.snapshot, asked);
    api_why_step(why, "%s may have other names resolved (access.recursion)",
                 why->question->client_text);
    if (rule == NULL) {
        return;
    }
    explain_cached(why);
    api_why_step(
        why,
        "forward rule '%s', upstreams as written (below: as they would be asked now):", rule->name);
    for (uint32_t i = 0; i < rule->upstream_count; i++) {
        explain_upstream(why, i + 1, &rule->upstreams[i]);
    }
    if (rule->hedge_auto) {
        api_why_step(why,
                     "unanswered for longer than the upstream usually takes (10 to 75 ms) the next "
                     "region is asked too; an error goes on at once");
    } else if (rule->hedge_ms > 0) {
        api_why_step(
            why, "unanswered after %u ms the next region is asked too; an error goes on at once",
            rule->hedge_ms);
    } else {
        api_why_step(why, "an error goes on to the next at once (hedge is off)");
    }
}

static void explain_refused(struct why *why, bool is_ours)
{
    const struct why_question *question = why->question;

    if (question->type == WIRE_AXFR || question->type == WIRE_IXFR) {
        api_why_step(why, "zone transfers are refused");
        return;
    }
    if (is_ours) {
        api_why_step(why, "%s may not ask for our names (access.query): REFUSED",
                     question->client_text);
        return;
    }
    api_why_step(why, "in no zone and no service of ours");
    if (!why->outcome->recursion) {
        api_why_step(why, "%s may not have other names resolved (access.recursion): REFUSED",
                     question->client_text);
    } else {
        api_why_step(why, "no forward rule is for it: REFUSED");
    }
}

/* ---- any name ---- */

void api_why_explain_name(struct why *why, const struct node *node, const struct node *encloser,
                          const struct steer_service *service)
{
    if (why->outcome->source == QUERY_REFUSED) {
        explain_refused(why, encloser != NULL);
    } else if (why->outcome->is_local) {
        api_why_step(why, "nobody is asked for such a name: it is in the hosts file, or special "
                          "(RFC 6761, 6303) or a single label; a forward rule for it would go "
                          "before this");
    } else if (api_why_is_elsewhere(why->outcome->source)) {
        explain_forward(why, node);
    } else if (node == NULL) {
        explain_absent(why, encloser);
    } else if (service == NULL || node->service == NULL) {
        explain_node(why, node);
    }
}
