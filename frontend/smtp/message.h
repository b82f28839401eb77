/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The message of a transaction, however it comes (DATA, BDAT): from its first byte to the answer.
 */
#include "frontend/smtp/data.h"
#include "frontend/smtp/smtp_private.h"

struct smtp_message {
    struct smtp_data data;
    struct smtp_header_config header;
};

/* From now on bytes may go into the body.
 * @errors LIMIT */
VY_CHECKED struct vy_err smtp_message_begin(struct smtp_session *s);
/* After bytes were taken: gives up a message that failed, makes room for more. */
void smtp_message_step(struct smtp_session *s);
/* The last byte is there: answers a fault, or waits for the shards. */
void smtp_message_over(struct smtp_session *s);
/* PIPE-2: spoke out of turn where the policy refuses messages for it. */
bool smtp_message_is_out_of_turn(const struct smtp_session *s);
