/* SPDX-License-Identifier: Apache-2.0 */
#include "base/codec.h"
#include "base/secret.h"
#include "meta/admin_private.h"
#include "meta/audit.h"
#include "meta/record_open.h"

/* ---- records as text ---- */

static struct vy_bytes action_text(enum audit_action action)
{
    switch (action) {
    case AUDIT_ACTION_LOGIN:
        return VY_LIT("login");
    case AUDIT_ACTION_BOOTSTRAP:
        return VY_LIT("cluster.bootstrap");
    case AUDIT_ACTION_DOMAIN_CREATE:
        return VY_LIT("domain.create");
    case AUDIT_ACTION_DOMAIN_SET:
        return VY_LIT("domain.set");
    case AUDIT_ACTION_DOMAIN_DELETE:
        return VY_LIT("domain.delete");
    case AUDIT_ACTION_ACCOUNT_CREATE:
        return VY_LIT("account.create");
    case AUDIT_ACTION_DELETE_ASK:
        return VY_LIT("delete.ask");
    case AUDIT_ACTION_ACCOUNT_DELETE:
        return VY_LIT("account.delete");
    case AUDIT_ACTION_ACCOUNT_RESTORE:
        return VY_LIT("account.restore");
    case AUDIT_ACTION_ACCOUNT_STATE:
        return VY_LIT("account.state");
    case AUDIT_ACTION_ACCOUNT_PASSWORD:
        return VY_LIT("account.password");
    case AUDIT_ACTION_ACCOUNT_QUOTA:
        return VY_LIT("account.quota");
    case AUDIT_ACTION_ALIAS_CREATE:
        return VY_LIT("alias.create");
    case AUDIT_ACTION_ALIAS_DELETE:
        return VY_LIT("alias.delete");
    case AUDIT_ACTION_APP_PASSWORD_CREATE:
        return VY_LIT("apppassword.create");
    case AUDIT_ACTION_APP_PASSWORD_DELETE:
        return VY_LIT("apppassword.delete");
    case AUDIT_ACTION_FACTOR_ENROLL:
        return VY_LIT("factor.enroll");
    case AUDIT_ACTION_FACTOR_CONFIRM:
        return VY_LIT("factor.confirm");
    case AUDIT_ACTION_FACTOR_VERIFY:
        return VY_LIT("factor.verify");
    case AUDIT_ACTION_FACTOR_DISABLE:
        return VY_LIT("factor.disable");
    case AUDIT_ACTION_RECOVERY_CODES:
        return VY_LIT("factor.recovery-codes");
    case AUDIT_ACTION_SIGN_IN_POLICY:
        return VY_LIT("account.sign-in-policy");
    case AUDIT_ACTION_MEMBER_PLAN:
        return VY_LIT("member.change");
    case AUDIT_ACTION_NONE:
        break;
    }
    return VY_LIT("unknown");
}

static struct vy_err fill_login(struct record_opener *opener, const struct audit_row *row,
                                struct admin_audit_record *out)
{
    struct login_body body;
    bool is_open = false;
    VY_TRY(record_open(opener, row->account_id, row->sealed, &login_body_desc, &body, &is_open));
    out->actor =
        is_open ? record_typed_text(opener->view.arena, body.typed_name) : VY_LIT("(erased)");
    out->subject = body.account;
    const char *detail = vy_arena_printf(
        opener->view.arena, "result=%.*s protocol=%.*s mechanism=%.*s ip=%.*s count=%llu%s%.*s",
        VY_PRI(admin_verdict_text(row->verdict)), VY_PRI(admin_protocol_text(row->protocol)),
        VY_PRI(admin_mechanism_text(row->mechanism)), VY_PRI(body.remote_ip),
        (unsigned long long)row->count, body.app_password.len > 0 ? " app_password=" : "",
        VY_PRI(body.app_password));
    if (detail == NULL) {
        return vy_error(VY_CODE_LIMIT, "memory for a record");
    }
    out->detail = vy_cstr(detail);
    return vy_ok();
}

static struct vy_err fill_write(struct record_opener *opener, const struct audit_row *row,
                                struct admin_audit_record *out)
{
    struct admin_body body;
    bool is_open = false;
    VY_TRY(record_open(opener, row->account_id, row->sealed, &admin_body_desc, &body, &is_open));
    const bool has_reason = body.reason.len > 0;
    const char *actor = vy_arena_printf(opener->view.arena, "%.*s:%.*s", VY_PRI(body.actor_kind),
                                        VY_PRI(body.actor));
    const bool is_bad_code = row->verdict == LOGIN_VERDICT_BADCODE;
    const char *detail = vy_arena_printf(
        opener->view.arena, "%s%.*s%s%.*s", is_bad_code ? "refused: wrong or used code; " : "",
        VY_PRI(body.detail), has_reason ? " reason: " : "", VY_PRI(body.reason));
    if (actor == NULL || detail == NULL) {
        return vy_error(VY_CODE_LIMIT, "memory for a record");
    }
    out->actor =
        is_open ? vy_cstr(actor) : (row->sealed.len == 0 ? VY_LIT("cluster") : VY_LIT("(erased)"));
    out->subject = body.subject;
    out->detail = vy_cstr(detail);
    return vy_ok();
}

