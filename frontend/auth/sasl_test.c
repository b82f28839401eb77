/* SPDX-License-Identifier: Apache-2.0 */
#include "frontend/auth/sasl.h"

#include "base/codec.h"
#include "proto/password_prep.h"
#include "tests/lib/fault.h"
#include "tests/lib/test.h"
#include <stdio.h>
#include <stdlib.h>

static const uint8_t exporter[32] = {1, 2, 3};
static const uint8_t end_point[32] = {9, 8, 7};

static struct sasl_peer secured_peer(void)
{
    return (struct sasl_peer){
        .protocol = LOGIN_PROTOCOL_IMAP,
        .remote_ip = VY_LIT("192.0.2.1"),
        .is_secured = true,
        .tls = {.info = VY_LIT("TLSv1.3"),
                .exporter = vy_bytes(exporter, sizeof(exporter)),
                .end_point = vy_bytes(end_point, sizeof(end_point))},
    };
}

static struct sasl_exchange *new_exchange(const struct sasl_peer *peer)
{
    struct sasl_exchange *x = NULL;
    assert_false(vy_failed(sasl_new(peer, &x)));
    return x;
}

/* Base64 in memory that lives until the next call. */
static struct vy_bytes base64(struct vy_bytes plain)
{
    static uint8_t text[32768];
    struct vy_buf out;
    vy_buf_init(&out, sizeof(text));
    vy_base64_encode(&out, plain);
    const struct vy_bytes encoded = vy_buf_bytes(&out);
    memcpy(text, encoded.data, encoded.len);
    const size_t len = encoded.len;
    vy_buf_deinit(&out);
    return vy_bytes(text, len);
}

static struct sasl_step answer(struct sasl_exchange *x, const struct login_reply *reply)
{
    struct vy_buf out;
    vy_buf_init(&out, 65536);
    assert_false(vy_failed(vy_pb_encode(&login_reply_desc, reply, &out)));
    const struct sasl_step step = sasl_answered(x, vy_ok(), vy_buf_bytes(&out), 0);
    vy_buf_deinit(&out);
    return step;
}

static struct sasl_step start(struct sasl_exchange *x, const char *mechanism, struct vy_bytes plain)
{
    const struct vy_bytes initial = base64(plain);
    return sasl_start(x, vy_cstr(mechanism), &initial);
}

static void assert_bytes(struct vy_bytes is, const char *wanted)
{
    assert_int_equal(is.len, strlen(wanted));
    assert_memory_equal(is.data, wanted, is.len);
}

static void assert_hash_of(struct vy_bytes hash, const char *password)
{
    uint8_t wanted[32];
    password_hash(vy_cstr(password), wanted);
    assert_int_equal(hash.len, sizeof(wanted));
    assert_memory_equal(hash.data, wanted, sizeof(wanted));
}

static const struct login_reply accepted = {.result = LOGIN_RESULT_OK,
                                            .account_id = 5,
                                            .account_epoch = 6,
                                            .session_token = VY_LIT("token"),
                                            .account_name = VY_LIT("dev@dev.test"),
                                            .expires_ms = 7};
static const struct login_reply refused = {.result = LOGIN_RESULT_REFUSED};

/* ---- what is offered ---- */

static void mechanisms_depend_on_what_protects_the_connection(void **state)
{
    (void)state;
    static const struct {
        bool is_secured;
        bool is_trusted;
        bool has_binding;
        const char *offered;
    } rows[] = {
        {false, false, false, ""                                            },
        {false, true,  false, "SCRAM-SHA-256 PLAIN LOGIN"                   },
        {true,  false, false, "SCRAM-SHA-256 PLAIN LOGIN"                   },
        {true,  false, true,  "SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN"},
        {false, true,  true,  "SCRAM-SHA-256 PLAIN LOGIN"                   },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char out[SASL_MECHANISMS_BYTES_MAX];
        struct sasl_peer peer = {.is_secured = rows[i].is_secured,
                                 .is_trusted = rows[i].is_trusted};
        if (rows[i].has_binding) {
            peer.tls.exporter = vy_bytes(exporter, sizeof(exporter));
        }
        assert_bytes(sasl_mechanisms(&peer, out), rows[i].offered);
    }
}

