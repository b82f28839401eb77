/* SPDX-License-Identifier: Apache-2.0 */
#include "base/assert.h"
#include "frontend/imap/reader.h"
#include "tests/lib/test.h"

/* Feeds text in chunks until something is told; what is left stays in *in. */
static enum imap_read feed(struct imap_reader *reader, struct vy_bytes *in, size_t chunk_bytes)
{
    enum imap_read result = IMAP_READ_MORE;
    while (in->len > 0 && result == IMAP_READ_MORE) {
        struct vy_bytes chunk = vy_bytes_slice(*in, 0, chunk_bytes);
        const size_t before = chunk.len;
        result = imap_reader_take(reader, &chunk);
        *in = vy_bytes_from(*in, before - chunk.len);
    }
    return result;
}

static void assert_text(const struct imap_reader *reader, const char *text)
{
    assert_true(vy_bytes_equal(imap_reader_text(reader), vy_cstr(text)));
}

static void a_line_ends_with_crlf_or_lf_in_any_split(void **state)
{
    (void)state;
    for (size_t chunk = 1; chunk < 12; chunk++) {
        struct imap_reader reader;
        imap_reader_init(&reader, 65536);
        struct vy_bytes in = VY_LIT("a1 NOOP\r\na2 NOOP\n");
        assert_int_equal(feed(&reader, &in, chunk), IMAP_READ_COMMAND);
        assert_text(&reader, "a1 NOOP");
        imap_reader_reset(&reader);
        assert_int_equal(feed(&reader, &in, chunk), IMAP_READ_COMMAND);
        assert_text(&reader, "a2 NOOP");
        assert_int_equal(in.len, 0);
        imap_reader_deinit(&reader);
    }
}

static void literals_are_told_before_their_bytes_are_taken(void **state)
{
    (void)state;
    for (size_t chunk = 1; chunk < 30; chunk++) {
        struct imap_reader reader;
        imap_reader_init(&reader, 65536);
        struct vy_bytes in = VY_LIT("a LOGIN {3}\r\n\"(\n {0+}\r\n x\r\n");
        assert_int_equal(feed(&reader, &in, chunk), IMAP_READ_LITERAL);
        assert_int_equal(reader.literal_size, 3);
        assert_true(reader.literal_is_sync);
        imap_reader_accept_literal(&reader);
        assert_int_equal(feed(&reader, &in, chunk), IMAP_READ_LITERAL);
        assert_int_equal(reader.literal_size, 0);
        assert_false(reader.literal_is_sync);
        assert_int_equal(reader.literal_bytes, 3);
        imap_reader_accept_literal(&reader);
        assert_int_equal(feed(&reader, &in, chunk), IMAP_READ_COMMAND);
        assert_text(&reader, "a LOGIN {3}\r\n\"(\n {0+}\r\n x");
        imap_reader_deinit(&reader);
    }
}

static void sizes_that_are_none_are_told(void **state)
{
    (void)state;
    static const char *const lines[] = {"a {}\r\n",           "a {-1}\r\n", "a {+}\r\n",
                                        "a {4294967296}\r\n", "a {1x}\r\n", "a {1++}\r\n",
                                        "a { 1}\r\n"};
    for (size_t i = 0; i < VY_COUNT_OF(lines); i++) {
        struct imap_reader reader;
        imap_reader_init(&reader, 65536);
        struct vy_bytes in = vy_cstr(lines[i]);
        assert_int_equal(feed(&reader, &in, 100), IMAP_READ_BAD_SIZE); /* I1 */
        imap_reader_deinit(&reader);
    }
}

static void braces_inside_quotes_are_no_literal(void **state)
{
    (void)state;
    struct imap_reader reader;
    imap_reader_init(&reader, 65536);
    struct vy_bytes in = VY_LIT("a \"{5}\"\r\na \"\\\"{5}\r\n");
    assert_int_equal(feed(&reader, &in, 100), IMAP_READ_COMMAND);
    imap_reader_reset(&reader);
    assert_int_equal(feed(&reader, &in, 100), IMAP_READ_BAD); /* I4: no end of the quotes */
    imap_reader_deinit(&reader);
}

static void depth_is_bounded_while_reading(void **state)
{
    (void)state;
    for (size_t depth = 15; depth <= 17; depth++) { /* I3: 16 */
        struct imap_reader reader;
        char line[64] = "a ";
        memset(line + 2, '(', depth);
        memcpy(line + 2 + depth, "\r\n", 3);
        imap_reader_init(&reader, 65536);
        struct vy_bytes in = vy_cstr(line);
        assert_int_equal(feed(&reader, &in, 1), depth <= 16 ? IMAP_READ_COMMAND : IMAP_READ_BAD);
        imap_reader_deinit(&reader);
    }
}

static void a_line_over_its_limit_is_told(void **state)
{
    (void)state;
    for (uint32_t max = 9; max <= 11; max++) { /* "a1 NOOP\r\n" has 9 bytes, with one more 10 */
        struct imap_reader reader;
        imap_reader_init(&reader, max);
        struct vy_bytes in = VY_LIT("a1 NOOPx\r\n");
        assert_int_equal(feed(&reader, &in, 3), max < 10 ? IMAP_READ_TOO_LONG : IMAP_READ_COMMAND);
        imap_reader_deinit(&reader);
    }
}

static void a_skipped_command_is_followed_to_its_end(void **state)
{
    (void)state;
    for (size_t chunk = 1; chunk < 40; chunk++) {
        struct imap_reader reader;
        imap_reader_init(&reader, 65536);
        struct vy_bytes in = VY_LIT("a X {5+}\r\nab\r\nc more {2+}\r\n\r\n end\r\nb NOOP\r\n");
        assert_int_equal(feed(&reader, &in, chunk), IMAP_READ_LITERAL);
        imap_reader_skip_literal(&reader);
        assert_int_equal(feed(&reader, &in, chunk), IMAP_READ_SKIPPED);
        imap_reader_reset(&reader);
        assert_int_equal(feed(&reader, &in, chunk), IMAP_READ_COMMAND);
        assert_text(&reader, "b NOOP");
        imap_reader_deinit(&reader);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_ends_with_crlf_or_lf_in_any_split),
        cmocka_unit_test(literals_are_told_before_their_bytes_are_taken),
        cmocka_unit_test(sizes_that_are_none_are_told),
        cmocka_unit_test(braces_inside_quotes_are_no_literal),
        cmocka_unit_test(depth_is_bounded_while_reading),
        cmocka_unit_test(a_line_over_its_limit_is_told),
        cmocka_unit_test(a_skipped_command_is_followed_to_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
