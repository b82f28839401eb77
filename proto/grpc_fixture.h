/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * For tests: a gRPC server on a thread of its own, with the methods of admin.proto. What it does
 * depends on the request's bytes, which need be no message:
 *
 *   "fail"   NOT_FOUND with a message that needs encoding
 *   "hold"   no answer until grpc_fixture_release
 *   "large"  a reply of 4 MiB + 1
 *   others   come back as they are
 */
#include "base/log.h"
#include "base/loop.h"
#include "proto/grpc_server.h"
#include "proto/rpc_certs.h"
#include <pthread.h>
#include <stdatomic.h>

#define GRPC_FIXTURE_HELD_MAX 64U
#define GRPC_FIXTURE_MESSAGE                                                                       \
    "no gr\xc3\xbc\xc3\x9f"                                                                        \
    "e: 100%\n" /* UTF-8, percent, line end */

struct grpc_fixture {
    struct rpc_certs folder; /* certificates and the socket */
    char socket[RPC_CERTS_PATH_BYTES + 8];
    char unix_address[RPC_CERTS_PATH_BYTES + 16];
    char tcp_address[32]; /* with TLS when the fixture has it, else plain */
    uint16_t port;
    bool has_tls;
    uint32_t timeout_ms; /* of greeting and idle streams; 0: the server's own */
    struct vy_loop *loop;
    struct vy_log log;
    struct vy_log_sink sink;
    struct vy_tls_context *tls;
    struct grpc_server *server;
    pthread_t thread;
    struct grpc_call *held[GRPC_FIXTURE_HELD_MAX];
    size_t held_count;
    atomic_bool is_serving;
    atomic_uint calls;
    char last_uri[128]; /* of the caller; read after its answer */
    bool was_local;
};
/* With TLS there are certificates in `folder`: "ca", "server" (localhost, 127.0.0.1), "admin"
 * (spiffe://test/admin/root), "stranger" of "other-ca". */
void grpc_fixture_start(struct grpc_fixture *fixture, bool with_tls);
void grpc_fixture_start_impatient(struct grpc_fixture *fixture, uint32_t timeout_ms);
void grpc_fixture_release(struct grpc_fixture *fixture); /* answers what is held. @blocks */
void grpc_fixture_stop(struct grpc_fixture *fixture);
