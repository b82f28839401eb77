/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * TLS of the link: 1.3 only, mutual, ALPN "mailrpc/1". A certificate names its holder by one SAN
 * URI, spiffe://<cluster>/<role>/<node> with role frontend, shard, meta or admin. The keys never
 * leave this module.
 *
 * @thread  a context belongs to one loop; make one per role
 */
#include "base/err.h"

struct rpc_tls_context;
struct rpc_tls_files {
    const char *certificate_path; /* PEM: this node's certificate, intermediates behind it */
    const char *key_path;         /* PEM; only its owner may read it (promise C2) */
    const char *ca_path;          /* PEM: who may sign peers */
};
/* @errors NOT_FOUND, DENIED key readable by others, SYNTAX not PEM, PRECONDITION key and
 * certificate do not match */
VY_CHECKED struct vy_err rpc_tls_context_new(const struct rpc_tls_files *files,
                                             struct rpc_tls_context **out);
/* Reads the files again (renewed certificates) for handshakes from now on; on failure all stays as
 * it was. */
VY_CHECKED struct vy_err rpc_tls_context_reload(struct rpc_tls_context *context);
void rpc_tls_context_free(
    struct rpc_tls_context *context); /* NULL is allowed; after its links and servers */
/* Seconds until this node's certificate ends, <= 0 when it has: for metrics. */
int64_t rpc_tls_context_expires_in_s(const struct rpc_tls_context *context);
/* C2: whether this node can be known by its own certificate, asked at the start.
 * @errors PRECONDITION it has expired, or names another node; DENIED it names nobody of the cluster
 */
VY_CHECKED struct vy_err rpc_tls_context_check_own(const struct rpc_tls_context *context,
                                                   const char *cluster, const char *node);
