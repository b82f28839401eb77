/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Reading what is sealed in audit and login records, for those who list them. Not thread-safe. */
#include "meta/meta_private.h"

/* Keeps the key of the last account: records of one come in rows. Wipe `key` when done. */
struct record_opener {
    struct meta_call *call;
    struct meta_view view;
    struct seal_key key;
    uint64_t account_id;
    bool has_key;   /* key is that of account_id */
    bool is_erased; /* the account's key is gone */
};
/* *is_open false: erased, or it does not open; the record itself stays.
 * @errors LIMIT; what the store says */
VY_CHECKED struct vy_err record_open(struct record_opener *opener, uint64_t account_id,
                                     struct vy_bytes sealed, const struct vy_pb_desc *desc,
                                     void *body, bool *is_open);
/* Strings of the API are UTF-8; what a client typed may not be. */
struct vy_bytes record_typed_text(struct vy_arena *arena, struct vy_bytes typed);
