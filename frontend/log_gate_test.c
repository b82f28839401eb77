/* SPDX-License-Identifier: Apache-2.0 */
/* AUTH-2: what a flood writes into the log is bounded, and counted. */
#include "frontend/log_gate.h"

#include "tests/lib/test.h"

static void auth2_a_flood_writes_some_lines_a_second(void **state)
{
    struct log_gate gate = {.is_begun = false};
    uint64_t written = 0;
    uint64_t left_out = 0;
    (void)state;
    for (unsigned i = 0; i < 100000; i++) { /* 10,000 a second for 10 s */
        const uint64_t now_ms = 5000 + i / 10;
        left_out += log_gate_take_left_out(&gate, now_ms);
        written += log_gate_pass(&gate, now_ms);
    }
    left_out += log_gate_take_left_out(&gate, 100000);
    assert_in_range(written, LOG_GATE_BURST + 9 * LOG_GATE_PER_S,
                    LOG_GATE_BURST + 10 * LOG_GATE_PER_S);
    assert_int_equal(written + left_out, 100000);
}

static void what_comes_slowly_is_all_written(void **state)
{
    struct log_gate gate = {.is_begun = false};
    (void)state;
    for (uint64_t now_ms = 0; now_ms < 1000000; now_ms += 100) {
        assert_true(log_gate_pass(&gate, now_ms));
    }
    assert_int_equal(log_gate_take_left_out(&gate, 1000000), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(auth2_a_flood_writes_some_lines_a_second),
        cmocka_unit_test(what_comes_slowly_is_all_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
