#include "policy/checks/icmp_socket.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <linux/filter.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "base/hash.h"

#define CHAINS       256 /* by sequence number */
#define PACKET_BYTES 1280
#define PACKETS_MOST 64 /* read in one turn of the loop */

struct icmp_socket {
    int fd; /* -1: none */
    bool is_raw;
    bool is_listening; /* a raw one: its filter lets our own pass */
    uint16_t id;
    uint16_t sequence; /* of the newest echo */
    uv_poll_t *poll;   /* while echoes are in flight */
    unsigned waiting;
    struct icmp_echo *chains[CHAINS];
};

static struct icmp_socket *sockets[ADDR_FAMILIES];

static bool is_v6(const struct icmp_socket *socket)
{
    return socket == sockets[ADDR_V6];
}

/* ---- filters ---- */

static void attach(int fd, struct sock_filter *code, unsigned short length)
{
    struct sock_fprog program = { .len = length, .filter = code };

    /* without it there is only more to read */
    (void)setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
}

static void let_nothing_pass(int fd)
{
    struct sock_filter code[] = { BPF_STMT(BPF_RET | BPF_K, 0) };

    attach(fd, code, 1);
}

/* clang-format off */
/* The bytes begin with the IPv4 header; loads outside of the packet drop it. */
static void let_v4_pass(int fd, uint16_t id)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0),   /* X: the length of the header */
        BPF_STMT(BPF_LD | BPF_B | BPF_IND, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ICMP_PACKET_V4_REPLY, 0, 2),
        BPF_STMT(BPF_LD | BPF_H | BPF_IND, 4),
        BPF_STMT(BPF_JMP | BPF_JA, 10),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ICMP_PACKET_V4_UNREACHABLE, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ICMP_PACKET_V4_EXCEEDED, 0, 10),
        BPF_STMT(BPF_LD | BPF_B | BPF_IND, 8),    /* the header that an error quotes */
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xf),
        BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 2),
        BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0),
        BPF_STMT(BPF_MISC | BPF_TAX, 0),
        BPF_STMT(BPF_LD | BPF_B | BPF_IND, 8),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ICMP_PACKET_V4_REQUEST, 0, 3),
        BPF_STMT(BPF_LD | BPF_H | BPF_IND, 12),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, id, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };

    attach(fd, code, sizeof(code) / sizeof(code[0]));
}

/* The bytes begin with the ICMPv6 header. */
static void let_v6_pass(int fd, uint16_t id)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ICMP_PACKET_V6_REPLY, 0, 2),
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 4),
        BPF_STMT(BPF_JMP | BPF_JA, 5),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ICMP_PACKET_V6_UNREACHABLE, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ICMP_PACKET_V6_EXCEEDED, 0, 5),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 8 + 40), /* behind the header that an error quotes */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ICMP_PACKET_V6_REQUEST, 0, 3),
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 8 + 40 + 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, id, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };

    attach(fd, code, sizeof(code) / sizeof(code[0]));
}
/* clang-format on */

/* Before the first echo: from now on our own may pass. */
static void listen_to_ours(struct icmp_socket *socket)
{
    if (socket->is_listening || !socket->is_raw) {
        return;
    }
    socket->is_listening = true;
    if (is_v6(socket)) {
        let_v6_pass(socket->fd, socket->id);
    } else {
        let_v4_pass(socket->fd, socket->id);
    }
}

/* ---- opening ---- */

static int open_raw(uint8_t family)
{
    int fd = family == ADDR_V4
                 ? socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMP)
                 : socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMPV6);

    if (fd >= 0) {
        let_nothing_pass(fd);
    }
    return fd;
}

static int open_ping(uint8_t family)
{
    int on = 1;
    int fd = family == ADDR_V4
                 ? socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMP)
                 : socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMPV6);

    if (fd >= 0 && family == ADDR_V4) {
        (void)setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof(on));
    } else if (fd >= 0) {
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof(on));
    }
    return fd;
}

/* Keep `fd`; it is closed when memory is out. */
static void keep(uint8_t family, int fd, bool is_raw)
{
    struct icmp_socket *kept = fd < 0 ? NULL : calloc(1, sizeof(*kept));

    if (kept == NULL) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return;
    }
    kept->fd = fd;
    kept->is_raw = is_raw;
    hash_random(&kept->id, sizeof(kept->id));
    hash_random(&kept->sequence, sizeof(kept->sequence));
    sockets[family] = kept;
}

