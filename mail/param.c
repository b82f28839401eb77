/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/param.h"

#include "mail/charset.h"
#include "mail/encoded_word.h"

#define SECTION_NONE UINT32_MAX
#define SECTION_MAX 999U

/* One "name*3*=value" as it stands. */
struct piece {
    struct vy_bytes base; /* "name" */
    struct vy_bytes value;
    uint32_t section; /* 3; SECTION_NONE without a number */
    bool is_extended; /* a '*' at the end */
};

struct reader {
    struct vy_arena *arena;
    struct vy_bytes in;
    size_t at;
};

static struct vy_err no_room(void)
{
    return vy_error(VY_CODE_LIMIT, "parameters");
}

/* ---- words ---- */

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static uint8_t peek(const struct reader *r)
{
    return r->at < r->in.len ? r->in.data[r->at] : 0;
}

/* A comment may end with the text, also behind a backslash (M8). */
static void skip_comment(struct reader *r)
{
    size_t depth = 0;
    while (r->at < r->in.len) {
        const uint8_t c = r->in.data[r->at++];
        if (c == '\\') {
            r->at++;
        } else if (c == '(') {
            depth++;
        } else if (c == ')' && --depth == 0) {
            break;
        }
    }
    r->at = VY_MIN(r->at, r->in.len);
}

static void skip_space(struct reader *r)
{
    while (r->at < r->in.len && (is_space(peek(r)) || peek(r) == '(')) {
        if (peek(r) == '(') {
            skip_comment(r);
        } else {
            r->at++;
        }
    }
}

/* Copies up to `stop` or ';' without comments, outer white space and line ends. */
static struct vy_err take_plain(struct reader *r, uint8_t stop, bool lower, struct vy_bytes *out)
{
    const size_t from = r->at;
    size_t end = from;
    while (end < r->in.len && r->in.data[end] != stop && r->in.data[end] != ';') {
        end++;
    }
    uint8_t *const text = vy_arena_alloc(r->arena, end - from);
    if (text == NULL) {
        return no_room();
    }
    size_t len = 0;
    while (r->at < end) {
        const uint8_t c = peek(r);
        const bool is_comment = c == '(' && (len == 0 || is_space(r->in.data[r->at - 1]));
        if (is_comment) {
            skip_comment(r);
            continue;
        }
        if (c != '\r' && c != '\n') {
            text[len++] = lower ? vy_ascii_lower(c) : c;
        }
        r->at++;
    }
    *out = vy_bytes_trim(vy_bytes(text, len));
    return vy_ok();
}

/* Up to the closing quote, so that each value takes memory for itself only. */
static size_t quoted_bytes(const struct reader *r)
{
    size_t end = r->at;
    while (end < r->in.len && r->in.data[end] != '"') {
        end += r->in.data[end] == '\\' ? 2 : 1;
    }
    return VY_MIN(end, r->in.len) - r->at;
}

/* Behind the opening quote. Line ends are folding. */
static struct vy_err take_quoted(struct reader *r, struct vy_bytes *out)
{
    uint8_t *const text = vy_arena_alloc(r->arena, quoted_bytes(r));
    if (text == NULL) {
        return no_room();
    }
    size_t len = 0;
    while (r->at < r->in.len && peek(r) != '"') {
        if (peek(r) == '\\' && r->at + 1 < r->in.len) {
            r->at++;
        }
        if (peek(r) != '\r' && peek(r) != '\n') {
            text[len++] = peek(r);
        }
        r->at++;
    }
    *out = vy_bytes(text, len);
    return vy_ok();
}

/* ---- pieces ---- */

/* "name*3*" into its three parts; what does not look like that is a name as it is. */
static void split_name(struct vy_bytes name, struct piece *out)
{
    *out = (struct piece){.base = name, .section = SECTION_NONE};
    const size_t star = vy_bytes_find_byte(name, '*', 0);
    if (star == SIZE_MAX || star == 0) {
        return;
    }
    struct vy_bytes rest = vy_bytes_from(name, star + 1);
    const bool is_extended = rest.len == 0 || rest.data[rest.len - 1] == '*';
    rest.len -= is_extended && rest.len > 0 ? 1 : 0;
    uint32_t section = SECTION_NONE;
    if (rest.len > 0 && (!vy_parse_u32(rest, &section) || section > SECTION_MAX)) {
        return;
    }
    *out = (struct piece){
        .base = vy_bytes_slice(name, 0, star), .section = section, .is_extended = is_extended};
}

