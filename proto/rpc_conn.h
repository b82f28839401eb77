/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One connection of the link over one pipe: HELLO, streams, credit, watchdog, the writer. The same
 * core serves the dialling side (rpc_link.c) and the accepting side (rpc_server.c). Internal to the
 * link.
 *
 * Rules that keep it free of use after free: user code runs only from the top of the loop (a pipe
 * event or the timer), as the last step of whatever is done with a stream; a connection is kept by
 * reference while it dispatches and looks at its state again after each call out.
 */
#include "base/list.h"
#include "base/map.h"
#include "proto/rpc_pipe.h"
#include "proto/rpc_server.h"
#include "proto/rpc_status.h"

#define RPC_VERSION 1U
#define RPC_VERSION_MIN 1U
/* Bytes of a stream that go out in one DATA frame, and of a message that ride in CALL or END. Small
 * enough that a small call waits for little, large enough that headers cost nothing. */
#define RPC_CHUNK_BYTES (32U * 1024U)
#define RPC_WRITE_BULK_BYTES (64U * 1024U)     /* DATA in one write */
#define RPC_WRITE_CONTROL_BYTES (256U * 1024U) /* everything else in one write */
/* Answers that a peer lets pile up unread; an honest one stays below RPC_CALLS_PER_LINK_MAX chunks.
 */
#define RPC_CONTROL_QUEUE_BYTES_MAX (48U * 1024U * 1024U)
#define RPC_CREDIT_STEP_BYTES (16U * 1024U) /* consumed bytes are reported in steps of this */
/* A stream takes a whole frame: windows below this are refused. */
#define RPC_STREAM_WINDOW_BYTES_MIN RPC_FRAME_PAYLOAD_BYTES_MAX
#define RPC_WINDOW_BYTES_MAX (1024U * 1024U * 1024U)
#define RPC_PINGS_MISSED_MAX 3U
#define RPC_CALL_HEADROOM_BYTES (RPC_FRAME_HEADER_BYTES + RPC_PRINCIPAL_BYTES_MAX + 128U)

enum rpc_conn_state {
    RPC_CONN_OPENING,  /* the pipe connects and shakes hands; wakes: on_open, on_closed, timer */
    RPC_CONN_GREETING, /* our HELLO is out; wakes: the peer's HELLO, on_closed, timer */
    RPC_CONN_UP,
    RPC_CONN_LEAVING, /* GOAWAY sent or received: streams finish, none start */
    RPC_CONN_CLOSING, /* a last GOAWAY is on its way; wakes: on_sent, timer */
    RPC_CONN_DEAD,
    RPC_CONN_STATE_COUNT
};

/* Why a connection went down: decides the log line and the counter. */
enum rpc_conn_fault {
    RPC_CONN_LOST,    /* the pipe closed, or the watchdog did it */
    RPC_CONN_REFUSED, /* by us before it was up, or by the peer */
    RPC_CONN_BROKEN,  /* the peer broke the protocol */
    RPC_CONN_FINISHED /* left in good order */
};

struct rpc_conn;
struct rpc_flow;
struct rpc_call_meta; /* generated/proto/rpc.pb.h */
struct rpc_hello;

/* What the owner of a stream hears. Each is the last thing the connection does with the stream in
 * that step. */
struct rpc_flow_ops {
    /* Dialler: writes header and meta into the headroom of its CALL, which is about to leave.
     * False: no memory. */
    bool (*on_write_call)(struct rpc_flow *stream, struct rpc_block *block);
    void (*on_data)(struct rpc_flow *stream, struct vy_bytes bytes);
    void (*on_data_end)(struct rpc_flow *stream);
    void (*on_writable)(struct rpc_flow *stream);
    void (*on_message)(struct rpc_flow *stream,
                       struct vy_bytes request); /* acceptor: the request is whole */
    /* The stream left its connection: END came (dialler), or CANCEL, deadline, loss of the link. */
    void (*on_end)(struct rpc_flow *stream, const struct rpc_status *status, struct vy_bytes reply);
    void (*on_ended)(
        struct rpc_flow *stream); /* acceptor: our END is on its way, the stream is off */
};

/* One call on a connection: a stream of frames (methods.h has the word rpc_stream for the kinds of
 * them). */
