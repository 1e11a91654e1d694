#include "sim_cert.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#define DAY_S          (24L * 60 * 60)
#define X509_VERSION_3 2

struct identity {
    EVP_PKEY *key;
    X509 *cert;
};

/* What sets one kind of certificate apart. */
struct plan {
    const char *common_name;
    const char *alternative_names; /* NULL: an authority */
    long from_s;                   /* validity, from now */
    long until_s;
};

static void identity_fini(struct identity *identity)
{
    EVP_PKEY_free(identity->key);
    X509_free(identity->cert);
    *identity = (struct identity){ 0 };
}

static bool add_extension(X509 *cert, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, cert, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    bool good = extension != NULL && X509_add_ext(cert, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return good;
}

static bool add_extensions(X509 *cert, const struct plan *plan)
{
    if (plan->alternative_names == NULL) {
        return add_extension(cert, NID_basic_constraints, "critical,CA:TRUE") &&
               add_extension(cert, NID_key_usage, "critical,keyCertSign,cRLSign") &&
               add_extension(cert, NID_subject_key_identifier, "hash");
    }
    return add_extension(cert, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(cert, NID_subject_alt_name, plan->alternative_names);
}

static bool fill(X509 *cert, EVP_PKEY *key, const struct plan *plan, X509 *issuer)
{
    static long serial = 1;
    X509_NAME *subject = X509_get_subject_name(cert);
    return X509_set_version(cert, X509_VERSION_3) == 1 &&
           ASN1_INTEGER_set(X509_get_serialNumber(cert), serial++) == 1 &&
           X509_gmtime_adj(X509_getm_notBefore(cert), plan->from_s) != NULL &&
           X509_gmtime_adj(X509_getm_notAfter(cert), plan->until_s) != NULL &&
           X509_set_pubkey(cert, key) == 1 &&
           X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                                      (const unsigned char *)plan->common_name, -1, -1, 0) == 1 &&
           X509_set_issuer_name(cert, issuer != NULL ? X509_get_subject_name(issuer) : subject) ==
               1 &&
           add_extensions(cert, plan);
}

/* `issuer` NULL: it vouches for itself. */
static bool identity_init(struct identity *identity, const struct plan *plan,
                          const struct identity *issuer)
{
    identity->key = EVP_EC_gen("P-256");
    identity->cert = X509_new();
    return identity->key != NULL && identity->cert != NULL &&
           fill(identity->cert, identity->key, plan, issuer != NULL ? issuer->cert : NULL) &&
           X509_sign(identity->cert, issuer != NULL ? issuer->key : identity->key, EVP_sha256()) >
               0;
}

/* Takes the protocol of DNS over TLS when the client offers any. RFC 7858 has no need of it. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_size,
                   const unsigned char *offered, unsigned offered_size, void *data)
{
    static const unsigned char ours[] = { 3, 'd', 'o', 't' };
    unsigned char *picked;
    (void)ssl;
    (void)data;
    int rc = SSL_select_next_proto(&picked, out_size, ours, sizeof ours, offered, offered_size);
    *out = picked;
    return rc == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

/* Sessions live in the client's tickets only, so that refusing these is to forget all. */
static SSL_CTX *make_context(const struct identity *identity)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (context == NULL) {
        return NULL;
    }
    (void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_alpn_select_cb(context, on_alpn, NULL);
    if (SSL_CTX_use_certificate(context, identity->cert) != 1 ||
        SSL_CTX_use_PrivateKey(context, identity->key) != 1) {
        SSL_CTX_free(context);
        return NULL;
    }
    return context;
}

static FILE *create(const char *folder, const char *name)
{
    char path[4096];
    int size = snprintf(path, sizeof path, "%s/%s", folder, name);
    return size < (int)sizeof path ? fopen(path, "we") : NULL;
}

static bool write_authority(const char *folder, X509 *cert)
{
    FILE *file = create(folder, "ca.pem");
    if (file == NULL) {
        return false;
    }
    bool good = PEM_write_X509(file, cert) == 1;
    return fclose(file) == 0 && good;
}

static bool write_pin(const char *folder, EVP_PKEY *key)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    unsigned char text[64];
    unsigned char *der = NULL;
    int size = i2d_PUBKEY(key, &der);
    FILE *file = size > 0 ? create(folder, "pin") : NULL;
    if (file == NULL) {
        OPENSSL_free(der);
        return false;
    }
    SHA256(der, (size_t)size, digest);
    OPENSSL_free(der);
    (void)EVP_EncodeBlock(text, digest, sizeof digest);
    bool good = fprintf(file, "%s\n", text) > 0;
    return fclose(file) == 0 && good;
}

static bool init_kind(struct sim_certs *certs, enum sim_certificate kind, const struct plan *plan,
                      const struct identity *authority, const char *folder)
{
    struct identity identity = { 0 };
    bool good =
        identity_init(&identity, plan, kind == SIM_CERTIFICATE_SELFSIGNED ? NULL : authority);
    if (good && kind == SIM_CERTIFICATE_GOOD) {
        good = write_pin(folder, identity.key);
    }
    certs->contexts[kind] = good ? make_context(&identity) : NULL;
    identity_fini(&identity);
    return certs->contexts[kind] != NULL;
}

static bool init_kinds(struct sim_certs *certs, const char *folder, const char *name,
                       const char *names, const struct identity *authority)
{
    const struct plan plans[SIM_CERTIFICATES] = {
        [SIM_CERTIFICATE_GOOD] = { name, names, -DAY_S, 30 * DAY_S },
        [SIM_CERTIFICATE_EXPIRED] = { name, names, -30 * DAY_S, -DAY_S },
        [SIM_CERTIFICATE_FUTURE] = { name, names, 10 * DAY_S, 30 * DAY_S },
        [SIM_CERTIFICATE_WRONGNAME] = { "other.invalid", "DNS:other.invalid,IP:192.0.2.66", -DAY_S,
                                        30 * DAY_S },
        [SIM_CERTIFICATE_SELFSIGNED] = { name, names, -DAY_S, 30 * DAY_S },
    };
    for (unsigned i = 0; i < SIM_CERTIFICATES; i++) {
        if (!init_kind(certs, (enum sim_certificate)i, &plans[i], authority, folder)) {
            return false;
        }
    }
    return true;
}

const char *sim_certs_init(struct sim_certs *certs, const char *folder, const char *name,
                           const char *address)
{
    static const struct plan plan = { "leeward-region test authority", NULL, -60 * DAY_S,
                                      60 * DAY_S };
    struct identity authority = { 0 };
    const char *wrong = NULL;
    char names[512];
    int size = snprintf(names, sizeof names, "DNS:%s,IP:%s", name, address);
    if (size >= (int)sizeof names) {
        return "the name is too long for a certificate";
    }
    if (!identity_init(&authority, &plan, NULL)) {
        wrong = "the authority's certificate could not be made";
    } else if (!write_authority(folder, authority.cert)) {
        wrong = "ca.pem could not be written";
    } else if (!init_kinds(certs, folder, name, names, &authority)) {
        wrong = "the certificates could not be made";
    }
    identity_fini(&authority);
    return wrong;
}

void sim_certs_fini(struct sim_certs *certs)
{
    for (unsigned i = 0; i < SIM_CERTIFICATES; i++) {
        SSL_CTX_free(certs->contexts[i]);
        certs->contexts[i] = NULL;
    }
}
