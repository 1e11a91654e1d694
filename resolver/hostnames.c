#include "resolver/hostnames.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

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
    uint64_t put_version;  /* of the set when it was put into a model last */
    uint64_t told_version; /* when it was put into the model in force */
    uint64_t asked_ms;     /* 0: nobody is being asked */
    bool heard;            /* something came of it at least once */
    bool told_kept;        /* in the log */
};

struct name {
    UT_hash_handle hh;
    bool keep;
    bool wanted; /* scratch, see hostnames_adopt */
    struct side sides[ADDR_FAMILIES];
    uint8_t dname[NAME_MAX_BYTES + 1]; /* behind it `keep`: together the key */
};

struct hostnames {
    struct name *names; /* a hash, walked in the order added */
    struct inquiry_desk *desk;
    struct server *server; /* NULL: nobody to ask yet */
    uv_timer_t timer;
    uint64_t due_ms; /* when the timer fires; UINT64_MAX: it does not run */
    uint64_t looks;  /* at what checks say */
    bool announced; /* `changed` was called for the news there are */
    bool closing;
    void (*changed)(void *user);
    void *user;
};

static struct name *next_of(const struct name *name)
{
    return name->hh.next;
}

/* Write the key of a name; returns its length. */
static size_t put_key(uint8_t out[NAME_MAX_BYTES + 1], const uint8_t *dname, bool keep)
{
    size_t length = name_length(dname);

    memcpy(out, dname, length);
    out[length] = keep;
    return length + 1;
}

static struct name *find(const struct hostnames *h, const uint8_t *dname, bool keep)
{
    uint8_t key[NAME_MAX_BYTES + 1];
    struct name *name;

    size_t length = put_key(key, dname, keep);
    HASH_FIND(hh, h->names, key, length, name);
    return name;
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
static void look_at(struct hostnames *h, struct name *name, unsigned family, uint64_t before)
{
    struct side *side = &name->sides[family];
    bool kept = hostname_keeps_any(&side->state);

    if (side->state.version != before) {
        h->announced = false;
        tell(name, family, "addresses changed", LOG_INFO);
    } else if (kept && !side->told_kept) {
        tell(name, family, "addresses kept", LOG_WARNING);
    }
    side->told_kept = kept;
}

/* ---- asking ---- */

static void put(struct hostnames *h, struct name *name, unsigned family, const char *apart_from)
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
        (void)snprintf(inquiry->apart_from, sizeof(inquiry->apart_from), "%s", apart_from);
    }
    (void)inquiry_send(inquiry, h->server);
}

static void on_timer(uv_timer_t *timer);

static void wake_at(struct hostnames *h, uint64_t due_ms)
{
    uint64_t now = clock_now_ms();

    h->due_ms = due_ms;
    uv_update_time(h->timer.loop);
    (void)uv_timer_start(&h->timer, on_timer, due_ms > now ? due_ms - now : 0, 0);
}

static uint64_t next_ms(const struct side *side)
{
    uint64_t ask = side->asked_ms == 0 ? side->state.ask_ms : side->asked_ms + LOST_MS;
    uint64_t tick = hostname_tick_ms(&side->state);

    return ask < tick ? ask : tick;
}

/* One side has changed: the others need not be looked at. */
static void plan_side(struct hostnames *h, const struct side *side)
{
    bool is_news = !h->announced && side->state.version != side->told_version;
    uint64_t due = is_news ? clock_now_ms() : next_ms(side);

    if (due < h->due_ms) {
        wake_at(h, due);
    }
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
        put(h, name, inquiry->family, inquiry->answer.source);
    } else {
        look_at(h, name, inquiry->family, before);
    }
    plan_side(h, side);
}

/* ---- time ---- */

