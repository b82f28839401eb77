/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Acceptance 1.2, row by row: what each situation answers by each mechanism at SMTP and IMAP, in
 * exact bytes, and what is written down of it. AUTH-1: whoever is refused hears the same from the
 * first byte to the last. AUTH-2, AUTH-3; A1, A8, A10, APP-3.
 */
#include "base/assert.h"
#include "meta/guess.h"
#include "meta/meta_private.h"
#include "meta/totp.h"
#include "tests/auth/sign_in_client.h"
#include "tests/lib/test.h"
#include <stdio.h>

#define WRONG "not-the-password"
#define CHOSEN "correct horse"

/* ---- the answers ---- */

enum answer {
    ANSWER_OK,
    ANSWER_REFUSED,
    ANSWER_DISABLED, /* with the administrator's text */
    ANSWER_DELETED,  /* without one */
    ANSWER_UNAVAILABLE,
    ANSWER_PRIVACY,
    ANSWER_NEED_APP,
    ANSWER_LIMITED,
    ANSWER_NO_MECHANISM,
    ANSWER_COUNT
};
/* clang-format off */
static const char *const answers[ANSWER_COUNT][SIGN_IN_PROTOCOLS] = {
    [ANSWER_OK]           = { "235 2.7.0 Signed in", "OK [CAPABILITY ...] Logged in" },
    [ANSWER_REFUSED]      = { "535 5.7.8 Authentication credentials invalid",
                              "NO [AUTHENTICATIONFAILED] Authentication credentials invalid" },
    [ANSWER_DISABLED]     = { "525 5.7.13 Please call us", "NO Please call us" },
    [ANSWER_DELETED]      = { "525 5.7.13 Account is disabled", "NO Account is disabled" },
    [ANSWER_UNAVAILABLE]  = { "454 4.7.0 Sign-in is not possible right now, try again later",
                              "NO [UNAVAILABLE] Sign-in is not possible right now, try again later" },
    [ANSWER_PRIVACY]      = { "538 5.7.11 Encryption is required first",
                              "NO [PRIVACYREQUIRED] Encryption is required first" },
    [ANSWER_NEED_APP]     = { "534 5.7.9 An app password is needed for this",
                              "NO [AUTHENTICATIONFAILED] An app password is needed for this" },
    [ANSWER_LIMITED]      = { "454 4.7.0 Too many sign-in attempts, try again later",
                              "NO [LIMIT] Too many sign-in attempts, try again later" },
    [ANSWER_NO_MECHANISM] = { "504 5.5.4 Authentication mechanism is not offered",
                              "NO [CANNOT] Authentication mechanism is not offered" },
};
/* clang-format on */

/* ---- the accounts ---- */

struct fixture {
    struct meta_local *local;
    char ada[64];     /* passwords: of ada@d.test, generated */
    char off[64];     /* disabled */
    char soft[64];    /* softly deleted */
    char gone[64];    /* being erased */
    char factor[64];  /* with a second factor */
    char both[64];    /* with a second factor, and disabled */
    char policy[64];  /* app passwords only */
    char expired[64]; /* app passwords of ada@d.test */
    char revoked[64];
    char sieve[64];     /* for another protocol */
    char far[64];       /* for another network */
    char phone[64];     /* for everything */
    char of_factor[64]; /* of the account with a factor */
};

static void admin(struct fixture *f, const char *service, const char *method, const void *request,
                  void *reply)
{
    const struct vy_err err = meta_local_admin(f->local, service, method, request, reply);
    if (vy_failed(err)) {
        fail_msg("%s: %s", method, f->local->message);
    }
}

struct app {
    const char *account;
    const char *label;
    const char *protocol; /* NULL: all */
    const char *network;  /* NULL: any */
    uint64_t expires_ms;
};

/* The app password's id, as text in the arena of `local`. */
static struct vy_bytes add_app(struct fixture *f, const struct app *app, char out[64])
{
    const struct vy_bytes protocols[] = {vy_cstr(app->protocol == NULL ? "" : app->protocol)};
    const struct vy_bytes networks[] = {vy_cstr(app->network == NULL ? "" : app->network)};
    const struct admin_create_app_password_request request = {
        .account = vy_cstr(app->account),
        .label = vy_cstr(app->label),
        .protocols = protocols,
        .protocols_count = app->protocol == NULL ? 0 : 1,
        .networks = networks,
        .networks_count = app->network == NULL ? 0 : 1,
        .expires_ms = app->expires_ms};
    struct admin_create_app_password_reply reply;
    admin(f, "CredentialService", "CreateAppPassword", &request, &reply);
    (void)snprintf(out, 64, "%.*s", VY_PRI(reply.secret));
    return reply.id;
}

