#include "policy/config_condition.h"

#include <string.h>

#include "base/arena.h"
#include "policy/config_check.h"
#include "policy/config_part.h"
#include "policy/config_timing.h"
#include "zones/name.h"

/* ------------------------------------------------------------------ of a service */

/* Parts on their way into the model of one service. */
struct builder {
    struct config_context *context;
    const struct config_item *item; /* what the service says */
    const char *host;
    struct model_check *checks;
    const struct model_check **sources; /* what each of them was made from */
    size_t count;
    bool good;
};

static bool is_same(const struct model_check *a, const struct model_check *b)
{
    return a == b || (a->name == NULL && b->name == NULL && a->place.path == b->place.path &&
                      a->place.line == b->place.line && a->place.col == b->place.col);
}

static uint32_t add_check(struct builder *builder, const struct model_check *check)
{
    struct config_context *context = builder->context;

    for (size_t i = 0; i < builder->count; i++) {
        if (is_same(builder->sources[i], check)) {
            return (uint32_t)i;
        }
    }
    builder->checks =
        arena_grow(context->arena, builder->checks, builder->count, sizeof(*builder->checks));
    builder->sources =
        arena_grow(context->scratch, builder->sources, builder->count, sizeof(*builder->sources));
    builder->sources[builder->count] = check;
    struct model_check *copy = &builder->checks[builder->count++];
    *copy = *check;
    builder->good =
        config_check_settle(context, builder->item, builder->host, copy) && builder->good;
    return (uint32_t)(builder->count - 1);
}

static void add_use(struct builder *builder, const struct config_part *part,
                    struct model_condition *node)
{
    struct config_parts *all = config_part_all(builder->context);

    all->uses =
        arena_grow(builder->context->scratch, all->uses, all->use_count, sizeof(*all->uses));
    all->uses[all->use_count++] = (struct config_use){ node, part, builder->host };
}

static void build(struct builder *builder, const struct config_part *part,
                  struct model_condition *out)
{
    *out = part->model;
    if (part->model.kind == MODEL_CONDITION_CHECK) {
        out->index = add_check(builder, part->check);
        return;
    }
    if (part->model.kind == MODEL_CONDITION_SERVICE) {
        add_use(builder, part, out);
        return;
    }
    struct model_condition *parts =
        arena_array(builder->context->arena, part->model.part_count, sizeof(*parts));
    for (size_t i = 0; i < part->model.part_count; i++) {
        build(builder, part->parts[i], &parts[i]);
    }
    out->parts = parts;
}

/* Does it say no more than that all checks must pass? */
static bool is_all_checks(const struct model_condition *condition)
{
    if (condition->kind != MODEL_CONDITION_AT_LEAST) {
        return condition->kind == MODEL_CONDITION_CHECK;
    }
    for (size_t i = 0; i < condition->part_count; i++) {
        if (condition->parts[i].kind != MODEL_CONDITION_CHECK) {
            return false;
        }
    }
    return condition->needed == condition->part_count;
}

static bool read_tree(struct config_context *context, const struct config_item *item,
                      struct model_service *service)
{
    struct config_part *root = config_part_read(context, item);
    struct builder builder = {
        .context = context, .item = item, .host = service->name, .good = true
    };

    if (root == NULL) {
        return false;
    }
    struct model_condition *condition = arena_alloc(context->arena, sizeof(*condition));
    build(&builder, root, condition);
    service->checks = builder.checks;
    service->check_count = builder.count;
    service->condition = is_all_checks(condition) ? NULL : condition;
    return builder.good;
}

/* A name or a map of a check, rather than of a condition? Says nothing of what is wrong. */
static bool is_plain(const struct config_context *context, const struct config_item *item)
{
    if (item->value->kind == CONFIG_NODE_SCALAR) {
        uint32_t index = config_names_find(&context->check_names, item->value->text);
        return index == CONFIG_NAMES_NONE || !config_part_is_named(context, index);
    }
    return !config_part_is(item);
}

static bool read_plain(struct config_context *context, const struct config_item *item,
                       const char *host, struct model_check *check)
{
    uint32_t index;

    if (item->value->kind == CONFIG_NODE_MAP) {
        return config_check_read(context, item, check) &&
               config_check_settle(context, item, host, check);
    }
    if (!config_check_find(context, item, &index)) {
        return false;
    }
    *check = context->checks[index];
    return !context->check_broken[index] && config_check_settle(context, item, host, check);
}

bool config_condition_read_service(struct config_context *context, const struct config_item *item,
                                   struct model_service *service)
{
    size_t count = config_item_list_count(item);
    bool good = !item->value->broken;

    for (size_t i = 0; i < count; i++) {
        struct config_item one = config_item_list_at(item, i);
        if (!is_plain(context, &one)) {
            return read_tree(context, item, service);
        }
    }
    struct model_check *list = arena_array(context->arena, count, sizeof(*list));
    for (size_t i = 0; i < count; i++) {
        struct config_item one = config_item_list_at(item, i);
        good = read_plain(context, &one, service->name, &list[i]) && good;
    }
    service->checks = list;
    service->check_count = count;
    return good;
}

/* ------------------------------------------------------------------ services referred to */

static void find_service(struct config_context *context, const struct config_names *names,
                         struct config_part *part)
{
    uint8_t dname[NAME_MAX_BYTES];
    char text[NAME_TEXT_MAX];
    struct error err;

