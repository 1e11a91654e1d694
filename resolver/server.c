#include "resolver/server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/json_writer.h"
#include "base/log.h"
#include "resolver/answerer.h"
#include "resolver/listener.h"
#include "resolver/publication.h"
#include "resolver/query.h"
#include "resolver/service.h"

#define AUTO_THREADS_MAX 8

/* One address, its sockets and the threads on them. */
struct place {
    struct place *next;
    struct listener listener;
    bool running;
    struct answerer *answerers[LISTENER_THREADS_MAX];
    struct handover_ring rings[LISTENER_THREADS_MAX];
    struct server_counters counters[LISTENER_THREADS_MAX];
};

struct server {
    struct publication publication;
    struct service *service;
    struct place *places;
    struct place *left; /* no longer listened on; see leave */
    struct server_counters past; /* of listeners that were closed */
};

/* ---- threads per address ---- */

static size_t thread_count(const struct model *model)
{
    if (model->threads != 0) {
        return model->threads;
    }
    for (size_t i = 0; i < model->listener_count; i++) {
        if (!addr_is_loopback(&model->listeners[i].address)) {
            long cores = sysconf(_SC_NPROCESSORS_ONLN);
            size_t count = cores < 1 ? 1 : (size_t)cores;
            return count < AUTO_THREADS_MAX ? count : AUTO_THREADS_MAX;
        }
    }
    return 1;
}

/* ---- places ---- */

static void free_place(struct place *place)
{
    listener_close(&place->listener);
    for (size_t i = 0; i < LISTENER_THREADS_MAX; i++) {
        handover_fini(&place->rings[i]);
    }
    free(place);
}

static int open_place(const struct model *model, size_t index, struct place **out,
                      struct error *err)
{
    struct place *place = calloc(1, sizeof(*place));

    if (place == NULL) {
        return error_set(err, -ENOMEM, "out of memory for a listener");
    }
    place->listener.tcp = -1;
    int rc = listener_open(&model->listeners[index], thread_count(model), &place->listener, err);
    if (rc < 0) {
        free(place);
        return rc;
    }
    for (size_t i = 0; i < place->listener.udp_count; i++) {
        if (!handover_init(&place->rings[i])) {
            free_place(place);
            return error_set(err, -ENOMEM, "out of memory for a listener");
        }
    }
    *out = place;
    return 0;
}

static void free_places(struct place *places)
{
    while (places != NULL) {
        struct place *next = places->next;
        free_place(places);
        places = next;
    }
}

static int start_place(struct server *server, struct place *place, struct error *err)
{
    char address[ADDR_TEXT_MAX];

    for (size_t i = 0; i < place->listener.udp_count; i++) {
        const struct answerer_setup setup = {
            .fd = place->listener.udp[i],
            .local_is_loopback = place->listener.is_loopback,
            .is_wildcard = place->listener.is_wildcard,
            .publication = &server->publication,
            .counters = &place->counters[i],
            .ring = &place->rings[i],
            .wake = service_wake,
            .user = server->service,
        };
        service_add_ring(server->service, &place->rings[i]);
        int rc = answerer_start(&setup, &place->answerers[i], err);
        if (rc < 0) {
            return rc;
        }
    }
    service_add_tcp(server->service, place->listener.tcp, place->listener.is_loopback);
    place->running = true;
    addr_format_port(&place->listener.address, address, sizeof(address));
    log_event(LOG_INFO, "listening", "address=%s threads=%zu", address,
              place->listener.udp_count);
    return 0;
}

static void add_counters(struct server_counters *sum, const struct server_counters *part)
{
    const _Atomic uint64_t *from = (const _Atomic uint64_t *)part;
    _Atomic uint64_t *to = (_Atomic uint64_t *)sum;

    for (size_t i = 0; i < sizeof(*sum) / sizeof(*to); i++) {
        atomic_fetch_add_explicit(&to[i], atomic_load_explicit(&from[i], memory_order_relaxed),
                                  memory_order_relaxed);
    }
}

static void stop_place(struct server *server, struct place *place)
{
    char address[ADDR_TEXT_MAX];

    for (size_t i = 0; i < place->listener.udp_count; i++) {
        if (place->answerers[i] != NULL) {
            answerer_stop(place->answerers[i]);
            add_counters(&server->past, &place->counters[i]);
        }
        if (server->service != NULL) {
            service_remove_ring(server->service, &place->rings[i]);
        }
    }
    if (place->running) {
        service_remove_tcp(server->service, place->listener.tcp);
        addr_format_port(&place->listener.address, address, sizeof(address));
        log_event(LOG_INFO, "not listening any more", "address=%s", address);
    }
}

/*
 * Give a stopped place's addresses back but keep its descriptors, each now an
 * unbound socket, until the end: answers still on their way hold their numbers,
 * and must never reach another socket that was given the same one.
 */
