#include "policy/config_value.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

struct unit {
    const char *name;
    uint64_t factor;
};

/* A kind of number: what it is called, its units, and how one is written. */
struct measure {
    const char *noun;
    const struct unit *units;
    size_t unit_count;
    const char *hint;
};

/* The largest first, as put_measure tries them. */
static const struct unit duration_units[] = {
    { "d", 86400000 }, { "h", 3600000 }, { "m", 60000 }, { "s", 1000 }, { "ms", 1 },
};
static const struct unit size_units[] = {
    { "GiB", 1024 * 1024 * 1024 },
    { "MiB", 1024 * 1024 },
    { "KiB", 1024 },
    { "B", 1 },
};
static const struct unit rate_units[] = { { "/s", 60 }, { "/m", 1 } };
static const struct unit percent_units[] = { { "%", 1 } };

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static const struct measure duration = { "a duration", duration_units, COUNT_OF(duration_units),
                                         "write 500ms, 30s, 5m, 2h or 3d" };
static const struct measure size = { "a size", size_units, COUNT_OF(size_units),
                                     "write 512KiB, 64MiB or 2GiB" };
static const struct measure rate = { "a rate", rate_units, COUNT_OF(rate_units),
                                     "write 900/s or 60/m" };
static const struct measure percent = { "a percentage", percent_units, COUNT_OF(percent_units),
                                        "write 30%" };

/* Digits at `*text`, which moves behind them. 0, or -ERANGE when they are too many. */
static int read_digits(const char **text, uint64_t *out)
{
    uint64_t value = 0;

    for (; **text >= '0' && **text <= '9'; (*text)++) {
        if (__builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(**text - '0'), &value)) {
            return -ERANGE;
        }
    }
    *out = value;
    return 0;
}

static int explain(const struct measure *measure, const char *text, const char *wrong,
                   struct error *err)
{
    error_set(err, -EINVAL, "'%.80s' %s", text, wrong);
    error_hint(err, "%s", measure->hint);
    return err->code;
}

static int read_measure(const struct measure *measure, const char *text, uint64_t *out,
                        struct error *err)
{
    const char *rest = text;
    uint64_t value;

    if (read_digits(&rest, &value) < 0) {
        return explain(measure, text, "is too large", err);
    }
    if (rest == text || *rest == '.') {
        error_set(err, -EINVAL, "'%.80s' is not %s", text, measure->noun);
        error_hint(err, "%s%s", measure->hint, rest == text ? "" : "; only whole numbers");
        return err->code;
    }
    if (*rest == '\0') {
        error_set(err, -EINVAL, "'%.80s' has no unit", text);
        error_hint(err, "%s", measure->hint);
        return err->code;
    }
    for (size_t i = 0; i < measure->unit_count; i++) {
        if (strcmp(rest, measure->units[i].name) == 0) {
            return __builtin_mul_overflow(value, measure->units[i].factor, out)
                       ? explain(measure, text, "is too large", err)
                       : 0;
        }
    }
    error_set(err, -EINVAL, "'%.80s' is not %s: unknown unit '%.20s'", text, measure->noun, rest);
    error_hint(err, "%s", measure->hint);
    return err->code;
}

int config_value_count(const char *text, uint64_t *out, struct error *err)
{
    const char *rest = text;

    if (*text == '\0' || read_digits(&rest, out) < 0 || *rest != '\0') {
        error_set(err, -EINVAL, "'%.80s' is not a whole number", text);
        error_hint(err, "write digits only, without a unit");
        return err->code;
    }
    return 0;
}

int config_value_ms(const char *text, uint64_t *out, struct error *err)
{
    return read_measure(&duration, text, out, err);
}

int config_value_size(const char *text, uint64_t *out, struct error *err)
{
    return read_measure(&size, text, out, err);
}

int config_value_rate(const char *text, uint64_t *out, struct error *err)
{
    return read_measure(&rate, text, out, err);
}

int config_value_bool(const char *text, bool *out, struct error *err)
{
    *out = strcasecmp(text, "true") == 0 || strcasecmp(text, "on") == 0;
    if (!*out && strcasecmp(text, "false") != 0 && strcasecmp(text, "off") != 0) {
        error_set(err, -EINVAL, "'%.80s' is neither on nor off", text);
        error_hint(err, "write true, false, on or off");
        return err->code;
    }
    return 0;
}

int config_value_percent(const char *text, uint64_t *out, struct error *err)
{
    return read_measure(&percent, text, out, err);
}

int config_value_minimum(const char *text, struct model_minimum *out, struct error *err)
{
    size_t length = strlen(text);
    bool is_percent = length > 0 && text[length - 1] == '%';
    uint64_t value;

    int rc = is_percent ? config_value_percent(text, &value, err)
                        : config_value_count(text, &value, err);
    if (rc < 0 || (is_percent && value > 100) || value > UINT32_MAX) {
        error_set(err, -EINVAL, "'%.80s' is neither a count nor a percentage up to 100%%", text);
        error_hint(err, "write 1 or 50%%");
        return err->code;
    }
    *out = (struct model_minimum){ .value = (uint32_t)value, .percent = is_percent };
    return 0;
}

/* The largest unit that is exact; `zero` when there is nothing to count. */
static void put_measure(const struct measure *measure, uint64_t value, const char *zero,
                        struct text *out)
{
    if (value == 0) {
        text_put(out, zero);
        return;
    }
    for (size_t i = 0; i < measure->unit_count; i++) {
        const struct unit *unit = &measure->units[i];
        if (value % unit->factor == 0) {
            text_printf(out, "%llu%s", (unsigned long long)(value / unit->factor), unit->name);
            return;
        }
    }
}

void config_value_put_ms(uint64_t ms, struct text *out)
{
    put_measure(&duration, ms, "0s", out);
}

void config_value_put_size(uint64_t bytes, struct text *out)
{
    put_measure(&size, bytes, "0B", out);
}

void config_value_put_rate(uint64_t per_minute, struct text *out)
{
    put_measure(&rate, per_minute, "0/s", out);
}

void config_value_put_minimum(struct model_minimum minimum, struct text *out)
{
    text_printf(out, minimum.percent ? "%u%%" : "%u", minimum.value);
}
