#include "policy/config_check.h"

#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "policy/config_check_kinds.h"
#include "policy/config_check_parts.h"
#include "policy/config_part.h"
#include "policy/config_value.h"

#define CONFIRM_LEAST_MS 50
#define HOLD_DOWN_MAX_MS 300000
#define EXEC_INTERVAL_MS 10000
#define EXEC_TIMEOUT_MS  5000

/* How many failures decide when nothing is said: "auto", or a number. */
#define FALL_STANDARD        "auto"
#define FALL_COUNTED         3 /* what `fall` is with auto, for those who count */
#define FALSE_ALARM_STANDARD "1/30d"
#define FALSE_ALARM_LEAST_MS 3600000ull           /* an hour */
#define FALSE_ALARM_MOST_MS  (3650 * 86400000ull) /* ten years */

/* clang-format off */
#define KIND(word, kind_table, what)                                                             \
    { word, CONFIG_PART, 0, 0, 0, NULL, .help = what,                                            \
      .forms = CONFIG_FORM_MAP, .forms_help = "a map", .part = &kind_table }
#define AT(member) offsetof(struct model_check, timing.member)
static const struct config_row check_rows[] = {
    KIND("dns", config_check_dns_table, "Ask a DNS server."),
    KIND("tcp", config_check_tcp_table, "Open a TCP connection."),
    KIND("http", config_check_http_table, "Send an HTTP request."),
    KIND("https", config_check_https_table, "Send an HTTPS request."),
    KIND("tls", config_check_handshake_table, "Make a TLS handshake."),
    KIND("icmp", config_check_icmp_table, "Send an ICMP echo."),
    KIND("exec", config_check_exec_table, "Run a program."),
    KIND("push", config_check_push_table, "Be told from outside."),
    KIND("file", config_check_file_table, "Look at a file."),
    { "all", CONFIG_PART, 0, 0, 0, NULL,
      .help = "Instead of a kind: all of several checks and conditions must hold.",
      .forms = CONFIG_FORM_TEXT | CONFIG_FORM_LIST | CONFIG_FORM_MAP,
      .forms_help = "a list of checks and conditions", .part = &config_check_table },
    { "any", CONFIG_PART, 0, 0, 0, NULL,
      .help = "Instead of a kind: any of several must hold.",
      .forms = CONFIG_FORM_TEXT | CONFIG_FORM_LIST | CONFIG_FORM_MAP,
      .forms_help = "a list of checks and conditions", .part = &config_check_table },
    { "at_least", CONFIG_PART, 0, 0, 0, NULL,
      .help = "Instead of a kind: so many of those in `of` must hold.",
      .forms = CONFIG_FORM_TEXT, .forms_help = "a number" },
    { "of", CONFIG_PART, 0, 0, 0, NULL,
      .help = "What `at_least` counts.",
      .forms = CONFIG_FORM_TEXT | CONFIG_FORM_LIST | CONFIG_FORM_MAP,
      .forms_help = "a list of checks and conditions", .part = &config_check_table },
    { "not", CONFIG_PART, 0, 0, 0, NULL,
      .help = "Instead of a kind: a check or condition that must not hold.",
      .forms = CONFIG_FORM_TEXT | CONFIG_FORM_MAP,
      .forms_help = "a check or a condition", .part = &config_check_table },
    { "region", CONFIG_PART, 0, 0, 0, NULL,
      .help = "Instead of a kind: this region must be in.",
      .forms = CONFIG_FORM_TEXT, .forms_help = "the name of a region" },
    { "service", CONFIG_PART, 0, 0, 0, NULL,
      .help = "Instead of a kind: this service must stand well in some region.",
      .forms = CONFIG_FORM_TEXT, .forms_help = "the name of a service" },
    { "interval", CONFIG_MS, AT(interval_ms), 10, 3600000, "1s",
      .help = "Time between two probes of a healthy target.",
      .usual = "1s; of exec 10s" },
    { "timeout", CONFIG_MS, AT(timeout_ms), 1, 60000, "500ms",
      .help = "A probe is lost when it is unanswered for so long.",
      .usual = "500ms; of exec 5s" },
    { "confirm_interval", CONFIG_MS, AT(confirm_interval_ms), 10, 3600000, NULL,
      .help = "Time between two probes once one has failed.",
      .usual = "interval/20, at least "
      "50ms" },
    { "fall", CONFIG_COUNT, AT(fall), 1, 100, FALL_STANDARD,
      .help = "Strong failures in a row that make a target down: refused, reset, wrong answer, "
              "bad status; `auto`: 3 of a target that never fails, more of one that is known to; "
              "see false_alarm.",
      .word = "auto" },
    { "false_alarm", CONFIG_PART, 0, 0, 0, NULL,
      .help = "With `fall: auto`: how often a target that lives may be declared down.",
      .usual = FALSE_ALARM_STANDARD,
      .forms = CONFIG_FORM_TEXT, .forms_help = "a rate such as 1/30d" },
    { "silent_fall", CONFIG_COUNT, AT(silent_fall), 1, 32, "10",
      .help = "Unanswered probes in a row, the oldest past `timeout`, that make a target down; "
              "with `fall: auto` more of one that is known to lose probes." },
    { "rise", CONFIG_COUNT, AT(rise), 1, 100, "2",
      .help = "Successes in a row that end being down." },
    { "hold_down", CONFIG_MS, AT(hold_down_ms), 0, 86400000, "10s",
      .help = "How long a target that came back is second choice; doubles with each flap, halves "
              "after each quiet 5m." },
    { "hold_down_max", CONFIG_MS, AT(hold_down_max_ms), 0, 604800000, NULL,
      .help = "What `hold_down` grows to at most.",
      .usual = "5m, at least hold_down" },
    { "jitter", CONFIG_PERCENT, AT(jitter_percent), 0, 50, "10%",
      .help = "How much an interval varies at random, so that probes do not come in step." },
    { "degraded_above", CONFIG_MS, offsetof(struct model_check, degraded_ms), 1, 60000, "off",
      .help = "A pass that takes longer makes its target degraded: up, but used when nothing "
              "better is.",
      .word = "off" },
};
#undef AT
/* clang-format on */

