#include "resolver/api/api_route.h"

#include <stdlib.h>
#include <string.h>

#include "base/json_writer.h"
#include "policy/config.h"
#include "resolver/api/api_cache.h"
#include "resolver/api/api_status.h"
#include "resolver/api/api_why.h"
#include "resolver/control.h"

#define SERVICES "/api/v1/services/"

/* Enough of a foreign word to recognise it in an error. */
#define SHOWN_MAX 100

enum page {
    PAGE_HEALTHZ,
    PAGE_READYZ,
    PAGE_STATUS,
    PAGE_WHY,
    PAGE_CONFIG,
    PAGE_RELOAD,
    PAGE_CACHE,
    PAGE_CACHE_FLUSH,
    PAGE_NOT_YET,
};

struct route {
    const char *path;
    const char *method;
    enum page page;
};

static const struct route routes[] = {
    { "/healthz", "GET", PAGE_HEALTHZ },         { "/readyz", "GET", PAGE_READYZ },
    { "/api/v1/status", "GET", PAGE_STATUS },    { "/api/v1/why", "GET", PAGE_WHY },
    { "/api/v1/config", "GET", PAGE_CONFIG },    { "/api/v1/reload", "POST", PAGE_RELOAD },
    { "/metrics", NULL, PAGE_NOT_YET },          { "/api/v1/history", NULL, PAGE_NOT_YET },
    { "/api/v1/events", NULL, PAGE_NOT_YET },    { "/api/v1/cache", "GET", PAGE_CACHE },
    { "/api/v1/cache", "DELETE", PAGE_CACHE_FLUSH },
    { "/api/v1/simulate", NULL, PAGE_NOT_YET },  { "/api/v1/review", NULL, PAGE_NOT_YET },
    { "/api/v1/overrides", NULL, PAGE_NOT_YET },
};

#define ROUTE_COUNT (sizeof(routes) / sizeof(routes[0]))

static void put_healthz(struct api_reply *reply)
{
    reply->status = 200;
    reply->content_type = API_REPLY_PLAIN;
    text_put(&reply->body, "alive\n");
}

