#include "resolver/thread.h"

#include <signal.h>
#include <stddef.h>

/* A fault of the thread's own: blocked, it would end the program without a word. */
static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS };

int thread_start(pthread_t *thread, const char *name, int signal, void *(*run)(void *user),
                 void *user)
{
    sigset_t blocked, before;

    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        sigdelset(&blocked, faults[i]);
    }
    if (signal != 0) {
        sigdelset(&blocked, signal);
    }
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    int rc = pthread_create(thread, NULL, run, user);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc == 0) {
        (void)pthread_setname_np(*thread, name);
    }
    return -rc;
}
