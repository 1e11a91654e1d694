#pragma once
/*
 * tls_library - OpenSSL, loaded when it is needed
 *
 * Nothing is linked with it: it takes some 5 MiB of memory, which most servers
 * would hold without having an upstream or a check over TLS. Any thread.
 */
#include <openssl/asn1.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "base/error.h"

/*
 * What we use of it. Its macros over these functions cannot be used: they name
 * the functions themselves.
 */
struct tls_library {
    /* SSL_CTX */
    __typeof__(TLS_client_method) *client_method;
    __typeof__(SSL_CTX_new) *context_new;
    __typeof__(SSL_CTX_free) *context_free;
    __typeof__(SSL_CTX_ctrl) *context_ctrl;
    __typeof__(SSL_CTX_set_options) *context_set_options;
    __typeof__(SSL_CTX_set_verify) *context_set_verify;
    __typeof__(SSL_CTX_set_cert_verify_callback) *context_set_cert_verify_callback;
    __typeof__(SSL_CTX_set_default_verify_paths) *context_set_default_verify_paths;
    __typeof__(SSL_CTX_load_verify_file) *context_load_verify_file;
    __typeof__(SSL_CTX_get0_param) *context_get0_param;
    __typeof__(SSL_CTX_sess_set_new_cb) *context_sess_set_new_cb;
    /* SSL */
    __typeof__(SSL_new) *ssl_new;
    __typeof__(SSL_free) *ssl_free;
    __typeof__(SSL_ctrl) *ssl_ctrl;
    __typeof__(SSL_set_ex_data) *ssl_set_ex_data;
    __typeof__(SSL_get_ex_data) *ssl_get_ex_data;
    __typeof__(SSL_set_bio) *ssl_set_bio;
    __typeof__(SSL_set_alpn_protos) *ssl_set_alpn_protos;
    __typeof__(SSL_set_connect_state) *ssl_set_connect_state;
    __typeof__(SSL_get0_param) *ssl_get0_param;
    __typeof__(SSL_get0_peer_certificate) *ssl_get0_peer_certificate;
    __typeof__(SSL_set_session) *ssl_set_session;
    __typeof__(SSL_session_reused) *ssl_session_reused;
    __typeof__(SSL_is_init_finished) *ssl_is_init_finished;
    __typeof__(SSL_do_handshake) *ssl_do_handshake;
    __typeof__(SSL_read) *ssl_read;
    __typeof__(SSL_write) *ssl_write;
    __typeof__(SSL_shutdown) *ssl_shutdown;
    __typeof__(SSL_set_shutdown) *ssl_set_shutdown;
    __typeof__(SSL_get_error) *ssl_get_error;
    __typeof__(SSL_get_verify_result) *ssl_get_verify_result;
    __typeof__(SSL_get_ex_data_X509_STORE_CTX_idx) *ssl_get_ex_data_x509_store_ctx_idx;
    __typeof__(SSL_SESSION_free) *session_free;
    /* certificates */
    __typeof__(X509_VERIFY_PARAM_set_flags) *param_set_flags;
    __typeof__(X509_VERIFY_PARAM_set_hostflags) *param_set_hostflags;
    __typeof__(X509_VERIFY_PARAM_set1_host) *param_set1_host;
    __typeof__(X509_VERIFY_PARAM_set1_ip_asc) *param_set1_ip_asc;
    __typeof__(X509_verify_cert) *verify_cert;
    __typeof__(X509_verify_cert_error_string) *verify_cert_error_string;
    __typeof__(X509_STORE_CTX_get_ex_data) *store_ctx_get_ex_data;
    __typeof__(X509_STORE_CTX_get0_cert) *store_ctx_get0_cert;
    __typeof__(X509_STORE_CTX_get0_chain) *store_ctx_get0_chain;
    __typeof__(X509_STORE_CTX_set_error) *store_ctx_set_error;
    __typeof__(X509_get_X509_PUBKEY) *get_pubkey;
    __typeof__(i2d_X509_PUBKEY) *i2d_pubkey;
    __typeof__(X509_get0_notAfter) *get0_not_after;
    __typeof__(ASN1_TIME_to_tm) *time_to_tm;
    __typeof__(OPENSSL_sk_num) *sk_num;
    __typeof__(OPENSSL_sk_value) *sk_value;
    __typeof__(SHA256) *sha256;
    /* bytes and errors */
    __typeof__(BIO_new) *bio_new;
    __typeof__(BIO_s_mem) *bio_s_mem;
    __typeof__(BIO_free) *bio_free;
    __typeof__(BIO_write) *bio_write;
    __typeof__(BIO_ctrl) *bio_ctrl;
    __typeof__(ERR_clear_error) *err_clear_error;
    __typeof__(ERR_peek_error) *err_peek_error;
    __typeof__(ERR_reason_error_string) *err_reason_error_string;
    __typeof__(OPENSSL_init_crypto) *init_crypto;
};

/*
 * Load the libraries, once: they stay until the program ends, and later calls
 * return the same table. Reads some MiB from disk. -errno, explained, when
 * they are not installed or are others; trying again is allowed.
 */
int tls_library_load(const struct tls_library **out, struct error *err);
