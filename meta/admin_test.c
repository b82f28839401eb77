/* SPDX-License-Identifier: Apache-2.0 */
/* The admin API over the real state machine: what operators see, and what is written down. */
#include "meta/tables.h"
#include "proto/cluster_key.h"
#include "tests/lib/meta_local.h"
#include "tests/lib/test.h"

#include "base/assert.h"
#include "base/map.h"
#include <stdio.h>

struct fixture {
    struct meta_local *local;
    struct meta_fence fence; /* the last one asked for */
    unsigned fence_count;
    struct vy_err fence_err;
};

static void fence(void *arg, const struct meta_fence *wanted,
                  void (*done)(void *done_arg, struct vy_err err), void *done_arg)
{
    struct fixture *f = arg;
    f->fence = *wanted;
    f->fence_count++;
    done(done_arg, f->fence_err);
}
static const struct meta_fence_ops fence_ops = {.fence = fence};

static int set_up(void **state)
{
    static struct fixture f;
    f = (struct fixture){.fence_count = 0};
    f.local = meta_local_new(0, &fence_ops, &f);
    meta_local_add_domain(f.local, "d.test", NULL);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    meta_local_free(f->local);
    return 0;
}

static void expect(struct fixture *f, struct vy_err err, enum vy_code code, const char *part)
{
    assert_int_equal(err.code, code);
    assert_non_null(strstr(f->local->message, part));
}

static struct vy_err create(struct fixture *f, const char *account, const char *password,
                            const char *operation, struct admin_create_account_reply *reply)
{
    const struct admin_write_options write = {.operation_id = vy_cstr(operation)};
    const struct admin_create_account_request request = {
        .account = vy_cstr(account), .password = vy_cstr(password), .write = &write};
    return meta_local_admin(f->local, "AccountService", "CreateAccount", &request, reply);
}

static struct admin_account show(struct fixture *f, const char *account)
{
    const struct admin_get_account_request request = {.account = vy_cstr(account)};
    struct admin_account reply;
    assert_false(
        vy_failed(meta_local_admin(f->local, "AccountService", "GetAccount", &request, &reply)));
    return reply;
}

/* ---- accounts ---- */

static void an_account_is_made_shown_and_usable(void **state)
{
    struct fixture *f = *state;
    struct admin_create_account_reply reply;
    assert_false(vy_failed(create(f, "Ada@D.test", "", "", &reply)));
    assert_true(vy_bytes_equal(reply.account, VY_LIT("ada@d.test")));
    assert_true(vy_bytes_equal(reply.id, VY_LIT("1")));
    assert_int_equal(reply.password.len, 29);
    const struct admin_account account = show(f, "ada@d.test");
    assert_true(vy_bytes_equal(account.state, VY_LIT("active")));
    assert_int_equal(account.epoch, 1);
    assert_int_equal(account.group_id, META_LOCAL_GROUP_ID);
    assert_int_equal(account.slot, vy_slot_of_account(1));
}

static void a_chosen_password_is_not_shown(void **state)
{
    struct fixture *f = *state;
    struct admin_create_account_reply reply;
    assert_false(vy_failed(create(f, "ada@d.test", "correct horse", "", &reply)));
    assert_int_equal(reply.password.len, 0);
}

static void bad_names_and_passwords_are_refused_with_a_reason(void **state)
{
    struct fixture *f = *state;
    struct admin_create_account_reply reply;
    expect(f, create(f, "ada", "", "", &reply), VY_CODE_ARGUMENT, "not an address");
    expect(f, create(f, "a+b@d.test", "", "", &reply), VY_CODE_ARGUMENT, "'+'");
    expect(f, create(f, "ada@else.test", "", "", &reply), VY_CODE_NOT_FOUND,
           "domain else.test does not exist: create it first");
    expect(f, create(f, "ada@d.test", "1234567", "", &reply), VY_CODE_ARGUMENT, "8 bytes");
    expect(f, create(f, "ada@d.test", "tab\tinside", "", &reply), VY_CODE_ARGUMENT, "not allowed");
    assert_false(vy_failed(create(f, "ada@d.test", "", "", &reply)));
    expect(f, create(f, "ADA@d.test", "", "", &reply), VY_CODE_EXISTS,
           "account ada@d.test exists already");
}

