#pragma once
/*
 * config_print - values as YAML that reads back the same
 *
 * The public part is in config.h. Any thread.
 */
#include "base/text.h"

/* Write a text as a YAML scalar, quoted where it has to be, variables escaped. */
void config_print_scalar(const char *value, struct text *out);
