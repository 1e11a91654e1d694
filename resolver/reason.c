#include "resolver/reason.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/addr.h"
#include "base/text.h"
#include "policy/health_note.h"
#include "policy/places.h"
#include "policy/steer_filter.h"
#include "policy/steer_ladder.h"
#include "policy/steer_memory.h"
#include "policy/steer_trace.h"
#include "resolver/chosen.h"

#define CUT "..."

/* A line with a limit. */
struct line {
    char *bytes;
    size_t cap; /* the terminator's byte is among them */
    size_t length;
    bool is_cut;
};

static __attribute__((format(printf, 2, 3))) void put(struct line *line, const char *format, ...)
{
    va_list args;
    size_t room = line->cap - line->length;

    if (line->is_cut) {
        return;
    }
    va_start(args, format);
    int length = vsnprintf(line->bytes + line->length, room, format, args);
    va_end(args);
    line->is_cut = length < 0 || (size_t)length >= room;
    line->length += line->is_cut ? room - 1 : (size_t)length;
}

/* Show that it was cut, and not in the middle of a character of UTF-8. */
static void end_cut(struct line *line)
{
    size_t at = line->length > strlen(CUT) ? line->length - strlen(CUT) : 0;

    while (at > 0 && ((unsigned char)line->bytes[at] & 0xc0) == 0x80) {
        at--;
    }
    memcpy(line->bytes + at, CUT, strlen(CUT) + 1);
    line->length = at + strlen(CUT);
}

/* ---- words ---- */

static void put_client(struct line *line, const struct steer_service *service,
                       const struct steer_client *client)
{
    const struct steer_policy *policy = service->policy;
    char address[ADDR_TEXT_MAX];
    uint8_t scope;

    addr_format(&client->address, address, sizeof(address));
    put(line, "%s for %s/%u", service->name, address, client->known_bits);
    if (policy != NULL && policy->view_name != NULL) {
        put(line, ", view %s", policy->view_name);
    }
    if (policy != NULL && policy->places != NULL && policy->orders != NULL) {
        uint32_t place = places_find(policy->places, &client->address, client->known_bits, &scope);
        uint8_t home = policy->orders->homes[place];
        put(line, ", nearest %s",
            home == STEER_NO_POOL ? "to no region" : service->pools[home].region_name);
    }
}

static void put_duration(struct line *line, uint64_t ms)
{
    char words[TEXT_DURATION_MAX];

    text_format_duration(ms, words);
    put(line, "%s", words);
}

/* ---- one pool ---- */

/* What is explained, and how things are. */
struct subject {
    const struct steer_service *service;
    unsigned family;
    const struct steer_choice *choice;
    const struct health_binding *binding;
    uint64_t now_ms;
    struct steer_view views[STEER_POOLS_MAX];
};

static bool is_chosen(const struct steer_choice *choice, uint32_t pool)
{
    return choice->result == STEER_ADDRESSES &&
           (choice->several ? choice->bits_of[pool] != 0 : choice->pool == pool);
}

/* " for 3m 12s", where it is known. */
static void put_age(struct line *line, const struct subject *s, const struct health_note *note)
{
    if (note->since_ms != 0) {
        put(line, " for ");
        put_duration(line, s->now_ms > note->since_ms ? s->now_ms - note->since_ms : 0);
    }
}

/* The first endpoint that is not up, and by what; `out` is its note, or empty. */
static void put_worst(struct line *line, const struct subject *s, uint32_t pool,
                      struct health_note *out)
{
    const struct steer_pool *p = &s->service->pools[pool];
    const struct steer_view *view = &s->views[pool];
    uint64_t down = steer_all_bits(p->counts[s->family]) & ~view->up[s->family];
    char address[ADDR_TEXT_MAX];

    if (down == 0) {
        return;
    }
    unsigned first = (unsigned)__builtin_ctzll(down);
    bool is_barred = (steer_barred(p, s->family) >> first & 1) != 0;
    bool is_held = (view->held[s->family] >> first & 1) != 0;
    steer_trace_address(s->service, s->family, steer_pick(pool, first), address);
    put(line, "; %s %s", address, is_barred ? "forced down" : is_held ? "in hold_down" : "down");
    if (!is_barred &&
        health_note_endpoint(s->binding, s->service->index, pool, s->family, first, out)) {
        put_age(line, s, out);
        put(line, ": %s", out->text);
    }
    if ((down & (down - 1)) != 0) {
        put(line, " and %d more", __builtin_popcountll(down) - 1);
    }
}

/* What brings back a region that does not answer, and when. */
static void put_prospect(struct line *line, const struct subject *s, const struct steer_view *view,
                         const struct health_note *note)
{
    if ((view->word & (HEALTH_REGION_DRAINED | HEALTH_REGION_FORCED_DOWN)) != 0) {
        put(line, "; until it is released");
    } else if (note->until_ms != 0) {
        put(line, "; back in ");
        put_duration(line, note->until_ms > s->now_ms ? note->until_ms - s->now_ms : 0);
    } else if (note->hold_ms != 0) {
        put(line, "; back ");
        put_duration(line, note->hold_ms);
        put(line, " after they pass");
    }
}

