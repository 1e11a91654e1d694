#include "sim_tls.h"

#include "sim_net.h"
#include "sim_region.h"
#include "sim_stream.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>

#define GARBAGE_MAX 256

/* The TLS side of a stream. */
struct session {
    SSL *ssl;
    bool begun;  /* the client has said something */
    bool done;   /* the handshake is complete */
    bool silent; /* plays as if it had not noticed the client */
};

static struct sim_tricks *tricks_of(const struct sim_stream *stream)
{
    return &stream->dns->region->tricks;
}

static struct sim_stats *stats_of(const struct sim_stream *stream)
{
    return &stream->dns->region->stats;
}

/* Write to the connection what TLS has made. */
static void flush(struct sim_conn *conn, struct session *session, bool end)
{
    BIO *out = SSL_get_wbio(session->ssl);
    char *bytes;
    long size = BIO_get_mem_data(out, &bytes);
    if ((size > 0 || end) && !conn->closing && !conn->ending) {
        sim_listen_write(conn, bytes, (size_t)size, end);
    }
    (void)BIO_reset(out);
}

/* What the stream has to say goes out as one TLS record or more. */
static void on_send(struct sim_conn *conn, const void *bytes, size_t size, bool end)
{
    const struct sim_stream *stream = conn->attached;
    struct session *session = stream->tls;
    ERR_clear_error();
    if (size > 0) {
        (void)SSL_write(session->ssl, bytes, (int)size);
    }
    if (end) {
        (void)SSL_shutdown(session->ssl);
    }
    flush(conn, session, end);
}

static SSL *ssl_new(const struct sim_stream *stream, struct sim_asked *asked)
{
    struct sim_tricks *tricks = tricks_of(stream);
    uint32_t kind = SIM_CERTIFICATE_GOOD;
    if (sim_trick_use(tricks, SIM_TRICK_CERTIFICATE, asked)) {
        kind = sim_trick_number(tricks, SIM_TRICK_CERTIFICATE);
    }
    SSL *ssl = SSL_new(stream->dns->tls.certs.contexts[kind]);
    BIO *in = BIO_new(BIO_s_mem());
    BIO *out = BIO_new(BIO_s_mem());
    if (ssl == NULL || in == NULL || out == NULL) {
        SSL_free(ssl);
        BIO_free(in);
        BIO_free(out);
        return NULL;
    }
    SSL_set_bio(ssl, in, out);
    SSL_set_accept_state(ssl);
    return ssl;
}

static void set_versions(const struct sim_stream *stream, struct sim_asked *asked, SSL *ssl)
{
    struct sim_tricks *tricks = tricks_of(stream);
    if (sim_trick_use(tricks, SIM_TRICK_NORESUME, asked)) {
        (void)SSL_set_options(ssl, SSL_OP_NO_TICKET);
        (void)SSL_set_num_tickets(ssl, 0);
    }
    if (sim_trick_use(tricks, SIM_TRICK_TLSVERSION, asked)) {
        bool old = sim_trick_number(tricks, SIM_TRICK_TLSVERSION) == SIM_TLSVERSION_1_2;
        int version = old ? TLS1_2_VERSION : TLS1_3_VERSION;
        (void)SSL_set_min_proto_version(ssl, version);
        (void)SSL_set_max_proto_version(ssl, version);
    }
}

static void on_open(struct sim_conn *conn)
{
    const struct sim_tls *tls = conn->listen->owner;
    struct sim_asked asked = { .over = SIM_OVER_TLS };
    struct sim_stream *stream = sim_stream_open(tls->dns, conn, SIM_OVER_TLS);
    if (stream == NULL) {
        return;
    }
    struct session *session = calloc(1, sizeof *session);
    stream->tls = session;
    if (session != NULL) {
        session->ssl = ssl_new(stream, &asked);
    }
    if (session == NULL || session->ssl == NULL) {
        sim_listen_drop(conn, true);
        return;
    }
    session->silent = sim_trick_use(tricks_of(stream), SIM_TRICK_TLSSILENCE, &asked);
    set_versions(stream, &asked, session->ssl);
}

