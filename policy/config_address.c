#include "policy/config_address.h"

#include <string.h>

#include "base/arena.h"
#include "policy/config_table.h"

static bool is_v4_multicast_or_reserved(const struct addr *addr)
{
    return addr->family == ADDR_V4 && addr->bytes[0] >= 224; /* RFC 1112, section 4 */
}

static bool is_v6_multicast(const struct addr *addr)
{
    return addr->family == ADDR_V6 && addr->bytes[0] == 0xff; /* RFC 4291, section 2.7 */
}

static bool is_v6_link_local(const struct addr *addr)
{
    return addr->family == ADDR_V6 && addr->bytes[0] == 0xfe &&
           (addr->bytes[1] & 0xc0) == 0x80; /* RFC 4291, section 2.5.6 */
}

static bool is_v4_mapped(const struct addr *addr)
{
    static const uint8_t prefix[12] = { [10] = 0xff, [11] = 0xff };

    return addr->family == ADDR_V6 && memcmp(addr->bytes, prefix, sizeof(prefix)) == 0;
}

/* "This network", 0.0.0.0/8 (RFC 1122, section 3.2.1.3), and ::. */
static bool is_unspecified(const struct addr *addr)
{
    return addr_is_any(addr) || (addr->family == ADDR_V4 && addr->bytes[0] == 0);
}

const char *config_address_misfit(const struct addr *addr, enum config_address_use use)
{
    bool answered = use == CONFIG_ADDRESS_ENDPOINT || use == CONFIG_ADDRESS_ANSWER;

    if (is_v4_multicast_or_reserved(addr) || is_v6_multicast(addr)) {
        return "is a multicast or reserved address";
    }
    if (is_v4_mapped(addr)) {
        return "is an IPv4 address in IPv6 form; write the IPv4 address";
    }
    if (use != CONFIG_ADDRESS_LISTEN && is_unspecified(addr)) {
        return "stands for every address, not for one";
    }
    if (answered && is_v6_link_local(addr)) {
        return "is link-local: clients cannot reach it by name";
    }
    return NULL;
}

bool config_address_read(struct config_context *context, const struct config_item *item,
                         enum config_address_use use, uint16_t default_port, struct addr *out)
{
    const char *text = config_table_scalar(context, item);
    struct addr addr;
    struct error err;

    if (text == NULL) {
        return false;
    }
    if (addr_parse(text, default_port, &addr, &err) < 0) {
        config_error_take(context, item, &err);
        return false;
    }
    const char *why = config_address_misfit(&addr, use);
    if (why != NULL) {
        config_error_value(context, item, "%s %s", text, why);
        return false;
    }
    if ((use == CONFIG_ADDRESS_ANSWER || use == CONFIG_ADDRESS_SOURCE) && addr.port != 0) {
        config_error_value(context, item, "%s: an address without a port is needed here", text);
        return false;
    }
    if (default_port != 0 && addr.port == 0) {
        config_error_value(context, item, "%s: a port must be 1 to 65535", text);
        return false;
    }
    *out = addr;
    return true;
}

bool config_address_read_list(struct config_context *context, const struct config_item *item,
                              enum config_address_use use, const struct addr **out,
                              size_t *out_count)
{
    size_t count = config_item_list_count(item);
    struct addr *list = arena_array(context->arena, count, sizeof(*list));
    bool good = true;

    for (size_t i = 0; i < count; i++) {
        struct config_item one = config_item_list_at(item, i);
        good = config_address_read(context, &one, use, 0, &list[i]) && good;
    }
    *out = list;
    *out_count = count;
    return good;
}
