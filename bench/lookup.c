/*
 * bench-lookup - lookups by the C library's own getaddrinfo at a steady pace
 *
 * usage: bench-lookup NAME EVERY_US SECONDS
 *
 * What programs do: getaddrinfo asks for A and AAAA, of the servers that
 * /etc/resolv.conf names. Every EVERY_US microseconds a lookup begins, each in
 * a thread of its own so that a slow one delays none, each with a label of its
 * own before NAME so that no cache knows it. Every lookup ends as one line:
 *
 *     BEGUN_NS DONE_NS RESULT ADDRESS
 *
 * in nanoseconds of CLOCK_MONOTONIC. RESULT is 0 or getaddrinfo's error as a
 * number, ADDRESS the first IPv4 address, `-` when there is none.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench/die.h"
#include "bench/number.h"

static const uint64_t SECOND_NS = 1000000000;

enum {
    LOOKUPS_MAX = 1000, /* lookups at once; a program would have given up before */
    STACK_BYTES = 256 * 1024,
};

static const char *suffix;
static sem_t room; /* LOOKUPS_MAX less the lookups that are going on */

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

static void sleep_until(uint64_t until_ns)
{
    struct timespec until = { (time_t)(until_ns / SECOND_NS), (long)(until_ns % SECOND_NS) };

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {
    }
}

static void first_address(const struct addrinfo *list, char *out)
{
    (void)strcpy(out, "-");
    for (; list != NULL; list = list->ai_next) {
        if (list->ai_family == AF_INET) {
            const struct sockaddr_in *v4 = (const struct sockaddr_in *)(void *)list->ai_addr;
            (void)inet_ntop(AF_INET, &v4->sin_addr, out, INET_ADDRSTRLEN);
            return;
        }
    }
}

static void *look_up(void *user)
{
    const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    struct addrinfo *found = NULL;
    char name[300], address[INET_ADDRSTRLEN];

    (void)snprintf(name, sizeof(name), "g%lux%lx.%s", (unsigned long)(uintptr_t)user,
                   (unsigned long)getpid(), suffix);
    uint64_t begun_ns = now_ns();
    int rc = getaddrinfo(name, NULL, &hints, &found);
    uint64_t done_ns = now_ns();
    first_address(rc == 0 ? found : NULL, address);
    printf("%" PRIu64 " %" PRIu64 " %d %s\n", begun_ns, done_ns, rc, address);
    if (rc == 0) {
        freeaddrinfo(found);
    }
    sem_post(&room);
    return NULL;
}

static void begin(uintptr_t number, const pthread_attr_t *attributes)
{
    pthread_t thread;

    if (sem_trywait(&room) != 0) {
        die("%d lookups at once, and none is answered", (int)LOOKUPS_MAX);
    }
    int rc = pthread_create(&thread, attributes, look_up, (void *)number);
    if (rc != 0) {
        die("thread: %s", strerror(rc));
    }
}

int main(int argc, char **argv)
{
    pthread_attr_t attributes;

    if (argc != 4 || strlen(argv[1]) > 200) {
        fprintf(stderr, "usage: bench-lookup NAME EVERY_US SECONDS\n");
        return 2;
    }
    suffix = argv[1];
    uint64_t every_ns = number_read(argv[2], 1000, 60000000) * 1000u;
    uint64_t count = number_read(argv[3], 1, 3600) * SECOND_NS / every_ns;
    (void)sem_init(&room, 0, LOOKUPS_MAX);
    (void)pthread_attr_init(&attributes);
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    (void)pthread_attr_setstacksize(&attributes, STACK_BYTES);
    uint64_t start_ns = now_ns();
    for (uint64_t i = 0; i < count; i++) {
        sleep_until(start_ns + i * every_ns);
        begin((uintptr_t)i, &attributes);
    }
    for (unsigned i = 0; i < LOOKUPS_MAX; i++) {
        while (sem_wait(&room) != 0) {
        }
    }
    return fflush(stdout) == 0 ? 0 : 1;
}
