/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Login attempts: the record in the chain (P9), the row of LOGIN-1, one per distinct tuple with
 * first, last and count, and the row of the network that it came from (LOGIN-4). An OK or DISABLED
 * is checked against the newest state once more, so that no login answers from an older epoch or a
 * revoked credential (APP-2).
 */
#include "meta/fsm_private.h"

#include <openssl/sha.h>

#define EXPIRE_ROWS_PER_LOGIN 2U   /* more than one comes in, so a backlog shrinks */
#define EXPIRE_ROWS_PER_SWEEP 128U /* of each account and kind */

static bool is_failed(enum login_verdict verdict)
{
    return verdict != LOGIN_VERDICT_OK;
}

/* ---- rows by tuple ---- */

struct login_store {
    struct fsm_step *step;
    const struct cmd_login *cmd; /* NULL while sweeping */
    uint64_t account_id;
    struct meta_account_row account; /* when has_account */
    bool has_account;
    struct login_row row; /* of the tuple; zeros when it is a new one */
    bool has_row;
    struct login_stat_row stat;
    bool has_stat; /* read, to be written: a known tuple from a known network needs none of it */
};

static struct vy_err load_stat(struct login_store *store)
{
    const struct meta_key key = meta_key_u64(store->account_id);
    bool is_found = false;
    if (store->has_stat) {
        return vy_ok();
    }
    store->has_stat = true;
    return table_get(&store->step->view, META_FAMILY_LOGIN, meta_key_bytes(&key),
                     &login_stat_row_desc, &store->stat, &is_found);
}

static struct vy_err save_stat(struct login_store *store)
{
    const struct meta_key key = meta_key_u64(store->account_id);
    return store->has_stat ? fsm_put(store->step, META_FAMILY_LOGIN, meta_key_bytes(&key),
                                     &login_stat_row_desc, &store->stat)
                           : vy_ok();
}

/* Removes the oldest rows of a class while there are too many or they are too old (LOGIN-2). */
static void expire_rows(struct login_store *store, bool failed, unsigned rows_max)
{
    struct fsm_step *step = store->step;
    const uint64_t account_id = store->account_id;
    const uint64_t now_ms = step->entry->time_ms;
    const uint64_t limit_ms = now_ms > META_LOGIN_KEEP_MS ? now_ms - META_LOGIN_KEEP_MS : 0;
    const struct meta_key from = meta_key_login_time(account_id, failed, 0, VY_LIT(""));
    const struct meta_key to = meta_key_login_time(account_id, failed, UINT64_MAX, VY_LIT(""));
    const struct store_range range = {.from = meta_key_bytes(&from), .to = meta_key_bytes(&to)};
    struct store_iter *iter = txn_iter(step->txn, META_FAMILY_LOGIN_TIME, &range);
    for (unsigned i = 0; i < rows_max && iter->is_valid; i++) {
        const uint64_t last_ms = vy_get_be64(iter->key.data + 9);
        const bool is_over = failed && store->stat.failed_count > META_LOGIN_FAILED_ROWS_MAX;
        if (last_ms >= limit_ms && !is_over) {
            break;
        }
        const struct meta_key row = meta_key_login(account_id, vy_bytes_from(iter->key, 17));
        struct meta_key time = {.len = iter->key.len};
        memcpy(time.data, iter->key.data, iter->key.len);
        store_iter_next(iter);
        txn_delete(step->txn, META_FAMILY_LOGIN, meta_key_bytes(&row));
        txn_delete(step->txn, META_FAMILY_LOGIN_TIME, meta_key_bytes(&time));
        store->stat.failed_count -= failed && store->stat.failed_count > 0 ? 1 : 0;
    }
    store_iter_free(iter);
}

/* P9: a frontend that lost its leader asks the next one again, under the same number: what was
 * recorded is not recorded twice. */
static bool has_attempt(const struct login_row *row, struct vy_bytes attempt)
{
    for (size_t i = 0; attempt.len > 0 && i < row->attempts_count; i++) {
        if (vy_bytes_equal(row->attempts[i], attempt)) {
            return true;
        }
    }
    return false;
}

