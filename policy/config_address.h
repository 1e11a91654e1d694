#pragma once
/*
 * config_address - addresses of the file, and whether they fit their use
 *
 * Control thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "policy/config_context.h"

enum config_address_use {
    CONFIG_ADDRESS_LISTEN,   /* any local one */
    CONFIG_ADDRESS_SERVER,   /* one to send packets to */
    CONFIG_ADDRESS_SOURCE,   /* one to send packets from, without a port */
    CONFIG_ADDRESS_ENDPOINT, /* one to answer with; may carry the port of its check */
    CONFIG_ADDRESS_ANSWER,   /* one to answer with, without a port */
};

/*
 * Read the item's value. A port that is not written is `default_port`.
 * Returns false, reported, when it is no address or one of the wrong kind.
 */
bool config_address_read(struct config_context *context, const struct config_item *item,
                         enum config_address_use use, uint16_t default_port, struct addr *out);

/* Why an address does not fit its use, as in "... is a multicast address", or NULL. */
const char *config_address_misfit(const struct addr *addr, enum config_address_use use);

/* Read one address or a list of them into the model's arena. False when any is wrong. */
bool config_address_read_list(struct config_context *context, const struct config_item *item,
                              enum config_address_use use, const struct addr **out,
                              size_t *out_count);
