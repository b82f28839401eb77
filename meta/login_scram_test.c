/* SPDX-License-Identifier: Apache-2.0 */
/* SCRAM-SHA-256 and -PLUS against real accounts: A7, A8, P18. */
#include "meta/login_fixture.h"
#include "meta/scram.h"

#include "base/assert.h"
#include "base/codec.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdio.h>

struct client {
    struct login_context context;
    char first[256];
    uint8_t challenge[2048];
    size_t challenge_len;
    char server_first[1024];
    char final[1024];
    struct vy_bytes binding;
};

static void scram_start(struct fixture *f, struct client *client, const char *gs2, const char *name,
                        struct login_reply *reply)
{
    (void)snprintf(client->first, sizeof(client->first), "%sn=%s,r=clientnonce", gs2, name);
    const struct login_request request = {.context = &client->context,
                                          .scram_client_first = vy_cstr(client->first),
                                          .channel_binding = client->binding};
    assert_false(vy_failed(meta_local_call(f->local, METHOD_META_LOGIN, &login_request_desc,
                                           &request, &login_reply_desc, reply)));
    if (reply->result == LOGIN_RESULT_SCRAM_CONTINUE) {
        memcpy(client->challenge, reply->challenge.data, reply->challenge.len);
        client->challenge_len = reply->challenge.len;
        (void)snprintf(client->server_first, sizeof(client->server_first), "%.*s",
                       VY_PRI(reply->server_message));
    }
}

static void hmac(const void *key, size_t key_len, const char *text, uint8_t out[32])
{
    unsigned len = 0;
    assert_non_null(
        HMAC(EVP_sha256(), key, (int)key_len, (const uint8_t *)text, strlen(text), out, &len));
}

/* The client's second message for a password, as RFC 5802 has it. */
static void scram_sign(struct client *client, const char *cbind, const char *password)
{
    struct vy_arena arena;
    struct vy_buf buf;
    struct vy_bytes salt;
    struct vy_bytes rest = vy_cstr(client->server_first);
    const struct vy_bytes nonce = vy_bytes_from(vy_bytes_cut(&rest, ','), 2);
    const struct vy_bytes salt_text = vy_bytes_from(vy_bytes_cut(&rest, ','), 2);
    uint32_t iterations = 0;
    uint8_t salted[32];
    uint8_t client_key[32];
    uint8_t stored[32];
    uint8_t signature[32];
    char without[512];
    char message[2048];
    vy_arena_init(&arena, 4096);
    vy_buf_init(&buf, 4096);
    assert_true(vy_parse_u32(vy_bytes_from(rest, 2), &iterations));
    assert_false(vy_failed(vy_base64_decode(&arena, salt_text, &salt)));
    assert_int_equal(PKCS5_PBKDF2_HMAC(password, (int)strlen(password), salt.data, (int)salt.len,
                                       (int)iterations, EVP_sha256(), 32, salted),
                     1);
    hmac(salted, 32, "Client Key", client_key);
    SHA256(client_key, 32, stored);
    vy_base64_encode(&buf, vy_cstr(cbind));
    (void)snprintf(without, sizeof(without), "c=%.*s,r=%.*s", VY_PRI(vy_buf_bytes(&buf)),
                   VY_PRI(nonce));
    (void)snprintf(message, sizeof(message), "%s,%s,%s", strstr(client->first, "n="),
                   client->server_first, without);
    hmac(stored, 32, message, signature);
    for (size_t i = 0; i < 32; i++) {
        client_key[i] ^= signature[i];
    }
    vy_buf_reset(&buf);
    vy_base64_encode(&buf, vy_bytes(client_key, 32));
    (void)snprintf(client->final, sizeof(client->final), "%s,p=%.*s", without,
                   VY_PRI(vy_buf_bytes(&buf)));
    vy_buf_deinit(&buf);
    vy_arena_deinit(&arena);
}

static enum login_result scram_end(struct fixture *f, struct client *client,
                                   struct login_reply *reply)
{
    fake_clock_advance_ms(&f->local->clock, 1); /* so that the newest record is this one's */
    const struct login_request request = {.context = &client->context,
                                          .scram_client_final = vy_cstr(client->final),
                                          .challenge =
                                              vy_bytes(client->challenge, client->challenge_len),
                                          .channel_binding = client->binding};
    assert_false(vy_failed(meta_local_call(f->local, METHOD_META_LOGIN, &login_request_desc,
                                           &request, &login_reply_desc, reply)));
    return reply->result;
}

