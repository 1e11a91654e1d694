#pragma once
/*
 * sim_edns - the OPT records of an answer, honest and lying
 *
 * Also the server's side of cookies (RFC 7873). Loop thread only.
 */
#include "sim_trick.h"

#include <sys/socket.h>

/* What the query's cookie is to a server that knows cookies. */
enum sim_cookie {
    SIM_COOKIE_NONE,
    SIM_COOKIE_MALFORMED, /* a length that RFC 7873 does not know */
    SIM_COOKIE_CLIENT,    /* the client's part alone, or a server's that is not ours */
    SIM_COOKIE_GOOD       /* with the server's part that we gave to this client */
};

/* Judge the cookie of a query that came from `peer`. */
enum sim_cookie sim_edns_cookie(const struct sim_tricks *tricks, const struct sim_query *query,
                                const struct sockaddr_storage *peer);

/*
 * Make the OPT records of the answer to `asked`, which has the extended
 * rcode `rcode`; none when the query had none. Tricks that fit are played.
 */
void sim_edns_build(struct sim_tricks *tricks, struct sim_asked *asked,
                    const struct sockaddr_storage *peer, uint16_t rcode, struct sim_opt *out_opt);
