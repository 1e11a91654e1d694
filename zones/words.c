#include "zones/words.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/text.h"
#include "zones/wire.h"

struct word {
    const char *name;
    uint16_t value;
};

/* clang-format off */
/* IANA, "Domain Name System (DNS) Parameters": those a canary may reasonably be */
static const struct word types[] = {
    { "A", 1 }, { "NS", 2 }, { "CNAME", 5 }, { "SOA", 6 }, { "PTR", 12 }, { "MX", 15 },
    { "TXT", 16 }, { "AAAA", 28 }, { "SRV", 33 }, { "NAPTR", 35 }, { "DNAME", 39 }, { "DS", 43 },
    { "DNSKEY", 48 }, { "SVCB", 64 }, { "HTTPS", 65 }, { "CAA", 257 },
};

/* RFC 1035, section 4.1.1; RFC 2136, section 2.2 */
static const struct word rcodes[] = {
    { "NOERROR", 0 }, { "FORMERR", 1 }, { "SERVFAIL", 2 }, { "NXDOMAIN", 3 }, { "NOTIMP", 4 },
    { "REFUSED", 5 }, { "YXDOMAIN", 6 }, { "YXRRSET", 7 }, { "NXRRSET", 8 }, { "NOTAUTH", 9 },
    { "NOTZONE", 10 },
};
/* clang-format on */

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static const struct word *find(const struct word *words, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcasecmp(words[i].name, name) == 0) {
            return &words[i];
        }
    }
    return NULL;
}

static const char *name_of(const struct word *words, size_t count, unsigned value)
{
    for (size_t i = 0; i < count; i++) {
        if (words[i].value == value) {
            return words[i].name;
        }
    }
    return NULL;
}

static int explain(const struct word *words, size_t count, const char *text, const char *noun,
                   struct error *err)
{
    const char *names[COUNT_OF(types) + COUNT_OF(rcodes)];

    for (size_t i = 0; i < count; i++) {
        names[i] = words[i].name;
    }
    const char *nearest = text_nearest(text, names, count);
    error_set(err, -EINVAL, "unknown %s '%.40s'", noun, text);
    if (nearest != NULL) {
        error_hint(err, "did you mean '%s'?", nearest);
    }
    return err->code;
}

int words_type(const char *text, uint16_t *out, struct error *err)
{
    const struct word *word = find(types, COUNT_OF(types), text);
    unsigned number = 0;
    int used = 0;

    if (word != NULL) {
        *out = word->value;
        return 0;
    }
    if (strncasecmp(text, "TYPE", 4) == 0 && text[4] >= '0' && text[4] <= '9' &&
        sscanf(text + 4, "%5u%n", &number, &used) == 1 && text[4 + used] == '\0' && number > 0 &&
        number <= UINT16_MAX) {
        *out = (uint16_t)number;
        return 0;
    }
    return explain(types, COUNT_OF(types), text, "type", err);
}

int words_rcode(const char *text, uint8_t *out, struct error *err)
{
    const struct word *word = find(rcodes, COUNT_OF(rcodes), text);

    if (word == NULL) {
        return explain(rcodes, COUNT_OF(rcodes), text, "response code", err);
    }
    *out = (uint8_t)word->value;
    return 0;
}

const char *words_type_name(uint16_t type, char scratch[WORDS_MAX])
{
    const char *name = name_of(types, COUNT_OF(types), type);

    if (name != NULL) {
        return name;
    }
    (void)snprintf(scratch, WORDS_MAX, "TYPE%u", type);
    return scratch;
}

const char *words_rcode_find(unsigned rcode)
{
    return rcode == WIRE_BADVERS ? "BADVERS" : name_of(rcodes, COUNT_OF(rcodes), rcode);
}

const char *words_rcode_name(unsigned rcode, char scratch[WORDS_MAX])
{
    const char *name = words_rcode_find(rcode);

    if (name != NULL) {
        return name;
    }
    (void)snprintf(scratch, WORDS_MAX, "RCODE%u", rcode);
    return scratch;
}
