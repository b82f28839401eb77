/* SPDX-License-Identifier: Apache-2.0 */
/* The client against our own server, against certificates that do not fit, and against servers that
 * misbehave. */
#include "base/assert.h"
#include "base/net.h"
#include "proto/grpc_client.h"
#include "proto/grpc_fixture.h"
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
/* cmocka wants these first */
#include <cmocka.h>

#define PATH "/volary.admin.v1.AccountService/GetAccount"

struct answer {
    struct vy_err err;
    int status;
    struct vy_buf reply;
    struct vy_buf message;
};

static void ask(struct grpc_client *client, const char *path, struct vy_bytes request,
                uint32_t deadline_ms, struct answer *answer)
{
    *answer = (struct answer){.status = -1};
    vy_buf_init(&answer->reply, GRPC_CLIENT_REPLY_BYTES_MAX);
    vy_buf_init(&answer->message, GRPC_CLIENT_MESSAGE_BYTES_MAX);
    answer->err = grpc_client_call(client, path, request, deadline_ms, &answer->reply,
                                   &answer->status, &answer->message);
}

static void forget(struct answer *answer)
{
    vy_buf_deinit(&answer->reply);
    vy_buf_deinit(&answer->message);
}

static void assert_echo(struct grpc_client *client, struct vy_bytes request)
{
    struct answer answer;
    ask(client, PATH, request, 0, &answer);
    assert_int_equal(answer.err.code, VY_CODE_OK);
    assert_int_equal(answer.status, 0);
    assert_true(vy_bytes_equal(vy_buf_bytes(&answer.reply), request));
    forget(&answer);
}

static struct grpc_client *open_plain(const char *address)
{
    const struct grpc_client_config config = {.address = address};
    struct grpc_client *client = NULL;
    assert_int_equal(grpc_client_open(&config, &client, NULL).code, VY_CODE_OK);
    return client;
}

static void calls_are_answered_over_a_socket_and_loopback(void **state)
{
    (void)state;
    static struct grpc_fixture fixture;
    grpc_fixture_start(&fixture, false);
    const char *const addresses[] = {fixture.unix_address, fixture.tcp_address};
    static uint8_t large[4U * 1024U * 1024U];
    memset(large, 'x', sizeof(large));
    for (size_t i = 0; i < VY_COUNT_OF(addresses); i++) {
        struct grpc_client *client = open_plain(addresses[i]);
        assert_echo(client, VY_LIT("hello"));
        assert_echo(client, VY_LIT(""));
        assert_echo(client, vy_bytes(large, sizeof(large))); /* the limit, both ways */
        assert_echo(client, VY_LIT("again"));
        assert_int_equal(fixture.was_local, i == 0);
        grpc_client_free(client);
    }
    grpc_fixture_stop(&fixture);
}

static void refusals_carry_code_and_words(void **state)
{
    (void)state;
    static struct grpc_fixture fixture;
    struct answer answer;
    grpc_fixture_start(&fixture, false);
    struct grpc_client *client = open_plain(fixture.unix_address);
    ask(client, PATH, VY_LIT("fail"), 0, &answer);
    assert_int_equal(answer.err.code, VY_CODE_OK);
    assert_int_equal(answer.status, 5);
    assert_true(vy_bytes_equal(vy_buf_bytes(&answer.message), VY_LIT(GRPC_FIXTURE_MESSAGE)));
    assert_int_equal(vy_buf_len(&answer.reply), 0);
    forget(&answer);
    ask(client, "/volary.admin.v1.AccountService/Nonsense", VY_LIT("x"), 0, &answer);
    assert_int_equal(answer.err.code, VY_CODE_OK);
    assert_int_equal(answer.status, 12);
    forget(&answer);
    ask(client, PATH, VY_LIT("large"), 0, &answer); /* the server does not send that much */
    assert_int_equal(answer.err.code, VY_CODE_OK);
    assert_int_equal(answer.status, 8);
    forget(&answer);
    assert_echo(client, VY_LIT("and on it goes"));
    grpc_client_free(client);
    grpc_fixture_stop(&fixture);
}

