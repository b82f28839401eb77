/* SPDX-License-Identifier: Apache-2.0 */
#include "frontend/smtp/data.h"

#include "tests/lib/test.h"
#include <stdio.h>
#include <stdlib.h>

static bool is_recipient(void *arg, struct vy_bytes address)
{
    (void)arg;
    return vy_bytes_equal_nocase(address, VY_LIT("dev@dev.test"));
}
static const struct smtp_header_config plain = {.is_recipient = is_recipient};
static const struct smtp_header_config adding = {.message_id_line = VY_LIT("Message-ID: <1@x>\r\n"),
                                                 .date_line = VY_LIT("Date: now\r\n")};

struct result {
    struct vy_buf out;
    enum smtp_data_fault fault;
    enum smtp_data_status status;
    size_t unread;
};

static void take(struct smtp_data *data, struct vy_bytes piece, struct result *r)
{
    struct vy_bytes rest = piece;
    if (r->status == SMTP_DATA_MORE && data->fault != SMTP_DATA_BARE_EOL) {
        r->status = smtp_data_take_dotted(data, &rest, &r->out, SIZE_MAX);
    }
    r->unread += rest.len;
}

/* In two pieces, cut at `at`; every cut must give the same. */
static struct result play(const struct smtp_header_config *config, struct vy_bytes in, size_t at)
{
    struct smtp_data data;
    struct result r = {.status = SMTP_DATA_MORE};
    vy_buf_init(&r.out, 1U << 24);
    smtp_data_init(&data, 1U << 20, config);
    take(&data, vy_bytes_slice(in, 0, at), &r);
    take(&data, vy_bytes_from(in, at), &r);
    if (r.status == SMTP_DATA_OVER) {
        smtp_data_finish(&data, &r.out);
    }
    r.fault = data.fault;
    return r;
}

static void assert_gives(const struct smtp_header_config *config, struct vy_bytes in,
                         enum smtp_data_fault fault, struct vy_bytes out, size_t unread)
{
    for (size_t at = 0; at <= in.len; at++) {
        struct result r = play(config, in, at);
        if (r.fault != fault || (fault == SMTP_DATA_FINE && r.unread != unread) ||
            (fault == SMTP_DATA_FINE && !vy_bytes_equal(vy_buf_bytes(&r.out), out))) {
            print_error("%.*s cut at %zu: fault %d, out %.*s\n", VY_PRI(in), at, (int)r.fault,
                        VY_PRI(vy_buf_bytes(&r.out)));
            fail();
        }
        vy_buf_deinit(&r.out);
    }
}

/* S1, S2, S3, PIPE-6: only CRLF.CRLF ends a message, and nothing else stands in for a line end. */
static void only_crlf_dot_crlf_ends_a_message(void **state)
{
    (void)state;
    static const char *const ends[] = {"\r\n", "\n", "\r"};
    for (size_t a = 0; a < 3; a++) {
        for (size_t b = 0; b < 3; b++) {
            char text[64];
            const int len = snprintf(text, sizeof(text), "x%s.%sQUIT\r\n", ends[a], ends[b]);
            const bool is_right = a == 0 && b == 0;
            assert_gives(&plain, vy_bytes(text, (size_t)len),
                         is_right ? SMTP_DATA_FINE : SMTP_DATA_BARE_EOL, VY_LIT("x\r\n"),
                         is_right ? 6 : 0);
        }
    }
    static const struct vy_bytes others[] = {
        VY_LIT("x\r\r\n.\r\nQUIT"), VY_LIT("x\r\n.\r\r\nQUIT"), VY_LIT("x\n\r.\r\nQUIT"),
        VY_LIT("\n.\r\nQUIT"),      VY_LIT(".\nQUIT"),          VY_LIT(".\rQUIT"),
        VY_LIT("a\rb\r\n.\r\n"),    VY_LIT("a: b\rc: d\r\n"),   VY_LIT("\r\n\r\r\n.\r\n"),
    };
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_gives(&plain, others[i], SMTP_DATA_BARE_EOL, vy_bytes(NULL, 0), 0);
    }
}

