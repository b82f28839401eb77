/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/search_text.h"

#include "mail/charset.h"
#include "mail/encoded_word.h"
#include <utf8proc.h>

#define FOLDED_MAX 32 /* code points that one can become */
#define UTF8_MAX 4U

/* ---- folding ---- */

/* Decomposed, without marks that combine, without case: "É" is found as "e". */
static void append_folded_codepoint(struct vy_buf *out, utf8proc_int32_t codepoint)
{
    utf8proc_int32_t folded[FOLDED_MAX];
    int boundclass = 0;
    const utf8proc_ssize_t count =
        utf8proc_decompose_char(codepoint, folded, FOLDED_MAX,
                                UTF8PROC_STABLE | UTF8PROC_COMPAT | UTF8PROC_DECOMPOSE |
                                    UTF8PROC_CASEFOLD | UTF8PROC_STRIPMARK | UTF8PROC_IGNORE,
                                &boundclass);
    for (utf8proc_ssize_t i = 0; i < count && i < FOLDED_MAX; i++) {
        uint8_t text[UTF8_MAX];
        const utf8proc_ssize_t len = utf8proc_encode_char(folded[i], text);
        vy_buf_append(out, vy_bytes(text, (size_t)len));
    }
}

/* ASCII at the front, folded. */
static size_t append_ascii(struct vy_buf *out, struct vy_bytes text)
{
    size_t len = 0;
    while (len < text.len && text.data[len] < 0x80) {
        len++;
    }
    uint8_t *const to = len == 0 ? NULL : vy_buf_reserve(out, len);
    if (to == NULL) {
        return len;
    }
    for (size_t i = 0; i < len; i++) {
        to[i] = vy_ascii_lower(text.data[i]);
    }
    vy_buf_added(out, len);
    return len;
}

void search_text_append_folded(struct vy_buf *out, struct vy_bytes utf8)
{
    while (utf8.len > 0 && !out->failed) {
        utf8 = vy_bytes_from(utf8, append_ascii(out, utf8));
        if (utf8.len == 0) {
            return;
        }
        utf8proc_int32_t codepoint = 0;
        const utf8proc_ssize_t len =
            utf8proc_iterate(utf8.data, (utf8proc_ssize_t)VY_MIN(utf8.len, UTF8_MAX), &codepoint);
        append_folded_codepoint(out, len < 1 ? 0xFFFD : codepoint);
        utf8 = vy_bytes_from(utf8, len < 1 ? 1 : (size_t)len);
    }
}

struct vy_err search_text_fold(struct vy_arena *arena, struct vy_bytes utf8, struct vy_bytes *out)
{
    struct vy_buf folded;
    size_t limit = 0;
    if (!vy_mul_size(utf8.len, FOLDED_MAX * UTF8_MAX, &limit)) {
        return vy_error(VY_CODE_LIMIT, "search text");
    }
    vy_buf_init(&folded, limit);
    search_text_append_folded(&folded, utf8);
    struct vy_err err = vy_buf_error(&folded);
    if (!vy_failed(err)) {
        err = vy_arena_dup(arena, vy_buf_bytes(&folded), out);
    }
    vy_buf_deinit(&folded);
    return err;
}

void search_text_append_field(struct vy_buf *out, struct vy_bytes value)
{
    struct vy_buf decoded;
    vy_buf_init(&decoded, 4 * value.len + 64);
    encoded_word_decode(&decoded, value);
    search_text_append_folded(out, vy_buf_bytes(&decoded));
    out->failed = out->failed || decoded.failed;
    vy_buf_deinit(&decoded);
}

bool search_text_contains(struct vy_bytes folded_text, struct vy_bytes folded_key)
{
    return vy_bytes_find(folded_text, folded_key, 0) != SIZE_MAX;
}

/* ---- parts ---- */

/* The first bytes of a body that give at most bytes_max of text: no step makes text longer than
 * three times what it was given. */
static struct vy_bytes bounded(const struct mime_node *node, struct vy_bytes body, size_t bytes_max)
{
    const size_t growth = node->encoding == CTE_BASE64 ? 2 : 1;
    return vy_bytes_slice(body, 0, bytes_max > SIZE_MAX / growth ? SIZE_MAX : bytes_max * growth);
}

