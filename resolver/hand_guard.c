#include "resolver/hand_guard.h"

#include <errno.h>
#include <stdlib.h>

#include "base/text.h"
#include "resolver/simulation.h"

#define NAMES_SHOWN 3 /* services named in a refusal */

/* ---- what a target means ---- */

/* An endpoint is never drained. */
static bool means_something(const struct override *override, const struct model *model)
{
    bool may_be_endpoint = override->kind != OVERRIDE_DRAIN;

    for (size_t i = 0; i < model->region_count; i++) {
        if (override_means_region(override, model->regions[i].name)) {
            return true;
        }
    }
    for (size_t s = 0; s < model->service_count; s++) {
        const struct model_service *service = &model->services[s];
        for (size_t p = 0; p < service->pool_count; p++) {
            const struct model_pool *pool = &service->pools[p];
            if (override_means_pool(override, model->regions[pool->region].name, service->name)) {
                return true;
            }
            for (size_t e = 0; may_be_endpoint && e < pool->endpoint_count; e++) {
                if (override_means_endpoint(override, &pool->endpoints[e].address)) {
                    return true;
                }
            }
        }
    }
    return false;
}

static int complain_unknown(const struct override *override, const struct model *model,
                            struct error *err)
{
    const char **names = calloc(model->region_count + 1, sizeof(*names));
    const char *near = NULL;

    for (size_t i = 0; names != NULL && i < model->region_count; i++) {
        names[i] = model->regions[i].name;
    }
    near = names == NULL ? NULL : text_nearest(override->target, names, model->region_count);
    (void)error_set(err, -ENOENT, "no region%s is meant by '%.100s'%s%s%s",
                    override->kind == OVERRIDE_DRAIN ? " or service" : ", service or endpoint",
                    override->target, near == NULL ? "" : "; did you mean '",
                    near == NULL ? "" : near, near == NULL ? "" : "'?");
    error_hint(err, override->kind == OVERRIDE_DRAIN
                        ? "REGION or REGION/SERVICE is drained; `leeward force down` takes an "
                          "endpoint's address"
                        : "a target is REGION, REGION/SERVICE or an endpoint's address");
    free(names);
    return err->code;
}

int hand_guard_target(const struct model *model, const struct override *override, struct error *err)
{
    return means_something(override, model) ? 0 : complain_unknown(override, model, err);
}

/* ---- what a drain would leave ---- */

/* Is the region in as things stand, and would it still be with `override`? */
static bool is_region_left(const struct snapshot *snapshot, size_t region,
                           const struct override *override)
{
    const struct health_region *word = health_binding_region(snapshot->binding, region);
    uint32_t flags = atomic_load_explicit(&word->word, memory_order_relaxed);

    return (flags & (HEALTH_REGION_AWAY & ~(uint32_t)HEALTH_REGION_HELD)) == 0 &&
           !override_means_region(override, snapshot->model->regions[region].name);
}

/* Does a pool of the service stand well and is not meant? */
static bool is_service_left(const struct snapshot *snapshot, const struct steer_service *service,
                            const struct override *override)
{
    for (uint32_t p = 0; p < service->pool_count; p++) {
        const struct steer_pool *pool = &service->pools[p];
        unsigned up = 0;
        for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
            up += (unsigned)__builtin_popcountll(
                atomic_load_explicit(&pool->group->up[f], memory_order_relaxed));
        }
        if (up >= pool->group->minimum && is_region_left(snapshot, pool->region_index, override) &&
            !override_means_pool(override, pool->region_name, service->name) &&
            !steer_has_hand(service, p, STEER_HAND_DRAINED) &&
            !steer_has_hand(service, p, STEER_HAND_FORCED_DOWN)) {
            return true;
        }
    }
    return false;
}

/* Does the override touch any pool of the service at all? */
static bool is_touched(const struct steer_service *service, const struct override *override)
{
    for (uint32_t p = 0; p < service->pool_count; p++) {
        if (override_means_region(override, service->pools[p].region_name) ||
            override_means_pool(override, service->pools[p].region_name, service->name)) {
            return true;
        }
    }
    return false;
}

static int check_regions(const struct snapshot *snapshot, const struct override *override,
                         struct error *err)
{
    const struct model *model = snapshot->model;
    uint32_t left = 0;
    bool means_region = false;

    for (size_t i = 0; i < model->region_count; i++) {
        left += is_region_left(snapshot, i, override);
        means_region = means_region || override_means_region(override, model->regions[i].name);
    }
    uint32_t least = model->guards.minimum_regions;
    if (!means_region || left >= least) {
        return 0;
    }
    (void)error_set(err, -EBUSY, "only %u region%s would stay in, guards.minimum_regions is %u",
                    left, left == 1 ? "" : "s", least);
    error_hint(err, "--force does it all the same");
    return err->code;
}

static int check_services(const struct snapshot *snapshot, const struct override *override,
                          struct error *err)
{
    const struct simulation drained = { .targets = override, .target_count = 1 };
    struct text names = { 0 };
    size_t lost = 0;

    for (size_t i = 0; i < snapshot->service_count; i++) {
        const struct steer_service *service = &snapshot->services[i];
        bool is_lost =
            is_touched(service, override) && !is_service_left(snapshot, service, override);
        /* it may not be meant itself, and lean on what is */
        if (!is_lost && !simulation_loses(snapshot, service, &drained)) {
            continue;
        }
        if (lost++ < NAMES_SHOWN) {
            char label[SNAPSHOT_LABEL_MAX];
            text_printf(&names, "%s%s", lost == 1 ? "" : ", ",
                        snapshot_service_label(service, label));
        }
    }
    if (lost == 0) {
        return 0;
    }
    (void)error_set(
        err, -EBUSY, "%zu service%s would have no region left that meets minimum_healthy: %s%s",
        lost, lost == 1 ? "" : "s", text_string(&names), lost > NAMES_SHOWN ? ", ..." : "");
    error_hint(err, "--force does it all the same; leeward simulate shows what they would answer");
    text_fini(&names);
    return err->code;
}

int hand_guard_check(const struct snapshot *snapshot, const struct override *override, bool force,
                     struct error *err)
{
    int rc = hand_guard_target(snapshot->model, override, err);

    if (rc == 0 && override->kind == OVERRIDE_DRAIN && !force) {
        rc = check_regions(snapshot, override, err);
        rc = rc == 0 ? check_services(snapshot, override, err) : rc;
    }
    return rc;
}
