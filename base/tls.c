/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tls.h"

#include "base/assert.h"
#include "base/rng.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define TLS12_CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20"
#define TLS_GROUPS "X25519:P-256"
#define SELF_SIGNED_DAYS 3650L
#define BIO_KEEP_BYTES 4096U

struct vy_tls_context {
    atomic_uint refs; /* the holder's and one of each stream: the ALPN callback looks in here */
    SSL_CTX *ssl;     /* owned */
    bool is_client;
    uint8_t alpn[32]; /* wire form: length, name */
    unsigned alpn_len;
};

struct vy_tls {
    struct vy_tls_context *context; /* holds a reference */
    SSL *ssl;                       /* owned */
    BIO *incoming;                  /* owned by ssl */
    BIO *outgoing;                  /* owned by ssl */
    bool is_closed;                 /* close_notify came, or a fatal error */
};

/* The error queue is emptied here, so that no old entry speaks for a later call. */
static struct vy_err tls_error(enum vy_code code, const char *what)
{
    ERR_clear_error();
    return vy_error(code, what);
}

static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                       const unsigned char *in, unsigned in_len, void *arg)
{
    (void)ssl;
    const struct vy_tls_context *context = arg;
    unsigned char *chosen = NULL;
    if (SSL_select_next_proto(&chosen, out_len, context->alpn, context->alpn_len, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED) {
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static struct vy_err set_alpn(struct vy_tls_context *context, const char *alpn)
{
    const size_t len = strlen(alpn);
    if (len == 0 || len >= sizeof(context->alpn)) {
        return vy_error(VY_CODE_ARGUMENT, "ALPN name");
    }
    context->alpn[0] = (uint8_t)len;
    memcpy(context->alpn + 1, alpn, len);
    context->alpn_len = (unsigned)len + 1;
    if (context->is_client) {
        SSL_CTX_set_alpn_protos(context->ssl, context->alpn, context->alpn_len);
    } else {
        SSL_CTX_set_alpn_select_cb(context->ssl, choose_alpn, context);
    }
    return vy_ok();
}

/* C2: a key that others can read is no key. */
static struct vy_err check_key_file(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        return vy_error_sys(errno == ENOENT ? VY_CODE_NOT_FOUND : VY_CODE_IO, errno,
                            "TLS key file");
    }
    if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        return vy_error(VY_CODE_DENIED, "TLS key file is readable by others: chmod 0600 it");
    }
    return vy_ok();
}

static struct vy_err load_identity(struct vy_tls_context *context,
                                   const struct vy_tls_config *config)
{
    if (config->certificate_file == NULL) {
        return context->is_client ? vy_ok()
                                  : vy_error(VY_CODE_ARGUMENT, "TLS server without certificate");
    }
    VY_TRY(check_key_file(config->key_file));
    if (SSL_CTX_use_certificate_chain_file(context->ssl, config->certificate_file) != 1) {
        return tls_error(VY_CODE_CORRUPT, "TLS certificate file is not readable PEM");
    }
    if (SSL_CTX_use_PrivateKey_file(context->ssl, config->key_file, SSL_FILETYPE_PEM) != 1) {
        return tls_error(VY_CODE_CORRUPT, "TLS key file is not readable PEM");
    }
    if (SSL_CTX_check_private_key(context->ssl) != 1) {
        return tls_error(VY_CODE_CORRUPT, "TLS key is not the certificate's");
    }
    if (X509_cmp_current_time(X509_get0_notAfter(SSL_CTX_get0_certificate(context->ssl))) < 0) {
        return vy_error(VY_CODE_CORRUPT, "TLS certificate has expired");
    }
    return vy_ok();
}

static struct vy_err load_ca(struct vy_tls_context *context, const char *ca_file)
{
    if (SSL_CTX_load_verify_locations(context->ssl, ca_file, NULL) != 1) {
        return tls_error(VY_CODE_CORRUPT, "TLS CA file is not readable PEM");
    }
    SSL_CTX_set_verify(context->ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return vy_ok();
}

static struct vy_err configure(struct vy_tls_context *context, const struct vy_tls_config *config)
{
    SSL_CTX *ssl = context->ssl;
    SSL_CTX_set_min_proto_version(ssl, config->is_tls13_only ? TLS1_3_VERSION : TLS1_2_VERSION);
    SSL_CTX_set_options(ssl, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(ssl, 0);
    /* Idle connections hold no record buffers. */
    SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY);
    if (SSL_CTX_set_cipher_list(ssl, TLS12_CIPHERS) != 1 ||
        SSL_CTX_set1_groups_list(ssl, TLS_GROUPS) != 1) {
        return tls_error(VY_CODE_INTERNAL, "TLS ciphers");
    }
    VY_TRY(load_identity(context, config));
    if (config->ca_file != NULL) {
        VY_TRY(load_ca(context, config->ca_file));
    }
    return config->alpn == NULL ? vy_ok() : set_alpn(context, config->alpn);
}

static struct vy_err context_new(const struct vy_tls_config *config, bool is_client,
                                 struct vy_tls_context **out)
{
    struct vy_tls_context *context = calloc(1, sizeof(*context));
    if (context == NULL) {
        return vy_error(VY_CODE_NOMEM, "TLS context");
    }
    atomic_init(&context->refs, 1);
    context->is_client = is_client;
    context->ssl = SSL_CTX_new(is_client ? TLS_client_method() : TLS_server_method());
    if (context->ssl == NULL) {
        free(context);
        return tls_error(VY_CODE_NOMEM, "TLS context");
    }
    const struct vy_err err = configure(context, config);
    if (vy_failed(err)) {
        vy_tls_context_free(context);
        return err;
    }
    *out = context;
    return vy_ok();
}

struct vy_err vy_tls_context_new_server(const struct vy_tls_config *config,
                                        struct vy_tls_context **out)
{
    return context_new(config, false, out);
}

struct vy_err vy_tls_context_new_client(const struct vy_tls_config *config,
                                        struct vy_tls_context **out)
{
    return context_new(config, true, out);
}

void vy_tls_context_free(struct vy_tls_context *context)
{
    if (context == NULL || atomic_fetch_sub(&context->refs, 1) > 1) {
        return;
    }
    SSL_CTX_free(context->ssl);
    free(context);
}

uint64_t vy_tls_context_expiry_ms(const struct vy_tls_context *context)
{
    const X509 *certificate = SSL_CTX_get0_certificate(context->ssl);
    struct tm tm;
    if (certificate == NULL || ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &tm) != 1) {
        return 0;
    }
    const time_t at = timegm(&tm);
    return at < 0 ? 0 : (uint64_t)at * 1000U;
}

/* ---- a certificate for development ---- */

static struct vy_err add_names(X509 *certificate, const char *names)
{
    char list[1024];
    size_t len = 0;
    struct vy_bytes rest = vy_cstr(names);
    while (rest.len > 0) {
        const struct vy_bytes name = vy_bytes_trim(vy_bytes_cut(&rest, ','));
        uint32_t number = 0;
        struct vy_bytes last = name;
        while (vy_bytes_find_byte(last, '.', 0) != SIZE_MAX) {
            (void)vy_bytes_cut(&last, '.');
        }
        const bool is_ip =
            vy_bytes_find_byte(name, ':', 0) != SIZE_MAX || vy_parse_u32(last, &number);
        const int wrote = snprintf(list + len, sizeof(list) - len, "%s%s:%.*s", len == 0 ? "" : ",",
                                   is_ip ? "IP" : "DNS", VY_PRI(name));
        if (wrote < 0 || (size_t)wrote >= sizeof(list) - len) {
            return vy_error(VY_CODE_LIMIT, "certificate names");
        }
        len += (size_t)wrote;
    }
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, list);
    const bool added = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return added ? vy_ok() : tls_error(VY_CODE_ARGUMENT, "certificate names");
}

