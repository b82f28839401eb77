/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of the AUTH table (acceptance 1.2) that meta decides, one test each, and P9, P17, P18.
 * SCRAM is in login_scram_test.c. */
#include "meta/login_fixture.h"
#include "meta/password.h"
#include "proto/session_token.h"

#include "base/assert.h"
#include <stdio.h>

static void disable(struct fixture *f, const char *account, const char *text)
{
    const struct admin_set_account_state_request request = {.account = vy_cstr(account),
                                                            .text = vy_cstr(text)};
    struct admin_account reply;
    assert_false(vy_failed(
        meta_local_admin(f->local, "AccountService", "SetAccountState", &request, &reply)));
    assert_true(vy_bytes_equal(reply.state, VY_LIT("login-disabled")));
}

/* ---- right ---- */

static void the_right_password_opens_a_session_for_the_account(void **state)
{
    struct fixture *f = *state;
    static const struct vy_bytes names[] = {VY_LIT("ada@d.test"), VY_LIT("bob@d.test")};
    for (size_t i = 0; i < 2; i++) {
        struct login_reply reply;
        struct session_claims claims;
        struct vy_arena arena;
        const uint64_t id = i == 0 ? f->ada : f->bob;
        vy_arena_init(&arena, 4096);
        assert_false(vy_failed(meta_local_login(f->local, (const char *)names[i].data,
                                                i == 0 ? f->generated : CHOSEN,
                                                LOGIN_PROTOCOL_SUBMISSION, &reply)));
        assert_int_equal(reply.result, LOGIN_RESULT_OK);
        assert_int_equal(reply.account_id, id);
        assert_int_equal(reply.account_epoch, 1);
        assert_true(vy_bytes_equal(reply.account_name, names[i]));
        assert_int_equal(reply.expires_ms, f->local->clock.wall_ms + META_SESSION_MS);
        assert_false(vy_failed(session_token_open(f->local->key, &arena, reply.session_token,
                                                  f->local->clock.wall_ms, &claims)));
        assert_int_equal(claims.account_id, id);
        assert_int_equal(claims.account_epoch, 1);
        assert_int_equal(claims.credential_id, 1);
        assert_int_equal(claims.protocol, LOGIN_PROTOCOL_SUBMISSION);
        vy_arena_deinit(&arena);
    }
}

static void app1_a_generated_password_may_be_typed_without_its_dashes(void **state)
{
    struct fixture *f = *state;
    char bare[64];
    char spaced[64];
    size_t at = 0;
    for (size_t i = 0; f->generated[i] != '\0'; i++) {
        spaced[i] = f->generated[i] == '-' ? ' ' : f->generated[i];
        spaced[i + 1] = '\0';
        if (f->generated[i] != '-') {
            bare[at++] = f->generated[i];
        }
    }
    bare[at] = '\0';
    assert_int_equal(login(f, "ada@d.test", bare), LOGIN_RESULT_OK);
    assert_int_equal(login(f, "ada@d.test", spaced), LOGIN_RESULT_OK);
    bare[0] = bare[0] == 'a' ? 'b' : 'a';
    assert_int_equal(login(f, "ada@d.test", bare), LOGIN_RESULT_REFUSED);
}

static void s28_a_name_is_taken_in_its_canonical_form(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(login(f, "ADA@D.Test", f->generated), LOGIN_RESULT_OK);
    const struct admin_login_record record = newest(f, "ada@d.test");
    assert_true(vy_bytes_equal(record.typed_name, VY_LIT("ADA@D.Test")));
    assert_true(vy_bytes_equal(record.account, VY_LIT("ada@d.test")));
}

/* ---- row 1: baduser ---- */

static void auth_unknown_local_part_is_baduser(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(login(f, "eve@d.test", CHOSEN), LOGIN_RESULT_REFUSED);
    expect_record(f, "-", "baduser");
}

static void auth_unknown_domain_is_baduser(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(login(f, "ada@other.test", f->generated), LOGIN_RESULT_REFUSED);
    expect_record(f, "-", "baduser");
}

static void auth_unparsable_names_are_baduser(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"",     "ada",        "@",          "@d.test", "ada@",
                                        "a b@", "\xff\xfe",   "ada@d..t",   "../x",    "%s%n",
                                        "*",    "ada@[::1]x", "user*master"};
    for (size_t i = 0; i < VY_COUNT_OF(names); i++) {
        assert_int_equal(login(f, names[i], CHOSEN), LOGIN_RESULT_REFUSED);
        expect_record(f, "-", "baduser");
    }
}

/* A14: an empty name beside a name to act for: who proves nothing acts for nobody. */
static void a14_an_empty_name_opens_nothing(void **state)
{
    struct fixture *f = *state;
    static const enum login_mechanism mechanisms[] = {LOGIN_MECHANISM_PLAIN, LOGIN_MECHANISM_LOGIN};
    for (size_t i = 0; i < VY_COUNT_OF(mechanisms); i++) {
        const struct login_context context = {.protocol = LOGIN_PROTOCOL_IMAP,
                                              .mechanism = mechanisms[i],
                                              .typed_name = VY_LIT(""),
                                              .authzid = VY_LIT("ada@d.test")};
        struct login_reply reply;
        assert_false(vy_failed(meta_local_login_as(f->local, &context, f->generated, &reply)));
        assert_int_equal(reply.result, LOGIN_RESULT_REFUSED);
        assert_int_equal(reply.session_token.len, 0);
    }
}

