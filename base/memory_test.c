/* SPDX-License-Identifier: Apache-2.0 */
/* Arenas and buffers. */
#include "base/arena.h"
#include "base/assert.h"
#include "base/buf.h"
#include "tests/lib/fault.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void an_arena_gives_zeroed_aligned_memory_up_to_its_limit(void **state)
{
    (void)state;
    struct vy_arena arena;
    vy_arena_init(&arena, 64);
    for (size_t i = 0; i < 4; i++) {
        const uint8_t *memory = vy_arena_alloc(&arena, 15 + i % 2);
        assert_non_null(memory);
        assert_int_equal((uintptr_t)memory % 16, 0);
        assert_int_equal(memory[0] | memory[14], 0);
    }
    assert_null(vy_arena_alloc(&arena, 1));
    vy_arena_reset(&arena);
    assert_null(vy_arena_alloc(&arena, 65));
    assert_non_null(vy_arena_alloc(&arena, 64));
    vy_arena_deinit(&arena);
    assert_null(vy_arena_alloc(&arena, SIZE_MAX));
    assert_null(vy_arena_array(&arena, SIZE_MAX / 2, 4));
}

static void memory_is_zero_again_after_a_reset(void **state)
{
    (void)state;
    struct vy_arena arena;
    vy_arena_init(&arena, 1U << 20);
    for (size_t round = 0; round < 3; round++) {
        for (size_t size = 1; size < 3000; size += 97) {
            uint8_t *memory = vy_arena_alloc(&arena, size);
            for (size_t i = 0; i < size; i++) {
                assert_int_equal(memory[i], 0);
                memory[i] = 0xAA;
            }
        }
        assert_non_null(vy_arena_alloc(&arena, 600000)); /* more than a block */
        vy_arena_reset(&arena);
    }
    vy_arena_deinit(&arena);
}

static void copies_end_in_a_nul_that_does_not_count(void **state)
{
    (void)state;
    struct vy_arena arena;
    struct vy_bytes copy;
    vy_arena_init(&arena, 1024);
    assert_false(vy_failed(vy_arena_dup(&arena, VY_LIT("a\0b"), &copy)));
    assert_int_equal(copy.len, 3);
    assert_int_equal(copy.data[3], 0);
    assert_string_equal(vy_arena_cstr(&arena, vy_bytes(NULL, 0)), "");
    assert_string_equal(vy_arena_printf(&arena, "%d-%s", 7, "x"), "7-x");
    assert_int_equal(vy_arena_dup(&arena, vy_bytes("", SIZE_MAX), &copy).code, VY_CODE_LIMIT);
    vy_arena_deinit(&arena);
}

static void an_arena_without_memory_says_so_and_goes_on(void **state)
{
    (void)state;
    struct vy_arena arena;
    vy_arena_init(&arena, 1U << 20);
    fault_begin(1);
    assert_null(vy_arena_alloc(&arena, 100));
    assert_true(fault_end());
    assert_non_null(vy_arena_alloc(&arena, 100));
    vy_arena_deinit(&arena);
}

static void a_buffer_takes_its_limit_and_not_one_byte_more(void **state)
{
    (void)state;
    static const uint8_t bytes[1001];
    for (size_t len = 999; len <= 1001; len++) {
        struct vy_buf buf;
        vy_buf_init(&buf, 1000);
        vy_buf_append(&buf, vy_bytes(bytes, len));
        assert_int_equal(vy_buf_error(&buf).code, len > 1000 ? VY_CODE_LIMIT : VY_CODE_OK);
        vy_buf_append_byte(&buf, 'x');
        assert_int_equal(vy_buf_error(&buf).code, len > 999 ? VY_CODE_LIMIT : VY_CODE_OK);
        vy_buf_reset(&buf);
        assert_false(vy_failed(vy_buf_error(&buf)));
        vy_buf_deinit(&buf);
    }
}

static void printf_fills_a_buffer_to_the_last_byte(void **state)
{
    (void)state;
    struct vy_buf buf;
    vy_buf_init(&buf, 5);
    vy_buf_printf(&buf, "%05d", 42);
    assert_true(vy_bytes_equal(vy_buf_bytes(&buf), VY_LIT("00042")));
    assert_false(vy_failed(vy_buf_error(&buf)));
    vy_buf_printf(&buf, "%s", "");
    assert_false(vy_failed(vy_buf_error(&buf)));
    vy_buf_printf(&buf, "x");
    assert_true(vy_failed(vy_buf_error(&buf)));
    vy_buf_deinit(&buf);
}

