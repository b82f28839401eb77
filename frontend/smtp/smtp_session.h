/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One SMTP core for three services: MX (RFC 5321), LMTP (RFC 2033) and submission (RFC 6409). Pure:
 * see frontend/session.h. A message streams to the shards of its recipients while it arrives;
 * 250 is answered once every copy is durable (P1, P2), anything else leaves none (P3).
 */
#include "frontend/session.h"

enum smtp_service { SMTP_SERVICE_MX, SMTP_SERVICE_LMTP, SMTP_SERVICE_SUBMISSION };

/* What a client gets that speaks out of turn (PIPE-1, PIPE-2). Never applied once signed in. */
enum smtp_pipelining_policy {
    SMTP_PIPELINING_IGNORE,         /* logged only */
    SMTP_PIPELINING_REJECT_AT_DATA, /* 503 at DATA, and closed: the body is never parsed (PIPE-3) */
    SMTP_PIPELINING_DISCONNECT      /* 554 at once */
};
/* "ignore", "reject_at_data", "disconnect". */
bool smtp_pipelining_policy_parse(struct vy_bytes text, enum smtp_pipelining_policy *out);

struct smtp_limits {
    uint64_t message_bytes_max; /* announced by SIZE (S21, S22); also the largest BDAT sum */
    uint32_t recipients_max;    /* RCPT accepted per message (S10) */
    uint32_t targets_max;       /* accounts per message, aliases expanded */
    uint32_t idle_ms;           /* for one command line or SASL line, whole (S23) */
    uint32_t transaction_ms;    /* from MAIL to the last body byte (S23) */
    uint32_t commit_ms;       /* from the last body byte to the shards' answers, repeats included */
    uint32_t lookup_ms;       /* for a question to meta */
    uint32_t body_rate_min;   /* bytes per second while a body arrives, measured by the minute */
    uint32_t junk_slow_count; /* further commands that do no work are answered slowly (S24) */
    uint32_t junk_max;        /* further ones end the session */
    uint32_t rcpt_slow_count; /* further refused recipients are answered slowly (S25) */
    uint32_t tarpit_ms;       /* the delay of a slow answer; 0 for trusted peers */
    uint32_t auth_delay_ms;   /* times the failures so far, from the second; 0 for trusted peers */
    uint32_t auth_failures_max; /* then the session ends */
};
struct smtp_limits smtp_limits_default(void);

/* A service as one port offers it. Everything borrowed, outlives its sessions. */
struct smtp_profile {
    enum smtp_service service;
    enum smtp_pipelining_policy pipelining_policy;
    bool is_lenient_to_trusted; /* trusted peers may speak out of turn (policy ignore) */
    uint32_t greet_delay_ms;    /* before the banner, to hear early talkers (PIPE-4); not with
                                   implicit TLS */
    const struct smtp_limits *limits;
    struct vy_bytes hostname;
    /* Group that owns the account: one delivery call for each group of a message. 0 is a group like
     * any other: the map is not there yet, and the call will say so. A pure lookup. */
    uint64_t (*group_of)(void *arg, uint64_t account_id);
    void *group_of_arg;
};
/* Policy of the service; limits, hostname and group_of are the caller's to set. */
struct smtp_profile smtp_profile_default(enum smtp_service service);

/* @errors NOMEM */
VY_CHECKED struct vy_err smtp_session_new(const struct session_peer *peer,
                                          const struct smtp_profile *profile, struct session **out);