static void auth_alias_is_baduser_and_no_phantom_mailbox(void **state)
{
    struct fixture *f = *state;
    meta_local_add_alias(f->local, "info@d.test", "ada@d.test");
    assert_int_equal(login(f, "info@d.test", f->generated), LOGIN_RESULT_REFUSED);
    expect_record(f, "-", "baduser");
}

static void auth_catch_all_only_name_is_baduser(void **state)
{
    struct fixture *f = *state;
    const struct admin_set_domain_request request = {.name = VY_LIT("d.test"),
                                                     .catch_all = VY_LIT("ada@d.test")};
    struct admin_domain reply;
    assert_false(
        vy_failed(meta_local_admin(f->local, "DomainService", "SetDomain", &request, &reply)));
    assert_int_equal(login(f, "anything@d.test", f->generated), LOGIN_RESULT_REFUSED);
    expect_record(f, "-", "baduser");
}

static void auth_subaddress_is_baduser(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(login(f, "ada+x@d.test", f->generated), LOGIN_RESULT_REFUSED);
    expect_record(f, "-", "baduser");
    const struct admin_login_record record = newest(f, "-");
    assert_true(vy_bytes_equal(record.typed_name, VY_LIT("ada+x@d.test")));
}

/* ---- row 2: badpassword ---- */

static void auth_wrong_password_is_badpassword(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(login(f, "ada@d.test", "wrong password"), LOGIN_RESULT_REFUSED);
    expect_record(f, "ada@d.test", "badpassword");
    assert_int_equal(login(f, "bob@d.test", "wrong password"), LOGIN_RESULT_REFUSED);
    expect_record(f, "bob@d.test", "badpassword");
    assert_int_equal(login(f, "bob@d.test", f->generated), LOGIN_RESULT_REFUSED);
}

static char *add_app_password(struct fixture *f, const char *protocol, uint64_t expires_ms,
                              char out[64], char id[32])
{
    const struct vy_bytes protocols[] = {vy_cstr(protocol)};
    const struct admin_create_app_password_request request = {.account = VY_LIT("bob@d.test"),
                                                              .label = VY_LIT("phone"),
                                                              .protocols_count = 1,
                                                              .protocols = protocols,
                                                              .expires_ms = expires_ms};
    struct admin_create_app_password_reply reply;
    assert_false(vy_failed(
        meta_local_admin(f->local, "CredentialService", "CreateAppPassword", &request, &reply)));
    (void)snprintf(out, 64, "%.*s", VY_PRI(reply.secret));
    (void)snprintf(id, 32, "%.*s", VY_PRI(reply.id));
    return out;
}

static void an_app_password_works_beside_a_chosen_one(void **state)
{
    struct fixture *f = *state;
    char secret[64];
    char id[32];
    add_app_password(f, "imap", 0, secret, id);
    assert_int_equal(login(f, "bob@d.test", secret), LOGIN_RESULT_OK);
    assert_int_equal(login(f, "bob@d.test", CHOSEN), LOGIN_RESULT_OK);
    assert_int_equal(login(f, "ada@d.test", secret), LOGIN_RESULT_REFUSED);
    const struct admin_list_app_passwords_request request = {.account = VY_LIT("bob@d.test")};
    struct admin_list_app_passwords_reply reply;
    assert_false(vy_failed(
        meta_local_admin(f->local, "CredentialService", "ListAppPasswords", &request, &reply)));
    assert_int_equal(reply.app_passwords_count, 1);
    assert_int_equal(reply.app_passwords[0].last_used_ms, f->local->clock.wall_ms);
    assert_int_equal(reply.app_passwords[0].protocols_count, 1);
}

static void auth_app_password_without_this_protocol_is_noproto(void **state)
{
    struct fixture *f = *state;
    char secret[64];
    char id[32];
    add_app_password(f, "smtp", 0, secret, id);
    assert_int_equal(login(f, "bob@d.test", secret), LOGIN_RESULT_REFUSED);
    expect_record(f, "bob@d.test", "noproto");
}

static void app4_an_app_password_never_opens_administration_or_the_web(void **state)
{
    struct fixture *f = *state;
    static const enum login_protocol protocols[] = {LOGIN_PROTOCOL_ADMIN, LOGIN_PROTOCOL_HTTP};
    const struct admin_create_app_password_request request = {.account = VY_LIT("bob@d.test"),
                                                              .label = VY_LIT("all")};
    struct admin_create_app_password_reply made;
    char secret[64];
    assert_false(vy_failed(
        meta_local_admin(f->local, "CredentialService", "CreateAppPassword", &request, &made)));
    (void)snprintf(secret, sizeof(secret), "%.*s", VY_PRI(made.secret));
    assert_int_equal(login(f, "bob@d.test", secret), LOGIN_RESULT_OK);
    for (size_t i = 0; i < VY_COUNT_OF(protocols); i++) {
        struct login_reply reply;
        assert_false(
            vy_failed(meta_local_login(f->local, "bob@d.test", secret, protocols[i], &reply)));
        assert_int_equal(reply.result, LOGIN_RESULT_REFUSED);
    }
}