static void h19_the_same_operation_gives_the_same_account_and_password(void **state)
{
    struct fixture *f = *state;
    struct admin_create_account_reply reply;
    char password[64];
    assert_false(vy_failed(create(f, "ada@d.test", "", "op-1", &reply)));
    (void)snprintf(password, sizeof(password), "%.*s", VY_PRI(reply.password));
    assert_false(vy_failed(create(f, "ada@d.test", "", "op-1", &reply)));
    assert_true(vy_bytes_equal(reply.id, VY_LIT("1")));
    assert_true(vy_bytes_equal(reply.password, vy_cstr(password)));
    struct login_reply login;
    assert_false(
        vy_failed(meta_local_login(f->local, "ada@d.test", password, LOGIN_PROTOCOL_IMAP, &login)));
    assert_int_equal(login.result, LOGIN_RESULT_OK);
    expect(f, create(f, "bob@d.test", "", "op-1", &reply), VY_CODE_ARGUMENT, "another request");
}

static void an_unknown_outcome_is_settled_by_asking_again(void **state)
{
    struct fixture *f = *state;
    struct admin_create_account_reply reply;
    f->local->fail_next_propose = VY_CODE_UNKNOWN; /* done, but the answer is lost */
    assert_int_equal(create(f, "ada@d.test", "", "op-1", &reply).code, VY_CODE_UNKNOWN);
    assert_false(vy_failed(create(f, "ada@d.test", "", "op-1", &reply)));
    assert_int_equal(reply.password.len, 29);
    struct login_reply login;
    char password[64];
    (void)snprintf(password, sizeof(password), "%.*s", VY_PRI(reply.password));
    assert_false(
        vy_failed(meta_local_login(f->local, "ada@d.test", password, LOGIN_PROTOCOL_IMAP, &login)));
    assert_int_equal(login.result, LOGIN_RESULT_OK);
}

static void an_operation_id_has_at_most_32_bytes(void **state)
{
    struct fixture *f = *state;
    struct admin_create_account_reply reply;
    static const char id[] = "0123456789abcdef0123456789abcdefX";
    char cut[40];
    for (int len = 31; len <= 33; len++) {
        char name[32];
        (void)snprintf(cut, sizeof(cut), "%.*s", len, id);
        (void)snprintf(name, sizeof(name), "u%d@d.test", len);
        assert_int_equal(create(f, name, "", cut, &reply).code,
                         len <= 32 ? VY_CODE_OK : VY_CODE_ARGUMENT);
    }
}

static void validate_only_makes_nothing(void **state)
{
    struct fixture *f = *state;
    const struct admin_write_options write = {.validate_only = true};
    const struct admin_create_account_request request = {.account = VY_LIT("ada@d.test"),
                                                         .write = &write};
    struct admin_create_account_reply reply;
    assert_false(
        vy_failed(meta_local_admin(f->local, "AccountService", "CreateAccount", &request, &reply)));
    assert_int_equal(reply.id.len, 0);
    assert_int_equal(reply.password.len, 0);
    const struct admin_get_account_request get = {.account = VY_LIT("ada@d.test")};
    struct admin_account account;
    expect(f, meta_local_admin(f->local, "AccountService", "GetAccount", &get, &account),
           VY_CODE_NOT_FOUND, "account ada@d.test does not exist");
}

static void an_account_key_opens_with_the_cluster_key_only_for_its_account(void **state)
{
    struct fixture *f = *state;
    const uint64_t id = meta_local_add_account(f->local, "ada@d.test", NULL, NULL, 0);
    const struct account_key_request request = {.account_id = id};
    struct account_key_reply reply;
    uint8_t key[ACCOUNT_KEY_BYTES];
    assert_false(
        vy_failed(meta_local_call(f->local, METHOD_META_ACCOUNT_KEY, &account_key_request_desc,
                                  &request, &account_key_reply_desc, &reply)));
    assert_false(vy_failed(cluster_key_unwrap(f->local->key, id, reply.wrapped_key, key)));
    assert_true(vy_failed(cluster_key_unwrap(f->local->key, id + 1, reply.wrapped_key, key)));
    assert_int_equal(reply.state, ACCOUNT_STATE_ACTIVE);
}

