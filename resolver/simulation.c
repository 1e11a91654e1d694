#include "resolver/simulation.h"

#include <string.h>

#include "policy/overrides.h"

/* A copy of what a service's answers follow from; on the stack of one call. */
struct world {
    struct steer_pool pools[STEER_POOLS_MAX];
    struct health_region regions[STEER_POOLS_MAX];
    struct health_group groups[STEER_POOLS_MAX];
    struct steer_memory memory;
    struct steer_service service;
};

static uint64_t all_bits(unsigned count)
{
    return count == 0 ? 0 : UINT64_MAX >> (64 - count);
}

static void copy_group(struct health_group *to, const struct health_group *from)
{
    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        atomic_init(&to->up[f], atomic_load(&from->up[f]));
        atomic_init(&to->held[f], atomic_load(&from->held[f]));
        atomic_init(&to->proven[f], atomic_load(&from->proven[f]));
        atomic_init(&to->degraded[f], atomic_load(&from->degraded[f]));
        atomic_init(&to->barred[f], atomic_load(&from->barred[f]));
    }
    atomic_init(&to->flags, atomic_load(&from->flags));
    atomic_init(&to->latency_us, atomic_load(&from->latency_us));
    atomic_init(&to->capacity, atomic_load(&from->capacity));
    atomic_init(&to->ramp, atomic_load(&from->ramp));
    to->minimum = from->minimum;
}

/* The endpoints in `bits` fail, or are well. */
static void set_bits(struct health_group *group, unsigned family, uint64_t bits, bool up)
{
    uint64_t now = atomic_load(&group->up[family]);

    atomic_store(&group->up[family], up ? now | bits : now & ~bits);
    atomic_store(&group->held[family], atomic_load(&group->held[family]) & ~bits);
    atomic_fetch_and(&group->flags, ~(uint32_t)HEALTH_GROUP_WHOLE); /* or not: to be counted */
    now = atomic_load(&group->proven[family]);
    atomic_store(&group->proven[family], up ? now | bits : now & ~bits);
}

/* The endpoints of `pool` at the address that is meant. */
static uint64_t meant_bits(const struct snapshot *snapshot, const struct steer_service *service,
                           uint32_t pool, unsigned family, const struct override *target)
{
    const struct model_pool *model = &snapshot->model->services[service->index].pools[pool];
    uint64_t bits = 0;
    unsigned bit = 0;

    for (size_t i = 0; i < model->endpoint_count; i++) {
        if (model->endpoints[i].address.family != family) {
            continue;
        }
        if (override_means_endpoint(target, &model->endpoints[i].address)) {
            bits |= UINT64_C(1) << bit;
        }
        bit++;
    }
    return bits;
}

static bool is_whole(const struct override *target, const char *region, const char *service)
{
    return override_means_region(target, region) || override_means_pool(target, region, service);
}

static bool is_whole_up(const struct override *target, const char *region, const char *service)
{
    return target->kind == OVERRIDE_FORCE_UP && is_whole(target, region, service);
}

static void suppose(const struct snapshot *snapshot, const struct steer_service *service,
                    uint32_t pool, const struct override *target, struct health_region *region,
                    struct health_group *group)
{
    const struct steer_pool *from = &service->pools[pool];
    bool up = target->kind == OVERRIDE_FORCE_UP;
    bool whole = is_whole(target, from->region_name, service->name);

    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        uint64_t bits =
            whole ? all_bits(from->counts[f]) : meant_bits(snapshot, service, pool, f, target);
        if (bits != 0) {
            set_bits(group, f, bits, up);
        }
    }
    if (!whole) {
        return;
    }
    uint32_t word = atomic_load(&region->word) & ~(uint32_t)HEALTH_REGION_AWAY;
    atomic_store(&region->word, up ? word : word | HEALTH_REGION_GATED);
    uint32_t flags = atomic_load(&group->flags);
    atomic_store(&group->flags, flags & ~(uint32_t)(HEALTH_GROUP_SHARED | HEALTH_GROUP_RAMPING));
}

