/* SPDX-License-Identifier: Apache-2.0 */
/* Which messages a FETCH gives, in the order of their UIDs, and their index columns. */
#include "base/assert.h"
#include "shard/fetch_private.h"
#include <stdlib.h>

/* A hole in the wanted UIDs that is worth a seek instead of reading over blocks. */
#define SEEK_UIDS_MIN (4U * BLOCK_MESSAGES_MAX)

/* ---- expunged, and not yet told to the view ---- */

static int compare_uids(const void *a, const void *b)
{
    const struct block_row *left = a;
    const struct block_row *right = b;

    return left->uid < right->uid ? -1 : left->uid > right->uid;
}

static void gather_gone(struct fetch_rows *rows, const struct block *block)
{
    for (uint32_t i = 0; i < block->count && rows->gone_count < FETCH_GONE_ROWS_MAX; i++) {
        if (uids_contains(&rows->wanted, block->uid[i])) {
            block_get_row(block, i, &rows->gone[rows->gone_count++]);
        }
    }
}

static struct vy_err read_gone(struct fetch *fetch, struct read_blocks *blocks)
{
    struct fetch_rows *rows = &fetch->rows;
    struct block *block = NULL;

    VY_TRY(read_blocks_next(blocks, &block));
    if (block == NULL) {
        return vy_ok();
    }
    rows->gone = VY_ARENA_ARRAY(&fetch->call->arena, FETCH_GONE_ROWS_MAX, struct block_row);
    if (rows->gone == NULL) {
        return vy_error(VY_CODE_LIMIT, "read expunged messages");
    }
    while (block != NULL && rows->gone_count < FETCH_GONE_ROWS_MAX) {
        gather_gone(rows, block);
        VY_TRY(read_blocks_next(blocks, &block));
    }
    qsort(rows->gone, rows->gone_count, sizeof(rows->gone[0]), compare_uids);
    return vy_ok();
}

static struct vy_err load_gone(struct fetch *fetch)
{
    struct call *call = fetch->call;
    struct read_blocks blocks = {.iter = NULL};

    if (fetch->request->view_id == 0) {
        return vy_ok();
    }
    vy_arena_reset(&fetch->rows.arena);
    struct vy_err err = read_gone_open(call_reader(call), &fetch->rows.arena, call->account_id,
                                       fetch->request->mailbox_id, 0, &blocks);
    if (!vy_failed(err)) {
        err = read_gone(fetch, &blocks);
    }
    read_blocks_close(&blocks);
    return err;
}

/* ---- index blocks ---- */

static struct vy_err open_blocks(struct fetch *fetch, uint32_t uid)
{
    const struct call *call = fetch->call;
    struct fetch_rows *rows = &fetch->rows;

    read_blocks_close(&rows->blocks);
    vy_arena_reset(&rows->arena);
    rows->block = NULL;
    return read_blocks_open(call_reader(call), &rows->arena, call->account_id,
                            fetch->request->mailbox_id, uid, &rows->blocks);
}

struct vy_err fetch_rows_open(struct fetch *fetch)
{
    struct fetch_rows *rows = &fetch->rows;

    if (rows->wanted.count == 0) {
        rows->at_end = true;
        return vy_ok();
    }
    rows->single = VY_ARENA_NEW(&fetch->call->arena, struct block);
    if (rows->single == NULL) {
        return vy_error(VY_CODE_LIMIT, "read index blocks");
    }
    VY_TRY(load_gone(fetch));
    return open_blocks(fetch, rows->wanted.items[0].first);
}

void fetch_rows_close(struct fetch_rows *rows)
{
    read_blocks_close(&rows->blocks);
    vy_arena_deinit(&rows->arena);
}

/* Makes rows->block the next one with a wanted UID in its span; at_end: there is none. */
static struct vy_err next_block(struct fetch *fetch)
{
    struct fetch_rows *rows = &fetch->rows;

    while (!rows->at_end) {
        const uint32_t last = rows->block == NULL ? 0 : block_last_uid(rows->block);
        while (rows->range < rows->wanted.count && rows->wanted.items[rows->range].last <= last) {
            rows->range++;
        }
        if (rows->range == rows->wanted.count) {
            rows->at_end = true;
            break;
        }
        const uint32_t due = rows->wanted.items[rows->range].first;
        if (rows->block != NULL && due > last && due - last > SEEK_UIDS_MIN) {
            VY_TRY(open_blocks(fetch, due));
        }
        VY_TRY(read_blocks_next(&rows->blocks, &rows->block));
        rows->index = 0;
        if (rows->block == NULL) {
            rows->at_end = true;
        } else if (block_last_uid(rows->block) >= due) {
            return vy_ok();
        }
    }
    rows->block = NULL;
    return vy_ok();
}

