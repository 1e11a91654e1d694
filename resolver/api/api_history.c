#include "resolver/api/api_history.h"

#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/json_writer.h"
#include "policy/config_value.h"
#include "policy/journal.h"
#include "resolver/control.h"

/* "1h", or "2026-11-22T08:19:00Z"; `*out_ms` is civil time. */
static bool read_since(const char *text, uint64_t *out_ms, struct api_reply *reply)
{
    struct error err;
    struct tm when = { 0 };
    uint64_t ms;

    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &when);
    if (end != NULL && (*end == '\0' || *end == 'Z' || *end == '.')) {
        time_t seconds = timegm(&when);
        *out_ms = seconds > 0 ? (uint64_t)seconds * 1000 : 0;
        return true;
    }
    if (config_value_ms(text, &ms, &err) < 0) {
        api_reply_error(reply, 400, "bad_since",
                        "since: %s; or a time such as 2026-11-22T08:19:00Z", err.message);
        return false;
    }
    uint64_t now_ms = clock_wall_ms();
    *out_ms = now_ms > ms ? now_ms - ms : 0;
    return true;
}

void api_history_put(struct control *control, const struct snapshot *snapshot,
                     const struct api_request *request, struct api_reply *reply)
{
    struct journal_query query = {
        .target = request->target,
        .limit = API_HISTORY_MAX,
    };
    struct json_writer json;
    struct text list = { 0 };

    (void)control;
    if (request->since != NULL && !read_since(request->since, &query.since_ms, reply)) {
        return;
    }
    size_t count = 0;
    if (snapshot->model->state_directory != NULL) {
        count = journal_read(snapshot->model->state_directory, &query, &list);
    }
    reply->status = 200;
    reply->content_type = API_REPLY_JSON;
    json_writer_init(&json, &reply->body);
    json_writer_object_begin(&json, NULL);
    json_writer_uint(&json, "count", count);
    json_writer_bool(&json, "cut", count == query.limit);
    text_put(&reply->body, ",\"entries\":[");
    text_put_bytes(&reply->body, text_string(&list), list.length);
    text_put(&reply->body, "]}\n");
    text_fini(&list);
}