static struct client new_client(enum login_mechanism mechanism)
{
    return (struct client){
        .context = {.protocol = LOGIN_PROTOCOL_IMAP, .mechanism = mechanism}
    };
}

static void scram_signs_in_with_the_shown_and_the_bare_form(void **state)
{
    struct fixture *f = *state;
    char bare[64] = {0};
    size_t at = 0;
    for (size_t i = 0; f->generated[i] != '\0'; i++) {
        if (f->generated[i] != '-') {
            bare[at++] = f->generated[i];
        }
    }
    const char *const forms[] = {f->generated, bare};
    for (size_t i = 0; i < 2; i++) {
        struct client client = new_client(LOGIN_MECHANISM_SCRAM_SHA_256);
        struct login_reply reply;
        scram_start(f, &client, "n,,", "ada@d.test", &reply);
        assert_int_equal(reply.result, LOGIN_RESULT_SCRAM_CONTINUE);
        scram_sign(&client, "n,,", forms[i]);
        assert_int_equal(scram_end(f, &client, &reply), LOGIN_RESULT_OK);
        assert_true(vy_bytes_starts_with(reply.server_message, VY_LIT("v=")));
        assert_int_equal(reply.account_id, f->ada);
        assert_true(vy_bytes_equal(newest(f, "ada@d.test").mechanism, VY_LIT("SCRAM-SHA-256")));
    }
}

static void p18_a_scram_nonce_works_once_in_the_cluster(void **state)
{
    struct fixture *f = *state;
    struct client client = new_client(LOGIN_MECHANISM_SCRAM_SHA_256);
    struct login_reply reply;
    scram_start(f, &client, "n,,", "ada@d.test", &reply);
    scram_sign(&client, "n,,", f->generated);
    assert_int_equal(scram_end(f, &client, &reply), LOGIN_RESULT_OK);
    assert_int_equal(scram_end(f, &client, &reply), LOGIN_RESULT_REFUSED);
    expect_record(f, "ada@d.test", "badprotocol");
}

static void scram_with_a_wrong_password_is_badpassword(void **state)
{
    struct fixture *f = *state;
    struct client client = new_client(LOGIN_MECHANISM_SCRAM_SHA_256);
    struct login_reply reply;
    scram_start(f, &client, "n,,", "ada@d.test", &reply);
    scram_sign(&client, "n,,", "wrong password");
    assert_int_equal(scram_end(f, &client, &reply), LOGIN_RESULT_REFUSED);
    expect_record(f, "ada@d.test", "badpassword");
}

static void a8_scram_for_unknown_names_has_a_plausible_and_steady_salt(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"nobody@d.test", "x", "info@d.test", "bob@d.test"};
    char known[1024];
    struct client client = new_client(LOGIN_MECHANISM_SCRAM_SHA_256);
    struct login_reply reply;
    meta_local_add_alias(f->local, "info@d.test", "ada@d.test");
    scram_start(f, &client, "n,,", "ada@d.test", &reply);
    (void)snprintf(known, sizeof(known), "%s", client.server_first);
    for (size_t i = 0; i < VY_COUNT_OF(names); i++) {
        char salt[64];
        scram_start(f, &client, "n,,", names[i], &reply);
        assert_int_equal(reply.result, LOGIN_RESULT_SCRAM_CONTINUE);
        assert_int_equal(strlen(client.server_first), strlen(known));
        assert_string_equal(strstr(client.server_first, ",i="), strstr(known, ",i="));
        (void)snprintf(salt, sizeof(salt), "%.29s", strstr(client.server_first, ",s="));
        scram_start(f, &client, "n,,", names[i], &reply);
        assert_int_equal(strncmp(strstr(client.server_first, ",s="), salt, strlen(salt)), 0);
        scram_sign(&client, "n,,", CHOSEN);
        assert_int_equal(scram_end(f, &client, &reply), LOGIN_RESULT_REFUSED);
        const bool is_known = i == 3; /* bob has no SCRAM verifier */
        expect_record(f, is_known ? "bob@d.test" : "-", is_known ? "badpassword" : "baduser");
    }
}

