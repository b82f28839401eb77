/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encoding: u8 version; the four texts that FETCH shows; numbers; the rest. A text is varint(length
 * + 1) and its bytes, or varint(0) when absent. Version 1 has exactly these, in this order.
 */
#include "mail/summary.h"

#include "base/assert.h"
#include "mail/bodystructure.h"
#include "mail/envelope.h"
#include "mail/summary_private.h"

#define SUMMARY_VERSION 1U

enum summary_flag {
    FLAG_HAS_DATE = 1,
    FLAG_IS_REPLY = 2,
    FLAG_IS_FIELD_CUT = 4,
    FLAG_HAS_ATTACHMENT = 8,
    FLAGS_ALL = 15
};

/* Where each text of the encoding is in the struct, in the order of the encoding. */
#define TEXT(name) offsetof(struct summary, name)
static const size_t shown_texts[] = {TEXT(envelope), TEXT(body), TEXT(bodystructure),
                                     TEXT(preview)};
static const size_t other_texts[] = {TEXT(parts),      TEXT(subject),    TEXT(base_subject),
                                     TEXT(message_id), TEXT(references), TEXT(from),
                                     TEXT(to),         TEXT(cc),         TEXT(bcc)};
#undef TEXT

static struct vy_bytes *text_at(struct summary *summary, size_t offset)
{
    return (struct vy_bytes *)(void *)((char *)summary + offset);
}

static const struct vy_bytes *const_text_at(const struct summary *summary, size_t offset)
{
    return (const struct vy_bytes *)(const void *)((const char *)summary + offset);
}

/* ---- writing ---- */

static void put_texts(struct vy_buf *out, const struct summary *summary, const size_t *offsets,
                      size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct vy_bytes *const text = const_text_at(summary, offsets[i]);
        summary_put_varint(out, text->data == NULL ? 0 : (uint64_t)text->len + 1);
        vy_buf_append(out, *text);
    }
}

static uint8_t pack_flags(const struct summary *s)
{
    return (uint8_t)((s->has_date ? FLAG_HAS_DATE : 0) | (s->is_reply ? FLAG_IS_REPLY : 0) |
                     (s->is_field_cut ? FLAG_IS_FIELD_CUT : 0) |
                     (s->has_attachment ? FLAG_HAS_ATTACHMENT : 0));
}

/* Small numbers of either sign as small numbers. */
static uint64_t zigzag(int64_t value)
{
    return ((uint64_t)value << 1) ^ (value < 0 ? UINT64_MAX : 0);
}

static int64_t unzigzag(uint64_t value)
{
    return (int64_t)(value >> 1 ^ ((value & 1) != 0 ? UINT64_MAX : 0));
}

void summary_encode(struct vy_buf *out, const struct summary *summary)
{
    vy_buf_append_byte(out, SUMMARY_VERSION);
    put_texts(out, summary, shown_texts, VY_COUNT_OF(shown_texts));
    vy_buf_append_byte(out, pack_flags(summary));
    summary_put_varint(out, zigzag(summary->has_date ? summary->date.unix_ms : 0));
    summary_put_varint(out, zigzag(summary->has_date ? summary->date.zone_minutes : 0));
    summary_put_varint(out, summary->header_bytes);
    summary_put_varint(out, summary->size_bytes);
    summary_put_varint(out, summary->body_lines);
    summary_put_varint(out, summary->part_count);
    put_texts(out, summary, other_texts, VY_COUNT_OF(other_texts));
}

/* ---- reading ---- */

static struct vy_err corrupt(void)
{
    return vy_error(VY_CODE_CORRUPT, "message summary");
}

static bool take_text(struct vy_bytes *rest, struct vy_bytes *out)
{
    uint64_t len = 0;
    if (!summary_take_varint(rest, &len) || len > (uint64_t)rest->len + 1) {
        return false;
    }
    if (len == 0) {
        *out = vy_bytes(NULL, 0);
        return true;
    }
    *out = vy_bytes(rest->data, (size_t)len - 1); /* rest->data is not NULL: a byte stood before */
    *rest = vy_bytes(rest->data + (len - 1), rest->len - (size_t)(len - 1));
    return true;
}

static bool take_texts(struct vy_bytes *rest, struct summary *summary, const size_t *offsets,
                       size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!take_text(rest, text_at(summary, offsets[i]))) {
            return false;
        }
    }
    return true;
}

static struct vy_err take_version(struct vy_bytes *rest)
{
    if (rest->len == 0 || rest->data[0] == 0) {
        return corrupt();
    }
    if (rest->data[0] > SUMMARY_VERSION) {
        return vy_error(VY_CODE_UNSUPPORTED, "message summary of a newer version");
    }
    *rest = vy_bytes(rest->data + 1, rest->len - 1);
    return vy_ok();
}

static bool take_u32(struct vy_bytes *rest, uint32_t *out)
{
    uint64_t value = 0;
    const bool is_fine = summary_take_varint(rest, &value) && value <= UINT32_MAX;
    *out = (uint32_t)value;
    return is_fine;
}

