/* SPDX-License-Identifier: Apache-2.0 */
/* Pages and texts of the admin API's lists. */
#include "meta/admin_private.h"
#include "meta/names.h"

size_t admin_page_rows(const struct admin_page_options *page)
{
    if (page == NULL || page->limit == 0) {
        return ADMIN_PAGE_ROWS_DEFAULT;
    }
    return VY_MIN(page->limit, ADMIN_PAGE_ROWS_MAX);
}

static struct vy_err range_of_domain(const struct meta_view *view, struct vy_bytes typed,
                                     struct table_page *page)
{
    struct vy_bytes domain = {.len = 0};
    VY_TRY(names_canonical_domain(view->arena, typed, &domain));
    uint8_t *keys = vy_arena_alloc(view->arena, 2 * (domain.len + 1));
    if (keys == NULL) {
        return vy_error(VY_CODE_LIMIT, "memory for a page");
    }
    uint8_t *end = keys + domain.len + 1;
    memcpy(keys, domain.data, domain.len); /* and a NUL */
    memcpy(end, domain.data, domain.len);
    end[domain.len] = 1;
    page->from = vy_bytes(keys, domain.len + 1);
    page->to = vy_bytes(end, domain.len + 1);
    return vy_ok();
}

/* From behind a row: its key with one more byte is the next that can be. */
static struct vy_err begin_after(const struct meta_view *view, struct vy_bytes after,
                                 struct table_page *page)
{
    struct vy_bytes address = {.len = 0};
    VY_TRY(names_canonical_address(view->arena, after, &address));
    struct meta_key key = meta_key_address(address);
    key.data[key.len++] = 0;
    struct vy_bytes from = {.len = 0};
    VY_TRY(vy_arena_dup(view->arena, meta_key_bytes(&key), &from));
    if (vy_bytes_compare(from, page->from) > 0) {
        page->from = from;
    }
    return vy_ok();
}

struct vy_err admin_read_addresses(const struct meta_view *view, const struct admin_list *list,
                                   struct table_rows *out)
{
    struct table_page page = {
        .family = list->family, .rows_max = admin_page_rows(list->page), .desc = list->desc};
    if (list->domain.len > 0) {
        VY_TRY(range_of_domain(view, list->domain, &page));
    }
    if (list->page != NULL && list->page->after.len > 0) {
        VY_TRY(begin_after(view, list->page->after, &page));
    }
    return table_read_page(view, &page, out);
}

struct vy_err admin_address_of_key(struct vy_arena *arena, struct vy_bytes key,
                                   struct vy_bytes *out)
{
    struct vy_bytes local = key;
    const struct vy_bytes domain = vy_bytes_cut(&local, 0);
    uint8_t *address = vy_arena_alloc(arena, key.len);
    if (address == NULL) {
        return vy_error(VY_CODE_LIMIT, "memory for an address");
    }
    memcpy(address, local.data, local.len);
    address[local.len] = '@';
    memcpy(address + local.len + 1, domain.data, domain.len);
    *out = vy_bytes(address, key.len);
    return vy_ok();
}

static void read_on_barrier(struct meta_call *call)
{
    meta_call_run(call, call->work, call->after_read);
}

void admin_read(struct meta_call *call, meta_call_fn work, meta_call_fn next)
{
    call->work = work;
    call->after_read = next;
    meta_call_barrier(call, read_on_barrier);
}

/* ---- texts ---- */

struct vy_err admin_text_u64(struct vy_arena *arena, uint64_t value, struct vy_bytes *out)
{
    const char *text = vy_arena_printf(arena, "%llu", (unsigned long long)value);
    if (text == NULL) {
        return vy_error(VY_CODE_LIMIT, "memory for a number");
    }
    *out = vy_cstr(text);
    return vy_ok();
}

struct vy_bytes admin_state_text(uint32_t state)
{
    switch ((enum account_state)state) {
    case ACCOUNT_STATE_ACTIVE:
        return VY_LIT("active");
    case ACCOUNT_STATE_LOGIN_DISABLED:
        return VY_LIT("login-disabled");
    case ACCOUNT_STATE_SOFT_DELETED:
        return VY_LIT("soft-deleted");
    case ACCOUNT_STATE_ERASING:
        return VY_LIT("erasing");
    case ACCOUNT_STATE_ERASED:
        return VY_LIT("erased");
    case ACCOUNT_STATE_NONE:
        break;
    }
    return VY_LIT("");
}

