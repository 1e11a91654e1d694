#pragma once
/*
 * config_sections - the sections of a file, and the order they are read in
 *
 * Control thread.
 */
#include "policy/config_context.h"
#include "policy/config_table.h"

/* The root of all tables: what may stand in a file. */
extern const struct config_table config_sections_table;

/* Read the tree of all files into the context's model. */
void config_sections_read(struct config_context *context, const struct config_node *root);

#define CONFIG_SECTIONS_MAX_TABLES 96

/* All tables, each once, the root first and parts behind what they belong to. */
size_t config_sections_list(const struct config_table *out[CONFIG_SECTIONS_MAX_TABLES]);