void icmp_socket_open(void)
{
    for (uint8_t family = 0; family < ADDR_FAMILIES; family++) {
        if (sockets[family] == NULL) {
            keep(family, open_raw(family), true);
        }
    }
}

void icmp_socket_close(void)
{
    for (uint8_t family = 0; family < ADDR_FAMILIES; family++) {
        if (sockets[family] != NULL) {
            REQUIRE(sockets[family]->waiting == 0);
            (void)close(sockets[family]->fd);
            free(sockets[family]);
            sockets[family] = NULL;
        }
    }
}

int icmp_socket_ready(uint8_t family, struct error *err)
{
    if (sockets[family] != NULL) {
        return 0;
    }
    /* rights may have been given since the start */
    int fd = open_raw(family);
    bool is_raw = fd >= 0;
    if (!is_raw) {
        fd = open_ping(family);
    }
    int code = -errno;
    keep(family, fd, is_raw);
    if (sockets[family] != NULL) {
        return 0;
    }
    code = fd >= 0 ? -ENOMEM : code;
    if (code != -EACCES && code != -EPERM) {
        return error_set(err, code, "no socket for ICMP: %s", strerror(-code));
    }
    (void)error_set(err, code, "no right to send ICMP: neither a raw nor a ping socket");
    error_hint(err, "start as root or with CAP_NET_RAW, or let the user's group in: "
                    "sysctl net.ipv4.ping_group_range='0 2147483647'");
    return code;
}

/* ---- what is in flight ---- */

static void on_closed(uv_handle_t *handle)
{
    free(handle);
}

static void stop_watching(struct icmp_socket *socket)
{
    if (socket->poll != NULL) {
        uv_close((uv_handle_t *)socket->poll, on_closed);
        socket->poll = NULL;
    }
}

/* Take it out of its chain. */
static void forget(struct icmp_socket *socket, struct icmp_echo *echo)
{
    struct icmp_echo **at = &socket->chains[echo->sequence % CHAINS];

    while (*at != echo) {
        at = &(*at)->next;
    }
    *at = echo->next;
    echo->waiting = false;
    if (--socket->waiting == 0) {
        stop_watching(socket);
    }
}

static void remember(struct icmp_socket *socket, struct icmp_echo *echo)
{
    struct icmp_echo **chain = &socket->chains[echo->sequence % CHAINS];

    echo->next = *chain;
    *chain = echo;
    echo->waiting = true;
    socket->waiting++;
}

/* The echo that a packet from `from` is about, or NULL. */
static struct icmp_echo *find(const struct icmp_socket *socket, const struct icmp_packet *packet,
                              const struct addr *from)
{
    struct icmp_echo *echo = socket->chains[packet->sequence % CHAINS];

    if (socket->is_raw && packet->id != socket->id) {
        return NULL;
    }
    for (; echo != NULL; echo = echo->next) {
        if (!icmp_packet_is_about(is_v6(socket), packet, echo->sequence, echo->cookie)) {
            continue;
        }
        if (packet->meaning == ICMP_PACKET_REPLY) {
            if (addr_same_host(from, &echo->target)) {
                return echo;
            }
        } else if (memcmp(packet->target, echo->target.bytes, addr_size_bytes(&echo->target)) ==
                   0) {
            return echo;
        }
    }
    return NULL;
}

static void take(struct icmp_socket *socket, const struct icmp_packet *packet,
                 const struct addr *from)
{
    if (packet->meaning == ICMP_PACKET_FOREIGN) {
        return;
    }
    struct icmp_echo *echo = find(socket, packet, from);
    if (echo == NULL) {
        return;
    }
    const char *error = packet->meaning == ICMP_PACKET_REPLY
                            ? NULL
                            : icmp_packet_error_words(is_v6(socket), packet->type, packet->code);
    forget(socket, echo);
    echo->ended(echo, error);
}

/* ---- reading ---- */

static void read_packets(struct icmp_socket *socket)
{
    uint8_t bytes[PACKET_BYTES];
    struct sockaddr_storage from;
    struct icmp_packet packet;
    struct addr sender;

    for (unsigned i = 0; i < PACKETS_MOST; i++) {
        socklen_t from_size = sizeof(from);
        ssize_t size = recvfrom(socket->fd, bytes, sizeof(bytes), MSG_DONTWAIT,
                                (struct sockaddr *)&from, &from_size);
        if (size < 0) {
            return; /* nothing, or an error that the queue tells more about */
        }
        icmp_packet_read(is_v6(socket), socket->is_raw && !is_v6(socket), bytes, (size_t)size,
                         &packet);
        if (addr_from_sockaddr((const struct sockaddr *)&from, &sender)) {
            take(socket, &packet, &sender);
        }
    }
}

