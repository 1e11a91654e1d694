#include "policy/config_timing.h"

#include <string.h>

#include "policy/config.h"
#include "policy/config_value.h"
#include "policy/timing.h"

/* Write "check 'web'" or "the dns check in line 7 of region seoul". */
static void put_check(const struct timing_worst *worst, struct text *out)
{
    if (worst->check->name != NULL) {
        text_printf(out, "check '%s'", worst->check->name);
    } else {
        text_printf(out, "the %s check in line %u", model_check_word(worst->check),
                    worst->check->place.line);
    }
    if (worst->region != NULL) {
        text_printf(out, " of region %s", worst->region->name);
    } else if (worst->service != NULL) {
        text_printf(out, " of service %s", worst->service->name);
    }
}

static void report_slow(struct config_context *context, const struct config_item *limit,
                        const struct timing_worst *worst)
{
    struct text who = { 0 };
    struct text time = { 0 };

    put_check(worst, &who);
    config_value_put_ms(worst->ms, &time);
    struct error *err = config_error_value(
        context, limit, "leaving a region can take %s: so long %s needs to be sure of %s",
        text_string(&time), text_string(&who), worst->silent ? "silence" : "failures");
    error_hint(err, "lower its interval%s; leeward check --timing shows all",
               worst->silent                    ? ", timeout, silent_fall and confirm_interval"
               : worst->check->timing.fall_auto ? " and confirm_interval, or write fall: 1 or 2"
                                                : ", fall and confirm_interval");
    text_fini(&who);
    text_fini(&time);
}

void config_timing_check_limit(struct config_context *context, const struct config_item *item,
                               const struct model_service *service)
{
    struct config_item limit;

    if (service->max_failover_ms == 0 || !config_item_get(item, "max_failover", &limit)) {
        return;
    }
    struct timing_worst worst = timing_worst_find(context->model, service);
    if (worst.check == NULL) {
        struct error *err =
            config_error_value(context, &limit, "nothing is checked, so no region is ever left");
        error_hint(err, "give the service a check");
    } else if (worst.ms > service->max_failover_ms) {
        report_slow(context, &limit, &worst);
    }
}

static void put_cell(uint64_t ms, int width, struct text *out)
{
    struct text cell = { 0 };

    config_value_put_ms(ms, &cell);
    text_printf(out, "  %*s", width, ms == 0 ? "-" : text_string(&cell));
    text_fini(&cell);
}

/* A view of a service has its name, and may stand in other regions. */
static void put_name(const struct model *model, const struct model_service *service,
                     struct text *out)
{
    text_put(out, service->name);
    if (service->view != MODEL_NONE) {
        text_printf(out, " (%s)", model->views[service->view].name);
    }
}

static void put_row(const struct model *model, const struct model_service *service, int width,
                    struct text *out)
{
    struct timing_worst worst = timing_worst_find(model, service);
    struct text name = { 0 };

    put_name(model, service, &name);
    text_printf(out, "%-*s", width, text_string(&name));
    text_fini(&name);
    put_cell(worst.strong_ms, 8, out);
    put_cell(worst.silent_ms, 8, out);
    put_cell(worst.lossy_ms, 8, out);
    put_cell(service->max_failover_ms, 12, out);
    text_put(out, "  ");
    if (worst.check == NULL) {
        text_put(out, "nothing is checked");
    } else {
        put_check(&worst, out);
    }
    text_put_char(out, '\n');
}

void config_print_timing(const struct model *model, struct text *out)
{
    int width = (int)strlen("SERVICE");

    for (size_t i = 0; i < model->service_count; i++) {
        struct text name = { 0 };
        put_name(model, &model->services[i], &name);
        width = (int)name.length > width ? (int)name.length : width;
        text_fini(&name);
    }
    text_printf(out, "%-*s  %8s  %8s  %8s  %12s  %s\n", width, "SERVICE", "FAILING", "SILENT",
                "LOSSY", "MAX_FAILOVER", "SLOWEST");
    for (size_t i = 0; i < model->service_count; i++) {
        put_row(model, &model->services[i], width, out);
    }
    text_put(out, "\nThe longest time from a failure to the verdict, when a target answers wrongly "
                  "or refuses\n(FAILING) and when it does not answer at all (SILENT); max_failover "
                  "bounds these two. With\nfall: auto a target known to lose probes while it lives "
                  "takes longer: at most LOSSY, when it\nloses half of them. A round trip to the "
                  "target comes on top.\n");
}