static void leave(struct server *server, struct place *place)
{
    for (size_t i = 0; i < place->listener.udp_count; i++) {
        int blank = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (blank < 0) {
            continue; /* out of descriptors: it keeps its address until the end */
        }
        (void)dup3(blank, place->listener.udp[i], O_CLOEXEC);
        close(blank);
    }
    close(place->listener.tcp);
    place->listener.tcp = -1;
    place->next = server->left;
    server->left = place;
}

static struct place *find_place(struct place *places, const struct addr *asked)
{
    for (struct place *p = places; p != NULL; p = p->next) {
        if (addr_equal(&p->listener.asked, asked)) {
            return p;
        }
    }
    return NULL;
}

/* Open what `model` asks for and `have` has not: a list, or all is undone. */
static int open_missing(const struct model *model, struct place *have, struct place **out,
                        struct error *err)
{
    struct place *fresh = NULL;
    struct place **end = &fresh;

    for (size_t i = 0; i < model->listener_count; i++) {
        if (find_place(have, &model->listeners[i].address) != NULL) {
            continue;
        }
        int rc = open_place(model, i, end, err);
        if (rc < 0) {
            free_places(fresh);
            return rc;
        }
        end = &(*end)->next;
    }
    *out = fresh;
    return 0;
}

static void append(struct place **list, struct place *more)
{
    while (*list != NULL) {
        list = &(*list)->next;
    }
    *list = more;
}

int server_new(const struct model *model, struct server **out, struct error *err)
{
    struct server *server = calloc(1, sizeof(*server));

    if (server == NULL) {
        return error_set(err, -ENOMEM, "out of memory for the server");
    }
    int rc = open_missing(model, NULL, &server->places, err);
    if (rc < 0) {
        free(server);
        return rc;
    }
    *out = server;
    return 0;
}

int server_publish(struct server *server, struct snapshot *snapshot, struct error *err)
{
    bool first = server->service == NULL;

    if (first) {
        int rc = publication_init(&server->publication);
        if (rc < 0) {
            return error_set(err, rc, "cannot start a thread: %s", strerror(-rc));
        }
    }
    publication_put(&server->publication, snapshot);
    if (!first) {
        return 0;
    }
    int rc = service_start(&server->publication, &server->service, err);
    for (struct place *p = server->places; rc == 0 && p != NULL; p = p->next) {
        rc = start_place(server, p, err);
    }
    return rc;
}

static bool is_wanted(const struct model *model, const struct place *place)
{
    for (size_t i = 0; i < model->listener_count; i++) {
        if (addr_equal(&place->listener.asked, &model->listeners[i].address)) {
            return true;
        }
    }
    return false;
}

int server_rebind(struct server *server, const struct model *model, struct error *err)
{
    struct place *fresh = NULL;
    int rc = open_missing(model, server->places, &fresh, err);

    if (rc < 0) {
        return rc;
    }
    for (struct place **link = &server->places; *link != NULL;) {
        struct place *place = *link;
        if (is_wanted(model, place)) {
            link = &place->next;
            continue;
        }
        *link = place->next;
        stop_place(server, place);
        leave(server, place);
    }
    append(&server->places, fresh);
    for (struct place *p = fresh; rc == 0 && p != NULL; p = p->next) {
        rc = start_place(server, p, err);
    }
    return rc;
}

struct snapshot *server_take_retired(struct server *server)
{
    return publication_take(&server->publication);
}

void server_on_retired(struct server *server, void (*wake)(void *user), void *user)
{
    server->publication.wake = wake;
    server->publication.user = user;
}

uint64_t server_received(const struct server_counters *counters)
{
    uint64_t total = atomic_load_explicit(&counters->dropped, memory_order_relaxed);

    for (unsigned i = 0; i < QUERY_SOURCES; i++) {
        total += atomic_load_explicit(&counters->by_source[i], memory_order_relaxed);
    }
    return total;
}

void server_sum(const struct server *server, struct server_counters *out)
{
    memset(out, 0, sizeof(*out));
    add_counters(out, &server->past);
    for (const struct place *p = server->places; p != NULL; p = p->next) {
        for (size_t i = 0; i < p->listener.udp_count; i++) {
            add_counters(out, &p->counters[i]);
        }
    }
    if (server->service != NULL) {
        add_counters(out, service_counters(server->service));
    }
}

void server_describe_upstreams(struct server *server, struct json_writer *json)
{
    if (server->service != NULL) {
        service_describe(server->service, json);
    }
}

void server_describe_listeners(const struct server *server, struct json_writer *json)
{
    char address[ADDR_TEXT_MAX];

    for (const struct place *p = server->places; p != NULL; p = p->next) {
        addr_format_port(&p->listener.address, address, sizeof(address));
        json_string(json, NULL, address);
    }
}

struct snapshot *server_stop(struct server *server)
{
    struct snapshot *current = NULL;

    for (struct place *p = server->places; p != NULL; p = p->next) {
        stop_place(server, p);
    }
    if (server->service != NULL) {
        service_stop(server->service);
        current = publication_fini(&server->publication);
    }
    free_places(server->places);
    free_places(server->left);
    server->places = NULL;
    server->left = NULL;
    return current;
}

void server_free(struct server *server)
{
    free(server);
}