/* What a packet of the error queue says, or NULL. */
static const struct sock_extended_err *find_error(struct msghdr *message)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
        if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) ||
            (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR)) {
            const void *data = CMSG_DATA(c);
            return data;
        }
    }
    return NULL;
}

/* A ping socket's errors; it gives back the requests that they are about. */
static void read_errors(struct icmp_socket *socket)
{
    uint8_t bytes[PACKET_BYTES];
    _Alignas(struct cmsghdr) char control[512];
    struct sockaddr_storage to;
    struct icmp_packet packet;
    struct addr target;

    for (unsigned i = 0; i < PACKETS_MOST; i++) {
        struct iovec part = { .iov_base = bytes, .iov_len = sizeof(bytes) };
        struct msghdr message = {
            .msg_name = &to, /* where the request went */
            .msg_namelen = sizeof(to),
            .msg_iov = &part,
            .msg_iovlen = 1,
            .msg_control = control,
            .msg_controllen = sizeof(control),
        };
        ssize_t size = recvmsg(socket->fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT);
        if (size < 0) {
            return;
        }
        const struct sock_extended_err *error = find_error(&message);
        if (error == NULL ||
            (error->ee_origin != SO_EE_ORIGIN_ICMP && error->ee_origin != SO_EE_ORIGIN_ICMP6)) {
            continue;
        }
        icmp_packet_read_quoted(bytes, (size_t)size, error->ee_type, error->ee_code, &packet);
        if (icmp_packet_error_words(is_v6(socket), error->ee_type, error->ee_code) != NULL &&
            addr_from_sockaddr((const struct sockaddr *)&to, &target)) {
            packet.target = target.bytes;
            take(socket, &packet, NULL);
        }
    }
}

static void on_event(uv_poll_t *poll, int status, int events)
{
    struct icmp_socket *socket = poll->data;

    (void)events;
    if (!socket->is_raw) {
        read_errors(socket);
    }
    read_packets(socket);
    /* after an error libuv has stopped the handle */
    if (status < 0 && socket->poll == poll) {
        (void)uv_poll_start(poll, UV_READABLE, on_event);
    }
}

/* ---- sending ---- */

static int watch(uv_loop_t *loop, struct icmp_socket *socket)
{
    if (socket->poll != NULL) {
        return 0;
    }
    uv_poll_t *poll = malloc(sizeof(*poll));
    if (poll == NULL) {
        return UV_ENOMEM;
    }
    int rc = uv_poll_init(loop, poll, socket->fd);
    if (rc < 0) {
        free(poll);
        return rc;
    }
    poll->data = socket;
    socket->poll = poll;
    rc = uv_poll_start(poll, UV_READABLE, on_event);
    if (rc < 0) {
        stop_watching(socket);
    }
    return rc;
}

static int send_packet(struct icmp_socket *socket, const struct icmp_echo *echo)
{
    uint8_t packet[ICMP_PACKET_BYTES];
    struct sockaddr_storage address;
    socklen_t size = addr_to_sockaddr(&echo->target, &address);

    icmp_packet_build(is_v6(socket), socket->id, echo->sequence, echo->cookie, packet);
    for (unsigned i = 0;; i++) {
        if (sendto(socket->fd, packet, sizeof(packet), MSG_DONTWAIT | MSG_NOSIGNAL,
                   (struct sockaddr *)&address, size) >= 0) {
            return 0;
        }
        /* the first may be what an earlier echo came to: errors wait on the socket */
        if (i > 0 || (socket->is_raw && errno != EINTR)) {
            return -errno;
        }
    }
}

int icmp_echo_send(uv_loop_t *loop, struct icmp_echo *echo, const struct addr *target)
{
    struct icmp_socket *socket = sockets[target->family];

    REQUIRE(socket != NULL && !echo->waiting);
    echo->target = *target;
    echo->target.port = 0; /* raw(7): it would be a protocol */
    echo->sequence = ++socket->sequence;
    hash_random(echo->cookie, sizeof(echo->cookie));
    listen_to_ours(socket);
    int rc = watch(loop, socket);
    if (rc < 0) {
        return rc;
    }
    rc = send_packet(socket, echo);
    if (rc == 0) {
        remember(socket, echo);
    } else if (socket->waiting == 0) {
        stop_watching(socket);
    }
    return rc;
}

void icmp_echo_cancel(struct icmp_echo *echo)
{
    if (echo->waiting) {
        forget(sockets[echo->target.family], echo);
    }
}
