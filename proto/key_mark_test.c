/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/key_mark.h"

#include "tests/lib/test.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
    struct cluster_key *key, *other;
    char dir[64];
    char path[96];
};

static int set_up(void **state)
{
    static struct fixture f;
    const uint8_t bytes[CLUSTER_KEY_BYTES] = {1, 2, 3};
    const uint8_t others[CLUSTER_KEY_BYTES] = {1, 2, 4};
    assert_false(vy_failed(cluster_key_new(bytes, &f.key)));
    assert_false(vy_failed(cluster_key_new(others, &f.other)));
    (void)snprintf(f.dir, sizeof(f.dir), "/tmp/volary-mark-XXXXXX");
    assert_non_null(mkdtemp(f.dir));
    (void)snprintf(f.path, sizeof(f.path), "%s/cluster-key.mark", f.dir);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    cluster_key_free(f->key);
    cluster_key_free(f->other);
    (void)unlink(f->path);
    return rmdir(f->dir); /* fails when anything else was left there */
}

static void a_directory_without_a_mark_passes_for_any_key(void **state)
{
    struct fixture *f = *state;
    assert_false(vy_failed(key_mark_check(f->key, f->dir)));
    assert_false(vy_failed(key_mark_check(f->other, f->dir)));
    assert_int_equal(access(f->path, F_OK), -1); /* a check writes nothing */
}

static void a_marked_directory_is_refused_to_another_key_C2(void **state)
{
    struct fixture *f = *state;
    assert_false(vy_failed(key_mark_write(f->key, f->dir)));
    assert_false(vy_failed(key_mark_write(f->key, f->dir))); /* again: nothing to do */
    assert_false(vy_failed(key_mark_check(f->key, f->dir)));
    assert_int_equal(key_mark_check(f->other, f->dir).code, VY_CODE_PRECONDITION);
    assert_int_equal(key_mark_write(f->other, f->dir).code, VY_CODE_PRECONDITION);
    assert_false(vy_failed(key_mark_check(f->key, f->dir)));
}

static void a_mark_cut_short_is_damage_and_never_taken_for_a_new_directory(void **state)
{
    struct fixture *f = *state;
    assert_false(vy_failed(key_mark_write(f->key, f->dir)));
    assert_int_equal(truncate(f->path, 32), 0);
    assert_int_equal(key_mark_check(f->key, f->dir).code, VY_CODE_CORRUPT);
    assert_int_equal(truncate(f->path, 0), 0);
    assert_int_equal(key_mark_write(f->key, f->dir).code, VY_CODE_CORRUPT);
}

static void a_mark_that_is_a_link_or_no_file_is_refused_C8(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(symlink("/dev/null", f->path), 0);
    assert_int_equal(key_mark_check(f->key, f->dir).code, VY_CODE_IO);
    assert_int_equal(unlink(f->path), 0);
    assert_int_equal(mkfifo(f->path, 0600), 0);
    assert_true(vy_failed(key_mark_check(f->key, f->dir))); /* and does not wait for a writer */
}

static void a_directory_that_is_not_there_cannot_be_marked(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(key_mark_write(f->key, "/tmp/volary-no-such-dir").code, VY_CODE_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_directory_without_a_mark_passes_for_any_key, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_marked_directory_is_refused_to_another_key_C2, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            a_mark_cut_short_is_damage_and_never_taken_for_a_new_directory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_mark_that_is_a_link_or_no_file_is_refused_C8, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_directory_that_is_not_there_cannot_be_marked, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
