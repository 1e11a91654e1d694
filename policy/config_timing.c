#include "policy/config_timing.h"

#include <string.h>

#include "policy/config.h"
#include "policy/config_value.h"
#include "policy/timing.h"

static void look_at(const struct model_check *checks, size_t count,
                    const struct model_region *region, struct config_timing_worst *worst)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t strong = timing_strong_ms(&checks[i].timing);
        uint32_t silent = timing_silent_ms(&checks[i].timing);
        uint32_t ms = strong > silent ? strong : silent;

        worst->strong_ms = strong > worst->strong_ms ? strong : worst->strong_ms;
        worst->silent_ms = silent > worst->silent_ms ? silent : worst->silent_ms;
        if (ms > worst->ms) {
            worst->ms = ms;
            worst->silent = silent >= strong;
            worst->check = &checks[i];
            worst->region = region;
        }
    }
}

struct config_timing_worst config_timing_find(const struct model *model,
                                              const struct model_service *service)
{
    struct config_timing_worst worst = { 0 };

    look_at(service->checks, service->check_count, NULL, &worst);
    for (size_t i = 0; i < service->pool_count; i++) {
        const struct model_region *region = &model->regions[service->pools[i].region];
        look_at(region->checks, region->check_count, region, &worst);
    }
    return worst;
}

void config_timing_put_check(const struct config_timing_worst *worst, struct text *out)
{
    static const char *const kinds[] = { "dns", "tcp", "http" };

    if (worst->check->name != NULL) {
        text_printf(out, "check '%s'", worst->check->name);
    } else {
        text_printf(out, "the %s check in line %u", kinds[worst->check->kind],
                    worst->check->place.line);
    }
    if (worst->region != NULL) {
        text_printf(out, " of region %s", worst->region->name);
    }
}

static void put_cell(uint64_t ms, int width, struct text *out)
{
    struct text cell = { 0 };

    config_value_put_ms(ms, &cell);
    text_printf(out, "  %*s", width, ms == 0 ? "-" : text_string(&cell));
    text_fini(&cell);
}

static void put_row(const struct model *model, const struct model_service *service, int width,
                    struct text *out)
{
    struct config_timing_worst worst = config_timing_find(model, service);

    text_printf(out, "%-*s", width, service->name);
    put_cell(worst.strong_ms, 8, out);
    put_cell(worst.silent_ms, 8, out);
    put_cell(service->max_failover_ms, 12, out);
    text_put(out, "  ");
    if (worst.check == NULL) {
        text_put(out, "nothing is checked");
    } else {
        config_timing_put_check(&worst, out);
    }
    text_put_char(out, '\n');
}

void config_print_timing(const struct model *model, struct text *out)
{
    int width = (int)strlen("SERVICE");

    for (size_t i = 0; i < model->service_count; i++) {
        int length = (int)strlen(model->services[i].name);
        width = length > width ? length : width;
    }
    text_printf(out, "%-*s  %8s  %8s  %12s  %s\n", width, "SERVICE", "FAILING", "SILENT",
                "MAX_FAILOVER", "SLOWEST");
    for (size_t i = 0; i < model->service_count; i++) {
        put_row(model, &model->services[i], width, out);
    }
    text_put(out, "\nThe longest time from a failure to the verdict, when a target answers wrongly "
                  "or refuses\n(FAILING) and when it does not answer at all (SILENT). A round trip "
                  "to the target comes on top.\n");
}
