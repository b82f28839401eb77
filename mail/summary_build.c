/* SPDX-License-Identifier: Apache-2.0 */
/* Makes a summary of a parsed message. */
#include "mail/address.h"
#include "mail/bodystructure.h"
#include "mail/charset.h"
#include "mail/encoded_word.h"
#include "mail/envelope.h"
#include "mail/preview.h"
#include "mail/subject.h"
#include "mail/summary_private.h"

#define REFERENCES_BYTES_MAX 8192U
#define ADDRESSES_BYTES_MAX (4U * 1024U * 1024U) /* as in envelope.c */

struct builder {
    struct vy_arena *arena;
    const struct mime_structure *structure;
    struct vy_bytes header;
    struct vy_buf work; /* one text at a time */
    struct summary *out;
};

/* ---- one text at a time ---- */

static void begin_text(struct builder *b, size_t bytes_max)
{
    vy_buf_reset(&b->work);
    b->work.limit_bytes = bytes_max;
}

/* Keeps what was made; what did not fit is left out. */
static struct vy_err keep_whole(struct builder *b, struct vy_bytes *out)
{
    if (b->work.failed) {
        *out = vy_bytes(NULL, 0);
        return vy_ok();
    }
    return vy_arena_dup(b->arena, vy_buf_bytes(&b->work), out);
}

/* Keeps what was made, as far as it fits. */
static struct vy_err keep_cut(struct builder *b, struct vy_bytes *out)
{
    b->out->is_field_cut = b->out->is_field_cut || b->work.failed;
    return vy_arena_dup(b->arena, vy_buf_bytes(&b->work), out);
}

static struct vy_err build_structures(struct builder *b)
{
    begin_text(b, SUMMARY_TEXT_BYTES_MAX);
    VY_TRY(envelope_append(&b->work, b->arena, b->header));
    VY_TRY(keep_whole(b, &b->out->envelope));
    begin_text(b, SUMMARY_TEXT_BYTES_MAX);
    VY_TRY(bodystructure_append(&b->work, b->arena, b->structure, 0, BODYSTRUCTURE_BASIC));
    VY_TRY(keep_whole(b, &b->out->body));
    begin_text(b, SUMMARY_TEXT_BYTES_MAX);
    VY_TRY(bodystructure_append(&b->work, b->arena, b->structure, 0, BODYSTRUCTURE_EXTENDED));
    VY_TRY(keep_whole(b, &b->out->bodystructure));
    begin_text(b, SUMMARY_BYTES_MAX);
    summary_put_parts(&b->work, &b->structure->tree);
    VY_TRY(vy_buf_error(&b->work));
    return keep_whole(b, &b->out->parts);
}

/* ---- fields ---- */

static struct vy_err build_subject(struct builder *b)
{
    struct header_field field;
    if (!header_find(b->header, VY_LIT("Subject"), &field)) {
        return vy_ok();
    }
    /* Decoded whole, then cut: text in one charset comes as one piece. */
    begin_text(b, 4U * HEADER_FIELD_BYTES_MAX);
    encoded_word_decode(&b->work, field.value);
    struct vy_bytes subject = vy_buf_bytes(&b->work);
    if (subject.len > SUMMARY_FIELD_BYTES_MAX || b->work.failed) {
        b->out->is_field_cut = true;
        subject.len = VY_MIN(subject.len, (size_t)SUMMARY_FIELD_BYTES_MAX);
        while (subject.len > 0 && (subject.data[subject.len - 1] & 0xC0) == 0x80) {
            subject.len--;
        }
        subject.len -= subject.len > 0 && subject.data[subject.len - 1] >= 0xC0 ? 1 : 0;
    }
    VY_TRY(vy_arena_dup(b->arena, subject, &b->out->subject));
    begin_text(b, SUMMARY_FIELD_BYTES_MAX);
    subject_append_base(&b->work, b->out->subject, &b->out->is_reply);
    return keep_cut(b, &b->out->base_subject);
}

static struct vy_err build_addresses(struct builder *b, struct vy_bytes name, struct vy_bytes *out)
{
    struct header_field field;
    struct address_list list;
    struct vy_arena arena;

    if (!header_find(b->header, name, &field)) {
        return vy_ok();
    }
    begin_text(b, SUMMARY_FIELD_BYTES_MAX);
    vy_arena_init(&arena, ADDRESSES_BYTES_MAX);
    const struct vy_err err = address_list_parse(&arena, field.value, &list);
    if (!vy_failed(err)) {
        address_list_append_text(&b->work, &list);
        b->out->is_field_cut = b->out->is_field_cut || list.is_cut;
    }
    vy_arena_deinit(&arena);
    VY_TRY(err);
    return keep_cut(b, out);
}

/* "<...>" from the front of *rest, brackets kept; false: none. */
static bool take_id(struct vy_bytes *rest, struct vy_bytes *out)
{
    const size_t from = vy_bytes_find_byte(*rest, '<', 0);
    const size_t to = from == SIZE_MAX ? SIZE_MAX : vy_bytes_find_byte(*rest, '>', from);
    if (to == SIZE_MAX) {
        return false;
    }
    *out = vy_bytes_slice(*rest, from, to + 1 - from);
    *rest = vy_bytes_from(*rest, to + 1);
    return true;
}

