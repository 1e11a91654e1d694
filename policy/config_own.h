#pragma once
/*
 * config_own - addresses that packets would reach this very server at
 *
 * Control thread and command line.
 */
#include "base/addr.h"
#include "policy/config_context.h"

/*
 * The listener that takes what is sent to `addr`, or NULL. One that listens on
 * every address takes what is sent to any address this machine has now.
 */
const struct model_listener *config_own_listener(struct config_context *context,
                                                 const struct addr *addr);

/* Write "127.0.0.1:53, leeward.yaml:3:5": where it listens, and where that is written. */
void config_own_put(const struct model_listener *listener, struct text *out);
