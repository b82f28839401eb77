/* SPDX-License-Identifier: Apache-2.0 */
/* App passwords: networks, labels in names, last use, and what revokes them (APP-1, 5, 7, 9). */
#include "meta/login_fixture.h"
#include "meta/tables.h"
#include "proto/password_prep.h"

#include "base/assert.h"
#include <stdio.h>

struct made {
    char secret[64];
    char id[32];
};

static struct vy_err create_with(struct fixture *f, const char *label, const char *network,
                                 struct made *out)
{
    const struct vy_bytes networks[] = {vy_cstr(network)};
    const struct admin_create_app_password_request request = {.account = VY_LIT("bob@d.test"),
                                                              .label = vy_cstr(label),
                                                              .networks = networks,
                                                              .networks_count =
                                                                  network[0] == '\0' ? 0 : 1};
    struct admin_create_app_password_reply reply;
    VY_TRY(meta_local_admin(f->local, "CredentialService", "CreateAppPassword", &request, &reply));
    (void)snprintf(out->secret, sizeof(out->secret), "%.*s", VY_PRI(reply.secret));
    (void)snprintf(out->id, sizeof(out->id), "%.*s", VY_PRI(reply.id));
    return vy_ok();
}

static struct made create(struct fixture *f, const char *label, const char *network)
{
    struct made made;
    assert_false(vy_failed(create_with(f, label, network, &made)));
    return made;
}

static enum login_result sign_in_from(struct fixture *f, const char *name, const char *secret,
                                      const char *ip)
{
    const struct login_context context = {.protocol = LOGIN_PROTOCOL_IMAP,
                                          .mechanism = LOGIN_MECHANISM_PLAIN,
                                          .typed_name = vy_cstr(name),
                                          .remote_ip = vy_cstr(ip)};
    struct login_reply reply;
    fake_clock_advance_ms(&f->local->clock, 1); /* so that its record is the newest */
    assert_false(vy_failed(meta_local_login_as(f->local, &context, secret, &reply)));
    return reply.result;
}

static struct admin_list_app_passwords_reply list(struct fixture *f)
{
    const struct admin_list_app_passwords_request request = {.account = VY_LIT("bob@d.test")};
    struct admin_list_app_passwords_reply reply;
    assert_false(vy_failed(
        meta_local_admin(f->local, "CredentialService", "ListAppPasswords", &request, &reply)));
    return reply;
}

/* ---- networks ---- */

static void app1_an_app_password_works_from_its_networks_only(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *network;
        const char *ip;
        bool is_inside;
    } cases[] = {
        {"192.0.2.0/24",  "192.0.2.255",      true },
        {"192.0.2.0/24",  "192.0.3.0",        false},
        {"192.0.2.0/24",  "::ffff:192.0.2.1", true },
        {"192.0.2.7",     "192.0.2.7",        true },
        {"192.0.2.7",     "192.0.2.6",        false},
        {"2001:db8::/32", "2001:db8:ffff::1", true },
        {"2001:db8::/32", "2001:db9::1",      false},
        {"2001:db8::/32", "192.0.2.1",        false},
        {"0.0.0.0/0",     "203.0.113.9",      true },
        {"0.0.0.0/0",     "2001:db8::1",      false},
        {"0.0.0.0/0",     "",                 false}, /* no address is in no network */
        {"0.0.0.0/0",     "localhost",        false},
    };
    for (size_t i = 0; i < VY_COUNT_OF(cases); i++) {
        const struct made made = create(f, "phone", cases[i].network);
        const enum login_result result = sign_in_from(f, "bob@d.test", made.secret, cases[i].ip);
        assert_int_equal(result, cases[i].is_inside ? LOGIN_RESULT_OK : LOGIN_RESULT_REFUSED);
        expect_record(f, "bob@d.test", cases[i].is_inside ? "ok" : "badnetwork");
    }
}

static void a_network_that_is_none_is_refused(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[] = {"192.0.2.1/24",   "192.0.2.0/33", "192.0.2", "x",
                                      "2001:db8::/129", "192.0.2.0/-1"};
    struct made unused;
    for (size_t i = 0; i < VY_COUNT_OF(bad); i++) {
        assert_int_equal(create_with(f, "phone", bad[i], &unused).code, VY_CODE_ARGUMENT);
    }
    struct vy_bytes networks[META_APP_NETWORKS_MAX + 1];
    struct admin_create_app_password_request request = {
        .account = VY_LIT("bob@d.test"), .label = VY_LIT("x"), .networks = networks};
    struct admin_create_app_password_reply reply;
    for (size_t i = 0; i < VY_COUNT_OF(networks); i++) {
        networks[i] = VY_LIT("192.0.2.0/24");
    }
    request.networks_count = META_APP_NETWORKS_MAX;
    assert_int_equal(
        meta_local_admin(f->local, "CredentialService", "CreateAppPassword", &request, &reply).code,
        VY_CODE_OK);
    request.networks_count = META_APP_NETWORKS_MAX + 1;
    assert_int_equal(
        meta_local_admin(f->local, "CredentialService", "CreateAppPassword", &request, &reply).code,
        VY_CODE_ARGUMENT);
}

