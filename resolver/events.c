#include "resolver/events.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"

/* "274ms", or "never". */
static void format_age(uint64_t ms, char *out, size_t cap)
{
    if (ms == 0) {
        (void)snprintf(out, cap, "never");
    } else {
        (void)snprintf(out, cap, "%" PRIu64 "ms", ms);
    }
}

/* Where evidence was weighed, its sum decided, and failures before the last success are in it. */
static void log_down(const struct health_event *event)
{
    char last_success[32];
    uint32_t sum = event->sum, threshold = event->threshold;

    format_age(event->since_last_pass_ms, last_success, sizeof(last_success));
    if (sum > 0) {
        log_event(LOG_WARNING, "check down",
                  "target=%s from=%s evidence=%u.%u/%u.%u failed=%u last=%s "
                  "since_first_failure=%" PRIu64 "ms last_success=%s",
                  event->name, event->from, sum / 10, sum % 10, threshold / 10, threshold % 10,
                  event->failed, event->reason, event->since_first_failure_ms, last_success);
        return;
    }
    log_event(LOG_WARNING, "check down",
              "target=%s from=%s failed=%u/%u last=%s since_first_failure=%" PRIu64
              "ms last_success=%s",
              event->name, event->from, event->failed, event->needed, event->reason,
              event->since_first_failure_ms, last_success);
}

static void log_probe(const struct health_event *event)
{
    bool is_up = strcmp(event->to, "up") == 0;
    bool was_held = strcmp(event->from, "held") == 0;

    if (strcmp(event->to, "down") == 0) {
        log_down(event);
    } else if (strcmp(event->to, "held") == 0) {
        log_event(LOG_INFO, "check passes again", "target=%s last=%s next=%s", event->name,
                  event->reason, "up when hold_down is over");
    } else if (is_up && was_held) {
        log_event(LOG_INFO, "check up", "target=%s because=%s", event->name, "hold_down is over");
    } else {
        /* a lost packet is no news */
        bool is_news = is_up && strcmp(event->from, "suspect") != 0;
        log_event(is_news ? LOG_INFO : LOG_DEBUG, is_up ? "check up" : "check suspect",
                  "target=%s from=%s last=%s", event->name, event->from, event->reason);
    }
}

static void log_alert(const struct health_event *event)
{
    bool is_stale = strcmp(event->to, "stale") == 0;
    bool is_bad = is_stale || strcmp(event->to, "misconfigured") == 0;
    bool of_canary = !is_stale && strcmp(event->from, "stale") != 0;

    log_event(is_bad ? LOG_WARNING : LOG_INFO, of_canary ? "canary state" : "check state",
              "target=%s to=%s last=%s", event->name, event->to, event->reason);
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
        log_alert(event);
        break;
    case HEALTH_EVENT_GUARD:
        log_event(LOG_WARNING, "guard", "guard=%s target=%s from=%s to=%s reason=%s", event->name,
                  event->target, event->from, event->to, event->reason);
        break;
    }
}