    if (name_parse(part->name, dname, &err) < 0) {
        config_error_node(context, NULL, part->node, "%.120s: %.100s", part->way, err.message);
        return;
    }
    name_format(dname, text, sizeof(text));
    part->model.index = config_names_find(names, text);
    if (part->model.index != CONFIG_NAMES_NONE) {
        return;
    }
    const char *nearest = config_names_nearest(names, text);
    struct error *unknown = config_error_node(context, NULL, part->node,
                                              "%.120s: unknown service '%.80s'", part->way, text);
    if (nearest != NULL) {
        error_hint(unknown, "did you mean '%s'?", nearest);
    } else {
        error_hint(unknown, "it must stand in the section services");
    }
}

enum standing {
    UNSEEN,
    ON_THE_WAY,
    DONE,
};

/* Which services need which: a search into depth that keeps its own stack. */
struct search {
    struct config_context *context;
    const struct config_use *uses;
    size_t use_count;
    uint32_t *owners; /* the service of each use */
    uint32_t *first;  /* of each service its first use, or MODEL_NONE */
    uint8_t *state;   /* of each service, enum standing */
    uint32_t *path;   /* services on the way down */
    uint32_t *next;   /* the use of each of those to follow next */
    size_t depth;
};

static void enter(struct search *search, uint32_t service)
{
    search->state[service] = ON_THE_WAY;
    search->path[search->depth] = service;
    search->next[search->depth++] = search->first[service];
}

static void report_circle(const struct search *search, const struct config_use *use)
{
    const struct model_service *services = search->context->model->services;
    struct text path = { 0 };
    size_t at = search->depth - 1;

    while (search->path[at] != use->node->index) {
        at--;
    }
    for (; at < search->depth; at++) {
        text_printf(&path, "%s -> ", services[search->path[at]].name);
    }
    text_put(&path, services[use->node->index].name);
    struct error *err =
        config_error_node(search->context, NULL, use->from->node, "%.120s: needs itself: %s",
                          use->from->way, text_string(&path));
    error_hint(err, "what a service needs must not need it in turn");
    text_fini(&path);
}

/* Follow one more use of the service at the end of the path. False when it closes a circle. */
static bool step(struct search *search)
{
    size_t last = search->depth - 1;
    uint32_t number = search->next[last];

    if (number >= search->use_count || search->owners[number] != search->path[last]) {
        search->state[search->path[last]] = DONE;
        search->depth--;
        return true;
    }
    search->next[last]++;
    const struct config_use *use = &search->uses[number];
    if (search->state[use->node->index] == ON_THE_WAY) {
        report_circle(search, use);
        return false;
    }
    if (search->state[use->node->index] == UNSEEN) {
        enter(search, use->node->index);
    }
    return true;
}

static void find_circles(struct config_context *context, const struct config_names *names)
{
    const struct config_parts *all = context->parts;
    size_t services = context->model->service_count;
    struct search search = {
        .context = context,
        .uses = all->uses,
        .use_count = all->use_count,
        .owners = arena_array(context->scratch, all->use_count, sizeof(uint32_t)),
        .first = arena_array(context->scratch, services, sizeof(uint32_t)),
        .state = arena_array(context->scratch, services, sizeof(uint8_t)),
        .path = arena_array(context->scratch, services, sizeof(uint32_t)),
        .next = arena_array(context->scratch, services, sizeof(uint32_t)),
    };

    memset(search.first, 0xff, services * sizeof(uint32_t));
    for (size_t i = all->use_count; i-- > 0;) {
        search.owners[i] = config_names_find(names, all->uses[i].user);
        REQUIRE(search.owners[i] < services);
        search.first[search.owners[i]] = (uint32_t)i;
    }
    for (size_t i = 0; i < all->use_count; i++) {
        if (search.state[search.owners[i]] == UNSEEN) {
            enter(&search, search.owners[i]);
        }
        while (search.depth > 0) {
            if (!step(&search)) {
                return;
            }
        }
    }
}

static void find_services(struct config_context *context)
{
    const struct config_parts *all = context->parts;
    const struct model *model = context->model;
    struct config_names names = { 0 };

    for (size_t i = 0; i < model->service_count; i += 1 + model->services[i].view_count) {
        if (model->services[i].dname != NULL) {
            config_names_add(&names, context->scratch, model->services[i].name, (uint32_t)i);
        }
    }
    config_names_sort(&names);
    for (size_t i = 0; i < all->service_count; i++) {
        find_service(context, &names, all->services[i]);
    }
    for (size_t i = 0; i < all->use_count; i++) {
        all->uses[i].node->index = all->uses[i].from->model.index;
    }
    if (context->error_count == 0) {
        find_circles(context, &names);
    }
}

void config_condition_resolve(struct config_context *context, const struct config_item *section)
{
    const struct model *model = context->model;
    size_t at = 0;

    if (context->parts != NULL && context->parts->service_count > 0) {
        find_services(context);
    }
    if (section == NULL || context->error_count > 0) {
        return;
    }
    for (size_t i = 0; i < section->value->count && at < model->service_count; i++) {
        const struct model_service *service = &model->services[at];
        struct config_item item = config_item_at(section, i);
        if (service->condition != NULL) {
            config_timing_check_limit(context, &item, service);
        }
        at += 1 + service->view_count;
    }
}
