/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/seal.h"

#include "base/assert.h"
#include "base/secret.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>

#define NONCE_BYTES 12U
#define TAG_BYTES 16U
#define SEAL_PLAIN_BYTES_MAX (64U * 1024)

void seal_key_of_cluster(const struct cluster_key *key, const char *purpose, struct seal_key *out)
{
    cluster_key_mac(key, purpose, VY_LIT("seal"), out->bytes);
}

struct vy_err seal_key_of_account(const struct cluster_key *key, uint64_t account_id,
                                  struct vy_bytes wrapped, struct seal_key *out)
{
    static const char purpose[] = "volary account records 1";
    uint8_t account_key[ACCOUNT_KEY_BYTES];
    unsigned len = 0;
    VY_TRY(cluster_key_unwrap(key, account_id, wrapped, account_key));
    const bool done = HMAC(EVP_sha256(), account_key, sizeof(account_key), (const uint8_t *)purpose,
                           sizeof(purpose) - 1, out->bytes, &len) != NULL;
    vy_wipe(account_key, sizeof(account_key));
    return done && len == SEAL_KEY_BYTES ? vy_ok() : vy_error(VY_CODE_NOMEM, "key of records");
}

struct vy_err seal_key_find(const struct cluster_key *key, const struct meta_view *view,
                            uint64_t account_id, struct seal_key *out, bool *is_found)
{
    struct vy_bytes wrapped = {.len = 0};
    *is_found = false;
    if (account_id != 0) {
        VY_TRY(account_key_get(view, account_id, &wrapped, is_found));
    }
    if (*is_found) {
        return seal_key_of_account(key, account_id, wrapped, out);
    }
    seal_key_of_cluster(key, "records", out);
    return vy_ok();
}

static bool encrypt(const struct seal_key *key, const uint8_t *nonce, struct vy_bytes plain,
                    uint8_t *sealed)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int len = 0;
    const bool done =
        ctx != NULL && EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key->bytes, nonce) == 1 &&
        EVP_EncryptUpdate(ctx, sealed, &len, plain.data, (int)plain.len) == 1 &&
        EVP_EncryptFinal_ex(ctx, sealed + len, &len) == 1 &&
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, (int)TAG_BYTES, sealed + plain.len) == 1;
    EVP_CIPHER_CTX_free(ctx);
    return done;
}

struct vy_err seal_append(const struct seal_key *key, struct vy_rng *rng, struct vy_bytes plain,
                          struct vy_buf *out)
{
    uint8_t nonce[NONCE_BYTES];
    if (plain.len > SEAL_PLAIN_BYTES_MAX) {
        return vy_error(VY_CODE_LIMIT, "text to be sealed");
    }
    vy_rng_fill(rng, nonce, sizeof(nonce));
    uint8_t *place = vy_buf_reserve(out, plain.len + SEAL_OVERHEAD_BYTES);
    if (place == NULL) {
        return vy_buf_error(out);
    }
    memcpy(place, nonce, sizeof(nonce));
    if (!encrypt(key, nonce, plain, place + NONCE_BYTES)) {
        return vy_error(VY_CODE_NOMEM, "sealing");
    }
    vy_buf_added(out, plain.len + SEAL_OVERHEAD_BYTES);
    return vy_ok();
}

static bool decrypt(const struct seal_key *key, struct vy_bytes sealed, uint8_t *plain)
{
    const size_t plain_len = sealed.len - SEAL_OVERHEAD_BYTES;
    uint8_t tag[TAG_BYTES];
    memcpy(tag, sealed.data + sealed.len - TAG_BYTES, sizeof(tag));
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int len = 0;
    const bool done =
        ctx != NULL &&
        EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key->bytes, sealed.data) == 1 &&
        EVP_DecryptUpdate(ctx, plain, &len, sealed.data + NONCE_BYTES, (int)plain_len) == 1 &&
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, (int)TAG_BYTES, tag) == 1 &&
        EVP_DecryptFinal_ex(ctx, plain + len, &len) == 1;
    EVP_CIPHER_CTX_free(ctx);
    return done;
}

struct vy_err seal_read(const struct seal_key *key, struct vy_arena *arena, struct vy_bytes sealed,
                        struct vy_bytes *out)
{
    if (sealed.len < SEAL_OVERHEAD_BYTES ||
        sealed.len > SEAL_PLAIN_BYTES_MAX + SEAL_OVERHEAD_BYTES) {
        return vy_error(VY_CODE_AUTH, "length of sealed text");
    }
    const size_t plain_len = sealed.len - SEAL_OVERHEAD_BYTES;
    uint8_t *plain = vy_arena_alloc(arena, plain_len + TAG_BYTES);
    if (plain == NULL) {
        return vy_error(VY_CODE_LIMIT, "memory for sealed text");
    }
    if (!decrypt(key, sealed, plain)) {
        return vy_error(VY_CODE_AUTH, "sealed text does not open");
    }
    *out = vy_bytes(plain, plain_len);
    return vy_ok();
}

struct vy_err seal_message(const struct seal_key *key, struct vy_rng *rng, struct vy_arena *arena,
                           const struct vy_pb_desc *desc, const void *message, struct vy_bytes *out)
{
    struct vy_buf plain;
    struct vy_buf sealed;
    vy_buf_init(&plain, SEAL_PLAIN_BYTES_MAX);
    vy_buf_init(&sealed, SEAL_PLAIN_BYTES_MAX + SEAL_OVERHEAD_BYTES);
    struct vy_err err = vy_pb_encode(desc, message, &plain);
    if (!vy_failed(err)) {
        err = seal_append(key, rng, vy_buf_bytes(&plain), &sealed);
    }
    if (!vy_failed(err)) {
        err = vy_arena_dup(arena, vy_buf_bytes(&sealed), out);
    }
    if (plain.data != NULL) {
        vy_wipe(plain.data, plain.capacity); /* it may hold verifiers */
    }
    vy_buf_deinit(&plain);
    vy_buf_deinit(&sealed);
    return err;
}

struct vy_err seal_open_message(const struct seal_key *key, struct vy_arena *arena,
                                struct vy_bytes sealed, const struct vy_pb_desc *desc,
                                void *message)
{
    struct vy_bytes plain = {.len = 0};
    VY_TRY(seal_read(key, arena, sealed, &plain));
    const struct vy_err err = vy_pb_decode(desc, arena, plain, message);
    return err.code == VY_CODE_SYNTAX ? vy_error(VY_CODE_CORRUPT, "sealed message") : err;
}
