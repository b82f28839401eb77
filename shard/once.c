/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys: account u64 (0: of no account), id or token 16, a letter that tells the kinds apart from
 * each other and from the shorter keys of repeated commands (fsm.c).
 */
#include "shard/once.h"
#include "base/assert.h"
#include "base/plant.h"
#include "proto/shard.pb.h"
#include "replica/idem.h"

#define ONCE_KEY_BYTES (8U + SHARD_ID_BYTES + 1U)
#define ONCE_VALUE_BYTES_MAX 128U

enum once_kind { ONCE_KIND_COPY = 't', ONCE_KIND_END = 'e', ONCE_KIND_DECISION = 'd' };

struct once_key {
    uint8_t data[ONCE_KEY_BYTES];
};

static struct once_key make_key(uint64_t account_id, struct vy_bytes id, enum once_kind kind)
{
    struct once_key key;

    VY_ASSERT(id.len == SHARD_ID_BYTES);
    vy_put_be64(key.data, account_id);
    memcpy(key.data + 8, id.data, SHARD_ID_BYTES);
    key.data[ONCE_KEY_BYTES - 1] = (uint8_t)kind;
    return key;
}

static bool find(struct apply *apply, const struct once_key *key, struct vy_bytes *out)
{
    return idem_find(apply->tx->txn, vy_bytes(key->data, sizeof(key->data)), apply->time_ms, out);
}

static void note(struct apply *apply, const struct once_key *key, struct vy_bytes value,
                 uint64_t expires_ms)
{
    idem_store(apply->tx->txn, vy_bytes(key->data, sizeof(key->data)), value, expires_ms);
}

static uint64_t end_of(const struct apply *apply, uint64_t keep_ms)
{
    return apply->time_ms + VY_MIN(keep_ms, (uint64_t)SHARD_KEEP_MS_MAX);
}

/* ---- results of recipients ---- */

static bool find_result(struct apply *apply, const struct once_key *key,
                        struct recipient_result *out)
{
    struct vy_bytes value;

    if (!find(apply, key, &value)) {
        return false;
    }
    if (vy_failed(vy_pb_decode(&recipient_result_desc, apply->arena, value, out))) {
        tx_fail(apply->tx, vy_error(VY_CODE_CORRUPT, "read what is remembered of a copy"));
        return false;
    }
    return true;
}

static void note_result(struct apply *apply, const struct once_key *key,
                        const struct recipient_result *result, uint64_t expires_ms)
{
    VY_CLEANUP(vy_buf_deinit) struct vy_buf value;

    vy_buf_init(&value, ONCE_VALUE_BYTES_MAX);
    if (vy_failed(vy_pb_encode(&recipient_result_desc, result, &value))) {
        tx_fail(apply->tx, vy_error(VY_CODE_NOMEM, "encode what is remembered of a copy"));
        return;
    }
    note(apply, key, vy_buf_bytes(&value), expires_ms);
}

/* ---- copies by their retry token ---- */

enum once_copy once_find_copy(struct apply *apply, uint64_t account_id, struct vy_bytes token,
                              struct recipient_result *out)
{
    if (token.len != SHARD_ID_BYTES) {
        return ONCE_COPY_NEW;
    }
    const struct once_key key = make_key(account_id, token, ONCE_KIND_COPY);
    if (!find_result(apply, &key, out)) {
        return ONCE_COPY_NEW;
    }
    return out->outcome == DELIVER_OUTCOME_STORED ? ONCE_COPY_STORED : ONCE_COPY_HELD;
}

void once_note_stored(struct apply *apply, struct vy_bytes token,
                      const struct recipient_result *result, uint64_t keep_ms)
{
    if (token.len == SHARD_ID_BYTES && keep_ms > 0 && !VY_PLANT(FORGET_TOKENS)) {
        const struct once_key key = make_key(result->account_id, token, ONCE_KIND_COPY);
        note_result(apply, &key, result, end_of(apply, keep_ms));
    }
}

void once_note_held(struct apply *apply, uint64_t account_id, struct vy_bytes token,
                    struct vy_bytes delivery_id, uint64_t expires_ms)
{
    const struct recipient_result held = {
        .account_id = account_id, .outcome = DELIVER_OUTCOME_HELD, .email_id = delivery_id};

    if (token.len == SHARD_ID_BYTES) {
        const struct once_key key = make_key(account_id, token, ONCE_KIND_COPY);
        note_result(apply, &key, &held, expires_ms);
    }
}

void once_forget_held(struct apply *apply, uint64_t account_id, struct vy_bytes token)
{
    struct recipient_result unused;

    if (once_find_copy(apply, account_id, token, &unused) == ONCE_COPY_HELD) {
        const struct once_key key = make_key(account_id, token, ONCE_KIND_COPY);
        idem_remove(apply->tx->txn, vy_bytes(key.data, sizeof(key.data)));
    }
}

/* ---- ends of held copies ---- */

bool once_find_end(struct apply *apply, uint64_t account_id, struct vy_bytes delivery_id,
                   struct recipient_result *out)
{
    const struct once_key key = make_key(account_id, delivery_id, ONCE_KIND_END);

    return find_result(apply, &key, out);
}

void once_note_end(struct apply *apply, struct vy_bytes delivery_id,
                   const struct recipient_result *result, uint64_t keep_ms)
{
    const struct once_key key = make_key(result->account_id, delivery_id, ONCE_KIND_END);

    note_result(apply, &key, result, end_of(apply, keep_ms));
}

/* ---- decisions ---- */

enum once_decision once_find_decision(struct apply *apply, struct vy_bytes delivery_id)
{
    const struct once_key key = make_key(0, delivery_id, ONCE_KIND_DECISION);
    struct vy_bytes value;

    if (!find(apply, &key, &value)) {
        return ONCE_UNDECIDED;
    }
    if (value.len != 1) {
        tx_fail(apply->tx, vy_error(VY_CODE_CORRUPT, "read decision"));
        return ONCE_UNDECIDED;
    }
    return value.data[0] == 'y' ? ONCE_YES : ONCE_NO;
}

void once_decide(struct apply *apply, struct vy_bytes delivery_id, enum once_decision decision,
                 uint64_t keep_ms)
{
    const struct once_key key = make_key(0, delivery_id, ONCE_KIND_DECISION);

    VY_ASSERT(decision != ONCE_UNDECIDED);
    note(apply, &key, decision == ONCE_YES ? VY_LIT("y") : VY_LIT("n"), end_of(apply, keep_ms));
}
