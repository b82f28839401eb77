/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The lines we write into messages: Received (RFC 5321 section 4.4, RFC 3848, RFC 6531), and Date
 * and Message-ID where a submitted message lacks them (RFC 6409 section 8). */
#include "frontend/smtp/smtp_session.h"

struct smtp_trace {
    enum smtp_service service;
    bool is_esmtp;
    bool is_secured;
    bool is_signed_in;
    bool is_utf8;
    struct vy_bytes helo;
    struct vy_bytes remote_ip;
    struct vy_bytes tls_info;
    struct vy_bytes hostname;
    uint64_t trace_id[2];
    uint64_t wall_ms;
};
void smtp_trace_received(struct vy_buf *out, const struct smtp_trace *trace);
void smtp_trace_date_line(struct vy_buf *out, uint64_t wall_ms);
/* unique: not used for any other message. */
void smtp_trace_message_id_line(struct vy_buf *out, const uint64_t unique[2],
                                struct vy_bytes hostname);
