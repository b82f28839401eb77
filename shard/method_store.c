/* SPDX-License-Identifier: Apache-2.0 */
/* MESSAGE_STORE: one command for the whole set; the new state is read back on a worker, only when
 * it is wanted. */
#include "proto/fetch_stream.h"
#include "shard/names.h"
#include "shard/read.h"
#include "shard/service_private.h"
#include "shard/uids.h"

struct store_call {
    struct message_store_reply reply;
    struct vy_buf blocks; /* owned */
};

/* ---- the new state ---- */

static void append_rows(struct vy_buf *out, const struct block *block,
                        const struct uid_ranges *wanted)
{
    uint16_t rows[BLOCK_MESSAGES_MAX];
    uint32_t count = 0;

    for (uint32_t i = 0; i < block->count; i++) {
        if (uids_contains(wanted, block->uid[i])) {
            rows[count++] = (uint16_t)i;
        }
    }
    if (count == 0) {
        return;
    }
    const struct fetch_columns columns = {
        .columns = FETCH_COLUMN_FLAGS | FETCH_COLUMN_MODSEQ,
        .count = count,
        .rows = rows,
        .uid = block->uid,
        .flags = block->flags,
        .keyword_words = block->has_keywords ? block->keywords[0].words : NULL,
        .modseq = block->modseq,
    };
    fetch_stream_append_block(out, &columns);
}

static struct vy_err read_blocks_of(struct call *call, const struct uid_ranges *wanted,
                                    struct vy_buf *out)
{
    const struct message_store_request *request = call->request;
    struct read_blocks blocks = {.iter = NULL};
    struct block *block = NULL;

    if (wanted->count == 0) {
        return vy_ok();
    }
    const uint32_t last = wanted->items[wanted->count - 1].last;
    struct vy_err err = read_blocks_open(call_reader(call), &call->arena, call->account_id,
                                         request->mailbox_id, wanted->items[0].first, &blocks);
    while (!vy_failed(err)) {
        err = read_blocks_next(&blocks, &block);
        if (vy_failed(err) || block == NULL || block_first_uid(block) > last) {
            break;
        }
        append_rows(out, block, wanted);
    }
    read_blocks_close(&blocks);
    return vy_failed(err) ? err : vy_buf_error(out);
}

static struct vy_err state_work(struct call *call)
{
    const struct message_store_request *request = call->request;
    struct store_call *run = call->state;
    struct vy_bytes *keywords = NULL;
    struct uid_ranges wanted;

    VY_TRY(read_keywords(call_reader(call), &call->arena, call_keys(call), call->account_id,
                         request->mailbox_id, &keywords, &run->reply.keywords_count));
    run->reply.keywords = keywords;
    if (request->want_result) {
        VY_TRY(uids_decode(&call->arena, request->uids, &wanted));
        VY_TRY(read_blocks_of(call, &wanted, &run->blocks));
        run->reply.blocks = vy_buf_bytes(&run->blocks);
    }
    return vy_ok();
}

static void state_done(struct call *call)
{
    const struct store_call *run = call->state;

    call_reply(call, &run->reply);
}

/* ---- the command ---- */

static void store_result(struct call *call, const struct shard_result *result)
{
    const struct message_store_request *request = call->request;
    struct store_call *run = call->state;

    if (result->code != SHARD_CODE_DONE) {
        call_refuse(call, result, "store flags");
        return;
    }
    run->reply.modseq = result->modseq;
    run->reply.previous_modseq = result->modseq == 0 ? 0 : result->previous_modseq;
    /* The result borrows from the log's answer, which is gone after this step. */
    struct vy_err err = vy_arena_dup(&call->arena, result->source_uids, &run->reply.modified);
    if (!vy_failed(err)) {
        err = vy_arena_dup(&call->arena, result->missing, &run->reply.missing);
    }
    if (vy_failed(err)) {
        call_fail(call, err);
    } else if (request->want_result || request->keywords_count > 0) {
        call_read_applied(call, state_work, state_done);
    } else {
        call_reply(call, &run->reply);
    }
}

static struct vy_err seal_keywords(struct call *call, struct sealed_name **out)
{
    const struct message_store_request *request = call->request;

    *out = NULL;
    if (request->keywords_count > SHARD_STORE_KEYWORDS_MAX) {
        return vy_error(VY_CODE_LIMIT, "too many keywords"); /* I19 */
    }
    if (request->keywords_count == 0) {
        return vy_ok();
    }
    *out = VY_ARENA_ARRAY(&call->arena, request->keywords_count, struct sealed_name);
    if (*out == NULL) {
        return vy_error(VY_CODE_LIMIT, "store keywords");
    }
    for (size_t i = 0; i < request->keywords_count; i++) {
        VY_TRY(names_seal_keyword(call_keys(call), call->service->config.rng, call->account_id,
                                  request->keywords[i], &call->arena, &(*out)[i]));
    }
    return vy_ok();
}

void method_store_start(struct call *call)
{
    const struct message_store_request *request = call->request;
    struct store_call *run = VY_ARENA_NEW(&call->arena, struct store_call);
    struct sealed_name *keywords = NULL;

    if (run == NULL) {
        call_fail(call, vy_error(VY_CODE_LIMIT, "store flags"));
        return;
    }
    vy_buf_init(&run->blocks, CALL_REPLY_BYTES_MAX);
    call->state = run;
    const struct vy_err err = seal_keywords(call, &keywords);
    if (vy_failed(err)) {
        call_fail(call, err);
        return;
    }
    const struct cmd_store store = {
        .mailbox_id = request->mailbox_id,
        .uids = request->uids,
        .mode = request->mode,
        .flags = request->flags,
        .keywords_count = request->keywords_count,
        .keywords = keywords,
        .unchanged_since = request->unchanged_since,
        .has_unchanged_since = request->has_unchanged_since,
    };
    call_propose(call, &(struct shard_command){.store = &store}, NULL, 0, store_result);
}

void method_store_end(struct call *call)
{
    struct store_call *run = call->state;

    if (run != NULL) {
        vy_buf_deinit(&run->blocks);
    }
}