static void add_app_passwords(struct fixture *f)
{
    const uint64_t now_ms = f->local->clock.wall_ms;
    const struct app expired = {.account = "ada@d.test", .label = "old", .expires_ms = now_ms + 1};
    const struct app revoked = {.account = "ada@d.test", .label = "lost"};
    const struct app sieve = {.account = "ada@d.test", .label = "filters", .protocol = "sieve"};
    const struct app far = {.account = "ada@d.test", .label = "far", .network = "198.51.100.0/24"};
    const struct app phone = {.account = "ada@d.test", .label = "phone"};
    const struct app of_factor = {.account = "factor@d.test", .label = "phone"};
    char id[32];
    struct admin_empty empty;
    (void)add_app(f, &expired, f->expired);
    (void)snprintf(id, sizeof(id), "%.*s", VY_PRI(add_app(f, &revoked, f->revoked)));
    const struct admin_delete_app_password_request request = {.account = VY_LIT("ada@d.test"),
                                                              .id = vy_cstr(id)};
    admin(f, "CredentialService", "DeleteAppPassword", &request, &empty);
    (void)add_app(f, &sieve, f->sieve);
    (void)add_app(f, &far, f->far);
    (void)add_app(f, &phone, f->phone);
    (void)add_app(f, &of_factor, f->of_factor);
    fake_clock_advance_ms(&f->local->clock, 10);
}

static void delete_account(struct fixture *f, const char *account, bool soft)
{
    char token[128] = "";
    if (!soft) {
        const struct admin_prepare_delete_request prepare = {.account = vy_cstr(account)};
        struct admin_prepare_delete_reply prepared;
        admin(f, "AccountService", "PrepareDelete", &prepare, &prepared);
        (void)snprintf(token, sizeof(token), "%.*s", VY_PRI(prepared.token));
    }
    const struct admin_delete_account_request request = {
        .account = vy_cstr(account), .token = vy_cstr(token), .soft = soft};
    struct admin_delete_account_reply reply;
    admin(f, "AccountService", "DeleteAccount", &request, &reply);
}

static uint32_t first_code(struct fixture *f, struct vy_bytes base32)
{
    uint8_t secret[TOTP_SECRET_BYTES];
    uint64_t bits = 0;
    unsigned count = 0;
    size_t at = 0;
    for (size_t i = 0; i < base32.len; i++) {
        const uint8_t c = base32.data[i];
        bits = bits << 5 | (uint64_t)(c >= 'A' ? c - 'A' : c - '2' + 26);
        count += 5;
        if (count >= 8) {
            count -= 8;
            secret[at++] = (uint8_t)(bits >> count);
        }
    }
    return totp_code(secret, f->local->clock.wall_ms / TOTP_STEP_MS);
}

static void add_factor(struct fixture *f, const char *account)
{
    const struct admin_enroll_factor_request enroll = {.account = vy_cstr(account)};
    struct admin_enroll_factor_reply enrolled;
    admin(f, "CredentialService", "EnrollFactor", &enroll, &enrolled);
    char code[16];
    (void)snprintf(code, sizeof(code), "%06u", first_code(f, enrolled.secret));
    const struct admin_confirm_factor_request confirm = {.account = vy_cstr(account),
                                                         .code = vy_cstr(code)};
    struct admin_recovery_codes_reply codes;
    admin(f, "CredentialService", "ConfirmFactor", &confirm, &codes);
}

static void add_states(struct fixture *f)
{
    const struct admin_set_account_state_request disable = {.account = VY_LIT("off@d.test"),
                                                            .text = VY_LIT("Please call us")};
    const struct admin_set_sign_in_policy_request policy = {.account = VY_LIT("policy@d.test"),
                                                            .app_passwords_only = true};
    struct admin_account account;
    admin(f, "AccountService", "SetAccountState", &disable, &account);
    admin(f, "CredentialService", "SetSignInPolicy", &policy, &account);
    delete_account(f, "soft@d.test", true);
    delete_account(f, "gone@d.test", false);
    add_factor(f, "factor@d.test");
    add_factor(f, "both@d.test");
    const struct admin_set_account_state_request both = {.account = VY_LIT("both@d.test")};
    admin(f, "AccountService", "SetAccountState", &both, &account);
}

