/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/store_reason.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "tests/lib/test.h"
#include <errno.h>
#include <string.h>

static void errno_is_read_from_the_end_of_the_message(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int sys;
    } rows[] = {
        {"IO error: No space left on deviceWhile appending to file: /d/000034.log: No space left "
         "on "
         "device",                                                       ENOSPC},
        {"IO error: While fdatasync: /data/shard/000034.log: Input/output error", EIO   },
        {"IO error: While open a file for appending: /d/LOG: Permission denied",  EACCES},
        {"IO error: While mkdir if missing: /d: Read-only file system",           EROFS },
        {"Corruption: checksum mismatch in /d/000035.sst",                        0     },
        {"",                                                                      0     },
    };
    for (size_t i = 0; i < VY_COUNT_OF(rows); i++) {
        assert_int_equal(store_reason_errno(rows[i].text), rows[i].sys);
    }
}

static void a_reason_is_never_empty_and_keeps_both_ends(void **state)
{
    struct store_reason reason;
    char text[2 * STORE_REASON_BYTES];
    char out[STORE_REASON_BYTES];
    (void)state;
    store_reason_init(&reason);
    store_reason_copy(&reason, vy_error_sys(VY_CODE_IO, EROFS, "make directory"), out);
    assert_string_equal(out, "Read-only file system");
    memset(text, 'x', sizeof(text) - 1);
    memcpy(text, "IO error: ", 10);
    memcpy(text + sizeof(text) - 13, ": disk broke", 13);
    store_reason_note(&reason, text);
    store_reason_copy(&reason, vy_ok(), out);
    assert_true(vy_bytes_starts_with(vy_cstr(out), VY_LIT("IO error: x")));
    assert_true(vy_bytes_ends_with(vy_cstr(out), VY_LIT("x: disk broke")));

    text[STORE_REASON_BYTES - 1] = '\0'; /* the longest that fits as it is */
    store_reason_note(&reason, text);
    store_reason_copy(&reason, vy_ok(), out);
    assert_string_equal(out, text);
    store_reason_note(NULL, "nobody asks");
    store_reason_deinit(&reason);
}

static void every_failure_has_a_next_step(void **state)
{
    (void)state;
    for (int code = 1; code < VY_CODE_COUNT; code++) {
        assert_true(strlen(store_next_step(vy_error((enum vy_code)code, "x"))) > 0);
    }
    const struct vy_err full = vy_error_sys(VY_CODE_IO, ENOSPC, "write batch");
    assert_non_null(strstr(store_next_step(full), "free space"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errno_is_read_from_the_end_of_the_message),
        cmocka_unit_test(a_reason_is_never_empty_and_keeps_both_ends),
        cmocka_unit_test(every_failure_has_a_next_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
