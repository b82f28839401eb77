/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets in memory and in files, and TLS over memory with a certificate of its own. */
#include "base/secret.h"

#include "base/assert.h"
#include "base/tls.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct folder {
    char path[40];
    char file[64];
    char other[64];
};

static int make_folder(void **state)
{
    static struct folder folder;
    (void)snprintf(folder.path, sizeof(folder.path), "/tmp/volary-secret-XXXXXX");
    assert_non_null(mkdtemp(folder.path));
    (void)snprintf(folder.file, sizeof(folder.file), "%s/a", folder.path);
    (void)snprintf(folder.other, sizeof(folder.other), "%s/b", folder.path);
    *state = &folder;
    return 0;
}

static int remove_folder(void **state)
{
    const struct folder *folder = *state;
    (void)unlink(folder->file);
    (void)unlink(folder->other);
    return rmdir(folder->path);
}

static void write_file(const char *path, struct vy_bytes bytes, mode_t mode)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes.data, bytes.len), (ssize_t)bytes.len);
    assert_int_equal(fchmod(fd, mode), 0);
    assert_int_equal(close(fd), 0);
}

static void a_secret_is_a_copy_and_may_be_empty(void **state)
{
    (void)state;
    struct vy_secret *secret = NULL;
    assert_false(vy_failed(vy_secret_new(VY_LIT("key"), &secret)));
    assert_true(vy_bytes_equal(vy_secret_bytes(secret), VY_LIT("key")));
    vy_secret_free(secret);
    assert_false(vy_failed(vy_secret_new(vy_bytes(NULL, 0), &secret)));
    assert_int_equal(vy_secret_bytes(secret).len, 0);
    vy_secret_free(secret);
    vy_secret_free(NULL);
}

/* C2, and a link to a fit file as mounted secrets have them. */
static void a_secret_file_is_closed_to_others_and_small(void **state)
{
    const struct folder *folder = *state;
    static const uint8_t bytes[4097];
    struct vy_secret *secret = NULL;
    for (size_t len = 4095; len <= 4097; len++) {
        write_file(folder->file, vy_bytes(bytes, len), 0400);
        const struct vy_err err = vy_secret_read_file(folder->file, &secret);
        assert_int_equal(err.code, len > 4096 ? VY_CODE_LIMIT : VY_CODE_OK);
        if (!vy_failed(err)) {
            assert_int_equal(vy_secret_bytes(secret).len, len);
            vy_secret_free(secret);
        }
        (void)unlink(folder->file);
    }
    write_file(folder->file, VY_LIT("pass\n"), 0600);
    assert_int_equal(symlink(folder->file, folder->other), 0);
    assert_false(vy_failed(vy_secret_read_file(folder->other, &secret)));
    assert_true(vy_bytes_equal(vy_secret_bytes(secret), VY_LIT("pass")));
    vy_secret_free(secret);
    static const mode_t modes[] = {0640, 0604, 0620, 0601};
    for (size_t i = 0; i < VY_COUNT_OF(modes); i++) {
        assert_int_equal(chmod(folder->file, modes[i]), 0);
        assert_int_equal(vy_secret_read_file(folder->other, &secret).code, VY_CODE_DENIED);
    }
    assert_int_equal(vy_secret_read_file("/nonexistent", &secret).code, VY_CODE_NOT_FOUND);
    assert_int_equal(vy_secret_read_file(folder->path, &secret).code, VY_CODE_ARGUMENT);
    assert_int_equal(unlink(folder->file), 0);
    assert_int_equal(mkfifo(folder->file, 0600), 0); /* must not block */
    assert_int_equal(vy_secret_read_file(folder->file, &secret).code, VY_CODE_ARGUMENT);
}

/* ---- TLS ---- */

struct pair {
    struct vy_tls *client;
    struct vy_tls *server;
};

static void carry(struct vy_tls *from, struct vy_tls *to, size_t chunk)
{
    struct vy_buf wire;
    vy_buf_init(&wire, 1U << 20);
    vy_tls_take(from, &wire);
    while (vy_buf_len(&wire) > 0) {
        const struct vy_bytes part = vy_bytes_slice(vy_buf_bytes(&wire), 0, chunk);
        assert_false(vy_failed(vy_tls_receive(to, part)));
        vy_buf_consume(&wire, part.len);
    }
    vy_buf_deinit(&wire);
}

