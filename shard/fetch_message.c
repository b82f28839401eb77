/* SPDX-License-Identifier: Apache-2.0 */
/* One message of a FETCH: its stored texts, then its sections. */
#include "base/assert.h"
#include "mail/bodystructure.h"
#include "mail/preview.h"
#include "mail/summary.h"
#include "shard/fetch_private.h"

#define PREVIEW_SHOWN_CHARS 200U /* RFC 8970 section 3 */

/* ---- texts that were too long to keep ---- */

static struct vy_err render_envelope(struct fetch *fetch, const struct summary *summary,
                                     struct vy_buf *out)
{
    struct vy_bytes header;

    VY_TRY(body_load(&fetch->body, 0, summary->header_bytes, &header));
    return summary_render(out, &fetch->scratch, header, SUMMARY_ENVELOPE, FETCH_TEXT_BYTES_MAX);
}

static struct vy_err parse_body(struct fetch *fetch, struct mime_structure *out)
{
    struct mime_parser *parser = NULL;
    struct vy_err err = vy_ok();

    VY_TRY(mime_parser_new(&fetch->scratch, &parser));
    for (uint64_t at = 0; at < fetch->body.info.size_bytes && !vy_failed(err);) {
        struct vy_bytes piece;
        err = body_piece(&fetch->body, at, &piece);
        if (!vy_failed(err)) {
            mime_parser_feed(parser, piece);
            at += piece.len;
        }
    }
    const struct vy_err finished = mime_parser_finish(parser, out);
    return vy_failed(err) ? err : finished;
}

/* Where even that is too long, one that says nothing. */
static void append_opaque(struct vy_buf *out, uint64_t bytes, enum bodystructure_form form)
{
    vy_buf_append_cstr(out, "(\"application\" \"octet-stream\" NIL NIL NIL \"binary\" ");
    vy_buf_append_u64(out, bytes);
    vy_buf_append_cstr(out, form == BODYSTRUCTURE_BASIC ? ")" : " NIL NIL NIL NIL)");
}

static struct vy_err render_structure(struct fetch *fetch, enum bodystructure_form form,
                                      struct vy_buf *out)
{
    struct mime_structure structure;

    VY_TRY(parse_body(fetch, &structure));
    VY_TRY(bodystructure_append(out, &fetch->scratch, &structure, 0, form));
    if (out->failed) {
        vy_buf_reset(out);
        append_opaque(out, fetch->body.info.size_bytes, form);
    }
    return vy_buf_error(out);
}

static struct vy_err render_text(struct fetch *fetch, const struct summary *summary,
                                 enum fetch_text text, struct vy_bytes *out)
{
    VY_CLEANUP(vy_buf_deinit) struct vy_buf made;

    vy_buf_init(&made, FETCH_TEXT_BYTES_MAX);
    if (text == FETCH_TEXT_ENVELOPE) {
        VY_TRY(render_envelope(fetch, summary, &made));
    } else {
        VY_TRY(render_structure(
            fetch, text == FETCH_TEXT_BODY ? BODYSTRUCTURE_BASIC : BODYSTRUCTURE_EXTENDED, &made));
    }
    return vy_arena_dup(&fetch->scratch, vy_buf_bytes(&made), out);
}

/* ---- begin ---- */

static struct vy_err find_texts(struct fetch *fetch, const struct summary *summary,
                                struct vy_bytes texts[FETCH_TEXT_COUNT])
{
    static const uint32_t columns[FETCH_TEXT_COUNT] = {
        [FETCH_TEXT_ENVELOPE] = FETCH_COLUMN_ENVELOPE,
        [FETCH_TEXT_BODY] = FETCH_COLUMN_BODY,
        [FETCH_TEXT_BODYSTRUCTURE] = FETCH_COLUMN_BODYSTRUCTURE,
        [FETCH_TEXT_PREVIEW] = FETCH_COLUMN_PREVIEW,
    };
    const struct vy_bytes kept[FETCH_TEXT_COUNT] = {
        [FETCH_TEXT_ENVELOPE] = summary->envelope,
        [FETCH_TEXT_BODY] = summary->body,
        [FETCH_TEXT_BODYSTRUCTURE] = summary->bodystructure,
        [FETCH_TEXT_PREVIEW] = summary->preview,
    };