/* The next "; name=value"; *found is false for "; ;" and what has no '='. */
static struct vy_err take_piece(struct reader *r, struct piece *out, bool *found)
{
    struct vy_bytes name;
    *found = false;
    skip_space(r);
    VY_TRY(take_plain(r, '=', /* lower = */ true, &name));
    if (peek(r) != '=') {
        return vy_ok();
    }
    r->at++;
    skip_space(r);
    split_name(name, out);
    if (peek(r) == '"') {
        r->at++;
        VY_TRY(take_quoted(r, &out->value));
    } else {
        VY_TRY(take_plain(r, ';', /* lower = */ false, &out->value));
    }
    *found = out->base.len > 0;
    return vy_ok();
}

static void skip_to_semicolon(struct reader *r)
{
    const size_t at = vy_bytes_find_byte(r->in, ';', r->at);
    r->at = at == SIZE_MAX ? r->in.len : at + 1;
}

/* ---- parameters out of pieces ---- */

struct joiner {
    struct vy_arena *arena;
    const struct piece *pieces;
    size_t count;
};

static const struct piece *find_section(const struct joiner *j, struct vy_bytes base,
                                        uint32_t section)
{
    for (size_t i = 0; i < j->count; i++) {
        if (j->pieces[i].section == section && vy_bytes_equal(j->pieces[i].base, base)) {
            return &j->pieces[i];
        }
    }
    return NULL;
}

static bool must_be_percent(uint8_t c)
{
    return c <= ' ' || c >= 0x7F || strchr("%'*()<>@,;:\\\"/[]?=", c) != NULL;
}

/* A piece that is not extended, among extended ones: in their form. */
static size_t put_percent(uint8_t *to, struct vy_bytes text)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        const uint8_t c = text.data[i];
        if (!must_be_percent(c)) {
            to[len++] = c;
            continue;
        }
        to[len++] = '%';
        to[len++] = (uint8_t)hex[c >> 4];
        to[len++] = (uint8_t)hex[c & 15];
    }
    return len;
}

/* Bytes that the pieces base*0, base*1 ... up to the first gap can need together. */
static size_t measure_run(const struct joiner *j, struct vy_bytes base, bool *is_extended)
{
    size_t bytes = 2; /* "''" in front when section 0 has no charset */
    *is_extended = false;
    for (uint32_t section = 0; section <= SECTION_MAX; section++) {
        const struct piece *const piece = find_section(j, base, section);
        if (piece == NULL) {
            break;
        }
        *is_extended = *is_extended || piece->is_extended;
        bytes += piece->value.len * 3;
    }
    return bytes;
}

static struct vy_err join_run(const struct joiner *j, struct vy_bytes base, struct vy_bytes *out,
                              bool *is_extended)
{
    uint8_t *const text = vy_arena_alloc(j->arena, measure_run(j, base, is_extended));
    size_t len = 0;
    if (text == NULL) {
        return no_room();
    }
    for (uint32_t section = 0; section <= SECTION_MAX; section++) {
        const struct piece *const piece = find_section(j, base, section);
        if (piece == NULL) {
            break;
        }
        if (*is_extended && section == 0 && !piece->is_extended) {
            memcpy(text, "''", 2);
            len = 2;
        }
        if (*is_extended && !piece->is_extended) {
            len += put_percent(text + len, piece->value);
        } else if (piece->value.len > 0) {
            memcpy(text + len, piece->value.data, piece->value.len);
            len += piece->value.len;
        }
    }
    *out = vy_bytes(text, len);
    return vy_ok();
}

static struct vy_err shown_name(struct vy_arena *arena, struct vy_bytes base, bool is_extended,
                                struct vy_bytes *out)
{
    uint8_t *const text = vy_arena_alloc(arena, base.len + 1);
    if (text == NULL) {
        return no_room();
    }
    memcpy(text, base.data, base.len);
    text[base.len] = '*';
    *out = vy_bytes(text, base.len + (is_extended ? 1 : 0));
    return vy_ok();
}

static struct vy_err add_param(const struct joiner *j, const struct piece *piece,
                               struct param *items, size_t *count)
{
    struct param param = {.value = piece->value};
    bool is_extended = piece->is_extended;
    if (piece->section != SECTION_NONE) {
        VY_TRY(join_run(j, piece->base, &param.value, &is_extended));
    }
    VY_TRY(shown_name(j->arena, piece->base, is_extended, &param.name));
    const struct param_list so_far = {items, *count};
    if (param_find(&so_far, param.name).data == NULL) { /* M5: the first counts */
        items[(*count)++] = param;
    }
    return vy_ok();
}