static struct vy_err add_attempt(struct login_store *store, struct login_row *row)
{
    struct vy_bytes *attempts =
        VY_ARENA_ARRAY(store->step->view.arena, META_LOGIN_ATTEMPTS_MAX, struct vy_bytes);
    const size_t kept = VY_MIN(row->attempts_count, META_LOGIN_ATTEMPTS_MAX - 1U);
    if (store->cmd->attempt.len == 0) {
        return vy_ok();
    }
    if (attempts == NULL) {
        return vy_error(VY_CODE_NOMEM, "attempts of a login");
    }
    for (size_t i = 0; i < kept; i++) {
        attempts[i] = row->attempts[row->attempts_count - kept + i];
    }
    attempts[kept] = store->cmd->attempt;
    row->attempts = attempts;
    row->attempts_count = kept + 1;
    return vy_ok();
}

static struct vy_err put_row(struct login_store *store, struct login_row *row, bool is_known)
{
    struct fsm_step *step = store->step;
    const struct cmd_login *cmd = store->cmd;
    const bool failed = is_failed(cmd->verdict);
    const struct meta_key key = meta_key_login(cmd->account_id, cmd->tuple_hash);
    if (is_known) {
        const struct meta_key old =
            meta_key_login_time(cmd->account_id, failed, row->last_ms, cmd->tuple_hash);
        txn_delete(step->txn, META_FAMILY_LOGIN_TIME, meta_key_bytes(&old));
    } else {
        *row = (struct login_row){.verdict = cmd->verdict,
                                  .protocol = cmd->protocol,
                                  .mechanism = cmd->mechanism,
                                  .first_ms = step->entry->time_ms,
                                  .sealed = cmd->sealed};
        store->stat.failed_count += failed ? 1 : 0;
    }
    row->last_ms = step->entry->time_ms;
    row->count += VY_MAX(cmd->count, 1);
    VY_TRY(add_attempt(store, row));
    const struct meta_key time =
        meta_key_login_time(cmd->account_id, failed, row->last_ms, cmd->tuple_hash);
    txn_put(step->txn, META_FAMILY_LOGIN_TIME, meta_key_bytes(&time), VY_LIT("1"));
    return fsm_put(step, META_FAMILY_LOGIN, meta_key_bytes(&key), &login_row_desc, row);
}

/* ---- rows by network (LOGIN-4): eviction above does not reach what is seen here ---- */

/* The network's row, or the one for what is beyond the limit. */
static struct vy_err find_net(struct login_store *store, struct meta_key *key,
                              struct login_net_row *row)
{
    static const uint8_t beyond[META_NET_BYTES] = {0};
    const struct cmd_login *cmd = store->cmd;
    struct vy_bytes net = cmd->net;
    bool is_found = false;
    VY_TRY(login_net_get(&store->step->view, cmd->account_id, net, row, &is_found));
    if (!is_found && is_failed(cmd->verdict)) {
        VY_TRY(load_stat(store));
        if (store->stat.failed_net_count >= META_LOGIN_NETS_MAX) {
            net = vy_bytes(beyond, sizeof(beyond));
            VY_TRY(login_net_get(&store->step->view, cmd->account_id, net, row, &is_found));
        } else {
            store->stat.failed_net_count++;
        }
    }
    *key = meta_key_login_net(cmd->account_id, net);
    return vy_ok();
}

static struct vy_err note_net(struct login_store *store)
{
    const struct cmd_login *cmd = store->cmd;
    const uint64_t now_ms = store->step->entry->time_ms;
    struct meta_key key;
    struct login_net_row row;
    if (cmd->net.len != META_NET_BYTES) {
        return vy_ok();
    }
    VY_TRY(find_net(store, &key, &row));
    if (row.first_ms == 0) {
        row.first_ms = now_ms;
        row.sealed = cmd->sealed;
    }
    row.last_ms = now_ms;
    if (is_failed(cmd->verdict)) {
        row.failed_count += VY_MAX(cmd->count, 1);
    } else {
        if (row.ok_count == 0 && row.failed_count > 0) { /* it counts as failed no more */
            VY_TRY(load_stat(store));
            store->stat.failed_net_count -= store->stat.failed_net_count > 0 ? 1 : 0;
        }
        row.ok_count++;
        row.last_ok_ms = now_ms;
    }
    return fsm_put(store->step, META_FAMILY_LOGIN_NET, meta_key_bytes(&key), &login_net_row_desc,
                   &row);
}

