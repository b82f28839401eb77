/* SPDX-License-Identifier: Apache-2.0 */
/* Headers, parameters and addresses that nobody means: rows M5 to M8 and M10. */
#include "mail/header.h"

#include "base/assert.h"
#include "mail/address.h"
#include "mail/envelope.h"
#include "mail/param.h"
#include "mail/summary.h"
#include "tests/lib/test.h"
#include <stdlib.h>

#define ARENA_BYTES (64U * 1024U * 1024U)

struct sample {
    struct vy_arena arena;
    struct vy_buf text;
};

static void sample_init(struct sample *s)
{
    vy_arena_init(&s->arena, ARENA_BYTES);
    vy_buf_init(&s->text, ARENA_BYTES);
}

static void sample_deinit(struct sample *s)
{
    vy_buf_deinit(&s->text);
    vy_arena_deinit(&s->arena);
}

static void add_many(struct sample *s, size_t count, const char *text)
{
    for (size_t i = 0; i < count; i++) {
        vy_buf_append_cstr(&s->text, text);
    }
}

static bool is_over_limit(const struct sample *s)
{
    const struct vy_err err = header_check_limits(vy_buf_bytes(&s->text));
    assert_true(!vy_failed(err) || err.code == VY_CODE_LIMIT);
    return vy_failed(err);
}

/* `count` times `text`, then whether that is too much, and the same by what is done at SMTP. */
static bool is_refused(size_t count, const char *text, const char *end)
{
    struct sample s;
    struct vy_buf out;
    sample_init(&s);
    add_many(&s, count, text);
    vy_buf_append_cstr(&s.text, end);
    const bool refused = is_over_limit(&s);
    vy_buf_append_cstr(&s.text, "\r\nbody\r\n");
    vy_buf_init(&out, SUMMARY_BYTES_MAX);
    const struct vy_err err = summary_of_message(&out, &s.arena, vy_buf_bytes(&s.text),
                                                 /* tolerate_limits = */ false);
    assert_int_equal(err.code == VY_CODE_LIMIT, refused);
    vy_buf_deinit(&out);
    sample_deinit(&s);
    return refused;
}

static void a_header_has_at_most_a_thousand_fields_M6(void **state)
{
    (void)state;
    assert_false(is_refused(HEADER_FIELDS_MAX - 1, "A: b\r\n", ""));
    assert_false(is_refused(HEADER_FIELDS_MAX, "A: b\r\n", ""));
    assert_true(is_refused(HEADER_FIELDS_MAX + 1, "A: b\r\n", ""));
    assert_true(is_refused(1000000, "A: b\r\n", ""));
    assert_true(is_refused(HEADER_FIELDS_MAX + 1, "no colon\r\n", "")); /* one is one */
}

static void a_field_has_at_most_256_kib_M6(void **state)
{
    (void)state;
    assert_false(is_refused(HEADER_FIELD_BYTES_MAX - 3, "x", ":\r\n"));
    assert_true(is_refused(HEADER_FIELD_BYTES_MAX - 2, "x", ":\r\n"));
    assert_true(is_refused(50U * 1024U * 1024U, "x", ":\r\n"));
    assert_false(is_refused(HEADER_FIELD_BYTES_MAX / 4 - 1, " x\r\n", "")); /* with its folding */
    assert_true(is_refused(HEADER_FIELD_BYTES_MAX / 4 + 1, " x\r\n", ""));
}

static void all_fields_have_at_most_a_mebibyte_M6(void **state)
{
    struct sample s;
    (void)state;
    sample_init(&s);
    for (unsigned i = 0; i < 4; i++) {
        vy_buf_append_cstr(&s.text, "A: ");
        add_many(&s, HEADER_FIELD_BYTES_MAX - 5, "x");
        vy_buf_append_cstr(&s.text, "\r\n");
    }
    assert_int_equal(vy_buf_len(&s.text), HEADER_BYTES_MAX);
    assert_false(is_over_limit(&s));
    vy_buf_append_cstr(&s.text, "A:\r\n");
    assert_true(is_over_limit(&s));
    sample_deinit(&s);
}

static void a_field_has_at_most_ten_thousand_addresses_M6(void **state)
{
    struct sample s;
    struct address_list list;
    (void)state;
    sample_init(&s);
    add_many(&s, 100000, "a@b,");
    assert_false(vy_failed(address_list_parse(&s.arena, vy_buf_bytes(&s.text), &list)));
    assert_true(list.is_cut);
    assert_int_equal(list.count, ADDRESS_COUNT_MAX);
    vy_buf_reset(&s.text);
    vy_arena_reset(&s.arena);
    add_many(&s, ADDRESS_COUNT_MAX - 1, "a@b,");
    vy_buf_append_cstr(&s.text, "a@b");
    assert_false(vy_failed(address_list_parse(&s.arena, vy_buf_bytes(&s.text), &list)));
    assert_false(list.is_cut);
    assert_int_equal(list.count, ADDRESS_COUNT_MAX);
    sample_deinit(&s);
}