static void password_mechanisms_need_protection_and_unknown_ones_are_said_so(void **state)
{
    (void)state;
    static const struct {
        const char *mechanism;
        bool is_secured;
        enum sasl_result result;
    } rows[] = {
        {"PLAIN",              false, SASL_RESULT_PRIVACY     },
        {"login",              false, SASL_RESULT_PRIVACY     },
        {"SCRAM-SHA-256",      false, SASL_RESULT_PRIVACY     },
        {"CRAM-MD5",           false, SASL_RESULT_NO_MECHANISM},
        {"CRAM-MD5",           true,  SASL_RESULT_NO_MECHANISM},
        {"",                   true,  SASL_RESULT_NO_MECHANISM},
        {"SCRAM-SHA-256-PLUS", true,  SASL_RESULT_NO_MECHANISM}, /* no binding */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct sasl_peer peer = {.is_secured = rows[i].is_secured};
        struct sasl_exchange *x = new_exchange(&peer);
        const struct sasl_step step = sasl_start(x, vy_cstr(rows[i].mechanism), NULL);
        assert_int_equal(step.kind, SASL_STEP_DONE);
        assert_int_equal(step.done.result, rows[i].result);
        sasl_free(x);
    }
    const struct sasl_peer stranger = {.is_secured = false};
    struct sasl_exchange *x = new_exchange(&stranger);
    const struct sasl_step step = sasl_start_login(x, VY_LIT("dev@dev.test"), VY_LIT("secret"));
    assert_int_equal(step.done.result, SASL_RESULT_PRIVACY);
    sasl_free(x);
}

/* ---- PLAIN and LOGIN ---- */

static void plain_asks_meta_and_hands_out_what_it_says(void **state)
{
    (void)state;
    const struct sasl_peer peer = secured_peer();
    struct sasl_exchange *x = new_exchange(&peer);
    struct sasl_step step = start(x, "plain", VY_LIT("\0dev@dev.test\0secret"));
    assert_int_equal(step.kind, SASL_STEP_CALL);
    assert_int_equal(step.request->context->protocol, LOGIN_PROTOCOL_IMAP);
    assert_int_equal(step.request->context->mechanism, LOGIN_MECHANISM_PLAIN);
    assert_bytes(step.request->context->typed_name, "dev@dev.test");
    assert_bytes(step.request->context->remote_ip, "192.0.2.1");
    assert_int_equal(step.request->context->trace_id.len, 16);
    assert_hash_of(step.request->password_hash, "secret");
    step = answer(x, &accepted);
    assert_int_equal(step.kind, SASL_STEP_DONE);
    assert_int_equal(step.done.result, SASL_RESULT_OK);
    assert_int_equal(step.done.account_id, 5);
    assert_int_equal(step.done.account_epoch, 6);
    assert_int_equal(step.done.expires_ms, 7);
    assert_bytes(step.done.session_token, "token");
    assert_bytes(step.done.account_name, "dev@dev.test");
    assert_bytes(step.done.typed_name, "dev@dev.test");
    sasl_free(x);
}

static void login_asks_for_name_and_password(void **state)
{
    (void)state;
    const struct sasl_peer peer = secured_peer();
    struct sasl_exchange *x = new_exchange(&peer);
    struct sasl_step step = sasl_start(x, VY_LIT("LOGIN"), NULL);
    assert_bytes(step.challenge, "VXNlcm5hbWU6");
    step = sasl_feed(x, base64(VY_LIT("dev@dev.test")));
    assert_bytes(step.challenge, "UGFzc3dvcmQ6");
    step = sasl_feed(x, base64(VY_LIT("secret")));
    assert_int_equal(step.kind, SASL_STEP_CALL);
    assert_int_equal(step.request->context->mechanism, LOGIN_MECHANISM_LOGIN);
    assert_hash_of(step.request->password_hash, "secret");
    assert_int_equal(answer(x, &refused).done.result, SASL_RESULT_REFUSED);
    sasl_free(x);
}

