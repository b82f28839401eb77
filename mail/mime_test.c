/* SPDX-License-Identifier: Apache-2.0 */
/* Structure of hostile messages: rows M1 to M4 and M12. Sizes are such that work which grows with
 * their square would not come to an end within the test's time limit. */
#include "mail/mime.h"

#include "base/assert.h"
#include "mail/bodystructure.h"
#include "mail/section.h"
#include "mail/summary.h"
#include "tests/lib/test.h"

#define ARENA_BYTES (64U * 1024U * 1024U)
#define MESSAGE_BYTES_MAX (64U * 1024U * 1024U)

/* A message under construction and what became of it. */
struct sample {
    struct vy_arena arena;
    struct vy_buf text;
    struct mime_structure structure;
};

static void sample_init(struct sample *s)
{
    vy_arena_init(&s->arena, ARENA_BYTES);
    vy_buf_init(&s->text, MESSAGE_BYTES_MAX);
}

static void sample_deinit(struct sample *s)
{
    vy_buf_deinit(&s->text);
    vy_arena_deinit(&s->arena);
}

static void add(struct sample *s, const char *text)
{
    vy_buf_append_cstr(&s->text, text);
}

static void add_many(struct sample *s, size_t count, const char *text)
{
    for (size_t i = 0; i < count; i++) {
        add(s, text);
    }
}

/* M4: every part lies inside its parent and behind its elder sibling, so that no walk can return
 * to where it was. */
static void check_offsets_grow(const struct mime_tree *tree, uint64_t message_bytes)
{
    for (size_t i = 0; i < tree->count; i++) {
        const struct mime_node *const node = &tree->nodes[i];
        assert_true(node->header_start <= node->body_start);
        assert_true(node->body_start <= node->body_end);
        assert_true(node->body_end <= message_bytes);
        assert_true(node->first_child == MIME_NONE || node->first_child > i);
        assert_true(node->next_sibling == MIME_NONE || node->next_sibling > i);
        if (node->parent != MIME_NONE) {
            const struct mime_node *const parent = &tree->nodes[node->parent];
            assert_true(node->parent < i);
            assert_true(node->header_start >= parent->body_start);
            assert_true(node->body_end <= parent->body_end);
        }
        if (node->next_sibling != MIME_NONE) {
            assert_true(tree->nodes[node->next_sibling].header_start >= node->body_end);
        }
    }
}

static void parse(struct sample *s)
{
    assert_false(s->text.failed);
    const struct vy_bytes message = vy_buf_bytes(&s->text);
    assert_false(vy_failed(mime_parse(&s->arena, message, &s->structure)));
    assert_int_equal(s->structure.size_bytes, message.len);
    check_offsets_grow(&s->structure.tree, message.len);
}

static bool is_type(const struct sample *s, size_t index, const char *type, const char *subtype)
{
    const struct mime_fields *const fields = &s->structure.fields[index];
    return vy_bytes_equal(fields->type, vy_cstr(type)) &&
           vy_bytes_equal(fields->subtype, vy_cstr(subtype));
}

static size_t bodystructure_bytes(struct sample *s)
{
    struct vy_buf out;
    vy_buf_init(&out, 8U * 1024U * 1024U);
    assert_false(
        vy_failed(bodystructure_append(&out, &s->arena, &s->structure, 0, BODYSTRUCTURE_EXTENDED)));
    assert_false(out.failed);
    const size_t len = vy_buf_len(&out);
    vy_buf_deinit(&out);
    return len;
}

/* What the server keeps of a message; M1, M2: also of these. */
static void check_summary(struct sample *s, bool has_bodystructure)
{
    struct vy_buf out;
    struct summary summary;
    vy_buf_init(&out, SUMMARY_BYTES_MAX);
    assert_false(vy_failed(summary_of_message(&out, &s->arena, vy_buf_bytes(&s->text),
                                              /* tolerate_limits = */ false)));
    assert_false(vy_failed(summary_decode(vy_buf_bytes(&out), &summary)));
    assert_int_equal(summary.bodystructure.data != NULL, has_bodystructure);
    vy_buf_deinit(&out);
}

static void ten_thousand_multiparts_stop_at_depth_50_M1(void **state)
{
    struct sample s;
    (void)state;
    sample_init(&s);
    for (unsigned i = 0; i < 10000; i++) {
        vy_buf_printf(&s.text, "Content-Type: multipart/mixed; boundary=b%u\r\n\r\n--b%u\r\n", i,
                      i);
    }
    add(&s, "\r\nthe end\r\n");
    parse(&s);
    assert_true(s.structure.is_cut);
    assert_int_equal(s.structure.tree.count, MIME_DEPTH_MAX + 1);
    const struct mime_node *const last = &s.structure.tree.nodes[MIME_DEPTH_MAX];
    assert_int_equal(last->depth, 50);
    assert_int_equal(last->kind, MIME_LEAF);
    assert_int_equal(last->body_end, s.structure.size_bytes);
    assert_true(is_type(&s, MIME_DEPTH_MAX - 1, "multipart", "mixed"));
    assert_true(is_type(&s, MIME_DEPTH_MAX, "application", "octet-stream"));
    check_summary(&s, true);
    sample_deinit(&s);
}