struct vy_err admin_fill_account(const struct meta_view *view, const struct meta_account_row *row,
                                 const struct cluster_row *cluster, struct admin_account *out)
{
    const uint16_t slot = vy_slot_of_account(row->id);
    *out = (struct admin_account){.account = row->address,
                                  .state = admin_state_text(row->state),
                                  .created_ms = row->created_ms,
                                  .quota_bytes = row->quota_bytes,
                                  .epoch = row->epoch,
                                  .disabled_text = row->disabled_text,
                                  .restore_until_ms = row->restore_until_ms,
                                  .second_factor = row->factor_count > 0,
                                  .app_passwords_only = row->app_passwords_only,
                                  .group_id = meta_group_of_slot(cluster, slot),
                                  .slot = slot};
    return admin_text_u64(view->arena, row->id, &out->id);
}

struct vy_bytes admin_verdict_text(enum login_verdict verdict)
{
    switch (verdict) {
    case LOGIN_VERDICT_OK:
        return VY_LIT("ok");
    case LOGIN_VERDICT_BADUSER:
        return VY_LIT("baduser");
    case LOGIN_VERDICT_BADPASSWORD:
        return VY_LIT("badpassword");
    case LOGIN_VERDICT_NOPROTO:
        return VY_LIT("noproto");
    case LOGIN_VERDICT_EXPIRED:
        return VY_LIT("expired");
    case LOGIN_VERDICT_DISABLED:
        return VY_LIT("logindisabled");
    case LOGIN_VERDICT_BADCHANBIND:
        return VY_LIT("badchanbind");
    case LOGIN_VERDICT_BADPROTOCOL:
        return VY_LIT("badprotocol");
    case LOGIN_VERDICT_BADAUTHZID:
        return VY_LIT("badauthzid");
    case LOGIN_VERDICT_NEEDAPP:
        return VY_LIT("needapp");
    case LOGIN_VERDICT_LIMITED:
        return VY_LIT("limited");
    case LOGIN_VERDICT_ABORTED:
        return VY_LIT("aborted");
    case LOGIN_VERDICT_BADNETWORK:
        return VY_LIT("badnetwork");
    case LOGIN_VERDICT_BADCODE:
        return VY_LIT("badcode");
    case LOGIN_VERDICT_NONE:
        break;
    }
    return VY_LIT("error");
}

bool admin_is_verdict_text(struct vy_bytes text)
{
    for (unsigned i = LOGIN_VERDICT_OK; i <= LOGIN_VERDICT_BADCODE; i++) {
        if (vy_bytes_equal(admin_verdict_text((enum login_verdict)i), text)) {
            return true;
        }
    }
    return false;
}

struct vy_bytes admin_protocol_text(uint32_t protocol)
{
    switch ((enum login_protocol)protocol) {
    case LOGIN_PROTOCOL_IMAP:
        return VY_LIT("imap");
    case LOGIN_PROTOCOL_SUBMISSION:
        return VY_LIT("smtp");
    case LOGIN_PROTOCOL_SIEVE:
        return VY_LIT("sieve");
    case LOGIN_PROTOCOL_POP3:
        return VY_LIT("pop3");
    case LOGIN_PROTOCOL_HTTP:
        return VY_LIT("http");
    case LOGIN_PROTOCOL_ADMIN:
        return VY_LIT("admin");
    case LOGIN_PROTOCOL_NONE:
        break;
    }
    return VY_LIT("");
}

struct vy_bytes admin_mechanism_text(uint32_t mechanism)
{
    switch ((enum login_mechanism)mechanism) {
    case LOGIN_MECHANISM_PLAIN:
        return VY_LIT("PLAIN");
    case LOGIN_MECHANISM_LOGIN:
        return VY_LIT("LOGIN");
    case LOGIN_MECHANISM_SCRAM_SHA_256:
        return VY_LIT("SCRAM-SHA-256");
    case LOGIN_MECHANISM_SCRAM_SHA_256_PLUS:
        return VY_LIT("SCRAM-SHA-256-PLUS");
    case LOGIN_MECHANISM_NONE:
        break;
    }
    return VY_LIT("");
}