static void requests_over_the_limit_are_not_sent(void **state)
{
    (void)state;
    static struct grpc_fixture fixture;
    static uint8_t large[4U * 1024U * 1024U + 1];
    struct answer answer;
    grpc_fixture_start(&fixture, false);
    struct grpc_client *client = open_plain(fixture.unix_address);
    ask(client, PATH, vy_bytes(large, sizeof(large)), 0, &answer);
    assert_int_equal(answer.err.code, VY_CODE_LIMIT);
    assert_int_equal(atomic_load(&fixture.calls), 0);
    forget(&answer);
    grpc_client_free(client);
    grpc_fixture_stop(&fixture);
}

static void a_deadline_leaves_the_outcome_open_and_the_client_usable(void **state)
{
    (void)state;
    static struct grpc_fixture fixture;
    struct answer answer;
    grpc_fixture_start(&fixture, false);
    struct grpc_client *client = open_plain(fixture.unix_address);
    ask(client, PATH, VY_LIT("hold"), 50, &answer);
    assert_int_equal(answer.err.code, VY_CODE_UNKNOWN);
    assert_true(vy_buf_len(&answer.message) > 0);
    forget(&answer);
    grpc_fixture_release(&fixture); /* the late answer goes nowhere */
    assert_echo(client, VY_LIT("next"));
    grpc_client_free(client);
    grpc_fixture_stop(&fixture);
}

static void a_server_that_went_away_is_dialled_again(void **state)
{
    (void)state;
    static struct grpc_fixture fixture;
    struct answer answer;
    grpc_fixture_start(&fixture, false);
    struct grpc_client *client = open_plain(fixture.unix_address);
    assert_echo(client, VY_LIT("first"));
    grpc_fixture_stop(&fixture);
    ask(client, PATH, VY_LIT("x"), 0, &answer);
    assert_int_equal(answer.err.code, VY_CODE_UNAVAILABLE);
    assert_true(vy_buf_len(&answer.message) > 0);
    forget(&answer);
    grpc_client_free(client);
}

/* ---- TLS ---- */

static void cert_paths(const struct grpc_fixture *fixture, const char *ca, const char *cert,
                       char paths[3][RPC_CERTS_PATH_BYTES], struct grpc_client_tls *out)
{
    rpc_certs_path(&fixture->folder, ca, ".pem", paths[0]);
    *out = (struct grpc_client_tls){.ca_file = paths[0]};
    if (cert != NULL) {
        rpc_certs_path(&fixture->folder, cert, ".pem", paths[1]);
        rpc_certs_path(&fixture->folder, cert, ".key", paths[2]);
        out->cert_file = paths[1];
        out->key_file = paths[2];
    }
}

static void both_sides_prove_who_they_are(void **state)
{
    (void)state;
    static struct grpc_fixture fixture;
    char paths[3][RPC_CERTS_PATH_BYTES];
    struct grpc_client_tls tls;
    struct grpc_client *client = NULL;
    grpc_fixture_start(&fixture, true);
    cert_paths(&fixture, "ca", "admin", paths, &tls);
    const struct grpc_client_config config = {.address = fixture.tcp_address, .tls = &tls};
    assert_int_equal(grpc_client_open(&config, &client, NULL).code, VY_CODE_OK);
    assert_echo(client, VY_LIT("hello"));
    assert_string_equal(fixture.last_uri, "spiffe://test/admin/root");
    assert_false(fixture.was_local);
    static uint8_t large[1000000];
    assert_echo(client, vy_bytes(large, sizeof(large)));
    grpc_client_free(client);
    tls.server_name = "localhost";
    assert_int_equal(grpc_client_open(&config, &client, NULL).code, VY_CODE_OK);
    grpc_client_free(client);
    grpc_fixture_stop(&fixture);
}

