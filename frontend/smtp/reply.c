/* SPDX-License-Identifier: Apache-2.0 */
/* Reply lines: code, enhanced code (RFC 2034, 3463), text. Nothing a client sent is ever repeated
 * in one. */
#include "frontend/smtp/smtp_private.h"

void smtp_reply_line(struct smtp_session *s, const char *code, bool is_last, struct vy_bytes text)
{
    vy_buf_append_cstr(&s->out, code);
    vy_buf_append_byte(&s->out, is_last ? ' ' : '-');
    vy_buf_append(&s->out, text);
    vy_buf_append(&s->out, VY_LIT("\r\n"));
}

void smtp_reply(struct smtp_session *s, const char *code, const char *text)
{
    smtp_reply_line(s, code, true, vy_cstr(text));
}

void smtp_reply_trace_id(struct smtp_session *s, const char *code, const char *text)
{
    vy_buf_printf(&s->out, "%s %s (id %016llx%016llx)\r\n", code, text,
                  (unsigned long long)s->peer.trace_id[0], (unsigned long long)s->peer.trace_id[1]);
}

const char *smtp_failure_code(struct vy_err err)
{
    const char *code = vy_code_smtp_reply(err.code);
    return code[0] == '4' && err.code != VY_CODE_CLOSED ? code : "451 4.3.0";
}

void smtp_reply_failure(struct smtp_session *s, struct vy_err err)
{
    smtp_reply_trace_id(s, smtp_failure_code(err), "Not possible right now, try again later");
}
