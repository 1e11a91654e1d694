#pragma once
/*
 * health_isolation - is it the world that is down, or this node that is cut off?
 *
 * Fewer than `witness_minimum` witnesses answer, and no check of any target has
 * succeeded for two intervals: then what went DOWN since anything last
 * succeeded counts as it stood before, so that the words go back to where they
 * were and stay there. The first success of anything ends it, and those
 * verdicts are taken back; whatever is really dead is found again at once. A
 * witness that never answered does not count, nor do checks that never leave
 * this machine (push, file).
 *
 * Inside of policy/health; control thread only.
 */
#include "policy/health_table.h"

/* Does a verdict of this probe, DOWN, prove nothing because this node is cut off? */
bool health_isolation_excuses(const struct health *health, const struct probe_slot *probe);

/* What a witness's result means: whatever came back over the network is a pass. */
enum detect_outcome health_isolation_weigh(enum detect_outcome outcome, const char *reason);

/* A result came, and what it changed is stored. */
void health_isolation_note(struct health *health, const struct probe_slot *probe,
                           enum detect_outcome outcome, uint64_t now_ms);

/* Is it time to say that this node is cut off? */
void health_isolation_tick(struct health *health, uint64_t now_ms);
