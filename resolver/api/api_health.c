#include "resolver/api/api_health.h"

#include <string.h>

#include "base/clock.h"
#include "resolver/api/api_override.h"
#include "resolver/hand.h"
#include "resolver/hostnames.h"

#define LOSS_TOLD_PERMILLE 10 /* what a target loses usually is told from here on */

struct api_view api_health_look(struct control *control, struct json_writer *json)
{
    return (struct api_view){
        .control = control,
        .snapshot = control_snapshot(control),
        .health = control_health(control),
        .json = json,
        .now_ms = clock_now_ms(),
    };
}

uint64_t api_health_age_ms(const struct api_view *view, uint64_t since_ms)
{
    if (since_ms == 0) {
        since_ms = control_started_ms(view->control);
    }
    return view->now_ms > since_ms ? view->now_ms - since_ms : 0;
}

void api_health_put_since(const struct api_view *view, const char *key, uint64_t since_ms)
{
    json_writer_uint(view->json, key, api_health_age_ms(view, since_ms));
}

static void put_since_or_null(const struct api_view *view, const char *key, uint64_t since_ms)
{
    if (since_ms == 0) {
        json_writer_null(view->json, key);
    } else {
        api_health_put_since(view, key, since_ms);
    }
}

void api_health_format(const struct addr *address, char *out, size_t cap)
{
    if (address->port != 0) {
        addr_format_port(address, out, cap);
    } else {
        addr_format(address, out, cap);
    }
}

/* ---- overrides ---- */

void api_health_put_override(const struct api_view *view, const char *key,
                             const struct override *override)
{
    if (override == NULL) {
        json_writer_null(view->json, key);
    } else {
        api_override_put_one(key, override, view->json);
    }
}

void api_health_put_time(int64_t seconds, struct text *out)
{
    char text[32];

    clock_format_wall((uint64_t)seconds * 1000, text, sizeof(text));
    text_printf(out, "%.19sZ", text); /* without the fraction */
}

void api_health_describe_override(const struct override *override, struct text *out)
{
    static const char *const words[] = {
        [OVERRIDE_DRAIN] = "drained",
        [OVERRIDE_FORCE_UP] = "forced up",
        [OVERRIDE_FORCE_DOWN] = "forced down",
    };

    text_printf(out, "%s by %s: %s", words[override->kind],
                override->scheduled ? "a maintenance window" : override->author, override->reason);
    if (override->until_s == 0) {
        text_put(out, ", until it is released");
    } else {
        text_put(out, ", until ");
        api_health_put_time(override->until_s, out);
    }
}

const struct override *api_health_override_of(const struct api_view *view,
                                              const struct addr *address)
{
    const struct overrides *overrides = hand_overrides(control_hand(view->control));

    for (size_t i = 0; i < overrides_count(overrides); i++) {
        const struct override *o = overrides_at(overrides, i);
        if (override_means_endpoint(o, address)) {
            return o;
        }
    }
    return NULL;
}

/* ---- checks ---- */

bool api_health_is_telling(const struct health_probe *probe)
{
    const struct detect *d = &probe->detect;

    return d->state != DETECT_UP || d->held || d->degraded || probe->trouble != NULL;
}

static void describe_suspicion(const struct detect_evidence *e, struct text *out)
{
    if (e->weighed) {
        text_printf(out, "evidence %u.%u of %u.%u", e->sum / 10, e->sum % 10, e->needed / 10,
                    e->needed % 10);
    } else {
        text_printf(out, "%u of %u %s", e->sum, e->needed,
                    e->silent ? "probes unanswered" : "failures");
    }
}

/* "3 failures in a row" */
static void describe_run(const struct detect *d, uint32_t run, struct text *out)
{
    text_printf(out,
                d->silently ? "%u probe%s in a row without an answer" : "%u failure%s in a row",
                run, run == 1 ? "" : "s");
}

/* What was weighed to declare it down, and how many have failed by now. */
static void describe_weighed(const struct detect *d, uint32_t threshold, uint32_t run,
                             struct text *out)
{
    text_printf(out, "went down with evidence %u.%u of %u.%u", d->verdict_sum / 10u,
                d->verdict_sum % 10u, threshold / 10, threshold % 10);
    if (run > 0) {
        text_put(out, ", ");
        describe_run(d, run, out);
        text_put(out, " by now");
    }
}

/* Of a target that is down: what speaks against it by now, or for it. */
static void describe_verdict(const struct detect *d, const struct detect_evidence *e,
                             uint64_t now_ms, struct text *out)
{
    /* silence is told by probes that are still in flight, too */
    uint32_t silent = d->silently ? detect_silent_count(d, now_ms) : d->silent_run;
    uint32_t run = d->strong_run + silent;
    uint32_t needed = d->silently ? detect_silent_needed(d) : detect_strong_needed(d);

    if (d->pass_run > 0) {
        text_printf(out, "passed %u of the %u times in a row that bring it back", d->pass_run,
                    d->timing.rise);
    } else if (d->verdict_sum > 0) {
        describe_weighed(d, e->needed, run, out);
    } else if (run == 0) {
        text_put(out, "known from before");
    } else {
        describe_run(d, run, out);
        if (run >= needed) { /* else the first result, or one in hold_down, was enough */
            text_printf(out, ", %u %s enough", needed, needed == 1 ? "is" : "are");
        }
    }
}

