/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The names of an account's mailboxes in the clear, as DELETE and RENAME need them: the hierarchy
 * is in the names alone.
 *
 * @thread  a worker, within call_read
 */
#include "shard/call.h"

struct mailbox_name {
    uint64_t mailbox_id;
    struct vy_bytes name; /* arena */
    bool no_select;
};
struct mailbox_names {
    struct mailbox_name *items; /* arena */
    size_t count;
    uint64_t version; /* of the account's list: what a command that relies on it must name */
};
VY_CHECKED struct vy_err mailbox_names_read(struct call *call, struct mailbox_names *out);
/* NULL: none of that name. */
const struct mailbox_name *mailbox_names_find(const struct mailbox_names *names,
                                              struct vy_bytes name);
/* name = "above/..." */
bool mailbox_name_is_below(struct vy_bytes name, struct vy_bytes above);

/*
 * The levels above `name` as mailboxes that cannot be selected, topmost first, and room for one
 * more behind them. @errors LIMIT too deep or too long; ARGUMENT an empty level. @thread any
 */
VY_CHECKED struct vy_err mailbox_superiors_build(struct call *call, struct vy_bytes name,
                                                 struct new_mailbox **out, size_t *out_count);
