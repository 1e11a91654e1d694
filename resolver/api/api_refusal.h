#pragma once
/*
 * api_refusal - what clients are told while there is no HTTP server
 *
 * Control thread.
 */
#include <stdbool.h>

#include "base/error.h"

#define API_REFUSAL_HELD 8

/* All zero to begin with. */
struct api_refusal {
    int held[API_REFUSAL_HELD]; /* refused, and still open: see api_refuse */
    unsigned count;             /* of all that were held, ever */
    bool is_logged;
};

/*
 * Accept one client of `socket_fd` and answer 503 with the reason, without
 * waiting for its request. Its connection stays open until some others have
 * come, so that it can finish its request and read the answer. The first
 * refusal is logged; `path` is for the log. -errno when nobody can be accepted
 * for now.
 */
int api_refuse(struct api_refusal *refusal, int socket_fd, const char *path,
               const struct error *why);

/* Close what is held. */
void api_refusal_fini(struct api_refusal *refusal);
