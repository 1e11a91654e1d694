#include "policy/config_part.h"

#include <string.h>

#include "base/arena.h"
#include "policy/config_check.h"
#include "policy/config_region.h"
#include "policy/config_value.h"

enum state {
    UNREAD,
    READING,
    READ,
};

struct config_named_part {
    bool is_condition;
    enum state state;
    struct config_part *part; /* NULL when it is broken */
};

struct config_parts *config_part_all(struct config_context *context)
{
    if (context->parts == NULL) {
        context->parts = arena_alloc(context->scratch, sizeof(*context->parts));
    }
    return context->parts;
}

/* ------------------------------------------------------------------ what it is */

static const char *const keys[] = { "all", "any", "at_least", "not", "region", "service" };

#define KEY_COUNT (sizeof(keys) / sizeof(keys[0]))

static bool is_key(const char *name)
{
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (strcmp(keys[i], name) == 0) {
            return true;
        }
    }
    return strcmp(name, "of") == 0;
}

bool config_part_is(const struct config_item *item)
{
    const struct config_node *map = item->value;

    if (map->kind != CONFIG_NODE_MAP || map->broken) {
        return false;
    }
    for (size_t i = 0; i < map->count; i++) {
        if (is_key(map->entries[i].key->text)) {
            return true;
        }
    }
    return false;
}

static bool is_known(const char *key)
{
    for (size_t i = 0; i < config_check_table.row_count; i++) {
        if (strcmp(config_check_table.rows[i].key, key) == 0) {
            return true;
        }
    }
    return false;
}

/* The one key that says what kind of condition it is; NULL, reported, when it is not one. */
static const char *find_key(struct config_context *context, const struct config_item *item)
{
    struct model_check ignored = { 0 };
    struct config_item child;
    const char *found = NULL;

    bool good = config_table_read(context, &config_check_table, item, &ignored);
    for (size_t i = 0; i < item->value->count; i++) {
        child = config_item_at(item, i);
        if (is_known(child.name) && !is_key(child.name)) {
            struct error *err =
                config_error_key(context, &child, "a condition is no check: this says nothing");
            error_hint(err, "it belongs to the checks that the condition is made of");
            good = false;
        } else if (is_key(child.name) && strcmp(child.name, "of") != 0) {
            if (found != NULL) {
                struct error *err =
                    config_error_key(context, item,
                                     "a condition is only one of all, any, at_least, not, region "
                                     "and service");
                error_hint(err, "nest them, e.g. all: [{any: [a, b]}, {not: c}]");
                return NULL;
            }
            found = child.name;
        }
    }
    if (config_item_get(item, "of", &child) && (found == NULL || strcmp(found, "at_least") != 0)) {
        struct error *err = config_error_key(context, &child, "goes with at_least");
        error_hint(err, "e.g. {at_least: 2, of: [a, b, c]}");
        return NULL;
    }
    return good ? found : NULL;
}

/* ------------------------------------------------------------------ reading */

static struct config_part *read_part(struct config_context *context, const struct config_item *item,
                                     unsigned depth);

static struct config_part *new_part(struct config_context *context, const struct config_item *item,
                                    enum model_condition_kind kind)
{
    struct config_part *part = arena_alloc(context->scratch, sizeof(*part));

    part->model.kind = kind;
    part->model.place = config_node_place(item->key);
    part->weight = 1;
    part->height = 1;
    return part;
}

/* Give a part what it is made of; false, reported, when that is too much. */
static bool adopt(struct config_context *context, const struct config_item *item,
                  struct config_part *part, struct config_part **parts, size_t count)
{
    part->parts = parts;
    part->model.part_count = count;
    for (size_t i = 0; i < count; i++) {
        part->weight += parts[i]->weight;
        part->height = parts[i]->height >= part->height ? parts[i]->height + 1 : part->height;
    }
    if (part->height > CONFIG_PART_DEPTH + 1) {
        config_error_key(context, item, "conditions are nested more than %d deep",
                         CONFIG_PART_DEPTH);
        return false;
    }
    if (part->weight > CONFIG_PART_MOST) {
        config_error_key(context, item, "the condition has more than %d parts", CONFIG_PART_MOST);
        return false;
    }
    return true;
}

