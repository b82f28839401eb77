/* SPDX-License-Identifier: Apache-2.0 */
/* Messages that come: rows, counters, threads; and APPEND. Delivery is in delivery.c. */
#include "base/assert.h"
#include "mail/flags.h"
#include "shard/fsm_private.h"

/* ---- counters and quota ---- */

static uint64_t add_signed(uint64_t value, uint64_t amount, int sign)
{
    if (sign > 0) {
        return value + amount;
    }
    /* Counters follow the rows they count; a clamp keeps a damaged one from wrapping. */
    return value - VY_MIN(value, amount);
}

void message_count_row(struct box *box, const struct block *block, uint32_t index, int sign)
{
    struct mailbox_row *row = &box->row;

    row->message_count = (uint32_t)add_signed(row->message_count, 1, sign);
    row->size_bytes = add_signed(row->size_bytes, block->size[index], sign);
    if ((block->flags[index] & MAIL_FLAG_SEEN) == 0) {
        row->unseen_count = (uint32_t)add_signed(row->unseen_count, 1, sign);
    }
    if ((block->flags[index] & MAIL_FLAG_DELETED) != 0) {
        row->deleted_count = (uint32_t)add_signed(row->deleted_count, 1, sign);
    }
}

enum shard_code message_check_room(const struct fsm_account *account, const struct box *box,
                                   uint64_t count, uint64_t bytes)
{
    const struct account_row *row = &account->row;
    const uint64_t taken = row->used_bytes + row->held_bytes; /* held copies have their room */

    if (row->quota_bytes != 0 && (bytes > row->quota_bytes || taken > row->quota_bytes - bytes)) {
        return SHARD_CODE_QUOTA;
    }
    /* The last UID is never given out: UIDNEXT must stay a UID. */
    return count + row->held_count >= UINT32_MAX - (uint64_t)box->row.uidnext ? SHARD_CODE_LIMIT
                                                                              : SHARD_CODE_DONE;
}

uint32_t message_add_row(struct apply *apply, struct fsm_account *account, struct box *box,
                         struct block_row *row, bool is_bulk)
{
    row->uid = box->row.uidnext++;
    row->modseq = apply_take_modseq(apply, account);
    row->save_ms = apply->time_ms;
    row->flags &= ~(uint32_t)MAIL_FLAG_RECENT; /* not a property of a message but of a session */

    const struct shard_key ref =
        keys_ref(account->account_id, row->email_id, box->mailbox_id, row->uid);
    tx_put(apply->tx, SHARD_REF, &ref, vy_bytes(NULL, 0));
    box_append(box, apply->tx, row, is_bulk);
    box->row.message_count++;
    box->row.size_bytes += row->size;
    box->row.unseen_count += (row->flags & MAIL_FLAG_SEEN) == 0 ? 1 : 0;
    box->row.deleted_count += (row->flags & MAIL_FLAG_DELETED) != 0 ? 1 : 0;
    account->row.used_bytes += row->size;
    account->row.message_count++;
    apply_touch_account(account);
    return row->uid;
}

/* ---- threads: an email joins the thread of the first Message-ID that is known ---- */

static bool read_thread(struct apply *apply, uint64_t account_id, struct vy_bytes hash,
                        struct thread_row *out)
{
    const struct shard_key key = keys_id(account_id, hash.data);
    struct vy_bytes value;

    if (!tx_get(apply->tx, SHARD_THREAD, &key, &value)) {
        return false;
    }
    /* thread_id borrows from value, which lasts until the next read: kept in the arena. */
    if (vy_failed(vy_arena_dup(apply->arena, value, &value)) ||
        vy_failed(vy_pb_decode(&thread_row_desc, apply->arena, value, out)) ||
        out->thread_id.len != SHARD_ID_BYTES) {
        tx_fail(apply->tx, vy_error(VY_CODE_CORRUPT, "read thread row"));
        return false;
    }
    return true;
}

static void write_thread(struct apply *apply, uint64_t account_id, const uint8_t *hash,
                         const struct thread_row *row)
{
    const struct shard_key key = keys_id(account_id, hash);
    VY_CLEANUP(vy_buf_deinit) struct vy_buf value;

    vy_buf_init(&value, 256);
    if (vy_failed(vy_pb_encode(&thread_row_desc, row, &value))) {
        tx_fail(apply->tx, vy_error(VY_CODE_NOMEM, "encode thread row"));
        return;
    }
    tx_put(apply->tx, SHARD_THREAD, &key, vy_buf_bytes(&value));
}

void thread_join(struct apply *apply, uint64_t account_id, const struct new_message *message,
                 uint8_t out_thread[SHARD_ID_BYTES])
{
    struct thread_row found = {.count = 0};
    struct thread_row own = {.count = 0};

    memcpy(out_thread, message->email_id.data, SHARD_ID_BYTES);
    for (size_t i = 0; i < message->thread_hashes_count; i++) {
        if (read_thread(apply, account_id, message->thread_hashes[i], &found)) {
            memcpy(out_thread, found.thread_id.data, SHARD_ID_BYTES);
            break;
        }
    }
    if (message->no_message_id || message->thread_hashes_count == 0) {
        return;
    }
    if (!read_thread(apply, account_id, message->thread_hashes[0], &own)) {
        own = (struct thread_row){.thread_id = vy_bytes(out_thread, SHARD_ID_BYTES)};
    }
    own.count++;
    write_thread(apply, account_id, message->thread_hashes[0].data, &own);
}

