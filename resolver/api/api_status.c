#include "resolver/api/api_status.h"

#include <string.h>

#include "policy/checks/prober.h"
#include "resolver/announcer.h"
#include "resolver/api/api_forward.h"
#include "resolver/api/api_health.h"
#include "resolver/api/api_override.h"
#include "resolver/api/api_service.h"
#include "resolver/query.h"
#include "resolver/removals.h"
#include "resolver/server.h"
#include "zones/words.h"

/* Behind owner, type, class, TTL and length of a compiled record. */
#define RECORD_ADDRESS_AT 12

/* ---- choices ---- */

static void put_record_address(unsigned family, const uint8_t *record, struct json_writer *json)
{
    struct addr addr = { .family = (uint8_t)family };
    char shown[ADDR_TEXT_MAX];

    memcpy(addr.bytes, record + RECORD_ADDRESS_AT, addr_size_bytes(&addr));
    addr_format(&addr, shown, sizeof(shown));
    json_writer_string(json, NULL, shown);
}

static void put_fallback(const struct steer_service *service, unsigned family,
                         struct json_writer *json)
{
    json_writer_list_begin(json, "regions");
    json_writer_list_end(json);
    json_writer_list_begin(json, "addresses");
    for (unsigned i = 0; i < service->fallback_counts[family]; i++) {
        put_record_address(family, service->fallback[family] + i * steer_record_bytes(family),
                           json);
    }
    json_writer_list_end(json);
}

static uint64_t chosen_bits(const struct steer_choice *choice, uint32_t pool)
{
    if (choice->result != STEER_ADDRESSES) {
        return 0;
    }
    if (choice->several) {
        return choice->bits_of[pool];
    }
    return choice->pool == pool ? choice->bits : 0;
}

static void put_chosen(const struct steer_service *service, unsigned family,
                       const struct steer_choice *choice, struct json_writer *json)
{
    json_writer_list_begin(json, "regions");
    for (uint32_t i = 0; i < service->pool_count; i++) {
        if (chosen_bits(choice, i) != 0) {
            json_writer_string(json, NULL, service->pools[i].region_name);
        }
    }
    json_writer_list_end(json);
    json_writer_list_begin(json, "addresses");
    for (uint32_t i = 0; i < service->pool_count; i++) {
        uint64_t bits = chosen_bits(choice, i);
        for (unsigned bit = 0; bit < service->pools[i].counts[family]; bit++) {
            if ((bits >> bit & 1) != 0) {
                put_record_address(
                    family, service->pools[i].records[family] + bit * steer_record_bytes(family),
                    json);
            }
        }
    }
    json_writer_list_end(json);
}

uint32_t api_status_ttl_s(const struct steer_service *service, const struct steer_choice *choice)
{
    bool is_short = choice->short_ttl || choice->result == STEER_NODATA;
    return is_short ? service->ttl_suspect_s : service->ttl_normal_s;
}

void api_status_put_choice(const struct steer_service *service, unsigned family,
                           const struct steer_choice *choice, struct json_writer *json)
{
    static const char *const names[] = {
        [STEER_ADDRESSES] = "addresses",
        [STEER_FALLBACK] = "fallback",
        [STEER_NODATA] = "nodata",
        [STEER_SERVFAIL] = "servfail",
    };

    json_writer_string(json, "result", names[choice->result]);
    json_writer_uint(json, "rung", choice->rung);
    json_writer_uint(json, "ttl_s", api_status_ttl_s(service, choice));
    if (choice->result == STEER_FALLBACK) {
        put_fallback(service, family, json);
    } else {
        put_chosen(service, family, choice, json);
    }
}

/* ---- zones ---- */

static void put_zones(const struct api_view *view)
{
    struct json_writer *json = view->json;
    char apex[NAME_TEXT_MAX];

    json_writer_uint(json, "names", view->snapshot->ns->node_count);
    json_writer_list_begin(json, "zones");
    for (const struct zone *zone = view->snapshot->ns->zones; zone != NULL; zone = zone->next) {
        (void)name_format(zone->dname, apex, sizeof(apex));
        json_writer_object_begin(json, NULL);
        json_writer_string(json, "name", apex);
        if (zone->file != NULL) {
            json_writer_string(json, "file", zone->file);
        } else {
            json_writer_null(json, "file");
        }
        json_writer_uint(json, "serial", zone->serial);
        json_writer_object_end(json);
    }
    json_writer_list_end(json);
}

/* ---- the node ---- */

static void put_sources(const struct server_counters *sum, struct json_writer *json)
{
    json_writer_object_begin(json, "by_source");
    for (unsigned i = 0; i < QUERY_SOURCES; i++) {
        json_writer_uint(json, query_source_name((enum query_source)i), sum->by_source[i]);
    }
    json_writer_object_end(json);
}

static void put_queries(const struct api_view *view)
{
    struct json_writer *json = view->json;
    struct server_counters sum = { 0 };
    char scratch[WORDS_MAX];

    server_sum(control_server(view->control), &sum);
    json_writer_object_begin(json, "queries");
    json_writer_uint(json, "total", server_received(&sum));
    json_writer_uint(json, "dropped", sum.dropped);
    json_writer_uint(json, "unsent", sum.unsent);
    json_writer_uint(json, "ring_full", sum.ring_full);
    json_writer_uint(json, "unfair", sum.unfair);
    put_sources(&sum, json);
    json_writer_object_begin(json, "by_rcode");
    for (unsigned i = 0; i < sizeof(sum.by_rcode) / sizeof(sum.by_rcode[0]); i++) {
        if (i <= 5 || sum.by_rcode[i] > 0) { /* those of RFC 1035 always */
            json_writer_uint(json, words_rcode_name(i, scratch), sum.by_rcode[i]);
        }
    }
    json_writer_object_end(json);
    json_writer_object_end(json);
}

