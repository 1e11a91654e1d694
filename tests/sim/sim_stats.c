#include "sim_stats.h"

#include "sim_wire.h"

#include <stdlib.h>
#include <string.h>

static struct sim_stats_name *find(const struct sim_stats *stats, const uint8_t *dname, size_t size)
{
    uint32_t bucket = sim_wire_hash(dname, size) % SIM_STATS_BUCKETS;
    struct sim_stats_name *name = stats->buckets[bucket];
    while (name != NULL && (name->size != size || memcmp(name->dname, dname, size) != 0)) {
        name = name->next;
    }
    return name;
}

const struct sim_stats_name *sim_stats_find(const struct sim_stats *stats, const uint8_t *dname,
                                            size_t size)
{
    return find(stats, dname, size);
}

static struct sim_stats_name *add(struct sim_stats *stats, const uint8_t *dname, size_t size)
{
    if (stats->name_count >= SIM_STATS_NAMES) {
        return NULL;
    }
    struct sim_stats_name *name = calloc(1, sizeof *name + size);
    if (name == NULL) {
        return NULL;
    }
    uint32_t bucket = sim_wire_hash(dname, size) % SIM_STATS_BUCKETS;
    memcpy(name->dname, dname, size);
    name->size = size;
    name->next = stats->buckets[bucket];
    stats->buckets[bucket] = name;
    stats->name_count++;
    return name;
}

void sim_stats_count(struct sim_stats *stats, const uint8_t *dname, size_t size, uint16_t type)
{
    struct sim_stats_name *name = find(stats, dname, size);
    if (name == NULL) {
        name = add(stats, dname, size);
    }
    if (name == NULL) {
        return;
    }
    if (type == SIM_TYPE_A) {
        name->a++;
    } else if (type == SIM_TYPE_AAAA) {
        name->aaaa++;
    } else {
        name->other++;
    }
}

void sim_stats_reset(struct sim_stats *stats)
{
    for (size_t i = 0; i < SIM_STATS_BUCKETS; i++) {
        while (stats->buckets[i] != NULL) {
            struct sim_stats_name *name = stats->buckets[i];
            stats->buckets[i] = name->next;
            free(name);
        }
    }
    *stats = (struct sim_stats){ 0 };
}
