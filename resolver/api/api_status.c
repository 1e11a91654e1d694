#include "resolver/api/api_status.h"

#include <string.h>

#include "base/clock.h"
#include "base/json_writer.h"
#include "resolver/api/api_forward.h"
#include "resolver/api/api_override.h"
#include "resolver/control.h"
#include "resolver/hostnames.h"
#include "resolver/query.h"
#include "resolver/server.h"
#include "zones/words.h"

/* Behind owner, type, class, TTL and length of a compiled record. */
#define RECORD_ADDRESS_AT 12

struct status {
    struct control *control;
    const struct snapshot *snapshot;
    const struct health *health;
    struct json_writer *json;
    uint64_t now_ms;
};

/* 0 stands for the start of the process. */
static void put_since(const struct status *status, const char *key, uint64_t since_ms)
{
    if (since_ms == 0) {
        since_ms = control_started_ms(status->control);
    }
    json_writer_uint(status->json, key, status->now_ms > since_ms ? status->now_ms - since_ms : 0);
}

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

/* ---- regions ---- */

static void put_probe(const struct status *status, const struct health_probe *probe)
{
    struct json_writer *json = status->json;

    json_writer_object_begin(json, NULL);
    json_writer_string(json, "label", probe->label);
    json_writer_string(json, "state", detect_state_name(&probe->detect));
    put_since(status, "since_ms_ago", probe->detect.since_ms);
    if (probe->last_result_ms == 0) {
        json_writer_null(json, "last_result_ms_ago");
    } else {
        put_since(status, "last_result_ms_ago", probe->last_result_ms);
    }
    if (probe->detect.usual_us == 0) {
        json_writer_null(json, "usual_ms");
    } else {
        json_writer_uint(json, "usual_ms", (probe->detect.usual_us + 999u) / 1000u);
    }
    json_writer_string(json, "reason", probe->reason);
    json_writer_bool(json, "misconfigured", probe->misconfigured);
    json_writer_uint(json, "failed", probe->failed_count);
    json_writer_uint(json, "sent", probe->sent_count);
    json_writer_object_end(json);
}

static void put_probes(const struct status *status, const struct health_probe *const *probes,
                       size_t count)
{
    json_writer_list_begin(status->json, "checks");
    for (size_t i = 0; i < count; i++) {
        put_probe(status, probes[i]);
    }
    json_writer_list_end(status->json);
}

static void put_region(const struct status *status, size_t region)
{
    struct json_writer *json = status->json;
    struct health_region_view view;

    health_view_region(status->health, status->snapshot->binding, region, &view);
    json_writer_object_begin(json, NULL);
    json_writer_string(json, "name", view.name);
    json_writer_string(json, "state", view.state);
    json_writer_bool(json, "lifted", view.lifted);
    json_writer_uint(json, "up", view.up);
    json_writer_uint(json, "held", view.held);
    json_writer_uint(json, "total", view.total);
    json_writer_uint(json, "minimum", view.minimum);
    put_since(status, "since_ms_ago", view.since_ms);
    json_writer_string(json, "reason", view.reason);
    put_probes(status, view.probes, view.probe_count);
    json_writer_object_end(json);
}

static void put_regions(const struct status *status)
{
    json_writer_list_begin(status->json, "regions");
    for (size_t i = 0; i < status->snapshot->model->region_count; i++) {
        put_region(status, i);
    }
    json_writer_list_end(status->json);
}

/* ---- services ---- */

/* What the first check that does not pass says, else "". */
static const char *endpoint_reason(const struct health_endpoint_view *view)
{
    for (size_t i = 0; i < view->probe_count; i++) {
        const struct health_probe *probe = view->probes[i];
        if (probe->detect.state != DETECT_UP || probe->detect.held) {
            return probe->reason;
        }
    }
    return "";
}

/* The name it was found by, and since when it is kept though resolvers say otherwise. */
static void put_name(const struct status *status, const struct model_endpoint *endpoint)
{
    struct json_writer *json = status->json;
    const struct hostnames *hostnames = control_hostnames(status->control);
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
    if (known == NULL || known->kept_ms == 0) {
        json_writer_null(json, "kept_ms_ago");
    } else {
        put_since(status, "kept_ms_ago", known->kept_ms);
    }
}

static void put_endpoint(const struct status *status, size_t service, size_t pool, size_t endpoint,
                         bool with_checks)
{
    struct json_writer *json = status->json;
    struct health_endpoint_view view;
    char address[ADDR_TEXT_MAX];

    health_view_endpoint(status->snapshot->binding, service, pool, endpoint, &view);
    if (view.address.port != 0) {
        addr_format_port(&view.address, address, sizeof(address));
    } else {
        addr_format(&view.address, address, sizeof(address));
    }
    json_writer_object_begin(json, NULL);
    json_writer_string(json, "address", address);
    json_writer_string(json, "state", view.state);
    put_since(status, "since_ms_ago", view.since_ms);
    json_writer_string(json, "reason", endpoint_reason(&view));
    put_name(status,
             &status->snapshot->model->services[service].pools[pool].endpoints[endpoint]);
    if (with_checks) {
        put_probes(status, view.probes, view.probe_count);
    }
    json_writer_object_end(json);
}

static void put_pools(const struct status *status, const struct steer_service *service,
                      bool with_checks)
{
    struct json_writer *json = status->json;
    const struct health_binding *binding = status->snapshot->binding;

    json_writer_list_begin(json, "pools");
    for (uint32_t pool = 0; pool < service->pool_count; pool++) {
        json_writer_object_begin(json, NULL);
        json_writer_string(json, "region", service->pools[pool].region_name);
        json_writer_uint(json, "minimum", service->pools[pool].group->minimum);
        json_writer_list_begin(json, "endpoints");
        size_t count = health_group_size(binding, service->index, pool);
        for (size_t i = 0; i < count; i++) {
            put_endpoint(status, service->index, pool, i, with_checks);
        }
        json_writer_list_end(json);
        json_writer_object_end(json);
    }
    json_writer_list_end(json);
}

