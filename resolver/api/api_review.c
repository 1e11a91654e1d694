#include "resolver/api/api_review.h"

#include "base/clock.h"
#include "base/json_writer.h"
#include "policy/config.h"
#include "resolver/control.h"
#include "resolver/removals.h"

void api_review_put_json(const struct review *review, struct text *out)
{
    struct json_writer json;

    json_writer_init(&json, out);
    json_writer_object_begin(&json, NULL);
    json_writer_string(&json, "id", review->id);
    json_writer_bool(&json, "refused", review_is_refused(review));
    json_writer_bool(&json, "accepted", review->accepted);
    if (review_is_older(review)) {
        struct text words = { 0 };
        review_put_refusal(review, &words);
        json_writer_string(&json, "older", text_string(&words));
        text_fini(&words);
    }
    json_writer_list_begin(&json, "changes");
    for (size_t i = 0; i < review->change_count; i++) {
        const struct review_change *change = &review->changes[i];
        json_writer_object_begin(&json, NULL);
        json_writer_string(&json, "kind", review_kind_name(change->kind));
        json_writer_string(&json, "name", change->name);
        json_writer_string(&json, "text", change->text);
        json_writer_uint(&json, "healthy_endpoints_lost", change->lost);
        json_writer_object_end(&json);
    }
    json_writer_list_end(&json);
    json_writer_list_begin(&json, "too_much");
    for (size_t i = 0; i < review->excess_count; i++) {
        const struct review_excess *excess = &review->excesses[i];
        json_writer_object_begin(&json, NULL);
        json_writer_string(&json, "service", excess->service);
        json_writer_uint(&json, "healthy", excess->healthy);
        json_writer_uint(&json, "lost", excess->lost);
        json_writer_uint(&json, "allowed", excess->allowed);
        json_writer_object_end(&json);
    }
    json_writer_list_end(&json);
    json_writer_object_end(&json);
    text_put_char(out, '\n');
}

void api_review_put(struct control *control, const struct snapshot *snapshot,
                    const struct api_request *request, struct api_reply *reply)
{
    const char *name = request->name != NULL ? request->name : "(request)";
    struct config_report report = { 0 };
    struct model *fresh;

    if (request->body_length == 0) {
        api_reply_error(reply, 400, "bad_request", "the body is the configuration to review");
        return;
    }
    if (config_load_kept(request->body, name, &fresh, &report) < 0) {
        struct text text = { 0 };
        config_report_print(&report, &text);
        api_reply_error(reply, 400, "invalid", "%s", text_string(&text));
        text_fini(&text);
        config_report_fini(&report);
        return;
    }
    config_report_fini(&report);
    struct review *review =
        removals_review(control_removals(control), snapshot, fresh, clock_now_ms());
    if (review == NULL) {
        api_reply_error(reply, 500, "out_of_memory", "out of memory");
    } else {
        reply->status = 200;
        reply->content_type = API_REPLY_JSON;
        api_review_put_json(review, &reply->body);
    }
    review_free(review);
    model_free(fresh);
}
