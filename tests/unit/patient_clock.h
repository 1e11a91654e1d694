#pragma once
/*
 * patient_clock - monotonic time that does not pass while this process is held up
 *
 * For tests of what lives on one loop: a busy machine may stop such a process
 * for any time at any moment, which the code under test cannot tell from the
 * silence of others. Here time passes while a loop waits for events in vain, for
 * no longer than it meant to wait, and else by PATIENT_STEP_NS at most from one
 * reading to the next, so that whoever reads it in circles gets on, too. The
 * functions of the system are replaced in the whole program, libuv included.
 * Civil time is left alone. Any thread; include it in one file of a program.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PATIENT_STEP_NS   1000000
#define PATIENT_SECOND_NS 1000000000

static struct {
    pthread_mutex_t mutex;
    int64_t machine_ns; /* the machine's clock when this one was read last, 0: never */
    int64_t now_ns;
} patient_clock = { .mutex = PTHREAD_MUTEX_INITIALIZER };

/* What this thread has waited for in vain since it read the clock. */
static _Thread_local int64_t patient_waited_ns;

/* The time that is told when the machine's is `machine_ns`. */
static inline int64_t patient_clock_at(int64_t machine_ns)
{
    (void)pthread_mutex_lock(&patient_clock.mutex);
    int64_t passed_ns = machine_ns - patient_clock.machine_ns;
    int64_t most_ns = PATIENT_STEP_NS + patient_waited_ns;

    if (patient_clock.machine_ns == 0) {
        most_ns = passed_ns; /* it begins with the machine's */
    }
    if (passed_ns > 0) {
        patient_clock.now_ns += passed_ns < most_ns ? passed_ns : most_ns;
        patient_clock.machine_ns = machine_ns;
    }
    patient_waited_ns = 0;
    int64_t now_ns = patient_clock.now_ns;
    (void)pthread_mutex_unlock(&patient_clock.mutex);
    return now_ns;
}

__attribute__((visibility("default"))) int clock_gettime(clockid_t id, struct timespec *out)
{
    int status = (int)syscall(SYS_clock_gettime, id, out);

    if (status == 0 && (id == CLOCK_MONOTONIC || id == CLOCK_MONOTONIC_COARSE)) {
        /* one machine clock for both: the coarse one is behind */
        status = (int)syscall(SYS_clock_gettime, CLOCK_MONOTONIC, out);
        int64_t now_ns = patient_clock_at((int64_t)out->tv_sec * PATIENT_SECOND_NS + out->tv_nsec);
        out->tv_sec = (time_t)(now_ns / PATIENT_SECOND_NS);
        out->tv_nsec = (long)(now_ns % PATIENT_SECOND_NS);
    }
    return status;
}

/* The system's own function of this name, or a sanitizer's. */
static inline void patient_clock_next(const char *name, void *out_function)
{
    void *found = dlsym(RTLD_NEXT, name);

    memcpy(out_function, &found, sizeof(found));
}

/* What came while it was waited for may have been there at once. */
static inline int patient_clock_waited(int timeout_ms, int events)
{
    if (events == 0 && timeout_ms > 0) {
        patient_waited_ns += (int64_t)timeout_ms * (PATIENT_SECOND_NS / 1000);
    }
    return events;
}

__attribute__((visibility("default"))) int epoll_wait(int fd, struct epoll_event *events, int most,
                                                      int timeout_ms)
{
    int (*next)(int, struct epoll_event *, int, int);

    patient_clock_next("epoll_wait", &next);
    return patient_clock_waited(timeout_ms, next(fd, events, most, timeout_ms));
}

__attribute__((visibility("default"))) int epoll_pwait(int fd, struct epoll_event *events, int most,
                                                       int timeout_ms, const sigset_t *mask)
{
    int (*next)(int, struct epoll_event *, int, int, const sigset_t *);

    patient_clock_next("epoll_pwait", &next);
    return patient_clock_waited(timeout_ms, next(fd, events, most, timeout_ms, mask));
}