/* Endpoints given as host names: what is known of each. */
static void put_hostnames(const struct status *status, size_t service)
{
    const struct model *model = status->snapshot->model;

    json_writer_list_begin(status->json, "hostnames");
    for (size_t p = 0; p < model->services[service].pool_count; p++) {
        const struct model_pool *pool = &model->services[service].pools[p];
        for (size_t i = 0; i < pool->written_count; i++) {
            if (pool->written[i].hostname != NULL) {
                hostnames_describe(control_hostnames(status->control), &pool->written[i],
                                   model->regions[pool->region].name, status->json);
            }
        }
    }
    json_writer_list_end(status->json);
}

/* Addresses that it may answer with, be they up or not. */
static unsigned count_addresses(const struct steer_service *service, unsigned family)
{
    unsigned count = service->fallback_counts[family];

    for (uint32_t i = 0; i < service->pool_count; i++) {
        count += service->pools[i].counts[family];
    }
    return count;
}

/* Has it none of the family, though it has of the other? */
static bool is_foreign(const struct steer_service *service, unsigned family)
{
    return !service->has_family[family] ||
           (count_addresses(service, family) == 0 && count_addresses(service, 1 - family) > 0);
}

static void put_answer(const struct status *status, const struct steer_service *service,
                       unsigned family)
{
    struct steer_choice choice;

    if (is_foreign(service, family)) {
        json_writer_null(status->json, family == ADDR_V4 ? "A" : "AAAA");
        return;
    }
    const uint8_t *target = NULL;
    if (service->cnames != NULL) {
        target = steer_cname(service, family, NULL, &choice);
    } else {
        steer_choose(service, family, NULL, &choice);
    }
    json_writer_object_begin(status->json, family == ADDR_V4 ? "A" : "AAAA");
    if (target != NULL) {
        char shown[NAME_TEXT_MAX];
        (void)name_format(target, shown, sizeof(shown));
        json_writer_string(status->json, "cname", shown);
    }
    api_status_put_choice(service, family, &choice, status->json);
    json_writer_object_end(status->json);
}

static void put_service(const struct status *status, size_t index, bool with_checks)
{
    const struct steer_service *service = &status->snapshot->services[index];
    struct json_writer *json = status->json;

    json_writer_object_begin(json, NULL);
    json_writer_string(json, "name", service->name);
    json_writer_object_begin(json, "answer");
    put_answer(status, service, ADDR_V4);
    put_answer(status, service, ADDR_V6);
    json_writer_object_end(json);
    json_writer_uint(json, "ttl_s", service->ttl_normal_s);
    json_writer_uint(json, "ttl_suspect_s", service->ttl_suspect_s);
    put_pools(status, service, with_checks);
    put_hostnames(status, index);
    json_writer_object_end(json);
}

/* ---- zones ---- */

static void put_zones(const struct status *status)
{
    struct json_writer *json = status->json;
    char apex[NAME_TEXT_MAX];

    json_writer_uint(json, "names", status->snapshot->ns->node_count);
    json_writer_list_begin(json, "zones");
    for (const struct zone *zone = status->snapshot->ns->zones; zone != NULL; zone = zone->next) {
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

static void put_queries(const struct status *status)
{
    struct json_writer *json = status->json;
    struct server_counters sum = { 0 };
    char scratch[WORDS_MAX];

    server_sum(control_server(status->control), &sum);
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

static void put_node(const struct status *status)
{
    struct json_writer *json = status->json;

    json_writer_string(json, "version", LEEWARD_VERSION);
    json_writer_string(json, "node", status->snapshot->model->node_name);
    json_writer_uint(json, "generation", status->snapshot->generation);
    json_writer_bool(json, "ready", control_is_ready(status->control));
    put_since(status, "uptime_ms", 0);
    json_writer_object_begin(json, "config");
    json_writer_string(json, "path", control_config_path(status->control));
    json_writer_string(json, "warning", control_config_warning(status->control));
    json_writer_object_end(json);
    json_writer_list_begin(json, "listeners");
    server_describe_listeners(control_server(status->control), json);
    json_writer_list_end(json);
}

static struct status status_of(struct control *control, struct json_writer *json)
{
    return (struct status){
        .control = control,
        .snapshot = control_snapshot(control),
        .health = control_health(control),
        .json = json,
        .now_ms = clock_now_ms(),
    };
}

void api_status_put(struct control *control, struct text *out)
{
    struct json_writer json;
    struct status status = status_of(control, &json);

    json_writer_init(&json, out);
    json_writer_object_begin(&json, NULL);
    put_node(&status);
    put_queries(&status);
    put_regions(&status);
    api_override_put(control, &json);
    json_writer_list_begin(&json, "services");
    for (size_t i = 0; i < status.snapshot->service_count; i++) {
        put_service(&status, i, false);
    }
    json_writer_list_end(&json);
    put_zones(&status);
    api_forward_put(control, &json);
    json_writer_object_end(&json);
    text_put_char(out, '\n');
}

void api_status_put_service(struct control *control, size_t service, struct text *out)
{
    struct json_writer json;
    struct status status = status_of(control, &json);

    json_writer_init(&json, out);
    put_service(&status, service, true);
    text_put_char(out, '\n');
}
