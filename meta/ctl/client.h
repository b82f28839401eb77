/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The servers of a cluster as one: asked in turn until one answers for good or the time is over.
 * A call may be repeated with the same bytes, as reads and writes with an operation id allow.
 *
 * @blocks  to the deadline
 */
#include "base/buf.h"
#include "base/clock.h"
#include "proto/pb.h"

#define CTL_SERVERS_MAX 32U

struct grpc_client;
struct ctl_client_config {
    struct vy_bytes servers; /* "unix:/path", "host:port"; commas between them */
    const char *tls_ca;      /* NULL: no TLS */
    const char *tls_certificate;
    const char *tls_key;
    uint32_t timeout_ms; /* of a call, over all servers */
    struct vy_clock *clock;
};
struct ctl_client {
    struct ctl_client_config config;
    const char *servers[CTL_SERVERS_MAX];
    size_t server_count;
    size_t next;              /* server that is asked first: the one that answered last */
    struct grpc_client *open; /* to servers[next]; may be NULL */
};
struct ctl_answer {
    int status;            /* gRPC, 0 to 16 */
    struct vy_buf reply;   /* when status is 0 */
    struct vy_buf message; /* else: what the server, or the way to it, said */
};
void ctl_answer_init(struct ctl_answer *answer);
void ctl_answer_deinit(struct ctl_answer *answer);

/* arena: owns the addresses. @errors ARGUMENT no server, or too many */
VY_CHECKED struct vy_err ctl_client_init(struct ctl_client *client,
                                         const struct ctl_client_config *config,
                                         struct vy_arena *arena);
void ctl_client_deinit(struct ctl_client *client);
/* Always ends with a status; UNAVAILABLE (14) when nobody could answer. */
void ctl_client_call(struct ctl_client *client, const struct vy_pb_method *method,
                     struct vy_bytes request, struct ctl_answer *out);

/* The exit code of a status (operations.md 1.4). */
int ctl_exit_code(int status);
const char *ctl_status_name(int status); /* "NOT_FOUND" */
