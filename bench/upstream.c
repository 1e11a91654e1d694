/*
 * bench-upstream - the resolver behind the forwarders that are compared
 *
 * usage: bench-upstream [--port N] [--ttl SECONDS] [--count FILE]
 *
 * One thread, one socket on 127.0.0.1, batches as bench-echo has them, so that
 * it is not the limit of any forwarder. Every A question is answered with the
 * address that hashed.h gives the name, every other one with NOERROR and no
 * records; RA is set, EDNS is answered with EDNS. Nothing is looked up, so every
 * name exists. The file, eight bytes in host order, holds how many queries have
 * arrived. It prints one line when it listens.
 */
#include "bench/die.h"
#include "bench/hashed.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    HEADER_BYTES = 12, /* RFC 1035, section 4.1.1 */
    NAME_MAX_BYTES = 255,
    QUERY_MAX = 1232,
    RECORD_BYTES = 16, /* name, type, class, TTL, size, address */
    OPT_BYTES = 11,    /* RFC 6891, section 6.1.2 */
    ANSWER_MAX = QUERY_MAX + RECORD_BYTES + OPT_BYTES,
    BATCH = 64,
    RECEIVE_BUFFER_BYTES = 4 << 20, /* a forwarder's burst must not be lost here */
    TYPE_A = 1,
    MAX_TTL_S = 1000000,
};

struct upstream {
    int fd;
    uint32_t ttl_s;
    _Atomic uint64_t *count; /* in the file */
    struct mmsghdr messages[BATCH];
    struct iovec parts[BATCH];
    struct sockaddr_in peers[BATCH];
    uint8_t buffers[BATCH][ANSWER_MAX];
};

static _Atomic uint64_t uncounted; /* where the count goes when nobody reads it */

static void put32(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 24);
    at[1] = (uint8_t)(value >> 16);
    at[2] = (uint8_t)(value >> 8);
    at[3] = (uint8_t)value;
}

/* The size of the name that begins behind the header, 0 when it is none. */
static size_t name_size(const uint8_t *message, size_t size)
{
    size_t at = HEADER_BYTES;

    while (at < size && message[at] != 0) {
        if (message[at] > 63) {
            return 0;
        }
        at += message[at] + 1U;
    }
    return at < size && at - HEADER_BYTES < NAME_MAX_BYTES ? at + 1 - HEADER_BYTES : 0;
}

/* Turns a query of `size` bytes into its answer; returns the answer's size, 0 for none. */
static size_t answer(const struct upstream *upstream, uint8_t *message, size_t size)
{
    static const uint8_t opt[OPT_BYTES] = { 0, 0, 41, QUERY_MAX >> 8, QUERY_MAX & 0xff };
    size_t name = size > HEADER_BYTES ? name_size(message, size) : 0;
    size_t end = HEADER_BYTES + name + 4;

    if (name == 0 || end > size || message[5] != 1 || (message[2] & 0x80) != 0) {
        return 0;
    }
    const uint8_t *type = message + HEADER_BYTES + name;
    int is_address = type[0] == 0 && type[1] == TYPE_A;
    int has_edns = message[11] != 0;

    message[2] = (uint8_t)(0x80 | (message[2] & 0x01)); /* QR, and RD as it came */
    message[3] = (uint8_t)(0x80 | (message[3] & 0x10)); /* RA, and CD as it came */
    memset(message + 6, 0, 6);
    message[7] = (uint8_t)is_address;
    message[11] = (uint8_t)has_edns;
    if (is_address) {
        static const uint8_t head[6] = { 0xc0, 0x0c, 0, TYPE_A, 0, 1 };

        memcpy(message + end, head, sizeof head);
        put32(message + end + 6, upstream->ttl_s);
        message[end + 10] = 0;
        message[end + 11] = 4;
        put32(message + end + 12, hashed_address(message + HEADER_BYTES, name));
        end += RECORD_BYTES;
    }
    if (has_edns) {
        memcpy(message + end, opt, sizeof opt);
        end += sizeof opt;
    }
    return end;
}

