/* SPDX-License-Identifier: Apache-2.0 */
#include "base/codec.h"
#include "base/secret.h"
#include "meta/admin_private.h"
#include "meta/audit.h"

/* ---- opening sealed records ---- */

/* The key of the last account: records of one come in rows. */
struct opener {
    struct meta_call *call;
    struct meta_view view;
    struct seal_key key;
    uint64_t account_id;
    bool has_key;   /* key is that of account_id */
    bool is_erased; /* the account's key is gone */
};

static struct vy_err opener_use(struct opener *opener, uint64_t account_id)
{
    bool is_found = false;
    if (opener->has_key && opener->account_id == account_id) {
        return vy_ok();
    }
    VY_TRY(seal_key_find(opener->call->meta->config.key, &opener->view, account_id, &opener->key,
                         &is_found));
    opener->account_id = account_id;
    opener->has_key = true;
    opener->is_erased = account_id != 0 && !is_found;
    return vy_ok();
}

/* *is_open false: erased, or it does not open; the record itself stays. */
static struct vy_err open_body(struct opener *opener, uint64_t account_id, struct vy_bytes sealed,
                               const struct vy_pb_desc *desc, void *body, bool *is_open)
{
    memset(body, 0, desc->struct_bytes);
    *is_open = false;
    if (sealed.len == 0) {
        return vy_ok();
    }
    VY_TRY(opener_use(opener, account_id));
    if (opener->is_erased) {
        return vy_ok();
    }
    const struct vy_err err =
        seal_open_message(&opener->key, opener->view.arena, sealed, desc, body);
    *is_open = !vy_failed(err);
    return err.code == VY_CODE_LIMIT ? err : vy_ok();
}

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
    case AUDIT_ACTION_NONE:
        break;
    }
    return VY_LIT("unknown");
}

/* Strings of the API are UTF-8; what a client typed may not be. */
static struct vy_bytes typed_text(struct vy_arena *arena, struct vy_bytes typed)
{
    if (vy_utf8_is_valid(typed)) {
        return typed;
    }
    uint8_t *text = vy_arena_alloc(arena, typed.len);
    if (text == NULL) {
        return vy_bytes(NULL, 0);
    }
    for (size_t i = 0; i < typed.len; i++) {
        text[i] = typed.data[i] >= 0x20 && typed.data[i] < 0x7f ? typed.data[i] : '?';
    }
    return vy_bytes(text, typed.len);
}

static struct vy_err fill_login(struct opener *opener, const struct audit_row *row,
                                struct admin_audit_record *out)
{
    struct login_body body;
    bool is_open = false;
    VY_TRY(open_body(opener, row->account_id, row->sealed, &login_body_desc, &body, &is_open));
    out->actor = is_open ? typed_text(opener->view.arena, body.typed_name) : VY_LIT("(erased)");
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

static struct vy_err fill_write(struct opener *opener, const struct audit_row *row,
                                struct admin_audit_record *out)
{
    struct admin_body body;
    bool is_open = false;
    VY_TRY(open_body(opener, row->account_id, row->sealed, &admin_body_desc, &body, &is_open));
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

static struct vy_err fill_record(struct opener *opener, const struct audit_row *row,
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
    return row->action == AUDIT_ACTION_LOGIN ? fill_login(opener, row, out)
                                             : fill_write(opener, row, out);
}

static struct vy_err read_records(struct opener *opener, struct admin_list_audit_reply *out)
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
    struct opener opener = {.call = call, .view = meta_call_snapshot_view(call)};
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
                                               .first_bad_sequence = check.first_bad_sequence};
}

void admin_verify_audit(struct meta_call *call)
{
    admin_read(call, verify_on_worker, answer_state);
}

/* ---- logins of an account, newest first: two ranges by time, merged ---- */

#define TIME_KEY_BYTES (8U + 1 + 8 + META_TUPLE_BYTES)
#define TIME_KEY_ORDER 9U /* from here on keys of both ranges compare by time, then tuple */

static struct vy_err read_class(const struct meta_view *view, uint64_t account_id, bool is_failed,
                                struct vy_bytes before, size_t rows_max, struct table_rows *out)
{
    const struct meta_key from = meta_key_login_time(account_id, is_failed, 0, VY_LIT(""));
    struct meta_key to = meta_key_login_time(account_id, is_failed, UINT64_MAX, VY_LIT(""));
    if (before.len == TIME_KEY_BYTES - TIME_KEY_ORDER) {
        to = meta_key_login_time(account_id, is_failed, vy_get_be64(before.data),
                                 vy_bytes_from(before, 8));
    }
    const struct table_page page = {.family = META_FAMILY_LOGIN_TIME,
                                    .from = meta_key_bytes(&from),
                                    .to = meta_key_bytes(&to),
                                    .is_reverse = true,
                                    .rows_max = rows_max};
    return table_read_page(view, &page, out);
}

