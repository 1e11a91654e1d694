#include "resolver/hand.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "policy/maintenance.h"
#include "resolver/hand_guard.h"

#define FILE_NAME    "overrides.json"
#define FILE_MOST    ((size_t)4 * 1024 * 1024)
#define LOOK_MOST_MS 30000 /* civil time may jump: it is looked at so often at least */

struct hand {
    struct health *health;
    hand_listener *listener;
    void *user;
    struct overrides *overrides;
    const struct snapshot *snapshot;
    struct addr *forced; /* endpoints that were forced, to be let go of */
    size_t forced_count;
    bool has_pools;  /* some pools of services of the snapshot have its words */
    char *directory; /* NULL: not loaded yet */
    bool kept;       /* the last change is on disk */
    uv_timer_t timer;
};

static int64_t now_s(void)
{
    return (int64_t)(clock_wall_ms() / 1000);
}

/* ---- who rules what ---- */

/* Of those that mean it the strongest: force before drain. */
static const struct override *stronger(const struct override *a, const struct override *b)
{
    return a == NULL || (a->kind == OVERRIDE_DRAIN && b->kind != OVERRIDE_DRAIN) ? b : a;
}

const struct override *hand_of_region(const struct hand *hand, const char *region)
{
    const struct override *found = NULL;

    for (size_t i = 0; i < overrides_count(hand->overrides); i++) {
        const struct override *o = overrides_at(hand->overrides, i);
        if (override_means_region(o, region)) {
            found = stronger(found, o);
        }
    }
    return found;
}

const struct override *hand_of_pool(const struct hand *hand, const char *region,
                                    const char *service)
{
    const struct override *found = NULL;

    for (size_t i = 0; i < overrides_count(hand->overrides); i++) {
        const struct override *o = overrides_at(hand->overrides, i);
        if (override_means_pool(o, region, service)) {
            found = stronger(found, o);
        }
    }
    return found;
}

bool hand_is_kept(const struct hand *hand)
{
    return hand->kept;
}

const struct overrides *hand_overrides(const struct hand *hand)
{
    return hand->overrides;
}

/* ---- bringing it into force ---- */

static const uint32_t flags[] = {
    [OVERRIDE_DRAIN] = HEALTH_REGION_DRAINED,
    [OVERRIDE_FORCE_UP] = HEALTH_REGION_FORCED_UP,
    [OVERRIDE_FORCE_DOWN] = HEALTH_REGION_FORCED_DOWN,
};

/* For conditions on services: see health_pool_word. */
static uint32_t word_of_pool(void *user, const char *region, const char *service)
{
    const struct override *o = hand_of_pool(user, region, service);

    return o == NULL ? 0 : flags[o->kind];
}

/* The new word comes before the old one goes: in between the region would be answered with. */
static void apply_region(struct hand *hand, const char *region, uint64_t now_ms)
{
    const struct override *o = hand_of_region(hand, region);
    uint32_t said = o == NULL ? 0 : flags[o->kind];

    if (said != 0) {
        (void)health_override(hand->health, region, said, true, now_ms);
    }
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        if (flags[i] != said) {
            (void)health_override(hand->health, region, flags[i], false, now_ms);
        }
    }
}

static void apply_regions(struct hand *hand, uint64_t now_ms)
{
    const struct model *model = hand->snapshot->model;

    for (size_t i = 0; i < model->region_count; i++) {
        apply_region(hand, model->regions[i].name, now_ms);
    }
}

static void set_hand(const struct steer_service *service, uint32_t pool, enum steer_hand hand,
                     bool on)
{
    if (steer_has_hand(service, pool, hand) != on) {
        steer_set_hand(service, pool, hand, on);
    }
}

/* Here too the new word comes before the old one goes. */
static void apply_pools(const struct hand *hand, const struct steer_service *service)
{
    static const enum steer_hand hands[] = {
        [OVERRIDE_DRAIN] = STEER_HAND_DRAINED,
        [OVERRIDE_FORCE_UP] = STEER_HAND_FORCED_UP,
        [OVERRIDE_FORCE_DOWN] = STEER_HAND_FORCED_DOWN,
    };

    for (uint32_t p = 0; p < service->pool_count; p++) {
        const struct override *o = hand_of_pool(hand, service->pools[p].region_name, service->name);
        if (o != NULL) {
            set_hand(service, p, hands[o->kind], true);
        }
        for (size_t i = 0; i < sizeof(hands) / sizeof(hands[0]); i++) {
            if (o == NULL || hands[i] != hands[o->kind]) {
                set_hand(service, p, hands[i], false);
            }
        }
    }
}

