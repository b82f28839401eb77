/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One command from its gathered text to its tagged line: tag, row, state, arguments, literals, and
 * how it ends. All that depends on which command it is stands in the rows of commands.c.
 */
#include "base/assert.h"
#include "base/secret.h"
#include "frontend/auth/sasl.h"
#include "frontend/imap/imap.h"

#define TAG_SHOWN_BYTES_MAX 128U

/* The tag of what the reader holds, for answers to commands that are not run; "*" when there is
 * none. */
static struct vy_bytes gathered_tag(struct imap_session *s)
{
    struct imap_parser p = {.in = vy_buf_bytes(&s->reader.text), .arena = &s->cmd_arena};
    struct vy_bytes tag = {.data = NULL};
    const bool is_fine = !vy_failed(imap_parse_tag(&p, &tag)) && imap_parser_peek(&p) == ' ' &&
                         tag.len <= TAG_SHOWN_BYTES_MAX;
    return is_fine ? tag : VY_LIT("*");
}

/* One more bad command; the last that is borne ends the session. */
static void count_bad(struct imap_session *s)
{
    s->bad_commands++;
    if (s->bad_commands >= s->limits->bad_commands_max) {
        imap_session_bye(s, "Too many bad commands", "too many bad commands");
    }
}

static void write_bad(struct imap_session *s, struct vy_bytes tag, const char *text)
{
    vy_buf_append(&s->out, tag);
    vy_buf_append_cstr(&s->out, " BAD ");
    vy_buf_append_cstr(&s->out, text);
    vy_buf_append_cstr(&s->out, "\r\n");
}

void imap_run_refuse(struct imap_session *s, const char *text)
{
    write_bad(s, gathered_tag(s), text);
    imap_reader_reset(&s->reader);
    count_bad(s);
}

/* ---- begin ---- */

void imap_run_claim(struct imap_session *s, const struct imap_command *row, struct vy_bytes tag)
{
    VY_ASSERT(s->run.row == NULL);
    s->run = (struct imap_run){
        .row = row, .tag = tag, .text = s->reader.text, .started_ms = s->base.now_ms};
    vy_buf_init(&s->reader.text, s->run.text.limit_bytes);
    imap_reader_reset(&s->reader);
}

static const char *why_not_here(const struct imap_session *s, const struct imap_command *row)
{
    if ((row->states & (1U << s->state)) != 0) {
        return NULL;
    }
    if (s->state == IMAP_STATE_UNAUTHENTICATED) {
        return "Log in first";
    }
    return s->state == IMAP_STATE_AUTHENTICATED && (row->states & IMAP_IN(SELECTED)) != 0
               ? "Select a mailbox first"
               : "Not possible any more";
}

static struct vy_err parse_arguments(struct imap_session *s, struct imap_parser *p)
{
    if (s->run.row->parse != NULL) {
        VY_TRY(s->run.row->parse(s, p));
    }
    return imap_parse_end(p);
}

static void start_row(struct imap_session *s, struct imap_parser *p)
{
    const struct vy_err err = parse_arguments(s, p);
    if (vy_failed(err)) {
        imap_end_error(s, err);
        return;
    }
    if (s->state != IMAP_STATE_UNAUTHENTICATED) {
        s->bad_commands = 0;
    }
    if ((s->run.row->traits & IMAP_CHANGES) != 0 && s->view != NULL && s->view->is_read_only) {
        imap_end_no(s, "READ-ONLY", "Mailbox was opened read-only");
        return;
    }
    s->run.row->start(s);
}

void imap_run_begin(struct imap_session *s)
{
    struct imap_parser p = {.in = imap_reader_text(&s->reader), .arena = &s->cmd_arena};
    struct vy_bytes tag = {.data = NULL};
    if (vy_failed(imap_parse_tag(&p, &tag)) || !imap_parse_try(&p, ' ')) {
        imap_run_refuse(s, "A tag and a command are missing");
        return;
    }
    const struct imap_command *const row = imap_find_command(&p);
    const char *const objection = row == NULL ? "Unknown command" : why_not_here(s, row);
    if (objection != NULL) {
        write_bad(s, tag, objection);
        imap_reader_reset(&s->reader);
        count_bad(s);
        return;
    }
    imap_run_claim(s, row, tag);
    start_row(s, &p);
}

/* ---- literals ---- */

/* The literal is not wanted: BAD now, and its command is passed over. */
static void refuse_literal(struct imap_session *s, const char *text)
{
    write_bad(s, gathered_tag(s), text);
    count_bad(s);
    if (s->state == IMAP_STATE_UNAUTHENTICATED) {
        imap_session_bye(s, "Literal refused", "literal before login");
        return;
    }
    if (s->reader.literal_is_sync) {
        imap_reader_reset(&s->reader); /* the client does not send it */
    } else {
        imap_reader_skip_literal(&s->reader);
    }
}

