/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/cluster_key.h"

#include "tests/lib/fake_rng.h"
#include "tests/lib/test.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
    struct fake_rng rng;
    struct cluster_key *key;
    char dir[64];
    char path[96];
};

static int set_up(void **state)
{
    static struct fixture f;
    static const uint8_t bytes[CLUSTER_KEY_BYTES] = {1, 2, 3};
    fake_rng_init(&f.rng, 7);
    assert_false(vy_failed(cluster_key_new(bytes, &f.key)));
    (void)snprintf(f.dir, sizeof(f.dir), "/tmp/volary-key-XXXXXX");
    assert_non_null(mkdtemp(f.dir));
    (void)snprintf(f.path, sizeof(f.path), "%s/cluster.key", f.dir);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    cluster_key_free(f->key);
    (void)unlink(f->path);
    return rmdir(f->dir);
}

static void write_text(const char *path, const char *text, mode_t mode)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    assert_int_equal(close(fd), 0);
}

static void a_created_key_loads_and_is_the_same_each_time(void **state)
{
    struct fixture *f = *state;
    assert_false(vy_failed(cluster_key_create(f->path, &f->rng.base)));
    struct stat st;
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0400);
    struct cluster_key *a = NULL;
    struct cluster_key *b = NULL;
    assert_false(vy_failed(cluster_key_load(f->path, &a)));
    assert_false(vy_failed(cluster_key_load(f->path, &b)));
    uint8_t mac_a[32];
    uint8_t mac_b[32];
    cluster_key_mac(a, "session", VY_LIT("x"), mac_a);
    cluster_key_mac(b, "session", VY_LIT("x"), mac_b);
    assert_memory_equal(mac_a, mac_b, 32);
    cluster_key_mac(f->key, "session", VY_LIT("x"), mac_b);
    assert_memory_not_equal(mac_a, mac_b, 32);
    cluster_key_free(a);
    cluster_key_free(b);
}

static void an_existing_key_is_never_overwritten(void **state)
{
    struct fixture *f = *state;
    write_text(f->path, "precious", 0400);
    assert_int_equal(cluster_key_create(f->path, &f->rng.base).code, VY_CODE_EXISTS);
    struct stat st;
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_size, 8);
}

static void c2_a_key_that_others_may_read_is_refused(void **state)
{
    struct fixture *f = *state;
    struct cluster_key *key = NULL;
    assert_false(vy_failed(cluster_key_create(f->path, &f->rng.base)));
    assert_int_equal(chmod(f->path, 0440), 0);
    assert_int_equal(cluster_key_load(f->path, &key).code, VY_CODE_DENIED);
    assert_null(key);
}

static void a_file_that_is_not_64_hex_digits_is_refused(void **state)
{
    struct fixture *f = *state;
    static const char digits[] = "0123456789abcdefABCDEF0123456789"
                                 "0123456789abcdef0123456789abcdefff";
    struct cluster_key *key = NULL;
    char text[80];
    for (int len = 62; len <= 66; len++) {
        (void)snprintf(text, sizeof(text), "%.*s\n", len, digits);
        write_text(f->path, text, 0400);
        const struct vy_err err = cluster_key_load(f->path, &key);
        assert_int_equal(err.code, len == 64 ? VY_CODE_OK : VY_CODE_SYNTAX);
    }
    cluster_key_free(key);
    (void)snprintf(text, sizeof(text), "%.63sg", digits);
    write_text(f->path, text, 0400);
    assert_int_equal(cluster_key_load(f->path, &key).code, VY_CODE_SYNTAX);
    (void)unlink(f->path);
    assert_int_equal(cluster_key_load(f->path, &key).code, VY_CODE_NOT_FOUND);
}

static void a_wrapped_key_opens_for_its_account_only(void **state)
{
    struct fixture *f = *state;
    uint8_t nonce[12] = {9};
    uint8_t plain[ACCOUNT_KEY_BYTES];
    uint8_t wrapped[WRAPPED_KEY_BYTES];
    uint8_t opened[ACCOUNT_KEY_BYTES] = {0};
    vy_rng_fill(&f->rng.base, plain, sizeof(plain));
    assert_false(vy_failed(cluster_key_wrap(f->key, 42, nonce, plain, wrapped)));
    const struct vy_bytes bytes = vy_bytes(wrapped, sizeof(wrapped));
    assert_int_equal(cluster_key_unwrap(f->key, 43, bytes, opened).code, VY_CODE_CORRUPT);
    assert_int_equal(opened[0], 0);
    assert_false(vy_failed(cluster_key_unwrap(f->key, 42, bytes, opened)));
    assert_memory_equal(plain, opened, sizeof(plain));
    assert_int_equal(cluster_key_unwrap(f->key, 42, vy_bytes_slice(bytes, 0, 59), opened).code,
                     VY_CODE_CORRUPT);
}

static void every_flipped_bit_of_a_wrapped_key_shows(void **state)
{
    struct fixture *f = *state;
    const uint8_t nonce[12] = {9};
    const uint8_t plain[ACCOUNT_KEY_BYTES] = {1};
    uint8_t wrapped[WRAPPED_KEY_BYTES];
    uint8_t opened[ACCOUNT_KEY_BYTES];
    assert_false(vy_failed(cluster_key_wrap(f->key, 1, nonce, plain, wrapped)));
    for (size_t bit = 0; bit < 8 * sizeof(wrapped); bit++) {
        wrapped[bit / 8] ^= (uint8_t)(1U << bit % 8);
        const struct vy_bytes bytes = vy_bytes(wrapped, sizeof(wrapped));
        assert_int_equal(cluster_key_unwrap(f->key, 1, bytes, opened).code, VY_CODE_CORRUPT);
        wrapped[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
}

static void purposes_do_not_stand_for_each_other(void **state)
{
    struct fixture *f = *state;
    uint8_t a[32];
    uint8_t b[32];
    cluster_key_mac(f->key, "credential", VY_LIT("x"), a);
    cluster_key_mac(f->key, "session", VY_LIT("x"), b);
    assert_memory_not_equal(a, b, 32);
    cluster_key_mac(f->key, "credential", VY_LIT("y"), b);
    assert_memory_not_equal(a, b, 32);
    cluster_key_mac(f->key, "credential", VY_LIT("x"), b);
    assert_memory_equal(a, b, 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_created_key_loads_and_is_the_same_each_time, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_existing_key_is_never_overwritten, set_up, tear_down),
        cmocka_unit_test_setup_teardown(c2_a_key_that_others_may_read_is_refused, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_is_not_64_hex_digits_is_refused, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_wrapped_key_opens_for_its_account_only, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(every_flipped_bit_of_a_wrapped_key_shows, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(purposes_do_not_stand_for_each_other, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
