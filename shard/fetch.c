/* SPDX-License-Identifier: Apache-2.0 */
/* The call: pieces are made on workers and sent from the loop. */
#include "base/assert.h"
#include "shard/fetch_private.h"
#include "shard/service_private.h"

/* ---- on a worker ---- */

static struct vy_err open_mailbox(struct fetch *fetch)
{
    struct call *call = fetch->call;
    struct mailbox_row row;
    bool found = false;

    VY_TRY(read_mailbox(call_reader(call), &call->arena, call->account_id,
                        fetch->request->mailbox_id, &row, &found));
    if (!found || row.no_select) {
        return vy_error(VY_CODE_NOT_FOUND, "mailbox is gone");
    }
    body_init(&fetch->body, call_reader(call), call_keys(call), call->account_id);
    VY_TRY(fetch_rows_open(fetch));
    fetch->is_open = true;
    return vy_ok();
}

static struct vy_err append_index_rows(struct fetch *fetch)
{
    struct fetch_columns columns;

    fetch_rows_append(fetch, fetch->batch.block, fetch->batch.rows, fetch->batch.count, &columns);
    fetch_stream_append_block(&fetch->out, &columns);
    fetch->batch.count = 0;
    return vy_ok();
}

/* One step: more of the message in work, the next message, or a batch of index rows. */
static struct vy_err make_step(struct fetch *fetch)
{
    if (fetch->in_message) {
        return fetch_message_continue(fetch);
    }
    if (fetch->batch_next < fetch->batch.count) {
        const uint16_t row = fetch->batch.rows[fetch->batch_next++];
        return fetch_message_begin(fetch, fetch->batch.block, row);
    }
    fetch->batch_next = 0;
    VY_TRY(fetch_rows_next(fetch, &fetch->batch));
    if (fetch->batch.count == 0) {
        fetch_rows_append_missing(fetch);
        fetch->is_finished = true;
        return vy_ok();
    }
    return fetch->is_index_only ? append_index_rows(fetch) : vy_ok();
}

static struct vy_err make_piece(struct call *call)
{
    struct fetch *fetch = call->state;

    if (!fetch->is_open) {
        VY_TRY(open_mailbox(fetch));
    }
    while (!fetch->is_finished && vy_buf_len(&fetch->out) < FETCH_PIECE_BYTES) {
        VY_TRY(make_step(fetch));
    }
    return vy_failed(vy_buf_error(&fetch->out)) ? vy_error(VY_CODE_NOMEM, "make fetch stream")
                                                : vy_ok();
}

/* ---- on the loop ---- */

static void note_damage(struct fetch *fetch)
{
    struct call *call = fetch->call;

    if (fetch->damaged_count == 0) {
        return;
    }
    call->service->stats.checksum_failures += fetch->damaged_count;
    vy_log(call->service->config.log, VY_LOG_ERROR, "shard.message.damaged",
           VY_HEX("shard.account", call->account_id),
           VY_HEX("msg.id", vy_get_be64(fetch->damaged_id)),
           VY_U64("msg.count", fetch->damaged_count));
    fetch->damaged_count = 0;
}

static void piece_made(struct call *call);

/* False: no worker took it, and the call has ended. */
static bool make_next(struct call *call)
{
    struct fetch *fetch = call->state;
    bool *const outer = call->ended;
    bool ended = false;

    fetch->is_making = true;
    call->ended = &ended;
    call_work(call, make_piece, piece_made);
    if (!ended) {
        call->ended = outer;
    } else if (outer != NULL) {
        *outer = true;
    }
    return !ended;
}

static void end_stream(struct call *call)
{
    const struct shard_empty_reply reply = {.modseq = 0};

    call_reply(call, &reply);
}

/* Hands the piece that was made to the loop. */
static void take_piece(struct fetch *fetch)
{
    const struct vy_buf empty = fetch->sending;

    fetch->sending = fetch->out;
    fetch->out = empty;
    vy_buf_reset(&fetch->out);
}