static void act(struct hostnames *h, struct name *name, unsigned family, uint64_t now_ms)
{
    struct side *side = &name->sides[family];
    uint64_t before = side->state.version;

    if (now_ms >= hostname_tick_ms(&side->state)) {
        hostname_tick(&side->state, now_ms);
        look_at(h, name, family, before);
    }
    if (side->asked_ms != 0 && now_ms - side->asked_ms >= LOST_MS) {
        side->asked_ms = 0;
    }
    if (side->asked_ms == 0 && now_ms >= side->state.ask_ms) {
        put(h, name, family, NULL);
    }
}

/* Come back when the next of all is due, at once when there is news to tell. */
static void plan(struct hostnames *h)
{
    uint64_t first = UINT64_MAX;

    if (h->closing || h->server == NULL) {
        return;
    }
    for (const struct name *name = h->names; name != NULL; name = next_of(name)) {
        for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
            uint64_t next = next_ms(&name->sides[f]);
            first = next < first ? next : first;
        }
    }
    if (!h->announced && hostnames_are_news(h)) {
        first = 0;
    }
    if (first == UINT64_MAX) {
        h->due_ms = UINT64_MAX;
        uv_timer_stop(&h->timer);
    } else {
        wake_at(h, first);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct hostnames *h = timer->data;
    uint64_t now = clock_now_ms();

    for (struct name *name = h->names; name != NULL; name = next_of(name)) {
        for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
            act(h, name, f, now);
        }
    }
    if (!h->announced && hostnames_are_news(h)) {
        h->announced = true;
        h->changed(h->user);
    }
    plan(h);
}

/* ---- which names there are ---- */

static void want(void *user, const struct model_endpoint *endpoint, size_t service, size_t pool)
{
    struct hostnames *h = user;
    struct name *name = find(h, endpoint->hostname, endpoint->keep_addresses);

    (void)service;
    (void)pool;
    if (name == NULL) {
        uint64_t now = clock_now_ms();
        name = calloc(1, sizeof(*name));
        REQUIRE(name != NULL); /* of the control plane, as the model itself */
        name->keep = endpoint->keep_addresses;
        size_t length = put_key(name->dname, endpoint->hostname, name->keep);
        for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
            hostname_init(&name->sides[f].state, name->keep, now);
        }
        HASH_ADD(hh, h->names, dname, length, name);
    }
    name->wanted = true;
}

void hostnames_want(struct hostnames *hostnames, const struct model *model)
{
    expansion_each_name(model, want, hostnames);
    plan(hostnames);
}

void hostnames_adopt(struct hostnames *hostnames, const struct model *model, bool taken)
{
    struct hostnames *h = hostnames;
    uint64_t now = clock_now_ms();

    for (struct name *name = h->names; name != NULL; name = next_of(name)) {
        name->wanted = false;
    }
    expansion_each_name(model, want, h);
    for (struct name *name = h->names, *next; name != NULL; name = next) {
        next = next_of(name);
        if (!name->wanted) {
            HASH_DEL(h->names, name);
            free(name);
            continue;
        }
        for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
            struct side *side = &name->sides[f];
            if (side->state.last == HOSTNAME_UNASKED) {
                side->state.ask_ms = now; /* there may be another rule for it now */
            }
            if (taken) {
                side->told_version = side->put_version;
            }
        }
    }
    h->announced = false;
    plan(h);
}

size_t hostnames_pending(const struct hostnames *hostnames)
{
    size_t pending = 0;

    for (const struct name *name = hostnames->names; name != NULL; name = next_of(name)) {
        pending += !name->sides[ADDR_V4].heard || !name->sides[ADDR_V6].heard;
    }
    return pending;
}

/* ---- into a model ---- */

static size_t look_up(void *user, const uint8_t *dname, bool keep, struct addr out[EXPANSION_MOST])
{
    struct name *name = find(user, dname, keep);
    size_t count = 0;

    for (unsigned f = 0; f < ADDR_FAMILIES && name != NULL; f++) {
        count += hostname_list(&name->sides[f].state, out + count);
    }
    return count;
}

