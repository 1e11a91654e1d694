#include "resolver/forward/target.h"

#include <stdlib.h>

static struct target *find(struct target *list, const struct connection_target *where)
{
    for (struct target *target = list; target != NULL; target = target->next) {
        const struct connection_target *other = &target->where;
        if (addr_equal(&other->address, &where->address) &&
            other->has_source == where->has_source &&
            (!where->has_source || addr_same_host(&other->source, &where->source)) &&
            tls_settings_equal(other->tls, where->tls)) {
            return target;
        }
    }
    return NULL;
}

static struct target *target_new(const struct connection_target *where, uint64_t now_ms)
{
    struct target *target = calloc(1, sizeof(*target));

    if (target == NULL) {
        return NULL;
    }
    if (where->tls != NULL) {
        target->settings = tls_settings_copy(where->tls);
        if (target->settings == NULL) {
            free(target);
            return NULL;
        }
    }
    target->where = *where;
    target->where.tls = target->settings;
    target->used_ms = now_ms;
    return target;
}

struct target *target_find(struct target **list, const struct connection_target *where,
                           uint64_t now_ms)
{
    struct target *target = find(*list, where);

    if (target == NULL) {
        target = target_new(where, now_ms);
        if (target == NULL) {
            return NULL;
        }
        target->next = *list;
        *list = target;
    }
    target->used_ms = now_ms;
    return target;
}

/*
 * The one of before may be out of date, and so may be what it thought of the
 * certificate, which a resumed session does not show again.
 */
int target_find_context(struct target *target, struct tls_contexts *contexts, uint64_t now_ms,
                        struct error *err)
{
    struct tls_context *context;

    if (target->settings == NULL) {
        return 0;
    }
    int code = tls_context_find(contexts, target->settings, now_ms, &context, err);
    if (code < 0) {
        return code;
    }
    if (target->context != context) {
        tls_ticket_clear(&target->ticket);
    }
    tls_context_unref(target->context);
    target->context = context;
    return 0;
}

static void target_free(struct target *target)
{
    tls_ticket_clear(&target->ticket);
    tls_context_unref(target->context);
    free(target->settings);
    free(target);
}

void target_forget(struct target **list, uint64_t forget_ms, uint64_t now_ms)
{
    while (*list != NULL) {
        struct target *target = *list;
        if (target->alive == 0 && now_ms - target->used_ms >= forget_ms) {
            *list = target->next;
            target_free(target);
        } else {
            list = &target->next;
        }
    }
}

void target_free_all(struct target **list)
{
    while (*list != NULL) {
        struct target *target = *list;
        *list = target->next;
        target_free(target);
    }
}
