#include "resolver/events.h"

#include <inttypes.h>
#include <string.h>

#include "base/log.h"

static void log_probe(const struct health_event *event)
{
    bool down = strcmp(event->to, "down") == 0;
    enum log_level level = down ? LOG_WARNING : LOG_INFO;

    if (strcmp(event->to, "suspect") == 0 || strcmp(event->from, "suspect") == 0) {
        level = down ? LOG_WARNING : LOG_DEBUG; /* a lost packet is no news */
    }
    if (down) {
        log_event(level, "check down",
                  "target=%s from=%s failed=%u/%u last=%s "
                  "since_first_failure=%" PRIu64 "ms since_last_success=%" PRIu64 "ms",
                  event->name, event->from, event->failed, event->needed, event->reason,
                  event->since_first_failure_ms, event->since_last_pass_ms);
    } else {
        log_event(level, strcmp(event->to, "held") == 0 ? "check passes, held down" : "check state",
                  "target=%s from=%s to=%s last=%s", event->name, event->from, event->to,
                  event->reason);
    }
}

void events_log(const struct health_event *event)
{
    switch (event->kind) {
    case HEALTH_EVENT_PROBE:
        log_probe(event);
        break;
    case HEALTH_EVENT_REGION:
        log_event(strcmp(event->to, "in") == 0 ? LOG_INFO : LOG_WARNING, "region state",
                  "region=%s from=%s to=%s reason=%s", event->name, event->from, event->to,
                  event->reason);
        break;
    case HEALTH_EVENT_ALERT:
        log_event(strcmp(event->to, "misconfigured") == 0 ? LOG_WARNING : LOG_INFO,
                  "canary state", "target=%s to=%s last=%s", event->name, event->to,
                  event->reason);
        break;
    }
}
