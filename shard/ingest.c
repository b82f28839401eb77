/* SPDX-License-Identifier: Apache-2.0 */
/* The stream of an ingest: what arrives is cut into pieces, each goes through its steps. */
#include "shard/ingest.h"
#include "base/assert.h"
#include "replica/replica.h"
#include "shard/service_private.h"
#include <openssl/evp.h>

static uint64_t announced_bytes(const struct ingest *ingest)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < ingest->message_count; i++) {
        sum += ingest->sizes[i];
    }
    return sum;
}

/* Memory for the window of this call, before its sender gets credit for it (P16). */
static struct vy_err reserve_window(struct ingest *ingest)
{
    struct service *service = ingest->call->service;
    const uint64_t announced = announced_bytes(ingest);
    const uint64_t window =
        announced == 0 ? INGEST_WINDOW_BYTES : VY_MIN(announced, (uint64_t)INGEST_WINDOW_BYTES);

    if (service->ingest_bytes > INGEST_ALL_BYTES_MAX - window - INGEST_CALL_BYTES) {
        return vy_error(VY_CODE_BUSY, "too many messages on their way in");
    }
    ingest->reserved_bytes = window + INGEST_CALL_BYTES;
    service->ingest_bytes += ingest->reserved_bytes;
    return vy_ok();
}

/*
 * Rows of emails are stored in the order of their ids. With the time in front, and a count for
 * those of one millisecond, mail that came one after the other stands together and is read that
 * way; the rest is chance, so that no other leader ever makes the same one.
 */
static void make_email_id(struct service *service, uint8_t out[SHARD_ID_BYTES])
{
    const uint64_t now_ms = vy_clock_wall_ms(service->config.clock);

    vy_put_be64(out, now_ms << 16 | service->email_count++);
    vy_rng_fill(service->config.rng, out + 8, SHARD_ID_BYTES - 8);
}

struct vy_err ingest_start(struct ingest *ingest)
{
    struct call *call = ingest->call;

    vy_buf_init(&ingest->in, INGEST_RECEIVED_BYTES_MAX);
    vy_buf_init(&ingest->piece, INGEST_RECEIVED_BYTES_MAX);
    vy_buf_init(&ingest->head, INGEST_RECEIVED_BYTES_MAX);
    vy_buf_init(&ingest->sealed, SEAL_CHUNK_SEALED_MAX);
    vy_arena_init(&ingest->parse, INGEST_PARSE_BYTES_MAX);
    vy_arena_init(&ingest->build, INGEST_PARSE_BYTES_MAX);
    ingest->chunk_bytes = VY_ARENA_ARRAY(&call->arena, EMAIL_CHUNKS_MAX, uint32_t);
    ingest->whole = VY_ARENA_ARRAY(&call->arena, ingest->message_count, struct vy_buf);
    ingest->payload_keys = VY_ARENA_ARRAY(&call->arena, ingest->copy_count, struct shard_key);
    ingest->payloads = VY_ARENA_ARRAY(&call->arena, ingest->copy_count, struct shard_payload);
    /* Only the last command is remembered under the call's key. */
    ingest->has_key = call->has_key;
    call->has_key = false;
    ingest->full_copy = SIZE_MAX;
    if (ingest->chunk_bytes == NULL || ingest->whole == NULL || ingest->payload_keys == NULL ||
        ingest->payloads == NULL) {
        return vy_error(VY_CODE_LIMIT, "start ingest");
    }
    for (size_t i = 0; i < ingest->message_count; i++) {
        vy_buf_init(&ingest->whole[i], INGEST_RECEIVED_BYTES_MAX);
    }
    for (size_t i = 0; i < ingest->copy_count; i++) {
        make_email_id(call->service, ingest->copies[i].email_id);
    }
    ingest_message_reset(ingest);
    return reserve_window(ingest);
}

/* The next message begins; room for its prefix comes first. */
void ingest_message_reset(struct ingest *ingest)
{
    ingest->taken_bytes = 0;
    ingest->chunk_count = 0;
    ingest->is_first = true;
    ingest->is_last = false;
    ingest->parser = NULL;
    vy_arena_reset(&ingest->parse);
    uint8_t *gap = ingest->gap == 0 ? NULL : vy_buf_reserve(&ingest->in, ingest->gap);
    if (gap != NULL) {
        memset(gap, 0, ingest->gap);
        vy_buf_added(&ingest->in, ingest->gap);
    }
}