void thread_leave(struct apply *apply, uint64_t account_id,
                  const uint8_t message_id_hash[SHARD_HASH_BYTES])
{
    const struct shard_key key = keys_id(account_id, message_id_hash);
    struct thread_row row;

    if (!read_thread(apply, account_id, vy_bytes(message_id_hash, SHARD_HASH_BYTES), &row)) {
        return;
    }
    if (row.count <= 1) {
        tx_delete(apply->tx, SHARD_THREAD, &key);
        return;
    }
    row.count--;
    write_thread(apply, account_id, message_id_hash, &row);
}

/* ---- one new message ---- */

enum shard_code message_check(struct apply *apply, uint64_t account_id,
                              const struct new_message *message)
{
    struct vy_bytes stage;

    if (message == NULL || message->email_id.len != SHARD_ID_BYTES || message->email_row.len == 0 ||
        message->size_bytes > UINT32_MAX ||
        message->thread_hashes_count > SHARD_THREAD_HASHES_MAX) {
        return SHARD_CODE_PRECONDITION;
    }
    for (size_t i = 0; i < message->thread_hashes_count; i++) {
        if (message->thread_hashes[i].len != SHARD_HASH_BYTES) {
            return SHARD_CODE_PRECONDITION;
        }
    }
    const struct shard_key key = keys_id(account_id, message->email_id.data);
    if (message->staged && !tx_get(apply->tx, SHARD_STAGE, &key, &stage)) {
        return SHARD_CODE_NO_STAGE; /* it expired: nothing of the body is left */
    }
    return SHARD_CODE_DONE;
}

uint32_t message_store(struct apply *apply, struct fsm_account *account, struct box *box,
                       const struct new_message *message)
{
    const struct shard_key key = keys_id(account->account_id, message->email_id.data);
    struct block_row row = {
        .flags = message->flags,
        .size = (uint32_t)message->size_bytes,
        .internal_ms = message->internal_ms != 0 ? message->internal_ms : apply->time_ms,
        .zone = message->zone != 0 ? message->zone : BLOCK_ZONE_BIAS,
    };

    memcpy(row.email_id, message->email_id.data, SHARD_ID_BYTES);
    thread_join(apply, account->account_id, message, row.thread_id);
    row.keywords = keywords_to_bits(apply, box, message->keywords, message->keywords_count, true);
    tx_put(apply->tx, SHARD_EMAIL, &key, message->email_row);
    if (message->staged) {
        tx_delete(apply->tx, SHARD_STAGE, &key);
    }
    return message_add_row(apply, account, box, &row, false);
}

void message_note_added(struct apply *apply, struct fsm_account *account, struct box *box,
                        const struct uid_ranges *uids)
{
    change_note(apply, box, apply_take_modseq(apply, account), CHANGE_ADDED, uids);
}

/* ---- APPEND ---- */

static enum shard_code check_append(struct apply *apply, const struct cmd_append *cmd,
                                    const struct fsm_account *account, struct box *box)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < cmd->messages_count; i++) {
        enum shard_code code = message_check(apply, account->account_id, &cmd->messages[i]);
        if (code == SHARD_CODE_DONE) {
            code = keywords_check(apply, box, cmd->messages[i].keywords,
                                  cmd->messages[i].keywords_count);
        }
        if (code != SHARD_CODE_DONE) {
            return code;
        }
        bytes += cmd->messages[i].size_bytes;
    }
    return message_check_room(account, box, cmd->messages_count, bytes);
}

enum shard_code fsm_append(struct apply *apply)
{
    const struct cmd_append *cmd = apply->command->append;
    struct fsm_account *account = NULL;
    struct uid_ranges uids;

    enum shard_code code = apply_open_account(apply, apply->command->account_id,
                                              apply->command->account_epoch, &account);
    if (code != SHARD_CODE_DONE) {
        return code;
    }
    if (cmd->name_hash.len != SHARD_HASH_BYTES || cmd->messages_count == 0) {
        return SHARD_CODE_NO_TARGET;
    }
    struct box *box = apply_find_box(apply, account->account_id, cmd->name_hash);
    if (box == NULL || box->row.no_select) {
        return SHARD_CODE_NO_TARGET;
    }
    code = check_append(apply, cmd, account, box);
    if (code != SHARD_CODE_DONE) {
        return code;
    }
    uids_init(&uids, apply->arena);
    for (size_t i = 0; i < cmd->messages_count; i++) {
        uids_add(&uids, message_store(apply, account, box, &cmd->messages[i]));
    }
    message_note_added(apply, account, box, &uids);
    mailbox_fill_result(apply, box);
    if (vy_failed(uids_encode_arena(&uids, apply->arena, &apply->result->uids))) {
        tx_fail(apply->tx, vy_error(VY_CODE_NOMEM, "encode uids"));
    }
    return SHARD_CODE_DONE;
}
