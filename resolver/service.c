#include "resolver/service.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <uv.h>

#include "base/json_writer.h"
#include "base/log.h"
#include "resolver/alias.h"
#include "resolver/cache/cache_loader.h"
#include "resolver/cache/cache_saver.h"
#include "resolver/edns.h"
#include "resolver/fairness.h"
#include "resolver/query.h"
#include "resolver/rcu.h"
#include "resolver/relay.h"
#include "resolver/resolution.h"
#include "resolver/stream.h"
#include "resolver/thread.h"

#define RING_TURN_MOST 64 /* questions taken from one ring before the others have their turn */

enum order_kind {
    ORDER_NONE,
    ORDER_ADD_RING,
    ORDER_REMOVE_RING,
    ORDER_ADD_TCP,
    ORDER_REMOVE_TCP,
    ORDER_ADOPT,
    ORDER_JOB,
    ORDER_STOP,
};

/* What the control thread wants; one at a time, it waits for each. */
struct order {
    enum order_kind kind;
    struct handover_ring *ring;
    int fd;
    service_job *job;
    void *user;
    int result;
};

/* What the control thread wants done, and does not wait for. */
struct posted {
    struct posted *next;
    service_job *job;
    void *user;
};

struct service {
    struct service_setup setup;
    pthread_t thread;
    uv_loop_t loop;
    uv_async_t wake;
    uv_prepare_t before_sleep;
    bool online; /* for RCU */
    struct server_counters counters;
    struct query_thread query;
    struct stream_set *streams;
    struct resolution *resolution;
    struct cache_loader *loader; /* NULL: not loading */
    struct cache_saver *saver;   /* NULL: not saving */
    uint64_t generation;         /* of the snapshot adopted last */
    struct handover_ring **rings;
    size_t ring_count;
    uint8_t output[WIRE_MESSAGE_MAX];
    uint8_t joined[WIRE_MESSAGE_MAX - WIRE_OPT_BYTES]; /* see alias_join */

    pthread_mutex_t lock;
    pthread_cond_t obeyed;
    struct order order;
    struct posted *posted; /* oldest first */
    struct posted **posted_end;
};

/* A forwarded question, until it is answered. */
struct asking {
    struct service *service;
    struct stream *stream; /* NULL: over UDP */
    uint32_t share;        /* see fairness.h */
    struct handover_question question;
    struct handover_client client;
    struct answer chain; /* our aliases that led to the name asked for; `wire` NULL: none */
};

/* ---- RCU: offline while the loop sleeps, online from the first event on ---- */

static void awake(void *user)
{
    struct service *s = user;

    if (!s->online) {
        rcu_wake();
        s->online = true;
    }
}

static void asleep(struct service *s)
{
    if (s->online) {
        rcu_sleep();
        s->online = false;
    }
}

static void on_before_sleep(uv_prepare_t *prepare)
{
    asleep(prepare->data);
}

/* ---- answering what was forwarded ---- */

static void send_datagram(struct service *s, const struct handover_client *client, size_t length)
{
    union {
        struct cmsghdr align;
        char bytes[64];
    } control = { 0 };
    struct iovec part = { s->output, length };
    struct msghdr header = {
        .msg_name = (void *)(uintptr_t)&client->address,
        .msg_namelen = client->address_length,
        .msg_iov = &part,
        .msg_iovlen = 1,
    };

    if (client->has_local) {
        struct cmsghdr *c = &control.align;
        bool v4 = client->address.any.sa_family == AF_INET;
        header.msg_control = control.bytes;
        c->cmsg_level = v4 ? IPPROTO_IP : IPPROTO_IPV6;
        c->cmsg_type = v4 ? IP_PKTINFO : IPV6_PKTINFO;
        if (v4) {
            struct in_pktinfo info = { 0 };
            memcpy(&info.ipi_spec_dst, &client->local, 4);
            memcpy(CMSG_DATA(c), &info, sizeof(info));
            c->cmsg_len = CMSG_LEN(sizeof(info));
            header.msg_controllen = CMSG_SPACE(sizeof(info));
        } else {
            struct in6_pktinfo info = { .ipi6_addr = client->local,
                                        .ipi6_ifindex = client->interface };
            memcpy(CMSG_DATA(c), &info, sizeof(info));
            c->cmsg_len = CMSG_LEN(sizeof(info));
            header.msg_controllen = CMSG_SPACE(sizeof(info));
        }
    }
    if (sendmsg(client->fd, &header, MSG_DONTWAIT) < 0) {
        query_count(&s->counters.unsent);
    }
}

