#pragma once
/*
 * chosen - what the present query of a thread was answered with, chosen again
 *
 * For those who want to know it once the answer stands: by the same code, for
 * the same client and the same draw, so that answers themselves need not carry
 * it along. No lock, no allocation. The thread that answers.
 */
#include "resolver/query.h"

struct chosen {
    const struct steer_service *service; /* as the client's view has it */
    unsigned family;
    struct steer_client client; /* a copy */
    struct steer_choice choice;
};

/* False: the question and its aliases lead to no service. */
bool chosen_find(struct query_thread *thread, const struct snapshot *snapshot, struct chosen *out);
