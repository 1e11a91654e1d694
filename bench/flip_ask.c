/*
 * bench-flip-ask - asks a server for many services at once while their answers change
 *
 * Services are named by four digits of base 36 (0000.s, 0001.s, ...). Over
 * several sockets, so that every thread of the server is asked, 8 questions
 * each are kept open for names at random; each answer is old (the first byte
 * after 127 is OLD) or new. Prints "ready" and goes on until the answers have
 * been new for a while, or 60 s. Then every service is asked once more. It asks
 * loopback addresses only, and waits for nothing but answers.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench/die.h"

#define SECOND_NS UINT64_C(1000000000)
#define SOCKETS   8
#define WINDOW    8
#define LIMIT_NS  (60 * SECOND_NS)
#define AFTER_NS  (2 * SECOND_NS) /* after the first new answer */
#define LOST_NS   (SECOND_NS / 5)
#define DENSE_NS  (SECOND_NS / 1000)

struct question {
    uint64_t sent_ns;
    uint32_t service;
};

/* What became of the answers. */
struct sums {
    uint64_t answered, wrong, lost;
    uint64_t old_last_ns;  /* arrival of the last old answer */
    uint64_t new_first_ns; /* arrival of the first new answer; 0: none yet */
    uint64_t late_count;   /* old answers to questions sent after that */
    uint64_t late_ns;      /* and the last of these questions */
    uint64_t dense;        /* answers that arrived within DENSE_NS of the first new one */
};

struct asker {
    int fds[SOCKETS];
    struct question open[SOCKETS][WINDOW];
    uint32_t services;
    unsigned old;
    uint64_t random;
    uint32_t next; /* with `in_turn` */
    bool in_turn;
    struct sums sums;
};

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

static uint32_t draw(struct asker *a)
{
    a->random ^= a->random << 13;
    a->random ^= a->random >> 7;
    a->random ^= a->random << 17;
    return (uint32_t)(a->random % a->services);
}

static size_t put_question(uint8_t *out, uint16_t id, uint32_t service)
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    const uint8_t head[12] = { (uint8_t)(id >> 8), (uint8_t)id, 0, 0, 0, 1 };
    const uint8_t tail[7] = { 1, 's', 0, 0, 1, 0, 1 };

    memcpy(out, head, sizeof(head));
    out[12] = 4;
    for (unsigned i = 4; i > 0; i--, service /= 36) {
        out[12 + i] = (uint8_t)digits[service % 36];
    }
    memcpy(out + 17, tail, sizeof(tail));
    return 17 + sizeof(tail);
}

/* False when all services have had their turn. */
static bool ask(struct asker *a, unsigned socket, unsigned slot)
{
    uint8_t message[32];
    struct question *question = &a->open[socket][slot];

    if (a->in_turn && a->next == a->services) {
        question->sent_ns = 0;
        return false;
    }
    question->service = a->in_turn ? a->next++ : draw(a);
    size_t length = put_question(message, (uint16_t)slot, question->service);
    question->sent_ns = now_ns();
    if (send(a->fds[socket], message, length, 0) < 0 && errno != ECONNREFUSED) {
        die("send: %s", strerror(errno));
    }
    return true;
}

static void count_answer(struct asker *a, const struct question *question, bool is_old)
{
    struct sums *s = &a->sums;
    uint64_t now = now_ns();

    s->answered++;
    if (is_old) {
        s->old_last_ns = now;
    } else if (s->new_first_ns == 0) {
        s->new_first_ns = now;
    }
    if (s->new_first_ns != 0 && now - s->new_first_ns < DENSE_NS) {
        s->dense++;
    }
    if (is_old && s->new_first_ns != 0 && question->sent_ns > s->new_first_ns) {
        s->late_count++;
        s->late_ns = question->sent_ns;
    }
}

/* Every answer ends with a record A; what another one is like is not looked at. */
static void read_answers(struct asker *a, unsigned socket)
{
    uint8_t m[512];
    ssize_t length;

    while ((length = recv(a->fds[socket], m, sizeof(m), MSG_DONTWAIT)) > 0) {
        unsigned slot = length < 12 ? WINDOW : (unsigned)m[0] << 8 | m[1];
        if (slot >= WINDOW || a->open[socket][slot].sent_ns == 0) {
            continue;
        }
        bool is_good = length >= 40 && (m[3] & 15) == 0 && m[7] > 0 && m[length - 4] == 127;
        if (is_good) {
            count_answer(a, &a->open[socket][slot], m[length - 3] == a->old);
        } else {
            a->sums.wrong++;
        }
        (void)ask(a, socket, slot);
    }
}

