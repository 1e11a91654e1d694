#pragma once
/*
 * demo_client - an impatient application that looks names up all the while
 *
 * Every 20 ms one lookup over UDP: the service and other names by turns. Each
 * is sent once, has an answer or has failed: no retry hides anything. The other
 * names are also asked of one region's resolver directly, to compare. One thread.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/error.h"

#define DEMO_CLIENT_EVERY_US   20000u
#define DEMO_CLIENT_SLOW_US    250000u
#define DEMO_CLIENT_TIMEOUT_US 2000000u
#define DEMO_CLIENT_PHASES     3
#define DEMO_CLIENT_SAMPLES    8192 /* kept per phase, for the median */
#define DEMO_CLIENT_IDS        1024 /* lookups in flight at most: ids repeat after 20 s */

enum demo_client_kind {
    DEMO_CLIENT_SERVICE, /* the service, of the server */
    DEMO_CLIENT_OTHER,   /* another name, of the server */
    DEMO_CLIENT_DIRECT,  /* another name, of the region's own resolver */
    DEMO_CLIENT_KINDS,
};

struct demo_client_counts {
    unsigned asked;
    unsigned failed; /* an error, or no answer */
    unsigned empty;  /* NOERROR without an address */
    unsigned slow;   /* good, but later than DEMO_CLIENT_SLOW_US */
    uint32_t worst_us;
};

struct demo_client_lookup {
    bool open;
    uint8_t phase;
    uint64_t sent_us;
    uint8_t question[64]; /* wire form */
    uint8_t question_length;
};

struct demo_client {
    int fds[2]; /* to the server, to the region's resolver */
    uint16_t next_id;
    unsigned turn;
    unsigned phase;
    uint64_t next_us; /* when the next lookup is due */
    struct demo_client_lookup lookups[DEMO_CLIENT_KINDS][DEMO_CLIENT_IDS];
    struct demo_client_counts counts[DEMO_CLIENT_PHASES][DEMO_CLIENT_KINDS];
    uint32_t samples[DEMO_CLIENT_PHASES][DEMO_CLIENT_SAMPLES]; /* us, through the server */
    unsigned sample_counts[DEMO_CLIENT_PHASES];
    uint32_t last_us;           /* the newest answer took so long */
    bool has_address;           /* the newest answer for the service */
    struct addr address;        /* what it said */
    uint64_t address_since_us;  /* when it first said so */
    uint8_t resolver;           /* the number in the newest answer for another name; 0: none */
    uint64_t resolver_since_us; /* when it first was that */
};

/* Open the sockets. On failure -errno, explained. */
int demo_client_open(struct demo_client *client, const struct addr *server,
                     const struct addr *direct, struct error *err);
void demo_client_close(struct demo_client *client);

/* Count from now on as this phase, below DEMO_CLIENT_PHASES. */
void demo_client_begin(struct demo_client *client, unsigned phase);

/* Ask and listen until `until_us` (monotonic), or shorter: to be called in a loop. */
void demo_client_run(struct demo_client *client, uint64_t until_us);

/* Ask nothing more and wait until every lookup has ended one way or another. */
void demo_client_drain(struct demo_client *client);

/* Both kinds that went through the server, together. */
struct demo_client_counts demo_client_through_server(const struct demo_client *client,
                                                     unsigned phase);

/* How long the median lookup through the server took; 0 without any. Sorts the samples. */
uint32_t demo_client_median_us(struct demo_client *client, unsigned phase);
