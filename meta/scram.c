/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/scram.h"

#include "base/assert.h"
#include "base/codec.h"
#include "base/secret.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

/* ---- messages ---- */

/* Cuts "x=" and its value up to the next comma from the front of *rest. */
static bool take_attribute(struct vy_bytes *rest, uint8_t name, struct vy_bytes *value)
{
    if (rest->len < 2 || rest->data[0] != name || rest->data[1] != '=') {
        return false;
    }
    *value = vy_bytes_from(vy_bytes_cut(rest, ','), 2);
    return true;
}

static bool is_nonce(struct vy_bytes nonce)
{
    if (nonce.len == 0 || nonce.len > SCRAM_NONCE_BYTES_MAX) {
        return false;
    }
    for (size_t i = 0; i < nonce.len; i++) {
        if (nonce.data[i] < 0x21 || nonce.data[i] > 0x7e || nonce.data[i] == ',') {
            return false;
        }
    }
    return true;
}

/* "=2C" and "=3D" are the only escapes of a saslname. */
static struct vy_err decode_name(struct vy_arena *arena, struct vy_bytes text, struct vy_bytes *out)
{
    uint8_t *decoded = vy_arena_alloc(arena, text.len + 1);
    size_t len = 0;
    if (decoded == NULL) {
        return vy_error(VY_CODE_LIMIT, "memory for a name");
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] != '=') {
            decoded[len++] = text.data[i];
            continue;
        }
        const struct vy_bytes escape = vy_bytes_slice(text, i, 3);
        if (!vy_bytes_equal(escape, VY_LIT("=2C")) && !vy_bytes_equal(escape, VY_LIT("=3D"))) {
            return vy_error(VY_CODE_SYNTAX, "escape in a SCRAM name");
        }
        decoded[len++] = escape.data[1] == '2' ? ',' : '=';
        i += 2;
    }
    if (len == 0 || !vy_utf8_is_valid(vy_bytes(decoded, len)) ||
        vy_bytes_find_byte(vy_bytes(decoded, len), 0, 0) != SIZE_MAX) {
        return vy_error(VY_CODE_SYNTAX, "SCRAM name");
    }
    *out = vy_bytes(decoded, len);
    return vy_ok();
}

static struct vy_err parse_gs2(struct vy_arena *arena, struct vy_bytes *rest,
                               struct scram_client_first *out)
{
    const struct vy_bytes flag = vy_bytes_cut(rest, ',');
    struct vy_bytes authzid = vy_bytes_cut(rest, ',');
    if (vy_bytes_equal(flag, VY_LIT("n"))) {
        out->binding = SCRAM_BINDING_NONE;
    } else if (vy_bytes_equal(flag, VY_LIT("y"))) {
        out->binding = SCRAM_BINDING_NOT_THERE;
    } else if (vy_bytes_starts_with(flag, VY_LIT("p=")) && flag.len > 2) {
        out->binding = SCRAM_BINDING_USED;
        out->binding_name = vy_bytes_from(flag, 2);
    } else {
        return vy_error(VY_CODE_SYNTAX, "channel binding flag of SCRAM");
    }
    if (authzid.len == 0) {
        return vy_ok();
    }
    if (!vy_bytes_starts_with(authzid, VY_LIT("a="))) {
        return vy_error(VY_CODE_SYNTAX, "authorization identity of SCRAM");
    }
    return decode_name(arena, vy_bytes_from(authzid, 2), &out->authzid);
}

struct vy_err scram_parse_client_first(struct vy_arena *arena, struct vy_bytes text,
                                       struct scram_client_first *out)
{
    struct scram_client_first first = {.binding = SCRAM_BINDING_NONE};
    struct vy_bytes rest = text;
    struct vy_bytes name = {.len = 0};
    if (text.len > SCRAM_MESSAGE_BYTES_MAX) {
        return vy_error(VY_CODE_LIMIT, "SCRAM message");
    }
    VY_TRY(parse_gs2(arena, &rest, &first));
    first.gs2_header = vy_bytes_slice(text, 0, text.len - rest.len);
    first.bare = rest;
    if (vy_bytes_starts_with(rest, VY_LIT("m="))) {
        return vy_error(VY_CODE_UNSUPPORTED, "mandatory extension of SCRAM");
    }
    if (!take_attribute(&rest, 'n', &name) || !take_attribute(&rest, 'r', &first.nonce) ||
        !is_nonce(first.nonce)) {
        return vy_error(VY_CODE_SYNTAX, "first SCRAM message");
    }
    VY_TRY(decode_name(arena, name, &first.name));
    *out = first;
    return vy_ok();
}

/* The proof is the last attribute; its name cannot occur in a value before it, after a comma. */
static bool find_proof(struct vy_bytes text, size_t *at)
{
    size_t found = SIZE_MAX;
    for (size_t from = 0;;) {
        const size_t next = vy_bytes_find(text, VY_LIT(",p="), from);
        if (next == SIZE_MAX) {
            break;
        }
        found = next;
        from = next + 1;
    }
    *at = found;
    return found != SIZE_MAX;
}

static struct vy_err decode_proof(struct vy_arena *arena, struct vy_bytes text,
                                  uint8_t out[SCRAM_KEY_BYTES])
{
    struct vy_bytes proof = {.len = 0};
    VY_TRY(vy_base64_decode(arena, text, &proof));
    if (proof.len != SCRAM_KEY_BYTES) {
        return vy_error(VY_CODE_SYNTAX, "length of a SCRAM proof");
    }
    memcpy(out, proof.data, SCRAM_KEY_BYTES);
    return vy_ok();
}

