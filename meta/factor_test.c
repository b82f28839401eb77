/* SPDX-License-Identifier: Apache-2.0 */
/* Second factors over the real state machine: APP-2, APP-3, APP-8, A9, P18, DEL-4. */
#include "meta/factor_code.h"
#include "meta/login_fixture.h"

#include "base/assert.h"
#include <stdio.h>

#define CREDENTIALS "CredentialService"

struct enrolled {
    uint8_t secret[TOTP_SECRET_BYTES];
    char recovery[META_RECOVERY_CODES][RECOVERY_SHOWN_BYTES + 1];
};

/* ---- doing what an operator does ---- */

static uint8_t base32_value(char c)
{
    return (uint8_t)(c >= 'A' ? c - 'A' : c - '2' + 26);
}

static void read_secret(struct vy_bytes text, uint8_t out[TOTP_SECRET_BYTES])
{
    uint64_t bits = 0;
    unsigned count = 0;
    size_t at = 0;
    assert_int_equal(text.len, 32);
    for (size_t i = 0; i < text.len; i++) {
        bits = bits << 5 | base32_value((char)text.data[i]);
        count += 5;
        if (count >= 8) {
            count -= 8;
            out[at++] = (uint8_t)(bits >> count);
        }
    }
}

static struct vy_err enroll(struct fixture *f, const char *operation, struct enrolled *out)
{
    const struct admin_write_options write = {.operation_id = vy_cstr(operation)};
    const struct admin_enroll_factor_request request = {.account = VY_LIT("ada@d.test"),
                                                        .write = &write};
    struct admin_enroll_factor_reply reply;
    VY_TRY(meta_local_admin(f->local, CREDENTIALS, "EnrollFactor", &request, &reply));
    read_secret(reply.secret, out->secret);
    return vy_ok();
}

/* What the app shows `ahead` steps from now. */
static const char *code_at(struct fixture *f, const struct enrolled *enrolled, int ahead)
{
    static char text[2][16];
    static unsigned next;
    char *out = text[next++ % 2];
    const uint64_t step = f->local->clock.wall_ms / TOTP_STEP_MS;
    (void)snprintf(out, 16, "%06u", totp_code(enrolled->secret, step + (uint64_t)ahead));
    return out;
}

static struct vy_err confirm(struct fixture *f, const char *code, const char *operation,
                             struct enrolled *out)
{
    const struct admin_write_options write = {.operation_id = vy_cstr(operation)};
    const struct admin_confirm_factor_request request = {
        .account = VY_LIT("ada@d.test"), .code = vy_cstr(code), .write = &write};
    struct admin_recovery_codes_reply reply;
    VY_TRY(meta_local_admin(f->local, CREDENTIALS, "ConfirmFactor", &request, &reply));
    assert_int_equal(reply.recovery_codes_count, META_RECOVERY_CODES);
    for (size_t i = 0; i < META_RECOVERY_CODES; i++) {
        assert_int_equal(reply.recovery_codes[i].len, RECOVERY_SHOWN_BYTES);
        memcpy(out->recovery[i], reply.recovery_codes[i].data, RECOVERY_SHOWN_BYTES);
        out->recovery[i][RECOVERY_SHOWN_BYTES] = '\0';
    }
    return vy_ok();
}

static void next_step(struct fixture *f)
{
    fake_clock_advance_ms(&f->local->clock, TOTP_STEP_MS);
}

/* Enrolled and confirmed; the next code is free. */
static struct enrolled with_factor(struct fixture *f)
{
    struct enrolled enrolled = {.secret = {0}};
    assert_false(vy_failed(enroll(f, "", &enrolled)));
    assert_false(vy_failed(confirm(f, code_at(f, &enrolled, 0), "", &enrolled)));
    next_step(f);
    return enrolled;
}

static struct vy_err try_code(struct fixture *f, const char *code,
                              struct admin_verify_factor_reply *reply)
{
    const struct admin_verify_factor_request request = {.account = VY_LIT("ada@d.test"),
                                                        .code = vy_cstr(code)};
    return meta_local_admin(f->local, CREDENTIALS, "VerifyFactor", &request, reply);
}

static bool verify(struct fixture *f, const char *code)
{
    struct admin_verify_factor_reply reply;
    assert_int_equal(try_code(f, code, &reply).code, VY_CODE_OK);
    return reply.valid;
}

