/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include "base/assert.h"
#include "base/err.h"
#include "tests/lib/fake_clock.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct lines {
    char text[20000];
    size_t len;
    unsigned count;
};

static void keep_line(void *arg, enum vy_log_level level, const char *line, size_t len)
{
    (void)level;
    struct lines *lines = arg;
    assert_true(len < sizeof(lines->text));
    memcpy(lines->text, line, len);
    lines->text[len] = '\0';
    lines->len = len;
    lines->count++;
}

struct fixture {
    struct lines lines;
    struct vy_log_sink sink;
    struct fake_clock clock;
    struct vy_log log;
};

static void fixture_init(struct fixture *f, enum vy_log_format format)
{
    *f = (struct fixture){
        .sink = {.write = keep_line, .arg = &f->lines}
    };
    fake_clock_init(&f->clock);
    f->clock.wall_ms += 7;
    f->log = (struct vy_log){
        .sink = &f->sink, .clock = &f->clock.base, .level = VY_LOG_INFO, .format = format};
}

static void a_line_is_logfmt_with_its_context_first(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, VY_LOG_LOGFMT);
    const struct vy_log_field context[] = {VY_HEX("conn", 0x7f3a)};
    f.log.context = context;
    f.log.context_count = 1;
    vy_log(&f.log, VY_LOG_INFO, "test.line.ok", VY_CSTR("a", "plain"), VY_CSTR("b", "two words"),
           VY_CSTR("c", ""), VY_U64("d", UINT64_MAX), VY_I64("e", INT64_MIN), VY_FLAG("f", 2));
    assert_string_equal(f.lines.text, "ts=2026-01-01T00:00:00.007Z level=info event=test.line.ok "
                                      "conn=0000000000007f3a a=plain b=\"two words\" c=\"\" "
                                      "d=18446744073709551615 e=-9223372036854775808 f=true");
}

static void an_id_is_32_digits_as_greetings_show_it(void **state)
{
    (void)state;
    struct fixture f;
    const uint8_t id[16] = {0x01, 0x23, [8] = 0xab, [15] = 0x0f};
    fixture_init(&f, VY_LOG_LOGFMT);
    vy_log(&f.log, VY_LOG_INFO, "test.line.ok", VY_ID("a", id), VY_ID("b", NULL));
    assert_string_equal(f.lines.text, "ts=2026-01-01T00:00:00.007Z level=info event=test.line.ok "
                                      "a=0123000000000000ab0000000000000f "
                                      "b=00000000000000000000000000000000");
}

static void a_line_is_json_with_the_same_keys(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, VY_LOG_JSON);
    const struct vy_err err = vy_error_sys(VY_CODE_IO, 5, "disk");
    vy_log(&f.log, VY_LOG_ERROR, "test.line.bad", VY_CSTR("a", "say \"x\""), VY_HEX("b", 1),
           VY_LOG_ERR(err));
    assert_string_equal(f.lines.text,
                        "{\"ts\":\"2026-01-01T00:00:00.007Z\",\"level\":\"error\","
                        "\"event\":\"test.line.bad\",\"a\":\"say \\\"x\\\"\","
                        "\"b\":\"0000000000000001\",\"err.code\":\"IO\",\"err.what\":\"disk\","
                        "\"err.sys\":5}");
}

static void lines_over_the_level_are_not_made(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, VY_LOG_LOGFMT);
    vy_log(&f.log, VY_LOG_DEBUG, "test.line.ok");
    vy_log(NULL, VY_LOG_ERROR, "test.line.ok");
    assert_int_equal(f.lines.count, 0);
    f.log.level = VY_LOG_DEBUG;
    vy_log(&f.log, VY_LOG_DEBUG, "test.line.ok");
    assert_int_equal(f.lines.count, 1);
    assert_true(vy_log_parse_level(VY_LIT("warn"), &f.log.level));
    assert_int_equal(f.log.level, VY_LOG_WARN);
    assert_false(vy_log_parse_level(VY_LIT("loud"), &f.log.level));
}

