/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/certificate.h"

#include "base/codec.h"
#include "base/secret.h"
#include "meta/erase.h"
#include <openssl/evp.h>
#include <openssl/sha.h>

/* ---- the key ---- */

static EVP_PKEY *derive_key(const struct cluster_key *key, struct vy_bytes cluster_id)
{
    uint8_t seed[32];
    cluster_key_mac(key, "certificate", cluster_id, seed);
    EVP_PKEY *pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, sizeof(seed));
    vy_wipe(seed, sizeof(seed));
    return pkey;
}

static bool sign(EVP_PKEY *pkey, struct vy_bytes text, uint8_t out[CERTIFICATE_SIGNATURE_BYTES])
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    size_t len = CERTIFICATE_SIGNATURE_BYTES;
    const bool is_signed = context != NULL &&
                           EVP_DigestSignInit(context, NULL, NULL, NULL, pkey) == 1 &&
                           EVP_DigestSign(context, out, &len, text.data, text.len) == 1;
    EVP_MD_CTX_free(context);
    return is_signed && len == CERTIFICATE_SIGNATURE_BYTES;
}

struct vy_err certificate_public_key(const struct cluster_key *key, struct vy_bytes cluster_id,
                                     uint8_t out[CERTIFICATE_KEY_BYTES])
{
    EVP_PKEY *pkey = derive_key(key, cluster_id);
    size_t len = CERTIFICATE_KEY_BYTES;
    const bool is_made = pkey != NULL && EVP_PKEY_get_raw_public_key(pkey, out, &len) == 1 &&
                         len == CERTIFICATE_KEY_BYTES;
    EVP_PKEY_free(pkey);
    return is_made ? vy_ok() : vy_error(VY_CODE_INTERNAL, "public key of certificates");
}

/* ---- writing: numbers, hex, literals and cleaned names only, so nothing needs escaping ---- */

static void append_hex(struct vy_buf *out, const char *name, struct vy_bytes bytes)
{
    vy_buf_printf(out, ",\"%s\":\"", name);
    vy_hex_encode(out, bytes);
    vy_buf_append_byte(out, '"');
}

/* Names of nodes and notes of ours. */
static void append_clean(struct vy_buf *out, struct vy_bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        const uint8_t c = text.data[i];
        vy_buf_append_byte(out, c < ' ' || c > '~' || c == '"' || c == '\\' ? '?' : c);
    }
}

static void append_text(struct vy_buf *out, bool *is_first, struct vy_bytes text)
{
    vy_buf_append_cstr(out, *is_first ? "\"" : ",\"");
    append_clean(out, text);
    vy_buf_append_byte(out, '"');
    *is_first = false;
}

static void append_whom(struct vy_buf *out, const struct erase_member_row *member)
{
    if (member->group_id == 0) {
        vy_buf_append_cstr(out, "meta, member ");
    } else {
        vy_buf_printf(out, "group %llu, member ", (unsigned long long)member->group_id);
    }
    append_clean(out, member->node);
    vy_buf_printf(out, " (%016llx): ", (unsigned long long)member->member_id);
}

static void append_member(struct vy_buf *out, bool *is_first, const struct erase_member_row *member)
{
    vy_buf_append_cstr(out, *is_first ? "\"" : ",\"");
    append_whom(out, member);
    if (member->done_ms != 0) {
        vy_buf_printf(out,
                      "raft log cut behind the erasure, tables rewritten without the account, old "
                      "files removed (%llu)",
                      (unsigned long long)member->done_ms);
    } else {
        append_clean(out, member->note.len > 0 ? member->note : VY_LIT("not heard of yet"));
    }
    vy_buf_append_byte(out, '"');
    *is_first = false;
}

static void append_members(struct vy_buf *out, const struct job_row *job, bool is_done,
                           bool is_left)
{
    bool is_first = !is_done; /* "done" goes on behind its first sentences */
    for (size_t i = 0; i < job->members_count; i++) {
        const struct erase_member_row *member = &job->members[i];
        if ((member->done_ms != 0) == is_done && (member->left_ms != 0) == is_left) {
            append_member(out, &is_first, member);
        }
    }
}

static void append_domain_done(struct vy_buf *out, const struct job_row *job)
{
    vy_buf_printf(
        out,
        ",\"done\":[\"%llu accounts: each erased under an intent and a certificate of its "
        "own, which name this intent as their parent\","
        "\"meta: the domain and its aliases deleted, by committed entries\"]",
        (unsigned long long)job->child_count);
    vy_buf_append_cstr(out, ",\"pending\":[");
    if (job->child_pending > 0) {
        vy_buf_printf(out,
                      "\"%llu accounts have members pending: see their certificates, or 'job show "
                      "%llu'\"",
                      (unsigned long long)job->child_pending, (unsigned long long)job->id);
    }
    vy_buf_append_byte(out, ']');
}

static void append_done(struct vy_buf *out, const struct certificate_facts *facts)
{
    bool is_first = true;
    vy_buf_append_cstr(out, ",\"done\":[");
    append_text(out, &is_first,
                VY_LIT("the key that seals the account's content: its only stored form, wrapped, "
                       "deleted by a committed entry of meta; wiped from the memory of the group's "
                       "members"));
    append_text(out, &is_first,
                VY_LIT("meta: credentials, sign-in records and answers to repeated requests "
                       "deleted, the address retired, by the same entry"));
    vy_buf_printf(out,
                  ",\"group %llu: all rows of the account deleted and its sessions ended, by a "
                  "committed entry\"",
                  (unsigned long long)facts->group_id);
    append_members(out, facts->job, /* is_done = */ true, /* is_left = */ false);
    vy_buf_append_cstr(out, "],\"pending\":[");
    append_members(out, facts->job, /* is_done = */ false, /* is_left = */ false);
    vy_buf_append_cstr(out, "],\"left\":[");
    append_members(out, facts->job, /* is_done = */ false, /* is_left = */ true);
    vy_buf_append_byte(out, ']');
}

