#include "policy/config_default.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/addr.h"
#include "policy/config_print.h"

#define LISTEN        "127.0.0.1:5300" /* 5353 belongs to mDNS (RFC 6762, section 3) */
#define RUN_DIRECTORY "/run/leeward"
#define MAX_RESOLVERS 8
#define DNS_PORT      53 /* RFC 1035, section 4.2 */

static bool is_known(const struct addr *list, size_t count, const struct addr *addr)
{
    for (size_t i = 0; i < count; i++) {
        if (addr_equal(&list[i], addr)) {
            return true;
        }
    }
    return false;
}

/* The word behind "nameserver" in a line (resolv.conf(5)); false for other lines. */
static bool read_line(const char *line, size_t length, char *out, size_t cap)
{
    static const char key[] = "nameserver";
    const size_t key_length = sizeof(key) - 1;

    if (length <= key_length || memcmp(line, key, key_length) != 0) {
        return false;
    }
    size_t begin = key_length;
    while (begin < length && (line[begin] == ' ' || line[begin] == '\t')) {
        begin++;
    }
    size_t size = strcspn(line + begin, " \t\r\n");
    if (begin == key_length || size == 0 || begin + size > length || size >= cap) {
        return false;
    }
    memcpy(out, line + begin, size);
    out[size] = '\0';
    return true;
}

static size_t read_resolvers(const char *resolv, struct addr *out)
{
    char word[ADDR_TEXT_MAX];
    struct addr self;
    struct error ignored;
    size_t count = 0;

    REQUIRE(addr_parse(LISTEN, 0, &self, &ignored) == 0);
    for (const char *line = resolv; *line != '\0' && count < MAX_RESOLVERS;) {
        size_t length = strcspn(line, "\n");
        struct addr addr;
        if (read_line(line, length, word, sizeof(word)) &&
            addr_parse(word, DNS_PORT, &addr, &ignored) == 0 && !addr_is_any(&addr) &&
            !addr_equal(&addr, &self) && !is_known(out, count, &addr)) {
            out[count++] = addr;
        }
        line += length + (line[length] == '\n');
    }
    return count;
}

/* Where the socket of the api can be made. */
static void put_socket(struct text *out)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    struct text path = { 0 };

    if (geteuid() == 0 || access(RUN_DIRECTORY, W_OK) == 0) {
        text_put(&path, RUN_DIRECTORY "/leeward.sock");
    } else if (runtime != NULL && runtime[0] == '/') {
        text_printf(&path, "%s/leeward.sock", runtime);
    } else {
        text_printf(&path, "/tmp/leeward-%u.sock", (unsigned)geteuid());
    }
    config_print_scalar(text_string(&path), out);
    text_fini(&path);
}

int config_default_build(const char *resolv, struct text *out, struct error *err)
{
    struct addr list[MAX_RESOLVERS];
    char text[ADDR_TEXT_MAX];
    size_t count = read_resolvers(resolv, list);

    if (count == 0) {
        error_set(err, -EINVAL, "%s names no resolver to forward to", CONFIG_DEFAULT_RESOLV);
        error_hint(err, "write a leeward.yaml with forward: {\".\": {upstreams: [10.1.0.2]}}");
        return err->code;
    }
    text_printf(out, "listen: [%s]\napi:\n  socket: ", LISTEN);
    put_socket(out);
    text_put(out, "\nforward:\n  \".\":\n    upstreams:\n");
    for (size_t i = 0; i < count; i++) {
        addr_format_port(&list[i], text, sizeof(text));
        text_put(out, "      - ");
        config_print_scalar(text, out);
        text_put_char(out, '\n');
    }
    return 0;
}
