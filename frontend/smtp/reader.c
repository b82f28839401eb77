/* SPDX-License-Identifier: Apache-2.0 */
/* Command lines: bounded while they are read (S6), faults noted for the answer (S5, S7). */
#include "frontend/smtp/smtp_private.h"

#define LINE_KEPT_BYTES 1024U /* of memory between commands */

void smtp_reader_reset(struct smtp_session *s)
{
    if (s->line.data != NULL) {
        /* It may have held a password. */
        vy_wipe(s->line.data, s->line.end);
    }
    vy_buf_reset(&s->line);
    if (s->line.capacity > LINE_KEPT_BYTES) {
        vy_buf_release(&s->line);
    }
    s->is_line_bad = false;
    s->has_line_nul = false;
    s->is_line_too_long = false;
    s->line_discarded = 0;
}

static void take_text(struct smtp_session *s, struct vy_bytes text)
{
    const size_t room = SMTP_LINE_BUFFER_BYTES - vy_buf_len(&s->line);
    vy_buf_append(&s->line, vy_bytes_slice(text, 0, room));
    if (text.len > room) {
        s->is_line_too_long = true;
        s->line_discarded += text.len - room;
    }
}

static void end_endless_line(struct smtp_session *s)
{
    smtp_reply(s, "500 5.5.2", "Line too long");
    smtp_close(s, "line without end");
}

bool smtp_reader_take(struct smtp_session *s, struct vy_bytes *in)
{
    struct vy_bytes text = {.data = NULL};
    while (s->state != SMTP_STATE_CLOSED) {
        switch (smtp_line_next(&s->scan, in, &text)) {
        case SMTP_PIECE_NONE:
            return false;
        case SMTP_PIECE_TEXT:
            take_text(s, text);
            break;
        case SMTP_PIECE_END:
            return true;
        case SMTP_PIECE_BARE_CR:
        case SMTP_PIECE_BARE_LF:
            s->is_line_bad = true;
            take_text(s, VY_LIT(" "));
            break;
        case SMTP_PIECE_NUL:
            s->has_line_nul = true;
            take_text(s, VY_LIT(" "));
            break;
        }
        if (s->line_discarded > SMTP_LINE_DISCARD_BYTES_MAX) {
            end_endless_line(s);
        }
    }
    return false;
}
