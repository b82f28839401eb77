/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/certificate_check.h"

#include "base/codec.h"
#include <openssl/evp.h>

#define SIGNATURE_MARK VY_LIT(",\"signature\":\"")

/* The text of a member that certificate.c wrote, so without escapes. */
static struct vy_bytes member(struct vy_bytes text, struct vy_bytes mark, uint8_t end)
{
    const size_t at = vy_bytes_find(text, mark, 0);
    struct vy_bytes rest = at == SIZE_MAX ? vy_bytes(NULL, 0) : vy_bytes_from(text, at + mark.len);
    return vy_bytes_cut(&rest, end);
}

static bool ends_well(struct vy_bytes tail)
{
    return vy_bytes_equal(tail, VY_LIT("\"}")) || vy_bytes_equal(tail, VY_LIT("\"}\n")) ||
           vy_bytes_equal(tail, VY_LIT("\"}\r\n"));
}

static bool is_signed_by(EVP_PKEY *pkey, struct vy_bytes text, struct vy_bytes signature)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    const bool is_good =
        context != NULL && EVP_DigestVerifyInit(context, NULL, NULL, NULL, pkey) == 1 &&
        EVP_DigestVerify(context, signature.data, signature.len, text.data, text.len) == 1;
    EVP_MD_CTX_free(context);
    return is_good;
}

static struct vy_err check(EVP_PKEY *pkey, struct vy_bytes body, struct vy_bytes hex)
{
    struct vy_arena arena;
    struct vy_bytes signature = {.len = 0};
    vy_arena_init(&arena, 4096);
    struct vy_err err = vy_hex_decode(&arena, hex, &signature);
    if (vy_failed(err) || signature.len != CERTIFICATE_SIGNATURE_BYTES) {
        err = vy_error(VY_CODE_SYNTAX, "the signature is no Ed25519 signature");
    } else if (!is_signed_by(pkey, body, signature)) {
        err = vy_error(VY_CODE_AUTH, "the signature does not fit: altered, or of another cluster");
    }
    vy_arena_deinit(&arena);
    return err;
}

struct vy_err certificate_check_line(struct vy_bytes public_key, struct vy_bytes text,
                                     struct vy_bytes *out_body)
{
    const size_t at = vy_bytes_find(text, SIGNATURE_MARK, 0);
    if (at == SIZE_MAX) {
        return vy_error(VY_CODE_SYNTAX, "nothing is signed here");
    }
    const struct vy_bytes body = vy_bytes_slice(text, 0, at);
    const struct vy_bytes rest = vy_bytes_from(text, at + SIGNATURE_MARK.len);
    const struct vy_bytes hex = vy_bytes_slice(rest, 0, 2U * CERTIFICATE_SIGNATURE_BYTES);
    if (!ends_well(vy_bytes_from(rest, hex.len))) {
        return vy_error(VY_CODE_SYNTAX, "the certificate is cut, or something follows it");
    }
    if (public_key.len != CERTIFICATE_KEY_BYTES) {
        return vy_error(VY_CODE_ARGUMENT, "a key of certificates has 32 bytes");
    }
    EVP_PKEY *pkey =
        EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public_key.data, public_key.len);
    const struct vy_err err =
        pkey == NULL ? vy_error(VY_CODE_INTERNAL, "key of certificates") : check(pkey, body, hex);
    EVP_PKEY_free(pkey);
    if (!vy_failed(err)) {
        *out_body = body;
    }
    return err;
}

struct vy_err certificate_check(struct vy_bytes public_key, struct vy_bytes text,
                                struct certificate_claims *out)
{
    struct vy_bytes body = {.len = 0};
    if (vy_bytes_find(text, SIGNATURE_MARK, 0) == SIZE_MAX ||
        !vy_bytes_starts_with(text, VY_LIT("{\"format\":\"" CERTIFICATE_FORMAT "\","))) {
        return vy_error(VY_CODE_SYNTAX, "this is no certificate of erasure");
    }
    VY_TRY(certificate_check_line(public_key, text, &body));
    *out =
        (struct certificate_claims){.job_id = member(body, VY_LIT("\"intent\":\""), '"'),
                                    .account_id = member(body, VY_LIT("\"account_id\":\""), '"'),
                                    .serial = member(body, VY_LIT("\"serial\":"), ','),
                                    .public_key = member(body, VY_LIT("\"public_key\":\""), '"'),
                                    .pending = member(body, VY_LIT("\"pending_members\":"), ',')};
    return vy_ok();
}
