#include "policy/config_acl.h"

#include <string.h>

#include "base/arena.h"
#include "policy/config_table.h"

void config_acl_read(struct config_context *context, const struct config_item *item,
                     struct model_acl *acl)
{
    size_t count = config_item_list_count(item);
    struct addr_prefix *prefixes = arena_array(context->arena, count, sizeof(*prefixes));
    struct error err;

    *acl = (struct model_acl){ .prefixes = prefixes };
    for (size_t i = 0; i < count; i++) {
        struct config_item one = config_item_list_at(item, i);
        const char *text = config_table_scalar(context, &one);
        if (text == NULL) {
            continue;
        }
        if (strcmp(text, "any") == 0) {
            acl->any = true;
        } else if (strcmp(text, "loopback") == 0) {
            acl->loopback = true;
        } else if (addr_prefix_parse(text, &prefixes[acl->prefix_count], &err) == 0) {
            acl->prefix_count++;
        } else {
            error_hint(&err, "write any, loopback, 10.0.0.0/8, 2001:db8::/32 or an address");
            config_error_take(context, &one, &err);
        }
    }
}

void config_acl_put(const struct model_acl *acl, struct text *out)
{
    const char *comma = "";
    char base[ADDR_TEXT_MAX];

    text_put_char(out, '[');
    if (acl->any) {
        text_put(out, "any");
        comma = ", ";
    }
    if (acl->loopback) {
        text_printf(out, "%sloopback", comma);
        comma = ", ";
    }
    for (size_t i = 0; i < acl->prefix_count; i++) {
        addr_format(&acl->prefixes[i].base, base, sizeof(base));
        text_printf(out, "%s\"%s/%u\"", comma, base, acl->prefixes[i].bits);
        comma = ", ";
    }
    text_put_char(out, ']');
}
