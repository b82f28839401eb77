/* SPDX-License-Identifier: Apache-2.0 */
/* COPY (RFC 3501 section 6.4.7) and MOVE (RFC 6851), with COPYUID (RFC 4315). */
#include "base/assert.h"
#include "frontend/imap/commands.h"

struct copy_args {
    struct seqset set;
    struct vy_bytes target;
};

static struct vy_err copy_parse(struct imap_session *s, struct imap_parser *p)
{
    struct copy_args *const args = VY_ARENA_NEW(p->arena, struct copy_args);
    if (args == NULL) {
        return vy_error(VY_CODE_LIMIT, "command is too large");
    }
    s->run.args = args;
    VY_TRY(imap_parse_space(p));
    VY_TRY(imap_parse_set(p, &args->set));
    VY_TRY(imap_parse_space(p));
    return imap_parse_mailbox(p, &args->target);
}

static void call_copy(struct imap_session *s, bool move)
{
    const struct copy_args *const args = s->run.args;
    const bool by_uid = (s->run.row->traits & IMAP_BY_UID) != 0;
    struct vy_bytes uids = {.data = NULL};
    struct vy_err err = imap_set_encode(s, &args->set, by_uid, &uids);
    if (vy_failed(err)) {
        imap_end_error(s, err);
        return;
    }
    if (uids.len == 0) {
        imap_end_ok(s, NULL, "No messages"); /* RFC 4315 section 3: no COPYUID without a copy */
        return;
    }
    const struct message_copy_request request = {
        .actor = &s->account.actor,
        .mailbox_id = s->view->mailbox_id,
        .uids = uids,
        .target_name = args->target,
        .move = move,
    };
    imap_call(s, METHOD_SHARD_MESSAGE_COPY, &request, true);
}

static void copy_start(struct imap_session *s)
{
    call_copy(s, false);
}

static void move_start(struct imap_session *s)
{
    call_copy(s, true);
}

/* "COPYUID uidvalidity sources targets" in cmd_arena; NULL: nothing was copied. */
static const char *copyuid_code(struct imap_session *s, const struct message_copy_reply *reply,
                                const struct uidset *sources, const struct uidset *targets)
{
    if (sources->count == 0) {
        return NULL;
    }
    struct vy_buf text;
    vy_buf_init(&text, IMAP_CMD_ARENA_BYTES_MAX / 2);
    vy_buf_printf(&text, "COPYUID %u ", reply->uidvalidity);
    uidset_append_text(&text, sources);
    vy_buf_append_byte(&text, ' ');
    uidset_append_text(&text, targets);
    const char *const code = vy_arena_cstr(&s->cmd_arena, vy_buf_bytes(&text));
    vy_buf_deinit(&text);
    return code;
}

static void end_copied(struct imap_session *s, const struct message_copy_reply *reply, bool moved)
{
    struct uidset sources = {.ranges = NULL};
    struct uidset targets = {.ranges = NULL};
    struct vy_err err = uidset_decode(reply->source_uids, &sources);
    if (!vy_failed(err)) {
        err = uidset_decode(reply->target_uids, &targets);
    }
    const char *const code = vy_failed(err) ? NULL : copyuid_code(s, reply, &sources, &targets);
    if (!vy_failed(err) && moved) {
        if (code != NULL) { /* RFC 6851 section 4.3: COPYUID is told before the EXPUNGEs */
            vy_buf_append_cstr(&s->out, "* OK [");
            vy_buf_append_cstr(&s->out, code);
            vy_buf_append_cstr(&s->out, "] Moved\r\n");
        }
        err = imap_view_expunge(s->view, &sources, &s->out);
        imap_view_note_own(s->view, reply->modseq, reply->previous_modseq, true);
    }
    uidset_deinit(&sources);
    uidset_deinit(&targets);
    if (vy_failed(err)) {
        imap_end_error(s, err);
        return;
    }
    s->run.wants_sync =
        !moved && vy_bytes_equal(((const struct copy_args *)s->run.args)->target, s->view->name);
    imap_end_ok(s, moved ? NULL : code, "Done");
}

static void resume(struct imap_session *s, struct vy_err err,
                   const struct message_copy_reply *reply, bool moved)
{
    if (err.code == VY_CODE_NOT_FOUND) {
        imap_end_no(s, "TRYCREATE", "Mailbox does not exist");
    } else if (vy_failed(err)) {
        imap_end_error(s, err);
    } else {
        end_copied(s, reply, moved);
    }
}

static void copy_resume(struct imap_session *s, struct vy_err err, const void *message)
{
    resume(s, err, message, false);
}

static void move_resume(struct imap_session *s, struct vy_err err, const void *message)
{
    resume(s, err, message, true);
}

/* clang-format off */
static const struct imap_command copy_rows[] = {
    /* name       legal in           traits                        parse       start       resume */
    { "COPY",     IMAP_IN(SELECTED), 0,                            copy_parse, copy_start, copy_resume },
    { "UID COPY", IMAP_IN(SELECTED), IMAP_BY_UID,                  copy_parse, copy_start, copy_resume },
};
static const struct imap_command move_rows[] = {
    { "MOVE",     IMAP_IN(SELECTED), IMAP_CHANGES,                 copy_parse, move_start, move_resume },
    { "UID MOVE", IMAP_IN(SELECTED), IMAP_CHANGES | IMAP_BY_UID,   copy_parse, move_start, move_resume },
};
/* clang-format on */
const struct imap_extension imap_copy_commands = {IMAP_COMMANDS(copy_rows)};
const struct imap_extension imap_ext_move = {
    .capability = "MOVE", .capability_states = IMAP_IN_ACCOUNT, IMAP_COMMANDS(move_rows)};