static void a_failed_buffer_takes_nothing_more(void **state)
{
    (void)state;
    struct vy_buf buf;
    vy_buf_init(&buf, 3);
    vy_buf_append(&buf, VY_LIT("ab"));
    vy_buf_append(&buf, VY_LIT("cd"));
    vy_buf_append(&buf, VY_LIT("e"));
    assert_true(vy_failed(vy_buf_error(&buf)));
    assert_true(vy_bytes_equal(vy_buf_bytes(&buf), VY_LIT("ab")));
    vy_buf_deinit(&buf);
}

static void a_stream_through_a_buffer_keeps_order_and_bounds_memory(void **state)
{
    (void)state;
    struct vy_buf buf;
    uint8_t next_in = 0;
    uint8_t next_out = 0;
    vy_buf_init(&buf, 4096);
    for (size_t round = 0; round < 5000; round++) {
        for (size_t i = 0; i < 1 + round % 300 && vy_buf_len(&buf) < 4096; i++) {
            vy_buf_append_byte(&buf, next_in++);
        }
        const size_t take = VY_MIN(vy_buf_len(&buf), 1 + round % 293);
        for (size_t i = 0; i < take; i++) {
            assert_int_equal(vy_buf_bytes(&buf).data[i], next_out++);
        }
        vy_buf_consume(&buf, take);
    }
    assert_false(vy_failed(vy_buf_error(&buf)));
    assert_true(buf.capacity <= 16384);
    vy_buf_consume(&buf, vy_buf_len(&buf));
    vy_buf_release(&buf);
    assert_null(buf.data);
}

static void numbers_are_written_big_endian_and_decimal(void **state)
{
    (void)state;
    struct vy_buf buf;
    vy_buf_init(&buf, 100);
    vy_buf_append_be16(&buf, 0x0102);
    vy_buf_append_be32(&buf, 0x03040506);
    vy_buf_append_be64(&buf, 0x0708090A0B0C0D0EULL);
    assert_true(vy_bytes_equal(vy_buf_bytes(&buf), VY_LIT("\1\2\3\4\5\6\7\10\11\12\13\14\15\16")));
    vy_buf_truncate(&buf, 1);
    vy_buf_append_u64(&buf, UINT64_MAX);
    vy_buf_append_u64(&buf, 0);
    assert_true(vy_bytes_equal(vy_buf_bytes(&buf), VY_LIT("\001184467440737095516150")));
    vy_buf_deinit(&buf);
}

static void a_buffer_without_memory_fails_and_keeps_what_it_has(void **state)
{
    (void)state;
    struct vy_buf buf;
    vy_buf_init(&buf, 100000);
    vy_buf_append(&buf, VY_LIT("kept"));
    fault_begin(1);
    assert_null(vy_buf_reserve(&buf, 50000));
    assert_true(fault_end());
    assert_int_equal(vy_buf_error(&buf).code, VY_CODE_LIMIT);
    assert_true(vy_bytes_equal(vy_buf_bytes(&buf), VY_LIT("kept")));
    vy_buf_deinit(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_arena_gives_zeroed_aligned_memory_up_to_its_limit),
        cmocka_unit_test(memory_is_zero_again_after_a_reset),
        cmocka_unit_test(copies_end_in_a_nul_that_does_not_count),
        cmocka_unit_test(an_arena_without_memory_says_so_and_goes_on),
        cmocka_unit_test(a_buffer_takes_its_limit_and_not_one_byte_more),
        cmocka_unit_test(printf_fills_a_buffer_to_the_last_byte),
        cmocka_unit_test(a_failed_buffer_takes_nothing_more),
        cmocka_unit_test(a_stream_through_a_buffer_keeps_order_and_bounds_memory),
        cmocka_unit_test(numbers_are_written_big_endian_and_decimal),
        cmocka_unit_test(a_buffer_without_memory_fails_and_keeps_what_it_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
