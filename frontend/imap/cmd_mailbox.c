/* SPDX-License-Identifier: Apache-2.0 */
/* CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE (RFC 3501 section 6.3.3 to 6.3.7; CREATE with USE:
 * RFC 6154). */
#include "base/assert.h"
#include "frontend/imap/commands.h"
#include "frontend/imap/roles.h"

#define NAME_DEPTH_MAX 32U /* I11 */
#define NAME_LEVEL_BYTES_MAX 255U

struct mailbox_args {
    struct vy_bytes name;
    struct vy_bytes to;
    enum mailbox_role role;
    bool is_unknown_use; /* CREATE with a use that we do not know */
};

/* Names that can be made: levels of 1..255 bytes, 32 at most, no control bytes, none of spaces
 * alone (I11). */
static struct vy_err check_new_name(struct vy_bytes name)
{
    struct vy_bytes rest = name;
    uint32_t depth = 0;
    while (rest.len > 0) {
        const struct vy_bytes level = vy_bytes_cut(&rest, '/');
        depth++;
        if (vy_bytes_trim(level).len == 0) {
            return vy_error(VY_CODE_ARGUMENT, "empty level in a mailbox name");
        }
        if (level.len > NAME_LEVEL_BYTES_MAX || depth > NAME_DEPTH_MAX) {
            return vy_error(VY_CODE_LIMIT, "mailbox name is too long");
        }
    }
    for (size_t i = 0; i < name.len; i++) {
        const uint8_t c = name.data[i];
        if (c < ' ' || c == 0x7f || c == '%' || c == '*') {
            return vy_error(VY_CODE_ARGUMENT, "mailbox name cannot be used");
        }
    }
    return name.len > 0 ? vy_ok() : vy_error(VY_CODE_ARGUMENT, "mailbox name is empty");
}

static struct vy_err new_args(struct imap_session *s, struct imap_parser *p,
                              struct mailbox_args **out)
{
    struct mailbox_args *const args = VY_ARENA_NEW(p->arena, struct mailbox_args);
    if (args == NULL) {
        return vy_error(VY_CODE_LIMIT, "command is too large");
    }
    s->run.args = args;
    *out = args;
    VY_TRY(imap_parse_space(p));
    return imap_parse_mailbox(p, &args->name);
}

static struct vy_err name_parse(struct imap_session *s, struct imap_parser *p)
{
    struct mailbox_args *args = NULL;
    return new_args(s, p, &args);
}

/* SP "(USE (\Sent))" */
static struct vy_err parse_use(struct imap_parser *p, struct mailbox_args *args)
{
    struct vy_bytes flag = {.data = NULL};
    VY_TRY(imap_parse_byte(p, '(', "parameters are missing"));
    if (!imap_parse_try_word(p, "USE")) {
        return vy_error(VY_CODE_SYNTAX, "unknown parameter");
    }
    VY_TRY(imap_parse_space(p));
    VY_TRY(imap_parse_byte(p, '(', "a list of uses is missing"));
    VY_TRY(imap_parse_flag(p, &flag));
    VY_TRY(imap_parse_byte(p, ')', "one use, no more"));
    VY_TRY(imap_parse_byte(p, ')', "parameters do not end"));
    args->role = imap_role_find(flag);
    args->is_unknown_use = args->role == MAILBOX_ROLE_NONE;
    return vy_ok();
}

static struct vy_err create_parse(struct imap_session *s, struct imap_parser *p)
{
    struct mailbox_args *args = NULL;
    VY_TRY(new_args(s, p, &args));
    if (args->name.len > 1 && args->name.data[args->name.len - 1] == '/') {
        args->name.len--; /* RFC 3501 section 6.3.3: a hint that names below it will follow */
    }
    return imap_parse_try(p, ' ') ? parse_use(p, args) : vy_ok();
}

static void create_start(struct imap_session *s)
{
    const struct mailbox_args *const args = s->run.args;
    const struct vy_err err = check_new_name(args->name);
    if (vy_failed(err)) {
        imap_end_error(s, err);
        return;
    }
    if (args->is_unknown_use) {
        imap_end_no(s, "USEATTR", "Special use is not known");
        return;
    }
    const struct mailbox_create_request request = {
        .actor = &s->account.actor, .name = args->name, .role = args->role};
    imap_call(s, METHOD_SHARD_MAILBOX_CREATE, &request, true);
}

