/* SPDX-License-Identifier: Apache-2.0 */
/* MAILBOX_LIST: all mailboxes of the account, or one by its name, with counters; and names that are
 * subscribed without existing. */
#include "mail/flags.h"
#include "shard/email_row.h"
#include "shard/mailbox_info.h"
#include "shard/read.h"
#include "shard/service_private.h"
#include <stdlib.h>

struct list_run {
    struct mailbox_list_reply reply;
    struct mailbox_info *infos; /* arena */
    size_t capacity;
    size_t count;
    /* Hashes of subscribed names, ascending as in the table; which of them exist. */
    uint8_t (*hashes)[SHARD_HASH_BYTES];
    struct vy_bytes *sealed;
    bool *exists;
    size_t subscription_count;
};

/* ---- one mailbox ---- */

/* Messages that no session was told of yet. */
static struct vy_err count_recent(const struct store_reader *reader, struct vy_arena *arena,
                                  uint64_t account_id, uint64_t mailbox_id,
                                  const struct mailbox_row *row, uint32_t *out)
{
    struct read_blocks blocks = {.iter = NULL};
    struct block *block = NULL;

    *out = 0;
    if (row->first_recent_uid >= row->uidnext || row->message_count == 0) {
        return vy_ok();
    }
    struct vy_err err =
        read_blocks_open(reader, arena, account_id, mailbox_id, row->first_recent_uid, &blocks);
    while (!vy_failed(err)) {
        err = read_blocks_next(&blocks, &block);
        if (block == NULL) {
            break;
        }
        *out += block->count - block_lower_bound(block, row->first_recent_uid);
    }
    read_blocks_close(&blocks);
    return err;
}

struct vy_err mailbox_info_fill(struct call *call, uint64_t mailbox_id,
                                const struct mailbox_row *row, struct mailbox_info *out)
{
    *out = (struct mailbox_info){
        .mailbox_id = mailbox_id,
        .role = (enum mailbox_role)row->role,
        .no_select = row->no_select,
        .uidvalidity = row->uidvalidity,
        .uidnext = row->uidnext,
        .highest_modseq = row->highest_modseq,
        .message_count = row->message_count,
        .unseen_count = row->unseen_count,
        .deleted_count = row->deleted_count,
        .size_bytes = row->size_bytes,
        .appendlimit_bytes = EMAIL_BODY_BYTES_MAX,
    };
    return names_open(call_keys(call), call->account_id, row->name_hash, row->name_sealed,
                      &call->arena, &out->name);
}

struct vy_err mailbox_info_count_recent(struct call *call, const struct mailbox_row *row,
                                        struct mailbox_info *info)
{
    return count_recent(call_reader(call), &call->arena, call->account_id, info->mailbox_id, row,
                        &info->recent_count);
}

/* ---- subscriptions ---- */

static struct vy_err read_subscriptions(struct call *call, struct list_run *run, size_t count)
{
    const struct shard_key first = keys_subscription_first(call->account_id);
    const struct shard_key end = keys_subscription_end(call->account_id);
    const struct store_range range = {.from = shard_key_bytes(&first), .to = shard_key_bytes(&end)};
    struct store_iter *iter = NULL;

    run->hashes = vy_arena_array(&call->arena, count + 1, SHARD_HASH_BYTES);
    run->sealed = VY_ARENA_ARRAY(&call->arena, count + 1, struct vy_bytes);
    run->exists = VY_ARENA_ARRAY(&call->arena, count + 1, bool);
    if (run->hashes == NULL || run->sealed == NULL || run->exists == NULL) {
        return vy_error(VY_CODE_LIMIT, "read subscriptions");
    }
    VY_TRY(store_iter_new(call_reader(call), shard_store_family(SHARD_MBOX), &range, &iter));
    struct vy_err err = vy_ok();
    while (!vy_failed(err) && iter->is_valid && run->subscription_count < count) {
        memcpy(run->hashes[run->subscription_count],
               iter->key.data + iter->key.len - SHARD_HASH_BYTES, SHARD_HASH_BYTES);
        err = vy_arena_dup(&call->arena, iter->value, &run->sealed[run->subscription_count++]);
        store_iter_next(iter);
    }
    if (!vy_failed(err)) {
        err = store_iter_error(iter);
    }
    store_iter_free(iter);
    return err;
}

static int compare_hashes(const void *a, const void *b)
{
    return memcmp(a, b, SHARD_HASH_BYTES);
}