/* Send what stands in `output` to whoever asked, and forget the question. */
static void deliver(struct asking *asking, size_t length, unsigned rcode)
{
    struct service *s = asking->service;

    fairness_leave(s->setup.fairness, asking->share);
    query_count(&s->counters.by_rcode[rcode & WIRE_RCODE]);
    if (asking->stream != NULL) {
        stream_reply(asking->stream, s->output, length);
    } else {
        send_datagram(s, &asking->client, length);
    }
    free((void *)(uintptr_t)asking->chain.wire);
    free(asking);
}

static void deliver_failure(struct asking *asking, unsigned rcode, const char *text)
{
    struct service *s = asking->service;

    deliver(asking, relay_put_failure(&asking->question, rcode, text, s->output, sizeof(s->output)),
            rcode);
}

static void on_reply(void *user, const struct forward_reply *reply)
{
    struct asking *asking = user;
    struct service *s = asking->service;
    struct forward_reply joined = *reply;
    unsigned rcode;

    if (asking->chain.wire != NULL && reply->message != NULL) {
        joined.length =
            alias_join(&asking->question, &asking->chain, reply, s->joined, sizeof(s->joined));
        joined.message = s->joined;
        if (joined.length == 0) {
            joined = (struct forward_reply){ .ede_code = EDNS_OTHER,
                                             .ede_text = "answer too large" };
        }
    }
    size_t length = relay_put(&asking->question, &joined, s->output, sizeof(s->output), &rcode);
    deliver(asking, length, rcode);
}

/*
 * Where our own aliases lead from the name asked for, or NULL. They are copied,
 * for the snapshot may be gone when the answer comes; false: memory is out.
 */
static bool take_chain(struct asking *asking, const struct snapshot *snapshot, const uint8_t *dname,
                       const uint8_t **out_outside)
{
    const struct node *node = namespace_find(snapshot->ns, dname, asking->question.name_length);
    const struct answer *chain =
        node == NULL ? NULL : namespace_answer(node, asking->question.type);

    *out_outside = NULL;
    if (chain == NULL || chain->outside == NULL) {
        return true;
    }
    uint8_t *wire = malloc(chain->core_length);
    if (wire == NULL) {
        return false;
    }
    memcpy(wire, chain->wire, chain->core_length);
    asking->chain = *chain;
    asking->chain.wire = wire;
    *out_outside = chain->outside;
    return true;
}

static struct forward_question question_of(const struct handover_question *asked,
                                           const uint8_t *outside)
{
    return (struct forward_question){
        .name = outside == NULL ? asked->name : outside,
        .name_length = outside == NULL ? asked->name_length : (uint8_t)name_length(outside),
        .type = asked->type,
        .class = asked->class,
        .dnssec_ok = asked->dnssec_ok,
        .checking_disabled = (asked->flags & WIRE_CD) != 0,
    };
}

/* Ask elsewhere for a question that is allowed to be. */
static void ask(struct service *s, struct asking *asking)
{
    uint8_t dname[NAME_MAX_BYTES];
    const uint8_t *outside;

    awake(s);
    (void)relay_dname(&asking->question, dname);
    const struct snapshot *snapshot = publication_read(s->setup.publication);
    if (!take_chain(asking, snapshot, dname, &outside)) {
        deliver_failure(asking, WIRE_SERVFAIL, "out of memory");
        return;
    }
    if (!snapshot_resolves(snapshot, outside == NULL ? dname : outside)) {
        /* a reload took the rule away while the question was on its way */
        deliver_failure(asking, WIRE_REFUSED, NULL);
        return;
    }
    const struct forward_question question = question_of(&asking->question, outside);
    resolution_ask(s->resolution, snapshot, &question, on_reply, asking);
}

static void refresh(struct service *s, const struct handover_question *asked)
{
    const struct forward_question question = question_of(asked, NULL);

    awake(s);
    resolution_refresh(s->resolution, publication_read(s->setup.publication), &question);
}

