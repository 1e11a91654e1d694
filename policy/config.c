#include "policy/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "policy/config_context.h"
#include "policy/config_default.h"
#include "policy/config_files.h"
#include "policy/config_sections.h"
#include "policy/expansion.h"

/* The whole effective text, so that this very model can be had again. */
static int keep_source(struct model *model)
{
    struct text text = { 0 };

    config_print(model, &text);
    bool failed = text_failed(&text);
    if (!failed) {
        model->source = arena_strdup(model->arena, text_string(&text));
    }
    text_fini(&text);
    return failed ? -ENOMEM : 0;
}

static int out_of_memory(struct config_report *report)
{
    struct error err;

    error_set(&err, -ENOMEM, "out of memory");
    config_report_add(report, &err);
    return -ENOMEM;
}

static int load(const char *text, size_t length, const char *path, bool is_kept,
                struct model **out_model, struct config_report *report)
{
    struct config_context context;

    if (config_context_init(&context) < 0) {
        return out_of_memory(report);
    }
    context.is_kept = is_kept;
    const struct config_node *root = config_files_load(&context, text, length, path);
    if (root != NULL) {
        config_sections_read(&context, root);
    }
    if (context.error_count > 0) {
        config_context_move_errors(&context, report);
        config_context_fini(&context);
        return -EINVAL;
    }
    REQUIRE(root != NULL);
    struct model *model = context.model;
    context.model = NULL; /* from here on it is ours */
    config_context_fini(&context);
    model->path = arena_strdup(model->arena, path);
    model->is_nameless = !expansion_has_name(model);
    if (keep_source(model) < 0) {
        model_free(model);
        return out_of_memory(report);
    }
    *out_model = model;
    return 0;
}

int config_load_text(const char *text, const char *path, struct model **out_model,
                     struct config_report *report)
{
    memset(report, 0, sizeof(*report));
    return load(text, strlen(text), path, false, out_model, report);
}

int config_load_kept(const char *text, const char *path, struct model **out_model,
                     struct config_report *report)
{
    memset(report, 0, sizeof(*report));
    return load(text, strlen(text), path, true, out_model, report);
}

int config_load(const char *path, struct model **out_model, struct config_report *report)
{
    struct error err;
    char *text;
    size_t length;

    memset(report, 0, sizeof(*report));
    int rc = config_files_read(path, &text, &length, &err);
    if (rc < 0) {
        config_report_add(report, &err);
        return rc;
    }
    rc = load(text, length, path, false, out_model, report);
    free(text);
    return rc;
}

int config_load_default(struct model **out_model, struct config_report *report)
{
    struct text yaml = { 0 };
    struct error err;

    memset(report, 0, sizeof(*report));
    int rc = config_default_build(CONFIG_DEFAULT_RESOLV, &yaml, &err);
    if (rc < 0) {
        text_fini(&yaml);
        config_report_add(report, &err);
        return rc;
    }
    rc = load(text_string(&yaml), yaml.length, "(embedded default)", false, out_model, report);
    text_fini(&yaml);
    if (rc == 0) {
        (*out_model)->path = NULL;
    }
    return rc;
}