static void add_names(struct fixture *f)
{
    const struct admin_create_alias_request list = {
        .alias = VY_LIT("list@d.test"),
        .targets_count = 2,
        .targets = (struct vy_bytes[]){VY_LIT("ada@d.test"), VY_LIT("bob@d.test")}
    };
    const struct admin_set_domain_request domain = {.name = VY_LIT("all.test"),
                                                    .catch_all = VY_LIT("chief@all.test")};
    struct admin_alias alias;
    struct admin_domain set;
    meta_local_add_alias(f->local, "alias@d.test", "ada@d.test");
    admin(f, "AliasService", "CreateAlias", &list, &alias);
    meta_local_add_domain(f->local, "all.test", NULL);
    (void)meta_local_add_account(f->local, "chief@all.test", NULL, NULL, 0);
    admin(f, "DomainService", "SetDomain", &domain, &set);
}

static int set_up(void **state)
{
    static struct fixture f;
    f = (struct fixture){.local = meta_local_new(0, NULL, NULL)};
    meta_local_add_domain(f.local, "d.test", NULL);
    (void)meta_local_add_account(f.local, "ada@d.test", NULL, f.ada, sizeof(f.ada));
    (void)meta_local_add_account(f.local, "bob@d.test", CHOSEN, NULL, 0);
    (void)meta_local_add_account(f.local, "off@d.test", NULL, f.off, sizeof(f.off));
    (void)meta_local_add_account(f.local, "soft@d.test", NULL, f.soft, sizeof(f.soft));
    (void)meta_local_add_account(f.local, "gone@d.test", NULL, f.gone, sizeof(f.gone));
    (void)meta_local_add_account(f.local, "factor@d.test", NULL, f.factor, sizeof(f.factor));
    (void)meta_local_add_account(f.local, "both@d.test", NULL, f.both, sizeof(f.both));
    (void)meta_local_add_account(f.local, "policy@d.test", NULL, f.policy, sizeof(f.policy));
    add_names(&f);
    add_app_passwords(&f);
    add_states(&f);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    meta_local_free(f->local);
    return 0;
}

/* ---- one try ---- */

struct row {
    const char *situation;
    const char *name;
    const char *secret;
    enum answer answer;
    const char *owner;  /* under whom it is recorded: "-" for names without an account */
    const char *result; /* the record's; NULL: there is none */
    bool hashes;
};

static const char *try_row(struct fixture *f, const struct row *row, enum sign_in_protocol protocol,
                           enum sign_in_mechanism mechanism, bool is_plaintext)
{
    static struct sign_in_heard heard;
    const struct sign_in_try try = {.protocol = protocol,
                                    .mechanism = mechanism,
                                    .is_plaintext = is_plaintext,
                                    .hashes = row->hashes,
                                    .name = row->name,
                                    .secret = row->secret};
    meta_local_run_ms(f->local, LOGIN_FOLD_MS + 500); /* no record is folded into one before */
    sign_in(f->local, &try, &heard);
    const char *end = "] Logged in";
    const size_t len = strlen(heard.last);
    if (strncmp(heard.last, "OK [CAPABILITY ", 15) == 0 && len > 30 &&
        strcmp(heard.last + len - strlen(end), end) == 0) {
        (void)snprintf(heard.last, sizeof(heard.last), "%s",
                       answers[ANSWER_OK][SIGN_IN_IMAP]); /* the list has tests of its own */
    }
    if (strcmp(heard.last, answers[row->answer][protocol]) != 0) {
        fail_msg("%s by %s: \"%s\"", row->situation, sign_in_text(protocol, mechanism), heard.last);
    }
    return heard.dialogue;
}

static void check_record(struct fixture *f, const struct row *row, const char *by)
{
    const struct admin_list_logins_request request = {.account = vy_cstr(row->owner)};
    struct admin_list_logins_reply reply;
    admin(f, "CredentialService", "ListLogins", &request, &reply);
    if (reply.logins_count == 0 || reply.logins[0].last_ms != f->local->clock.wall_ms ||
        !vy_bytes_equal(reply.logins[0].result, vy_cstr(row->result))) {
        fail_msg("%s by %s: recorded as \"%.*s\"", row->situation, by,
                 reply.logins_count == 0 ? 0 : (int)reply.logins[0].result.len,
                 reply.logins_count == 0 ? "" : (const char *)reply.logins[0].result.data);
    }
}

