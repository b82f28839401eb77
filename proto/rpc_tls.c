/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/rpc_tls.h"

#include "base/assert.h"
#include "base/secret.h"
#include "proto/rpc_tls_private.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

static const unsigned char link_alpn[] = "\x09mailrpc/1";

struct rpc_tls_context {
    char *certificate_path; /* owned, as the next two */
    char *key_path;
    char *ca_path;
    SSL_CTX *dialer; /* owned */
    SSL_CTX *acceptor;
};

/* OpenSSL keeps a queue of errors per thread: never leave any for the next one to find. */
static struct vy_err tls_error(enum vy_code code, const char *what)
{
    ERR_clear_error();
    return vy_error(code, what);
}

/* ---- one SSL_CTX ---- */

static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                       const unsigned char *in, unsigned in_len, void *arg)
{
    unsigned char *chosen = NULL;
    (void)ssl;
    (void)arg;
    const int result =
        SSL_select_next_proto(&chosen, out_len, link_alpn, sizeof(link_alpn) - 1, in, in_len);
    if (result != OPENSSL_NPN_NEGOTIATED) {
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static struct vy_err load_key(SSL_CTX *ctx, const char *path)
{
    struct vy_secret *pem = NULL;
    VY_TRY(vy_secret_read_file(path, &pem));
    const struct vy_bytes text = vy_secret_bytes(pem);
    BIO *bio = BIO_new_mem_buf(text.data, (int)text.len);
    EVP_PKEY *key = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    BIO_free(bio);
    vy_secret_free(pem);
    if (key == NULL) {
        return tls_error(VY_CODE_SYNTAX, "link key");
    }
    const int is_used = SSL_CTX_use_PrivateKey(ctx, key);
    EVP_PKEY_free(key);
    if (is_used != 1 || SSL_CTX_check_private_key(ctx) != 1) {
        return tls_error(VY_CODE_PRECONDITION, "link key is not the certificate's");
    }
    return vy_ok();
}

static struct vy_err load_files(SSL_CTX *ctx, const struct rpc_tls_context *context)
{
    if (SSL_CTX_use_certificate_chain_file(ctx, context->certificate_path) != 1) {
        return tls_error(VY_CODE_SYNTAX, "link certificate");
    }
    VY_TRY(load_key(ctx, context->key_path));
    if (SSL_CTX_load_verify_file(ctx, context->ca_path) != 1) {
        return tls_error(VY_CODE_SYNTAX, "link certificate authority");
    }
    return vy_ok();
}

/* No tickets, no cache, no early data: links live for days, and a resumed session would outlive a
 * revoked certificate. */
static struct vy_err configure(SSL_CTX *ctx, bool is_dialer)
{
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    bool is_good = SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) == 1 &&
                   SSL_CTX_set_num_tickets(ctx, 0) == 1;
    if (is_dialer) {
        /* The odd one out: 0 is success. */
        is_good = is_good && SSL_CTX_set_alpn_protos(ctx, link_alpn, sizeof(link_alpn) - 1) == 0;
    } else {
        SSL_CTX_set_alpn_select_cb(ctx, choose_alpn, NULL);
    }
    return is_good ? vy_ok() : tls_error(VY_CODE_INTERNAL, "link tls settings");
}

static struct vy_err make_ctx(const struct rpc_tls_context *context, bool is_dialer, SSL_CTX **out)
{
    SSL_CTX *ctx = SSL_CTX_new(is_dialer ? TLS_client_method() : TLS_server_method());
    if (ctx == NULL) {
        return tls_error(VY_CODE_NOMEM, "link tls");
    }
    struct vy_err err = configure(ctx, is_dialer);
    if (!vy_failed(err)) {
        err = load_files(ctx, context);
    }
    if (vy_failed(err)) {
        SSL_CTX_free(ctx);
        return err;
    }
    *out = ctx;
    return vy_ok();
}

/* ---- the pair of them ---- */

struct vy_err rpc_tls_context_reload(struct rpc_tls_context *context)
{
    SSL_CTX *dialer = NULL;
    SSL_CTX *acceptor = NULL;
    VY_TRY(make_ctx(context, /* is_dialer = */ true, &dialer));
    const struct vy_err err = make_ctx(context, /* is_dialer = */ false, &acceptor);
    if (vy_failed(err)) {
        SSL_CTX_free(dialer);
        return err;
    }
    SSL_CTX_free(context->dialer); /* handshakes under way keep theirs */
    SSL_CTX_free(context->acceptor);
    context->dialer = dialer;
    context->acceptor = acceptor;
    return vy_ok();
}

struct vy_err rpc_tls_context_new(const struct rpc_tls_files *files, struct rpc_tls_context **out)
{
    struct rpc_tls_context *context = calloc(1, sizeof(*context));
    if (context == NULL) {
        return vy_error(VY_CODE_NOMEM, "link tls");
    }
    context->certificate_path = strdup(files->certificate_path);
    context->key_path = strdup(files->key_path);
    context->ca_path = strdup(files->ca_path);
    const bool has_paths =
        context->certificate_path != NULL && context->key_path != NULL && context->ca_path != NULL;
    const struct vy_err err =
        has_paths ? rpc_tls_context_reload(context) : vy_error(VY_CODE_NOMEM, "link tls");
    if (vy_failed(err)) {
        rpc_tls_context_free(context);
        return err;
    }
    *out = context;
    return vy_ok();
}

void rpc_tls_context_free(struct rpc_tls_context *context)
{
    if (context == NULL) {
        return;
    }
    SSL_CTX_free(context->dialer);
    SSL_CTX_free(context->acceptor);
    free(context->certificate_path);
    free(context->key_path);
    free(context->ca_path);
    free(context);
}

int64_t rpc_tls_context_expires_in_s(const struct rpc_tls_context *context)
{
    int days = 0;
    int seconds = 0;
    const X509 *certificate = SSL_CTX_get0_certificate(context->acceptor);
    if (certificate == NULL ||
        ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(certificate)) != 1) {
        ERR_clear_error();
        return 0;
    }
    return (int64_t)days * 86400 + seconds;
}

