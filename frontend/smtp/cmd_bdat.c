/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BDAT (RFC 3030). A chunk is always read to its end, wanted or not, so that its bytes are never
 * taken for commands (PIPE-5, S20); where its length cannot be known the session ends.
 */
#include "base/assert.h"
#include "frontend/smtp/message.h"

/* Of a chunk that belongs to no message. */
#define STRAY_CHUNK_BYTES_MAX (1024U * 1024U)

static bool parse_chunk(struct vy_bytes argument, uint64_t *size, bool *is_last)
{
    struct vy_bytes rest = argument;
    const struct vy_bytes number = vy_bytes_cut(&rest, ' ');
    const struct vy_bytes word = vy_bytes_trim(rest);
    *is_last = vy_bytes_equal_nocase(word, VY_LIT("LAST"));
    return vy_parse_u64(number, size) && (*is_last || word.len == 0);
}

/* Why the chunk is not wanted, or NULL. */
static const char *chunk_refusal(const struct smtp_session *s, const char **text)
{
    const struct smtp_tx *tx = s->tx;
    if (tx == NULL || tx->rcpts_count == 0) {
        *text = "MAIL and RCPT first";
        return "503 5.5.1";
    }
    if (smtp_message_is_out_of_turn(s)) {
        *text = "Improper use of SMTP command pipelining";
        return "503 5.5.0";
    }
    return NULL;
}

static uint64_t chunk_max(const struct smtp_session *s)
{
    const bool has_message = s->tx != NULL && s->tx->rcpts_count > 0;
    return has_message ? 2 * s->limits->message_bytes_max : STRAY_CHUNK_BYTES_MAX;
}

/* The first chunk begins the message. False: that was not possible. */
static bool begin_message(struct smtp_session *s)
{
    return s->tx->message != NULL || !vy_failed(smtp_message_begin(s));
}

/* A refusal stands until LAST or RSET: no message may begin with its second chunk. */
static void enter_message(struct smtp_session *s)
{
    struct smtp_tx *tx = s->tx;
    const char *text = tx == NULL ? NULL : tx->refusal_text;
    const char *code = tx == NULL ? NULL : tx->refusal_code;
    if (code == NULL) {
        code = chunk_refusal(s, &text);
    }
    if (code == NULL && !begin_message(s)) {
        code = "451 4.3.0";
        text = "Not possible right now, try again later";
    }
    s->chunk.refusal_code = code;
    s->chunk.refusal_text = text;
    if (tx != NULL) {
        tx->has_chunk = true;
        tx->refusal_code = code;
        tx->refusal_text = text;
    }
}

void smtp_start_bdat(struct smtp_session *s, struct vy_bytes argument)
{
    uint64_t size = 0;
    bool is_last = false;
    if (!parse_chunk(argument, &size, &is_last) || size > chunk_max(s)) {
        smtp_reply(s, "501 5.5.4", "BDAT size [LAST] is expected, and a size that can be");
        if (s->unread.len > 0 || size > 0) {
            smtp_close(s, "chunk of unknown length"); /* what follows cannot be told apart */
        }
        return;
    }
    enter_message(s);
    s->chunk.left_bytes = size;
    s->chunk.size_bytes = size;
    s->chunk.is_last = is_last;
    s->rate_from_ms = s->base.now_ms;
    s->rate_bytes = 0;
    smtp_move(s, SMTP_STATE_CHUNK);
    (void)smtp_chunk_receive(s, &(struct vy_bytes){.data = NULL});
}

/* ---- its bytes ---- */

static void discard_chunk(struct smtp_session *s, struct vy_bytes *in)
{
    const size_t len = (size_t)VY_MIN(s->chunk.left_bytes, (uint64_t)in->len);
    *in = vy_bytes_from(*in, len);
    s->chunk.left_bytes -= len;
}

static void take_chunk(struct smtp_session *s, struct vy_bytes *in)
{
    struct smtp_tx *tx = s->tx;
    smtp_delivery_trim(&tx->delivery);
    (void)smtp_data_take_chunk(&tx->message->data, &s->chunk.left_bytes, in, &tx->delivery.body,
                               SMTP_DELIVERY_WINDOW_BYTES);
    smtp_message_step(s);
}

static void answer_chunk(struct smtp_session *s, const char *code, const char *text)
{
    smtp_reply(s, code, text);
    if (s->chunk.is_last) {
        smtp_tx_end(s); /* a refused message is over with its last chunk */
    }
    smtp_command_done(s, 0);
}

static void answer_received(struct smtp_session *s)
{
    vy_buf_printf(&s->out, "250 2.0.0 %llu octets received\r\n",
                  (unsigned long long)s->chunk.size_bytes);
    smtp_command_done(s, 0);
}

static void chunk_over(struct smtp_session *s)
{
    if (s->chunk.refusal_code != NULL) {
        answer_chunk(s, s->chunk.refusal_code, s->chunk.refusal_text);
        return;
    }
    const struct smtp_data *data = &s->tx->message->data;
    const bool is_bad = data->fault != SMTP_DATA_FINE && data->fault != SMTP_DATA_UNWANTED;
    if (!s->chunk.is_last) {
        if (is_bad) {
            answer_chunk(s, smtp_data_fault_reply(data->fault), smtp_data_fault_text(data->fault));
        } else {
            answer_received(s);
        }
    } else if (data->size_bytes == 0 && !is_bad) {
        answer_chunk(s, "501 5.5.4", "A message without a byte"); /* S20 */
    } else {
        smtp_message_over(s);
    }
}

bool smtp_chunk_receive(struct smtp_session *s, struct vy_bytes *in)
{
    const size_t len_before = in->len;
    if (s->chunk.refusal_code != NULL) {
        discard_chunk(s, in);
    } else {
        take_chunk(s, in);
    }
    s->rate_bytes += len_before - in->len;
    if (s->chunk.left_bytes == 0) {
        chunk_over(s);
        return true;
    }
    return in->len != len_before;
}
