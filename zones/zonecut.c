#include "zones/zonecut.h"

#include <errno.h>

#include "zones/namespace.h"
#include "zones/rrset.h"
#include "zones/wire.h"

static const struct zone *zone_of(const struct namespace *ns, const struct node *node)
{
    const uint8_t *end = node->dname + node->length;

    for (const uint8_t *name = node->dname;; name = name_parent(name)) {
        const struct node *at = namespace_find(ns, name, (size_t)(end - name));
        if (at != NULL && namespace_is_apex(at)) {
            return at->zone;
        }
        if (*name == 0) {
            return NULL;
        }
    }
}

/*
 * May the file that holds `set` say this of a name that another zone of ours
 * holds? The NS set at that zone's apex, and addresses under such a set.
 */
static bool is_of_a_cut(const struct namespace *ns, const struct node *node,
                        const struct rrset *set)
{
    const uint8_t *end = node->dname + node->length;

    if (set->type == WIRE_NS && namespace_is_apex(node)) {
        return true;
    }
    if (set->type != WIRE_A && set->type != WIRE_AAAA) {
        return false;
    }
    for (const uint8_t *name = node->dname; end - name > set->zone->length;
         name = name_parent(name)) {
        const struct node *at = namespace_find(ns, name, (size_t)(end - name));
        if (at != NULL && namespace_is_apex(at) &&
            rrset_find(at->rrsets, WIRE_NS, set->zone) != NULL) {
            return true;
        }
    }
    return false;
}

static int refuse_stray(const struct node *node, const struct rrset *set, const struct zone *zone,
                        struct error *err)
{
    char name[NAME_TEXT_MAX];
    char apex[NAME_TEXT_MAX];

    (void)name_format(node->dname, name, sizeof(name));
    (void)name_format(zone->dname, apex, sizeof(apex));
    (void)error_set_at(err, -EINVAL, set->path, set->line, set->col,
                       "%.150s belongs to the zone %.150s, which is ours too", name, apex);
    if (zone->file != NULL) {
        error_hint(err, "move the record to %.100s", zone->file);
    } else {
        error_hint(err, "that zone was made up for services; leave it out or give it a file");
    }
    return err->code;
}

static int check_set(const struct namespace *ns, const struct node *node, const struct rrset *set,
                     const struct zone *zone, struct error *err)
{
    char name[NAME_TEXT_MAX];

    if (set->zone != zone) {
        return is_of_a_cut(ns, node, set) ? 0 : refuse_stray(node, set, zone, err);
    }
    (void)name_format(node->dname, name, sizeof(name));
    if (set->type == WIRE_NS && !namespace_is_apex(node)) {
        return error_set_at(err, -EINVAL, set->path, set->line, set->col,
                            "%.200s: a delegation (NS below the zone's apex) is not available yet",
                            name);
    }
    if (set->type == WIRE_CNAME && node->service != NULL) {
        return error_set_at(err, -EINVAL, set->path, set->line, set->col,
                            "%.200s is a CNAME here and a service", name);
    }
    return 0;
}

/* Unlink what the files of zones above say of this name. */
static void drop_foreign(struct node *node, const struct zone *zone)
{
    struct rrset **link = &node->rrsets;

    while (*link != NULL) {
        if ((*link)->zone != zone) {
            *link = (*link)->next;
        } else {
            link = &(*link)->next;
        }
    }
}

/*
 * Give every name above `node` in its zone a node. One step is enough: a new
 * node comes to the end of the list that the caller walks.
 */
static void make_parent(struct namespace *ns, const struct node *node)
{
    if (!namespace_is_apex(node)) {
        struct node *parent = namespace_node(ns, name_parent(node->dname));
        parent->zone = node->zone;
    }
}

int zonecut_settle(struct namespace *ns, struct error *err)
{
    for (const struct node *node = ns->nodes; node != NULL; node = node->next) {
        const struct zone *zone = zone_of(ns, node);
        REQUIRE(zone != NULL);
        for (const struct rrset *set = node->rrsets; set != NULL; set = set->next) {
            int rc = check_set(ns, node, set, zone, err);
            if (rc < 0) {
                return rc;
            }
        }
    }
    for (struct node *node = ns->nodes; node != NULL; node = node->next) {
        const struct zone *zone = zone_of(ns, node);
        drop_foreign(node, zone);
        /* a name that only glue had is no name of ours */
        node->zone = node->rrsets != NULL || node->service != NULL ? zone : NULL;
    }
    namespace_drop_homeless(ns);
    for (const struct node *node = ns->nodes; node != NULL; node = node->next) {
        make_parent(ns, node);
    }
    return 0;
}
