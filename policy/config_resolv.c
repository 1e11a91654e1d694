#include "policy/config_resolv.h"

#include <stdlib.h>
#include <string.h>

#include "policy/config_address.h"
#include "policy/config_files.h"

#define DNS_PORT 53 /* RFC 1035, section 4.2 */

static const char key[] = "nameserver";

/* Is it a line with this key? Then the word behind it, "" when there is none or it is too long. */
static bool read_line(const char *line, size_t length, char *out, size_t cap)
{
    size_t begin = sizeof(key) - 1;

    if (length <= begin || memcmp(line, key, begin) != 0 ||
        (line[begin] != ' ' && line[begin] != '\t')) {
        return false;
    }
    while (begin < length && (line[begin] == ' ' || line[begin] == '\t')) {
        begin++;
    }
    size_t size = strcspn(line + begin, " \t\r\n");
    size = size < cap ? size : 0;
    memcpy(out, line + begin, size);
    out[size] = '\0';
    return true;
}

/* An interface that a scope names may be gone: then there is nothing to ask. */
static bool read_address(const char *word, struct addr *out)
{
    struct error ignored;

    return addr_parse(word, DNS_PORT, out, &ignored) == 0 && out->port != 0 &&
           config_address_misfit(out, CONFIG_ADDRESS_SERVER) == NULL;
}

static void add(struct config_resolv *out, const struct addr *addr)
{
    for (size_t i = 0; i < out->count; i++) {
        if (addr_equal(&out->list[i], addr)) {
            return;
        }
    }
    if (out->count < CONFIG_RESOLV_MAX) {
        out->list[out->count++] = *addr;
    }
}

void config_resolv_parse(const char *text, struct config_resolv *out)
{
    char word[ADDR_TEXT_MAX];
    struct addr addr;
    unsigned number = 1;

    *out = (struct config_resolv){ 0 };
    for (const char *line = text; *line != '\0'; number++) {
        size_t length = strcspn(line, "\n");
        if (read_line(line, length, word, sizeof(word))) {
            if (read_address(word, &addr)) {
                add(out, &addr);
            } else if (out->skipped++ == 0) {
                out->skipped_line = number;
            }
        }
        line += length + (line[length] == '\n');
    }
}

int config_resolv_read(const char *path, struct config_resolv *out, struct error *err)
{
    char *text;
    size_t length;

    *out = (struct config_resolv){ 0 };
    int rc = config_files_read(path, &text, &length, err);
    if (rc == 0) {
        config_resolv_parse(text, out);
        free(text);
    }
    return rc;
}
