#include "policy/config_yaml.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/arena.h"
#include "base/text.h"
#include "policy/config_env.h"

#define MAX_ANCHORS 1000

struct anchor {
    const char *name;
    struct config_node *node;
};

struct reader {
    struct config_context *context;
    const struct config_file *file;
    yaml_parser_t parser;
    struct anchor *anchors;
    size_t anchor_count;
};

static struct config_node *read_node(struct reader *reader, const yaml_event_t *event,
                                     unsigned depth);

/* Does a line, counted from 1, hold a variable? In braces or brackets it must be quoted. */
static bool has_variable(const struct config_file *file, unsigned line)
{
    const char *s = file->text;

    for (; line > 1 && s != NULL; line--) {
        s = strchr(s, '\n');
        s = s == NULL ? NULL : s + 1;
    }
    const char *found = s == NULL ? NULL : strstr(s, "${");
    return found != NULL && memchr(s, '\n', (size_t)(found - s)) == NULL;
}

/* A syntax error; libyaml's marks count from zero, this is where they become places. */
static void syntax_error(struct reader *reader)
{
    const yaml_parser_t *parser = &reader->parser;
    const char *problem = parser->problem == NULL ? "not YAML" : parser->problem;
    unsigned line = (unsigned)parser->problem_mark.line + 1;
    unsigned col = (unsigned)parser->problem_mark.column + 1;

    if (parser->error == YAML_READER_ERROR) {
        /* the reader knows an offset only: count up to it */
        const char *text = reader->file->text;
        size_t offset = parser->problem_offset < reader->file->length ? parser->problem_offset
                                                                      : reader->file->length;
        line = 1;
        col = 1;
        for (size_t i = 0; i < offset; i++) {
            bool end = text[i] == '\n';
            line += end;
            col = end ? 1 : col + (((uint8_t)text[i] & 0xc0) != 0x80);
        }
    }
    struct error *err = config_error_place(reader->context, reader->file, line, col, "%s", problem);
    if (strcmp(problem, "found character that cannot start any token") == 0) {
        error_hint(err, "indent with spaces, not tabs; quote a value that begins with %% @ or `");
    } else if (parser->error == YAML_PARSER_ERROR && has_variable(reader->file, line)) {
        error_hint(err, "inside { } and [ ] a variable must be quoted: \"${NAME}\"");
    } else if (parser->error == YAML_PARSER_ERROR && parser->context != NULL) {
        error_hint(err, "%s that begins in line %zu", parser->context,
                   parser->context_mark.line + 1);
    }
}

/* The next event, which the caller deletes; false when the text is broken. */
static bool next(struct reader *reader, yaml_event_t *event)
{
    if (!yaml_parser_parse(&reader->parser, event)) {
        syntax_error(reader);
        return false;
    }
    return true;
}

/*
 * How many nodes the load may have: a small file is no excuse for many, but one
 * that names a million services by aliases has tens of millions.
 */
static uint32_t most_nodes(const struct config_context *context)
{
    size_t by_size = CONFIG_NODES_PER_BYTE * context->byte_count;

    return by_size > CONFIG_MAX_NODES ? (uint32_t)by_size : CONFIG_MAX_NODES;
}

/* Count nodes against the limit of the whole load. */
static bool count_nodes(struct reader *reader, uint32_t more, const yaml_event_t *event)
{
    struct config_context *context = reader->context;
    uint32_t most = most_nodes(context);

    if (context->node_count <= most && more <= most - context->node_count) {
        context->node_count += more;
        return true;
    }
    context->node_count = most;
    struct error *err =
        config_error_place(context, reader->file, (unsigned)event->start_mark.line + 1,
                           (unsigned)event->start_mark.column + 1, "more than %u values", most);
    if (event->type == YAML_ALIAS_EVENT) {
        error_hint(err, "an alias counts for all that stands behind it");
    }
    return false;
}

static bool too_deep(struct reader *reader, const yaml_event_t *event)
{
    config_error_place(reader->context, reader->file, (unsigned)event->start_mark.line + 1,
                       (unsigned)event->start_mark.column + 1,
                       "lists and maps stand in each other more than %u deep", CONFIG_MAX_DEPTH);
    return false;
}