static bool is_fine_id(struct vy_bytes id)
{
    for (size_t i = 0; i < id.len; i++) {
        if (id.data[i] <= ' ' || id.data[i] == 0x7F) {
            return false;
        }
    }
    return id.len > 2 && id.len <= SUMMARY_MESSAGE_ID_BYTES_MAX;
}

static struct vy_err build_message_id(struct builder *b)
{
    struct header_field field;
    if (!header_find(b->header, VY_LIT("Message-ID"), &field)) {
        return vy_ok();
    }
    struct vy_bytes rest = field.value;
    struct vy_bytes id;
    if (!take_id(&rest, &id) || !is_fine_id(id)) {
        return vy_ok();
    }
    return vy_arena_dup(b->arena, id, &b->out->message_id);
}

/* The last ids that fit, in their order. */
struct id_list {
    struct vy_bytes ids[SUMMARY_REFERENCES_MAX]; /* a ring */
    size_t first;
    size_t count;
    size_t bytes;
};

static void drop_first_id(struct id_list *list)
{
    list->bytes -= list->ids[list->first].len + 2;
    list->first = (list->first + 1) % SUMMARY_REFERENCES_MAX;
    list->count--;
}

static bool has_id(const struct id_list *list, struct vy_bytes id)
{
    for (size_t i = 0; i < list->count; i++) {
        if (vy_bytes_equal(list->ids[(list->first + i) % SUMMARY_REFERENCES_MAX], id)) {
            return true;
        }
    }
    return false;
}

static void add_ids(struct id_list *list, struct vy_bytes value)
{
    struct vy_bytes id;
    while (take_id(&value, &id)) {
        if (!is_fine_id(id) || has_id(list, id)) {
            continue;
        }
        while (list->count == SUMMARY_REFERENCES_MAX ||
               (list->count > 0 && list->bytes + id.len + 2 > REFERENCES_BYTES_MAX)) {
            drop_first_id(list);
        }
        list->ids[(list->first + list->count) % SUMMARY_REFERENCES_MAX] = id;
        list->count++;
        list->bytes += id.len + 2;
    }
}

static struct vy_err build_references(struct builder *b)
{
    struct id_list list = {.count = 0};
    struct header_field field;
    if (header_find(b->header, VY_LIT("References"), &field)) {
        add_ids(&list, field.value);
    }
    if (header_find(b->header, VY_LIT("In-Reply-To"), &field)) {
        add_ids(&list, field.value);
    }
    if (list.count == 0) {
        return vy_ok();
    }
    begin_text(b, REFERENCES_BYTES_MAX + 2);
    for (size_t i = 0; i < list.count; i++) {
        const struct vy_bytes id = list.ids[(list.first + i) % SUMMARY_REFERENCES_MAX];
        summary_put_varint(&b->work, id.len);
        vy_buf_append(&b->work, id);
    }
    return keep_whole(b, &b->out->references);
}

static void build_numbers(struct builder *b)
{
    const struct mime_tree *const tree = &b->structure->tree;
    struct header_field field;
    b->out->has_date = header_find(b->header, VY_LIT("Date"), &field) &&
                       date_parse_rfc5322(field.value, &b->out->date);
    b->out->header_bytes = tree->nodes[0].body_start;
    b->out->size_bytes = b->structure->size_bytes;
    b->out->body_lines = tree->nodes[0].body_lines;
    b->out->part_count = (uint32_t)tree->count;
    for (size_t i = 0; i < tree->count; i++) {
        b->out->has_attachment = b->out->has_attachment || tree->nodes[i].is_attachment;
    }
}

static struct vy_err build_preview(struct builder *b, struct vy_bytes head)
{
    begin_text(b, 4U * SUMMARY_PREVIEW_CHARS_MAX);
    preview_append(&b->work, b->structure, vy_bytes_slice(head, 0, SUMMARY_PREVIEW_SCAN_BYTES),
                   SUMMARY_PREVIEW_CHARS_MAX);
    return keep_whole(b, &b->out->preview);
}

static struct vy_err build_all(struct builder *b, struct vy_bytes head)
{
    build_numbers(b);
    VY_TRY(build_structures(b));
    VY_TRY(build_subject(b));
    VY_TRY(build_addresses(b, VY_LIT("From"), &b->out->from));
    VY_TRY(build_addresses(b, VY_LIT("To"), &b->out->to));
    VY_TRY(build_addresses(b, VY_LIT("Cc"), &b->out->cc));
    VY_TRY(build_addresses(b, VY_LIT("Bcc"), &b->out->bcc));
    VY_TRY(build_message_id(b));
    VY_TRY(build_references(b));
    return build_preview(b, head);
}

struct vy_err summary_build(struct vy_arena *arena, const struct mime_structure *structure,
                            struct vy_bytes head, struct summary *out)
{
    struct summary summary = {.has_date = false};
    struct builder b = {.arena = arena,
                        .structure = structure,
                        .header = structure->fields[0].header,
                        .out = &summary};
    vy_buf_init(&b.work, SUMMARY_BYTES_MAX);
    const struct vy_err err = build_all(&b, head);
    vy_buf_deinit(&b.work);
    VY_TRY(err);
    *out = summary;
    return vy_ok();
}