static void the_login_command_needs_no_base64(void **state)
{
    (void)state;
    const struct sasl_peer peer = secured_peer();
    struct sasl_exchange *x = new_exchange(&peer);
    const struct sasl_step step = sasl_start_login(x, VY_LIT("dev@dev.test"), VY_LIT("secret"));
    assert_int_equal(step.kind, SASL_STEP_CALL);
    assert_int_equal(step.request->context->mechanism, LOGIN_MECHANISM_LOGIN);
    assert_hash_of(step.request->password_hash, "secret");
    sasl_free(x);
}

static void results_of_meta_become_rows_of_the_table(void **state)
{
    (void)state;
    static const struct {
        struct login_reply reply;
        enum sasl_result result;
    } rows[] = {
        {{.result = LOGIN_RESULT_OK},                              SASL_RESULT_OK         },
        {{.result = LOGIN_RESULT_REFUSED},                         SASL_RESULT_REFUSED    },
        {{.result = LOGIN_RESULT_DISABLED, .text = VY_LIT("why")}, SASL_RESULT_DISABLED   },
        {{.result = LOGIN_RESULT_NEED_APP},                        SASL_RESULT_NEED_APP   },
        {{.result = LOGIN_RESULT_LIMITED, .retry_after_ms = 9},    SASL_RESULT_LIMITED    },
        {{.result = LOGIN_RESULT_NONE},                            SASL_RESULT_UNAVAILABLE},
        {{.result = LOGIN_RESULT_SCRAM_CONTINUE},                  SASL_RESULT_UNAVAILABLE},
        {{.result = (enum login_result)99},                        SASL_RESULT_UNAVAILABLE},
    };
    const struct sasl_peer peer = secured_peer();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sasl_exchange *x = new_exchange(&peer);
        (void)start(x, "PLAIN", VY_LIT("\0dev@dev.test\0secret"));
        const struct sasl_step step = answer(x, &rows[i].reply);
        assert_int_equal(step.kind, SASL_STEP_DONE);
        assert_int_equal(step.done.result, rows[i].result);
        assert_bytes(step.done.text, rows[i].result == SASL_RESULT_DISABLED ? "why" : "");
        assert_int_equal(step.done.retry_after_ms, rows[i].reply.retry_after_ms);
        sasl_free(x);
    }
}

static void a_failed_call_is_not_a_bad_password(void **state)
{
    (void)state;
    const struct sasl_peer peer = secured_peer();
    static const enum vy_code codes[] = {VY_CODE_UNAVAILABLE, VY_CODE_UNKNOWN, VY_CODE_INTERNAL,
                                         VY_CODE_NOT_LEADER, VY_CODE_AUTH};
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        struct sasl_exchange *x = new_exchange(&peer);
        (void)start(x, "PLAIN", VY_LIT("\0dev@dev.test\0secret"));
        const struct sasl_step step =
            sasl_answered(x, vy_error(codes[i], "test"), vy_bytes(NULL, 0), 50);
        assert_int_equal(step.done.result, SASL_RESULT_UNAVAILABLE);
        assert_int_equal(step.done.retry_after_ms, 50);
        sasl_free(x);
    }
    struct sasl_exchange *x = new_exchange(&peer);
    (void)start(x, "PLAIN", VY_LIT("\0dev@dev.test\0secret"));
    assert_int_equal(sasl_answered(x, vy_ok(), VY_LIT("\xff\xff\xff"), 0).done.result,
                     SASL_RESULT_UNAVAILABLE);
    sasl_free(x);
}

