/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Folding identical refusals (P9, LOGIN-1): the first of a tuple is committed before it is
 * answered; those that follow within LOGIN_FOLD_MS are answered at once and counted, and the count
 * is committed as one record afterwards. Bounded: with a full table every refusal is committed
 * alone.
 */
#include "base/list.h"
#include "base/map.h"
#include "meta/tables.h"

#define LOGIN_FOLDS_MAX 4096U
#define LOGIN_FOLD_MS 1000U /* how far counts may lag: LOGIN-3 */
#define LOGIN_FOLD_SEALED_BYTES_MAX 4096U

struct login_folds {
    struct vy_strmap by_key; /* account and tuple -> struct login_fold */
    struct vy_list items;    /* oldest first */
    size_t count;
};
struct login_fold {
    struct vy_list item;
    struct cmd_login command; /* bytes are owned, behind this struct */
    bool is_committed;        /* the first one is; before, nobody is folded */
    uint64_t begin_ms;        /* monotonic */
    uint64_t folded_count;    /* answered since, not committed yet */
    uint8_t tuple[META_TUPLE_BYTES];
    uint8_t net[META_NET_BYTES];
    uint8_t sealed[];
};

void login_folds_init(struct login_folds *folds, uint64_t seed);
void login_folds_deinit(struct login_folds *folds);
/* True: this refusal is counted, and may be answered now. */
bool login_folds_add(struct login_folds *folds, uint64_t account_id, struct vy_bytes tuple);
/* A refusal is being committed; further ones fold once it is. May do nothing. */
void login_folds_begin(struct login_folds *folds, const struct cmd_login *command, uint64_t now_ms);
void login_folds_committed(struct login_folds *folds, uint64_t account_id, struct vy_bytes tuple);
/* The oldest fold that is over, taken out; the caller frees it (free), and commits its count if
 * there is one. NULL: none. */
struct login_fold *login_folds_take(struct login_folds *folds, uint64_t now_ms);
