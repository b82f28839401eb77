/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTML to text, for search and previews only: nothing here is ever shown as HTML. One pass with a
 * few states; no tree (M19).
 */
#include "mail/search_text.h"

#include "base/assert.h"
#include "base/codec.h"

#define ENTITY_BYTES_MAX 10U
#define TAG_NAME_BYTES_MAX 12U

static bool is_name_byte(uint8_t c)
{
    return vy_ascii_is_alnum(c);
}

/* Names of tags that stand between words, in lower case. */
static bool is_block_tag(struct vy_bytes name)
{
    static const char *const blocks[] = {
        "p",       "br",     "div",    "tr",         "td",  "th",    "li",
        "ul",      "ol",     "h1",     "h2",         "h3",  "h4",    "h5",
        "h6",      "hr",     "dd",     "dt",         "dl",  "table", "section",
        "article", "header", "footer", "blockquote", "pre", "title", "option",
    };
    for (size_t i = 0; i < VY_COUNT_OF(blocks); i++) {
        if (vy_bytes_equal_nocase(name, vy_cstr(blocks[i]))) {
            return true;
        }
    }
    return false;
}

/* Tags whose content is no text. */
static bool is_hidden_tag(struct vy_bytes name)
{
    static const char *const hidden[] = {"script", "style", "head", "template"};
    for (size_t i = 0; i < VY_COUNT_OF(hidden); i++) {
        if (vy_bytes_equal_nocase(name, vy_cstr(hidden[i]))) {
            return true;
        }
    }
    return false;
}

struct entity {
    const char *name;
    uint32_t codepoint;
};
static uint32_t named_entity(struct vy_bytes name)
{
    static const struct entity entities[] = {
        {"amp",    '&'   },
        {"lt",     '<'   },
        {"gt",     '>'   },
        {"quot",   '"'   },
        {"apos",   '\''  },
        {"nbsp",   ' '   },
        {"copy",   0xA9  },
        {"reg",    0xAE  },
        {"euro",   0x20AC},
        {"pound",  0xA3  },
        {"hellip", 0x2026},
        {"mdash",  0x2014},
        {"ndash",  0x2013},
        {"lsquo",  0x2018},
        {"rsquo",  0x2019},
        {"ldquo",  0x201C},
        {"rdquo",  0x201D},
        {"laquo",  0xAB  },
        {"raquo",  0xBB  },
        {"bull",   0x2022},
        {"middot", 0xB7  },
        {"auml",   0xE4  },
        {"ouml",   0xF6  },
        {"uuml",   0xFC  },
        {"Auml",   0xC4  },
        {"Ouml",   0xD6  },
        {"Uuml",   0xDC  },
        {"szlig",  0xDF  },
        {"eacute", 0xE9  },
        {"egrave", 0xE8  },
        {"agrave", 0xE0  },
        {"ccedil", 0xE7  },
        {"ntilde", 0xF1  },
        {"aring",  0xE5  },
        {"oslash", 0xF8  },
        {"aelig",  0xE6  },
        {"trade",  0x2122},
        {"zwnj",   0x200C},
        {"zwj",    0x200D},
        {"shy",    0xAD  },
    };
    for (size_t i = 0; i < VY_COUNT_OF(entities); i++) {
        if (vy_bytes_equal(name, vy_cstr(entities[i].name))) {
            return entities[i].codepoint;
        }
    }
    return 0;
}

/* "#65" and "#x41"; 0: is none. */
static uint32_t numbered_entity(struct vy_bytes name)
{
    uint32_t codepoint = 0;
    const bool is_hex = name.len > 2 && vy_ascii_lower(name.data[1]) == 'x';
    if (name.len < 2 || name.data[0] != '#') {
        return 0;
    }
    if (!is_hex) {
        return vy_parse_u32(vy_bytes_from(name, 1), &codepoint) ? codepoint : 0;
    }
    for (size_t i = 2; i < name.len; i++) {
        const int digit = vy_ascii_hex_value(name.data[i]);
        if (digit < 0) {
            return 0;
        }
        codepoint = codepoint << 4 | (uint32_t)digit;
    }
    return codepoint;
}

