/*
 * bench-echo - the floor: what a plain UDP socket costs without a DNS server
 *
 * One thread, one socket: a blocking recvmmsg takes what is there, every query
 * becomes its own answer in place (QR and AA set, one canned A record behind
 * the question), one sendmmsg sends them back. No lookup, no check of the
 * question. Its answers have the size of a real server's answer to an A
 * question; it is meant for queries that end with their question (no EDNS).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
    HEADER_BYTES = 12,
    QUERY_MAX = 512,
    BATCH_MAX = 1024,
};

/* c00c: the name at offset 12; A, IN, TTL 30, 192.0.2.1 */
static const uint8_t canned[16] = { 0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 30, 0, 4, 192, 0, 2, 1 };

struct batch {
    struct mmsghdr messages[BATCH_MAX];
    struct iovec parts[BATCH_MAX];
    struct sockaddr_in peers[BATCH_MAX];
    uint8_t buffers[BATCH_MAX][QUERY_MAX + sizeof canned];
};

static void batch_reset(struct batch *batch, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        batch->parts[i].iov_base = batch->buffers[i];
        batch->parts[i].iov_len = QUERY_MAX;
        batch->messages[i].msg_hdr.msg_iov = &batch->parts[i];
        batch->messages[i].msg_hdr.msg_iovlen = 1;
        batch->messages[i].msg_hdr.msg_name = &batch->peers[i];
        batch->messages[i].msg_hdr.msg_namelen = sizeof batch->peers[i];
    }
}

static void batch_answer(struct batch *batch, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        uint8_t *message = batch->buffers[i];
        size_t size = batch->messages[i].msg_len;

        if (size >= HEADER_BYTES) {
            message[2] |= 0x84; /* QR, AA */
            message[7] = 1;     /* ANCOUNT */
            memcpy(message + size, canned, sizeof canned);
            size += sizeof canned;
        }
        batch->parts[i].iov_len = size;
    }
}

static void batch_send(struct batch *batch, int fd, unsigned count)
{
    unsigned done = 0;

    while (done < count) {
        int sent = sendmmsg(fd, batch->messages + done, count - done, MSG_DONTWAIT);

        /* The first message of the rest failed: it is dropped, never waited for. */
        done += sent > 0 ? (unsigned)sent : 1U;
    }
}

static int serve(int fd, unsigned batch_size)
{
    static struct batch batch;

    batch_reset(&batch, batch_size);
    for (;;) {
        int count = recvmmsg(fd, batch.messages, batch_size, MSG_WAITFORONE, NULL);

        if (count < 0 && errno != EINTR) {
            perror("bench-echo: recvmmsg");
            return 1;
        }
        if (count <= 0) {
            continue;
        }
        batch_answer(&batch, (unsigned)count);
        batch_send(&batch, fd, (unsigned)count);
        batch_reset(&batch, (unsigned)count);
    }
}

static int open_socket(uint16_t port, uint16_t *out_port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) < 0) {
        return -1;
    }
    *out_port = ntohs(address.sin_port);
    return fd;
}

/* Returns the number, or exits with the usage. */
static unsigned number_parse(const char *text, unsigned long min, unsigned long max)
{
    char *end = NULL;
    unsigned long value = strtoul(text, &end, 10);

    if (end == text || *end != '\0' || value < min || value > max) {
        fprintf(stderr, "bench-echo: %s: expected a number from %lu to %lu\n", text, min, max);
        exit(2);
    }
    return (unsigned)value;
}

int main(int argc, char **argv)
{
    static const struct option known[] = {
        { "port", required_argument, NULL, 'p' },
        { "batch", required_argument, NULL, 'b' },
        { NULL, 0, NULL, 0 },
    };
    uint16_t port = 0;
    unsigned batch_size = 32;
    int option;

    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (option == 'p') {
            port = (uint16_t)number_parse(optarg, 0, 65535);
        } else if (option == 'b') {
            batch_size = number_parse(optarg, 1, BATCH_MAX);
        } else {
            fputs("usage: bench-echo [--port N] [--batch N]\n", stderr);
            return 2;
        }
    }
    int fd = open_socket(port, &port);

    if (fd < 0) {
        perror("bench-echo: 127.0.0.1");
        return 1;
    }
    printf("ready port=%u\n", port);
    fflush(stdout);
    return serve(fd, batch_size);
}