const struct config_table config_check_table = {
    "checks.NAME",
    "A probe of one kind and its timing, or a condition over several: all, any, at_least with of, "
    "not, region or service, nested at will. Named here it can be used by several services, and a "
    "probe by regions too; written in place it looks the same.",
    check_rows,
    sizeof(check_rows) / sizeof(check_rows[0]),
};

static const struct {
    const char *word;
    config_check_reader *read;
} kinds[] = {
    { "dns", config_check_read_dns },       { "tcp", config_check_read_tcp },
    { "http", config_check_read_http },     { "https", config_check_read_https },
    { "tls", config_check_read_handshake }, { "icmp", config_check_read_icmp },
    { "exec", config_check_read_exec },     { "push", config_check_read_push },
    { "file", config_check_read_file },
};

#define KIND_COUNT (sizeof(kinds) / sizeof(kinds[0]))

/* ------------------------------------------------------------------ timing */

static bool is_written(const struct config_item *check, const char *key)
{
    struct config_item item;

    return config_item_get(check, key, &item);
}

/* "1/30d": one in so long. */
static int read_rate(const char *text, uint64_t *out_ms, struct error *err)
{
    uint64_t ms = 0;

    if (strncmp(text, "1/", 2) != 0 || config_value_ms(text + 2, &ms, err) < 0) {
        error_set(err, -EINVAL, "'%.80s' is not a rate of false alarms", text);
        error_hint(err, "write 1/30d: one in thirty days");
        return err->code;
    }
    if (ms < FALSE_ALARM_LEAST_MS || ms > FALSE_ALARM_MOST_MS) {
        return error_set(err, -EINVAL, "'%.80s' is out of range: it must be 1/1h to 1/3650d", text);
    }
    *out_ms = ms;
    return 0;
}

static void read_false_alarm(struct config_context *context, const struct config_item *check,
                             struct model_timing *timing)
{
    struct config_item item;
    struct error err;

    int rc = read_rate(FALSE_ALARM_STANDARD, &timing->false_alarm_ms, &err);
    REQUIRE(rc == 0);
    if (!config_item_get(check, "false_alarm", &item)) {
        return;
    }
    const char *text = config_table_scalar(context, &item);
    if (text == NULL) {
        return;
    }
    if (read_rate(text, &timing->false_alarm_ms, &err) < 0) {
        config_error_take(context, &item, &err);
    } else if (!timing->fall_auto) {
        struct error *wrong = config_error_key(context, &item, "needs fall: auto");
        error_hint(wrong, "with a number as fall that number alone decides");
    }
}