static struct config_node *new_node(struct reader *reader, const yaml_event_t *event,
                                    enum config_node_kind kind)
{
    if (!count_nodes(reader, 1, event)) {
        return NULL;
    }
    struct config_node *node = arena_alloc(reader->context->scratch, sizeof(*node));
    node->kind = kind;
    node->file = reader->file;
    node->line = (unsigned)event->start_mark.line + 1;
    node->col = (unsigned)event->start_mark.column + 1;
    node->text = "";
    node->weight = 1;
    node->height = 1;
    return node;
}

static bool add_anchor(struct reader *reader, const yaml_char_t *name, struct config_node *node)
{
    if (name == NULL) {
        return true;
    }
    if (reader->anchor_count == MAX_ANCHORS) {
        config_error_place(reader->context, reader->file, node->line, node->col,
                           "more than %d anchors", MAX_ANCHORS);
        return false;
    }
    reader->anchors[reader->anchor_count++] = (struct anchor){
        .name = arena_strdup(reader->context->scratch, (const char *)name),
        .node = node,
    };
    return true;
}

static struct config_node *follow_alias(struct reader *reader, const yaml_event_t *event,
                                        unsigned depth)
{
    const char *name = (const char *)event->data.alias.anchor;
    unsigned line = (unsigned)event->start_mark.line + 1;
    unsigned col = (unsigned)event->start_mark.column + 1;

    /* an anchor may be set again; the last one counts (YAML 1.1, section 3.2.2.2) */
    for (size_t i = reader->anchor_count; i > 0; i--) {
        struct config_node *node = reader->anchors[i - 1].node;
        if (strcmp(reader->anchors[i - 1].name, name) != 0) {
            continue;
        }
        if (node->open) {
            config_error_place(reader->context, reader->file, line, col,
                               "the alias *%s stands inside what it names", name);
            return NULL;
        }
        if (depth + node->height - 1 > CONFIG_MAX_DEPTH) {
            too_deep(reader, event);
            return NULL;
        }
        return count_nodes(reader, node->weight, event) ? node : NULL;
    }
    config_error_place(reader->context, reader->file, line, col, "no anchor &%s before this alias",
                       name);
    return NULL;
}

/* Replace the variables in a scalar; what goes wrong marks it as broken. */
static void expand(struct reader *reader, struct config_node *node, const char *raw)
{
    struct config_context *context = reader->context;
    struct text out = { 0 };
    struct error err;

    if (config_env_expand(raw, &out, &err) < 0) {
        struct error *mine = config_error_node(context, NULL, node, "%s", err.message);
        error_hint(mine, "%s", err.hint);
        node->broken = true;
    } else if (text_failed(&out) ||
               out.length > config_context_most_bytes(context) - context->byte_count) {
        config_error_node(context, NULL, node, "the values of variables are too long");
        node->broken = true;
    } else {
        context->byte_count += out.length;
        node->text = arena_copy(context->scratch, text_string(&out), out.length + 1);
    }
    text_fini(&out);
}

static struct config_node *read_scalar(struct reader *reader, const yaml_event_t *event)
{
    struct config_node *node = new_node(reader, event, CONFIG_NODE_SCALAR);
    const char *raw = (const char *)event->data.scalar.value;
    size_t length = event->data.scalar.length;

    if (node == NULL || !add_anchor(reader, event->data.scalar.anchor, node)) {
        return NULL;
    }
    node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (strlen(raw) != length) {
        config_error_node(reader->context, NULL, node, "a value cannot hold a NUL byte");
        node->broken = true;
    } else if (strstr(raw, "${") != NULL) {
        expand(reader, node, raw);
    } else {
        node->text = arena_copy(reader->context->scratch, raw, length + 1);
    }
    return node;
}

static void add_entry(struct reader *reader, struct config_node *node, struct config_node *key,
                      struct config_node *value, bool merged)
{
    struct arena *scratch = reader->context->scratch;

    node->entries = arena_grow(scratch, node->entries, node->count, sizeof(*node->entries));
    node->entries[node->count++] =
        (struct config_entry){ .key = key, .value = value, .merged = merged };
    node->weight += value->weight + (key != NULL);
    if (value->height + 1 > node->height) {
        node->height = (uint8_t)(value->height + 1);
    }
}

static struct config_node *read_list(struct reader *reader, const yaml_event_t *begin,
                                     unsigned depth)
{
    struct config_node *list = new_node(reader, begin, CONFIG_NODE_LIST);
    yaml_event_t event;

    if (list == NULL || !add_anchor(reader, begin->data.sequence_start.anchor, list)) {
        return NULL;
    }
    list->open = true;
    for (;;) {
        if (!next(reader, &event)) {
            return NULL;
        }
        if (event.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&event);
            list->open = false;
            return list;
        }
        struct config_node *value = read_node(reader, &event, depth + 1);
        yaml_event_delete(&event);
        if (value == NULL) {
            return NULL;
        }
        add_entry(reader, list, NULL, value, false);
    }
}

