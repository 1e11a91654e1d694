/*
 * bench-ask - one name, or ever new names, asked of a server at a steady pace
 *
 * usage: bench-ask ADDRESS PORT NAME EVERY_US SECONDS [fresh]
 *
 * An open loop over UDP: a question every EVERY_US microseconds, whether the
 * last one was answered or not, and none is ever repeated. With `fresh` each
 * question has a label of its own before NAME, so that no cache knows it.
 * Every question ends as one line on standard output, written as soon as it is
 * known:
 *
 *     SENT_NS DONE_NS RESULT ADDRESS
 *
 * in nanoseconds of CLOCK_MONOTONIC. RESULT is the rcode as a number, `lost`
 * after 5 s without an answer, or `wrong` for an answer to something else;
 * ADDRESS is the first A record, `-` when there is none. It ends after SECONDS,
 * when all is answered or lost, or at once on SIGTERM: then with `open` lines
 * for the questions that were neither.
 *
 * One thread, no library.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench/die.h"
#include "bench/number.h"

enum {
    HEADER_BYTES = 12, /* RFC 1035, section 4.1.1 */
    NAME_BYTES = 255,
    QUERY_BYTES = HEADER_BYTES + NAME_BYTES + 4,
    ANSWER_BYTES = 4096,
    IDS = 65536,
    TYPE_A = 1,
    CLASS_IN = 1,
};

static const uint64_t SECOND_NS = 1000000000;
static const uint64_t LOST_NS = 5 * 1000000000ull;

struct asked {
    uint64_t sent_ns; /* 0: nothing open under this id */
    uint16_t length;
    uint8_t question[NAME_BYTES + 4];
};

struct run {
    int fd;
    const char *name;
    bool fresh;
    uint64_t every_ns;
    uint64_t end_ns;
    uint64_t count;  /* questions sent; the id is its low 16 bits */
    uint64_t oldest; /* the first question that may be open */
    struct asked asked[IDS];
};

static volatile sig_atomic_t stopped;

static void on_stop(int signal)
{
    (void)signal;
    stopped = 1;
}

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

/* Put a name in wire form; returns its size in bytes. */
static size_t put_name(uint8_t *out, const char *name)
{
    size_t length = 0;

    while (*name != '\0') {
        size_t label = strcspn(name, ".");
        if (label == 0 || label > 63 || length + label + 2 > NAME_BYTES) {
            die("not a name: %s", name);
        }
        out[length] = (uint8_t)label;
        memcpy(out + length + 1, name, label);
        length += label + 1;
        name += label;
        name += *name == '.';
    }
    out[length] = 0;
    return length + 1;
}

static size_t put_question(uint8_t *out, const struct run *run)
{
    char name[NAME_BYTES + 32];
    size_t length;

    if (run->fresh) {
        (void)snprintf(name, sizeof(name), "q%" PRIu64 "x%lx.%s", run->count,
                       (unsigned long)getpid(), run->name);
        length = put_name(out, name);
    } else {
        length = put_name(out, run->name);
    }
    const uint8_t tail[4] = { 0, TYPE_A, 0, CLASS_IN };
    memcpy(out + length, tail, sizeof(tail));
    return length + sizeof(tail);
}

static void tell(const struct asked *asked, uint64_t done_ns, const char *result,
                 const char *address)
{
    printf("%" PRIu64 " %" PRIu64 " %s %s\n", asked->sent_ns, done_ns, result, address);
}

static void ask(struct run *run)
{
    uint16_t id = (uint16_t)run->count;
    struct asked *asked = &run->asked[id];
    uint8_t query[QUERY_BYTES] = { (uint8_t)(id >> 8), (uint8_t)id, 1 /* RD */, 0, 0, 1 };

    asked->length = (uint16_t)put_question(asked->question, run);
    memcpy(query + HEADER_BYTES, asked->question, asked->length);
    asked->sent_ns = now_ns();
    run->count++;
    /* A refused port shows as an error here or at recv: no answer either way. */
    (void)!send(run->fd, query, HEADER_BYTES + (size_t)asked->length, MSG_DONTWAIT);
}

/* Past a name that is compressed or not; NULL when it runs out of the message. */
static const uint8_t *skip_name(const uint8_t *at, const uint8_t *end)
{
    while (at < end) {
        if (*at >= 0xC0) {
            return end - at > 2 ? at + 2 : NULL;
        }
        if (*at == 0) {
            return at + 1;
        }
        at += *at + 1;
    }
    return NULL;
}

