/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/changes.h"
#include "base/assert.h"
#include "shard/change.h"

static struct vy_err check_sets(const struct changes *changes)
{
    return changes->vanished.failed || changes->fresh.failed || changes->changed.failed
               ? vy_error(VY_CODE_LIMIT, "fold changes")
               : vy_ok();
}

static void join(struct uid_ranges *into, const struct uid_ranges *more)
{
    const struct uid_ranges old = *into;

    uids_union(&old, more, into);
}

static void take_out(struct uid_ranges *from, const struct uid_ranges *gone)
{
    const struct uid_ranges old = *from;

    uids_subtract(&old, gone, from);
}

static void fold(struct changes *changes, const struct change_record *record)
{
    switch (record->kind) {
    case CHANGE_ADDED:
        join(&changes->fresh, &record->uids);
        break;
    case CHANGE_FLAGS:
        join(&changes->changed, &record->uids);
        break;
    case CHANGE_EXPUNGED:
        join(&changes->vanished, &record->uids);
        take_out(&changes->fresh, &record->uids);
        take_out(&changes->changed, &record->uids);
        break;
    }
}

static struct vy_err fold_records(struct store_iter *iter, struct vy_arena *arena,
                                  struct changes *out)
{
    for (; iter->is_valid; store_iter_next(iter)) {
        struct change_record record;
        uint64_t mailbox_id = 0;
        uint64_t modseq = 0;
        if (!keys_parse_modseq(iter->key, &mailbox_id, &modseq)) {
            return vy_error(VY_CODE_CORRUPT, "read change record key");
        }
        if (uids_count(&out->changed) >= CHANGES_FLAGS_MAX) {
            out->is_cut = true;
            return vy_ok();
        }
        VY_TRY(change_decode(iter->value, arena, &record));
        fold(out, &record);
        VY_TRY(check_sets(out));
        out->up_to_modseq = modseq;
    }
    return store_iter_error(iter);
}

/* No records reach back so far: everything that is there may be new, everything that is not there
 * is gone. */
static struct vy_err from_blocks(const struct store_reader *reader, struct vy_arena *arena,
                                 uint64_t account_id, uint64_t mailbox_id,
                                 const struct mailbox_row *row, uint64_t after_modseq,
                                 struct changes *out)
{
    struct read_blocks blocks = {.iter = NULL};
    struct uid_ranges all;
    struct block *block = NULL;

    struct vy_err err = read_blocks_open(reader, arena, account_id, mailbox_id, 1, &blocks);
    while (!vy_failed(err)) {
        err = read_blocks_next(&blocks, &block);
        if (block == NULL) {
            break;
        }
        for (uint32_t i = 0; i < block->count; i++) {
            uids_add(&out->fresh, block->uid[i]);
            if (block->modseq[i] > after_modseq) {
                uids_add(&out->changed, block->uid[i]);
            }
        }
    }
    read_blocks_close(&blocks);
    VY_TRY(err);
    uids_init(&all, arena);
    if (row->uidnext > 1) {
        uids_add_range(&all, 1, row->uidnext - 1);
    }
    uids_subtract(&all, &out->fresh, &out->vanished);
    out->up_to_modseq = row->highest_modseq;
    return check_sets(out);
}

struct vy_err changes_read(const struct store_reader *reader, struct vy_arena *arena,
                           uint64_t account_id, uint64_t mailbox_id, const struct mailbox_row *row,
                           uint64_t after_modseq, struct changes *out)
{
    const struct shard_key end = keys_box_end(account_id, mailbox_id);
    struct store_iter *iter = NULL;

    *out = (struct changes){.up_to_modseq = row->highest_modseq};
    uids_init(&out->vanished, arena);
    uids_init(&out->fresh, arena);
    uids_init(&out->changed, arena);
    if (after_modseq >= row->highest_modseq) {
        return vy_ok();
    }
    if (after_modseq < row->change_floor_modseq) {
        return from_blocks(reader, arena, account_id, mailbox_id, row, after_modseq, out);
    }
    const struct shard_key first = keys_change(account_id, mailbox_id, after_modseq + 1);
    const struct store_range range = {.from = shard_key_bytes(&first), .to = shard_key_bytes(&end)};
    VY_TRY(store_iter_new(reader, shard_store_family(SHARD_CHG), &range, &iter));
    const struct vy_err err = fold_records(iter, arena, out);
    store_iter_free(iter);
    if (!vy_failed(err) && !out->is_cut) {
        out->up_to_modseq = row->highest_modseq;
    }
    return err;
}
