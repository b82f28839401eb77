/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands that meta causes and those that tidy up: fences (epoch, erasure, quota) and the stages
 * of long bodies.
 */
#include "base/assert.h"
#include "replica/idem.h"
#include "replica/replica.h"
#include "shard/email_row.h"
#include "shard/fsm_private.h"

#define ERASE_ANSWERS_MAX 16384U

/* ---- erasing: one handler per family, from the registry in keys.h ---- */

/* What stays of an erased account: its epoch, so that nothing old is ever let in again. */
static void erase_keep_tombstone(struct apply *apply, uint64_t account_id, enum shard_family family)
{
    struct fsm_account *account = apply_find_account(apply, account_id);

    (void)family;
    if (account == NULL) {
        return;
    }
    account->row = (struct account_row){.version = 1, .epoch = account->row.epoch, .erased = true};
    account->exists = true;
    apply_touch_account(account);
}

static void erase_range(struct apply *apply, uint64_t account_id, enum shard_family family)
{
    const struct shard_key first = keys_account(account_id);
    const struct shard_key end = keys_account_end(account_id);

    tx_delete_range(apply->tx, family, &first, &end);
}

typedef void (*erase_handler)(struct apply *apply, uint64_t account_id, enum shard_family family);
static const erase_handler erase_handlers[SHARD_FAMILY_COUNT] = {
#define X(name, family, erase) [SHARD_##name] = (erase),
    SHARD_FAMILIES(X)
#undef X
};

/* The engine's families (replica.h), each with what an account leaves there: a new one must be
 * named here, or this does not compile. */
enum engine_rows {
    ENGINE_ROWS_LOGGED, /* raft: sealed under the account's key until the log is cut */
    ENGINE_ROWS_NONE,   /* sys: identity and indexes of the group */
    ENGINE_ROWS_ANSWERS /* idem: forget_answers */
};
static const enum engine_rows engine_families[] = {ENGINE_ROWS_LOGGED, ENGINE_ROWS_NONE,
                                                   ENGINE_ROWS_ANSWERS};
_Static_assert(VY_COUNT_OF(engine_families) == REPLICA_FAMILY_FIRST,
               "P8: say what an account leaves in the new family");
_Static_assert(REPLICA_FAMILY_RAFT == 0 && REPLICA_FAMILY_SYS == 1 && REPLICA_FAMILY_IDEM == 2,
               "the order of engine_families");

/* Answers under its idempotency keys and retry tokens name mailboxes and emails by number; what
 * does not fit one command expires within a day, or goes when meta fences again. */
static void forget_answers(struct apply *apply, uint64_t account_id)
{
    uint8_t prefix[8];

    vy_put_be64(prefix, account_id);
    (void)idem_forget(apply->tx->txn, vy_bytes(prefix, sizeof(prefix)), ERASE_ANSWERS_MAX);
}

void erase_account(struct apply *apply, uint64_t account_id)
{
    for (size_t i = 0; i < VY_COUNT_OF(engine_families); i++) {
        if (engine_families[i] == ENGINE_ROWS_ANSWERS) {
            forget_answers(apply, account_id);
        }
    }
    box_forget_account(&apply->fsm->cache, account_id);
    for (unsigned family = 0; family < SHARD_FAMILY_COUNT; family++) {
        erase_handlers[family](apply, account_id, (enum shard_family)family);
    }
}

/* ---- fence ---- */

enum shard_code fsm_fence(struct apply *apply)
{
    const struct cmd_fence *cmd = apply->command->fence;
    const uint64_t account_id = apply->command->account_id;
    struct fsm_account *account = apply_find_account(apply, account_id);