static void a_server_with_another_name_or_ca_is_refused(void **state)
{
    (void)state;
    static struct grpc_fixture fixture;
    char paths[3][RPC_CERTS_PATH_BYTES];
    struct grpc_client_tls tls;
    struct grpc_client *client = NULL;
    struct vy_buf why;
    grpc_fixture_start(&fixture, true);
    vy_buf_init(&why, 1000);
    cert_paths(&fixture, "ca", "admin", paths, &tls);
    const struct grpc_client_config config = {.address = fixture.tcp_address, .tls = &tls};
    tls.server_name = "mail.example.org";
    assert_int_equal(grpc_client_open(&config, &client, &why).code, VY_CODE_AUTH);
    assert_true(vy_bytes_find(vy_buf_bytes(&why), VY_LIT("hostname mismatch"), 0) != SIZE_MAX);
    cert_paths(&fixture, "other-ca", "admin", paths, &tls);
    assert_int_equal(grpc_client_open(&config, &client, NULL).code, VY_CODE_AUTH);
    tls.ca_file = "/nonexistent";
    assert_int_equal(grpc_client_open(&config, &client, NULL).code, VY_CODE_ARGUMENT);
    assert_null(client);
    vy_buf_deinit(&why);
    grpc_fixture_stop(&fixture);
}

/* With TLS 1.3 a client hears of it only after its own handshake is done. */
static void a_client_whose_certificate_is_refused_hears_so(void **state)
{
    (void)state;
    static struct grpc_fixture fixture;
    static const char *const certs[] = {"stranger", NULL};
    grpc_fixture_start(&fixture, true);
    for (size_t i = 0; i < VY_COUNT_OF(certs); i++) {
        char paths[3][RPC_CERTS_PATH_BYTES];
        struct grpc_client_tls tls;
        struct grpc_client *client = NULL;
        cert_paths(&fixture, "ca", certs[i], paths, &tls);
        const struct grpc_client_config config = {.address = fixture.tcp_address, .tls = &tls};
        struct vy_err err = grpc_client_open(&config, &client, NULL);
        if (!vy_failed(err)) {
            struct answer answer;
            ask(client, PATH, VY_LIT("x"), 0, &answer);
            err = answer.err;
            forget(&answer);
        }
        assert_int_equal(err.code, VY_CODE_AUTH);
        grpc_client_free(client);
    }
    assert_int_equal(atomic_load(&fixture.calls), 0);
    grpc_fixture_stop(&fixture);
}

static void addresses_and_plain_text_beyond_this_machine_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *address;
        enum vy_code code;
    } rows[] = {
        {"",                  VY_CODE_ARGUMENT   },
        {"unix:",             VY_CODE_ARGUMENT   },
        {"unix:relative",     VY_CODE_ARGUMENT   },
        {"host",              VY_CODE_ARGUMENT   },
        {"host:",             VY_CODE_ARGUMENT   },
        {"host:0",            VY_CODE_ARGUMENT   },
        {"host:65536",        VY_CODE_ARGUMENT   },
        {":1",                VY_CODE_ARGUMENT   },
        {"[::1",              VY_CODE_ARGUMENT   },
        {"[::1]1",            VY_CODE_ARGUMENT   },
        {"192.0.2.1:1",       VY_CODE_DENIED     },
        {"127.0.0.1:1",       VY_CODE_UNAVAILABLE},
        {"unix:/nonexistent", VY_CODE_UNAVAILABLE},
    };
    for (size_t i = 0; i < VY_COUNT_OF(rows); i++) {
        const struct grpc_client_config config = {.address = rows[i].address};
        struct grpc_client *client = NULL;
        struct vy_buf why;
        vy_buf_init(&why, 1000);
        assert_int_equal(grpc_client_open(&config, &client, &why).code, rows[i].code);
        assert_null(client);
        assert_true(vy_buf_len(&why) > 0);
        vy_buf_deinit(&why);
    }
}

/* ---- servers that misbehave ---- */

struct bad_server {
    int listener;
    struct vy_bytes bytes; /* its whole answer */
    pthread_t thread;
};

