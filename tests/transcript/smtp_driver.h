/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A shell around one SMTP session for unit tests and fuzzing: virtual time, calls answered by
 * smtp_backend.h unless the test holds or fails them. */
#include "tests/transcript/smtp_backend.h"

#define SMTP_DRIVER_CALLS_MAX 64U

struct smtp_driver_call {
    uint64_t id; /* 0: free */
    uint32_t method;
    struct vy_buf request;
    struct vy_buf body;
    uint8_t key[16];
    size_t credit_bytes; /* to be told */
    bool is_over;        /* the whole request is there */
    bool is_silent;      /* never answered */
};

/* What becomes of one call to a shard. */
enum smtp_driver_fault {
    SMTP_FAULT_NONE,
    SMTP_FAULT_UNDONE,      /* an error; nothing was done */
    SMTP_FAULT_LOST,        /* done, but the answer is lost */
    SMTP_FAULT_LOST_UNDONE, /* not done, and nobody knows */
    SMTP_FAULT_SILENT,      /* done, and never answered */
    SMTP_FAULT_DEAF,        /* not done, and never answered */
    SMTP_FAULT_DIES,        /* the frontend dies when it is done ... */
    SMTP_FAULT_DIES_BEFORE, /* ... or before */
    SMTP_FAULT_COUNT
};

struct smtp_driver {
    struct smtp_backend *backend;
    bool is_backend_shared; /* borrowed */
    struct smtp_limits limits;
    struct smtp_profile profile;
    struct session_peer peer;
    struct session *session;
    struct vy_buf out;
    struct smtp_driver_call calls[SMTP_DRIVER_CALLS_MAX];
    uint64_t now_ms;
    uint64_t timer_at_ms; /* 0: none */
    bool is_closed;
    bool is_reading_stopped;
    bool wants_tls;
    size_t cancels_count;
    size_t started_deliveries;
    /* How calls are answered. */
    size_t credit_bytes;   /* room of a body at the start, and given back as it is used */
    bool holds_deliveries; /* complete ones wait for smtp_driver_end_one() */
    bool holds_credit;     /* room is told only by smtp_driver_credit() */
    unsigned failures;     /* that many deliveries end with failure_code ... */
    enum vy_code failure_code;
    bool failure_is_stored; /* ... after they were stored all the same */
    bool fails_early;       /* ... as soon as they start */
    char last_event[64];
    enum smtp_driver_fault fault;
    size_t fault_at;  /* which of the complete calls to shards it hits; the first is 1 */
    bool fault_stays; /* and those behind it */
    size_t shard_calls;
    bool is_dead;
};

void smtp_driver_init(struct smtp_driver *d, enum smtp_service service);
/* Another frontend before the same shards. */
void smtp_driver_init_with(struct smtp_driver *d, enum smtp_service service,
                           struct smtp_backend *backend);
/* After the test has changed peer, limits and profile. */
void smtp_driver_start(struct smtp_driver *d);
void smtp_driver_deinit(struct smtp_driver *d);
void smtp_driver_receive(struct smtp_driver *d, struct vy_bytes in);
void smtp_driver_say(struct smtp_driver *d, const char *text); /* with its CRLFs */
/* Carries out everything until nothing moves. */
void smtp_driver_settle(struct smtp_driver *d);
/* Time passes; timers that the session asked for go off on the way. */
void smtp_driver_pass(struct smtp_driver *d, uint64_t ms);
/* Ends one of the held deliveries. */
void smtp_driver_end_one(struct smtp_driver *d, struct vy_err err);
void smtp_driver_credit(struct smtp_driver *d, size_t bytes);
void smtp_driver_tls(struct smtp_driver *d);
/* What the server has said since the last time; lives until then. */
struct vy_bytes smtp_driver_heard(struct smtp_driver *d);
