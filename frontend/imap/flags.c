/* SPDX-License-Identifier: Apache-2.0 */
/* Flags and keywords between the client's words and the shard's bits. */
#include "mail/flags.h"
#include "base/assert.h"
#include "frontend/imap/imap.h"

static bool has_keyword(const struct imap_flag_set *set, struct vy_bytes name)
{
    for (size_t i = 0; i < set->keyword_count; i++) {
        if (vy_bytes_equal_nocase(set->keywords[i], name)) {
            return true;
        }
    }
    return false;
}

static struct vy_err add_keyword(struct imap_parser *p, struct imap_flag_set *set,
                                 struct vy_bytes name)
{
    if (has_keyword(set, name)) {
        return vy_ok();
    }
    if (set->keyword_count == IMAP_KEYWORDS_MAX) {
        return vy_error(VY_CODE_LIMIT, "too many keywords");
    }
    if (set->keywords == NULL) {
        set->keywords = VY_ARENA_ARRAY(p->arena, IMAP_KEYWORDS_MAX, struct vy_bytes);
        if (set->keywords == NULL) {
            return vy_error(VY_CODE_LIMIT, "command is too large");
        }
    }
    set->keywords[set->keyword_count++] = name;
    return vy_ok();
}

static struct vy_err parse_one(struct imap_parser *p, struct imap_flag_set *set)
{
    struct vy_bytes name = {.data = NULL};
    VY_TRY(imap_parse_flag(p, &name));
    if (name.data[0] != '\\') {
        return add_keyword(p, set, name);
    }
    const uint32_t bit = mail_flag_find(name);
    if (bit == 0 ||
        bit ==
            MAIL_FLAG_RECENT) { /* \Recent too: only the server sets it (RFC 3501 section 2.3.2) */
        return vy_error(VY_CODE_SYNTAX, "no such system flag");
    }
    set->flags |= bit;
    return vy_ok();
}

struct vy_err imap_parse_flags(struct imap_parser *p, bool bare_allowed, struct imap_flag_set *out)
{
    *out = (struct imap_flag_set){.flags = 0};
    const bool is_list = imap_parse_try(p, '(');
    if (!is_list && !bare_allowed) {
        return vy_error(VY_CODE_SYNTAX, "a flag list is missing");
    }
    if (is_list && imap_parse_try(p, ')')) {
        return vy_ok();
    }
    do {
        VY_TRY(parse_one(p, out));
    } while (imap_parse_try(p, ' '));
    return is_list ? imap_parse_byte(p, ')', "flag list does not end") : vy_ok();
}

static void write_one(struct vy_buf *out, const char **separator, struct vy_bytes name)
{
    vy_buf_append_cstr(out, *separator);
    vy_buf_append(out, name);
    *separator = " ";
}

void imap_write_flags(struct vy_buf *out, const struct imap_view *view, uint32_t flags,
                      struct vy_bytes keyword_bits, bool is_recent)
{
    const char *separator = "";
    vy_buf_append_byte(out, '(');
    flags = (flags & MAIL_FLAGS_STORABLE) | (is_recent ? (uint32_t)MAIL_FLAG_RECENT : 0);
    mail_flags_append(out, flags);
    separator = flags != 0 ? " " : "";
    for (size_t byte = 0; byte < keyword_bits.len; byte++) {
        for (uint32_t bit = 0; keyword_bits.data[byte] >> bit != 0; bit++) {
            const bool is_set = (keyword_bits.data[byte] >> bit & 1) != 0;
            const struct vy_bytes name =
                is_set ? imap_view_keyword(view, (uint32_t)byte * 8 + bit) : vy_bytes(NULL, 0);
            if (name.len > 0) {
                write_one(out, &separator, name);
            }
        }
    }
    vy_buf_append_byte(out, ')');
}

static void write_known(struct imap_session *s, const char **separator)
{
    mail_flags_append(&s->out, MAIL_FLAGS_STORABLE);
    *separator = " ";
    struct vy_bytes rest = vy_buf_bytes(&s->view->keywords);
    while (rest.len > 0) {
        const struct vy_bytes name = vy_bytes_slice(rest, 1, rest.data[0]);
        write_one(&s->out, separator, name);
        rest = vy_bytes_from(rest, 1 + name.len);
    }
}

void imap_write_flags_known(struct imap_session *s)
{
    const char *separator = "";
    vy_buf_append_cstr(&s->out, "* FLAGS (");
    write_known(s, &separator);
    vy_buf_append_cstr(&s->out, ")\r\n* OK [PERMANENTFLAGS (");
    separator = "";
    if (!s->view->is_read_only) {
        write_known(s, &separator);
        write_one(&s->out, &separator, VY_LIT("\\*"));
    }
    vy_buf_append_cstr(&s->out, ")] Flags kept\r\n");
}
