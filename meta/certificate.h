/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The certificate of an erasure: one line of JSON that says what was erased where, and what was
 * not yet, signed with Ed25519 under a key derived from the cluster key. The signature
 * is over the bytes of the line before `,"signature":`.
 */
#include "base/arena.h"
#include "base/buf.h"
#include "proto/cluster_key.h"
#include "proto/metalog.pb.h"

#define CERTIFICATE_TEXT_BYTES_MAX 65536U

struct certificate_facts {
    struct vy_bytes cluster_id;
    const struct job_row *job;
    uint64_t group_id;   /* that held the account's mail */
    uint64_t member_id;  /* of meta: whose files were compacted */
    size_t member_count; /* of meta's group */
    uint64_t now_ms;
};
/* Appends the line, with its end. @errors NOMEM; INTERNAL the cryptographic library */
VY_CHECKED struct vy_err certificate_write(const struct cluster_key *key,
                                           const struct certificate_facts *facts,
                                           struct vy_buf *out);

struct certificate_claims {
    struct vy_bytes job_id; /* borrow from the text */
    struct vy_bytes account_id;
};
/*
 * Was this text, byte for byte, signed by this cluster?
 *
 * @errors  SYNTAX it is none, or is cut; AUTH altered, or of another cluster; INTERNAL
 */
VY_CHECKED struct vy_err certificate_verify(const struct cluster_key *key,
                                            struct vy_bytes cluster_id, struct vy_bytes text,
                                            struct certificate_claims *out);
