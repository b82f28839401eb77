/* SPDX-License-Identifier: Apache-2.0 */
/* SCRAM-SHA-256 and -PLUS against real accounts: A7, A8, P18, APP-5. */
#include "meta/login_fixture.h"
#include "meta/meta_private.h"
#include "meta/password.h"
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

/* A whole exchange without channel binding. */
static enum login_result sign_in(struct fixture *f, const char *name, const char *password,
                                 struct login_reply *reply)
{
    struct client client = new_client(LOGIN_MECHANISM_SCRAM_SHA_256);
    scram_start(f, &client, "n,,", name, reply);
    assert_int_equal(reply->result, LOGIN_RESULT_SCRAM_CONTINUE);
    scram_sign(&client, "n,,", password);
    return scram_end(f, &client, reply);
}

/* "clientnonce..." is new each time; what follows it is told about the name. */
static void told_of(struct fixture *f, const char *name, char out[128])
{
    struct client client = new_client(LOGIN_MECHANISM_SCRAM_SHA_256);
    struct login_reply reply;
    scram_start(f, &client, "n,,", name, &reply);
    assert_int_equal(reply.result, LOGIN_RESULT_SCRAM_CONTINUE);
    (void)snprintf(out, 128, "%s", strstr(client.server_first, ",s="));
}

static void without_dashes(const char *text, char out[64])
{
    size_t at = 0;
    for (size_t i = 0; text[i] != '\0'; i++) {
        if (text[i] != '-') {
            out[at++] = text[i];
        }
    }
    out[at] = '\0';
}

static void add_app_password(struct fixture *f, const char *account, const char *protocol,
                             uint64_t expires_ms, char out[64])
{
    const struct vy_bytes protocols[] = {vy_cstr(protocol)};
    const struct admin_create_app_password_request request = {.account = vy_cstr(account),
                                                              .label = VY_LIT("phone"),
                                                              .protocols_count = 1,
                                                              .protocols = protocols,
                                                              .expires_ms = expires_ms};
    struct admin_create_app_password_reply reply;
    assert_false(vy_failed(
        meta_local_admin(f->local, "CredentialService", "CreateAppPassword", &request, &reply)));
    (void)snprintf(out, 64, "%.*s", VY_PRI(reply.secret));
}

static void set_password(struct fixture *f, const char *account, const char *password)
{
    const struct admin_set_password_request request = {.account = vy_cstr(account),
                                                       .password = vy_cstr(password)};
    struct admin_set_password_reply reply;
    assert_false(
        vy_failed(meta_local_admin(f->local, "AccountService", "SetPassword", &request, &reply)));
}

static void scram_signs_in_with_the_shown_and_the_bare_form(void **state)
{
    struct fixture *f = *state;
    char bare[64];
    without_dashes(f->generated, bare);
    const char *const forms[] = {f->generated, bare};
    for (size_t i = 0; i < 2; i++) {
        struct login_reply reply;
        assert_int_equal(sign_in(f, "ada@d.test", forms[i], &reply), LOGIN_RESULT_OK);
        assert_true(vy_bytes_starts_with(reply.server_message, VY_LIT("v=")));
        assert_int_equal(reply.account_id, f->ada);
        assert_true(vy_bytes_equal(newest(f, "ada@d.test").mechanism, VY_LIT("SCRAM-SHA-256")));
    }
}

static void scram_signs_in_with_a_chosen_password(void **state)
{
    struct fixture *f = *state;
    struct login_reply reply;
    assert_int_equal(sign_in(f, "bob@d.test", CHOSEN, &reply), LOGIN_RESULT_OK);
    assert_int_equal(reply.account_id, f->bob);
    assert_int_equal(login(f, "bob@d.test", CHOSEN), LOGIN_RESULT_OK); /* by Argon2id */
    set_password(f, "bob@d.test", "another horse");
    assert_int_equal(sign_in(f, "bob@d.test", CHOSEN, &reply), LOGIN_RESULT_REFUSED);
    expect_record(f, "bob@d.test", "badpassword");
    assert_int_equal(sign_in(f, "bob@d.test", "another horse", &reply), LOGIN_RESULT_OK);
}

