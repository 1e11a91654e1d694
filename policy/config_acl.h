#pragma once
/*
 * config_acl - lists of clients: any, loopback and prefixes
 *
 * Control thread.
 */
#include "base/text.h"
#include "policy/config_context.h"

/* Read one entry or a list of them; what is wrong is reported and left out. */
void config_acl_read(struct config_context *context, const struct config_item *item,
                     struct model_acl *acl);

/* Write a list in brackets. */
void config_acl_put(const struct model_acl *acl, struct text *out);
