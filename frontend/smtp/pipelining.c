/* SPDX-License-Identifier: Apache-2.0 */
#include "frontend/smtp/pipelining.h"

bool smtp_pipelining_check(struct smtp_pipelining *p, const char *command, bool is_esmtp,
                           bool is_last_in_batch, struct vy_bytes unread)
{
    if (p->is_flagged || unread.len == 0 || (is_esmtp && !is_last_in_batch)) {
        return false;
    }
    p->is_flagged = true;
    p->command = command;
    p->unread_len = VY_MIN(unread.len, (size_t)SMTP_PIPELINING_KEPT_BYTES);
    memcpy(p->unread, unread.data, p->unread_len);
    return true;
}