static void describe_flaps(const struct detect *d, uint64_t now_ms, bool is_first, struct text *out)
{
    uint32_t flaps = detect_flaps(d, now_ms);

    if (flaps > 1) {
        text_printf(out, "%swent down %u times lately: hold_down is ", is_first ? "" : "; ", flaps);
        text_put_duration(out, d->hold_now_ms);
    }
}

/* Whose fault it is that nothing new is known, and since when. */
static void describe_trouble(const struct health_probe *probe, uint64_t now_ms, bool is_first,
                             struct text *out)
{
    text_put(out, is_first ? "" : "; ");
    if (probe->last_result_ms == 0) {
        text_put(out, "nothing has come of its probes yet");
    } else {
        text_put(out, "nothing has come of its probes for ");
        text_put_duration(out, now_ms - probe->last_result_ms);
    }
    text_printf(out, ": %s", probe->trouble);
}

void api_health_describe_evidence(const struct health_probe *probe, uint64_t now_ms,
                                  struct text *out)
{
    const struct detect *d = &probe->detect;
    struct detect_evidence e = detect_evidence(d, now_ms);
    size_t before = out->length;

    if (d->state == DETECT_DOWN && d->held) {
        text_put(out, "passes again, hold_down ends in ");
        text_put_duration(out, d->hold_until_ms > now_ms ? d->hold_until_ms - now_ms : 0);
    } else if (d->state == DETECT_DOWN) {
        describe_verdict(d, &e, now_ms, out);
    } else if (d->state == DETECT_SUSPECT) {
        describe_suspicion(&e, out);
    }
    if (e.lost_permille >= LOSS_TOLD_PERMILLE) {
        text_printf(out, "%s%u%% of its probes fail usually", out->length > before ? ", " : "",
                    (e.lost_permille + 5) / 10);
    }
    describe_flaps(d, now_ms, out->length == before, out);
    if (probe->trouble != NULL) {
        describe_trouble(probe, now_ms, out->length == before, out);
    }
}

/* A number of tenths. */
static void put_tenths(struct json_writer *json, const char *key, uint32_t tenths)
{
    char text[16];

    (void)snprintf(text, sizeof(text), "%u.%u", tenths / 10, tenths % 10);
    json_writer_raw(json, key, text);
}

static void put_evidence(const struct api_view *view, const struct health_probe *probe)
{
    struct json_writer *json = view->json;
    struct detect_evidence e = detect_evidence(&probe->detect, view->now_ms);
    struct text words = { 0 };

    api_health_describe_evidence(probe, view->now_ms, &words);
    json_writer_object_begin(json, "evidence");
    json_writer_string(json, "text", text_string(&words));
    json_writer_bool(json, "weighed", e.weighed);
    json_writer_string(json, "of", e.silent ? "silence" : "answers");
    put_tenths(json, "sum", e.weighed ? e.sum : 10 * e.sum);
    put_tenths(json, "needed", e.weighed ? e.needed : 10 * e.needed);
    put_tenths(json, "lost_percent", e.lost_permille);
    json_writer_object_end(json);
    text_fini(&words);
}

static void put_probe(const struct api_view *view, const struct health_probe *probe)
{
    struct json_writer *json = view->json;
    const struct detect *d = &probe->detect;
    uint64_t left_ms =
        d->held && d->hold_until_ms > view->now_ms ? d->hold_until_ms - view->now_ms : 0;
    bool is_believed = d->state == DETECT_UP || d->state == DETECT_SUSPECT;

    json_writer_object_begin(json, NULL);
    json_writer_string(json, "label", probe->label);
    json_writer_string(json, "state",
                       is_believed && probe->trouble != NULL ? "stale" : detect_state_name(d));
    api_health_put_since(view, "since_ms_ago", d->since_ms);
    put_since_or_null(view, "last_result_ms_ago", probe->last_result_ms);
    put_since_or_null(view, "last_pass_ms_ago", d->last_pass_ms);
    if (d->usual_us == 0) {
        json_writer_null(json, "usual_ms");
    } else {
        json_writer_uint(json, "usual_ms", (d->usual_us + 999u) / 1000u);
    }
    json_writer_string(json, "reason", probe->reason);
    json_writer_bool(json, "misconfigured", probe->misconfigured);
    json_writer_bool(json, "degraded", d->degraded);
    json_writer_uint(json, "failed", probe->failed_count);
    json_writer_uint(json, "sent", probe->sent_count);
    json_writer_uint(json, "flaps", detect_flaps(d, view->now_ms));
    json_writer_uint(json, "hold_down_left_ms", left_ms);
    put_evidence(view, probe);
    json_writer_object_end(json);
}