struct ingest_copy *ingest_copies(const struct ingest *ingest, size_t *out_count)
{
    const bool is_one_each = ingest->message_count == ingest->copy_count;

    *out_count = is_one_each ? 1 : ingest->copy_count;
    return is_one_each ? &ingest->copies[ingest->message] : ingest->copies;
}

/* ---- the stream ---- */

static void give_credit(struct ingest *ingest)
{
    const size_t held = ingest->held_bytes;

    if (held > 0 && vy_buf_len(&ingest->in) <= INGEST_WINDOW_BYTES) {
        ingest->held_bytes = 0;
        ingest->call->transport_ops->consumed(ingest->call->transport, held);
    }
}

void method_ingest_data(struct call *call, struct vy_bytes bytes)
{
    struct ingest *ingest = call->state;

    vy_buf_append(&ingest->in, bytes);
    ingest->held_bytes += bytes.len;
    ingest->received_bytes += bytes.len;
    give_credit(ingest);
    ingest_advance(ingest);
}

void method_ingest_data_end(struct call *call)
{
    struct ingest *ingest = call->state;

    ingest->stream_ended = true;
    ingest_advance(ingest);
}

void method_ingest_cancel(struct call *call)
{
    if (call->state != NULL) {
        ingest_advance(call->state);
    }
}

static struct vy_err check_received(const struct ingest *ingest)
{
    const uint64_t announced = announced_bytes(ingest);

    if (vy_failed(vy_buf_error(&ingest->in))) {
        return vy_error(VY_CODE_LIMIT, "sender overruns its credit");
    }
    if (announced == 0) {
        return ingest->received_bytes > EMAIL_BODY_BYTES_MAX
                   ? vy_error(VY_CODE_LIMIT, "message is too large")
                   : vy_ok();
    }
    if (ingest->received_bytes > announced ||
        (ingest->stream_ended && ingest->received_bytes < announced)) {
        return vy_error(VY_CODE_ARGUMENT, "stream is not as long as announced");
    }
    return vy_ok();
}

/* ---- pieces ---- */

/* Too much for one proposal? Then each chunk goes into one of its own. */
static bool needs_stage(const struct ingest *ingest, uint64_t message_bytes)
{
    const uint64_t bytes = message_bytes + ingest->gap;
    uint64_t total = bytes * ingest->copy_count;

    if (ingest->message_count > 1) { /* all of them travel together */
        total = announced_bytes(ingest);
        return total > INGEST_WHOLE_BYTES_MAX || ingest->copy_count > REPLICA_PAYLOADS_MAX;
    }
    if (bytes + SEAL_OVERHEAD_BYTES < REPLICA_PAYLOAD_BYTES_MIN) {
        return total > INGEST_INSIDE_BYTES_MAX;
    }
    return bytes > INGEST_WHOLE_BYTES_MAX || total > INGEST_PAYLOAD_BYTES_MAX ||
           ingest->copy_count > REPLICA_PAYLOADS_MAX;
}

/* How many bytes the next piece takes; false: not enough of them are there yet. */
static bool cut_piece(struct ingest *ingest, size_t *out)
{
    const size_t gap = ingest->is_first ? ingest->gap : 0;
    const size_t there = vy_buf_len(&ingest->in) - gap;
    const uint64_t size = ingest->sizes[ingest->message];
    const bool end_known = size != 0 || ingest->stream_ended;
    const uint64_t left = size != 0 ? size - ingest->taken_bytes : there;

    if (ingest->is_first) {
        ingest->is_staged = needs_stage(ingest, end_known ? left : there);
    }
    const size_t most = ingest->is_staged ? SEAL_CHUNK_BYTES - gap : SIZE_MAX;
    ingest->is_last = end_known && left <= most;
    *out = ingest->is_last ? (size_t)left : most;
    /* Of a message of unknown length the last piece shows only at the end of the stream. */
    return ingest->is_last ? there >= left
                           : ingest->is_staged && (end_known ? there >= most : there > most);
}

