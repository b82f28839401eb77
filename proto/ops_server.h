/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The ops port of every role: GET /metrics, /livez, /readyz[?verbose] by HTTP/1.1, one request a
 * connection, and grpc.health.v1 by cleartext HTTP/2 on the same port (kubelet's probe cannot speak
 * TLS). Tells no secrets and takes no orders; bind it where only operators reach it (H23).
 *
 * @thread  that of config->loop
 */
#include "base/buf.h"
#include "base/log.h"
#include "base/loop.h"

struct ops_server;

struct ops_server_config {
    struct vy_loop *loop;
    const struct vy_log *log;
    /* Prometheus text. */
    void (*write_metrics)(void *arg, struct vy_buf *out);
    /* One line a check, "name: ok" or "name: why not"; true when all are well. */
    bool (*write_readiness)(void *arg, struct vy_buf *out);
    bool (*is_alive)(void *arg);
    void *arg;
};
VY_CHECKED struct vy_err ops_server_new(const struct ops_server_config *config,
                                        struct ops_server **out);
VY_CHECKED struct vy_err ops_server_listen(struct ops_server *server, const char *host,
                                           uint16_t port);
void ops_server_free(struct ops_server *server); /* NULL is allowed */
