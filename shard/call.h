/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One call of a frontend or meta, from its request to its one answer, and the steps handlers are
 * made of: propose a command, read on a worker, answer. Handlers never block; each step ends in a
 * function of the handler, on the loop.
 *
 * Who carries the call (RPC link, test) stands behind call_transport_ops.
 */
#include "base/arena.h"
#include "base/list.h"
#include "base/log.h"
#include "base/workers.h"
#include "proto/pb.h"
#include "proto/shard.pb.h"
#include "proto/shardlog.pb.h"
#include "shard/account_keys.h"
#include "shard/shard_log.h"

#define CALL_ARENA_BYTES_MAX (24U * 1024U * 1024U) /* decoded request and what its work gathers */
#define CALL_REPLY_BYTES_MAX (48U * 1024U * 1024U) /* under the link's limit of a reply */
#define CALL_INIT_TRIES_MAX 3U
#define CALL_CONFLICT_TRIES_MAX 5U

struct service;
struct call;

struct call_transport_ops {
    /* Takes as many bytes as credit allows. Less than given: service_call_writable comes. */
    size_t (*send)(void *transport, struct vy_bytes bytes);
    void (*consumed)(void *transport, size_t count);
    /* Of the call's trace, 16 bytes, or NULL. May be NULL itself: no traces. */
    const uint8_t *(*trace_id)(void *transport);
    /* Either ends the call. */
    void (*reply)(void *transport, struct vy_bytes reply);
    void (*fail)(void *transport, struct vy_err err, const char *leader_hint,
                 uint32_t retry_after_ms);
};

/* How a method finds out who acts (actor.h). */
enum call_actor {
    CALL_ACTOR_SESSION, /* the request's first field is a ShardActor with a session token */
    CALL_ACTOR_DELIVER, /* the frontend itself; each recipient's epoch is checked where the copy is
                           stored */
    CALL_ACTOR_META     /* the role mask of the link has decided; no account acts */
};

struct call_method {
    uint32_t id;
    const char *name;
    const struct vy_pb_desc *request_desc;
    const struct vy_pb_desc *reply_desc;
    enum call_actor actor;
    size_t view_offset; /* of the request's view_id, whose lease the call renews; 0: none */
    bool is_write; /* refused at once when this member does not lead; session calls are anyway */
    void (*start)(struct call *call); /* actor checked, keys loaded */
    void (*on_data)(struct call *call, struct vy_bytes bytes);
    void (*on_data_end)(struct call *call);
    void (*on_writable)(struct call *call);
    void (*on_cancel)(struct call *call); /* endless calls end here */
    void (*on_end)(struct call *call);    /* frees what the handler keeps outside the arena */
};

typedef struct vy_err (*call_work_fn)(struct call *call);
typedef void (*call_step_fn)(struct call *call);
typedef void (*call_result_fn)(struct call *call, const struct shard_result *result);

struct call {
    struct service *service;
    const struct call_method *method;
    const struct call_transport_ops *transport_ops;
    void *transport;
    struct vy_arena arena;
    const void *request;             /* decoded, in the arena */
    const struct shard_actor *actor; /* of the request; NULL without */
    uint64_t account_id;
    uint64_t account_epoch;
    struct account_entry *entry; /* referenced; NULL: the method has no account */
    struct vy_buf early;         /* of the request stream, before the handler has started */
    bool is_started;
    bool early_ended;
    bool *ended; /* set when the call is freed; for who has it on the stack. May be NULL */
    bool has_key;
    uint8_t idempotency_key[16];
    bool is_cancelled;
    bool is_busy;    /* a step runs: the call must not be freed */
    bool data_ended; /* the request stream is whole */
    void *state;     /* the handler's, mostly in the arena */
    struct vy_list list;

    /* the running step */
    struct vy_buf command;
    const struct shard_payload *payloads;
    size_t payload_count;
    bool brings_no_mail; /* the command: it may use the reserve of the disk */
    call_result_fn on_result;
    call_work_fn work;
    call_step_fn on_done;
    struct vy_err work_err;
    bool needs_init; /* the account is not known to the group yet */
    bool is_reading; /* the step to repeat after account init is a read */
    unsigned init_tries;
    unsigned conflict_tries;
    struct store_snapshot *snapshot; /* open from the first read to the last */
};

/* ---- ends: exactly one of them, once ---- */
void call_reply(struct call *call, const void *reply);
void call_reply_bytes(struct call *call, struct vy_bytes reply);
void call_fail(struct call *call, struct vy_err err);
/* Refusal of a command, as an error. */
void call_refuse(struct call *call, const struct shard_result *result, const char *what);

/* ---- steps ---- */
/*
 * Proposes a command; version, account, epoch, idempotency key and bodies are filled in. on_result
 * comes with any outcome but failures of the group (those end the call) and NO_INIT (the account is
 * set up and the command proposed again).
 *
 * @payloads  must last until on_result
 */
void call_propose(struct call *call, struct shard_command *command,
                  const struct shard_payload *payloads, size_t payload_count,
                  call_result_fn on_result);
/*
 * Waits until this member may read, opens a snapshot (the first time), checks the account's epoch
 * there and runs work on a worker; then done on the loop. A failed work ends the call.
 */
void call_read(struct call *call, call_work_fn work, call_step_fn done);
/* The same right after a command of this call was applied: what it wrote is seen without asking the
 * other members. */
void call_read_applied(struct call *call, call_work_fn work, call_step_fn done);
/* Runs work on a worker without barrier; with the snapshot, if one is open. */
void call_work(struct call *call, call_work_fn work, call_step_fn done);

/* Lets go of what call_read opened: for calls that go on without reading. */
void call_close_snapshot(struct call *call);
/* Of the snapshot that call_read opened. */
const struct store_reader *call_reader(const struct call *call);
const struct seal_keys *call_keys(const struct call *call);