static struct asking *asking_new(struct service *s, const struct handover_question *question,
                                 uint32_t share)
{
    struct asking *asking = calloc(1, sizeof(*asking));

    if (asking != NULL) {
        asking->service = s;
        asking->question = *question;
        asking->share = share;
    } else {
        fairness_leave(s->setup.fairness, share);
    }
    return asking;
}

static void refuse_stream(struct service *s, struct stream *stream,
                          const struct handover_question *question, const char *text)
{
    size_t length =
        relay_put_failure(question, WIRE_SERVFAIL, text, s->output, sizeof(s->output));

    stream_reply(stream, s->output, length);
}

static void forward_for_stream(void *user, struct stream *stream,
                               const struct handover_question *question)
{
    struct service *s = user;

    if (question->refresh) {
        refresh(s, question);
        return;
    }
    uint32_t share = fairness_slot(s->setup.fairness, stream_source(stream));
    const struct model *model = publication_read(s->setup.publication)->model;
    if (!fairness_enter(s->setup.fairness, share, model->in_flight_per_client)) {
        query_count(&s->counters.unfair);
        refuse_stream(s, stream, question, "too many of your questions are in flight");
        return;
    }
    struct asking *asking = asking_new(s, question, share);
    if (asking == NULL) {
        refuse_stream(s, stream, question, "out of memory");
        return;
    }
    asking->stream = stream;
    ask(s, asking);
}

static void forward_for_datagram(struct service *s, const struct handover *handed)
{
    if (handed->question.refresh) {
        refresh(s, &handed->question);
        return;
    }
    struct asking *asking = asking_new(s, &handed->question, handed->client.share);
    if (asking == NULL) {
        query_count(&s->counters.unsent);
        return;
    }
    asking->client = handed->client;
    ask(s, asking);
}

static bool drain(struct service *s, struct handover_ring *ring, unsigned most)
{
    struct handover *handed = NULL;

    for (unsigned i = 0; i < most; i++) {
        handed = handover_peek(ring);
        if (handed == NULL) {
            return false;
        }
        forward_for_datagram(s, handed);
        handover_done(ring);
    }
    return handover_peek(ring) != NULL;
}

/* ---- orders of the control thread ---- */

static int add_ring(struct service *s, struct handover_ring *ring)
{
    struct handover_ring **rings = realloc(s->rings, (s->ring_count + 1) * sizeof(*rings));

    if (rings == NULL) {
        return -ENOMEM;
    }
    rings[s->ring_count++] = ring;
    s->rings = rings;
    return 0;
}

static void remove_ring(struct service *s, struct handover_ring *ring)
{
    while (drain(s, ring, HANDOVER_SLOTS)) {
    }
    for (size_t i = 0; i < s->ring_count; i++) {
        if (s->rings[i] == ring) {
            s->rings[i] = s->rings[--s->ring_count];
            return;
        }
    }
}

static void on_resolution_closed(void *user)
{
    (void)user; /* the loop ends by itself when its last handle has closed */
}

/* What is in flight is answered while its connections are still there. */
static void close_all(struct service *s)
{
    cache_loader_cancel(s->loader);
    s->loader = NULL;
    resolution_close(s->resolution, on_resolution_closed, NULL);
    stream_set_close(s->streams);
    asleep(s); /* the last save takes as long as the disk does */
    cache_saver_stop(s->saver);
    s->saver = NULL;
    uv_close((uv_handle_t *)&s->wake, NULL);
    uv_close((uv_handle_t *)&s->before_sleep, NULL);
}

static void obey(struct service *s)
{
    struct order *order = &s->order;

    switch (order->kind) {
    case ORDER_NONE:
        return;
    case ORDER_ADD_RING:
        order->result = add_ring(s, order->ring);
        break;
    case ORDER_REMOVE_RING:
        remove_ring(s, order->ring);
        break;
    case ORDER_ADD_TCP:
        order->result = stream_set_listen(s->streams, order->fd);
        break;
    case ORDER_REMOVE_TCP:
        stream_set_unlisten(s->streams, order->fd);
        break;
    case ORDER_ADOPT: /* on_wake has done it */
        break;
    case ORDER_JOB:
        awake(s);
        order->job(order->user, s->resolution, s->setup.cache);
        break;
    case ORDER_STOP:
        close_all(s);
        break;
    }
    order->kind = ORDER_NONE;
    pthread_cond_signal(&s->obeyed);
}

