/* SPDX-License-Identifier: Apache-2.0 */
/* Sections of one message: ranges of its bytes, filtered headers, decoded parts. */
#include "base/assert.h"
#include "shard/fetch_private.h"

bool fetch_section_range(const struct fetch *fetch, const struct fetch_section *section,
                         struct mail_section_range *out)
{
    return mail_section_resolve_path(&fetch->tree, section->part_path,
                                     (enum mail_section_kind)section->kind, out);
}

/* ---- in memory ---- */

static void append_bytes(struct fetch *fetch, struct vy_bytes bytes)
{
    const uint32_t index = fetch->section;

    if (bytes.len <= FETCH_INLINE_BYTES_MAX) {
        fetch_stream_append_section(&fetch->out, index, FETCH_SECTION_INLINE, 0, bytes);
        return;
    }
    fetch_stream_append_section(&fetch->out, index, FETCH_SECTION_LITERAL, bytes.len,
                                vy_bytes(NULL, 0));
    for (size_t at = 0; at < bytes.len; at += FETCH_LITERAL_BYTES_MAX) {
        fetch_stream_append_literal(&fetch->out,
                                    vy_bytes_slice(bytes, at, FETCH_LITERAL_BYTES_MAX));
    }
}

static struct vy_bytes cut_partial(const struct fetch_section *section, struct vy_bytes bytes)
{
    return section->partial
               ? vy_bytes_slice(bytes, section->partial_offset, section->partial_length)
               : bytes;
}

static void append_status(struct fetch *fetch, enum fetch_section_status status, uint64_t total)
{
    fetch_stream_append_section(&fetch->out, fetch->section, status, total, vy_bytes(NULL, 0));
}

/* ---- HEADER.FIELDS ---- */

static struct vy_err append_fields(struct fetch *fetch, const struct fetch_section *section,
                                   const struct mail_section_range *range)
{
    struct vy_bytes header;

    if (range->len > FETCH_SHORT_BYTES_MAX / 2) {
        return vy_error(VY_CODE_LIMIT, "header to filter");
    }
    VY_TRY(body_load(&fetch->body, range->offset, range->len, &header));
    vy_buf_reset(&fetch->work);
    mail_section_filter(&fetch->work, header, section->fields, section->fields_count,
                        section->kind == MAIL_SECTION_HEADER_FIELDS_NOT);
    VY_TRY(vy_buf_error(&fetch->work));
    append_bytes(fetch, cut_partial(section, vy_buf_bytes(&fetch->work)));
    return vy_ok();
}

/* ---- ranges as they are stored ---- */

static struct vy_err append_range(struct fetch *fetch, const struct fetch_section *section,
                                  struct mail_section_range range)
{
    struct vy_bytes bytes;

    if (section->partial) {
        mail_section_partial(&range, section->partial_offset, section->partial_length);
    }
    if (range.len <= FETCH_INLINE_BYTES_MAX) {
        VY_TRY(body_load(&fetch->body, range.offset, range.len, &bytes));
        append_bytes(fetch, bytes);
        return vy_ok();
    }
    append_status(fetch, FETCH_SECTION_LITERAL, range.len);
    fetch->literal = (struct fetch_literal){
        .offset = range.offset, .end = range.offset + range.len, .left_bytes = range.len};
    return vy_ok();
}

/* ---- BINARY: without transfer encoding ---- */

/* The next stored bytes, decoded, in fetch->work. */
static struct vy_err decode_piece(struct fetch *fetch, struct fetch_literal *literal)
{
    struct vy_bytes piece;

    vy_buf_reset(&fetch->work);
    if (literal->offset == literal->end) {
        return vy_error(VY_CODE_CORRUPT, "decode part");
    }
    VY_TRY(body_piece(&fetch->body, literal->offset, &piece));
    piece = vy_bytes_slice(piece, 0, VY_MIN(literal->end - literal->offset, SEAL_CHUNK_BYTES));
    literal->offset += piece.len;
    cte_decoder_feed(&literal->decoder, piece, &fetch->work);
    if (literal->offset == literal->end) {
        cte_decoder_finish(&literal->decoder, &fetch->work);
    }
    return vy_buf_error(&fetch->work);
}

static struct fetch_literal decoded_literal(const struct mail_section_range *range,
                                            enum cte encoding)
{
    struct fetch_literal literal = {
        .offset = range->offset, .end = range->offset + range->len, .is_decoded = true};

    cte_decoder_init(&literal.decoder, encoding);
    return literal;
}

static struct vy_err count_decoded(struct fetch *fetch, struct fetch_literal literal, uint64_t *out)
{
    *out = 0;
    while (literal.offset < literal.end) {
        VY_TRY(decode_piece(fetch, &literal));
        *out += vy_buf_len(&fetch->work);
    }
    return vy_ok();
}