static void auth_expired_app_password_is_refused(void **state)
{
    struct fixture *f = *state;
    char secret[64];
    char id[32];
    add_app_password(f, "imap", f->local->clock.wall_ms + 1000, secret, id);
    fake_clock_advance_ms(&f->local->clock, 1000);
    assert_int_equal(login(f, "bob@d.test", secret), LOGIN_RESULT_OK);
    fake_clock_advance_ms(&f->local->clock, 1);
    assert_int_equal(login(f, "bob@d.test", secret), LOGIN_RESULT_REFUSED);
    expect_record(f, "bob@d.test", "expired");
}

static void auth_revoked_app_password_is_badpassword_and_ends_sessions(void **state)
{
    struct fixture *f = *state;
    char secret[64];
    char id[32];
    add_app_password(f, "imap", 0, secret, id);
    const struct admin_delete_app_password_request request = {.account = VY_LIT("bob@d.test"),
                                                              .id = vy_cstr(id)};
    struct admin_empty empty;
    assert_false(vy_failed(
        meta_local_admin(f->local, "CredentialService", "DeleteAppPassword", &request, &empty)));
    assert_int_equal(login(f, "bob@d.test", secret), LOGIN_RESULT_REFUSED);
    expect_record(f, "bob@d.test", "badpassword");
    struct login_reply reply;
    assert_false(
        vy_failed(meta_local_login(f->local, "bob@d.test", CHOSEN, LOGIN_PROTOCOL_IMAP, &reply)));
    assert_int_equal(reply.account_epoch, 2);
}

static void p18_a_changed_password_raises_the_epoch_and_the_old_one_is_refused(void **state)
{
    struct fixture *f = *state;
    const struct admin_set_password_request request = {.account = VY_LIT("ada@d.test"),
                                                       .password = VY_LIT("brand new one")};
    struct admin_set_password_reply set;
    struct login_reply reply;
    assert_false(
        vy_failed(meta_local_admin(f->local, "AccountService", "SetPassword", &request, &set)));
    assert_int_equal(set.password.len, 0);
    assert_int_equal(login(f, "ada@d.test", f->generated), LOGIN_RESULT_REFUSED);
    assert_false(vy_failed(
        meta_local_login(f->local, "ada@d.test", "brand new one", LOGIN_PROTOCOL_IMAP, &reply)));
    assert_int_equal(reply.result, LOGIN_RESULT_OK);
    assert_int_equal(reply.account_epoch, 2);
}

/* ---- disabled ---- */

static void auth_disabled_is_told_after_the_right_password_only(void **state)
{
    struct fixture *f = *state;
    disable(f, "ada@d.test", "Unpaid: call us");
    struct login_reply reply;
    assert_false(vy_failed(
        meta_local_login(f->local, "ada@d.test", f->generated, LOGIN_PROTOCOL_IMAP, &reply)));
    assert_int_equal(reply.result, LOGIN_RESULT_DISABLED);
    assert_true(vy_bytes_equal(reply.text, VY_LIT("Unpaid: call us")));
    assert_int_equal(reply.session_token.len, 0);
    expect_record(f, "ada@d.test", "logindisabled");
    assert_int_equal(login(f, "ada@d.test", "guess guess"), LOGIN_RESULT_REFUSED);
    expect_record(f, "ada@d.test", "badpassword");
}

static void enabling_lets_in_again(void **state)
{
    struct fixture *f = *state;
    disable(f, "ada@d.test", "x");
    const struct admin_set_account_state_request request = {.account = VY_LIT("ada@d.test"),
                                                            .enabled = true};
    struct admin_account reply;
    assert_false(vy_failed(
        meta_local_admin(f->local, "AccountService", "SetAccountState", &request, &reply)));
    assert_int_equal(login(f, "ada@d.test", f->generated), LOGIN_RESULT_OK);
}

/* ---- AUTH-1: alike ---- */

static void ask(struct fixture *f, const char *name, struct login_reply *reply)
{
    static const uint8_t hash[32] = {1};
    const struct login_context context = {.protocol = LOGIN_PROTOCOL_IMAP,
                                          .mechanism = LOGIN_MECHANISM_PLAIN,
                                          .typed_name = vy_cstr(name)};
    const struct login_request request = {.context = &context,
                                          .password_hash = vy_bytes(hash, sizeof(hash))};
    assert_false(vy_failed(meta_local_call(f->local, METHOD_META_LOGIN, &login_request_desc,
                                           &request, &login_reply_desc, reply)));
}