static struct vy_err note_login(struct login_store *store)
{
    const bool is_known = store->has_row;
    if (!is_known) { /* a known tuple adds no row, so the hot path reads one and writes two */
        VY_TRY(load_stat(store));
    }
    VY_TRY(put_row(store, &store->row, is_known));
    VY_TRY(note_net(store));
    if (!is_known) {
        expire_rows(store, true, EXPIRE_ROWS_PER_LOGIN);
        expire_rows(store, false, EXPIRE_ROWS_PER_LOGIN);
    }
    return save_stat(store);
}

/* ---- what is too old (LOGIN-2), of accounts that nobody signs in to any more ---- */

/* Removes networks that were not seen for META_LOGIN_NET_KEEP_MS, a part of them at a time. */
static struct vy_err expire_nets(struct login_store *store)
{
    struct fsm_step *step = store->step;
    const uint64_t now_ms = step->entry->time_ms;
    const uint64_t limit_ms = now_ms > META_LOGIN_NET_KEEP_MS ? now_ms - META_LOGIN_NET_KEEP_MS : 0;
    const struct meta_key from = meta_key_u64(store->account_id);
    const struct meta_key to = meta_key_u64(store->account_id + 1);
    const struct store_range range = {.from = meta_key_bytes(&from), .to = meta_key_bytes(&to)};
    struct store_iter *iter = txn_iter(step->txn, META_FAMILY_LOGIN_NET, &range);
    struct vy_err err = vy_ok();
    unsigned removed = 0;
    while (iter->is_valid && removed < EXPIRE_ROWS_PER_SWEEP && !vy_failed(err)) {
        struct login_net_row row;
        struct meta_key key = {.len = iter->key.len};
        memcpy(key.data, iter->key.data, iter->key.len);
        err = table_decode(&step->view, &login_net_row_desc, iter->value, &row);
        store_iter_next(iter);
        if (!vy_failed(err) && row.last_ms < limit_ms) {
            txn_delete(step->txn, META_FAMILY_LOGIN_NET, meta_key_bytes(&key));
            store->stat.failed_net_count -=
                row.ok_count == 0 && store->stat.failed_net_count > 0 ? 1 : 0;
            removed++;
        }
    }
    store_iter_free(iter);
    return err;
}

static struct vy_err expire_account(struct fsm_step *step, uint64_t account_id)
{
    struct login_store store = {.step = step, .account_id = account_id};
    struct meta_account_row account;
    bool is_found = false;
    VY_TRY(account_get(&step->view, account_id, &account, &is_found));
    if (is_found && account.state >= ACCOUNT_STATE_ERASING) {
        return vy_ok(); /* P8: there are no rows, and none is written */
    }
    VY_TRY(load_stat(&store));
    expire_rows(&store, true, EXPIRE_ROWS_PER_SWEEP);
    expire_rows(&store, false, EXPIRE_ROWS_PER_SWEEP);
    VY_TRY(expire_nets(&store));
    return save_stat(&store);
}

struct vy_err login_apply_expire(struct fsm_step *step)
{
    const struct cmd_login_expire *cmd = step->command->login_expire;
    const size_t count = VY_MIN(cmd->account_ids_count, META_LOGIN_EXPIRE_ACCOUNTS_MAX);
    for (size_t i = 0; i < count; i++) {
        VY_TRY(expire_account(step, cmd->account_ids[i]));
    }
    return vy_ok();
}

/* ---- what the answer rests on ---- */

