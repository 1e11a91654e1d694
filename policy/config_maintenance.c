#include "policy/config_maintenance.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "policy/config_print.h"
#include "policy/config_value.h"
#include "policy/overrides.h"

#define DAY_S     86400u
#define WEEK_DAYS 7u
#define EVERY_DAY 0x7fu

/* What is plain in one entry of the list. */
struct written {
    const char *target;
    const char *reason;
    const char *from;
    const char *to;
    const char *at;
    uint32_t duration_s;
};

/* clang-format off */
#define AT(member) offsetof(struct written, member)
static const struct config_row maintenance_rows[] = {
    { "target", CONFIG_TEXT, AT(target), 1, OVERRIDE_TARGET_MAX - 1, CONFIG_REQUIRED,
      .help = "REGION or REGION/SERVICE, with `*`, `?` and `[...]`.",
      .example = "e.g. target: seoul, or seoul/api.svc.example.com" },
    { "reason", CONFIG_TEXT, AT(reason), 1, OVERRIDE_TEXT_MAX - 1, CONFIG_REQUIRED,
      .help = "Why, for whoever looks.",
      .example = "e.g. reason: new switches" },
    { "from", CONFIG_TEXT, AT(from), 1, 64, NULL,
      .help = "When it begins, UTC as in RFC 3339: `2026-11-22T02:00:00Z`.",
      .usual = "required unless every" },
    { "to", CONFIG_TEXT, AT(to), 1, 64, NULL,
      .help = "When it ends.",
      .usual = "required with from" },
    { "every", CONFIG_PART, 0, 0, 0, NULL,
      .help = "Again each `day`, or on these days: `sunday` to `saturday`, or their first three "
              "letters.",
      .usual = "once",
      .forms = CONFIG_FORM_TEXT | CONFIG_FORM_LIST, .forms_help = "a day or a list of them" },
    { "at", CONFIG_TEXT, AT(at), 1, 64, NULL,
      .help = "When it begins on such a day, UTC: `\"02:00\"`.",
      .usual = "required with every" },
    { "for", CONFIG_SECONDS, AT(duration_s), 60, WEEK_DAYS * DAY_S, NULL,
      .help = "How long it lasts.",
      .usual = "required with every" },
};
#undef AT
/* clang-format on */

const struct config_table config_maintenance_table = {
    "maintenance",
    "Times in which a target is drained, as by hand: once, with `from` and `to`, or again and "
    "again, with `every`, `at` and `for`.",
    maintenance_rows,
    sizeof(maintenance_rows) / sizeof(maintenance_rows[0]),
};

static const char *const days[WEEK_DAYS] = { "sunday",   "monday", "tuesday", "wednesday",
                                             "thursday", "friday", "saturday" };

/* ------------------------------------------------------------------ times */

/* "2026-11-22T02:00:00Z" (RFC 3339, section 5.6, in UTC), and nothing that no calendar has. */
static int read_time(const char *text, int64_t *out, struct error *err)
{
    struct tm tm = { 0 };
    int end = 0;

    if (strlen(text) == 20 &&
        sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2dZ%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
               &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &end) == 6 &&
        end == 20 && strpbrk(text, " +") == NULL && tm.tm_year >= 1970) {
        tm.tm_year -= 1900;
        tm.tm_mon -= 1;
        const struct tm asked = tm;
        int64_t seconds = timegm(&tm);
        if (tm.tm_mon == asked.tm_mon && tm.tm_mday == asked.tm_mday &&
            tm.tm_hour == asked.tm_hour && tm.tm_min == asked.tm_min && tm.tm_sec == asked.tm_sec) {
            *out = seconds;
            return 0;
        }
    }
    error_set(err, -EINVAL, "'%.80s' is not a time", text);
    error_hint(err, "in UTC, as in RFC 3339: 2026-11-22T02:00:00Z");
    return err->code;
}

