/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking messages out. Their index rows move to the family gone under the modseq of the expunge,
 * and email, body and reference stay until the leader proposes a purge: a session that was not told
 * yet can still read them (IMAP-F2).
 */
#include "base/assert.h"
#include "base/plant.h"
#include "mail/flags.h"
#include "shard/email_row.h"
#include "shard/fsm_private.h"

#define GONE_ROW_BYTES_MAX BLOCK_BYTES_MAX

bool expunge_begin(struct expunge *expunge, struct apply *apply, struct box *box, uint64_t modseq)
{
    *expunge = (struct expunge){.apply = apply, .box = box, .modseq = modseq};
    expunge->gone = vy_arena_alloc(apply->arena, sizeof(*expunge->gone));
    uids_init(&expunge->vanished, apply->arena);
    if (expunge->gone == NULL) {
        tx_fail(apply->tx, vy_error(VY_CODE_NOMEM, "start expunge"));
        return false;
    }
    return true;
}

static void flush_gone(struct expunge *expunge)
{
    const struct box *box = expunge->box;
    const struct shard_key key =
        keys_gone(box->account_id, box->mailbox_id, expunge->modseq, expunge->part);
    VY_CLEANUP(vy_buf_deinit) struct vy_buf value;

    vy_buf_init(&value, GONE_ROW_BYTES_MAX);
    if (expunge->gone->count == 0) {
        return;
    }
    block_encode(expunge->gone, &value);
    if (vy_failed(vy_buf_error(&value))) {
        tx_fail(expunge->apply->tx, vy_error(VY_CODE_NOMEM, "encode expunged messages"));
        return;
    }
    tx_put(expunge->apply->tx, SHARD_GONE, &key, vy_buf_bytes(&value));
    apply_event(expunge->apply, &(struct fsm_event){.kind = FSM_EVENT_GONE,
                                                    .account_id = box->account_id,
                                                    .mailbox_id = box->mailbox_id,
                                                    .modseq = expunge->modseq,
                                                    .part = expunge->part});
    expunge->part++;
    expunge->gone->count = 0;
    expunge->gone->has_keywords = false;
}

void expunge_row(struct expunge *expunge, struct box_block *block, uint32_t index)
{
    struct block_row row;

    block_get_row(&block->block, index, &row);
    if (expunge->gone->count == BLOCK_MESSAGES_MAX) {
        flush_gone(expunge);
    }
    block_append_row(expunge->gone, &row);
    message_count_row(expunge->box, &block->block, index, -1);
    uids_add(&expunge->vanished, row.uid);
    expunge->bytes += row.size;
    expunge->count++;
    box_mark_drop(expunge->box, block, index);
}

void expunge_end(struct expunge *expunge, struct fsm_account *account)
{
    flush_gone(expunge);
    if (expunge->count == 0) {
        return;
    }
    box_drop_marked(expunge->box, expunge->apply->tx);
    change_note(expunge->apply, expunge->box, expunge->modseq, CHANGE_EXPUNGED, &expunge->vanished);
    account->row.used_bytes -= VY_MIN(account->row.used_bytes, expunge->bytes);
    account->row.message_count -= VY_MIN(account->row.message_count, expunge->count);
    apply_touch_account(account);
}

/* ---- EXPUNGE, UID EXPUNGE ---- */

static void expunge_range(struct expunge *expunge, struct uid_range range, bool only_deleted)
{
    uint32_t uid = range.first;

    for (;;) {
        struct box_block *block = box_find(expunge->box, expunge->apply->tx, uid);
        if (block == NULL) {
            return;
        }
        uint32_t i = block_lower_bound(&block->block, uid);
        for (; i < block->block.count && block->block.uid[i] <= range.last; i++) {
            if (!only_deleted || (block->block.flags[i] & MAIL_FLAG_DELETED) != 0) {
                expunge_row(expunge, block, i);
            }
        }
        if (i < block->block.count || block_last_uid(&block->block) >= range.last) {
            return;
        }
        uid = block_last_uid(&block->block) + 1;
    }
}

enum shard_code fsm_expunge(struct apply *apply)
{
    static const struct uid_range all = {1, UINT32_MAX};
    const struct cmd_expunge *cmd = apply->command->expunge;
    struct fsm_account *account = NULL;
    struct uid_ranges uids = {.items = NULL};
    struct expunge expunge;

