#include "resolver/hostnames.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/json_writer.h"
#include "base/log.h"
#include "base/text.h"
#include "policy/expansion.h"
#include "policy/health.h"
#include "resolver/inquiry.h"
#include "resolver/snapshot.h"
#include "zones/name.h"

#define LOST_MS 10000 /* an inquiry without an answer is given up after this */

/* One family of a name. */
struct side {
    struct hostname state;
    uint64_t told_version; /* of the set when it was taken last */
    uint64_t asked_ms;     /* 0: nobody is being asked */
    bool heard;            /* something came of it at least once */
    bool told_kept;        /* in the log */
    enum hostname_proof proof; /* scratch, see hostnames_look */
};

struct name {
    struct name *next;
    bool keep;
    bool wanted; /* scratch, see hostnames_adopt */
    struct side sides[ADDR_FAMILIES];
    uint8_t dname[NAME_MAX_BYTES];
};

struct hostnames {
    struct name *names;
    struct inquiry_desk *desk;
    struct server *server; /* NULL: nobody to ask yet */
    uv_timer_t timer;
    bool closing;
    void (*changed)(void *user);
    void *user;
};

static void plan(struct hostnames *h);

static struct name *find(const struct hostnames *h, const uint8_t *dname, bool keep)
{
    for (struct name *name = h->names; name != NULL; name = name->next) {
        if (name->keep == keep && name_equal(name->dname, dname)) {
            return name;
        }
    }
    return NULL;
}

/* ---- what changed, in the log ---- */

static void put_addresses(const struct hostname *state, bool kept, struct text *out)
{
    struct addr list[HOSTNAME_MOST];
    char shown[ADDR_TEXT_MAX];
    size_t count = hostname_list(state, list);

    for (size_t i = 0; i < count; i++) {
        const struct hostname_address *a = hostname_find(state, &list[i]);
        if (!kept || (a != NULL && a->kept_ms != 0)) {
            addr_format(&list[i], shown, sizeof(shown));
            text_printf(out, "%s%s", out->length > 0 ? "," : "", shown);
        }
    }
}

static void tell(const struct name *name, unsigned family, const char *event, enum log_level level)
{
    const struct hostname *state = &name->sides[family].state;
    struct text now = { 0 }, kept = { 0 }, why = { 0 };
    char shown[NAME_TEXT_MAX];

    (void)name_format(name->dname, shown, sizeof(shown));
    put_addresses(state, false, &now);
    put_addresses(state, true, &kept);
    hostname_explain(state, clock_now_ms(), &why);
    log_event(level, event, "name=%s type=%s now=%s kept=%s from=%s because=%s", shown,
              family == ADDR_V4 ? "A" : "AAAA", text_string(&now), text_string(&kept),
              state->source, text_string(&why));
    text_fini(&now);
    text_fini(&kept);
    text_fini(&why);
}

/* After anything that may have changed the state of `side`, whose version was `before`. */
static void look_at(const struct name *name, unsigned family, uint64_t before)
{
    struct side *side = (struct side *)(uintptr_t)&name->sides[family];
    bool kept = hostname_keeps_any(&side->state);

    if (side->state.version != before) {
        tell(name, family, "addresses changed", LOG_INFO);
    } else if (kept && !side->told_kept) {
        tell(name, family, "addresses kept", LOG_WARNING);
    }
    side->told_kept = kept;
}

/* ---- asking ---- */

static void send(struct hostnames *h, struct name *name, unsigned family, const char *apart_from)
{
    struct side *side = &name->sides[family];
    struct inquiry *inquiry = inquiry_new(h->desk);

    side->asked_ms = clock_now_ms();
    if (inquiry == NULL) {
        return; /* given up after LOST_MS, then tried again */
    }
    memcpy(inquiry->dname, name->dname, name_length(name->dname));
    inquiry->family = family;
    inquiry->keep = name->keep;
    inquiry->anew = hostname_has_any(&side->state) || side->state.last != HOSTNAME_UNASKED;
    inquiry->second = apart_from != NULL;
    if (apart_from != NULL) {
        (void)memcpy(inquiry->apart_from, apart_from, strnlen(apart_from, HOSTNAME_SOURCE_BYTES - 1));
    }
    (void)inquiry_send(inquiry, h->server);
}

static void on_answer(void *user, const struct inquiry *inquiry)
{
    struct hostnames *h = user;
    struct name *name = find(h, inquiry->dname, inquiry->keep);

    if (name == NULL || h->closing) {
        return; /* nobody wants it any more */
    }
    struct side *side = &name->sides[inquiry->family];
    uint64_t before = side->state.version;
    side->asked_ms = 0;
    side->heard = true;
    if (hostname_hear(&side->state, &inquiry->answer, clock_now_ms()) == HOSTNAME_WANTS_SECOND) {
        send(h, name, inquiry->family, inquiry->answer.source);
    } else {
        look_at(name, inquiry->family, before);
    }
    plan(h);
}

/* ---- time ---- */

static uint64_t next_ms(const struct side *side)
{
    uint64_t ask = side->asked_ms == 0 ? side->state.ask_ms : side->asked_ms + LOST_MS;
    uint64_t tick = hostname_tick_ms(&side->state);

    return ask < tick ? ask : tick;
}

static void act(struct hostnames *h, struct name *name, unsigned family, uint64_t now_ms)
{
    struct side *side = &name->sides[family];
    uint64_t before = side->state.version;

    if (now_ms >= hostname_tick_ms(&side->state)) {
        hostname_tick(&side->state, now_ms);
        look_at(name, family, before);
    }
    if (side->asked_ms != 0 && now_ms - side->asked_ms >= LOST_MS) {
        side->asked_ms = 0;
    }
    if (side->asked_ms == 0 && now_ms >= side->state.ask_ms) {
        send(h, name, family, NULL);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct hostnames *h = timer->data;
    uint64_t now = clock_now_ms();

    for (struct name *name = h->names; name != NULL; name = name->next) {
        for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
            act(h, name, f, now);
        }
    }
    if (hostnames_are_news(h)) {
        h->changed(h->user);
    }
    plan(h);
}

/* Come back when the next of all is due, at once when there is news to tell. */
static void plan(struct hostnames *h)
{
    uint64_t now = clock_now_ms();
    uint64_t first = UINT64_MAX;

    if (h->closing || h->server == NULL) {
        return;
    }
    for (const struct name *name = h->names; name != NULL; name = name->next) {
        for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
            uint64_t next = next_ms(&name->sides[f]);
            first = next < first ? next : first;
            first = name->sides[f].state.version != name->sides[f].told_version &&
                            !uv_is_active((const uv_handle_t *)&h->timer)
                        ? first
                        : first;
        }
    }
    if (first == UINT64_MAX) {
        uv_timer_stop(&h->timer);
        return;
    }
    uv_update_time(h->timer.loop);
    (void)uv_timer_start(&h->timer, on_timer, first > now ? first - now : 0, 0);
}
