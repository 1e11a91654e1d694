#include "resolver/server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json_writer.h"
#include "base/log.h"
#include "resolver/answerer.h"
#include "resolver/cache/cache.h"
#include "resolver/fairness.h"
#include "resolver/laggards.h"
#include "resolver/listener.h"
#include "resolver/publication.h"
#include "resolver/query.h"
#include "resolver/service.h"

#define AUTO_THREADS_MAX 8
#define LEFT_KEPT_MS     60000 /* many times the deadline of a forwarded question */

/* What one thread has for itself, on cache lines of its own. */
struct desk {
    struct handover_ring ring;
    _Alignas(64) struct server_counters counters;
    struct answerer *answerer; /* NULL: not started */
    bool taken;                /* the service loop takes from the ring */
    struct laggards *laggards; /* NULL: none */
};

/* One address, its sockets and the threads on them. */
struct place {
    struct place *next;
    struct listener listener;
    bool accepting; /* the service loop accepts from the TCP socket */
    uint64_t left_ms;
    struct desk desks[LISTENER_THREADS_MAX];
};

struct server {
    struct publication publication;
    bool started;
    struct cache *cache;
    struct fairness fairness;
    char *directory; /* where the cache is kept; NULL: nowhere */
    struct service *service;
    struct place *places;
    struct place *left;          /* no longer listened on, newest first; see leave */
    struct server_counters past; /* of listeners that were closed */
    uint32_t laggards_size;      /* clients that each thread remembers */
    struct laggards *laggards;   /* of the service loop; NULL: none */
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
        handover_fini(&place->desks[i].ring);
    }
    free(place);
}

static int open_place(const struct model *model, size_t index, struct place **out,
                      struct error *err)
{
    struct place *place = aligned_alloc(64, sizeof(*place));

