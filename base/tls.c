#include "base/tls.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/addr.h"
#include "base/tls_library.h"
#include "base/tls_pins.h"

#define REFRESH_MS     (24u * 3600u * 1000u) /* authorities are loaded anew */
#define DOUBT_MS       60000u                /* and after one that is not among them */
#define NAME_MAX_BYTES 256

struct tls_context {
    unsigned owners; /* targets and streams; the list is none */
    struct tls_context *next, **link;
    bool kept; /* the list owns it too */
    SSL_CTX *ssl_context;
    char *ca_file;        /* NULL: the system's, or none */
    bool has_authorities; /* false: pins alone decide */
    bool doubted;         /* a certificate was signed by none of them */
    uint64_t loaded_ms;
};

struct tls {
    struct tls_context *context;
    const struct tls_settings *settings;
    struct tls_ticket *ticket;
    SSL *ssl;
    BIO *input, *output; /* the SSL's */
    bool offered;
    bool open;
    bool unpinned;
    const char *text;
};

/* set with the first context of each loop, always to the same */
static const struct tls_library *_Atomic library;

/* ---- the judgement of a certificate ---- */

static int on_certificate(X509_STORE_CTX *store, void *unused)
{
    SSL *ssl = library->store_ctx_get_ex_data(store, library->ssl_get_ex_data_x509_store_ctx_idx());
    struct tls *tls = library->ssl_get_ex_data(ssl, 0);
    bool named = tls->settings->name != NULL;
    bool pinned = true;

    (void)unused;
    if (tls->settings->unverified) {
        library->store_ctx_set_error(store, X509_V_OK);
        return 1;
    }
    if (named && library->verify_cert(store) <= 0) {
        return 0;
    }
    if (tls->settings->pin_count > 0) {
        /* the key of the stream itself is proved by the handshake, the others by the chain */
        pinned = named
                     ? tls_pins_match_chain(library, tls->settings, store)
                     : tls_pins_match(library, tls->settings, library->store_ctx_get0_cert(store));
    }
    if (!pinned || (!named && tls->settings->pin_count == 0)) {
        tls->unpinned = true;
        library->store_ctx_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
        return 0;
    }
    library->store_ctx_set_error(store, X509_V_OK);
    return 1;
}

/* ---- sessions ---- */

/* With TLS 1.3 this is called long after the handshake, more than once. True: it is ours now. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls *tls = library->ssl_get_ex_data(ssl, 0);

    if (tls->ticket == NULL) {
        return 0;
    }
    tls_ticket_clear(tls->ticket);
    tls->ticket->session = session;
    return 1;
}

void tls_ticket_clear(struct tls_ticket *ticket)
{
    if (ticket->session != NULL) {
        library->session_free(ticket->session);
        ticket->session = NULL;
    }
}

/* ---- authorities ---- */

static void set_options(SSL_CTX *context)
{
    (void)library->context_ctrl(context, SSL_CTRL_SET_MIN_PROTO_VERSION, TLS1_2_VERSION, NULL);
    /* an idle stream holds half the memory */
    (void)library->context_ctrl(context, SSL_CTRL_MODE, SSL_MODE_RELEASE_BUFFERS, NULL);
    (void)library->context_ctrl(context, SSL_CTRL_SET_SESS_CACHE_MODE,
                                SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL, NULL);
    library->context_sess_set_new_cb(context, on_session);
    (void)library->context_set_options(context, SSL_OP_NO_RENEGOTIATION);
    library->context_set_verify(context, SSL_VERIFY_PEER, NULL);
    library->context_set_cert_verify_callback(context, on_certificate, NULL);
    /* one that the operator names is trusted, be it a root or not */
    (void)library->param_set_flags(library->context_get0_param(context), X509_V_FLAG_PARTIAL_CHAIN);
}

static int load_authorities(struct tls_context *context, struct error *err)
{
    SSL_CTX *ssl_context = context->ssl_context;

    if (!context->has_authorities) {
        return 0;
    }
    library->err_clear_error();
    int loaded = context->ca_file != NULL
                     ? library->context_load_verify_file(ssl_context, context->ca_file)
                     : library->context_set_default_verify_paths(ssl_context);
    if (loaded == 1) {
        return 0;
    }
    unsigned long code = library->err_peek_error();
    const char *reason = ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code))
                                                : library->err_reason_error_string(code);
    const char *file = context->ca_file != NULL ? context->ca_file : "those of the system";
    library->err_clear_error();
    return error_set(err, -ENOENT, "cannot load the trusted authorities, %s: %s", file,
                     reason != NULL ? reason : "nothing is known about why");
}

