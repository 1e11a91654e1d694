/*
 * Any bytes as what is kept on disk: overrides, and lines of the health file
 * with a last line that fits them. What is taken in is written again and taken
 * in again, and then says the same. The first byte tells which of the two.
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "policy/health.h"
#include "policy/health_file.h"
#include "policy/overrides.h"

#define NOW_MS  1000000u
#define WALL_MS UINT64_C(1542874740000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_overrides(const char *bytes, size_t size)
{
    struct overrides *first = overrides_new();
    struct overrides *second = overrides_new();
    struct text text = { 0 };
    struct text again = { 0 };
    struct error err;

    REQUIRE(first != NULL && second != NULL);
    if (overrides_parse(first, bytes, size, &err) == 0) {
        overrides_render(first, &text);
        REQUIRE(overrides_parse(second, text_string(&text), text.length, &err) == 0);
        overrides_render(second, &again);
        REQUIRE(strcmp(text_string(&text), text_string(&again)) == 0);
        for (size_t i = 0; i < overrides_count(first); i++) {
            const struct override *o = overrides_at(first, i);
            (void)override_means_region(o, "seoul");
            (void)override_means_pool(o, "seoul", "api.svc.example.com");
        }
    } else {
        REQUIRE(overrides_count(first) == 0 && err.code < 0 && err.message[0] != '\0');
    }
    text_fini(&text);
    text_fini(&again);
    overrides_free(first);
    overrides_free(second);
}

static void on_health(void *user, const struct health_event *event)
{
    (void)user;
    (void)event;
}

static void on_good(void *user, const struct health_good *good)
{
    size_t *count = user;

    REQUIRE(good->service != NULL && good->region != NULL);
    REQUIRE(good->address_count <= HEALTH_FILE_GOOD_MAX);
    (*count)++;
}

static void try_health(const char *bytes, size_t size)
{
    struct health *health = health_new(on_health, NULL);
    struct text text = { 0 };
    struct error err = { 0 };
    size_t goods = 0;

    REQUIRE(health != NULL);
    text_put_bytes(&text, bytes, size);
    health_file_finish(&text); /* so that the lines themselves are looked at */
    int rc = health_file_take(health, text_string(&text), text.length, NOW_MS, WALL_MS, on_good,
                              &goods, &err);
    REQUIRE(rc == 0 || (err.message[0] != '\0' && goods == 0));
    health_file_forget(health);
    /* and as it came, most often with a last line that does not fit */
    (void)health_file_take(health, bytes, size, NOW_MS, WALL_MS, NULL, NULL, &err);
    health_file_forget(health);
    text_fini(&text);
    health_free(health);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    /* a copy as long as it is, terminated: both read texts */
    char *bytes = malloc(size);
    REQUIRE(bytes != NULL);
    memcpy(bytes, data + 1, size - 1);
    bytes[size - 1] = '\0';
    if ((data[0] & 1) == 0) {
        try_overrides(bytes, size - 1);
    } else {
        try_health(bytes, size - 1);
    }
    free(bytes);
    return 0;
}
