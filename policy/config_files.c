#include "policy/config_files.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/text.h"
#include "policy/config_yaml.h"

#define MAX_INCLUDE_DEPTH 8
#define MAX_FILES         10000

/* The trees read so far, the including one first. */
struct loading {
    struct config_context *context;
    struct config_node **roots;
    size_t root_count;
    bool failed;
};

/* Read to the end of `fd`, one byte past the limit at most. */
static int read_all(int fd, struct text *out)
{
    char buffer[16384];

    while (out->length <= CONFIG_MAX_BYTES) {
        ssize_t got = read(fd, buffer, sizeof(buffer));
        if (got < 0 && errno != EINTR) {
            return -errno;
        }
        if (got == 0) {
            break;
        }
        if (got > 0) {
            text_put_bytes(out, buffer, (size_t)got);
        }
        if (text_failed(out)) {
            return -ENOMEM;
        }
    }
    return out->length > CONFIG_MAX_BYTES ? -EFBIG : 0;
}

int config_files_read(const char *path, char **out_text, size_t *out_length, struct error *err)
{
    struct text text = { 0 };
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int rc = fd < 0 ? -errno : read_all(fd, &text);

    if (fd >= 0) {
        close(fd);
    }
    if (rc == 0 && text.bytes == NULL) {
        text_put(&text, "");
        rc = text_failed(&text) ? -ENOMEM : 0;
    }
    if (rc < 0) {
        text_fini(&text);
        return rc == -EFBIG
                   ? error_set_at(err, rc, path, 0, 0, "larger than 16 MiB")
                   : error_set_at(err, rc, path, 0, 0, "cannot be read: %s", strerror(-rc));
    }
    *out_text = text.bytes;
    *out_length = text.length;
    return 0;
}

const char *config_files_resolve(struct config_context *context, const struct config_file *file,
                                 const char *path)
{
    if (path[0] == '/') {
        return arena_strdup(context->arena, path);
    }
    return arena_printf(context->arena, "%s%s", file->folder, path);
}

static struct config_file *add_file(struct config_context *context, const char *path,
                                    const char *text, size_t length)
{
    struct config_file *file = arena_alloc(context->scratch, sizeof(*file));
    const char *slash = strrchr(path, '/');
    size_t folder = slash == NULL ? 0 : (size_t)(slash - path) + 1;
    struct stat st;

    file->path = arena_strdup(context->arena, path);
    file->folder = arena_printf(context->scratch, "%.*s", (int)folder, path);
    file->text = text;
    file->length = length;
    file->number = (unsigned)context->file_count;
    if (stat(path, &st) == 0) {
        file->device = st.st_dev;
        file->inode = st.st_ino;
    }
    context->byte_count += length;
    context->files =
        arena_grow(context->scratch, context->files, context->file_count, sizeof(*context->files));
    context->files[context->file_count++] = file;
    return file;
}

/* Was it read before? Files are told apart by what they are, not by how they are written. */
static bool is_loaded(const struct config_context *context, const char *path)
{
    struct stat st;

    if (stat(path, &st) != 0) {
        return false;
    }
    for (size_t i = 0; i < context->file_count; i++) {
        const struct config_file *file = context->files[i];
        if (file->inode != 0 && file->device == st.st_dev && file->inode == st.st_ino) {
            return true;
        }
    }
    return false;
}

static void load_text(struct loading *loading, const char *text, size_t length, const char *path,
                      unsigned depth);