static struct vy_err fill_certificate(X509 *certificate, EVP_PKEY *key, const char *names)
{
    const uint64_t serial = vy_rng_u64(vy_rng_system());
    X509_NAME *subject = X509_get_subject_name(certificate);
    if (ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial >> 1) != 1 ||
        X509_set_version(certificate, 2) != 1 ||
        X509_gmtime_adj(X509_getm_notBefore(certificate), -3600) == NULL ||
        X509_gmtime_adj(X509_getm_notAfter(certificate), SELF_SIGNED_DAYS * 24 * 3600) == NULL ||
        X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                                   (const unsigned char *)"Volary development", -1, -1, 0) != 1 ||
        X509_set_issuer_name(certificate, subject) != 1 || X509_set_pubkey(certificate, key) != 1) {
        return tls_error(VY_CODE_NOMEM, "certificate");
    }
    VY_TRY(add_names(certificate, names));
    return X509_sign(certificate, key, EVP_sha256()) > 0
               ? vy_ok()
               : tls_error(VY_CODE_INTERNAL, "certificate");
}

/* Whole and on disk before it has its name: a power cut leaves no half file, which would keep the
 * next start from making another. */
static struct vy_err write_pem(const char *path, mode_t mode, const X509 *certificate,
                               const EVP_PKEY *key)
{
    char draft[PATH_MAX];
    if ((size_t)snprintf(draft, sizeof(draft), "%s.new", path) >= sizeof(draft)) {
        return vy_error(VY_CODE_ARGUMENT, "path of the development certificate");
    }
    const int fd = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
    FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
    bool wrote = out != NULL &&
                 (key == NULL ? PEM_write_X509(out, certificate)
                              : PEM_write_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL)) == 1;
    wrote = wrote && fflush(out) == 0 && fsync(fd) == 0;
    if (out != NULL) {
        wrote = fclose(out) == 0 && wrote;
    }
    return wrote && rename(draft, path) == 0
               ? vy_ok()
               : vy_error_sys(VY_CODE_IO, errno, "writing the development certificate");
}

