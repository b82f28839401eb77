/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/preview.h"

#include "base/codec.h"
#include "mail/charset.h"
#include "mail/search_text.h"

/* Enough for 256 characters behind long quoting and markup; the work per message stays small. */
#define TEXT_BYTES_MAX (64U * 1024U)
#define ATTRIBUTION_BYTES_MAX 300U

/* ---- which part ---- */

static bool is_type(const struct mime_fields *fields, const char *type, const char *subtype)
{
    return vy_bytes_equal(fields->type, vy_cstr(type)) &&
           vy_bytes_equal(fields->subtype, vy_cstr(subtype));
}

/* multipart/encrypted and what is inside it has nothing to show; of multipart/signed the first
 * part. */
static bool is_hidden(const struct mime_structure *s, uint16_t index)
{
    for (uint16_t at = index; at != MIME_NONE; at = s->tree.nodes[at].parent) {
        const uint16_t parent = s->tree.nodes[at].parent;
        const bool is_later = parent != MIME_NONE && s->tree.nodes[parent].first_child != at;
        if (s->tree.nodes[at].is_attachment || is_type(&s->fields[at], "multipart", "encrypted") ||
            (is_later && is_type(&s->fields[parent], "multipart", "signed"))) {
            return true;
        }
        if (parent != MIME_NONE && s->tree.nodes[parent].kind == MIME_MESSAGE) {
            return true; /* a message inside is an attachment */
        }
    }
    return false;
}

/* The first plain text; else the first HTML. MIME_NONE: neither. */
static uint16_t find_text(const struct mime_structure *s)
{
    uint16_t html = MIME_NONE;
    for (uint16_t i = 0; i < s->tree.count; i++) {
        const uint8_t text = s->tree.nodes[i].text;
        const bool is_wanted =
            text == MIME_TEXT_PLAIN || (text == MIME_TEXT_HTML && html == MIME_NONE);
        if (!is_wanted || is_hidden(s, i)) {
            continue;
        }
        if (text == MIME_TEXT_PLAIN && s->tree.nodes[i].body_end > s->tree.nodes[i].body_start) {
            return i;
        }
        html = text == MIME_TEXT_HTML ? i : html;
    }
    return html;
}

/* ---- which lines ---- */

static bool is_quoted(struct vy_bytes line)
{
    return line.len > 0 && line.data[0] == '>';
}

/* "On Monday, Ada wrote:" in the languages whose mailers end it so. */
static bool ends_attribution(struct vy_bytes line)
{
    static const char *const ends[] = {"wrote:",
                                       "schrieb:",
                                       "a \xC3\xA9"
                                       "crit :",
                                       "a \xC3\xA9"
                                       "crit:",
                                       "escribi\xC3\xB3:",
                                       "ha scritto:",
                                       "schreef:",
                                       "skrev:"};
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        if (vy_bytes_ends_with(line, vy_cstr(ends[i]))) {
            return true;
        }
    }
    return false;
}

static bool begins_attribution(struct vy_bytes line)
{
    static const char *const begins[] = {"On ", "Am ", "Le ",  "El ",
                                         "Il ", "Op ", "Den ", "P\xC3\xA5 "};
    for (size_t i = 0; i < sizeof(begins) / sizeof(begins[0]); i++) {
        if (vy_bytes_starts_with(line, vy_cstr(begins[i]))) {
            return true;
        }
    }
    return false;
}

/* "-- " (RFC 3676 section 4.3) and the lines that mailers put in front of a forwarded or answered
 * message. */
static bool ends_text(struct vy_bytes raw_line)
{
    const struct vy_bytes line = vy_bytes_trim(raw_line);
    return vy_bytes_equal(raw_line, VY_LIT("-- ")) || vy_bytes_equal(raw_line, VY_LIT("--")) ||
           vy_bytes_equal_nocase(line, VY_LIT("-----Original Message-----"));
}

