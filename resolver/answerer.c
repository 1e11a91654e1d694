#include "resolver/answerer.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/clock.h"
#include "resolver/fairness.h"
#include "resolver/query.h"
#include "resolver/rcu.h"
#include "resolver/relay.h"
#include "resolver/thread.h"

#define CONTROL_BYTES 64 /* room for one packet-info message of either family */
#define STOP_SIGNAL   SIGUSR2
#define STOP_AGAIN_NS 1000000

#define SHARE_WHEN_FILLING 32 /* questions in flight of one client, while the ring is half full */

/* A source address, as narrow as the families we serve. */
union source {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

struct control_buffer {
    _Alignas(struct cmsghdr) char bytes[CONTROL_BYTES];
};

struct answerer {
    struct answerer_setup setup;
    pthread_t thread;
    _Atomic bool stop;
    struct query_thread query;
    /* batches: what is received, and the answers in the same buffers */
    struct mmsghdr in[ANSWERER_BATCH];
    struct iovec in_parts[ANSWERER_BATCH];
    struct mmsghdr out[ANSWERER_BATCH];
    struct iovec out_parts[ANSWERER_BATCH];
    union source sources[ANSWERER_BATCH];
    struct control_buffer controls[ANSWERER_BATCH];
    _Alignas(64) uint8_t buffers[ANSWERER_BATCH][QUERY_UDP_BUFFER];
};

/* Make every slot ready to receive: the kernel shortens what it has filled. */
static void prepare(struct answerer *a, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct msghdr *header = &a->in[i].msg_hdr;
        header->msg_namelen = sizeof(a->sources[i]);
        if (a->setup.is_wildcard) {
            header->msg_controllen = sizeof(a->controls[i]);
        }
    }
}

static void init_batches(struct answerer *a)
{
    for (unsigned i = 0; i < ANSWERER_BATCH; i++) {
        a->in_parts[i] = (struct iovec){ a->buffers[i], QUERY_UDP_BUFFER };
        a->in[i].msg_hdr.msg_name = &a->sources[i];
        a->in[i].msg_hdr.msg_iov = &a->in_parts[i];
        a->in[i].msg_hdr.msg_iovlen = 1;
        a->out[i].msg_hdr.msg_iov = &a->out_parts[i];
        a->out[i].msg_hdr.msg_iovlen = 1;
        if (a->setup.is_wildcard) {
            a->in[i].msg_hdr.msg_control = &a->controls[i];
        }
    }
    prepare(a, ANSWERER_BATCH);
}

/*
 * The address a packet was sent to, from its packet-info message. The
 * interface is cleared in place, but for a link-local address that means
 * nothing without one: the message goes back with the answer, and routing
 * chooses the way.
 */
static void read_local(struct msghdr *header, struct handover_client *client)
{
    client->has_local = false;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c != NULL; c = CMSG_NXTHDR(header, c)) {
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo *info = (struct in_pktinfo *)(void *)CMSG_DATA(c);
            info->ipi_ifindex = 0;
            memcpy(&client->local, &info->ipi_spec_dst, 4);
            client->interface = 0;
            client->has_local = true;
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo *info = (struct in6_pktinfo *)(void *)CMSG_DATA(c);
            if (!IN6_IS_ADDR_LINKLOCAL(&info->ipi6_addr)) {
                info->ipi6_ifindex = 0;
            }
            client->local = info->ipi6_addr;
            client->interface = info->ipi6_ifindex;
            client->has_local = true;
        }
    }
}

/* Was packet `i` sent to a loopback address? */
static bool is_local_loopback(struct answerer *a, unsigned i)
{
    struct handover_client client = { 0 };

    if (!a->setup.is_wildcard) {
        return a->setup.local_is_loopback;
    }
    read_local(&a->in[i].msg_hdr, &client);
    if (!client.has_local) {
        return false;
    }
    return a->sources[i].any.sa_family == AF_INET ? client.local.s6_addr[0] == 127
                                                  : IN6_IS_ADDR_LOOPBACK(&client.local);
}

/* Why a question cannot be handed to the service loop. */
enum handing {
    HANDED,
    HANDING_FULL,   /* its ring */
    HANDING_UNFAIR, /* its client has had its share */
};

/*
 * May the client have one more question in flight? While the ring fills, only
 * those with few may: what one client floods, half the ring is left for others.
 */