static struct vy_err disable(struct fixture *f, const char *code, bool overridden,
                             const char *reason)
{
    const struct admin_write_options write = {.reason = vy_cstr(reason)};
    const struct admin_disable_factor_request request = {.account = VY_LIT("ada@d.test"),
                                                         .code = vy_cstr(code),
                                                         .overridden = overridden,
                                                         .write = &write};
    struct admin_empty empty;
    return meta_local_admin(f->local, CREDENTIALS, "DisableFactor", &request, &empty);
}

static enum login_result sign_in(struct fixture *f, enum login_protocol protocol)
{
    struct login_reply reply;
    assert_false(
        vy_failed(meta_local_login(f->local, "ada@d.test", f->generated, protocol, &reply)));
    return reply.result;
}

static uint64_t epoch(struct fixture *f)
{
    const struct admin_get_account_request request = {.account = VY_LIT("ada@d.test")};
    struct admin_account account;
    assert_false(
        vy_failed(meta_local_admin(f->local, "AccountService", "GetAccount", &request, &account)));
    return account.epoch;
}

static void set_policy(struct fixture *f, bool only)
{
    const struct admin_set_sign_in_policy_request request = {.account = VY_LIT("ada@d.test"),
                                                             .app_passwords_only = only};
    struct admin_account account;
    assert_false(
        vy_failed(meta_local_admin(f->local, CREDENTIALS, "SetSignInPolicy", &request, &account)));
    assert_int_equal(account.app_passwords_only, only);
}

/* ---- enrolling ---- */

static void app3_a_confirmed_factor_shuts_the_main_password_out_of_mail(void **state)
{
    struct fixture *f = *state;
    static const enum login_protocol mail[] = {LOGIN_PROTOCOL_IMAP, LOGIN_PROTOCOL_SUBMISSION,
                                               LOGIN_PROTOCOL_SIEVE, LOGIN_PROTOCOL_POP3};
    struct enrolled enrolled;
    assert_false(vy_failed(enroll(f, "", &enrolled)));
    assert_int_equal(sign_in(f, LOGIN_PROTOCOL_IMAP), LOGIN_RESULT_OK); /* not yet */
    const uint64_t before = epoch(f);
    assert_false(vy_failed(confirm(f, code_at(f, &enrolled, 0), "", &enrolled)));
    assert_int_equal(epoch(f), before + 1); /* APP-2: sessions of before end */
    for (size_t i = 0; i < VY_COUNT_OF(mail); i++) {
        assert_int_equal(sign_in(f, mail[i]), LOGIN_RESULT_REFUSED);
        expect_record(f, "ada@d.test", "needapp");
        fake_clock_advance_ms(&f->local->clock, 10);
    }
    assert_int_equal(sign_in(f, LOGIN_PROTOCOL_HTTP), LOGIN_RESULT_OK); /* who can be asked */
    fake_clock_advance_ms(&f->local->clock, 10);
    assert_int_equal(login(f, "ada@d.test", "wrong password"), LOGIN_RESULT_REFUSED);
    expect_record(f, "ada@d.test", "badpassword");
}

static void a_factor_is_active_only_after_its_first_code(void **state)
{
    struct fixture *f = *state;
    struct enrolled enrolled;
    assert_int_equal(confirm(f, "123456", "", &enrolled).code, VY_CODE_PRECONDITION);
    assert_false(vy_failed(enroll(f, "", &enrolled)));
    struct admin_verify_factor_reply reply;
    assert_int_equal(try_code(f, code_at(f, &enrolled, 0), &reply).code, VY_CODE_PRECONDITION);
    assert_int_equal(confirm(f, code_at(f, &enrolled, 5), "", &enrolled).code, VY_CODE_AUTH);
    assert_int_equal(confirm(f, "", "", &enrolled).code, VY_CODE_ARGUMENT);
    assert_int_equal(sign_in(f, LOGIN_PROTOCOL_IMAP), LOGIN_RESULT_OK);
    assert_false(vy_failed(confirm(f, code_at(f, &enrolled, 0), "", &enrolled)));
    assert_int_equal(confirm(f, code_at(f, &enrolled, 1), "", &enrolled).code,
                     VY_CODE_PRECONDITION);
    assert_int_equal(enroll(f, "", &enrolled).code, VY_CODE_EXISTS);
}

