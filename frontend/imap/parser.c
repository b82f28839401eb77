/* SPDX-License-Identifier: Apache-2.0 */
#include "frontend/imap/parser.h"
#include "mail/date.h"
#include "mail/mutf7.h"

#define TAG_BYTES_MAX 128U           /* I6; clients use a handful */
#define FLAG_BYTES_MAX 64U           /* I19 */
#define MAILBOX_WIRE_BYTES_MAX 8192U /* 32 levels of 255 bytes (I11) */

static struct vy_err expected(const char *what)
{
    return vy_error(VY_CODE_SYNTAX, what);
}

/* CTL, SP and the specials end an atom; so does 8-bit, which no atom may hold. */
bool imap_is_atom_char(uint8_t c)
{
    if (c <= ' ' || c >= 0x7f) {
        return false;
    }
    return c != '(' && c != ')' && c != '{' && c != '%' && c != '*' && c != '"' && c != '\\' &&
           c != ']';
}

static bool is_astring_char(uint8_t c)
{
    return imap_is_atom_char(c) || c == ']';
}

static bool is_list_char(uint8_t c)
{
    return is_astring_char(c) || c == '%' || c == '*';
}

static bool is_tag_char(uint8_t c)
{
    return is_astring_char(c) && c != '+' && c != '}';
}

static bool is_set_char(uint8_t c)
{
    return vy_ascii_is_digit(c) || c == ':' || c == ',' || c == '*';
}

static struct vy_bytes take_while(struct imap_parser *p, bool (*is_one)(uint8_t c))
{
    const size_t from = p->at;
    while (p->at < p->in.len && is_one(p->in.data[p->at])) {
        p->at++;
    }
    return vy_bytes_slice(p->in, from, p->at - from);
}

bool imap_parse_try(struct imap_parser *p, uint8_t byte)
{
    if (p->at >= p->in.len || p->in.data[p->at] != byte) {
        return false;
    }
    p->at++;
    return true;
}

bool imap_parse_try_word(struct imap_parser *p, const char *word)
{
    const struct vy_bytes want = vy_cstr(word);
    const struct vy_bytes rest = imap_parser_rest(p);
    if (!vy_bytes_starts_with_nocase(rest, want) ||
        (rest.len > want.len && imap_is_atom_char(rest.data[want.len]))) {
        return false;
    }
    p->at += want.len;
    return true;
}

struct vy_err imap_parse_byte(struct imap_parser *p, uint8_t byte, const char *what)
{
    return imap_parse_try(p, byte) ? vy_ok() : expected(what);
}

struct vy_err imap_parse_space(struct imap_parser *p)
{
    return imap_parse_byte(p, ' ', "a space is missing");
}

struct vy_err imap_parse_end(struct imap_parser *p)
{
    const bool is_stray = p->at + 1 == p->in.len && p->in.data[p->at] == ' ';
    return imap_parser_is_at_end(p) || is_stray ? vy_ok() : expected("too many arguments");
}

struct vy_err imap_parse_tag(struct imap_parser *p, struct vy_bytes *out)
{
    const struct vy_bytes tag = take_while(p, is_tag_char);
    if (tag.len == 0 || tag.len > TAG_BYTES_MAX) {
        return expected("not a tag");
    }
    *out = tag;
    return vy_ok();
}

struct vy_err imap_parse_atom(struct imap_parser *p, struct vy_bytes *out)
{
    const struct vy_bytes atom = take_while(p, imap_is_atom_char);
    if (atom.len == 0) {
        return expected("a word is missing");
    }
    *out = atom;
    return vy_ok();
}

/* Where a quoted string ends, behind its first quote; SIZE_MAX when it does not or is not well
 * formed. */
