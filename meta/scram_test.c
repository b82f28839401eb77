/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/scram.h"

#include "base/assert.h"
#include "base/codec.h"
#include "tests/lib/test.h"

struct fixture {
    struct vy_arena arena;
    struct vy_buf buf;
};

static int set_up(void **state)
{
    static struct fixture f;
    vy_arena_init(&f.arena, 256 * 1024);
    vy_buf_init(&f.buf, 64 * 1024);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    vy_arena_deinit(&f->arena);
    vy_buf_deinit(&f->buf);
    return 0;
}

/* RFC 7677 section 3. */
#define CLIENT_FIRST "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
#define NONCE "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define SERVER_FIRST "r=" NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
#define WITHOUT_PROOF "c=biws,r=" NONCE
#define CLIENT_FINAL WITHOUT_PROOF ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
#define SERVER_FINAL "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="

static void the_exchange_of_rfc_7677_works(void **state)
{
    struct fixture *f = *state;
    struct scram_client_first first;
    struct scram_client_final final;
    struct vy_bytes salt;
    struct vy_bytes message;
    uint8_t stored[32];
    uint8_t server[32];
    uint8_t signature[32];
    assert_false(vy_failed(scram_parse_client_first(&f->arena, VY_LIT(CLIENT_FIRST), &first)));
    assert_true(vy_bytes_equal(first.name, VY_LIT("user")));
    assert_true(vy_bytes_equal(first.gs2_header, VY_LIT("n,,")));
    assert_int_equal(first.binding, SCRAM_BINDING_NONE);
    assert_false(vy_failed(vy_base64_decode(&f->arena, VY_LIT("W22ZaJ0SNY7soEsUEjb6gQ=="), &salt)));
    scram_append_server_first(&f->buf, VY_LIT(NONCE), salt, 4096);
    assert_true(vy_bytes_equal(vy_buf_bytes(&f->buf), VY_LIT(SERVER_FIRST)));
    assert_false(vy_failed(scram_make_keys(VY_LIT("pencil"), salt, 4096, stored, server)));
    assert_false(vy_failed(scram_parse_client_final(&f->arena, VY_LIT(CLIENT_FINAL), &final)));
    assert_true(vy_bytes_equal(final.binding, VY_LIT("n,,")));
    assert_true(vy_bytes_equal(final.nonce, VY_LIT(NONCE)));
    assert_false(vy_failed(scram_auth_message(&f->arena, first.bare, VY_LIT(SERVER_FIRST),
                                              final.without_proof, &message)));
    assert_true(scram_check_proof(vy_bytes(stored, 32), message, final.proof));
    scram_server_signature(vy_bytes(server, 32), message, signature);
    vy_buf_reset(&f->buf);
    scram_append_server_final(&f->buf, signature);
    assert_true(vy_bytes_equal(vy_buf_bytes(&f->buf), VY_LIT(SERVER_FINAL)));
}

