/* SPDX-License-Identifier: Apache-2.0 */
/*
 * APPEND (RFC 3501 section 6.3.11, UIDPLUS): the message goes from the client to the shard as it
 * comes, as fast as the shard takes it. Its row is never started by the dispatcher with a message:
 * imap_append_begin() takes over when the reader meets the literal. The body ends only after the
 * command's last line end, so a client that is gone in the middle has stored nothing (I21).
 */
#include "base/assert.h"
#include "frontend/imap/commands.h"

struct append_args {
    struct vy_bytes mailbox;
    struct imap_flag_set flags;
    uint64_t internal_ms;
    int32_t zone_minutes;
    uint64_t size_bytes;
};

struct append_state {
    struct append_message message; /* of the request: lives until the shell has taken the call */
    uint64_t left_bytes;
    size_t credit_bytes; /* what the call takes now */
    bool has_ended;      /* the call answered before the body was over */
    struct vy_err err;   /* and that was its answer */
};

static const struct imap_command append_row;

/* ---- arguments, up to the literal ---- */

static struct vy_err parse_until_literal(struct imap_parser *p, struct append_args *args)
{
    VY_TRY(imap_parse_space(p));
    VY_TRY(imap_parse_mailbox(p, &args->mailbox));
    VY_TRY(imap_parse_space(p));
    if (imap_parser_peek(p) == '(') {
        VY_TRY(imap_parse_flags(p, /* bare_allowed = */ false, &args->flags));
        VY_TRY(imap_parse_space(p));
    }
    if (imap_parser_peek(p) == '"') {
        VY_TRY(imap_parse_date_time(p, &args->internal_ms, &args->zone_minutes));
        VY_TRY(imap_parse_space(p));
    }
    (void)imap_parse_try(p, '~');
    return imap_parser_peek(p) == '{' ? vy_ok() : vy_error(VY_CODE_SYNTAX, "message is missing");
}

/* A row without its message: every well-formed APPEND was taken over before. */
static struct vy_err append_parse(struct imap_session *s, struct imap_parser *p)
{
    (void)s;
    struct append_args args = {.size_bytes = 0};
    VY_TRY(parse_until_literal(p, &args));
    return vy_error(VY_CODE_SYNTAX, "message is missing");
}

static void append_start(struct imap_session *s)
{
    imap_end_bad(s, "message is missing");
}

/* ---- the body ---- */

static void end_refused(struct imap_session *s, struct vy_err err)
{
    if (err.code == VY_CODE_NOT_FOUND) {
        imap_end_no(s, "TRYCREATE", "Mailbox does not exist");
        return;
    }
    imap_end_error(s, err);
}

static void end_body(struct imap_session *s)
{
    struct append_state *const state = s->run.state;
    if (state->has_ended) {
        end_refused(s, state->err);
        return;
    }
    struct imap_action *const item = imap_action_new(s, SESSION_CALL_END, 0);
    if (item != NULL) {
        item->action.call_id = s->run.call_id;
    }
}

/* Behind the literal: the end of the command, or a second message that we do not take. */
static void append_on_line(struct imap_session *s, struct vy_bytes line)
{
    s->run.on_line = NULL;
    if (line.len == 0) {
        end_body(s);
        return;
    }
    imap_call_cancel(s, s->run.call_id);
    s->run.call_id = 0;
    if (vy_bytes_ends_with(line, VY_LIT("+}"))) {
        /* A second message is on its way unasked: its bytes must never be read as commands. */
        vy_buf_append_cstr(&s->out, "* BYE MULTIAPPEND is not supported\r\n");
        s->run.closes = true;
    }
    imap_end_bad(s, "one message, no more");
}

static bool send_body(struct imap_session *s, struct vy_bytes bytes)
{
    struct imap_action *const item = imap_action_new(s, SESSION_CALL_SEND, bytes.len);
    if (item == NULL) {
        return false;
    }
    memcpy(item->payload, bytes.data, bytes.len);
    item->action.call_id = s->run.call_id;
    item->action.bytes = vy_bytes(item->payload, bytes.len);
    return true;
}

static size_t append_on_body(struct imap_session *s, struct vy_bytes bytes)
{
    struct append_state *const state = s->run.state;
    size_t size = (size_t)VY_MIN((uint64_t)bytes.len, state->left_bytes);
    if (!state->has_ended) {
        size = VY_MIN(size, state->credit_bytes);
        if (size > 0 && !send_body(s, vy_bytes_slice(bytes, 0, size))) {
            return 0;
        }
        state->credit_bytes -= size;
    }
    state->left_bytes -= size;
    if (state->left_bytes == 0) {
        s->run.on_body = NULL;
        s->run.on_line = append_on_line;
    }
    return size;
}

