/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Body chunks that come with a command: long ones as payloads of its entry, stored under their
 * final key when the entry is appended; short ones inside the command. Both must go when the
 * command turns out to have no effect, for nothing else would ever remove them.
 */
#include "shard/email_row.h"
#include "shard/fsm_private.h"

enum shard_code body_rows_check(const struct shard_command *command)
{
    static const uint8_t none[SHARD_ID_BYTES] = {0};
    const size_t key_bytes = keys_body(0, none, 0).len;

    for (size_t i = 0; i < command->bodies_count; i++) {
        if (command->bodies[i].key.len != key_bytes || command->bodies[i].value.len == 0) {
            return SHARD_CODE_PRECONDITION;
        }
    }
    return SHARD_CODE_DONE;
}

void body_rows_put(struct apply *apply)
{
    for (size_t i = 0; i < apply->command->bodies_count; i++) {
        const struct body_row *row = &apply->command->bodies[i];
        struct shard_key key = {.len = row->key.len};
        memcpy(key.data, row->key.data, row->key.len);
        tx_put(apply->tx, SHARD_BODY, &key, row->value);
    }
}

/* A command that comes twice may name the email that the first one stored. */
static bool is_stored(struct apply *apply, uint64_t account_id, const uint8_t *email_id)
{
    const struct shard_key key = keys_id(account_id, email_id);
    struct vy_bytes unused;

    return tx_get(apply->tx, SHARD_EMAIL, &key, &unused) ||
           tx_get(apply->tx, SHARD_STAGE, &key, &unused);
}

static void discard_message(struct apply *apply, uint64_t account_id,
                            const struct new_message *message)
{
    struct email_head head;

    if (message == NULL || message->staged || message->email_id.len != SHARD_ID_BYTES ||
        vy_failed(email_row_head(message->email_row, &head)) ||
        is_stored(apply, account_id, message->email_id.data)) {
        return;
    }
    for (uint32_t chunk = 0; chunk < head.chunk_count; chunk++) {
        const struct shard_key key = keys_body(account_id, message->email_id.data, chunk);
        tx_delete(apply->tx, SHARD_BODY, &key);
    }
}

void body_rows_drop(struct apply *apply, uint64_t account_id, const struct new_message *message)
{
    const struct shard_key key = keys_id(account_id, message->email_id.data);
    struct email_head head;
    struct vy_bytes unused;

    if (tx_get(apply->tx, SHARD_EMAIL, &key, &unused) ||
        vy_failed(email_row_head(message->email_row, &head))) {
        return;
    }
    for (uint32_t chunk = 0; chunk < head.chunk_count; chunk++) {
        const struct shard_key body = keys_body(account_id, message->email_id.data, chunk);
        tx_delete(apply->tx, SHARD_BODY, &body);
    }
    tx_delete(apply->tx, SHARD_STAGE, &key);
}

static void discard_held(struct apply *apply, const struct cmd_hold *hold)
{
    for (size_t i = 0; i < hold->recipients_count; i++) {
        const struct new_delivery *delivery = &hold->recipients[i];
        if (delivery->message != NULL && !held_is_of(apply, delivery->account_id, hold->delivery_id,
                                                     delivery->message->email_id)) {
            discard_message(apply, delivery->account_id, delivery->message);
        }
    }
}

void body_rows_discard(struct apply *apply)
{
    const struct shard_command *command = apply->command;

    if (command->hold != NULL) {
        discard_held(apply, command->hold);
    }

    for (size_t i = 0; command->deliver != NULL && i < command->deliver->recipients_count; i++) {
        const struct new_delivery *delivery = &command->deliver->recipients[i];
        discard_message(apply, delivery->account_id, delivery->message);
    }
    for (size_t i = 0; command->append != NULL && i < command->append->messages_count; i++) {
        discard_message(apply, command->account_id, &command->append->messages[i]);
    }
    const struct cmd_stage *stage = command->stage;
    if (stage != NULL && stage->email_id.len == SHARD_ID_BYTES &&
        !is_stored(apply, command->account_id, stage->email_id.data)) {
        const struct shard_key key =
            keys_body(command->account_id, stage->email_id.data, stage->chunk);
        tx_delete(apply->tx, SHARD_BODY, &key);
    }
}