SSL_CTX *rpc_tls_context_get(const struct rpc_tls_context *context, bool is_dialer)
{
    return is_dialer ? context->dialer : context->acceptor;
}

/* ---- identities ---- */

static bool parse_role(struct vy_bytes text, enum rpc_role *out)
{
    static const struct {
        const char *name;
        enum rpc_role role;
    } roles[] = {
        {"frontend", RPC_ROLE_FRONTEND},
        {"shard",    RPC_ROLE_SHARD   },
        {"meta",     RPC_ROLE_META    },
        {"admin",    RPC_ROLE_ADMIN   }
    };
    for (size_t i = 0; i < VY_COUNT_OF(roles); i++) {
        if (vy_bytes_equal(text, vy_cstr(roles[i].name))) {
            *out = roles[i].role;
            return true;
        }
    }
    return false;
}

static bool is_name(struct vy_bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        const uint8_t c = text.data[i];
        if (!vy_ascii_is_alnum(c) && c != '-' && c != '_' && c != '.') {
            return false;
        }
    }
    return text.len > 0 && text.len <= RPC_NAME_BYTES_MAX;
}

struct vy_err rpc_tls_parse_identity(struct vy_bytes uri, const char *cluster,
                                     struct rpc_pipe_peer *out)
{
    if (!vy_bytes_starts_with(uri, VY_LIT("spiffe://"))) {
        return vy_error(VY_CODE_DENIED, "certificate without identity");
    }
    struct vy_bytes rest = vy_bytes_from(uri, 9);
    const struct vy_bytes trust_domain = vy_bytes_cut(&rest, '/');
    const struct vy_bytes role_name = vy_bytes_cut(&rest, '/');
    enum rpc_role role = RPC_ROLE_FRONTEND;
    if (!parse_role(role_name, &role) || !is_name(rest)) {
        return vy_error(VY_CODE_DENIED, "certificate with unknown role or node");
    }
    if (!vy_bytes_equal(trust_domain, vy_cstr(cluster))) {
        return vy_error(VY_CODE_DENIED, "certificate of another cluster");
    }
    *out = (struct rpc_pipe_peer){.is_authenticated = true, .has_identity = true, .role = role};
    memcpy(out->node, rest.data, rest.len);
    return vy_ok();
}

/* The one spiffe URI among the names; NULL when there is none or more than one. */
static const ASN1_STRING *only_identity(const GENERAL_NAMES *names)
{
    const ASN1_STRING *found = NULL;
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_URI) {
            continue;
        }
        if (found != NULL) {
            return NULL;
        }
        found = name->d.uniformResourceIdentifier;
    }
    return found;
}

/* Whom the certificate names. */
static struct vy_err identity_of(const X509 *certificate, const char *cluster,
                                 struct rpc_pipe_peer *out)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    const ASN1_STRING *uri = names == NULL ? NULL : only_identity(names);
    struct vy_err err = vy_error(VY_CODE_DENIED, "certificate without identity");
    if (uri != NULL) {
        const struct vy_bytes text =
            vy_bytes(ASN1_STRING_get0_data(uri), (size_t)ASN1_STRING_length(uri));
        err = rpc_tls_parse_identity(text, cluster, out);
    }
    GENERAL_NAMES_free(names);
    ERR_clear_error();
    return err;
}

struct vy_err rpc_tls_read_identity(const SSL *ssl, const char *cluster, struct rpc_pipe_peer *out)
{
    X509 *certificate = SSL_get1_peer_certificate(ssl);
    if (certificate == NULL) {
        return tls_error(VY_CODE_DENIED, "no peer certificate");
    }
    const struct vy_err err = identity_of(certificate, cluster, out);
    X509_free(certificate);
    return err;
}

struct vy_err rpc_tls_context_check_own(const struct rpc_tls_context *context, const char *cluster,
                                        const char *node)
{
    struct rpc_pipe_peer self;
    if (rpc_tls_context_expires_in_s(context) <= 0) {
        return vy_error(VY_CODE_PRECONDITION, "node.certificate has expired");
    }
    VY_TRY(identity_of(SSL_CTX_get0_certificate(context->acceptor), cluster, &self));
    return strcmp(self.node, node) == 0
               ? vy_ok()
               : vy_error(VY_CODE_PRECONDITION, "node.certificate is another node's");
}