static struct vy_err join_pieces(struct vy_arena *arena, const struct piece *pieces,
                                 size_t piece_count, struct param_list *out)
{
    const struct joiner j = {.arena = arena, .pieces = pieces, .count = piece_count};
    struct param *const items = VY_ARENA_ARRAY(arena, piece_count, struct param);
    size_t count = 0;
    if (items == NULL) {
        return no_room();
    }
    for (size_t i = 0; i < piece_count; i++) {
        /* Numbered pieces stand where their first one is; without that they are lost. */
        const bool is_numbered = pieces[i].section != SECTION_NONE;
        if (!is_numbered || &pieces[i] == find_section(&j, pieces[i].base, 0)) {
            VY_TRY(add_param(&j, &pieces[i], items, &count));
        }
    }
    *out = (struct param_list){.items = items, .count = count};
    return vy_ok();
}

/* As many parameters there can be, and no more than are read. */
static size_t count_semicolons(struct vy_bytes text)
{
    size_t count = 0;
    for (size_t at = vy_bytes_find_byte(text, ';', 0); at != SIZE_MAX && count < PARAM_COUNT_MAX;
         at = vy_bytes_find_byte(text, ';', at + 1)) {
        count++;
    }
    return count;
}

struct vy_err param_parse(struct vy_arena *arena, struct vy_bytes value, struct param_field *out)
{
    struct reader r = {.arena = arena, .in = value};
    struct param_field field = {.params = {.items = NULL}};
    size_t count = 0;

    skip_space(&r);
    VY_TRY(take_plain(&r, ';', /* lower = */ true, &field.value));
    if (r.at < r.in.len) {
        const size_t capacity = count_semicolons(vy_bytes_from(value, r.at));
        struct piece *const pieces = VY_ARENA_ARRAY(arena, capacity, struct piece);
        if (pieces == NULL) {
            return no_room();
        }
        for (skip_to_semicolon(&r); r.at < r.in.len && count < capacity; skip_to_semicolon(&r)) {
            bool found = false;
            VY_TRY(take_piece(&r, &pieces[count], &found));
            count += found ? 1 : 0;
        }
        VY_TRY(join_pieces(arena, pieces, count, &field.params));
    }
    *out = field;
    return vy_ok();
}

struct vy_bytes param_find(const struct param_list *list, struct vy_bytes name)
{
    for (size_t i = 0; i < list->count; i++) {
        if (vy_bytes_equal(list->items[i].name, name)) {
            return list->items[i].value;
        }
    }
    return vy_bytes(NULL, 0);
}

/* ---- decoding ---- */

static struct vy_bytes find_extended(const struct param_list *list, struct vy_bytes name)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct vy_bytes shown = list->items[i].name;
        if (shown.len == name.len + 1 && shown.data[name.len] == '*' &&
            vy_bytes_starts_with(shown, name)) {
            return list->items[i].value;
        }
    }
    return vy_bytes(NULL, 0);
}

static void append_unpercented(struct vy_buf *out, struct vy_bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '%' && i + 2 < text.len && vy_ascii_hex_value(text.data[i + 1]) >= 0 &&
            vy_ascii_hex_value(text.data[i + 2]) >= 0) {
            vy_buf_append_byte(out, (uint8_t)(vy_ascii_hex_value(text.data[i + 1]) * 16 +
                                              vy_ascii_hex_value(text.data[i + 2])));
            i += 2;
        } else {
            vy_buf_append_byte(out, text.data[i]);
        }
    }
}

/* "charset'language'text%20here" */
static void append_extended(struct vy_buf *out, struct vy_bytes value)
{
    uint16_t charset = CHARSET_UNKNOWN;
    const size_t first = vy_bytes_find_byte(value, '\'', 0);
    const size_t second = first == SIZE_MAX ? SIZE_MAX : vy_bytes_find_byte(value, '\'', first + 1);
    if (second != SIZE_MAX) {
        charset = charset_find(vy_bytes_slice(value, 0, first));
        value = vy_bytes_from(value, second + 1);
    }
    struct vy_buf bytes;
    struct vy_buf utf8;
    vy_buf_init(&bytes, value.len);
    vy_buf_init(&utf8, 4 * value.len + 16);
    append_unpercented(&bytes, value);
    charset_append_utf8(&utf8, charset, vy_buf_bytes(&bytes));
    charset_append_clean(out, vy_buf_bytes(&utf8), /* no_controls = */ true);
    out->failed = out->failed || bytes.failed || utf8.failed;
    vy_buf_deinit(&bytes);
    vy_buf_deinit(&utf8);
}

bool param_append_decoded(struct vy_buf *out, const struct param_list *list, struct vy_bytes name)
{
    const struct vy_bytes extended = find_extended(list, name);
    if (extended.data != NULL) {
        append_extended(out, extended);
        return true;
    }
    const struct vy_bytes plain = param_find(list, name);
    if (plain.data == NULL) {
        return false;
    }
    encoded_word_decode(out, plain);
    return true;
}
