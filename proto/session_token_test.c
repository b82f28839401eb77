/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/session_token.h"

#include "base/assert.h"
#include "tests/lib/test.h"

#define NOW_MS 1700000000000U

struct fixture {
    struct cluster_key *key;
    struct vy_arena arena;
    struct vy_buf token;
    struct session_claims claims;
};

static int set_up(void **state)
{
    static struct fixture f;
    static const uint8_t bytes[CLUSTER_KEY_BYTES] = {5};
    assert_false(vy_failed(cluster_key_new(bytes, &f.key)));
    vy_arena_init(&f.arena, 4096);
    vy_buf_init(&f.token, SESSION_TOKEN_BYTES_MAX);
    f.claims = (struct session_claims){.account_id = 77,
                                       .account_epoch = 3,
                                       .credential_id = 2,
                                       .issued_ms = NOW_MS,
                                       .expires_ms = NOW_MS + 1000,
                                       .protocol = LOGIN_PROTOCOL_IMAP,
                                       .nonce = VY_LIT("0123456789abcdef")};
    assert_false(vy_failed(session_token_seal(f.key, &f.claims, &f.token)));
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    cluster_key_free(f->key);
    vy_arena_deinit(&f->arena);
    vy_buf_deinit(&f->token);
    return 0;
}

static void a_token_says_what_was_sealed_in_it(void **state)
{
    struct fixture *f = *state;
    struct session_claims claims;
    assert_false(
        vy_failed(session_token_open(f->key, &f->arena, vy_buf_bytes(&f->token), NOW_MS, &claims)));
    assert_int_equal(claims.account_id, 77);
    assert_int_equal(claims.account_epoch, 3);
    assert_int_equal(claims.credential_id, 2);
    assert_int_equal(claims.protocol, LOGIN_PROTOCOL_IMAP);
    assert_true(vy_bytes_equal(claims.nonce, f->claims.nonce));
}

/* A11: a token names no algorithm and no key that a client could choose; the JWT of another world
 * is none, whatever it claims, and a time of expiry counts only under the seal. */
static void a11_a_token_that_names_its_own_algorithm_or_key_is_none(void **state)
{
    struct fixture *f = *state;
    static const char *const foreign[] = {
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiI3NyIsImV4cCI6OTk5OTk5OTk5OX0.",             /* none */
        "eyJhbGciOiJIUzI1NiIsImtpZCI6Ii4uLy4uL3gifQ.eyJzdWIiOiI3NyJ9.c2lnbmF0dXJl", /* ../../x */
        ".",
        "..",
        "",
    };
    struct session_claims claims;
    for (size_t i = 0; i < VY_COUNT_OF(foreign); i++) {
        assert_int_equal(
            session_token_open(f->key, &f->arena, vy_cstr(foreign[i]), NOW_MS, &claims).code,
            VY_CODE_AUTH);
    }
    VY_CLEANUP(vy_buf_deinit) struct vy_buf later;
    vy_buf_init(&later, SESSION_TOKEN_BYTES_MAX);
    f->claims.expires_ms = UINT64_MAX; /* the far future, under the seal of before */
    assert_false(vy_failed(session_token_seal(f->key, &f->claims, &later)));
    const struct vy_bytes own = vy_buf_bytes(&f->token);
    uint8_t mixed[SESSION_TOKEN_BYTES_MAX];
    const struct vy_bytes far = vy_buf_bytes(&later);
    assert_true(far.len > 32 && own.len > 32);
    memcpy(mixed, far.data, far.len - 32);
    memcpy(mixed + far.len - 32, own.data + own.len - 32, 32);
    assert_int_equal(
        session_token_open(f->key, &f->arena, vy_bytes(mixed, far.len), NOW_MS, &claims).code,
        VY_CODE_AUTH);
}

/* A12: by a comparison in constant time. */
static void p17_no_altered_bit_and_no_other_length_passes(void **state)
{
    struct fixture *f = *state;
    struct session_claims claims;
    const size_t len = vy_buf_len(&f->token);
    uint8_t *data = f->token.data + f->token.start;
    for (size_t bit = 0; bit < 8 * len; bit++) {
        data[bit / 8] ^= (uint8_t)(1U << bit % 8);
        const struct vy_err err =
            session_token_open(f->key, &f->arena, vy_bytes(data, len), NOW_MS, &claims);
        assert_int_equal(err.code, VY_CODE_AUTH);
        data[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    for (size_t cut = 0; cut < len; cut++) {
        const struct vy_err err =
            session_token_open(f->key, &f->arena, vy_bytes(data, cut), NOW_MS, &claims);
        assert_int_equal(err.code, VY_CODE_AUTH);
    }
}

static void p17_a_token_of_another_cluster_is_refused(void **state)
{
    struct fixture *f = *state;
    static const uint8_t bytes[CLUSTER_KEY_BYTES] = {6};
    struct cluster_key *other = NULL;
    struct session_claims claims;
    assert_false(vy_failed(cluster_key_new(bytes, &other)));
    assert_int_equal(
        session_token_open(other, &f->arena, vy_buf_bytes(&f->token), NOW_MS, &claims).code,
        VY_CODE_AUTH);
    cluster_key_free(other);
}

static void r10_a_token_expires_with_tolerance_for_skewed_clocks(void **state)
{
    struct fixture *f = *state;
    struct session_claims claims;
    const uint64_t last_ms = f->claims.expires_ms + SESSION_TOKEN_SKEW_MS;
    const struct vy_bytes token = vy_buf_bytes(&f->token);
    assert_false(vy_failed(session_token_open(f->key, &f->arena, token, last_ms - 1, &claims)));
    assert_false(vy_failed(session_token_open(f->key, &f->arena, token, last_ms, &claims)));
    assert_int_equal(session_token_open(f->key, &f->arena, token, last_ms + 1, &claims).code,
                     VY_CODE_STALE);
}

static void claims_that_make_a_token_too_long_are_not_sealed(void **state)
{
    struct fixture *f = *state;
    static const uint8_t nonce[SESSION_TOKEN_BYTES_MAX] = {1};
    struct vy_buf out;
    vy_buf_init(&out, 4096);
    vy_buf_append_cstr(&out, "before");
    f->claims.nonce = vy_bytes(nonce, sizeof(nonce));
    assert_int_equal(session_token_seal(f->key, &f->claims, &out).code, VY_CODE_LIMIT);
    assert_true(vy_bytes_equal(vy_buf_bytes(&out), VY_LIT("before")));
    vy_buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_token_says_what_was_sealed_in_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a11_a_token_that_names_its_own_algorithm_or_key_is_none,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(p17_no_altered_bit_and_no_other_length_passes, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(p17_a_token_of_another_cluster_is_refused, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(r10_a_token_expires_with_tolerance_for_skewed_clocks,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(claims_that_make_a_token_too_long_are_not_sealed, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