static void *bad_server_run(void *arg)
{
    struct bad_server *server = arg;
    uint8_t in[4096];
    const int fd = accept(server->listener, NULL, NULL);
    VY_ASSERT(fd >= 0);
    (void)recv(fd, in, sizeof(in), 0);
    (void)send(fd, server->bytes.data, server->bytes.len, MSG_NOSIGNAL);
    (void)shutdown(fd, SHUT_WR);
    while (recv(fd, in, sizeof(in), 0) > 0) {
    }
    (void)close(fd);
    return NULL;
}

/* Frames of HTTP/2 written out: SETTINGS, then what is wrong. */
#define SETTINGS "\0\0\0\4\0\0\0\0\0"
#define STATUS_200 "\0\0\1\1\4\0\0\0\1\x88"

static void answers_that_are_none_are_errors(void **state)
{
    (void)state;
    static const struct {
        struct vy_bytes bytes;
        enum vy_code code;
    } rows[] = {
        {VY_LIT("HTTP/1.1 400 Bad Request\r\n\r\n"),    VY_CODE_SYNTAX     },
        {VY_LIT(""),                                    VY_CODE_UNKNOWN    },
        {VY_LIT(SETTINGS),                              VY_CODE_UNKNOWN    },
        {VY_LIT(SETTINGS "\xff\xff\xff\0\0\0\0\0\1"),   VY_CODE_SYNTAX     },
 /* :status 404, no gRPC */
        {VY_LIT(SETTINGS "\0\0\1\1\5\0\0\0\1\x8d"),     VY_CODE_SYNTAX     },
 /* 200 and the end, without a status */
        {VY_LIT(SETTINGS "\0\0\1\1\5\0\0\0\1\x88"),     VY_CODE_UNKNOWN    },
 /* refused: certainly not executed */
        {VY_LIT(SETTINGS "\0\0\4\3\0\0\0\0\1\0\0\0\7"), VY_CODE_UNAVAILABLE},
 /* a message cut short, then grpc-status 0 */
        {VY_LIT(SETTINGS STATUS_200 "\0\0\5\0\0\0\0\0\1\0\0\0\0\x09"
                                    "\0\0\x10\1\5\0\0\0\1\0\x0bgrpc-status\1"
                                    "0\0\0"),
         VY_CODE_SYNTAX                                                    },
    };
    for (size_t i = 0; i < VY_COUNT_OF(rows); i++) {
        struct bad_server server = {.bytes = rows[i].bytes};
        struct sockaddr_in bound = {.sin_family = AF_INET,
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t len = sizeof(bound);
        char address[32];
        struct answer answer;
        server.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(server.listener, (struct sockaddr *)&bound, len), 0);
        assert_int_equal(listen(server.listener, 1), 0);
        assert_int_equal(getsockname(server.listener, (struct sockaddr *)&bound, &len), 0);
        (void)snprintf(address, sizeof(address), "127.0.0.1:%u", (unsigned)ntohs(bound.sin_port));
        assert_int_equal(pthread_create(&server.thread, NULL, bad_server_run, &server), 0);
        struct grpc_client *client = open_plain(address);
        ask(client, PATH, VY_LIT("x"), 5000, &answer);
        assert_int_equal(answer.err.code, rows[i].code);
        assert_true(vy_buf_len(&answer.message) > 0);
        forget(&answer);
        grpc_client_free(client);
        assert_int_equal(pthread_join(server.thread, NULL), 0);
        (void)close(server.listener);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_are_answered_over_a_socket_and_loopback),
        cmocka_unit_test(refusals_carry_code_and_words),
        cmocka_unit_test(requests_over_the_limit_are_not_sent),
        cmocka_unit_test(a_deadline_leaves_the_outcome_open_and_the_client_usable),
        cmocka_unit_test(a_server_that_went_away_is_dialled_again),
        cmocka_unit_test(both_sides_prove_who_they_are),
        cmocka_unit_test(a_server_with_another_name_or_ca_is_refused),
        cmocka_unit_test(a_client_whose_certificate_is_refused_hears_so),
        cmocka_unit_test(addresses_and_plain_text_beyond_this_machine_are_refused),
        cmocka_unit_test(answers_that_are_none_are_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
