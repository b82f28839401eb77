/* SPDX-License-Identifier: Apache-2.0 */
/* STATUS (RFC 3501 section 6.3.10; SIZE: RFC 8438; HIGHESTMODSEQ: RFC 7162; MAILBOXID: RFC 8474;
 * DELETED: RFC 9051). */
#include "base/assert.h"
#include "frontend/imap/commands.h"
#include "frontend/imap/status.h"

enum status_item {
    STATUS_MESSAGES,
    STATUS_RECENT,
    STATUS_UIDNEXT,
    STATUS_UIDVALIDITY,
    STATUS_UNSEEN,
    STATUS_SIZE,
    STATUS_HIGHESTMODSEQ,
    STATUS_MAILBOXID,
    STATUS_DELETED,
    STATUS_COUNT
};

static const char *const item_names[STATUS_COUNT] = {
    [STATUS_MESSAGES] = "MESSAGES",
    [STATUS_RECENT] = "RECENT",
    [STATUS_UIDNEXT] = "UIDNEXT",
    [STATUS_UIDVALIDITY] = "UIDVALIDITY",
    [STATUS_UNSEEN] = "UNSEEN",
    [STATUS_SIZE] = "SIZE",
    [STATUS_HIGHESTMODSEQ] = "HIGHESTMODSEQ",
    [STATUS_MAILBOXID] = "MAILBOXID",
    [STATUS_DELETED] = "DELETED",
};

struct status_args {
    struct vy_bytes name;
    uint32_t items;
};

static struct vy_err parse_item(struct imap_parser *p, uint32_t *items)
{
    struct vy_bytes word = {.data = NULL};
    VY_TRY(imap_parse_atom(p, &word));
    for (uint32_t i = 0; i < STATUS_COUNT; i++) {
        if (vy_bytes_equal_nocase(word, vy_cstr(item_names[i]))) {
            *items |= 1U << i;
            return vy_ok();
        }
    }
    return vy_error(VY_CODE_SYNTAX, "unknown status item");
}

struct vy_err imap_parse_status_items(struct imap_session *s, struct imap_parser *p, uint32_t *out)
{
    uint32_t items = 0;
    VY_TRY(imap_parse_byte(p, '(', "status items are missing"));
    do {
        VY_TRY(parse_item(p, &items));
    } while (imap_parse_try(p, ' '));
    VY_TRY(imap_parse_byte(p, ')', "status items do not end"));
    if ((items & (1U << STATUS_HIGHESTMODSEQ)) != 0) {
        s->enabled |=
            IMAP_ENABLED_CONDSTORE; /* RFC 7162 section 3.1: a CONDSTORE enabling command */
    }
    *out = items;
    return vy_ok();
}

static uint64_t item_value(const struct mailbox_info *info, uint32_t item)
{
    switch ((enum status_item)item) {
    case STATUS_MESSAGES:
        return info->message_count;
    case STATUS_RECENT:
        return info->recent_count;
    case STATUS_UIDNEXT:
        return info->uidnext;
    case STATUS_UIDVALIDITY:
        return info->uidvalidity;
    case STATUS_UNSEEN:
        return info->unseen_count;
    case STATUS_SIZE:
        return info->size_bytes;
    case STATUS_HIGHESTMODSEQ:
        return info->highest_modseq;
    case STATUS_DELETED:
        return info->deleted_count;
    case STATUS_MAILBOXID:
    case STATUS_COUNT:
        break;
    }
    return 0;
}

void imap_write_status(struct imap_session *s, const struct mailbox_info *info, uint32_t items)
{
    const char *separator = "";
    vy_buf_append_cstr(&s->out, "* STATUS ");
    imap_write_mailbox(&s->out, info->name);
    vy_buf_append_cstr(&s->out, " (");
    for (uint32_t i = 0; i < STATUS_COUNT; i++) {
        if ((items & (1U << i)) == 0) {
            continue;
        }
        vy_buf_append_cstr(&s->out, separator);
        vy_buf_append_cstr(&s->out, item_names[i]);
        if (i == STATUS_MAILBOXID) {
            vy_buf_printf(&s->out, " (F%016llx)", (unsigned long long)info->mailbox_id);
        } else {
            vy_buf_append_byte(&s->out, ' ');
            vy_buf_append_u64(&s->out, item_value(info, i));
        }
        separator = " ";
    }
    vy_buf_append_cstr(&s->out, ")\r\n");
}

static struct vy_err status_parse(struct imap_session *s, struct imap_parser *p)
{
    struct status_args *const args = VY_ARENA_NEW(p->arena, struct status_args);
    if (args == NULL) {
        return vy_error(VY_CODE_LIMIT, "command is too large");
    }
    s->run.args = args;
    VY_TRY(imap_parse_space(p));
    VY_TRY(imap_parse_mailbox(p, &args->name));
    VY_TRY(imap_parse_space(p));
    return imap_parse_status_items(s, p, &args->items);
}

static void status_start(struct imap_session *s)
{
    const struct status_args *const args = s->run.args;
    if (args->name.len == 0) {
        imap_end_no(s, "NONEXISTENT", "No such mailbox");
        return;
    }
    const struct mailbox_list_request request = {
        .actor = &s->account.actor, .with_status = true, .only_name = args->name};
    imap_call(s, METHOD_SHARD_MAILBOX_LIST, &request, false);
}

static void status_resume(struct imap_session *s, struct vy_err err, const void *message)
{
    const struct mailbox_list_reply *const reply = message;
    const struct status_args *const args = s->run.args;
    if (!vy_failed(err) && (reply->mailboxes_count == 0 || reply->mailboxes[0].no_select ||
                            reply->mailboxes[0].mailbox_id == 0)) {
        err = vy_error(VY_CODE_NOT_FOUND, "mailbox");
    }
    if (vy_failed(err)) {
        imap_end_error(s, err);
        return;
    }
    imap_write_status(s, &reply->mailboxes[0], args->items);
    imap_end_ok(s, NULL, "STATUS completed");
}

/* clang-format off */
static const struct imap_command status_rows[] = {
    /* name     legal in         traits  parse         start         resume */
    { "STATUS", IMAP_IN_ACCOUNT, 0,      status_parse, status_start, status_resume },
};
/* clang-format on */
const struct imap_extension imap_status_commands = {IMAP_COMMANDS(status_rows)};