static bool enter(struct answerer *a, const struct snapshot *snapshot, uint32_t share)
{
    uint32_t most = snapshot->model->in_flight_per_client;

    if (handover_waiting(a->setup.ring) > HANDOVER_SLOTS / 2 && most > SHARE_WHEN_FILLING) {
        most = SHARE_WHEN_FILLING;
    }
    return fairness_enter(a->setup.fairness, share, most);
}

/* Hand a question to the service loop. */
static enum handing hand_over(struct answerer *a, const struct snapshot *snapshot, unsigned i)
{
    struct handover *slot = handover_next(a->setup.ring);
    struct msghdr *header = &a->in[i].msg_hdr;

    if (slot == NULL) {
        return HANDING_FULL;
    }
    slot->client.share = fairness_slot(a->setup.fairness, &a->sources[i].any);
    if (!enter(a, snapshot, slot->client.share)) {
        return HANDING_UNFAIR;
    }
    relay_keep(&slot->question, &a->query.query, a->buffers[i], false);
    slot->client.fd = a->setup.fd;
    slot->client.address_length = header->msg_namelen;
    memcpy(&slot->client.address, &a->sources[i], sizeof(a->sources[i]));
    slot->client.has_local = false;
    if (a->setup.is_wildcard) {
        read_local(header, &slot->client);
    }
    handover_put(a->setup.ring);
    return HANDED;
}

/* What was just answered from the cache will expire soon: have it asked for anew. */
static bool hand_over_refresh(struct answerer *a, unsigned i)
{
    struct handover *slot = handover_next(a->setup.ring);

    if (slot == NULL || handover_waiting(a->setup.ring) > HANDOVER_SLOTS / 2) {
        return false;
    }
    relay_keep(&slot->question, &a->query.query, a->buffers[i], false);
    slot->question.refresh = true;
    slot->client.share = FAIRNESS_NONE;
    handover_put(a->setup.ring);
    atomic_store_explicit(&a->query.refresh->refreshing, true, memory_order_relaxed);
    return true;
}

/* SERVFAIL at once: the service loop is behind, or has enough of this client. */
static size_t refuse_for_load(struct answerer *a, unsigned i, enum handing why)
{
    bool unfair = why == HANDING_UNFAIR;
    const char *text =
        unfair ? "too many of your questions are in flight" : "too many questions in flight";
    struct handover_question question;

    relay_keep(&question, &a->query.query, a->buffers[i], false);
    query_count(unfair ? &a->setup.counters->unfair : &a->setup.counters->ring_full);
    query_count(&a->setup.counters->by_rcode[WIRE_SERVFAIL]);
    return relay_put_failure(&question, WIRE_SERVFAIL, text, a->buffers[i], QUERY_UDP_BUFFER);
}

/* Put the answer in buffer `i` into the outgoing batch. */
static void put_out(struct answerer *a, unsigned slot, unsigned i, size_t length)
{
    struct msghdr *header = &a->out[slot].msg_hdr;

    a->out_parts[slot].iov_base = a->buffers[i];
    a->out_parts[slot].iov_len = length;
    header->msg_name = &a->sources[i];
    header->msg_namelen = a->in[i].msg_hdr.msg_namelen;
    if (a->setup.is_wildcard) {
        /* answered from the address that was asked: the same message the other way */
        header->msg_control = a->in[i].msg_hdr.msg_control;
        header->msg_controllen = a->in[i].msg_hdr.msg_controllen;
    }
}

/* Answer a batch in place. Returns how many answers there are to send. */
static unsigned answer_batch(struct answerer *a, const struct snapshot *snapshot, unsigned count,
                             bool *out_handed)
{
    unsigned answers = 0;

    for (unsigned i = 0; i < count; i++) {
        size_t length = a->in[i].msg_len;
        const struct query_client client = {
            .source = &a->sources[i].any,
            .local_is_loopback = is_local_loopback(a, i),
            .listener = a->setup.listener,
        };
        if (i + 1 < count) {
            __builtin_prefetch(a->buffers[i + 1]);
        }
        if ((a->in[i].msg_hdr.msg_flags & MSG_TRUNC) != 0) {
            length = 0; /* larger than any query: not one */
        }
        enum query_verdict verdict = query_answer(&a->query, snapshot, &client, a->buffers[i],
                                                  length, QUERY_UDP_BUFFER, &length);
        if (verdict == QUERY_FORWARD) {
            enum handing handing = hand_over(a, snapshot, i);
            if (handing == HANDED) {
                *out_handed = true;
                continue;
            }
            length = refuse_for_load(a, i, handing);
        } else if (verdict == QUERY_DROP) {
            continue;
        }
        if (a->query.refresh != NULL) {
            *out_handed = hand_over_refresh(a, i) || *out_handed;
            a->query.refresh = NULL;
        }
        put_out(a, answers++, i, length);
    }
    return answers;
}