static void take_piece(struct ingest *ingest, size_t bytes)
{
    const size_t len = bytes + (ingest->is_first ? ingest->gap : 0);

    vy_buf_reset(&ingest->piece);
    if (vy_buf_len(&ingest->in) == len) {
        const struct vy_buf swapped = ingest->piece;
        ingest->piece = ingest->in;
        ingest->in = swapped;
    } else {
        vy_buf_append(&ingest->piece, vy_bytes_slice(vy_buf_bytes(&ingest->in), 0, len));
        vy_buf_consume(&ingest->in, len);
    }
    ingest->taken_bytes += bytes;
    give_credit(ingest);
}

/* ---- steps ---- */

static void message_done(struct call *call)
{
    struct ingest *ingest = call->state;

    ingest->message++;
    if (ingest->message < ingest->message_count) {
        ingest_message_reset(ingest);
    }
    ingest_advance(ingest);
}

static void piece_staged(struct call *call)
{
    struct ingest *ingest = call->state;

    if (ingest->is_last) {
        call_work(call, ingest_work_rows, message_done);
        return;
    }
    ingest->is_first = false;
    ingest_advance(ingest);
}

static void propose_stage(struct call *call);

static void stage_again(struct call *call, const struct shard_result *result)
{
    (void)result; /* refused or not: the stage itself finds out */
    propose_stage(call);
}

static void stage_next(struct call *call)
{
    struct ingest *ingest = call->state;
    size_t count = 0;

    (void)ingest_copies(ingest, &count);
    if (ingest->stage_copy == count) {
        piece_staged(call);
        return;
    }
    call_work(call, ingest_work_stage, propose_stage);
}

static void refuse_copy(struct ingest *ingest, size_t copy, uint32_t code)
{
    if (ingest->refuse != NULL) {
        ingest->refuse(ingest->call, copy, code);
    } else {
        ingest_fail(ingest, vy_error(shard_code_to_vy(code), "stage message"));
    }
}

static void on_staged(struct call *call, const struct shard_result *result)
{
    struct ingest *ingest = call->state;
    size_t count = 0;
    struct ingest_copy *copy = &ingest_copies(ingest, &count)[ingest->stage_copy];

    if (result->code == SHARD_CODE_DONE) {
        ingest->stage_copy++;
        stage_next(call);
    } else if (result->code == SHARD_CODE_NO_INIT && copy->entry != NULL &&
               copy->init_tries++ < CALL_INIT_TRIES_MAX) {
        ingest_init_account(ingest, copy->entry, stage_again);
    } else {
        refuse_copy(ingest, ingest->stage_copy, result->code);
    }
}

static void propose_stage(struct call *call)
{
    struct ingest *ingest = call->state;
    const struct service_config *config = &call->service->config;
    size_t count = 0;
    const struct ingest_copy *copy = &ingest_copies(ingest, &count)[ingest->stage_copy];
    const struct cmd_stage stage = {
        .email_id = vy_bytes(copy->email_id, SHARD_ID_BYTES),
        .chunk = ingest->chunk_count - 1,
        .bytes = ingest->stage_payload.value.len,
        .expires_ms = vy_clock_wall_ms(config->clock) + INGEST_STAGE_KEEP_MS,
    };
    struct shard_command command = {
        .account_id = copy->account_id, .account_epoch = copy->account_epoch, .stage = &stage};

    ingest->has_stages = true;
    call_propose(call, &command, &ingest->stage_payload, 1, on_staged);
}

static void scanned(struct call *call)
{
    struct ingest *ingest = call->state;

    if (ingest->full_copy != SIZE_MAX) {
        refuse_copy(ingest, ingest->full_copy, SHARD_CODE_QUOTA);
        return;
    }
    ingest->stage_copy = 0;
    stage_next(call);
}

void ingest_advance(struct ingest *ingest)
{
    struct call *call = ingest->call;
    size_t bytes = 0;

    if (call->is_busy || !ingest->is_ready || ingest->is_finishing) {
        return;
    }
    struct vy_err err = check_received(ingest);
    if (call->is_cancelled) {
        err = vy_error(VY_CODE_CANCELLED, "sender is gone");
    }
    if (vy_failed(err)) {
        ingest_fail(ingest, err);
        return;
    }
    if (ingest->message == ingest->message_count) {
        /* Nothing is stored before the stream has ended (I21). */
        if (ingest->stream_ended) {
            ingest->is_finishing = true;
            ingest->finish(call);
        }
        return;
    }
    if (!cut_piece(ingest, &bytes)) {
        return;
    }
    take_piece(ingest, bytes);
    if (ingest->is_staged) {
        call_work(call, ingest_work_scan, scanned);
    } else {
        call_work(call, ingest_work_whole, message_done);
    }
}

