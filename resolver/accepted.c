#include "resolver/accepted.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"

#define DEFAULT_DIRECTORY "/var/lib/leeward"
#define FILE_NAME   "accepted.yaml"
#define FILE_MOST   ((size_t)256 * 1024 * 1024)
#define HEADER      "# leeward: the last accepted configuration, from "
#define HEADER_SIZE (sizeof(HEADER) - 1)

static int path_in(const char *state_directory, char *out, size_t cap)
{
    int n = snprintf(out, cap, "%s/%s", state_directory, FILE_NAME);

    return n < 0 || (size_t)n >= cap ? -ENAMETOOLONG : 0;
}

/* A path that means the same whatever the working directory is. */
static void absolute(const char *path, char *out)
{
    if (realpath(path, out) == NULL) {
        (void)snprintf(out, PATH_MAX, "%s", path);
    }
}

void accepted_save(const struct model *model)
{
    static bool warned;
    char path[PATH_MAX], from[PATH_MAX];
    struct text text = { 0 };
    struct error err;

    if (model->path == NULL || model->source == NULL ||
        path_in(model->state_directory, path, sizeof(path)) < 0) {
        return; /* the embedded default needs no memory */
    }
    absolute(model->path, from);
    text_printf(&text, "%s%s\n%s", HEADER, from, model->source);
    int rc = file_make_directory(model->state_directory, &err);
    if (rc == 0) {
        rc = file_replace(path, text_string(&text), text.length, &err);
    }
    text_fini(&text);
    if (rc < 0 && !warned) {
        warned = true;
        log_event(LOG_WARNING, "state is not kept", "path=%s error=%s hint=%s", err.path,
                  err.message, "make the directory writable or set node.state_directory");
    }
}

/* The value behind "state_directory:" in `line`, quotes taken off; "" when it is not there. */
static void read_value(const char *line, size_t length, char *out, size_t cap)
{
    static const char key[] = "state_directory";
    const char *end = line + length;
    const char *at = memmem(line, length, key, sizeof(key) - 1);

    out[0] = '\0';
    if (at == NULL || memchr(line, '#', (size_t)(at - line)) != NULL) {
        return;
    }
    at += sizeof(key) - 1;
    at += strspn(at, " \"'"); /* JSON quotes its keys */
    if (*at != ':') {
        return;
    }
    at += 1 + strspn(at + 1, " \"'");
    size_t value = strcspn(at, " \t\r\n\"',}#");
    if (at < end && value > 0 && value < cap && *at != '$') {
        memcpy(out, at, value);
        out[value] = '\0';
    }
}

void accepted_directory(const char *path, char *out, size_t cap)
{
    char *text;
    size_t length;
    struct error err;

    (void)snprintf(out, cap, "%s", DEFAULT_DIRECTORY);
    if (file_read(path, FILE_MOST, &text, &length, &err) < 0) {
        return;
    }
    char value[PATH_MAX];
    for (const char *line = text; *line != '\0';) {
        size_t size = strcspn(line, "\n");
        read_value(line, size, value, sizeof(value));
        if (value[0] != '\0') {
            (void)snprintf(out, cap, "%s", value);
            break;
        }
        line += size + (line[size] == '\n');
    }
    free(text);
}

/* The text that is kept, from `path`; 0, or -errno, explained. */
static int read_kept(const char *state_directory, const char *path, char *kept, size_t cap,
                     char **out_text, struct error *err)
{
    char from[PATH_MAX];
    size_t length;

    if (path_in(state_directory, kept, cap) < 0) {
        return error_set(err, -ENAMETOOLONG, "state_directory is too long");
    }
    int rc = file_read(kept, FILE_MOST, out_text, &length, err);
    if (rc < 0) {
        return rc;
    }
    absolute(path, from);
    size_t from_length = strlen(from);
    if (strncmp(*out_text, HEADER, HEADER_SIZE) != 0 ||
        strncmp(*out_text + HEADER_SIZE, from, from_length) != 0 ||
        (*out_text)[HEADER_SIZE + from_length] != '\n') {
        free(*out_text);
        return error_set_at(err, -ENOENT, kept, 0, 0, "what is kept is not from %s", from);
    }
    return 0;
}

static int load_kept(const char *text, const char *kept, const char *path, struct model **out,
                     struct error *err)
{
    struct config_report report = { 0 };
    int rc = config_load_kept(text, path, out, &report);

    if (rc < 0) {
        rc = error_set_at(err, rc, kept, 0, 0, "%s",
                          report.count > 0 ? report.errors[0].message : "does not load");
    }
    config_report_fini(&report);
    return rc;
}

int accepted_load(const char *state_directory, const char *path, struct model **out,
                  struct error *err)
{
    char kept[PATH_MAX];
    char *text;
    int rc = read_kept(state_directory, path, kept, sizeof(kept), &text, err);

    if (rc == 0) {
        rc = load_kept(text, kept, path, out, err);
        free(text);
    }
    return rc;
}

int accepted_load_other(const struct model *model, struct model **out, struct error *err)
{
    char kept[PATH_MAX];
    char *text;

    if (model->path == NULL || model->source == NULL || model->state_directory == NULL) {
        return error_set(err, -ENOENT, "nothing is kept of the embedded default");
    }
    int rc = read_kept(model->state_directory, model->path, kept, sizeof(kept), &text, err);
    if (rc < 0) {
        return rc;
    }
    if (strcmp(text + strcspn(text, "\n") + 1, model->source) == 0) {
        rc = error_set(err, -EALREADY, "what is kept is the same");
    } else {
        rc = load_kept(text, kept, model->path, out, err);
    }
    free(text);
    return rc;
}