/* Clients differ in how they prepare text beyond ASCII. */
static void scram_takes_a_chosen_password_as_typed_and_as_prepared(void **state)
{
    struct fixture *f = *state;
    struct login_reply reply;
    set_password(f, "bob@d.test", "cafe\xcc\x81 au lait");
    assert_int_equal(sign_in(f, "bob@d.test", "cafe\xcc\x81 au lait", &reply), LOGIN_RESULT_OK);
    assert_int_equal(sign_in(f, "bob@d.test", "caf\xc3\xa9 au lait", &reply), LOGIN_RESULT_OK);
    assert_int_equal(sign_in(f, "bob@d.test", "cafe au lait", &reply), LOGIN_RESULT_REFUSED);
}

/* APP-5: the proof chooses, not the name. */
static void app5_scram_signs_in_with_each_secret_of_an_account(void **state)
{
    struct fixture *f = *state;
    static const char *const accounts[] = {"ada@d.test", "bob@d.test"};
    const char *const main_passwords[] = {f->generated, CHOSEN};
    for (size_t k = 0; k < 2; k++) {
        char secrets[3][64];
        char bare[64];
        struct login_reply reply;
        for (size_t i = 0; i < 3; i++) {
            add_app_password(f, accounts[k], "imap", 0, secrets[i]);
        }
        for (size_t i = 0; i < 3; i++) {
            without_dashes(secrets[i], bare);
            assert_int_equal(sign_in(f, accounts[k], secrets[i], &reply), LOGIN_RESULT_OK);
            assert_int_equal(sign_in(f, accounts[k], bare, &reply), LOGIN_RESULT_OK);
            assert_int_equal(sign_in(f, accounts[1 - k], secrets[i], &reply), LOGIN_RESULT_REFUSED);
        }
        assert_int_equal(sign_in(f, accounts[k], main_passwords[k], &reply), LOGIN_RESULT_OK);
        assert_int_equal(sign_in(f, accounts[k], "wrong password", &reply), LOGIN_RESULT_REFUSED);
    }
}

/* The first answer is that of the bare name, whatever the label: it tells nothing (A8). */
static void app5_scram_with_a_label_means_that_app_password(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"bob@d.test", "bob@d.test%phone", "bob@d.test%other"};
    static const char *const nobody[] = {"eve@d.test", "eve@d.test%phone", "eve@d.test%other"};
    char secret[64];
    char told[4][128];
    struct login_reply reply;
    add_app_password(f, "bob@d.test", "imap", 0, secret);
    for (size_t i = 0; i < 3; i++) {
        told_of(f, names[i], told[i]);
        assert_string_equal(told[i], told[0]);
        assert_int_equal(sign_in(f, names[i], secret, &reply),
                         i < 2 ? LOGIN_RESULT_OK : LOGIN_RESULT_REFUSED);
        assert_int_equal(sign_in(f, names[i], CHOSEN, &reply),
                         i < 1 ? LOGIN_RESULT_OK : LOGIN_RESULT_REFUSED);
        told_of(f, nobody[i], told[3]);
        assert_int_equal(strlen(told[3]), strlen(told[0]));
        assert_int_equal(sign_in(f, nobody[i], secret, &reply), LOGIN_RESULT_REFUSED);
    }
}

static void app_passwords_by_scram_keep_their_protocols_and_dates(void **state)
{
    struct fixture *f = *state;
    char secret[64];
    struct login_reply reply;
    add_app_password(f, "bob@d.test", "smtp", 0, secret);
    assert_int_equal(sign_in(f, "bob@d.test", secret, &reply), LOGIN_RESULT_REFUSED);
    assert_int_equal(reply.server_message.len, 0);
    expect_record(f, "bob@d.test", "noproto");
    add_app_password(f, "bob@d.test", "imap", f->local->clock.wall_ms + 1000, secret);
    assert_int_equal(sign_in(f, "bob@d.test", secret, &reply), LOGIN_RESULT_OK);
    fake_clock_advance_ms(&f->local->clock, 1001);
    assert_int_equal(sign_in(f, "bob@d.test", secret, &reply), LOGIN_RESULT_REFUSED);
    expect_record(f, "bob@d.test", "expired");
}

/* ---- rows as no handler writes them ---- */

