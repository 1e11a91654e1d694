#pragma once
/*
 * health_note - since when something is not well, by which check, on what evidence
 *
 * The words of health say what is answered; these say why, for the answer to a
 * client that wants to know. Written by the control thread where a verdict is
 * made. Read by any thread that holds the snapshot the binding belongs to,
 * without a lock, and at most a few times while it is being rewritten.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/health.h"

#define HEALTH_NOTE_TEXT 172 /* bytes, the terminator among them; what is longer ends in "..." */

struct health_note {
    uint64_t since_ms; /* monotonic; 0: since the start */
    uint64_t until_ms; /* when hold_down, which has begun, is over; 0: it has not */
    uint32_t hold_ms;  /* how long hold_down will be, or is */
    /* "seoul tcp 203.0.113.10:8080: connection refused, 3 of 3 in a row"; may be empty */
    char text[HEALTH_NOTE_TEXT];
};

/*
 * Of region `region` of the bound model: while it is anything but simply in,
 * be that by its checks, an operator's word or a guard. False: it is in.
 */
bool health_note_region(const struct health_binding *binding, size_t region,
                        struct health_note *out);

/*
 * Of the endpoint with bit `bit` of `family` in a pool: what its checks that
 * are DOWN say, first one that has not risen. False: none is.
 */
bool health_note_endpoint(const struct health_binding *binding, size_t service, size_t pool,
                          unsigned family, unsigned bit, struct health_note *out);

/* ---- inside of policy/health, control thread ---- */

struct noted;
struct probe_slot;
struct region_slot;

/*
 * A verdict on the probe was made, or taken back: write down what there is to
 * say. `event` tells the evidence it was made on; needed for one that is DOWN.
 */
void health_note_probe(struct probe_slot *slot, const struct health_event *event);

/* The region stands differently, `since_ms` and all; `worst` is what speaks against it, or NULL. */
void health_note_write_region(struct region_slot *region, const struct health_probe *worst);

/* Give its memory back; nobody reads it any more. */
void health_note_free(struct noted *noted);
