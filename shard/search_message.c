/* SPDX-License-Identifier: Apache-2.0 */
/* Keys that need the message itself: each header and part is decoded and folded once, for all keys
 * that are still open. */
#include "base/assert.h"
#include "shard/search_private.h"

static bool is_open_key(const struct search *search, size_t i, enum search_op op)
{
    return search->keys[i].op == op && search->values[i] == SEARCH_UNKNOWN;
}

static bool has_open_key(const struct search *search, enum search_op op)
{
    for (size_t i = 0; i < search->request->steps_count; i++) {
        if (is_open_key(search, i, op)) {
            return true;
        }
    }
    return false;
}

static void close_keys(struct search *search, enum search_op op)
{
    for (size_t i = 0; i < search->request->steps_count; i++) {
        if (is_open_key(search, i, op)) {
            search->values[i] = SEARCH_FALSE;
        }
    }
}

/* ---- HEADER ---- */

static void match_field(struct search *search, const struct header_field *field)
{
    bool is_folded = false;

    for (size_t i = 0; i < search->request->steps_count; i++) {
        const struct search_key *key = &search->keys[i];
        if (!is_open_key(search, i, SEARCH_OP_HEADER) ||
            !vy_bytes_equal_nocase(key->field, vy_bytes_trim(field->name))) {
            continue;
        }
        if (!is_folded) {
            vy_buf_reset(&search->folded);
            search_text_append_field(&search->folded, field->value);
            is_folded = true;
        }
        if (search_text_contains(vy_buf_bytes(&search->folded), key->text)) {
            search->values[i] = SEARCH_TRUE;
        }
    }
}

struct vy_err search_in_header(struct search *search, const struct summary *summary)
{
    struct header_iter iter;
    struct header_field field;
    struct vy_bytes header;

    if (!has_open_key(search, SEARCH_OP_HEADER)) {
        return vy_ok();
    }
    VY_TRY(body_load(&search->body, 0, summary->header_bytes, &header));
    header_iter_init(&iter, header);
    while (header_iter_next(&iter, &field)) {
        match_field(search, &field);
    }
    close_keys(search, SEARCH_OP_HEADER);
    return search->folded.failed ? vy_error(VY_CODE_NOMEM, "search in header") : vy_ok();
}

/* ---- BODY and TEXT ---- */

/* Tests the folded text against the open keys of one kind. */
static void match_folded(struct search *search, enum search_op op)
{
    for (size_t i = 0; i < search->request->steps_count; i++) {
        if (is_open_key(search, i, op) &&
            search_text_contains(vy_buf_bytes(&search->folded), search->keys[i].text)) {
            search->values[i] = SEARCH_TRUE;
        }
    }
}

/* "name: value" of each field. */
static void fold_header(struct search *search, struct vy_bytes header)
{
    struct header_iter iter;
    struct header_field field;

    vy_buf_reset(&search->folded);
    header_iter_init(&iter, header);
    while (header_iter_next(&iter, &field)) {
        search_text_append_folded(&search->folded, field.name);
        vy_buf_append_cstr(&search->folded, ": ");
        search_text_append_field(&search->folded, field.value);
        vy_buf_append_byte(&search->folded, '\n');
    }
}

/* TEXT looks at every header; BODY at those of messages inside the message. */
static void match_header(struct search *search, const struct mime_tree *tree,
                         const struct mime_node *node, struct vy_bytes header)
{
    const bool is_inner_message =
        node->parent != MIME_NONE && tree->nodes[node->parent].kind == MIME_MESSAGE;

    if (!is_inner_message && !has_open_key(search, SEARCH_OP_TEXT)) {
        return;
    }
    fold_header(search, header);
    match_folded(search, SEARCH_OP_TEXT);
    if (is_inner_message) {
        match_folded(search, SEARCH_OP_BODY);
    }
}

static void match_part(struct search *search, const struct mime_node *node, struct vy_bytes body)
{
    if (node->text == MIME_TEXT_NONE) {
        return;
    }
    vy_buf_reset(&search->text);
    vy_buf_reset(&search->folded);
    search_text_append_part(&search->text, node, body, SEARCH_TEXT_PART_BYTES_MAX);
    search_text_append_folded(&search->folded, vy_buf_bytes(&search->text));
    match_folded(search, SEARCH_OP_BODY);
    match_folded(search, SEARCH_OP_TEXT);
}

static struct vy_bytes node_slice(struct vy_bytes message, uint64_t from, uint64_t to)
{
    const uint64_t end = VY_MIN(to, (uint64_t)message.len);
    const uint64_t begin = VY_MIN(from, end);

    return vy_bytes_slice(message, (size_t)begin, (size_t)(end - begin));
}

struct vy_err search_in_text(struct search *search, const struct summary *summary)
{
    struct mime_tree tree;
    struct vy_bytes message;

    VY_TRY(summary_parts(&search->scratch, summary, &tree));
    VY_TRY(body_load(&search->body, 0, search->body.info.size_bytes, &message));
    for (size_t i = 0; i < tree.count; i++) {
        const struct mime_node *node = &tree.nodes[i];
        if (!has_open_key(search, SEARCH_OP_BODY) && !has_open_key(search, SEARCH_OP_TEXT)) {
            break;
        }
        match_header(search, &tree, node,
                     node_slice(message, node->header_start, node->body_start));
        match_part(search, node, node_slice(message, node->body_start, node->body_end));
    }
    if (search->text.failed || search->folded.failed) {
        return vy_error(VY_CODE_NOMEM, "search in text");
    }
    close_keys(search, SEARCH_OP_BODY);
    close_keys(search, SEARCH_OP_TEXT);
    return vy_ok();
}
