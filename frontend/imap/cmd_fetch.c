/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FETCH and UID FETCH: the shard's records become response text as they come; bodies pass through
 * and are never held. While the client does not read, the records wait at the shard (I14). \Seen is
 * set in one change when all the data has been sent, and told behind it (IMAP-F1).
 */
#include "base/assert.h"
#include "frontend/imap/commands.h"
#include "frontend/imap/fetch_args.h"
#include "mail/flags.h"
#include "mail/imap_string.h"

struct fetch_state {
    struct fetch_reader reader;
    struct imap_row_writer rows;
    struct uidset wanted;  /* UIDs asked for */
    struct uidset to_mark; /* UIDs whose data was sent and that were not \Seen */
    uint32_t given;        /* messages met in the stream */
    uint32_t produced;     /* of wanted, when the view alone answers */
    uint32_t section;      /* of the message being written: the next one */
    bool has_items;        /* something stands behind "FETCH (" already */
    bool in_message;
    bool in_literal;     /* bytes are owed to the client */
    bool is_passed_over; /* the message being read is not in the view */
    bool is_unreadable;  /* a message could not be read */
    bool is_unknown_cte; /* BINARY of a transfer encoding nobody knows */
    bool is_marking;     /* the call that sets \Seen is on its way */
    struct vy_err err;   /* of the stream */
};

static void fetch_free(struct imap_session *s)
{
    struct fetch_state *const state = s->run.state;
    fetch_reader_deinit(&state->reader);
    uidset_deinit(&state->wanted);
    uidset_deinit(&state->to_mark);
}

/* ---- records to text ---- */

static void write_separator(struct imap_session *s, struct fetch_state *state)
{
    if (state->has_items) {
        vy_buf_append_byte(&s->out, ' ');
    }
    state->has_items = true;
}

static void end_message(struct imap_session *s, struct fetch_state *state)
{
    if (!state->is_passed_over) {
        vy_buf_append_cstr(&s->out, ")\r\n");
    }
    state->in_message = false;
}

static void write_texts(struct imap_session *s, struct fetch_state *state,
                        const struct fetch_event *event)
{
    static const struct {
        uint32_t item;
        const char *name;
    } texts[FETCH_TEXT_COUNT] = {
        [FETCH_TEXT_ENVELOPE] = {IMAP_ITEM_ENVELOPE,      "ENVELOPE "     },
        [FETCH_TEXT_BODY] = {IMAP_ITEM_BODY,          "BODY "         },
        [FETCH_TEXT_BODYSTRUCTURE] = {IMAP_ITEM_BODYSTRUCTURE, "BODYSTRUCTURE "},
        [FETCH_TEXT_PREVIEW] = {IMAP_ITEM_PREVIEW,       "PREVIEW "      },
    };
    const struct imap_fetch_args *const args = s->run.args;
    for (size_t i = 0; i < FETCH_TEXT_COUNT; i++) {
        if ((args->items & texts[i].item) == 0) {
            continue;
        }
        write_separator(s, state);
        vy_buf_append_cstr(&s->out, texts[i].name);
        if (i == FETCH_TEXT_PREVIEW) {
            imap_string_append_or_nil(&s->out, event->texts[i]);
        } else {
            vy_buf_append(&s->out, event->texts[i].data == NULL ? VY_LIT("NIL") : event->texts[i]);
        }
    }
}

static void note_unseen(struct imap_session *s, struct fetch_state *state,
                        const struct fetch_block *block)
{
    const struct imap_fetch_args *const args = s->run.args;
    if (args->sets_seen && !s->view->is_read_only && block->flags != NULL &&
        (fetch_block_flags(block, 0) & MAIL_FLAG_SEEN) == 0) {
        uidset_add_range(&state->to_mark, fetch_block_uid(block, 0), fetch_block_uid(block, 0));
    }
}

static void take_message(struct imap_session *s, struct fetch_state *state,
                         const struct fetch_event *event)
{
    state->given++;
    state->in_message = true;
    state->section = 0;
    state->is_passed_over =
        !imap_write_row_begin(s, &state->rows, &event->block, &state->has_items);
    if (!state->is_passed_over) {
        write_texts(s, state, event);
        note_unseen(s, state, &event->block);
    }
    if (event->message_ends) {
        end_message(s, state);
    }
}

static void write_literal_head(struct vy_buf *out, uint64_t bytes)
{
    vy_buf_append_byte(out, '{');
    vy_buf_append_u64(out, bytes);
    vy_buf_append_cstr(out, "}\r\n");
}

