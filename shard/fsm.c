/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/fsm.h"
#include "base/assert.h"
#include "replica/idem.h"
#include "shard/fsm_private.h"
#include <stdlib.h>

#define FSM_CACHE_BYTES_DEFAULT (64U * 1024U * 1024U)
#define ROW_BYTES_MAX 4096U

enum vy_code shard_code_to_vy(uint32_t code)
{
    switch (code) {
#define X(name, number, vy)                                                                        \
    case (number):                                                                                 \
        return VY_CODE_##vy;
        SHARD_CODES(X)
#undef X
    default: /* a number from disk */
        return VY_CODE_INTERNAL;
    }
}

struct vy_err fsm_new(const struct fsm_config *config, struct fsm **out)
{
    struct fsm *fsm = calloc(1, sizeof(*fsm));

    if (fsm == NULL) {
        return vy_error(VY_CODE_NOMEM, "allocate state machine");
    }
    fsm->config = *config;
    const size_t cache_bytes =
        config->cache_bytes == 0 ? FSM_CACHE_BYTES_DEFAULT : config->cache_bytes;
    box_cache_init(&fsm->cache, cache_bytes, config->hash_seed);
    tx_init(&fsm->tx);
    vy_arena_init(&fsm->arena, FSM_ARENA_BYTES_MAX);
    vy_buf_init(&fsm->encoded, ROW_BYTES_MAX);
    *out = fsm;
    return vy_ok();
}

void fsm_free(struct fsm *fsm)
{
    if (fsm == NULL) {
        return;
    }
    box_cache_deinit(&fsm->cache);
    tx_deinit(&fsm->tx);
    vy_arena_deinit(&fsm->arena);
    vy_buf_deinit(&fsm->encoded);
    free(fsm);
}

void fsm_reset(struct fsm *fsm)
{
    box_cache_clear(&fsm->cache);
}

/* ---- accounts of the command ---- */

static bool load_account(struct apply *apply, struct fsm_account *account)
{
    const struct shard_key key = keys_account(account->account_id);
    struct vy_bytes value;

    if (!tx_get(apply->tx, SHARD_ACCT, &key, &value)) {
        return false;
    }
    /* No member of the row borrows from its bytes. */
    const struct vy_err err = vy_pb_decode(&account_row_desc, apply->arena, value, &account->row);
    if (vy_failed(err) || account->row.version != 1) {
        tx_fail(apply->tx, vy_error(VY_CODE_CORRUPT, "read account row"));
        return false;
    }
    return true;
}

struct fsm_account *apply_find_account(struct apply *apply, uint64_t account_id)
{
    for (size_t i = 0; i < apply->account_count; i++) {
        if (apply->accounts[i]->account_id == account_id) {
            return apply->accounts[i];
        }
    }
    VY_ASSERT(apply->account_count < SHARD_RECIPIENTS_MAX);
    struct fsm_account *account = VY_ARENA_NEW(apply->arena, struct fsm_account);
    if (account == NULL) {
        tx_fail(apply->tx, vy_error(VY_CODE_NOMEM, "load account"));
        return NULL;
    }
    account->account_id = account_id;
    account->exists = load_account(apply, account);
    apply->accounts[apply->account_count++] = account;
    return account;
}

enum shard_code apply_open_account(struct apply *apply, uint64_t account_id, uint64_t epoch,
                                   struct fsm_account **out)
{
    struct fsm_account *account = apply_find_account(apply, account_id);

    if (account == NULL || (account->exists && account->row.erased)) {
        return SHARD_CODE_NO_ACCOUNT;
    }
    if (!account->exists || account->row.inbox_id == 0) {
        return SHARD_CODE_NO_INIT; /* first use here: the service proposes AccountInit and comes
                                      again */
    }
    if (epoch < account->row.epoch) {
        return SHARD_CODE_STALE;
    }
    *out = account;
    return SHARD_CODE_DONE;
}

uint64_t apply_take_modseq(struct apply *apply, struct fsm_account *account)
{
    (void)apply;
    if (account->modseq == 0) {
        account->modseq = ++account->row.modseq;
        apply_touch_account(account);
    }
    return account->modseq;
}

static void flush_account(struct apply *apply, const struct fsm_account *account)
{
    const struct shard_key key = keys_account(account->account_id);
    struct vy_buf *encoded = &apply->fsm->encoded;

    vy_buf_reset(encoded);
    if (vy_failed(vy_pb_encode(&account_row_desc, &account->row, encoded))) {
        tx_fail(apply->tx, vy_error(VY_CODE_NOMEM, "encode account row"));
        return;
    }
    tx_put(apply->tx, SHARD_ACCT, &key, vy_buf_bytes(encoded));
}

