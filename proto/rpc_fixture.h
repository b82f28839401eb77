/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * For the tests of the link: a server with methods that echo, stall, take and give streams, and a
 * caller that remembers what it heard. Works on any loop.
 */
#include "proto/rpc.h"
#include "proto/rpc_inproc.h"
#include "proto/rpc_server.h"
#include "tests/lib/fake_loop.h"
#include "tests/lib/fake_rng.h"

enum {
    FIXTURE_ECHO = 0x7f0001,  /* reply = request */
    FIXTURE_HOLD = 0x7f0002,  /* kept in server->held until the test answers */
    FIXTURE_UP = 0x7f0003,    /* counts a request stream; reply = 8 bytes big endian */
    FIXTURE_DOWN = 0x7f0004,  /* request = 8 bytes: how many to stream */
    FIXTURE_BIG = 0x7f0005,   /* request = 8 bytes: how long a reply */
    FIXTURE_WATCH = 0x7f0006, /* endless; messages by the test */
    FIXTURE_META = 0x7f0007,  /* only for RPC_ROLE_META */
    FIXTURE_ONE = 0x7f0008,   /* like HOLD, one in flight */
    FIXTURE_FAIL = 0x7f0009   /* NOT_LEADER with the hint in server->hint */
};
#define FIXTURE_HELD_MAX 2048U

struct fixture_server {
    struct rpc_server *server;
    struct rpc_server_call *held[FIXTURE_HELD_MAX];
    size_t held_count;
    size_t executed; /* handlers run */
    size_t cancelled;
    size_t writable;
    bool is_consuming; /* UP gives credit back at once */
    size_t unconsumed;
    struct rpc_server_call *up_call;
    const char *hint;
    uint8_t last_key[RPC_ID_BYTES];
    uint8_t last_trace[RPC_ID_BYTES];
    enum rpc_role last_role;
    char last_node[RPC_NAME_BYTES_MAX + 1];
    uint32_t last_attempt;
};
void fixture_server_init(struct fixture_server *fixture, const struct rpc_config *config);
void fixture_server_release(struct fixture_server *fixture); /* answers what is held */
/* Sends one message to the watch in held[index]. */
bool fixture_server_push(struct fixture_server *fixture, size_t index, const char *text);

struct fixture_call {
    struct rpc_call *call;
    bool is_ended;
    enum vy_code code;
    bool is_not_executed;
    uint32_t retry_after_ms;
    char hint[RPC_NAME_BYTES_MAX + 1];
    char message[600];
    uint8_t reply[256]; /* its start */
    size_t reply_len;
    size_t data_len;
    size_t data_count; /* on_data calls */
    size_t writable;
    bool is_lazy;   /* keeps the credit */
    size_t to_send; /* request stream still to send, from on_writable */
    void (*on_end)(struct fixture_call *call);
};
extern const struct rpc_call_events fixture_call_events;
/* False: rpc_call_start returned NULL. */
bool fixture_call_start(struct fixture_call *call, struct rpc_link *link, uint32_t method,
                        struct vy_bytes request, const struct rpc_call_options *options);
void fixture_call_pump(struct fixture_call *call); /* sends to_send as far as credit goes */

/* A log sink that counts error lines and remembers the last events. */
struct fixture_log {
    struct vy_log log;
    struct vy_log_sink sink;
    size_t errors;
    char text[65536];
    size_t len;
};
void fixture_log_init(struct fixture_log *log, struct vy_clock *clock);
bool fixture_log_has(const struct fixture_log *log, const char *text);
