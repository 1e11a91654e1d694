#include "resolver/simulation.h"

#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "base/clock.h"
#include "policy/health_suppose.h"
#include "policy/overrides.h"
#include "zones/wire.h"

#define GOLDEN     0x9e3779b9u
#define DEPTH_MOST 256 /* services that lean on one another; what is farther off stays as it is */

/* A copy of what a service's answers follow from; on the stack of one call. */
struct world {
    struct steer_pool pools[STEER_POOLS_MAX];
    struct health_region regions[STEER_POOLS_MAX];
    struct health_group groups[STEER_POOLS_MAX];
    struct steer_memory memory;
    struct steer_service service;
};

/* A service that a condition has asked about. */
struct asked {
    size_t service;
    bool stands;
    UT_hash_handle hh;
};

/* What is supposed, and of services that conditions ask about what that means for them. */
struct supposing {
    const struct snapshot *snapshot;
    const struct simulation *simulation; /* NULL: things are as they are */
    uint64_t now_ms;
    struct asked *asked; /* as few as there are, however many services are configured */
    unsigned depth;
    struct health_supposition supposition;
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
    atomic_store(&group->degraded[family], atomic_load(&group->degraded[family]) & ~bits);
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

/* ---- who leans on what is supposed ---- */

static void suppose_pool(struct supposing *s, const struct steer_service *service, uint32_t pool,
                         struct health_region *region, struct health_group *group);

/* The last one that means a region has its way. */
static enum health_supposed region_supposed(void *user, size_t region)
{
    const struct supposing *s = user;
    const char *name = s->snapshot->model->regions[region].name;
    enum health_supposed how = HEALTH_SUPPOSED_AS_IT_IS;

    for (size_t i = 0; i < s->simulation->target_count; i++) {
        const struct override *target = &s->simulation->targets[i];
        if (override_means_region(target, name)) {
            how = target->kind == OVERRIDE_FORCE_UP ? HEALTH_SUPPOSED_IN : HEALTH_SUPPOSED_AWAY;
        }
    }
    return how;
}

/* The operator's word on a pool alone, as conditions take it. */
static uint32_t said_of(const struct steer_service *service, uint32_t pool)
{
    uint32_t said = steer_has_hand(service, pool, STEER_HAND_DRAINED) ? HEALTH_REGION_DRAINED : 0;

    said |= steer_has_hand(service, pool, STEER_HAND_FORCED_UP) ? HEALTH_REGION_FORCED_UP : 0;
    said |= steer_has_hand(service, pool, STEER_HAND_FORCED_DOWN) ? HEALTH_REGION_FORCED_DOWN : 0;
    return said;
}

static bool pool_stands(const struct steer_service *service, uint32_t pool, uint32_t said,
                        const struct health_region *region, const struct health_group *group)
{
    const uint8_t *counts = service->pools[pool].counts;
    size_t count = (size_t)counts[ADDR_V4] + counts[ADDR_V6];

    return health_suppose_stands(atomic_load(&region->word), said, count, group);
}

/* What would be said: nothing of what is supposed to be up or down as a whole. */
static uint32_t would_be_said_of(const struct supposing *s, const struct steer_service *service,
                                 uint32_t pool)
{
    const char *region = service->pools[pool].region_name;
    const struct simulation *simulation = s->simulation;

    for (size_t i = 0; simulation != NULL && i < simulation->target_count; i++) {
        if (is_whole(&simulation->targets[i], region, service->name)) {
            return 0;
        }
    }
    return said_of(service, pool);
}

/* Conditions do not refer to one another in circles. */
static bool would_stand(struct supposing *s, const struct steer_service *service)
{
    for (uint32_t p = 0; p < service->pool_count; p++) {
        struct health_region region;
        struct health_group group;
        suppose_pool(s, service, p, &region, &group);
        if (pool_stands(service, p, would_be_said_of(s, service, p), &region, &group)) {
            return true;
        }
    }
    return false;
}

static bool stands_now(const struct steer_service *service)
{
    for (uint32_t p = 0; p < service->pool_count; p++) {
        const struct steer_pool *pool = &service->pools[p];
        if (pool_stands(service, p, said_of(service, p), pool->region, pool->group)) {
            return true;
        }
    }
    return false;
}

static bool service_supposed(void *user, size_t service)
{
    struct supposing *s = user;
    struct asked *asked = NULL;

    if (s->depth == DEPTH_MOST) {
        return stands_now(&s->snapshot->services[service]);
    }
    HASH_FIND(hh, s->asked, &service, sizeof(service), asked);
    if (asked == NULL) {
        asked = calloc(1, sizeof(*asked));
        REQUIRE(asked != NULL);
        s->depth++;
        asked->stands = would_stand(s, &s->snapshot->services[service]);
        s->depth--;
        asked->service = service;
        HASH_ADD(hh, s->asked, service, sizeof(asked->service), asked);
    }
    return asked->stands;
}

static void supposing_init(struct supposing *s, const struct snapshot *snapshot,
                           const struct simulation *simulation)
{
    s->snapshot = snapshot;
    s->simulation = simulation;
    s->now_ms = clock_now_ms();
    s->asked = NULL;
    s->depth = 0;
    s->supposition = (struct health_supposition){ region_supposed, service_supposed, s };
}

static void supposing_fini(struct supposing *s)
{
    struct asked *asked, *next;

    HASH_ITER(hh, s->asked, asked, next)
    {
        HASH_DEL(s->asked, asked);
        free(asked);
    }
}

/* ---- what is supposed ---- */

static void suppose_target(const struct snapshot *snapshot, const struct steer_service *service,
                           uint32_t pool, const struct override *target,
                           struct health_region *region, struct health_group *group)
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

/* The words of a pool as they would be: what leans on others first, then what is said of it. */
static void suppose_pool(struct supposing *s, const struct steer_service *service, uint32_t pool,
                         struct health_region *region, struct health_group *group)
{
    const struct steer_pool *from = &service->pools[pool];
    const struct health_binding *binding = s->snapshot->binding;

