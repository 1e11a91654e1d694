#pragma once
/*
 * config_filter - one filter of a service: its word, or a map with its settings
 *
 * Control thread.
 */
#include <stdbool.h>

#include "base/text.h"
#include "policy/config_context.h"
#include "policy/config_table.h"

#define CONFIG_FILTER_STEPS 6

extern const struct config_table config_filter_table;

/* The word of a filter. */
const char *config_filter_word(enum model_filter_kind kind);

/* The step at which it is applied, below CONFIG_FILTER_STEPS; a chain has one of each step. */
unsigned config_filter_step(enum model_filter_kind kind);

/* The settings that a filter has when its word stands alone. */
void config_filter_set_defaults(struct config_context *context, struct model_filter *filter);

/*
 * Read one filter of `service`, whose pools must have been read. Returns false,
 * reported, when it is wrong.
 */
bool config_filter_read(struct config_context *context, const struct config_item *item,
                        const struct model_service *service, struct model_filter *filter);

/* Write it as an element of the list. */
void config_filter_put(const struct model *model, const struct model_service *service,
                       const struct model_filter *filter, struct text *out);
