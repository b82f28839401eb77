/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void every_code_has_all_its_meanings(void **state)
{
    (void)state;
    for (int i = 0; i < VY_CODE_COUNT; i++) {
        const enum vy_code code = (enum vy_code)i;
        const char *smtp = vy_code_smtp_reply(code);
        assert_true(strlen(vy_code_name(code)) > 0);
        assert_true(strlen(vy_code_text(code)) > 0);
        assert_true(strlen(smtp) >= 9);
        assert_int_equal(smtp[0], smtp[4]); /* "550 5.1.1": both classes agree (RFC 3463) */
        assert_non_null(vy_code_imap_code(code));
        assert_in_range(vy_code_grpc_status(code), 0, 16);
        assert_int_equal(vy_code_grpc_status(code) == 0, code == VY_CODE_OK);
    }
}

static void what_may_be_tried_again_is_a_temporary_reply(void **state)
{
    (void)state;
    for (int i = 0; i < VY_CODE_COUNT; i++) {
        const enum vy_code code = (enum vy_code)i;
        if (vy_code_is_retryable(code)) {
            assert_int_equal(vy_code_smtp_reply(code)[0], '4');
        }
    }
}

static struct vy_err pass(struct vy_err err, int *calls)
{
    VY_TRY(err);
    (*calls)++;
    return vy_ok();
}

static void try_returns_the_error_and_goes_on_without_one(void **state)
{
    (void)state;
    int calls = 0;
    const struct vy_err err = pass(vy_error_sys(VY_CODE_IO, 5, "disk"), &calls);
    assert_int_equal(err.code, VY_CODE_IO);
    assert_int_equal(err.sys, 5);
    assert_string_equal(err.what, "disk");
    assert_int_equal(calls, 0);
    assert_false(vy_failed(pass(vy_ok(), &calls)));
    assert_int_equal(calls, 1);
    assert_int_equal(sizeof(struct vy_err), 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_all_its_meanings),
        cmocka_unit_test(what_may_be_tried_again_is_a_temporary_reply),
        cmocka_unit_test(try_returns_the_error_and_goes_on_without_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
