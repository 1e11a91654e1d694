#include "policy/probe_identity.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/text.h"

/* The string as long as it is: there may be one for each of many probes. */
static char *take(struct text *text)
{
    REQUIRE(!text_failed(text));
    char *string = strdup(text_string(text));
    REQUIRE(string != NULL);
    text_fini(text);
    return string;
}

/* ---- words that stand for something else in each probe ---- */

/* The value of the word that `text` begins with; its length, or 0. */
static size_t put_word(const struct probe_identity *identity, const char *text, struct text *out)
{
    char address[ADDR_TEXT_MAX];

    if (strncmp(text, "{address}", 9) == 0) {
        addr_format(identity->target, address, sizeof(address));
        text_put(out, address);
        return 9;
    }
    if (strncmp(text, "{port}", 6) == 0) {
        text_printf(out, "%u", identity->target->port);
        return 6;
    }
    if (strncmp(text, "{region}", 8) == 0) {
        text_put(out, identity->region);
        return 8;
    }
    if (strncmp(text, "{service}", 9) == 0) {
        text_put(out, identity->check->host == NULL ? "" : identity->check->host);
        return 9;
    }
    return 0;
}

static void put_expanded(const struct probe_identity *identity, const char *text, struct text *out)
{
    while (*text != '\0') {
        size_t length = *text == '{' ? put_word(identity, text, out) : 0;
        if (length == 0) {
            text_put_char(out, *text);
            length = 1;
        }
        text += length;
    }
}

static char *expand(const struct probe_identity *identity, const char *text)
{
    struct text out = { 0 };

    if (text == NULL) {
        return NULL;
    }
    put_expanded(identity, text, &out);
    return take(&out);
}

/* ---- the key ---- */

/*
 * There are as many keys as there are endpoints of services, so nothing here
 * goes through printf: that took most of the time of a start.
 */

