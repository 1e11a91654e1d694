#pragma once
/*
 * config_print - values as YAML that reads back the same
 *
 * The public part is in config.h. Any thread.
 */
#include "base/addr.h"
#include "base/text.h"

/* Write a text as a YAML scalar, quoted where it has to be, variables escaped. */
void config_print_scalar(const char *value, struct text *out);

/* Write an address, with its port where it has one. */
void config_print_address(const struct addr *addr, struct text *out);

/* Write a path, made whole: a model's are as they were found, and mean less elsewhere. */
void config_print_path(const char *path, struct text *out);