static void a_chosen_password_is_hashed_between_two_calls(void **state)
{
    (void)state;
    static const struct login_reply need = {.result = LOGIN_RESULT_NEED_ARGON2,
                                            .salt = VY_LIT("0123456789abcdef"),
                                            .argon2_memory_kib = 19456,
                                            .argon2_passes = 2,
                                            .argon2_lanes = 1,
                                            .challenge = VY_LIT("opaque")};
    const struct sasl_peer peer = secured_peer();
    struct sasl_exchange *x = new_exchange(&peer);
    (void)start(x, "PLAIN", VY_LIT("\0dev@dev.test\0secret"));
    struct sasl_step step = answer(x, &need);
    assert_int_equal(step.kind, SASL_STEP_HASH);
    assert_bytes(step.password, "secret");
    assert_bytes(step.salt, "0123456789abcdef");
    assert_int_equal(step.argon2_memory_kib, 19456);
    step = sasl_hashed(x, vy_ok(), VY_LIT("tag"));
    assert_int_equal(step.kind, SASL_STEP_CALL);
    assert_bytes(step.request->argon2_tag, "tag");
    assert_bytes(step.request->challenge, "opaque");
    step = answer(x, &need); /* a second time it makes no sense */
    assert_int_equal(step.done.result, SASL_RESULT_UNAVAILABLE);
    sasl_free(x);
    x = new_exchange(&peer);
    (void)start(x, "PLAIN", VY_LIT("\0dev@dev.test\0secret"));
    (void)answer(x, &need);
    step = sasl_hashed(x, vy_error(VY_CODE_BUSY, "pool is full"), vy_bytes(NULL, 0));
    assert_int_equal(step.done.result, SASL_RESULT_UNAVAILABLE);
    sasl_free(x);
}

static void absurd_hash_costs_are_not_carried_out(void **state)
{
    (void)state;
    static uint8_t long_salt[65];
    /* clang-format off */
    const struct login_reply rows[] = {
        {.argon2_memory_kib = 1024 * 1024 + 1, .argon2_passes = 1, .argon2_lanes = 1},
        {.argon2_memory_kib = 64, .argon2_passes = 65, .argon2_lanes = 1},
        {.argon2_memory_kib = 64, .argon2_passes = 0, .argon2_lanes = 1},
        {.argon2_memory_kib = 64, .argon2_passes = 1, .argon2_lanes = 0},
        {.argon2_memory_kib = 64, .argon2_passes = 1, .argon2_lanes = 65},
        {.argon2_memory_kib = 64,
         .argon2_passes = 1,
         .argon2_lanes = 1,
         .salt = vy_bytes(long_salt, sizeof(long_salt))},
    };
    /* clang-format on */
    const struct sasl_peer peer = secured_peer();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct login_reply reply = rows[i];
        reply.result = LOGIN_RESULT_NEED_ARGON2;
        struct sasl_exchange *x = new_exchange(&peer);
        (void)start(x, "PLAIN", VY_LIT("\0dev@dev.test\0secret"));
        assert_int_equal(answer(x, &reply).done.result, SASL_RESULT_UNAVAILABLE);
        sasl_free(x);
    }
}

/* AUTH-3. It goes to meta all the same, with a password that cannot be right. */
static void an_authzid_that_differs_is_refused_whatever_meta_says(void **state)
{
    (void)state;
    const struct sasl_peer peer = secured_peer();
    struct sasl_exchange *x = new_exchange(&peer);
    struct sasl_step step = start(x, "PLAIN", VY_LIT("two@dev.test\0dev@dev.test\0secret"));
    uint8_t right[32];
    password_hash(VY_LIT("secret"), right);
    assert_int_equal(step.kind, SASL_STEP_CALL);
    assert_bytes(step.request->context->authzid, "two@dev.test");
    assert_memory_not_equal(step.request->password_hash.data, right, sizeof(right));
    assert_int_equal(answer(x, &accepted).done.result, SASL_RESULT_REFUSED);
    sasl_free(x);
    x = new_exchange(&peer);
    step = start(x, "PLAIN", VY_LIT("dev@dev.test\0dev@dev.test\0secret"));
    assert_int_equal(answer(x, &accepted).done.result, SASL_RESULT_OK);
    sasl_free(x);
}

