#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/config_pin.h"

/* SHA-256 of nothing. */
#define HEX    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define BASE64 "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"

static void pins_are_read_as_people_write_them(void **state)
{
    static const char *const list[] = {
        HEX,
        "sha256:" HEX,
        "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855",
        "e3:b0:c4:42:98:fc:1c:14:9a:fb:f4:c8:99:6f:b9:24:"
        "27:ae:41:e4:64:9b:93:4c:a4:95:99:1b:78:52:b8:55",
        BASE64,
        BASE64 "=",
        "sha256/" BASE64 "=",
        "sha256//" BASE64 "=",
    };
    struct error err;
    uint8_t pin[CONFIG_PIN_BYTES];

    (void)state;
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        struct text text = { 0 };
        memset(pin, 0, sizeof(pin));
        assert_int_equal(config_pin_read(list[i], pin, &err), 0);
        config_pin_put(pin, &text);
        assert_string_equal(text_string(&text), "\"sha256:" HEX "\"");
        text_fini(&text);
    }
}

static void what_is_no_pin_is_explained(void **state)
{
    static const char *const list[] = {
        "",
        "sha256/",
        "sha1/" BASE64,
        HEX "0",
        HEX ":",
        ":" HEX,
        BASE64 "==",
        BASE64 "A",
        "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuF",  /* one digit short */
        "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV", /* bits behind the last byte */
        "47DEQpj8HBSa-_TImW+5JCeuQeRkm5NMpJWZG3hSuFU", /* the alphabet of URLs */
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85g",
    };
    struct error err;
    uint8_t pin[CONFIG_PIN_BYTES];

    (void)state;
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        assert_int_equal(config_pin_read(list[i], pin, &err), -22);
        assert_non_null(strstr(err.message, "is not a pin"));
        assert_non_null(strstr(err.hint, "SHA-256"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pins_are_read_as_people_write_them),
        cmocka_unit_test(what_is_no_pin_is_explained),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
