/* SPDX-License-Identifier: Apache-2.0 */
/* Deleting accounts: the life of an account, the intent, the job, its certificate (DEL-1 to 10). */
#include "meta/certificate.h"
#include "meta/fsm.h"
#include "meta/tables.h"
#include "proto/cluster_key.h"
#include "tests/lib/meta_local.h"
#include "tests/lib/test.h"

#include <stdio.h>

#define DAY_MS (24ULL * 60 * 60 * 1000)

struct fixture {
    struct meta_local *local;
    struct meta_fence fence; /* the last one asked for */
    unsigned fence_count;
    struct vy_err fence_err;
    char password[64];
    uint64_t id;
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
    f.id = meta_local_add_account(f.local, "ada@d.test", NULL, f.password, sizeof(f.password));
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

/* ---- calls ---- */

static struct vy_err prepare(struct fixture *f, const char *account,
                             struct admin_prepare_delete_reply *reply)
{
    const struct admin_prepare_delete_request request = {.account = vy_cstr(account)};
    return meta_local_admin(f->local, "AccountService", "PrepareDelete", &request, reply);
}

struct deletion {
    const char *account;
    const char *operation;
    const char *token; /* NULL: asked for */
    bool soft;
    bool cascade;
    bool dry;
};

static struct vy_err delete_it(struct fixture *f, const struct deletion *deletion,
                               struct admin_delete_account_reply *reply)
{
    char token[64] = "";
    struct admin_prepare_delete_reply prepared;
    const struct admin_write_options write = {
        .operation_id = vy_cstr(deletion->operation == NULL ? "" : deletion->operation),
        .validate_only = deletion->dry,
        .reason = VY_LIT("left the company")};
    if (deletion->token == NULL && !deletion->soft) {
        VY_TRY(prepare(f, deletion->account, &prepared));
        (void)snprintf(token, sizeof(token), "%.*s", VY_PRI(prepared.token));
    }
    const struct admin_delete_account_request request = {
        .account = vy_cstr(deletion->account),
        .token = vy_cstr(deletion->token == NULL ? token : deletion->token),
        .soft = deletion->soft,
        .cascade = deletion->cascade,
        .write = &write};
    return meta_local_admin(f->local, "AccountService", "DeleteAccount", &request, reply);
}

static struct vy_err delete_name(struct fixture *f, const char *account)
{
    struct admin_delete_account_reply reply;
    const struct deletion deletion = {.account = account};
    return delete_it(f, &deletion, &reply);
}

static void must_delete(struct fixture *f, const char *account)
{
    assert_false(vy_failed(delete_name(f, account)));
}

static struct vy_err restore(struct fixture *f, const char *account, struct admin_account *reply)
{
    const struct admin_restore_account_request request = {.account = vy_cstr(account)};
    return meta_local_admin(f->local, "AccountService", "RestoreAccount", &request, reply);
}

static struct vy_err create(struct fixture *f, const char *account, bool release,
                            struct admin_create_account_reply *reply)
{
    const struct admin_create_account_request request = {.account = vy_cstr(account),
                                                         .release_address = release};
    return meta_local_admin(f->local, "AccountService", "CreateAccount", &request, reply);
}

static enum resolve_result resolve(struct fixture *f, const char *address)
{
    const struct resolve_request request = {.address = vy_cstr(address), .fresh = true};
    struct resolve_reply reply;
    assert_false(vy_failed(meta_local_call(f->local, METHOD_META_RESOLVE, &resolve_request_desc,
                                           &request, &resolve_reply_desc, &reply)));
    return reply.result;
}

static enum login_result login(struct fixture *f)
{
    struct login_reply reply;
    assert_false(vy_failed(
        meta_local_login(f->local, "ada@d.test", f->password, LOGIN_PROTOCOL_IMAP, &reply)));
    return reply.result;
}

static struct admin_job get_job(struct fixture *f, const char *id)
{
    const struct admin_get_job_request request = {.id = vy_cstr(id)};
    struct admin_job job;
    assert_false(vy_failed(meta_local_admin(f->local, "JobService", "GetJob", &request, &job)));
    return job;
}

/* Until the job is done, at most a while of virtual time; the worker that compacts is real. */
static struct admin_job run_to_end(struct fixture *f, const char *id)
{
    struct admin_job job = get_job(f, id);
    for (unsigned i = 0; i < 1000 && !vy_bytes_equal(job.state, VY_LIT("done")); i++) {
        meta_local_run_ms(f->local, 100);
        job = get_job(f, id);
    }
    assert_true(vy_bytes_equal(job.state, VY_LIT("done")));
    return job;
}

static struct meta_account_row account_row(struct fixture *f, uint64_t id)
{
    const struct meta_view view = {.reader = store_newest(f->local->store),
                                   .arena = &f->local->arena};
    struct meta_account_row row;
    bool is_found = false;
    assert_false(vy_failed(account_get(&view, id, &row, &is_found)));
    assert_true(is_found);
    return row;
}

/* ---- the table ---- */

static void del1_only_the_edges_of_the_table_exist(void **state)
{
    enum account_state to = ACCOUNT_STATE_NONE;
    (void)state;
    for (int cause = LIFECYCLE_ENABLE; cause <= LIFECYCLE_ERASED; cause++) {
        const bool may_delete = cause == LIFECYCLE_DELETE;
        assert_false(lifecycle_next(ACCOUNT_STATE_NONE, (enum lifecycle_cause)cause, &to));
        /* Nothing leads out of erasing and erased but erasing to its end, or once more. */
        assert_int_equal(lifecycle_next(ACCOUNT_STATE_ERASED, (enum lifecycle_cause)cause, &to),
                         may_delete);
        assert_int_equal(lifecycle_next(ACCOUNT_STATE_ERASING, (enum lifecycle_cause)cause, &to),
                         may_delete || cause == LIFECYCLE_ERASED);
    }
    assert_false(lifecycle_next(ACCOUNT_STATE_SOFT_DELETED, LIFECYCLE_ENABLE, &to));
    assert_false(lifecycle_next(ACCOUNT_STATE_ACTIVE, LIFECYCLE_ERASED, &to));
    assert_false(lifecycle_next(ACCOUNT_STATE_ACTIVE, LIFECYCLE_RESTORE, &to));
    assert_true(lifecycle_next(ACCOUNT_STATE_ERASING, LIFECYCLE_ERASED, &to));
    assert_int_equal(to, ACCOUNT_STATE_ERASED);
}

/* ---- softly ---- */

static void del2_a_soft_delete_refuses_all_and_is_undone_in_time(void **state)
{
    struct fixture *f = *state;
    struct admin_delete_account_reply reply;
    struct admin_account account;
    const struct deletion soft = {.account = "ada@d.test", .soft = true};
    assert_false(vy_failed(delete_it(f, &soft, &reply)));
    assert_true(vy_bytes_equal(reply.state, VY_LIT("soft-deleted")));
    assert_int_equal(reply.intent.len, 0);
    assert_int_equal(reply.restore_until_ms, f->local->clock.wall_ms + META_RETENTION_MS);
    assert_int_equal(f->fence.account_epoch, 2);
    assert_false(f->fence.erase);
    assert_int_equal(login(f), LOGIN_RESULT_DISABLED);
    assert_int_equal(resolve(f, "ada@d.test"), RESOLVE_RESULT_DISABLED);
    assert_false(vy_failed(restore(f, "ada@d.test", &account)));
    assert_true(vy_bytes_equal(account.state, VY_LIT("active")));
    assert_int_equal(f->fence.account_epoch, 3);
    assert_int_equal(login(f), LOGIN_RESULT_OK);
    assert_int_equal(resolve(f, "ada@d.test"), RESOLVE_RESULT_LOCAL);
    expect(f, restore(f, "ada@d.test", &account), VY_CODE_PRECONDITION, "not deleted");
}

/* A repeat after "pending": the group is told again, and the time to restore stays. */
static void del2_a_soft_delete_can_be_repeated(void **state)
{
    struct fixture *f = *state;
    struct admin_delete_account_reply first;
    struct admin_delete_account_reply again;
    const struct deletion soft = {.account = "ada@d.test", .soft = true};
    assert_false(vy_failed(delete_it(f, &soft, &first)));
    f->fence.account_epoch = 0;
    f->local->clock.wall_ms += 1000;
    assert_false(vy_failed(delete_it(f, &soft, &again)));
    assert_int_equal(f->fence.account_epoch, 2);
    assert_int_equal(again.restore_until_ms, first.restore_until_ms);
}

static void del1_a_restored_account_is_as_disabled_as_before(void **state)
{
    struct fixture *f = *state;
    struct admin_delete_account_reply reply;
    struct admin_account account;
    const struct admin_set_account_state_request disable = {.account = VY_LIT("ada@d.test")};
    const struct deletion soft = {.account = "ada@d.test", .soft = true};
    assert_false(vy_failed(
        meta_local_admin(f->local, "AccountService", "SetAccountState", &disable, &account)));
    assert_false(vy_failed(delete_it(f, &soft, &reply)));
    assert_false(vy_failed(restore(f, "ada@d.test", &account)));
    assert_true(vy_bytes_equal(account.state, VY_LIT("login-disabled")));
}

static void del1_a_soft_delete_that_is_not_undone_becomes_an_erasure(void **state)
{
    struct fixture *f = *state;
    struct admin_delete_account_reply reply;
    struct admin_account account;
    const struct deletion soft = {.account = "ada@d.test", .soft = true};
    assert_false(vy_failed(delete_it(f, &soft, &reply)));
    fake_clock_advance_ms(&f->local->clock, META_RETENTION_MS + DAY_MS);
    expect(f, restore(f, "ada@d.test", &account), VY_CODE_PRECONDITION, "is over");
    meta_local_run_ms(f->local, 10000);
    (void)run_to_end(f, "1");
    assert_int_equal(account_row(f, f->id).state, ACCOUNT_STATE_ERASED);
}

/* ---- the confirmation ---- */

static void del3_a_delete_needs_the_token_of_this_account_as_it_is_now(void **state)
{
    struct fixture *f = *state;
    struct admin_prepare_delete_reply prepared;
    struct admin_delete_account_reply reply;
    struct admin_set_password_reply password;
    char token[64];
    const struct deletion bare = {.account = "ada@d.test", .token = ""};
    expect(f, delete_it(f, &bare, &reply), VY_CODE_PRECONDITION, "token");
    (void)meta_local_add_account(f->local, "bob@d.test", NULL, NULL, 0);
    assert_false(vy_failed(prepare(f, "bob@d.test", &prepared)));
    (void)snprintf(token, sizeof(token), "%.*s", VY_PRI(prepared.token));
    const struct deletion other = {.account = "ada@d.test", .token = token};
    expect(f, delete_it(f, &other, &reply), VY_CODE_PRECONDITION, "token");
    const struct deletion stale = {.account = "bob@d.test", .token = token};
    const struct admin_set_password_request change = {.account = VY_LIT("bob@d.test")};
    assert_false(
        vy_failed(meta_local_admin(f->local, "AccountService", "SetPassword", &change, &password)));
    expect(f, delete_it(f, &stale, &reply), VY_CODE_PRECONDITION, "confirm again");
    assert_int_equal(account_row(f, f->id).state, ACCOUNT_STATE_ACTIVE);
}

static void del3_a_second_administrator_has_to_agree(void **state)
{
    struct fixture *f = *state;
    struct admin_delete_account_reply reply;
    const struct deletion deletion = {.account = "ada@d.test"};
    meta_local_need_second_admin(f->local);
    f->local->actor = "eve";
    for (unsigned i = 0; i < 2; i++) { /* one is not two, however often */
        assert_false(vy_failed(delete_it(f, &deletion, &reply)));
        assert_true(reply.waits_for_second_admin);
        assert_int_equal(reply.intent.len, 0);
        assert_true(vy_bytes_equal(reply.state, VY_LIT("active")));
        assert_int_equal(f->fence_count, 0);
        assert_int_equal(login(f), LOGIN_RESULT_OK);
    }
    fake_clock_advance_ms(&f->local->clock, DAY_MS); /* too late */
    f->local->actor = "bob";
    assert_false(vy_failed(delete_it(f, &deletion, &reply)));
    assert_true(reply.waits_for_second_admin);
    f->local->actor = "eve";
    assert_false(vy_failed(delete_it(f, &deletion, &reply)));
    assert_false(reply.waits_for_second_admin);
    assert_true(vy_bytes_equal(reply.intent, VY_LIT("1")));
    assert_int_equal(login(f), LOGIN_RESULT_REFUSED);
    (void)run_to_end(f, "1");
    const struct admin_list_audit_request list = {.from_sequence = 1, .limit = 100};
    struct admin_list_audit_reply audit;
    assert_false(vy_failed(meta_local_admin(f->local, "AuditService", "ListAudit", &list, &audit)));
    unsigned asks = 0;
    for (size_t i = 0; i < audit.records_count; i++) {
        const bool is_ask = vy_bytes_equal(audit.records[i].action, VY_LIT("delete.ask"));
        asks += is_ask ? 1 : 0;
        assert_true(!is_ask || vy_bytes_equal(audit.records[i].subject, VY_LIT("account 1")));
    }
    assert_int_equal(asks, 3);
}

/* ---- the intent ---- */

static void p8_with_the_answer_nothing_lets_in_and_the_key_is_gone(void **state)
{
    struct fixture *f = *state;
    const struct meta_view view = {.reader = store_newest(f->local->store),
                                   .arena = &f->local->arena};
    const struct credential_row *credentials = NULL;
    struct vy_bytes wrapped;
    size_t count = 0;
    bool is_found = false;
    must_delete(f, "Ada@D.test");
    assert_int_equal(f->fence.account_id, f->id);
    assert_int_equal(f->fence.account_epoch, 2);
    assert_true(f->fence.erase);
    assert_int_equal(login(f), LOGIN_RESULT_REFUSED);
    assert_int_equal(resolve(f, "ada@d.test"), RESOLVE_RESULT_UNKNOWN);
    assert_int_equal(resolve(f, "ada+news@d.test"), RESOLVE_RESULT_UNKNOWN);
    assert_false(vy_failed(account_key_get(&view, f->id, &wrapped, &is_found)));
    assert_false(is_found);
    assert_false(vy_failed(credential_list(&view, f->id, &credentials, &count)));
    assert_int_equal(count, 0);
    assert_int_equal(account_row(f, f->id).address.len, 0);
}

static void p8_a_catch_all_does_not_get_the_mail_of_the_deleted(void **state)
{
    struct fixture *f = *state;
    struct admin_domain domain;
    (void)meta_local_add_account(f->local, "all@d.test", NULL, NULL, 0);
    const struct admin_set_domain_request set = {.name = VY_LIT("d.test"),
                                                 .catch_all = VY_LIT("all@d.test")};
    assert_false(
        vy_failed(meta_local_admin(f->local, "DomainService", "SetDomain", &set, &domain)));
    must_delete(f, "ada@d.test");
    assert_int_equal(resolve(f, "ada@d.test"), RESOLVE_RESULT_UNKNOWN);
    assert_int_equal(resolve(f, "nobody@d.test"), RESOLVE_RESULT_LOCAL);
}

static void del1_the_same_operation_is_done_once(void **state)
{
    struct fixture *f = *state;
    struct admin_prepare_delete_reply prepared;
    struct admin_delete_account_reply reply;
    char token[64];
    assert_false(vy_failed(prepare(f, "ada@d.test", &prepared)));
    (void)snprintf(token, sizeof(token), "%.*s", VY_PRI(prepared.token));
    const struct deletion deletion = {.account = "ada@d.test", .token = token, .operation = "op-1"};
    f->local->fail_next_propose = VY_CODE_UNKNOWN; /* done, but the answer is lost */
    assert_int_equal(delete_it(f, &deletion, &reply).code, VY_CODE_UNKNOWN);
    assert_false(vy_failed(delete_it(f, &deletion, &reply)));
    assert_true(vy_bytes_equal(reply.intent, VY_LIT("1")));
    assert_int_equal(account_row(f, f->id).epoch, 2);
    (void)run_to_end(f, "1");
    assert_false(vy_failed(delete_it(f, &deletion, &reply)));
    assert_true(vy_bytes_equal(reply.intent, VY_LIT("1")));
    assert_int_equal(account_row(f, f->id).state, ACCOUNT_STATE_ERASED);
}

static void p8_the_answers_about_an_account_go_with_it(void **state)
{
    struct fixture *f = *state;
    const struct admin_write_options write = {.operation_id = VY_LIT("op-create")};
    const struct admin_create_account_request request = {.account = VY_LIT("bob@d.test"),
                                                         .write = &write};
    struct admin_create_account_reply reply;
    assert_false(
        vy_failed(meta_local_admin(f->local, "AccountService", "CreateAccount", &request, &reply)));
    assert_false(
        vy_failed(meta_local_admin(f->local, "AccountService", "CreateAccount", &request, &reply)));
    assert_true(reply.password.len > 0); /* told once more */
    must_delete(f, "bob@d.test");
    expect(f, meta_local_admin(f->local, "AccountService", "CreateAccount", &request, &reply),
           VY_CODE_EXISTS, "deleted account");
}

static void del3_validate_only_changes_nothing(void **state)
{
    struct fixture *f = *state;
    struct admin_delete_account_reply reply;
    const struct deletion dry = {.account = "ada@d.test", .dry = true};
    assert_false(vy_failed(delete_it(f, &dry, &reply)));
    assert_int_equal(f->fence_count, 0);
    assert_int_equal(login(f), LOGIN_RESULT_OK);
}

static void del4_the_address_is_kept_unused_and_then_a_new_account(void **state)
{
    struct fixture *f = *state;
    struct admin_create_account_reply reply;
    must_delete(f, "ada@d.test");
    expect(f, create(f, "ada@d.test", false, &reply), VY_CODE_EXISTS, "deleted account");
    assert_false(vy_failed(create(f, "ada@d.test", true, &reply)));
    char second[32];
    (void)snprintf(second, sizeof(second), "%.*s", VY_PRI(reply.id));
    assert_string_not_equal(second, "1");
    assert_int_equal(login(f), LOGIN_RESULT_REFUSED); /* the old password */
    assert_int_equal(resolve(f, "ada@d.test"), RESOLVE_RESULT_LOCAL);
    must_delete(f, "ada@d.test");
    fake_clock_advance_ms(&f->local->clock, META_QUARANTINE_MS + 1);
    assert_false(vy_failed(create(f, "ada@d.test", false, &reply)));
    assert_false(vy_bytes_equal(reply.id, vy_cstr(second)));
    assert_false(vy_bytes_equal(reply.id, VY_LIT("1")));
}

/* ---- aliases (DEL-7) ---- */

static void add_alias(struct fixture *f, const char *name, const char *first, const char *second)
{
    const struct vy_bytes targets[] = {vy_cstr(first), vy_cstr(second == NULL ? "" : second)};
    const struct admin_create_alias_request request = {
        .alias = vy_cstr(name), .targets = targets, .targets_count = second == NULL ? 1 : 2};
    struct admin_alias reply;
    assert_false(
        vy_failed(meta_local_admin(f->local, "AliasService", "CreateAlias", &request, &reply)));
}

static void del7_what_names_the_account_is_listed_or_left(void **state)
{
    struct fixture *f = *state;
    struct admin_prepare_delete_reply prepared;
    struct admin_delete_account_reply reply;
    const struct deletion cascade = {.account = "ada@d.test", .cascade = true};
    (void)meta_local_add_account(f->local, "bob@d.test", NULL, NULL, 0);
    add_alias(f, "one@d.test", "ada+lists@d.test", NULL);
    add_alias(f, "two@d.test", "bob@d.test", "ada@d.test");
    assert_false(vy_failed(prepare(f, "ada@d.test", &prepared)));
    assert_int_equal(prepared.references_count, 2);
    expect(f, delete_name(f, "ada@d.test"), VY_CODE_PRECONDITION, "one@d.test");
    assert_int_equal(login(f), LOGIN_RESULT_OK);
    assert_false(vy_failed(delete_it(f, &cascade, &reply)));
    assert_int_equal(reply.empty_aliases_count, 1);
    assert_true(vy_bytes_equal(reply.empty_aliases[0], VY_LIT("one@d.test")));
    assert_int_equal(resolve(f, "one@d.test"), RESOLVE_RESULT_UNKNOWN);
    assert_int_equal(resolve(f, "two@d.test"), RESOLVE_RESULT_LOCAL);
    struct admin_create_account_reply created; /* P8: nor do the aliases come back */
    assert_false(vy_failed(create(f, "ada@d.test", true, &created)));
    assert_int_equal(resolve(f, "one@d.test"), RESOLVE_RESULT_UNKNOWN);
}

static void del7_a_deleted_alias_names_nobody(void **state)
{
    struct fixture *f = *state;
    const struct admin_delete_alias_request request = {.alias = VY_LIT("one@d.test")};
    struct admin_empty empty;
    add_alias(f, "one@d.test", "ada@d.test", NULL);
    assert_false(
        vy_failed(meta_local_admin(f->local, "AliasService", "DeleteAlias", &request, &empty)));
    must_delete(f, "ada@d.test");
}

static void del7_the_catch_all_of_a_domain_is_a_reference(void **state)
{
    struct fixture *f = *state;
    struct admin_domain domain;
    struct admin_delete_account_reply reply;
    const struct deletion cascade = {.account = "ada@d.test", .cascade = true};
    const struct admin_set_domain_request set = {.name = VY_LIT("d.test"),
                                                 .catch_all = VY_LIT("ada@d.test")};
    assert_false(
        vy_failed(meta_local_admin(f->local, "DomainService", "SetDomain", &set, &domain)));
    expect(f, delete_name(f, "ada@d.test"), VY_CODE_PRECONDITION, "d.test");
    assert_false(vy_failed(delete_it(f, &cascade, &reply)));
    assert_int_equal(resolve(f, "nobody@d.test"), RESOLVE_RESULT_UNKNOWN);
}

/* ---- the job ---- */

static void del5_a_job_goes_on_under_the_next_leader(void **state)
{
    struct fixture *f = *state;
    f->fence_err = vy_error(VY_CODE_UNAVAILABLE, "no member of the group has registered");
    expect(f, delete_name(f, "ada@d.test"), VY_CODE_UNAVAILABLE, "intent 1");
    meta_local_run_ms(f->local, 3000);
    const struct admin_job job = get_job(f, "1"); /* DEL-8 */
    assert_true(vy_bytes_equal(job.state, VY_LIT("failed")));
    assert_true(vy_bytes_find(job.error, VY_LIT("registered"), 0) != SIZE_MAX);
    assert_true(vy_bytes_equal(job.steps[0].state, VY_LIT("failed")));
    assert_true(vy_bytes_equal(job.steps[1].state, VY_LIT("pending")));
    assert_int_equal(job.steps[0].failed_count, 1);
    meta_local_set_leader(f->local, false);
    meta_local_run_ms(f->local, 3000);
    f->fence_err = vy_ok();
    meta_local_set_leader(f->local, true);
    meta_local_run_ms(f->local, 1000);
    (void)run_to_end(f, "1");
    assert_int_equal(account_row(f, f->id).state, ACCOUNT_STATE_ERASED);
}

static void del10_an_erased_account_is_erased_once_more_by_its_id(void **state)
{
    struct fixture *f = *state;
    char id[32];
    (void)snprintf(id, sizeof(id), "%llu", (unsigned long long)f->id);
    must_delete(f, "ada@d.test");
    (void)run_to_end(f, "1");
    expect(f, delete_name(f, "ada@d.test"), VY_CODE_NOT_FOUND, "does not exist");
    const unsigned before = f->fence_count;
    must_delete(f, id);
    assert_true(f->fence_count > before);
    (void)run_to_end(f, "2");
}

static struct admin_verify_certificate_reply verify(struct fixture *f, struct vy_bytes text)
{
    const struct admin_verify_certificate_request request = {.text = text};
    struct admin_verify_certificate_reply reply;
    assert_false(
        vy_failed(meta_local_admin(f->local, "JobService", "VerifyCertificate", &request, &reply)));
    return reply;
}

static void a_certificate_holds_byte_for_byte(void **state)
{
    struct fixture *f = *state;
    char text[8192];
    must_delete(f, "ada@d.test");
    const struct admin_job job = run_to_end(f, "1");
    const size_t len = job.certificate.len;
    assert_in_range(len, 100, sizeof(text) - 1);
    memcpy(text, job.certificate.data, len);
    assert_true(vy_bytes_find(vy_bytes(text, len), VY_LIT("raft log"), 0) != SIZE_MAX);
    assert_true(vy_bytes_find(vy_bytes(text, len), VY_LIT("ada"), 0) == SIZE_MAX);
    struct admin_verify_certificate_reply reply = verify(f, vy_bytes(text, len));
    assert_true(reply.valid);
    assert_true(vy_bytes_equal(reply.intent, VY_LIT("1")));
    assert_false(verify(f, vy_bytes(text, len - 3)).valid);
    assert_false(verify(f, VY_LIT("{}")).valid);
    for (size_t i = 0; i < len - 1; i++) {
        text[i] = (char)(text[i] ^ 1);
        assert_false(verify(f, vy_bytes(text, len)).valid);
        text[i] = (char)(text[i] ^ 1);
    }
}

static void the_delete_stays_in_the_chain_with_its_reason_but_no_name(void **state)
{
    struct fixture *f = *state;
    const struct admin_list_audit_request request = {.from_sequence = 1, .limit = 100};
    struct admin_list_audit_reply reply;
    struct admin_verify_audit_reply check;
    const struct admin_empty empty = {0};
    must_delete(f, "ada@d.test");
    assert_false(
        vy_failed(meta_local_admin(f->local, "AuditService", "ListAudit", &request, &reply)));
    const struct admin_audit_record *last = &reply.records[reply.records_count - 1];
    assert_true(vy_bytes_equal(last->action, VY_LIT("account.delete")));
    assert_true(vy_bytes_equal(last->subject, VY_LIT("account 1")));
    for (size_t i = 0; i < reply.records_count; i++) {
        assert_true(vy_bytes_find(reply.records[i].subject, VY_LIT("ada"), 0) == SIZE_MAX);
    }
    assert_false(
        vy_failed(meta_local_admin(f->local, "AuditService", "VerifyAudit", &empty, &check)));
    assert_true(check.intact);
}

/* ---- members (DEL-8, F22) ---- */

static uint64_t group_of_ada(struct fixture *f)
{
    const struct admin_get_account_request request = {.account = VY_LIT("ada@d.test")};
    struct admin_account account;
    assert_false(
        vy_failed(meta_local_admin(f->local, "AccountService", "GetAccount", &request, &account)));
    return account.group_id;
}

static void add_shard(struct fixture *f, const char *node, uint64_t group_id)
{
    const struct node_register_request request = {.group_id = group_id,
                                                  .member_id = 71,
                                                  .role = VY_LIT("shard"),
                                                  .node = vy_cstr(node),
                                                  .link_address = VY_LIT("tcp://127.0.0.1:1"),
                                                  .incarnation = 1};
    struct node_register_reply reply;
    assert_false(
        vy_failed(meta_local_call(f->local, METHOD_META_NODE_REGISTER, &node_register_request_desc,
                                  &request, &node_register_reply_desc, &reply)));
}

static const struct admin_job_step *find_step(const struct admin_job *job, const char *part)
{
    for (size_t i = 0; i < job->steps_count; i++) {
        if (vy_bytes_find(job->steps[i].participant, vy_cstr(part), 0) != SIZE_MAX) {
            return &job->steps[i];
        }
    }
    fail_msg("no step %s", part);
    return NULL;
}

static void expect_in(struct vy_bytes text, const char *part, bool is_there)
{
    assert_int_equal(vy_bytes_find(text, vy_cstr(part), 0) != SIZE_MAX, is_there);
}

static void f22_every_member_is_asked_until_it_is_clean(void **state)
{
    struct fixture *f = *state;
    add_shard(f, "shard-a", group_of_ada(f));
    f->local->member_answer = (struct account_expel_reply){.applied = true};
    must_delete(f, "ada@d.test");
    meta_local_run_ms(f->local, 20000); /* one that works is waited for */
    assert_true(vy_bytes_equal(get_job(f, "1").state, VY_LIT("running")));
    assert_int_equal(f->local->member_asked, 71);
    f->local->member_answer.rewritten = true;
    f->local->member_answer.log_cut = true;
    const struct admin_job job = run_to_end(f, "1");
    assert_int_equal(job.pending_members, 0);
    assert_true(job.completed_ms > 0);
    assert_true(vy_bytes_equal(find_step(&job, "shard-a")->state, VY_LIT("done")));
    expect_in(job.certificate, "\"pending\":[]", true);
    expect_in(job.certificate, "member shard-a (0000000000000047): raft log cut", true);
}

static void f22_a_member_that_is_away_is_pending_and_certified_when_it_is_back(void **state)
{
    struct fixture *f = *state;
    add_shard(f, "shard-a", group_of_ada(f));
    f->local->member_err = vy_error(VY_CODE_UNAVAILABLE, "down");
    must_delete(f, "ada@d.test");
    struct admin_job job = run_to_end(f, "1");
    assert_int_equal(job.pending_members, 1);
    assert_int_equal(job.completed_ms, 0);
    assert_int_equal(account_row(f, f->id).state, ACCOUNT_STATE_ERASED);
    const struct admin_job_step *step = find_step(&job, "shard-a");
    assert_true(vy_bytes_equal(step->state, VY_LIT("pending")));
    assert_true(vy_bytes_equal(step->error, VY_LIT("cannot be reached")));
    expect_in(job.certificate, "\"serial\":1,", true);
    expect_in(job.certificate, "member shard-a (0000000000000047): cannot be reached", true);
    meta_local_set_leader(f->local, false); /* the next leader goes on with it */
    f->local->member_err = vy_ok();
    f->local->member_answer =
        (struct account_expel_reply){.applied = true, .rewritten = true, .log_cut = true};
    meta_local_set_leader(f->local, true);
    meta_local_run_ms(f->local, 7000);
    job = get_job(f, "1");
    assert_int_equal(job.pending_members, 0);
    assert_true(job.completed_ms > job.finished_ms);
    expect_in(job.certificate, "\"serial\":2,", true);
    expect_in(job.certificate, "\"pending\":[]", true);
    assert_true(verify(f, job.certificate).valid);
    f->local->member_asked = 0;
    meta_local_run_ms(f->local, 20000);
    assert_int_equal(f->local->member_asked, 0); /* nothing is left to ask */
}

static void f22_one_that_is_no_member_any_more_is_told_as_left(void **state)
{
    struct fixture *f = *state;
    add_shard(f, "shard-a", group_of_ada(f));
    f->local->member_err = vy_error(VY_CODE_UNAVAILABLE, "down");
    must_delete(f, "ada@d.test");
    (void)run_to_end(f, "1");
    add_shard(f, "shard-a", f->fence.group_id + 1);
    meta_local_run_ms(f->local, 7000);
    const struct admin_job job = get_job(f, "1");
    assert_int_equal(job.pending_members, 0);
    assert_true(vy_bytes_equal(find_step(&job, "shard-a")->state, VY_LIT("left")));
    expect_in(job.certificate, "\"left\":[\"group ", true);
}

/* As `volaryctl member add` leaves it: no configuration file names it, the map does. */
static void add_meta_member(struct fixture *f, uint64_t member_id)
{
    const struct member_row member = {.member_id = member_id,
                                      .node = VY_LIT("meta-4"),
                                      .link_address = VY_LIT("tcp://127.0.0.1:9"),
                                      .raft_address = VY_LIT("tcp://127.0.0.1:8"),
                                      .plan = MEMBER_PLAN_ADD};
    const struct cmd_member_plan plan = {.member = &member};
    const struct meta_command command = {.version = META_COMMAND_VERSION, .member_plan = &plan};
    meta_local_apply(f->local, &command);
    f->local->added_member_id = member_id;
}

static void f22_a_member_of_meta_that_was_added_later_is_asked_where_it_is(void **state)
{
    struct fixture *f = *state;
    add_meta_member(f, 9);
    f->local->member_answer =
        (struct account_expel_reply){.applied = true, .rewritten = true, .log_cut = true};
    must_delete(f, "ada@d.test");
    const struct admin_job job = run_to_end(f, "1");
    assert_int_equal(f->local->member_asked, 9);
    assert_string_equal(f->local->member_address, "tcp://127.0.0.1:9");
    assert_int_equal(job.pending_members, 0);
    expect_in(job.certificate, "\"pending\":[]", true);
}

static void f22_a_member_of_meta_that_was_removed_is_told_as_left(void **state)
{
    struct fixture *f = *state;
    add_meta_member(f, 9);
    f->local->member_err = vy_error(VY_CODE_UNAVAILABLE, "down");
    must_delete(f, "ada@d.test");
    assert_int_equal(run_to_end(f, "1").pending_members, 1);
    f->local->added_member_id = 0; /* the group decides, not the map */
    meta_local_run_ms(f->local, 7000);
    const struct admin_job job = get_job(f, "1");
    assert_int_equal(job.pending_members, 0);
    expect_in(job.certificate, "\"left\":[\"", true);
}

/* ---- domains (DEL-9) ---- */

static struct vy_err delete_domain(struct fixture *f, const char *token, bool cascade,
                                   struct admin_delete_domain_reply *reply)
{
    const struct admin_delete_domain_request request = {
        .name = VY_LIT("d.test"), .cascade = cascade, .token = vy_cstr(token)};
    return meta_local_admin(f->local, "DomainService", "DeleteDomain", &request, reply);
}

static void prepare_domain(struct fixture *f, char token[96], uint64_t accounts, uint64_t aliases)
{
    const struct admin_prepare_delete_domain_request request = {.name = VY_LIT("D.test")};
    struct admin_prepare_delete_domain_reply reply;
    assert_false(vy_failed(
        meta_local_admin(f->local, "DomainService", "PrepareDeleteDomain", &request, &reply)));
    assert_int_equal(reply.account_count, accounts);
    assert_int_equal(reply.alias_count, aliases);
    (void)snprintf(token, 96, "%.*s", VY_PRI(reply.token));
}

static void del9_a_domain_goes_with_its_accounts_under_one_intent(void **state)
{
    struct fixture *f = *state;
    struct admin_delete_domain_reply reply;
    struct admin_create_account_reply created;
    char token[96];
    meta_local_add_domain(f->local, "other.test", NULL);
    (void)meta_local_add_account(f->local, "eve@other.test", NULL, NULL, 0);
    for (unsigned i = 0; i < 40; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "user%u@d.test", i);
        (void)meta_local_add_account(f->local, name, NULL, NULL, 0);
        (void)snprintf(name, sizeof(name), "alias%u@d.test", i);
        add_alias(f, name, "eve@other.test", NULL);
    }
    add_alias(f, "left@other.test", "ada@d.test", NULL);
    const struct deletion soft = {.account = "user7@d.test", .soft = true};
    struct admin_delete_account_reply deleted;
    assert_false(vy_failed(delete_it(f, &soft, &deleted)));