/* A1: nothing that is wrong is told before the frontend has worked for it: a name without an
 * account, an account with a generated password, and one with a chosen password ask for the same.
 */
static void auth1_unknown_names_answer_like_known_ones_and_always_the_same(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {
        "ada@d.test", "nobody1@d.test", "nobody2@d.test", "info@d.test", "x", "ada@other.test"};
    struct login_reply reply;
    meta_local_add_alias(f->local, "info@d.test", "ada@d.test");
    ask(f, "bob@d.test", &reply);
    assert_int_equal(reply.result, LOGIN_RESULT_NEED_ARGON2);
    const size_t challenge_len = reply.challenge.len;
    for (size_t i = 0; i < VY_COUNT_OF(names); i++) {
        uint8_t salt[PASSWORD_SALT_BYTES];
        uint8_t cache_key[32];
        ask(f, names[i], &reply);
        assert_int_equal(reply.result, LOGIN_RESULT_NEED_ARGON2);
        assert_int_equal(reply.salt.len, PASSWORD_SALT_BYTES);
        assert_int_equal(reply.argon2_memory_kib, PASSWORD_ARGON2_MEMORY_KIB);
        assert_int_equal(reply.argon2_passes, PASSWORD_ARGON2_PASSES);
        assert_int_equal(reply.argon2_lanes, PASSWORD_ARGON2_LANES);
        assert_int_equal(reply.argon2_cache_key.len, sizeof(cache_key));
        /* The credential's number is two bytes more in the real one. */
        assert_in_range(reply.challenge.len, challenge_len - 2, challenge_len);
        memcpy(salt, reply.salt.data, sizeof(salt));
        memcpy(cache_key, reply.argon2_cache_key.data, sizeof(cache_key));
        ask(f, names[i], &reply);
        assert_memory_equal(salt, reply.salt.data, sizeof(salt));
        assert_memory_equal(cache_key, reply.argon2_cache_key.data, sizeof(cache_key));
    }
}

/* A13: what a frontend remembers a tag by is another one for another account, epoch or credential.
 */
static void a13_the_cache_key_is_of_account_epoch_and_credential(void **state)
{
    struct fixture *f = *state;
    uint8_t keys[3][32];
    struct login_reply reply;
    const struct admin_set_password_request changing = {.account = VY_LIT("bob@d.test"),
                                                        .password = VY_LIT("another horse")};
    struct admin_set_password_reply changed;
    ask(f, "bob@d.test", &reply);
    memcpy(keys[0], reply.argon2_cache_key.data, 32);
    ask(f, "ada@d.test", &reply);
    memcpy(keys[1], reply.argon2_cache_key.data, 32);
    disable(f, "bob@d.test", "off");
    ask(f, "bob@d.test", &reply); /* APP-2: the epoch has risen, the credential is the same */
    memcpy(keys[2], reply.argon2_cache_key.data, 32);
    assert_memory_not_equal(keys[0], keys[1], 32);
    assert_memory_not_equal(keys[0], keys[2], 32);
    assert_false(vy_failed(
        meta_local_admin(f->local, "AccountService", "SetPassword", &changing, &changed)));
    ask(f, "bob@d.test", &reply);
    assert_memory_not_equal(keys[2], reply.argon2_cache_key.data, 32);
}

/* AUTH-1, row 2: a right password that may not be used here costs what a wrong one costs. */
static void auth1_a_right_password_that_is_no_use_is_told_like_a_wrong_one(void **state)
{
    struct fixture *f = *state;
    char secret[64];
    char id[32];
    uint8_t letters[PASSWORD_LETTERS];
    uint8_t hash[32];
    struct login_reply reply;
    add_app_password(f, "smtp", 0, secret, id);
    assert_true(password_is_generated_shape(vy_cstr(secret), letters));
    password_hash(vy_bytes(letters, sizeof(letters)), hash);
    const struct login_context context = {.protocol = LOGIN_PROTOCOL_IMAP,
                                          .mechanism = LOGIN_MECHANISM_PLAIN,
                                          .typed_name = VY_LIT("bob@d.test")};
    const struct login_request request = {.context = &context,
                                          .password_hash = vy_bytes(hash, sizeof(hash))};
    assert_false(vy_failed(meta_local_call(f->local, METHOD_META_LOGIN, &login_request_desc,
                                           &request, &login_reply_desc, &reply)));
    assert_int_equal(reply.result, LOGIN_RESULT_NEED_ARGON2);
    assert_int_equal(login(f, "bob@d.test", secret), LOGIN_RESULT_REFUSED);
    expect_record(f, "bob@d.test", "noproto");
}

static void auth1_the_reply_to_a_refusal_has_one_form(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"ada@d.test", "nobody@d.test", "x", "bob@d.test"};
    for (size_t i = 0; i < VY_COUNT_OF(names); i++) {
        struct login_reply reply;
        assert_false(vy_failed(
            meta_local_login(f->local, names[i], "wrong password", LOGIN_PROTOCOL_IMAP, &reply)));
        const struct login_reply expected = {.result = LOGIN_RESULT_REFUSED};
        assert_memory_equal(&reply, &expected, sizeof(reply));
    }
}

