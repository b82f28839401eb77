/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/cluster_key.h"

#include "base/assert.h"
#include "base/codec.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MAC_BYTES 32U
#define GCM_NONCE_BYTES 12U
#define GCM_TAG_BYTES 16U
#define PURPOSE_BYTES_MAX 64U

struct cluster_key {
    struct vy_secret *extracted; /* owned; HKDF's PRK, from which purposes are expanded */
};

/* One HMAC. OpenSSL fails here only when it has no memory for its context; then no answer is better
 * than a wrong one. */
static void mac(struct vy_bytes key, struct vy_bytes text, uint8_t out[MAC_BYTES])
{
    unsigned len = 0;
    const bool done =
        HMAC(EVP_sha256(), key.data, (int)key.len, text.data, text.len, out, &len) != NULL;
    VY_ASSERT(done && len == MAC_BYTES);
}

/* HKDF-Expand for one block of output: HMAC(PRK, info || 0x01). */
static void derive(const struct cluster_key *key, const char *purpose, uint8_t out[MAC_BYTES])
{
    uint8_t info[PURPOSE_BYTES_MAX + 1];
    const size_t len = strlen(purpose);
    VY_ASSERT(len > 0 && len <= PURPOSE_BYTES_MAX);
    memcpy(info, purpose, len);
    info[len] = 1;
    mac(vy_secret_bytes(key->extracted), vy_bytes(info, len + 1), out);
}

struct vy_err cluster_key_new(const uint8_t bytes[CLUSTER_KEY_BYTES], struct cluster_key **out)
{
    struct cluster_key *key = calloc(1, sizeof(*key));
    if (key == NULL) {
        return vy_error(VY_CODE_NOMEM, "cluster key");
    }
    uint8_t prk[MAC_BYTES];
    mac(VY_LIT("volary cluster key 1"), vy_bytes(bytes, CLUSTER_KEY_BYTES), prk);
    const struct vy_err err = vy_secret_new(vy_bytes(prk, sizeof(prk)), &key->extracted);
    vy_wipe(prk, sizeof(prk));
    if (vy_failed(err)) {
        free(key);
        return err;
    }
    *out = key;
    return vy_ok();
}

void cluster_key_free(struct cluster_key *key)
{
    if (key == NULL) {
        return;
    }
    vy_secret_free(key->extracted);
    free(key);
}

static bool parse_hex(struct vy_bytes text, uint8_t out[CLUSTER_KEY_BYTES])
{
    if (text.len != 2 * CLUSTER_KEY_BYTES) {
        return false;
    }
    for (size_t i = 0; i < CLUSTER_KEY_BYTES; i++) {
        const int high = vy_ascii_hex_value(text.data[2 * i]);
        const int low = vy_ascii_hex_value(text.data[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

struct vy_err cluster_key_load(const char *path, struct cluster_key **out)
{
    struct vy_secret *text = NULL;
    VY_TRY(vy_secret_read_file(path, &text));
    uint8_t bytes[CLUSTER_KEY_BYTES];
    const bool is_key = parse_hex(vy_secret_bytes(text), bytes);
    vy_secret_free(text);
    if (!is_key) {
        return vy_error(VY_CODE_SYNTAX, "cluster key file is not 64 hex digits");
    }
    const struct vy_err err = cluster_key_new(bytes, out);
    vy_wipe(bytes, sizeof(bytes));
    return err;
}

/* ---- making the file ---- */

static struct vy_err write_all(int fd, const char *data, size_t len)
{
    size_t done = 0;
    while (done < len) {
        const ssize_t count = write(fd, data + done, len - done);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count <= 0) {
            return vy_error_sys(VY_CODE_IO, errno, "write of the cluster key");
        }
        done += (size_t)count;
    }
    if (fsync(fd) != 0) {
        return vy_error_sys(VY_CODE_IO, errno, "sync of the cluster key");
    }
    return vy_ok();
}

static struct vy_err sync_parent(const char *path)
{
    const char *slash = strrchr(path, '/');
    char dir[4096];
    if (slash == NULL) {
        (void)snprintf(dir, sizeof(dir), ".");
    } else if ((size_t)(slash - path) + 2 > sizeof(dir)) {
        return vy_error(VY_CODE_ARGUMENT, "path of the cluster key is too long");
    } else {
        (void)snprintf(dir, sizeof(dir), "%.*s", (int)VY_MAX(slash - path, 1), path);
    }
    const int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return vy_error_sys(VY_CODE_IO, errno, "directory of the cluster key");
    }
    const int failed = fsync(fd);
    const int sys = errno;
    (void)close(fd);
    return failed == 0 ? vy_ok() : vy_error_sys(VY_CODE_IO, sys, "directory of the cluster key");
}

static struct vy_err write_file(const char *path, const char *text, size_t len)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0400);
    if (fd < 0) {
        return vy_error_sys(errno == EEXIST ? VY_CODE_EXISTS : VY_CODE_IO, errno,
                            "new cluster key file");
    }
    struct vy_err err = write_all(fd, text, len);
    if (close(fd) != 0 && !vy_failed(err)) {
        err = vy_error_sys(VY_CODE_IO, errno, "close of the cluster key");
    }
    if (!vy_failed(err)) {
        return sync_parent(path);
    }
    (void)unlink(path); /* half a key must not be found by the next start */
    return err;
}

