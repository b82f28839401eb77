/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The frontend as one object: stateless edge that speaks SMTP, LMTP, submission and IMAP and asks
 * meta and the shards. Builds the object graph, runs its loops, drains. Keeps nothing that a crash
 * may not lose.
 */
#include "base/clock.h"
#include "base/loop.h"
#include "base/metrics.h"
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
    const char *name; /* "smtp", "imaps": log label and key of the ready line; literal */
    enum frontend_protocol protocol;
    bool is_implicit_tls;
    uint16_t port; /* 0: chosen by the system (tests) */
};

#define FRONTEND_LOOPS_MAX 64U
#define FRONTEND_PORTS_MAX 16U
#define FRONTEND_NETWORKS_MAX 64U

/* Borrowed during frontend_new, except where noted. */
struct frontend_config {
    struct vy_clock *clock;     /* outlives the frontend */
    struct vy_rng *rng;         /* outlives the frontend; any thread */
    const struct vy_log *log;   /* outlives the frontend */
    struct vy_metrics *metrics; /* outlives the frontend; NULL: nothing is counted */
    const char *hostname;
    const char *listen_host; /* an IP address */
    const struct frontend_port *ports;
    size_t ports_count;
    unsigned loops_count;        /* one thread each */
    const char *tls_certificate; /* NULL: no TLS, and no ports of implicit TLS */
    const char *tls_key;
    const struct vy_net *trusted; /* auth.plaintext_networks */
    size_t trusted_count;
    const struct vy_net
        *lmtp_networks; /* who may use LMTP, which has no login; loopback may always */
    size_t lmtp_networks_count;
    uint32_t connections_max;
    uint32_t connections_per_ip_max; /* trusted networks are exempt */
    uint32_t handshake_ms;           /* for a TLS handshake; 0: 30 s */
    uint32_t write_stall_ms;         /* for a client to take what waits for it; 0: 5 min */
    uint32_t call_stall_ms;          /* for a shard to begin a stream; 0: 30 s */
    uint32_t auth_delay_ms;
    uint32_t tarpit_max; /* answers to refusals held back at once; 0: none is, all are closed */
    uint32_t smtp_greet_delay_ms; /* MX only */
    const char
        *smtp_pipelining_policy; /* ignore, reject_at_data, disconnect; NULL: the port's default */
    uint64_t message_bytes_max;
    struct rpc_config
        rpc; /* the loop is replaced by each of ours; the rest outlives the frontend */
    const struct rpc_group_member *meta_members;
    size_t meta_members_count;
};

/* Binds all ports and starts the threads. What could not be bound is logged. @errors of
 * vy_net_listen and of the TLS files; nothing runs then */
VY_CHECKED struct vy_err frontend_new(const struct frontend_config *config, struct frontend **out);
/* Whether every loop knows the cluster map. May lag by a turn of the loops. @thread any */
bool frontend_knows_map(const struct frontend *frontend);
bool frontend_is_draining(const struct frontend *frontend);                   /* @thread any */
uint64_t frontend_connection_count(const struct frontend *frontend);          /* @thread any */
uint16_t frontend_port_number(const struct frontend *frontend, size_t index); /* as bound */
uint64_t frontend_certificate_expiry_ms(const struct frontend *frontend);     /* 0: no TLS */
unsigned frontend_loop_count(const struct frontend *frontend);
uint64_t frontend_turn_count(const struct frontend *frontend, unsigned loop); /* for /livez */
/* Stops accepting and tells sessions to say goodbye at their next safe point, the last of many
 * after half of deadline_ms; returns at once: watch frontend_connection_count. Once. @thread any */
void frontend_drain(struct frontend *frontend, uint32_t deadline_ms);
/* Closes what is left. NULL is allowed. @blocks until its threads have ended. @thread not its own
 */
void frontend_free(struct frontend *frontend);