/* ---- AUTH-3 and the rest of the border ---- */

static void auth3_acting_for_another_is_refused_with_the_right_password(void **state)
{
    struct fixture *f = *state;
    struct vy_arena arena;
    struct vy_bytes prepared;
    uint8_t hash[32];
    vy_arena_init(&arena, 4096);
    assert_false(vy_failed(password_prepare(&arena, vy_cstr(f->generated), &prepared)));
    password_hash(prepared, hash);
    vy_arena_deinit(&arena);
    static const char *const others[] = {"bob@d.test", "x", "ada@d.test", "ADA@d.test"};
    for (size_t i = 0; i < VY_COUNT_OF(others); i++) {
        const struct login_context context = {.protocol = LOGIN_PROTOCOL_IMAP,
                                              .mechanism = LOGIN_MECHANISM_PLAIN,
                                              .typed_name = VY_LIT("ada@d.test"),
                                              .authzid = vy_cstr(others[i])};
        const struct login_request request = {.context = &context,
                                              .password_hash = vy_bytes(hash, sizeof(hash))};
        struct login_reply reply;
        assert_false(vy_failed(meta_local_call(f->local, METHOD_META_LOGIN, &login_request_desc,
                                               &request, &login_reply_desc, &reply)));
        const bool is_self = i >= 2; /* the same account in another spelling */
        assert_int_equal(reply.result, is_self ? LOGIN_RESULT_OK : LOGIN_RESULT_REFUSED);
    }
}

static void a_request_that_is_none_is_refused_without_a_record(void **state)
{
    struct fixture *f = *state;
    const uint64_t before = audit_count(f);
    const struct login_context context = {.protocol = LOGIN_PROTOCOL_IMAP,
                                          .mechanism = LOGIN_MECHANISM_PLAIN};
    const struct login_request samples[] = {
        {.context = NULL},
        {                   .context = &context              },
        { .context = &context,               .password_hash = VY_LIT("short")},
        {               .context = &context,               .scram_client_first = VY_LIT("n,,n=a,r=b")},
    };
    for (size_t i = 0; i < VY_COUNT_OF(samples); i++) {
        struct login_reply reply;
        assert_int_equal(meta_local_call(f->local, METHOD_META_LOGIN, &login_request_desc,
                                         &samples[i], &login_reply_desc, &reply)
                             .code,
                         VY_CODE_ARGUMENT);
    }
    assert_int_equal(audit_count(f), before);
}

static void a_challenge_is_bound_to_its_name_and_time(void **state)
{
    struct fixture *f = *state;
    struct login_reply reply;
    uint8_t challenge[1024];
    uint8_t tag[PASSWORD_TAG_BYTES];
    ask(f, "bob@d.test", &reply);
    assert_false(vy_failed(password_argon2(VY_LIT(CHOSEN), reply.salt, tag)));
    memcpy(challenge, reply.challenge.data, reply.challenge.len);
    const size_t len = reply.challenge.len;
    for (int round = 0; round < 4; round++) {
        const struct login_context context = {.protocol = LOGIN_PROTOCOL_IMAP,
                                              .mechanism = LOGIN_MECHANISM_PLAIN,
                                              .typed_name = round == 1 ? VY_LIT("ada@d.test")
                                                                       : VY_LIT("bob@d.test")};
        const struct login_request request = {.context = &context,
                                              .argon2_tag = vy_bytes(tag, sizeof(tag)),
                                              .challenge = vy_bytes(challenge, len)};
        if (round == 2) {
            challenge[len - 1] ^= 1;
        } else if (round == 3) {
            challenge[len - 1] ^= 1;
            fake_clock_advance_ms(&f->local->clock, 60001);
        }
        assert_false(vy_failed(meta_local_call(f->local, METHOD_META_LOGIN, &login_request_desc,
                                               &request, &login_reply_desc, &reply)));
        assert_int_equal(reply.result, round == 0 ? LOGIN_RESULT_OK : LOGIN_RESULT_REFUSED);
    }
}

/* ---- P9: the record comes first ---- */

static void p9_without_a_record_there_is_no_answer(void **state)
{
    struct fixture *f = *state;
    struct login_reply reply;
    f->local->fail_next_propose = VY_CODE_UNAVAILABLE;
    assert_int_equal(
        meta_local_login(f->local, "ada@d.test", f->generated, LOGIN_PROTOCOL_IMAP, &reply).code,
        VY_CODE_UNAVAILABLE);
    f->local->fail_next_propose = VY_CODE_UNAVAILABLE;
    assert_int_equal(
        meta_local_login(f->local, "ada@d.test", "wrong", LOGIN_PROTOCOL_IMAP, &reply).code,
        VY_CODE_UNAVAILABLE);
}