/* ---- mailboxes of the command ---- */

struct box *apply_open_box(struct apply *apply, uint64_t account_id, uint64_t mailbox_id)
{
    return box_open(&apply->fsm->cache, apply->tx, account_id, mailbox_id);
}

void apply_touch_box(struct apply *apply, struct box *box)
{
    for (size_t i = 0; i < apply->box_count; i++) {
        if (apply->boxes[i] == box) {
            return;
        }
    }
    VY_ASSERT(apply->box_count < apply->box_capacity);
    apply->boxes[apply->box_count++] = box;
    box_touch_row(box);
}

void apply_forget_box(struct apply *apply, const struct box *box)
{
    for (size_t i = 0; i < apply->box_count; i++) {
        if (apply->boxes[i] == box) {
            apply->boxes[i] = apply->boxes[--apply->box_count];
            return;
        }
    }
}

uint64_t apply_find_mailbox_id(struct apply *apply, uint64_t account_id, struct vy_bytes name_hash)
{
    const struct shard_key key = keys_name(account_id, name_hash);
    struct vy_bytes value;

    if (!tx_get(apply->tx, SHARD_MBOX, &key, &value)) {
        return 0;
    }
    if (value.len != 8) {
        tx_fail(apply->tx, vy_error(VY_CODE_CORRUPT, "read mailbox name row"));
        return 0;
    }
    return vy_get_be64(value.data);
}

struct box *apply_find_box(struct apply *apply, uint64_t account_id, struct vy_bytes name_hash)
{
    const uint64_t mailbox_id = apply_find_mailbox_id(apply, account_id, name_hash);

    return mailbox_id == 0 ? NULL : apply_open_box(apply, account_id, mailbox_id);
}

void apply_event(struct apply *apply, const struct fsm_event *event)
{
    const struct fsm_config *config = &apply->fsm->config;

    if (config->on_event != NULL) {
        config->on_event(config->arg, event);
    }
}

/* ---- the table of commands ---- */

struct handler_row {
    size_t offset; /* of the member in struct shard_command */
    fsm_handler handler;
};

static const struct handler_row handlers[] = {
#define X(member) {offsetof(struct shard_command, member), fsm_##member},
    FSM_HANDLERS(X)
#undef X
};

static fsm_handler find_handler(const struct shard_command *command)
{
    fsm_handler found = NULL;

    for (size_t i = 0; i < VY_COUNT_OF(handlers); i++) {
        const void *member = NULL;
        memcpy(&member, (const uint8_t *)command + handlers[i].offset, sizeof(member));
        if (member == NULL) {
            continue;
        }
        if (found != NULL) {
            return NULL;
        }
        found = handlers[i].handler;
    }
    return found;
}

static struct vy_err apply_init(struct apply *apply, struct fsm *fsm, struct shard_command *command,
                                struct shard_result *result)
{
    *apply = (struct apply){
        .fsm = fsm,
        .tx = &fsm->tx,
        .arena = &fsm->arena,
        .command = command,
        .result = result,
        .accounts = VY_ARENA_ARRAY(&fsm->arena, SHARD_RECIPIENTS_MAX, struct fsm_account *),
    };
    /* A rename may touch every mailbox of the account; all others only a few. */
    apply->box_capacity =
        SHARD_NEW_MAILBOXES_MAX + 2 +
        (command->mailbox_rename != NULL ? SHARD_MAILBOXES_MAX : SHARD_RECIPIENTS_MAX);
    apply->boxes = VY_ARENA_ARRAY(&fsm->arena, apply->box_capacity, struct box *);
    if (apply->accounts == NULL || apply->boxes == NULL) {
        return vy_error(VY_CODE_NOMEM, "start command");
    }
    return vy_ok();
}

static void apply_flush(struct apply *apply)
{
    for (size_t i = 0; i < apply->box_count; i++) {
        box_flush(apply->boxes[i], apply->tx);
    }
    for (size_t i = 0; i < apply->account_count; i++) {
        if (apply->accounts[i]->is_dirty) {
            flush_account(apply, apply->accounts[i]);
        }
    }
}

/* Hints go out after the rows: who looks because of one finds what it speaks of once the batch is
 * durable. */
static void tell_changes(struct apply *apply)
{
    if (apply->command->mailbox_open != NULL) {
        return; /* \Recent was taken: nobody is told of that */
    }
    for (size_t i = 0; i < apply->box_count; i++) {
        const struct box *box = apply->boxes[i];
        apply_event(apply, &(struct fsm_event){.kind = FSM_EVENT_MAILBOX,
                                               .account_id = box->account_id,
                                               .mailbox_id = box->mailbox_id,
                                               .modseq = box->row.highest_modseq});
    }
}

