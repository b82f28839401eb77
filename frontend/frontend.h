/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The frontend role: stateless edge that speaks SMTP, LMTP, submission and IMAP and asks meta and
 * the shards. Builds the object graph, runs its loops, drains. Keeps nothing that a crash may not
 * lose.
 */
#include "base/clock.h"
#include "base/loop.h"
#include "base/net.h"
#include "base/rng.h"
#include "proto/rpc_group.h"

struct frontend;

enum frontend_protocol {
    FRONTEND_SMTP,
    FRONTEND_LMTP,
    FRONTEND_SUBMISSION,
    FRONTEND_IMAP,
};
struct frontend_port {
    const char *name; /* "smtp", "imaps": log label and key of the ready line */
    enum frontend_protocol protocol;
    bool is_implicit_tls;
    uint16_t port;
};

#define FRONTEND_LOOPS_MAX 64U
#define FRONTEND_PORTS_MAX 16U
#define FRONTEND_NETWORKS_MAX 64U

/* Borrowed during frontend_new, except where noted. */
struct frontend_config {
    struct vy_clock *clock;   /* outlives the frontend */
    struct vy_rng *rng;       /* outlives the frontend */
    const struct vy_log *log; /* outlives the frontend */
    const char *hostname;
    const char *listen_host; /* an IP address */
    const struct frontend_port *ports;
    size_t ports_count;
    unsigned loops_count;        /* one thread each */
    const char *tls_certificate; /* NULL: no TLS */
    const char *tls_key;
    const struct vy_net *trusted; /* auth.plaintext_networks */
    size_t trusted_count;
    const struct vy_net
        *lmtp_networks; /* who may use LMTP, which has no login; loopback may always */
    size_t lmtp_networks_count;
    uint32_t connections_max;
    uint32_t connections_per_ip_max;
    uint32_t auth_delay_ms;
    uint32_t smtp_greet_delay_ms;
    const char
        *smtp_pipelining_policy; /* ignore, reject_at_data, disconnect; NULL: the port's default */
    uint64_t message_bytes_max;
    struct rpc_config
        rpc; /* the loop is replaced by each of ours; the rest outlives the frontend */
    const struct rpc_group_member *meta_members;
    size_t meta_members_count;
};

struct frontend_status {
    uint64_t connections[FRONTEND_PORTS_MAX];
    bool is_ready; /* every loop has a cluster map and not draining */
    bool is_draining;
};

/* Binds all ports and starts the threads. @errors of vy_net_listen and of the TLS files; nothing
 * runs then */
VY_CHECKED struct vy_err frontend_new(const struct frontend_config *config, struct frontend **out);
/* Whether it can serve: every loop knows the cluster map. @thread any */
bool frontend_is_ready(const struct frontend *frontend);
uint64_t frontend_connection_count(const struct frontend *frontend);
uint64_t
frontend_turn_count(const struct frontend *frontend); /* least turns of a loop: for /livez */
/* Stops accepting, tells sessions to say goodbye, waits at most deadline_ms for them. Blocks.
 * @thread not its own */
void frontend_drain(struct frontend *frontend, uint32_t deadline_ms);
void frontend_free(
    struct frontend *frontend); /* NULL is allowed. Blocks until its threads have ended */