    if (account == NULL) {
        return SHARD_CODE_NO_ACCOUNT;
    }
    /* An account that was never used here gets its row all the same: a late first use must meet the
     * fence. */
    if (!account->exists) {
        account->row = (struct account_row){.version = 1};
    }
    account->row.epoch = VY_MAX(account->row.epoch, apply->command->account_epoch);
    if (cmd->set_quota) {
        account->row.quota_bytes = cmd->quota_bytes;
    }
    account->exists = true;
    apply_touch_account(account);
    if (cmd->erase && !account->row.erased) {
        erase_account(apply, account_id);
    } else if (cmd->erase) {
        forget_answers(apply, account_id); /* what did not fit before */
    }
    apply->result->account_epoch = account->row.epoch;
    apply_event(apply, &(struct fsm_event){.kind = FSM_EVENT_FENCE,
                                           .account_id = account_id,
                                           .modseq = account->row.epoch,
                                           .is_erased = account->row.erased});
    return SHARD_CODE_DONE;
}

/* ---- stages ---- */

static bool read_stage(struct apply *apply, uint64_t account_id, struct vy_bytes email_id,
                       struct stage_row *out)
{
    struct vy_bytes value;

    if (email_id.len != SHARD_ID_BYTES) {
        return false;
    }
    const struct shard_key key = keys_id(account_id, email_id.data);
    if (!tx_get(apply->tx, SHARD_STAGE, &key, &value)) {
        return false;
    }
    if (vy_failed(vy_pb_decode(&stage_row_desc, apply->arena, value, out))) {
        tx_fail(apply->tx, vy_error(VY_CODE_CORRUPT, "read stage row"));
        return false;
    }
    return true;
}

/* The chunk itself is the entry's payload under its final key; the row remembers that it is not
 * committed yet. */
enum shard_code fsm_stage(struct apply *apply)
{
    const struct cmd_stage *cmd = apply->command->stage;
    struct fsm_account *account = NULL;
    struct stage_row row = {.bytes = 0};
    VY_CLEANUP(vy_buf_deinit) struct vy_buf value;

    vy_buf_init(&value, 256);
    const enum shard_code code = apply_open_account(apply, apply->command->account_id,
                                                    apply->command->account_epoch, &account);
    if (code != SHARD_CODE_DONE) {
        return code;
    }
    if (cmd->email_id.len != SHARD_ID_BYTES || cmd->chunk >= EMAIL_CHUNKS_MAX) {
        return SHARD_CODE_PRECONDITION;
    }
    if (!read_stage(apply, account->account_id, cmd->email_id, &row) && cmd->chunk != 0) {
        return SHARD_CODE_NO_STAGE;
    }
    row.bytes += cmd->bytes;
    row.chunks = VY_MAX(row.chunks, cmd->chunk + 1);
    row.expires_ms = VY_MAX(row.expires_ms, cmd->expires_ms);
    const struct shard_key key = keys_id(account->account_id, cmd->email_id.data);
    if (vy_failed(vy_pb_encode(&stage_row_desc, &row, &value))) {
        tx_fail(apply->tx, vy_error(VY_CODE_NOMEM, "encode stage row"));
        return SHARD_CODE_LIMIT;
    }
    tx_put(apply->tx, SHARD_STAGE, &key, vy_buf_bytes(&value));
    return SHARD_CODE_DONE;
}

enum shard_code fsm_stage_end(struct apply *apply)
{
    const struct cmd_stage_end *cmd = apply->command->stage_end;

    for (size_t i = 0; i < cmd->stages_count; i++) {
        const struct stage_name *name = &cmd->stages[i];
        struct stage_row row;
        if (!read_stage(apply, name->account_id, name->email_id, &row) ||
            row.expires_ms > cmd->expired_before_ms) {
            continue; /* committed meanwhile, or somebody still writes it */
        }
        for (uint32_t chunk = 0; chunk < row.chunks; chunk++) {
            const struct shard_key body = keys_body(name->account_id, name->email_id.data, chunk);
            tx_delete(apply->tx, SHARD_BODY, &body);
        }
        const struct shard_key key = keys_id(name->account_id, name->email_id.data);
        tx_delete(apply->tx, SHARD_STAGE, &key);
    }
    return SHARD_CODE_DONE;
}
