#pragma once
/*
 * service_job - work that only the service loop may do, for another thread
 *
 * The loop alone writes the cache and knows the upstreams. A job is called in
 * its thread, online for RCU, while the thread that wants it waits.
 */
struct cache;
struct resolution;

typedef void service_job(void *user, struct resolution *resolution, struct cache *cache);