static void merge_one(struct reader *reader, struct config_node *map, const struct config_node *key,
                      const struct config_node *from)
{
    if (from->kind != CONFIG_NODE_MAP) {
        config_error_node(reader->context, NULL, key, "<< takes a map, or a list of maps");
        return;
    }
    for (size_t i = 0; i < from->count; i++) {
        add_entry(reader, map, from->entries[i].key, from->entries[i].value, true);
    }
}

/* What `<<` names goes behind the written entries, which win in config_yaml_unify. */
static void merge(struct reader *reader, struct config_node *map, const struct config_node *key,
                  const struct config_node *from)
{
    if (from->kind != CONFIG_NODE_LIST) {
        merge_one(reader, map, key, from);
        return;
    }
    for (size_t i = 0; i < from->count; i++) {
        merge_one(reader, map, key, from->entries[i].value);
    }
}

/* One key, whose event is given, and its value. */
static bool read_pair(struct reader *reader, struct config_node *map, const yaml_event_t *begin,
                      unsigned depth)
{
    yaml_event_t event;

    struct config_node *key = read_node(reader, begin, depth + 1);
    if (key == NULL || !next(reader, &event)) {
        return false;
    }
    struct config_node *value = read_node(reader, &event, depth + 1);
    yaml_event_delete(&event);
    if (value == NULL) {
        return false;
    }
    if (key->kind != CONFIG_NODE_SCALAR) {
        config_error_node(reader->context, NULL, key, "a key must be a single word");
    } else if (key->plain && strcmp(key->text, "<<") == 0) {
        merge(reader, map, key, value);
    } else if (!key->broken) {
        add_entry(reader, map, key, value, false);
    }
    return true;
}

static struct config_node *read_map(struct reader *reader, const yaml_event_t *begin,
                                    unsigned depth)
{
    struct config_node *map = new_node(reader, begin, CONFIG_NODE_MAP);
    yaml_event_t event;

    if (map == NULL || !add_anchor(reader, begin->data.mapping_start.anchor, map)) {
        return NULL;
    }
    map->open = true;
    for (;;) {
        if (!next(reader, &event)) {
            return NULL;
        }
        bool end = event.type == YAML_MAPPING_END_EVENT;
        bool good = end || read_pair(reader, map, &event, depth);
        yaml_event_delete(&event);
        if (!good) {
            return NULL;
        }
        if (end) {
            map->open = false;
            config_yaml_unify(reader->context, map, false);
            return map;
        }
    }
}

static struct config_node *read_node(struct reader *reader, const yaml_event_t *event,
                                     unsigned depth)
{
    if (depth > CONFIG_MAX_DEPTH) {
        too_deep(reader, event);
        return NULL;
    }
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return read_scalar(reader, event);
    case YAML_SEQUENCE_START_EVENT:
        return read_list(reader, event, depth);
    case YAML_MAPPING_START_EVENT:
        return read_map(reader, event, depth);
    case YAML_ALIAS_EVENT:
        return follow_alias(reader, event, depth);
    default:
        error_required("an event that begins a node", __FILE__, __LINE__);
    }
}

struct ordered {
    const struct config_entry *entry;
    size_t index;
};

static int compare_keys(const void *a, const void *b)
{
    const struct ordered *x = a;
    const struct ordered *y = b;
    int order = strcmp(x->entry->key->text, y->entry->key->text);

    return order != 0                             ? order
           : x->entry->merged != y->entry->merged ? (x->entry->merged ? 1 : -1)
                                                  : (x->index < y->index ? -1 : 1);
}

static void report_twice(struct config_context *context, const struct config_entry *first,
                         const struct config_entry *again)
{
    char place[256];

    config_node_format_place(first->key, place, sizeof(place));
    struct error *err = config_error_node(
        context, NULL, again->key, "'%.100s' is given twice, first at %s", again->key->text, place);
    error_hint(err, "keep one of the two");
}

