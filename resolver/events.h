#pragma once
/*
 * events - what the health table tells, as log lines
 *
 * Control thread.
 */
#include "policy/health.h"

/* One line per transition: what, from and to what, and on which evidence. */
void events_log(const struct health_event *event);