/* ---- changes and the fence ---- */

static void disabling_tells_the_group_the_new_epoch_before_it_returns(void **state)
{
    struct fixture *f = *state;
    const uint64_t id = meta_local_add_account(f->local, "ada@d.test", NULL, NULL, 0);
    const struct admin_set_account_state_request request = {.account = VY_LIT("ada@d.test"),
                                                            .text = VY_LIT("bye")};
    struct admin_account reply;
    assert_false(vy_failed(
        meta_local_admin(f->local, "AccountService", "SetAccountState", &request, &reply)));
    assert_int_equal(f->fence_count, 1);
    assert_int_equal(f->fence.account_id, id);
    assert_int_equal(f->fence.account_epoch, 2);
    assert_int_equal(f->fence.group_id, META_LOCAL_GROUP_ID);
    assert_false(f->fence.set_quota);
    assert_true(vy_bytes_equal(reply.disabled_text, VY_LIT("bye")));
    assert_int_equal(reply.epoch, 2);
}

static void a_group_that_cannot_be_told_makes_the_command_unavailable(void **state)
{
    struct fixture *f = *state;
    (void)meta_local_add_account(f->local, "ada@d.test", NULL, NULL, 0);
    const struct admin_write_options write = {.operation_id = VY_LIT("op")};
    const struct admin_set_account_state_request request = {.account = VY_LIT("ada@d.test"),
                                                            .write = &write};
    struct admin_account reply;
    f->fence_err = vy_error(VY_CODE_UNAVAILABLE, "group");
    expect(f, meta_local_admin(f->local, "AccountService", "SetAccountState", &request, &reply),
           VY_CODE_UNAVAILABLE, "repeat the command");
    f->fence_err = vy_ok();
    assert_false(vy_failed(
        meta_local_admin(f->local, "AccountService", "SetAccountState", &request, &reply)));
    assert_int_equal(f->fence_count, 2); /* the repeated one tells it again */
    assert_int_equal(f->fence.account_epoch, 2);
}

static void a_quota_goes_to_the_group(void **state)
{
    struct fixture *f = *state;
    (void)meta_local_add_account(f->local, "ada@d.test", NULL, NULL, 0);
    const struct admin_set_quota_request request = {.account = VY_LIT("ada@d.test"),
                                                    .bytes = 1000000};
    struct admin_account reply;
    assert_false(
        vy_failed(meta_local_admin(f->local, "AccountService", "SetQuota", &request, &reply)));
    assert_int_equal(reply.quota_bytes, 1000000);
    assert_true(f->fence.set_quota);
    assert_int_equal(f->fence.quota_bytes, 1000000);
}

static void a_new_password_is_generated_and_shown_once(void **state)
{
    struct fixture *f = *state;
    char old[64];
    (void)meta_local_add_account(f->local, "ada@d.test", NULL, old, sizeof(old));
    const struct admin_set_password_request request = {.account = VY_LIT("ada@d.test")};
    struct admin_set_password_reply reply;
    assert_false(
        vy_failed(meta_local_admin(f->local, "AccountService", "SetPassword", &request, &reply)));
    assert_int_equal(reply.password.len, 29);
    assert_false(vy_bytes_equal(reply.password, vy_cstr(old)));
    assert_int_equal(f->fence.account_epoch, 2);
}