    expect(f, delete_domain(f, "", false, &reply), VY_CODE_PRECONDITION, "41 accounts");
    expect(f, delete_domain(f, "", true, &reply), VY_CODE_PRECONDITION, "token");
    prepare_domain(f, token, 41, 40);
    must_delete(f, "user3@d.test");
    expect(f, delete_domain(f, token, true, &reply), VY_CODE_PRECONDITION, "confirm again");
    prepare_domain(f, token, 40, 40);
    assert_false(vy_failed(delete_domain(f, token, true, &reply)));
    assert_true(vy_bytes_equal(reply.intent, VY_LIT("2")));
    expect(f, create(f, "new@d.test", false, &created), VY_CODE_PRECONDITION, "being deleted");
    assert_false(vy_failed(delete_domain(f, token, true, &reply))); /* the same job */
    assert_true(vy_bytes_equal(reply.intent, VY_LIT("2")));

    const struct admin_job job = run_to_end(f, "2");
    assert_true(vy_bytes_equal(job.kind, VY_LIT("erase-domain")));
    assert_int_equal(job.accounts_planned, 40);
    assert_int_equal(job.accounts_begun, 40);
    assert_int_equal(job.accounts_done, 40);
    assert_int_equal(job.empty_aliases_count, 1);
    assert_true(vy_bytes_equal(job.empty_aliases[0], VY_LIT("left@other.test")));
    expect_in(job.certificate, "\"accounts\":40", true);
    assert_true(verify(f, job.certificate).valid);
    const struct admin_job child = get_job(f, "3");
    assert_true(vy_bytes_equal(child.parent, VY_LIT("2")));
    expect_in(child.certificate, "\"parent\":\"2\"", true);
    assert_int_equal(account_row(f, f->id).state, ACCOUNT_STATE_ERASED);
    assert_int_equal(resolve(f, "ada@d.test"), RESOLVE_RESULT_FOREIGN);
    assert_int_equal(resolve(f, "alias3@d.test"), RESOLVE_RESULT_FOREIGN);
    assert_int_equal(resolve(f, "eve@other.test"), RESOLVE_RESULT_LOCAL);
    meta_local_add_domain(f->local, "d.test", NULL); /* the name is free, the addresses rest */
    expect(f, create(f, "ada@d.test", false, &created), VY_CODE_EXISTS, "deleted account");
}