static void settle_fall(struct config_context *context, const struct config_item *check,
                        struct model_timing *timing)
{
    timing->fall_auto = timing->fall == 0;
    timing->fall = timing->fall_auto ? FALL_COUNTED : timing->fall;
    read_false_alarm(context, check, timing);
}

static void settle_timing(struct config_context *context, const struct config_item *check,
                          enum model_check_kind kind, struct model_timing *timing)
{
    struct config_item item;

    if (kind == MODEL_CHECK_EXEC && !is_written(check, "interval")) {
        timing->interval_ms = EXEC_INTERVAL_MS;
    }
    if (kind == MODEL_CHECK_EXEC && !is_written(check, "timeout")) {
        timing->timeout_ms = EXEC_TIMEOUT_MS;
    }
    if (timing->confirm_interval_ms == 0) {
        uint32_t share = timing->interval_ms / 20;
        timing->confirm_interval_ms = share > CONFIRM_LEAST_MS ? share : CONFIRM_LEAST_MS;
    }
    if (!config_item_get(check, "hold_down_max", &item)) {
        timing->hold_down_max_ms =
            timing->hold_down_ms > HOLD_DOWN_MAX_MS ? timing->hold_down_ms : HOLD_DOWN_MAX_MS;
    } else if (timing->hold_down_max_ms < timing->hold_down_ms) {
        struct error *err = config_error_value(context, &item, "is less than hold_down");
        error_hint(err, "hold_down doubles with each flap up to hold_down_max");
    }
    settle_fall(context, check, timing);
}

/* What takes longer than `timeout` never passes. */
static void check_degraded(struct config_context *context, const struct config_item *check,
                           const struct model_check *out)
{
    struct config_item item;

    if (out->degraded_ms >= out->timing.timeout_ms &&
        config_item_get(check, "degraded_above", &item)) {
        struct error *err = config_error_value(
            context, &item, "no pass takes longer: timeout is %ums", out->timing.timeout_ms);
        error_hint(err, "lower it, or raise timeout");
    }
}

/* ------------------------------------------------------------------ a check */

static void report_kinds(struct config_context *context, const struct config_item *check,
                         unsigned count)
{
    struct text list = { 0 };

    for (size_t i = 0; i < KIND_COUNT; i++) {
        text_printf(&list, "%s%s",
                    i == 0                ? ""
                    : i + 1 == KIND_COUNT ? " and "
                                          : ", ",
                    kinds[i].word);
    }
    struct error *err = config_error_key(context, check, "a check %s one of %s",
                                         count == 0 ? "must be" : "is only", text_string(&list));
    error_hint(err, count == 0 ? "e.g. http: {port: 8080, path: /healthz}"
                               : "list several: check: [{http: ...}, {dns: ...}]");
    text_fini(&list);
}

bool config_check_read(struct config_context *context, const struct config_item *item,
                       struct model_check *out)
{
    size_t errors = context->error_count;
    struct config_item kind;
    unsigned count = 0;

    out->place = config_node_place(item->key);
    bool good = config_table_read(context, &config_check_table, item, out);
    for (size_t i = 0; i < KIND_COUNT; i++) {
        if (!config_item_get(item, kinds[i].word, &kind)) {
            continue;
        }
        count++;
        if (kind.value->kind == CONFIG_NODE_MAP || config_node_is_empty(kind.value)) {
            context->beside = &config_check_table;
            context->beside_key = kinds[i].word;
            kinds[i].read(context, &kind, out); /* else its form is reported */
            context->beside = NULL;
        }
    }
    settle_timing(context, item, out->kind, &out->timing);
    check_degraded(context, item, out);
    if (count > 1 || (count == 0 && good)) {
        report_kinds(context, item, count);
    }
    return context->error_count == errors;
}

void config_check_read_named(struct config_context *context, const struct config_item *section)
{
    if (section == NULL) {
        return;
    }
    size_t count = section->value->count;
    context->checks = arena_array(context->arena, count, sizeof(*context->checks));
    context->check_broken = arena_array(context->scratch, count, sizeof(bool));
    for (size_t i = 0; i < count; i++) {
        struct config_item item = config_item_at(section, i);
        struct model_check *check = &context->checks[i];
        check->name = arena_strdup(context->arena, item.name);
        if (!config_names_is_valid(item.name)) {
            struct error *err = config_error_key(context, &item, "not a good name of a check");
            error_hint(err, CONFIG_NAMES_HINT);
        }
        if (!config_part_is(&item)) {
            context->check_broken[i] = !config_check_read(context, &item, check);
        }
        config_names_add(&context->check_names, context->scratch, check->name, (uint32_t)i);
    }
    config_names_sort(&context->check_names);
    config_part_note_named(context, section);
}