/* What an erasure does not reach is said here, not left out. */
static void append_remains(struct vy_buf *out)
{
    bool is_first = true;
    vy_buf_append_cstr(out, ",\"remains\":[");
    append_text(out, &is_first,
                VY_LIT("bodies of mail in shared files of the group: sealed under the destroyed "
                       "key, until these files are compacted"));
    append_text(out, &is_first,
                VY_LIT("the audit chain: records about the account sealed under the destroyed key; "
                       "the record of this delete, with the account's number"));
    append_text(out, &is_first,
                VY_LIT("the address in meta's tables, as retired, so that nobody gets it by "
                       "mistake"));
    append_text(out, &is_first,
                VY_LIT("copies of data directories made before: not known here; with one of meta's "
                       "and the cluster key the mail in one of the group's can be opened"));
    append_text(out, &is_first,
                VY_LIT("blocks of storage devices that removed files have left: not overwritten"));
    vy_buf_append_byte(out, ']');
}

/* Names nobody in clear: who knows the name can tell that it was meant. */
static void append_subject(struct vy_buf *out, const struct job_row *job)
{
    uint8_t hash[SHA256_DIGEST_LENGTH];
    if (job->kind == JOB_KIND_DOMAIN) {
        SHA256(job->domain.data, job->domain.len, hash);
        append_hex(out, "domain_sha256", vy_bytes(hash, sizeof(hash)));
        vy_buf_printf(out, ",\"accounts\":%llu", (unsigned long long)job->child_count);
        return;
    }
    append_hex(out, "account_sha256", job->address_sha256);
    if (job->parent_job_id != 0) {
        vy_buf_printf(out, ",\"parent\":\"%llu\"", (unsigned long long)job->parent_job_id);
    }
}

static void append_body(struct vy_buf *out, const struct certificate_facts *facts)
{
    const struct job_row *job = facts->job;
    vy_buf_printf(out,
                  "{\"format\":\"" CERTIFICATE_FORMAT
                  "\",\"intent\":\"%llu\",\"serial\":%llu,\"account_id\":\"%llu\"",
                  (unsigned long long)job->id, (unsigned long long)job->certificate_serial + 1,
                  (unsigned long long)job->account_id);
    append_subject(out, job);
    append_hex(out, "cluster_id", facts->cluster_id);
    vy_buf_printf(out, ",\"requested_ms\":%llu,\"erased_ms\":%llu,\"signed_ms\":%llu",
                  (unsigned long long)job->created_ms,
                  (unsigned long long)(job->finished_ms != 0 ? job->finished_ms : facts->now_ms),
                  (unsigned long long)facts->now_ms);
    if (job->kind == JOB_KIND_DOMAIN) {
        vy_buf_printf(out, ",\"pending_members\":%llu", (unsigned long long)job->child_pending);
        append_domain_done(out, job);
        return;
    }
    vy_buf_printf(out, ",\"pending_members\":%zu", erase_pending_members(job));
    append_done(out, facts);
    append_remains(out);
}

static struct vy_err append_signed(EVP_PKEY *pkey, size_t start, struct vy_buf *out)
{
    uint8_t public_key[CERTIFICATE_KEY_BYTES];
    uint8_t signature[CERTIFICATE_SIGNATURE_BYTES];
    size_t len = sizeof(public_key);
    if (EVP_PKEY_get_raw_public_key(pkey, public_key, &len) != 1) {
        return vy_error(VY_CODE_INTERNAL, "public key of certificates");
    }
    append_hex(out, "public_key", vy_bytes(public_key, sizeof(public_key)));
    VY_TRY(vy_buf_error(out));
    if (!sign(pkey, vy_bytes_from(vy_buf_bytes(out), start), signature)) {
        return vy_error(VY_CODE_INTERNAL, "signature of a certificate");
    }
    append_hex(out, "signature", vy_bytes(signature, sizeof(signature)));
    vy_buf_append_cstr(out, "}\n");
    return vy_buf_error(out);
}

struct vy_err certificate_sign(const struct cluster_key *key, struct vy_bytes cluster_id,
                               size_t start, struct vy_buf *out)
{
    EVP_PKEY *pkey = derive_key(key, cluster_id);
    const struct vy_err err = pkey == NULL ? vy_error(VY_CODE_INTERNAL, "key of certificates")
                                           : append_signed(pkey, start, out);
    EVP_PKEY_free(pkey);
    return err;
}

struct vy_err certificate_write(const struct cluster_key *key,
                                const struct certificate_facts *facts, struct vy_buf *out)
{
    const size_t start = vy_buf_len(out);
    append_body(out, facts);
    return certificate_sign(key, facts->cluster_id, start, out);
}

struct vy_err certificate_verify(const struct cluster_key *key, struct vy_bytes cluster_id,
                                 struct vy_bytes text, struct certificate_claims *out)
{
    uint8_t public_key[CERTIFICATE_KEY_BYTES];
    VY_TRY(certificate_public_key(key, cluster_id, public_key));
    return certificate_check(vy_bytes(public_key, sizeof(public_key)), text, out);
}
