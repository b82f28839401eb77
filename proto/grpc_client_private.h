/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The byte stream under a gRPC client: TCP or a unix socket, with or without TLS, blocking with a
 * deadline. Knows no HTTP/2.
 */
#include "proto/grpc_client.h"

#define GRPC_SOCKET_HOST_BYTES 256U
#define GRPC_SOCKET_PATH_BYTES 108U /* sun_path */

struct grpc_socket_address {
    bool is_unix;
    char host[GRPC_SOCKET_HOST_BYTES]; /* without brackets; the path of a unix socket */
    char port[6];
};
/* @errors ARGUMENT */
VY_CHECKED struct vy_err grpc_socket_parse(const char *text, struct grpc_socket_address *out);

struct grpc_socket;
struct ssl_ctx_st;

/* All that TLS needs of files. @errors ARGUMENT; `why` says which */
VY_CHECKED struct vy_err grpc_socket_tls_new(const struct grpc_client_tls *config,
                                             struct ssl_ctx_st **out, struct vy_buf *why);
void grpc_socket_tls_free(struct ssl_ctx_st *tls); /* NULL is allowed */

struct grpc_socket_config {
    const struct grpc_socket_address *address;
    struct ssl_ctx_st *tls;  /* NULL: none */
    const char *server_name; /* that the certificate must name */
    uint64_t deadline_ms;    /* monotonic */
};
/* Connects and shakes hands. @errors as grpc_client_open */
VY_CHECKED struct vy_err grpc_socket_open(const struct grpc_socket_config *config,
                                          struct grpc_socket **out, struct vy_buf *why);
void grpc_socket_free(struct grpc_socket *socket); /* NULL is allowed */
/* All of it. @errors CLOSED; UNKNOWN the deadline passed; IO */
VY_CHECKED struct vy_err grpc_socket_send(struct grpc_socket *socket, struct vy_bytes bytes,
                                          uint64_t deadline_ms);
/* What has come, at least one byte. A deadline of 0 does not wait: *len is 0 then. @errors CLOSED;
 * UNKNOWN the deadline passed; AUTH the peer refuses our certificate; IO */
VY_CHECKED struct vy_err grpc_socket_receive(struct grpc_socket *socket, uint8_t *out, size_t size,
                                             uint64_t deadline_ms, size_t *len);
