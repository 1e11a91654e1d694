#pragma once
/*
 * sim_answer - the answer to one query, with every fault and trick that fits
 *
 * Decides what is said, in which order and when; the transports send it.
 * Loop thread only.
 */
#include "sim_edns.h"
#include "sim_trick.h"

struct sim_region;

#define SIM_ANSWER_PARTS 4

enum sim_source {
    SIM_SOURCE_RIGHT,
    SIM_SOURCE_PORT,   /* another port */
    SIM_SOURCE_ADDRESS /* another address */
};

/* One message to send. */
struct sim_part {
    const struct sim_packet *packet;
    uint32_t delay_ms;
    enum sim_source source;
    uint32_t guesses; /* sent that many times, each with another id; 0: once, as it is */
};

struct sim_answer {
    struct sim_region *region;
    struct sim_query query;
    struct sim_asked asked; /* for the tricks that the transport plays */
    unsigned part_count;    /* 0: silence */
    struct sim_part parts[SIM_ANSWER_PARTS];

    /* the answer's own */
    struct sim_packet packet;
    struct sim_packet honest;
    struct sim_packet forged;
    struct sim_packet earlier; /* what was said last time */
    struct sim_packet spare;
};

/*
 * Answer one message that came from `peer`. Counts it, and what is not
 * answered as dropped. What the parts point to is good until the next call.
 */
void sim_answer_make(struct sim_answer *answer, const uint8_t *bytes, size_t size,
                     enum sim_over over, const struct sockaddr_storage *peer);
