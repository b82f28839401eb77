/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/factor_code.h"

#include "base/assert.h"
#include "base/secret.h"
#include "meta/password.h"

/* ---- recovery codes ---- */

static void recovery_mac(const struct cluster_key *key, uint64_t account_id,
                         const uint8_t letters[RECOVERY_LETTERS], uint8_t out[32])
{
    uint8_t text[8 + RECOVERY_LETTERS];
    vy_put_be64(text, account_id);
    memcpy(text + 8, letters, RECOVERY_LETTERS);
    cluster_key_mac(key, "recovery-code", vy_bytes(text, sizeof(text)), out);
    vy_wipe(text, sizeof(text));
}

bool recovery_code_parse(struct vy_bytes typed, uint8_t letters[RECOVERY_LETTERS])
{
    size_t count = 0;
    for (size_t i = 0; i < typed.len; i++) {
        const uint8_t c = vy_ascii_lower(typed.data[i]);
        if (c == ' ' || c == '-') {
            continue;
        }
        if (count == RECOVERY_LETTERS ||
            vy_bytes_find_byte(VY_LIT(PASSWORD_ALPHABET), c, 0) == SIZE_MAX) {
            return false;
        }
        letters[count++] = c;
    }
    return count == RECOVERY_LETTERS;
}

struct vy_err recovery_codes_make(const struct cluster_key *key, uint64_t account_id,
                                  struct vy_bytes seed, struct vy_bytes context,
                                  struct recovery_codes *out)
{
    const struct password_shape shape = {.group_count = RECOVERY_GROUP_COUNT,
                                         .group_letters = RECOVERY_GROUP_LETTERS};
    struct vy_buf buf;
    vy_buf_init(&buf, 4096);
    for (uint8_t i = 0; i < META_RECOVERY_CODES; i++) {
        uint8_t letters[RECOVERY_LETTERS];
        vy_buf_reset(&buf);
        vy_buf_append_cstr(&buf, "recovery");
        vy_buf_append_byte(&buf, i);
        vy_buf_append(&buf, context);
        password_shape_from_seed(key, &shape, seed, vy_buf_bytes(&buf), out->shown[i]);
        const bool is_code = recovery_code_parse(vy_cstr(out->shown[i]), letters);
        VY_ASSERT(is_code);
        recovery_mac(key, account_id, letters, out->macs[i]);
        out->mac_bytes[i] = vy_bytes(out->macs[i], sizeof(out->macs[i]));
        vy_wipe(letters, sizeof(letters));
    }
    const struct vy_err err = vy_buf_error(&buf);
    vy_buf_deinit(&buf);
    return err;
}

/* ---- the secret, under the key that goes with the account ---- */

static struct vy_err find_key(struct meta_call *call, uint64_t account_id, struct seal_key *out)
{
    const struct meta_view view = meta_call_view(call);
    bool is_found = false;
    VY_TRY(seal_key_find(call->meta->config.key, &view, account_id, out, &is_found));
    if (!is_found) {
        vy_wipe(out, sizeof(*out));
        return vy_error(VY_CODE_CORRUPT, "account without a key");
    }
    return vy_ok();
}

struct vy_err factor_seal_secret(struct meta_call *call, uint64_t account_id,
                                 const uint8_t secret[TOTP_SECRET_BYTES], struct vy_bytes *out)
{
    const struct factor_body body = {.secret = vy_bytes(secret, TOTP_SECRET_BYTES)};
    struct seal_key key;
    VY_TRY(find_key(call, account_id, &key));
    const struct vy_err err =
        seal_message(&key, call->meta->config.rng, &call->arena, &factor_body_desc, &body, out);
    vy_wipe(&key, sizeof(key));
    return err;
}

struct vy_err factor_open_secret(struct meta_call *call, uint64_t account_id,
                                 const struct factor_row *row, uint8_t out[TOTP_SECRET_BYTES])
{
    struct factor_body body;
    struct seal_key key;
    VY_TRY(find_key(call, account_id, &key));
    const struct vy_err err =
        seal_open_message(&key, &call->arena, row->secret_sealed, &factor_body_desc, &body);
    vy_wipe(&key, sizeof(key));
    if (err.code == VY_CODE_AUTH || (!vy_failed(err) && body.secret.len != TOTP_SECRET_BYTES)) {
        return vy_error(VY_CODE_CORRUPT, "secret of a second factor does not open");
    }
    VY_TRY(err);
    memcpy(out, body.secret.data, TOTP_SECRET_BYTES);
    vy_wipe((void *)(uintptr_t)body.secret.data, body.secret.len); /* in the call's arena */
    return vy_ok();
}

/* ---- judging ---- */

static struct vy_err judge_totp(struct meta_call *call, uint64_t account_id,
                                const struct factor_row *row, uint32_t code,
                                struct factor_proof *out)
{
    uint8_t secret[TOTP_SECRET_BYTES];
    VY_TRY(factor_open_secret(call, account_id, row, secret));
    if (totp_find_step(secret, code, meta_now_ms(call->meta), row->last_step, &out->number)) {
        out->kind = FACTOR_PROOF_KIND_TOTP;
    }
    vy_wipe(secret, sizeof(secret));
    return vy_ok();
}

/* All are compared, whichever it is. */
static void judge_recovery(struct meta_call *call, uint64_t account_id,
                           const struct factor_row *row, const uint8_t letters[RECOVERY_LETTERS],
                           struct factor_proof *out)
{
    uint8_t mac[32];
    recovery_mac(call->meta->config.key, account_id, letters, mac);
    for (size_t i = 0; i < row->recovery_count; i++) {
        if (vy_bytes_equal_secret(row->recovery[i].mac, vy_bytes(mac, sizeof(mac)))) {
            out->kind = FACTOR_PROOF_KIND_RECOVERY;
            out->number = i;
        }
    }
}

struct vy_err factor_judge(struct meta_call *call, uint64_t account_id,
                           const struct factor_row *row, struct vy_bytes typed,
                           struct factor_proof *out)
{
    uint8_t letters[RECOVERY_LETTERS];
    uint32_t code = 0;
    *out = (struct factor_proof){.kind = FACTOR_PROOF_KIND_NONE, .factor_id = row->id};
    if (totp_parse_code(typed, &code)) {
        return judge_totp(call, account_id, row, code, out);
    }
    if (recovery_code_parse(typed, letters)) {
        judge_recovery(call, account_id, row, letters, out);
        vy_wipe(letters, sizeof(letters));
    }
    return vy_ok();
}
