/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Shared by rpc_tls.c (files, identities) and rpc_tls_pipe.c (the stream). */
#include "proto/rpc_pipe.h"
#include "proto/rpc_tls.h"
#include <openssl/ssl.h>

SSL_CTX *rpc_tls_context_get(const struct rpc_tls_context *context, bool is_dialer);
/*
 * Whom a certificate names.
 *
 * @uri      "spiffe://cluster/role/node"
 * @errors   DENIED not of that form, an unknown role, or another cluster
 */
VY_CHECKED struct vy_err rpc_tls_parse_identity(struct vy_bytes uri, const char *cluster,
                                                struct rpc_pipe_peer *out);
/* @errors DENIED as above; also without exactly one spiffe URI */
VY_CHECKED struct vy_err rpc_tls_read_identity(const SSL *ssl, const char *cluster,
                                               struct rpc_pipe_peer *out);