static void put_time(int64_t seconds, struct text *out)
{
    time_t when = (time_t)seconds;
    char text[64];
    struct tm tm;

    (void)gmtime_r(&when, &tm);
    (void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
    config_print_scalar(text, out);
}

/* "02:00" */
static int read_clock(const char *text, uint32_t *out, struct error *err)
{
    unsigned hour = 0;
    unsigned minute = 0;
    int end = 0;

    if (strlen(text) == 5 && strpbrk(text, " +-") == NULL &&
        sscanf(text, "%2u:%2u%n", &hour, &minute, &end) == 2 && end == 5 && hour < 24 &&
        minute < 60) {
        *out = (hour * 60 + minute) * 60;
        return 0;
    }
    error_set(err, -EINVAL, "'%.80s' is not a time of the day", text);
    error_hint(err, "in UTC, two digits each: \"02:00\"");
    return err->code;
}

/* ------------------------------------------------------------------ targets */

/* What a target may mean; names of services in it are the model's, so they stay. */
static bool is_known(const struct model *model, const struct override *target)
{
    for (size_t i = 0; i < model->region_count; i++) {
        if (override_means_region(target, model->regions[i].name)) {
            return true;
        }
    }
    for (size_t i = 0; i < model->service_count; i++) {
        const struct model_service *service = &model->services[i];
        for (size_t p = 0; p < service->pool_count; p++) {
            if (override_means_pool(target, model->regions[service->pools[p].region].name,
                                    service->name)) {
                return true;
            }
        }
    }
    return false;
}

/* The target that is most like `text`, in the scratch arena; NULL: none is. */
static const char *find_nearest(struct config_context *context, const char *text)
{
    const struct model *model = context->model;
    const char **list = NULL;
    size_t count = 0;
    const size_t most = 4096; /* as many as are worth comparing with */

    for (size_t i = 0; i < model->region_count && count < most; i++) {
        list = arena_grow(context->scratch, list, count, sizeof(*list));
        list[count++] = model->regions[i].name;
    }
    for (size_t i = 0; i < model->service_count && strchr(text, '/') != NULL; i++) {
        const struct model_service *service = &model->services[i];
        for (size_t p = 0; p < service->pool_count && count < most; p++) {
            list = arena_grow(context->scratch, list, count, sizeof(*list));
            list[count++] =
                arena_printf(context->scratch, "%s/%s",
                             model->regions[service->pools[p].region].name, service->name);
        }
    }
    return text_nearest(text, list, count);
}

static void check_target(struct config_context *context, const struct config_item *item,
                         const char *text)
{
    struct override target = { .kind = OVERRIDE_DRAIN };

    (void)snprintf(target.target, sizeof(target.target), "%s", text);
    if (is_known(context->model, &target)) {
        return;
    }
    const char *nearest = find_nearest(context, text);
    struct error *err = config_error_value(context, item, "nothing is called '%.120s'", text);
    if (nearest != NULL) {
        error_hint(err, "did you mean '%.100s'?", nearest);
    } else {
        error_hint(err, "REGION or REGION/SERVICE, where the service has endpoints");
    }
}

/* ------------------------------------------------------------------ windows */

/* Report which of the keys are there, or are not, as `wanted` says. False after an error. */
static bool check_keys(struct config_context *context, const struct config_item *item,
                       const char *const *keys, size_t count, bool wanted, const char *with)
{
    struct config_item child;
    bool good = true;

    for (size_t i = 0; i < count; i++) {
        bool given = config_item_get(item, keys[i], &child);
        if (given && !wanted) {
            config_error_key(context, &child, "does not go with %s", with);
        } else if (!given && wanted) {
            config_error_key(context, item, "%s is required with %s", keys[i], with);
        }
        good = good && given == wanted;
    }
    return good;
}

static bool read_time_of(struct config_context *context, const struct config_item *item,
                         const char *key, int64_t *out)
{
    struct config_item child;
    struct error err;

    REQUIRE(config_item_get(item, key, &child));
    if (read_time(child.value->text, out, &err) < 0) {
        config_error_take(context, &child, &err);
        return false;
    }
    return true;
}

static void read_once(struct config_context *context, const struct config_item *item,
                      struct model_maintenance *window)
{
    static const char *const wanted[] = { "from", "to" };
    static const char *const others[] = { "at", "for" };
    struct config_item to;

    bool good = check_keys(context, item, others, 2, false, "from and to");
    if (!check_keys(context, item, wanted, 2, true, "a time that comes once") || !good) {
        return;
    }
    good = read_time_of(context, item, "from", &window->from_s);
    if (read_time_of(context, item, "to", &window->to_s) && good &&
        window->to_s <= window->from_s) {
        REQUIRE(config_item_get(item, "to", &to));
        config_error_value(context, &to, "is not after from");
    }
}

static int read_day(const char *text, uint8_t *out, struct error *err)
{
    const char *words[WEEK_DAYS + 1];

    for (unsigned i = 0; i < WEEK_DAYS; i++) {
        bool abbreviated = strlen(text) == 3 && strncmp(text, days[i], 3) == 0;
        if (abbreviated || strcmp(text, days[i]) == 0) {
            *out = (uint8_t)(1u << i);
            return 0;
        }
        words[i] = days[i];
    }
    if (strcmp(text, "day") == 0) {
        *out = EVERY_DAY;
        return 0;
    }
    words[WEEK_DAYS] = "day";
    const char *nearest = text_nearest(text, words, WEEK_DAYS + 1);
    error_set(err, -EINVAL, "'%.80s' is not a day", text);
    if (nearest != NULL) {
        error_hint(err, "did you mean '%s'?", nearest);
    } else {
        error_hint(err, "write day, sunday or [mon, tue]");
    }
    return err->code;
}

static bool read_days(struct config_context *context, const struct config_item *item,
                      struct model_maintenance *window)
{
    size_t count = config_item_list_count(item);
    bool good = count > 0;
    uint8_t day = 0;

    if (count == 0 && !item->value->broken) {
        struct error *err = config_error_key(context, item, "there are no days");
        error_hint(err, "write day, sunday or [mon, tue]");
    }
    for (size_t i = 0; i < count; i++) {
        struct config_item one = config_item_list_at(item, i);
        const char *text = config_table_scalar(context, &one);
        struct error err;
        if (text == NULL) {
            good = false;
        } else if (read_day(text, &day, &err) < 0) {
            config_error_take(context, &one, &err);
            good = false;
        } else if ((window->weekdays & day) != 0) {
            config_error_value(context, &one, "%.20s is named twice", text);
            good = false;
        } else {
            window->weekdays |= day;
        }
    }
    return good;
}

/* Would it never end? The longest time from one of its days to the next says so. */
static bool is_endless(const struct model_maintenance *window)
{
    uint32_t longest = 0;
    uint32_t last = 0; /* day of the first week that was the last to be one */
    bool found = false;

    for (uint32_t day = 0; day < 2 * WEEK_DAYS; day++) {
        if ((window->weekdays >> day % WEEK_DAYS & 1) == 0) {
            continue;
        }
        longest = found && day - last > longest ? day - last : longest;
        last = day;
        found = true;
    }
    return window->duration_s >= longest * DAY_S;
}

static void read_weekly(struct config_context *context, const struct config_item *item,
                        const struct written *written, struct model_maintenance *window)
{
    static const char *const wanted[] = { "at", "for" };
    static const char *const others[] = { "from", "to" };
    struct config_item child;
    struct error err;

    window->weekly = true;
    window->duration_s = written->duration_s;
    bool good = check_keys(context, item, others, 2, false, "every");
    good = check_keys(context, item, wanted, 2, true, "every") && good;
    REQUIRE(config_item_get(item, "every", &child));
    good = read_days(context, &child, window) && good;
    if (written->at != NULL && read_clock(written->at, &window->start_s, &err) < 0) {
        REQUIRE(config_item_get(item, "at", &child));
        config_error_take(context, &child, &err);
        good = false;
    }
    if (good && is_endless(window)) {
        REQUIRE(config_item_get(item, "for", &child));
        struct error *mine = config_error_value(context, &child, "it would never end");
        error_hint(mine, "shorter than from one of its days to the next; leeward drain is for what "
                         "has no end");
    }
}

static void read_one(struct config_context *context, const struct config_item *item,
                     struct model_maintenance *window)
{
    struct written written = { 0 };
    struct config_item child;

    window->place = config_node_place(item->value);
    if (!config_table_read(context, &config_maintenance_table, item, &written)) {
        return;
    }
    window->target = written.target;
    window->reason = written.reason;
    REQUIRE(config_item_get(item, "target", &child));
    check_target(context, &child, written.target);
    if (config_item_get(item, "every", &child)) {
        read_weekly(context, item, &written, window);
    } else {
        read_once(context, item, window);
    }
}

void config_maintenance_read(struct config_context *context, const struct config_item *root)
{
    struct model *model = context->model;
    struct config_item section;

    if (!config_item_get(root, "maintenance", &section) ||
        section.value->kind == CONFIG_NODE_SCALAR) {
        return;
    }
    model->maintenance_count = config_item_list_count(&section);
    model->maintenances =
        arena_array(context->arena, model->maintenance_count, sizeof(*model->maintenances));
    for (size_t i = 0; i < model->maintenance_count; i++) {
        struct config_item one = config_item_list_at(&section, i);
        read_one(context, &one, &model->maintenances[i]);
    }
}

/* ------------------------------------------------------------------ printing */

static void put_weekly(const struct model_maintenance *window, struct text *out)
{
    bool any = false;

    text_put(out, "    every: [");
    if (window->weekdays == EVERY_DAY) {
        text_put(out, "day");
    }
    for (unsigned i = 0; i < WEEK_DAYS && window->weekdays != EVERY_DAY; i++) {
        if ((window->weekdays >> i & 1) != 0) {
            text_printf(out, "%s%s", any ? ", " : "", days[i]);
            any = true;
        }
    }
    text_printf(out, "]\n    at: \"%02u:%02u\"\n    for: ", window->start_s / 3600,
                window->start_s / 60 % 60);
    config_value_put_ms((uint64_t)window->duration_s * 1000, out);
    text_put_char(out, '\n');
}

void config_maintenance_put(const struct model *model, struct text *out)
{
    text_put(out, model->maintenance_count > 0 ? "maintenance:\n" : "");
    for (size_t i = 0; i < model->maintenance_count; i++) {
        const struct model_maintenance *window = &model->maintenances[i];
        text_put(out, "  - target: ");
        config_print_scalar(window->target, out);
        text_put(out, "\n    reason: ");
        config_print_scalar(window->reason, out);
        text_put_char(out, '\n');
        if (window->weekly) {
            put_weekly(window, out);
            continue;
        }
        text_put(out, "    from: ");
        put_time(window->from_s, out);
        text_put(out, "\n    to: ");
        put_time(window->to_s, out);
        text_put_char(out, '\n');
    }
}