static void odd_fields_are_shown_and_never_decide_M7(void **state)
{
    static const char block[] = " leading continuation\r\n"
                                "no colon at all\r\n"
                                "Subject : space before the colon\r\n"
                                "Sub\0ject: NUL\r\n"
                                "S\xfc"
                                "bject: 8 bit\r\n"
                                ": no name\r\n"
                                "Subject: the real one\r\n"
                                "\r\n"
                                "Subject: of the body\r\n";
    const struct vy_bytes header = vy_bytes(block, sizeof(block) - 1);
    struct header_iter iter;
    struct header_field field;
    size_t bytes = 0;
    size_t usable = 0;
    (void)state;
    header_iter_init(&iter, header);
    while (header_iter_next(&iter, &field)) {
        assert_int_equal(field.offset, bytes); /* none is left out, each is as it stands */
        bytes += field.raw.len;
        usable += field.is_usable ? 1 : 0;
    }
    assert_int_equal(usable, 1);
    assert_int_equal(bytes + 2, header_block_bytes(header));
    assert_int_equal(header_count(header, VY_LIT("Subject")), 1);
    assert_true(header_find(header, VY_LIT("subject"), &field));
    assert_true(vy_bytes_equal(field.value, VY_LIT(" the real one")));
}

/* Parses "text/plain<text>". */
static void parse_params(struct sample *s, struct param_field *out)
{
    assert_false(vy_failed(param_parse(&s->arena, vy_buf_bytes(&s->text), out)));
}

static void two_hundred_parameters_are_read_and_the_rest_is_not_M5(void **state)
{
    struct sample s;
    struct param_field field;
    (void)state;
    sample_init(&s);
    vy_buf_append_cstr(&s.text, "text/plain");
    for (unsigned i = 0; i < 100000; i++) {
        vy_buf_printf(&s.text, "; p%u=%u", i, i);
    }
    parse_params(&s, &field);
    assert_int_equal(field.params.count, PARAM_COUNT_MAX);
    assert_true(vy_bytes_equal(param_find(&field.params, VY_LIT("p199")), VY_LIT("199")));
    assert_null(param_find(&field.params, VY_LIT("p200")).data);
    sample_deinit(&s);
}

/* What a file is called, decided by one function for all who ask. */
static void expect_filename(const char *params, const char *expected)
{
    struct sample s;
    struct param_field field;
    struct vy_buf out;
    sample_init(&s);
    vy_buf_append_cstr(&s.text, "attachment; ");
    vy_buf_append_cstr(&s.text, params);
    parse_params(&s, &field);
    vy_buf_init(&out, 4096);
    const bool is_there = param_append_decoded(&out, &field.params, VY_LIT("filename"));
    assert_int_equal(is_there, expected != NULL);
    if (expected != NULL) {
        assert_true(vy_bytes_equal(vy_buf_bytes(&out), vy_cstr(expected)));
    }
    vy_buf_deinit(&out);
    sample_deinit(&s);
}

static void continuations_join_without_gaps_and_the_first_of_two_counts_M5(void **state)
{
    (void)state;
    expect_filename("filename*0=a; filename*1=b; filename*2=c", "abc");
    expect_filename("filename*2=c; filename*0=a; filename*1=b", "abc");
    expect_filename("filename*0=a; filename*2=c", "a");  /* a gap ends it */
    expect_filename("filename*1=b; filename*2=c", NULL); /* no beginning, no name */
    expect_filename("filename*0=a; filename*0=x; filename*1=b", "ab");
    expect_filename("filename=a; filename=b", "a");
    expect_filename("filename*0*=utf-8''%41; filename*1*=%42; filename*2=%43", "AB%43");
    expect_filename("filename*=utf-8''ext; filename=plain", "ext"); /* RFC 6266 section 4.3 */
    expect_filename("filename=plain; filename*=utf-8''ext", "ext");
    expect_filename("filename*99999999999999999999=x", NULL);
    expect_filename("filename*-1=x", NULL);
}

static void a_hundred_thousand_continuations_stop_at_the_limit_M5(void **state)
{
    struct sample s;
    struct param_field field;
    struct vy_buf out;
    (void)state;
    sample_init(&s);
    vy_buf_append_cstr(&s.text, "attachment");
    for (unsigned i = 0; i < 100000; i++) {
        vy_buf_printf(&s.text, "; filename*%u*=%%61", i);
    }
    parse_params(&s, &field);
    assert_int_equal(field.params.count, 1);
    vy_buf_init(&out, 4096);
    assert_true(param_append_decoded(&out, &field.params, VY_LIT("filename")));
    assert_true(vy_buf_len(&out) >= PARAM_COUNT_MAX - 2 && vy_buf_len(&out) <= PARAM_COUNT_MAX);
    vy_buf_deinit(&out);
    sample_deinit(&s);
}