static void a7_any_changed_bit_of_a_proof_fails(void **state)
{
    struct fixture *f = *state;
    struct scram_client_final final;
    struct vy_bytes salt;
    struct vy_bytes message;
    uint8_t stored[32];
    uint8_t server[32];
    assert_false(vy_failed(vy_base64_decode(&f->arena, VY_LIT("W22ZaJ0SNY7soEsUEjb6gQ=="), &salt)));
    assert_false(vy_failed(scram_make_keys(VY_LIT("pencil"), salt, 4096, stored, server)));
    assert_false(vy_failed(scram_parse_client_final(&f->arena, VY_LIT(CLIENT_FINAL), &final)));
    assert_false(
        vy_failed(scram_auth_message(&f->arena, VY_LIT("n=user,r=rOprNGfwEbeRWgbNEkqO"),
                                     VY_LIT(SERVER_FIRST), final.without_proof, &message)));
    for (size_t bit = 0; bit < 256; bit++) {
        final.proof[bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_false(scram_check_proof(vy_bytes(stored, 32), message, final.proof));
        final.proof[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    assert_true(scram_check_proof(vy_bytes(stored, 32), message, final.proof));
}

static void names_are_unescaped_and_headers_kept(void **state)
{
    struct fixture *f = *state;
    struct scram_client_first first;
    assert_false(vy_failed(scram_parse_client_first(
        &f->arena, VY_LIT("p=tls-exporter,a=b=3Dc,n=x=2Cy=3Dz@d,r=abc,ext=1"), &first)));
    assert_true(vy_bytes_equal(first.name, VY_LIT("x,y=z@d")));
    assert_true(vy_bytes_equal(first.authzid, VY_LIT("b=c")));
    assert_true(vy_bytes_equal(first.nonce, VY_LIT("abc")));
    assert_true(vy_bytes_equal(first.binding_name, VY_LIT("tls-exporter")));
    assert_true(vy_bytes_equal(first.gs2_header, VY_LIT("p=tls-exporter,a=b=3Dc,")));
    assert_int_equal(first.binding, SCRAM_BINDING_USED);
    assert_false(vy_failed(scram_parse_client_first(&f->arena, VY_LIT("y,,n=u,r=x"), &first)));
    assert_int_equal(first.binding, SCRAM_BINDING_NOT_THERE);
}

static void a7_bad_first_messages_are_refused(void **state)
{
    struct fixture *f = *state;
    static const char *const samples[] = {
        "",
        "n",
        "n,",
        "n,,",
        "x,,n=u,r=a",
        "p=,,n=u,r=a",
        "n,b=x,n=u,r=a",
        "n,a=,n=u,r=a",
        "n,,n=,r=a",
        "n,,n=u,r=",
        "n,,n=u",
        "n,,r=a,n=u",
        "n,,n=u=2,r=a",
        "n,,n=u=2c,r=a",
        "n,,n=u=,r=a",
        "n,,n=u,r=a\x7f",
        "n,,n=u,r=a b",
        "n,,n=\xff,r=a",
    };
    for (size_t i = 0; i < VY_COUNT_OF(samples); i++) {
        struct scram_client_first first;
        assert_int_equal(scram_parse_client_first(&f->arena, vy_cstr(samples[i]), &first).code,
                         VY_CODE_SYNTAX);
    }
    struct scram_client_first first;
    assert_int_equal(scram_parse_client_first(&f->arena, VY_LIT("n,,m=x,n=u,r=a"), &first).code,
                     VY_CODE_UNSUPPORTED);
    assert_int_equal(scram_parse_client_first(&f->arena, VY_LIT("n,,n=u\0,r=a"), &first).code,
                     VY_CODE_SYNTAX);
}

static void a7_bad_last_messages_are_refused(void **state)
{
    struct fixture *f = *state;
    static const char *const samples[] = {
        "",
        "c=biws,r=abc",
        "c=biws,r=abc,p=",
        "c=biws,r=abc,p=dHzb",                                          /* truncated */
        "c=biws,r=abc,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ",   /* no padding */
        "c=biws,r=abc,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=x", /* junk */
        "r=abc,c=biws,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        "c=bi!s,r=abc,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        "c=biws,r=,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
    };
    for (size_t i = 0; i < VY_COUNT_OF(samples); i++) {
        struct scram_client_final final;
        assert_int_equal(scram_parse_client_final(&f->arena, vy_cstr(samples[i]), &final).code,
                         VY_CODE_SYNTAX);
    }
}

static void messages_and_nonces_have_limits(void **state)
{
    struct fixture *f = *state;
    for (size_t len = SCRAM_NONCE_BYTES_MAX - 1; len <= SCRAM_NONCE_BYTES_MAX + 1; len++) {
        struct scram_client_first first;
        vy_buf_reset(&f->buf);
        vy_buf_append_cstr(&f->buf, "n,,n=u,r=");
        for (size_t i = 0; i < len; i++) {
            vy_buf_append_byte(&f->buf, 'x');
        }
        const struct vy_err err =
            scram_parse_client_first(&f->arena, vy_buf_bytes(&f->buf), &first);
        assert_int_equal(err.code, len <= SCRAM_NONCE_BYTES_MAX ? VY_CODE_OK : VY_CODE_SYNTAX);
    }
    for (size_t len = SCRAM_MESSAGE_BYTES_MAX; len <= SCRAM_MESSAGE_BYTES_MAX + 1; len++) {
        struct scram_client_first first;
        vy_buf_reset(&f->buf);
        vy_buf_append_cstr(&f->buf, "n,,n=u,r=a,x=");
        while (vy_buf_len(&f->buf) < len) {
            vy_buf_append_byte(&f->buf, 'x');
        }
        const struct vy_err err =
            scram_parse_client_first(&f->arena, vy_buf_bytes(&f->buf), &first);
        assert_int_equal(err.code, len <= SCRAM_MESSAGE_BYTES_MAX ? VY_CODE_OK : VY_CODE_LIMIT);
    }
}

static void a7_too_few_iterations_are_refused(void **state)
{
    (void)state;
    uint8_t stored[32];
    uint8_t server[32];
    for (uint32_t count = SCRAM_ITERATIONS_MIN - 1; count <= SCRAM_ITERATIONS_MIN + 1; count++) {
        const struct vy_err err =
            scram_make_keys(VY_LIT("pencil"), VY_LIT("salt"), count, stored, server);
        assert_int_equal(err.code, count < SCRAM_ITERATIONS_MIN ? VY_CODE_ARGUMENT : VY_CODE_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_exchange_of_rfc_7677_works, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a7_any_changed_bit_of_a_proof_fails, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_are_unescaped_and_headers_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a7_bad_first_messages_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a7_bad_last_messages_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(messages_and_nonces_have_limits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a7_too_few_iterations_are_refused, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
