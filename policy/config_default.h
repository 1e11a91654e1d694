#pragma once
/*
 * config_default - the configuration of a host that has none
 *
 * Loopback, port 5300, everything forwarded to the host's own resolvers,
 * whichever they are at the time.
 * Control thread and command line.
 */
#include "base/error.h"
#include "base/text.h"

#define CONFIG_DEFAULT_RESOLV "/etc/resolv.conf"

/*
 * Write the configuration that follows a resolv.conf. On failure a negative
 * errno, explained: it cannot be read, or names no resolver but ourselves.
 */
int config_default_build(const char *path, struct text *out, struct error *err);