static void ask_again_for_lost(struct asker *a)
{
    uint64_t now = now_ns();

    for (unsigned s = 0; s < SOCKETS; s++) {
        for (unsigned i = 0; i < WINDOW; i++) {
            if (a->open[s][i].sent_ns != 0 && now - a->open[s][i].sent_ns > LOST_NS) {
                a->sums.lost++;
                (void)ask(a, s, i);
            }
        }
    }
}

static bool is_open(const struct asker *a)
{
    for (unsigned s = 0; s < SOCKETS; s++) {
        for (unsigned i = 0; i < WINDOW; i++) {
            if (a->open[s][i].sent_ns != 0) {
                return true;
            }
        }
    }
    return false;
}

static bool is_over(const struct asker *a, uint64_t began_ns)
{
    uint64_t first = a->sums.new_first_ns, now = now_ns();

    return a->in_turn ? !is_open(a)
                      : now - began_ns > LIMIT_NS || (first != 0 && now - first > AFTER_NS);
}

static void ask_on(struct asker *a)
{
    uint64_t began = now_ns();

    for (unsigned s = 0; s < SOCKETS; s++) {
        for (unsigned i = 0; i < WINDOW; i++) {
            (void)ask(a, s, i);
        }
    }
    for (unsigned turn = 0; !is_over(a, began); turn++) {
        for (unsigned s = 0; s < SOCKETS; s++) {
            read_answers(a, s);
        }
        if (turn % 1024 == 0) {
            ask_again_for_lost(a);
        }
    }
}

static void open_sockets(struct asker *a, const char *port)
{
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

    for (unsigned i = 0; i < SOCKETS; i++) {
        a->fds[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (a->fds[i] < 0 || connect(a->fds[i], (struct sockaddr *)&to, sizeof(to)) != 0) {
            die("a socket: %s", strerror(errno));
        }
    }
}

static void drain(struct asker *a)
{
    uint8_t m[512];

    (void)usleep(300000);
    for (unsigned s = 0; s < SOCKETS; s++) {
        while (recv(a->fds[s], m, sizeof(m), MSG_DONTWAIT) > 0) {
        }
    }
    memset(a->open, 0, sizeof(a->open));
}

int main(int argc, char **argv)
{
    static struct asker a;

    if (argc != 4) {
        (void)fputs("usage: bench-flip-ask PORT SERVICES OLD\n", stderr);
        return 2;
    }
    a.services = (uint32_t)strtoul(argv[2], NULL, 10);
    a.old = (unsigned)strtoul(argv[3], NULL, 10);
    a.random = 0x9e3779b97f4a7c15;
    open_sockets(&a, argv[1]);
    (void)puts("ready");
    (void)fflush(stdout);
    ask_on(&a);
    const struct sums s = a.sums;
    double last = s.old_last_ns > s.new_first_ns ? (double)(s.old_last_ns - s.new_first_ns) : 0;
    double late = s.late_count > 0 ? (double)(s.late_ns - s.new_first_ns) : 0;
    printf("answered %llu wrong %llu lost %llu first_new_ns %llu last_old_us %.1f late %llu "
           "late_us %.1f dense %llu\n",
           (unsigned long long)s.answered, (unsigned long long)s.wrong,
           (unsigned long long)s.lost, (unsigned long long)s.new_first_ns, last / 1000,
           (unsigned long long)s.late_count, late / 1000, (unsigned long long)s.dense);
    drain(&a);
    memset(&a.sums, 0, sizeof(a.sums));
    a.sums.new_first_ns = 1; /* every old answer is late now */
    a.in_turn = true;
    ask_on(&a);
    printf("asked %u answered %llu wrong %llu lost %llu old %llu\n", a.services,
           (unsigned long long)a.sums.answered, (unsigned long long)a.sums.wrong,
           (unsigned long long)a.sums.lost, (unsigned long long)a.sums.late_count);
    return 0;
}
