#pragma once
/*
 * config_resolv - the resolvers that a file like /etc/resolv.conf names
 *
 * Only its nameserver lines count (resolv.conf(5)): search domains and options
 * are for programs that look names up. Control thread and command line.
 */
#include <stddef.h>

#include "base/addr.h"
#include "base/error.h"

#define CONFIG_RESOLV_MAX 8

struct config_resolv {
    struct addr list[CONFIG_RESOLV_MAX]; /* in the order written, each once, port 53 by default */
    size_t count;
    size_t skipped;        /* nameserver lines without an address that can be asked */
    unsigned skipped_line; /* the first of them, from 1 */
};

/* Take the resolvers out of a text. Those beyond CONFIG_RESOLV_MAX are left out. Never fails. */
void config_resolv_parse(const char *text, struct config_resolv *out);

/* The same for a file. On failure a negative errno, explained; `out` is then empty. */
int config_resolv_read(const char *path, struct config_resolv *out, struct error *err);
