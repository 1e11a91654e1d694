#pragma once
/*
 * config_server - the sections about the server itself: node, listen, access,
 * api, log and journal
 *
 * Control thread.
 */
#include "policy/config_context.h"
#include "policy/config_table.h"

extern const struct config_table config_server_node_table;
extern const struct config_table config_server_listen_table;
extern const struct config_table config_server_access_table;
extern const struct config_table config_server_api_table;
extern const struct config_table config_server_log_table;
extern const struct config_table config_server_journal_table;

/*
 * Read all these sections of the file `root` into the model, with the defaults
 * of those it does not have. Regions must have been read.
 */
void config_server_read(struct config_context *context, const struct config_item *root);