static size_t find_quote_end(const struct imap_parser *p, size_t from, bool *has_escapes)
{
    *has_escapes = false;
    for (size_t at = from; at < p->in.len; at++) {
        const uint8_t c = p->in.data[at];
        if (c == '"') {
            return at;
        }
        if (c == '\r' || c == '\n' || c == 0) {
            return SIZE_MAX;
        }
        if (c == '\\') {
            at++;
            *has_escapes = true;
            if (at >= p->in.len || (p->in.data[at] != '"' && p->in.data[at] != '\\')) {
                return SIZE_MAX;
            }
        }
    }
    return SIZE_MAX;
}

static struct vy_err unescape(struct imap_parser *p, struct vy_bytes quoted, struct vy_bytes *out)
{
    uint8_t *const text = vy_arena_alloc(p->arena, quoted.len);
    size_t len = 0;
    if (text == NULL) {
        return vy_error(VY_CODE_LIMIT, "command is too large");
    }
    for (size_t i = 0; i < quoted.len; i++) {
        i += quoted.data[i] == '\\' ? 1 : 0;
        text[len++] = quoted.data[i];
    }
    *out = vy_bytes(text, len);
    return vy_ok();
}

static struct vy_err parse_quoted(struct imap_parser *p, struct vy_bytes *out)
{
    bool has_escapes = false;
    const size_t from = p->at + 1;
    const size_t end = find_quote_end(p, from, &has_escapes);
    if (end == SIZE_MAX) {
        return expected("quoted string is not well formed");
    }
    const struct vy_bytes quoted = vy_bytes_slice(p->in, from, end - from);
    p->at = end + 1;
    if (has_escapes) {
        return unescape(p, quoted, out);
    }
    *out = quoted;
    return vy_ok();
}

/* "{n}" or "{n+}", a line end, n bytes: the reader has seen to it that they are there. */
static struct vy_err parse_literal(struct imap_parser *p, struct vy_bytes *out)
{
    const size_t close = vy_bytes_find_byte(p->in, '}', p->at);
    if (close == SIZE_MAX) {
        return expected("literal is not well formed");
    }
    struct vy_bytes number = vy_bytes_slice(p->in, p->at + 1, close - p->at - 1);
    if (vy_bytes_ends_with(number, VY_LIT("+"))) {
        number.len--;
    }
    uint32_t size = 0;
    p->at = close + 1;
    (void)imap_parse_try(p, '\r');
    if (!vy_parse_u32(number, &size) || !imap_parse_try(p, '\n') || size > p->in.len - p->at) {
        return expected("literal is not well formed");
    }
    *out = vy_bytes_slice(p->in, p->at, size);
    p->at += size;
    return vy_bytes_find_byte(*out, 0, 0) == SIZE_MAX ? vy_ok() : expected("NUL in a literal");
}

struct vy_err imap_parse_string(struct imap_parser *p, struct vy_bytes *out)
{
    const uint8_t c = imap_parser_peek(p);
    if (c == '"') {
        return parse_quoted(p, out);
    }
    return c == '{' ? parse_literal(p, out) : expected("a string is missing");
}

static struct vy_err parse_string_or(struct imap_parser *p, bool (*is_one)(uint8_t c),
                                     struct vy_bytes *out)
{
    const uint8_t c = imap_parser_peek(p);
    if (c == '"' || c == '{') {
        return imap_parse_string(p, out);
    }
    const struct vy_bytes word = take_while(p, is_one);
    if (word.len == 0) {
        return expected("an argument is missing");
    }
    *out = word;
    return vy_ok();
}

struct vy_err imap_parse_astring(struct imap_parser *p, struct vy_bytes *out)
{
    return parse_string_or(p, is_astring_char, out);
}

struct vy_err imap_parse_pattern(struct imap_parser *p, struct vy_bytes *out)
{
    return parse_string_or(p, is_list_char, out);
}

struct vy_err imap_parse_nstring(struct imap_parser *p, struct vy_bytes *out)
{
    if (imap_parse_try_word(p, "NIL")) {
        *out = vy_bytes(NULL, 0);
        return vy_ok();
    }
    return imap_parse_string(p, out);
}

