#include "resolver/reason.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/addr.h"
#include "policy/places.h"
#include "policy/steer_ladder.h"
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

static bool is_chosen(const struct steer_choice *choice, uint32_t pool)
{
    return choice->result == STEER_ADDRESSES &&
           (choice->several ? choice->bits_of[pool] != 0 : choice->pool == pool);
}

static void put_pool(struct line *line, const struct steer_pool *pool,
                     const struct steer_view *view, unsigned family)
{
    put(line, "%s (%s, %d of %u up)", pool->region_name, steer_trace_state(view),
        __builtin_popcountll(view->up[family]), pool->counts[family]);
}

/* The pools that answer, or those that do not. */
static void put_pools(struct line *line, const struct steer_service *service, unsigned family,
                      const struct steer_choice *choice, bool chosen)
{
    struct steer_view views[STEER_POOLS_MAX];
    const char *between = chosen ? "" : "; not ";

    steer_ladder_look(service, views);
    for (uint32_t i = 0; i < service->pool_count; i++) {
        if (is_chosen(choice, i) == chosen) {
            put(line, "%s", between);
            put_pool(line, &service->pools[i], &views[i], family);
            between = ", ";
        }
    }
}

static void put_choice(struct line *line, const struct steer_service *service, unsigned family,
                       const struct steer_choice *choice)
{
    static const char *const rungs[] = {
        "", "in", "in hold_down", "gated but proven", "whatever is up", "drained", "nothing is up",
    };

    put(line, ": rung %u (%s): ", choice->rung, rungs[choice->rung]);
    switch (choice->result) {
    case STEER_ADDRESSES:
        put_pools(line, service, family, choice, true);
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
        put(line, "; ttl %u s, for it may soon change", service->ttl_suspect_s);
    } else {
        put(line, "; ttl %u s", service->ttl_normal_s);
    }
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
    put_client(&line, chosen.service, &chosen.client);
    put_choice(&line, chosen.service, chosen.family, &chosen.choice);
    put_pools(&line, chosen.service, chosen.family, &chosen.choice, false);
    if (line.is_cut) {
        end_cut(&line);
    }
    memcpy(out, bytes, line.length);
    return line.length;
}