struct vy_err scram_parse_client_final(struct vy_arena *arena, struct vy_bytes text,
                                       struct scram_client_final *out)
{
    struct vy_bytes binding = {.len = 0};
    size_t at = 0;
    if (text.len > SCRAM_MESSAGE_BYTES_MAX) {
        return vy_error(VY_CODE_LIMIT, "SCRAM message");
    }
    if (!find_proof(text, &at)) {
        return vy_error(VY_CODE_SYNTAX, "SCRAM message without proof");
    }
    out->without_proof = vy_bytes_slice(text, 0, at);
    struct vy_bytes rest = out->without_proof;
    if (!take_attribute(&rest, 'c', &binding) || !take_attribute(&rest, 'r', &out->nonce) ||
        out->nonce.len == 0) {
        return vy_error(VY_CODE_SYNTAX, "last SCRAM message");
    }
    VY_TRY(vy_base64_decode(arena, binding, &out->binding));
    return decode_proof(arena, vy_bytes_from(text, at + 3), out->proof);
}

void scram_append_server_first(struct vy_buf *out, struct vy_bytes nonce, struct vy_bytes salt,
                               uint32_t iterations)
{
    vy_buf_append_cstr(out, "r=");
    vy_buf_append(out, nonce);
    vy_buf_append_cstr(out, ",s=");
    vy_base64_encode(out, salt);
    vy_buf_append_cstr(out, ",i=");
    vy_buf_append_u64(out, iterations);
}

void scram_append_server_final(struct vy_buf *out, const uint8_t signature[SCRAM_KEY_BYTES])
{
    vy_buf_append_cstr(out, "v=");
    vy_base64_encode(out, vy_bytes(signature, SCRAM_KEY_BYTES));
}

/* ---- keys and proofs ---- */

static void mac(struct vy_bytes key, struct vy_bytes text, uint8_t out[SCRAM_KEY_BYTES])
{
    unsigned len = 0;
    const bool done =
        HMAC(EVP_sha256(), key.data, (int)key.len, text.data, text.len, out, &len) != NULL;
    VY_ASSERT(done && len == SCRAM_KEY_BYTES); /* fails only without memory for a context */
}

struct vy_err scram_make_keys(struct vy_bytes password, struct vy_bytes salt, uint32_t iterations,
                              uint8_t stored_key[SCRAM_KEY_BYTES],
                              uint8_t server_key[SCRAM_KEY_BYTES])
{
    uint8_t salted[SCRAM_KEY_BYTES];
    uint8_t client_key[SCRAM_KEY_BYTES];
    if (iterations < SCRAM_ITERATIONS_MIN || iterations > INT32_MAX) {
        return vy_error(VY_CODE_ARGUMENT, "SCRAM iterations");
    }
    if (PKCS5_PBKDF2_HMAC((const char *)password.data, (int)password.len, salt.data, (int)salt.len,
                          (int)iterations, EVP_sha256(), sizeof(salted), salted) != 1) {
        return vy_error(VY_CODE_NOMEM, "PBKDF2");
    }
    const struct vy_bytes key = vy_bytes(salted, sizeof(salted));
    mac(key, VY_LIT("Client Key"), client_key);
    mac(key, VY_LIT("Server Key"), server_key);
    SHA256(client_key, sizeof(client_key), stored_key);
    vy_wipe(salted, sizeof(salted));
    vy_wipe(client_key, sizeof(client_key));
    return vy_ok();
}

struct vy_err scram_auth_message(struct vy_arena *arena, struct vy_bytes client_bare,
                                 struct vy_bytes server_first, struct vy_bytes without_proof,
                                 struct vy_bytes *out)
{
    const struct vy_bytes parts[] = {client_bare, VY_LIT(","), server_first, VY_LIT(","),
                                     without_proof};
    size_t len = 0;
    for (size_t i = 0; i < VY_COUNT_OF(parts); i++) {
        len += parts[i].len; /* each is at most SCRAM_MESSAGE_BYTES_MAX */
    }
    uint8_t *joined = vy_arena_alloc(arena, len);
    if (joined == NULL) {
        return vy_error(VY_CODE_LIMIT, "memory for a SCRAM exchange");
    }
    size_t at = 0;
    for (size_t i = 0; i < VY_COUNT_OF(parts); i++) {
        if (parts[i].len > 0) {
            memcpy(joined + at, parts[i].data, parts[i].len);
        }
        at += parts[i].len;
    }
    *out = vy_bytes(joined, len);
    return vy_ok();
}

bool scram_check_proof(struct vy_bytes stored_key, struct vy_bytes auth_message,
                       const uint8_t proof[SCRAM_KEY_BYTES])
{
    uint8_t client_key[SCRAM_KEY_BYTES];
    uint8_t hashed[SCRAM_KEY_BYTES];
    mac(stored_key, auth_message, client_key);
    for (size_t i = 0; i < SCRAM_KEY_BYTES; i++) {
        client_key[i] ^= proof[i];
    }
    SHA256(client_key, sizeof(client_key), hashed);
    vy_wipe(client_key, sizeof(client_key));
    return vy_bytes_equal_secret(vy_bytes(hashed, sizeof(hashed)), stored_key);
}

void scram_server_signature(struct vy_bytes server_key, struct vy_bytes auth_message,
                            uint8_t out[SCRAM_KEY_BYTES])
{
    mac(server_key, auth_message, out);
}