static void ten_thousand_messages_in_messages_stop_at_depth_50_M1(void **state)
{
    struct sample s;
    (void)state;
    sample_init(&s);
    add_many(&s, 10000, "Content-Type: message/rfc822\r\n\r\n");
    parse(&s);
    assert_true(s.structure.is_cut);
    assert_int_equal(s.structure.tree.count, MIME_DEPTH_MAX + 1);
    assert_true(is_type(&s, MIME_DEPTH_MAX, "application", "octet-stream"));
    assert_int_equal(s.structure.tree.nodes[MIME_DEPTH_MAX].body_end, s.structure.size_bytes);
    check_summary(&s, true);
    sample_deinit(&s);
}

/* The limit itself: `depth` multiparts around a text. */
static bool is_cut_at_depth(unsigned depth)
{
    struct sample s;
    sample_init(&s);
    for (unsigned i = 0; i < depth; i++) {
        vy_buf_printf(&s.text, "Content-Type: multipart/mixed; boundary=b%u\r\n\r\n--b%u\r\n", i,
                      i);
    }
    add(&s, "\r\ntext\r\n");
    parse(&s);
    const bool is_cut = s.structure.is_cut;
    sample_deinit(&s);
    return is_cut;
}

static void depth_50_is_read_and_51_is_opaque_M1(void **state)
{
    (void)state;
    assert_false(is_cut_at_depth(49));
    assert_false(is_cut_at_depth(50));
    assert_true(is_cut_at_depth(51));
}

static void add_siblings(struct sample *s, size_t count, const char *part)
{
    add(s, "Content-Type: multipart/mixed; boundary=b\r\n\r\n");
    add_many(s, count, part);
    add(s, "--b--\r\n");
}

static void hundred_thousand_siblings_end_in_one_opaque_part_M2(void **state)
{
    /* With content; a header only; nothing at all between the boundaries. */
    static const char *const parts[] = {"--b\r\n\r\nx\r\n", "--b\r\nA: b\r\n", "--b\r\n",
                                        "--b\n\n"};
    (void)state;
    for (size_t i = 0; i < VY_COUNT_OF(parts); i++) {
        struct sample s;
        sample_init(&s);
        add_siblings(&s, 100000, parts[i]);
        parse(&s);
        assert_true(s.structure.is_cut);
        assert_int_equal(s.structure.tree.count, MIME_PARTS_MAX + 1);
        assert_true(is_type(&s, MIME_PARTS_MAX, "application", "octet-stream"));
        assert_int_equal(s.structure.tree.nodes[MIME_PARTS_MAX].body_end, s.structure.size_bytes);
        assert_true(bodystructure_bytes(&s) < 200U * 1024U);
        check_summary(&s, false); /* longer than what is kept beside a message; made on demand */
        sample_deinit(&s);
    }
}

static void a_thousand_parts_are_read_and_one_more_is_opaque_M2(void **state)
{
    (void)state;
    for (size_t count = MIME_PARTS_MAX - 2; count <= MIME_PARTS_MAX; count++) {
        struct sample s;
        sample_init(&s);
        add_siblings(&s, count, "--b\r\n\r\nx\r\n"); /* the message itself is one part more */
        parse(&s);
        assert_int_equal(s.structure.is_cut, count + 1 > MIME_PARTS_MAX);
        assert_int_equal(s.structure.tree.count, count + 1);
        sample_deinit(&s);
    }
}

/* Number of parts that a multipart with this boundary has. */
static size_t parts_with_boundary(size_t boundary_bytes)
{
    struct sample s;
    sample_init(&s);
    add(&s, "Content-Type: multipart/mixed; boundary=\"");
    add_many(&s, boundary_bytes, "x");
    add(&s, "\"\r\n\r\n--");
    add_many(&s, boundary_bytes, "x");
    add(&s, "\r\n\r\none\r\n--");
    add_many(&s, boundary_bytes, "x");
    add(&s, "--\r\n");
    parse(&s);
    const size_t count = s.structure.tree.count;
    assert_int_equal(is_type(&s, 0, "application", "octet-stream"), count == 1);
    sample_deinit(&s);
    return count;
}

static void boundaries_have_1_to_70_characters_M3(void **state)
{
    (void)state;
    assert_int_equal(parts_with_boundary(0), 1);
    assert_int_equal(parts_with_boundary(1), 2);
    assert_int_equal(parts_with_boundary(70), 2);
    assert_int_equal(parts_with_boundary(71), 1);
    assert_int_equal(parts_with_boundary(1024U * 1024U), 1);
}

static void a_boundary_of_both_belongs_to_the_parent_M3(void **state)
{
    struct sample s;
    (void)state;
    sample_init(&s);
    add(&s, "Content-Type: multipart/mixed; boundary=same\r\n\r\n"
            "--same\r\nContent-Type: multipart/mixed; boundary=same\r\n\r\n"
            "--same\r\n\r\nsecond part of the parent\r\n--same--\r\nepilogue\r\n--same\r\n\r\nno "
            "part\r\n");
    parse(&s);
    assert_int_equal(s.structure.tree.count, 3);
    assert_int_equal(s.structure.tree.nodes[1].parent, 0);
    assert_int_equal(s.structure.tree.nodes[2].parent, 0);
    assert_true(is_type(&s, 1, "application", "octet-stream")); /* no part was left for it */
    sample_deinit(&s);
}

