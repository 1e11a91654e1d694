#include "policy/config_tls.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "policy/config_pin.h"
#include "policy/config_print.h"
#include "policy/config_table.h"
#include "zones/name.h"

#define MAX_PINS 16

bool config_tls_is_subject(const char *text)
{
    uint8_t dname[NAME_MAX_BYTES];
    struct addr addr;
    struct error ignored;

    if (addr_parse(text, 0, &addr, &ignored) == 0) {
        return addr.port == 0;
    }
    return strchr(text, '*') == NULL && strchr(text, ' ') == NULL &&
           name_parse(text, dname, &ignored) > 1;
}

bool config_tls_check_subject(struct config_context *context, const struct config_item *item,
                              const char *name, const char *whose)
{
    if (config_tls_is_subject(name)) {
        return true;
    }
    struct error *err = config_error_value(context, item, "'%.80s' is not a name", name);
    error_hint(err, "the name in %s certificate, e.g. cloudflare-dns.com", whose);
    return false;
}

static bool read_pins(struct config_context *context, const struct config_item *item,
                      struct tls_settings *tls)
{
    size_t count = config_item_list_count(item);
    struct error err;
    bool good = true;

    if (count > MAX_PINS) {
        config_error_key(context, item, "more than %d", MAX_PINS);
        return false;
    }
    uint8_t(*list)[CONFIG_PIN_BYTES] = arena_array(context->arena, count, sizeof(*list));
    for (size_t i = 0; i < count; i++) {
        struct config_item one = config_item_list_at(item, i);
        const char *text = config_table_scalar(context, &one);
        if (text == NULL) {
            good = false;
        } else if (config_pin_read(text, list[i], &err) < 0) {
            config_error_take(context, &one, &err);
            good = false;
        }
    }
    tls->pins = (const uint8_t(*)[CONFIG_PIN_BYTES])list;
    tls->pin_count = count;
    return good;
}

bool config_tls_read_trust(struct config_context *context, const struct config_item *item,
                           struct tls_settings *tls)
{
    struct config_item child;
    bool good = true;

    if (config_item_get(item, "pins", &child) && child.value->kind != CONFIG_NODE_MAP) {
        good = read_pins(context, &child, tls);
    }
    if (!context->is_kept && tls->ca_file != NULL && config_item_get(item, "ca_file", &child) &&
        access(tls->ca_file, R_OK) < 0) {
        config_error_value(context, &child, "%.200s cannot be read: %s", tls->ca_file,
                           strerror(errno));
        good = false;
    }
    return good;
}

void config_tls_put(const struct tls_settings *tls, struct text *out)
{
    const char *comma = "";

    if (tls->name != NULL) {
        text_put(out, "name: ");
        config_print_scalar(tls->name, out);
        comma = ", ";
    }
    for (size_t i = 0; i < tls->pin_count; i++) {
        text_printf(out, "%s%s", i == 0 ? comma : "", i == 0 ? "pins: [" : ", ");
        config_pin_put(tls->pins[i], out);
        text_put(out, i + 1 == tls->pin_count ? "]" : "");
        comma = ", ";
    }
    if (tls->ca_file != NULL) {
        text_printf(out, "%sca_file: ", comma);
        config_print_path(tls->ca_file, out);
    }
}
