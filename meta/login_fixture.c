/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/login_fixture.h"

int login_fixture_set_up(void **state)
{
    static struct fixture f;
    f.local = meta_local_new(0, NULL, NULL);
    meta_local_add_domain(f.local, "d.test", NULL);
    f.ada = meta_local_add_account(f.local, "ada@d.test", NULL, f.generated, sizeof(f.generated));
    f.bob = meta_local_add_account(f.local, "bob@d.test", CHOSEN, NULL, 0);
    *state = &f;
    return 0;
}

int login_fixture_tear_down(void **state)
{
    struct fixture *f = *state;
    meta_local_free(f->local);
    return 0;
}

enum login_result login(struct fixture *f, const char *name, const char *password)
{
    struct login_reply reply;
    const struct vy_err err =
        meta_local_login(f->local, name, password, LOGIN_PROTOCOL_IMAP, &reply);
    assert_int_equal(err.code, VY_CODE_OK);
    if (reply.result != LOGIN_RESULT_OK) {
        assert_int_equal(reply.account_id, 0);
        assert_int_equal(reply.session_token.len, 0);
        assert_int_equal(reply.account_name.len, 0);
    }
    return reply.result;
}

/* The newest login record of an account ("-": of unknown names). */
struct admin_login_record newest(struct fixture *f, const char *account)
{
    const struct admin_list_logins_request request = {.account = vy_cstr(account)};
    struct admin_list_logins_reply reply;
    assert_false(
        vy_failed(meta_local_admin(f->local, "CredentialService", "ListLogins", &request, &reply)));
    assert_true(reply.logins_count > 0);
    return reply.logins[0];
}

void expect_record(struct fixture *f, const char *account, const char *result)
{
    const struct admin_login_record record = newest(f, account);
    assert_true(vy_bytes_equal(record.result, vy_cstr(result)));
}

uint64_t audit_count(struct fixture *f)
{
    const struct admin_empty empty = {0};
    struct admin_verify_audit_reply reply;
    assert_false(
        vy_failed(meta_local_admin(f->local, "AuditService", "VerifyAudit", &empty, &reply)));
    assert_true(reply.intact);
    return reply.record_count;
}