static void del9_the_next_leader_goes_on_with_a_domain(void **state)
{
    struct fixture *f = *state;
    struct admin_delete_domain_reply reply;
    char token[96];
    (void)meta_local_add_account(f->local, "bob@d.test", NULL, NULL, 0);
    meta_local_need_second_admin(f->local);
    prepare_domain(f, token, 2, 0);
    assert_false(vy_failed(delete_domain(f, token, true, &reply)));
    assert_true(reply.waits_for_second_admin); /* DEL-3 */
    f->local->actor = "another";
    add_shard(f, "shard-a", group_of_ada(f));
    f->local->member_err = vy_error(VY_CODE_UNAVAILABLE, "down");
    prepare_domain(f, token, 2, 0);
    assert_false(vy_failed(delete_domain(f, token, true, &reply)));
    meta_local_set_leader(f->local, false); /* before the first account */
    meta_local_run_ms(f->local, 100);
    meta_local_set_leader(f->local, true);
    struct admin_job job = run_to_end(f, "1");
    assert_int_equal(job.accounts_done, 2);
    assert_true(job.pending_members > 0);
    assert_int_equal(job.completed_ms, 0);
    f->local->member_err = vy_ok();
    f->local->member_answer =
        (struct account_expel_reply){.applied = true, .rewritten = true, .log_cut = true};
    meta_local_run_ms(f->local, 20000);
    job = get_job(f, "1");
    assert_int_equal(job.pending_members, 0);
    assert_true(job.completed_ms > job.finished_ms);
}