/* The bytes alone in heap memory: a read past their end is one past the block. */
static void parse_exactly(const char *text, struct vy_arena *arena, struct address_list *list)
{
    const size_t len = strlen(text);
    char *const exact = malloc(len);
    assert_non_null(exact);
    memcpy(exact, text, len);
    assert_false(vy_failed(address_list_parse(arena, vy_bytes(exact, len), list)));
    free(exact);
}

static void nothing_is_read_behind_an_end_in_the_middle_M8(void **state)
{
    static const char *const texts[] = {"a@b (x\\", "(\\",         "\\",        "\"a\\",
                                        "\"",       "a <b@c",      "<@a,@b:c@", "a@[1\\",
                                        "g:",       "=?utf-8?q?a", "<",         "\"\\\"@b"};
    struct vy_arena arena;
    struct address_list list;
    struct param_field field;
    (void)state;
    vy_arena_init(&arena, ARENA_BYTES);
    for (size_t i = 0; i < VY_COUNT_OF(texts); i++) {
        parse_exactly(texts[i], &arena, &list);
        const size_t len = strlen(texts[i]);
        char *const exact = malloc(len);
        assert_non_null(exact);
        memcpy(exact, texts[i], len);
        assert_false(vy_failed(param_parse(&arena, vy_bytes(exact, len), &field)));
        free(exact);
    }
    parse_exactly("a@b (x\\", &arena, &list);
    assert_int_equal(list.count, 1);
    vy_arena_deinit(&arena);
}

static size_t count_behind_comments(size_t depth)
{
    struct sample s;
    struct address_list list;
    sample_init(&s);
    add_many(&s, depth, "(");
    add_many(&s, depth, ")");
    vy_buf_append_cstr(&s.text, " a@b");
    assert_false(vy_failed(address_list_parse(&s.arena, vy_buf_bytes(&s.text), &list)));
    const size_t count = list.count;
    sample_deinit(&s);
    return count;
}

static void comments_nest_fifty_deep_and_deeper_ones_hide_the_rest_M8(void **state)
{
    (void)state;
    assert_int_equal(count_behind_comments(ADDRESS_COMMENT_DEPTH_MAX), 1);
    assert_int_equal(count_behind_comments(ADDRESS_COMMENT_DEPTH_MAX + 1), 0);
    assert_int_equal(count_behind_comments(10000), 0);
    assert_int_equal(count_behind_comments(10000000), 0); /* recursion would not survive it */
}

static void groups_empty_and_repeated_from_fields_give_an_envelope_M10(void **state)
{
    static const char *const headers[] = {"From: g:;\r\n\r\n",     "From: g:a@b,c@d;\r\n\r\n",
                                          "From:\r\n\r\n",         "From: ,,,\r\n\r\n",
                                          "From: <>\r\n\r\n",      "From: @\r\n\r\n",
                                          "From: g: h: ;;\r\n\r\n"};
    struct sample s;
    (void)state;
    sample_init(&s);
    for (size_t i = 0; i < VY_COUNT_OF(headers); i++) {
        vy_buf_reset(&s.text);
        assert_false(vy_failed(envelope_append(&s.text, &s.arena, vy_cstr(headers[i]))));
        assert_false(s.text.failed);
    }
    vy_buf_reset(&s.text);
    assert_false(vy_failed(
        envelope_append(&s.text, &s.arena, VY_LIT("From: a@x\r\nFrom: b@x\r\nFrom: c@x\r\n\r\n"))));
    assert_true(vy_bytes_find(vy_buf_bytes(&s.text), VY_LIT("\"a\" \"x\""), 0) != SIZE_MAX);
    assert_true(vy_bytes_find(vy_buf_bytes(&s.text), VY_LIT("\"b\" \"x\""), 0) == SIZE_MAX);
    sample_deinit(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_header_has_at_most_a_thousand_fields_M6),
        cmocka_unit_test(a_field_has_at_most_256_kib_M6),
        cmocka_unit_test(all_fields_have_at_most_a_mebibyte_M6),
        cmocka_unit_test(a_field_has_at_most_ten_thousand_addresses_M6),
        cmocka_unit_test(odd_fields_are_shown_and_never_decide_M7),
        cmocka_unit_test(two_hundred_parameters_are_read_and_the_rest_is_not_M5),
        cmocka_unit_test(continuations_join_without_gaps_and_the_first_of_two_counts_M5),
        cmocka_unit_test(a_hundred_thousand_continuations_stop_at_the_limit_M5),
        cmocka_unit_test(nothing_is_read_behind_an_end_in_the_middle_M8),
        cmocka_unit_test(comments_nest_fifty_deep_and_deeper_ones_hide_the_rest_M8),
        cmocka_unit_test(groups_empty_and_repeated_from_fields_give_an_envelope_M10),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