/* ---- commands ---- */

void ingest_init_account(struct ingest *ingest, const struct account_entry *entry,
                         call_result_fn done)
{
    struct call *call = ingest->call;
    struct shard_command command;

    const struct vy_err err = account_init_build(call->service, &call->arena, entry, &command);
    if (vy_failed(err)) {
        call_fail(call, err);
        return;
    }
    call_propose(call, &command, NULL, 0, done);
}

void ingest_propose(struct ingest *ingest, struct shard_command *command, call_result_fn done)
{
    ingest->call->has_key = ingest->has_key;
    call_propose(ingest->call, command, ingest->payloads, ingest->payload_count, done);
}

static size_t name_stages(const struct ingest *ingest, struct stage_name *names)
{
    for (size_t i = 0; i < ingest->copy_count; i++) {
        const struct ingest_copy *copy = &ingest->copies[i];
        names[i] = (struct stage_name){.account_id = copy->account_id,
                                       .email_id = vy_bytes(copy->email_id, SHARD_ID_BYTES)};
    }
    return ingest->copy_count;
}

void ingest_release_stages(struct ingest *ingest, call_result_fn done)
{
    struct call *call = ingest->call;
    static const struct shard_result nothing = {.code = SHARD_CODE_DONE};

    ingest->is_finishing = true;
    struct stage_name *names =
        ingest->has_stages ? VY_ARENA_ARRAY(&call->arena, ingest->copy_count, struct stage_name)
                           : NULL;
    if (names == NULL) {
        done(call, &nothing); /* without memory for their names they expire */
        return;
    }
    const struct cmd_stage_end end = {.stages_count = name_stages(ingest, names),
                                      .stages = names,
                                      .expired_before_ms = UINT64_MAX};
    struct shard_command command = {.account_id = ingest->copies[0].account_id,
                                    .account_epoch = ingest->copies[0].account_epoch,
                                    .stage_end = &end};
    call->has_key = false;
    call_propose(call, &command, NULL, 0, done);
}

static void on_released_failed(struct call *call, const struct shard_result *result)
{
    const struct ingest *ingest = call->state;

    (void)result;
    call_fail(call, ingest->end_err);
}

void ingest_fail(struct ingest *ingest, struct vy_err err)
{
    ingest->end_err = err;
    ingest_release_stages(ingest, on_released_failed);
}

void ingest_fill_message(const struct ingest *ingest, const struct ingest_copy *copy,
                         struct new_message *out)
{
    out->email_id = vy_bytes(copy->email_id, SHARD_ID_BYTES);
    out->email_row = copy->row;
    out->size_bytes = copy->size_bytes;
    out->thread_hashes = copy->hashes;
    out->thread_hashes_count = copy->hash_count;
    out->no_message_id = copy->no_message_id;
    out->staged = ingest->is_staged;
}

void method_ingest_end(struct call *call)
{
    struct ingest *ingest = call->state;

    if (ingest == NULL) {
        return;
    }
    call->service->ingest_bytes -= ingest->reserved_bytes;
    for (size_t i = 0; ingest->whole != NULL && i < ingest->message_count; i++) {
        vy_buf_deinit(&ingest->whole[i]);
    }
    for (size_t i = 0; i < ingest->copy_count; i++) {
        account_keys_unref(call->service->accounts, ingest->copies[i].entry);
    }
    if (ingest->parser != NULL) {
        struct mime_structure unused;
        vy_ignore(mime_parser_finish(ingest->parser, &unused), "the message was given up");
    }
    EVP_MD_CTX_free(ingest->digest);
    vy_buf_deinit(&ingest->in);
    vy_buf_deinit(&ingest->piece);
    vy_buf_deinit(&ingest->head);
    vy_buf_deinit(&ingest->sealed);
    vy_arena_deinit(&ingest->parse);
    vy_arena_deinit(&ingest->build);
}