/* S4 */
static void dots_at_the_start_of_lines_are_undone_wherever_the_cut_is(void **state)
{
    (void)state;
    static const struct {
        struct vy_bytes in;
        struct vy_bytes out;
        size_t unread;
    } rows[] = {
        {VY_LIT(".\r\n"),                        VY_LIT(""),                 0},
        {VY_LIT("\r\n.\r\n"),                    VY_LIT("\r\n"),             0},
        {VY_LIT("..\r\n.\r\n"),                  VY_LIT(".\r\n"),            0},
        {VY_LIT("...\r\n.\r\nNOOP\r\n"),         VY_LIT("..\r\n"),           6},
        {VY_LIT(".a\r\n.\r\n"),                  VY_LIT("a\r\n"),            0},
        {VY_LIT("a.\r\n.\r\n"),                  VY_LIT("a.\r\n"),           0},
        {VY_LIT("a\r\n.b\r\n..c\r\n.\r\n.\r\n"), VY_LIT("a\r\nb\r\n.c\r\n"), 3},
        {VY_LIT(". \r\n.\r\n"),                  VY_LIT(" \r\n"),            0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_gives(&plain, rows[i].in, SMTP_DATA_FINE, rows[i].out, rows[i].unread);
    }
}

/* S5 */
static void nul_is_refused_wherever_it_stands(void **state)
{
    (void)state;
    static const struct vy_bytes rows[] = {
        VY_LIT("A: \0\r\n.\r\n"),
        VY_LIT("\0\r\n.\r\n"),
        VY_LIT("A: b\r\n\r\nx\0\r\n.\r\n"),
        VY_LIT("A: b\r\n\r\n.\0\r\n.\r\n"),
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_gives(&plain, rows[i], SMTP_DATA_NUL, vy_bytes(NULL, 0), 0);
    }
}

static struct vy_bytes repeat(const char *line, size_t count, const char *end)
{
    static char text[4U << 20];
    const size_t len = strlen(line);
    assert_true(len * count + strlen(end) < sizeof(text));
    for (size_t i = 0; i < count; i++) {
        memcpy(text + i * len, line, len);
    }
    memcpy(text + len * count, end, strlen(end));
    return vy_bytes(text, len * count + strlen(end));
}

static enum smtp_data_fault fault_of(struct vy_bytes in)
{
    struct result r = play(&plain, in, 0);
    vy_buf_deinit(&r.out);
    return r.fault;
}

/* S30 */
static void a_hundred_received_fields_are_no_loop_and_one_more_is(void **state)
{
    (void)state;
    static const struct {
        size_t count;
        enum smtp_data_fault fault;
    } rows[] = {
        {99,  SMTP_DATA_FINE},
        {100, SMTP_DATA_FINE},
        {101, SMTP_DATA_LOOP},
    };
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(fault_of(repeat("rEceived : x\r\n", rows[i].count, "\r\n.\r\n")),
                         rows[i].fault);
        assert_int_equal(fault_of(repeat(" Received: folded\r\n", rows[i].count, "\r\n.\r\n")),
                         SMTP_DATA_FINE);
    }
    assert_int_equal(fault_of(VY_LIT("Delivered-To: dev@dev.test\r\n.\r\n")), SMTP_DATA_LOOP);
    assert_int_equal(fault_of(VY_LIT("Delivered-To: two@dev.test\r\n.\r\n")), SMTP_DATA_FINE);
    assert_int_equal(fault_of(VY_LIT("\r\nDelivered-To: dev@dev.test\r\n.\r\n")), SMTP_DATA_FINE);
}

static enum smtp_data_fault fault_at(size_t size, size_t size_max)
{
    struct smtp_data data;
    struct vy_buf out;
    struct vy_bytes in = repeat("x", size - 2, "\r\n.\r\n");
    vy_buf_init(&out, 1U << 24);
    smtp_data_init(&data, size_max, &plain);
    assert_int_equal(smtp_data_take_dotted(&data, &in, &out, SIZE_MAX), SMTP_DATA_OVER);
    vy_buf_deinit(&out);
    return data.fault;
}

/* S22 */
static void the_size_limit_holds_to_the_byte(void **state)
{
    (void)state;
    assert_int_equal(fault_at(999, 1000), SMTP_DATA_FINE);
    assert_int_equal(fault_at(1000, 1000), SMTP_DATA_FINE);
    assert_int_equal(fault_at(1001, 1000), SMTP_DATA_TOO_LARGE);
}

