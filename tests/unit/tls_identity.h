#pragma once
/*
 * tls_identity - certificates made when they are needed, and their keys
 *
 * cmocka.h must be included in front.
 */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "scratch.h"

#define DAY_S 86400L

struct identity {
    EVP_PKEY *key;
    X509 *certificate;
    uint8_t pin[32];
};

static inline void identity_extend(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;

    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

static inline void identity_find_pin(struct identity *identity)
{
    uint8_t *der = NULL;
    int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(identity->certificate), &der);

    assert_true(size > 0);
    (void)SHA256(der, (size_t)size, identity->pin);
    OPENSSL_free(der);
}

/* `issuer` NULL: signed with its own key; `names` NULL: an authority. */
static inline void identity_make(struct identity *identity, const struct identity *issuer,
                                 const char *subject, const char *names, long from_s, long to_s)
{
    static long serial;
    X509 *certificate = X509_new();
    X509_NAME *name = X509_get_subject_name(certificate);

    identity->key = EVP_EC_gen("P-256");
    identity->certificate = certificate;
    assert_non_null(identity->key);
    if (issuer == NULL) {
        issuer = identity;
    }
    (void)X509_set_version(certificate, 2);
    (void)ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
    (void)X509_gmtime_adj(X509_getm_notBefore(certificate), from_s);
    (void)X509_gmtime_adj(X509_getm_notAfter(certificate), to_s);
    (void)X509_set_pubkey(certificate, identity->key);
    (void)X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)subject, -1, -1, 0);
    (void)X509_set_issuer_name(certificate, X509_get_subject_name(issuer->certificate));
    identity_extend(certificate, issuer->certificate, NID_basic_constraints,
                    names == NULL ? "critical,CA:TRUE" : "critical,CA:FALSE");
    if (names != NULL) {
        identity_extend(certificate, issuer->certificate, NID_subject_alt_name, names);
    }
    assert_true(X509_sign(certificate, issuer->key, EVP_sha256()) > 0);
    identity_find_pin(identity);
}

/* As a file, whose path is put into `path`, 256 bytes. */
static inline void identity_write(struct scratch *scratch, const char *name, X509 *certificate,
                                  char *path)
{
    BIO *text = BIO_new(BIO_s_mem());
    char *bytes = NULL;

    assert_int_equal(PEM_write_bio_X509(text, certificate), 1);
    long size = BIO_get_mem_data(text, &bytes);
    strcpy(path, scratch_write_bytes(scratch, name, bytes, (size_t)size));
    BIO_free(text);
}

static inline void identity_free(struct identity *identity)
{
    X509_free(identity->certificate);
    EVP_PKEY_free(identity->key);
}