/* A6: asked about like any wrong password, so that time and answer are the same. */
static void passwords_that_cannot_be_right_go_the_way_of_wrong_ones(void **state)
{
    (void)state;
    static char longest[SASL_PASSWORD_BYTES_MAX + 2];
    static const struct {
        size_t len;
        bool is_kept;
    } rows[] = {
        {SASL_PASSWORD_BYTES_MAX - 1, true },
        {SASL_PASSWORD_BYTES_MAX,     true },
        {SASL_PASSWORD_BYTES_MAX + 1, false},
        {0,                           false},
    };
    const struct sasl_peer peer = secured_peer();
    memset(longest, 'x', sizeof(longest));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t right[32];
        struct sasl_exchange *x = new_exchange(&peer);
        const struct vy_bytes password = vy_bytes(longest, rows[i].len);
        const struct sasl_step step = sasl_start_login(x, VY_LIT("dev@dev.test"), password);
        password_hash(password, right);
        assert_int_equal(step.kind, SASL_STEP_CALL);
        assert_int_equal(memcmp(step.request->password_hash.data, right, 32) == 0, rows[i].is_kept);
        sasl_free(x);
    }
    /* clang-format off */
    static const struct vy_bytes unfit[] = {VY_LIT("\xff\xfe"), VY_LIT("a\0b"), VY_LIT("a\x01z")};
    /* clang-format on */
    for (size_t i = 0; i < sizeof(unfit) / sizeof(unfit[0]); i++) {
        struct sasl_exchange *x = new_exchange(&peer);
        struct sasl_step step = sasl_start_login(x, VY_LIT("dev@dev.test"), unfit[i]);
        assert_int_equal(step.kind, SASL_STEP_CALL);
        step = answer(x, &refused);
        assert_int_equal(step.done.result, SASL_RESULT_REFUSED);
        sasl_free(x);
    }
}

static void an_empty_or_endless_name_never_signs_in(void **state)
{
    (void)state;
    static char name[SASL_NAME_BYTES_MAX + 1];
    const struct sasl_peer peer = secured_peer();
    static const size_t lens[] = {0, SASL_NAME_BYTES_MAX, SASL_NAME_BYTES_MAX + 1};
    memset(name, 'n', sizeof(name));
    for (size_t i = 0; i < 3; i++) {
        struct sasl_exchange *x = new_exchange(&peer);
        struct sasl_step step = sasl_start_login(x, vy_bytes(name, lens[i]), VY_LIT("secret"));
        assert_int_equal(step.kind, SASL_STEP_CALL);
        assert_true(step.request->context->typed_name.len <= SASL_NAME_BYTES_MAX);
        step = answer(x, &accepted);
        assert_int_equal(step.done.result, i == 1 ? SASL_RESULT_OK : SASL_RESULT_REFUSED);
        sasl_free(x);
    }
}

/* S33 */
static void lines_that_are_no_base64_or_no_message_are_syntax(void **state)
{
    (void)state;
    static char text[SASL_LINE_BYTES_MAX + 5];
    const struct sasl_peer peer = secured_peer();
    memset(text, 'A', sizeof(text));
    /* clang-format off */
    const struct vy_bytes rows[] = {
        VY_LIT("="),    VY_LIT("!!!!"), VY_LIT("AA=A"),     VY_LIT("AAA"),
        VY_LIT("AAAA"), VY_LIT(""),     VY_LIT("AAAA\n"),   vy_bytes(text, SASL_LINE_BYTES_MAX),
        VY_LIT("===="), VY_LIT("AA A"), VY_LIT("*AAA"), vy_bytes(text, SASL_LINE_BYTES_MAX + 4)};
    /* clang-format on */
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sasl_exchange *x = new_exchange(&peer);
        (void)sasl_start(x, VY_LIT("PLAIN"), NULL);
        const struct sasl_step step = sasl_feed(x, rows[i]);
        /* 12 KiB of NULs have the two NULs of a message: an empty name. */
        if (i == 7 || i == 4) {
            assert_int_equal(step.kind, SASL_STEP_CALL);
        } else {
            assert_int_equal(step.kind, SASL_STEP_DONE);
            assert_int_equal(step.done.result, SASL_RESULT_SYNTAX);
        }
        sasl_free(x);
    }
}

