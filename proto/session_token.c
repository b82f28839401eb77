/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/session_token.h"

#define PURPOSE "session"
#define SEAL_BYTES 32U

struct vy_err session_token_seal(const struct cluster_key *key, const struct session_claims *claims,
                                 struct vy_buf *out)
{
    const size_t before = vy_buf_len(out);
    VY_TRY(vy_pb_encode(&session_claims_desc, claims, out));
    const struct vy_bytes text = vy_bytes_from(vy_buf_bytes(out), before);
    if (text.len + SEAL_BYTES > SESSION_TOKEN_BYTES_MAX) {
        vy_buf_truncate(out, before);
        return vy_error(VY_CODE_LIMIT, "session token");
    }
    uint8_t seal[SEAL_BYTES];
    cluster_key_mac(key, PURPOSE, text, seal);
    vy_buf_append(out, vy_bytes(seal, sizeof(seal)));
    return vy_buf_error(out);
}

struct vy_err session_token_open(const struct cluster_key *key, struct vy_arena *arena,
                                 struct vy_bytes token, uint64_t now_ms, struct session_claims *out)
{
    if (token.len < SEAL_BYTES || token.len > SESSION_TOKEN_BYTES_MAX) {
        return vy_error(VY_CODE_AUTH, "length of a session token");
    }
    const struct vy_bytes text = vy_bytes_slice(token, 0, token.len - SEAL_BYTES);
    uint8_t seal[SEAL_BYTES];
    cluster_key_mac(key, PURPOSE, text, seal);
    if (!vy_bytes_equal_secret(vy_bytes(seal, sizeof(seal)), vy_bytes_from(token, text.len))) {
        return vy_error(VY_CODE_AUTH, "seal of a session token");
    }
    struct session_claims claims;
    VY_TRY(vy_pb_decode(&session_claims_desc, arena, text, &claims));
    if (now_ms > SESSION_TOKEN_SKEW_MS && now_ms - SESSION_TOKEN_SKEW_MS > claims.expires_ms) {
        return vy_error(VY_CODE_STALE, "session token has expired");
    }
    *out = claims;
    return vy_ok();
}