static void include_file(struct loading *loading, const struct config_item *item, const char *path,
                         unsigned depth)
{
    struct config_context *context = loading->context;
    struct error err;
    char *text;
    size_t length;

    if (is_loaded(context, path) || context->file_count >= MAX_FILES) {
        config_error_value(context, item, "%.200s is included %s", path,
                           is_loaded(context, path) ? "twice" : "as one file too many");
        loading->failed = true;
        return;
    }
    int rc = config_files_read(path, &text, &length, &err);
    if (rc == 0 && length > config_context_most_bytes(context) - context->byte_count) {
        rc = error_set(&err, -EFBIG, "larger than 16 MiB with the files read before");
        free(text);
    }
    if (rc < 0) {
        config_error_value(context, item, "%.200s %s", path, err.message);
        loading->failed = true;
        return;
    }
    const char *copy = arena_copy(context->scratch, text, length + 1);
    free(text);
    load_text(loading, copy, length, path, depth);
}

/* All files that a pattern matches; a pattern may match none, a plain path may not. */
static void include_pattern(struct loading *loading, const struct config_item *item, unsigned depth)
{
    struct config_context *context = loading->context;
    const struct config_node *node = item->value;
    glob_t found = { 0 };

    if (node->broken) {
        return;
    }
    if (node->kind != CONFIG_NODE_SCALAR || node->text[0] == '\0') {
        config_error_value(context, item, "must be a path or a pattern");
        loading->failed = true;
        return;
    }
    const char *pattern = config_files_resolve(context, node->file, node->text);
    int rc = glob(pattern, GLOB_NOMAGIC, NULL, &found);
    if (rc != 0 && rc != GLOB_NOMATCH) {
        config_error_value(context, item, "'%.200s' cannot be searched", pattern);
        loading->failed = true;
    }
    for (size_t i = 0; rc == 0 && i < found.gl_pathc; i++) {
        include_file(loading, item, found.gl_pathv[i], depth + 1);
    }
    globfree(&found);
}

static void load_text(struct loading *loading, const char *text, size_t length, const char *path,
                      unsigned depth)
{
    struct config_context *context = loading->context;
    struct config_item include;
    struct config_file *file = add_file(context, path, text, length);
    struct config_node *root = config_yaml_read(context, file);

    if (root == NULL) {
        loading->failed = true;
        return;
    }
    loading->roots =
        arena_grow(context->scratch, loading->roots, loading->root_count, sizeof(root));
    loading->roots[loading->root_count++] = root;
    struct config_item item = config_item_root(root);
    if (!config_item_get(&item, "include", &include)) {
        return;
    }
    if (depth == MAX_INCLUDE_DEPTH) {
        config_error_key(context, &include, "files include each other more than %d deep",
                         MAX_INCLUDE_DEPTH);
        loading->failed = true;
        return;
    }
    for (size_t i = 0; i < config_item_list_count(&include); i++) {
        struct config_item one = config_item_list_at(&include, i);
        include_pattern(loading, &one, depth);
    }
}

/* One map of the sections of all files; `include` itself is done with. */
static const struct config_node *join(struct loading *loading)
{
    struct arena *scratch = loading->context->scratch;
    struct config_node *all = arena_alloc(scratch, sizeof(*all));

    *all = *loading->roots[0];
    all->entries = NULL;
    all->count = 0;
    for (size_t i = 0; i < loading->root_count; i++) {
        const struct config_node *root = loading->roots[i];
        for (size_t j = 0; j < root->count; j++) {
            if (strcmp(root->entries[j].key->text, "include") != 0) {
                all->entries = arena_grow(scratch, all->entries, all->count, sizeof(*all->entries));
                all->entries[all->count++] = root->entries[j];
            }
        }
    }
    config_yaml_unify(loading->context, all, true);
    return all;
}

const struct config_node *config_files_load(struct config_context *context, const char *text,
                                            size_t length, const char *path)
{
    struct loading loading = { .context = context };

    if (length > config_context_most_bytes(context)) {
        struct config_file *file = add_file(context, path, "", 0);
        config_error_place(context, file, 0, 0, "larger than %zu MiB",
                           config_context_most_bytes(context) / 1024 / 1024);
        return NULL;
    }
    load_text(&loading, text, length, path, 0);
    return loading.failed ? NULL : join(&loading);
}
