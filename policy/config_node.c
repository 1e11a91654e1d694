#include "policy/config_node.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"

bool config_node_is_empty(const struct config_node *node)
{
    return node->kind == CONFIG_NODE_SCALAR && node->plain &&
           (node->text[0] == '\0' || strcmp(node->text, "~") == 0 ||
            strcmp(node->text, "null") == 0);
}

struct model_place config_node_place(const struct config_node *node)
{
    return (struct model_place){ .path = node->file->path, .line = node->line, .col = node->col };
}

void config_node_format_place(const struct config_node *node, char *out, size_t cap)
{
    (void)snprintf(out, cap, "%.200s:%u:%u", node->file->path, node->line, node->col);
}

struct config_item config_item_root(const struct config_node *root)
{
    return (struct config_item){ .key = root, .value = root };
}

struct config_item config_item_at(const struct config_item *parent, size_t index)
{
    REQUIRE(index < parent->value->count);
    const struct config_entry *entry = &parent->value->entries[index];

    return (struct config_item){
        .parent = parent,
        .name = entry->key == NULL ? NULL : entry->key->text,
        .index = index,
        .key = entry->key == NULL ? entry->value : entry->key,
        .value = entry->value,
    };
}

bool config_item_get(const struct config_item *parent, const char *key, struct config_item *out)
{
    const struct config_node *map = parent->value;

    if (map->kind != CONFIG_NODE_MAP) {
        return false;
    }
    for (size_t i = 0; i < map->count; i++) {
        if (strcmp(map->entries[i].key->text, key) == 0) {
            *out = config_item_at(parent, i);
            return true;
        }
    }
    return false;
}

size_t config_item_list_count(const struct config_item *item)
{
    if (item->value->kind == CONFIG_NODE_LIST) {
        return item->value->count;
    }
    return config_node_is_empty(item->value) || item->value->broken ? 0 : 1;
}

struct config_item config_item_list_at(const struct config_item *item, size_t index)
{
    if (item->value->kind == CONFIG_NODE_LIST) {
        return config_item_at(item, index);
    }
    /* one value where a list may stand: its way is the list's own */
    struct config_item one = *item;
    one.key = item->value;
    return one;
}

void config_item_put_path(const struct config_item *item, struct text *out)
{
    if (item->parent == NULL) {
        return;
    }
    config_item_put_path(item->parent, out);
    if (item->name == NULL) {
        text_printf(out, "[%zu]", item->index);
    } else {
        const char *quote = item->name[0] == '\0' || item->name[0] == '.' ? "'" : "";
        text_printf(out, "%s%s%s%s", out->length == 0 ? "" : ".", quote, item->name, quote);
    }
}
