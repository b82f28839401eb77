/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The client's half of SCRAM-SHA-256 for tests (RFC 5802, 7677). */
#include "base/bytes.h"

/*
 * The second message.
 *
 * @gs2      "n,,", "p=tls-exporter,,": as the first message began
 * @bare     the rest of the first message: "n=name,r=nonce"
 * @first    the server's answer to it
 * @binding  of the channel; empty without
 * @out      a NUL-terminated message
 */
void scram_client_final(const char *gs2, const char *bare, struct vy_bytes first,
                        struct vy_bytes binding, const char *password, char *out, size_t size);
