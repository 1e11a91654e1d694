#pragma once
/*
 * config_node - what stands in the files, as a tree with places
 *
 * Made by config_yaml, read by the sections. A node may have several parents
 * (YAML aliases), so a tree is only read once it is built. Control thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/text.h"
#include "policy/model.h"

#define CONFIG_MAX_BYTES ((size_t)16 * 1024 * 1024) /* of a file and all it includes */
#define CONFIG_MAX_KEPT                                                                            \
    ((size_t)256 * 1024 * 1024)        /* of one that was accepted: all is written out */
#define CONFIG_MAX_NODES      2000000u /* likewise, aliases followed */
#define CONFIG_NODES_PER_BYTE 4u       /* but as many as that for each byte */
#define CONFIG_MAX_DEPTH      64u

struct config_file {
    const char *path;   /* as shown in messages; lives as long as the model */
    const char *folder; /* what relative paths in it start from, "" or with a last slash */
    const char *text;
    size_t length;
    unsigned number; /* files count in the order they were read */
    dev_t device;    /* with inode, which file it is; 0 when it is not one */
    ino_t inode;
};

enum config_node_kind {
    CONFIG_NODE_SCALAR,
    CONFIG_NODE_LIST,
    CONFIG_NODE_MAP,
};

struct config_entry {
    struct config_node *key; /* NULL in a list */
    struct config_node *value;
    bool merged; /* came by `<<`, so a written key goes first */
};

struct config_node {
    enum config_node_kind kind;
    bool plain;  /* a scalar without quotes */
    bool broken; /* its error is already reported */
    bool open;   /* still being read */
    uint8_t height;
    unsigned line; /* from 1 */
    unsigned col;
    uint32_t weight; /* nodes in it, itself included */
    const struct config_file *file;
    const char *text;             /* of a scalar, never NULL */
    struct config_entry *entries; /* of a list or map */
    size_t count;
};

/* A value on the way down from the root, with the way. Lives on the stack of the readers. */
struct config_item {
    const struct config_item *parent; /* NULL at the root */
    const char *name;                 /* the key, NULL for an element of a list */
    size_t index;
    const struct config_node *key; /* where it begins; the value itself in a list */
    const struct config_node *value;
};

/* Is nothing written there: `key:`, `~` or `null`? */
bool config_node_is_empty(const struct config_node *node);

/* Place of a node, for the model. */
struct model_place config_node_place(const struct config_node *node);

/* "path:line:col" of a node, for messages that name a second place. */
void config_node_format_place(const struct config_node *node, char *out, size_t cap);

/* The root itself; element or entry number `index` of a parent. */
struct config_item config_item_root(const struct config_node *root);
struct config_item config_item_at(const struct config_item *parent, size_t index);

/* The child with this key; false, and nothing written, when there is none. */
bool config_item_get(const struct config_item *parent, const char *key, struct config_item *out);

/* How many elements a value has where a list may be written as one value; empty has none. */
size_t config_item_list_count(const struct config_item *item);

/* Element `index` of such a value. */
struct config_item config_item_list_at(const struct config_item *item, size_t index);

/* Write the way as "services.api.svc.example.com.check[0]"; nothing for the root. */
void config_item_put_path(const struct config_item *item, struct text *out);