static void a_new_enrolment_replaces_one_that_was_not_confirmed(void **state)
{
    struct fixture *f = *state;
    struct enrolled first;
    struct enrolled second;
    assert_false(vy_failed(enroll(f, "", &first)));
    assert_false(vy_failed(enroll(f, "", &second)));
    assert_memory_not_equal(first.secret, second.secret, TOTP_SECRET_BYTES);
    assert_int_equal(confirm(f, code_at(f, &first, 0), "", &first).code, VY_CODE_AUTH);
    assert_false(vy_failed(confirm(f, code_at(f, &second, 0), "", &second)));
}

static void an_enrolment_waits_for_an_hour_and_is_given_up_without_a_code(void **state)
{
    struct fixture *f = *state;
    struct enrolled enrolled;
    assert_false(vy_failed(enroll(f, "", &enrolled)));
    fake_clock_advance_ms(&f->local->clock, 3600001);
    assert_int_equal(confirm(f, code_at(f, &enrolled, 0), "", &enrolled).code,
                     VY_CODE_PRECONDITION);
    assert_false(vy_failed(disable(f, "", false, "")));
    assert_int_equal(disable(f, "", false, "").code, VY_CODE_PRECONDITION);
}

static void h19_asking_again_shows_the_same_secret_and_codes(void **state)
{
    struct fixture *f = *state;
    struct enrolled first;
    struct enrolled again;
    assert_false(vy_failed(enroll(f, "enrol", &first)));
    assert_false(vy_failed(enroll(f, "enrol", &again)));
    assert_memory_equal(first.secret, again.secret, TOTP_SECRET_BYTES);
    char code[16];
    (void)snprintf(code, sizeof(code), "%s", code_at(f, &first, 0));
    assert_false(vy_failed(confirm(f, code, "confirm", &first)));
    assert_false(vy_failed(confirm(f, code, "confirm", &again)));
    assert_memory_equal(first.recovery, again.recovery, sizeof(first.recovery));
    assert_int_equal(enroll(f, "enrol", &again).code,
                     VY_CODE_PRECONDITION); /* too late to see it */
}

static void a_dry_run_neither_tries_a_code_nor_enrols(void **state)
{
    struct fixture *f = *state;
    const struct enrolled enrolled = with_factor(f);
    const struct admin_write_options write = {.validate_only = true};
    const struct admin_verify_factor_request request = {.account = VY_LIT("ada@d.test"),
                                                        .code = vy_cstr(code_at(f, &enrolled, 0)),
                                                        .write = &write};
    struct admin_verify_factor_reply reply;
    assert_int_equal(meta_local_admin(f->local, CREDENTIALS, "VerifyFactor", &request, &reply).code,
                     VY_CODE_ARGUMENT);
    const struct admin_enroll_factor_request dry = {.account = VY_LIT("bob@d.test"),
                                                    .write = &write};
    struct admin_enroll_factor_reply enrolled_reply;
    assert_false(
        vy_failed(meta_local_admin(f->local, CREDENTIALS, "EnrollFactor", &dry, &enrolled_reply)));
    assert_int_equal(enrolled_reply.secret.len, 0);
    assert_true(verify(f, code_at(f, &enrolled, 0)));
}

/* ---- codes ---- */

static void p18_a_code_works_once(void **state)
{
    struct fixture *f = *state;
    const struct enrolled enrolled = with_factor(f);
    assert_true(verify(f, code_at(f, &enrolled, 0)));
    assert_false(verify(f, code_at(f, &enrolled, 0)));
    assert_false(verify(f, code_at(f, &enrolled, -1))); /* older than what was used */
    assert_true(verify(f, code_at(f, &enrolled, 1)));
    next_step(f);
    assert_false(verify(f, code_at(f, &enrolled, 0))); /* was used early */
    next_step(f);
    assert_true(verify(f, code_at(f, &enrolled, 0)));
}

struct late {
    unsigned answers;
    unsigned valid;
};

static void on_late(void *arg, struct vy_err err, const char *message, struct vy_bytes bytes)
{
    struct late *late = arg;
    struct admin_verify_factor_reply reply;
    struct vy_arena arena;
    (void)message;
    assert_false(vy_failed(err));
    vy_arena_init(&arena, 4096);
    assert_false(vy_failed(vy_pb_decode(&admin_verify_factor_reply_desc, &arena, bytes, &reply)));
    late->answers++;
    late->valid += reply.valid ? 1 : 0;
    vy_arena_deinit(&arena);
}