/* The parts in the list `item`; `needed` of them, or all with 0. */
static struct config_part *read_list(struct config_context *context, const struct config_item *item,
                                     uint32_t needed, unsigned depth)
{
    size_t count = config_item_list_count(item);
    bool good = !item->value->broken;

    if (count == 0 || count > CONFIG_PART_MOST) {
        if (good) {
            struct error *err = config_error_key(
                context, item, count == 0 ? "has no parts" : "the condition has too many parts");
            error_hint(err, "list checks and conditions, e.g. [web, {not: draining}]");
        }
        return NULL;
    }
    struct config_part *part = new_part(context, item, MODEL_CONDITION_AT_LEAST);
    struct config_part **parts = arena_array(context->scratch, count, sizeof(struct config_part *));
    for (size_t i = 0; i < count; i++) {
        struct config_item one = config_item_list_at(item, i);
        parts[i] = read_part(context, &one, depth + 1);
        good = parts[i] != NULL && good;
    }
    part->model.needed = needed == 0 ? (uint32_t)count : needed;
    return good && adopt(context, item, part, parts, count) ? part : NULL;
}

static struct config_part *read_at_least(struct config_context *context,
                                         const struct config_item *item,
                                         const struct config_item *number, unsigned depth)
{
    const char *text = config_table_scalar(context, number);
    struct config_item of;
    struct error err;
    uint64_t needed = 0;

    if (!config_item_get(item, "of", &of)) {
        struct error *missing = config_error_key(context, item, "of is required");
        error_hint(missing, "e.g. {at_least: 2, of: [a, b, c]}");
        return NULL;
    }
    size_t count = config_item_list_count(&of);
    if (text != NULL && config_value_count(text, &needed, &err) < 0) {
        config_error_take(context, number, &err);
        text = NULL;
    } else if (text != NULL && (needed == 0 || (needed > count && count > 0))) {
        config_error_value(context, number, "'%.40s' is out of range: it must be 1 to %zu", text,
                           count);
        text = NULL;
    }
    struct config_part *part =
        read_list(context, &of, 1, depth); /* its own errors are wanted too */
    if (part != NULL && text != NULL) {
        part->model.needed = (uint32_t)needed;
        return part;
    }
    return NULL;
}

static struct config_part *read_not(struct config_context *context, const struct config_item *item,
                                    unsigned depth)
{
    struct config_part **parts = arena_alloc(context->scratch, sizeof(struct config_part *));
    struct config_part *part = new_part(context, item, MODEL_CONDITION_NOT);

    if (config_node_is_empty(item->value)) {
        config_error_key(context, item, "a value is missing");
        return NULL;
    }
    if (item->value->kind == CONFIG_NODE_LIST) {
        return NULL; /* reported where its forms are */
    }
    parts[0] = read_part(context, item, depth + 1);
    return parts[0] != NULL && adopt(context, item, part, parts, 1) ? part : NULL;
}

static struct config_part *read_region(struct config_context *context,
                                       const struct config_item *item)
{
    struct config_part *part = new_part(context, item, MODEL_CONDITION_REGION);

    if (item->value->kind != CONFIG_NODE_SCALAR) {
        return NULL; /* reported where its forms are */
    }
    if (context->model->region_count == 0) {
        config_error_key(context, item, "there are no regions");
        return NULL;
    }
    part->model.index = config_region_of_value(context, item);
    return part->model.index == MODEL_NONE ? NULL : part;
}

static struct config_part *read_service(struct config_context *context,
                                        const struct config_item *item)
{
    struct config_parts *all = config_part_all(context);
    struct config_part *part = new_part(context, item, MODEL_CONDITION_SERVICE);
    struct text way = { 0 };

    if (item->value->kind != CONFIG_NODE_SCALAR) {
        return NULL; /* reported where its forms are */
    }
    part->name = config_table_scalar(context, item);
    if (part->name == NULL) {
        return NULL;
    }
    config_item_put_path(item, &way);
    part->way = arena_strdup(context->scratch, text_string(&way));
    text_fini(&way);
    part->node = item->value;
    all->services =
        arena_grow(context->scratch, all->services, all->service_count, sizeof(*all->services));
    all->services[all->service_count++] = part;
    return part;
}