static uint64_t gauge(struct fixture *f, const char *name)
{
    struct vy_buf text;
    uint64_t value = UINT64_MAX;
    char line[96];
    vy_buf_init(&text, 1024U * 1024);
    vy_metrics_write(f->local->metrics, &text);
    (void)snprintf(line, sizeof(line), "\n%s ", name);
    const struct vy_bytes all = vy_buf_bytes(&text);
    const size_t at = vy_bytes_find(all, vy_cstr(line), 0);
    assert_true(at != SIZE_MAX);
    struct vy_bytes rest = vy_bytes_from(all, at + strlen(line));
    assert_true(vy_parse_u64(vy_bytes_cut(&rest, '\n'), &value));
    vy_buf_deinit(&text);
    return value;
}

static void del8_an_erasure_that_is_old_is_counted(void **state)
{
    struct fixture *f = *state;
    add_shard(f, "shard-a", group_of_ada(f));
    f->local->member_err = vy_error(VY_CODE_UNAVAILABLE, "down");
    must_delete(f, "ada@d.test");
    (void)run_to_end(f, "1");
    meta_local_run_ms(f->local, 6000);
    assert_int_equal(gauge(f, "volary_meta_erase_open"), 0);
    assert_int_equal(gauge(f, "volary_meta_erase_waiting"), 1);
    assert_int_equal(gauge(f, "volary_meta_erase_overdue"), 0);
    fake_clock_advance_ms(&f->local->clock, META_ALERT_MS);
    meta_local_run_ms(f->local, 6000);
    assert_int_equal(gauge(f, "volary_meta_erase_overdue"), 1);
    assert_true(gauge(f, "volary_meta_erase_oldest_seconds") >= META_ALERT_MS / 1000);
    meta_local_set_leader(f->local, false);
    meta_local_run_ms(f->local, 2000);
    assert_int_equal(gauge(f, "volary_meta_erase_overdue"), 0); /* the next leader counts */
}

