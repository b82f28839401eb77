/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/scram_client.h"

#include "base/assert.h"
#include "base/codec.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdio.h>

#define KEY_BYTES 32U

static void hmac(const uint8_t *key, const char *text, uint8_t out[KEY_BYTES])
{
    unsigned len = 0;
    const bool done = HMAC(EVP_sha256(), key, (int)KEY_BYTES, (const uint8_t *)text, strlen(text),
                           out, &len) != NULL;
    VY_ASSERT(done && len == KEY_BYTES);
}

static void append_base64(char *out, size_t size, struct vy_bytes bytes)
{
    const size_t used = strlen(out);
    struct vy_buf buf;
    vy_buf_init(&buf, 4096);
    vy_base64_encode(&buf, bytes);
    (void)snprintf(out + used, size - used, "%.*s", VY_PRI(vy_buf_bytes(&buf)));
    vy_buf_deinit(&buf);
}

static void salt_password(struct vy_bytes salt_text, uint32_t iterations, const char *password,
                          uint8_t out[KEY_BYTES])
{
    struct vy_arena arena;
    struct vy_bytes salt = {.len = 0};
    vy_arena_init(&arena, 4096);
    const struct vy_err err = vy_base64_decode(&arena, salt_text, &salt);
    VY_ASSERT(!vy_failed(err));
    const int done = PKCS5_PBKDF2_HMAC(password, (int)strlen(password), salt.data, (int)salt.len,
                                       (int)iterations, EVP_sha256(), (int)KEY_BYTES, out);
    VY_ASSERT(done == 1);
    vy_arena_deinit(&arena);
}

void scram_client_final(const char *gs2, const char *bare, struct vy_bytes first,
                        struct vy_bytes binding, const char *password, char *out, size_t size)
{
    struct vy_bytes rest = first;
    const struct vy_bytes nonce = vy_bytes_from(vy_bytes_cut(&rest, ','), 2);
    const struct vy_bytes salt = vy_bytes_from(vy_bytes_cut(&rest, ','), 2);
    uint32_t iterations = 0;
    uint8_t bound[256];
    uint8_t salted[KEY_BYTES];
    uint8_t key[KEY_BYTES];
    uint8_t stored[KEY_BYTES];
    uint8_t signature[KEY_BYTES];
    char message[4096];
    const size_t gs2_len = strlen(gs2);
    const bool is_number = vy_parse_u32(vy_bytes_from(rest, 2), &iterations);
    VY_ASSERT(is_number && gs2_len + binding.len <= sizeof(bound));
    memcpy(bound, gs2, gs2_len);
    if (binding.len > 0) {
        memcpy(bound + gs2_len, binding.data, binding.len);
    }
    salt_password(salt, iterations, password, salted);
    (void)snprintf(out, size, "c=");
    append_base64(out, size, vy_bytes(bound, gs2_len + binding.len));
    (void)snprintf(out + strlen(out), size - strlen(out), ",r=%.*s", VY_PRI(nonce));
    (void)snprintf(message, sizeof(message), "%s,%.*s,%s", bare, VY_PRI(first), out);
    hmac(salted, "Client Key", key);
    SHA256(key, sizeof(key), stored);
    hmac(stored, message, signature);
    for (size_t i = 0; i < KEY_BYTES; i++) {
        key[i] ^= signature[i];
    }
    (void)snprintf(out + strlen(out), size - strlen(out), ",p=");
    append_base64(out, size, vy_bytes(key, sizeof(key)));
}
