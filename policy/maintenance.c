#include "policy/maintenance.h"

#define DAY_S         86400
#define WEEK_DAYS     7
#define FIRST_WEEKDAY 4 /* 1 January 1970 was a Thursday; 0 is Sunday */

static bool is_once_open(const struct model_maintenance *w, int64_t now_s, int64_t *out_until_s)
{
    if (now_s < w->from_s) {
        *out_until_s = w->from_s;
        return false;
    }
    *out_until_s = now_s < w->to_s ? w->to_s : INT64_MAX;
    return now_s < w->to_s;
}

/* Division that rounds down, also before 1970. */
static int64_t day_of(int64_t now_s)
{
    return now_s >= 0 ? now_s / DAY_S : -((-now_s + DAY_S - 1) / DAY_S);
}

static bool is_weekday(const struct model_maintenance *w, int64_t day)
{
    int64_t weekday = ((day + FIRST_WEEKDAY) % WEEK_DAYS + WEEK_DAYS) % WEEK_DAYS;

    return (w->weekdays >> weekday & 1) != 0;
}

/* A window may run over midnight, and with those of the next days into one. */
static bool is_weekly_open(const struct model_maintenance *w, int64_t now_s, int64_t *out_until_s)
{
    int64_t today = day_of(now_s);
    int64_t length_days = (int64_t)w->duration_s / DAY_S + 1;
    int64_t until_s = 0;

    for (int64_t day = today - length_days; day <= today + WEEK_DAYS; day++) {
        int64_t begin_s = day * DAY_S + w->start_s;
        int64_t end_s = begin_s + w->duration_s;
        if (!is_weekday(w, day)) {
            continue;
        }
        if (begin_s > now_s && until_s == 0) {
            *out_until_s = begin_s;
            return false;
        }
        if (begin_s <= (until_s == 0 ? now_s : until_s) && end_s > now_s) {
            until_s = end_s > until_s ? end_s : until_s;
        }
    }
    *out_until_s = until_s == 0 ? INT64_MAX : until_s;
    return until_s != 0;
}

bool maintenance_is_open(const struct model_maintenance *window, int64_t now_s,
                         int64_t *out_until_s)
{
    return window->weekly ? is_weekly_open(window, now_s, out_until_s)
                          : is_once_open(window, now_s, out_until_s);
}
