/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/rpc_certs.h"

#include "base/assert.h"
#include "base/rng.h"
#include <dirent.h>
#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HOUR_S 3600

void rpc_certs_init(struct rpc_certs *certs)
{
    const char *base = getenv("TMPDIR");
    (void)snprintf(certs->folder, sizeof(certs->folder), "%s/volary-certs-XXXXXX",
                   base == NULL ? "/tmp" : base);
    VY_ASSERT(mkdtemp(certs->folder) != NULL);
}

void rpc_certs_deinit(struct rpc_certs *certs)
{
    DIR *folder = opendir(certs->folder);
    VY_ASSERT(folder != NULL);
    const struct dirent *entry = readdir(folder);
    while (entry != NULL) {
        if (entry->d_name[0] != '.') {
            (void)unlinkat(dirfd(folder), entry->d_name, 0);
        }
        entry = readdir(folder);
    }
    (void)closedir(folder);
    (void)rmdir(certs->folder);
}

void rpc_certs_path(const struct rpc_certs *certs, const char *name, const char *suffix, char *out)
{
    const int len = snprintf(out, RPC_CERTS_PATH_BYTES, "%s/%s%s", certs->folder, name, suffix);
    VY_ASSERT(len > 0 && (unsigned)len < RPC_CERTS_PATH_BYTES);
}

static FILE *create(const struct rpc_certs *certs, const char *name, const char *suffix)
{
    char path[RPC_CERTS_PATH_BYTES];
    rpc_certs_path(certs, name, suffix, path);
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    VY_ASSERT(file != NULL);
    return file;
}

static void write_files(const struct rpc_certs *certs, const char *name, X509 *certificate,
                        EVP_PKEY *key)
{
    FILE *key_file = create(certs, name, ".key");
    FILE *certificate_file = create(certs, name, ".pem");
    VY_ASSERT(PEM_write_PrivateKey(key_file, key, NULL, NULL, 0, NULL, NULL) == 1);
    VY_ASSERT(PEM_write_X509(certificate_file, certificate) == 1);
    VY_ASSERT(fclose(key_file) == 0 && fclose(certificate_file) == 0);
}

static void add_extension(X509 *certificate, int nid, const char *text)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, text);
    VY_ASSERT(extension != NULL && X509_add_ext(certificate, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

static X509 *make_certificate(const char *name, EVP_PKEY *key, int64_t from_s, int64_t until_s)
{
    X509 *certificate = X509_new();
    VY_ASSERT(certificate != NULL && X509_set_version(certificate, 2) == 1);
    X509_NAME *subject = X509_get_subject_name(certificate);
    const uint64_t serial = vy_rng_u64(vy_rng_system()) >> 1;
    VY_ASSERT(ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial) == 1);
    VY_ASSERT(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name,
                                         -1, -1, 0) == 1);
    VY_ASSERT(X509_gmtime_adj(X509_getm_notBefore(certificate), from_s) != NULL);
    VY_ASSERT(X509_gmtime_adj(X509_getm_notAfter(certificate), until_s) != NULL);
    VY_ASSERT(X509_set_pubkey(certificate, key) == 1);
    return certificate;
}

void rpc_certs_make_ca(const struct rpc_certs *certs, const char *name)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    VY_ASSERT(key != NULL);
    X509 *certificate = make_certificate(name, key, -HOUR_S, HOUR_S);
    add_extension(certificate, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(certificate, NID_key_usage, "critical,keyCertSign");
    VY_ASSERT(X509_set_issuer_name(certificate, X509_get_subject_name(certificate)) == 1);
    VY_ASSERT(X509_sign(certificate, key, EVP_sha256()) > 0);
    write_files(certs, name, certificate, key);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

static void read_ca(const struct rpc_certs *certs, const char *name, X509 **certificate,
                    EVP_PKEY **key)
{
    char path[RPC_CERTS_PATH_BYTES];
    rpc_certs_path(certs, name, ".pem", path);
    FILE *file = fopen(path, "r");
    VY_ASSERT(file != NULL);
    *certificate = PEM_read_X509(file, NULL, NULL, NULL);
    (void)fclose(file);
    rpc_certs_path(certs, name, ".key", path);
    file = fopen(path, "r");
    VY_ASSERT(file != NULL);
    *key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
    (void)fclose(file);
    VY_ASSERT(*certificate != NULL && *key != NULL);
}

void rpc_certs_make(const struct rpc_certs *certs, const struct rpc_certs_leaf *leaf)
{
    X509 *ca = NULL;
    EVP_PKEY *ca_key = NULL;
    read_ca(certs, leaf->ca, &ca, &ca_key);
    EVP_PKEY *key = EVP_EC_gen("P-256");
    VY_ASSERT(key != NULL);
    X509 *certificate =
        make_certificate(leaf->name, key, leaf->from_s == 0 ? -HOUR_S : leaf->from_s,
                         leaf->until_s == 0 ? HOUR_S : leaf->until_s);
    if (leaf->san != NULL) {
        add_extension(certificate, NID_subject_alt_name, leaf->san);
    }
    add_extension(certificate, NID_ext_key_usage,
                  leaf->is_server_only ? "serverAuth" : "serverAuth,clientAuth");
    VY_ASSERT(X509_set_issuer_name(certificate, X509_get_subject_name(ca)) == 1);
    VY_ASSERT(X509_sign(certificate, ca_key, EVP_sha256()) > 0);
    write_files(certs, leaf->name, certificate, key);
    X509_free(certificate);
    EVP_PKEY_free(key);
    X509_free(ca);
    EVP_PKEY_free(ca_key);
}

struct rpc_tls_context *rpc_certs_context(const struct rpc_certs *certs, const char *name,
                                          const char *ca)
{
    char certificate[RPC_CERTS_PATH_BYTES];
    char key[RPC_CERTS_PATH_BYTES];
    char authority[RPC_CERTS_PATH_BYTES];
    struct rpc_tls_context *context = NULL;
    rpc_certs_path(certs, name, ".pem", certificate);
    rpc_certs_path(certs, name, ".key", key);
    rpc_certs_path(certs, ca, ".pem", authority);
    const struct rpc_tls_files files = {
        .certificate_path = certificate, .key_path = key, .ca_path = authority};
    VY_ASSERT(!vy_failed(rpc_tls_context_new(&files, &context)));
    return context;
}