/* ---- labels in names ---- */

static void app5_a_name_with_a_label_means_that_app_password(void **state)
{
    struct fixture *f = *state;
    const struct made phone = create(f, "Phone of Bob", "");
    const struct made tablet = create(f, "100% tablet@home", "");
    static const struct {
        const char *name;
        bool opens_phone;
        bool opens_tablet;
    } cases[] = {
        {"bob@d.test",                  true,  true },
        {"bob@d.test%Phone of Bob",     true,  false},
        {"BOB@D.test%phone OF bob",     true,  false},
        {"bob@d.test%100% tablet@home", false, true },
        {"bob@d.test%phone",            false, false},
        {"bob@d.test%",                 false, false},
        {"bob%Phone of Bob@d.test",     false, false},
        {"ada@d.test%Phone of Bob",     false, false},
        {"eve@d.test%Phone of Bob",     false, false},
        {"%Phone of Bob",               false, false},
    };
    for (size_t i = 0; i < VY_COUNT_OF(cases); i++) {
        assert_int_equal(sign_in_from(f, cases[i].name, phone.secret, ""),
                         cases[i].opens_phone ? LOGIN_RESULT_OK : LOGIN_RESULT_REFUSED);
        assert_int_equal(sign_in_from(f, cases[i].name, tablet.secret, ""),
                         cases[i].opens_tablet ? LOGIN_RESULT_OK : LOGIN_RESULT_REFUSED);
    }
}

static void app5_the_main_password_opens_no_name_with_a_label(void **state)
{
    struct fixture *f = *state;
    (void)create(f, "phone", "");
    assert_int_equal(sign_in_from(f, "ada@d.test", f->generated, ""), LOGIN_RESULT_OK);
    assert_int_equal(sign_in_from(f, "ada@d.test%phone", f->generated, ""), LOGIN_RESULT_REFUSED);
    expect_record(f, "ada@d.test", "badpassword");
    assert_int_equal(login(f, "bob@d.test%phone", CHOSEN), LOGIN_RESULT_REFUSED);
    assert_int_equal(login(f, "eve@d.test%phone", CHOSEN), LOGIN_RESULT_REFUSED);
    expect_record(f, "-", "baduser");
}

/* ---- last use ---- */

static void app1_the_list_tells_of_the_last_use(void **state)
{
    struct fixture *f = *state;
    const struct made made = create(f, "phone", "");
    assert_int_equal(list(f).app_passwords[0].last_used_ms, 0);
    assert_int_equal(list(f).app_passwords[0].last_used_ip.len, 0);
    assert_int_equal(sign_in_from(f, "bob@d.test", made.secret, "192.0.2.9"), LOGIN_RESULT_OK);
    const struct admin_list_app_passwords_reply reply = list(f);
    assert_int_equal(reply.app_passwords[0].last_used_ms, f->local->clock.wall_ms);
    assert_true(vy_bytes_equal(reply.app_passwords[0].last_used_ip, VY_LIT("192.0.2.9")));
    assert_true(vy_bytes_equal(reply.app_passwords[0].last_used_protocol, VY_LIT("imap")));
}

static void the_last_use_is_written_at_most_once_a_minute(void **state)
{
    struct fixture *f = *state;
    const struct made made = create(f, "phone", "");
    assert_int_equal(sign_in_from(f, "bob@d.test", made.secret, "192.0.2.9"), LOGIN_RESULT_OK);
    const uint64_t first_ms = f->local->clock.wall_ms;
    assert_int_equal(sign_in_from(f, "bob@d.test", made.secret, "192.0.2.8"), LOGIN_RESULT_OK);
    assert_int_equal(list(f).app_passwords[0].last_used_ms, first_ms);
    fake_clock_advance_ms(&f->local->clock, 60000);
    assert_int_equal(sign_in_from(f, "bob@d.test", made.secret, "192.0.2.8"), LOGIN_RESULT_OK);
    assert_int_equal(list(f).app_passwords[0].last_used_ms, f->local->clock.wall_ms);
    assert_true(vy_bytes_equal(list(f).app_passwords[0].last_used_ip, VY_LIT("192.0.2.8")));
}

