/*
 * civil_clock - the civil clock of one process, moved by its test
 *
 * To be preloaded. LEEWARD_TEST_CIVIL_CLOCK names a file of eight bytes: the
 * nanoseconds, in the machine's order, that are added to CLOCK_REALTIME. The
 * test writes them while the process runs. Other clocks are left alone.
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS 1000000000LL

static const _Atomic int64_t *offset_ns;

__attribute__((constructor)) static void open_offset(void)
{
    const char *path = getenv("LEEWARD_TEST_CIVIL_CLOCK");
    int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *page = MAP_FAILED;

    if (fd >= 0) {
        page = mmap(NULL, sizeof(*offset_ns), PROT_READ, MAP_SHARED, fd, 0);
        (void)close(fd);
    }
    if (page != MAP_FAILED) {
        offset_ns = page;
    }
}

__attribute__((visibility("default"))) int clock_gettime(clockid_t id, struct timespec *out)
{
    int status = (int)syscall(SYS_clock_gettime, id, out);

    if (status == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE) &&
        offset_ns != NULL) {
        int64_t now_ns = (int64_t)out->tv_sec * SECOND_NS + out->tv_nsec + *offset_ns;
        out->tv_sec = (time_t)(now_ns / SECOND_NS);
        out->tv_nsec = (long)(now_ns % SECOND_NS);
    }
    return status;
}

__attribute__((visibility("default"))) int gettimeofday(struct timeval *restrict out,
                                                        void *restrict zone)
{
    struct timespec now;

    (void)zone;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    out->tv_sec = now.tv_sec;
    out->tv_usec = (suseconds_t)(now.tv_nsec / 1000);
    return 0;
}

__attribute__((visibility("default"))) time_t time(time_t *out)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (out != NULL) {
        *out = now.tv_sec;
    }
    return now.tv_sec;
}