static char *digits_of(unsigned long long number, char *end)
{
    do {
        *--end = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    return end;
}

static void put_number(struct text *key, char separator, unsigned long long number)
{
    char digits[24];
    char *end = digits + sizeof(digits);
    char *first = digits_of(number, end);

    *--first = separator;
    text_put_bytes(key, first, (size_t)(end - first));
}

/* The length of what follows, so that none can pass for two. */
static void put_size(struct text *key, size_t size)
{
    put_number(key, '|', size);
    text_put_char(key, ':');
}

static void put_string(struct text *key, const char *string)
{
    if (string == NULL) {
        text_put(key, "|-");
        return;
    }
    size_t length = strlen(string);
    put_size(key, length);
    text_put_bytes(key, string, length);
}

/* The key is a string: what may hold any byte goes in as hexadecimal digits. */
static void put_hex(struct text *key, const uint8_t *bytes, size_t size)
{
    static const char hex[] = "0123456789abcdef";
    char out[2 * 16];

    for (size_t done = 0, some; done < size; done += some) {
        some = size - done < sizeof(out) / 2 ? size - done : sizeof(out) / 2;
        for (size_t i = 0; i < some; i++) {
            out[2 * i] = hex[bytes[done + i] >> 4];
            out[2 * i + 1] = hex[bytes[done + i] & 15];
        }
        text_put_bytes(key, out, 2 * some);
    }
}

static void put_binary(struct text *key, const void *bytes, size_t size)
{
    put_size(key, size);
    put_hex(key, bytes, size);
}

/* Families are told apart by the number of digits. */
static void put_addr(struct text *key, const struct addr *addr)
{
    put_hex(key, addr->bytes, addr_size_bytes(addr));
    put_number(key, ':', addr->port);
    if (addr->scope != 0) {
        put_number(key, '%', addr->scope);
    }
}

static void put_timing(struct text *key, const struct model_timing *t)
{
    put_number(key, '|', t->interval_ms);
    put_number(key, ',', t->timeout_ms);
    put_number(key, ',', t->confirm_interval_ms);
    put_number(key, ',', t->fall);
    put_number(key, ',', t->silent_fall);
    put_number(key, ',', t->rise);
    put_number(key, ',', t->hold_down_ms);
    put_number(key, ',', t->hold_down_max_ms);
    put_number(key, ',', t->jitter_percent);
    put_number(key, ',', t->fall_auto);
    put_number(key, ',', t->false_alarm_ms);
}

static void put_tls(struct text *key, const struct model_check *check)
{
    const struct tls_settings *tls = check->tls;

    put_number(key, '|', check->days_left);
    if (tls == NULL) {
        text_put(key, "|-");
        return;
    }
    put_string(key, tls->name);
    put_string(key, tls->ca_file);
    put_string(key, tls->protocol);
    put_binary(key, tls->pins, tls->pin_count * sizeof(*tls->pins));
    put_number(key, '|', tls->unverified);
}

static void put_dns(struct text *key, const struct model_check *check)
{
    put_string(key, check->query_name);
    put_number(key, '|', check->query_type);
    put_number(key, '|', check->expect_rcode_given);
    put_number(key, ',', check->expect_rcode);
    put_number(key, '|', check->over_tcp);
    text_put_char(key, '|');
    for (size_t i = 0; i < check->expect_address_count; i++) {
        put_addr(key, &check->expect_addresses[i]);
        text_put_char(key, ',');
    }
    put_string(key, check->expect_pattern);
}

static void put_http(struct text *key, const struct model_check *check)
{
    put_string(key, check->method);
    put_string(key, check->path);
    put_string(key, check->host);
    put_number(key, '|', check->header_count);
    for (size_t i = 0; i < check->header_count; i++) {
        put_string(key, check->headers[i].name);
        put_string(key, check->headers[i].value);
    }
    text_put_char(key, '|');
    for (size_t i = 0; i < check->status_count; i++) {
        put_number(key, ',', check->statuses[i].first);
        put_number(key, '-', check->statuses[i].last);
    }
    put_string(key, check->body);
    put_string(key, check->body_pattern);
    put_string(key, check->json_pointer);
    put_string(key, check->json_value);
}

/* A program is told all of it; see checks/check_exec.c. */
static void put_exec(struct text *key, const struct probe_identity *identity)
{
    const struct model_check *check = identity->check;

    put_string(key, check->name);
    put_string(key, check->host);
    for (size_t i = 0; i < check->argument_count; i++) {
        char *argument = expand(identity, check->arguments[i]);
        put_string(key, argument);
        free(argument);
    }
}

/*
 * What is told from outside is told about a name: that of the check, wherever
 * it is used, or that of the service it is written in.
 */
static void put_push(struct text *key, const struct probe_identity *identity)
{
    put_number(key, '|', identity->check->push_ttl_ms);
    put_string(key, identity->region);
    put_string(key, identity->check->name);
    put_string(key, identity->check->name == NULL ? identity->check->host : NULL);
}

void probe_identity_put_check(const struct model_check *check, struct text *key)
{
    put_number(key, 'k', (unsigned)check->kind);
    put_timing(key, &check->timing);
    put_number(key, '|', check->degraded_ms);
    put_tls(key, check);
    switch (check->kind) {
    case MODEL_CHECK_DNS:
        put_dns(key, check);
        break;
    case MODEL_CHECK_TCP:
        put_binary(key, check->send, check->send_size);
        put_string(key, check->expect);
        break;
    case MODEL_CHECK_HTTP:
        put_http(key, check);
        break;
    case MODEL_CHECK_EXEC: /* the rest goes with the target */
    case MODEL_CHECK_PUSH:
    case MODEL_CHECK_FILE:
    case MODEL_CHECK_TLS:
    case MODEL_CHECK_ICMP:
    case MODEL_CHECK_KINDS:
        break;
    }
}

void probe_identity_put_target(const struct probe_identity *identity, struct text *key)
{
    const struct model_check *check = identity->check;
    struct addr target = *identity->target;
    char *file;

    if (check->kind == MODEL_CHECK_ICMP) {
        target.port = 0; /* an echo has none */
    }
    text_put_char(key, '@');
    put_addr(key, &target);
    switch (check->kind) {
    case MODEL_CHECK_EXEC:
        put_exec(key, identity);
        break;
    case MODEL_CHECK_PUSH:
        put_push(key, identity);
        break;
    case MODEL_CHECK_FILE:
        file = expand(identity, check->file);
        put_string(key, file);
        free(file);
        break;
    default:
        break;
    }
}

char *probe_identity_key(const struct probe_identity *identity)
{
    struct text key = { 0 };

    probe_identity_put_check(identity->check, &key);
    probe_identity_put_target(identity, &key);
    return take(&key);
}

/* ---- the label ---- */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL ? path : slash + 1;
}

/* What stands behind the target, with its separator. */
static void put_detail(const struct probe_identity *identity, struct text *out)
{
    const struct model_check *check = identity->check;

    switch (check->kind) {
    case MODEL_CHECK_DNS:
        text_printf(out, " %s", check->query_name == NULL ? "" : check->query_name);
        break;
    case MODEL_CHECK_HTTP:
        text_put(out, check->path == NULL ? "" : check->path);
        break;
    case MODEL_CHECK_EXEC:
        text_printf(out, " %s", base_name(check->arguments[0]));
        break;
    case MODEL_CHECK_PUSH:
        if (check->name != NULL) {
            text_printf(out, " %s", check->name);
        }
        break;
    case MODEL_CHECK_FILE:
        text_put_char(out, ' ');
        put_expanded(identity, check->file, out);
        break;
    default:
        break;
    }
}

static void put_target(const struct model_check *check, const struct addr *target, struct text *out)
{
    char text[ADDR_TEXT_MAX];

    if (target->port == 0 || check->kind == MODEL_CHECK_ICMP) {
        addr_format(target, text, sizeof(text));
    } else {
        addr_format_port(target, text, sizeof(text));
    }
    text_printf(out, " %s", text);
}