static void p18_of_codes_that_race_one_wins(void **state)
{
    struct fixture *f = *state;
    const struct enrolled enrolled = with_factor(f);
    const struct admin_verify_factor_request request = {.account = VY_LIT("ada@d.test"),
                                                        .code = vy_cstr(code_at(f, &enrolled, 0))};
    const struct vy_pb_method *method =
        meta_admin_find_method(VY_LIT("volary.admin.v1.CredentialService"), VY_LIT("VerifyFactor"));
    struct late late = {.answers = 0};
    struct vy_buf buf;
    vy_buf_init(&buf, 4096);
    assert_false(vy_failed(vy_pb_encode(method->request, &request, &buf)));
    f->local->is_holding = true;
    for (int i = 0; i < 4; i++) { /* all are judged right before the first is applied */
        meta_admin_call(f->local->meta, method, vy_buf_bytes(&buf), NULL, on_late, &late);
    }
    (void)fake_loop_run_posts(&f->local->loop);
    assert_int_equal(late.answers, 0);
    meta_local_release(f->local);
    (void)fake_loop_run_posts(&f->local->loop);
    assert_int_equal(late.answers, 4);
    assert_int_equal(late.valid, 1);
    vy_buf_deinit(&buf);
}

static void a9_five_wrong_codes_a_minute(void **state)
{
    struct fixture *f = *state;
    const struct enrolled enrolled = with_factor(f);
    struct admin_verify_factor_reply reply;
    for (int i = 0; i < 5; i++) {
        assert_false(verify(f, code_at(f, &enrolled, 10 + i)));
    }
    assert_int_equal(try_code(f, code_at(f, &enrolled, 0), &reply).code, VY_CODE_LIMIT);
    assert_non_null(strstr(f->local->message, "try again in 12 seconds"));
    fake_clock_advance_ms(&f->local->clock, 11999);
    assert_int_equal(try_code(f, code_at(f, &enrolled, 0), &reply).code, VY_CODE_LIMIT);
    fake_clock_advance_ms(&f->local->clock, 1);
    assert_true(verify(f, code_at(f, &enrolled, 0)));
    assert_false(verify(f, "000000")); /* a right one gives no new tries */
    assert_int_equal(try_code(f, "000000", &reply).code, VY_CODE_LIMIT);
}

static void a9_twenty_wrong_codes_an_hour(void **state)
{
    struct fixture *f = *state;
    const struct enrolled enrolled = with_factor(f);
    struct admin_verify_factor_reply reply;
    unsigned tries = 0;
    for (unsigned second = 0; second < 3600; second++) {
        tries += vy_failed(try_code(f, "1111111", &reply)) ? 0 : 1;
        fake_clock_advance_ms(&f->local->clock, 1000);
    }
    assert_in_range(tries, 20, 40); /* the budget and what fills up in the hour */
    fake_clock_advance_ms(&f->local->clock, 3600000);
    assert_true(verify(f, code_at(f, &enrolled, 0)));
}

static void a9_what_is_no_code_is_a_wrong_one(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[] = {"1234567", "12345", "abcdef", "a", "-1", "0x1234"};
    const struct enrolled enrolled = with_factor(f);
    for (size_t i = 0; i < VY_COUNT_OF(bad); i++) {
        assert_false(verify(f, bad[i]));
        fake_clock_advance_ms(&f->local->clock, 20000);
    }
    char spaced[16];
    const char *code = code_at(f, &enrolled, 0);
    (void)snprintf(spaced, sizeof(spaced), "%.3s %.3s", code, code + 3);
    assert_true(verify(f, spaced));
}

static void app8_each_recovery_code_works_once_in_any_spelling(void **state)
{
    struct fixture *f = *state;
    const struct enrolled enrolled = with_factor(f);
    for (size_t i = 0; i < META_RECOVERY_CODES; i++) {
        char typed[RECOVERY_SHOWN_BYTES + 1];
        struct admin_verify_factor_reply reply;
        for (size_t k = 0; k <= RECOVERY_SHOWN_BYTES; k++) {
            const char c = enrolled.recovery[i][k];
            const bool is_letter = c >= 'a' && c <= 'z';
            typed[k] = (char)(is_letter && i % 2 == 0 ? c - 32 : c == '-' && i % 3 == 0 ? ' ' : c);
        }
        assert_false(vy_failed(try_code(f, typed, &reply)));
        assert_true(reply.valid);
        assert_true(vy_bytes_equal(reply.method, VY_LIT("recovery-code")));
        assert_int_equal(reply.recovery_codes_left, META_RECOVERY_CODES - 1 - i);
        assert_false(verify(f, enrolled.recovery[i]));
        fake_clock_advance_ms(&f->local->clock, 200000);
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(enrolled.recovery[i], enrolled.recovery[k]);
        }
    }
}