static void app_passwords_have_labels_and_known_protocols(void **state)
{
    struct fixture *f = *state;
    (void)meta_local_add_account(f->local, "ada@d.test", NULL, NULL, 0);
    static const struct vy_bytes web[] = {VY_LIT("http")};
    struct admin_create_app_password_request request = {.account = VY_LIT("ada@d.test")};
    struct admin_create_app_password_reply reply;
    expect(f,
           meta_local_admin(f->local, "CredentialService", "CreateAppPassword", &request, &reply),
           VY_CODE_ARGUMENT, "label");
    request.label = VY_LIT("phone");
    request.protocols = web;
    request.protocols_count = 1;
    expect(f,
           meta_local_admin(f->local, "CredentialService", "CreateAppPassword", &request, &reply),
           VY_CODE_ARGUMENT, "imap, smtp, sieve and pop3");
    request.protocols_count = 0;
    request.expires_ms = f->local->clock.wall_ms;
    expect(f,
           meta_local_admin(f->local, "CredentialService", "CreateAppPassword", &request, &reply),
           VY_CODE_ARGUMENT, "expired already");
}

/* ---- lists ---- */

static size_t page_accounts(struct fixture *f, const char *domain, uint32_t limit)
{
    char next[300] = "";
    char last[300] = "";
    size_t total = 0;
    do {
        const struct admin_page_options page = {.limit = limit, .after = vy_cstr(next)};
        const struct admin_list_accounts_request request = {.domain = vy_cstr(domain),
                                                            .page = &page};
        struct admin_list_accounts_reply reply;
        assert_false(vy_failed(
            meta_local_admin(f->local, "AccountService", "ListAccounts", &request, &reply)));
        assert_true(reply.accounts_count <= limit);
        for (size_t i = 0; i < reply.accounts_count; i++) {
            assert_false(vy_bytes_equal(reply.accounts[i].account, vy_cstr(last)));
            (void)snprintf(last, sizeof(last), "%.*s", VY_PRI(reply.accounts[i].account));
        }
        total += reply.accounts_count;
        (void)snprintf(next, sizeof(next), "%.*s", VY_PRI(reply.next));
    } while (next[0] != '\0');
    return total;
}

static void accounts_are_listed_in_pages_by_domain_without_aliases(void **state)
{
    struct fixture *f = *state;
    char name[64];
    meta_local_add_domain(f->local, "d.tes", NULL); /* neighbours in the order of keys */
    meta_local_add_domain(f->local, "d.test1", NULL);
    (void)meta_local_add_account(f->local, "x@d.tes", NULL, NULL, 0);
    (void)meta_local_add_account(f->local, "x@d.test1", NULL, NULL, 0);
    for (int i = 0; i < 10; i++) {
        (void)snprintf(name, sizeof(name), "user%d@d.test", i);
        (void)meta_local_add_account(f->local, name, NULL, NULL, 0);
        char alias[64];
        (void)snprintf(alias, sizeof(alias), "user%da@d.test", i);
        meta_local_add_alias(f->local, alias, name);
    }
    static const uint32_t limits[] = {1, 2, 3, 9, 10, 11, 20, 21, 1000};
    for (size_t i = 0; i < VY_COUNT_OF(limits); i++) {
        assert_int_equal(page_accounts(f, "d.test", limits[i]), 10);
        assert_int_equal(page_accounts(f, "", limits[i]), 12);
    }
    assert_int_equal(page_accounts(f, "none.test", 10), 0);
}

static void aliases_are_made_listed_and_deleted(void **state)
{
    struct fixture *f = *state;
    (void)meta_local_add_account(f->local, "ada@d.test", NULL, NULL, 0);
    (void)meta_local_add_account(f->local, "bob@d.test", NULL, NULL, 0);
    const struct vy_bytes targets[] = {VY_LIT("Ada@d.test"), VY_LIT("bob+x@d.test")};
    const struct admin_create_alias_request request = {
        .alias = VY_LIT("Team@d.test"), .targets_count = 2, .targets = targets};
    struct admin_alias alias;
    assert_false(
        vy_failed(meta_local_admin(f->local, "AliasService", "CreateAlias", &request, &alias)));
    assert_true(vy_bytes_equal(alias.alias, VY_LIT("team@d.test")));
    const struct admin_list_aliases_request list = {.domain = VY_LIT("d.test")};
    struct admin_list_aliases_reply reply;
    assert_false(
        vy_failed(meta_local_admin(f->local, "AliasService", "ListAliases", &list, &reply)));
    assert_int_equal(reply.aliases_count, 1);
    assert_int_equal(reply.aliases[0].targets_count, 2);
    assert_true(vy_bytes_equal(reply.aliases[0].targets[0], VY_LIT("ada@d.test")));
    const struct admin_delete_alias_request gone = {.alias = VY_LIT("team@d.test")};
    struct admin_empty empty;
    assert_false(
        vy_failed(meta_local_admin(f->local, "AliasService", "DeleteAlias", &gone, &empty)));
    expect(f, meta_local_admin(f->local, "AliasService", "DeleteAlias", &gone, &empty),
           VY_CODE_NOT_FOUND, "alias team@d.test does not exist");
}