/* ---- commands that come again (R4) ---- */

#define SCOPED_KEY_BYTES (8U + SHARD_IDEMPOTENCY_KEY_BYTES)

/* Keys of two accounts never meet, and an erased account's go with it. Deliveries have no account:
 * theirs are in the scope 0. */
static bool scoped_key(const struct shard_command *command, uint8_t out[SCOPED_KEY_BYTES])
{
    if (command->idempotency_key.len != SHARD_IDEMPOTENCY_KEY_BYTES) {
        return false;
    }
    vy_put_be64(out, command->account_id);
    memcpy(out + 8, command->idempotency_key.data, SHARD_IDEMPOTENCY_KEY_BYTES);
    return true;
}

/* A delivery whose copies all have retry tokens finds each of them by its own, and answers the same
 * as under its key: one row a copy is enough. */
static bool is_known_by_tokens(const struct shard_command *command)
{
    const struct cmd_deliver *deliver = command->deliver;

    if (deliver == NULL || deliver->retry_keep_ms < IDEM_KEEP_MS) {
        return false;
    }
    for (size_t i = 0; i < deliver->recipients_count; i++) {
        if (deliver->recipients[i].retry_token.len != SHARD_ID_BYTES) {
            return false;
        }
    }
    return true;
}

static bool answer_again(struct apply *apply, struct vy_buf *result)
{
    uint8_t key[SCOPED_KEY_BYTES];
    struct vy_bytes known;

    if (is_known_by_tokens(apply->command) || !scoped_key(apply->command, key) ||
        !idem_find(apply->tx->txn, vy_bytes(key, sizeof(key)), apply->time_ms, &known)) {
        return false;
    }
    vy_buf_append(result, known);
    return true;
}

static void remember_answer(struct apply *apply, struct vy_bytes result)
{
    uint8_t key[SCOPED_KEY_BYTES];

    if (!is_known_by_tokens(apply->command) && scoped_key(apply->command, key)) {
        idem_store(apply->tx->txn, vy_bytes(key, sizeof(key)), result,
                   apply->time_ms + IDEM_KEEP_MS);
    }
}

/* ---- one command ---- */

static void drop_unused(struct apply *apply)
{
    for (size_t i = 0; i < apply->unused_count; i++) {
        body_rows_drop(apply, apply->unused[i]->account_id, apply->unused[i]->message);
    }
}

static struct vy_err run_handler(struct apply *apply, fsm_handler handler, struct vy_buf *result)
{
    apply->result->code = body_rows_check(apply->command);
    if (apply->result->code == SHARD_CODE_DONE) {
        apply->result->code = handler(apply);
    }
    if (apply->result->code == SHARD_CODE_DONE) {
        body_rows_put(apply);
        drop_unused(apply);
        apply_flush(apply);
        tell_changes(apply);
    } else if (apply->result->code != SHARD_CODE_NO_INIT &&
               apply->result->code != SHARD_CODE_CONFLICT) {
        body_rows_discard(apply);
    }
    VY_TRY(vy_pb_encode(&shard_result_desc, apply->result, result));
    if (apply->result->code == SHARD_CODE_DONE) {
        remember_answer(apply, vy_buf_bytes(result));
    }
    return vy_ok();
}

static struct vy_err run_command(struct fsm *fsm, uint64_t time_ms, struct vy_bytes bytes,
                                 struct vy_buf *result)
{
    struct shard_command command;
    struct shard_result outcome = {.code = SHARD_CODE_DONE};
    struct apply apply;

    VY_TRY(vy_pb_decode(&shard_command_desc, &fsm->arena, bytes, &command));
    const fsm_handler handler = find_handler(&command);
    if (command.version != SHARD_COMMAND_VERSION || handler == NULL) {
        return vy_error(VY_CODE_UNSUPPORTED, "apply command of unknown version or kind");
    }
    VY_TRY(apply_init(&apply, fsm, &command, &outcome));
    apply.time_ms = time_ms;
    if (answer_again(&apply, result)) {
        body_rows_discard(&apply);
    } else {
        VY_TRY(run_handler(&apply, handler, result));
    }
    VY_TRY(tx_error(&fsm->tx));
    return vy_buf_error(result);
}

struct vy_err fsm_apply_command(struct fsm *fsm, struct txn *txn, uint64_t time_ms,
                                struct vy_bytes command, struct vy_buf *result)
{
    vy_arena_reset(&fsm->arena);
    tx_begin(&fsm->tx, txn);
    const struct vy_err err = run_command(fsm, time_ms, command, result);
    box_cache_trim(&fsm->cache);
    return err;
}
