/* SPDX-License-Identifier: Apache-2.0 */
/* SELECT, EXAMINE and CLOSE (RFC 3501 section 6.3.1, 6.3.2, 6.4.2), with CONDSTORE (RFC 7162) and
 * OBJECTID (RFC 8474). */
#include "base/assert.h"
#include "frontend/imap/commands.h"

struct select_args {
    struct vy_bytes name;
    bool is_read_only;
    bool has_left; /* another mailbox, which the answer tells first (RFC 7162 section 3.2.11) */
    uint64_t view_id;
};

/* SP "(" select-param *(SP select-param) ")"; CONDSTORE is the one we know. */
static struct vy_err parse_params(struct imap_session *s, struct imap_parser *p)
{
    if (!imap_parse_try(p, ' ')) {
        return vy_ok();
    }
    VY_TRY(imap_parse_byte(p, '(', "parameters are missing"));
    do {
        if (!imap_parse_try_word(p, "CONDSTORE")) {
            return vy_error(VY_CODE_SYNTAX, "unknown parameter");
        }
        s->enabled |= IMAP_ENABLED_CONDSTORE;
    } while (imap_parse_try(p, ' '));
    return imap_parse_byte(p, ')', "parameters do not end");
}

static struct vy_err select_parse(struct imap_session *s, struct imap_parser *p)
{
    struct select_args *const args = VY_ARENA_NEW(p->arena, struct select_args);
    if (args == NULL) {
        return vy_error(VY_CODE_LIMIT, "command is too large");
    }
    s->run.args = args;
    VY_TRY(imap_parse_space(p));
    VY_TRY(imap_parse_mailbox(p, &args->name));
    return parse_params(s, p);
}

static void open_mailbox(struct imap_session *s, bool is_read_only)
{
    struct select_args *const args = s->run.args;
    /* A failed SELECT leaves nothing selected (RFC 3501 section 6.3.1). */
    if (s->view != NULL) {
        imap_session_leave_mailbox(s);
        args->has_left = true;
    }
    imap_watch_open(s);
    args->is_read_only = is_read_only;
    args->view_id = imap_session_random(s) | 1;
    const struct mailbox_open_request request = {
        .actor = &s->account.actor,
        .name = args->name,
        .view_id = args->view_id,
        .read_only = is_read_only,
    };
    imap_call(s, METHOD_SHARD_MAILBOX_OPEN, &request, !is_read_only);
}

static void select_start(struct imap_session *s)
{
    open_mailbox(s, false);
}

static void examine_start(struct imap_session *s)
{
    open_mailbox(s, true);
}

static struct vy_err fill_view(struct imap_view *view, const struct select_args *args,
                               const struct mailbox_open_reply *reply)
{
    if (reply->info == NULL) {
        return vy_error(VY_CODE_CORRUPT, "mailbox without information");
    }
    view->mailbox_id = reply->info->mailbox_id;
    view->view_id = args->view_id;
    view->uidvalidity = reply->info->uidvalidity;
    view->uidnext = reply->info->uidnext;
    view->is_read_only = args->is_read_only;
    view->told_modseq = reply->info->highest_modseq;
    VY_TRY(uidset_decode(reply->uids, &view->uids));
    VY_TRY(uidset_decode(reply->recent_uids, &view->recent));
    return imap_view_set_keywords(view, reply->keywords, reply->keywords_count);
}

static void write_selected(struct imap_session *s, const struct mailbox_open_reply *reply)
{
    const struct imap_view *const view = s->view;
    uint8_t id[8];
    vy_put_be64(id, view->mailbox_id);
    imap_write_flags_known(s);
    vy_buf_printf(&s->out, "* %u EXISTS\r\n* %u RECENT\r\n", imap_view_exists(view),
                  uidset_count(&view->recent));
    const uint32_t unseen = uidset_rank(&view->uids, reply->first_unseen_uid);
    if (unseen != 0) {
        vy_buf_printf(&s->out, "* OK [UNSEEN %u] First unseen\r\n", unseen);
    }
    vy_buf_printf(&s->out,
                  "* OK [UIDVALIDITY %u] UIDs valid\r\n* OK [UIDNEXT %u] Predicted next UID\r\n",
                  view->uidvalidity, view->uidnext);
    vy_buf_printf(&s->out, "* OK [HIGHESTMODSEQ %llu] Highest\r\n",
                  (unsigned long long)view->told_modseq);
    vy_buf_append_cstr(&s->out, "* OK [MAILBOXID (");
    imap_write_object_id(&s->out, 'F', id, sizeof(id));
    vy_buf_append_cstr(&s->out, ")] Ok\r\n");
}

static void select_resume(struct imap_session *s, struct vy_err err, const void *message)
{
    const struct mailbox_open_reply *const reply = message;
    const struct select_args *const args = s->run.args;
    struct imap_view *view = NULL;
    if (args->has_left) {
        vy_buf_append_cstr(&s->out, "* OK [CLOSED] Previous mailbox is closed\r\n");
    }
    if (!vy_failed(err)) {
        err = imap_view_new(args->name, &view);
    }
    if (!vy_failed(err)) {
        err = fill_view(view, args, reply);
    }
    if (vy_failed(err)) {
        imap_view_free(view);
        imap_end_error(s, err);
        return;
    }
    s->view = view;
    imap_session_move(s, IMAP_STATE_SELECTED);
    write_selected(s, reply);
    imap_end_ok(s, args->is_read_only ? "READ-ONLY" : "READ-WRITE", "Selected");
}

/* ---- CLOSE: expunges without telling, then leaves ---- */

static void close_leave(struct imap_session *s)
{
    imap_session_leave_mailbox(s);
    imap_end_ok(s, NULL, "CLOSE completed");
}

static void close_start(struct imap_session *s)
{
    if (s->view->is_read_only) {
        close_leave(s);
        return;
    }
    const struct message_expunge_request request = {
        .actor = &s->account.actor,
        .mailbox_id = s->view->mailbox_id,
    };
    imap_call(s, METHOD_SHARD_MESSAGE_EXPUNGE, &request, true);
}

static void close_resume(struct imap_session *s, struct vy_err err, const void *message)
{
    (void)message;
    if (vy_failed(err)) {
        imap_end_error(s, err); /* still selected: nothing is lost unseen */
        return;
    }
    close_leave(s);
}

/* clang-format off */
static const struct imap_command select_rows[] = {
    /* name      legal in           traits        parse         start          resume */
    { "SELECT",  IMAP_IN_ACCOUNT,   IMAP_NO_SYNC, select_parse, select_start,  select_resume },
    { "EXAMINE", IMAP_IN_ACCOUNT,   IMAP_NO_SYNC, select_parse, examine_start, select_resume },
    { "CLOSE",   IMAP_IN(SELECTED), IMAP_NO_SYNC, NULL,         close_start,   close_resume },
};
/* clang-format on */
const struct imap_extension imap_select_commands = {IMAP_COMMANDS(select_rows)};