static void domains_are_listed_in_pages(void **state)
{
    struct fixture *f = *state;
    char name[64];
    for (int i = 0; i < 5; i++) {
        (void)snprintf(name, sizeof(name), "m%d.test", i);
        meta_local_add_domain(f->local, name, NULL);
    }
    char next[300] = "";
    size_t total = 0;
    do {
        const struct admin_page_options page = {.limit = 2, .after = vy_cstr(next)};
        const struct admin_list_domains_request request = {.page = &page};
        struct admin_list_domains_reply reply;
        assert_false(vy_failed(
            meta_local_admin(f->local, "DomainService", "ListDomains", &request, &reply)));
        total += reply.domains_count;
        (void)snprintf(next, sizeof(next), "%.*s", VY_PRI(reply.next));
    } while (next[0] != '\0');
    assert_int_equal(total, 6);
}

static void a_domain_is_made_in_its_canonical_form(void **state)
{
    struct fixture *f = *state;
    const struct admin_create_domain_request request = {.name = VY_LIT("B\xc3\xbc"
                                                                       "cher.Test")};
    struct admin_domain reply;
    assert_false(
        vy_failed(meta_local_admin(f->local, "DomainService", "CreateDomain", &request, &reply)));
    assert_true(vy_bytes_equal(reply.name, VY_LIT("xn--bcher-kva.test")));
    const struct admin_create_domain_request bad = {.name = VY_LIT("a..b")};
    expect(f, meta_local_admin(f->local, "DomainService", "CreateDomain", &bad, &reply),
           VY_CODE_ARGUMENT, "not a domain name");
}

/* ---- cluster and audit ---- */

static void the_cluster_shows_its_members_slots_and_size(void **state)
{
    struct fixture *f = *state;
    (void)meta_local_add_account(f->local, "ada@d.test", NULL, NULL, 0);
    const struct admin_cluster_status_request request = {0};
    struct admin_cluster_status_reply reply;
    assert_false(
        vy_failed(meta_local_admin(f->local, "ClusterService", "GetStatus", &request, &reply)));
    assert_int_equal(reply.cluster_id.len, 32);
    assert_int_equal(reply.account_count, 1);
    assert_int_equal(reply.map_epoch, 1);
    assert_int_equal(reply.members_count, 1);
    assert_true(vy_bytes_equal(reply.members[0].role, VY_LIT("leader")));
    const struct admin_list_slots_request list = {0};
    struct admin_list_slots_reply slots;
    assert_false(
        vy_failed(meta_local_admin(f->local, "ClusterService", "ListSlots", &list, &slots)));
    assert_int_equal(slots.slots_count, 1);
    assert_int_equal(slots.slots[0].first, 0);
    assert_int_equal(slots.slots[0].last, VY_SLOT_COUNT - 1);
}