static bool is_digit(uint8_t c)
{
    return vy_ascii_is_digit(c);
}

struct vy_err imap_parse_u32(struct imap_parser *p, uint32_t *out)
{
    return vy_parse_u32(take_while(p, is_digit), out) ? vy_ok() : expected("not a number");
}

struct vy_err imap_parse_u64(struct imap_parser *p, uint64_t *out)
{
    return vy_parse_u64(take_while(p, is_digit), out) ? vy_ok() : expected("not a number");
}

struct vy_err imap_parse_set_text(struct imap_parser *p, struct vy_bytes *out)
{
    *out = take_while(p, is_set_char);
    return out->len > 0 ? vy_ok() : expected("not a sequence set");
}

struct vy_err imap_parse_flag(struct imap_parser *p, struct vy_bytes *out)
{
    const size_t from = p->at;
    (void)imap_parse_try(p, '\\');
    struct vy_bytes word = {.data = NULL};
    VY_TRY(imap_parse_atom(p, &word));
    *out = vy_bytes_slice(p->in, from, p->at - from);
    return out->len <= FLAG_BYTES_MAX ? vy_ok() : vy_error(VY_CODE_LIMIT, "flag is too long");
}

struct vy_err imap_mailbox_from_wire(struct vy_arena *arena, struct vy_bytes wire,
                                     struct vy_bytes *out)
{
    if (vy_bytes_equal_nocase(wire, VY_LIT("INBOX"))) {
        *out = VY_LIT("INBOX");
        return vy_ok();
    }
    if (wire.len > MAILBOX_WIRE_BYTES_MAX) {
        return vy_error(VY_CODE_LIMIT, "mailbox name is too long");
    }
    VY_TRY(mutf7_decode(arena, wire, out));
    /* Children of INBOX are found under its one spelling. */
    if (vy_bytes_starts_with_nocase(*out, VY_LIT("INBOX/")) &&
        !vy_bytes_starts_with(*out, VY_LIT("INBOX"))) {
        uint8_t *const text = vy_arena_alloc(arena, out->len);
        if (text == NULL) {
            return vy_error(VY_CODE_LIMIT, "command is too large");
        }
        memcpy(text, out->data, out->len);
        memcpy(text, "INBOX", 5);
        *out = vy_bytes(text, out->len);
    }
    return vy_ok();
}

struct vy_err imap_parse_mailbox(struct imap_parser *p, struct vy_bytes *out)
{
    struct vy_bytes wire = {.data = NULL};
    VY_TRY(imap_parse_astring(p, &wire));
    return imap_mailbox_from_wire(p->arena, wire, out);
}

/* Dates before 1970 count as 1970 began: messages have none earlier. */
static uint64_t not_before_1970(int64_t ms)
{
    return ms < 0 ? 0 : (uint64_t)ms;
}

struct vy_err imap_parse_date_time(struct imap_parser *p, uint64_t *out_ms, int32_t *out_zone)
{
    struct vy_bytes text = {.data = NULL};
    if (imap_parser_peek(p) != '"') {
        return expected("a date-time is missing");
    }
    VY_TRY(parse_quoted(p, &text));
    struct date_time date = {.unix_ms = 0};
    if (!date_parse_imap_date_time(text, &date)) {
        return expected("not a date-time");
    }
    *out_ms = not_before_1970(date.unix_ms);
    *out_zone = date.zone_minutes;
    return vy_ok();
}

static bool is_date_char(uint8_t c)
{
    return vy_ascii_is_alnum(c) || c == '-';
}

struct vy_err imap_parse_date(struct imap_parser *p, uint64_t *out_ms)
{
    struct vy_bytes text = {.data = NULL};
    VY_TRY(parse_string_or(p, is_date_char, &text));
    int64_t ms = 0;
    if (!date_parse_imap_date(text, &ms)) {
        return expected("not a date");
    }
    *out_ms = not_before_1970(ms);
    return vy_ok();
}
