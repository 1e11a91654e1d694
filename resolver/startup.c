#include "resolver/startup.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "policy/config.h"
#include "policy/review.h"
#include "resolver/accepted.h"
#include "resolver/control_state.h"

static const char *const search_paths[] = { "./leeward.yaml", "/etc/leeward/leeward.yaml" };

void startup_print(const struct config_report *report)
{
    struct text text = { 0 };

    config_report_print(report, &text);
    fputs(text_string(&text), stderr);
    text_fini(&text);
}

const char *startup_find(const struct control_options *options)
{
    if (options->config_path != NULL) {
        return options->config_path;
    }
    for (size_t i = 0; i < sizeof(search_paths) / sizeof(search_paths[0]); i++) {
        if (access(search_paths[i], F_OK) == 0) {
            return search_paths[i];
        }
    }
    return NULL;
}

int startup_read(struct control *control, struct model **out, struct config_report *report)
{
    return control->path != NULL ? config_load(control->path, out, report)
                                 : config_load_default(out, report);
}

/* Start from what was accepted last, loudly. */
static int load_accepted(struct control *c, const struct config_report *report, struct model **out)
{
    char directory[PATH_MAX];
    struct error err;

    accepted_directory(c->path, directory, sizeof(directory));
    int rc = accepted_load(directory, c->path, out, &err);
    if (rc < 0) {
        log_event(LOG_ERROR, "no accepted configuration to start from", "path=%s error=%s",
                  err.path, err.message);
        return rc;
    }
    char where[512] = "";
    c->is_accepted = true;
    if (report->count > 0) {
        (void)error_format(&report->errors[0], where, sizeof(where));
    }
    control_set_warning(c, where);
    log_event(LOG_ERROR, "running the last accepted configuration", "config=%s errors=%zu first=%s",
              c->path, report->count, where);
    return 0;
}

/*
 * The file against what was accepted last: a start is never refused for taking
 * much away, only warned; but an older plan than the accepted one is as good
 * as a file that does not load. 0 or -ESTALE, and then the report says why.
 */
static int compare_at_start(const struct model *model, struct config_report *report)
{
    struct model *accepted;
    struct error err = { 0 };
    int rc = 0;

    if (accepted_load_other(model, &accepted, &err) < 0) {
        return 0;
    }
    const struct review_old old = { .model = accepted };
    struct review *review = review_new(&old, model);
    if (model->file_generation < accepted->file_generation) {
        rc = error_set(&err, -ESTALE, "generation %llu of the file is older than %llu, which was "
                       "accepted",
                       (unsigned long long)model->file_generation,
                       (unsigned long long)accepted->file_generation);
        error_hint(&err, "write a higher one if it is meant; or remove accepted.yaml from %s",
                   model->state_directory);
        config_report_add(report, &err);
    } else if (review != NULL && review_is_refused(review)) {
        struct text words = { 0 };
        review_put_refusal(review, &words);
        log_event(LOG_WARNING, "the configuration takes much away", "against=%s change=%s",
                  "what was accepted last", text_string(&words));
        text_fini(&words);
    }
    review_free(review);
    model_free(accepted);
    return rc;
}

int startup_load(struct control *control, struct model **out)
{
    struct control *c = control;
    struct config_report report = { 0 };
    int rc = startup_read(c, out, &report);

    if (rc == 0) {
        rc = compare_at_start(*out, &report);
        if (rc < 0) {
            model_free(*out);
        }
    }
    if (rc < 0) {
        startup_print(&report);
        if (c->path != NULL && !c->options.strict) {
            rc = load_accepted(c, &report, out);
        }
    }
    config_report_fini(&report);
    return rc;
}
