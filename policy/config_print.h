#pragma once
/*
 * config_print - values as YAML that reads back the same
 *
 * The public part is in config.h. Any thread.
 */
#include "base/addr.h"
#include "base/text.h"
#include "policy/config_table.h"

/* Write a text as a YAML scalar, quoted where it has to be, variables escaped. */
void config_print_scalar(const char *value, struct text *out);

/* Write an address, with its port where it has one. */
void config_print_address(const struct addr *addr, struct text *out);

/* Write a path, made whole: a model's are as they were found, and mean less elsewhere. */
void config_print_path(const char *path, struct text *out);

/* Write addresses as a list in brackets. */
void config_print_addresses(const struct addr *list, size_t count, struct text *out);

/* Write every plain value of the table, as it is in `base`: a line each, with this indent. */
void config_print_rows(const struct config_table *table, const void *base, unsigned indent,
                       struct text *out);
