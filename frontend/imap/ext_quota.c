/* SPDX-License-Identifier: Apache-2.0 */
/* QUOTA (RFC 2087, RFC 9208): one root "" for the account, resources STORAGE (KiB) and MESSAGE;
 * SETQUOTA is not ours. */
#include "frontend/imap/commands.h"

struct quota_args {
    struct vy_bytes name; /* root, or mailbox */
    bool is_root;
    bool is_known; /* the mailbox is there: the quota is being asked for */
};

static struct vy_err new_args(struct imap_session *s, struct imap_parser *p,
                              struct quota_args **out)
{
    struct quota_args *const args = VY_ARENA_NEW(p->arena, struct quota_args);
    if (args == NULL) {
        return vy_error(VY_CODE_LIMIT, "command is too large");
    }
    s->run.args = args;
    *out = args;
    return imap_parse_space(p);
}

static struct vy_err getquota_parse(struct imap_session *s, struct imap_parser *p)
{
    struct quota_args *args = NULL;
    VY_TRY(new_args(s, p, &args));
    args->is_root = true;
    return imap_parse_astring(p, &args->name);
}

static struct vy_err getquotaroot_parse(struct imap_session *s, struct imap_parser *p)
{
    struct quota_args *args = NULL;
    VY_TRY(new_args(s, p, &args));
    return imap_parse_mailbox(p, &args->name);
}

static void call_quota(struct imap_session *s)
{
    struct quota_args *const args = s->run.args;
    const struct quota_request request = {.actor = &s->account.actor};
    args->is_known = true;
    imap_call(s, METHOD_SHARD_QUOTA, &request, false);
}

static void getquota_start(struct imap_session *s)
{
    const struct quota_args *const args = s->run.args;
    if (args->name.len != 0) {
        imap_end_no(s, "NONEXISTENT", "No such quota root"); /* I29 */
        return;
    }
    call_quota(s);
}

static void getquotaroot_start(struct imap_session *s)
{
    const struct quota_args *const args = s->run.args;
    const struct mailbox_list_request request = {.actor = &s->account.actor,
                                                 .only_name = args->name};
    if (args->name.len == 0) { /* to the shard no name means all */
        imap_end_no(s, "NONEXISTENT", "No such mailbox");
        return;
    }
    imap_call(s, METHOD_SHARD_MAILBOX_LIST, &request, false);
}

static void write_quota(struct imap_session *s, const struct quota_reply *reply)
{
    const char *separator = "";
    vy_buf_append_cstr(&s->out, "* QUOTA \"\" (");
    if (reply->limit_bytes != 0) {
        vy_buf_printf(&s->out, "STORAGE %llu %llu",
                      (unsigned long long)((reply->used_bytes + 1023) / 1024),
                      (unsigned long long)(reply->limit_bytes / 1024));
        separator = " ";
    }
    if (reply->message_limit != 0) {
        vy_buf_printf(&s->out, "%sMESSAGE %llu %llu", separator,
                      (unsigned long long)reply->message_count,
                      (unsigned long long)reply->message_limit);
    }
    vy_buf_append_cstr(&s->out, ")\r\n");
}

static void quota_resume(struct imap_session *s, struct vy_err err, const void *message)
{
    const struct quota_args *const args = s->run.args;
    if (!args->is_known && !vy_failed(err) &&
        ((const struct mailbox_list_reply *)message)->mailboxes_count == 0) {
        err = vy_error(VY_CODE_NOT_FOUND, "mailbox");
    }
    if (vy_failed(err)) {
        imap_end_error(s, err);
        return;
    }
    if (!args->is_known) {
        call_quota(s);
        return;
    }
    if (!args->is_root) {
        vy_buf_append_cstr(&s->out, "* QUOTAROOT ");
        imap_write_mailbox(&s->out, args->name);
        vy_buf_append_cstr(&s->out, " \"\"\r\n");
    }
    write_quota(s, message);
    imap_end_ok(s, NULL, "Done");
}

/* clang-format off */
static const struct imap_command quota_rows[] = {
    /* name           legal in         traits  parse               start               resume */
    { "GETQUOTA",     IMAP_IN_ACCOUNT, 0,      getquota_parse,     getquota_start,     quota_resume },
    { "GETQUOTAROOT", IMAP_IN_ACCOUNT, 0,      getquotaroot_parse, getquotaroot_start, quota_resume },
};
/* clang-format on */
const struct imap_extension imap_ext_quota = {.capability =
                                                  "QUOTA QUOTA=RES-STORAGE QUOTA=RES-MESSAGE",
                                              .capability_states = IMAP_IN_ACCOUNT,
                                              IMAP_COMMANDS(quota_rows)};