struct vy_err cluster_key_create(const char *path, struct vy_rng *rng)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t bytes[CLUSTER_KEY_BYTES];
    char text[2 * CLUSTER_KEY_BYTES + 1];
    vy_rng_fill(rng, bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    text[sizeof(text) - 1] = '\n';
    const struct vy_err err = write_file(path, text, sizeof(text));
    vy_wipe(bytes, sizeof(bytes));
    vy_wipe(text, sizeof(text));
    return err;
}

/* ---- using it ---- */

static void wrap_key(const struct cluster_key *key, uint8_t out[MAC_BYTES])
{
    derive(key, "wrap", out);
}

static bool gcm_seal(const uint8_t key[32], const uint8_t *nonce, const uint8_t aad[8],
                     const uint8_t *plain, uint8_t *sealed, uint8_t *tag)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int len = 0;
    const bool done = ctx != NULL &&
                      EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, nonce) == 1 &&
                      EVP_EncryptUpdate(ctx, NULL, &len, aad, 8) == 1 &&
                      EVP_EncryptUpdate(ctx, sealed, &len, plain, (int)ACCOUNT_KEY_BYTES) == 1 &&
                      EVP_EncryptFinal_ex(ctx, sealed + len, &len) == 1 &&
                      EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, (int)GCM_TAG_BYTES, tag) == 1;
    EVP_CIPHER_CTX_free(ctx);
    return done;
}

static bool gcm_open(const uint8_t key[32], const uint8_t *wrapped, const uint8_t aad[8],
                     uint8_t *plain)
{
    uint8_t tag[GCM_TAG_BYTES];
    memcpy(tag, wrapped + GCM_NONCE_BYTES + ACCOUNT_KEY_BYTES, sizeof(tag));
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int len = 0;
    const bool done =
        ctx != NULL && EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, wrapped) == 1 &&
        EVP_DecryptUpdate(ctx, NULL, &len, aad, 8) == 1 &&
        EVP_DecryptUpdate(ctx, plain, &len, wrapped + GCM_NONCE_BYTES, (int)ACCOUNT_KEY_BYTES) ==
            1 &&
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, (int)GCM_TAG_BYTES, tag) == 1 &&
        EVP_DecryptFinal_ex(ctx, plain + len, &len) == 1;
    EVP_CIPHER_CTX_free(ctx);
    return done;
}

struct vy_err cluster_key_wrap(const struct cluster_key *key, uint64_t account_id,
                               const uint8_t nonce[12], const uint8_t account_key[32],
                               uint8_t out[WRAPPED_KEY_BYTES])
{
    uint8_t wrapping[MAC_BYTES];
    uint8_t aad[8];
    vy_put_be64(aad, account_id);
    wrap_key(key, wrapping);
    memcpy(out, nonce, GCM_NONCE_BYTES);
    const bool done = gcm_seal(wrapping, nonce, aad, account_key, out + GCM_NONCE_BYTES,
                               out + GCM_NONCE_BYTES + ACCOUNT_KEY_BYTES);
    vy_wipe(wrapping, sizeof(wrapping));
    return done ? vy_ok() : vy_error(VY_CODE_NOMEM, "wrapping an account key");
}

struct vy_err cluster_key_unwrap(const struct cluster_key *key, uint64_t account_id,
                                 struct vy_bytes wrapped, uint8_t out[ACCOUNT_KEY_BYTES])
{
    if (wrapped.len != WRAPPED_KEY_BYTES) {
        return vy_error(VY_CODE_CORRUPT, "length of a wrapped account key");
    }
    uint8_t wrapping[MAC_BYTES];
    uint8_t aad[8];
    uint8_t plain[ACCOUNT_KEY_BYTES];
    vy_put_be64(aad, account_id);
    wrap_key(key, wrapping);
    const bool done = gcm_open(wrapping, wrapped.data, aad, plain);
    vy_wipe(wrapping, sizeof(wrapping));
    if (done) {
        memcpy(out, plain, sizeof(plain));
    }
    vy_wipe(plain, sizeof(plain));
    return done ? vy_ok() : vy_error(VY_CODE_CORRUPT, "wrapped account key does not open");
}

void cluster_key_mac(const struct cluster_key *key, const char *purpose, struct vy_bytes text,
                     uint8_t out[32])
{
    uint8_t derived[MAC_BYTES];
    derive(key, purpose, derived);
    mac(vy_bytes(derived, sizeof(derived)), text, out);
    vy_wipe(derived, sizeof(derived));
}