void search_text_append_part(struct vy_buf *out, const struct mime_node *node, struct vy_bytes body,
                             size_t bytes_max)
{
    struct vy_buf decoded;
    struct vy_buf utf8;
    struct vy_bytes bytes = bounded(node, body, bytes_max);

    if (node->text == MIME_TEXT_NONE) {
        return;
    }
    vy_buf_init(&decoded, bytes.len + 16);
    vy_buf_init(&utf8, 4 * bytes.len + 64);
    if (node->encoding == CTE_BASE64 || node->encoding == CTE_QUOTED_PRINTABLE) {
        cte_decode((enum cte)node->encoding, bytes, &decoded);
        bytes = vy_buf_bytes(&decoded);
    }
    bytes = vy_bytes_slice(bytes, 0, bytes_max);
    if (node->text == MIME_TEXT_HTML) {
        charset_append_utf8(&utf8, node->charset, bytes);
        search_text_strip_html(out, vy_buf_bytes(&utf8));
    } else {
        charset_append_utf8(out, node->charset, bytes);
    }
    out->failed = out->failed || decoded.failed || utf8.failed;
    vy_buf_deinit(&decoded);
    vy_buf_deinit(&utf8);
}

/* ---- messages ---- */

struct matcher {
    struct vy_bytes message;
    struct vy_bytes key;
    struct vy_buf text; /* decoded; reused from part to part */
    struct vy_buf folded;
};

static struct vy_bytes message_slice(const struct matcher *m, uint64_t from, uint64_t to)
{
    const uint64_t end = VY_MIN(to, (uint64_t)m->message.len);
    const uint64_t begin = VY_MIN(from, end);
    return vy_bytes_slice(m->message, (size_t)begin, (size_t)(end - begin));
}

static bool match_folded(struct matcher *m)
{
    return search_text_contains(vy_buf_bytes(&m->folded), m->key);
}

/* "Name: decoded value" for each field: TEXT looks at all of a header. */
static bool match_header(struct matcher *m, const struct mime_node *node)
{
    struct header_iter iter;
    struct header_field field;

    vy_buf_reset(&m->folded);
    header_iter_init(&iter, message_slice(m, node->header_start, node->body_start));
    while (header_iter_next(&iter, &field)) {
        search_text_append_folded(&m->folded, field.name);
        vy_buf_append_cstr(&m->folded, ": ");
        search_text_append_field(&m->folded, field.value);
        vy_buf_append_byte(&m->folded, '\n');
    }
    return match_folded(m);
}

static bool match_body(struct matcher *m, const struct mime_node *node)
{
    if (node->text == MIME_TEXT_NONE) {
        return false;
    }
    vy_buf_reset(&m->text);
    vy_buf_reset(&m->folded);
    search_text_append_part(&m->text, node, message_slice(m, node->body_start, node->body_end),
                            SEARCH_TEXT_PART_BYTES_MAX);
    search_text_append_folded(&m->folded, vy_buf_bytes(&m->text));
    return match_folded(m);
}

struct vy_err search_text_match(const struct mime_tree *tree, struct vy_bytes message,
                                struct vy_bytes folded_key, bool headers, bool *out)
{
    struct matcher m = {.message = message, .key = folded_key};
    bool found = folded_key.len == 0;

    vy_buf_init(&m.text, 4U * SEARCH_TEXT_PART_BYTES_MAX + 64);
    vy_buf_init(&m.folded, 16U * SEARCH_TEXT_PART_BYTES_MAX);
    for (size_t i = 0; i < tree->count && !found; i++) {
        const struct mime_node *const node = &tree->nodes[i];
        /* BODY leaves out the header of the message, not those of messages inside it. */
        const bool is_inner_message =
            node->parent != MIME_NONE && tree->nodes[node->parent].kind == MIME_MESSAGE;
        found = (headers || is_inner_message) && match_header(&m, node);
        found = found || match_body(&m, node);
    }
    const bool is_short = m.text.failed || m.folded.failed;
    vy_buf_deinit(&m.text);
    vy_buf_deinit(&m.folded);
    if (is_short && !found) {
        return vy_error(VY_CODE_NOMEM, "search");
    }
    *out = found;
    return vy_ok();
}