/* Takes the wanted rows of the block whose UIDs are below `below`. */
static void take_rows(struct fetch_rows *rows, uint32_t below, struct fetch_batch *out)
{
    const struct block *block = rows->block;

    while (rows->index < block->count && block->uid[rows->index] < below &&
           rows->range < rows->wanted.count) {
        const uint32_t uid = block->uid[rows->index];
        const struct uid_range range = rows->wanted.items[rows->range];
        if (uid > range.last) {
            rows->range++;
            continue;
        }
        if (uid >= range.first) {
            uids_add(&rows->met, uid);
            if (block->modseq[rows->index] > rows->changed_since) {
                out->rows[out->count++] = (uint16_t)rows->index;
            }
        }
        rows->index++;
    }
    if (rows->range == rows->wanted.count) {
        rows->index = block->count;
    }
}

static void take_gone(struct fetch_rows *rows, struct fetch_batch *out)
{
    const struct block_row *row = &rows->gone[rows->gone_next++];

    uids_add(&rows->met, row->uid);
    if (row->modseq <= rows->changed_since) {
        return;
    }
    rows->single->count = 0;
    block_append_row(rows->single, row);
    out->block = rows->single;
    out->rows[0] = 0;
    out->count = 1;
}

struct vy_err fetch_rows_next(struct fetch *fetch, struct fetch_batch *out)
{
    struct fetch_rows *rows = &fetch->rows;

    out->count = 0;
    while (out->count == 0) {
        const bool has_gone = rows->gone_next < rows->gone_count;
        const uint32_t gone_uid = has_gone ? rows->gone[rows->gone_next].uid : UINT32_MAX;
        if (rows->block == NULL || rows->index == rows->block->count) {
            VY_TRY(next_block(fetch));
        }
        if (rows->block == NULL && !has_gone) {
            return vy_ok();
        }
        if (has_gone && (rows->block == NULL || rows->block->uid[rows->index] > gone_uid)) {
            take_gone(rows, out);
            continue;
        }
        out->block = rows->block;
        take_rows(rows, gone_uid, out);
    }
    return vy_ok();
}

void fetch_rows_append(const struct fetch *fetch, const struct block *block, const uint16_t *rows,
                       uint32_t count, struct fetch_columns *out)
{
    *out = (struct fetch_columns){
        .columns = fetch->columns & FETCH_INDEX_COLUMNS,
        .count = count,
        .rows = count == block->count ? NULL : rows,
        .uid = block->uid,
        .flags = block->flags,
        .keyword_words = block->has_keywords ? block->keywords[0].words : NULL,
        .modseq = block->modseq,
        .size_bytes = block->size,
        .internal_ms = block->internal_ms,
        .zone_biased = block->zone,
        .email_id = (const uint8_t(*)[FETCH_ID_BYTES])block->email_id,
        .thread_id = (const uint8_t(*)[FETCH_ID_BYTES])block->thread_id,
        .save_ms = block->save_ms,
    };
}

/* ---- missing ---- */

static void append_missing_uids(struct fetch *fetch, struct uid_range range, uint32_t *left)
{
    uint32_t uids[BLOCK_MESSAGES_MAX];
    size_t count = 0;

    for (uint64_t uid = range.first; uid <= range.last && *left > 0; uid++, (*left)--) {
        uids[count++] = (uint32_t)uid;
        if (count == VY_COUNT_OF(uids)) {
            fetch_stream_append_missing(&fetch->out, FETCH_MISSING_EXPUNGED, uids, count);
            count = 0;
        }
    }
    if (count > 0) {
        fetch_stream_append_missing(&fetch->out, FETCH_MISSING_EXPUNGED, uids, count);
    }
}

void fetch_rows_append_missing(struct fetch *fetch)
{
    struct uid_ranges missing;
    uint32_t left = FETCH_MISSING_UIDS_MAX;

    uids_init(&missing, &fetch->call->arena);
    uids_subtract(&fetch->rows.wanted, &fetch->rows.met, &missing);
    if (fetch->rows.met.failed || missing.failed) {
        return; /* too many holes to name them; who asked counts what it was given */
    }
    for (size_t i = 0; i < missing.count; i++) {
        append_missing_uids(fetch, missing.items[i], &left);
    }
}
