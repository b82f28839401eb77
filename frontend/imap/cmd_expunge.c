/* SPDX-License-Identifier: Apache-2.0 */
/* EXPUNGE (RFC 3501 section 6.4.3) and UID EXPUNGE (UIDPLUS, RFC 4315 section 2.1). */
#include "frontend/imap/commands.h"

struct expunge_args {
    struct seqset set;
};

static struct vy_err uid_expunge_parse(struct imap_session *s, struct imap_parser *p)
{
    struct expunge_args *const args = VY_ARENA_NEW(p->arena, struct expunge_args);
    if (args == NULL) {
        return vy_error(VY_CODE_LIMIT, "command is too large");
    }
    s->run.args = args;
    VY_TRY(imap_parse_space(p));
    return imap_parse_set(p, &args->set);
}

static void call_expunge(struct imap_session *s, struct vy_bytes uids)
{
    const struct message_expunge_request request = {
        .actor = &s->account.actor,
        .mailbox_id = s->view->mailbox_id,
        .uids = uids,
    };
    imap_call(s, METHOD_SHARD_MESSAGE_EXPUNGE, &request, true);
}

static void expunge_start(struct imap_session *s)
{
    call_expunge(s, vy_bytes(NULL, 0));
}

static void uid_expunge_start(struct imap_session *s)
{
    const struct expunge_args *const args = s->run.args;
    struct vy_bytes uids = {.data = NULL};
    const struct vy_err err = imap_set_encode(s, &args->set, /* by_uid = */ true, &uids);
    if (vy_failed(err)) {
        imap_end_error(s, err);
    } else if (uids.len == 0) {
        imap_end_ok(s, NULL, "No messages"); /* an empty set would mean all of them to the shard */
    } else {
        call_expunge(s, uids);
    }
}

static void expunge_resume(struct imap_session *s, struct vy_err err, const void *message)
{
    const struct message_expunge_reply *const reply = message;
    struct uidset gone = {.ranges = NULL};
    if (!vy_failed(err)) {
        err = uidset_decode(reply->vanished, &gone);
    }
    if (!vy_failed(err)) {
        err = imap_view_expunge(s->view, &gone, &s->out);
    }
    uidset_deinit(&gone);
    if (vy_failed(err)) {
        imap_end_error(s, err);
        return;
    }
    imap_view_note_own(s->view, reply->modseq, reply->previous_modseq, true);
    if (reply->modseq != 0 && (s->enabled & IMAP_ENABLED_CONDSTORE) != 0) {
        const char *const code =
            vy_arena_printf(&s->cmd_arena, "HIGHESTMODSEQ %llu", (unsigned long long)reply->modseq);
        imap_end_ok(s, code, "EXPUNGE completed");
        return;
    }
    imap_end_ok(s, NULL, "EXPUNGE completed");
}

/* clang-format off */
static const struct imap_command expunge_rows[] = {
    /* name          legal in           traits                      parse              start              resume */
    { "EXPUNGE",     IMAP_IN(SELECTED), IMAP_CHANGES,               NULL,              expunge_start,     expunge_resume },
};
static const struct imap_command uidplus_rows[] = {
    { "UID EXPUNGE", IMAP_IN(SELECTED), IMAP_CHANGES | IMAP_BY_UID, uid_expunge_parse, uid_expunge_start, expunge_resume },
};
/* clang-format on */
const struct imap_extension imap_expunge_commands = {IMAP_COMMANDS(expunge_rows)};
const struct imap_extension imap_ext_uidplus = {
    .capability = "UIDPLUS", .capability_states = IMAP_IN_ACCOUNT, IMAP_COMMANDS(uidplus_rows)};