static void put_node(const struct api_view *view)
{
    struct json_writer *json = view->json;

    json_writer_string(json, "version", LEEWARD_VERSION);
    json_writer_string(json, "node", view->snapshot->model->node_name);
    json_writer_uint(json, "generation", view->snapshot->generation);
    json_writer_bool(json, "ready", control_is_ready(view->control));
    api_health_put_since(view, "uptime_ms", 0);
    json_writer_object_begin(json, "config");
    json_writer_string(json, "path", control_config_path(view->control));
    json_writer_string(json, "warning", control_config_warning(view->control));
    json_writer_object_end(json);
    json_writer_list_begin(json, "listeners");
    server_describe_listeners(control_server(view->control), json);
    json_writer_list_end(json);
}

/* ---- guards ---- */

/* What keeps answers as they are although something says otherwise. */
static void put_hook(void *user, const struct hooks_failure *failure)
{
    const struct api_view *view = user;
    struct json_writer *json = view->json;

    json_writer_object_begin(json, NULL);
    json_writer_string(json, "hook", failure->label);
    api_health_put_since(view, "since_ms_ago", failure->since_ms);
    json_writer_string(json, "reason", failure->why);
    json_writer_uint(json, "untold", failure->untold);
    json_writer_object_end(json);
}

static void put_hooks(struct api_view *view)
{
    json_writer_list_begin(view->json, "failing_hooks");
    announcer_walk_failing(control_announcer(view->control), put_hook, view);
    json_writer_list_end(view->json);
}

static void put_guards(const struct api_view *view)
{
    const struct model_guards *guards = &view->snapshot->model->guards;
    struct json_writer *json = view->json;
    char reason[200];
    uint64_t since_ms;

    json_writer_object_begin(json, "guards");
    if (health_is_isolated(view->health, &since_ms, reason, sizeof(reason))) {
        json_writer_object_begin(json, "isolated");
        api_health_put_since(view, "since_ms_ago", since_ms);
        json_writer_string(json, "reason", reason);
        json_writer_object_end(json);
    } else {
        json_writer_null(json, "isolated");
    }
    json_writer_uint(json, "minimum_regions", guards->minimum_regions);
    json_writer_uint(json, "cascade_window_ms", guards->cascade_window_ms);
    json_writer_uint(json, "removal_limit_percent", guards->removal_percent);
    json_writer_uint(json, "removal_window_ms", guards->removal_window_ms);
    json_writer_uint(
        json, "removed_in_window",
        removals_lost(control_removals(view->control), guards->removal_window_ms, view->now_ms));
    json_writer_object_end(json);
}

/* ---- probing ---- */

static void put_probing(const struct api_view *view)
{
    const struct prober *prober = control_prober(view->control);
    struct health *health = control_health(view->control);
    struct json_writer *json = view->json;
    struct prober_view shown = { 0 };
    size_t count = 0;

    for (size_t i = 0; i < health_probe_count(health); i++) {
        count += health_probe(health, i)->used;
    }
    if (prober != NULL) {
        prober_view(prober, &shown);
    }
    json_writer_object_begin(json, "probing");
    json_writer_uint(json, "checks", count);
    json_writer_uint(json, "pending", health_pending(view->snapshot->binding));
    json_writer_uint(json, "started", shown.started);
    json_writer_uint(json, "late", shown.late);
    json_writer_uint(json, "put_off", shown.put_off);
    json_writer_uint(json, "in_flight", shown.in_flight);
    json_writer_uint(json, "in_flight_max", shown.in_flight_max);
    json_writer_uint(json, "late_p50_ms", shown.late_p50_ms);
    json_writer_uint(json, "late_p99_ms", shown.late_p99_ms);
    json_writer_uint(json, "late_most_ms", shown.late_most_ms);
    json_writer_object_end(json);
}

/* ---- the whole ---- */

static void put_regions(const struct api_view *view)
{
    json_writer_list_begin(view->json, "regions");
    for (size_t i = 0; i < view->snapshot->model->region_count; i++) {
        api_health_put_region(view, i);
    }
    json_writer_list_end(view->json);
}

/* Each name once: its views stand within it. */
static size_t count_services(const struct model *model)
{
    size_t count = 0;

    for (size_t i = 0; i < model->service_count; i += 1 + model->services[i].view_count) {
        count++;
    }
    return count;
}

static void put_services(const struct api_view *view, size_t most)
{
    const struct model *model = view->snapshot->model;
    bool is_brief = count_services(model) > most;
    size_t left_out = 0;

    json_writer_list_begin(view->json, "services");
    for (size_t i = 0; i < model->service_count; i += 1 + model->services[i].view_count) {
        if (is_brief && api_service_is_plain(view, i)) {
            left_out++;
        } else {
            api_service_put(view, i, false);
        }
    }
    json_writer_list_end(view->json);
    json_writer_uint(view->json, "services_left_out", left_out);
}

void api_status_put(struct control *control, size_t most, struct text *out)
{
    struct json_writer json;
    struct api_view view = api_health_look(control, &json);

    json_writer_init(&json, out);
    json_writer_object_begin(&json, NULL);
    put_node(&view);
    put_guards(&view);
    put_hooks(&view);
    put_probing(&view);
    put_queries(&view);
    put_regions(&view);
    api_override_put(control, &json);
    put_services(&view, most);
    put_zones(&view);
    api_forward_put(control, &json);
    json_writer_object_end(&json);
    text_put_char(out, '\n');
}

void api_status_put_service(struct control *control, size_t service, struct text *out)
{
    struct json_writer json;
    struct api_view view = api_health_look(control, &json);

    json_writer_init(&json, out);
    api_service_put(&view, service, true);
    text_put_char(out, '\n');
}