static void auth_quorum_lost_is_an_error_and_no_refusal(void **state)
{
    struct fixture *f = *state;
    struct login_reply reply;
    meta_local_set_leader(f->local, false);
    assert_int_equal(
        meta_local_login(f->local, "ada@d.test", f->generated, LOGIN_PROTOCOL_IMAP, &reply).code,
        VY_CODE_NOT_LEADER);
    meta_local_set_leader(f->local, true);
    assert_int_equal(login(f, "ada@d.test", f->generated), LOGIN_RESULT_OK);
}

static void p9_each_login_is_one_record_of_the_chain(void **state)
{
    struct fixture *f = *state;
    const uint64_t before = audit_count(f);
    assert_int_equal(login(f, "ada@d.test", f->generated), LOGIN_RESULT_OK);
    assert_int_equal(login(f, "ada@d.test", f->generated), LOGIN_RESULT_OK);
    assert_int_equal(login(f, "nobody@d.test", "wrong password"), LOGIN_RESULT_REFUSED);
    assert_int_equal(audit_count(f), before + 3);
    assert_int_equal(newest(f, "ada@d.test").count, 2); /* LOGIN-1: one row */
}

static void p9_identical_refusals_are_folded_into_one_record_with_a_count(void **state)
{
    struct fixture *f = *state;
    const uint64_t before = audit_count(f);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(login(f, "ada@d.test", "wrong password"), LOGIN_RESULT_REFUSED);
    }
    assert_int_equal(audit_count(f), before + 1); /* the first, before its answer */
    assert_int_equal(newest(f, "ada@d.test").count, 1);
    meta_local_run_ms(f->local, 1500);
    assert_int_equal(audit_count(f), before + 2);
    assert_int_equal(newest(f, "ada@d.test").count, 50);
    assert_int_equal(login(f, "ada@d.test", "wrong password"), LOGIN_RESULT_REFUSED);
    assert_int_equal(audit_count(f), before + 3);
    assert_int_equal(newest(f, "ada@d.test").count, 51);
}

static void p9_other_tuples_are_not_folded(void **state)
{
    struct fixture *f = *state;
    const uint64_t before = audit_count(f);
    struct login_reply reply;
    assert_int_equal(login(f, "ada@d.test", "wrong password"), LOGIN_RESULT_REFUSED);
    assert_int_equal(login(f, "Ada@d.test", "wrong password"), LOGIN_RESULT_REFUSED);
    assert_false(vy_failed(
        meta_local_login(f->local, "ada@d.test", "wrong password", LOGIN_PROTOCOL_SIEVE, &reply)));
    assert_int_equal(audit_count(f), before + 3);
}

struct late {
    bool is_there;
    struct vy_err err;
    enum login_result result;
};

static void on_late_reply(void *arg, struct vy_err err, const char *message, struct vy_bytes bytes)
{
    struct late *late = arg;
    struct vy_arena arena;
    struct login_reply reply = {.result = LOGIN_RESULT_NONE};
    (void)message;
    vy_arena_init(&arena, 4096);
    if (!vy_failed(err)) {
        assert_false(vy_failed(vy_pb_decode(&login_reply_desc, &arena, bytes, &reply)));
    }
    *late = (struct late){.is_there = true, .err = err, .result = reply.result};
    vy_arena_deinit(&arena);
}

static void on_ignored_reply(void *arg, struct vy_err err, const char *message,
                             struct vy_bytes bytes)
{
    (void)arg;
    (void)message;
    (void)bytes;
    assert_int_equal(err.code, VY_CODE_OK);
}

/* Starts a call without waiting for its answer. */
static void start_login(struct fixture *f, const char *name, const char *password,
                        struct late *late)
{
    uint8_t hash[32];
    uint8_t letters[PASSWORD_LETTERS];
    struct vy_buf buf;
    assert_true(password_is_generated_shape(vy_cstr(password), letters));
    password_hash(vy_bytes(letters, sizeof(letters)), hash);
    const struct login_context context = {.protocol = LOGIN_PROTOCOL_IMAP,
                                          .mechanism = LOGIN_MECHANISM_PLAIN,
                                          .typed_name = vy_cstr(name)};
    const struct login_request request = {.context = &context,
                                          .password_hash = vy_bytes(hash, sizeof(hash))};
    vy_buf_init(&buf, 4096);
    assert_false(vy_failed(vy_pb_encode(&login_request_desc, &request, &buf)));
    meta_service_call(f->local->meta, METHOD_META_LOGIN, vy_buf_bytes(&buf), NULL, on_late_reply,
                      late);
    vy_buf_deinit(&buf);
}

/* The second call, with a tag that is wrong. challenge: of the first. */
static void start_wrong(struct fixture *f, const char *name, struct vy_bytes challenge,
                        struct late *late)
{
    static const uint8_t tag[PASSWORD_TAG_BYTES] = {1};
    struct vy_buf buf;
    const struct login_context context = {.protocol = LOGIN_PROTOCOL_IMAP,
                                          .mechanism = LOGIN_MECHANISM_PLAIN,
                                          .typed_name = vy_cstr(name)};
    const struct login_request request = {
        .context = &context, .argon2_tag = vy_bytes(tag, sizeof(tag)), .challenge = challenge};
    vy_buf_init(&buf, 4096);
    assert_false(vy_failed(vy_pb_encode(&login_request_desc, &request, &buf)));
    meta_service_call(f->local->meta, METHOD_META_LOGIN, vy_buf_bytes(&buf), NULL, on_late_reply,
                      late);
    vy_buf_deinit(&buf);
}

