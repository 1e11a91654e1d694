#include "resolver/api/api_route.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_writer.h"
#include "policy/config.h"
#include "resolver/api/api_cache.h"
#include "resolver/api/api_history.h"
#include "resolver/api/api_laggards.h"
#include "resolver/api/api_override.h"
#include "resolver/api/api_push.h"
#include "resolver/api/api_review.h"
#include "resolver/api/api_service.h"
#include "resolver/api/api_status.h"
#include "resolver/api/api_why.h"
#include "resolver/control.h"

/* Enough of a foreign word to recognise it in an error. */
#define SHOWN_MAX 100

/* Fill `reply`; pages but the first two are only asked while a snapshot is in use. */
typedef void page(struct control *control, const struct snapshot *snapshot,
                  const struct api_request *request, struct api_reply *reply);

struct route {
    const char *path;   /* with a slash at its end: of all paths below it */
    const char *method; /* NULL: any */
    page *open;         /* NULL: the caller's, who is told so by `outcome` */
    bool early;         /* answers also before there is a snapshot */
    enum api_route_outcome outcome;
};

static void put_healthz(struct control *control, const struct snapshot *snapshot,
                        const struct api_request *request, struct api_reply *reply)
{
    (void)control;
    (void)snapshot;
    (void)request;
    reply->status = 200;
    reply->content_type = API_REPLY_PLAIN;
    text_put(&reply->body, "alive\n");
}

static void put_readyz(struct control *control, const struct snapshot *snapshot,
                       const struct api_request *request, struct api_reply *reply)
{
    const char *warning = control_config_warning(control);
    bool ready = control_is_ready(control);

    (void)request;
    reply->status = ready ? 200 : 503;
    reply->content_type = API_REPLY_PLAIN;
    if (ready) {
        text_put(&reply->body, "ready\n");
    } else if (snapshot == NULL) {
        text_put(&reply->body, "not ready: no configuration is in use yet\n");
    } else {
        text_printf(&reply->body, "not ready: %zu checks have no result yet\n",
                    health_pending(snapshot->binding));
    }
    if (warning[0] != '\0') {
        text_printf(&reply->body, "warning: %s\n", warning);
    }
}

static bool read_count(const char *text, size_t *out)
{
    char *end;

    errno = 0;
    unsigned long count = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0) {
        return false;
    }
    *out = count;
    return true;
}

static void put_status(struct control *control, const struct snapshot *snapshot,
                       const struct api_request *request, struct api_reply *reply)
{
    size_t most = SIZE_MAX;

    (void)snapshot;
    if (request->brief != NULL && !read_count(request->brief, &most)) {
        api_reply_error(reply, 400, "bad_brief", "brief is a number of services");
        return;
    }
    reply->status = 200;
    reply->content_type = API_REPLY_JSON;
    api_status_put(control, most, &reply->body);
}

static void put_why(struct control *control, const struct snapshot *snapshot,
                    const struct api_request *request, struct api_reply *reply)
{
    (void)snapshot;
    if (request->name == NULL || request->name[0] == '\0') {
        api_reply_error(reply, 400, "name_missing",
                        "which name? /api/v1/why?name=api.svc.example.com&type=A");
        return;
    }
    reply->status = 200;
    reply->content_type = API_REPLY_JSON;
    api_why_put(control, request, reply);
}

static void put_config(struct control *control, const struct snapshot *snapshot,
                       const struct api_request *request, struct api_reply *reply)
{
    (void)control;
    (void)request;
    reply->status = 200;
    reply->content_type = API_REPLY_YAML;
    config_print(snapshot->model, &reply->body);
}

static void put_service(struct control *control, const struct snapshot *snapshot,
                        const struct api_request *request, struct api_reply *reply)
{
    const char *name = request->rest;
    uint8_t dname[NAME_MAX_BYTES];
    struct error ignored;
    const struct steer_service *service = NULL;

    if (name_parse(name, dname, &ignored) > 0) {
        service = snapshot_service(snapshot, dname);
    }
    if (service == NULL) {
        api_service_put_unknown(snapshot->model, name, reply);
        return;
    }
    reply->status = 200;
    reply->content_type = API_REPLY_JSON;
    api_status_put_service(control, service->index, &reply->body);
}

static void put_cache(struct control *control, const struct snapshot *snapshot,
                      const struct api_request *request, struct api_reply *reply)
{
    (void)snapshot;
    api_cache_put(control, request->name, reply);
}

static void flush_cache(struct control *control, const struct snapshot *snapshot,
                        const struct api_request *request, struct api_reply *reply)
{
    (void)snapshot;
    api_cache_flush(control, request->name, reply);
}

static void list_overrides(struct control *control, const struct snapshot *snapshot,
                           const struct api_request *request, struct api_reply *reply)
{
    (void)snapshot;
    (void)request;
    api_override_list(control, reply);
}

static void set_override(struct control *control, const struct snapshot *snapshot,
                         const struct api_request *request, struct api_reply *reply)
{
    (void)snapshot;
    api_override_set(control, request, reply);
}

static void release_override(struct control *control, const struct snapshot *snapshot,
                             const struct api_request *request, struct api_reply *reply)
{
    (void)snapshot;
    api_override_release(control, request, reply);
}

static void put_not_yet(struct control *control, const struct snapshot *snapshot,
                        const struct api_request *request, struct api_reply *reply)
{
    (void)control;
    (void)snapshot;
    api_reply_error(reply, 501, "not_available", "%s is not available yet", request->path);
}

