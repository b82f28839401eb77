/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Session tokens: what meta gives a frontend at login and shards check on every call (promise P17):
 * the claims of meta.proto SessionClaims followed by an HMAC under the cluster's session key.
 * Frontends cannot make one.
 */
#include "proto/cluster_key.h"
#include "proto/meta.pb.h"

#define SESSION_TOKEN_BYTES_MAX 256U
/* Wall clocks of two nodes may differ by this much (R10). */
#define SESSION_TOKEN_SKEW_MS (2U * 60 * 1000)

VY_CHECKED struct vy_err session_token_seal(const struct cluster_key *key,
                                            const struct session_claims *claims,
                                            struct vy_buf *out);
/*
 * @arena   claims.nonce borrows from token
 * @errors  AUTH not sealed by this cluster or altered; STALE expired at now_ms, even
 *          with a clock that is SESSION_TOKEN_SKEW_MS ahead
 */
VY_CHECKED struct vy_err session_token_open(const struct cluster_key *key, struct vy_arena *arena,
                                            struct vy_bytes token, uint64_t now_ms,
                                            struct session_claims *out);
