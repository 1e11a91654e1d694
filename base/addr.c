#include "base/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t mapped_prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

size_t addr_size_bytes(const struct addr *addr)
{
    return addr->family == ADDR_V4 ? 4 : 16;
}

static bool parse_port(const char *text, uint16_t *out)
{
    char *end;

    if (*text < '0' || *text > '9') {
        return false;
    }
    unsigned long value = strtoul(text, &end, 10);
    if (*end != '\0' || value > 65535) {
        return false;
    }
    *out = (uint16_t)value;
    return true;
}

/* An address alone, with a scope where it is IPv6 and has one. */
static bool parse_host(char *host, struct addr *out)
{
    if (inet_pton(AF_INET, host, out->bytes) == 1) {
        out->family = ADDR_V4;
        return true;
    }
    char *scope = strchr(host, '%');
    if (scope != NULL) {
        *scope++ = '\0';
        out->scope = if_nametoindex(scope);
        if (out->scope == 0) {
            return false;
        }
    }
    out->family = ADDR_V6;
    return inet_pton(AF_INET6, host, out->bytes) == 1;
}

/* Part "host", "host:port" and "[host]:port"; `port` is NULL when not given. */
static bool split(char *text, char **host, char **port)
{
    *host = text;
    *port = NULL;
    if (*text == '[') {
        char *end = strchr(text, ']');
        if (end == NULL || (end[1] != '\0' && end[1] != ':')) {
            return false;
        }
        *host = text + 1;
        *port = end[1] == ':' ? end + 2 : NULL;
        *end = '\0';
        return true;
    }
    char *colon = strchr(text, ':');
    if (colon != NULL && strchr(colon + 1, ':') == NULL) {
        *colon = '\0';
        *port = colon + 1;
    }
    return true;
}

int addr_parse(const char *text, uint16_t default_port, struct addr *out, struct error *err)
{
    char copy[ADDR_TEXT_MAX];
    char *host, *port;
    struct addr addr = { .port = default_port };

    if (strlen(text) >= sizeof(copy)) {
        return error_set(err, -EINVAL, "'%.80s' is not an IP address", text);
    }
    memcpy(copy, text, strlen(text) + 1);
    if (!split(copy, &host, &port) || !parse_host(host, &addr)) {
        error_set(err, -EINVAL, "'%s' is not an IP address", text);
        error_hint(err, "write 10.1.0.2, 10.1.0.2:53, 2001:db8::1 or [2001:db8::1]:53");
        return err->code;
    }
    if (port != NULL && !parse_port(port, &addr.port)) {
        return error_set(err, -EINVAL, "'%s' is not a port, in '%s'", port, text);
    }
    *out = addr;
    return 0;
}

void addr_format(const struct addr *addr, char *out, size_t cap)
{
    char host[INET6_ADDRSTRLEN];
    char scope[IF_NAMESIZE];

    inet_ntop(addr->family == ADDR_V4 ? AF_INET : AF_INET6, addr->bytes, host, sizeof(host));
    if (addr->scope != 0 && if_indextoname(addr->scope, scope) != NULL) {
        (void)snprintf(out, cap, "%s%%%s", host, scope);
    } else {
        (void)snprintf(out, cap, "%s", host);
    }
}

void addr_format_port(const struct addr *addr, char *out, size_t cap)
{
    char host[INET6_ADDRSTRLEN + 1 + IF_NAMESIZE];

    addr_format(addr, host, sizeof(host));
    (void)snprintf(out, cap, addr->family == ADDR_V4 ? "%s:%u" : "[%s]:%u", host, addr->port);
}

bool addr_same_host(const struct addr *a, const struct addr *b)
{
    return a->family == b->family && a->scope == b->scope &&
           memcmp(a->bytes, b->bytes, addr_size_bytes(a)) == 0;
}

bool addr_equal(const struct addr *a, const struct addr *b)
{
    return a->port == b->port && addr_same_host(a, b);
}