static void every_write_is_in_the_chain_with_its_actor(void **state)
{
    struct fixture *f = *state;
    const struct admin_write_options write = {.reason = VY_LIT("ticket 7")};
    const struct admin_set_quota_request quota = {
        .account = VY_LIT("ada@d.test"), .bytes = 5, .write = &write};
    struct admin_account account;
    (void)meta_local_add_account(f->local, "ada@d.test", NULL, NULL, 0);
    assert_false(
        vy_failed(meta_local_admin(f->local, "AccountService", "SetQuota", &quota, &account)));
    const struct admin_list_audit_request request = {.limit = 100};
    struct admin_list_audit_reply reply;
    assert_false(
        vy_failed(meta_local_admin(f->local, "AuditService", "ListAudit", &request, &reply)));
    static const char *const actions[] = {"cluster.bootstrap", "domain.create", "account.create",
                                          "account.quota"};
    assert_int_equal(reply.records_count, VY_COUNT_OF(actions));
    for (size_t i = 0; i < VY_COUNT_OF(actions); i++) {
        assert_int_equal(reply.records[i].sequence, i + 1);
        assert_true(vy_bytes_equal(reply.records[i].action, vy_cstr(actions[i])));
        assert_int_equal(reply.records[i].hash.len, 64);
    }
    assert_true(vy_bytes_equal(reply.records[3].actor, VY_LIT("operator:root")));
    assert_true(vy_bytes_equal(reply.records[3].subject, VY_LIT("ada@d.test")));
    assert_true(vy_bytes_equal(reply.records[3].detail, VY_LIT("5 reason: ticket 7")));
    assert_int_equal(reply.next_sequence, 0);
}

static void audit_pages_go_on_where_they_ended(void **state)
{
    struct fixture *f = *state;
    (void)meta_local_add_account(f->local, "ada@d.test", NULL, NULL, 0);
    uint64_t sequence = 1;
    uint64_t seen = 0;
    do {
        const struct admin_list_audit_request request = {.from_sequence = sequence, .limit = 1};
        struct admin_list_audit_reply reply;
        assert_false(
            vy_failed(meta_local_admin(f->local, "AuditService", "ListAudit", &request, &reply)));
        assert_int_equal(reply.records_count, 1);
        assert_int_equal(reply.records[0].sequence, ++seen);
        sequence = reply.next_sequence;
    } while (sequence != 0);
    assert_int_equal(seen, 3);
}

static void what_names_people_is_sealed_in_the_tables(void **state)
{
    struct fixture *f = *state;
    struct login_reply login;
    (void)meta_local_add_account(f->local, "ada@d.test", NULL, NULL, 0);
    assert_false(vy_failed(meta_local_login(f->local, "secretly.typed@d.test", "wrong password",
                                            LOGIN_PROTOCOL_IMAP, &login)));
    static const enum meta_family families[] = {META_FAMILY_AUDIT, META_FAMILY_LOGIN};
    for (size_t k = 0; k < VY_COUNT_OF(families); k++) {
        struct store_iter *iter = NULL;
        const struct store_range all = {.is_reverse = false};
        assert_false(
            vy_failed(store_iter_new(store_newest(f->local->store), families[k], &all, &iter)));
        for (; iter->is_valid; store_iter_next(iter)) {
            assert_int_equal(vy_bytes_find(iter->value, VY_LIT("secretly"), 0), SIZE_MAX);
            assert_int_equal(vy_bytes_find(iter->value, VY_LIT("192.0.2.1"), 0), SIZE_MAX);
            assert_int_equal(vy_bytes_find(iter->value, VY_LIT("root"), 0), SIZE_MAX);
        }
        store_iter_free(iter);
    }
}

static void no_password_is_in_any_table(void **state)
{
    struct fixture *f = *state;
    char password[64];
    (void)meta_local_add_account(f->local, "ada@d.test", NULL, password, sizeof(password));
    (void)meta_local_add_account(f->local, "bob@d.test", "correct horse", NULL, 0);
    for (unsigned family = 0; family < META_FAMILY_END; family++) {
        struct store_iter *iter = NULL;
        const struct store_range all = {.is_reverse = false};
        assert_false(vy_failed(store_iter_new(store_newest(f->local->store), family, &all, &iter)));
        for (; iter->is_valid; store_iter_next(iter)) {
            assert_int_equal(vy_bytes_find(iter->value, vy_cstr(password), 0), SIZE_MAX);
            assert_int_equal(vy_bytes_find(iter->value, VY_LIT("correct horse"), 0), SIZE_MAX);
        }
        store_iter_free(iter);
    }
}

/* ---- the border ---- */