/* Does any override speak of a region's pools of some services? */
static bool means_pools(const struct hand *hand)
{
    for (size_t i = 0; i < overrides_count(hand->overrides); i++) {
        if (strchr(overrides_at(hand->overrides, i)->target, '/') != NULL) {
            return true;
        }
    }
    return false;
}

/* All services are walked only where one of them has a word of the hand, or had. */
static void apply_services(struct hand *hand, uint64_t now_ms)
{
    bool means = means_pools(hand);

    for (size_t i = 0; (means || hand->has_pools) && i < hand->snapshot->service_count; i++) {
        apply_pools(hand, &hand->snapshot->services[i]);
    }
    if (means || hand->has_pools) {
        health_pool_words_changed(hand->health, now_ms);
    }
    hand->has_pools = means;
}

/* An override of `kind` speaks of an address, if it is one. */
static bool read_address(const struct override *o, struct addr *out)
{
    struct error ignored;

    return o->kind != OVERRIDE_DRAIN && addr_parse(o->target, 0, out, &ignored) == 0;
}

static bool is_among(const struct addr *list, size_t count, const struct addr *address)
{
    for (size_t i = 0; i < count; i++) {
        if (addr_same_host(&list[i], address)) {
            return true;
        }
    }
    return false;
}

/* Those of now are forced, then those of before that are not among them are let go. */
static void apply_endpoints(struct hand *hand, uint64_t now_ms)
{
    size_t count = overrides_count(hand->overrides);
    struct addr *forced = calloc(count == 0 ? 1 : count, sizeof(*forced));
    size_t forced_count = 0;

    REQUIRE(forced != NULL);
    for (size_t i = 0; i < count; i++) {
        const struct override *o = overrides_at(hand->overrides, i);
        if (read_address(o, &forced[forced_count])) {
            health_force_endpoint(
                hand->health, &forced[forced_count++],
                o->kind == OVERRIDE_FORCE_UP ? HEALTH_FORCE_UP : HEALTH_FORCE_DOWN, now_ms);
        }
    }
    for (size_t i = 0; i < hand->forced_count; i++) {
        if (!is_among(forced, forced_count, &hand->forced[i])) {
            health_force_endpoint(hand->health, &hand->forced[i], HEALTH_FORCE_NONE, now_ms);
        }
    }
    free(hand->forced);
    hand->forced = forced;
    hand->forced_count = forced_count;
}

static void apply(struct hand *hand)
{
    uint64_t now_ms = clock_now_ms();

    if (hand->snapshot == NULL) {
        return;
    }
    apply_regions(hand, now_ms);
    apply_endpoints(hand, now_ms);
    apply_services(hand, now_ms);
}

/* ---- on disk ---- */

static void save(struct hand *hand)
{
    char path[PATH_MAX];
    struct text text = { 0 };
    struct error err;

    if (hand->directory == NULL) {
        return;
    }
    (void)snprintf(path, sizeof(path), "%s/%s", hand->directory, FILE_NAME);
    overrides_render(hand->overrides, &text);
    int rc = text_failed(&text) ? error_set(&err, -ENOMEM, "out of memory")
                                : file_make_directory(hand->directory, &err);
    if (rc == 0) {
        rc = file_replace(path, text_string(&text), text.length, &err);
    }
    hand->kept = rc == 0;
    if (rc < 0) {
        log_event(LOG_WARNING, "overrides are not kept", "path=%s error=%s hint=%s", path,
                  err.message, "make the directory writable or set node.state_directory");
    }
    text_fini(&text);
}

/* What cannot be read is set aside, so that the next save does not lose it. */
static void set_aside(const char *path, const struct error *err)
{
    char aside[PATH_MAX + 16];

    (void)snprintf(aside, sizeof(aside), "%s.damaged", path);
    int rc = rename(path, aside);
    log_event(LOG_ERROR, "overrides cannot be read", "path=%s error=%s kept_as=%s", path,
              err->message, rc == 0 ? aside : "(could not be renamed)");
}

