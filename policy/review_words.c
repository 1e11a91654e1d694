#include "policy/review_words.h"

#include <stdbool.h>
#include <string.h>

#include "policy/config_check_print.h"
#include "policy/config_steer.h"
#include "policy/config_value.h"

#define SHOWN_MAX    300 /* of what has another form than before, each side */
#define ENTRY_INDENT 2u  /* of the entries of a section */

/* ---- lines side by side ---- */

static void put_separator(struct text *out)
{
    text_put(out, out->length == 0 ? "" : "; ");
}

/* A line without its indent and the dash of a list. */
static size_t take_line(const char **at, const char **out_line)
{
    const char *line = *at;
    size_t length = strcspn(line, "\n");

    *at = line + length + (line[length] == '\n');
    while (length > 0 && (*line == ' ' || (*line == '-' && length > 1 && line[1] == ' '))) {
        line++;
        length--;
    }
    *out_line = line;
    return length;
}

static size_t count_lines(const char *text)
{
    size_t count = 0;

    for (; *text != '\0'; text++) {
        count += *text == '\n';
    }
    return count;
}

/* All of it in one line. */
static void put_flat(const char *text, struct text *out)
{
    size_t begin = out->length;
    const char *line;

    if (*text == '\0') {
        text_put(out, "nothing");
    }
    for (const char *at = text; *at != '\0' && out->length - begin < SHOWN_MAX;) {
        size_t length = take_line(&at, &line);
        text_printf(out, "%s%.*s", out->length == begin ? "" : " ", (int)length, line);
    }
}

/* Line by line where both have as many of them, else whole. */
static void put_changed(const char *before, const char *after, struct text *out)
{
    const char *a;
    const char *b;

    if (strcmp(before, after) == 0) {
        return;
    }
    if (count_lines(before) != count_lines(after)) {
        put_separator(out);
        put_flat(before, out);
        text_put(out, " -> ");
        put_flat(after, out);
        return;
    }
    while (*before != '\0' && *after != '\0') {
        size_t size_a = take_line(&before, &a);
        size_t size_b = take_line(&after, &b);
        if (size_a != size_b || memcmp(a, b, size_a) != 0) {
            put_separator(out);
            text_printf(out, "%.*s -> %.*s", (int)size_a, a, (int)size_b, b);
        }
    }
}

/* Takes both. */
static void settle(struct text *before, struct text *after, struct text *out)
{
    put_changed(text_string(before), text_string(after), out);
    text_fini(before);
    text_fini(after);
}

/* ---- services ---- */

void review_words_minimum(struct model_minimum minimum, struct text *out)
{
    text_printf(out, "%u%s", minimum.value, minimum.percent ? "%" : "");
}

static const char *all_down_word(enum model_all_down mode)
{
    static const char *const words[] = {
        [MODEL_ALL_DOWN_LAST_GOOD] = "last_good",
        [MODEL_ALL_DOWN_ALL] = "all",
        [MODEL_ALL_DOWN_SERVFAIL] = "servfail",
        [MODEL_ALL_DOWN_FALLBACK] = "fallback",
    };

    return words[mode];
}

/* One line for each. */
static void put_rules(const struct model *model, const struct model_service *service,
                      struct text *out)
{
    text_put(out, "minimum_healthy ");
    review_words_minimum(service->minimum_healthy, out);
    text_printf(out,
                "\nttl %us/%us\nmax_addresses %u\nfailback %s\nramp %ums\nsrv %u\n"
                "on_all_down %s",
                service->ttl_normal_s, service->ttl_suspect_s, service->max_addresses,
                service->failback == MODEL_FAILBACK_MANUAL ? "manual" : "auto", service->ramp_ms,
                service->srv_port, all_down_word(service->on_all_down));
    for (size_t i = 0; i < service->fallback_count; i++) {
        char shown[ADDR_TEXT_MAX];
        addr_format(&service->fallback[i], shown, sizeof(shown));
        text_printf(out, " %s", shown);
    }
    text_put_char(out, '\n');
    config_steer_put(model, service, out);
}

void review_words_service(const struct model *from_model, const struct model_service *from,
                          const struct model *to_model, const struct model_service *to,
                          struct text *out)
{
    struct text before = { 0 };
    struct text after = { 0 };

    put_rules(from_model, from, &before);
    put_rules(to_model, to, &after);
    settle(&before, &after, out);
    before = after = (struct text){ 0 };
    config_check_put_service(from_model, from, &before);
    config_check_put_service(to_model, to, &after);
    settle(&before, &after, out);
}

void review_words_endpoint(const struct model_endpoint *from, const struct model_endpoint *to,
                           struct text *out)
{
    if (from->weight != to->weight) {
        text_printf(out, " weight %u -> %u", from->weight, to->weight);
    }
    if (from->capacity != to->capacity) {
        text_printf(out, " capacity %u -> %u", from->capacity, to->capacity);
    }
    if (from->address.port != to->address.port) {
        text_printf(out, " port %u -> %u", from->address.port, to->address.port);
    }
    if (from->as_cname != to->as_cname) {
        text_put(out, to->as_cname ? " answer address -> cname" : " answer cname -> address");
    }
}

/* ---- regions, guards ---- */

static void put_region(const struct model_region *region, struct text *out)
{
    text_put(out, "minimum_healthy ");
    review_words_minimum(region->minimum_healthy, out);
    text_printf(out, "\non_dns_failure %s\n",
                region->on_dns_failure == MODEL_DNS_FAILURE_PROVE ? "prove" : "leave");
}

void review_words_region(const struct model_region *from, const struct model_region *to,
                         struct text *out)
{
    struct text before = { 0 };
    struct text after = { 0 };