static struct vy_err touch_credential(struct fsm_step *step, const struct cmd_login *cmd,
                                      bool *is_current)
{
    struct credential_row row;
    VY_TRY(credential_get(&step->view, cmd->account_id, cmd->credential_id, &row, is_current));
    const bool is_app = row.secret != NULL && row.secret->kind == CREDENTIAL_KIND_APP;
    if (!*is_current || !is_app || cmd->verdict != LOGIN_VERDICT_OK ||
        step->entry->time_ms < row.last_used_ms + META_LAST_USED_STEP_MS) {
        return vy_ok();
    }
    const struct meta_key key = meta_key_u64_pair(cmd->account_id, cmd->credential_id);
    row.last_used_ms = step->entry->time_ms;
    row.last_used_sealed = cmd->sealed;
    row.last_used_protocol = cmd->protocol;
    return fsm_put(step, META_FAMILY_CREDENTIAL, meta_key_bytes(&key), &credential_row_desc, &row);
}

static struct vy_err check_current(struct login_store *store)
{
    const struct cmd_login *cmd = store->cmd;
    const struct meta_account_row *account = &store->account;
    const uint32_t state = cmd->verdict == LOGIN_VERDICT_OK ? ACCOUNT_STATE_ACTIVE : account->state;
    bool is_current =
        store->has_account && account->epoch == cmd->account_epoch && account->state == state;
    if (is_current) {
        VY_TRY(touch_credential(store->step, cmd, &is_current));
    }
    return is_current ? vy_ok()
                      : fsm_refuse(store->step, META_OUTCOME_STALE, "account changed meanwhile");
}

/* P18: a nonce opens one session in the whole cluster. */
static struct vy_err check_once(struct fsm_step *step, const struct cmd_login *cmd)
{
    uint8_t key[IDEM_KEY_BYTES_MAX] = {'S'};
    struct vy_bytes unused = {.len = 0};
    if (cmd->once.len == 0 || fsm_is_refused(step)) {
        return vy_ok();
    }
    SHA256(cmd->once.data, cmd->once.len, key + 1);
    const struct vy_bytes name = vy_bytes(key, 1 + SHA256_DIGEST_LENGTH);
    if (idem_find(step->txn, name, step->entry->time_ms, &unused)) {
        return fsm_refuse(step, META_OUTCOME_EXISTS, "nonce was used");
    }
    idem_store(step->txn, name, VY_LIT("1"), step->entry->time_ms + cmd->once_ms);
    return vy_ok();
}

static struct vy_err load(struct login_store *store)
{
    const struct meta_view *view = &store->step->view;
    const struct meta_key key = meta_key_login(store->account_id, store->cmd->tuple_hash);
    VY_TRY(account_get(view, store->account_id, &store->account, &store->has_account));
    return table_get(view, META_FAMILY_LOGIN, meta_key_bytes(&key), &login_row_desc, &store->row,
                     &store->has_row);
}

static struct vy_err record_login(struct fsm_step *step, const struct cmd_login *cmd)
{
    struct audit_row record = {.action = AUDIT_ACTION_LOGIN,
                               .account_id = cmd->account_id,
                               .credential_id = cmd->credential_id,
                               .verdict = cmd->verdict,
                               .protocol = cmd->protocol,
                               .mechanism = cmd->mechanism,
                               .count = VY_MAX(cmd->count, 1),
                               .sealed = cmd->sealed};
    return audit_append(step, &record);
}

struct vy_err login_apply(struct fsm_step *step)
{
    const struct cmd_login *cmd = step->command->login;
    struct login_store store = {.step = step, .cmd = cmd, .account_id = cmd->account_id};
    if (cmd->tuple_hash.len != META_TUPLE_BYTES) {
        return vy_error(VY_CODE_CORRUPT, "tuple of a login");
    }
    VY_TRY(load(&store));
    step->result.account_id = cmd->account_id;
    if (cmd->verdict == LOGIN_VERDICT_OK || cmd->verdict == LOGIN_VERDICT_DISABLED) {
        VY_TRY(check_current(&store));
    }
    if (!fsm_is_refused(step) && has_attempt(&store.row, cmd->attempt)) {
        step->result.replayed = true;
        return vy_ok();
    }
    VY_TRY(check_once(step, cmd));
    if (fsm_is_refused(step)) {
        return vy_ok();
    }
    VY_TRY(record_login(step, cmd));
    /* P8: what was decided before a delete writes no row behind it. */
    const bool is_going = store.has_account && store.account.state >= ACCOUNT_STATE_ERASING;
    return is_going ? vy_ok() : note_login(&store);
}