void hand_load(struct hand *hand, const char *state_directory)
{
    char path[PATH_MAX];
    char *bytes;
    size_t length;
    struct error err;

    if (hand->directory != NULL || state_directory == NULL) {
        return;
    }
    hand->directory = strdup(state_directory);
    (void)snprintf(path, sizeof(path), "%s/%s", state_directory, FILE_NAME);
    int rc = file_read(path, FILE_MOST, &bytes, &length, &err);
    if (rc == -ENOENT || rc == -ENOTDIR) {
        return;
    }
    if (rc == 0) {
        rc = overrides_parse(hand->overrides, bytes, length, &err);
        free(bytes);
    }
    if (rc < 0) {
        set_aside(path, &err);
    }
    for (size_t i = 0; i < overrides_count(hand->overrides); i++) {
        const struct override *o = overrides_at(hand->overrides, i);
        log_event(LOG_WARNING, "override in force", "target=%s state=%s reason=%s author=%s",
                  o->target, override_kind_name(o->kind), o->reason, o->author);
    }
}

/* ---- time ---- */

static void say(struct hand *hand, const struct override *override, const char *what)
{
    hand->listener(hand->user, override, what);
}

/* Until when a window with this target is open, by the one that closes last; 0: none is. */
static int64_t open_until_s(const struct model *model, const char *target, int64_t at_s)
{
    int64_t until_s = 0;

    for (size_t i = 0; i < model->maintenance_count; i++) {
        int64_t closes_s;
        if (strcmp(model->maintenances[i].target, target) == 0 &&
            maintenance_is_open(&model->maintenances[i], at_s, &closes_s)) {
            until_s = closes_s > until_s ? closes_s : until_s;
        }
    }
    return until_s;
}

/* What a window said that is no longer configured, or has been moved. */
static bool drop_closed(struct hand *hand, int64_t at_s)
{
    bool changed = false;

    for (size_t i = overrides_count(hand->overrides); i > 0; i--) {
        struct override o = *overrides_at(hand->overrides, i - 1);
        if (o.scheduled && open_until_s(hand->snapshot->model, o.target, at_s) == 0) {
            (void)overrides_release(hand->overrides, o.target, OVERRIDE_RELEASE_ALL, true);
            say(hand, &o, "a maintenance window closes");
            changed = true;
        }
    }
    return changed;
}

static const struct override *find_scheduled(const struct hand *hand, const char *target)
{
    for (size_t i = 0; i < overrides_count(hand->overrides); i++) {
        const struct override *o = overrides_at(hand->overrides, i);
        if (o->scheduled && strcmp(o->target, target) == 0) {
            return o;
        }
    }
    return NULL;
}

/* Say what an open window says, unless that has been done. */
static bool open_window(struct hand *hand, const struct model_maintenance *window, int64_t at_s,
                        int64_t until_s)
{
    const struct override *old = find_scheduled(hand, window->target);
    struct override o = {
        .kind = OVERRIDE_DRAIN,
        .since_s = old == NULL ? at_s : old->since_s,
        .until_s = until_s,
        .scheduled = true,
        .muted = old != NULL && old->muted,
    };
    struct error ignored;

    if (old != NULL && old->until_s == until_s) {
        return false;
    }
    (void)snprintf(o.target, sizeof(o.target), "%s", window->target);
    (void)snprintf(o.reason, sizeof(o.reason), "%s", window->reason);
    (void)snprintf(o.author, sizeof(o.author), "maintenance window of the configuration");
    if (overrides_set(hand->overrides, &o, &ignored) < 0) {
        return false;
    }
    if (old == NULL) {
        say(hand, &o, "a maintenance window opens");
    }
    return true;
}

/* Bring the scheduled overrides in line with the windows that are open now. */
static bool follow_windows(struct hand *hand, int64_t at_s, int64_t *next_s)
{
    const struct model *model = hand->snapshot->model;
    bool changed = drop_closed(hand, at_s);

    for (size_t i = 0; i < model->maintenance_count; i++) {
        const struct model_maintenance *window = &model->maintenances[i];
        int64_t then_s;
        if (maintenance_is_open(window, at_s, &then_s)) {
            then_s = open_until_s(model, window->target, at_s);
            changed = open_window(hand, window, at_s, then_s) || changed;
        }
        *next_s = then_s < *next_s ? then_s : *next_s;
    }
    return changed;
}

static void look(struct hand *hand);

static void on_timer(uv_timer_t *timer)
{
    look(timer->data);
}