/* What the hash is made of, so that an export can be checked where no server is. */
static struct vy_err fill_row(struct record_opener *opener, const struct audit_row *row,
                              struct admin_audit_record *out)
{
    const struct admin_list_audit_request *request = opener->call->message;
    struct audit_row bare = *row;
    struct vy_buf buf;
    if (!request->with_rows) {
        return vy_ok();
    }
    bare.hash = vy_bytes(NULL, 0);
    vy_buf_init(&buf, AUDIT_ROW_BYTES_MAX);
    struct vy_err err = vy_pb_encode(&audit_row_desc, &bare, &buf);
    if (!vy_failed(err)) {
        err = vy_arena_dup(opener->view.arena, vy_buf_bytes(&buf), &out->row);
    }
    vy_buf_deinit(&buf);
    return err;
}

static struct vy_err fill_record(struct record_opener *opener, const struct audit_row *row,
                                 struct admin_audit_record *out)
{
    struct vy_buf hash;
    *out = (struct admin_audit_record){
        .sequence = row->sequence, .time_ms = row->time_ms, .action = action_text(row->action)};
    vy_buf_init(&hash, 128);
    vy_hex_encode(&hash, row->hash);
    const struct vy_err err = vy_arena_dup(opener->view.arena, vy_buf_bytes(&hash), &out->hash);
    vy_buf_deinit(&hash);
    VY_TRY(err);
    VY_TRY(fill_row(opener, row, out));
    return row->action == AUDIT_ACTION_LOGIN ? fill_login(opener, row, out)
                                             : fill_write(opener, row, out);
}

static struct vy_err read_records(struct record_opener *opener, struct admin_list_audit_reply *out)
{
    const struct admin_list_audit_request *request = opener->call->message;
    const size_t limit =
        request->limit == 0 ? ADMIN_PAGE_ROWS_DEFAULT : VY_MIN(request->limit, AUDIT_PAGE_ROWS_MAX);
    struct table_rows rows = {.count = 0};
    VY_TRY(audit_read(&opener->view, VY_MAX(request->from_sequence, 1), limit, &rows));
    struct admin_audit_record *records =
        VY_ARENA_ARRAY(opener->view.arena, rows.count + 1, struct admin_audit_record);
    if (records == NULL) {
        return vy_error(VY_CODE_LIMIT, "memory for a page");
    }
    const struct audit_row *audit_rows = rows.rows;
    for (size_t i = 0; i < rows.count; i++) {
        VY_TRY(fill_record(opener, &audit_rows[i], &records[i]));
    }
    out->records = records;
    out->records_count = rows.count;
    out->next_sequence = rows.is_more ? audit_rows[rows.count - 1].sequence + 1 : 0;
    return vy_ok();
}

static void list_on_worker(struct meta_call *call)
{
    struct record_opener opener = {.call = call, .view = meta_call_snapshot_view(call)};
    struct admin_list_audit_reply *reply =
        VY_ARENA_NEW(&call->arena, struct admin_list_audit_reply);
    call->state = reply;
    call->err =
        reply == NULL ? vy_error(VY_CODE_LIMIT, "memory for a page") : read_records(&opener, reply);
    vy_wipe(&opener.key, sizeof(opener.key));
}

static void answer_state(struct meta_call *call)
{
    meta_call_reply(call, call->state);
}

void admin_list_audit(struct meta_call *call)
{
    admin_read(call, list_on_worker, answer_state);
}

/* ---- verifying ---- */

static void verify_on_worker(struct meta_call *call)
{
    struct audit_check check = {.is_intact = false};
    struct admin_verify_audit_reply *reply =
        VY_ARENA_NEW(&call->arena, struct admin_verify_audit_reply);
    call->state = reply;
    if (reply == NULL) {
        call->err = vy_error(VY_CODE_LIMIT, "memory for a check");
        return;
    }
    call->err = audit_verify(store_snapshot_reader(call->snapshot), &check);
    *reply = (struct admin_verify_audit_reply){.intact = check.is_intact,
                                               .record_count = check.record_count,
                                               .first_bad_sequence = check.first_bad_sequence,
                                               .first_sequence = check.record_count > 0 ? 1 : 0,
                                               .last_sequence = check.record_count,
                                               .reason = check.is_intact
                                                             ? vy_bytes(NULL, 0)
                                                             : VY_LIT("a record was altered, "
                                                                      "removed or added there")};
}

void admin_verify_audit(struct meta_call *call)
{
    admin_read(call, verify_on_worker, answer_state);
}
