/* SPDX-License-Identifier: Apache-2.0 */
/* Budgets of guessing as meta uses them: P18, A1 to A4, LOGIN-4, the row "rate limited" of
 * acceptance 1.2. The buckets themselves: guess_test.c. */
#include "base/assert.h"
#include "meta/guess.h"
#include "meta/login_fixture.h"
#include "meta/login_service.h"
#include "meta/meta_private.h"
#include "meta/password.h"
#include <stdio.h>

static const struct guess_limits limits = {
    .kinds = {[GUESS_NARROW] = {.count = 10, .per_ms = 60000},
              [GUESS_WIDE] = {.count = 40, .per_ms = 60000},
              [GUESS_NAME] = {.count = 100, .per_ms = 3600000},
              [GUESS_PAIR] = {.count = 20, .per_ms = 3600000}}
};

static int set_up(void **state)
{
    const int result = login_fixture_set_up(state);
    struct fixture *f = *state;
    assert_false(vy_failed(guess_table_new(&limits, 1, 65536, &f->local->meta->guesses)));
    return result;
}
#define GUESS_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, login_fixture_tear_down)

struct
try {
    const char *name;
    const char *ip;
    bool is_trusted;
};

static struct login_context context_of(const struct try *try)
{
    return (struct login_context){.protocol = LOGIN_PROTOCOL_IMAP,
                                  .mechanism = LOGIN_MECHANISM_PLAIN,
                                  .typed_name = vy_cstr(try->name),
                                  .remote_ip = vy_cstr(try->ip),
                                  .is_trusted = try->is_trusted};
}

static struct login_reply try_login(struct fixture *f, const struct try *try, const char *password)
{
    const struct login_context context = context_of(try);
    struct login_reply reply;
    assert_false(vy_failed(meta_local_login_as(f->local, &context, password, &reply)));
    return reply;
}

/*
 * A wrong password without Argon2id in this process: the second call alone, its challenge made by
 * one first call for the name. `serial` makes each wrong in its own way.
 */
static enum login_result guess(struct fixture *f, const struct try *try, unsigned serial)
{
    uint8_t hash[32] = {0};
    uint8_t tag[PASSWORD_TAG_BYTES] = {0};
    uint8_t challenge[1024];
    const struct login_context context = context_of(try);
    struct login_reply reply;
    vy_put_be32(hash, serial);
    vy_put_be32(tag, serial);
    struct login_request request = {.context = &context,
                                    .password_hash = vy_bytes(hash, sizeof(hash))};
    assert_false(vy_failed(meta_local_call(f->local, METHOD_META_LOGIN, &login_request_desc,
                                           &request, &login_reply_desc, &reply)));
    if (reply.result != LOGIN_RESULT_NEED_ARGON2) {
        return reply.result;
    }
    assert_true(reply.challenge.len <= sizeof(challenge));
    memcpy(challenge, reply.challenge.data, reply.challenge.len);
    request.argon2_tag = vy_bytes(tag, sizeof(tag));
    request.challenge = vy_bytes(challenge, reply.challenge.len);
    assert_false(vy_failed(meta_local_call(f->local, METHOD_META_LOGIN, &login_request_desc,
                                           &request, &login_reply_desc, &reply)));
    return reply.result;
}

/* How many of `tries` were looked at. */
static unsigned guesses(struct fixture *f, const struct try *try, unsigned tries)
{
    unsigned count = 0;
    for (unsigned i = 0; i < tries; i++) {
        count += guess(f, try, i + 1) == LOGIN_RESULT_REFUSED;
    }
    return count;
}

static const struct try stranger = {.name = "ada@d.test", .ip = "198.51.100.7"};

static void auth_rate_limited_is_limited_and_says_how_late(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(guesses(f, &stranger, 10), 10);
    fake_clock_advance_ms(&f->local->clock, 1);
    struct login_reply reply = try_login(f, &stranger, f->generated); /* even the right one */
    assert_int_equal(reply.result, LOGIN_RESULT_LIMITED);
    assert_int_equal(reply.retry_after_ms, 2000);
    assert_int_equal(reply.session_token.len, 0);
    expect_record(f, "ada@d.test", "limited");
    reply = try_login(f, &stranger, f->generated);
    assert_int_equal(reply.retry_after_ms, 4000);
    fake_clock_advance_ms(&f->local->clock, 60000);
    assert_int_equal(try_login(f, &stranger, f->generated).result, LOGIN_RESULT_OK);
}