static void put_probes(const struct api_view *view, const struct health_probe *const *probes,
                       size_t count)
{
    json_writer_list_begin(view->json, "checks");
    for (size_t i = 0; i < count; i++) {
        put_probe(view, probes[i]);
    }
    json_writer_list_end(view->json);
}

/* ---- regions ---- */

void api_health_put_region(const struct api_view *view, size_t region)
{
    struct json_writer *json = view->json;
    struct health_region_view shown;

    health_view_region(view->health, view->snapshot->binding, region, &shown);
    json_writer_object_begin(json, NULL);
    json_writer_string(json, "name", shown.name);
    json_writer_string(json, "state", shown.state);
    json_writer_bool(json, "lifted", shown.lifted);
    json_writer_uint(json, "up", shown.up);
    json_writer_uint(json, "held", shown.held);
    json_writer_uint(json, "total", shown.total);
    json_writer_uint(json, "minimum", shown.minimum);
    api_health_put_since(view, "since_ms_ago", shown.since_ms);
    json_writer_string(json, "reason", shown.reason);
    api_health_put_override(view, "override",
                            hand_of_region(control_hand(view->control), shown.name));
    put_probes(view, shown.probes, shown.probe_count);
    json_writer_object_end(json);
}

/* ---- endpoints ---- */

/* The check that says most against it, or NULL. */
static const struct health_probe *telling(const struct health_endpoint_view *shown)
{
    const struct health_probe *found = NULL;

    for (size_t i = 0; i < shown->probe_count; i++) {
        const struct health_probe *probe = shown->probes[i];
        bool is_out = probe->detect.state == DETECT_DOWN;
        if (api_health_is_telling(probe) &&
            (found == NULL || (is_out && found->detect.state != DETECT_DOWN))) {
            found = probe;
        }
    }
    return found;
}

/* The name it was found by, and since when it is kept though resolvers say otherwise. */
static void put_name(const struct api_view *view, const struct model_endpoint *endpoint)
{
    struct json_writer *json = view->json;
    const struct hostnames *hostnames = control_hostnames(view->control);
    char shown[NAME_TEXT_MAX];

    if (endpoint->hostname == NULL) {
        return;
    }
    (void)name_format(endpoint->hostname, shown, sizeof(shown));
    json_writer_string(json, "hostname", shown);
    const struct hostname *state = hostnames_find(
        hostnames, endpoint->hostname, endpoint->keep_addresses, endpoint->address.family);
    const struct hostname_address *known =
        state == NULL ? NULL : hostname_find(state, &endpoint->address);
    put_since_or_null(view, "kept_ms_ago", known == NULL ? 0 : known->kept_ms);
}

/* By which check it stands as it does, and on what evidence. */
static void put_cause(const struct api_view *view, const struct health_endpoint_view *shown)
{
    struct json_writer *json = view->json;
    const struct health_probe *probe = telling(shown);
    struct text evidence = { 0 };

    json_writer_string(json, "reason", probe == NULL ? "" : probe->reason);
    if (probe != NULL) {
        api_health_describe_evidence(probe, view->now_ms, &evidence);
        json_writer_string(json, "check", probe->label);
        json_writer_string(json, "evidence", text_string(&evidence));
        text_fini(&evidence);
    }
    if (shown->failing[0] != '\0') {
        json_writer_string(json, "failing", shown->failing);
    }
}

void api_health_put_endpoint(const struct api_view *view, size_t service, size_t pool,
                             size_t endpoint, bool with_checks)
{
    const struct model_endpoint *model =
        &view->snapshot->model->services[service].pools[pool].endpoints[endpoint];
    struct json_writer *json = view->json;
    struct health_endpoint_view shown;
    char address[ADDR_TEXT_MAX];

    health_view_endpoint(view->snapshot->binding, service, pool, endpoint, &shown);
    api_health_format(&shown.address, address, sizeof(address));
    json_writer_object_begin(json, NULL);
    json_writer_string(json, "address", address);
    json_writer_string(json, "state", shown.state);
    api_health_put_since(view, "since_ms_ago", shown.since_ms);
    put_cause(view, &shown);
    if (model->weight != 1) {
        json_writer_uint(json, "weight", model->weight);
    }
    if (model->capacity != 0) {
        json_writer_uint(json, "capacity", model->capacity);
    }
    if (strncmp(shown.state, "forced", 6) == 0) {
        api_health_put_override(view, "override", api_health_override_of(view, &shown.address));
    }
    put_name(view, model);
    if (with_checks) {
        put_probes(view, shown.probes, shown.probe_count);
    }
    json_writer_object_end(json);
}
