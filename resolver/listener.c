#include "resolver/listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG        256
#define RECEIVE_BUFFER (1024 * 1024) /* a burst while a thread is off its core */
#define ANY_PORT_TRIES 32

static int set_option(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof(value)) == 0 ? 0 : -errno;
}

static int open_socket(const struct addr *address, int type)
{
    int family = address->family == ADDR_V4 ? AF_INET : AF_INET6;
    int fd = socket(family, type | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        return -errno;
    }
    if (family == AF_INET6) {
        (void)set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    }
    return fd;
}

static int bind_socket(int fd, const struct addr *address)
{
    struct sockaddr_storage sa;
    socklen_t length = addr_to_sockaddr(address, &sa);

    return bind(fd, (struct sockaddr *)&sa, length) == 0 ? 0 : -errno;
}

/* The port a socket was given, when any would do. */
static void read_port(int fd, struct addr *address)
{
    struct sockaddr_storage sa;
    socklen_t length = sizeof(sa);
    struct addr bound;

    if (address->port == 0 && getsockname(fd, (struct sockaddr *)&sa, &length) == 0 &&
        addr_from_sockaddr((struct sockaddr *)&sa, &bound)) {
        address->port = bound.port;
    }
}

/*
 * SO_REUSEPORT would let another program join silently, so it is only set
 * where several answerers share the address, and after a first socket without
 * it has shown that the address is free.
 */
static int open_udp(struct listener *l, bool shared, int *out)
{
    int fd = open_socket(&l->address, SOCK_DGRAM);

    if (fd < 0) {
        return fd;
    }
    int rc = shared ? set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1) : 0;
    if (rc == 0) {
        rc = bind_socket(fd, &l->address);
    }
    if (rc < 0) {
        close(fd);
        return rc;
    }
    bool v4 = l->address.family == ADDR_V4;
    int level = v4 ? IPPROTO_IP : IPPROTO_IPV6;
    (void)set_option(fd, SOL_SOCKET, SO_RCVBUF, RECEIVE_BUFFER);
    /* never fragment by path MTU tricks: RFC 9715 */
    (void)set_option(fd, level, v4 ? IP_MTU_DISCOVER : IPV6_MTU_DISCOVER,
                     v4 ? IP_PMTUDISC_OMIT : IPV6_PMTUDISC_OMIT);
    if (l->is_wildcard) {
        rc = set_option(fd, level, v4 ? IP_PKTINFO : IPV6_RECVPKTINFO, 1);
        if (rc < 0) {
            close(fd);
            return rc;
        }
    }
    read_port(fd, &l->address);
    *out = fd;
    return 0;
}

static int open_tcp(struct listener *l)
{
    int fd = open_socket(&l->address, SOCK_STREAM | SOCK_NONBLOCK);

    if (fd < 0) {
        return fd;
    }
    (void)set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    int rc = bind_socket(fd, &l->address);
    if (rc == 0 && listen(fd, BACKLOG) != 0) {
        rc = -errno;
    }
    if (rc < 0) {
        close(fd);
        return rc;
    }
    l->tcp = fd;
    return 0;
}

static int probe_free(struct listener *l)
{
    int fd = open_socket(&l->address, SOCK_DGRAM);

    if (fd < 0) {
        return fd;
    }
    int rc = bind_socket(fd, &l->address);
    close(fd);
    return rc;
}

static int open_all(struct listener *l, size_t udp_count)
{
    bool shared = udp_count > 1;
    int rc = shared && l->address.port != 0 ? probe_free(l) : 0;

    while (rc == 0 && l->udp_count < udp_count) {
        rc = open_udp(l, shared, &l->udp[l->udp_count]);
        l->udp_count += rc == 0;
    }
    return rc == 0 ? open_tcp(l) : rc;
}

static int explain(const struct model_listener *model, int rc, struct error *err)
{
    char text[ADDR_TEXT_MAX];

    addr_format_port(&model->address, text, sizeof(text));
    error_set_at(err, rc, model->place.path, model->place.line, model->place.col,
                 "cannot listen on %s: %s", text, strerror(-rc));
    if (rc == -EADDRINUSE) {
        error_hint(err, "another program has this port: find it with ss -lunpt 'sport = :%u'",
                   model->address.port);
    } else if (rc == -EACCES) {
        error_hint(err, "ports below 1024 need root or CAP_NET_BIND_SERVICE");
    } else if (rc == -EADDRNOTAVAIL) {
        error_hint(err, "no interface of this machine has this address");
    } else if (rc == -EMFILE) {
        error_hint(err, "raise the limit of open files: ulimit -n, LimitNOFILE of systemd");
    }
    return rc;
}

int listener_open(const struct model_listener *model, size_t udp_count, struct listener *out,
                  struct error *err)
{
    int rc = 0;

    if (udp_count > LISTENER_THREADS_MAX) {
        udp_count = LISTENER_THREADS_MAX;
    }
    for (unsigned try = 0; try < ANY_PORT_TRIES; try++) {
        struct listener l = { .address = model->address, .asked = model->address, .tcp = -1 };
        l.is_loopback = addr_is_loopback(&l.address);
        l.is_wildcard = addr_is_any(&l.address);
        rc = open_all(&l, udp_count);
        if (rc == 0) {
            *out = l;
            return 0;
        }
        listener_close(&l);
        if (model->address.port != 0 || rc != -EADDRINUSE) {
            break;
        }
        /* any port would do, but this one is taken over TCP: try another */
    }
    return explain(model, rc, err);
}

void listener_close(struct listener *listener)
{
    for (size_t i = 0; i < listener->udp_count; i++) {
        close(listener->udp[i]);
    }
    listener->udp_count = 0;
    if (listener->tcp >= 0) {
        close(listener->tcp);
    }
    listener->tcp = -1;
}