/* Takes "&...;" from the front; an '&' that begins nothing stands for itself. */
static size_t take_entity(struct vy_buf *out, struct vy_bytes in)
{
    const size_t end = vy_bytes_find_byte(vy_bytes_slice(in, 0, ENTITY_BYTES_MAX), ';', 1);
    if (end != SIZE_MAX) {
        const struct vy_bytes name = vy_bytes_slice(in, 1, end - 1);
        const uint32_t numbered = numbered_entity(name);
        const uint32_t codepoint = numbered != 0 ? numbered : named_entity(name);
        if (codepoint != 0) {
            vy_utf8_append(out, codepoint);
            return end + 1;
        }
    }
    vy_buf_append_byte(out, '&');
    return 1;
}

/* Behind the '>' of the tag at the front, quotes observed; the end of the text when it has none. */
static size_t tag_bytes(struct vy_bytes in)
{
    uint8_t quote = 0;
    for (size_t i = 1; i < in.len; i++) {
        const uint8_t c = in.data[i];
        if (quote != 0) {
            quote = c == quote ? 0 : quote;
        } else if (c == '>') {
            return i + 1;
        } else if ((c == '"' || c == '\'') && in.data[i - 1] == '=') {
            quote = c;
        }
    }
    return in.len;
}

/* Behind "</name" of a tag whose content is hidden. */
static size_t hidden_bytes(struct vy_bytes in, struct vy_bytes name)
{
    for (size_t at = vy_bytes_find(in, VY_LIT("</"), 0); at != SIZE_MAX;
         at = vy_bytes_find(in, VY_LIT("</"), at + 2)) {
        if (vy_bytes_starts_with_nocase(vy_bytes_from(in, at + 2), name)) {
            return at;
        }
    }
    return in.len;
}

/* What begins with '<': read over, with a line end where a block begins or ends. */
static size_t take_tag(struct vy_buf *out, struct vy_bytes in)
{
    if (vy_bytes_starts_with(in, VY_LIT("<!--"))) {
        const size_t end = vy_bytes_find(in, VY_LIT("-->"), 4);
        return end == SIZE_MAX ? in.len : end + 3;
    }
    const bool is_end = in.len > 1 && in.data[1] == '/';
    const size_t name_at = is_end ? 2 : 1;
    size_t len = 0;
    while (len <= TAG_NAME_BYTES_MAX && name_at + len < in.len &&
           is_name_byte(in.data[name_at + len])) {
        len++;
    }
    const struct vy_bytes name = vy_bytes_slice(in, name_at, len);
    if (len == 0 && !is_end && (in.len < 2 || (in.data[1] != '!' && in.data[1] != '?'))) {
        vy_buf_append_byte(out, '<');
        return 1;
    }
    if (is_block_tag(name)) {
        vy_buf_append_byte(out, '\n');
    }
    const size_t end = tag_bytes(in);
    const bool is_empty = end >= 2 && in.data[end - 2] == '/';
    if (is_end || is_empty || !is_hidden_tag(name)) {
        return end;
    }
    return end + hidden_bytes(vy_bytes_from(in, end), name);
}

void search_text_strip_html(struct vy_buf *out, struct vy_bytes html_utf8)
{
    struct vy_bytes in = html_utf8;
    while (in.len > 0 && !out->failed) {
        size_t plain = 0;
        while (plain < in.len && in.data[plain] != '<' && in.data[plain] != '&') {
            plain++;
        }
        vy_buf_append(out, vy_bytes_slice(in, 0, plain));
        in = vy_bytes_from(in, plain);
        if (in.len > 0) {
            const size_t taken = in.data[0] == '<' ? take_tag(out, in) : take_entity(out, in);
            in = vy_bytes_from(in, taken);
        }
    }
}
