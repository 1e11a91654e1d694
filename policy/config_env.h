#pragma once
/*
 * config_env - environment variables in values: ${NAME} and ${NAME:-default}
 *
 * Applied to scalars after YAML is parsed, so that a value can never change
 * the structure around it. `$${` stands for a plain `${`. Control thread.
 */
#include "base/error.h"
#include "base/text.h"

/*
 * Append `value` with its variables replaced. On failure -EINVAL, explained:
 * a variable that is not set and has no default, or a broken `${`.
 */
int config_env_expand(const char *value, struct text *out, struct error *err);

/* Append `value` so that config_env_expand gives it back. */
void config_env_put_escaped(const char *value, struct text *out);