static struct vy_err fill_login_record(struct opener *opener, uint64_t account_id,
                                       struct vy_bytes time_key, struct admin_login_record *out)
{
    const struct meta_key key = meta_key_login(account_id, vy_bytes_from(time_key, 17));
    struct login_row row;
    struct login_body body;
    bool is_found = false;
    bool is_open = false;
    VY_TRY(table_get(&opener->view, META_FAMILY_LOGIN, meta_key_bytes(&key), &login_row_desc, &row,
                     &is_found));
    VY_TRY(open_body(opener, account_id, row.sealed, &login_body_desc, &body, &is_open));
    *out = (struct admin_login_record){
        .account = account_id == META_NO_ACCOUNT ? VY_LIT("-") : body.account,
        .typed_name = typed_text(opener->view.arena, body.typed_name),
        .remote_ip = body.remote_ip,
        .protocol = admin_protocol_text(row.protocol),
        .mechanism = admin_mechanism_text(row.mechanism),
        .result = admin_verdict_text(row.verdict),
        .first_ms = row.first_ms,
        .last_ms = row.last_ms,
        .count = row.count,
        .tls = body.tls,
        .user_agent = body.user_agent,
        .app_password = body.app_password};
    return vy_ok();
}

static struct vy_bytes pick_newer(struct table_rows *a, struct table_rows *b)
{
    struct table_rows *from = a;
    if (a->count == 0 ||
        (b->count > 0 && vy_bytes_compare(vy_bytes_from(b->keys[0], TIME_KEY_ORDER),
                                          vy_bytes_from(a->keys[0], TIME_KEY_ORDER)) > 0)) {
        from = b;
    }
    const struct vy_bytes key = from->keys[0];
    from->keys++;
    from->count--;
    return key;
}

static struct vy_err next_cursor(struct vy_arena *arena, struct vy_bytes key, struct vy_bytes *out)
{
    struct vy_buf buf;
    vy_buf_init(&buf, 128);
    vy_hex_encode(&buf, vy_bytes_from(key, TIME_KEY_ORDER));
    const struct vy_err err = vy_arena_dup(arena, vy_buf_bytes(&buf), out);
    vy_buf_deinit(&buf);
    return err;
}

static struct vy_err merge_logins(struct opener *opener, uint64_t account_id, size_t limit,
                                  struct table_rows classes[2], struct admin_list_logins_reply *out)
{
    const size_t count = VY_MIN(classes[0].count + classes[1].count, limit);
    struct vy_bytes last = {.len = 0};
    struct admin_login_record *logins =
        VY_ARENA_ARRAY(opener->view.arena, count + 1, struct admin_login_record);
    if (logins == NULL) {
        return vy_error(VY_CODE_LIMIT, "memory for a page");
    }
    for (size_t i = 0; i < count; i++) {
        last = pick_newer(&classes[0], &classes[1]);
        VY_TRY(fill_login_record(opener, account_id, last, &logins[i]));
    }
    out->logins = logins;
    out->logins_count = count;
    const bool is_more =
        classes[0].count + classes[1].count > 0 || classes[0].is_more || classes[1].is_more;
    return is_more && count > 0 ? next_cursor(opener->view.arena, last, &out->next) : vy_ok();
}

static struct vy_err read_logins(struct opener *opener, struct admin_list_logins_reply *out)
{
    const struct admin_list_logins_request *request = opener->call->message;
    const uint64_t account_id = admin_write_of(opener->call)->account.id;
    const size_t limit = admin_page_rows(request->page);
    struct vy_bytes before = {.len = 0};
    struct table_rows classes[2] = {{.count = 0}, {.count = 0}};
    if (request->page != NULL && request->page->after.len > 0 &&
        (vy_failed(vy_hex_decode(opener->view.arena, request->page->after, &before)) ||
         before.len != TIME_KEY_BYTES - TIME_KEY_ORDER)) {
        return vy_error(VY_CODE_ARGUMENT, "place to go on from is not one that we gave");
    }
    VY_TRY(read_class(&opener->view, account_id, false, before, limit, &classes[0]));
    VY_TRY(read_class(&opener->view, account_id, true, before, limit, &classes[1]));
    return merge_logins(opener, account_id, limit, classes, out);
}

static void logins_on_worker(struct meta_call *call)
{
    struct opener opener = {.call = call, .view = meta_call_snapshot_view(call)};
    struct admin_list_logins_reply *reply =
        VY_ARENA_NEW(&call->arena, struct admin_list_logins_reply);
    call->err =
        reply == NULL ? vy_error(VY_CODE_LIMIT, "memory for a page") : read_logins(&opener, reply);
    call->state = reply;
    vy_wipe(&opener.key, sizeof(opener.key));
}

static void logins_now(struct meta_call *call)
{
    const struct admin_list_logins_request *request = call->message;
    if (admin_write_new(call, NULL) == NULL) {
        return;
    }
    const bool is_unknown = vy_bytes_equal(request->account, VY_LIT("-")); /* LOGIN-2 */
    if (is_unknown || admin_find_account(call, request->account)) {
        meta_call_run(call, logins_on_worker, answer_state);
    }
}

void admin_list_logins(struct meta_call *call)
{
    meta_call_barrier(call, logins_now);
}