struct lines {
    struct vy_bytes rest;
};

static struct vy_bytes next_line(struct lines *lines)
{
    struct vy_bytes line = vy_bytes_cut(&lines->rest, '\n');
    if (line.len > 0 && line.data[line.len - 1] == '\r') {
        line.len--;
    }
    return line;
}

/* An attribution may be broken over two lines. */
static bool is_attribution(struct vy_bytes line, struct lines *lines)
{
    if (!begins_attribution(line) || line.len > ATTRIBUTION_BYTES_MAX) {
        return false;
    }
    if (ends_attribution(line)) {
        return true;
    }
    struct lines ahead = *lines;
    const struct vy_bytes second = vy_bytes_trim(next_line(&ahead));
    if (second.len > 0 && second.len <= ATTRIBUTION_BYTES_MAX && ends_attribution(second)) {
        *lines = ahead;
        return true;
    }
    return false;
}

/* ---- text ---- */

struct preview {
    struct vy_buf *out;
    size_t from; /* where it begins in out */
    size_t chars_left;
    bool owes_space;
};

static bool is_space_codepoint(uint32_t c)
{
    return c <= ' ' || c == 0x7F || c == 0xA0 || (c >= 0x80 && c < 0xA0) || c == 0x3000 ||
           (c >= 0x2000 && c <= 0x200B) || c == 0x2028 || c == 0x2029 || c == 0xFEFF ||
           c == 0x200C || c == 0xAD || c == 0x34F;
}

static void put_line(struct preview *p, struct vy_bytes line)
{
    uint32_t codepoint = 0;
    for (size_t at = 0; p->chars_left > 0 && vy_utf8_next(line, &at, &codepoint);) {
        if (is_space_codepoint(codepoint)) {
            p->owes_space = true;
            continue;
        }
        if (p->owes_space && vy_buf_len(p->out) > p->from && p->chars_left > 1) {
            vy_buf_append_byte(p->out, ' ');
            p->chars_left--;
        }
        p->owes_space = false;
        vy_utf8_append(p->out, codepoint);
        p->chars_left--;
    }
    p->owes_space = true;
}

static void put_text(struct preview *p, struct vy_bytes text)
{
    struct lines lines = {.rest = text};
    while (lines.rest.len > 0 && p->chars_left > 0) {
        const struct vy_bytes raw = next_line(&lines);
        const struct vy_bytes line = vy_bytes_trim(raw);
        if (ends_text(raw)) {
            return;
        }
        if (!is_quoted(line) && !is_attribution(line, &lines)) {
            put_line(p, line);
        }
    }
}

void preview_append(struct vy_buf *out, const struct mime_structure *structure,
                    struct vy_bytes head, size_t chars_max)
{
    const uint16_t index = find_text(structure);
    if (index == MIME_NONE) {
        return;
    }
    const struct mime_node *const node = &structure->tree.nodes[index];
    if (node->body_start >= head.len) {
        return;
    }
    const uint64_t end = VY_MIN(node->body_end, (uint64_t)head.len);
    const struct vy_bytes body =
        vy_bytes_slice(head, (size_t)node->body_start, (size_t)(end - node->body_start));
    struct vy_buf text;
    vy_buf_init(&text, 8U * TEXT_BYTES_MAX);
    search_text_append_part(&text, node, body, TEXT_BYTES_MAX);
    struct preview p = {.out = out, .from = vy_buf_len(out), .chars_left = chars_max};
    put_text(&p, vy_buf_bytes(&text));
    vy_buf_deinit(&text);
}

struct vy_bytes preview_cut(struct vy_bytes preview, size_t chars_max)
{
    size_t at = 0;
    uint32_t codepoint = 0;
    while (chars_max > 0 && vy_utf8_next(preview, &at, &codepoint)) {
        chars_max--;
    }
    return vy_bytes_trim(vy_bytes_slice(preview, 0, at));
}
