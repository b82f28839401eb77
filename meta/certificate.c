/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/certificate.h"

#include "base/codec.h"
#include "base/secret.h"
#include <openssl/evp.h>

#define SIGNATURE_BYTES 64U
#define PUBLIC_KEY_BYTES 32U
#define FORMAT "volary-erasure-1"
#define SIGNATURE_MARK VY_LIT(",\"signature\":\"")

/* ---- the key ---- */

static EVP_PKEY *derive_key(const struct cluster_key *key, struct vy_bytes cluster_id)
{
    uint8_t seed[32];
    cluster_key_mac(key, "certificate", cluster_id, seed);
    EVP_PKEY *pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, sizeof(seed));
    vy_wipe(seed, sizeof(seed));
    return pkey;
}

static bool sign(EVP_PKEY *pkey, struct vy_bytes text, uint8_t out[SIGNATURE_BYTES])
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    size_t len = SIGNATURE_BYTES;
    const bool is_signed = context != NULL &&
                           EVP_DigestSignInit(context, NULL, NULL, NULL, pkey) == 1 &&
                           EVP_DigestSign(context, out, &len, text.data, text.len) == 1;
    EVP_MD_CTX_free(context);
    return is_signed && len == SIGNATURE_BYTES;
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

/* ---- writing: numbers, hex and literals only, so nothing needs escaping ---- */

static void append_hex(struct vy_buf *out, const char *name, struct vy_bytes bytes)
{
    vy_buf_printf(out, ",\"%s\":\"", name);
    vy_hex_encode(out, bytes);
    vy_buf_append_byte(out, '"');
}

static void append_done(struct vy_buf *out, const struct certificate_facts *facts)
{
    vy_buf_printf(out,
                  ",\"done\":["
                  "\"meta: credentials, wrapped key, sign-in records and address deleted, by a "
                  "committed entry\","
                  "\"group %llu: all rows of the account deleted, key dropped from memory, "
                  "sessions ended, by a committed entry\","
                  "\"meta member %016llx: files of wrapped keys rewritten without the key\"]",
                  (unsigned long long)facts->group_id, (unsigned long long)facts->member_id);
}

/* What this version does not do is said here, not left out. */
static void append_pending(struct vy_buf *out, const struct certificate_facts *facts)
{
    vy_buf_append_cstr(
        out, ",\"pending\":["
             "\"raft log of meta, all members: the entry that made the account holds its key, "
             "wrapped by the cluster key, until the log is cut; this version does not cut it\"");
    if (facts->member_count > 1) {
        vy_buf_printf(out,
                      ",\"the %zu other members of meta: the wrapped key in store files until they "
                      "are compacted\"",
                      facts->member_count - 1);
    }
    vy_buf_printf(out,
                  ",\"group %llu, all members: content sealed under the account's key in the raft "
                  "log until it is cut, and in store files until they are compacted\","
                  "\"members that were down: the same entries erase there before they serve\","
                  "\"copies of data directories made by hand: not known here\"]",
                  (unsigned long long)facts->group_id);
}

static void append_body(struct vy_buf *out, const struct certificate_facts *facts)
{
    vy_buf_printf(out, "{\"format\":\"" FORMAT "\",\"intent\":\"%llu\",\"account_id\":\"%llu\"",
                  (unsigned long long)facts->job->id, (unsigned long long)facts->job->account_id);
    append_hex(out, "account_sha256", facts->job->address_sha256);
    append_hex(out, "cluster_id", facts->cluster_id);
    vy_buf_printf(out, ",\"requested_ms\":%llu,\"erased_ms\":%llu",
                  (unsigned long long)facts->job->created_ms, (unsigned long long)facts->now_ms);
    append_done(out, facts);
    append_pending(out, facts);
}