/* Sends what is made; the next piece is in work meanwhile. */
static void pump(struct call *call)
{
    struct fetch *fetch = call->state;

    for (;;) {
        const struct vy_bytes bytes = vy_buf_bytes(&fetch->sending);
        const size_t sent = bytes.len == 0 ? 0 : call->transport_ops->send(call->transport, bytes);
        vy_buf_consume(&fetch->sending, sent);
        if (sent < bytes.len || fetch->is_making) {
            return; /* goes on with credit, or with the piece */
        }
        if (vy_buf_len(&fetch->out) == 0 && fetch->is_finished) {
            end_stream(call);
            return;
        }
        take_piece(fetch);
        if (!fetch->is_finished && !make_next(call)) {
            return;
        }
    }
}

static void piece_made(struct call *call)
{
    struct fetch *fetch = call->state;

    fetch->is_making = false;
    note_damage(fetch);
    if (call->is_cancelled) {
        call_fail(call, vy_error(VY_CODE_CANCELLED, "reader is gone"));
        return;
    }
    pump(call);
}

void method_fetch_writable(struct call *call)
{
    if (call->state != NULL && !call->is_cancelled) {
        pump(call);
    }
}

void method_fetch_cancel(struct call *call)
{
    /* While something runs for the call, its end notices. */
    if (!call->is_busy) {
        call_fail(call, vy_error(VY_CODE_CANCELLED, "reader is gone"));
    }
}

static struct vy_err begin(struct call *call)
{
    const struct message_fetch_request *request = call->request;

    if (request->sections_count > FETCH_SECTIONS_MAX) {
        return vy_error(VY_CODE_LIMIT, "sections of a fetch");
    }
    for (size_t i = 0; i < request->sections_count; i++) {
        if (request->sections[i].kind > MAIL_SECTION_MIME ||
            request->sections[i].part_path.len > 2U * MAIL_SECTION_DEPTH_MAX) {
            return vy_error(VY_CODE_ARGUMENT, "section of a fetch");
        }
    }
    struct fetch *fetch = VY_ARENA_NEW(&call->arena, struct fetch);
    if (fetch == NULL) {
        return vy_error(VY_CODE_LIMIT, "start fetch");
    }
    fetch->call = call;
    fetch->request = request;
    fetch->columns = request->columns;
    fetch->is_index_only =
        (request->columns & ~(uint32_t)FETCH_INDEX_COLUMNS) == 0 && request->sections_count == 0;
    vy_buf_init(&fetch->out, FETCH_OUT_BYTES_MAX);
    vy_buf_init(&fetch->sending, FETCH_OUT_BYTES_MAX);
    vy_buf_init(&fetch->work, FETCH_SHORT_BYTES_MAX);
    vy_arena_init(&fetch->scratch, FETCH_SCRATCH_BYTES_MAX);
    vy_arena_init(&fetch->rows.arena, 4U * sizeof(struct block));
    fetch->rows.changed_since = request->changed_since;
    call->state = fetch;
    uids_init(&fetch->rows.met, &call->arena);
    return uids_decode(&call->arena, request->uids, &fetch->rows.wanted);
}

void method_fetch_start(struct call *call)
{
    const struct vy_err err = begin(call);
    const struct message_fetch_request *request = call->request;

    if (vy_failed(err)) {
        call_fail(call, err);
        return;
    }
    views_touch(call->service->views, call->account_id, request->view_id);
    ((struct fetch *)call->state)->is_making = true;
    call_read(call, make_piece, piece_made);
}

void method_fetch_end(struct call *call)
{
    struct fetch *fetch = call->state;

    if (fetch == NULL) {
        return;
    }
    fetch_rows_close(&fetch->rows);
    body_deinit(&fetch->body);
    vy_buf_deinit(&fetch->out);
    vy_buf_deinit(&fetch->sending);
    vy_buf_deinit(&fetch->work);
    vy_arena_deinit(&fetch->scratch);
}