static void app8_new_recovery_codes_end_the_old_ones(void **state)
{
    struct fixture *f = *state;
    const struct enrolled enrolled = with_factor(f);
    const struct admin_renew_recovery_codes_request request = {
        .account = VY_LIT("ada@d.test"), .code = vy_cstr(enrolled.recovery[0])};
    struct admin_recovery_codes_reply reply;
    assert_false(
        vy_failed(meta_local_admin(f->local, CREDENTIALS, "RenewRecoveryCodes", &request, &reply)));
    char fresh[RECOVERY_SHOWN_BYTES + 1];
    (void)snprintf(fresh, sizeof(fresh), "%.*s", VY_PRI(reply.recovery_codes[0]));
    assert_false(verify(f, enrolled.recovery[1]));
    assert_true(verify(f, fresh));
}

/* ---- removing ---- */

static void a_factor_goes_with_a_code_or_with_a_reason(void **state)
{
    struct fixture *f = *state;
    struct enrolled enrolled = with_factor(f);
    assert_int_equal(disable(f, "", false, "").code, VY_CODE_ARGUMENT);
    assert_int_equal(disable(f, "", true, "").code, VY_CODE_ARGUMENT);
    assert_int_equal(disable(f, code_at(f, &enrolled, 0), true, "lost").code, VY_CODE_ARGUMENT);
    assert_int_equal(disable(f, "111111", false, "").code, VY_CODE_AUTH);
    assert_int_equal(sign_in(f, LOGIN_PROTOCOL_IMAP), LOGIN_RESULT_REFUSED);
    assert_false(vy_failed(disable(f, code_at(f, &enrolled, 0), false, "")));
    assert_int_equal(sign_in(f, LOGIN_PROTOCOL_IMAP), LOGIN_RESULT_OK);
    next_step(f);
    enrolled = with_factor(f);
    assert_false(vy_failed(disable(f, enrolled.recovery[3], false, "")));
    next_step(f);
    (void)with_factor(f);
    assert_false(vy_failed(disable(f, "", true, "phone lost, ticket 7")));
    assert_int_equal(sign_in(f, LOGIN_PROTOCOL_IMAP), LOGIN_RESULT_OK);
}

static void app8_a_reset_does_not_undo_app_passwords_only(void **state)
{
    struct fixture *f = *state;
    (void)with_factor(f);
    const uint64_t before = epoch(f);
    set_policy(f, true);
    assert_int_equal(epoch(f), before + 1);
    assert_false(vy_failed(disable(f, "", true, "phone lost")));
    assert_int_equal(sign_in(f, LOGIN_PROTOCOL_IMAP), LOGIN_RESULT_REFUSED);
    expect_record(f, "ada@d.test", "needapp");
    set_policy(f, false);
    assert_int_equal(sign_in(f, LOGIN_PROTOCOL_IMAP), LOGIN_RESULT_OK);
    assert_int_equal(epoch(f), before + 1); /* nobody has to go for it */
}

/* ---- what is kept of it ---- */

static bool is_in_tables(struct fixture *f, struct vy_bytes what)
{
    bool is_found = false;
    for (unsigned family = 0; family < META_FAMILY_END; family++) {
        struct store_iter *iter = NULL;
        const struct store_range all = {.is_reverse = false};
        assert_false(vy_failed(store_iter_new(store_newest(f->local->store), family, &all, &iter)));
        for (; iter->is_valid; store_iter_next(iter)) {
            is_found |= vy_bytes_find(iter->value, what, 0) != SIZE_MAX;
        }
        store_iter_free(iter);
    }
    return is_found;
}