static void start_admin(struct fixture *f, const char *service, const char *name,
                        const void *request)
{
    struct vy_buf buf;
    const struct vy_pb_method *method = meta_admin_find_method(vy_cstr(service), vy_cstr(name));
    assert_non_null(method);
    vy_buf_init(&buf, 4096);
    assert_false(vy_failed(vy_pb_encode(method->request, request, &buf)));
    meta_admin_call(f->local->meta, method, vy_buf_bytes(&buf), NULL, on_ignored_reply, NULL);
    vy_buf_deinit(&buf);
}

static void app2_a_login_overtaken_by_a_disable_is_told_so(void **state)
{
    struct fixture *f = *state;
    struct late late = {.is_there = false};
    const struct admin_set_account_state_request disabling = {.account = VY_LIT("ada@d.test"),
                                                              .text = VY_LIT("bye")};
    f->local->is_holding = true;
    start_admin(f, "volary.admin.v1.AccountService", "SetAccountState", &disabling);
    start_login(f, "ada@d.test", f->generated, &late); /* decided from the state before */
    (void)fake_loop_run_posts(&f->local->loop);
    assert_false(late.is_there);
    meta_local_release(f->local);
    (void)fake_loop_run_posts(&f->local->loop);
    assert_true(late.is_there);
    assert_int_equal(late.result, LOGIN_RESULT_DISABLED);
}

static void app2_a_login_overtaken_by_a_new_password_is_refused(void **state)
{
    struct fixture *f = *state;
    struct late late = {.is_there = false};
    const struct admin_set_password_request changing = {.account = VY_LIT("ada@d.test")};
    f->local->is_holding = true;
    start_admin(f, "volary.admin.v1.AccountService", "SetPassword", &changing);
    (void)fake_loop_run_posts(&f->local->loop); /* its verifier is made; then it is proposed */
    start_login(f, "ada@d.test", f->generated, &late);
    meta_local_release(f->local);
    (void)fake_loop_run_posts(&f->local->loop);
    assert_true(late.is_there);
    assert_int_equal(late.result, LOGIN_RESULT_NEED_ARGON2); /* as of any wrong password */
    assert_int_equal(login(f, "ada@d.test", f->generated), LOGIN_RESULT_REFUSED);
    expect_record(f, "ada@d.test", "badpassword");
}

static void p9_a_refusal_whose_record_is_on_its_way_answers_nobody(void **state)
{
    struct fixture *f = *state;
    struct late late[3] = {{.is_there = false}};
    const uint64_t before = audit_count(f);
    uint8_t challenge[1024];
    struct login_reply first;
    ask(f, "ada@d.test", &first);
    assert_true(first.challenge.len <= sizeof(challenge));
    memcpy(challenge, first.challenge.data, first.challenge.len);
    const size_t challenge_len = first.challenge.len;
    f->local->is_holding = true;
    for (size_t i = 0; i < 3; i++) {
        start_wrong(f, "ada@d.test", vy_bytes(challenge, challenge_len), &late[i]);
        (void)fake_loop_run_posts(&f->local->loop);
        assert_false(late[i].is_there);
    }
    meta_local_release(f->local);
    (void)fake_loop_run_posts(&f->local->loop);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(late[i].result, LOGIN_RESULT_REFUSED);
    }
    assert_int_equal(audit_count(f) - before, 3);
}

/* The leader dies behind the commit and before the answer: the frontend asks the next one again. */
static void p9_a_repeated_attempt_is_recorded_once(void **state)
{
    struct fixture *f = *state;
    static const uint8_t attempts[2][META_ATTEMPT_BYTES] = {{1}, {2}};
    const uint64_t before = audit_count(f);
    uint8_t hash[32];
    uint8_t letters[PASSWORD_LETTERS];
    struct vy_buf buf;
    assert_true(password_is_generated_shape(vy_cstr(f->generated), letters));
    password_hash(vy_bytes(letters, sizeof(letters)), hash);
    const struct login_context context = {.protocol = LOGIN_PROTOCOL_IMAP,
                                          .mechanism = LOGIN_MECHANISM_PLAIN,
                                          .typed_name = VY_LIT("ada@d.test")};
    const struct login_request request = {.context = &context,
                                          .password_hash = vy_bytes(hash, sizeof(hash))};
    vy_buf_init(&buf, 4096);
    assert_false(vy_failed(vy_pb_encode(&login_request_desc, &request, &buf)));
    for (size_t i = 0; i < 4; i++) { /* the first three are one */
        const struct meta_peer peer = {.role = RPC_ROLE_FRONTEND,
                                       .attempt = attempts[i < 3 ? 0 : 1]};
        struct late late = {.is_there = false};
        f->local->fail_next_propose = i == 0 ? VY_CODE_UNKNOWN : VY_CODE_OK;
        meta_service_call(f->local->meta, METHOD_META_LOGIN, vy_buf_bytes(&buf), &peer,
                          on_late_reply, &late);
        (void)fake_loop_run_posts(&f->local->loop);
        assert_true(late.is_there);
        assert_int_equal(late.err.code, i == 0 ? VY_CODE_UNKNOWN : VY_CODE_OK);
        assert_int_equal(late.result, i == 0 ? LOGIN_RESULT_NONE : LOGIN_RESULT_OK);
    }
    vy_buf_deinit(&buf);
    assert_int_equal(audit_count(f) - before, 2);
    assert_int_equal(newest(f, "ada@d.test").count, 2);
}

