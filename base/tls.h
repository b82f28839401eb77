/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * TLS over memory: ciphertext in, plaintext out, and back; no socket. The one wrapper of libssl. A
 * context is made once and shared by connections of any thread; a stream belongs to one connection.
 * Servers speak TLS 1.2 (ECDHE with AEAD) and 1.3, without renegotiation, compression or early data
 * (promises 5.5, S18).
 */
#include "base/buf.h"

struct vy_tls_context; /* opaque, reference counted */
struct vy_tls;         /* opaque, one connection */

struct vy_tls_config {
    const char *certificate_file; /* PEM chain */
    const char *key_file;         /* PEM; C2: refused when readable by others */
    const char
        *ca_file;     /* peers must show a certificate of this CA; NULL: no client certificates */
    const char *alpn; /* the one protocol offered and accepted ("h2"), or NULL */
    bool is_tls13_only;
};

/* @errors NOT_FOUND, DENIED (C2), CORRUPT unreadable certificate or key, key of another
 * certificate, expired (C2) */
VY_CHECKED struct vy_err vy_tls_context_new_server(const struct vy_tls_config *config,
                                                   struct vy_tls_context **out);
VY_CHECKED struct vy_err vy_tls_context_new_client(const struct vy_tls_config *config,
                                                   struct vy_tls_context **out);
void vy_tls_context_free(struct vy_tls_context *context);                /* streams keep it alive */
uint64_t vy_tls_context_expiry_ms(const struct vy_tls_context *context); /* notAfter, Unix ms */
/* Writes a new P-256 key (0600) and a certificate for these names signed by itself, valid for ten
 * years; for development. names: comma separated DNS names and IP addresses. Does nothing when both
 * files are there. */
VY_CHECKED struct vy_err vy_tls_write_self_signed(const char *certificate_file,
                                                  const char *key_file, const char *names);

VY_CHECKED struct vy_err vy_tls_new(struct vy_tls_context *context, struct vy_tls **out);
void vy_tls_free(struct vy_tls *tls); /* NULL is allowed */
/* Ciphertext from the peer. @errors CORRUPT: the stream is dead; an alert may wait in vy_tls_take
 */
VY_CHECKED struct vy_err vy_tls_receive(struct vy_tls *tls, struct vy_bytes ciphertext);
bool vy_tls_is_established(const struct vy_tls *tls);
/* Plaintext that is ready, up to `size` bytes; 0: none now, or the peer closed (vy_tls_is_closed).
 */
VY_CHECKED struct vy_err vy_tls_read(struct vy_tls *tls, uint8_t *out, size_t size,
                                     size_t *out_len);
bool vy_tls_is_closed(const struct vy_tls *tls);
/* Encrypts all of it; only when established. */
VY_CHECKED struct vy_err vy_tls_write(struct vy_tls *tls, struct vy_bytes plaintext);
/* Moves what is to be sent to the peer to the end of `out`. */
void vy_tls_take(struct vy_tls *tls, struct vy_buf *out);
void vy_tls_close(struct vy_tls *tls); /* queues close_notify */

/* "TLSv1.3 TLS_AES_256_GCM_SHA384" */
void vy_tls_describe(const struct vy_tls *tls, char *out, size_t size);
/* Channel bindings: tls-exporter (RFC 9266) and tls-server-end-point (RFC 5929). False: not
 * available. */
bool vy_tls_exporter(const struct vy_tls *tls, uint8_t out[32]);
bool vy_tls_end_point(const struct vy_tls *tls, uint8_t out[64], size_t *out_len);
/* The one URI among the names of the peer's certificate (spiffe://CLUSTER/ROLE/NAME), with a NUL
 * behind it. False: no certificate, no URI, several, or longer than `size`. */
bool vy_tls_peer_uri(const struct vy_tls *tls, char *out, size_t size);