static void a_boundary_that_begins_another_is_not_the_other_M3(void **state)
{
    struct sample s;
    (void)state;
    sample_init(&s);
    add(&s, "Content-Type: multipart/mixed; boundary=ab\r\n\r\n"
            "--abc\r\nnot one\r\n--ab x\r\nnor this\r\n--ab\r\n"
            "Content-Type: multipart/mixed; boundary=abc\r\n\r\n"
            "--abc\r\n\r\ninner\r\n--abc--\r\n--ab \t\r\n\r\nouter\r\n--ab--\r\n");
    parse(&s);
    assert_int_equal(s.structure.tree.count, 4);
    assert_int_equal(s.structure.tree.nodes[1].parent, 0);
    assert_int_equal(s.structure.tree.nodes[2].parent, 1);
    assert_int_equal(s.structure.tree.nodes[3].parent, 0);
    sample_deinit(&s);
}

static void lines_that_are_nearly_boundaries_cost_no_more_than_others_M3_M12(void **state)
{
    struct sample s;
    (void)state;
    sample_init(&s);
    for (unsigned i = 0; i < MIME_DEPTH_MAX; i++) { /* as many open boundaries as there may be */
        vy_buf_printf(&s.text, "Content-Type: multipart/mixed; boundary=%064u\r\n\r\n--%064u\r\n",
                      i, i);
    }
    add(&s, "\r\n");
    add_many(&s, 100000, "--000000000000000000000000000000000000000000000000000000000000009x\r\n");
    add_many(&s, 4U * 1024U * 1024U, "-"); /* one line */
    add_many(&s, 1024U * 1024U, "\r\n-");
    parse(&s);
    assert_int_equal(s.structure.tree.count, MIME_DEPTH_MAX + 1);
    sample_deinit(&s);
}

static void a_message_that_quotes_itself_has_parts_that_only_go_forward_M4(void **state)
{
    static const char *const texts[] = {
        /* the boundary of the outer one comes again inside the inner, and after its end */
        "Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\nContent-Type: "
        "message/rfc822\r\n\r\n"
        "Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\r\nx\r\n--a--\r\n--a\r\n",
        "Content-Type: multipart/digest; boundary=a\r\n\r\n--a\r\n--a\r\n\r\n--a\r\n--a--",
        "Content-Type: message/rfc822\r\n\r\nContent-Type: message/rfc822\r\n\r\n",
        "Content-Type: message/rfc822\r\n",
        "Content-Type: multipart/mixed; boundary=a\r\n\r\n--a",
        "--a\r\nContent-Type: multipart/mixed; boundary=a\r\n--a\r\n\r\n--a--\r\n",
    };
    (void)state;
    for (size_t i = 0; i < VY_COUNT_OF(texts); i++) {
        struct sample s;
        sample_init(&s);
        add(&s, texts[i]);
        parse(&s); /* checks the offsets */
        sample_deinit(&s);
    }
}

static void a_path_of_two_hundred_numbers_is_refused_I15(void **state)
{
    struct sample s;
    struct mail_section section;
    (void)state;
    sample_init(&s);
    add(&s, "1");
    add_many(&s, MAIL_SECTION_DEPTH_MAX - 1, ".1");
    assert_false(vy_failed(mail_section_parse(&s.arena, vy_buf_bytes(&s.text), &section)));
    assert_int_equal(section.path_count, MAIL_SECTION_DEPTH_MAX);
    add(&s, ".1");
    assert_int_equal(mail_section_parse(&s.arena, vy_buf_bytes(&s.text), &section).code,
                     VY_CODE_LIMIT);
    add_many(&s, 99, ".1");
    assert_int_equal(mail_section_parse(&s.arena, vy_buf_bytes(&s.text), &section).code,
                     VY_CODE_LIMIT);
    sample_deinit(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_thousand_multiparts_stop_at_depth_50_M1),
        cmocka_unit_test(ten_thousand_messages_in_messages_stop_at_depth_50_M1),
        cmocka_unit_test(depth_50_is_read_and_51_is_opaque_M1),
        cmocka_unit_test(hundred_thousand_siblings_end_in_one_opaque_part_M2),
        cmocka_unit_test(a_thousand_parts_are_read_and_one_more_is_opaque_M2),
        cmocka_unit_test(boundaries_have_1_to_70_characters_M3),
        cmocka_unit_test(a_boundary_of_both_belongs_to_the_parent_M3),
        cmocka_unit_test(a_boundary_that_begins_another_is_not_the_other_M3),
        cmocka_unit_test(lines_that_are_nearly_boundaries_cost_no_more_than_others_M3_M12),
        cmocka_unit_test(a_message_that_quotes_itself_has_parts_that_only_go_forward_M4),
        cmocka_unit_test(a_path_of_two_hundred_numbers_is_refused_I15),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
