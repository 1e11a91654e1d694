#include "base/tls_library.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* The ABI of the headers we are compiled with. */
#define CRYPTO "libcrypto.so.3"
#define SSL    "libssl.so.3"
#define HINT   "install OpenSSL 3 (Debian 12: libssl3)"

struct symbol {
    const char *name;
    size_t offset; /* in struct tls_library */
};

#define AT(member) offsetof(struct tls_library, member)

static const struct symbol crypto_symbols[] = {
    { "X509_VERIFY_PARAM_set_flags", AT(param_set_flags) },
    { "X509_VERIFY_PARAM_set_hostflags", AT(param_set_hostflags) },
    { "X509_VERIFY_PARAM_set1_host", AT(param_set1_host) },
    { "X509_VERIFY_PARAM_set1_ip_asc", AT(param_set1_ip_asc) },
    { "X509_verify_cert", AT(verify_cert) },
    { "X509_verify_cert_error_string", AT(verify_cert_error_string) },
    { "X509_STORE_CTX_get_ex_data", AT(store_ctx_get_ex_data) },
    { "X509_STORE_CTX_get0_cert", AT(store_ctx_get0_cert) },
    { "X509_STORE_CTX_get0_chain", AT(store_ctx_get0_chain) },
    { "X509_STORE_CTX_set_error", AT(store_ctx_set_error) },
    { "X509_get_X509_PUBKEY", AT(get_pubkey) },
    { "i2d_X509_PUBKEY", AT(i2d_pubkey) },
    { "X509_get0_notAfter", AT(get0_not_after) },
    { "ASN1_TIME_to_tm", AT(time_to_tm) },
    { "OPENSSL_sk_num", AT(sk_num) },
    { "OPENSSL_sk_value", AT(sk_value) },
    { "SHA256", AT(sha256) },
    { "BIO_new", AT(bio_new) },
    { "BIO_s_mem", AT(bio_s_mem) },
    { "BIO_free", AT(bio_free) },
    { "BIO_write", AT(bio_write) },
    { "BIO_ctrl", AT(bio_ctrl) },
    { "ERR_clear_error", AT(err_clear_error) },
    { "ERR_peek_error", AT(err_peek_error) },
    { "ERR_reason_error_string", AT(err_reason_error_string) },
    { "OPENSSL_init_crypto", AT(init_crypto) },
};

static const struct symbol ssl_symbols[] = {
    { "TLS_client_method", AT(client_method) },
    { "SSL_CTX_new", AT(context_new) },
    { "SSL_CTX_free", AT(context_free) },
    { "SSL_CTX_ctrl", AT(context_ctrl) },
    { "SSL_CTX_set_options", AT(context_set_options) },
    { "SSL_CTX_set_verify", AT(context_set_verify) },
    { "SSL_CTX_set_cert_verify_callback", AT(context_set_cert_verify_callback) },
    { "SSL_CTX_set_default_verify_paths", AT(context_set_default_verify_paths) },
    { "SSL_CTX_load_verify_file", AT(context_load_verify_file) },
    { "SSL_CTX_get0_param", AT(context_get0_param) },
    { "SSL_CTX_sess_set_new_cb", AT(context_sess_set_new_cb) },
    { "SSL_new", AT(ssl_new) },
    { "SSL_free", AT(ssl_free) },
    { "SSL_ctrl", AT(ssl_ctrl) },
    { "SSL_set_ex_data", AT(ssl_set_ex_data) },
    { "SSL_get_ex_data", AT(ssl_get_ex_data) },
    { "SSL_set_bio", AT(ssl_set_bio) },
    { "SSL_set_alpn_protos", AT(ssl_set_alpn_protos) },
    { "SSL_set_connect_state", AT(ssl_set_connect_state) },
    { "SSL_get0_param", AT(ssl_get0_param) },
    { "SSL_get0_peer_certificate", AT(ssl_get0_peer_certificate) },
    { "SSL_set_session", AT(ssl_set_session) },
    { "SSL_session_reused", AT(ssl_session_reused) },
    { "SSL_is_init_finished", AT(ssl_is_init_finished) },
    { "SSL_do_handshake", AT(ssl_do_handshake) },
    { "SSL_read", AT(ssl_read) },
    { "SSL_write", AT(ssl_write) },
    { "SSL_shutdown", AT(ssl_shutdown) },
    { "SSL_set_shutdown", AT(ssl_set_shutdown) },
    { "SSL_get_error", AT(ssl_get_error) },
    { "SSL_get_verify_result", AT(ssl_get_verify_result) },
    { "SSL_get_ex_data_X509_STORE_CTX_idx", AT(ssl_get_ex_data_x509_store_ctx_idx) },
    { "SSL_SESSION_free", AT(session_free) },
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void *crypto, *ssl; /* never closed: OpenSSL does not unload cleanly */
static struct tls_library functions;
static bool is_complete;

static int open_library(const char *name, void **library, struct error *err)
{
    if (*library == NULL) {
        *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    }
    if (*library == NULL) {
        const char *reason = dlerror();
        (void)error_set(err, -ELIBACC, "cannot load TLS: %s", reason != NULL ? reason : name);
        error_hint(err, HINT);
        return err->code;
    }
    return 0;
}

static int find_symbols(const char *name, void *library, const struct symbol *symbols, size_t count,
                        struct error *err)
{
    for (size_t i = 0; i < count; i++) {
        void *symbol = dlsym(library, symbols[i].name);
        if (symbol == NULL) {
            (void)error_set(err, -ENOSYS, "%s has no %s", name, symbols[i].name);
            error_hint(err, HINT);
            return err->code;
        }
        /* ISO C converts no pointer to data into one to a function; POSIX's have one size. */
        memcpy((char *)&functions + symbols[i].offset, &symbol, sizeof(symbol));
    }
    return 0;
}

static int load(struct error *err)
{
    int rc = open_library(CRYPTO, &crypto, err);

    if (rc == 0) {
        rc = open_library(SSL, &ssl, err);
    }
    if (rc == 0) {
        rc = find_symbols(CRYPTO, crypto, crypto_symbols,
                          sizeof(crypto_symbols) / sizeof(crypto_symbols[0]), err);
    }
    if (rc == 0) {
        rc = find_symbols(SSL, ssl, ssl_symbols, sizeof(ssl_symbols) / sizeof(ssl_symbols[0]), err);
    }
    if (rc == 0) {
        /* at exit a thread may still be in it */
        (void)functions.init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL);
        is_complete = true;
    }
    return rc;
}

int tls_library_load(const struct tls_library **out, struct error *err)
{
    int rc = 0;

    (void)pthread_mutex_lock(&lock);
    if (!is_complete) {
        rc = load(err);
    }
    (void)pthread_mutex_unlock(&lock);
    if (rc == 0) {
        *out = &functions;
    }
    return rc;
}
