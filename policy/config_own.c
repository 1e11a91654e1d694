#include "policy/config_own.h"

#include <ifaddrs.h>

#include "base/arena.h"

/* The addresses of this machine's interfaces, looked up once for each load. */
static void learn(struct config_context *context)
{
    struct ifaddrs *list = NULL;
    struct addr addr;

    if (context->own_known) {
        return;
    }
    context->own_known = true;
    if (getifaddrs(&list) < 0) {
        return; /* only loopback is known then */
    }
    for (const struct ifaddrs *one = list; one != NULL; one = one->ifa_next) {
        if (one->ifa_addr != NULL && addr_from_sockaddr(one->ifa_addr, &addr)) {
            context->own =
                arena_grow(context->scratch, context->own, context->own_count, sizeof(addr));
            context->own[context->own_count++] = addr;
        }
    }
    freeifaddrs(list);
}

static bool is_here(struct config_context *context, const struct addr *addr)
{
    if (addr_is_loopback(addr)) {
        return true;
    }
    learn(context);
    for (size_t i = 0; i < context->own_count; i++) {
        if (addr_same_host(&context->own[i], addr)) {
            return true;
        }
    }
    return false;
}

const struct model_listener *config_own_listener(struct config_context *context,
                                                 const struct addr *addr)
{
    const struct model *model = context->model;

    for (size_t i = 0; i < model->listener_count; i++) {
        const struct addr *listener = &model->listeners[i].address;
        if (listener->port == 0 || listener->port != addr->port) {
            continue; /* port 0: it is wrong, and reported */
        }
        if (addr_equal(listener, addr) ||
            (listener->family == addr->family && addr_is_any(listener) && is_here(context, addr))) {
            return &model->listeners[i];
        }
    }
    return NULL;
}

void config_own_put(const struct model_listener *listener, struct text *out)
{
    char text[ADDR_TEXT_MAX];

    addr_format_port(&listener->address, text, sizeof(text));
    if (listener->place.line == 0) {
        text_printf(out, "%s by default", text);
    } else {
        text_printf(out, "%s at %.200s:%u:%u", text, listener->place.path, listener->place.line,
                    listener->place.col);
    }
}