/* The contexts are freed at once: streams keep what they need. */
static struct pair connect_pair(const struct folder *folder, const char *server_alpn,
                                const char *client_alpn)
{
    struct vy_tls_context *server = NULL;
    struct vy_tls_context *client = NULL;
    struct pair pair = {NULL, NULL};
    assert_false(vy_failed(
        vy_tls_write_self_signed(folder->file, folder->other, "localhost,127.0.0.1,::1")));
    const struct vy_tls_config server_config = {
        .certificate_file = folder->file, .key_file = folder->other, .alpn = server_alpn};
    const struct vy_tls_config client_config = {.ca_file = folder->file, .alpn = client_alpn};
    assert_false(vy_failed(vy_tls_context_new_server(&server_config, &server)));
    assert_false(vy_failed(vy_tls_context_new_client(&client_config, &client)));
    assert_true(vy_tls_context_expiry_ms(server) > 1700000000000ULL);
    assert_false(vy_failed(vy_tls_new(server, &pair.server)));
    assert_false(vy_failed(vy_tls_new(client, &pair.client)));
    vy_tls_context_free(server);
    vy_tls_context_free(client);
    return pair;
}

static void bytes_pass_in_both_directions_in_any_split(void **state)
{
    uint8_t out[64];
    uint8_t binding[2][32];
    size_t len = 0;
    const struct pair pair = connect_pair(*state, "h2", "h2");
    for (size_t i = 0; i < 4; i++) {
        carry(pair.client, pair.server, 1);
        carry(pair.server, pair.client, 7);
    }
    assert_true(vy_tls_is_established(pair.client));
    assert_true(vy_tls_is_established(pair.server));
    assert_false(vy_failed(vy_tls_write(pair.client, VY_LIT("hello"))));
    carry(pair.client, pair.server, 3);
    assert_false(vy_failed(vy_tls_read(pair.server, out, sizeof(out), &len)));
    assert_true(vy_bytes_equal(vy_bytes(out, len), VY_LIT("hello")));
    assert_true(vy_tls_exporter(pair.client, binding[0]));
    assert_true(vy_tls_exporter(pair.server, binding[1]));
    assert_memory_equal(binding[0], binding[1], 32);
    assert_true(vy_tls_end_point(pair.server, out, &len));
    assert_int_equal(len, 32);
    vy_tls_close(pair.server);
    carry(pair.server, pair.client, 100);
    assert_false(vy_failed(vy_tls_read(pair.client, out, sizeof(out), &len)));
    assert_int_equal(len, 0);
    assert_true(vy_tls_is_closed(pair.client));
    vy_tls_free(pair.client);
    vy_tls_free(pair.server);
    vy_tls_free(NULL);
}

static void plain_text_and_a_foreign_protocol_end_the_stream(void **state)
{
    struct vy_buf wire;
    struct pair pair = connect_pair(*state, "h2", "imap");
    vy_buf_init(&wire, 1U << 20);
    vy_tls_take(pair.client, &wire);
    assert_int_equal(vy_tls_receive(pair.server, vy_buf_bytes(&wire)).code, VY_CODE_CORRUPT);
    assert_true(vy_tls_is_closed(pair.server));
    vy_tls_free(pair.client);
    vy_tls_free(pair.server);
    vy_buf_deinit(&wire);
    pair = connect_pair(*state, NULL, NULL);
    assert_int_equal(vy_tls_receive(pair.server, VY_LIT("EHLO example.org\r\n")).code,
                     VY_CODE_CORRUPT);
    vy_tls_free(pair.client);
    vy_tls_free(pair.server);
}

/* C2. */
static void unfit_certificate_files_are_refused(void **state)
{
    const struct folder *folder = *state;
    struct vy_tls_context *context = NULL;
    const struct vy_tls_config config = {.certificate_file = folder->file,
                                         .key_file = folder->other};
    assert_int_equal(vy_tls_context_new_server(&config, &context).code, VY_CODE_NOT_FOUND);
    assert_false(vy_failed(vy_tls_write_self_signed(folder->file, folder->other, "localhost")));
    assert_int_equal(chmod(folder->other, 0640), 0);
    assert_int_equal(vy_tls_context_new_server(&config, &context).code, VY_CODE_DENIED);
    assert_int_equal(chmod(folder->other, 0600), 0);
    assert_int_equal(unlink(folder->file), 0);
    write_file(folder->file, VY_LIT("no certificate\n"), 0644);
    assert_int_equal(vy_tls_context_new_server(&config, &context).code, VY_CODE_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_secret_is_a_copy_and_may_be_empty),
        cmocka_unit_test_setup_teardown(a_secret_file_is_closed_to_others_and_small, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(bytes_pass_in_both_directions_in_any_split, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(plain_text_and_a_foreign_protocol_end_the_stream,
                                        make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(unfit_certificate_files_are_refused, make_folder,
                                        remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
