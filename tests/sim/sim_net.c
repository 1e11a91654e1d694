#include "sim_net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

/* How often a port that is taken a moment later is replaced by another. */
#define TRIES 100

bool sim_net_parse(const char *text, struct sockaddr_storage *out_address)
{
    struct sockaddr_storage address = { 0 };
    struct sockaddr_in *v4 = (struct sockaddr_in *)&address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address;
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
    } else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
    } else {
        return false;
    }
    *out_address = address;
    return true;
}

void sim_net_format(const struct sockaddr_storage *address, char *text)
{
    const void *bytes = &((const struct sockaddr_in *)address)->sin_addr;
    if (address->ss_family == AF_INET6) {
        bytes = &((const struct sockaddr_in6 *)address)->sin6_addr;
    }
    (void)inet_ntop(address->ss_family, bytes, text, INET6_ADDRSTRLEN);
}

socklen_t sim_net_size(const struct sockaddr_storage *address)
{
    return address->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

uint16_t sim_net_port(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET) {
        return ntohs(((const struct sockaddr_in *)address)->sin_port);
    }
    return ntohs(((const struct sockaddr_in6 *)address)->sin6_port);
}

void sim_net_set_port(struct sockaddr_storage *address, uint16_t port)
{
    if (address->ss_family == AF_INET) {
        ((struct sockaddr_in *)address)->sin_port = htons(port);
    } else {
        ((struct sockaddr_in6 *)address)->sin6_port = htons(port);
    }
}

int sim_net_bind(const struct sockaddr_storage *address, int type)
{
    int fd = socket(address->ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    int on = 1;
    if (type == SOCK_STREAM) {
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    }
    if (address->ss_family == AF_INET6) {
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    }
    if (bind(fd, (const struct sockaddr *)address, sim_net_size(address)) != 0) {
        int code = -errno;
        close(fd);
        return code;
    }
    return fd;
}

/*
 * Ask the kernel for a port that nobody holds. SO_REUSEADDR stays off: with
 * it the kernel may hand out the port of a region that is playing dead.
 */
static int free_port(struct sockaddr_storage address, int type)
{
    int fd = socket(address.ss_family, type | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    socklen_t size = sim_net_size(&address);
    int port;
    sim_net_set_port(&address, 0);
    if (bind(fd, (struct sockaddr *)&address, size) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0) {
        port = -errno;
    } else {
        port = sim_net_port(&address);
    }
    close(fd);
    return port;
}

int sim_net_bind_free(struct sockaddr_storage *address, int type)
{
    int fd = -EADDRINUSE;
    for (int i = 0; i < TRIES && fd == -EADDRINUSE; i++) {
        int port = free_port(*address, type);
        if (port < 0) {
            return port;
        }
        sim_net_set_port(address, (uint16_t)port);
        fd = sim_net_bind(address, type);
    }
    return fd;
}

static int bind_given_pair(struct sockaddr_storage *address, bool pick, int *out_udp, int *out_tcp)
{
    int udp = pick ? sim_net_bind_free(address, SOCK_DGRAM) : sim_net_bind(address, SOCK_DGRAM);
    if (udp < 0) {
        return udp;
    }
    int tcp = sim_net_bind(address, SOCK_STREAM);
    if (tcp < 0) {
        close(udp);
        return tcp;
    }
    *out_udp = udp;
    *out_tcp = tcp;
    return 0;
}

int sim_net_bind_pair(struct sockaddr_storage *address, int *out_udp, int *out_tcp)
{
    if (sim_net_port(address) != 0) {
        return bind_given_pair(address, false, out_udp, out_tcp);
    }
    int rc = -EADDRINUSE;
    for (int i = 0; i < TRIES && rc == -EADDRINUSE; i++) {
        rc = bind_given_pair(address, true, out_udp, out_tcp);
    }
    return rc;
}
