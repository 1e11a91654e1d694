#pragma once
/*
 * config_default - the configuration of a host that has none
 *
 * Loopback, port 5300, everything forwarded to the host's own resolvers.
 * Control thread and command line.
 */
#include "base/error.h"
#include "base/text.h"

#define CONFIG_DEFAULT_RESOLV "/etc/resolv.conf"

/*
 * Write the configuration that goes with the text of a resolv.conf. On failure
 * -EINVAL, explained: it names no resolver but ourselves.
 */
int config_default_build(const char *resolv, struct text *out, struct error *err);