static void a_star_cancels(void **state)
{
    (void)state;
    const struct sasl_peer peer = secured_peer();
    static const char *const names[] = {"PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"};
    for (size_t i = 0; i < 4; i++) {
        struct sasl_exchange *x = new_exchange(&peer);
        assert_int_equal(sasl_start(x, vy_cstr(names[i]), NULL).kind, SASL_STEP_CHALLENGE);
        assert_int_equal(sasl_feed(x, VY_LIT("*")).done.result, SASL_RESULT_CANCELLED);
        sasl_free(x);
    }
}

/* ---- SCRAM ---- */

static const struct login_reply scram_first = {.result = LOGIN_RESULT_SCRAM_CONTINUE,
                                               .challenge = VY_LIT("opaque"),
                                               .server_message = VY_LIT("r=cs,s=c2FsdA==,i=4096")};
static const struct login_reply scram_last = {
    .result = LOGIN_RESULT_OK, .account_id = 5, .server_message = VY_LIT("v=c2ln")};

/* "c=" of the header and the binding. */
static struct vy_bytes final_message(const char *gs2, struct vy_bytes binding)
{
    static char text[512];
    uint8_t plain[256];
    const size_t len = strlen(gs2);
    memcpy(plain, gs2, len);
    if (binding.len > 0) {
        memcpy(plain + len, binding.data, binding.len);
    }
    const struct vy_bytes encoded = base64(vy_bytes(plain, len + binding.len));
    const int size = snprintf(text, sizeof(text), "c=%.*s,r=cs,p=cHJvb2Y=", VY_PRI(encoded));
    return vy_bytes(text, (size_t)size);
}

static void scram_ends_with_the_clients_empty_line(void **state)
{
    (void)state;
    const struct sasl_peer peer = secured_peer();
    struct sasl_exchange *x = new_exchange(&peer);
    struct sasl_step step = start(x, "SCRAM-SHA-256", VY_LIT("n,,n=dev=2Cx=3Dy,r=c"));
    assert_int_equal(step.kind, SASL_STEP_CALL);
    assert_bytes(step.request->scram_client_first, "n,,n=dev=2Cx=3Dy,r=c");
    assert_int_equal(step.request->channel_binding.len, sizeof(exporter)); /* -PLUS was offered */
    assert_bytes(step.request->context->typed_name, "dev,x=y");
    step = answer(x, &scram_first);
    assert_int_equal(step.kind, SASL_STEP_CHALLENGE);
    step = sasl_feed(x, base64(final_message("n,,", vy_bytes(NULL, 0))));
    assert_int_equal(step.kind, SASL_STEP_CALL);
    assert_bytes(step.request->challenge, "opaque");
    assert_bytes(step.request->scram_client_final, "c=biws,r=cs,p=cHJvb2Y=");
    assert_int_equal(step.request->scram_client_first.len, 0);
    step = answer(x, &scram_last);
    assert_int_equal(step.kind, SASL_STEP_CHALLENGE);
    assert_bytes(step.challenge, "dj1jMmxu");
    step = sasl_feed(x, vy_bytes(NULL, 0));
    assert_int_equal(step.done.result, SASL_RESULT_OK);
    assert_int_equal(step.done.account_id, 5);
    sasl_free(x);
}

