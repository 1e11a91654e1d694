#pragma once
/*
 * config_dname - domain names of the file, as keys and as values
 *
 * Names are the same whatever their case and with or without the last dot.
 * Control thread.
 */
#include <stdbool.h>
#include <stdint.h>

#include "policy/config_context.h"

/* A name in the model's arena, or NULL, reported at the item's key or value. */
const uint8_t *config_dname_read(struct config_context *context, const struct config_item *item,
                                 const char *text, bool key);

/* Its text in the model's arena, without the last dot; `otherwise` for NULL. */
const char *config_dname_text(struct config_context *context, const uint8_t *dname,
                              const char *otherwise);

/* Report keys of a section that are the same name; `names` are theirs, sorted. */
void config_dname_check_doubles(struct config_context *context, const struct config_item *section,
                                const struct config_names *names);