/* AUTH-1: names without an account are limited like others. */
static void p18_unknown_names_have_the_same_budgets(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"ada@d.test", "bob@d.test", "nobody@d.test", "info@d.test"};
    meta_local_add_alias(f->local, "info@d.test", "ada@d.test");
    for (size_t i = 0; i < VY_COUNT_OF(names); i++) {
        unsigned count = 0;
        char ip[32];
        for (unsigned k = 0; k < 150; k++) {
            (void)snprintf(ip, sizeof(ip), "10.%zu.%u.1", i, k);
            const struct try try = {.name = names[i], .ip = ip};
            count += guess(f, &try, k + 1) == LOGIN_RESULT_REFUSED;
        }
        assert_int_equal(count, 100);
    }
}

/* A2: an account under attack from everywhere, and the phone that signs in as ever. */
static void a2_a_device_that_signed_in_before_is_never_locked_out(void **state)
{
    struct fixture *f = *state;
    const struct try home = {.name = "ada@d.test", .ip = "203.0.113.5"};
    const struct try neighbour = {.name = "ada@d.test", .ip = "203.0.113.200"}; /* a new lease */
    const struct try new_place = {.name = "ada@d.test", .ip = "192.0.2.55"};
    char ip[32];
    unsigned count = 0;
    assert_int_equal(try_login(f, &home, f->generated).result, LOGIN_RESULT_OK);
    for (unsigned i = 0; i < 300; i++) {
        (void)snprintf(ip, sizeof(ip), "10.1.%u.1", i % 250);
        const struct try try = {.name = "ada@d.test", .ip = ip};
        count += guess(f, &try, i + 1) == LOGIN_RESULT_REFUSED;
    }
    assert_int_equal(count, 100);
    assert_int_equal(try_login(f, &new_place, f->generated).result, LOGIN_RESULT_LIMITED);
    assert_int_equal(try_login(f, &home, f->generated).result, LOGIN_RESULT_OK);
    assert_int_equal(try_login(f, &neighbour, f->generated).result, LOGIN_RESULT_OK);
}

/* Not even by guesses from its own network, of which it hears one in 15 s (GUESS_LANE_MS). */
static void a_known_network_has_a_budget_of_its_own(void **state)
{
    struct fixture *f = *state;
    const struct try home = {.name = "ada@d.test", .ip = "203.0.113.5"};
    const struct try foe = {.name = "ada@d.test", .ip = "203.0.113.99"};
    assert_int_equal(try_login(f, &home, f->generated).result, LOGIN_RESULT_OK);
    assert_int_equal(guesses(f, &foe, 200), 20 + 1);
    assert_int_equal(try_login(f, &home, f->generated).result, LOGIN_RESULT_LIMITED);
    fake_clock_advance_ms(&f->local->clock, GUESS_LANE_MS);
    assert_int_equal(try_login(f, &home, f->generated).result, LOGIN_RESULT_OK);
    assert_int_equal(guesses(f, &foe, 200), 20 + 1); /* the right one has cleared the pair */
}

/* SCRAM has the same budgets: the first message is answered "limited" too, for every name. */
static void p18_scram_is_limited_like_passwords(void **state)
{
    struct fixture *f = *state;
    static const char *const firsts[] = {"n,,n=ada@d.test,r=clientnonce",
                                         "n,,n=nobody@d.test,r=clientnonce"};
    const struct login_context context = {.protocol = LOGIN_PROTOCOL_IMAP,
                                          .mechanism = LOGIN_MECHANISM_SCRAM_SHA_256,
                                          .remote_ip = vy_cstr(stranger.ip)};
    for (unsigned used = 0; used <= 10; used += 10) {
        assert_int_equal(guesses(f, &stranger, used), used);
        for (size_t i = 0; i < VY_COUNT_OF(firsts); i++) {
            const struct login_request request = {.context = &context,
                                                  .scram_client_first = vy_cstr(firsts[i])};
            struct login_reply reply;
            assert_false(vy_failed(meta_local_call(f->local, METHOD_META_LOGIN, &login_request_desc,
                                                   &request, &login_reply_desc, &reply)));
            assert_int_equal(reply.result,
                             used == 0 ? LOGIN_RESULT_SCRAM_CONTINUE : LOGIN_RESULT_LIMITED);
        }
    }
}

/* APP-6: a right password that may not be used does not spend a known device's budget; a stranger's
 * it does, or it would be told from a wrong one. */