static uint64_t record_count(struct fixture *f)
{
    const struct admin_empty empty = {0};
    struct admin_verify_audit_reply reply;
    admin(f, "AuditService", "VerifyAudit", &empty, &reply);
    assert_true(reply.intact);
    return reply.record_count;
}

/* All rows by all mechanisms; those that are refused sound alike. */
static void try_all(struct fixture *f, const struct row *rows, size_t count)
{
    static char refused[SIGN_IN_PROTOCOLS][SIGN_IN_MECHANISMS][SIGN_IN_BYTES_MAX];
    memset(refused, 0, sizeof(refused));
    for (size_t i = 0; i < count; i++) {
        for (unsigned k = 0; k < SIGN_IN_PROTOCOLS * SIGN_IN_MECHANISMS; k++) {
            const enum sign_in_protocol protocol = k / SIGN_IN_MECHANISMS;
            const enum sign_in_mechanism mechanism = k % SIGN_IN_MECHANISMS;
            if (!sign_in_has(protocol, mechanism)) {
                continue;
            }
            const char *dialogue = try_row(f, &rows[i], protocol, mechanism, false);
            char *expected = refused[protocol][mechanism];
            if (rows[i].answer == ANSWER_REFUSED && expected[0] == '\0') {
                (void)snprintf(expected, SIGN_IN_BYTES_MAX, "%s", dialogue);
            } else if (rows[i].answer == ANSWER_REFUSED) {
                assert_string_equal(dialogue, expected); /* AUTH-1 */
            }
            check_record(f, &rows[i], sign_in_text(protocol, mechanism));
        }
    }
}

/* ---- the table ---- */

static void auth_names_that_are_no_account_are_refused_alike(void **state)
{
    struct fixture *f = *state;
    const struct row rows[] = {
        {.situation = "unknown local part", .name = "eve@d.test"       },
        {.situation = "unknown domain",     .name = "ada@other.test"   },
        {.situation = "no address",         .name = "ada"              },
        {.situation = "no address",         .name = "ada@d..test"      },
        {.situation = "no address",         .name = "../etc@@d.test"   },
        {.situation = "a detail",           .name = "ada+x@d.test"     },
        {.situation = "alias",              .name = "alias@d.test"     },
        {.situation = "list",               .name = "list@d.test"      },
        {.situation = "catch-all",          .name = "anything@all.test"},
        {.situation = "being erased",       .name = "gone@d.test"      },
        {.situation = "a label of nobody",  .name = "eve@d.test%phone" },
    };
    struct row whole[2 * VY_COUNT_OF(rows)];
    for (size_t i = 0; i < VY_COUNT_OF(whole); i++) {
        whole[i] = rows[i / 2];
        whole[i].secret = i % 2 == 0 ? f->ada : WRONG;
        whole[i].answer = ANSWER_REFUSED;
        whole[i].owner = "-";
        whole[i].result = "baduser";
    }
    try_all(f, whole, VY_COUNT_OF(whole));
}