struct rpc_flow {
    const struct rpc_flow_ops *ops;
    struct rpc_conn *conn; /* NULL: on none */
    uint32_t id;
    uint64_t deadline_ms;       /* UINT64_MAX: none */
    struct vy_list node;        /* conn->streams, or a list of the owner */
    struct vy_list send_node;   /* conn->calls, conn->sending or conn->ending */
    struct vy_list wait_node;   /* conn->waiting */
    struct vy_list credit_node; /* conn->credits */
    /* going out */
    struct rpc_block *call;     /* dialler: request behind headroom, until written; owned */
    struct vy_buf message;      /* rest of a request or reply; goes in MESSAGE frames */
    struct rpc_block_list data; /* frames of the stream, paid for by credit */
    struct rpc_block *end;      /* acceptor: END, after all else; owned */
    uint32_t outstanding_bytes; /* sent or queued and not credited */
    bool is_written;            /* dialler: the CALL is in a write */
    bool wants_writable;
    bool has_sent_last;
    /* coming in */
    struct vy_buf in_message;
    size_t in_message_bytes; /* acceptor: how large the request will be */
    bool has_in_message;
    bool has_in_last;
    uint32_t held_bytes;   /* received and not credited */
    uint32_t credit_bytes; /* of those, consumed */
};
void rpc_flow_init(struct rpc_flow *stream, const struct rpc_flow_ops *ops, uint64_t deadline_ms);
void rpc_flow_deinit(struct rpc_flow *stream); /* off its connection */
/* Queues stream bytes as credit allows; returns how many. Short or 0: on_writable comes. */
size_t rpc_flow_send(struct rpc_flow *stream, struct vy_bytes bytes);
/* All of it in one DATA frame, or nothing (false): on_writable comes. */
bool rpc_flow_send_message(struct rpc_flow *stream, struct vy_bytes bytes);
void rpc_flow_send_last(struct rpc_flow *stream);
void rpc_flow_consumed(struct rpc_flow *stream, size_t count);
/* Acceptor: queues reply and status; on_ended follows, perhaps within the call. */
void rpc_flow_finish(struct rpc_flow *stream, const struct rpc_status *status,
                     struct vy_bytes reply);
/* Takes the stream off without a word to its owner; the dialler's peer is told. */
void rpc_flow_abandon(struct rpc_flow *stream);

/* rpc_flow.c, for rpc_writer.c and rpc_dispatch.c */
uint32_t rpc_flow_room(const struct rpc_flow *stream);
void rpc_flow_spend(struct rpc_flow *stream, uint32_t count);
void rpc_flow_credited(struct rpc_flow *stream, uint32_t count);
/* Acceptance and release of bytes that came in. False: beyond the credit given. */
bool rpc_flow_hold(struct rpc_flow *stream, size_t count);
void rpc_flow_release(struct rpc_flow *stream, uint32_t count);
void rpc_flow_deliver_request(struct rpc_flow *stream, struct vy_bytes request);

struct rpc_conn_owner {
    void (*on_up)(void *arg, struct rpc_conn *conn);
    void (*on_leaving)(void *arg, struct rpc_conn *conn); /* the peer said GOAWAY */
    /* Acceptor: a call came. Either takes it with rpc_conn_accept_call or refuses it with
     * rpc_conn_refuse_call. */
    void (*on_call)(void *arg, struct rpc_conn *conn, const struct rpc_frame *frame,
                    const struct rpc_call_meta *meta, struct vy_bytes request_start);
    /* Last. All streams have had their on_end. The owner drops its reference. */
    void (*on_down)(void *arg, struct rpc_conn *conn, struct vy_err why, enum rpc_conn_fault fault);
};

struct rpc_conn {
    const struct rpc_config *config; /* borrowed */
    const struct rpc_conn_owner *owner;
    void *arg;
    struct rpc_pipe *pipe; /* owned; NULL when dead */
    unsigned ref_count;
    enum rpc_conn_state state;
    bool is_dialer;
    bool is_dispatching;
    struct rpc_pipe_expect expect;
    struct rpc_pipe_peer transport_peer;
    struct vy_err refusal; /* dialler: the peer greeted us, then sent us away for good */
    struct rpc_peer peer;  /* known from GREETING's end; node points to peer_node */
    char peer_node[RPC_NAME_BYTES_MAX + 1];