char *probe_identity_label(const struct probe_identity *identity)
{
    const struct model_check *check = identity->check;
    bool secured = check->tls != NULL && check->tls->name != NULL;
    struct text label = { 0 };

    text_printf(&label, "%s %s", identity->region, model_check_word(check));
    if (secured && (check->kind == MODEL_CHECK_HTTP || check->kind == MODEL_CHECK_TLS)) {
        text_printf(&label, " %s", check->tls->name);
    }
    if (!addr_is_any(identity->target)) {
        put_target(check, identity->target, &label);
    }
    put_detail(identity, &label);
    return take(&label);
}

/* ---- copies ---- */

/* NULL for nothing. */
static void *copy_array(const void *array, size_t count, size_t size)
{
    if (count == 0) {
        return NULL;
    }
    void *copy = calloc(count, size);
    REQUIRE(copy != NULL);
    memcpy(copy, array, count * size);
    return copy;
}

static char *copy_string(const char *string)
{
    return string == NULL ? NULL : copy_array(string, strlen(string) + 1, 1);
}

static const struct model_header *copy_headers(const struct model_check *check)
{
    struct model_header *copy = copy_array(check->headers, check->header_count, sizeof(*copy));

    for (size_t i = 0; i < check->header_count; i++) {
        copy[i].name = copy_string(check->headers[i].name);
        copy[i].value = copy_string(check->headers[i].value);
    }
    return copy;
}

static const char *const *copy_arguments(const struct probe_identity *identity)
{
    const struct model_check *check = identity->check;

    if (check->argument_count == 0) {
        return NULL;
    }
    const char **copy = calloc(check->argument_count + 1, sizeof(*copy)); /* NULL ends it */
    REQUIRE(copy != NULL);
    for (size_t i = 0; i < check->argument_count; i++) {
        copy[i] = expand(identity, check->arguments[i]);
    }
    return copy;
}

static const struct tls_settings *copy_tls(const struct tls_settings *tls)
{
    struct tls_settings *copy = tls == NULL ? NULL : tls_settings_copy(tls);

    REQUIRE(tls == NULL || copy != NULL);
    return copy;
}

void probe_identity_copy(const struct probe_identity *identity, struct model_check *out)
{
    const struct model_check *check = identity->check;

    *out = *check;
    out->place = (struct model_place){ 0 };
    out->name = copy_string(check->name);
    out->query_name = copy_string(check->query_name);
    out->expect_addresses = copy_array(check->expect_addresses, check->expect_address_count,
                                       sizeof(*check->expect_addresses));
    out->expect_pattern = copy_string(check->expect_pattern);
    out->tls = copy_tls(check->tls);
    out->send = copy_array(check->send, check->send_size, 1);
    out->expect = copy_string(check->expect);
    out->method = copy_string(check->method);
    out->path = copy_string(check->path);
    out->host = copy_string(check->host);
    out->headers = copy_headers(check);
    out->statuses = copy_array(check->statuses, check->status_count, sizeof(*check->statuses));
    out->body = copy_string(check->body);
    out->body_pattern = copy_string(check->body_pattern);
    out->json_pointer = copy_string(check->json_pointer);
    out->json_value = copy_string(check->json_value);
    out->arguments = copy_arguments(identity);
    out->file = expand(identity, check->file);
}

/* Give back what is const to everybody else. */
static void drop(const void *pointer)
{
    free((void *)(uintptr_t)pointer);
}

void probe_identity_free(struct model_check *check)
{
    for (size_t i = 0; i < check->header_count; i++) {
        drop(check->headers[i].name);
        drop(check->headers[i].value);
    }
    for (size_t i = 0; i < check->argument_count; i++) {
        drop(check->arguments[i]);
    }
    drop(check->name);
    drop(check->query_name);
    drop(check->expect_addresses);
    drop(check->expect_pattern);
    drop(check->tls);
    drop(check->send);
    drop(check->expect);
    drop(check->method);
    drop(check->path);
    drop(check->host);
    drop(check->headers);
    drop(check->statuses);
    drop(check->body);
    drop(check->body_pattern);
    drop(check->json_pointer);
    drop(check->json_value);
    drop(check->arguments);
    drop(check->file);
}

/* ---- digests ---- */

struct probe_key probe_identity_digest(const char *words, size_t length)
{
    /* fixed: what is kept on disk is read by another process */
    static const struct hash_key first = { 1, 2 }, second = { 3, 4 };

    return (struct probe_key){ hash_bytes(&first, words, length),
                               hash_bytes(&second, words, length) };
}

bool probe_identity_is_own(const struct model_check *check)
{
    return check->kind == MODEL_CHECK_EXEC || check->kind == MODEL_CHECK_FILE ||
           check->kind == MODEL_CHECK_PUSH;
}
