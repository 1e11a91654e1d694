#include "zones/rrset.h"

#include <string.h>

#include "zones/rdata.h"
#include "zones/wire.h"

#define RECORD_HEAD_BYTES 12 /* pointer, type, class, TTL, length */

struct rrset *rrset_find(struct rrset *sets, uint16_t type, const struct zone *zone)
{
    struct rrset *set = sets;

    while (set != NULL && (set->type != type || (zone != NULL && set->zone != zone))) {
        set = set->next;
    }
    return set;
}

struct rrset *rrset_append(struct arena *arena, struct rrset **sets, uint16_t type,
                           const struct zone *zone, uint32_t ttl_s)
{
    struct rrset *set = arena_alloc(arena, sizeof(*set));

    set->type = type;
    set->zone = zone;
    set->ttl_s = ttl_s;
    set->records_end = &set->records;
    while (*sets != NULL) {
        sets = &(*sets)->next;
    }
    *sets = set;
    return set;
}

/* The fewest bytes a record can take in a message. */
static uint32_t least_bytes(uint16_t type, uint16_t length)
{
    const struct rdata_layout *layout = rdata_layout(type);

    if (layout == NULL || !layout->compress) {
        return RECORD_HEAD_BYTES + length;
    }
    return RECORD_HEAD_BYTES + (uint32_t)layout->before + layout->names + layout->after;
}

enum rrset_added rrset_add(struct arena *arena, struct rrset *set, const uint8_t *rdata,
                           uint16_t length, uint32_t ttl_s)
{
    uint8_t folded[UINT16_MAX];

    memcpy(folded, rdata, length);
    rdata_fold(set->type, folded);
    set->ttl_s = ttl_s < set->ttl_s ? ttl_s : set->ttl_s;
    for (const struct rrset_record *r = set->records; r != NULL; r = r->next) {
        if (r->length == length && memcmp(r->rdata, folded, length) == 0) {
            return RRSET_DUPLICATE;
        }
    }
    uint32_t bytes = least_bytes(set->type, length);
    if (set->least_bytes + bytes > WIRE_MESSAGE_MAX) {
        return RRSET_FULL;
    }
    struct rrset_record *record = arena_alloc(arena, sizeof(*record) + length);
    record->length = length;
    memcpy(record->rdata, folded, length);
    *set->records_end = record;
    set->records_end = &record->next;
    set->least_bytes += bytes;
    set->count++;
    return RRSET_ADDED;
}