/* C9. */
static void no_value_breaks_out_of_its_line(void **state)
{
    (void)state;
    static const struct {
        struct vy_bytes value;
        const char *wanted;
    } rows[] = {
        {{(const uint8_t *)"a\r\nb", 4},       "x=\"a\\u000d\\u000ab\""},
        {{(const uint8_t *)"\x1b[31m", 5},     "x=\"\\u001b[31m\""     },
        {{(const uint8_t *)"a\0b", 3},         "x=\"a\\u0000b\""       },
        {{(const uint8_t *)"\xC3\x28", 2},     "x=\"\\ufffd(\""        },
        {{(const uint8_t *)"\xC2\x85", 2},     "x=\"\\u0085\""         },
        {{(const uint8_t *)"\xE2\x80\xAE", 3}, "x=\"\\u202e\""         },
        {{(const uint8_t *)"\xE2\x80\xA8", 3}, "x=\"\\u2028\""         },
        {{(const uint8_t *)"\xC3\xA4", 2},     "x=\"\xC3\xA4\""        },
        {{(const uint8_t *)"k=v", 3},          "x=\"k=v\""             },
        {{(const uint8_t *)"\\", 1},           "x=\"\\\\\""            },
    };
    for (size_t i = 0; i < VY_COUNT_OF(rows); i++) {
        struct fixture f;
        fixture_init(&f, VY_LOG_LOGFMT);
        vy_log(&f.log, VY_LOG_INFO, "test.line.ok", VY_STR("x", rows[i].value));
        assert_non_null(strstr(f.lines.text, rows[i].wanted));
    }
}

/* C9: 512 bytes as written, escapes counted. */
static void values_are_cut_at_512_bytes(void **state)
{
    (void)state;
    static char value[1U << 20];
    memset(value, 'a', sizeof(value));
    const size_t lens[] = {511, 512, 513, sizeof(value)};
    for (size_t i = 0; i < VY_COUNT_OF(lens); i++) {
        struct fixture f;
        fixture_init(&f, VY_LOG_LOGFMT);
        vy_log(&f.log, VY_LOG_INFO, "test.line.ok", VY_STR("x", vy_bytes(value, lens[i])));
        const char *written = strstr(f.lines.text, " x=") + 3;
        assert_int_equal(strlen(written), VY_MIN(lens[i], 512U));
        assert_int_equal(strcmp(written + strlen(written) - 3, "...") == 0, lens[i] > 512);
        memset(value, '\n', 600);
        vy_log(&f.log, VY_LOG_INFO, "test.line.ok", VY_STR("x", vy_bytes(value, 600)));
        assert_true(strlen(strstr(f.lines.text, " x=") + 3) <= 514);
        memset(value, 'a', 600);
    }
}

static void a_full_line_loses_whole_fields_and_says_so(void **state)
{
    (void)state;
    struct fixture f;
    char value[513];
    struct vy_log_field fields[60];
    memset(value, 'v', 512);
    value[512] = '\0';
    for (size_t i = 0; i < VY_COUNT_OF(fields); i++) {
        fields[i] = VY_CSTR("k", value);
    }
    fixture_init(&f, VY_LOG_JSON);
    vy_log_write(&f.log, VY_LOG_INFO, "test.line.ok", fields, VY_COUNT_OF(fields));
    assert_true(f.lines.len <= 16384);
    assert_string_equal(f.lines.text + f.lines.len - 19, "vv\",\"log.cut\":true}");
}

static size_t read_some(int fd, char *out, size_t size)
{
    const ssize_t got = read(fd, out, size);
    return got < 0 ? 0 : (size_t)got;
}

/* C10: the service goes on, whole lines only. */
static void a_blocked_pipe_drops_lines_and_comes_back(void **state)
{
    (void)state;
    static char text[1U << 20];
    char line[1000];
    int ends[2];
    struct vy_log_fd out;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0); /* blocking, as stderr is */
    vy_log_fd_init(&out, ends[1]);
    memset(line, 'x', sizeof(line));
    for (unsigned i = 0; i < 2000; i++) { /* 2 MB into a pipe of 64 KiB */
        out.sink.write(out.sink.arg, VY_LOG_INFO, line, sizeof(line));
    }
    const uint64_t dropped = vy_log_fd_dropped_count(&out);
    assert_in_range(dropped, 1900, 1999);
    size_t len = read_some(ends[0], text, sizeof(text));
    out.sink.write(out.sink.arg, VY_LOG_INFO, line, sizeof(line));
    assert_int_equal(vy_log_fd_dropped_count(&out), dropped);
    len += read_some(ends[0], text + len, sizeof(text) - len);
    assert_int_equal(len, (2000 - dropped + 1) * (sizeof(line) + 1));
    for (size_t i = sizeof(line); i < len; i += sizeof(line) + 1) {
        assert_int_equal(text[i], '\n');
    }
    (void)close(ends[0]);
    (void)close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_logfmt_with_its_context_first),
        cmocka_unit_test(an_id_is_32_digits_as_greetings_show_it),
        cmocka_unit_test(a_line_is_json_with_the_same_keys),
        cmocka_unit_test(lines_over_the_level_are_not_made),
        cmocka_unit_test(no_value_breaks_out_of_its_line),
        cmocka_unit_test(values_are_cut_at_512_bytes),
        cmocka_unit_test(a_full_line_loses_whole_fields_and_says_so),
        cmocka_unit_test(a_blocked_pipe_drops_lines_and_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
