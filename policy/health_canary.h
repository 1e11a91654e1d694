#pragma once
/*
 * health_canary - what it means that a canary's name is not there
 *
 * Deleted by mistake it must not gate the world; gone in one region alone it is
 * that region's resolver that fails. Inside of policy/health; control thread
 * only.
 */
#include "policy/health_table.h"

/* Is the absence of this probe's name strong evidence against its target? */
bool health_canary_proves(const struct health *health, const struct health_probe *probe);