static void put_pool(struct line *line, const struct subject *s, uint32_t pool, bool chosen)
{
    const struct steer_pool *p = &s->service->pools[pool];
    const struct steer_view *view = &s->views[pool];
    struct health_note region = { .text = "" };
    struct health_note endpoint = { .text = "" };

    put(line, "%s (%s", p->region_name, steer_trace_state(view));
    if (health_note_region(s->binding, p->region_index, &region)) {
        put_age(line, s, &region);
    }
    if (region.text[0] != '\0') {
        put(line, ": %s;", region.text);
    } else {
        put(line, ",");
    }
    put(line, " %d of %u up", __builtin_popcountll(view->up[s->family]), p->counts[s->family]);
    put_worst(line, s, pool, &endpoint);
    if (!chosen) {
        put_prospect(line, s, view, region.hold_ms != 0 ? &region : &endpoint);
    }
    put(line, ")");
}

/* The pools that answer, or those that do not. */
static void put_pools(struct line *line, const struct subject *s, bool chosen)
{
    const char *between = chosen ? "" : "; not ";

    for (uint32_t i = 0; i < s->service->pool_count && !line->is_cut; i++) {
        if (is_chosen(s->choice, i) == chosen) {
            put(line, "%s", between);
            put_pool(line, s, i, chosen);
            between = ", ";
        }
    }
}

/* ---- the choice ---- */

static void put_choice(struct line *line, const struct subject *s)
{
    static const char *const rungs[] = {
        "", "in", "in hold_down", "gated but proven", "whatever is up", "drained", "nothing is up",
    };
    const struct steer_choice *choice = s->choice;

    put(line, ": rung %u (%s): ", choice->rung, rungs[choice->rung]);
    switch (choice->result) {
    case STEER_ADDRESSES:
        put_pools(line, s, true);
        break;
    case STEER_FALLBACK:
        put(line, "its fallback");
        break;
    case STEER_NODATA:
        put(line, "no endpoint of this family");
        break;
    case STEER_SERVFAIL:
        put(line, "SERVFAIL");
        break;
    }
    if (choice->short_ttl) {
        put(line, "; ttl %u s, for it may soon change", s->service->ttl_suspect_s);
    } else {
        put(line, "; ttl %u s", s->service->ttl_normal_s);
    }
}

/* The regions that would answer on this rung. */
static void put_next(struct line *line, const struct subject *s, struct steer_ladder *ladder,
                     struct steer_client *client)
{
    struct steer_choice next;
    const char *between = "";

    if (ladder->rung == 0) {
        put(line, ladder->any ? "no endpoint of this family" : "nothing is up then");
        return;
    }
    steer_filter(s->service, s->family, client, ladder, &next, NULL);
    for (uint32_t i = 0; i < s->service->pool_count; i++) {
        if (is_chosen(&next, i)) {
            put(line, "%s%s", between, s->service->pools[i].region_name);
            between = ", ";
        }
    }
}

/* Who answers when the one region that does fails? By the code that answers. */
static void put_failure(struct line *line, struct subject *s, const struct steer_client *client)
{
    struct steer_client copy = *client;
    struct steer_ladder ladder;
    struct steer_view *view = &s->views[s->choice->pool];
    const struct steer_view before = *view;

    if (s->choice->result != STEER_ADDRESSES || s->choice->several || s->choice->rung > 5) {
        return;
    }
    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        view->up[f] = 0;
        view->held[f] = 0;
        view->proven[f] = 0;
    }
    steer_ladder_climb(s->service, s->family, s->views, &ladder, NULL);
    put(line, "; if %s fails: ", s->service->pools[s->choice->pool].region_name);
    put_next(line, s, &ladder, &copy);
    *view = before;
}

size_t reason_put(struct query_thread *thread, const struct snapshot *snapshot, char *out,
                  size_t cap)
{
    char bytes[REASON_TEXT_MAX + 1];
    struct line line = { .bytes = bytes };
    struct chosen chosen;

    if (cap < REASON_TEXT_LEAST || !chosen_find(thread, snapshot, &chosen)) {
        return 0;
    }
    line.cap = (cap < REASON_TEXT_MAX ? cap : REASON_TEXT_MAX) + 1;
    struct subject subject = {
        .service = chosen.service,
        .family = chosen.family,
        .choice = &chosen.choice,
        .binding = snapshot->binding,
        .now_ms = (uint64_t)thread->now_ms,
    };
    steer_ladder_look(chosen.service, subject.views);
    put_client(&line, chosen.service, &chosen.client);
    put_choice(&line, &subject);
    put_failure(&line, &subject, &chosen.client);
    put_pools(&line, &subject, false);
    if (line.is_cut) {
        end_cut(&line);
    }
    memcpy(out, bytes, line.length);
    return line.length;
}