void hostnames_expand(struct hostnames *hostnames, struct model *model)
{
    expansion_apply(model, look_up, hostnames);
    for (struct name *name = hostnames->names; name != NULL; name = next_of(name)) {
        for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
            name->sides[f].put_version = name->sides[f].state.version;
        }
    }
}

bool hostnames_are_news(const struct hostnames *hostnames)
{
    for (const struct name *name = hostnames->names; name != NULL; name = next_of(name)) {
        for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
            if (name->sides[f].state.version != name->sides[f].told_version) {
                return true;
            }
        }
    }
    return false;
}

/* ---- what checks say ---- */

/*
 * A check that only the rightful owner of the address passes: by its
 * certificate, or by a part of the page that is named.
 */
static bool is_proof(const struct model_check *check)
{
    bool identified = check->tls != NULL && !check->tls->unverified;

    return identified || (check->kind == MODEL_CHECK_HTTP && check->body != NULL);
}

static enum hostname_proof proof_of(const struct health_endpoint_view *view)
{
    bool any = false;

    for (size_t i = 0; i < view->probe_count; i++) {
        const struct health_probe *probe = view->probes[i];
        if (!is_proof(probe->check) || probe->last_result_ms == 0) {
            continue;
        }
        any = true;
        if (probe->detect.state == DETECT_DOWN) {
            return HOSTNAME_DISPROVEN;
        }
    }
    return any ? HOSTNAME_PROVEN : HOSTNAME_UNPROVEN;
}

static void look_at_endpoint(struct hostnames *h, const struct model_endpoint *endpoint,
                             const struct health_endpoint_view *view, uint64_t now_ms)
{
    struct name *name = find(h, endpoint->hostname, endpoint->keep_addresses);

    if (name != NULL) {
        hostname_prove(&name->sides[endpoint->address.family].state, &endpoint->address,
                       proof_of(view), h->looks, now_ms);
    }
}

void hostnames_look(struct hostnames *hostnames, const struct snapshot *snapshot)
{
    const struct model *model = snapshot->model;
    uint64_t now = clock_now_ms();

    if (hostnames->names == NULL) {
        return;
    }
    hostnames->looks++;
    for (size_t i = 0; i < model->service_count; i++) {
        for (size_t p = 0; p < model->services[i].pool_count; p++) {
            const struct model_pool *pool = &model->services[i].pools[p];
            for (size_t e = 0; pool->written != NULL && e < pool->endpoint_count; e++) {
                struct health_endpoint_view view;
                if (pool->endpoints[e].hostname != NULL) {
                    health_view_endpoint(snapshot->binding, i, p, e, &view);
                    look_at_endpoint(hostnames, &pool->endpoints[e], &view, now);
                }
            }
        }
    }
    plan(hostnames);
}

/* ---- for people ---- */

const struct hostname *hostnames_find(const struct hostnames *hostnames, const uint8_t *dname,
                                      bool keep, unsigned family)
{
    const struct name *name = find(hostnames, dname, keep);

    return name == NULL ? NULL : &name->sides[family].state;
}

static void describe_addresses(const struct hostname *state, struct json_writer *json)
{
    struct addr list[HOSTNAME_MOST];
    char shown[ADDR_TEXT_MAX];
    size_t count = hostname_list(state, list);

    json_writer_list_begin(json, "addresses");
    for (size_t i = 0; i < count; i++) {
        addr_format(&list[i], shown, sizeof(shown));
        json_writer_string(json, NULL, shown);
    }
    json_writer_list_end(json);
}