static struct vy_err append_decoded(struct fetch *fetch, const struct fetch_section *section,
                                    const struct mail_section_range *range, enum cte encoding)
{
    struct fetch_literal literal = decoded_literal(range, encoding);
    uint64_t total = 0;

    VY_TRY(count_decoded(fetch, literal, &total));
    if (section->binary_size) {
        append_status(fetch, FETCH_SECTION_SIZE, total);
        return vy_ok();
    }
    if (range->len <= SEAL_CHUNK_BYTES &&
        body_chunk_count(&fetch->body, range->offset, range->len) <= 1) {
        /* All of it is still in fetch->work, made by the count. */
        append_bytes(fetch, cut_partial(section, total == 0 ? vy_bytes(NULL, 0)
                                                            : vy_buf_bytes(&fetch->work)));
        return vy_ok();
    }
    literal.skip_bytes = section->partial ? VY_MIN((uint64_t)section->partial_offset, total) : 0;
    literal.left_bytes = total - literal.skip_bytes;
    if (section->partial) {
        literal.left_bytes = VY_MIN(literal.left_bytes, (uint64_t)section->partial_length);
    }
    if (literal.left_bytes == 0) {
        append_bytes(fetch, vy_bytes(NULL, 0));
        return vy_ok();
    }
    append_status(fetch, FETCH_SECTION_LITERAL, literal.left_bytes);
    fetch->literal = literal;
    return vy_ok();
}

static struct vy_err append_binary(struct fetch *fetch, const struct fetch_section *section,
                                   const struct mail_section_range *range)
{
    const struct mime_node *node = &fetch->tree.nodes[range->part];
    const enum cte encoding = (enum cte)node->encoding;
    const bool is_part = section->part_path.len > 0 && section->kind == MAIL_SECTION_WHOLE &&
                         node->kind == MIME_LEAF;

    if (is_part && encoding == CTE_UNKNOWN) {
        append_status(fetch, FETCH_SECTION_UNKNOWN_CTE, 0);
        return vy_ok();
    }
    if (is_part && (encoding == CTE_BASE64 || encoding == CTE_QUOTED_PRINTABLE)) {
        return append_decoded(fetch, section, range, encoding);
    }
    if (section->binary_size) {
        append_status(fetch, FETCH_SECTION_SIZE, range->len);
        return vy_ok();
    }
    return append_range(fetch, section, *range);
}

/* ---- one after the other ---- */

static struct vy_err append_section(struct fetch *fetch, const struct fetch_section *section)
{
    struct mail_section_range range;

    if (!fetch_section_range(fetch, section, &range)) {
        append_status(fetch, FETCH_SECTION_NIL, 0);
        return vy_ok();
    }
    if (section->kind == MAIL_SECTION_HEADER_FIELDS ||
        section->kind == MAIL_SECTION_HEADER_FIELDS_NOT) {
        return append_fields(fetch, section, &range);
    }
    return section->binary || section->binary_size ? append_binary(fetch, section, &range)
                                                   : append_range(fetch, section, range);
}

struct vy_err fetch_section_next(struct fetch *fetch)
{
    VY_TRY(append_section(fetch, &fetch->request->sections[fetch->section]));
    fetch->section++;
    return vy_ok();
}

static struct vy_err continue_decoded(struct fetch *fetch, struct fetch_literal *literal)
{
    VY_TRY(decode_piece(fetch, literal));
    struct vy_bytes bytes = vy_buf_bytes(&fetch->work);
    const size_t skipped = (size_t)VY_MIN(literal->skip_bytes, (uint64_t)bytes.len);
    literal->skip_bytes -= skipped;
    bytes = vy_bytes_from(bytes, skipped);
    bytes = vy_bytes_slice(bytes, 0, (size_t)VY_MIN(literal->left_bytes, (uint64_t)bytes.len));
    literal->left_bytes -= bytes.len;
    for (size_t at = 0; at < bytes.len; at += FETCH_LITERAL_BYTES_MAX) {
        fetch_stream_append_literal(&fetch->out,
                                    vy_bytes_slice(bytes, at, FETCH_LITERAL_BYTES_MAX));
    }
    return vy_ok();
}

struct vy_err fetch_literal_continue(struct fetch *fetch)
{
    struct fetch_literal *literal = &fetch->literal;
    struct vy_bytes piece;

    if (literal->is_decoded) {
        return continue_decoded(fetch, literal);
    }
    VY_TRY(body_piece(&fetch->body, literal->offset, &piece));
    if (piece.len == 0) {
        return vy_error(VY_CODE_CORRUPT, "message ends inside of a part");
    }
    piece = vy_bytes_slice(piece, 0,
                           (size_t)VY_MIN(literal->left_bytes, (uint64_t)FETCH_LITERAL_BYTES_MAX));
    fetch_stream_append_literal(&fetch->out, piece);
    literal->offset += piece.len;
    literal->left_bytes -= piece.len;
    return vy_ok();
}
