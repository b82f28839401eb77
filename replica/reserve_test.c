/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/reserve.h"

#include "base/assert.h"
#include "tests/lib/test.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define RESERVE_BYTES (1024U * 1024)

static uint64_t blocks_bytes(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0 ? (uint64_t)info.st_blocks * 512 : 0;
}

/* P13: the space is really taken, outlives the process, and is given back once. */
static void space_is_held_over_lives_and_given_back(void **state)
{
    char dir[] = "/var/tmp/volary-reserve-XXXXXX"; /* often a disk where /tmp is memory */
    char path[64];
    struct reserve reserve;
    (void)state;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof(path), "%s/RESERVE", dir);
    assert_false(vy_failed(reserve_init(&reserve, dir)));
    assert_false(reserve.is_held);
    assert_false(reserve_release(&reserve));
    if (!reserve_hold(&reserve, RESERVE_BYTES)) {
        assert_int_equal(blocks_bytes(path), 0); /* a memory disk: nothing is left behind */
        reserve_deinit(&reserve);
        assert_int_equal(rmdir(dir), 0);
        skip();
    }
    assert_true(blocks_bytes(path) >= RESERVE_BYTES);
    reserve_deinit(&reserve);

    assert_false(vy_failed(reserve_init(&reserve, dir)));
    assert_true(reserve.is_held);
    assert_true(reserve_release(&reserve));
    assert_int_equal(blocks_bytes(path), 0);
    assert_false(reserve_release(&reserve));
    reserve_deinit(&reserve);
    assert_int_equal(rmdir(dir), 0);
}

/* What does not fit leaves nothing behind, and no link of others is followed. */
static void what_cannot_be_held_leaves_nothing(void **state)
{
    char dir[] = "/var/tmp/volary-reserve-XXXXXX";
    char path[64];
    char other[64];
    struct reserve reserve;
    (void)state;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof(path), "%s/RESERVE", dir);
    (void)snprintf(other, sizeof(other), "%s/other", dir);
    assert_false(vy_failed(reserve_init(&reserve, dir)));
    assert_false(reserve_hold(&reserve, 1ULL << 60));
    assert_false(reserve.is_held);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(symlink(other, path), 0);
    assert_false(reserve_hold(&reserve, RESERVE_BYTES));
    assert_int_equal(access(other, F_OK), -1);
    assert_int_equal(unlink(path), 0);
    reserve_deinit(&reserve);
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(space_is_held_over_lives_and_given_back),
        cmocka_unit_test(what_cannot_be_held_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
