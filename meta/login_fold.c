/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/login_fold.h"

#include <stdlib.h>

struct fold_key {
    uint8_t data[8 + META_TUPLE_BYTES];
};

static struct fold_key key_of(uint64_t account_id, struct vy_bytes tuple)
{
    struct fold_key key;
    VY_ASSERT(tuple.len == META_TUPLE_BYTES);
    vy_put_be64(key.data, account_id);
    memcpy(key.data + 8, tuple.data, tuple.len);
    return key;
}

static struct login_fold *find(const struct login_folds *folds, uint64_t account_id,
                               struct vy_bytes tuple)
{
    const struct fold_key key = key_of(account_id, tuple);
    return vy_strmap_get(&folds->by_key, vy_bytes(key.data, sizeof(key.data)));
}

void login_folds_init(struct login_folds *folds, uint64_t seed)
{
    vy_strmap_init(&folds->by_key, seed);
    vy_list_init(&folds->items);
    folds->count = 0;
}

void login_folds_deinit(struct login_folds *folds)
{
    struct vy_list *item = vy_list_pop_front(&folds->items);
    while (item != NULL) {
        free(VY_CONTAINER_OF(item, struct login_fold, item));
        item = vy_list_pop_front(&folds->items);
    }
    vy_strmap_deinit(&folds->by_key);
    folds->count = 0;
}

bool login_folds_add(struct login_folds *folds, uint64_t account_id, struct vy_bytes tuple)
{
    struct login_fold *fold = find(folds, account_id, tuple);
    if (fold == NULL || !fold->is_committed) {
        return false;
    }
    fold->folded_count++;
    return true;
}

static struct login_fold *fold_new(const struct cmd_login *command, uint64_t now_ms)
{
    struct login_fold *fold = calloc(1, sizeof(*fold) + command->sealed.len);
    if (fold == NULL) {
        return NULL;
    }
    fold->command = *command;
    fold->command.attempt = vy_bytes(NULL, 0); /* of the first one only */
    fold->begin_ms = now_ms;
    memcpy(fold->tuple, command->tuple_hash.data, sizeof(fold->tuple));
    fold->command.tuple_hash = vy_bytes(fold->tuple, sizeof(fold->tuple));
    if (command->net.len == META_NET_BYTES) {
        memcpy(fold->net, command->net.data, sizeof(fold->net));
        fold->command.net = vy_bytes(fold->net, sizeof(fold->net));
    }
    if (command->sealed.len > 0) {
        memcpy(fold->sealed, command->sealed.data, command->sealed.len);
    }
    fold->command.sealed = vy_bytes(fold->sealed, command->sealed.len);
    return fold;
}

void login_folds_begin(struct login_folds *folds, const struct cmd_login *command, uint64_t now_ms)
{
    if (folds->count >= LOGIN_FOLDS_MAX || command->sealed.len > LOGIN_FOLD_SEALED_BYTES_MAX ||
        find(folds, command->account_id, command->tuple_hash) != NULL) {
        return;
    }
    struct login_fold *fold = fold_new(command, now_ms);
    if (fold == NULL) {
        return;
    }
    const struct fold_key key = key_of(command->account_id, command->tuple_hash);
    if (vy_failed(vy_strmap_put(&folds->by_key, vy_bytes(key.data, sizeof(key.data)), fold))) {
        free(fold); /* then each is committed alone */
        return;
    }
    vy_list_push_back(&folds->items, &fold->item);
    folds->count++;
}

void login_folds_committed(struct login_folds *folds, uint64_t account_id, struct vy_bytes tuple)
{
    struct login_fold *fold = find(folds, account_id, tuple);
    if (fold != NULL) {
        fold->is_committed = true;
    }
}

struct login_fold *login_folds_take(struct login_folds *folds, uint64_t now_ms)
{
    if (vy_list_is_empty(&folds->items)) {
        return NULL;
    }
    struct login_fold *fold = VY_CONTAINER_OF(folds->items.next, struct login_fold, item);
    if (now_ms - fold->begin_ms < LOGIN_FOLD_MS) {
        return NULL;
    }
    const struct fold_key key =
        key_of(fold->command.account_id, vy_bytes(fold->tuple, sizeof(fold->tuple)));
    (void)vy_strmap_remove(&folds->by_key, vy_bytes(key.data, sizeof(key.data)));
    vy_list_remove(&fold->item);
    folds->count--;
    fold->command.count = fold->folded_count;
    return fold;
}