/* Is there a new snapshot? Then those beneath learn of it. */
static void adopt(struct service *s)
{
    awake(s);
    const struct snapshot *snapshot = publication_read(s->setup.publication);
    if (snapshot != NULL && snapshot->generation != s->generation) {
        s->generation = snapshot->generation;
        resolution_adopt(s->resolution, snapshot);
    }
}

static struct posted *take_posted(struct service *s)
{
    pthread_mutex_lock(&s->lock);
    struct posted *posted = s->posted;
    s->posted = NULL;
    s->posted_end = &s->posted;
    pthread_mutex_unlock(&s->lock);
    return posted;
}

/* Call the posted jobs, or let them free what is theirs. */
static void run_posted(struct service *s, struct resolution *resolution, struct cache *cache)
{
    for (struct posted *posted = take_posted(s), *next; posted != NULL; posted = next) {
        next = posted->next;
        if (resolution != NULL) {
            awake(s);
        }
        posted->job(posted->user, resolution, cache);
        free(posted);
    }
}

static void on_wake(uv_async_t *async)
{
    struct service *s = async->data;
    bool more = false;

    adopt(s);
    for (size_t i = 0; i < s->ring_count; i++) {
        more = drain(s, s->rings[i], RING_TURN_MOST) || more;
    }
    run_posted(s, s->resolution, s->setup.cache);
    pthread_mutex_lock(&s->lock);
    bool stopping = s->order.kind == ORDER_STOP;
    obey(s);
    pthread_mutex_unlock(&s->lock);
    if (more && !stopping) {
        (void)uv_async_send(&s->wake);
    }
}

static int give_order(struct service *s, struct order order)
{
    pthread_mutex_lock(&s->lock);
    s->order = order;
    (void)uv_async_send(&s->wake);
    while (s->order.kind != ORDER_NONE) {
        pthread_cond_wait(&s->obeyed, &s->lock);
    }
    int result = s->order.result;
    pthread_mutex_unlock(&s->lock);
    return result;
}

void service_wake(void *user)
{
    struct service *s = user;

    (void)uv_async_send(&s->wake);
}

int service_add_ring(struct service *service, struct handover_ring *ring)
{
    return give_order(service, (struct order){ .kind = ORDER_ADD_RING, .ring = ring });
}

void service_remove_ring(struct service *service, struct handover_ring *ring)
{
    (void)give_order(service, (struct order){ .kind = ORDER_REMOVE_RING, .ring = ring });
}

int service_add_tcp(struct service *service, int fd)
{
    return give_order(service, (struct order){ .kind = ORDER_ADD_TCP, .fd = fd });
}

void service_remove_tcp(struct service *service, int fd)
{
    (void)give_order(service, (struct order){ .kind = ORDER_REMOVE_TCP, .fd = fd });
}

void service_adopt(struct service *service)
{
    (void)give_order(service, (struct order){ .kind = ORDER_ADOPT });
}

void service_do(struct service *service, service_job *job, void *user)
{
    (void)give_order(service, (struct order){ .kind = ORDER_JOB, .job = job, .user = user });
}

bool service_post(struct service *service, service_job *job, void *user)
{
    struct posted *posted = malloc(sizeof(*posted));

    if (posted == NULL) {
        return false;
    }
    *posted = (struct posted){ .job = job, .user = user };
    pthread_mutex_lock(&service->lock);
    *service->posted_end = posted;
    service->posted_end = &posted->next;
    pthread_mutex_unlock(&service->lock);
    service_wake(service);
    return true;
}

void service_remember(struct service *service, struct laggards *laggards)
{
    atomic_store_explicit(&service->query.laggards, laggards, memory_order_release);
}

const struct server_counters *service_counters(const struct service *service)
{
    return &service->counters;
}

/* ---- life ---- */

static void *serve(void *user)
{
    struct service *s = user;

    urcu_qsbr_register_thread();
    rcu_sleep();
    uv_run(&s->loop, UV_RUN_DEFAULT);
    awake(s); /* unregistering wants an online thread */
    urcu_qsbr_unregister_thread();
    return NULL;
}