static void append_on_writable(struct imap_session *s, size_t bytes)
{
    struct append_state *const state = s->run.state;
    state->credit_bytes += bytes;
}

/* ---- start ---- */

static struct vy_err make_request(struct imap_session *s, const struct append_args *args)
{
    struct append_state *const state = VY_ARENA_NEW(&s->cmd_arena, struct append_state);
    if (state == NULL) {
        return vy_error(VY_CODE_LIMIT, "command is too large");
    }
    s->run.state = state;
    state->left_bytes = args->size_bytes;
    state->message = (struct append_message){
        .flags = args->flags.flags,
        .keywords_count = args->flags.keyword_count,
        .keywords = args->flags.keywords,
        .internal_ms = args->internal_ms,
        .internal_zone_minutes = args->zone_minutes,
        .size_bytes = args->size_bytes,
    };
    const struct message_append_request request = {
        .actor = &s->account.actor,
        .mailbox_name = args->mailbox,
        .messages_count = 1,
        .messages = &state->message,
    };
    imap_call_stream(s, METHOD_SHARD_MESSAGE_APPEND, &request, true);
    return vy_ok();
}

/* NO instead of taking the message; a message that comes unasked is passed over. */
static void refuse_message(struct imap_session *s, struct vy_bytes tag, const char *text)
{
    vy_buf_append(&s->out, tag);
    vy_buf_append_cstr(&s->out, text);
    if (s->reader.literal_is_sync) {
        imap_reader_reset(&s->reader);
    } else {
        imap_reader_skip_literal(&s->reader);
    }
}

bool imap_append_begin(struct imap_session *s)
{
    struct imap_parser p = {.in = vy_buf_bytes(&s->reader.text), .arena = &s->cmd_arena};
    struct vy_bytes tag = {.data = NULL};
    struct append_args args = {.size_bytes = s->reader.literal_size};
    if ((append_row.states & (1U << s->state)) == 0 || vy_failed(imap_parse_tag(&p, &tag)) ||
        !imap_parse_try(&p, ' ') || !imap_parse_try_word(&p, append_row.name)) {
        return false;
    }
    if (vy_failed(parse_until_literal(&p, &args))) {
        return false; /* the literal is the mailbox name, or the command is bad: it is gathered and
                         answered BAD */
    }
    if (args.size_bytes == 0 || args.size_bytes > s->limits->append_bytes_max) {
        refuse_message(s, tag, " NO [TOOBIG] Message is empty or too large\r\n");
        return true;
    }
    const bool is_sync = s->reader.literal_is_sync;
    imap_run_claim(s, &append_row, tag);
    const struct vy_err err = make_request(s, &args);
    if (vy_failed(err)) {
        imap_end_error(s, err);
        return true;
    }
    s->run.on_body = append_on_body;
    s->run.on_writable = append_on_writable;
    if (is_sync) {
        vy_buf_append_cstr(&s->out, "+ OK\r\n");
    }
    return true;
}

/* ---- end ---- */

static void end_stored(struct imap_session *s, const struct message_append_reply *reply)
{
    struct uidset uids = {.ranges = NULL};
    const char *code = NULL;
    if (!vy_failed(uidset_decode(reply->uids, &uids)) && uids.count > 0) {
        code = vy_arena_printf(&s->cmd_arena, "APPENDUID %u %u", reply->uidvalidity,
                               uids.ranges[0].first);
    }
    uidset_deinit(&uids);
    /* RFC 3501 section 6.3.11: the new message is told at once when its mailbox is the selected
     * one. */
    s->run.wants_sync = s->view != NULL && s->view->mailbox_id == reply->mailbox_id;
    imap_end_ok(s, code, "APPEND completed");
}

static void append_resume(struct imap_session *s, struct vy_err err, const void *message)
{
    struct append_state *const state = s->run.state;
    if (s->run.on_body != NULL || s->run.on_line != NULL) {
        /* Answered early: the rest of the message still has to be read. */
        state->has_ended = true;
        state->err =
            vy_failed(err) ? err : vy_error(VY_CODE_CORRUPT, "append ended before its body");
        return;
    }
    if (vy_failed(err)) {
        end_refused(s, err);
        return;
    }
    end_stored(s, message);
}

/* clang-format off */
static const struct imap_command append_row =
    /* name     legal in         traits  parse         start         resume */
    { "APPEND", IMAP_IN_ACCOUNT, 0,      append_parse, append_start, append_resume };
/* clang-format on */
const struct imap_extension imap_append_commands = {.commands = &append_row, .command_count = 1};
