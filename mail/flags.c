/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/flags.h"

#include "base/assert.h"

static const struct {
    uint32_t bit;
    const char *name;
} system_flags[] = {
    {MAIL_FLAG_ANSWERED, "\\Answered"},
    {MAIL_FLAG_FLAGGED,  "\\Flagged" },
    {MAIL_FLAG_DELETED,  "\\Deleted" },
    {MAIL_FLAG_SEEN,     "\\Seen"    },
    {MAIL_FLAG_DRAFT,    "\\Draft"   },
    {MAIL_FLAG_RECENT,   "\\Recent"  },
};

uint32_t mail_flag_find(struct vy_bytes name)
{
    for (size_t i = 0; i < VY_COUNT_OF(system_flags); i++) {
        if (vy_bytes_equal_nocase(name, vy_cstr(system_flags[i].name))) {
            return system_flags[i].bit;
        }
    }
    return 0;
}

/* RFC 3501 section 9: ATOM-CHAR is any CHAR but atom-specials. */
static bool is_atom_char(uint8_t c)
{
    return c > ' ' && c < 0x7F && strchr("(){%*\"\\]", c) == NULL;
}

bool mail_keyword_is_valid(struct vy_bytes keyword)
{
    for (size_t i = 0; i < keyword.len; i++) {
        if (!is_atom_char(keyword.data[i])) {
            return false;
        }
    }
    return keyword.len > 0 && keyword.len <= MAIL_KEYWORD_BYTES_MAX;
}

void mail_flags_append(struct vy_buf *out, uint32_t flags)
{
    const char *separator = "";
    for (size_t i = 0; i < VY_COUNT_OF(system_flags); i++) {
        if ((flags & system_flags[i].bit) != 0) {
            vy_buf_append_cstr(out, separator);
            vy_buf_append_cstr(out, system_flags[i].name);
            separator = " ";
        }
    }
}

static bool has_keyword(const struct vy_bytes *keywords, size_t count, struct vy_bytes name)
{
    for (size_t i = 0; i < count; i++) {
        if (vy_bytes_equal_nocase(keywords[i], name)) {
            return true;
        }
    }
    return false;
}

static struct vy_err take_keyword(struct vy_bytes word, struct vy_bytes *keywords, size_t max,
                                  size_t *count)
{
    if (word.len > MAIL_KEYWORD_BYTES_MAX) {
        return vy_error(VY_CODE_LIMIT, "keyword is too long");
    }
    if (!mail_keyword_is_valid(word)) {
        return vy_error(VY_CODE_SYNTAX, "keyword");
    }
    if (has_keyword(keywords, *count, word)) {
        return vy_ok();
    }
    if (*count == max) {
        return vy_error(VY_CODE_LIMIT, "too many keywords");
    }
    keywords[(*count)++] = word;
    return vy_ok();
}

struct vy_err mail_flags_parse(struct vy_bytes text, uint32_t *flags, struct vy_bytes *keywords,
                               size_t keywords_max, size_t *keywords_count)
{
    uint32_t bits = 0;
    size_t count = 0;

    if (text.len >= 2 && text.data[0] == '(' && text.data[text.len - 1] == ')') {
        text = vy_bytes_slice(text, 1, text.len - 2);
    }
    while (text.len > 0) {
        const bool has_more = vy_bytes_find_byte(text, ' ', 0) != SIZE_MAX;
        const struct vy_bytes word = vy_bytes_cut(&text, ' ');
        if (word.len == 0 || (has_more && text.len == 0)) {
            return vy_error(VY_CODE_SYNTAX, "flag list");
        }
        const uint32_t bit = mail_flag_find(word);
        if (bit == 0) {
            VY_TRY(take_keyword(word, keywords, keywords_max, &count));
        }
        bits |= bit;
    }
    *flags = bits;
    *keywords_count = count;
    return vy_ok();
}