static void jobs_are_listed_in_pages(void **state)
{
    struct fixture *f = *state;
    const struct admin_page_options first = {.limit = 1};
    const struct admin_page_options second = {.limit = 1, .after = VY_LIT("1")};
    struct admin_list_jobs_request request = {.page = &first};
    struct admin_list_jobs_reply reply;
    (void)meta_local_add_account(f->local, "bob@d.test", NULL, NULL, 0);
    must_delete(f, "ada@d.test");
    must_delete(f, "bob@d.test");
    assert_false(vy_failed(meta_local_admin(f->local, "JobService", "ListJobs", &request, &reply)));
    assert_int_equal(reply.jobs_count, 1);
    assert_true(vy_bytes_equal(reply.next, VY_LIT("1")));
    request.page = &second;
    assert_false(vy_failed(meta_local_admin(f->local, "JobService", "ListJobs", &request, &reply)));
    assert_true(vy_bytes_equal(reply.jobs[0].id, VY_LIT("2")));
    assert_int_equal(reply.next.len, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(del1_only_the_edges_of_the_table_exist),
        TEST(del2_a_soft_delete_refuses_all_and_is_undone_in_time),
        TEST(del2_a_soft_delete_can_be_repeated),
        TEST(del1_a_restored_account_is_as_disabled_as_before),
        TEST(del1_a_soft_delete_that_is_not_undone_becomes_an_erasure),
        TEST(del3_a_delete_needs_the_token_of_this_account_as_it_is_now),
        TEST(del3_a_second_administrator_has_to_agree),
        TEST(p8_with_the_answer_nothing_lets_in_and_the_key_is_gone),
        TEST(p8_a_catch_all_does_not_get_the_mail_of_the_deleted),
        TEST(del1_the_same_operation_is_done_once),
        TEST(p8_the_answers_about_an_account_go_with_it),
        TEST(del3_validate_only_changes_nothing),
        TEST(del4_the_address_is_kept_unused_and_then_a_new_account),
        TEST(del7_what_names_the_account_is_listed_or_left),
        TEST(del7_a_deleted_alias_names_nobody),
        TEST(del7_the_catch_all_of_a_domain_is_a_reference),
        TEST(del5_a_job_goes_on_under_the_next_leader),
        TEST(del10_an_erased_account_is_erased_once_more_by_its_id),
        TEST(a_certificate_holds_byte_for_byte),
        TEST(the_delete_stays_in_the_chain_with_its_reason_but_no_name),
        TEST(f22_every_member_is_asked_until_it_is_clean),
        TEST(f22_a_member_that_is_away_is_pending_and_certified_when_it_is_back),
        TEST(f22_one_that_is_no_member_any_more_is_told_as_left),
        TEST(f22_a_member_of_meta_that_was_added_later_is_asked_where_it_is),
        TEST(f22_a_member_of_meta_that_was_removed_is_told_as_left),
        TEST(del9_a_domain_goes_with_its_accounts_under_one_intent),
        TEST(del9_the_next_leader_goes_on_with_a_domain),
        TEST(del8_an_erasure_that_is_old_is_counted),
        TEST(jobs_are_listed_in_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