static void write_section(struct imap_session *s, struct fetch_state *state,
                          const struct fetch_event *event)
{
    const struct imap_fetch_args *const args = s->run.args;
    write_separator(s, state);
    vy_buf_append(&s->out, args->labels[event->section_index]);
    vy_buf_append_byte(&s->out, ' ');
    switch (event->status) {
    case FETCH_SECTION_NIL:
        vy_buf_append_cstr(&s->out, "NIL");
        break;
    case FETCH_SECTION_INLINE:
        write_literal_head(&s->out, event->bytes.len);
        vy_buf_append(&s->out, event->bytes);
        break;
    case FETCH_SECTION_LITERAL:
        write_literal_head(&s->out, event->total_bytes);
        state->in_literal = true;
        break;
    case FETCH_SECTION_UNKNOWN_CTE:
        vy_buf_append_cstr(&s->out, "NIL");
        state->is_unknown_cte = true;
        break;
    case FETCH_SECTION_SIZE:
        vy_buf_append_u64(&s->out, event->total_bytes);
        break;
    }
}

static struct vy_err take_section(struct imap_session *s, struct fetch_state *state,
                                  const struct fetch_event *event)
{
    const struct imap_fetch_args *const args = s->run.args;
    if (event->section_index != state->section || event->section_index >= args->section_count) {
        return vy_error(VY_CODE_CORRUPT, "fetch: section out of order");
    }
    state->section++;
    if (!state->is_passed_over) {
        write_section(s, state, event);
    }
    if (event->message_ends) {
        end_message(s, state);
    }
    return vy_ok();
}

static void take_section_data(struct imap_session *s, struct fetch_state *state,
                              const struct fetch_event *event)
{
    if (!state->is_passed_over) {
        vy_buf_append(&s->out, event->bytes);
    }
    if (event->section_ends) {
        state->in_literal = false;
    }
    if (event->message_ends) {
        end_message(s, state);
    }
}

static struct vy_err take_event(struct imap_session *s, struct fetch_state *state,
                                const struct fetch_event *event)
{
    switch (event->kind) {
    case FETCH_EVENT_NONE:
        break;
    case FETCH_EVENT_BLOCK:
        state->given += event->block.count;
        imap_write_rows(s, &state->rows, &event->block);
        break;
    case FETCH_EVENT_MESSAGE:
        take_message(s, state, event);
        break;
    case FETCH_EVENT_SECTION:
        return take_section(s, state, event);
    case FETCH_EVENT_SECTION_DATA:
        take_section_data(s, state, event);
        break;
    case FETCH_EVENT_MISSING:
        state->is_unreadable = state->is_unreadable || event->missing == FETCH_MISSING_UNREADABLE;
        break;
    }
    return vy_ok();
}

/* Half a literal cannot be taken back: the client would read the next line as a part of it. */
static void fail_stream(struct imap_session *s, struct fetch_state *state, struct vy_err err)
{
    const struct vy_log_field fields[] = {VY_LOG_ERR(err)};
    imap_log(s, VY_LOG_WARN, "imap.fetch.failed", fields, VY_COUNT_OF(fields));
    if (state->in_message) {
        imap_session_close(s, "fetch broke inside a message");
        return;
    }
    imap_end_error(s, err);
}

static size_t fetch_on_data(struct imap_session *s, struct vy_bytes data)
{
    struct fetch_state *const state = s->run.state;
    struct vy_bytes in = data;
    struct fetch_event event = {.kind = FETCH_EVENT_BLOCK};
    while (event.kind != FETCH_EVENT_NONE && !vy_failed(state->err) && !imap_session_is_full(s)) {
        state->err = fetch_reader_next(&state->reader, &in, &event);
        if (!vy_failed(state->err)) {
            state->err = take_event(s, state, &event);
        }
    }
    if (vy_failed(state->err)) {
        imap_call_cancel(s, s->run.call_id);
        s->run.call_id = 0;
        s->run.on_data = NULL;
        fail_stream(s, state, state->err);
        return data.len;
    }
    return data.len - in.len;
}

/* ---- start ---- */

/* FETCH of UIDs alone: the view knows them. */
static void produce_uids(struct imap_session *s)
{
    struct fetch_state *const state = s->run.state;
    const uint32_t total = uidset_count(&state->wanted);
    while (state->produced < total && !imap_session_is_full(s)) {
        char line[64] = "* ";
        const uint32_t uid = uidset_nth(&state->wanted, ++state->produced);
        char *at = imap_put_u64(line + 2, imap_row_place(&state->rows, s->view, uid));
        memcpy(at, " FETCH (UID ", 12);
        at = imap_put_u64(at + 12, uid);
        memcpy(at, ")\r\n", 3);
        vy_buf_append(&s->out, vy_bytes(line, (size_t)(at + 3 - line)));
    }
    if (state->produced == total) {
        imap_end_ok(s, NULL, "FETCH completed");
    }
}