    put_region(from, &before);
    put_region(to, &after);
    settle(&before, &after, out);
    before = after = (struct text){ 0 };
    config_check_put_region(from, &before);
    config_check_put_region(to, &after);
    settle(&before, &after, out);
}

static void put_guards(const struct model_guards *guards, struct text *out)
{
    char shown[ADDR_TEXT_MAX];

    text_printf(out, "minimum_regions %u\nremoval_limit %u%% in ", guards->minimum_regions,
                guards->removal_percent);
    config_value_put_ms(guards->removal_window_ms, out);
    text_put(out, "\ncascade_window ");
    config_value_put_ms(guards->cascade_window_ms, out);
    text_put(out, "\nwitnesses");
    for (size_t i = 0; i < guards->witness_count; i++) {
        addr_format_port(&guards->witnesses[i], shown, sizeof(shown));
        text_printf(out, " %s", shown);
    }
    text_put(out, guards->witness_count == 0 ? " none\n" : "\n");
    text_printf(out, "minimum_reachable %u\n", guards->witness_minimum);
}

void review_words_guards(const struct model_guards *from, const struct model_guards *to,
                         struct text *out)
{
    struct text before = { 0 };
    struct text after = { 0 };

    put_guards(from, &before);
    put_guards(to, &after);
    settle(&before, &after, out);
}

/* ---- sections ---- */

struct part {
    const char *at;
    size_t size;
};

static const char *behind_line(const char *at, const char *end)
{
    const char *newline = memchr(at, '\n', (size_t)(end - at));

    return newline == NULL ? end : newline + 1;
}

static bool is_within(const char *line, const char *end, size_t indent)
{
    return (size_t)(end - line) >= indent && strspn(line, " ") >= indent;
}

/* What is indented deeper below the line of `key`, which is itself indented so far. */
static struct part find_part(struct part whole, size_t indent, const char *key, size_t length)
{
    const char *end = whole.at + whole.size;
    const char *at = whole.at;

    while (at < end && !(strspn(at, " ") == indent && strncmp(at + indent, key, length) == 0 &&
                         at[indent + length] == ':')) {
        at = behind_line(at, end);
    }
    const char *begin = behind_line(at, end);
    const char *last = begin;
    while (last < end && is_within(last, end, indent + 1)) {
        last = behind_line(last, end);
    }
    return (struct part){ begin, (size_t)(last - begin) };
}

static struct part section_of(const struct model *model, const char *key)
{
    const char *source = model->source == NULL ? "" : model->source;

    return find_part((struct part){ source, strlen(source) }, 0, key, strlen(key));
}

/* Whole lines that both begin with are left out. */
static void cut_begin(struct part *a, struct part *b)
{
    size_t same = 0;
    size_t lines = 0;

    while (same < a->size && same < b->size && a->at[same] == b->at[same]) {
        same++;
        lines = a->at[same - 1] == '\n' ? same : lines;
    }
    a->at += lines;
    b->at += lines;
    a->size -= lines;
    b->size -= lines;
}

/* Does a line begin so far from the end? */
static bool begins_line(const struct part *part, size_t from_end)
{
    return from_end == part->size || part->at[part->size - 1 - from_end] == '\n';
}

static void cut_end(struct part *a, struct part *b)
{
    size_t same = 0;
    size_t lines = 0;

    while (same < a->size && same < b->size &&
           a->at[a->size - 1 - same] == b->at[b->size - 1 - same]) {
        same++;
        lines = begins_line(a, same) && begins_line(b, same) ? same : lines;
    }
    a->size -= lines;
    b->size -= lines;
}

static void compare_parts(struct part a, struct part b, struct text *out)
{
    struct text before = { 0 };
    struct text after = { 0 };

    cut_begin(&a, &b);
    cut_end(&a, &b);
    text_put_bytes(&before, a.at, a.size);
    text_put_bytes(&after, b.at, b.size);
    settle(&before, &after, out);
}

void review_words_section(const struct model *from, const struct model *to, const char *key,
                          struct text *out)
{
    compare_parts(section_of(from, key), section_of(to, key), out);
}

/* Each entry of `mine`: as it stands in `other`, or only there. */
static void compare_entries(struct part mine, struct part other, bool other_is_old,
                            review_words_told *told, void *user)
{
    const char *end = mine.at + mine.size;

    for (const char *at = mine.at; at < end; at = behind_line(at, end)) {
        if (strspn(at, " ") != ENTRY_INDENT) {
            continue;
        }
        const char *key = at + ENTRY_INDENT;
        size_t length = (size_t)(behind_line(at, end) - key);
        while (length > 0 && key[length] != ':') {
            length--; /* it ends with the last colon: names may be quoted and hold one */
        }
        struct part same = find_part(other, ENTRY_INDENT, key, length);
        struct text name = { 0 };
        struct text text = { 0 };
        text_put_bytes(&name, key, length);
        if (same.size == 0) {
            text_put(&text, other_is_old ? "added" : "removed");
        } else if (!other_is_old) {
            compare_parts(find_part(mine, ENTRY_INDENT, key, length), same, &text);
        }
        if (text.length > 0) {
            told(user, text_string(&name), &text);
        }
        text_fini(&text);
        text_fini(&name);
    }
}

void review_words_entries(const struct model *from, const struct model *to, const char *key,
                          review_words_told *told, void *user)
{
    struct part before = section_of(from, key);
    struct part after = section_of(to, key);

    if (before.size == after.size && memcmp(before.at, after.at, before.size) == 0) {
        return;
    }
    compare_entries(before, after, false, told, user);
    compare_entries(after, before, true, told, user);
}