static void a_header_has_its_own_limit(void **state)
{
    (void)state;
    /* One endless line that begins as a field; with its CRLF it is counted to the byte. */
    for (size_t size = SMTP_HEADER_BYTES_MAX - 1; size <= SMTP_HEADER_BYTES_MAX + 1; size++) {
        struct smtp_data data;
        struct vy_buf out;
        struct vy_bytes in = repeat("x", size - 2, "\r\n.\r\n");
        const uint8_t colon[] = {'A', ':'};
        memcpy((void *)(uintptr_t)in.data, colon, sizeof(colon));
        vy_buf_init(&out, 1U << 24);
        smtp_data_init(&data, 1U << 24, &plain);
        (void)smtp_data_take_dotted(&data, &in, &out, SIZE_MAX);
        assert_int_equal(data.fault, size > SMTP_HEADER_BYTES_MAX ? SMTP_DATA_HEADER_TOO_LARGE
                                                                  : SMTP_DATA_FINE);
        vy_buf_deinit(&out);
    }
}

/* RFC 6409 section 8, with the beginning of every line held back at every cut. */
static void missing_fields_are_added_at_the_end_of_the_header(void **state)
{
    (void)state;
    static const struct {
        struct vy_bytes in;
        struct vy_bytes out;
    } rows[] = {
        {VY_LIT("A: b\r\n\r\nx\r\n.\r\n"),
         VY_LIT("A: b\r\nDate: now\r\nMessage-ID: <1@x>\r\n\r\nx\r\n")                                                 },
        {VY_LIT("DATE: b\r\n\r\nx\r\n.\r\n"),                      VY_LIT("DATE: b\r\nMessage-ID: <1@x>\r\n\r\nx\r\n") },
        {VY_LIT("Message-Id: b\r\nDate: c\r\n\r\n.\r\n"),
         VY_LIT("Message-Id: b\r\nDate: c\r\n\r\n")                                                                    },
        {VY_LIT("A: b\r\n Date: folded\r\n\r\n.\r\n"),
         VY_LIT("A: b\r\n Date: folded\r\nDate: now\r\nMessage-ID: <1@x>\r\n\r\n")                                     },
        {VY_LIT("A: b\r\n.\r\n"),                                  VY_LIT("A: b\r\nDate: now\r\nMessage-ID: <1@x>\r\n")},
        {VY_LIT(".\r\n"),                                          VY_LIT("Date: now\r\nMessage-ID: <1@x>\r\n")        },
        {VY_LIT("just text\r\n.\r\n"),
         VY_LIT("Date: now\r\nMessage-ID: <1@x>\r\n\r\njust text\r\n")                                                 },
        {VY_LIT("Date: a\r\nMessage-ID: b\r\njust text\r\n.\r\n"),
         VY_LIT("Date: a\r\nMessage-ID: b\r\njust text\r\n")                                                           },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_gives(&adding, rows[i].in, SMTP_DATA_FINE, rows[i].out, 0);
    }
}

static void lines_around_what_is_held_back_pass_unchanged(void **state)
{
    (void)state;
    for (size_t len = SMTP_HEADER_HELD_BYTES - 3; len <= SMTP_HEADER_HELD_BYTES + 3; len++) {
        struct vy_bytes in = repeat("y", len, "\r\n\r\nbody\r\n.\r\n");
        const uint8_t name[] = {'A', ':'};
        memcpy((void *)(uintptr_t)in.data, name, sizeof(name));
        assert_gives(&plain, in, SMTP_DATA_FINE, vy_bytes_slice(in, 0, in.len - 3), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_crlf_dot_crlf_ends_a_message),
        cmocka_unit_test(dots_at_the_start_of_lines_are_undone_wherever_the_cut_is),
        cmocka_unit_test(nul_is_refused_wherever_it_stands),
        cmocka_unit_test(a_hundred_received_fields_are_no_loop_and_one_more_is),
        cmocka_unit_test(the_size_limit_holds_to_the_byte),
        cmocka_unit_test(a_header_has_its_own_limit),
        cmocka_unit_test(missing_fields_are_added_at_the_end_of_the_header),
        cmocka_unit_test(lines_around_what_is_held_back_pass_unchanged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
