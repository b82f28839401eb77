/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What each port speaks: the protocol core behind it with the limits of the configuration, and the
 * words for clients that are not let in.
 */
#include "frontend/conn.h"
#include "frontend/frontend.h"
#include "frontend/imap/imap_session.h"
#include "frontend/smtp/smtp_session.h"

/* Shared by all loops; immutable once made. */
struct port_limits {
    struct imap_limits imap;
    struct smtp_limits smtp;
    struct vy_bytes hostname; /* borrowed */
    uint32_t greet_delay_ms;
    bool has_policy;
    enum smtp_pipelining_policy policy;
};
/* @errors ARGUMENT the policy's name */
VY_CHECKED struct vy_err port_limits_init(const struct frontend_config *config,
                                          struct vy_bytes hostname, struct port_limits *out);

/* A port as one loop serves it. */
struct port_service {
    struct conn_service conn; /* arg points to this struct */
    const struct port_limits *limits;
    struct smtp_profile profile;
};
/* group_of: as in smtp_profile. `out` must not move. */
void port_service_init(const struct frontend_port *port, const struct port_limits *limits,
                       uint64_t (*group_of)(void *arg, uint64_t account_id), void *group_of_arg,
                       struct port_service *out);

enum frontend_proto port_proto(const struct frontend_port *port);
/* One line for a client that is refused before its session; empty with implicit TLS. */
struct vy_bytes port_refusal(const struct frontend_port *port, enum frontend_refusal why);