/* The first A record behind the question, as text; "-" when there is none. */
static void first_address(const uint8_t *at, const uint8_t *end, unsigned records, char *out)
{
    (void)strcpy(out, "-");
    while (records-- > 0) {
        at = skip_name(at, end);
        if (at == NULL || end - at < 10) {
            return;
        }
        unsigned type = (unsigned)at[0] << 8 | at[1];
        unsigned size = (unsigned)at[8] << 8 | at[9];
        at += 10;
        if ((size_t)(end - at) < size) {
            return;
        }
        if (type == TYPE_A && size == 4) {
            (void)inet_ntop(AF_INET, at, out, INET_ADDRSTRLEN);
            return;
        }
        at += size;
    }
}

static void read_answer(struct run *run, const uint8_t *answer, size_t length)
{
    uint64_t done_ns = now_ns();
    struct asked *asked = &run->asked[length < 2 ? 0 : (unsigned)answer[0] << 8 | answer[1]];
    char address[INET_ADDRSTRLEN], result[16] = "wrong";

    if (length < HEADER_BYTES || asked->sent_ns == 0) {
        return; /* too late, and told as lost */
    }
    if ((answer[2] & 0x80) == 0 || length < HEADER_BYTES + (size_t)asked->length ||
        memcmp(answer + HEADER_BYTES, asked->question, asked->length) != 0) {
        tell(asked, done_ns, result, "-");
    } else {
        first_address(answer + HEADER_BYTES + asked->length, answer + length,
                      (unsigned)answer[6] << 8 | answer[7], address);
        (void)snprintf(result, sizeof(result), "%u", answer[3] & 0x0Fu);
        tell(asked, done_ns, result, address);
    }
    asked->sent_ns = 0;
}

static void read_answers(struct run *run)
{
    uint8_t answer[ANSWER_BYTES];

    for (;;) {
        ssize_t length = recv(run->fd, answer, sizeof(answer), MSG_DONTWAIT);
        if (length < 0 && errno != ECONNREFUSED) {
            break;
        }
        if (length > 0) {
            read_answer(run, answer, (size_t)length);
        }
    }
    (void)fflush(stdout);
}

/* Tell of those that were open for too long, or of all. True: none is left. */
static bool give_up(struct run *run, bool all)
{
    uint64_t now = now_ns();

    while (run->oldest < run->count) {
        struct asked *asked = &run->asked[(uint16_t)run->oldest];
        if (asked->sent_ns != 0) {
            if (!all && now - asked->sent_ns < LOST_NS) {
                return false;
            }
            tell(asked, now, all ? "open" : "lost", "-");
            asked->sent_ns = 0;
        }
        run->oldest++;
    }
    return true;
}

static void go_on(struct run *run)
{
    uint64_t next_ns = now_ns();

    while (!stopped) {
        uint64_t now = now_ns();
        if (now >= run->end_ns && give_up(run, false)) {
            break;
        }
        if (now < run->end_ns && now >= next_ns) {
            ask(run);
            /* what was missed while something else had the core is not caught up with */
            next_ns += run->every_ns * (1 + (now - next_ns) / run->every_ns);
        }
        (void)give_up(run, false);
        now = now_ns();
        uint64_t wait_ns = now >= run->end_ns ? SECOND_NS / 20 : next_ns > now ? next_ns - now : 0;
        struct timespec wait = { (time_t)(wait_ns / SECOND_NS), (long)(wait_ns % SECOND_NS) };
        struct pollfd readable = { .fd = run->fd, .events = POLLIN };
        if (ppoll(&readable, 1, &wait, NULL) > 0) {
            read_answers(run);
        }
    }
    (void)give_up(run, true);
}

static int open_socket(const char *address, const char *port)
{
    struct sockaddr_in to = { .sin_family = AF_INET };
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    to.sin_port = htons((uint16_t)number_read(port, 1, 65535));
    if (inet_pton(AF_INET, address, &to.sin_addr) != 1 || ntohl(to.sin_addr.s_addr) >> 24 != 127) {
        die("%s is not an address of 127.0.0.0/8", address);
    }
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
        die("socket: %s", strerror(errno));
    }
    return fd;
}

int main(int argc, char **argv)
{
    static struct run run;

    if (argc < 6 || argc > 7 || (argc == 7 && strcmp(argv[6], "fresh") != 0)) {
        fprintf(stderr, "usage: bench-ask ADDRESS PORT NAME EVERY_US SECONDS [fresh]\n");
        return 2;
    }
    run.name = argv[3];
    if (strlen(run.name) > NAME_BYTES - 64) {
        die("%s is too long", run.name);
    }
    run.fresh = argc == 7;
    run.every_ns = number_read(argv[4], 100, 60000000) * 1000u;
    run.fd = open_socket(argv[1], argv[2]);
    run.end_ns = now_ns() + number_read(argv[5], 1, 86400) * SECOND_NS;
    (void)signal(SIGTERM, on_stop);
    (void)signal(SIGINT, on_stop);
    go_on(&run);
    close(run.fd);
    return fflush(stdout) == 0 ? 0 : 1;
}
