/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * How messages come into the shard, shared by APPEND and delivery: the bytes arrive as a stream,
 * are parsed once and sealed on a worker, for one account or for each recipient under its own key,
 * and one command makes them visible. A message up to one chunk is held in memory and travels with
 * that command. Longer ones, and many copies at once, are staged chunk by chunk while they arrive;
 * the sender gets credit only as fast as the group takes them.
 *
 * Memory of a call: the window, one chunk in work, its sealed form and the parts of the message.
 */
#include "mail/mime.h"
#include "mail/summary.h"
#include "shard/call.h"
#include "shard/email_row.h"

#define INGEST_WINDOW_BYTES (2U * SEAL_CHUNK_BYTES) /* received and not yet taken */
/* Windows of all messages on their way in; further ones are BUSY. */
#define INGEST_ALL_BYTES_MAX (1024ULL * 1024U * 1024U)
#define INGEST_CALL_BYTES 32768U /* what a call takes beside its window */
/* More than a link gives as credit: a sender that overruns it is broken. */
#define INGEST_RECEIVED_BYTES_MAX (8U * 1024U * 1024U)
#define INGEST_WHOLE_BYTES_MAX SEAL_CHUNK_BYTES /* longer ones are staged (design, section 7) */
#define INGEST_PREFIX_BYTES_MAX 32768U /* Return-Path, Delivered-To and the trace of a delivery */
/* Of all copies in one proposal: below REPLICA_PROPOSAL_BYTES_MAX and REPLICA_COMMAND_BYTES_MAX. */
#define INGEST_PAYLOAD_BYTES_MAX (3U * 1024U * 1024U)
#define INGEST_INSIDE_BYTES_MAX (256U * 1024U) /* bodies too short to be payloads */
#define INGEST_ROWS_BYTES_MAX (640U * 1024U)   /* summaries, in the command */
#define INGEST_STAGE_KEEP_MS (60U * 60U * 1000U)
#define INGEST_PARSE_BYTES_MAX (12U * 1024U * 1024U)
#define INGEST_DIGEST_BYTES 32U
#define INGEST_MESSAGES_MAX 256U /* of one MULTIAPPEND */

/* One stored email to be: a message of APPEND, or a recipient's copy. */
struct ingest_copy {
    uint64_t account_id;
    uint64_t account_epoch;
    struct account_entry *entry; /* referenced by a delivery */
    const struct seal_keys *keys;
    struct vy_bytes prefix; /* header lines of this copy alone */
    /* Of a delivery: what a retry of it has in common beside the message. Empty: no token. */
    struct vy_bytes envelope;
    bool has_retry_token;
    uint8_t retry_token[SHARD_HASH_BYTES];
    uint8_t email_id[SHARD_ID_BYTES];
    uint64_t size_bytes;
    uint32_t crc;
    unsigned init_tries;
    bool no_message_id;
    struct vy_bytes row; /* sealed email row */
    struct vy_bytes hashes[SHARD_THREAD_HASHES_MAX];
    size_t hash_count;
    uint8_t hash_bytes[SHARD_THREAD_HASHES_MAX][SHARD_HASH_BYTES];
};

struct ingest {
    struct call *call;
    void (*finish)(struct call *call); /* every copy is ready: proposes the command */
    /* A copy's account refused its stage, or has no room. NULL: the call fails with that code. */
    void (*refuse)(struct call *call, size_t copy, uint32_t code);
    struct ingest_copy *copies; /* arena */
    size_t copy_count;
    size_t message_count;  /* 1, or as many as copies: each message is one copy */
    const uint64_t *sizes; /* of each message; 0: known at the end of the stream */
    size_t gap;            /* room for the longest prefix in front of a message */
    bool is_ready;         /* keys are there */
    bool has_key;          /* of the call, put aside for the last command */

    uint64_t reserved_bytes; /* of INGEST_ALL_BYTES_MAX */
    struct vy_buf in;        /* received; at a message's beginning the gap comes first */
    size_t held_bytes;       /* received and not yet credited */
    uint64_t received_bytes;
    bool stream_ended;

    size_t message;       /* in work */
    uint64_t taken_bytes; /* of it */
    bool is_staged;
    bool is_finishing;
    bool has_stages;
    size_t full_copy;      /* whose account has no room; SIZE_MAX: none seen */
    struct vy_err end_err; /* to answer once the stages are gone */
    struct vy_buf piece;   /* in work: the gap first, when is_first */
    bool is_first;
    bool is_last;
    struct vy_buf head;         /* staged: the first piece, for the preview */
    struct vy_arena parse;      /* parser and structure of the message */
    struct vy_arena build;      /* one summary at a time */
    struct mime_parser *parser; /* in `parse` */
    struct mime_structure structure;
    struct evp_md_ctx_st *digest; /* owned: SHA-256 of a delivery's bytes, prefixes left out */
    uint8_t body_digest[INGEST_DIGEST_BYTES];
    uint32_t *chunk_bytes; /* arena; [0] without prefix */
    uint32_t chunk_count;

    size_t stage_copy;    /* whose chunk is on its way */
    struct vy_buf sealed; /* that chunk */
    struct shard_key stage_key;
    struct shard_payload stage_payload;
    struct vy_buf *whole; /* arena: sealed chunks by message */
    struct shard_key *payload_keys;
    struct shard_payload *payloads;
    size_t payload_count;
};

/* Sets up what needs no keys. copies, sizes, gap and functions are filled in. @errors LIMIT */
VY_CHECKED struct vy_err ingest_start(struct ingest *ingest);
/* The keys are there, or something else that the ingest waited for. */
void ingest_advance(struct ingest *ingest);
/* Proposes the account's first rows; then done. */
void ingest_init_account(struct ingest *ingest, const struct account_entry *entry,
                         call_result_fn done);
/* Proposes the command that ends the call; its key is that of the call. */
void ingest_propose(struct ingest *ingest, struct shard_command *command, call_result_fn done);
/* The stages lead to nothing: removes them, then done (result does not matter). At once when there
 * are none. */
void ingest_release_stages(struct ingest *ingest, call_result_fn done);
/* The same, then the call fails. */
void ingest_fail(struct ingest *ingest, struct vy_err err);
void ingest_fill_message(const struct ingest *ingest, const struct ingest_copy *copy,
                         struct new_message *out);

/* ---- ingest_seal.c: the work. @thread worker ---- */
/* All of a message at once: parse, seal every copy's chunks and row. */
VY_CHECKED struct vy_err ingest_work_whole(struct call *call);
/* A piece of a long message: parse it. */
VY_CHECKED struct vy_err ingest_work_scan(struct call *call);
/* Seal it for the copy `stage_copy`. */
VY_CHECKED struct vy_err ingest_work_stage(struct call *call);
/* The rows, when the last piece is staged. */
VY_CHECKED struct vy_err ingest_work_rows(struct call *call);
/* The copies of the message in work. */
struct ingest_copy *ingest_copies(const struct ingest *ingest, size_t *out_count);
void ingest_message_reset(struct ingest *ingest);