/*
 * Send all that can be sent now. sendmmsg stops at the first message it cannot
 * send and the next call tells why: skip that one, so that one client with an
 * impossible port does not hold up the rest. A full socket buffer drops.
 */
static void send_batch(struct answerer *a, unsigned count)
{
    unsigned sent = 0;

    while (sent < count) {
        int n = sendmmsg(a->setup.fd, a->out + sent, count - sent, MSG_DONTWAIT);
        if (n > 0) {
            sent += (unsigned)n;
            continue;
        }
        if (errno == EINTR) {
            continue;
        }
        unsigned lost = errno == EAGAIN || errno == ENOBUFS ? count - sent : 1;
        for (unsigned i = 0; i < lost; i++) {
            query_count(&a->setup.counters->unsent);
        }
        sent += lost;
    }
}

static void *answer(void *user)
{
    struct answerer *a = user;
    unsigned used = 0;

    urcu_qsbr_register_thread();
    rcu_sleep();
    while (!atomic_load_explicit(&a->stop, memory_order_relaxed)) {
        prepare(a, used);
        int n = recvmmsg(a->setup.fd, a->in, ANSWERER_BATCH, MSG_WAITFORONE, NULL);
        if (n <= 0) {
            used = ANSWERER_BATCH;
            continue; /* a signal: is it time to stop? */
        }
        bool handed = false;
        used = (unsigned)n;
        rcu_wake();
        a->query.now_ms = (int64_t)clock_coarse_ms();
        const struct snapshot *snapshot = publication_read(a->setup.publication);
        unsigned answers = answer_batch(a, snapshot, used, &handed);
        rcu_sleep();
        if (answers > 0) {
            send_batch(a, answers);
        }
        if (handed) {
            a->setup.wake(a->setup.user);
        }
    }
    urcu_qsbr_unregister_thread();
    return NULL;
}

static void on_stop_signal(int signal)
{
    (void)signal; /* its only purpose is to end recvmmsg with EINTR */
}

int answerer_start(const struct answerer_setup *setup, struct answerer **out, struct error *err)
{
    const struct sigaction action = { .sa_handler = on_stop_signal };
    struct answerer *a = aligned_alloc(64, sizeof(*a));

    if (a == NULL) {
        return error_set(err, -ENOMEM, "out of memory for an answerer");
    }
    memset(a, 0, sizeof(*a));
    a->setup = *setup;
    atomic_init(&a->stop, false);
    query_thread_init(&a->query, setup->counters);
    a->query.cache = setup->cache;
    init_batches(a);
    (void)sigaction(STOP_SIGNAL, &action, NULL);
    int rc = thread_start(&a->thread, "answerer", STOP_SIGNAL, answer, a);
    if (rc < 0) {
        free(a);
        return error_set(err, rc, "cannot start an answerer: %s", strerror(-rc));
    }
    *out = a;
    return 0;
}

void answerer_remember(struct answerer *answerer, struct laggards *laggards)
{
    atomic_store_explicit(&answerer->query.laggards, laggards, memory_order_release);
}

void answerer_stop(struct answerer *answerer)
{
    const struct timespec moment = { .tv_nsec = STOP_AGAIN_NS };

    if (answerer == NULL) {
        return;
    }
    atomic_store(&answerer->stop, true);
    /* a signal that comes just before recvmmsg is missed by it: signal again */
    (void)pthread_kill(answerer->thread, STOP_SIGNAL);
    while (pthread_tryjoin_np(answerer->thread, NULL) == EBUSY) {
        (void)nanosleep(&moment, NULL);
        (void)pthread_kill(answerer->thread, STOP_SIGNAL);
    }
    free(answerer);
}