    if (place == NULL) {
        return error_set(err, -ENOMEM, "out of memory for a listener");
    }
    memset(place, 0, sizeof(*place));
    place->listener.tcp = -1;
    int rc = listener_open(&model->listeners[index], thread_count(model), &place->listener, err);
    if (rc < 0) {
        free(place);
        return rc;
    }
    for (size_t i = 0; i < place->listener.udp_count; i++) {
        if (!handover_init(&place->desks[i].ring)) {
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

/* ---- clients remembered ---- */

/* A table of the present size, NULL: none. */
static struct laggards *new_laggards(const struct server *server)
{
    struct laggards *laggards =
        server->laggards_size == 0 ? NULL : laggards_new(server->laggards_size);

    if (laggards == NULL && server->laggards_size > 0) {
        log_event(LOG_WARNING, "clients are not remembered", "laggards=%u error=%s",
                  server->laggards_size, "out of memory");
    }
    return laggards;
}

static void retire_laggards(struct server *server, struct laggards *old)
{
    if (old != NULL) {
        laggards_retire(old, publication_reclaimer(&server->publication));
    }
}

static void renew_desk(struct server *server, struct desk *desk)
{
    struct laggards *old = desk->laggards;

    if (desk->answerer != NULL) {
        desk->laggards = new_laggards(server);
        answerer_remember(desk->answerer, desk->laggards);
        retire_laggards(server, old);
    }
}

/* So many are remembered from now on. Another number forgets those there were. */
static void remember(struct server *server, uint32_t size)
{
    struct laggards *old = server->laggards;

    if (size == server->laggards_size) {
        return;
    }
    server->laggards_size = size;
    server->laggards = new_laggards(server);
    service_remember(server->service, server->laggards);
    retire_laggards(server, old);
    for (struct place *p = server->places; p != NULL; p = p->next) {
        for (size_t i = 0; i < p->listener.udp_count; i++) {
            renew_desk(server, &p->desks[i]);
        }
    }
}

void server_walk_laggards(const struct server *server,
                          void (*visit)(void *user, const struct laggards *laggards), void *user)
{
    if (server->laggards != NULL) {
        visit(user, server->laggards);
    }
    for (const struct place *p = server->places; p != NULL; p = p->next) {
        for (size_t i = 0; i < p->listener.udp_count; i++) {
            if (p->desks[i].laggards != NULL) {
                visit(user, p->desks[i].laggards);
            }
        }
    }
}

/* ---- threads ---- */

static int start_desk(struct server *server, struct place *place, size_t index, struct error *err)
{
    struct desk *desk = &place->desks[index];
    const struct answerer_setup setup = {
        .fd = place->listener.udp[index],
        .local_is_loopback = place->listener.is_loopback,
        .is_wildcard = place->listener.is_wildcard,
        .listener = &place->listener.address,
        .publication = &server->publication,
        .counters = &desk->counters,
        .ring = &desk->ring,
        .cache = server->cache,
        .fairness = &server->fairness,
        .wake = service_wake,
        .user = server->service,
    };
    int rc = service_add_ring(server->service, &desk->ring);

    if (rc < 0) {
        return error_set(err, rc, "cannot start an answerer: %s", strerror(-rc));
    }
    desk->taken = true;
    rc = answerer_start(&setup, &desk->answerer, err);
    if (rc == 0) {
        renew_desk(server, desk);
    }
    return rc;
}

/* On failure part of it may run: stop_place. */
static int start_place(struct server *server, struct place *place, struct error *err)
{
    char address[ADDR_TEXT_MAX];

    for (size_t i = 0; i < place->listener.udp_count; i++) {
        int rc = start_desk(server, place, i, err);
        if (rc < 0) {
            return rc;
        }
    }
    addr_format_port(&place->listener.address, address, sizeof(address));
    int rc = service_add_tcp(server->service, place->listener.tcp);
    if (rc < 0) {
        return error_set(err, rc, "cannot accept connections on %s: %s", address, strerror(-rc));
    }
    place->accepting = true;
    log_event(LOG_INFO, "listening", "address=%s threads=%zu", address, place->listener.udp_count);
    return 0;
}

/* Start all of a list; on failure some of them, or part of one, may run. */
static int start_places(struct server *server, struct place *places, struct error *err)
{
    for (struct place *p = places; p != NULL; p = p->next) {
        int rc = start_place(server, p, err);
        if (rc < 0) {
            return rc;
        }
    }
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

/* No thread reads its sockets any more; questions on their way still answer over them. */
static void stop_place(struct server *server, struct place *place)
{
    char address[ADDR_TEXT_MAX];

    for (size_t i = 0; i < place->listener.udp_count; i++) {
        struct desk *desk = &place->desks[i];
        if (desk->answerer != NULL) {
            answerer_stop(desk->answerer);
            desk->answerer = NULL;
            add_counters(&server->past, &desk->counters);
            laggards_free(desk->laggards); /* its only reader but us is gone */
            desk->laggards = NULL;
        }
        if (desk->taken) {
            service_remove_ring(server->service, &desk->ring);
            desk->taken = false;
        }
    }
    if (place->accepting) {
        service_remove_tcp(server->service, place->listener.tcp);
        place->accepting = false;
        addr_format_port(&place->listener.address, address, sizeof(address));
        log_event(LOG_INFO, "not listening any more", "address=%s", address);
    }
}

/*
 * Give a stopped place's addresses back but keep its descriptors for a while,
 * each now an unbound socket: answers still on their way hold their numbers,
 * and must never reach another socket that was given the same one.
 */
static void leave(struct server *server, struct place *place)
{
    for (size_t i = 0; i < place->listener.udp_count; i++) {
        handover_fini(&place->desks[i].ring);
        int blank = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (blank < 0) {
            continue; /* out of descriptors: it keeps its address until the end */
        }
        (void)dup3(blank, place->listener.udp[i], O_CLOEXEC);
        close(blank);
    }
    if (place->listener.tcp >= 0) {
        close(place->listener.tcp);
        place->listener.tcp = -1;
    }
    place->left_ms = clock_now_ms();
    place->next = server->left;
    server->left = place;
}

/* Those left so long ago that every question of theirs was answered; newest first. */
static void free_left(struct server *server)
{
    uint64_t now = clock_now_ms();
    struct place **link = &server->left;

    while (*link != NULL && now - (*link)->left_ms < LEFT_KEPT_MS) {
        link = &(*link)->next;
    }
    free_places(*link);
    *link = NULL;
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

/* One address and all addresses cannot be bound side by side: say that it is us. */
static void hint_at_own(const struct place *have, const struct addr *asked, struct error *err)
{
    char address[ADDR_TEXT_MAX];

    for (const struct place *p = have; p != NULL; p = p->next) {
        const struct addr *own = &p->listener.address;
        if (own->family == asked->family && own->port == asked->port &&
            (p->listener.is_wildcard || addr_is_any(asked))) {
            addr_format_port(own, address, sizeof(address));
            error_hint(err,
                       "this server has it by %s: between one address and all of them only "
                       "a restart leads",
                       address);
            return;
        }
    }
}

/* Open what `model` asks for and `have` has not: a list, or all is undone. */
static int open_missing(const struct model *model, struct place *have, struct place **out,
                        struct error *err)
{
    struct place *fresh = NULL;
    struct place **end = &fresh;

    for (size_t i = 0; i < model->listener_count; i++) {
        const struct addr *asked = &model->listeners[i].address;
        if (find_place(have, asked) != NULL) {
            continue;
        }
        int rc = open_place(model, i, end, err);
        if (rc < 0) {
            free_places(fresh);
            if (rc == -EADDRINUSE) {
                hint_at_own(have, asked, err);
            }
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
    publication_init(&server->publication);
    *out = server;
    return 0;
}

/* A directory that cannot be written is a warning: then nothing is kept on disk. */
static const char *cache_directory(const struct model *model)
{
    struct error err;

    if (model->cache.size_bytes == 0 || !model->cache.persist) {
        return NULL;
    }
    if (file_make_directory(model->state_directory, &err) < 0 ||
        access(model->state_directory, W_OK) < 0) {
        log_event(LOG_WARNING, "cache will not be kept", "state_directory=%s error=%s",
                  model->state_directory, "cannot be written");
        return NULL;
    }
    return model->state_directory;
}

static int start_service(struct server *server, const struct model *model, struct error *err)
{
    server->cache = cache_new(&model->cache, publication_reclaimer(&server->publication));
    if (server->cache == NULL) {
        return error_set(err, -ENOMEM, "out of memory for the cache");
    }
    fairness_init(&server->fairness);
    const char *directory = cache_directory(model);
    server->directory = directory == NULL ? NULL : strdup(directory);
    const struct service_setup setup = {
        .publication = &server->publication,
        .cache = server->cache,
        .fairness = &server->fairness,
        .directory = server->directory,
    };
    return service_start(&setup, &server->service, err);
}

int server_publish(struct server *server, struct snapshot *snapshot, struct error *err)
{
    publication_put(&server->publication, snapshot);
    if (server->started) {
        service_adopt(server->service);
        remember(server, snapshot->model->laggards);
        return 0;
    }
    server->started = true;
    int rc = publication_start(&server->publication);
    if (rc < 0) {
        return error_set(err, rc, "cannot start a thread: %s", strerror(-rc));
    }
    rc = start_service(server, snapshot->model, err);
    if (rc == 0) {
        remember(server, snapshot->model->laggards);
        rc = start_places(server, server->places, err);
        service_adopt(server->service);
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

/* Stop and give back the places of a list that `model` (NULL: none) does not want. */
static void leave_unwanted(struct server *server, struct place **list, const struct model *model)
{
    while (*list != NULL) {
        struct place *place = *list;
        if (model != NULL && is_wanted(model, place)) {
            list = &place->next;
            continue;
        }
        *list = place->next;
        stop_place(server, place);
        leave(server, place);
    }
}

int server_rebind(struct server *server, const struct model *model, struct error *err)
{
    struct place *fresh = NULL;

    free_left(server);
    int rc = open_missing(model, server->places, &fresh, err);
    if (rc == 0) {
        rc = start_places(server, fresh, err);
    }
    if (rc < 0) {
        leave_unwanted(server, &fresh, NULL);
        return rc;
    }
    leave_unwanted(server, &server->places, model);
    append(&server->places, fresh);
    return 0;
}

struct snapshot *server_take_retired(struct server *server)
{
    return publication_take(&server->publication);
}

void server_on_retired(struct server *server, void (*wake)(void *user), void *user)
{
    publication_on_retired(&server->publication, wake, user);
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
            add_counters(out, &p->desks[i].counters);
        }
    }
    if (server->service != NULL) {
        add_counters(out, service_counters(server->service));
    }
}

bool server_do(struct server *server, service_job *job, void *user)
{
    if (server->service == NULL) {
        return false;
    }
    service_do(server->service, job, user);
    return true;
}

bool server_post(struct server *server, service_job *job, void *user)
{
    return server->service != NULL && service_post(server->service, job, user);
}

void server_describe_listeners(const struct server *server, struct json_writer *json)
{
    char address[ADDR_TEXT_MAX];

    for (const struct place *p = server->places; p != NULL; p = p->next) {
        addr_format_port(&p->listener.address, address, sizeof(address));
        json_writer_string(json, NULL, address);
    }
}

struct snapshot *server_stop(struct server *server)
{
    for (struct place *p = server->places; p != NULL; p = p->next) {
        stop_place(server, p);
    }
    service_stop(server->service);
    server->service = NULL;
    laggards_free(server->laggards);
    server->laggards = NULL;
    struct snapshot *current = publication_stop(&server->publication);
    cache_free(server->cache); /* what it retired is released now */
    server->cache = NULL;
    free_places(server->places);
    free_places(server->left);
    server->places = NULL;
    server->left = NULL;
    return current;
}

void server_free(struct server *server)
{
    if (server != NULL) {
        publication_fini(&server->publication);
        free(server->directory);
        free(server);
    }
}