static void login_lists_are_paged_newest_first(void **state)
{
    struct fixture *f = *state;
    char ip[32];
    for (int i = 0; i < 25; i++) {
        (void)snprintf(ip, sizeof(ip), "192.0.2.%d", i);
        const struct login_context context = {.protocol = LOGIN_PROTOCOL_IMAP,
                                              .mechanism = LOGIN_MECHANISM_PLAIN,
                                              .typed_name = VY_LIT("ada@d.test"),
                                              .remote_ip = vy_cstr(ip)};
        struct login_reply reply;
        fake_clock_advance_ms(&f->local->clock, i % 3 == 0 ? 10 : 0); /* equal times too */
        assert_false(vy_failed(meta_local_login_as(f->local, &context, "wrong password", &reply)));
        if (i % 5 == 0) {
            assert_int_equal(login(f, "ada@d.test", f->generated), LOGIN_RESULT_OK);
        }
    }
    char next[128] = "";
    uint64_t last_ms = UINT64_MAX;
    size_t total = 0;
    do {
        const struct admin_page_options page = {.limit = 7, .after = vy_cstr(next)};
        const struct admin_list_logins_request request = {.account = VY_LIT("ada@d.test"),
                                                          .page = &page};
        struct admin_list_logins_reply reply;
        assert_false(vy_failed(
            meta_local_admin(f->local, "CredentialService", "ListLogins", &request, &reply)));
        for (size_t i = 0; i < reply.logins_count; i++) {
            assert_true(reply.logins[i].last_ms <= last_ms);
            last_ms = reply.logins[i].last_ms;
        }
        total += reply.logins_count;
        (void)snprintf(next, sizeof(next), "%.*s", VY_PRI(reply.next));
    } while (next[0] != '\0');
    assert_int_equal(total, 26); /* 25 failed tuples and one of successes */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_right_password_opens_a_session_for_the_account),
        TEST(app1_a_generated_password_may_be_typed_without_its_dashes),
        TEST(s28_a_name_is_taken_in_its_canonical_form),
        TEST(auth_unknown_local_part_is_baduser),
        TEST(auth_unknown_domain_is_baduser),
        TEST(auth_unparsable_names_are_baduser),
        TEST(a14_an_empty_name_opens_nothing),
        TEST(auth_alias_is_baduser_and_no_phantom_mailbox),
        TEST(auth_catch_all_only_name_is_baduser),
        TEST(auth_subaddress_is_baduser),
        TEST(auth_wrong_password_is_badpassword),
        TEST(an_app_password_works_beside_a_chosen_one),
        TEST(auth_app_password_without_this_protocol_is_noproto),
        TEST(app4_an_app_password_never_opens_administration_or_the_web),
        TEST(auth_expired_app_password_is_refused),
        TEST(auth_revoked_app_password_is_badpassword_and_ends_sessions),
        TEST(p18_a_changed_password_raises_the_epoch_and_the_old_one_is_refused),
        TEST(auth_disabled_is_told_after_the_right_password_only),
        TEST(enabling_lets_in_again),
        TEST(auth1_unknown_names_answer_like_known_ones_and_always_the_same),
        TEST(a13_the_cache_key_is_of_account_epoch_and_credential),
        TEST(auth1_a_right_password_that_is_no_use_is_told_like_a_wrong_one),
        TEST(auth1_the_reply_to_a_refusal_has_one_form),
        TEST(auth3_acting_for_another_is_refused_with_the_right_password),
        TEST(a_request_that_is_none_is_refused_without_a_record),
        TEST(a_challenge_is_bound_to_its_name_and_time),
        TEST(p9_without_a_record_there_is_no_answer),
        TEST(auth_quorum_lost_is_an_error_and_no_refusal),
        TEST(p9_each_login_is_one_record_of_the_chain),
        TEST(p9_identical_refusals_are_folded_into_one_record_with_a_count),
        TEST(p9_other_tuples_are_not_folded),
        TEST(app2_a_login_overtaken_by_a_disable_is_told_so),
        TEST(app2_a_login_overtaken_by_a_new_password_is_refused),
        TEST(p9_a_refusal_whose_record_is_on_its_way_answers_nobody),
        TEST(p9_a_repeated_attempt_is_recorded_once),
        TEST(login_lists_are_paged_newest_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
