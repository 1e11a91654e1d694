/*
 * bench-cores - how far apart two cores are
 *
 * usage: bench-cores CORE CORE
 *
 * Two processes, one on each core, hand a cache line back and forth; printed is
 * the round trip in nanoseconds, the shortest of many short runs, so that other
 * work on the machine hardly counts. What a packet costs between two cores
 * follows this number, and on virtual machines it changes when the host moves
 * them.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    RUNS = 100,
    TRIPS = 500,
    LIMIT_NS = 200000000, /* no more runs after so long on a busy machine */
};

/* Puts a process, 0 being this one, on the core that `text` names. */
static int pin(pid_t process, const char *text)
{
    char *end = NULL;
    unsigned long cpu = strtoul(text, &end, 10);
    cpu_set_t set;

    if (end == text || *end != '\0' || cpu >= CPU_SETSIZE) {
        errno = EINVAL;
        return -1;
    }
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return sched_setaffinity(process, sizeof set, &set);
}

static uint64_t clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

/* Odd values are the caller's, even ones the answers. Never returns: the parent
 * ends it. */
__attribute__((noreturn)) static void echo_line(_Atomic uint32_t *line)
{
    uint32_t next = 1;

    for (;;) {
        while (atomic_load_explicit(line, memory_order_acquire) != next) {
        }
        atomic_store_explicit(line, next + 1, memory_order_release);
        next += 2;
    }
}

/* The shortest mean of a run, in ns for a round trip. */
static double measure(_Atomic uint32_t *line)
{
    uint64_t began_ns = clock_ns();
    uint64_t best_ns = UINT64_MAX;
    uint32_t next = 1;

    for (int run = 0; run < RUNS && clock_ns() - began_ns < LIMIT_NS; run++) {
        uint64_t start_ns = clock_ns();

        for (int trip = 0; trip < TRIPS; trip++, next += 2) {
            atomic_store_explicit(line, next, memory_order_release);
            while (atomic_load_explicit(line, memory_order_acquire) != next + 1) {
            }
        }
        uint64_t took_ns = clock_ns() - start_ns;

        best_ns = took_ns < best_ns ? took_ns : best_ns;
    }
    return (double)best_ns / TRIPS;
}

int main(int argc, char **argv)
{
    if (argc != 3 || strcmp(argv[1], argv[2]) == 0) {
        fputs("usage: bench-cores CORE CORE (two different ones)\n", stderr);
        return 2;
    }
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t other = page == MAP_FAILED ? -1 : fork();

    if (other == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        echo_line(page);
    }
    int status = 0;

    if (other < 0 || pin(0, argv[1]) < 0 || pin(other, argv[2]) < 0) {
        fprintf(stderr, "bench-cores: cores %s and %s: %s\n", argv[1], argv[2], strerror(errno));
        status = 1;
    } else {
        printf("%.0f\n", measure(page));
    }
    if (other > 0) {
        kill(other, SIGKILL);
        waitpid(other, NULL, 0);
    }
    return status;
}
