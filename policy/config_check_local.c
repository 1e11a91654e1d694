#include "policy/config_check_kinds.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "policy/config_files.h"

#define ARGUMENTS_MAX 64

struct exec_written {
    uint16_t port;
};

/* clang-format off */
static const struct config_row exec_rows[] = {
    { "command", CONFIG_PART, 0, 0, 0, CONFIG_REQUIRED,
      .help = "The program and its arguments; no shell. `{address}`, `{port}`, `{region}` and "
              "`{service}` in an argument stand for those of the endpoint.",
      .example = "e.g. command: [/usr/lib/nagios/plugins/check_tcp, -H, \"{address}\"]",
      .forms = CONFIG_FORM_TEXT | CONFIG_FORM_LIST,
      .forms_help = "a program, or a list of it and its arguments" },
    { "port", CONFIG_PORT, offsetof(struct exec_written, port), 1, 65535, NULL,
      .help = "The port of an endpoint that is written without one.",
      .usual = "0" },
};

static const struct config_row push_rows[] = {
    { "ttl", CONFIG_MS, offsetof(struct model_check, push_ttl_ms), 1000, 86400000, "30s",
      .help = "How long a report is good for that does not say so itself; then its target "
              "fails." },
};

static const struct config_row file_rows[] = {
    { "path", CONFIG_PATH, offsetof(struct model_check, file), 1, 0, CONFIG_REQUIRED,
      .help = "The file: there and not beginning with `down` means up. `{address}`, `{port}`, "
              "`{region}` and `{service}` in it stand for those of the endpoint.",
      .example = "e.g. path: /run/leeward/{address}.state" },
};
/* clang-format on */

const struct config_table config_check_exec_table = {
    "checks.NAME.exec",
    "Runs a program. Its exit code is read as that of a monitoring plugin: 0 passes, 1 passes as "
    "degraded, 2 fails, 3 says nothing. Unless written, its interval is 10s and its timeout 5s.",
    exec_rows,
    sizeof(exec_rows) / sizeof(exec_rows[0]),
};

const struct config_table config_check_push_table = {
    "checks.NAME.push",
    "Is told from outside, over the api.",
    push_rows,
    sizeof(push_rows) / sizeof(push_rows[0]),
};

const struct config_table config_check_file_table = {
    "checks.NAME.file",
    "Looks at a file on this machine.",
    file_rows,
    sizeof(file_rows) / sizeof(file_rows[0]),
};

static const char *const words[] = { "{address}", "{port}", "{region}", "{service}" };

#define WORD_COUNT (sizeof(words) / sizeof(words[0]))

/* Words in braces that are nearly one of ours: they would stay as they are. */
static void check_words(struct config_context *context, const struct config_item *item,
                        const char *text)
{
    char word[32];

    for (const char *open = text; (open = strchr(open, '{')) != NULL; open++) {
        size_t length = strcspn(open, "}") + 1;
        if (length >= sizeof(word) || open[length - 1] == '\0') {
            continue;
        }
        memcpy(word, open, length);
        word[length] = '\0';
        const char *nearest = text_nearest(word, words, WORD_COUNT);
        if (nearest != NULL && strcmp(nearest, word) != 0) {
            struct error *err = config_error_value(context, item, "unknown word '%s'", word);
            error_hint(err, "did you mean '%s'?", nearest);
        }
    }
}

static const char *read_program(struct config_context *context, const struct config_item *item,
                                const char *text)
{
    const char *path = config_files_resolve(context, item->value->file, text);
    struct stat about;

    if (context->is_kept) {
        return path;
    }
    if (stat(path, &about) < 0 || (S_ISREG(about.st_mode) && access(path, X_OK) < 0)) {
        struct error *err =
            config_error_value(context, item, "%.200s cannot be run: %s", path, strerror(errno));
        error_hint(err, "%s",
                   strchr(text, '/') == NULL ? "give its whole path; PATH is not searched"
                   : strchr(text, ' ') != NULL
                       ? "arguments are elements of a list: [/usr/bin/program, -H, \"{address}\"]"
                       : "it must be there and executable on this machine");
    } else if (!S_ISREG(about.st_mode)) {
        config_error_value(context, item, "%.200s is not a program", path);
    }
    return path;
}

static void read_command(struct config_context *context, const struct config_item *item,
                         struct model_check *check)
{
    size_t count = config_item_list_count(item);

    if (item->value->broken || item->value->kind == CONFIG_NODE_MAP) {
        return;
    }
    if (count == 0) {
        config_error_key(context, item, "a program is missing");
        return;
    }
    if (count > ARGUMENTS_MAX) {
        config_error_key(context, item, "more than %d arguments", ARGUMENTS_MAX);
        return;
    }
    const char **list = arena_array(context->arena, count + 1, sizeof(*list));
    for (size_t i = 0; i < count; i++) {
        struct config_item one = config_item_list_at(item, i);
        const char *text = config_table_scalar(context, &one);
        if (text == NULL) {
            return;
        }
        if (i == 0) {
            list[i] = read_program(context, &one, text);
        } else {
            check_words(context, &one, text);
            list[i] = arena_strdup(context->arena, text);
        }
    }
    check->arguments = list;
    check->argument_count = count;
}

void config_check_read_exec(struct config_context *context, const struct config_item *kind,
                            struct model_check *check)
{
    struct exec_written written = { 0 };
    struct config_item command;

    check->kind = MODEL_CHECK_EXEC;
    (void)config_table_read(context, &config_check_exec_table, kind, &written);
    check->port = written.port;
    if (config_item_get(kind, "command", &command)) {
        read_command(context, &command, check);
    }
}

void config_check_read_push(struct config_context *context, const struct config_item *kind,
                            struct model_check *check)
{
    check->kind = MODEL_CHECK_PUSH;
    (void)config_table_read(context, &config_check_push_table, kind, check);
}

void config_check_read_file(struct config_context *context, const struct config_item *kind,
                            struct model_check *check)
{
    struct config_item path;

    check->kind = MODEL_CHECK_FILE;
    (void)config_table_read(context, &config_check_file_table, kind, check);
    if (check->file != NULL && config_item_get(kind, "path", &path)) {
        check_words(context, &path, check->file);
    }
}
