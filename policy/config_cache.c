#include "policy/config_cache.h"

#include "policy/config_value.h"

#define KIB   ((uint64_t)1024)
#define GIB   (KIB * 1024 * 1024)
#define HOUR  3600
#define DAY   86400
#define MONTH (30 * DAY)

/* clang-format off */
#define AT(member) offsetof(struct model, cache.member)
static const struct config_row cache_rows[] = {
    { "size", CONFIG_SIZE, AT(size_bytes), 256 * KIB, 64 * GIB, "64MiB",
      .help = "Memory for it, all of its own overhead included; `off`: no cache.",
      .word = "off" },
    { "serve_stale", CONFIG_SECONDS, AT(serve_stale_s), 1, MONTH, "3d",
      .help = "How long past its TTL an answer may still serve when no upstream answers (RFC "
              "8767); `off`: never.",
      .word = "off" },
    { "stale_ttl", CONFIG_SECONDS, AT(stale_ttl_s), 1, HOUR, "30s",
      .help = "TTL of an answer that is served past its own." },
    { "stale_wait", CONFIG_MS, AT(stale_wait_ms), 0, 5000, "300ms",
      .help = "How long upstreams that live but are slow are waited for before an expired answer "
              "serves; those that are down are not waited for." },
    { "prefetch", CONFIG_BOOL, AT(prefetch), 0, 0, "true",
      .help = "Ask again for what is asked often before it expires." },
    { "persist", CONFIG_BOOL, AT(persist), 0, 0, "true",
      .help = "Keep a copy in the state directory, so that a restart begins with it." },
    { "min_ttl", CONFIG_SECONDS, AT(min_ttl_s), 0, HOUR, "0s",
      .help = "Shorter TTLs count as this long." },
    { "max_ttl", CONFIG_SECONDS, AT(max_ttl_s), 1, 7 * DAY, "1d",
      .help = "Longer TTLs count as this long; at least min_ttl." },
    { "max_negative_ttl", CONFIG_SECONDS, AT(max_negative_ttl_s), 1, DAY, "15m",
      .help = "The same for \"no such name\" and \"no such data\" (RFC 2308)." },
};
#undef AT
/* clang-format on */

const struct config_table config_cache_table = {
    "cache",
    "Answers of others, kept.",
    cache_rows,
    sizeof(cache_rows) / sizeof(cache_rows[0]),
};

/* `cache: off`, or something else that is not a map. */
static void read_word(struct config_context *context, const struct config_item *item)
{
    struct error err;
    bool on;

    const char *text = config_table_scalar(context, item);
    if (text == NULL) {
        return;
    }
    if (config_value_bool(text, &on, &err) < 0 || on) {
        struct error *mine = config_error_value(context, item, "must be off or a map");
        error_hint(mine, "e.g. cache: {size: 64MiB}");
    } else {
        context->model->cache.size_bytes = 0;
    }
}

static void check_ttls(struct config_context *context, const struct config_item *cache)
{
    const struct model_cache *read = &context->model->cache;
    struct config_item item;

    if (read->min_ttl_s <= read->max_ttl_s) {
        return;
    }
    REQUIRE(config_item_get(cache, "min_ttl", &item)); /* its default is below every max_ttl */
    struct error *err = config_error_value(context, &item, "%us is longer than max_ttl, %us",
                                           read->min_ttl_s, read->max_ttl_s);
    error_hint(err, "no TTL could be both");
}

void config_cache_read(struct config_context *context, const struct config_item *root)
{
    struct model *model = context->model;
    struct config_item cache;

    config_table_set_defaults(context, &config_cache_table, model);
    if (!config_item_get(root, "cache", &cache) || cache.value->broken) {
        return;
    }
    if (cache.value->kind == CONFIG_NODE_MAP) {
        if (config_table_read(context, &config_cache_table, &cache, model)) {
            check_ttls(context, &cache);
        }
    } else if (cache.value->kind == CONFIG_NODE_SCALAR && !config_node_is_empty(cache.value)) {
        read_word(context, &cache);
    }
}
