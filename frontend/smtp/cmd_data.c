/* SPDX-License-Identifier: Apache-2.0 */
/* DATA (RFC 5321 section 4.1.1.4). */
#include "base/assert.h"
#include "frontend/smtp/message.h"

void smtp_start_data(struct smtp_session *s, struct vy_bytes argument)
{
    (void)argument;
    if (smtp_message_is_out_of_turn(s)) {
        /* A client that does not wait sends its message next: closed, so that it is never read as
         * commands (PIPE-3). */
        smtp_reply(s, "503 5.5.0", "Improper use of SMTP command pipelining");
        smtp_close(s, "unauthorized pipelining");
        return;
    }
    const struct vy_err err = smtp_message_begin(s);
    if (vy_failed(err)) {
        smtp_tx_end(s);
        smtp_reply_failure(s, err);
        return;
    }
    s->rate_from_ms = s->base.now_ms;
    s->rate_bytes = 0;
    smtp_reply(s, "354", "End with <CRLF>.<CRLF>");
    smtp_move(s, SMTP_STATE_DATA);
}

/* S1 to S3: nothing behind such a byte may ever be taken for a command. */
static void end_smuggling(struct smtp_session *s)
{
    smtp_log(s, VY_LOG_INFO, "smtp.message.bare_eol", VY_STR("smtp.sender", s->tx->sender));
    smtp_reply(s, smtp_data_fault_reply(SMTP_DATA_BARE_EOL),
               smtp_data_fault_text(SMTP_DATA_BARE_EOL));
    smtp_close(s, "bare CR or LF");
}

/* Reads past a message that is refused, but not for ever. */
static bool is_too_long_to_pass(const struct smtp_session *s, const struct smtp_data *data)
{
    return data->discarded_bytes > s->limits->message_bytes_max + SMTP_HEADER_BYTES_MAX;
}

bool smtp_data_receive(struct smtp_session *s, struct vy_bytes *in)
{
    struct smtp_tx *tx = s->tx;
    struct smtp_data *data = &tx->message->data;
    const size_t len_before = in->len;
    smtp_delivery_trim(&tx->delivery); /* what was sent since makes room */
    const enum smtp_data_status status =
        smtp_data_take_dotted(data, in, &tx->delivery.body, SMTP_DELIVERY_WINDOW_BYTES);
    s->rate_bytes += len_before - in->len;
    if (data->fault == SMTP_DATA_BARE_EOL) {
        end_smuggling(s);
        return true;
    }
    if (is_too_long_to_pass(s, data)) {
        smtp_reply(s, smtp_data_fault_reply(data->fault), smtp_data_fault_text(data->fault));
        smtp_close(s, "refused message does not end");
        return true;
    }
    if (status == SMTP_DATA_OVER) {
        smtp_message_over(s);
        return true;
    }
    smtp_message_step(s);
    return in->len != len_before;
}