/* A7: what must fail although meta, which cannot see it, would say yes. */
static void scram_refuses_bindings_that_do_not_fit_the_connection(void **state)
{
    (void)state;
    const struct vy_bytes none = {.data = NULL};
    const struct vy_bytes right = vy_bytes(exporter, sizeof(exporter));
    const struct vy_bytes right_point = vy_bytes(end_point, sizeof(end_point));
    const struct vy_bytes wrong = VY_LIT("another connection's");
    const struct {
        const char *mechanism;
        const char *first;
        const char *final_gs2;
        struct vy_bytes binding;
        enum sasl_result result;
    } rows[] = {
        {"SCRAM-SHA-256",      "n,,",                      "n,,",                      none,        SASL_RESULT_OK     },
        {"SCRAM-SHA-256",      "y,,",                      "y,,",                      none,        SASL_RESULT_REFUSED}, /* -PLUS was taken away */
        {"SCRAM-SHA-256",      "p=tls-exporter,,",         "p=tls-exporter,,",         right,       SASL_RESULT_REFUSED},
        {"SCRAM-SHA-256",      "n,,",                      "y,,",                      none,        SASL_RESULT_REFUSED},
        {"SCRAM-SHA-256",      "n,,",                      "n,,",                      wrong,       SASL_RESULT_REFUSED},
        {"SCRAM-SHA-256",      "n,a=two,",                 "n,a=two,",                 none,        SASL_RESULT_REFUSED},
        {"SCRAM-SHA-256",      "n,a=dev,",                 "n,a=dev,",                 none,        SASL_RESULT_OK     },
        {"SCRAM-SHA-256-PLUS", "p=tls-exporter,,",         "p=tls-exporter,,",         right,       SASL_RESULT_OK     },
        {"SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,", "p=tls-server-end-point,,", right_point,
         SASL_RESULT_OK                                                                                                },
        {"SCRAM-SHA-256-PLUS", "p=tls-exporter,,",         "p=tls-exporter,,",         wrong,       SASL_RESULT_REFUSED},
        {"SCRAM-SHA-256-PLUS", "p=tls-exporter,,",         "p=tls-exporter,,",         none,        SASL_RESULT_REFUSED},
        {"SCRAM-SHA-256-PLUS", "p=tls-unique,,",           "p=tls-unique,,",           right,       SASL_RESULT_REFUSED},
        {"SCRAM-SHA-256-PLUS", "n,,",                      "n,,",                      none,        SASL_RESULT_REFUSED},
    };
    const struct sasl_peer peer = secured_peer();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char first[128];
        const int len = snprintf(first, sizeof(first), "%sn=dev,r=c", rows[i].first);
        struct sasl_exchange *x = new_exchange(&peer);
        (void)start(x, rows[i].mechanism, vy_bytes(first, (size_t)len));
        (void)answer(x, &scram_first);
        struct sasl_step step =
            sasl_feed(x, base64(final_message(rows[i].final_gs2, rows[i].binding)));
        assert_int_equal(step.kind, SASL_STEP_CALL);
        const bool is_sent_as_it_is =
            vy_bytes_ends_with(step.request->scram_client_final, VY_LIT(",p=cHJvb2Y="));
        assert_int_equal(is_sent_as_it_is, rows[i].result == SASL_RESULT_OK);
        step = answer(x, &scram_last);
        step = step.kind == SASL_STEP_DONE ? step : sasl_feed(x, vy_bytes(NULL, 0));
        assert_int_equal(step.done.result, rows[i].result);
        sasl_free(x);
    }
}

static void scram_messages_out_of_shape_are_syntax(void **state)
{
    (void)state;
    /* clang-format off */
    static const char *const firsts[] = {"",          "n",           "n,,",         "n,,n=dev",
                                         "x,,n=dev,r=c", "n,b=x,n=dev,r=c", "n,,m=1,n=dev,r=c",
                                         "n,,n=de=v,r=c", "n,,r=c,n=dev",  "n,,n=dev=2,r=c"};
    static const char *const finals[] = {"", "c=biws", "c=biws,r=cs", "r=cs,c=biws,p=x",
                                         "c=biws,p=x"};
    /* clang-format on */
    const struct sasl_peer peer = secured_peer();
    for (size_t i = 0; i < sizeof(firsts) / sizeof(firsts[0]); i++) {
        struct sasl_exchange *x = new_exchange(&peer);
        const struct sasl_step step = start(x, "SCRAM-SHA-256", vy_cstr(firsts[i]));
        assert_int_equal(step.done.result, SASL_RESULT_SYNTAX);
        sasl_free(x);
    }
    for (size_t i = 0; i < sizeof(finals) / sizeof(finals[0]); i++) {
        struct sasl_exchange *x = new_exchange(&peer);
        (void)start(x, "SCRAM-SHA-256", VY_LIT("n,,n=dev,r=c"));
        (void)answer(x, &scram_first);
        const struct sasl_step step = sasl_feed(x, base64(vy_cstr(finals[i])));
        assert_int_equal(step.done.result, SASL_RESULT_SYNTAX);
        sasl_free(x);
    }
}

/* ---- the table ---- */