    for (size_t i = 0; i < FETCH_TEXT_COUNT; i++) {
        texts[i] = vy_bytes(NULL, 0);
        if ((fetch->columns & columns[i]) == 0) {
            continue;
        }
        texts[i] = kept[i];
        if (i == FETCH_TEXT_PREVIEW) {
            texts[i] = preview_cut(texts[i], PREVIEW_SHOWN_CHARS);
        } else if (texts[i].data == NULL) {
            VY_TRY(render_text(fetch, summary, (enum fetch_text)i, &texts[i]));
        }
    }
    return vy_ok();
}

/* What the sections touch, if that is little: read and checked before anything is said of it. */
static struct vy_err load_sections(struct fetch *fetch)
{
    const struct message_fetch_request *request = fetch->request;
    uint64_t from = UINT64_MAX;
    uint64_t to = 0;
    struct vy_bytes unused;

    for (size_t i = 0; i < request->sections_count; i++) {
        struct mail_section_range range;
        if (fetch_section_range(fetch, &request->sections[i], &range) && range.len > 0) {
            from = VY_MIN(from, range.offset);
            to = VY_MAX(to, range.offset + range.len);
        }
    }
    if (from >= to) {
        return vy_ok();
    }
    if (to > fetch->body.info.size_bytes) {
        return vy_error(VY_CODE_CORRUPT, "part lies outside of its message");
    }
    const bool is_short = body_chunk_count(&fetch->body, from, to - from) <= FETCH_HELD_CHUNKS_MAX;
    return body_load(&fetch->body, from, is_short ? to - from : 1, &unused);
}

static struct vy_err open_message(struct fetch *fetch, const uint8_t *email_id,
                                  struct vy_bytes texts[FETCH_TEXT_COUNT])
{
    struct summary summary;

    vy_arena_reset(&fetch->scratch);
    VY_TRY(body_open(&fetch->body, &fetch->scratch, email_id));
    const struct vy_bytes encoded = fetch->body.info.summary;
    if (fetch->request->sections_count == 0) {
        VY_TRY(summary_decode_texts(encoded, &summary));
    } else {
        VY_TRY(summary_decode(encoded, &summary));
        VY_TRY(summary_parts(&fetch->scratch, &summary, &fetch->tree));
        VY_TRY(load_sections(fetch));
    }
    const uint32_t rendered = FETCH_COLUMN_ENVELOPE;
    if ((fetch->columns & rendered) != 0 && summary.envelope.data == NULL) {
        VY_TRY(summary_decode(encoded, &summary)); /* its header's length is needed */
    }
    return find_texts(fetch, &summary, texts);
}

struct vy_err fetch_message_begin(struct fetch *fetch, const struct block *block, uint16_t row)
{
    const uint8_t *email_id = block->email_id[row];
    struct vy_bytes texts[FETCH_TEXT_COUNT];
    struct fetch_columns columns;

    const struct vy_err err = open_message(fetch, email_id, texts);
    if (err.code == VY_CODE_CORRUPT) {
        fetch->damaged_count++;
        memcpy(fetch->damaged_id, email_id, SHARD_ID_BYTES);
        fetch_stream_append_missing(&fetch->out, FETCH_MISSING_UNREADABLE, &block->uid[row], 1);
        return vy_ok();
    }
    VY_TRY(err);
    fetch_rows_append(fetch, block, &row, 1, &columns);
    columns.rows = &row;
    fetch_stream_append_message(&fetch->out, &columns, texts,
                                (uint32_t)fetch->request->sections_count);
    fetch->in_message = true;
    fetch->section = 0;
    fetch->literal.left_bytes = 0;
    return fetch_message_continue(fetch);
}

/* The message has begun: from here on damage ends the stream. */
static struct vy_err note_failure(struct fetch *fetch, struct vy_err err)
{
    if (err.code == VY_CODE_CORRUPT) {
        fetch->damaged_count++;
        memcpy(fetch->damaged_id, fetch->body.email_id, SHARD_ID_BYTES);
    }
    return err;
}

struct vy_err fetch_message_continue(struct fetch *fetch)
{
    while (vy_buf_len(&fetch->out) < FETCH_PIECE_BYTES) {
        struct vy_err err = vy_ok();
        if (fetch->literal.left_bytes > 0) {
            err = fetch_literal_continue(fetch);
        } else if (fetch->section < fetch->request->sections_count) {
            err = fetch_section_next(fetch);
        } else {
            fetch->in_message = false;
            return vy_ok();
        }
        if (vy_failed(err)) {
            return note_failure(fetch, err);
        }
    }
    return vy_ok();
}