static void on_proposed(struct meta *meta, void *arg, struct vy_err err,
                        const struct meta_result *result)
{
    (void)meta;
    assert_false(vy_failed(err));
    assert_int_equal(result->outcome, META_OUTCOME_OK);
    *(bool *)arg = true;
}

/* Gives bob an app password of which only a verifier is known. */
static void put_verifier(struct fixture *f, struct vy_bytes sealed)
{
    static const uint8_t mac[32] = {1};
    const struct new_credential row = {
        .kind = CREDENTIAL_KIND_APP, .mac = vy_bytes(mac, sizeof(mac)), .scram_sealed = sealed};
    const struct cmd_app_password_create body = {.account_id = f->bob, .credential = &row};
    const struct meta_command command = {.version = 1, .app_password_create = &body};
    bool is_done = false;
    meta_propose_background(f->local->meta, &command, on_proposed, &is_done);
    meta_local_run_ms(f->local, 1);
    assert_true(is_done);
}

/* The verifier of "a secret" under a salt, sealed by a key. */
static void put_secret(struct fixture *f, const struct seal_key *key, const uint8_t *salt,
                       uint32_t iterations)
{
    uint8_t stored[32];
    uint8_t server[32];
    struct vy_arena arena;
    struct vy_bytes sealed;
    const struct vy_bytes salt_bytes = vy_bytes(salt, PASSWORD_SALT_BYTES);
    const struct scram_pair pair = {.stored_key = vy_bytes(stored, 32),
                                    .server_key = vy_bytes(server, 32)};
    const struct scram_keys keys = {
        .salt = salt_bytes, .iterations = iterations, .pairs = &pair, .pairs_count = 1};
    vy_arena_init(&arena, 4096);
    assert_false(
        vy_failed(scram_make_keys(VY_LIT("a secret"), salt_bytes, iterations, stored, server)));
    assert_false(vy_failed(
        seal_message(key, &f->local->rng.base, &arena, &scram_keys_desc, &keys, &sealed)));
    put_verifier(f, sealed);
    vy_arena_deinit(&arena);
}

static void a_secret_without_a_verifier_is_refused_and_hinders_no_other(void **state)
{
    struct fixture *f = *state;
    struct login_reply reply;
    put_verifier(f, vy_bytes(NULL, 0));
    assert_int_equal(sign_in(f, "bob@d.test", "some secret", &reply), LOGIN_RESULT_REFUSED);
    expect_record(f, "bob@d.test", "badpassword");
    assert_int_equal(sign_in(f, "bob@d.test", CHOSEN, &reply), LOGIN_RESULT_OK);
}

static void a_verifier_works_for_its_salt_and_count_only(void **state)
{
    struct fixture *f = *state;
    struct login_reply reply;
    struct seal_key key;
    uint8_t of_bob[PASSWORD_SALT_BYTES];
    uint8_t of_ada[PASSWORD_SALT_BYTES];
    seal_key_of_cluster(f->local->key, "scram", &key);
    password_scram_salt(f->local->key, VY_LIT("bob@d.test"), of_bob);
    password_scram_salt(f->local->key, VY_LIT("ada@d.test"), of_ada);
    put_secret(f, &key, of_ada, 4096); /* moved from another account */
    put_secret(f, &key, of_bob, 4097);
    assert_int_equal(sign_in(f, "bob@d.test", "a secret", &reply), LOGIN_RESULT_REFUSED);
    expect_record(f, "bob@d.test", "badpassword");
    put_secret(f, &key, of_bob, 4096);
    assert_int_equal(sign_in(f, "bob@d.test", "a secret", &reply), LOGIN_RESULT_OK);
}

