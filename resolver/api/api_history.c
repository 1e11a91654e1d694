#include "resolver/api/api_history.h"

#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/json_writer.h"
#include "policy/config_value.h"
#include "policy/journal.h"
#include "resolver/control.h"

/* "2026-11-22T08:19:00Z", with less of it, or a space for the T; UTC. */
static bool read_time(const char *text, uint64_t *out_ms)
{
    static const char *const forms[] = { "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M",
                                         "%Y-%m-%d %H:%M", "%Y-%m-%d" };

    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        struct tm when = { 0 };
        const char *end = strptime(text, forms[i], &when);
        if (end != NULL && (*end == '\0' || strcmp(end, "Z") == 0 || *end == '.')) {
            time_t seconds = timegm(&when);
            *out_ms = seconds > 0 ? (uint64_t)seconds * 1000 : 0;
            return true;
        }
    }
    return false;
}

/* A time, or "1h" back from now; `*out_ms` is civil time. */
static bool read_since(const char *text, uint64_t *out_ms, struct api_reply *reply)
{
    struct error err;
    uint64_t ms;

    if (read_time(text, out_ms)) {
        return true;
    }
    if (config_value_ms(text, &ms, &err) < 0) {
        api_reply_error(reply, 400, "bad_since",
                        "since: %s; write 1h, or a time such as 2026-11-22T08:19:00Z (UTC)",
                        err.message);
        return false;
    }
    uint64_t now_ms = clock_wall_ms();
    *out_ms = now_ms > ms ? now_ms - ms : 0;
    return true;
}

/* Nothing to show is not the same as that nothing happened. */
static void put_not_kept(const struct snapshot *snapshot, int trouble, struct api_reply *reply)
{
    const char *directory = snapshot->model->state_directory;

    api_reply_error(reply, 409, "not_kept", "the journal is not kept: %s%s%s; %s",
                    directory == NULL ? "there is no node.state_directory" : directory,
                    trouble < 0 ? ": " : "", trouble < 0 ? strerror(-trouble) : "",
                    "what happened is in the server's log alone");
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

    if (request->since != NULL && !read_since(request->since, &query.since_ms, reply)) {
        return;
    }
    size_t count = 0;
    bool cut = false;
    if (snapshot->model->state_directory != NULL) {
        count = journal_read(snapshot->model->state_directory, &query, &list, &cut);
    }
    int trouble = control_journal_trouble(control);
    if (count == 0 && (snapshot->model->state_directory == NULL || trouble < 0)) {
        put_not_kept(snapshot, trouble, reply);
        return;
    }
    reply->status = 200;
    reply->content_type = API_REPLY_JSON;
    json_writer_init(&json, &reply->body);
    json_writer_object_begin(&json, NULL);
    json_writer_uint(&json, "count", count);
    json_writer_bool(&json, "cut", cut);
    text_put(&reply->body, ",\"entries\":[");
    text_put_bytes(&reply->body, text_string(&list), list.length);
    text_put(&reply->body, "]}\n");
    text_fini(&list);
}
