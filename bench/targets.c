/*
 * bench-targets - ten thousand targets of checks in one process
 *
 * One socket accepts for every address of the loopback device, 127.0.0.0/8, so
 * each address is a target of its own. A connection is kept until the other
 * side ends it; what is asked as HTTP is answered with 200 and "ok" first.
 * Prints its port; ends with its standard input.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/die.h"

#define EVENTS  256
#define BACKLOG 8192

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

static int open_listener(void)
{
    struct sockaddr_in any = { .sin_family = AF_INET };
    socklen_t size = sizeof(any);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    /* first to the device: nothing from elsewhere ever gets here */
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", sizeof("lo")) != 0 ||
        bind(fd, (struct sockaddr *)&any, sizeof(any)) != 0 || listen(fd, BACKLOG) != 0 ||
        getsockname(fd, (struct sockaddr *)&any, &size) != 0) {
        die("a listener on the loopback device: %s", strerror(errno));
    }
    printf("%u\n", (unsigned)ntohs(any.sin_port));
    (void)fflush(stdout);
    return fd;
}

static void watch(int epoll, int fd)
{
    struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
        die("epoll_ctl: %s", strerror(errno));
    }
}

static void take_connections(int epoll, int listener)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == ECONNABORTED || errno == EINTR)) {
            continue;
        }
        if (fd < 0) {
            if (errno != EAGAIN) {
                die("accept: %s", strerror(errno));
            }
            return;
        }
        watch(epoll, fd);
    }
}

static void serve(int fd)
{
    char request[2048];
    ssize_t size = read(fd, request, sizeof(request));

    if (size > 0) {
        (void)!write(fd, answer, sizeof(answer) - 1);
        return; /* the other side closes */
    }
    if (size == 0 || errno != EAGAIN) {
        (void)close(fd); /* which takes it out of the epoll set */
    }
}

int main(void)
{
    struct epoll_event events[EVENTS];
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    int listener = open_listener();

    watch(epoll, listener);
    watch(epoll, STDIN_FILENO);
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == STDIN_FILENO) {
                return 0;
            }
            if (events[i].data.fd == listener) {
                take_connections(epoll, listener);
            } else {
                serve(events[i].data.fd);
            }
        }
    }
}
