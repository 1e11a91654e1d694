#pragma once
/*
 * thread - starts the threads of the server
 *
 * Signals are the control thread's business: the others have them blocked, but
 * for those that tell of a fault of their own. Control thread.
 */
#include <pthread.h>

/*
 * Start `run` with `user` as a thread called `name` (at most 15 bytes). It may
 * be interrupted by `signal`, 0: by none. 0 or -errno.
 */
int thread_start(pthread_t *thread, const char *name, int signal, void *(*run)(void *user),
                 void *user);
