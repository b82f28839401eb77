/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What grpc_server.c (connections, HTTP/2), grpc_call.c (one call) and grpc_builtin.c (health,
 * reflection) share. */
#include "base/list.h"
#include "proto/grpc_server.h"
#include <nghttp2/nghttp2.h>
#include <sys/socket.h>

#define GRPC_LISTENERS_MAX 8U
#define GRPC_PATH_BYTES_MAX 160U
#define GRPC_URI_BYTES_MAX 256U /* a certificate with a longer one counts as one without */
#define GRPC_OUTPUT_HIGH_BYTES (256U * 1024U)
#define GRPC_GREETING_TIMEOUT_MS 10000U
#define GRPC_STREAM_IDLE_TIMEOUT_MS 60000U
#define GRPC_IDLE_TIMEOUT_MS 300000U
#define GRPC_MESSAGE_HEADER_BYTES 5U /* compressed flag, u32 length */

struct grpc_listener {
    struct grpc_server *server;
    int fd;
    struct vy_watch *watch;
    bool is_unix;
};

struct grpc_server {
    struct grpc_server_config config;
    struct grpc_listener listeners[GRPC_LISTENERS_MAX];
    size_t listeners_count;
    struct vy_list conns;
    size_t conns_count;
    struct vy_timer *poll_timer; /* tells health watchers of changes, ends what waits too long */
};

struct grpc_conn {
    struct vy_list link;
    struct grpc_server *server;
    int fd;
    struct vy_watch *watch;
    struct vy_tls *tls; /* NULL: cleartext */
    nghttp2_session *http;
    struct vy_buf out; /* bytes for the socket */
    struct vy_list calls;
    struct grpc_peer peer;
    char address[64];
    char uri[GRPC_URI_BYTES_MAX]; /* of the peer's certificate */
    uint64_t opened_ms;
    uint64_t active_ms; /* when bytes last came */
    bool is_greeted;    /* the client's SETTINGS came */
    bool is_busy;       /* inside nghttp2: frees wait */
    bool is_dead;
};

struct grpc_call {
    struct vy_list link;    /* in conn->calls */
    struct grpc_conn *conn; /* NULL: the client has gone, the handler has not answered */
    int32_t stream_id;
    char path[GRPC_PATH_BYTES_MAX];
    uint64_t deadline_ms; /* UINT64_MAX: none */
    uint64_t active_ms;   /* when bytes last came or went */
    size_t header_bytes;
    bool is_post;
    bool is_grpc;       /* content-type */
    bool is_compressed; /* grpc-encoding other than identity */
    bool is_started;    /* handed to a handler */
    bool is_handler_done;
    bool is_stream;   /* bidi or server stream: reflection, health watch */
    bool is_watch;    /* health watch: stays open */
    bool was_serving; /* what it was told last */
    bool has_responded;
    bool is_ended; /* status is set: nothing more to send behind `out` */
    bool is_deferred;
    bool has_trailers;
    bool input_is_over;
    struct vy_buf in;  /* request bytes */
    struct vy_buf out; /* length-prefixed reply messages */
    int status;
    char message[512]; /* percent-encoded */
};

/* grpc_call.c */
void grpc_call_append(struct grpc_call *call, struct vy_bytes message); /* one more reply message */
void grpc_call_end(struct grpc_call *call, int status, const char *message);
/* The first whole message in `in`: false when there is none. SYNTAX, LIMIT, UNSUPPORTED end the
 * call. */
bool grpc_call_take_message(struct grpc_call *call, struct vy_bytes *out, size_t *out_used);
void grpc_call_unlink(struct grpc_call *call); /* the stream is over */

/* grpc_builtin.c: true when the path is one of ours and the call was handled */
bool grpc_builtin_handle(struct grpc_call *call);
void grpc_builtin_tell_health(struct grpc_server *server); /* to watches that know otherwise */

/* grpc_sweep.c: ends what waits for too long. False: the connection is over. */
bool grpc_sweep_conn(struct grpc_conn *conn);
/* The value of grpc-timeout in milliseconds, rounded up; UINT64_MAX: none, or not one. */
uint64_t grpc_parse_timeout(struct vy_bytes value);

/* grpc_listen.c */
void grpc_listeners_close(struct grpc_server *server);

/* grpc_server.c */
/* Takes the descriptor. NULL: no memory, or too many; it is closed then. */
struct grpc_conn *grpc_conn_new(struct grpc_server *server, int fd,
                                const struct sockaddr_storage *peer, bool is_unix, bool with_tls);
void grpc_conn_flush(struct grpc_conn *conn);
