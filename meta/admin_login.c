/* SPDX-License-Identifier: Apache-2.0 */
/* LOGIN-4: who signed in as an account, or tried to; and from which networks. */
#include "base/codec.h"
#include "base/net.h"
#include "base/secret.h"
#include "meta/admin_private.h"
#include "meta/record_open.h"

/* ---- logins of an account, newest first: two ranges by time, merged ---- */

#define TIME_KEY_BYTES (8U + 1 + 8 + META_TUPLE_BYTES)
#define TIME_KEY_ORDER 9U /* from here on keys of both ranges compare by time, then tuple */

#define SCAN_ROWS_MAX 2000U /* of one call; a filter may pass none of them */

/* What is asked for. */
struct login_filter {
    uint64_t account_id;
    uint64_t since_ms;
    bool has_network;
    struct vy_net network;
    struct vy_bytes result; /* empty: all */
};

static struct vy_err read_class(const struct meta_view *view, const struct login_filter *filter,
                                bool is_failed, struct vy_bytes before, size_t rows_max,
                                struct table_rows *out)
{
    const uint64_t account_id = filter->account_id;
    const struct meta_key from =
        meta_key_login_time(account_id, is_failed, filter->since_ms, VY_LIT(""));
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

static struct vy_err fill_login_record(struct record_opener *opener, uint64_t account_id,
                                       struct vy_bytes time_key, struct admin_login_record *out)
{
    const struct meta_key key = meta_key_login(account_id, vy_bytes_from(time_key, 17));
    struct login_row row;
    struct login_body body;
    bool is_found = false;
    bool is_open = false;
    VY_TRY(table_get(&opener->view, META_FAMILY_LOGIN, meta_key_bytes(&key), &login_row_desc, &row,
                     &is_found));
    VY_TRY(record_open(opener, account_id, row.sealed, &login_body_desc, &body, &is_open));
    *out = (struct admin_login_record){
        .account = account_id == META_NO_ACCOUNT ? VY_LIT("-") : body.account,
        .typed_name = record_typed_text(opener->view.arena, body.typed_name),
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

/* The least key behind this one, as text. */
static struct vy_err key_behind(struct vy_arena *arena, struct vy_bytes key, struct vy_bytes *out)
{
    struct vy_buf buf;
    vy_buf_init(&buf, 128);
    vy_hex_encode(&buf, vy_bytes_from(key, 8));
    vy_buf_append_cstr(&buf, "00");
    const struct vy_err err = vy_arena_dup(arena, vy_buf_bytes(&buf), out);
    vy_buf_deinit(&buf);
    return err;
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

static bool is_wanted(const struct login_filter *filter, const struct admin_login_record *login)
{
    struct vy_net client;
    if (filter->result.len > 0 && !vy_bytes_equal(filter->result, login->result)) {
        return false;
    }
    return !filter->has_network || (!vy_failed(vy_net_parse(login->remote_ip, &client)) &&
                                    vy_net_covers(&filter->network, &client));
}

static struct vy_err merge_logins(struct record_opener *opener, const struct login_filter *filter,
                                  size_t limit, struct table_rows classes[2],
                                  struct admin_list_logins_reply *out)
{
    struct vy_bytes last = {.len = 0};
    size_t count = 0;
    struct admin_login_record *logins =
        VY_ARENA_ARRAY(opener->view.arena, limit + 1, struct admin_login_record);
    if (logins == NULL) {
        return vy_error(VY_CODE_LIMIT, "memory for a page");
    }
    /* No further than the class that ended first was read: what is behind it is not known yet. */
    while (count < limit && classes[0].count + classes[1].count > 0 &&
           (classes[0].count > 0 || !classes[0].is_more) &&
           (classes[1].count > 0 || !classes[1].is_more)) {
        last = pick_newer(&classes[0], &classes[1]);
        VY_TRY(fill_login_record(opener, filter->account_id, last, &logins[count]));
        count += is_wanted(filter, &logins[count]) ? 1 : 0;
    }
    out->logins = logins;
    out->logins_count = count;
    const bool is_more =
        classes[0].count + classes[1].count > 0 || classes[0].is_more || classes[1].is_more;
    return is_more && last.len > 0 ? next_cursor(opener->view.arena, last, &out->next) : vy_ok();
}

/* Rows that are too old are not shown, whether they are removed yet or not (LOGIN-2). */
static struct vy_err read_filter(const struct record_opener *opener, struct login_filter *out)
{
    const struct admin_list_logins_request *request = opener->call->message;
    const uint64_t now_ms = meta_now_ms(opener->call->meta);
    const uint64_t oldest_ms = now_ms > META_LOGIN_KEEP_MS ? now_ms - META_LOGIN_KEEP_MS : 0;
    *out = (struct login_filter){.account_id = admin_write_of(opener->call)->account.id,
                                 .since_ms = VY_MAX(request->since_ms, oldest_ms),
                                 .has_network = request->remote_ip.len > 0,
                                 .result = request->result};
    if (out->has_network && vy_failed(vy_net_parse(request->remote_ip, &out->network))) {
        return vy_error(
            VY_CODE_ARGUMENT,
            "not an address or network: write 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32");
    }
    return out->result.len == 0 || admin_is_verdict_text(out->result)
               ? vy_ok()
               : vy_error(VY_CODE_ARGUMENT, "not a result of a sign-in: ok, badpassword, baduser, "
                                            "limited, disabled and the like");
}

static struct vy_err read_logins(struct record_opener *opener, struct admin_list_logins_reply *out)
{
    const struct admin_list_logins_request *request = opener->call->message;
    const size_t limit = admin_page_rows(request->page);
    struct login_filter filter;
    struct vy_bytes before = {.len = 0};
    struct table_rows classes[2] = {{.count = 0}, {.count = 0}};
    VY_TRY(read_filter(opener, &filter));
    const size_t scan = filter.has_network || filter.result.len > 0 ? SCAN_ROWS_MAX : limit;
    if (request->page != NULL && request->page->after.len > 0 &&
        (vy_failed(vy_hex_decode(opener->view.arena, request->page->after, &before)) ||
         before.len != TIME_KEY_BYTES - TIME_KEY_ORDER)) {
        return vy_error(VY_CODE_ARGUMENT, "place to go on from is not one that we gave");
    }
    VY_TRY(read_class(&opener->view, &filter, false, before, scan, &classes[0]));
    VY_TRY(read_class(&opener->view, &filter, true, before, scan, &classes[1]));
    return merge_logins(opener, &filter, limit, classes, out);
}

static void answer_state(struct meta_call *call)
{
    meta_call_reply(call, call->state);
}

static void logins_on_worker(struct meta_call *call)
{
    struct record_opener opener = {.call = call, .view = meta_call_snapshot_view(call)};
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

/* ---- networks ---- */

static struct vy_err fill_network(struct record_opener *opener, uint64_t account_id,
                                  struct vy_bytes key, const struct login_net_row *row,
                                  struct admin_login_network *out)
{
    static const uint8_t beyond[META_NET_BYTES] = {0};
    char text[GUESS_NET_TEXT_BYTES];
    struct login_body body;
    bool is_open = false;
    VY_TRY(record_open(opener, account_id, row->sealed, &login_body_desc, &body, &is_open));
    const struct guess_net net = guess_net_of(body.remote_ip);
    guess_net_text(&net, text);
    *out = (struct admin_login_network){.network = VY_LIT("other"),
                                        .first_ms = row->first_ms,
                                        .last_ms = row->last_ms,
                                        .ok_count = row->ok_count,
                                        .failed_count = row->failed_count,
                                        .last_ok_ms = row->last_ok_ms};
    return vy_bytes_equal(vy_bytes_from(key, 8), vy_bytes(beyond, sizeof(beyond)))
               ? vy_ok()
               : vy_arena_dup(opener->view.arena, vy_cstr(text), &out->network);
}

static struct vy_err read_networks(struct record_opener *opener,
                                   struct admin_list_login_networks_reply *out)
{
    const struct admin_list_login_networks_request *request = opener->call->message;
    const uint64_t account_id = admin_write_of(opener->call)->account.id;
    const size_t limit = admin_page_rows(request->page);
    struct vy_bytes after = {.len = 0};
    struct table_rows rows;
    if (request->page != NULL && request->page->after.len > 0 &&
        (vy_failed(vy_hex_decode(opener->view.arena, request->page->after, &after)) ||
         after.len != META_NET_BYTES + 1)) {
        return vy_error(VY_CODE_ARGUMENT, "place to go on from is not one that we gave");
    }
    const struct meta_key from = meta_key_login_net(account_id, after);
    const struct meta_key to = meta_key_u64(account_id + 1);
    const struct table_page page = {.family = META_FAMILY_LOGIN_NET,
                                    .from = meta_key_bytes(&from),
                                    .to = meta_key_bytes(&to),
                                    .rows_max = limit,
                                    .desc = &login_net_row_desc};
    VY_TRY(table_read_page(&opener->view, &page, &rows));
    struct admin_login_network *networks =
        VY_ARENA_ARRAY(opener->view.arena, rows.count + 1, struct admin_login_network);
    if (networks == NULL) {
        return vy_error(VY_CODE_LIMIT, "memory for a page");
    }
    const struct login_net_row *net_rows = rows.rows;
    for (size_t i = 0; i < rows.count; i++) {
        VY_TRY(fill_network(opener, account_id, rows.keys[i], &net_rows[i], &networks[i]));
    }
    out->networks = networks;
    out->networks_count = rows.count;
    return rows.is_more ? key_behind(opener->view.arena, rows.keys[rows.count - 1], &out->next)
                        : vy_ok();
}

static void networks_on_worker(struct meta_call *call)
{
    struct record_opener opener = {.call = call, .view = meta_call_snapshot_view(call)};
    struct admin_list_login_networks_reply *reply =
        VY_ARENA_NEW(&call->arena, struct admin_list_login_networks_reply);
    call->err = reply == NULL ? vy_error(VY_CODE_LIMIT, "memory for a page")
                              : read_networks(&opener, reply);
    call->state = reply;
    vy_wipe(&opener.key, sizeof(opener.key));
}

static void networks_now(struct meta_call *call)
{
    const struct admin_list_login_networks_request *request = call->message;
    if (admin_write_new(call, NULL) == NULL) {
        return;
    }
    const bool is_unknown = vy_bytes_equal(request->account, VY_LIT("-")); /* LOGIN-2 */
    if (is_unknown || admin_find_account(call, request->account)) {
        meta_call_run(call, networks_on_worker, answer_state);
    }
}

void admin_list_login_networks(struct meta_call *call)
{
    meta_call_barrier(call, networks_now);
}
