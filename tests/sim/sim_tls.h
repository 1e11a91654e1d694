#pragma once
/*
 * sim_tls - the resolver's port for DNS over TLS (RFC 7858)
 *
 * A connection is a sim_stream behind a TLS session; the tricks of the
 * handshake are played here. Loop thread only.
 */
#include "sim_cert.h"
#include "sim_listen.h"

struct sim_dns;

struct sim_tls {
    struct sim_dns *dns;
    struct sockaddr_storage address; /* with the port */
    struct sim_certs certs;
    struct sim_listen listen;
};

/*
 * Serve `dns` at `address`, port 0 taking a free one, with certificates
 * already made in `certs`. 0 or a negative errno.
 */
int sim_tls_start(struct sim_tls *tls, struct sim_dns *dns, const struct sockaddr_storage *address);

/* Stop serving. The certificates stay until sim_certs_fini. */
void sim_tls_close(struct sim_tls *tls);