static void look(struct hand *hand)
{
    int64_t at_s = now_s();
    struct override gone;
    bool changed = false;
    bool kept = false;

    while (overrides_expire(hand->overrides, at_s, &gone)) {
        say(hand, &gone, gone.scheduled ? "a maintenance window closes" : "its time is over");
        kept = kept || !gone.scheduled;
        changed = true;
    }
    int64_t next_s = overrides_next_s(hand->overrides);
    if (hand->snapshot != NULL) {
        changed = follow_windows(hand, at_s, &next_s) || changed;
    }
    if (kept) {
        save(hand);
    }
    if (changed) {
        apply(hand);
    }
    uint64_t wait_ms = LOOK_MOST_MS;
    if (next_s < at_s + LOOK_MOST_MS / 1000) {
        int64_t left_ms = next_s * 1000 - (int64_t)clock_wall_ms();
        wait_ms = left_ms > 0 ? (uint64_t)left_ms : 1;
    }
    (void)uv_timer_start(&hand->timer, on_timer, wait_ms, 0);
}

/* ---- what is said ---- */

int hand_set(struct hand *hand, struct override *override, bool force, struct error *err)
{
    memset(err, 0, sizeof(*err));
    override->since_s = now_s();
    int rc = hand_guard_check(hand->snapshot, override, force, err);
    rc = rc == 0 ? overrides_set(hand->overrides, override, err) : rc;
    if (rc < 0) {
        return rc;
    }
    save(hand);
    say(hand, override, "set");
    look(hand);
    apply(hand);
    return 0;
}

/* ---- failback by hand ---- */

/* Let services return to the pools that `target` means. Returns how many there were. */
static size_t unpark(struct hand *hand, const char *target)
{
    struct override meant = { .kind = OVERRIDE_DRAIN };
    size_t count = 0;

    (void)snprintf(meant.target, sizeof(meant.target), "%s", target);
    for (size_t i = 0; i < hand->snapshot->service_count; i++) {
        const struct steer_service *service = &hand->snapshot->services[i];
        for (uint32_t p = 0; p < service->pool_count; p++) {
            const char *region = service->pools[p].region_name;
            bool is_meant = override_means_region(&meant, region) ||
                            override_means_pool(&meant, region, service->name);
            if (is_meant && steer_has_hand(service, p, STEER_HAND_PARKED)) {
                steer_set_hand(service, p, STEER_HAND_PARKED, false);
                count++;
            }
        }
    }
    return count;
}

int hand_release(struct hand *hand, const char *target, enum override_release which,
                 const char *author, struct error *err)
{
    struct override gone = { .kind = OVERRIDE_DRAIN };
    const struct override *known = overrides_find(hand->overrides, target, which, false);

    if (known != NULL) {
        gone = *known; /* what it was, and why */
    }
    size_t kept = overrides_release(hand->overrides, target, which, false);
    size_t ended = which == OVERRIDE_RELEASE_FORCE ? 0 : overrides_mute(hand->overrides, target);
    size_t count = kept + ended;
    size_t returned = which == OVERRIDE_RELEASE_ALL ? unpark(hand, target) : 0;

    memset(err, 0, sizeof(*err));
    if (count + returned == 0) {
        (void)error_set(err, -ENOENT, "nothing was said of '%.100s'", target);
        error_hint(err, "leeward status lists the overrides in force");
        return err->code;
    }
    (void)snprintf(gone.target, sizeof(gone.target), "%s", target);
    (void)snprintf(gone.author, sizeof(gone.author), "%s", author);
    if (kept > 0) {
        save(hand);
    }
    say(hand, &gone, count > 0 ? "released" : "answers may return");
    apply(hand);
    return 0;
}

/* ---- life ---- */

void hand_adopt(struct hand *hand, const struct snapshot *snapshot)
{
    hand->snapshot = snapshot;
    hand->has_pools = false; /* it knows of no word yet */
    look(hand);
    apply(hand);
}

struct hand *hand_new(uv_loop_t *loop, struct health *health, hand_listener *listener, void *user)
{
    struct hand *hand = calloc(1, sizeof(*hand));

    if (hand == NULL) {
        return NULL;
    }
    hand->overrides = overrides_new();
    if (hand->overrides == NULL) {
        free(hand);
        return NULL;
    }
    hand->health = health;
    hand->kept = true;
    hand->listener = listener;
    hand->user = user;
    health_ask_pool_words(health, word_of_pool, hand);
    (void)uv_timer_init(loop, &hand->timer);
    hand->timer.data = hand;
    uv_unref((uv_handle_t *)&hand->timer);
    return hand;
}

static void on_closed(uv_handle_t *handle)
{
    struct hand *hand = handle->data;

    overrides_free(hand->overrides);
    free(hand->forced);
    free(hand->directory);
    free(hand);
}

void hand_close(struct hand *hand)
{
    health_ask_pool_words(hand->health, NULL, NULL);
    uv_close((uv_handle_t *)&hand->timer, on_closed);
}
