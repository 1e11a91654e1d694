#pragma once
/*
 * config_view - clients that get endpoints of their own, and those endpoints
 *
 * Control thread.
 */
#include <stdbool.h>

#include "base/text.h"
#include "policy/config_context.h"
#include "policy/config_table.h"

#define CONFIG_MAX_VIEWS 64

extern const struct config_table config_view_table;
extern const struct config_table config_view_service_table;

/*
 * Read the section `views` into the model. Listeners must have been read. The
 * item may be NULL: no such section.
 */
void config_view_read(struct config_context *context, const struct config_item *section);

/* Report views of the section that no service has endpoints for. Services must have been read. */
void config_view_check_used(struct config_context *context, const struct config_item *section);

/*
 * Read the view `item` of a service (an entry of its `views`) into `view`:
 * all that `base` is, with endpoints of its own. `base` may be broken: what
 * is written of the view is looked at all the same. Returns false, reported,
 * when anything of it was wrong.
 */
bool config_view_read_service(struct config_context *context, const struct config_item *item,
                              const struct model_service *base, struct model_service *view);

/* Write the section, or nothing when there are no views. */
void config_view_put(const struct model *model, struct text *out);

/* Write the views of the service at `base`, with all behind it, or nothing. */
void config_view_put_service(const struct model *model, const struct model_service *base,
                             struct text *out);