static bool take_date(struct vy_bytes *rest, struct summary *out)
{
    uint64_t ms = 0;
    uint64_t zone = 0;
    if (!summary_take_varint(rest, &ms) || !summary_take_varint(rest, &zone) || zone > 2878) {
        return false;
    }
    out->date = (struct date_time){unzigzag(ms), (int32_t)unzigzag(zone)};
    return out->has_date || (ms == 0 && zone == 0);
}

static bool take_numbers(struct vy_bytes *rest, struct summary *out)
{
    if (rest->len == 0 || rest->data[0] > FLAGS_ALL) {
        return false;
    }
    const uint8_t flags = rest->data[0];
    out->has_date = (flags & FLAG_HAS_DATE) != 0;
    out->is_reply = (flags & FLAG_IS_REPLY) != 0;
    out->is_field_cut = (flags & FLAG_IS_FIELD_CUT) != 0;
    out->has_attachment = (flags & FLAG_HAS_ATTACHMENT) != 0;
    *rest = vy_bytes(rest->data + 1, rest->len - 1);
    return take_date(rest, out) && summary_take_varint(rest, &out->header_bytes) &&
           summary_take_varint(rest, &out->size_bytes) && take_u32(rest, &out->body_lines) &&
           take_u32(rest, &out->part_count);
}

struct vy_err summary_decode_texts(struct vy_bytes encoded, struct summary *out)
{
    struct summary summary = {.has_date = false};
    VY_TRY(take_version(&encoded));
    if (!take_texts(&encoded, &summary, shown_texts, VY_COUNT_OF(shown_texts))) {
        return corrupt();
    }
    *out = summary;
    return vy_ok();
}

struct vy_err summary_decode(struct vy_bytes encoded, struct summary *out)
{
    struct summary summary = {.has_date = false};
    VY_TRY(take_version(&encoded));
    if (!take_texts(&encoded, &summary, shown_texts, VY_COUNT_OF(shown_texts)) ||
        !take_numbers(&encoded, &summary) ||
        !take_texts(&encoded, &summary, other_texts, VY_COUNT_OF(other_texts)) ||
        encoded.len != 0) {
        return corrupt();
    }
    *out = summary;
    return vy_ok();
}

bool summary_next_reference(struct vy_bytes *rest, struct vy_bytes *out)
{
    uint64_t len = 0;
    if (rest->len == 0 || !summary_take_varint(rest, &len) || len > rest->len) {
        return false;
    }
    *out = vy_bytes_slice(*rest, 0, (size_t)len);
    *rest = vy_bytes_from(*rest, (size_t)len);
    return true;
}

/* ---- whole messages ---- */

struct vy_err summary_of_message(struct vy_buf *out, struct vy_arena *scratch,
                                 struct vy_bytes message, bool tolerate_limits)
{
    struct mime_structure structure;
    struct summary summary;
    VY_TRY(mime_parse(scratch, message, &structure));
    if (structure.is_header_over_limit && !tolerate_limits) {
        return vy_error(VY_CODE_LIMIT, "message headers");
    }
    VY_TRY(summary_build(scratch, &structure, message, &summary));
    summary_encode(out, &summary);
    return vy_buf_error(out);
}

static struct vy_err render(struct vy_buf *out, struct vy_arena *scratch,
                            const struct mime_structure *structure, enum summary_text text)
{
    switch (text) {
    case SUMMARY_ENVELOPE:
        return envelope_append(out, scratch, structure->fields[0].header);
    case SUMMARY_BODY:
        return bodystructure_append(out, scratch, structure, 0, BODYSTRUCTURE_BASIC);
    case SUMMARY_BODYSTRUCTURE:
        return bodystructure_append(out, scratch, structure, 0, BODYSTRUCTURE_EXTENDED);
    }
    return vy_ok();
}

static void append_empty(struct vy_buf *out, const struct mime_structure *structure,
                         enum summary_text text)
{
    const struct mime_node *const root = &structure->tree.nodes[0];
    if (text == SUMMARY_ENVELOPE) {
        vy_buf_append_cstr(out, "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)");
        return;
    }
    vy_buf_append_cstr(out, "(\"application\" \"octet-stream\" NIL NIL NIL \"binary\" ");
    vy_buf_append_u64(out, root->body_end - root->body_start);
    vy_buf_append_cstr(out, text == SUMMARY_BODY ? ")" : " NIL NIL NIL NIL)");
}

struct vy_err summary_render(struct vy_buf *out, struct vy_arena *scratch, struct vy_bytes message,
                             enum summary_text text, size_t bytes_max)
{
    struct mime_structure structure;
    struct vy_buf rendered;
    VY_TRY(mime_parse(scratch, message, &structure));
    vy_buf_init(&rendered, bytes_max);
    const struct vy_err err = render(&rendered, scratch, &structure, text);
    if (rendered.failed) {
        append_empty(out, &structure, text);
    } else if (!vy_failed(err)) {
        vy_buf_append(out, vy_buf_bytes(&rendered));
    }
    vy_buf_deinit(&rendered);
    VY_TRY(err);
    return vy_buf_error(out);
}