static void no_secret_and_no_recovery_code_is_in_any_table(void **state)
{
    struct fixture *f = *state;
    const struct enrolled enrolled = with_factor(f);
    uint8_t letters[RECOVERY_LETTERS];
    assert_true(recovery_code_parse(vy_cstr(enrolled.recovery[0]), letters));
    assert_false(is_in_tables(f, vy_bytes(enrolled.secret, TOTP_SECRET_BYTES)));
    assert_false(is_in_tables(f, vy_cstr(enrolled.recovery[0])));
    assert_false(is_in_tables(f, vy_bytes(letters, sizeof(letters))));
}

static void del4_a_factor_goes_with_its_account(void **state)
{
    struct fixture *f = *state;
    const struct meta_key key = meta_key_u64(f->ada);
    struct store_value value;
    (void)with_factor(f);
    assert_false(vy_failed(store_get(store_newest(f->local->store), META_FAMILY_FACTOR,
                                     meta_key_bytes(&key), &value)));
    assert_true(value.is_found);
    store_value_release(&value);
    const struct admin_prepare_delete_request prepare = {.account = VY_LIT("ada@d.test")};
    struct admin_prepare_delete_reply prepared;
    assert_false(vy_failed(
        meta_local_admin(f->local, "AccountService", "PrepareDelete", &prepare, &prepared)));
    char token[128];
    (void)snprintf(token, sizeof(token), "%.*s", VY_PRI(prepared.token));
    const struct admin_delete_account_request request = {.account = VY_LIT("ada@d.test"),
                                                         .token = vy_cstr(token)};
    struct admin_delete_account_reply reply;
    assert_false(
        vy_failed(meta_local_admin(f->local, "AccountService", "DeleteAccount", &request, &reply)));
    assert_false(vy_failed(store_get(store_newest(f->local->store), META_FAMILY_FACTOR,
                                     meta_key_bytes(&key), &value)));
    assert_false(value.is_found);
    store_value_release(&value);
}

static bool audit_has(struct fixture *f, const char *action, const char *detail)
{
    const struct admin_list_audit_request request = {.from_sequence = 1, .limit = 1000};
    struct admin_list_audit_reply reply;
    bool is_found = false;
    assert_false(
        vy_failed(meta_local_admin(f->local, "AuditService", "ListAudit", &request, &reply)));
    for (size_t i = 0; i < reply.records_count; i++) {
        is_found |= vy_bytes_equal(reply.records[i].action, vy_cstr(action)) &&
                    vy_bytes_find(reply.records[i].detail, vy_cstr(detail), 0) != SIZE_MAX;
    }
    return is_found;
}

static void app8_every_step_is_in_the_audit(void **state)
{
    struct fixture *f = *state;
    (void)with_factor(f);
    assert_false(verify(f, "111111"));
    assert_false(vy_failed(disable(f, "", true, "phone lost")));
    set_policy(f, true);
    assert_true(audit_has(f, "factor.enroll", ""));
    assert_true(audit_has(f, "factor.confirm", ""));
    assert_true(audit_has(f, "factor.verify", "refused: wrong or used code"));
    assert_true(audit_has(f, "factor.disable", "by override reason: phone lost"));
    assert_true(audit_has(f, "account.sign-in-policy", "app passwords only"));
    assert_true(audit_count(f) > 0); /* and the chain is whole */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(app3_a_confirmed_factor_shuts_the_main_password_out_of_mail),
        TEST(a_factor_is_active_only_after_its_first_code),
        TEST(a_new_enrolment_replaces_one_that_was_not_confirmed),
        TEST(an_enrolment_waits_for_an_hour_and_is_given_up_without_a_code),
        TEST(h19_asking_again_shows_the_same_secret_and_codes),
        TEST(a_dry_run_neither_tries_a_code_nor_enrols),
        TEST(p18_a_code_works_once),
        TEST(p18_of_codes_that_race_one_wins),
        TEST(a9_five_wrong_codes_a_minute),
        TEST(a9_twenty_wrong_codes_an_hour),
        TEST(a9_what_is_no_code_is_a_wrong_one),
        TEST(app8_each_recovery_code_works_once_in_any_spelling),
        TEST(app8_new_recovery_codes_end_the_old_ones),
        TEST(a_factor_goes_with_a_code_or_with_a_reason),
        TEST(app8_a_reset_does_not_undo_app_passwords_only),
        TEST(no_secret_and_no_recovery_code_is_in_any_table),
        TEST(del4_a_factor_goes_with_its_account),
        TEST(app8_every_step_is_in_the_audit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