/* One map of the entries of all maps in the group. */
static struct config_node *join_group(struct config_context *context, const struct ordered *group,
                                      size_t count)
{
    struct config_node *all = arena_alloc(context->scratch, sizeof(*all));
    size_t total = 0;

    for (size_t i = 0; i < count; i++) {
        total += group[i].entry->value->count;
    }
    *all = *group[0].entry->value;
    all->entries = arena_array(context->scratch, total + 1, sizeof(*all->entries));
    all->count = 0;
    for (size_t i = 0; i < count; i++) {
        const struct config_node *map = group[i].entry->value;
        for (size_t j = 0; j < map->count; j++) {
            all->entries[all->count++] = map->entries[j];
        }
    }
    config_yaml_unify(context, all, false);
    return all;
}

static bool are_maps(const struct ordered *group, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (group[i].entry->value->kind != CONFIG_NODE_MAP) {
            return false;
        }
    }
    return true;
}

/* What stays of a group of equal keys: the first, or all joined. */
static struct config_entry unify_group(struct config_context *context, const struct ordered *group,
                                       size_t count, bool join)
{
    struct config_entry first = *group[0].entry;

    if (count > 1 && join && are_maps(group, count)) {
        first.value = join_group(context, group, count);
        return first;
    }
    for (size_t i = 1; i < count; i++) {
        if (!group[i].entry->merged) {
            report_twice(context, &first, group[i].entry);
        }
    }
    return first;
}

void config_yaml_unify(struct config_context *context, struct config_node *map, bool join)
{
    size_t count = map->count;
    bool *keep = arena_array(context->scratch, count + 1, sizeof(*keep));
    struct ordered *order = arena_array(context->scratch, count + 1, sizeof(*order));

    for (size_t i = 0; i < count; i++) {
        order[i] = (struct ordered){ .entry = &map->entries[i], .index = i };
    }
    qsort(order, count, sizeof(*order), compare_keys);
    for (size_t i = 0, end; i < count; i = end) {
        const char *key = order[i].entry->key->text;
        for (end = i + 1; end < count && strcmp(order[end].entry->key->text, key) == 0;) {
            end++;
        }
        size_t index = order[i].index;
        map->entries[index] = unify_group(context, order + i, end - i, join);
        keep[index] = true;
    }
    map->count = 0;
    for (size_t i = 0; i < count; i++) {
        if (keep[i]) {
            map->entries[map->count++] = map->entries[i];
        }
    }
}

/* The one document of the stream. */
static struct config_node *read_document(struct reader *reader)
{
    struct config_node *root = NULL;
    yaml_event_t event;

    if (!next(reader, &event)) {
        return NULL;
    }
    bool empty = event.type != YAML_DOCUMENT_START_EVENT;
    yaml_event_delete(&event);
    if (empty) {
        struct error *err =
            config_error_place(reader->context, reader->file, 1, 1, "the file is empty");
        error_hint(err, "the smallest useful one has services: or forward:");
        return NULL;
    }
    if (!next(reader, &event)) {
        return NULL;
    }
    root = read_node(reader, &event, 1);
    yaml_event_delete(&event);
    if (root != NULL && root->kind != CONFIG_NODE_MAP) {
        struct error *err =
            config_error_node(reader->context, NULL, root, "the file must be a map of sections");
        error_hint(err, "it begins with a line such as services:");
        return NULL;
    }
    return root;
}

/* Nothing may come behind the document. */
static bool read_end(struct reader *reader)
{
    yaml_event_t event;
    bool good = true;

    for (bool end = false; good && !end;) {
        if (!next(reader, &event)) {
            return false;
        }
        if (event.type == YAML_DOCUMENT_START_EVENT) {
            config_error_place(reader->context, reader->file, (unsigned)event.start_mark.line + 1,
                               (unsigned)event.start_mark.column + 1,
                               "a second document; one file is one configuration");
            good = false;
        }
        end = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    return good;
}

struct config_node *config_yaml_read(struct config_context *context, const struct config_file *file)
{
    struct reader reader = { .context = context, .file = file };
    struct config_node *root = NULL;
    yaml_event_t event;

    if (!yaml_parser_initialize(&reader.parser)) {
        config_error_place(context, file, 1, 1, "out of memory");
        return NULL;
    }
    reader.anchors = arena_array(context->scratch, MAX_ANCHORS, sizeof(*reader.anchors));
    yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)file->text, file->length);
    if (next(&reader, &event)) {
        yaml_event_delete(&event); /* the stream's start */
        root = read_document(&reader);
    }
    if (root != NULL && !read_end(&reader)) {
        root = NULL;
    }
    yaml_parser_delete(&reader.parser);
    return root;
}
