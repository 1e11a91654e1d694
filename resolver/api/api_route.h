#pragma once
/*
 * api_route - from a request to its page
 *
 * Knows every path of the api; knows nothing of sockets. Control thread.
 */
#include <stdbool.h>

#include "resolver/api/api_reply.h"

struct control;

#define API_BODY_MAX       (64u * 1024u)
#define API_BODY_MAX_LARGE (256u * 1024u * 1024u) /* of a configuration to be reviewed */

/* A request; arguments of the query string are NULL when they are not given. */
struct api_request {
    const char *method;
    const char *path; /* decoded, without the query string */
    const char *rest; /* behind the page's path, for pages that stand for many; else "" */
    const char *name;
    const char *type;
    const char *client;
    const char *ecs;
    const char *listener;
    const char *since;
    const char *target;
    const char *brief;
    const char *body; /* terminated; "" without one */
    size_t body_length;
    const char *author; /* who asks, by the socket's credentials: "alice", "uid 1000" */
};

enum api_route_outcome {
    API_ROUTE_REPLY = 0,    /* `reply` is complete */
    API_ROUTE_RELOAD = 1,   /* the caller reloads and replies with api_route_reloaded */
    API_ROUTE_SIMULATE = 2, /* the caller simulates (see api_simulate.h) */
};

/* How long a body this path may be sent. */
size_t api_route_body_max(const char *path);

/* Find the page and fill `reply`, which is empty before. Never fails: errors are replies. */
enum api_route_outcome api_route(struct control *control, const struct api_request *request,
                                 struct api_reply *reply);

/* The reply to a reload that has ended, with its report for people. */
void api_route_reloaded(struct control *control, bool ok, const char *report,
                        struct api_reply *reply);
