/*
 * Any text as a configuration: a model that prints as text which gives the
 * same model, or at least one error. Texts that include files are left out,
 * for what they do depends on the machine.
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "policy/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool has_port(const struct model_check *check)
{
    return check->kind == MODEL_CHECK_DNS || check->kind == MODEL_CHECK_TCP ||
           check->kind == MODEL_CHECK_HTTP || check->kind == MODEL_CHECK_TLS;
}

static void check_check(const struct model_check *check)
{
    const struct tls_settings *tls = check->tls;

    REQUIRE(check->timing.confirm_interval_ms > 0 && check->timing.fall > 0);
    REQUIRE(check->timing.false_alarm_ms > 0);
    REQUIRE(check->kind != MODEL_CHECK_TLS || tls != NULL);
    REQUIRE(tls == NULL || tls->name != NULL || tls->pin_count > 0 || tls->unverified);
    REQUIRE(check->kind != MODEL_CHECK_HTTP || (check->method != NULL && check->path != NULL));
    REQUIRE(check->kind != MODEL_CHECK_EXEC || check->argument_count > 0);
    REQUIRE(check->kind != MODEL_CHECK_FILE || check->file != NULL);
}

static void check_condition(const struct model *model, const struct model_service *service,
                            const struct model_condition *condition)
{
    switch (condition->kind) {
    case MODEL_CONDITION_CHECK:
        REQUIRE(condition->index < service->check_count);
        break;
    case MODEL_CONDITION_REGION:
        REQUIRE(condition->index < model->region_count);
        break;
    case MODEL_CONDITION_SERVICE:
        REQUIRE(condition->index < model->service_count);
        break;
    case MODEL_CONDITION_AT_LEAST:
        REQUIRE(condition->needed > 0 && condition->needed <= condition->part_count);
        break;
    case MODEL_CONDITION_NOT:
        REQUIRE(condition->part_count == 1);
        break;
    }
    for (size_t i = 0; i < condition->part_count; i++) {
        check_condition(model, service, &condition->parts[i]);
    }
}

/* What every reader of a model relies on. */
static void check_model(const struct model *model)
{
    for (size_t i = 0; i < model->service_count; i++) {
        const struct model_service *service = &model->services[i];
        REQUIRE(service->dname != NULL && service->pool_count > 0 && service->pool_count <= 64);
        REQUIRE(service->minimum_healthy.value > 0);
        REQUIRE(service->ttl_suspect_s <= service->ttl_normal_s);
        REQUIRE(service->filter_count > 0);
        REQUIRE(service->view == MODEL_NONE || service->view < model->view_count);
        for (size_t j = 0; j < service->pool_count; j++) {
            REQUIRE(service->pools[j].region < model->region_count);
            REQUIRE(service->pools[j].endpoint_count > 0);
        }
        for (size_t j = 0; j < service->check_count; j++) {
            const struct model_check *check = &service->checks[j];
            check_check(check);
            REQUIRE(check->port != 0 || !has_port(check));
            REQUIRE(check->host != NULL);
        }
        if (service->condition != NULL) {
            check_condition(model, service, service->condition);
        }
    }
    for (size_t i = 0; i < model->region_count; i++) {
        for (size_t j = 0; j < model->regions[i].check_count; j++) {
            const struct model_check *check = &model->regions[i].checks[j];
            check_check(check);
            REQUIRE(check->has_server || check->kind == MODEL_CHECK_EXEC ||
                    check->kind == MODEL_CHECK_PUSH || check->kind == MODEL_CHECK_FILE);
            REQUIRE(check->server.port != 0 || !has_port(check));
        }
    }
    for (size_t i = 0; i < model->forward_count; i++) {
        REQUIRE(model->forwards[i].dname != NULL && model->forwards[i].upstream_count > 0);
    }
    for (size_t i = 0; i < model->zone_count; i++) {
        REQUIRE(model->zones[i].dname != NULL);
    }
    REQUIRE(model->listener_count > 0 && model->node_name != NULL);
}

static void check_round_trip(const struct model *model)
{
    struct config_report report;
    struct model *again = NULL;

    REQUIRE(config_load_text(model->source, "/nonexistent/again.yaml", &again, &report) == 0);
    check_model(again);
    REQUIRE(strcmp(model->source, again->source) == 0);
    config_report_fini(&report);
    model_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config_report report;
    struct model *model = NULL;
    struct text out = { 0 };
    char *text = malloc(size + 1);

    REQUIRE(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    if (strstr(text, "include") == NULL) {
        int rc = config_load_text(text, "/nonexistent/fuzz.yaml", &model, &report);
        REQUIRE((rc == 0) == (model != NULL) && (rc == 0) == (report.count == 0));
        config_report_print(&report, &out);
        REQUIRE(rc == 0 || out.length > 0);
        if (model != NULL) {
            check_model(model);
            check_round_trip(model);
            config_print_timing(model, &out);
        }
        config_report_fini(&report);
    }
    text_fini(&out);
    model_free(model);
    free(text);
    return 0;
}