bool config_check_find(struct config_context *context, const struct config_item *item,
                       uint32_t *out_index)
{
    const char *name = config_table_scalar(context, item);

    if (name == NULL) {
        return false;
    }
    *out_index = config_names_find(&context->check_names, name);
    if (*out_index != CONFIG_NAMES_NONE) {
        return true;
    }
    const char *nearest = config_names_nearest(&context->check_names, name);
    struct error *err = config_error_value(context, item, "unknown check '%.80s'", name);
    if (nearest != NULL) {
        error_hint(err, "did you mean '%s'?", nearest);
    } else {
        error_hint(err, "name it in the section checks, or write it here as a map");
    }
    return false;
}

/* ------------------------------------------------------------------ where it is used */

/* Words in the arguments that nothing stands for in a region. */
static const char *find_word_of_endpoints(const struct model_check *check)
{
    static const char *const words[] = { "{address}", "{port}", "{service}" };

    for (size_t w = 0; w < sizeof(words) / sizeof(words[0]); w++) {
        for (size_t i = 0; i < check->argument_count; i++) {
            if (strstr(check->arguments[i], words[w]) != NULL) {
                return words[w];
            }
        }
        if (check->file != NULL && strstr(check->file, words[w]) != NULL) {
            return words[w];
        }
    }
    return NULL;
}

static bool asks_somebody(enum model_check_kind kind)
{
    return kind != MODEL_CHECK_EXEC && kind != MODEL_CHECK_PUSH && kind != MODEL_CHECK_FILE;
}

/* What a region's check must do without: there is no endpoint. */
static bool fits_region(struct config_context *context, const struct config_item *item,
                        const struct model_check *check)
{
    const char *word = find_word_of_endpoints(check);

    if (asks_somebody(check->kind) && !check->has_server) {
        struct error *err = config_error_key(
            context, item, "server is required: a region's check has no endpoint to ask");
        error_hint(err, "e.g. dns: {server: 10.1.0.2, name: canary.corp.example}");
        return false;
    }
    if (check->kind == MODEL_CHECK_PUSH && check->name == NULL) {
        struct error *err =
            config_error_key(context, item, "nobody could report to it: it has no name");
        error_hint(err, "write it under checks: with a name, and that name here");
        return false;
    }
    if (word != NULL) {
        struct error *err = config_error_key(
            context, item, "%s stands for nothing: a region's check has no endpoint", word);
        error_hint(err, "{region} is the region's name");
        return false;
    }
    return true;
}

bool config_check_settle(struct config_context *context, const struct config_item *item,
                         const char *host, struct model_check *check)
{
    if (host == NULL && !fits_region(context, item, check)) {
        return false;
    }
    if (check->host == NULL) {
        check->host = host;
    }
    return config_check_default_name(context, item, check);
}

/* A region's check, which is no condition: the region counts. */
static bool read_region_check(struct config_context *context, const struct config_item *item,
                              struct model_check *check)
{
    uint32_t index = CONFIG_NAMES_NONE;
    bool is_condition = config_part_is(item);
    bool good = true;

    if (!is_condition && item->value->kind == CONFIG_NODE_MAP) {
        good = config_check_read(context, item, check);
    } else if (!is_condition) {
        if (!config_check_find(context, item, &index)) {
            return false;
        }
        is_condition = config_part_is_named(context, index);
        *check = context->checks[index];
        good = !context->check_broken[index];
    }
    if (is_condition) {
        struct error *err = config_error_key(context, item, "a region takes no condition");
        error_hint(err, "its minimum_healthy says how many of its checks must pass");
        return false;
    }
    return good && config_check_settle(context, item, NULL, check);
}

bool config_check_read_region(struct config_context *context, const struct config_item *item,
                              struct model_region *region)
{
    size_t count = config_item_list_count(item);
    struct model_check *list = arena_array(context->arena, count, sizeof(*list));
    bool good = !item->value->broken;

    for (size_t i = 0; i < count; i++) {
        struct config_item one = config_item_list_at(item, i);
        good = read_region_check(context, &one, &list[i]) && good;
    }
    region->checks = list;
    region->check_count = count;
    return good;
}