static void a_member_that_does_not_lead_says_so(void **state)
{
    struct fixture *f = *state;
    struct admin_create_account_reply reply;
    meta_local_set_leader(f->local, false);
    expect(f, create(f, "ada@d.test", "", "", &reply), VY_CODE_NOT_LEADER, "leads");
    assert_string_equal(meta_leader_hint(f->local->meta), "tcp://127.0.0.1:7070");
}

static void every_method_of_the_api_has_a_handler(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < admin_method_count; i++) {
        struct vy_bytes reply;
        const struct vy_err err =
            meta_local_admin_bytes(f->local, &admin_methods[i], vy_bytes(NULL, 0), &reply);
        assert_int_not_equal(err.code, VY_CODE_UNSUPPORTED);
        assert_int_not_equal(err.code, VY_CODE_INTERNAL);
    }
}

/* H9: who calls comes from the connection; what a request has no field for is not heard. */
static void h9_fields_of_an_account_in_a_request_change_nothing(void **state)
{
    struct fixture *f = *state;
    static const struct vy_bytes request =
        VY_LIT("\x0a\x0amia@d.test" /* account, and of what GetAccount tells: */
               "\x32\x05"
               "admin"              /* 6: a text */
               "\x40\x63"           /* 8, group_id: 99 */
               "\x58\x01\x60\x01"); /* 11, second_factor, 12, app_passwords_only: true */
    const struct vy_pb_method *method =
        meta_admin_find_method(VY_LIT("volary.admin.v1.AccountService"), VY_LIT("CreateAccount"));
    const struct admin_get_account_request shown = {.account = VY_LIT("mia@d.test")};
    struct vy_bytes reply;
    struct admin_account account;
    assert_non_null(method);
    assert_int_equal(meta_local_admin_bytes(f->local, method, request, &reply).code, VY_CODE_OK);
    assert_false(
        vy_failed(meta_local_admin(f->local, "AccountService", "GetAccount", &shown, &account)));
    assert_int_equal(account.group_id, META_LOCAL_GROUP_ID);
    assert_false(account.second_factor);
    assert_false(account.app_passwords_only);
    assert_true(vy_bytes_equal(account.state, VY_LIT("active")));
}

static void r3_a_damaged_request_is_refused(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < admin_method_count; i++) {
        struct vy_bytes reply;
        const struct vy_err err =
            meta_local_admin_bytes(f->local, &admin_methods[i], VY_LIT("\x0a\xff\xff"), &reply);
        assert_true(err.code == VY_CODE_SYNTAX || admin_methods[i].request->field_count == 0);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_account_is_made_shown_and_usable),
        TEST(a_chosen_password_is_not_shown),
        TEST(bad_names_and_passwords_are_refused_with_a_reason),
        TEST(h19_the_same_operation_gives_the_same_account_and_password),
        TEST(an_unknown_outcome_is_settled_by_asking_again),
        TEST(an_operation_id_has_at_most_32_bytes),
        TEST(validate_only_makes_nothing),
        TEST(an_account_key_opens_with_the_cluster_key_only_for_its_account),
        TEST(disabling_tells_the_group_the_new_epoch_before_it_returns),
        TEST(a_group_that_cannot_be_told_makes_the_command_unavailable),
        TEST(a_quota_goes_to_the_group),
        TEST(a_new_password_is_generated_and_shown_once),
        TEST(app_passwords_have_labels_and_known_protocols),
        TEST(accounts_are_listed_in_pages_by_domain_without_aliases),
        TEST(aliases_are_made_listed_and_deleted),
        TEST(domains_are_listed_in_pages),
        TEST(a_domain_is_made_in_its_canonical_form),
        TEST(the_cluster_shows_its_members_slots_and_size),
        TEST(every_write_is_in_the_chain_with_its_actor),
        TEST(audit_pages_go_on_where_they_ended),
        TEST(what_names_people_is_sealed_in_the_tables),
        TEST(no_password_is_in_any_table),
        TEST(a_member_that_does_not_lead_says_so),
        TEST(every_method_of_the_api_has_a_handler),
        TEST(h9_fields_of_an_account_in_a_request_change_nothing),
        TEST(r3_a_damaged_request_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