static void a_verifier_of_another_cluster_is_damage_not_a_wrong_password(void **state)
{
    struct fixture *f = *state;
    struct client client = new_client(LOGIN_MECHANISM_SCRAM_SHA_256);
    struct login_reply reply;
    const struct seal_key other = {.bytes = {1}};
    uint8_t salt[PASSWORD_SALT_BYTES];
    password_scram_salt(f->local->key, VY_LIT("bob@d.test"), salt);
    put_secret(f, &other, salt, 4096);
    scram_start(f, &client, "n,,", "bob@d.test", &reply);
    scram_sign(&client, "n,,", CHOSEN);
    const struct login_request request = {.context = &client.context,
                                          .scram_client_final = vy_cstr(client.final),
                                          .challenge =
                                              vy_bytes(client.challenge, client.challenge_len)};
    assert_int_equal(meta_local_call(f->local, METHOD_META_LOGIN, &login_request_desc, &request,
                                     &login_reply_desc, &reply)
                         .code,
                     VY_CODE_CORRUPT);
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
    struct login_reply reply;
    assert_int_equal(sign_in(f, "ada@d.test", "wrong password", &reply), LOGIN_RESULT_REFUSED);
    expect_record(f, "ada@d.test", "badpassword");
    assert_int_equal(sign_in(f, "bob@d.test", "wrong password", &reply), LOGIN_RESULT_REFUSED);
    expect_record(f, "bob@d.test", "badpassword");
    assert_int_equal(sign_in(f, "bob@d.test", f->generated, &reply), LOGIN_RESULT_REFUSED);
}

static void a8_scram_for_unknown_names_has_a_plausible_and_steady_salt(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"nobody@d.test", "x", "info@d.test"};
    char known[128];
    struct login_reply reply;
    meta_local_add_alias(f->local, "info@d.test", "ada@d.test");
    told_of(f, "ada@d.test", known);
    for (size_t i = 0; i < VY_COUNT_OF(names); i++) {
        char told[128];
        char again[128];
        told_of(f, names[i], told);
        told_of(f, names[i], again);
        assert_string_equal(told, again);
        assert_int_equal(strlen(told), strlen(known));
        assert_string_not_equal(told, known);
        assert_string_equal(strstr(told, ",i="), strstr(known, ",i="));
        assert_int_equal(sign_in(f, names[i], CHOSEN, &reply), LOGIN_RESULT_REFUSED);
        expect_record(f, "-", "baduser");
    }
}

/* Else the first answer would tell when an account is made, and that its password changed. */
static void a8_what_scram_tells_of_a_name_never_changes(void **state)
{
    struct fixture *f = *state;
    char before[128];
    char after[128];
    char secret[64];
    struct login_reply reply;
    told_of(f, "eve@d.test", before);
    (void)meta_local_add_account(f->local, "eve@d.test", CHOSEN, NULL, 0);
    told_of(f, "eve@d.test", after);
    assert_string_equal(before, after);
    set_password(f, "eve@d.test", "another horse");
    add_app_password(f, "eve@d.test", "imap", 0, secret);
    told_of(f, "EVE@D.test", after);
    assert_string_equal(before, after);
    assert_int_equal(sign_in(f, "EVE@D.test", "another horse", &reply), LOGIN_RESULT_OK);
    assert_int_equal(sign_in(f, "eve@d.test", secret, &reply), LOGIN_RESULT_OK);
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
    client.binding = VY_LIT("certificate hash");
    scram_start(f, &client, "p=tls-server-end-point,,", "bob@d.test", &reply);
    scram_sign(&client, "p=tls-server-end-point,,certificate hash", CHOSEN);
    assert_int_equal(scram_end(f, &client, &reply), LOGIN_RESULT_OK);
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
        TEST(scram_signs_in_with_a_chosen_password),
        TEST(scram_takes_a_chosen_password_as_typed_and_as_prepared),
        TEST(app5_scram_signs_in_with_each_secret_of_an_account),
        TEST(app5_scram_with_a_label_means_that_app_password),
        TEST(app_passwords_by_scram_keep_their_protocols_and_dates),
        TEST(a_secret_without_a_verifier_is_refused_and_hinders_no_other),
        TEST(a_verifier_works_for_its_salt_and_count_only),
        TEST(a_verifier_of_another_cluster_is_damage_not_a_wrong_password),
        TEST(p18_a_scram_nonce_works_once_in_the_cluster),
        TEST(scram_with_a_wrong_password_is_badpassword),
        TEST(a8_scram_for_unknown_names_has_a_plausible_and_steady_salt),
        TEST(a8_what_scram_tells_of_a_name_never_changes),
        TEST(a7_channel_binding_must_be_what_the_frontend_saw),
        TEST(a7_a_downgrade_of_channel_binding_is_refused),
        TEST(a7_a_nonce_that_does_not_extend_is_refused),
        TEST(a7_broken_first_messages_are_recorded_and_refused),
        TEST(auth3_scram_for_another_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