static void every_result_has_its_row(void **state)
{
    (void)state;
    static const struct {
        enum sasl_result result;
        const char *smtp;
        const char *imap;
        bool is_bad;
    } rows[] = {
        {SASL_RESULT_REFUSED,     "535 5.7.8",  "AUTHENTICATIONFAILED", false},
        {SASL_RESULT_DISABLED,    "525 5.7.13", "",                     false},
        {SASL_RESULT_NEED_APP,    "534 5.7.9",  "AUTHENTICATIONFAILED", false},
        {SASL_RESULT_LIMITED,     "454 4.7.0",  "LIMIT",                false},
        {SASL_RESULT_UNAVAILABLE, "454 4.7.0",  "UNAVAILABLE",          false},
        {SASL_RESULT_PRIVACY,     "538 5.7.11", "PRIVACYREQUIRED",      false},
        {SASL_RESULT_SYNTAX,      "501 5.5.2",  "",                     true },
        {SASL_RESULT_CANCELLED,   "501 5.7.0",  "",                     true },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_string_equal(sasl_result_smtp_reply(rows[i].result), rows[i].smtp);
        assert_string_equal(sasl_result_imap_code(rows[i].result), rows[i].imap);
        assert_int_equal(sasl_result_is_bad(rows[i].result), rows[i].is_bad);
    }
    for (int i = 0; i < SASL_RESULT_COUNT; i++) {
        assert_non_null(sasl_result_text((enum sasl_result)i));
        assert_non_null(sasl_result_name((enum sasl_result)i));
    }
}

/* A whole exchange with the n-th allocation missing, for every n. */
static void no_allocation_that_fails_lets_anyone_in(void **state)
{
    (void)state;
    const struct sasl_peer peer = secured_peer();
    for (uint64_t n = 1; n < 200; n++) {
        struct sasl_exchange *x = NULL;
        const struct vy_bytes plain = VY_LIT("AGRldkBkZXYudGVzdABzZWNyZXQ=");
        (void)fault_begin(n);
        const struct vy_err err = sasl_new(&peer, &x);
        struct sasl_step step = {.kind = SASL_STEP_DONE};
        if (!vy_failed(err)) {
            step = sasl_start(x, VY_LIT("PLAIN"), &plain);
        }
        const bool is_hit = fault_end();
        if (!is_hit) {
            assert_int_equal(step.kind, SASL_STEP_CALL);
            sasl_free(x);
            return;
        }
        if (!vy_failed(err)) {
            assert_true(step.kind == SASL_STEP_CALL || step.done.result != SASL_RESULT_OK);
        }
        sasl_free(x);
    }
    fail();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mechanisms_depend_on_what_protects_the_connection),
        cmocka_unit_test(password_mechanisms_need_protection_and_unknown_ones_are_said_so),
        cmocka_unit_test(plain_asks_meta_and_hands_out_what_it_says),
        cmocka_unit_test(login_asks_for_name_and_password),
        cmocka_unit_test(the_login_command_needs_no_base64),
        cmocka_unit_test(results_of_meta_become_rows_of_the_table),
        cmocka_unit_test(a_failed_call_is_not_a_bad_password),
        cmocka_unit_test(a_chosen_password_is_hashed_between_two_calls),
        cmocka_unit_test(absurd_hash_costs_are_not_carried_out),
        cmocka_unit_test(an_authzid_that_differs_is_refused_whatever_meta_says),
        cmocka_unit_test(passwords_that_cannot_be_right_go_the_way_of_wrong_ones),
        cmocka_unit_test(an_empty_or_endless_name_never_signs_in),
        cmocka_unit_test(lines_that_are_no_base64_or_no_message_are_syntax),
        cmocka_unit_test(a_star_cancels),
        cmocka_unit_test(scram_ends_with_the_clients_empty_line),
        cmocka_unit_test(scram_refuses_bindings_that_do_not_fit_the_connection),
        cmocka_unit_test(scram_messages_out_of_shape_are_syntax),
        cmocka_unit_test(every_result_has_its_row),
        cmocka_unit_test(no_allocation_that_fails_lets_anyone_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