/* The service in a world of its own. */
static void build(const struct snapshot *snapshot, const struct steer_service *service,
                  const struct simulation *simulation, struct world *world)
{
    memcpy(&world->service, service, sizeof(*service));
    memcpy(world->pools, service->pools, service->pool_count * sizeof(world->pools[0]));
    memcpy(&world->memory, service->memory, sizeof(world->memory));
    world->service.pools = world->pools;
    world->service.memory = &world->memory;
    for (uint32_t p = 0; p < service->pool_count; p++) {
        const struct steer_pool *from = &service->pools[p];
        atomic_init(&world->regions[p].word, atomic_load(&from->region->word));
        copy_group(&world->groups[p], from->group);
        world->pools[p].region = &world->regions[p];
        world->pools[p].group = &world->groups[p];
        for (size_t i = 0; simulation != NULL && i < simulation->target_count; i++) {
            suppose(snapshot, service, p, &simulation->targets[i], &world->regions[p],
                    &world->groups[p]);
            if (is_whole_up(&simulation->targets[i], from->region_name, service->name)) {
                atomic_init(&world->pools[p].hand, 0); /* as released, too */
            }
        }
    }
}

static void count_shares(const struct steer_service *service, unsigned family,
                         const struct steer_choice *choice, double *shares, double weight)
{
    unsigned total = 0;

    if (choice->result != STEER_ADDRESSES) {
        return;
    }
    if (choice->pick_count > 0) {
        for (unsigned i = 0; i < choice->pick_count; i++) {
            shares[steer_pick_pool(choice->picks[i])] += weight / choice->pick_count;
        }
        return;
    }
    if (!choice->several) {
        shares[choice->pool] += weight;
        return;
    }
    for (uint32_t p = 0; p < service->pool_count; p++) {
        total += (unsigned)__builtin_popcountll(choice->bits_of[p]);
    }
    for (uint32_t p = 0; p < service->pool_count && total > 0; p++) {
        shares[p] += weight * __builtin_popcountll(choice->bits_of[p]) / total;
    }
    (void)family;
}

/* Answers are drawn evenly, so that the shares are exact to one in SIMULATION_DRAWS. */
static void draw(const struct steer_service *service, unsigned family, double *shares)
{
    for (unsigned i = 0; i < SIMULATION_DRAWS; i++) {
        struct steer_choice choice = { 0 };
        struct steer_client client = { .turn = i * (UINT32_MAX / SIMULATION_DRAWS) };
        steer_choose(service, family, &client, &choice);
        count_shares(service, family, &choice, shares, 1.0 / SIMULATION_DRAWS);
    }
}

void simulation_choose(const struct snapshot *snapshot, const struct steer_service *service,
                       const struct simulation *simulation, struct simulated_service *out)
{
    struct world world;
    unsigned main_family = service->has_family[ADDR_V4] ? ADDR_V4 : ADDR_V6;

    memset(out, 0, sizeof(*out));
    memset(&world, 0, sizeof(world));
    build(snapshot, service, simulation, &world);
    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        steer_choose(&world.service, f, NULL, &out->choices[f]);
    }
    const struct steer_choice *a = &out->choices[ADDR_V4];
    const struct steer_choice *b = &out->choices[ADDR_V6];
    out->is_well = (a->result == STEER_ADDRESSES && a->rung <= 3) ||
                   (b->result == STEER_ADDRESSES && b->rung <= 3);
    draw(&world.service, main_family, out->shares);
}

const uint8_t *simulation_answer(const struct snapshot *snapshot,
                                 const struct steer_service *service,
                                 const struct simulation *simulation, unsigned family,
                                 struct steer_client *client, struct steer_choice *choice)
{
    struct world world;

    memset(&world, 0, sizeof(world));
    memset(choice, 0, sizeof(*choice));
    build(snapshot, service, simulation, &world);
    if (service->cnames != NULL) {
        return steer_cname(&world.service, family, client, choice);
    }
    steer_choose(&world.service, family, client, choice);
    return NULL;
}

void simulation_count(const struct snapshot *snapshot, size_t region,
                      const struct simulation *simulation, size_t *out_up, size_t *out_all)
{
    *out_up = 0;
    *out_all = 0;
    for (size_t i = 0; i < snapshot->service_count; i++) {
        const struct steer_service *service = &snapshot->services[i];
        for (uint32_t p = 0; p < service->pool_count; p++) {
            struct health_region word;
            struct health_group group;
            if (service->pools[p].region_index != region) {
                continue;
            }
            atomic_init(&word.word, 0);
            copy_group(&group, service->pools[p].group);
            for (size_t t = 0; simulation != NULL && t < simulation->target_count; t++) {
                suppose(snapshot, service, p, &simulation->targets[t], &word, &group);
            }
            for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
                *out_up += (size_t)__builtin_popcountll(atomic_load(&group.up[f]));
                *out_all += service->pools[p].counts[f];
            }
        }
    }
}
