/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The certificate of an erasure: one line of JSON that says what was destroyed, which members have
 * nothing left in their files, which are pending, and what remains that nobody can read. Signed
 * with Ed25519 under a key derived from the cluster key, over the bytes of the line before
 * `,"signature":`. When a member that was pending is clean, another one with a higher serial
 * follows.
 */
#include "base/buf.h"
#include "meta/certificate_check.h"
#include "proto/cluster_key.h"
#include "proto/metalog.pb.h"

struct certificate_facts {
    struct vy_bytes cluster_id;
    const struct job_row *job;
    uint64_t group_id; /* that held the account's mail */
    uint64_t now_ms;
};
/* Appends the line, with its end. @errors NOMEM; INTERNAL the cryptographic library */
VY_CHECKED struct vy_err certificate_write(const struct cluster_key *key,
                                           const struct certificate_facts *facts,
                                           struct vy_buf *out);

/* Ends a line of JSON that begins at `start` with the public key, the signature and "}\n".
 * @errors NOMEM; INTERNAL */
VY_CHECKED struct vy_err certificate_sign(const struct cluster_key *key, struct vy_bytes cluster_id,
                                          size_t start, struct vy_buf *out);
/* The public half of the key that this cluster signs with. @errors INTERNAL */
VY_CHECKED struct vy_err certificate_public_key(const struct cluster_key *key,
                                                struct vy_bytes cluster_id,
                                                uint8_t out[CERTIFICATE_KEY_BYTES]);
/* certificate_check with this cluster's key. */
VY_CHECKED struct vy_err certificate_verify(const struct cluster_key *key,
                                            struct vy_bytes cluster_id, struct vy_bytes text,
                                            struct certificate_claims *out);