static void describe_side(const struct hostname *state, struct json_writer *json)
{
    uint64_t now = clock_now_ms();
    uint64_t kept = hostname_kept_ms(state);
    struct text reason = { 0 };

    describe_addresses(state, json);
    json_writer_uint(json, "ttl_left_ms", state->ask_ms > now ? state->ask_ms - now : 0);
    json_writer_string(json, "last_answer", hostname_kind_name(state->last));
    json_writer_string(json, "from", state->source);
    if (state->heard_ms == 0) {
        json_writer_null(json, "last_answer_ms_ago");
    } else {
        json_writer_uint(json, "last_answer_ms_ago", now - state->heard_ms);
    }
    if (kept == 0) {
        json_writer_null(json, "kept_ms_ago");
    } else {
        json_writer_uint(json, "kept_ms_ago", now - kept);
    }
    hostname_explain(state, now, &reason);
    json_writer_string(json, "reason", text_string(&reason));
    text_fini(&reason);
}

void hostnames_describe(const struct hostnames *hostnames, const struct model_endpoint *written,
                        const char *region, struct json_writer *json)
{
    const struct name *name = find(hostnames, written->hostname, written->keep_addresses);
    char shown[NAME_TEXT_MAX];

    (void)name_format(written->hostname, shown, sizeof(shown));
    for (unsigned f = 0; f < ADDR_FAMILIES && name != NULL; f++) {
        json_writer_object_begin(json, NULL);
        json_writer_string(json, "name", shown);
        json_writer_string(json, "region", region);
        json_writer_string(json, "type", f == ADDR_V4 ? "A" : "AAAA");
        json_writer_string(json, "answer", written->as_cname ? "cname" : "address");
        json_writer_bool(json, "keep_addresses", written->keep_addresses);
        describe_side(&name->sides[f].state, json);
        json_writer_object_end(json);
    }
}

void hostnames_explain(const struct hostnames *hostnames, const struct model_endpoint *written,
                       const char *region, struct text *out)
{
    const struct name *name = find(hostnames, written->hostname, written->keep_addresses);
    char shown[NAME_TEXT_MAX];

    (void)name_format(written->hostname, shown, sizeof(shown));
    for (unsigned f = 0; f < ADDR_FAMILIES && name != NULL; f++) {
        const struct hostname *state = &name->sides[f].state;
        struct text reason = { 0 };
        struct addr list[HOSTNAME_MOST];

        hostname_explain(state, clock_now_ms(), &reason);
        text_printf(out, "endpoint of %s: %s %s: %zu address%s, %s%s%s", region, shown,
                    f == ADDR_V4 ? "A" : "AAAA", hostname_list(state, list),
                    hostname_list(state, list) == 1 ? "" : "es",
                    hostname_keeps_any(state) ? "kept: " : "last answer ",
                    hostname_keeps_any(state) ? "" : hostname_kind_name(state->last),
                    reason.length > 0 && !hostname_keeps_any(state) ? "; " : "");
        text_put(out, text_string(&reason));
        text_put_char(out, '\n');
        text_fini(&reason);
    }
}

/* ---- life ---- */

struct hostnames *hostnames_new(uv_loop_t *loop, void (*changed)(void *user), void *user)
{
    struct hostnames *h = calloc(1, sizeof(*h));

    if (h == NULL) {
        return NULL;
    }
    h->desk = inquiry_desk_new(loop, on_answer, h);
    if (h->desk == NULL) {
        free(h);
        return NULL;
    }
    (void)uv_timer_init(loop, &h->timer);
    h->timer.data = h;
    h->due_ms = UINT64_MAX;
    h->changed = changed;
    h->user = user;
    return h;
}

void hostnames_serve(struct hostnames *hostnames, struct server *server)
{
    hostnames->server = server;
    plan(hostnames);
}

static void on_closed(uv_handle_t *handle)
{
    struct hostnames *h = handle->data;

    for (struct name *name = h->names, *next; name != NULL; name = next) {
        next = next_of(name);
        HASH_DEL(h->names, name);
        free(name);
    }
    free(h);
}

void hostnames_close(struct hostnames *hostnames)
{
    if (hostnames == NULL) {
        return;
    }
    hostnames->closing = true;
    inquiry_desk_close(hostnames->desk);
    uv_close((uv_handle_t *)&hostnames->timer, on_closed);
}
