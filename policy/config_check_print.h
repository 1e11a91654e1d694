#pragma once
/*
 * config_check_print - checks and conditions as YAML that reads back the same
 *
 * Any thread.
 */
#include "base/text.h"
#include "policy/model.h"

/* Write the section `checks`: every named check that is used. Nothing when none is. */
void config_check_put_named(const struct model *model, struct text *out);

/* Write what a region or a service says of its checks, as the key of its map; or nothing. */
void config_check_put_region(const struct model_region *region, struct text *out);
void config_check_put_service(const struct model *model, const struct model_service *service,
                              struct text *out);