static void app6_a_right_password_of_no_use_spends_no_known_budget(void **state)
{
    struct fixture *f = *state;
    const struct try home = {.name = "bob@d.test", .ip = "203.0.113.5"};
    const struct try foreign = {.name = "bob@d.test", .ip = "198.51.100.7"};
    const struct vy_bytes protocols[] = {VY_LIT("smtp")};
    const struct admin_create_app_password_request request = {.account = VY_LIT("bob@d.test"),
                                                              .label = VY_LIT("printer"),
                                                              .protocols_count = 1,
                                                              .protocols = protocols};
    struct admin_create_app_password_reply made;
    char secret[64];
    assert_false(vy_failed(
        meta_local_admin(f->local, "CredentialService", "CreateAppPassword", &request, &made)));
    (void)snprintf(secret, sizeof(secret), "%.*s", VY_PRI(made.secret));
    assert_int_equal(try_login(f, &home, CHOSEN).result, LOGIN_RESULT_OK);
    for (unsigned i = 0; i < 30; i++) {
        assert_int_equal(try_login(f, &home, secret).result, LOGIN_RESULT_REFUSED);
    }
    assert_int_equal(try_login(f, &home, CHOSEN).result, LOGIN_RESULT_OK);
    assert_int_equal(try_login(f, &foreign, secret).result, LOGIN_RESULT_REFUSED);
    assert_int_equal(guesses(f, &foreign, 30), 9);
}

/* A program with an old password tries for ever; it is one guess. */
static void a_repeated_old_password_locks_nobody_out(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < 500; i++) {
        assert_int_equal(guess(f, &stranger, 1), LOGIN_RESULT_REFUSED);
    }
    assert_int_equal(try_login(f, &stranger, f->generated).result, LOGIN_RESULT_OK);
}

/* auth.plaintext_networks: a webmail speaks for all its users from one address. */
static void trusted_networks_have_no_budget(void **state)
{
    struct fixture *f = *state;
    const struct try trusted = {.name = "ada@d.test", .ip = "127.0.0.1", .is_trusted = true};
    assert_int_equal(guesses(f, &trusted, 200), 200);
    assert_int_equal(try_login(f, &trusted, f->generated).result, LOGIN_RESULT_OK);
}

/* AUTH-2, LOGIN-1: a flood of names from one network is folded, whatever it varies. */
static void auth2_100000_probes_make_a_bounded_log(void **state)
{
    struct fixture *f = *state;
    const uint64_t before = audit_count(f);
    char name[32];
    unsigned refused = 0;
    meta_local_add_alias(f->local, "info@d.test", "ada@d.test");
    for (unsigned i = 0; i < 100000; i++) {
        (void)snprintf(name, sizeof(name), i % 2 == 0 ? "info@d.test" : "probe%u@d.test", i);
        const struct try try = {.name = name, .ip = "198.51.100.7"};
        const enum login_result result = guess(f, &try, i + 1);
        refused += result == LOGIN_RESULT_REFUSED;
        assert_true(result == LOGIN_RESULT_REFUSED || result == LOGIN_RESULT_LIMITED);
        fake_clock_advance_ms(&f->local->clock, i % 10 == 0 ? 1 : 0); /* 10,000 in a second */
    }
    meta_local_run_ms(f->local, 2000);
    assert_in_range(refused, 10, 12);
    /* One alias record, and one of each budget's first refusals; then one a second, with a count.
     */
    assert_in_range(audit_count(f) - before, 8, 60);
}

/* LOGIN-4: what was seen is kept by network, whatever floods the rows of LOGIN-1. */
static void login4_networks_are_remembered_with_first_last_and_counts(void **state)
{
    struct fixture *f = *state;
    const struct meta_view view = {.reader = store_newest(f->local->store),
                                   .arena = &f->local->arena};
    const struct try home = {.name = "ada@d.test", .ip = "203.0.113.5"};
    const struct try neighbour = {.name = "ada@d.test", .ip = "203.0.113.6"};
    uint8_t net[META_NET_BYTES];
    struct login_net_row row;
    bool is_found = false;
    const uint64_t first_ms = f->local->clock.wall_ms;
    assert_int_equal(guess(f, &home, 1), LOGIN_RESULT_REFUSED);
    fake_clock_advance_ms(&f->local->clock, 5000);
    assert_int_equal(try_login(f, &home, f->generated).result, LOGIN_RESULT_OK);
    fake_clock_advance_ms(&f->local->clock, 5000);
    assert_int_equal(guess(f, &neighbour, 1), LOGIN_RESULT_REFUSED);
    login_net_hash(f->local->meta, f->ada, VY_LIT("203.0.113.77"), net);
    assert_false(
        vy_failed(login_net_get(&view, f->ada, vy_bytes(net, sizeof(net)), &row, &is_found)));
    assert_true(is_found);
    assert_int_equal(row.first_ms, first_ms);
    assert_int_equal(row.last_ms, first_ms + 10000);
    assert_int_equal(row.last_ok_ms, first_ms + 5000);
    assert_int_equal(row.failed_count, 2);
    assert_int_equal(row.ok_count, 1);
}