static void app9_records_name_the_app_password_also_when_it_is_gone(void **state)
{
    struct fixture *f = *state;
    const struct made phone = create(f, "phone", "");
    const struct made tablet = create(f, "tablet", "");
    assert_int_equal(sign_in_from(f, "bob@d.test", tablet.secret, ""), LOGIN_RESULT_OK);
    assert_int_equal(sign_in_from(f, "bob@d.test", phone.secret, ""), LOGIN_RESULT_OK);
    const struct admin_delete_app_password_request request = {.account = VY_LIT("bob@d.test"),
                                                              .id = vy_cstr(phone.id)};
    struct admin_empty empty;
    assert_false(vy_failed(
        meta_local_admin(f->local, "CredentialService", "DeleteAppPassword", &request, &empty)));
    const struct admin_list_logins_request logins = {.account = VY_LIT("bob@d.test")};
    struct admin_list_logins_reply reply;
    assert_false(
        vy_failed(meta_local_admin(f->local, "CredentialService", "ListLogins", &logins, &reply)));
    assert_int_equal(reply.logins_count, 2); /* one row each, from the same place */
    assert_true(vy_bytes_equal(reply.logins[0].app_password, VY_LIT("phone")));
    assert_true(vy_bytes_equal(reply.logins[1].app_password, VY_LIT("tablet")));
    const struct admin_list_audit_request all = {.from_sequence = 1, .limit = 1000};
    struct admin_list_audit_reply audit;
    assert_false(vy_failed(meta_local_admin(f->local, "AuditService", "ListAudit", &all, &audit)));
    assert_int_not_equal(vy_bytes_find(audit.records[audit.records_count - 2].detail,
                                       VY_LIT("app_password=phone"), 0),
                         SIZE_MAX);
    const struct admin_audit_record *last = &audit.records[audit.records_count - 1];
    assert_true(vy_bytes_equal(last->action, VY_LIT("apppassword.delete")));
    assert_int_not_equal(vy_bytes_find(last->detail, VY_LIT("phone"), 0), SIZE_MAX);
}

/* ---- whose ---- */

/* H10: ids are numbers in sequence; an account's are of no use with another's name. */
static void h10_an_id_of_another_account_is_not_found(void **state)
{
    struct fixture *f = *state;
    const struct made made = create(f, "phone", "");
    struct admin_empty empty;
    meta_local_add_account(f->local, "mallory@d.test", NULL, NULL, 0);
    for (unsigned id = 0; id < 20; id++) {
        char text[16];
        (void)snprintf(text, sizeof(text), "%u", id);
        const struct admin_delete_app_password_request request = {
            .account = VY_LIT("mallory@d.test"), .id = vy_cstr(text)};
        const struct vy_err err =
            meta_local_admin(f->local, "CredentialService", "DeleteAppPassword", &request, &empty);
        assert_true(err.code == VY_CODE_NOT_FOUND || err.code == VY_CODE_ARGUMENT);
        assert_true(id == 0 || err.code == VY_CODE_NOT_FOUND);
    }
    assert_int_equal(list(f).app_passwords_count, 1);
    assert_int_equal(sign_in_from(f, "bob@d.test", made.secret, "192.0.2.1"), LOGIN_RESULT_OK);
}

/* ---- revoked ---- */

static uint32_t set_password(struct fixture *f, bool keeps)
{
    const struct admin_set_password_request request = {.account = VY_LIT("bob@d.test"),
                                                       .keep_app_passwords = keeps};
    struct admin_set_password_reply reply;
    assert_false(
        vy_failed(meta_local_admin(f->local, "AccountService", "SetPassword", &request, &reply)));
    return reply.revoked_app_passwords;
}

static void app7_a_new_password_revokes_app_passwords_unless_told_otherwise(void **state)
{
    struct fixture *f = *state;
    const struct made phone = create(f, "phone", "");
    const struct made tablet = create(f, "tablet", "");
    assert_int_equal(set_password(f, true), 0);
    assert_int_equal(sign_in_from(f, "bob@d.test", phone.secret, ""), LOGIN_RESULT_OK);
    assert_int_equal(set_password(f, false), 2);
    assert_int_equal(sign_in_from(f, "bob@d.test", phone.secret, ""), LOGIN_RESULT_REFUSED);
    assert_int_equal(sign_in_from(f, "bob@d.test", tablet.secret, ""), LOGIN_RESULT_REFUSED);
    assert_int_equal(list(f).app_passwords_count, 0);
    const struct made fresh = create(f, "phone", "");
    assert_int_equal(sign_in_from(f, "bob@d.test", fresh.secret, ""), LOGIN_RESULT_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(app1_an_app_password_works_from_its_networks_only),
        TEST(a_network_that_is_none_is_refused),
        TEST(app5_a_name_with_a_label_means_that_app_password),
        TEST(app5_the_main_password_opens_no_name_with_a_label),
        TEST(app1_the_list_tells_of_the_last_use),
        TEST(the_last_use_is_written_at_most_once_a_minute),
        TEST(app9_records_name_the_app_password_also_when_it_is_gone),
        TEST(h10_an_id_of_another_account_is_not_found),
        TEST(app7_a_new_password_revokes_app_passwords_unless_told_otherwise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