/* clang-format off */
static const struct route routes[] = {
    { "/healthz", "GET", put_healthz, true, API_ROUTE_REPLY },
    { "/readyz", "GET", put_readyz, true, API_ROUTE_REPLY },
    { "/metrics", NULL, put_not_yet, true, API_ROUTE_REPLY },
    { "/api/v1/events", NULL, put_not_yet, true, API_ROUTE_REPLY },
    { "/api/v1/status", "GET", put_status, false, API_ROUTE_REPLY },
    { "/api/v1/services/", "GET", put_service, false, API_ROUTE_REPLY },
    { "/api/v1/why", "GET", put_why, false, API_ROUTE_REPLY },
    { "/api/v1/config", "GET", put_config, false, API_ROUTE_REPLY },
    { "/api/v1/cache", "GET", put_cache, false, API_ROUTE_REPLY },
    { "/api/v1/cache", "DELETE", flush_cache, false, API_ROUTE_REPLY },
    { "/api/v1/reload", "POST", NULL, false, API_ROUTE_RELOAD },
    { "/api/v1/history", "GET", api_history_put, false, API_ROUTE_REPLY },
    { "/api/v1/laggards", "GET", api_laggards_put, false, API_ROUTE_REPLY },
    { "/api/v1/simulate", "POST", NULL, false, API_ROUTE_SIMULATE },
    { "/api/v1/review", "POST", api_review_put, false, API_ROUTE_REPLY },
    { "/api/v1/checks/", "POST", api_push_put, false, API_ROUTE_REPLY },
    { "/api/v1/overrides", "GET", list_overrides, false, API_ROUTE_REPLY },
    { "/api/v1/overrides", "POST", set_override, false, API_ROUTE_REPLY },
    { "/api/v1/overrides/", "DELETE", release_override, false, API_ROUTE_REPLY },
};
/* clang-format on */

#define ROUTE_COUNT (sizeof(routes) / sizeof(routes[0]))

static void put_unknown_path(const char *path, struct api_reply *reply)
{
    const char *paths[ROUTE_COUNT];

    for (size_t i = 0; i < ROUTE_COUNT; i++) {
        paths[i] = routes[i].path;
    }
    const char *near = text_nearest(path, paths, ROUTE_COUNT);
    api_reply_error(reply, 404, "unknown_path", "nothing at '%.*s'%s%s%s", SHOWN_MAX, path,
                    near != NULL ? "; did you mean '" : "", near != NULL ? near : "",
                    near != NULL ? "'?" : "");
}

static bool is_method(const char *wanted, const char *method)
{
    /* HEAD is a GET whose body is not sent */
    return wanted == NULL || strcmp(method, wanted) == 0 ||
           (strcmp(wanted, "GET") == 0 && strcmp(method, "HEAD") == 0);
}

static bool is_path(const struct route *route, const char *path)
{
    size_t length = strlen(route->path);

    return route->path[length - 1] == '/'
               ? strncmp(path, route->path, length) == 0 && path[length] != '\0'
               : strcmp(path, route->path) == 0;
}

/* The page of the path and method, else any of the path, else NULL. */
static const struct route *find_route(const char *path, const char *method)
{
    const struct route *found = NULL;

    for (size_t i = 0; i < ROUTE_COUNT; i++) {
        if (!is_path(&routes[i], path)) {
            continue;
        }
        if (is_method(routes[i].method, method)) {
            return &routes[i];
        }
        found = found == NULL ? &routes[i] : found;
    }
    return found;
}

size_t api_route_body_max(const char *path)
{
    return strcmp(path, "/api/v1/review") == 0 ? API_BODY_MAX_LARGE : API_BODY_MAX;
}

enum api_route_outcome api_route(struct control *control, const struct api_request *request,
                                 struct api_reply *reply)
{
    const struct route *route = find_route(request->path, request->method);
    const struct snapshot *snapshot = control_snapshot(control);
    struct api_request inner = *request;

    if (route == NULL) {
        put_unknown_path(request->path, reply);
        return API_ROUTE_REPLY;
    }
    if (!is_method(route->method, request->method)) {
        api_reply_error(reply, 405, "wrong_method", "use %s here, not %.20s", route->method,
                        request->method);
        reply->allow = route->method;
        return API_ROUTE_REPLY;
    }
    if (snapshot == NULL && !route->early) {
        api_reply_error(reply, 503, "starting", "no configuration is in use yet");
        return API_ROUTE_REPLY;
    }
    if (route->open == NULL) {
        return route->outcome;
    }
    size_t length = strlen(route->path);
    inner.rest = route->path[length - 1] == '/' ? request->path + length : "";
    route->open(control, snapshot, &inner, reply);
    return API_ROUTE_REPLY;
}

void api_route_reloaded(struct control *control, bool ok, const char *report,
                        struct api_reply *reply)
{
    struct json_writer json;
    const struct snapshot *snapshot = control_snapshot(control);

    if (!ok) {
        api_reply_error(reply, 409, "refused", "%s", report);
        return;
    }
    reply->status = 200;
    reply->content_type = API_REPLY_JSON;
    json_writer_init(&json, &reply->body);
    json_writer_object_begin(&json, NULL);
    json_writer_bool(&json, "ok", true);
    json_writer_uint(&json, "generation", snapshot != NULL ? snapshot->generation : 0);
    json_writer_string(&json, "config", control_config_path(control));
    if (snapshot != NULL) {
        json_writer_uint(&json, "services", snapshot_service_total(snapshot));
        json_writer_uint(&json, "regions", snapshot->model->region_count);
        json_writer_uint(&json, "zones", snapshot->model->zone_count);
    }
    json_writer_string(&json, "report", report);
    json_writer_object_end(&json);
    text_put_char(&reply->body, '\n');
}
