/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a message: whole and in pieces must give the same structure, what mime.h promises of
 * offsets must hold, and everything that renders or resolves must cope. Byte 0 chooses the pieces.
 */
#include "base/assert.h"
#include "mail/bodystructure.h"
#include "mail/search_text.h"
#include "mail/section.h"
#include "mail/summary.h"

#define ARENA_BYTES (64U * 1024U * 1024U)
#define TEXT_BYTES (32U * 1024U * 1024U)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void parse_in_pieces(struct vy_arena *arena, uint8_t seed, struct vy_bytes message,
                            struct mime_structure *out)
{
    struct mime_parser *parser = NULL;
    uint32_t state = (uint32_t)seed * 2654435761U + 1;
    VY_ASSERT(!vy_failed(mime_parser_new(arena, &parser)));
    while (message.len > 0) {
        state = state * 1664525U + 1013904223U;
        const size_t piece = seed == 0 ? 1 : state >> 24 & 31;
        mime_parser_feed(parser, vy_bytes_slice(message, 0, piece));
        message = vy_bytes_from(message, piece);
    }
    VY_ASSERT(!vy_failed(mime_parser_finish(parser, out)));
}

static void compare(const struct mime_structure *a, const struct mime_structure *b)
{
    VY_ASSERT(a->tree.count == b->tree.count && a->size_bytes == b->size_bytes);
    VY_ASSERT(a->is_cut == b->is_cut && a->is_header_over_limit == b->is_header_over_limit);
    for (size_t i = 0; i < a->tree.count; i++) {
        const struct mime_node *const x = &a->tree.nodes[i];
        const struct mime_node *const y = &b->tree.nodes[i];
        VY_ASSERT(x->header_start == y->header_start && x->body_start == y->body_start &&
                  x->body_end == y->body_end && x->parent == y->parent && x->kind == y->kind &&
                  x->body_lines == y->body_lines && x->header_lines == y->header_lines);
        VY_ASSERT(vy_bytes_equal(a->fields[i].header, b->fields[i].header));
    }
}

static void check_tree(const struct mime_structure *s, struct vy_bytes message)
{
    for (size_t i = 0; i < s->tree.count; i++) {
        const struct mime_node *const node = &s->tree.nodes[i];
        VY_ASSERT(node->header_start <= node->body_start && node->body_start <= node->body_end);
        VY_ASSERT(node->body_end <= message.len && node->depth <= MIME_DEPTH_MAX);
        VY_ASSERT((node->kind != MIME_LEAF) == (node->first_child != MIME_NONE));
        size_t lines = 0;
        for (uint64_t at = node->body_start; at < node->body_end; at++) {
            lines += message.data[at] == '\n' ? 1 : 0;
        }
        VY_ASSERT(lines == node->body_lines);
    }
}

static void check_sections(const struct mime_tree *tree, struct vy_bytes message)
{
    uint16_t path[6] = {1, 1, 1, 1, 1, 1};
    for (size_t depth = 0; depth <= 6; depth++) {
        for (uint32_t kind = 0; kind <= MAIL_SECTION_MIME; kind++) {
            const struct mail_section section = {path, depth, (enum mail_section_kind)kind};
            struct mail_section_range range;
            if (mail_section_resolve(tree, &section, &range)) {
                VY_ASSERT(range.offset + range.len <= message.len);
            }
        }
        path[depth < 6 ? depth : 5] = (uint16_t)(1 + (message.len + depth) % 3);
    }
}

/* Parentheses must match outside strings: a client would lose its place otherwise. */
static void check_balanced(struct vy_bytes text)
{
    size_t depth = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '"') {
            for (i++; text.data[i] != '"'; i++) {
                i += text.data[i] == '\\' ? 1 : 0;
                VY_ASSERT(i + 1 < text.len);
            }
        } else if (text.data[i] == '{') {
            uint32_t len = 0;
            const size_t end = vy_bytes_find_byte(text, '}', i);
            VY_ASSERT(vy_parse_u32(vy_bytes_slice(text, i + 1, end - i - 1), &len));
            i = end + 2 + len;
            VY_ASSERT(i < text.len);
        } else {
            depth += text.data[i] == '(' ? 1 : 0;
            VY_ASSERT(text.data[i] != ')' || depth > 0);
            depth -= text.data[i] == ')' ? 1 : 0;
        }
        VY_ASSERT(depth > 0 || i + 1 == text.len);
    }
    VY_ASSERT(depth == 0);
}

static void render_all(struct vy_arena *arena, const struct mime_structure *s,
                       struct vy_bytes message)
{
    struct vy_buf out;
    vy_buf_init(&out, TEXT_BYTES);
    for (int form = BODYSTRUCTURE_BASIC; form <= BODYSTRUCTURE_EXTENDED; form++) {
        vy_buf_reset(&out);
        const struct vy_err err =
            bodystructure_append(&out, arena, s, 0, (enum bodystructure_form)form);
        if (!vy_failed(err) && !out.failed) {
            check_balanced(vy_buf_bytes(&out));
        }
    }
    vy_buf_reset(&out);
    if (!vy_failed(summary_of_message(&out, arena, message, /* tolerate_limits = */ true))) {
        struct summary summary;
        struct mime_tree tree;
        VY_ASSERT(!vy_failed(summary_decode(vy_buf_bytes(&out), &summary)));
        VY_ASSERT(vy_buf_len(&out) <= SUMMARY_BYTES_MAX);
        VY_ASSERT(!vy_failed(summary_parts(arena, &summary, &tree)));
        VY_ASSERT(tree.count == s->tree.count);
    }
    bool found = false;
    const struct vy_err err =
        search_text_match(&s->tree, message, VY_LIT("needle"), /* headers = */ true, &found);
    vy_ignore(err, "only memory can be short");
    vy_buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vy_arena arena;
    struct mime_structure whole;
    struct mime_structure pieces;
    if (size == 0) {
        return 0;
    }
    const struct vy_bytes message = vy_bytes(data + 1, size - 1);
    vy_arena_init(&arena, ARENA_BYTES);
    if (!vy_failed(mime_parse(&arena, message, &whole))) {
        parse_in_pieces(&arena, data[0], message, &pieces);
        compare(&whole, &pieces);
        check_tree(&whole, message);
        check_sections(&whole.tree, message);
        render_all(&arena, &whole, message);
    }
    vy_arena_deinit(&arena);
    return 0;
}
