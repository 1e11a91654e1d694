#pragma once
/*
 * options - the command line of bench-load
 *
 * Called once, from main, before anything else runs.
 */
#include <stdbool.h>

enum {
    OPTIONS_WINDOW_MAX = 8192,
    OPTIONS_SOCKETS_MAX = 64,
};

struct options {
    const char *server;
    const char *names;
    unsigned long window;
    unsigned long sockets;
    unsigned long timeout_ms;
    unsigned long count; /* 0: until the time is over */
    unsigned long rate;  /* queries a second, 0: as fast as answers come */
    unsigned long seed;
    double seconds;
    int cpu; /* -1: not pinned */
    bool any_rcode;
    bool fresh;  /* every query has a first label of its own */
    bool hashed; /* answers hold the addresses of hashed.h */
    bool recursion_desired;
};

/*
 * Fill `options` from the command line. Ends the program with the usage and
 * status 2, or with an explanation and status 1, when it cannot be understood;
 * the strings point into `argv`.
 */
void options_parse(struct options *options, int argc, char **argv);