static struct vy_err write_signed(EVP_PKEY *pkey, const struct certificate_facts *facts,
                                  struct vy_buf *out)
{
    uint8_t public_key[PUBLIC_KEY_BYTES];
    uint8_t signature[SIGNATURE_BYTES];
    size_t len = sizeof(public_key);
    const size_t start = vy_buf_len(out);
    if (EVP_PKEY_get_raw_public_key(pkey, public_key, &len) != 1) {
        return vy_error(VY_CODE_INTERNAL, "public key of certificates");
    }
    append_body(out, facts);
    append_hex(out, "public_key", vy_bytes(public_key, sizeof(public_key)));
    VY_TRY(vy_buf_error(out));
    if (!sign(pkey, vy_bytes_from(vy_buf_bytes(out), start), signature)) {
        return vy_error(VY_CODE_INTERNAL, "signature of a certificate");
    }
    append_hex(out, "signature", vy_bytes(signature, sizeof(signature)));
    vy_buf_append_cstr(out, "}\n");
    return vy_buf_error(out);
}

struct vy_err certificate_write(const struct cluster_key *key,
                                const struct certificate_facts *facts, struct vy_buf *out)
{
    EVP_PKEY *pkey = derive_key(key, facts->cluster_id);
    const struct vy_err err = pkey == NULL ? vy_error(VY_CODE_INTERNAL, "key of certificates")
                                           : write_signed(pkey, facts, out);
    EVP_PKEY_free(pkey);
    return err;
}

/* ---- verifying ---- */

/* The text of a member that was written above, so without escapes. */
static struct vy_bytes member(struct vy_bytes text, struct vy_bytes mark)
{
    const size_t at = vy_bytes_find(text, mark, 0);
    struct vy_bytes rest = at == SIZE_MAX ? vy_bytes(NULL, 0) : vy_bytes_from(text, at + mark.len);
    return vy_bytes_cut(&rest, '"');
}

static bool ends_well(struct vy_bytes tail)
{
    return vy_bytes_equal(tail, VY_LIT("\"}")) || vy_bytes_equal(tail, VY_LIT("\"}\n")) ||
           vy_bytes_equal(tail, VY_LIT("\"}\r\n"));
}

static struct vy_err check(EVP_PKEY *pkey, struct vy_bytes body, struct vy_bytes hex)
{
    struct vy_arena arena;
    struct vy_bytes signature = {.len = 0};
    vy_arena_init(&arena, 4096);
    struct vy_err err = vy_hex_decode(&arena, hex, &signature);
    if (vy_failed(err) || signature.len != SIGNATURE_BYTES) {
        err = vy_error(VY_CODE_SYNTAX, "the signature is no Ed25519 signature");
    } else if (!is_signed_by(pkey, body, signature)) {
        err = vy_error(VY_CODE_AUTH, "the signature does not fit: altered, or of another cluster");
    }
    vy_arena_deinit(&arena);
    return err;
}

struct vy_err certificate_verify(const struct cluster_key *key, struct vy_bytes cluster_id,
                                 struct vy_bytes text, struct certificate_claims *out)
{
    const size_t at = vy_bytes_find(text, SIGNATURE_MARK, 0);
    if (at == SIZE_MAX || !vy_bytes_starts_with(text, VY_LIT("{\"format\":\"" FORMAT "\","))) {
        return vy_error(VY_CODE_SYNTAX, "this is no certificate of erasure");
    }
    const struct vy_bytes body = vy_bytes_slice(text, 0, at);
    const struct vy_bytes rest = vy_bytes_from(text, at + SIGNATURE_MARK.len);
    const struct vy_bytes hex = vy_bytes_slice(rest, 0, 2U * SIGNATURE_BYTES);
    if (!ends_well(vy_bytes_from(rest, hex.len))) {
        return vy_error(VY_CODE_SYNTAX, "the certificate is cut, or something follows it");
    }
    EVP_PKEY *pkey = derive_key(key, cluster_id);
    const struct vy_err err =
        pkey == NULL ? vy_error(VY_CODE_INTERNAL, "key of certificates") : check(pkey, body, hex);
    EVP_PKEY_free(pkey);
    if (!vy_failed(err)) {
        *out = (struct certificate_claims){.job_id = member(body, VY_LIT("\"intent\":\"")),
                                           .account_id = member(body, VY_LIT("\"account_id\":\""))};
    }
    return err;
}