static void answer_with_garbage(struct sim_conn *conn, const struct sim_stream *stream)
{
    uint8_t bytes[GARBAGE_MAX];
    struct sim_fault *fault = &stream->dns->region->faults[SIM_DNS];
    size_t size = sim_fault_garbage(fault, bytes, sizeof bytes);
    stats_of(stream)->tls_failed++;
    sim_listen_write(conn, bytes, size, true);
}

/* False when the session is not, or no longer, one to read from. */
static bool shake_hands(struct sim_conn *conn, const struct sim_stream *stream)
{
    struct session *session = stream->tls;
    ERR_clear_error();
    int rc = SSL_do_handshake(session->ssl);
    bool failed = rc != 1 && SSL_get_error(session->ssl, rc) != SSL_ERROR_WANT_READ;
    flush(conn, session, failed);
    if (failed) {
        session->begun = false; /* counted here, and not once more at the end */
        stats_of(stream)->tls_failed++;
    }
    if (rc != 1) {
        return false;
    }
    session->done = true;
    stats_of(stream)->tls_handshakes++;
    stats_of(stream)->tls_resumed += SSL_session_reused(session->ssl) == 1 ? 1 : 0;
    return true;
}

static void read_all(struct sim_conn *conn, struct sim_stream *stream)
{
    struct session *session = stream->tls;
    uint8_t bytes[2048];
    int size;
    ERR_clear_error();
    while (!conn->closing && (size = SSL_read(session->ssl, bytes, sizeof bytes)) > 0) {
        size_t taken = 0;
        while (taken < (size_t)size && !conn->closing) {
            taken += sim_stream_take(stream, bytes + taken, (size_t)size - taken);
        }
    }
    if (!conn->closing) {
        /* The client's goodbye is answered with ours; an error with an alert. */
        flush(conn, session, SSL_get_shutdown(session->ssl) != 0);
    }
}

static void on_bytes(struct sim_conn *conn)
{
    struct sim_stream *stream = conn->attached;
    struct session *session = stream->tls;
    struct sim_asked asked = { .over = SIM_OVER_TLS };
    bool first = !session->begun;
    session->begun = true;
    (void)BIO_write(SSL_get_rbio(session->ssl), conn->input, (int)conn->input_size);
    sim_listen_take(conn, conn->input_size);
    if (session->silent || conn->listen->reach != SIM_OPEN) {
        (void)BIO_reset(SSL_get_rbio(session->ssl));
    } else if (first && sim_trick_use(tricks_of(stream), SIM_TRICK_TLSGARBAGE, &asked)) {
        session->silent = true;
        session->begun = false; /* counted already */
        answer_with_garbage(conn, stream);
    } else if (session->done || shake_hands(conn, stream)) {
        read_all(conn, stream);
    }
}

static void on_close(struct sim_conn *conn)
{
    struct sim_stream *stream = conn->attached;
    struct session *session = stream != NULL ? stream->tls : NULL;
    if (session != NULL) {
        stats_of(stream)->tls_failed += session->begun && !session->done ? 1 : 0;
        SSL_free(session->ssl);
        free(session);
    }
    sim_stream_free(stream);
}

int sim_tls_start(struct sim_tls *tls, struct sim_dns *dns, const struct sockaddr_storage *address)
{
    tls->dns = dns;
    tls->address = *address;
    int fd = sim_net_port(address) != 0 ? sim_net_bind(&tls->address, SOCK_STREAM)
                                        : sim_net_bind_free(&tls->address, SOCK_STREAM);
    if (fd < 0) {
        return fd;
    }
    tls->listen.owner = tls;
    tls->listen.on_open = on_open;
    tls->listen.on_bytes = on_bytes;
    tls->listen.on_close = on_close;
    tls->listen.on_send = on_send;
    return sim_listen_start(&tls->listen, &dns->region->later, fd);
}

void sim_tls_close(struct sim_tls *tls)
{
    sim_listen_close(&tls->listen);
}