struct vy_err vy_tls_write_self_signed(const char *certificate_file, const char *key_file,
                                       const char *names)
{
    if (access(certificate_file, R_OK) == 0 && access(key_file, R_OK) == 0) {
        return vy_ok();
    }
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    struct vy_err err = key == NULL || certificate == NULL
                            ? tls_error(VY_CODE_NOMEM, "certificate")
                            : fill_certificate(certificate, key, names);
    if (!vy_failed(err)) {
        err = write_pem(key_file, 0600, certificate, key);
    }
    if (!vy_failed(err)) {
        err = write_pem(certificate_file, 0644, certificate, NULL);
    }
    X509_free(certificate);
    EVP_PKEY_free(key);
    return err;
}

/* ---- streams ---- */

struct vy_err vy_tls_new(struct vy_tls_context *context, struct vy_tls **out)
{
    struct vy_tls *tls = calloc(1, sizeof(*tls));
    if (tls == NULL) {
        return vy_error(VY_CODE_NOMEM, "TLS stream");
    }
    tls->ssl = SSL_new(context->ssl);
    tls->incoming = BIO_new(BIO_s_mem());
    tls->outgoing = BIO_new(BIO_s_mem());
    if (tls->ssl == NULL || tls->incoming == NULL || tls->outgoing == NULL) {
        BIO_free(tls->incoming);
        BIO_free(tls->outgoing);
        SSL_free(tls->ssl);
        free(tls);
        return tls_error(VY_CODE_NOMEM, "TLS stream");
    }
    tls->context = context;
    (void)atomic_fetch_add(&context->refs, 1);
    SSL_set_bio(tls->ssl, tls->incoming, tls->outgoing);
    if (context->is_client) {
        SSL_set_connect_state(tls->ssl);
        (void)SSL_do_handshake(tls->ssl); /* queues the ClientHello */
        ERR_clear_error();
    } else {
        SSL_set_accept_state(tls->ssl);
    }
    *out = tls;
    return vy_ok();
}

void vy_tls_free(struct vy_tls *tls)
{
    if (tls == NULL) {
        return;
    }
    SSL_free(tls->ssl);
    vy_tls_context_free(tls->context);
    free(tls);
}

/* What an SSL call's failure means: nothing (wants more), the peer's close, or death of the stream.
 */
static struct vy_err check_result(struct vy_tls *tls, int result, const char *what)
{
    const int reason = SSL_get_error(tls->ssl, result);
    if (reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE) {
        ERR_clear_error();
        return vy_ok();
    }
    tls->is_closed = true;
    return reason == SSL_ERROR_ZERO_RETURN ? vy_ok() : tls_error(VY_CODE_CORRUPT, what);
}

struct vy_err vy_tls_receive(struct vy_tls *tls, struct vy_bytes ciphertext)
{
    VY_ASSERT(ciphertext.len <= INT32_MAX);
    if (ciphertext.len > 0 &&
        BIO_write(tls->incoming, ciphertext.data, (int)ciphertext.len) != (int)ciphertext.len) {
        tls->is_closed = true;
        return tls_error(VY_CODE_NOMEM, "TLS input");
    }
    if (SSL_is_init_finished(tls->ssl)) {
        return vy_ok();
    }
    const int result = SSL_do_handshake(tls->ssl);
    return result == 1 ? vy_ok() : check_result(tls, result, "TLS handshake");
}

bool vy_tls_is_established(const struct vy_tls *tls)
{
    return SSL_is_init_finished(tls->ssl) == 1;
}

/* A memory BIO keeps the most it ever held; what is idle shall not. */
static void shrink_bio(BIO *bio)
{
    BUF_MEM *held = NULL;
    if (BIO_ctrl_pending(bio) > 0 || BIO_get_mem_ptr(bio, &held) <= 0 ||
        held->max <= BIO_KEEP_BYTES) {
        return;
    }
    BUF_MEM *empty = BUF_MEM_new();
    if (empty != NULL) {
        (void)BIO_set_mem_buf(bio, empty, BIO_CLOSE); /* frees the old one */
    }
}

