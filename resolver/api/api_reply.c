#include "resolver/api/api_reply.h"

#include <stdarg.h>

#include "base/json_writer.h"

void api_reply_fini(struct api_reply *reply)
{
    text_fini(&reply->body);
}

void api_reply_error(struct api_reply *reply, unsigned status, const char *code, const char *format,
                     ...)
{
    struct json_writer json;
    struct text message = { 0 };
    va_list args;

    va_start(args, format);
    text_vprintf(&message, format, args);
    va_end(args);
    text_fini(&reply->body);
    reply->status = status;
    reply->content_type = API_REPLY_JSON;
    json_writer_init(&json, &reply->body);
    json_writer_object_begin(&json, NULL);
    json_writer_object_begin(&json, "error");
    json_writer_string(&json, "code", code);
    json_writer_string(&json, "message", text_string(&message));
    json_writer_object_end(&json);
    json_writer_object_end(&json);
    text_put_char(&reply->body, '\n');
    text_fini(&message);
}