static bool take_subscription(struct list_run *run, struct vy_bytes hash)
{
    if (run->subscription_count == 0 || hash.len != SHARD_HASH_BYTES) {
        return false;
    }
    const uint8_t(*found)[SHARD_HASH_BYTES] =
        bsearch(hash.data, run->hashes, run->subscription_count, SHARD_HASH_BYTES, compare_hashes);
    if (found == NULL) {
        return false;
    }
    run->exists[found - (const uint8_t(*)[SHARD_HASH_BYTES])run->hashes] = true;
    return true;
}

/* ---- the list ---- */

static struct vy_err add_mailbox(struct call *call, struct list_run *run, uint64_t mailbox_id,
                                 const struct mailbox_row *row)
{
    const struct mailbox_list_request *request = call->request;
    struct mailbox_info *info = &run->infos[run->count++];

    VY_TRY(mailbox_info_fill(call, mailbox_id, row, info));
    info->subscribed = take_subscription(run, row->name_hash);
    return request->with_status ? mailbox_info_count_recent(call, row, info) : vy_ok();
}

static struct vy_err list_all(struct call *call, struct list_run *run)
{
    const struct shard_key first = keys_mailbox_first(call->account_id);
    const struct shard_key end = keys_mailbox_end(call->account_id);
    const struct store_range range = {.from = shard_key_bytes(&first), .to = shard_key_bytes(&end)};
    struct store_iter *iter = NULL;
    struct vy_err err = vy_ok();

    VY_TRY(store_iter_new(call_reader(call), shard_store_family(SHARD_MBOX), &range, &iter));
    for (; iter->is_valid && !vy_failed(err) && run->count < run->capacity; store_iter_next(iter)) {
        struct mailbox_row row;
        err = vy_pb_decode(&mailbox_row_desc, &call->arena, iter->value, &row);
        if (!vy_failed(err)) {
            err = add_mailbox(call, run, vy_get_be64(iter->key.data + iter->key.len - 8), &row);
        }
    }
    if (!vy_failed(err)) {
        err = store_iter_error(iter);
    }
    store_iter_free(iter);
    return err;
}

static struct vy_err list_one(struct call *call, struct list_run *run, struct vy_bytes name)
{
    uint8_t hash[SHARD_HASH_BYTES];
    struct mailbox_row row;
    uint64_t mailbox_id = 0;
    bool found = false;

    names_hash_mailbox(call_keys(call), name, hash);
    VY_TRY(read_mailbox_id(call_reader(call), call->account_id, hash, &mailbox_id));
    if (mailbox_id != 0) {
        VY_TRY(read_mailbox(call_reader(call), &call->arena, call->account_id, mailbox_id, &row,
                            &found));
    }
    return found ? add_mailbox(call, run, mailbox_id, &row) : vy_ok();
}

static struct vy_err list_names_only(struct call *call, struct list_run *run,
                                     struct vy_bytes only_name)
{
    for (size_t i = 0; i < run->subscription_count && run->count < run->capacity; i++) {
        struct vy_bytes name;
        if (run->exists[i]) {
            continue;
        }
        VY_TRY(names_open(call_keys(call), call->account_id,
                          vy_bytes(run->hashes[i], SHARD_HASH_BYTES), run->sealed[i], &call->arena,
                          &name));
        if (only_name.len == 0 || vy_bytes_equal(name, only_name)) {
            run->infos[run->count++] = (struct mailbox_info){.name = name, .subscribed = true};
        }
    }
    return vy_ok();
}

static struct vy_err list_work(struct call *call)
{
    const struct mailbox_list_request *request = call->request;
    struct list_run *run = call->state;
    struct account_row account;
    bool found = false;

    VY_TRY(read_account(call_reader(call), &call->arena, call->account_id, &account, &found));
    run->capacity = (size_t)account.mailbox_count + account.subscription_count;
    run->infos = VY_ARENA_ARRAY(&call->arena, run->capacity + 1, struct mailbox_info);
    if (run->infos == NULL) {
        return vy_error(VY_CODE_LIMIT, "list mailboxes");
    }
    VY_TRY(read_subscriptions(call, run, account.subscription_count));
    if (request->only_name.len > 0) {
        VY_TRY(list_one(call, run, request->only_name));
    } else {
        VY_TRY(list_all(call, run));
    }
    if (request->subscribed_names) {
        VY_TRY(list_names_only(call, run, request->only_name));
    }
    run->reply.mailboxes = run->infos;
    run->reply.mailboxes_count = run->count;
    return vy_ok();
}

static void list_done(struct call *call)
{
    const struct list_run *run = call->state;

    call_reply(call, &run->reply);
}

void method_list_start(struct call *call)
{
    call->state = VY_ARENA_NEW(&call->arena, struct list_run);
    if (call->state == NULL) {
        call_fail(call, vy_error(VY_CODE_LIMIT, "list mailboxes"));
        return;
    }
    call_read(call, list_work, list_done);
}
