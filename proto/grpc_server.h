/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A gRPC server over HTTP/2 (nghttp2): any gRPC client works. Unary and server-streaming methods,
 * deadlines, limits, grpc.health.v1.Health and server reflection. TLS with ALPN "h2", or cleartext
 * (h2c, prior knowledge) on loopback and unix sockets. Compression is refused with UNIMPLEMENTED,
 * as identity is what clients default to.
 *
 * @thread  all of it belongs to config->loop
 * @source  gRPC over HTTP/2 (grpc.io), RFC 9113
 */
#include "base/log.h"
#include "base/loop.h"
#include "base/tls.h"
#include "proto/pb.h"

struct grpc_server;
struct grpc_call;

#define GRPC_MESSAGE_BYTES_MAX (4U * 1024U * 1024U) /* promises section 4: RPC message */
#define GRPC_STREAMS_MAX 32U                        /* H1: concurrent streams of a connection */
#define GRPC_CONNECTIONS_MAX 256U

/* Who called: what the handler may trust. */
struct grpc_peer {
    bool is_local;           /* unix socket: the machine's operator */
    bool is_authenticated;   /* client certificate of our CA */
    struct vy_bytes address; /* text, for the audit */
    struct vy_bytes uri;     /* of that certificate: spiffe://CLUSTER/ROLE/NAME; may be empty */
};

struct grpc_service {
    const struct vy_pb_method *methods; /* generated table */
    size_t methods_count;
    struct vy_bytes file_descriptor; /* of the .proto, for reflection; empty: none */
    const char *file_name;           /* "admin.proto" */
    /* A whole request message, valid during the call of the handler. Answer once, now or later. */
    void (*on_call)(void *arg, struct grpc_call *call, const struct vy_pb_method *method,
                    struct vy_bytes request);
    void *arg;
};

struct grpc_server_config {
    struct vy_loop *loop;
    const struct vy_log *log;
    struct vy_tls_context
        *tls; /* of TCP listeners; NULL: cleartext, then loopback addresses only */
    const struct grpc_service
        *services; /* borrowed for the server's life; may be empty: health alone */
    size_t services_count;
    bool (*is_serving)(void *arg); /* for health */
    void *is_serving_arg;
    uint32_t greeting_timeout_ms;    /* TLS and HTTP/2 settings; 0: 10,000 */
    uint32_t stream_idle_timeout_ms; /* a client that neither sends nor reads; 0: 60,000 (H2) */
    uint32_t idle_timeout_ms;        /* a connection without calls; 0: 300,000 */
};

VY_CHECKED struct vy_err grpc_server_new(const struct grpc_server_config *config,
                                         struct grpc_server **out);
/* @errors DENIED cleartext beyond loopback; EXISTS in use; ARGUMENT; IO */
VY_CHECKED struct vy_err grpc_server_listen_tcp(struct grpc_server *server, const char *host,
                                                uint16_t port);
/* Mode 0600; an old socket file is replaced. */
VY_CHECKED struct vy_err grpc_server_listen_unix(struct grpc_server *server, const char *path);
/* Takes over a connected, non-blocking socket whose first bytes were read already (the ops port).
 * Closes it in the end. */
void grpc_server_adopt(struct grpc_server *server, int fd, struct vy_bytes first);
void grpc_server_free(struct grpc_server *server); /* NULL is allowed; open calls are dropped */

/* What is left of the client's deadline; UINT64_MAX: it named none; 0: it does not wait any more.
 */
uint64_t grpc_call_remaining_ms(const struct grpc_call *call);
const struct grpc_peer *grpc_call_peer(const struct grpc_call *call);
/* Both end the call. A call whose client has gone takes its answer without effect. */
void grpc_call_reply(struct grpc_call *call, struct vy_bytes reply);
/* @message  for people: what, why, and what to do; percent-encoded as gRPC asks */
void grpc_call_fail(struct grpc_call *call, struct vy_err err, const char *message);