static void a7_channel_binding_must_be_what_the_frontend_saw(void **state)
{
    struct fixture *f = *state;
    struct client client = new_client(LOGIN_MECHANISM_SCRAM_SHA_256_PLUS);
    struct login_reply reply;
    client.binding = VY_LIT("exported");
    scram_start(f, &client, "p=tls-exporter,,", "ada@d.test", &reply);
    assert_int_equal(reply.result, LOGIN_RESULT_SCRAM_CONTINUE);
    scram_sign(&client, "p=tls-exporter,,exported", f->generated);
    assert_int_equal(scram_end(f, &client, &reply), LOGIN_RESULT_OK);
    scram_start(f, &client, "p=tls-exporter,,", "ada@d.test", &reply);
    scram_sign(&client, "p=tls-exporter,,other___", f->generated);
    assert_int_equal(scram_end(f, &client, &reply), LOGIN_RESULT_REFUSED);
    expect_record(f, "ada@d.test", "badchanbind");
    client.binding = vy_bytes(NULL, 0); /* the frontend has none: never right */
    scram_start(f, &client, "p=tls-exporter,,", "ada@d.test", &reply);
    scram_sign(&client, "p=tls-exporter,,", f->generated);
    assert_int_equal(scram_end(f, &client, &reply), LOGIN_RESULT_REFUSED);
}

static void a7_a_downgrade_of_channel_binding_is_refused(void **state)
{
    struct fixture *f = *state;
    struct client client = new_client(LOGIN_MECHANISM_SCRAM_SHA_256);
    struct login_reply reply;
    scram_start(f, &client, "y,,", "ada@d.test", &reply); /* -PLUS was not offered */
    assert_int_equal(reply.result, LOGIN_RESULT_SCRAM_CONTINUE);
    client.binding = VY_LIT("exported"); /* it was, and somebody hid it */
    scram_start(f, &client, "y,,", "ada@d.test", &reply);
    assert_int_equal(reply.result, LOGIN_RESULT_REFUSED);
    expect_record(f, "ada@d.test", "badchanbind");
    client = new_client(LOGIN_MECHANISM_SCRAM_SHA_256_PLUS);
    scram_start(f, &client, "n,,", "ada@d.test", &reply);
    assert_int_equal(reply.result, LOGIN_RESULT_REFUSED);
}

static void a7_a_nonce_that_does_not_extend_is_refused(void **state)
{
    struct fixture *f = *state;
    struct client client = new_client(LOGIN_MECHANISM_SCRAM_SHA_256);
    struct login_reply reply;
    scram_start(f, &client, "n,,", "ada@d.test", &reply);
    client.server_first[4] = 'X';
    scram_sign(&client, "n,,", f->generated);
    assert_int_equal(scram_end(f, &client, &reply), LOGIN_RESULT_REFUSED);
    expect_record(f, "ada@d.test", "badprotocol");
}

static void a7_broken_first_messages_are_recorded_and_refused(void **state)
{
    struct fixture *f = *state;
    struct client client = new_client(LOGIN_MECHANISM_SCRAM_SHA_256);
    struct login_reply reply;
    client.context.typed_name = VY_LIT("ada@d.test");
    scram_start(f, &client, "z,,", "ada@d.test", &reply);
    assert_int_equal(reply.result, LOGIN_RESULT_REFUSED);
    expect_record(f, "-", "badprotocol");
}

static void auth3_scram_for_another_is_refused(void **state)
{
    struct fixture *f = *state;
    struct client client = new_client(LOGIN_MECHANISM_SCRAM_SHA_256);
    struct login_reply reply;
    scram_start(f, &client, "n,a=bob@d.test,", "ada@d.test", &reply);
    assert_int_equal(reply.result, LOGIN_RESULT_REFUSED);
    expect_record(f, "ada@d.test", "badauthzid");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(scram_signs_in_with_the_shown_and_the_bare_form),
        TEST(p18_a_scram_nonce_works_once_in_the_cluster),
        TEST(scram_with_a_wrong_password_is_badpassword),
        TEST(a8_scram_for_unknown_names_has_a_plausible_and_steady_salt),
        TEST(a7_channel_binding_must_be_what_the_frontend_saw),
        TEST(a7_a_downgrade_of_channel_binding_is_refused),
        TEST(a7_a_nonce_that_does_not_extend_is_refused),
        TEST(a7_broken_first_messages_are_recorded_and_refused),
        TEST(auth3_scram_for_another_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
