/* SPDX-License-Identifier: Apache-2.0 */
#include "frontend/smtp/trace.h"

#include "mail/date.h"

static void append_date(struct vy_buf *out, uint64_t wall_ms)
{
    const struct date_time now = {.unix_ms = (int64_t)(wall_ms / 1000 * 1000)};
    date_append_rfc5322(out, now);
}

/* The registered names of "with" (RFC 3848, RFC 6531 section 4.3): ESMTPSA, LMTPS, UTF8SMTPA ... */
static void append_protocol(struct vy_buf *out, const struct smtp_trace *trace)
{
    if (!trace->is_esmtp && trace->service != SMTP_SERVICE_LMTP) {
        vy_buf_append_cstr(out, "SMTP");
        return;
    }
    vy_buf_append_cstr(out, trace->is_utf8 ? "UTF8" : "");
    if (trace->service == SMTP_SERVICE_LMTP) {
        vy_buf_append_cstr(out, "LMTP");
    } else {
        vy_buf_append_cstr(out, trace->is_utf8 ? "SMTP" : "ESMTP");
    }
    vy_buf_append_cstr(out, trace->is_secured ? "S" : "");
    vy_buf_append_cstr(out, trace->is_signed_in ? "A" : "");
}

static void append_ip(struct vy_buf *out, struct vy_bytes ip)
{
    const bool is_v6 = vy_bytes_find_byte(ip, ':', 0) != SIZE_MAX;
    vy_buf_append_cstr(out, is_v6 ? "[IPv6:" : "[");
    vy_buf_append(out, ip);
    vy_buf_append_byte(out, ']');
}

void smtp_trace_received(struct vy_buf *out, const struct smtp_trace *trace)
{
    vy_buf_append_cstr(out, "Received: from ");
    vy_buf_append(out, trace->helo);
    vy_buf_append_cstr(out, " (");
    append_ip(out, trace->remote_ip);
    vy_buf_append_cstr(out, ")\r\n\tby ");
    vy_buf_append(out, trace->hostname);
    vy_buf_append_cstr(out, " with ");
    append_protocol(out, trace);
    if (trace->is_secured && trace->tls_info.len > 0) {
        vy_buf_append_cstr(out, " (");
        vy_buf_append(out, trace->tls_info);
        vy_buf_append_cstr(out, ")");
    }
    vy_buf_printf(out, "\r\n\tid %016llx%016llx; ", (unsigned long long)trace->trace_id[0],
                  (unsigned long long)trace->trace_id[1]);
    append_date(out, trace->wall_ms);
    vy_buf_append_cstr(out, "\r\n");
}

void smtp_trace_date_line(struct vy_buf *out, uint64_t wall_ms)
{
    vy_buf_append_cstr(out, "Date: ");
    append_date(out, wall_ms);
    vy_buf_append_cstr(out, "\r\n");
}

void smtp_trace_message_id_line(struct vy_buf *out, const uint64_t unique[2],
                                struct vy_bytes hostname)
{
    vy_buf_printf(out, "Message-ID: <%016llx%016llx@", (unsigned long long)unique[0],
                  (unsigned long long)unique[1]);
    vy_buf_append(out, hostname);
    vy_buf_append_cstr(out, ">\r\n");
}