    const enum shard_code code = apply_open_account(apply, apply->command->account_id,
                                                    apply->command->account_epoch, &account);
    if (code != SHARD_CODE_DONE) {
        return code;
    }
    struct box *box = apply_open_box(apply, account->account_id, cmd->mailbox_id);
    if (box == NULL || box->row.no_select) {
        return SHARD_CODE_NOT_FOUND;
    }
    if (!cmd->all_deleted && vy_failed(uids_decode(apply->arena, cmd->uids, &uids))) {
        return SHARD_CODE_PRECONDITION;
    }
    apply->result->mailbox_id = box->mailbox_id;
    apply->result->previous_modseq = box->row.highest_modseq;
    /* Nothing is \Deleted: nothing to write, and no scan of a large mailbox. */
    if (box->row.deleted_count == 0 ||
        !expunge_begin(&expunge, apply, box, apply_take_modseq(apply, account))) {
        return SHARD_CODE_DONE;
    }
    if (cmd->all_deleted) {
        expunge_range(&expunge, all, true);
    }
    for (size_t i = 0; i < uids.count; i++) {
        expunge_range(&expunge, uids.items[i], true);
    }
    expunge_end(&expunge, account);
    if (VY_PLANT(REUSE_UID) && uids_contains(&expunge.vanished, box->row.uidnext - 1)) {
        box->row.uidnext--;
    }
    apply->result->modseq = expunge.count == 0 ? 0 : expunge.modseq;
    if (vy_failed(uids_encode_arena(&expunge.vanished, apply->arena, &apply->result->uids))) {
        tx_fail(apply->tx, vy_error(VY_CODE_NOMEM, "encode uids"));
    }
    return SHARD_CODE_DONE;
}

/* ---- purge: what no session can ask for any more ---- */

static bool has_reference(struct apply *apply, uint64_t account_id, const uint8_t *email_id)
{
    const struct shard_key first = keys_id(account_id, email_id);
    const struct shard_key end = keys_id_end(account_id, email_id);
    struct tx_row row;

    return tx_seek_first(apply->tx, SHARD_REF, &first, &end, &row);
}

static void delete_email(struct apply *apply, uint64_t account_id, const uint8_t *email_id)
{
    const struct shard_key key = keys_id(account_id, email_id);
    struct email_head head;
    struct vy_bytes row;
    uint8_t hash[SHARD_HASH_BYTES];

    if (!tx_get(apply->tx, SHARD_EMAIL, &key, &row)) {
        return;
    }
    if (vy_failed(email_row_head(row, &head))) {
        tx_fail(apply->tx, vy_error(VY_CODE_CORRUPT, "read email row"));
        return;
    }
    const bool has_hash = head.message_id_hash != NULL;
    if (has_hash) {
        memcpy(hash, head.message_id_hash, sizeof(hash)); /* the row is gone after the next read */
    }
    for (uint32_t chunk = 0; chunk < head.chunk_count; chunk++) {
        const struct shard_key body = keys_body(account_id, email_id, chunk);
        tx_delete(apply->tx, SHARD_BODY, &body);
    }
    tx_delete(apply->tx, SHARD_EMAIL, &key);
    if (has_hash) {
        thread_leave(apply, account_id, hash);
    }
}

static void purge_row(struct apply *apply, const struct purge_row *purge, struct block *block)
{
    const struct shard_key key =
        keys_gone(purge->account_id, purge->mailbox_id, purge->modseq, purge->part);
    struct vy_bytes value;

    if (!tx_get(apply->tx, SHARD_GONE, &key, &value)) {
        return; /* purged before, or the account was erased */
    }
    const struct vy_err err = block_decode(value, block);
    if (vy_failed(err)) {
        tx_fail(apply->tx, err);
        return;
    }
    for (uint32_t i = 0; i < block->count; i++) {
        const uint8_t *email_id = block->email_id[i];
        const struct shard_key ref =
            keys_ref(purge->account_id, email_id, purge->mailbox_id, block->uid[i]);
        tx_delete(apply->tx, SHARD_REF, &ref);
        if (!has_reference(apply, purge->account_id, email_id)) {
            delete_email(apply, purge->account_id, email_id);
        }
    }
    tx_delete(apply->tx, SHARD_GONE, &key);
}

enum shard_code fsm_purge(struct apply *apply)
{
    const struct cmd_purge *cmd = apply->command->purge;
    struct block *block = vy_arena_alloc(apply->arena, sizeof(*block));

    if (block == NULL) {
        tx_fail(apply->tx, vy_error(VY_CODE_NOMEM, "start purge"));
        return SHARD_CODE_LIMIT;
    }
    if (cmd->rows_count > SHARD_GONE_ROWS_MAX) {
        return SHARD_CODE_LIMIT;
    }
    for (size_t i = 0; i < cmd->rows_count; i++) {
        purge_row(apply, &cmd->rows[i], block);
    }
    return SHARD_CODE_DONE;
}