/* Pins alone need none, and a certificate that is not judged needs none. */
static bool needs_authorities(const struct tls_settings *settings)
{
    return settings->name != NULL && !settings->unverified;
}

static void free_context(struct tls_context *context)
{
    library->context_free(context->ssl_context); /* NULL is fine */
    free(context->ca_file);
    free(context);
}

/* NULL, explained, when there is no memory or nothing to load. */
static struct tls_context *load_context(const struct tls_settings *settings, uint64_t now_ms,
                                        struct error *err)
{
    struct tls_context *context = calloc(1, sizeof(*context));
    bool has_authorities = needs_authorities(settings);
    bool from_file = has_authorities && settings->ca_file != NULL;

    if (context == NULL) {
        (void)error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    context->loaded_ms = now_ms;
    context->has_authorities = has_authorities;
    context->ca_file = from_file ? strdup(settings->ca_file) : NULL;
    library->err_clear_error();
    context->ssl_context = library->context_new(library->client_method());
    if (context->ssl_context == NULL || (from_file && context->ca_file == NULL)) {
        (void)error_set(err, -ENOMEM, "out of memory for TLS");
        free_context(context);
        return NULL;
    }
    set_options(context->ssl_context);
    if (load_authorities(context, err) < 0) {
        free_context(context);
        return NULL;
    }
    return context;
}

static void link_context(struct tls_contexts *contexts, struct tls_context *context)
{
    context->next = contexts->first;
    if (context->next != NULL) {
        context->next->link = &context->next;
    }
    context->link = &contexts->first;
    contexts->first = context;
    context->kept = contexts->keeps;
    context->owners += contexts->keeps;
}

static void unlink_context(struct tls_context *context)
{
    if (context->link != NULL) {
        *context->link = context->next;
        if (context->next != NULL) {
            context->next->link = context->link;
        }
        context->link = NULL;
    }
}

/* Take it off the list, which then owns it no longer. */
static void drop_context(struct tls_context *context)
{
    unlink_context(context);
    if (context->kept) {
        context->kept = false;
        tls_context_unref(context);
    }
}

/* Those that the list alone has kept for a day: nobody asks for them any more. */
static void drop_unused(struct tls_contexts *contexts, uint64_t now_ms)
{
    struct tls_context *next;

    for (struct tls_context *at = contexts->first; at != NULL; at = next) {
        next = at->next;
        if (at->kept && at->owners == 1 && now_ms - at->loaded_ms >= 2ull * REFRESH_MS) {
            drop_context(at);
        }
    }
}

static bool is_for(const struct tls_context *context, const struct tls_settings *settings)
{
    if (context->has_authorities != needs_authorities(settings)) {
        return false;
    }
    if (!context->has_authorities || context->ca_file == NULL || settings->ca_file == NULL) {
        return !context->has_authorities || context->ca_file == settings->ca_file;
    }
    return strcmp(context->ca_file, settings->ca_file) == 0;
}

static bool is_due(const struct tls_context *context, uint64_t now_ms)
{
    return now_ms - context->loaded_ms >= (context->doubted ? DOUBT_MS : REFRESH_MS);
}

/* What was trusted so far stays when it cannot be loaded again. */
static struct tls_context *renew(struct tls_contexts *contexts, struct tls_context *old,
                                 const struct tls_settings *settings, uint64_t now_ms)
{
    struct error err;
    struct tls_context *fresh = load_context(settings, now_ms, &err);

    if (fresh == NULL) {
        old->loaded_ms = now_ms;
        return old;
    }
    drop_context(old);
    drop_unused(contexts, now_ms);
    link_context(contexts, fresh);
    return fresh;
}

static int find_library(struct error *err)
{
    const struct tls_library *loaded;

    if (library == NULL) {
        if (tls_library_load(&loaded, err) < 0) {
            return err->code;
        }
        library = loaded;
    }
    return 0;
}

int tls_context_find(struct tls_contexts *contexts, const struct tls_settings *settings,
                     uint64_t now_ms, struct tls_context **out, struct error *err)
{
    struct tls_context *found = contexts->first;

    if (find_library(err) < 0) {
        return err->code;
    }
    while (found != NULL && !is_for(found, settings)) {
        found = found->next;
    }
    if (found == NULL) {
        found = load_context(settings, now_ms, err);
        if (found == NULL) {
            return err->code;
        }
        drop_unused(contexts, now_ms);
        link_context(contexts, found);
    } else if (is_due(found, now_ms)) {
        found = renew(contexts, found, settings, now_ms);
    }
    found->owners++;
    *out = found;
    return 0;
}

void tls_context_unref(struct tls_context *context)
{
    if (context != NULL && --context->owners == 0) {
        unlink_context(context);
        free_context(context);
    }
}

void tls_contexts_clear(struct tls_contexts *contexts)
{
    while (contexts->first != NULL) {
        drop_context(contexts->first);
    }
}

/* ---- streams ---- */

/* The name without the dot at its end; false when it is too long for a name. */
static bool host_name(const char *name, char *out)
{
    size_t length = strlen(name);

    if (length > 0 && name[length - 1] == '.') {
        length--;
    }
    if (length >= NAME_MAX_BYTES) {
        return false;
    }
    memcpy(out, name, length);
    out[length] = '\0';
    return true;
}

/* Whom to expect at the other end; without verification it is told only. */
static bool expect_name(SSL *ssl, const struct tls_settings *settings)
{
    X509_VERIFY_PARAM *param = library->ssl_get0_param(ssl);
    char host[NAME_MAX_BYTES];

    if (!host_name(settings->name, host)) {
        return false;
    }
    if (library->param_set1_ip_asc(param, host) == 1) {
        return true; /* an address is never told to the server: RFC 6066, section 3 */
    }
    library->err_clear_error();
    library->param_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return library->param_set1_host(param, host, 0) == 1 &&
           library->ssl_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, host) ==
               1;
}