    atomic_init(&region->word, atomic_load(&from->region->word));
    copy_group(group, from->group);
    if (s->simulation == NULL) {
        return;
    }
    if (health_suppose_matters(binding, service->index, pool)) {
        health_suppose_conditions(binding, service->index, pool, &s->supposition, s->now_ms, group);
    }
    for (size_t i = 0; i < s->simulation->target_count; i++) {
        suppose_target(s->snapshot, service, pool, &s->simulation->targets[i], region, group);
    }
    health_suppose_capacity(binding, service->index, pool, group);
}

/* The service in a world of its own. */
static void build(struct supposing *s, const struct steer_service *service, struct world *world)
{
    const struct simulation *simulation = s->simulation;

    memcpy(&world->service, service, sizeof(*service));
    memcpy(world->pools, service->pools, service->pool_count * sizeof(world->pools[0]));
    memcpy(&world->memory, service->memory, sizeof(world->memory));
    world->service.pools = world->pools;
    world->service.memory = &world->memory;
    for (uint32_t p = 0; p < service->pool_count; p++) {
        const char *region = service->pools[p].region_name;
        suppose_pool(s, service, p, &world->regions[p], &world->groups[p]);
        world->pools[p].region = &world->regions[p];
        world->pools[p].group = &world->groups[p];
        for (size_t i = 0; simulation != NULL && i < simulation->target_count; i++) {
            if (is_whole_up(&simulation->targets[i], region, service->name)) {
                atomic_init(&world->pools[p].hand, 0); /* as released, too */
            }
        }
    }
}

/* ---- shares ---- */

static void count_shares(const struct steer_service *service, const struct steer_choice *choice,
                         double *shares, double weight)
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
}

/*
 * Somebody who stands where this node does. Where clients stick, what is drawn
 * is drawn by who asks: of 240.0.0.0/4, which no map has (RFC 1112, section 4).
 */
static struct steer_client drawn_client(const struct steer_service *service, unsigned draw)
{
    struct steer_client client = { .turn = draw * (UINT32_MAX / SIMULATION_DRAWS) };

    if (service->policy != NULL && (service->policy->filters & STEER_STICKY) != 0) {
        wire_put32(client.address.bytes, 240u << 24 | (draw + 1) * GOLDEN >> 4);
        client.known_bits = 32;
    }
    return client;
}

/* So many clients ask once each. */
static void draw(const struct steer_service *service, unsigned family, double *shares)
{
    for (unsigned i = 0; i < SIMULATION_DRAWS; i++) {
        struct steer_choice choice = { 0 };
        struct steer_client client = drawn_client(service, i);
        steer_choose(service, family, &client, &choice);
        count_shares(service, &choice, shares, 1.0 / SIMULATION_DRAWS);
    }
}

void simulation_choose(const struct snapshot *snapshot, const struct steer_service *service,
                       const struct simulation *simulation, struct simulated_service *out)
{
    struct world world;
    struct supposing s;
    unsigned main_family = service->has_family[ADDR_V4] ? ADDR_V4 : ADDR_V6;

    memset(out, 0, sizeof(*out));
    memset(&world, 0, sizeof(world));
    supposing_init(&s, snapshot, simulation);
    build(&s, service, &world);
    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        steer_choose(&world.service, f, NULL, &out->choices[f]);
    }
    const struct steer_choice *a = &out->choices[ADDR_V4];
    const struct steer_choice *b = &out->choices[ADDR_V6];
    out->is_well = (a->result == STEER_ADDRESSES && a->rung <= 3) ||
                   (b->result == STEER_ADDRESSES && b->rung <= 3);
    draw(&world.service, main_family, out->shares);
    supposing_fini(&s);
}

const uint8_t *simulation_answer(const struct snapshot *snapshot,
                                 const struct steer_service *service,
                                 const struct simulation *simulation, unsigned family,
                                 struct steer_client *client, struct steer_choice *choice)
{
    struct world world;
    struct supposing s;

    memset(&world, 0, sizeof(world));
    memset(choice, 0, sizeof(*choice));
    supposing_init(&s, snapshot, simulation);
    build(&s, service, &world);
    supposing_fini(&s);
    if (service->cnames != NULL) {
        return steer_cname(&world.service, family, client, choice);
    }
    steer_choose(&world.service, family, client, choice);
    return NULL;
}

bool simulation_loses(const struct snapshot *snapshot, const struct steer_service *service,
                      const struct simulation *simulation)
{
    struct supposing s;
    bool leans = false;

    for (uint32_t p = 0; p < service->pool_count && !leans; p++) {
        leans = health_suppose_matters(snapshot->binding, service->index, p);
    }
    if (!leans || !stands_now(service)) {
        return false;
    }
    supposing_init(&s, snapshot, simulation);
    bool stands = would_stand(&s, service);
    supposing_fini(&s);
    return !stands;
}

void simulation_count(const struct snapshot *snapshot, const struct steer_service *service,
                      const struct simulation *simulation, size_t *up, size_t *all)
{
    struct supposing s;

    supposing_init(&s, snapshot, simulation);
    for (uint32_t p = 0; p < service->pool_count; p++) {
        struct health_region word;
        struct health_group group;
        uint32_t region = service->pools[p].region_index;
        suppose_pool(&s, service, p, &word, &group);
        for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
            up[region] += (size_t)__builtin_popcountll(atomic_load(&group.up[f]));
            all[region] += service->pools[p].counts[f];
        }
    }
    supposing_fini(&s);
}