struct vy_err vy_tls_read(struct vy_tls *tls, uint8_t *out, size_t size, size_t *out_len)
{
    *out_len = 0;
    if (tls->is_closed || !vy_tls_is_established(tls)) {
        return vy_ok();
    }
    const int result = SSL_read(tls->ssl, out, (int)VY_MIN(size, (size_t)INT32_MAX));
    if (result > 0) {
        *out_len = (size_t)result;
        return vy_ok();
    }
    shrink_bio(tls->incoming);
    return check_result(tls, result, "TLS record");
}

bool vy_tls_is_closed(const struct vy_tls *tls)
{
    return tls->is_closed;
}

struct vy_err vy_tls_write(struct vy_tls *tls, struct vy_bytes plaintext)
{
    if (plaintext.len == 0) {
        return vy_ok();
    }
    VY_ASSERT(plaintext.len <= INT32_MAX);
    const int result = SSL_write(tls->ssl, plaintext.data, (int)plaintext.len);
    if (result == (int)plaintext.len) {
        return vy_ok(); /* a memory BIO takes everything or fails */
    }
    tls->is_closed = true;
    return tls_error(VY_CODE_CLOSED, "TLS write");
}

void vy_tls_take(struct vy_tls *tls, struct vy_buf *out)
{
    const size_t pending = BIO_ctrl_pending(tls->outgoing);
    if (pending == 0) {
        return;
    }
    uint8_t *room = vy_buf_reserve(out, pending);
    if (room == NULL) {
        return; /* the buffer is marked failed */
    }
    const int got = BIO_read(tls->outgoing, room, (int)pending);
    vy_buf_added(out, got > 0 ? (size_t)got : 0);
    shrink_bio(tls->outgoing);
}

void vy_tls_close(struct vy_tls *tls)
{
    if (!tls->is_closed && vy_tls_is_established(tls)) {
        (void)SSL_shutdown(tls->ssl);
        ERR_clear_error();
    }
}

void vy_tls_describe(const struct vy_tls *tls, char *out, size_t size)
{
    (void)snprintf(out, size, "%s %s", SSL_get_version(tls->ssl), SSL_get_cipher_name(tls->ssl));
}

bool vy_tls_exporter(const struct vy_tls *tls, uint8_t out[32])
{
    static const char label[] = "EXPORTER-Channel-Binding";
    const bool ok = SSL_version(tls->ssl) == TLS1_3_VERSION &&
                    SSL_export_keying_material(tls->ssl, out, 32, label, sizeof(label) - 1,
                                               (const unsigned char *)"", 0, 1) == 1;
    ERR_clear_error();
    return ok;
}

/* RFC 5929 section 4.1: the hash of the certificate's signature, but SHA-256 for MD5 and SHA-1. */
bool vy_tls_end_point(const struct vy_tls *tls, uint8_t out[64], size_t *out_len)
{
    const X509 *certificate = SSL_get_certificate(tls->ssl);
    int digest_nid = NID_undef;
    unsigned len = 0;
    if (certificate == NULL ||
        OBJ_find_sigid_algs(X509_get_signature_nid(certificate), &digest_nid, NULL) != 1) {
        return false;
    }
    const bool is_weak = digest_nid == NID_md5 || digest_nid == NID_sha1;
    const EVP_MD *digest = is_weak ? EVP_sha256() : EVP_get_digestbynid(digest_nid);
    if (digest == NULL || EVP_MD_get_size(digest) > 64 ||
        X509_digest(certificate, digest, out, &len) != 1) {
        ERR_clear_error();
        return false;
    }
    *out_len = len;
    return true;
}

/* NULL when there is none or more than one: which would it be? */
static const ASN1_STRING *only_uri(const GENERAL_NAMES *names)
{
    const ASN1_STRING *found = NULL;
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type == GEN_URI && found != NULL) {
            return NULL;
        }
        found = name->type == GEN_URI ? name->d.uniformResourceIdentifier : found;
    }
    return found;
}

bool vy_tls_peer_uri(const struct vy_tls *tls, char *out, size_t size)
{
    const X509 *certificate = SSL_get0_peer_certificate(tls->ssl);
    if (certificate == NULL) {
        return false;
    }
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    const ASN1_STRING *uri = names == NULL ? NULL : only_uri(names);
    const size_t len = uri == NULL ? 0 : (size_t)ASN1_STRING_length(uri);
    const bool fits = len > 0 && len < size && memchr(ASN1_STRING_get0_data(uri), 0, len) == NULL;
    if (fits) {
        memcpy(out, ASN1_STRING_get0_data(uri), len);
        out[len] = '\0';
    }
    GENERAL_NAMES_free(names);
    ERR_clear_error();
    return fits;
}
