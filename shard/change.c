/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Change records: mailbox and modseq -> what happened to which UIDs (change.h reads them). Kept in
 * two halves: when the younger has CHANGE_HALF_RECORDS the older goes, and who asks for something
 * older is answered from the index blocks.
 */
#include "shard/change.h"
#include "shard/fsm_private.h"

#define CHANGE_HALF_RECORDS 16384U

static void drop_older_half(struct apply *apply, struct box *box, uint64_t modseq)
{
    const struct shard_key first = keys_change(box->account_id, box->mailbox_id, 0);
    const struct shard_key cut =
        keys_change(box->account_id, box->mailbox_id, box->row.change_cut_modseq);

    if (box->row.change_cut_modseq > 0) {
        tx_delete_range(apply->tx, SHARD_CHG, &first, &cut);
        box->row.change_floor_modseq = box->row.change_cut_modseq - 1;
    }
    box->row.change_cut_modseq = modseq;
    box->row.change_count = 0;
}

void change_note(struct apply *apply, struct box *box, uint64_t modseq, enum change_kind kind,
                 const struct uid_ranges *uids)
{
    const struct shard_key key = keys_change(box->account_id, box->mailbox_id, modseq);
    VY_CLEANUP(vy_buf_deinit) struct vy_buf value;

    vy_buf_init(&value, CHANGE_RECORD_BYTES_MAX);
    if (uids->failed) {
        tx_fail(apply->tx, vy_error(VY_CODE_NOMEM, "collect changed uids"));
        return;
    }
    vy_buf_append_byte(&value, (uint8_t)kind);
    uids_encode(uids, &value);
    if (vy_failed(vy_buf_error(&value))) {
        tx_fail(apply->tx, vy_error(VY_CODE_NOMEM, "encode change record"));
        return;
    }
    if (box->row.change_count >= CHANGE_HALF_RECORDS) {
        drop_older_half(apply, box, modseq);
    }
    tx_put(apply->tx, SHARD_CHG, &key, vy_buf_bytes(&value));
    box->row.change_count++;
    box->row.highest_modseq = modseq;
    apply_touch_box(apply, box);
}

struct vy_err change_decode(struct vy_bytes value, struct vy_arena *arena,
                            struct change_record *out)
{
    if (value.len < 1 || value.data[0] < CHANGE_ADDED || value.data[0] > CHANGE_EXPUNGED) {
        return vy_error(VY_CODE_CORRUPT, "read change record");
    }
    out->kind = (enum change_kind)value.data[0];
    if (vy_failed(uids_decode(arena, vy_bytes_from(value, 1), &out->uids))) {
        return vy_error(VY_CODE_CORRUPT, "read change record uids");
    }
    return vy_ok();
}