    struct vy_map by_id;
    struct vy_list streams; /* all open */
    size_t stream_count;
    uint32_t last_id; /* dialler: last used; acceptor: last seen */

    /* the writer (rpc_writer.c) */
    bool is_sending;
    bool is_flushing;
    struct rpc_block_list control;
    struct vy_list calls;   /* dialler: CALL to write */
    struct vy_list ending;  /* acceptor: END and nothing before it */
    struct vy_list sending; /* DATA to write, in turn */
    struct vy_list credits; /* CREDIT to write */
    struct vy_list waiting; /* out of credit */
    bool is_ping_due;
    bool is_pong_due;
    uint32_t pong_aux;
    bool has_new_credit;
    struct vy_err failure; /* no memory: told from the timer */

    uint32_t send_stream_window; /* the peer's */
    uint32_t send_link_window;
    uint64_t outstanding_bytes;  /* sums of what streams have beyond their floors */
    uint32_t held_stream_window; /* ours */
    uint32_t held_link_window;
    uint64_t held_bytes; /* likewise */
    uint64_t credit_bytes;

    struct rpc_frame_parser parser;
    struct vy_buf scratch; /* encodings */
    struct vy_timer *timer;
    uint64_t wake_ms;        /* when the timer fires */
    uint64_t state_until_ms; /* end of OPENING, GREETING, CLOSING */
    uint64_t next_ping_ms;
    unsigned pings_missed;
    bool has_heard; /* since the last ping tick */
};

struct rpc_conn_setup {
    const struct rpc_config *config; /* borrowed */
    struct rpc_pipe *pipe;           /* taken, also on failure */
    bool is_dialer;
    struct rpc_pipe_expect expect; /* its name is borrowed */
    const struct rpc_conn_owner *owner;
    void *arg;
};
/* Starts the pipe. */
VY_CHECKED struct vy_err rpc_conn_new(const struct rpc_conn_setup *setup, struct rpc_conn **out);
struct rpc_conn *rpc_conn_ref(struct rpc_conn *conn);
void rpc_conn_unref(struct rpc_conn *conn);
/* Silently: no on_down, no on_end; the owner drops its reference itself. Streams must be off
 * already. */
void rpc_conn_close(struct rpc_conn *conn);
bool rpc_conn_is_up(const struct rpc_conn *conn);
/* Dialler: puts a call on; stream->call holds the request start behind headroom. False: too many or
 * ids used up. */
bool rpc_conn_start_call(struct rpc_conn *conn, struct rpc_flow *stream);
/* Acceptor, in on_call. False: no memory, the call was refused. May run on_message. */
bool rpc_conn_accept_call(struct rpc_conn *conn, const struct rpc_frame *frame,
                          struct rpc_flow *stream, size_t request_bytes,
                          struct vy_bytes request_start);
void rpc_conn_refuse_call(struct rpc_conn *conn, uint32_t stream_id,
                          const struct rpc_status *status);
/* Acceptor: no more calls. */
void rpc_conn_send_goaway(struct rpc_conn *conn, enum vy_code code, const char *message);

/* rpc_conn.c, for rpc_flow.c and rpc_writer.c */
void rpc_conn_remove_stream(struct rpc_conn *conn, struct rpc_flow *stream);
void rpc_conn_wake_at(struct rpc_conn *conn, uint64_t when_ms);
void rpc_conn_fail(struct rpc_conn *conn,
                   struct vy_err why); /* from anywhere: told from the timer */
/* rpc_conn.c, for rpc_dispatch.c */
VY_CHECKED struct vy_err rpc_conn_greet(struct rpc_conn *conn, const struct rpc_hello *hello);
void rpc_conn_leave(struct rpc_conn *conn, uint32_t last_id);
/* rpc_writer.c */
void rpc_writer_flush(struct rpc_conn *conn);
/* Queues one frame before all bulk; copied. */
void rpc_writer_control(struct rpc_conn *conn, const struct rpc_frame *frame);
void rpc_writer_control_block(struct rpc_conn *conn, struct rpc_block *block); /* takes it */
void rpc_writer_gather_credits(struct rpc_conn *conn);
void rpc_writer_wake_waiting(struct rpc_conn *conn); /* calls out */
/* rpc_dispatch.c */
VY_CHECKED struct vy_err rpc_dispatch_frame(struct rpc_conn *conn, const struct rpc_frame *frame);