static bool offer_protocol(SSL *ssl, const char *protocol)
{
    uint8_t list[256];
    size_t length = strlen(protocol);

    if (length == 0 || length >= sizeof(list)) {
        return false;
    }
    list[0] = (uint8_t)length;
    memcpy(list + 1, protocol, length);
    return library->ssl_set_alpn_protos(ssl, list, (unsigned)length + 1) == 0;
}

/* What is said in the first message of all. */
static bool introduce(struct tls *tls)
{
    const struct tls_settings *settings = tls->settings;

    return (settings->name == NULL || expect_name(tls->ssl, settings)) &&
           (settings->protocol == NULL || offer_protocol(tls->ssl, settings->protocol));
}

static bool prepare(struct tls *tls)
{
    library->err_clear_error();
    tls->ssl = library->ssl_new(tls->context->ssl_context);
    if (tls->ssl == NULL) {
        return false;
    }
    tls->input = library->bio_new(library->bio_s_mem());
    tls->output = library->bio_new(library->bio_s_mem());
    if (tls->input == NULL || tls->output == NULL) {
        (void)library->bio_free(tls->input);
        (void)library->bio_free(tls->output);
        return false;
    }
    library->ssl_set_bio(tls->ssl, tls->input, tls->output);
    library->ssl_set_connect_state(tls->ssl);
    if (library->ssl_set_ex_data(tls->ssl, 0, tls) != 1 || !introduce(tls)) {
        return false;
    }
    tls->offered = tls->ticket != NULL && tls->ticket->session != NULL &&
                   library->ssl_set_session(tls->ssl, tls->ticket->session) == 1;
    return true;
}

struct tls *tls_new(struct tls_context *context, const struct tls_settings *settings,
                    struct tls_ticket *ticket)
{
    struct tls *tls = calloc(1, sizeof(*tls));

    if (tls == NULL) {
        return NULL;
    }
    tls->context = context;
    tls->settings = settings;
    tls->ticket = ticket;
    tls->text = "closed by the upstream";
    context->owners++;
    if (!prepare(tls)) {
        tls_free(tls);
        return NULL;
    }
    (void)library->ssl_do_handshake(tls->ssl); /* makes its first bytes, then waits */
    return tls;
}