/* Only now: before it was loaded the file would be replaced by a part of it. */
static void start_saver(struct service *s)
{
    int rc = cache_saver_start(s->setup.cache, s->setup.directory, &s->saver);

    if (rc < 0) {
        s->saver = NULL;
        log_event(LOG_WARNING, "cache will not be saved", "directory=%s error=%s",
                  s->setup.directory, strerror(-rc));
    }
}

static void on_loaded(void *user, size_t count)
{
    struct service *s = user;

    (void)count; /* the loader has told */
    s->loader = NULL;
    resolution_loaded(s->resolution);
    start_saver(s);
}

static int set_up(struct service *s)
{
    const struct stream_host host = {
        .loop = &s->loop,
        .publication = s->setup.publication,
        .query = &s->query,
        .connections_max = STREAM_CONNECTIONS_MAX,
        .idle_ms = STREAM_IDLE_MS,
        .awake = awake,
        .forward = forward_for_stream,
        .user = s,
    };

    const struct resolution_host resolution = {
        .loop = &s->loop,
        .publication = s->setup.publication,
        .cache = s->setup.cache,
        .awake = awake,
        .user = s,
    };

    query_thread_init(&s->query, &s->counters);
    s->query.cache = s->setup.cache;
    (void)uv_prepare_init(&s->loop, &s->before_sleep);
    s->before_sleep.data = s;
    (void)uv_prepare_start(&s->before_sleep, on_before_sleep);
    s->wake.data = s;
    int rc = uv_async_init(&s->loop, &s->wake, on_wake);
    s->streams = stream_set_new(&host);
    s->resolution = resolution_new(&resolution);
    if (s->streams == NULL || s->resolution == NULL) {
        return -ENOMEM;
    }
    if (rc == 0 && s->setup.directory != NULL) {
        int loading = cache_loader_start(&s->loop, s->setup.cache, s->setup.directory, on_loaded, s,
                                         &s->loader);
        if (loading < 0) {
            log_event(LOG_WARNING, "cache not loaded", "directory=%s error=%s",
                      s->setup.directory, strerror(-loading));
        }
    }
    return rc;
}

static void service_free(struct service *s)
{
    int rc = uv_loop_close(&s->loop);

    if (rc < 0) {
        log_event(LOG_ERROR, "service loop not empty at the end", "error=%s", uv_strerror(rc));
    }
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->obeyed);
    free(s->rings);
    free(s);
}

/* Take down what set_up made, in the calling thread: the loop's own never ran. */
static void undo_set_up(struct service *s)
{
    cache_loader_cancel(s->loader);
    if (s->resolution != NULL) {
        resolution_close(s->resolution, on_resolution_closed, NULL);
    }
    if (s->streams != NULL) {
        stream_set_close(s->streams);
    }
    if (s->wake.type == UV_ASYNC) { /* else its init failed */
        uv_close((uv_handle_t *)&s->wake, NULL);
    }
    uv_close((uv_handle_t *)&s->before_sleep, NULL);
    (void)uv_run(&s->loop, UV_RUN_DEFAULT);
    service_free(s);
}

int service_start(const struct service_setup *setup, struct service **out, struct error *err)
{
    struct service *s = calloc(1, sizeof(*s));
    int rc = s == NULL ? -ENOMEM : uv_loop_init(&s->loop);

    if (rc < 0) {
        free(s);
        return error_set(err, rc, "cannot start the service loop: %s", strerror(-rc));
    }
    s->setup = *setup;
    s->posted_end = &s->posted;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->obeyed, NULL);
    rc = set_up(s);
    if (rc == 0) {
        rc = thread_start(&s->thread, "service", 0, serve, s);
    }
    if (rc < 0) {
        undo_set_up(s);
        return error_set(err, rc, "cannot start the service loop: %s", strerror(-rc));
    }
    *out = s;
    return 0;
}

void service_stop(struct service *service)
{
    if (service == NULL) {
        return;
    }
    (void)give_order(service, (struct order){ .kind = ORDER_STOP });
    pthread_join(service->thread, NULL);
    run_posted(service, NULL, NULL);
    service_free(service);
}