static void put_readyz(struct control *control, struct api_reply *reply)
{
    const struct snapshot *snapshot = control_snapshot(control);
    const char *warning = control_config_warning(control);
    bool ready = control_is_ready(control);

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

/* Every page but the two above speaks of a configuration in use. */
static const struct snapshot *find_snapshot(struct control *control, struct api_reply *reply)
{
    const struct snapshot *snapshot = control_snapshot(control);

    if (snapshot == NULL) {
        api_reply_error(reply, 503, "starting", "no configuration is in use yet");
    }
    return snapshot;
}

static void put_status(struct control *control, struct api_reply *reply)
{
    reply->status = 200;
    reply->content_type = API_REPLY_JSON;
    api_status_put(control, &reply->body);
}

static void put_why(struct control *control, const struct api_request *request,
                    struct api_reply *reply)
{
    if (request->name == NULL || request->name[0] == '\0') {
        api_reply_error(reply, 400, "name_missing",
                        "which name? /api/v1/why?name=api.svc.example.com&type=A");
        return;
    }
    reply->status = 200;
    reply->content_type = API_REPLY_JSON;
    api_why_put(control, request->name, request->type, request->client, reply);
}

static void put_config(const struct snapshot *snapshot, struct api_reply *reply)
{
    reply->status = 200;
    reply->content_type = API_REPLY_YAML;
    config_print(snapshot->model, &reply->body);
}

static void put_unknown_service(const struct model *model, const char *name,
                                struct api_reply *reply)
{
    const char *near = NULL;
    const char **names = calloc(model->service_count + 1, sizeof(*names));

    for (size_t i = 0; names != NULL && i < model->service_count; i++) {
        names[i] = model->services[i].name;
    }
    if (names != NULL) {
        near = text_nearest(name, names, model->service_count);
    }
    api_reply_error(reply, 404, "unknown_service", "no service named '%.*s'%s%s%s", SHOWN_MAX, name,
                    near != NULL ? "; did you mean '" : "", near != NULL ? near : "",
                    near != NULL ? "'?" : "");
    free(names);
}

static void put_service(struct control *control, const struct snapshot *snapshot, const char *name,
                        struct api_reply *reply)
{
    uint8_t dname[NAME_MAX_BYTES];
    struct error ignored;
    const struct steer_service *service = NULL;

    if (name_parse(name, dname, &ignored) > 0) {
        service = snapshot_service(snapshot, dname);
    }
    if (service == NULL) {
        put_unknown_service(snapshot->model, name, reply);
        return;
    }
    reply->status = 200;
    reply->content_type = API_REPLY_JSON;
    api_status_put_service(control, service->index, &reply->body);
}

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

/* Is it the method of the page? */
static bool take_method(const char *wanted, const char *method, struct api_reply *reply)
{
    if (is_method(wanted, method)) {
        return true;
    }
    api_reply_error(reply, 405, "wrong_method", "use %s here, not %.20s", wanted, method);
    reply->allow = wanted;
    return false;
}

/* The page of the path and method, else any of the path, else NULL. */
static const struct route *find_route(const char *path, const char *method)
{
    const struct route *found = NULL;

    for (size_t i = 0; i < ROUTE_COUNT; i++) {
        if (strcmp(routes[i].path, path) != 0) {
            continue;
        }
        if (is_method(routes[i].method, method)) {
            return &routes[i];
        }
        found = found == NULL ? &routes[i] : found;
    }
    return found;
}

static enum api_route_outcome open_page(struct control *control, enum page page,
                                        const struct api_request *request, struct api_reply *reply)
{
    const struct snapshot *snapshot;

    switch (page) {
    case PAGE_HEALTHZ:
        put_healthz(reply);
        return API_ROUTE_REPLY;
    case PAGE_READYZ:
        put_readyz(control, reply);
        return API_ROUTE_REPLY;
    case PAGE_NOT_YET:
        api_reply_error(reply, 501, "not_available", "%s is not available yet", request->path);
        return API_ROUTE_REPLY;
    case PAGE_STATUS:
    case PAGE_WHY:
    case PAGE_CONFIG:
    case PAGE_RELOAD:
    case PAGE_CACHE:
    case PAGE_CACHE_FLUSH:
        break;
    }
    snapshot = find_snapshot(control, reply);
    if (snapshot == NULL) {
        return API_ROUTE_REPLY;
    }
    if (page == PAGE_STATUS) {
        put_status(control, reply);
    } else if (page == PAGE_WHY) {
        put_why(control, request, reply);
    } else if (page == PAGE_CONFIG) {
        put_config(snapshot, reply);
    } else if (page == PAGE_CACHE) {
        api_cache_put(control, request->name, reply);
    } else if (page == PAGE_CACHE_FLUSH) {
        api_cache_flush(control, request->name, reply);
    } else {
        return API_ROUTE_RELOAD;
    }
    return API_ROUTE_REPLY;
}

enum api_route_outcome api_route(struct control *control, const struct api_request *request,
                                 struct api_reply *reply)
{
    const struct route *route = find_route(request->path, request->method);

    if (route != NULL) {
        if (route->method != NULL && !take_method(route->method, request->method, reply)) {
            return API_ROUTE_REPLY;
        }
        return open_page(control, route->page, request, reply);
    }
    if (strncmp(request->path, SERVICES, strlen(SERVICES)) != 0) {
        put_unknown_path(request->path, reply);
    } else if (take_method("GET", request->method, reply)) {
        const struct snapshot *snapshot = find_snapshot(control, reply);
        if (snapshot != NULL) {
            put_service(control, snapshot, request->path + strlen(SERVICES), reply);
        }
    }
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
        json_writer_uint(&json, "services", snapshot->service_count);
        json_writer_uint(&json, "regions", snapshot->model->region_count);
        json_writer_uint(&json, "zones", snapshot->model->zone_count);
    }
    json_writer_string(&json, "report", report);
    json_writer_object_end(&json);
    text_put_char(&reply->body, '\n');
}
