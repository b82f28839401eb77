/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A frontend on real sockets of 127.0.0.1 in front of a meta and a shard in memory, which answer
 * over the link (inproc) on a thread of their own: accounts and mail of tests/transcript's doubles.
 * And a client: blocking, with or without TLS. Whatever takes longer than SHELL_WAIT_MS fails the
 * test.
 */
#include "base/tls.h"
#include "frontend/frontend.h"
#include <stdatomic.h>

#define SHELL_WAIT_MS 60000

enum shell_port {
    SHELL_SMTP,
    SHELL_LMTP,
    SHELL_SUBMISSION,
    SHELL_IMAP,
    SHELL_IMAPS,
    SHELL_PORT_COUNT
};

struct shell_options {
    unsigned loops_count;     /* 0: 1 */
    uint32_t per_ip_max;      /* 0: no limit */
    uint32_t connections_max; /* 0: 20,000 */
    uint32_t handshake_ms;    /* 0: the default */
    uint32_t write_stall_ms;  /* 0: the default */
    uint32_t call_stall_ms;   /* 0: the default */
    uint32_t fetch_rows;      /* INBOX then has so many messages that exist as index rows only */
    uint32_t tarpit_max;      /* 0: 2,000 */
    uint32_t auth_delay_ms;   /* times failures, from the second on */
    bool is_untrusted;        /* 127.0.0.1 is none of auth.plaintext_networks */
    bool has_no_tls;
    bool discards_mail; /* deliveries are answered and forgotten */
};

struct shell_fixture {
    struct rpc_inproc *hub;
    struct vy_metrics *metrics;
    struct shell_backend *backend;
    struct frontend *frontend;
    char certificate[64];
    char key[64];
    struct vy_tls_context *client_tls;
};
/* Returns when the frontend knows its map. */
void shell_fixture_init(struct shell_fixture *f, const struct shell_options *options);
void shell_fixture_deinit(struct shell_fixture *f);
uint16_t shell_port(const struct shell_fixture *f, enum shell_port port);
/* Waits until the frontend has so many connections. */
void shell_wait_connections(const struct shell_fixture *f, uint64_t count);
/* The value of a series as /metrics has it:
 * "volary_auth_total{proto=\"imap\",mech=\"LOGIN\",result=\"ok\"}". */
uint64_t shell_metric(const struct shell_fixture *f, const char *series);

/* ---- what the backend does and saw; any thread ---- */
/* A line for the IMAP double (tests/transcript/imap_backend.c): "mailbox INBOX messages=3". */
void shell_imap_setup(struct shell_fixture *f, const char *line);
/* Copies of messages that an account of the SMTP double has. */
size_t shell_copies(struct shell_fixture *f, uint64_t account_id);
/* Whether the newest copy's body is these bytes. */
bool shell_last_copy_is(struct shell_fixture *f, uint64_t account_id, struct vy_bytes body);
/* Meta tells frontends that the account has a newer epoch. */
void shell_raise_epoch(struct shell_fixture *f, uint64_t account_id, uint64_t epoch);
/* The next calls of the shard end with MOVED, so many. */
void shell_move_away(struct shell_fixture *f, unsigned calls);
/* Nothing is answered until shell_resume. */
void shell_pause(struct shell_fixture *f);
void shell_resume(struct shell_fixture *f);
size_t shell_cancelled_calls(const struct shell_fixture *f);
uint64_t shell_rows_sent(const struct shell_fixture *f); /* of fetch_rows, by the shard */

/* ---- a client ---- */
struct shell_client {
    int fd;
    struct vy_tls *tls; /* NULL: plain */
    struct vy_buf in;   /* read and not looked at */
    bool is_eof;
    bool was_reset;
};
void shell_connect(struct shell_client *c, const struct shell_fixture *f, enum shell_port port);
/* The client's side of a handshake; `step` bytes of it at a time, 0: all. */
void shell_handshake(struct shell_client *c, const struct shell_fixture *f, size_t step);
/* All of it; reads what comes meanwhile, so that neither side waits for the other. */
void shell_send(struct shell_client *c, struct vy_bytes bytes);
void shell_say(struct shell_client *c, const char *text);
/* Reads at most `max` more bytes; false: the end. */
bool shell_read_some(struct shell_client *c, size_t max);
/* Reads until `text` came, and forgets up to behind it. Fails at the end of the stream. */
void shell_expect(struct shell_client *c, const char *text);
/* Reads to the end, which must be there; what comes is kept in c->in. */
void shell_expect_end(struct shell_client *c);
void shell_hang_up(struct shell_client *c);
