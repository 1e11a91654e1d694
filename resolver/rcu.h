#pragma once
/*
 * rcu - liburcu's QSBR flavour, and what ThreadSanitizer needs to see of it
 *
 * Readers are registered threads. They are offline while they may sleep and
 * online while they hold a pointer from publication_read. ThreadSanitizer does
 * not see liburcu's barriers, so its build is told of the two edges: a reader
 * that stops reading happens before the end of a grace period.
 */
#ifndef LEEWARD_TSAN /* inlined, liburcu's own barriers would be reported as races */
#define _LGPL_SOURCE
#define URCU_INLINE_SMALL_FUNCTIONS
#endif
#include <urcu/urcu-qsbr.h>

#ifdef LEEWARD_TSAN
void __tsan_acquire(void *address);
void __tsan_release(void *address);
extern char rcu_edge; /* any address will do; one for all */
#endif

static inline void rcu_sleep(void)
{
#ifdef LEEWARD_TSAN
    __tsan_release(&rcu_edge);
#endif
    urcu_qsbr_thread_offline();
}

static inline void rcu_wake(void)
{
    urcu_qsbr_thread_online();
}

/* Wait until every reader that was online has slept once. Not from a reader. */
static inline void rcu_grace_period(void)
{
    urcu_qsbr_synchronize_rcu();
#ifdef LEEWARD_TSAN
    __tsan_acquire(&rcu_edge);
#endif
}