/* The IPv4 bytes of an IPv4 or IPv4-mapped address, NULL for other ones. */
static const uint8_t *v4_bytes(const struct addr *addr)
{
    if (addr->family == ADDR_V4) {
        return addr->bytes;
    }
    return memcmp(addr->bytes, mapped_prefix, sizeof(mapped_prefix)) == 0 ? addr->bytes + 12
                                                                           : NULL;
}

bool addr_is_loopback(const struct addr *addr)
{
    const uint8_t *v4 = v4_bytes(addr);

    if (v4 != NULL) {
        return v4[0] == 127;
    }
    return memcmp(addr->bytes, &in6addr_loopback, 16) == 0;
}

bool addr_is_any(const struct addr *addr)
{
    static const uint8_t zeros[16];

    return memcmp(addr->bytes, zeros, addr_size_bytes(addr)) == 0;
}

socklen_t addr_to_sockaddr(const struct addr *addr, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof(*out));
    if (addr->family == ADDR_V4) {
        struct sockaddr_in *v4 = (struct sockaddr_in *)out;
        v4->sin_family = AF_INET;
        v4->sin_port = htons(addr->port);
        memcpy(&v4->sin_addr, addr->bytes, 4);
        return sizeof(*v4);
    }
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(addr->port);
    v6->sin6_scope_id = addr->scope;
    memcpy(&v6->sin6_addr, addr->bytes, 16);
    return sizeof(*v6);
}

bool addr_from_sockaddr(const struct sockaddr *sa, struct addr *out)
{
    memset(out, 0, sizeof(*out));
    if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)sa;
        out->family = ADDR_V4;
        out->port = ntohs(v4->sin_port);
        memcpy(out->bytes, &v4->sin_addr, 4);
        return true;
    }
    if (sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)sa;
        out->family = ADDR_V6;
        out->port = ntohs(v6->sin6_port);
        out->scope = v6->sin6_scope_id;
        memcpy(out->bytes, &v6->sin6_addr, 16);
        return true;
    }
    return false;
}

int addr_prefix_parse(const char *text, struct addr_prefix *out, struct error *err)
{
    char copy[ADDR_TEXT_MAX];
    struct addr_prefix prefix = { 0 };

    if (strlen(text) >= sizeof(copy)) {
        return error_set(err, -EINVAL, "'%.80s' is not a prefix", text);
    }
    memcpy(copy, text, strlen(text) + 1);
    char *slash = strchr(copy, '/');
    if (slash != NULL) {
        *slash = '\0';
    }
    if (!parse_host(copy, &prefix.base)) {
        error_set(err, -EINVAL, "'%s' is not an IP prefix", text);
        error_hint(err, "write 10.0.0.0/8, 2001:db8::/32 or a single address");
        return err->code;
    }
    uint16_t bits = (uint16_t)(addr_size_bytes(&prefix.base) * 8);
    uint16_t most = bits;
    if (slash != NULL && (!parse_port(slash + 1, &bits) || bits > most)) {
        return error_set(err, -EINVAL, "'%s': the prefix length must be 0 to %u", text, most);
    }
    prefix.bits = (uint8_t)bits;
    *out = prefix;
    return 0;
}

bool addr_prefix_contains(const struct addr_prefix *prefix, const struct addr *addr)
{
    const uint8_t *bytes = prefix->base.family == ADDR_V4 ? v4_bytes(addr) : addr->bytes;

    if (bytes == NULL || (prefix->base.family == ADDR_V6 && addr->family == ADDR_V4)) {
        return false;
    }
    unsigned whole = prefix->bits / 8u;
    unsigned rest = prefix->bits % 8u;
    if (memcmp(bytes, prefix->base.bytes, whole) != 0) {
        return false;
    }
    if (rest == 0) {
        return true;
    }
    unsigned mask = 0xff00u >> rest & 0xffu;
    return ((bytes[whole] ^ prefix->base.bytes[whole]) & mask) == 0;
}