static void auth_secrets_that_open_nothing_are_refused_alike(void **state)
{
    struct fixture *f = *state;
    /* clang-format off */
    const struct row rows[] = {
        { "wrong password",          "ada@d.test",        WRONG,      ANSWER_REFUSED, "ada@d.test",    "badpassword", false },
        { "wrong chosen one",        "bob@d.test",        WRONG,      ANSWER_REFUSED, "bob@d.test",    "badpassword", false },
        { "another's",               "bob@d.test",        f->ada,     ANSWER_REFUSED, "bob@d.test",    "badpassword", false },
        { "expired",                 "ada@d.test",        f->expired, ANSWER_REFUSED, "ada@d.test",    "expired",     false },
        { "revoked",                 "ada@d.test",        f->revoked, ANSWER_REFUSED, "ada@d.test",    "badpassword", false },
        { "not this protocol",       "ada@d.test",        f->sieve,   ANSWER_REFUSED, "ada@d.test",    "noproto",     false },
        { "not from here",           "ada@d.test",        f->far,     ANSWER_REFUSED, "ada@d.test",    "badnetwork",  false },
        { "another label",           "ada@d.test%tablet", f->phone,   ANSWER_REFUSED, "ada@d.test",    "badpassword", false },
        { "main password, a label",  "ada@d.test%phone",  f->ada,     ANSWER_REFUSED, "ada@d.test",    "badpassword", false },
        { "second factor",           "factor@d.test",     f->factor,  ANSWER_REFUSED, "factor@d.test", "needapp",     false },
        { "app passwords only",      "policy@d.test",     f->policy,  ANSWER_REFUSED, "policy@d.test", "needapp",     false },
        { "second factor, disabled", "both@d.test",       f->both,    ANSWER_REFUSED, "both@d.test",   "needapp",     false },
        { "wrong and disabled",      "off@d.test",        WRONG,      ANSWER_REFUSED, "off@d.test",    "badpassword", false },
        { "wrong and deleted",       "soft@d.test",       WRONG,      ANSWER_REFUSED, "soft@d.test",   "badpassword", false },
        { "nobody",                  "eve@d.test",        WRONG,      ANSWER_REFUSED, "-",             "baduser",     false },
    };
    /* clang-format on */
    try_all(f, rows, VY_COUNT_OF(rows));
}

static void auth_the_right_secret_is_told_what_is_so(void **state)
{
    struct fixture *f = *state;
    /* clang-format off */
    const struct row rows[] = {
        { "right",                        "ada@d.test",       f->ada,       ANSWER_OK,       "ada@d.test",    "ok",            false },
        { "right, typed otherwise",       "ADA@D.Test",       f->ada,       ANSWER_OK,       "ada@d.test",    "ok",            false },
        { "app password",                 "ada@d.test",       f->phone,     ANSWER_OK,       "ada@d.test",    "ok",            false },
        { "by its label",                 "ada@d.test%Phone", f->phone,     ANSWER_OK,       "ada@d.test",    "ok",            false },
        { "app password behind a factor", "factor@d.test",    f->of_factor, ANSWER_OK,       "factor@d.test", "ok",            false },
        { "disabled",                     "off@d.test",       f->off,       ANSWER_DISABLED, "off@d.test",    "logindisabled", false },
        { "softly deleted",               "soft@d.test",      f->soft,      ANSWER_DELETED,  "soft@d.test",   "logindisabled", false },
        { "right, chosen",                "bob@d.test",       CHOSEN,       ANSWER_OK,       "bob@d.test",    "ok",            true },
    };
    /* clang-format on */
    try_all(f, rows, VY_COUNT_OF(rows));
}

static void auth_by_policy_an_app_password_is_asked_for(void **state)
{
    struct fixture *f = *state;
    /* clang-format off */
    const struct row rows[] = {
        { "second factor",      "factor@d.test", f->factor, ANSWER_NEED_APP, "factor@d.test", "needapp",     false },
        { "app passwords only", "policy@d.test", f->policy, ANSWER_NEED_APP, "policy@d.test", "needapp",     false },
        { "wrong password",     "factor@d.test", WRONG,     ANSWER_REFUSED,  "factor@d.test", "badpassword", false },
    };
    /* clang-format on */
    f->local->meta->config.tells_need_app = true;
    try_all(f, rows, VY_COUNT_OF(rows));
}

/* What meta is not asked about, or cannot answer, leaves no record. */
static void try_without_record(struct fixture *f, const struct row *row, bool is_plaintext)
{
    const uint64_t before = record_count(f);
    meta_local_set_leader(f->local, row->answer != ANSWER_UNAVAILABLE);
    for (unsigned k = 0; k < SIGN_IN_PROTOCOLS * SIGN_IN_MECHANISMS; k++) {
        const enum sign_in_protocol protocol = k / SIGN_IN_MECHANISMS;
        const enum sign_in_mechanism mechanism = k % SIGN_IN_MECHANISMS;
        if (sign_in_has(protocol, mechanism)) {
            (void)try_row(f, row, protocol, mechanism, is_plaintext);
        }
    }
    meta_local_set_leader(f->local, true);
    assert_int_equal(record_count(f), before);
}

static void auth_without_tls_encryption_is_asked_for(void **state)
{
    struct fixture *f = *state;
    const struct row row = {
        .situation = "no TLS", .name = "ada@d.test", .secret = f->ada, .answer = ANSWER_PRIVACY};
    try_without_record(f, &row, true);
}

