#include "resolver/cli/cli_find.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "policy/config.h"
#include "resolver/cli/cli.h"

#define SOCKET_DEFAULT "/run/leeward/leeward.sock"
#define SCAN_MAX       (1024u * 1024u)

const char *cli_find_config(const struct cli *cli)
{
    static const char *const paths[] = { "leeward.yaml", "/etc/leeward/leeward.yaml" };

    if (cli->config_path != NULL) {
        return cli->config_path;
    }
    for (unsigned i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        if (access(paths[i], F_OK) == 0) {
            return paths[i];
        }
    }
    return NULL;
}

/* Append the plain or quoted value at `at`. */
static bool put_value(const char *at, struct text *out)
{
    at += strspn(at, " \t");
    size_t length;
    if (*at == '"' || *at == '\'') {
        const char quote[] = { *at, '\n', '\0' };
        at++;
        length = strcspn(at, quote);
    } else {
        length = strcspn(at, " \t\r\n,}#");
    }
    text_put_bytes(out, at, length);
    return length > 0;
}

bool cli_find_scan(const char *yaml, struct text *out)
{
    bool in_api = false;

    for (const char *line = yaml; line != NULL && *line != '\0';) {
        const char *end = strchr(line, '\n');
        size_t length = end != NULL ? (size_t)(end - line) : strlen(line);
        if (strncmp(line, "api:", 4) == 0) {
            in_api = true;
        } else if (line[0] != '#' && !isspace((unsigned char)line[0]) && length > 0) {
            in_api = false;
        }
        const char *key = in_api ? memmem(line, length, "socket:", 7) : NULL;
        if (key != NULL && memchr(line, '#', (size_t)(key - line)) == NULL) {
            return put_value(key + 7, out);
        }
        line = end != NULL ? end + 1 : NULL;
    }
    return false;
}

static void read_some(const char *path, struct text *out)
{
    char bytes[4096];
    FILE *file = fopen(path, "re");

    while (file != NULL && out->length < SCAN_MAX) {
        size_t got = fread(bytes, 1, sizeof(bytes), file);
        if (got == 0) {
            break;
        }
        text_put_bytes(out, bytes, got);
    }
    if (file != NULL) {
        (void)fclose(file);
    }
}

/* A relative path is relative to the file that names it. */
static bool scan_file(const char *path, struct text *out)
{
    struct text yaml = { 0 };
    struct text value = { 0 };
    const char *slash = strrchr(path, '/');

    read_some(path, &yaml);
    /* not an environment variable, an escape or the word `off`: those take a parser */
    bool found = cli_find_scan(text_string(&yaml), &value) &&
                 strpbrk(text_string(&value), "$\\") == NULL &&
                 strcmp(text_string(&value), "off") != 0;
    if (found) {
        if (text_string(&value)[0] != '/' && slash != NULL) {
            text_put_bytes(out, path, (size_t)(slash + 1 - path));
        }
        text_put(out, text_string(&value));
    }
    text_fini(&yaml);
    text_fini(&value);
    return found;
}

bool cli_find_socket(const struct cli *cli, struct text *out)
{
    const char *path = cli_find_config(cli);
    struct config_report report = { 0 };
    struct model *model = NULL;
    bool wanted = true;

    if (cli->socket_path != NULL) {
        text_put(out, cli->socket_path);
        return true;
    }
    if (path == NULL) {
        text_put(out, SOCKET_DEFAULT);
        return true;
    }
    if (scan_file(path, out)) {
        return true; /* quicker than to load a large configuration, and it may be broken */
    }
    if (config_load(path, &model, &report) == 0) {
        wanted = model->api_socket != NULL;
        text_put(out, wanted ? model->api_socket : "");
        model_free(model);
    } else {
        text_put(out, SOCKET_DEFAULT);
    }
    config_report_fini(&report);
    return wanted;
}
