#pragma once
/*
 * sim_cert - the certificates of DNS over TLS, made anew at each start
 *
 * One authority, and below it one certificate of every kind; keys are on the
 * curve P-256. Only called at the start and the end.
 */
#include "sim_trick.h"

struct ssl_ctx_st;

struct sim_certs {
    struct ssl_ctx_st *contexts[SIM_CERTIFICATES]; /* ready to serve with */
};

/*
 * Make everything for a server called `name` at `address` (text, without
 * port). Writes to `folder`: ca.pem, the authority; and pin, the SHA-256 of
 * the good certificate's public key in base64 (RFC 7858, section 4.2).
 * Returns NULL or a sentence on what is wrong.
 */
const char *sim_certs_init(struct sim_certs *certs, const char *folder, const char *name,
                           const char *address);

/* Free all; zeroed ones are let alone. */
void sim_certs_fini(struct sim_certs *certs);
