#include "policy/config_context.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "policy/config_report.h"
#include "policy/config_utf8.h"

int config_context_init(struct config_context *context)
{
    *context = (struct config_context){ 0 };
    context->scratch = arena_new();
    context->arena = arena_new();
    if (context->scratch == NULL || context->arena == NULL) {
        arena_free(context->scratch);
        arena_free(context->arena);
        return -ENOMEM;
    }
    context->model = arena_alloc(context->arena, sizeof(*context->model));
    context->model->arena = context->arena;
    context->found = arena_array(context->scratch, CONFIG_MAX_ERRORS, sizeof(*context->found));
    return 0;
}

void config_context_fini(struct config_context *context)
{
    model_free(context->model);
    arena_free(context->scratch);
    *context = (struct config_context){ 0 };
}

/* A place for one more error; those beyond the limit overwrite each other. */
static struct error *add(struct config_context *context, const struct config_file *file)
{
    context->error_count++;
    if (context->found_count == CONFIG_MAX_ERRORS) {
        return &context->spare;
    }
    struct config_found *found = &context->found[context->found_count];
    found->file = file;
    found->order = (unsigned)context->found_count++;
    return &found->err;
}

/* What a stranger wrote must not steer the terminal it is shown on. */
static void clean(char *text)
{
    size_t length = strlen(text);
    size_t kept = 0;
    uint32_t code;

    for (size_t i = 0; i < length;) {
        size_t size = config_utf8_read(text + i, length - i, &code);
        if (size > 0 && config_utf8_is_shown(code)) {
            memmove(text + kept, text + i, size);
            kept += size;
        } else {
            text[kept++] = '?';
        }
        i += size == 0 ? 1 : size;
    }
    text[kept] = '\0';
}

static struct error *put(struct config_context *context, const struct config_item *item,
                         const struct config_file *file, unsigned line, unsigned col,
                         const char *format, va_list args) __attribute__((format(printf, 6, 0)));

static struct error *put(struct config_context *context, const struct config_item *item,
                         const struct config_file *file, unsigned line, unsigned col,
                         const char *format, va_list args)
{
    struct text way = { 0 };
    char message[sizeof(context->spare.message)];
    struct error *err = add(context, file);

    (void)vsnprintf(message, sizeof(message), format, args);
    if (item != NULL) {
        config_item_put_path(item, &way);
    }
    bool has_way = way.length > 0;
    error_set_at(err, -EINVAL, file->path, line, col, "%.180s%s%s", text_string(&way),
                 has_way ? ": " : "", message);
    clean(err->message);
    text_fini(&way);
    return err;
}

struct error *config_error_node(struct config_context *context, const struct config_item *item,
                                const struct config_node *node, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    struct error *err = put(context, item, node->file, node->line, node->col, format, args);
    va_end(args);
    return err;
}

struct error *config_error_key(struct config_context *context, const struct config_item *item,
                               const char *format, ...)
{
    const struct config_node *node = item->key;
    va_list args;

    va_start(args, format);
    struct error *err = put(context, item, node->file, node->line, node->col, format, args);
    va_end(args);
    return err;
}

struct error *config_error_value(struct config_context *context, const struct config_item *item,
                                 const char *format, ...)
{
    const struct config_node *node = item->value;
    va_list args;

    va_start(args, format);
    struct error *err = put(context, item, node->file, node->line, node->col, format, args);
    va_end(args);
    return err;
}

struct error *config_error_place(struct config_context *context, const struct config_file *file,
                                 unsigned line, unsigned col, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    struct error *err = put(context, NULL, file, line, col, format, args);
    va_end(args);
    return err;
}

void config_error_take(struct config_context *context, const struct config_item *item,
                       const struct error *err)
{
    struct error *mine = config_error_value(context, item, "%s", err->message);

    if (err->hint[0] != '\0') {
        error_hint(mine, "%s", err->hint);
    }
}

static int compare(const void *a, const void *b)
{
    const struct config_found *x = a;
    const struct config_found *y = b;

    if (x->file->number != y->file->number) {
        return x->file->number < y->file->number ? -1 : 1;
    }
    if (x->err.line != y->err.line) {
        return x->err.line < y->err.line ? -1 : 1;
    }
    if (x->err.col != y->err.col) {
        return x->err.col < y->err.col ? -1 : 1;
    }
    return x->order < y->order ? -1 : x->order > y->order;
}

void config_context_move_errors(struct config_context *context, struct config_report *report)
{
    struct config_report_cursor cursor = { 0 };

    qsort(context->found, context->found_count, sizeof(*context->found), compare);
    for (size_t i = 0; i < context->found_count; i++) {
        const struct config_found *found = &context->found[i];
        if (i == 0 || found->file != context->found[i - 1].file) {
            cursor = config_report_cursor(found->file->text, found->file->length);
        }
        clean(context->found[i].err.hint);
        config_report_add_shown(report, &found->err, &cursor);
    }
    if (context->error_count > context->found_count) {
        struct error err;
        error_set(&err, -EINVAL, "%zu more errors are not shown",
                  context->error_count - context->found_count);
        config_report_add(report, &err);
    }
}