void imap_run_literal(struct imap_session *s)
{
    const struct imap_reader *const reader = &s->reader;
    if (imap_append_begin(s)) {
        return;
    }
    if (reader->literal_size > s->limits->literal_bytes_max ||
        reader->literal_size > s->limits->command_literal_bytes_max - reader->literal_bytes) {
        refuse_literal(s, "[TOOBIG] Literal is too large");
        return;
    }
    if (reader->literal_is_binary) {
        refuse_literal(s, "No binary literal is expected here");
        return;
    }
    if (reader->literal_is_sync) {
        vy_buf_append_cstr(&s->out, "+ OK\r\n");
    }
    imap_reader_accept_literal(&s->reader);
}

/* ---- end ---- */

void *imap_alloc(struct imap_session *s, size_t size)
{
    void *const memory = vy_arena_alloc(&s->cmd_arena, size);
    if (memory == NULL && s->run.row != NULL && !s->run.is_over) {
        imap_end_no(s, "LIMIT", "Command is too large");
    }
    return memory;
}

void imap_end_line(struct imap_session *s, struct vy_bytes line)
{
    VY_ASSERT(s->run.row != NULL);
    s->run.last_line = line;
    s->run.is_over = true;
    s->run.produce = NULL;
    s->run.on_line = NULL;
    s->run.on_body = NULL;
}

static void end_with(struct imap_session *s, const char *status, const char *code, const char *text)
{
    const char *const line = code == NULL || code[0] == '\0'
                                 ? vy_arena_printf(&s->cmd_arena, "%s %s", status, text)
                                 : vy_arena_printf(&s->cmd_arena, "%s [%s] %s", status, code, text);
    imap_end_line(s, line == NULL ? VY_LIT("NO [LIMIT] Command is too large") : vy_cstr(line));
}

void imap_end_ok(struct imap_session *s, const char *code, const char *text)
{
    end_with(s, "OK", code, text);
}

void imap_end_no(struct imap_session *s, const char *code, const char *text)
{
    end_with(s, "NO", code, text);
}

void imap_end_bad(struct imap_session *s, const char *text)
{
    end_with(s, "BAD", NULL, text);
    count_bad(s);
}

void imap_end_error(struct imap_session *s, struct vy_err err)
{
    if (err.code == VY_CODE_SYNTAX) {
        imap_end_bad(s, err.what);
        return;
    }
    imap_end_no(s, vy_code_imap_code(err.code), vy_code_text(err.code));
}

/* Are changes of the mailbox told at the end of this command? */
static bool wants_sync(const struct imap_session *s)
{
    const uint32_t traits = s->run.row->traits;
    if (s->view == NULL || s->run.is_synced || s->run.closes ||
        (traits & (IMAP_USES_SEQ | IMAP_NO_SYNC)) != 0) {
        return false;
    }
    return (traits & IMAP_SYNC) != 0 || s->run.wants_sync || s->watch.call_id == 0 ||
           imap_view_is_behind(s->view);
}

static void report_command(struct imap_session *s)
{
    const struct vy_bytes line = s->run.last_line;
    struct imap_action *const item = imap_action_new(s, SESSION_COMMAND, 0);
    if (item != NULL) {
        item->action.command = s->run.row->name;
        item->action.started_ms = s->run.started_ms;
        item->action.outcome = vy_bytes_starts_with(line, VY_LIT("OK"))   ? SESSION_OUTCOME_OK
                               : vy_bytes_starts_with(line, VY_LIT("NO")) ? SESSION_OUTCOME_NO
                                                                          : SESSION_OUTCOME_BAD;
    }
}

bool imap_run_complete(struct imap_session *s)
{
    if (s->run.hold_ms > s->base.now_ms && !s->is_draining) {
        return false; /* the answer to a failed sign-in takes its time (5.6) */
    }
    s->base.is_held = false;
    if (wants_sync(s)) {
        s->run.is_synced = true;
        imap_sync_start(s);
    }
    if (s->sync.step != IMAP_SYNC_NONE || s->is_closing) {
        return false;
    }
    vy_buf_append(&s->out, s->run.tag);
    vy_buf_append_byte(&s->out, ' ');
    vy_buf_append(&s->out, s->run.last_line);
    vy_buf_append_cstr(&s->out, "\r\n");
    report_command(s);
    if (s->run.closes) {
        imap_session_close(s, "logout");
    }
    imap_run_clear(s);
    return true;
}

void imap_run_clear(struct imap_session *s)
{
    if (s->run.on_free != NULL) {
        s->run.on_free(s);
    }
    if (s->run.text.data != NULL) {
        vy_wipe(s->run.text.data, s->run.text.capacity); /* LOGIN had a password in it */
    }
    vy_buf_deinit(&s->run.text);
    s->run = (struct imap_run){.row = NULL};
    vy_arena_deinit(&s->cmd_arena);
}