void tls_free(struct tls *tls)
{
    if (tls == NULL) {
        return;
    }
    if (tls->ssl != NULL) {
        /* else a session that ends without the last words could not be resumed */
        library->ssl_set_shutdown(tls->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
        library->ssl_free(tls->ssl);
    }
    tls_context_unref(tls->context);
    free(tls);
}

int tls_feed(struct tls *tls, const uint8_t *bytes, size_t size)
{
    REQUIRE(size <= INT_MAX);
    library->err_clear_error();
    return library->bio_write(tls->input, bytes, (int)size) == (int)size ? 0 : -ENOMEM;
}

/* What OpenSSL thinks of a certificate, in the words of an operator. */
static const char *refusal(struct tls *tls, long result)
{
    switch (result) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return "certificate has expired";
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return "certificate is not valid yet";
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return "certificate is for another name";
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
    case X509_V_ERR_CERT_UNTRUSTED:
        tls->context->doubted = true;
        return "certificate is not signed by a trusted authority";
    default:
        return library->verify_cert_error_string(result);
    }
}

/* The stream is over: why? */
static int explain(struct tls *tls)
{
    unsigned long code = library->err_peek_error();
    long result = library->ssl_get_verify_result(tls->ssl);

    if (tls->unpinned) {
        tls->text = "public key is not pinned";
        return -EKEYREJECTED;
    }
    if (!tls->open && result != X509_V_OK) {
        tls->text = refusal(tls, result);
        return -EKEYREJECTED;
    }
    const char *reason = library->err_reason_error_string(code);
    if (ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == SSL_R_WRONG_VERSION_NUMBER) {
        reason = "it does not speak TLS there";
    } else if (ERR_GET_LIB(code) == ERR_LIB_SSL &&
               ERR_GET_REASON(code) == SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL) {
        reason = "it does not speak this protocol there";
    }
    tls->text = reason != NULL ? reason : "the TLS stream is damaged";
    return -EPROTO;
}

/* What a call that did not succeed means. */
static int outcome(struct tls *tls, int result)
{
    switch (library->ssl_get_error(tls->ssl, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return 0;
    case SSL_ERROR_ZERO_RETURN:
        return -ESHUTDOWN;
    default:
        return explain(tls);
    }
}

int tls_handshake(struct tls *tls)
{
    library->err_clear_error();
    int result = library->ssl_do_handshake(tls->ssl);
    if (result == 1) {
        tls->open = true;
        return 1;
    }
    return outcome(tls, result);
}

int tls_read(struct tls *tls, uint8_t *out, size_t cap)
{
    int size = (int)(cap < INT_MAX ? cap : INT_MAX);

    library->err_clear_error();
    int got = library->ssl_read(tls->ssl, out, size);
    tls->open = tls->open || library->ssl_is_init_finished(tls->ssl) == 1;
    return got > 0 ? got : outcome(tls, got);
}

int tls_write(struct tls *tls, const uint8_t *bytes, size_t size)
{
    REQUIRE(tls->open && size <= INT_MAX);
    library->err_clear_error();
    /* into memory: it takes all or has failed */
    return library->ssl_write(tls->ssl, bytes, (int)size) == (int)size ? 0 : explain(tls);
}

size_t tls_output(struct tls *tls, const uint8_t **out)
{
    char *bytes = NULL;
    long size = library->bio_ctrl(tls->output, BIO_CTRL_INFO, 0, &bytes);

    *out = (const uint8_t *)bytes;
    return size > 0 ? (size_t)size : 0;
}

void tls_output_sent(struct tls *tls)
{
    (void)library->bio_ctrl(tls->output, BIO_CTRL_RESET, 0, NULL);
}

void tls_shutdown(struct tls *tls)
{
    if (tls->open) {
        library->err_clear_error();
        (void)library->ssl_shutdown(tls->ssl);
    }
}

bool tls_is_open(const struct tls *tls)
{
    return tls->open;
}

bool tls_is_resumed(const struct tls *tls)
{
    return tls->open && library->ssl_session_reused(tls->ssl) == 1;
}

bool tls_offered_ticket(const struct tls *tls)
{
    return tls->offered;
}

bool tls_seconds_left(const struct tls *tls, int64_t now_s, int64_t *out_s)
{
    X509 *certificate = library->ssl_get0_peer_certificate(tls->ssl);
    struct tm end;

    if (certificate == NULL ||
        library->time_to_tm(library->get0_not_after(certificate), &end) != 1) {
        return false;
    }
    *out_s = (int64_t)timegm(&end) - now_s;
    return true;
}

const char *tls_text(const struct tls *tls)
{
    return tls->text;
}
