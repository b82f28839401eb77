/* SPDX-License-Identifier: Apache-2.0 */
#include "frontend/smtp/header.h"

enum line_kind { LINE_FIELD, LINE_CONTINUED, LINE_EMPTY, LINE_NO_HEADER };

void smtp_header_init(struct smtp_header *header, const struct smtp_header_config *config)
{
    *header = (struct smtp_header){.config = config};
}

static struct vy_bytes held_bytes(const struct smtp_header *header)
{
    return vy_bytes(header->held, header->held_len);
}

/* A field is a name of visible characters and a colon (RFC 5322 section 2.2; white space before the
 * colon is its obsolete form). */
static enum line_kind line_kind(struct vy_bytes line)
{
    if (line.len == 0) {
        return LINE_EMPTY;
    }
    if (line.data[0] == ' ' || line.data[0] == '\t') {
        return LINE_CONTINUED;
    }
    size_t at = 0;
    while (at < line.len && line.data[at] > ' ' && line.data[at] < 0x7F && line.data[at] != ':') {
        at++;
    }
    const bool has_name = at > 0;
    while (at < line.len && (line.data[at] == ' ' || line.data[at] == '\t')) {
        at++;
    }
    return has_name && at < line.len && line.data[at] == ':' ? LINE_FIELD : LINE_NO_HEADER;
}

static bool is_own_delivery(const struct smtp_header *header, struct vy_bytes value)
{
    const struct smtp_header_config *config = header->config;
    return config->is_recipient != NULL && config->is_recipient(config->is_recipient_arg, value);
}

static enum smtp_header_fault take_field(struct smtp_header *header)
{
    struct vy_bytes value = held_bytes(header);
    const struct vy_bytes name = vy_bytes_trim(vy_bytes_cut(&value, ':'));
    header->has_message_id |= vy_bytes_equal_nocase(name, VY_LIT("Message-ID"));
    header->has_date |= vy_bytes_equal_nocase(name, VY_LIT("Date"));
    if (vy_bytes_equal_nocase(name, VY_LIT("Received"))) {
        header->received_count++;
        return header->received_count > SMTP_HEADER_RECEIVED_MAX ? SMTP_HEADER_LOOP
                                                                 : SMTP_HEADER_FINE;
    }
    if (vy_bytes_equal_nocase(name, VY_LIT("Delivered-To"))) {
        return is_own_delivery(header, vy_bytes_trim(value)) ? SMTP_HEADER_LOOP : SMTP_HEADER_FINE;
    }
    return SMTP_HEADER_FINE;
}

static void end_section(struct smtp_header *header, struct vy_buf *out)
{
    header->is_over = true;
    if (!header->has_date) {
        vy_buf_append(out, header->config->date_line);
    }
    if (!header->has_message_id) {
        vy_buf_append(out, header->config->message_id_line);
    }
}

static void release_held(struct smtp_header *header, struct vy_buf *out)
{
    vy_buf_append(out, held_bytes(header));
    header->held_len = 0;
}

/* Decides what the line is by its beginning, and lets that go. */
static enum smtp_header_fault judge_line(struct smtp_header *header, struct vy_buf *out)
{
    enum smtp_header_fault fault = SMTP_HEADER_FINE;
    const enum line_kind kind = line_kind(held_bytes(header));
    header->is_line_judged = true;
    if (kind == LINE_FIELD) {
        fault = take_field(header);
    } else if (kind != LINE_CONTINUED) {
        const size_t len_before = vy_buf_len(out);
        end_section(header, out);
        if (kind == LINE_NO_HEADER && vy_buf_len(out) > len_before) {
            vy_buf_append(out, VY_LIT("\r\n")); /* fields of ours in front of a bare body */
        }
    }
    release_held(header, out);
    return fault;
}

static enum smtp_header_fault count_bytes(struct smtp_header *header, size_t count)
{
    header->size_bytes += count;
    return header->size_bytes > SMTP_HEADER_BYTES_MAX ? SMTP_HEADER_TOO_LONG : SMTP_HEADER_FINE;
}

enum smtp_header_fault smtp_header_text(struct smtp_header *header, struct vy_bytes text,
                                        struct vy_buf *out)
{
    const enum smtp_header_fault fault = count_bytes(header, text.len);
    if (fault != SMTP_HEADER_FINE) {
        return fault;
    }
    if (header->is_line_judged) {
        vy_buf_append(out, text);
        return SMTP_HEADER_FINE;
    }
    const size_t room = SMTP_HEADER_HELD_BYTES - header->held_len;
    const struct vy_bytes first = vy_bytes_slice(text, 0, room);
    memcpy(header->held + header->held_len, first.data, first.len);
    header->held_len += first.len;
    if (text.len < room) {
        return SMTP_HEADER_FINE;
    }
    const enum smtp_header_fault judged = judge_line(header, out);
    vy_buf_append(out, vy_bytes_from(text, first.len));
    return judged;
}

enum smtp_header_fault smtp_header_line_end(struct smtp_header *header, struct vy_buf *out)
{
    enum smtp_header_fault fault = count_bytes(header, 2);
    if (fault == SMTP_HEADER_FINE && !header->is_line_judged) {
        fault = judge_line(header, out);
    }
    header->is_line_judged = false;
    vy_buf_append(out, VY_LIT("\r\n"));
    return fault;
}

void smtp_header_finish(struct smtp_header *header, struct vy_buf *out)
{
    if (header->is_over) {
        return;
    }
    if (!header->is_line_judged && header->held_len > 0) {
        (void)judge_line(header, out); /* a last line without its end: BDAT allows it */
    }
    if (!header->is_over) {
        end_section(header, out);
    }
}
