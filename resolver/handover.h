#pragma once
/*
 * handover - questions that must be asked elsewhere, on their way to the service loop
 *
 * One bounded ring per answerer: the answerer puts, the service loop takes,
 * neither waits for the other. A full ring is the answerer's to tell.
 */
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "zones/name.h"

#define HANDOVER_SLOTS 512 /* a power of two */

/* What is kept of a client's question until its answer is known. */
struct handover_question {
    uint16_t id;
    uint16_t flags;
    uint16_t type;
    uint16_t class;
    uint16_t payload; /* the client's UDP size */
    uint8_t name_length;
    bool edns;
    bool dnssec_ok;
    bool stream;
    bool refresh; /* it was answered; ask for it anew, nobody waits */
    uint8_t name[NAME_MAX_BYTES]; /* as the client wrote it */
};

/* Where its answer goes, over UDP. */
struct handover_client {
    uint32_t share; /* see fairness.h */
    int fd; /* the listener's, open as long as the service loop runs */
    bool has_local;
    struct in6_addr local; /* answer from here (wildcard listeners); IPv4 in the first bytes */
    uint32_t interface;
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address;
    socklen_t address_length;
};

struct handover {
    struct handover_question question;
    struct handover_client client;
};

struct handover_ring {
    _Alignas(64) _Atomic uint32_t head; /* next to take; the service loop's */
    _Alignas(64) _Atomic uint32_t tail; /* next to fill; the answerer's */
    struct handover *slots;             /* HANDOVER_SLOTS */
};

/* False when memory is out. */
bool handover_init(struct handover_ring *ring);
void handover_fini(struct handover_ring *ring);

/* The slot to fill next, or NULL when the ring is full. Then handover_put. */
struct handover *handover_next(struct handover_ring *ring);
void handover_put(struct handover_ring *ring);

/* How many wait in it, about: seen by the answerer. */
unsigned handover_waiting(const struct handover_ring *ring);

/* The oldest question, or NULL. Its slot is free again after handover_done. */
struct handover *handover_peek(struct handover_ring *ring);
void handover_done(struct handover_ring *ring);