static void create_resume(struct imap_session *s, struct vy_err err, const void *message)
{
    const struct mailbox_create_reply *const reply = message;
    if (vy_failed(err)) {
        imap_end_error(s, err);
        return;
    }
    const char *const code = vy_arena_printf(&s->cmd_arena, "MAILBOXID (F%016llx)",
                                             (unsigned long long)reply->mailbox_id);
    imap_end_ok(s, code, "CREATE completed");
}

static void delete_start(struct imap_session *s)
{
    const struct mailbox_args *const args = s->run.args;
    if (vy_bytes_equal(args->name, VY_LIT("INBOX"))) {
        imap_end_no(s, "CANNOT", "INBOX cannot be deleted");
        return;
    }
    const struct mailbox_delete_request request = {.actor = &s->account.actor, .name = args->name};
    imap_call(s, METHOD_SHARD_MAILBOX_DELETE, &request, true);
}

static void delete_resume(struct imap_session *s, struct vy_err err, const void *message)
{
    (void)message;
    const struct mailbox_args *const args = s->run.args;
    if (vy_failed(err)) {
        imap_end_error(s, err);
        return;
    }
    if (s->view != NULL && vy_bytes_equal(s->view->name, args->name)) {
        imap_session_leave_mailbox(s);
        vy_buf_append_cstr(&s->out, "* OK [CLOSED] Selected mailbox was deleted\r\n");
    }
    imap_end_ok(s, NULL, "DELETE completed");
}

static struct vy_err rename_parse(struct imap_session *s, struct imap_parser *p)
{
    struct mailbox_args *args = NULL;
    VY_TRY(new_args(s, p, &args));
    VY_TRY(imap_parse_space(p));
    return imap_parse_mailbox(p, &args->to);
}

static void rename_start(struct imap_session *s)
{
    const struct mailbox_args *const args = s->run.args;
    const struct vy_err err = check_new_name(args->to);
    if (vy_failed(err)) {
        imap_end_error(s, err);
        return;
    }
    const struct mailbox_rename_request request = {
        .actor = &s->account.actor, .from = args->name, .to = args->to};
    imap_call(s, METHOD_SHARD_MAILBOX_RENAME, &request, true);
}

static void subscribe_call(struct imap_session *s, bool subscribed)
{
    const struct mailbox_args *const args = s->run.args;
    const struct mailbox_subscribe_request request = {
        .actor = &s->account.actor, .name = args->name, .subscribed = subscribed};
    imap_call(s, METHOD_SHARD_MAILBOX_SUBSCRIBE, &request, true);
}

static void subscribe_start(struct imap_session *s)
{
    subscribe_call(s, true);
}

static void unsubscribe_start(struct imap_session *s)
{
    subscribe_call(s, false);
}

static void done_resume(struct imap_session *s, struct vy_err err, const void *message)
{
    (void)message;
    if (vy_failed(err)) {
        imap_end_error(s, err);
        return;
    }
    imap_end_ok(s, NULL, "Done");
}

/* clang-format off */
static const struct imap_command mailbox_rows[] = {
    /* name          legal in         traits        parse         start              resume */
    { "CREATE",      IMAP_IN_ACCOUNT, 0,            create_parse, create_start,      create_resume },
    { "DELETE",      IMAP_IN_ACCOUNT, 0,            name_parse,   delete_start,      delete_resume },
    { "RENAME",      IMAP_IN_ACCOUNT, 0,            rename_parse, rename_start,      done_resume },
    { "SUBSCRIBE",   IMAP_IN_ACCOUNT, 0,            name_parse,   subscribe_start,   done_resume },
    { "UNSUBSCRIBE", IMAP_IN_ACCOUNT, 0,            name_parse,   unsubscribe_start, done_resume },
};
/* clang-format on */
const struct imap_extension imap_mailbox_commands = {IMAP_COMMANDS(mailbox_rows)};
