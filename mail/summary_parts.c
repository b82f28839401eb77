/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts table of a summary: for each part, in document order, offsets as differences, lines,
 * the way up to its parent, charset, and one byte of small enums. Reading checks all that mime.h
 * promises of a tree, so that nobody behind it meets a cycle or a part outside its parent (M4).
 */
#include "mail/charset.h"
#include "mail/summary_private.h"

#define NODES_MAX (MIME_PARTS_MAX + 1U)

void summary_put_varint(struct vy_buf *out, uint64_t value)
{
    uint8_t text[10];
    size_t len = 0;
    while (value >= 0x80) {
        text[len++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    text[len++] = (uint8_t)value;
    vy_buf_append(out, vy_bytes(text, len));
}

bool summary_take_varint(struct vy_bytes *rest, uint64_t *out)
{
    uint64_t value = 0;
    for (size_t i = 0; i < 10 && i < rest->len; i++) {
        const uint8_t byte = rest->data[i];
        if (i == 9 && byte > 1) {
            return false;
        }
        value |= (uint64_t)(byte & 0x7F) << (7 * i);
        if (byte < 0x80) {
            *rest = vy_bytes_from(*rest, i + 1);
            *out = value;
            return byte != 0 || i == 0;
        }
    }
    return false;
}

/* kind 2 bits, encoding 3, text 2, is_attachment 1 */
static uint8_t pack_enums(const struct mime_node *node)
{
    return (uint8_t)(node->kind | node->encoding << 2 | node->text << 5 |
                     (node->is_attachment ? 0x80 : 0));
}

static bool unpack_enums(uint8_t packed, struct mime_node *node)
{
    node->kind = packed & 3;
    node->encoding = packed >> 2 & 7;
    node->text = packed >> 5 & 3;
    node->is_attachment = (packed & 0x80) != 0;
    return node->kind <= MIME_MESSAGE && node->encoding <= CTE_UNKNOWN;
}

void summary_put_parts(struct vy_buf *out, const struct mime_tree *tree)
{
    uint64_t last_start = 0;
    for (size_t i = 0; i < tree->count; i++) {
        const struct mime_node *const node = &tree->nodes[i];
        summary_put_varint(out, node->header_start - last_start);
        summary_put_varint(out, node->body_start - node->header_start);
        summary_put_varint(out, node->body_end - node->body_start);
        summary_put_varint(out, node->header_lines);
        summary_put_varint(out, node->body_lines);
        summary_put_varint(out, i == 0 ? 0 : i - node->parent);
        summary_put_varint(out, node->charset);
        vy_buf_append_byte(out, pack_enums(node));
        last_start = node->header_start;
    }
}

/* One entry; `way_up` is the difference to the parent's index. */
static bool take_node(struct vy_bytes *rest, uint64_t last_start, struct mime_node *node,
                      uint64_t *way_up)
{
    uint64_t start = 0;
    uint64_t header = 0;
    uint64_t body = 0;
    uint64_t header_lines = 0;
    uint64_t body_lines = 0;
    uint64_t charset = 0;
    if (!summary_take_varint(rest, &start) || !summary_take_varint(rest, &header) ||
        !summary_take_varint(rest, &body) || !summary_take_varint(rest, &header_lines) ||
        !summary_take_varint(rest, &body_lines) || !summary_take_varint(rest, way_up) ||
        !summary_take_varint(rest, &charset) || rest->len == 0) {
        return false;
    }
    const uint8_t packed = rest->data[0];
    *rest = vy_bytes_from(*rest, 1);
    if (header_lines > UINT32_MAX || body_lines > UINT32_MAX || charset > UINT16_MAX) {
        return false;
    }
    *node = (struct mime_node){
        .header_lines = (uint32_t)header_lines,
        .body_lines = (uint32_t)body_lines,
        .charset = (uint16_t)charset,
        .parent = MIME_NONE,
        .first_child = MIME_NONE,
        .next_sibling = MIME_NONE,
    };
    return unpack_enums(packed, node) &&
           !__builtin_add_overflow(last_start, start, &node->header_start) &&
           !__builtin_add_overflow(node->header_start, header, &node->body_start) &&
           !__builtin_add_overflow(node->body_start, body, &node->body_end);
}

/* Hangs a node under its parent behind `last_child` of that one. */
static bool link_node(struct mime_node *nodes, uint16_t *last_child, uint16_t index,
                      uint64_t way_up)
{
    if (way_up == 0 || way_up > index) {
        return false;
    }
    const uint16_t parent_index = (uint16_t)(index - way_up);
    struct mime_node *const parent = &nodes[parent_index];
    struct mime_node *const node = &nodes[index];
    const uint16_t before = last_child[parent_index];
    const uint64_t free_from = before == MIME_NONE ? parent->body_start : nodes[before].body_end;
    if (parent->kind == MIME_LEAF || (parent->kind == MIME_MESSAGE && before != MIME_NONE) ||
        node->header_start < free_from || node->body_end > parent->body_end ||
        parent->depth >= MIME_DEPTH_MAX) {
        return false;
    }
    node->parent = parent_index;
    node->depth = (uint8_t)(parent->depth + 1);
    if (before == MIME_NONE) {
        parent->first_child = index;
    } else {
        nodes[before].next_sibling = index;
    }
    last_child[parent_index] = index;
    return true;
}

static bool all_have_children(const struct mime_node *nodes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if ((nodes[i].kind != MIME_LEAF) != (nodes[i].first_child != MIME_NONE)) {
            return false;
        }
    }
    return true;
}

static bool take_tree(struct vy_bytes rest, struct mime_node *nodes, uint16_t count)
{
    uint16_t last_child[NODES_MAX];
    uint64_t last_start = 0;
    uint64_t way_up = 0;

    for (uint16_t i = 0; i < count; i++) {
        last_child[i] = MIME_NONE;
        if (!take_node(&rest, last_start, &nodes[i], &way_up)) {
            return false;
        }
        if (i == 0 ? way_up != 0 || nodes[0].header_start != 0
                   : !link_node(nodes, last_child, i, way_up)) {
            return false;
        }
        last_start = nodes[i].header_start;
    }
    return rest.len == 0 && all_have_children(nodes, count);
}

struct vy_err summary_parts(struct vy_arena *arena, const struct summary *summary,
                            struct mime_tree *out)
{
    const size_t count = summary->part_count;
    if (count == 0 || count > NODES_MAX || summary->parts.len < count * 8) {
        return vy_error(VY_CODE_CORRUPT, "parts of a summary");
    }
    struct mime_node *const nodes = VY_ARENA_ARRAY(arena, count, struct mime_node);
    if (nodes == NULL) {
        return vy_error(VY_CODE_LIMIT, "parts of a summary");
    }
    if (!take_tree(summary->parts, nodes, (uint16_t)count)) {
        return vy_error(VY_CODE_CORRUPT, "parts of a summary");
    }
    *out = (struct mime_tree){.nodes = nodes, .count = count};
    return vy_ok();
}