/* A4: what a new leader knows is what was written down. */
static void a4_a_new_leader_counts_on(void **state)
{
    struct fixture *f = *state;
    const struct try trusted = {.name = "bob@d.test", .ip = "192.0.2.9", .is_trusted = true};
    unsigned count = 0;
    char ip[32];
    for (unsigned i = 0; i < 90; i++) {
        (void)snprintf(ip, sizeof(ip), "10.1.%u.1", i);
        const struct try try = {.name = "ada@d.test", .ip = ip};
        assert_int_equal(guess(f, &try, i + 1), LOGIN_RESULT_REFUSED);
        (void)guess(f, &trusted, i + 1);
    }
    meta_local_set_leader(f->local, false);
    meta_local_set_leader(f->local, true);
    for (unsigned i = 0; i < 90; i++) {
        (void)snprintf(ip, sizeof(ip), "10.2.%u.1", i);
        const struct try try = {.name = "ada@d.test", .ip = ip};
        count += guess(f, &try, i + 1) == LOGIN_RESULT_REFUSED;
    }
    assert_int_equal(count, 10);
    const struct try other = {.name = "bob@d.test", .ip = "192.0.2.9"};
    assert_int_equal(guesses(f, &other, 5),
                     5); /* what trusted networks did is not held against it */
    /* An hour later nothing is left of it. */
    fake_clock_advance_ms(&f->local->clock, 2 * 3600 * 1000);
    meta_local_set_leader(f->local, false);
    meta_local_set_leader(f->local, true);
    assert_int_equal(guesses(f, &stranger, 10), 10);
}

/* APP-6: the program at home that still has the main password bans nobody; a stranger who has it
 * pays, as for any wrong one. */
static void app6_the_right_password_that_is_not_enough_costs_no_known_network(void **state)
{
    struct fixture *f = *state;
    const struct try home = {.name = "ada@d.test", .ip = "203.0.113.5"};
    const struct admin_set_sign_in_policy_request policy = {.account = VY_LIT("ada@d.test"),
                                                            .app_passwords_only = true};
    struct admin_account account;
    assert_int_equal(try_login(f, &home, f->generated).result, LOGIN_RESULT_OK);
    assert_false(vy_failed(
        meta_local_admin(f->local, "CredentialService", "SetSignInPolicy", &policy, &account)));
    fake_clock_advance_ms(&f->local->clock, 1); /* so that its record is the newest */
    for (int i = 0; i < 3; i++) {
        assert_int_equal(try_login(f, &home, f->generated).result, LOGIN_RESULT_REFUSED);
    }
    expect_record(f, "ada@d.test", "needapp");
    assert_int_equal(guesses(f, &home, 20), 20); /* the whole budget of the pair is still there */
    assert_int_equal(try_login(f, &stranger, f->generated).result, LOGIN_RESULT_REFUSED);
    assert_int_equal(guesses(f, &stranger, 20), 9); /* of ten a minute from there */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        GUESS_TEST(auth_rate_limited_is_limited_and_says_how_late),
        GUESS_TEST(p18_unknown_names_have_the_same_budgets),
        GUESS_TEST(a2_a_device_that_signed_in_before_is_never_locked_out),
        GUESS_TEST(a_known_network_has_a_budget_of_its_own),
        GUESS_TEST(p18_scram_is_limited_like_passwords),
        GUESS_TEST(app6_a_right_password_of_no_use_spends_no_known_budget),
        GUESS_TEST(a_repeated_old_password_locks_nobody_out),
        GUESS_TEST(trusted_networks_have_no_budget),
        GUESS_TEST(auth2_100000_probes_make_a_bounded_log),
        GUESS_TEST(login4_networks_are_remembered_with_first_last_and_counts),
        GUESS_TEST(app6_the_right_password_that_is_not_enough_costs_no_known_network),
        GUESS_TEST(a4_a_new_leader_counts_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