static void reset(struct upstream *upstream, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct msghdr *header = &upstream->messages[i].msg_hdr;

        upstream->parts[i].iov_base = upstream->buffers[i];
        upstream->parts[i].iov_len = QUERY_MAX;
        header->msg_iov = &upstream->parts[i];
        header->msg_iovlen = 1;
        header->msg_name = &upstream->peers[i];
        header->msg_namelen = sizeof upstream->peers[i];
    }
}

/* The answers close up, so that one call sends them all. Returns how many there are. */
static unsigned answer_all(struct upstream *upstream, unsigned count)
{
    unsigned answers = 0;

    for (unsigned i = 0; i < count; i++) {
        size_t size = answer(upstream, upstream->buffers[i], upstream->messages[i].msg_len);

        if (size > 0) {
            upstream->parts[answers].iov_base = upstream->buffers[i];
            upstream->parts[answers].iov_len = size;
            upstream->messages[answers].msg_hdr.msg_name = &upstream->peers[i];
            answers++;
        }
    }
    return answers;
}

static void send_all(struct upstream *upstream, unsigned count)
{
    unsigned done = 0;

    while (done < count) {
        int sent = sendmmsg(upstream->fd, upstream->messages + done, count - done, MSG_DONTWAIT);

        /* The first message of the rest failed: it is dropped, never waited for. */
        done += sent > 0 ? (unsigned)sent : 1U;
    }
}

static void serve(struct upstream *upstream)
{
    reset(upstream, BATCH);
    for (;;) {
        int count = recvmmsg(upstream->fd, upstream->messages, BATCH, MSG_WAITFORONE, NULL);

        if (count < 0 && errno != EINTR && errno != ECONNREFUSED) {
            die("recvmmsg: %s", strerror(errno));
        }
        if (count > 0) {
            atomic_fetch_add_explicit(upstream->count, (uint64_t)count, memory_order_relaxed);
            send_all(upstream, answer_all(upstream, (unsigned)count));
            reset(upstream, (unsigned)count);
        }
    }
}

static _Atomic uint64_t *map_count(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0 || ftruncate(fd, sizeof(uint64_t)) < 0) {
        die("%s: %s", path, strerror(errno));
    }
    void *page = mmap(NULL, sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (page == MAP_FAILED) {
        die("%s: %s", path, strerror(errno));
    }
    close(fd);
    return page;
}

static int open_socket(uint16_t port, uint16_t *out_port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    socklen_t size = sizeof address;
    int room = RECEIVE_BUFFER_BYTES;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) < 0) {
        die("127.0.0.1: %s", strerror(errno));
    }
    /* Above the system's limit where that is permitted, up to it elsewhere. */
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) < 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    }
    *out_port = ntohs(address.sin_port);
    return fd;
}

static unsigned number_parse(const char *text, unsigned long max)
{
    char *end = NULL;
    unsigned long value = strtoul(text, &end, 10);

    if (end == text || *end != '\0' || text[0] == '-' || value > max) {
        die("%s: expected a number up to %lu", text, max);
    }
    return (unsigned)value;
}

int main(int argc, char **argv)
{
    static const struct option known[] = {
        { "port", required_argument, NULL, 'p' },
        { "ttl", required_argument, NULL, 't' },
        { "count", required_argument, NULL, 'c' },
        { NULL, 0, NULL, 0 },
    };
    static struct upstream upstream = { .ttl_s = 86400, .count = &uncounted };
    uint16_t port = 0;
    int option;

    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (option == 'p') {
            port = (uint16_t)number_parse(optarg, 65535);
        } else if (option == 't') {
            upstream.ttl_s = number_parse(optarg, MAX_TTL_S);
        } else if (option == 'c') {
            upstream.count = map_count(optarg);
        } else {
            fputs("usage: bench-upstream [--port N] [--ttl SECONDS] [--count FILE]\n", stderr);
            return 2;
        }
    }
    upstream.fd = open_socket(port, &port);
    printf("ready port=%u\n", port);
    fflush(stdout);
    serve(&upstream);
}
