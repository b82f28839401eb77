/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Speaking out of turn (PIPE-1): input that lies behind a command which must be the last of its
 * batch. One flag for the connection, never taken back, not even by RSET or STARTTLS.
 */
#include "base/bytes.h"

#define SMTP_PIPELINING_KEPT_BYTES 100U

struct smtp_pipelining {
    bool is_flagged;
    const char *command; /* literal: behind which it was; "" for the greeting */
    uint8_t unread[SMTP_PIPELINING_KEPT_BYTES];
    size_t unread_len;
};

/*
 * A command is about to run while `unread` lies behind it. Without ESMTP nothing may follow any
 * command; with it, nothing those that are last in a batch. The payload of BDAT is not input of
 * that kind: it is asked about without it. True: this was the first time.
 */
bool smtp_pipelining_check(struct smtp_pipelining *p, const char *command, bool is_esmtp,
                           bool is_last_in_batch, struct vy_bytes unread);
