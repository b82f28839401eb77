/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A mailbox as frontends are told of it, for LIST, STATUS and SELECT. @thread a worker, within
 * call_read */
#include "shard/call.h"

/* All but recent_count and subscribed. @errors CORRUPT, LIMIT */
VY_CHECKED struct vy_err mailbox_info_fill(struct call *call, uint64_t mailbox_id,
                                           const struct mailbox_row *row, struct mailbox_info *out);
VY_CHECKED struct vy_err mailbox_info_count_recent(struct call *call, const struct mailbox_row *row,
                                                   struct mailbox_info *info);