static struct config_part *read_condition(struct config_context *context,
                                          const struct config_item *item, unsigned depth)
{
    const char *key = find_key(context, item);
    struct config_item child;

    if (key == NULL || !config_item_get(item, key, &child)) {
        return NULL;
    }
    switch (key[0] == 'a' ? key[1] : key[0]) {
    case 'l': /* all */
        return read_list(context, &child, 0, depth);
    case 'n': /* any, not */
        return key[0] == 'a' ? read_list(context, &child, 1, depth)
                             : read_not(context, &child, depth);
    case 't': /* at_least */
        return read_at_least(context, item, &child, depth);
    case 'r':
        return read_region(context, &child);
    default:
        return read_service(context, &child);
    }
}

static struct config_part *read_named(struct config_context *context,
                                      const struct config_item *user, uint32_t index,
                                      unsigned depth)
{
    struct config_parts *all = config_part_all(context);
    struct config_named_part *named = &all->named[index];

    if (named->state == READING) {
        config_error_value(context, user, "the condition '%.80s' is part of itself",
                           context->checks[index].name);
        return NULL;
    }
    if (named->state == UNREAD) {
        struct config_item item = config_item_at(&all->section, index);
        named->state = READING;
        named->part = read_condition(context, &item, depth);
        named->state = READ;
    }
    return named->part;
}

static struct config_part *read_name(struct config_context *context, const struct config_item *item,
                                     unsigned depth)
{
    uint32_t index;

    if (!config_check_find(context, item, &index)) {
        return NULL;
    }
    if (config_part_is_named(context, index)) {
        return read_named(context, item, index, depth);
    }
    if (context->check_broken[index]) {
        return NULL;
    }
    struct config_part *part = new_part(context, item, MODEL_CONDITION_CHECK);
    part->check = &context->checks[index];
    return part;
}

static struct config_part *read_part(struct config_context *context, const struct config_item *item,
                                     unsigned depth)
{
    if (item->value->broken) {
        return NULL;
    }
    if (depth > CONFIG_PART_DEPTH) {
        config_error_value(context, item, "conditions are nested more than %d deep",
                           CONFIG_PART_DEPTH);
        return NULL;
    }
    if (item->value->kind == CONFIG_NODE_LIST) {
        struct error *err = config_error_value(context, item, "must be a check or a condition");
        error_hint(err, "write {all: [...]} or {any: [...]}");
        return NULL;
    }
    if (item->value->kind == CONFIG_NODE_SCALAR) {
        return read_name(context, item, depth);
    }
    if (config_part_is(item)) {
        return read_condition(context, item, depth);
    }
    struct config_part *part = new_part(context, item, MODEL_CONDITION_CHECK);
    struct model_check *check = arena_alloc(context->scratch, sizeof(*check));
    part->check = check;
    return config_check_read(context, item, check) ? part : NULL;
}

/* ------------------------------------------------------------------ named ones */

void config_part_note_named(struct config_context *context, const struct config_item *section)
{
    struct config_parts *all = config_part_all(context);

    all->section = *section;
    all->named_count = section->value->count;
    all->named = arena_array(context->scratch, all->named_count, sizeof(*all->named));
    for (size_t i = 0; i < all->named_count; i++) {
        struct config_item item = config_item_at(section, i);
        all->named[i].is_condition = config_part_is(&item);
    }
}

bool config_part_is_named(const struct config_context *context, uint32_t index)
{
    return context->parts != NULL && index < context->parts->named_count &&
           context->parts->named[index].is_condition;
}

void config_part_read_named(struct config_context *context)
{
    struct config_parts *all = context->parts;

    for (size_t i = 0; all != NULL && i < all->named_count; i++) {
        if (all->named[i].is_condition) {
            struct config_item item = config_item_at(&all->section, i);
            (void)read_named(context, &item, (uint32_t)i, 0);
        }
    }
}

struct config_part *config_part_read(struct config_context *context, const struct config_item *item)
{
    return item->value->kind == CONFIG_NODE_LIST ? read_list(context, item, 0, 0)
                                                 : read_part(context, item, 0);
}
