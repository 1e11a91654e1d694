#include "bench/questions.h"

#include "bench/die.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static uint16_t type_parse(const char *text)
{
    static const struct {
        const char *name;
        uint16_t value;
    } types[] = {
        { "A", 1 },   { "NS", 2 },   { "CNAME", 5 }, { "SOA", 6 },  { "PTR", 12 },
        { "MX", 15 }, { "TXT", 16 }, { "AAAA", 28 }, { "SRV", 33 }, { "HTTPS", 65 },
    };

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcasecmp(text, types[i].name) == 0) {
            return types[i].value;
        }
    }
    return 0;
}

static int expect_parse(const char *text)
{
    static const char *const names[] = {
        [EXPECT_NOERROR] = "NOERROR",   [EXPECT_NODATA] = "NODATA",
        [EXPECT_NXDOMAIN] = "NXDOMAIN", [EXPECT_SERVFAIL] = "SERVFAIL",
        [EXPECT_REFUSED] = "REFUSED",
    };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcasecmp(text, names[i]) == 0) {
            return (int)i;
        }
    }
    return -1;
}

/* The wire form of `name`, absolute with or without its last dot; no escapes.
 * Returns its size in bytes, or 0 when it is no name. */
static size_t name_put(const char *name, uint8_t out[255])
{
    size_t at = 0;

    while (*name != '\0' && strcmp(name, ".") != 0) {
        size_t length = strcspn(name, ".");

        if (length == 0 || length > 63 || at + 1 + length + 1 > 255) {
            return 0;
        }
        out[at++] = (uint8_t)length;
        memcpy(out + at, name, length);
        at += length;
        name += length;
        if (*name == '.') {
            name++;
        }
    }
    out[at++] = 0;
    return at;
}

/* One line, `NAME TYPE [EXPECTED]`. Returns false for an empty line or comment. */
static bool question_parse(char *line, const char *path, unsigned number, struct question *out)
{
    static const char space[] = " \t\r\n";
    char *rest = NULL;
    const char *name = strtok_r(line, space, &rest);

    if (name == NULL || name[0] == '#') {
        return false;
    }
    const char *type = strtok_r(NULL, space, &rest);
    const char *expected = strtok_r(NULL, space, &rest);
    size_t size = name_put(name, out->wire);
    uint16_t rrtype = type != NULL ? type_parse(type) : 0;
    int expect = expected != NULL ? expect_parse(expected) : EXPECT_NOERROR;

    if (size == 0 || rrtype == 0 || expect < 0) {
        die("%s:%u: expected NAME TYPE [NOERROR|NODATA|NXDOMAIN|SERVFAIL|REFUSED]", path, number);
    }
    out->wire[size] = (uint8_t)(rrtype >> 8);
    out->wire[size + 1] = (uint8_t)rrtype;
    out->wire[size + 2] = 0;
    out->wire[size + 3] = 1; /* class IN */
    out->size = (uint16_t)(size + 4);
    out->expect = (uint8_t)expect;
    return true;
}

void questions_read(struct questions *questions, const char *path)
{
    FILE *file = fopen(path, "r");
    char line[1024];
    unsigned number = 0;
    size_t room = 0;

    if (file == NULL) {
        die("%s: %s", path, strerror(errno));
    }
    while (fgets(line, sizeof line, file) != NULL) {
        if (questions->count == room) {
            room = room == 0 ? 1024 : room * 2;
            questions->list = reallocarray(questions->list, room, sizeof *questions->list);
            if (questions->list == NULL) {
                die("out of memory");
            }
        }
        number++;
        if (question_parse(line, path, number, &questions->list[questions->count])) {
            questions->count++;
        }
    }
    fclose(file);
    if (questions->count == 0) {
        die("%s: no questions", path);
    }
}

/* splitmix64: small, and the same order for the same seed everywhere. */
static uint64_t random_next(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* The list itself is shuffled, then asked in order: for the server the order is
 * random, while the generator reads its own memory straight through. */
void questions_shuffle(struct questions *questions, uint64_t seed)
{
    for (size_t i = questions->count - 1; i > 0; i--) {
        size_t j = (size_t)(random_next(&seed) % (i + 1));
        struct question swap = questions->list[i];

        questions->list[i] = questions->list[j];
        questions->list[j] = swap;
    }
}

void questions_free(struct questions *questions)
{
    free(questions->list);
    questions->list = NULL;
    questions->count = 0;
}