static void call_fetch(struct imap_session *s, struct fetch_state *state)
{
    const struct imap_fetch_args *const args = s->run.args;
    const bool needs_flags = args->sets_seen && !s->view->is_read_only;
    struct vy_bytes uids = {.data = NULL};
    const struct vy_err err = imap_uids_encode(&s->cmd_arena, &state->wanted, &uids);
    if (vy_failed(err)) {
        imap_end_error(s, err);
        return;
    }
    const struct message_fetch_request request = {
        .actor = &s->account.actor,
        .mailbox_id = s->view->mailbox_id,
        .view_id = s->view->view_id,
        .uids = uids,
        .columns =
            imap_items_columns(args->items) | (needs_flags ? (uint32_t)FETCH_COLUMN_FLAGS : 0),
        .sections_count = args->section_count,
        .sections = args->sections,
        .changed_since = args->changed_since,
    };
    s->run.on_data = fetch_on_data;
    imap_call_stream(s, METHOD_SHARD_MESSAGE_FETCH, &request, false);
}

static void fetch_start(struct imap_session *s)
{
    const struct imap_fetch_args *const args = s->run.args;
    struct fetch_state *const state = IMAP_NEW(s, struct fetch_state);
    if (state == NULL) {
        return;
    }
    fetch_reader_init(&state->reader);
    state->rows.items = args->items;
    s->run.state = state;
    s->run.on_free = fetch_free;
    const struct vy_err err = imap_set_resolve(
        &args->set, s->view, (s->run.row->traits & IMAP_BY_UID) != 0, &state->wanted);
    if (vy_failed(err)) {
        imap_end_error(s, err);
    } else if (state->wanted.count == 0) {
        imap_end_ok(s, NULL, "No messages");
    } else if (args->items == IMAP_ITEM_UID && args->section_count == 0) {
        s->run.produce = produce_uids;
    } else {
        call_fetch(s, state);
    }
}

/* ---- end ---- */

static void end_fetch(struct imap_session *s, const struct fetch_state *state)
{
    const struct imap_fetch_args *const args = s->run.args;
    if (state->is_unknown_cte) {
        imap_end_no(s, "UNKNOWN-CTE", "Transfer encoding is not known");
    } else if (state->is_unreadable) {
        imap_end_no(s, "SERVERBUG", "Some messages could not be read");
    } else if (!args->has_changed_since && state->given < uidset_count(&state->wanted)) {
        imap_end_ok(s, "EXPUNGEISSUED", "Some messages are gone");
    } else {
        imap_end_ok(s, NULL, "FETCH completed");
    }
}

static void mark_seen(struct imap_session *s, struct fetch_state *state)
{
    struct vy_bytes uids = {.data = NULL};
    if (vy_failed(uidset_error(&state->to_mark)) ||
        vy_failed(imap_uids_encode(&s->cmd_arena, &state->to_mark, &uids))) {
        end_fetch(s, state);
        return;
    }
    const struct message_store_request request = {
        .actor = &s->account.actor,
        .mailbox_id = s->view->mailbox_id,
        .uids = uids,
        .mode = STORE_MODE_ADD,
        .flags = MAIL_FLAG_SEEN,
        .want_result = true,
    };
    state->is_marking = true;
    imap_call(s, METHOD_SHARD_MESSAGE_STORE, &request, true);
}

/* The flags as they are now, behind the data. A failure leaves the messages unseen: the data was
 * given all the same. */
static void marked(struct imap_session *s, struct fetch_state *state,
                   const struct message_store_reply *reply)
{
    struct imap_row_writer *const rows = VY_ARENA_NEW(&s->cmd_arena, struct imap_row_writer);
    if (reply != NULL && rows != NULL) {
        rows->items = IMAP_ITEM_FLAGS;
        rows->items |= (s->run.row->traits & IMAP_BY_UID) != 0 ? IMAP_ITEM_UID : 0;
        rows->items |= (s->enabled & IMAP_ENABLED_CONDSTORE) != 0 ? IMAP_ITEM_MODSEQ : 0;
        vy_ignore(imap_write_blocks(s, rows, reply->blocks), "told by the next sync instead");
        imap_view_note_own(s->view, reply->modseq, reply->previous_modseq, true);
    }
    end_fetch(s, state);
}

static void fetch_resume(struct imap_session *s, struct vy_err err, const void *message)
{
    struct fetch_state *const state = s->run.state;
    s->run.on_data = NULL;
    if (state->is_marking) {
        marked(s, state, message);
        return;
    }
    if (!vy_failed(err) && !fetch_reader_is_at_end(&state->reader)) {
        err = vy_error(VY_CODE_CORRUPT, "fetch: stream is cut");
    }
    if (vy_failed(err)) {
        fail_stream(s, state, err);
    } else if (state->to_mark.count > 0) {
        mark_seen(s, state);
    } else {
        end_fetch(s, state);
    }
}

/* clang-format off */
static const struct imap_command fetch_rows[] = {
    /* name        legal in           traits         parse             start        resume */
    { "FETCH",     IMAP_IN(SELECTED), IMAP_USES_SEQ, imap_fetch_parse, fetch_start, fetch_resume },
    { "UID FETCH", IMAP_IN(SELECTED), IMAP_BY_UID,   imap_fetch_parse, fetch_start, fetch_resume },
};
/* clang-format on */
const struct imap_extension imap_fetch_commands = {IMAP_COMMANDS(fetch_rows)};
