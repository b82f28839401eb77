/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Listening ports: accepts clients on the first loop, holds the limits on their number
 * (promises 5.6), and hands each to a loop in turn. When descriptors run out it pauses instead of
 * spinning (F19).
 */
#include "base/log.h"
#include "base/loop.h"
#include "base/map.h"
#include "base/net.h"

struct listener_set;

struct listener_limits {
    uint32_t connections_max;        /* all together */
    uint32_t connections_per_ip_max; /* 0: no limit; trusted networks are exempt */
};
struct listener_config {
    struct vy_loop *loop;
    const struct vy_log *log;
    struct listener_limits limits;
    const struct vy_net *trusted; /* borrowed */
    size_t trusted_count;
    uint64_t seed;
    /* A client on port number `port_index`: on this loop's thread; takes the descriptor. */
    void (*on_accept)(void *arg, size_t port_index, int fd, const struct sockaddr_storage *peer);
    /* One over a limit: tells it so; the descriptor is closed behind the call. */
    void (*on_refuse)(void *arg, size_t port_index, int fd, bool is_per_ip);
    void *arg;
};
VY_CHECKED struct vy_err listener_set_new(const struct listener_config *config,
                                          struct listener_set **out);
void listener_set_free(struct listener_set *set); /* NULL is allowed */
/* port_index is handed to on_accept; *out_port is the port as bound. @errors of vy_net_listen */
VY_CHECKED struct vy_err listener_add(struct listener_set *set, const char *host, uint16_t port,
                                      size_t port_index, uint16_t *out_port);
/* No more clients; ports are closed. */
void listener_set_stop(struct listener_set *set);
/* A client that was accepted has gone. @thread the set's loop */
void listener_client_gone(struct listener_set *set, const struct sockaddr_storage *peer);
