/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Checking a certificate of erasure with nothing but its text and the public key of the cluster:
 * anywhere, without a server. What the text says is in certificate.h.
 */
#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"

#define CERTIFICATE_TEXT_BYTES_MAX 65536U
#define CERTIFICATE_KEY_BYTES 32U
#define CERTIFICATE_SIGNATURE_BYTES 64U
#define CERTIFICATE_FORMAT "volary-erasure-2"

/* One signed line of JSON, whatever it says; *out_body is the text before the signature.
 * @errors as certificate_check */
VY_CHECKED struct vy_err certificate_check_line(struct vy_bytes public_key, struct vy_bytes text,
                                                struct vy_bytes *out_body);

struct certificate_claims {
    struct vy_bytes job_id; /* borrow from the text */
    struct vy_bytes account_id;
    struct vy_bytes serial;
    struct vy_bytes public_key; /* hex, as it names itself: proves nothing */
    struct vy_bytes pending;    /* members that were not clean when it was signed, in digits */
};
/*
 * Was this text, byte for byte, signed by the holder of this key (CERTIFICATE_KEY_BYTES bytes)?
 *
 * @errors  SYNTAX it is none, or is cut; AUTH altered, or of another cluster; INTERNAL
 */
VY_CHECKED struct vy_err certificate_check(struct vy_bytes public_key, struct vy_bytes text,
                                           struct certificate_claims *out);