static void auth_without_meta_nobody_is_called_wrong(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"ada@d.test", "eve@d.test"};
    for (size_t i = 0; i < VY_COUNT_OF(names); i++) {
        const struct row row = {.situation = "no quorum",
                                .name = names[i],
                                .secret = f->ada,
                                .answer = ANSWER_UNAVAILABLE};
        try_without_record(f, &row, false);
    }
}

static void auth_who_guessed_too_much_is_told_so(void **state)
{
    struct fixture *f = *state;
    static const struct guess_limits limits = {
        .kinds = {[GUESS_NARROW] = {.count = 1, .per_ms = 3600000}}};
    const struct row first = {
        .situation = "wrong", .name = "ada@d.test", .secret = WRONG, .answer = ANSWER_REFUSED};
    /* clang-format off */
    const struct row rows[] = {
        { "limited, right",  "ada@d.test", f->ada, ANSWER_LIMITED, "ada@d.test", "limited", false },
        { "limited, nobody", "eve@d.test", WRONG,  ANSWER_LIMITED, "-",          "limited", false },
    };
    /* clang-format on */
    assert_false(vy_failed(guess_table_new(&limits, 1, 1024, &f->local->meta->guesses)));
    (void)try_row(f, &first, SIGN_IN_IMAP, SIGN_IN_COMMAND, false);
    for (size_t i = 0; i < VY_COUNT_OF(rows); i++) {
        for (unsigned k = 0; k < SIGN_IN_PROTOCOLS * SIGN_IN_MECHANISMS; k++) {
            if (sign_in_has(k / SIGN_IN_MECHANISMS, k % SIGN_IN_MECHANISMS)) {
                (void)try_row(f, &rows[i], k / SIGN_IN_MECHANISMS, k % SIGN_IN_MECHANISMS, false);
            }
        }
        meta_local_run_ms(f->local, 2000); /* they are folded: one record and its count */
        const struct admin_list_logins_request request = {.account = vy_cstr(rows[i].owner)};
        struct admin_list_logins_reply reply;
        admin(f, "CredentialService", "ListLogins", &request, &reply);
        assert_true(vy_bytes_equal(reply.logins[0].result, VY_LIT("limited")));
    }
}

static void auth_oauthbearer_is_refused_cleanly_until_it_is_there(void **state)
{
    struct fixture *f = *state;
    const uint64_t before = record_count(f);
    const struct row row = {.situation = "OAUTHBEARER",
                            .name = "ada@d.test",
                            .secret = f->ada,
                            .answer = ANSWER_NO_MECHANISM};
    for (unsigned protocol = 0; protocol < SIGN_IN_PROTOCOLS; protocol++) {
        (void)try_row(f, &row, protocol, SIGN_IN_OAUTHBEARER, false);
        (void)try_row(f, &row, protocol, SIGN_IN_OAUTHBEARER, true);
    }
    assert_int_equal(record_count(f), before);
}

static void auth3_acting_for_another_is_refused_like_a_wrong_password(void **state)
{
    struct fixture *f = *state;
    for (unsigned protocol = 0; protocol < SIGN_IN_PROTOCOLS; protocol++) {
        struct sign_in_heard heard;
        struct sign_in_try try = {.protocol = protocol,
                                  .mechanism = SIGN_IN_PLAIN,
                                  .authzid = "bob@d.test",
                                  .name = "ada@d.test",
                                  .secret = f->ada};
        sign_in(f->local, &try, &heard);
        assert_string_equal(heard.last, answers[ANSWER_REFUSED][protocol]);
        try.authzid = "ada@d.test";
        sign_in(f->local, &try, &heard);
        assert_string_not_equal(heard.last, answers[ANSWER_REFUSED][protocol]);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(auth_names_that_are_no_account_are_refused_alike),
        TEST(auth_secrets_that_open_nothing_are_refused_alike),
        TEST(auth_the_right_secret_is_told_what_is_so),
        TEST(auth_by_policy_an_app_password_is_asked_for),
        TEST(auth_without_tls_encryption_is_asked_for),
        TEST(auth_without_meta_nobody_is_called_wrong),
        TEST(auth_who_guessed_too_much_is_told_so),
        TEST(auth_oauthbearer_is_refused_cleanly_until_it_is_there),
        TEST(auth3_acting_for_another_is_refused_like_a_wrong_password),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
