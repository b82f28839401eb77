/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A small gRPC client for programs that ask one thing after another (volaryctl): one connection,
 * one unary call at a time, over HTTP/2. It redials when the connection is gone. Knows no messages:
 * the caller encodes and decodes them (pb.h).
 *
 * @thread  one at a time  @blocks  every function but grpc_client_free, within its deadline
 */
#include "base/buf.h"
#include "base/err.h"
#include <stdint.h>

#define GRPC_CLIENT_REPLY_BYTES_MAX (4U * 1024U * 1024U)
#define GRPC_CLIENT_MESSAGE_BYTES_MAX 4096U /* of the status message, after decoding */

struct grpc_client;

struct grpc_client_tls {
    const char *ca_file;     /* PEM; who may vouch for the server */
    const char *cert_file;   /* PEM chain of this client; NULL: none */
    const char *key_file;    /* its PEM key */
    const char *server_name; /* that the certificate must name (DNS name or IP address); NULL: the
                                host of the address */
};
/* Borrowed during grpc_client_open. */
struct grpc_client_config {
    const char *address;               /* "unix:/path", "host:port" or "[v6]:port" */
    const struct grpc_client_tls *tls; /* NULL: plain HTTP/2, for unix sockets and loopback alone */
    uint32_t timeout_ms;               /* to connect and shake hands; 0: 5,000 */
};
/*
 * Connects.
 *
 * @why     what went wrong, for people ("certificate is for another host"); appended to; may be
 * NULL
 * @errors  ARGUMENT address or files; DENIED plain beyond loopback; AUTH the certificates do not
 * fit; UNAVAILABLE nobody answers; NOMEM
 */
VY_CHECKED struct vy_err grpc_client_open(const struct grpc_client_config *config,
                                          struct grpc_client **out, struct vy_buf *why);
void grpc_client_free(struct grpc_client *client); /* NULL is allowed */

/*
 * One unary call.
 *
 * @path         "/volary.admin.v1.AccountService/GetAccount", from the generated method tables
 * @request      the encoded message
 * @deadline_ms  from now; 0: 30,000; told to the server, too
 * @reply        the encoded answer, when *grpc_status is 0; appended to
 * @grpc_status  0 OK .. 16 UNAUTHENTICATED, as the server said
 * @message      the server's words, percent-decoded; appended to. On errors of this function: what
 * went wrong
 * @errors  an answer came (whatever its status): ok. UNAVAILABLE certainly not executed; UNKNOWN
 * connection or deadline lost after the request was written; LIMIT a reply over
 * GRPC_CLIENT_REPLY_BYTES_MAX; SYNTAX the peer speaks no gRPC; AUTH it
 * refuses our certificate; NOMEM
 */
VY_CHECKED struct vy_err grpc_client_call(struct grpc_client *client, const char *path,
                                          struct vy_bytes request, uint32_t deadline_ms,
                                          struct vy_buf *reply, int *grpc_status,
                                          struct vy_buf *message);
