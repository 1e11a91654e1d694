#include "resolver/reload_step.h"

#include "policy/config.h"
#include "resolver/accepted.h"
#include "resolver/control_state.h"
#include "resolver/removals.h"
#include "resolver/startup.h"

static void on_ended(uv_work_t *work, int status)
{
    struct control *c = work->data;

    (void)status; /* it is never cancelled */
    c->reload.at_work = false;
    c->reload.after(c);
}

static void begin(struct control *c, uv_work_cb step, reload_step_after *after)
{
    c->reload.at_work = true;
    c->reload.after = after;
    c->work.data = c;
    (void)uv_queue_work(&c->loop, &c->work, step, on_ended); /* fails only without a step */
}

static void do_read(uv_work_t *work)
{
    struct control *c = work->data;
    struct reload *r = &c->reload;
    const struct model *old = c->snapshot->model;

    r->rc = r->rebuild ? config_load_kept(old->source, old->path, &r->model, &r->report)
                       : startup_read(c, &r->model, &r->report);
    r->model = r->rc < 0 ? NULL : r->model;
    r->longest_ms = r->model == NULL ? 0 : model_longest_timeout(r->model);
}

void reload_step_read(struct control *control, reload_step_after *after)
{
    begin(control, do_read, after);
}

static void do_compare(uv_work_t *work)
{
    struct control *c = work->data;

    c->reload.review = removals_compare(c->reload.inquiry, c->reload.model);
}

void reload_step_compare(struct control *control, reload_step_after *after)
{
    begin(control, do_compare, after);
}

static void do_build(uv_work_t *work)
{
    struct control *c = work->data;
    struct reload *r = &c->reload;
    uint64_t generation = c->generation + 1;

    r->rc = r->rebuild ? snapshot_rebuild(r->model, r->binding, c->snapshot, &c->key, generation,
                                          &r->fresh, &r->err)
                       : snapshot_build(r->model, r->binding, c->snapshot, &c->key, generation,
                                        &r->fresh, &r->err);
    r->fresh = r->rc < 0 ? NULL : r->fresh;
}

void reload_step_build(struct control *control, reload_step_after *after)
{
    begin(control, do_build, after);
}

static void do_save(uv_work_t *work)
{
    struct control *c = work->data;

    accepted_save(c->reload.saved);
}

void reload_step_save(struct control *control, reload_step_after *after)
{
    begin(control, do_save, after);
}
