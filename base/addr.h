#pragma once
/*
 * addr - IP addresses, ports and prefixes, and their text
 *
 * Plain values, any thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/error.h"

enum addr_family {
    ADDR_V4 = 0, /* also the index of per-family arrays */
    ADDR_V6 = 1,
};

#define ADDR_FAMILIES 2
#define ADDR_TEXT_MAX 64 /* "[" IPv6 "%" scope "]:65535" */

struct addr {
    uint8_t family;    /* enum addr_family */
    uint16_t port;     /* host order, 0 when not given */
    uint32_t scope;    /* of a link-local IPv6 address, else 0 */
    uint8_t bytes[16]; /* network order; IPv4 uses the first four */
};

struct addr_prefix {
    struct addr base;
    uint8_t bits;
};

/* 4 or 16. */
size_t addr_size_bytes(const struct addr *addr);

/*
 * Read "10.1.0.2", "10.1.0.2:53", "2001:db8::1" or "[2001:db8::1]:53". A port
 * that is not given is `default_port`. On failure -EINVAL, explained.
 */
int addr_parse(const char *text, uint16_t default_port, struct addr *out, struct error *err);

/* Write the address without / with its port (IPv6 then in brackets). */
void addr_format(const struct addr *addr, char *out, size_t cap);
void addr_format_port(const struct addr *addr, char *out, size_t cap);

/* Same address and port / same address whatever the port. */
bool addr_equal(const struct addr *a, const struct addr *b);
bool addr_same_host(const struct addr *a, const struct addr *b);

/* 127.0.0.0/8, ::1 (and IPv4 loopback mapped into IPv6) / 0.0.0.0 or ::. */
bool addr_is_loopback(const struct addr *addr);
bool addr_is_any(const struct addr *addr);

/* To and from the system's form; `from` returns false for other families. */
socklen_t addr_to_sockaddr(const struct addr *addr, struct sockaddr_storage *out);
bool addr_from_sockaddr(const struct sockaddr *sa, struct addr *out);

/* Read "10.0.0.0/8" or a single address. On failure -EINVAL, explained. */
int addr_prefix_parse(const char *text, struct addr_prefix *out, struct error *err);

/* Does the prefix hold the address? An IPv4-mapped IPv6 address counts as IPv4. */
bool addr_prefix_contains(const struct addr_prefix *prefix, const struct addr *addr);
