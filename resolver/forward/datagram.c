#include "resolver/forward/datagram.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_AT_ONCE 64
#define READS_AT_ONCE  8 /* of one socket: a flood on it must not hold up the others */
#define SLOTS_LEAST    64
#define NO_SLOT        UINT32_MAX

/*
 * What the poll set knows a socket by. Closing the socket takes it out of the
 * set without a further system call, unless somebody else holds it still, say
 * a child forked just now: then the generation tells that it is no longer ours.
 */
struct slot {
    struct datagram *datagram; /* NULL: free */
    uint32_t generation;
    uint32_t next_free;
};

struct datagram_set {
    uv_poll_t poll;
    int fd;
    struct slot *slots;
    uint32_t slot_count;
    uint32_t first_free;
    uint8_t *buffer;
    size_t size;
    const struct datagram_events *events;
    void (*closed)(void *user);
    void *user;
};

/* ---- slots ---- */

static int grow(struct datagram_set *set)
{
    uint32_t count = set->slot_count == 0 ? SLOTS_LEAST : 2 * set->slot_count;
    struct slot *slots = realloc(set->slots, count * sizeof(*slots));

    if (slots == NULL) {
        return -ENOMEM;
    }
    for (uint32_t i = set->slot_count; i < count; i++) {
        slots[i] = (struct slot){ .next_free = i + 1 < count ? i + 1 : NO_SLOT };
    }
    set->first_free = set->slot_count;
    set->slot_count = count;
    set->slots = slots;
    return 0;
}

static int take_slot(struct datagram_set *set, struct datagram *datagram)
{
    if (set->first_free == NO_SLOT) {
        int code = grow(set);
        if (code < 0) {
            return code;
        }
    }
    datagram->slot = set->first_free;
    struct slot *slot = &set->slots[datagram->slot];
    set->first_free = slot->next_free;
    slot->datagram = datagram;
    return 0;
}

static void give_slot(struct datagram_set *set, uint32_t index)
{
    struct slot *slot = &set->slots[index];

    slot->datagram = NULL;
    slot->generation++;
    slot->next_free = set->first_free;
    set->first_free = index;
}

/* A slot and its generation, as the poll set carries it. */
static uint64_t mark_of(const struct datagram_set *set, uint32_t index)
{
    return (uint64_t)set->slots[index].generation << 32 | index;
}

static struct datagram *find_marked(const struct datagram_set *set, uint64_t mark)
{
    uint32_t index = (uint32_t)mark;

    return mark == mark_of(set, index) ? set->slots[index].datagram : NULL;
}

/* ---- receiving ---- */

/* Read what is there; an event may close the socket, and even open it anew. */
static void drain(struct datagram *datagram)
{
    struct datagram_set *set = datagram->set;

    for (unsigned i = 0; i < READS_AT_ONCE && datagram->fd >= 0; i++) {
        ssize_t got = recv(datagram->fd, set->buffer, set->size, MSG_DONTWAIT);
        if (got >= 0) {
            set->events->arrived(datagram, set->buffer, (size_t)got);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return;
        } else if (errno != EINTR) {
            set->events->failed(datagram, -errno);
        }
    }
}

/* What is not read in this turn is reported again in the next. */
static void on_events(uv_poll_t *poll, int status, int uv_events)
{
    struct datagram_set *set = poll->data;
    struct epoll_event events[EVENTS_AT_ONCE];

    (void)status;
    (void)uv_events;
    int count = epoll_wait(set->fd, events, EVENTS_AT_ONCE, 0);
    for (int i = 0; i < count; i++) {
        struct datagram *datagram = find_marked(set, events[i].data.u64);
        if (datagram != NULL) { /* else an event of this turn has closed it */
            drain(datagram);
        }
    }
}

/* ---- the set ---- */

struct datagram_set *datagram_set_new(uv_loop_t *loop, uint8_t *buffer, size_t size,
                                      const struct datagram_events *events)
{
    struct datagram_set *set = calloc(1, sizeof(*set));

    if (set == NULL) {
        return NULL;
    }
    set->buffer = buffer;
    set->size = size;
    set->events = events;
    set->first_free = NO_SLOT;
    set->fd = epoll_create1(EPOLL_CLOEXEC);
    if (set->fd < 0 || uv_poll_init(loop, &set->poll, set->fd) < 0) {
        if (set->fd >= 0) {
            (void)close(set->fd);
        }
        free(set);
        return NULL;
    }
    set->poll.data = set;
    (void)uv_poll_start(&set->poll, UV_READABLE, on_events); /* of a fresh handle: cannot fail */
    uv_unref((uv_handle_t *)&set->poll);
    return set;
}

static void on_closed(uv_handle_t *handle)
{
    struct datagram_set *set = handle->data;
    void (*closed)(void *) = set->closed;
    void *user = set->user;

    (void)close(set->fd);
    free(set->slots);
    free(set);
    if (closed != NULL) {
        closed(user);
    }
}

void datagram_set_close(struct datagram_set *set, void (*closed)(void *user), void *user)
{
    set->closed = closed;
    set->user = user;
    uv_close((uv_handle_t *)&set->poll, on_closed);
}

/* ---- one socket ---- */

static int set_addresses(int fd, const struct addr *peer, const struct addr *source)
{
    struct sockaddr_storage address;

    if (source != NULL) {
        socklen_t size = addr_to_sockaddr(source, &address);
        if (bind(fd, (struct sockaddr *)&address, size) != 0) {
            return -errno;
        }
    }
    socklen_t size = addr_to_sockaddr(peer, &address);
    return connect(fd, (struct sockaddr *)&address, size) != 0 ? -errno : 0;
}

/* Have the set watch the open socket. */
static int watch(struct datagram *datagram)
{
    struct datagram_set *set = datagram->set;
    int code = take_slot(set, datagram);

    if (code < 0) {
        return code;
    }
    struct epoll_event event = { .events = EPOLLIN };
    event.data.u64 = mark_of(set, datagram->slot);
    if (epoll_ctl(set->fd, EPOLL_CTL_ADD, datagram->fd, &event) != 0) {
        code = -errno;
        give_slot(set, datagram->slot);
    }
    return code;
}

int datagram_open(struct datagram *datagram, struct datagram_set *set, const struct addr *peer,
                  const struct addr *source)
{
    int family = peer->family == ADDR_V6 ? AF_INET6 : AF_INET;

    datagram->set = set;
    datagram->fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (datagram->fd < 0) {
        return -errno;
    }
    int code = set_addresses(datagram->fd, peer, source);
    if (code == 0) {
        code = watch(datagram);
    }
    if (code < 0) {
        (void)close(datagram->fd);
        datagram->fd = -1;
    }
    return code;
}

int datagram_send(const struct datagram *datagram, const uint8_t *message, size_t length)
{
    ssize_t sent;

    do {
        sent = send(datagram->fd, message, length, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : 0;
}

void datagram_close(struct datagram *datagram)
{
    if (datagram->fd < 0) {
        return;
    }
    give_slot(datagram->set, datagram->slot);
    (void)close(datagram->fd);
    datagram->fd = -1;
}
