/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/address.h"

#include "mail/charset.h"
#include "mail/encoded_word.h"

/* Text gathered in one of the two arena blocks; never longer than the field. */
struct text {
    uint8_t *data;
    size_t len;
    size_t from; /* where the current word sequence begins */
};

struct parser {
    struct vy_bytes in;
    size_t at;
    struct text phrase; /* words with single spaces where white space was */
    struct text joined; /* the last words joined by dots, without white space: a local part */
    size_t joined_from_phrase; /* where in phrase the words of `joined` begin */
    struct vy_bytes comment;   /* of the current address */
    bool has_space;            /* white space or a comment in front of the next word */
    bool has_dot;              /* the last word was a dot */
    bool in_group;
    struct address *items;
    size_t count;
    size_t capacity;
};

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_special(uint8_t c)
{
    return c == '<' || c == '>' || c == '@' || c == ',' || c == ';' || c == ':' || c == '.' ||
           c == '"' || c == '(' || c == '[';
}

static uint8_t peek(const struct parser *p)
{
    return p->in.data[p->at];
}

static bool is_at_end(const struct parser *p)
{
    return p->at >= p->in.len;
}

/* ---- lexical ---- */

/* Depth is a number, so nesting costs nothing; too deep, and the rest is comment (M8). */
static void skip_comment(struct parser *p)
{
    const size_t from = p->at + 1;
    size_t depth = 0;
    while (p->at < p->in.len) {
        const uint8_t c = p->in.data[p->at++];
        if (c == '\\') {
            p->at++;
        } else if (c == '(') {
            depth++;
        } else if (c == ')' && --depth == 0) {
            p->comment = vy_bytes_trim(vy_bytes_slice(p->in, from, p->at - 1 - from));
            return;
        }
        if (depth > ADDRESS_COMMENT_DEPTH_MAX) {
            break;
        }
    }
    p->at = p->in.len;
}

static void skip_space(struct parser *p)
{
    while (!is_at_end(p) && (is_space(peek(p)) || peek(p) == '(')) {
        p->has_space = true;
        if (peek(p) == '(') {
            skip_comment(p);
        } else {
            p->at++;
        }
    }
}

static void put(struct text *text, uint8_t c)
{
    text->data[text->len++] = c;
}

static struct vy_bytes taken(const struct text *text)
{
    return vy_bytes(text->data + text->from, text->len - text->from);
}

/* Content of a quoted string; line ends inside are folding. */
static void take_quoted(struct parser *p, struct text *a, struct text *b)
{
    p->at++;
    while (!is_at_end(p) && peek(p) != '"') {
        if (peek(p) == '\\' && p->at + 1 < p->in.len) {
            p->at++;
        }
        if (peek(p) != '\r' && peek(p) != '\n') {
            put(a, peek(p));
            if (b != NULL) {
                put(b, peek(p));
            }
        }
        p->at++;
    }
    p->at = VY_MIN(p->at + 1, p->in.len);
}

static void take_atom(struct parser *p, struct text *a, struct text *b)
{
    while (!is_at_end(p) && !is_special(peek(p)) && !is_space(peek(p))) {
        put(a, peek(p));
        if (b != NULL) {
            put(b, peek(p));
        }
        p->at++;
    }
}

/* "[...]" as it stands. */
static void take_literal(struct parser *p, struct text *out)
{
    while (!is_at_end(p) && peek(p) != ']') {
        if (!is_space(peek(p))) {
            put(out, peek(p));
        }
        p->at++;
    }
    if (!is_at_end(p)) {
        put(out, ']');
        p->at++;
    }
}

/* ---- pieces of an address ---- */

/* A new sequence in `joined` begins, unless a dot binds this word to the one before. */
static void begin_word(struct parser *p, bool is_dot)
{
    const bool is_first = p->phrase.len == p->phrase.from;
    const bool is_bound = p->has_dot || is_dot;
    if (!is_first && p->has_space) {
        put(&p->phrase, ' ');
    }
    if (!is_bound || is_first) {
        p->joined.len = p->joined.from;
        p->joined_from_phrase = p->phrase.len;
    }
    p->has_space = false;
    p->has_dot = is_dot;
}

static void take_word(struct parser *p)
{
    const uint8_t c = peek(p);
    begin_word(p, c == '.');
    if (c == '"') {
        take_quoted(p, &p->phrase, &p->joined);
    } else if (c == '.' || c == '[' || c == '>') { /* stray ones are text */
        put(&p->phrase, c);
        put(&p->joined, c);
        p->at++;
    } else {
        take_atom(p, &p->phrase, &p->joined);
    }
}

/* Behind "@": atoms, dots and literals without white space. */
static struct vy_bytes take_domain(struct parser *p)
{
    struct text *const out = &p->joined;
    out->from = out->len;
    for (skip_space(p); !is_at_end(p); skip_space(p)) {
        const uint8_t c = peek(p);
        if (c == '[') {
            take_literal(p, out);
        } else if (c == '.') {
            put(out, c);
            p->at++;
        } else if (is_special(c) ||
                   (p->has_space && out->len > out->from && out->data[out->len - 1] != '.')) {
            break;
        } else {
            take_atom(p, out, NULL);
        }
        p->has_space = false;
    }
    const struct vy_bytes domain = taken(out);
    out->from = out->len;
    return domain;
}

/* "@a,@b:" at the front of an angle address. */
static struct vy_bytes take_route(struct parser *p)
{
    const size_t from = p->at;
    const size_t text_from = p->joined.len;
    while (!is_at_end(p) && (peek(p) == '@' || peek(p) == ',')) {
        put(&p->joined, peek(p));
        p->at++;
        (void)take_domain(p);
        skip_space(p);
    }
    if (is_at_end(p) || peek(p) != ':') { /* no route: "<@host>" */
        p->at = from;
        p->joined.len = text_from;
        p->joined.from = text_from;
        return vy_bytes(NULL, 0);
    }
    p->at++;
    return vy_bytes(p->joined.data + text_from, p->joined.len - text_from);
}

/* Words and dots up to "@", ">" or what ends an address. */
static struct vy_bytes take_local(struct parser *p)
{
    struct text *const out = &p->joined;
    out->from = out->len;
    for (skip_space(p); !is_at_end(p); skip_space(p)) {
        const uint8_t c = peek(p);
        if (c == '"') {
            take_quoted(p, out, NULL);
        } else if (c == '.' || c == '[' || c == ':') {
            put(out, c);
            p->at++;
        } else if (is_special(c)) {
            break;
        } else {
            take_atom(p, out, NULL);
        }
    }
    const struct vy_bytes local = taken(out);
    out->from = out->len;
    return local;
}

/* ---- addresses ---- */

static void begin_address(struct parser *p)
{
    p->phrase.from = p->phrase.len;
    p->joined.from = p->joined.len;
    p->joined_from_phrase = p->phrase.len;
    p->comment = vy_bytes(NULL, 0);
    p->has_space = false;
    p->has_dot = false;
}

static bool is_full(const struct parser *p)
{
    return p->count >= ADDRESS_COUNT_MAX;
}

static void add(struct parser *p, struct address address)
{
    if (p->count < p->capacity) {
        p->items[p->count++] = address;
    }
}

static void end_group(struct parser *p)
{
    if (p->in_group) {
        p->in_group = false;
        add(p, (struct address){.kind = ADDRESS_GROUP_END});
    }
}

/* Reads over what stands between an address and the next ',' or ';'. */
static void skip_rest(struct parser *p)
{
    for (skip_space(p); !is_at_end(p) && peek(p) != ',' && peek(p) != ';'; skip_space(p)) {
        p->at++;
    }
}

/* Name in front of a bracket or bare address; a comment behind stands in for it. */
static struct vy_bytes find_name(const struct parser *p, size_t phrase_end)
{
    const struct vy_bytes phrase =
        vy_bytes_trim(vy_bytes(p->phrase.data + p->phrase.from, phrase_end - p->phrase.from));
    if (phrase.len > 0) {
        return phrase;
    }
    return p->comment.len > 0 ? p->comment : vy_bytes(NULL, 0);
}

static void take_angle(struct parser *p)
{
    struct address address = {.kind = ADDRESS_MAILBOX};
    const size_t phrase_end = p->phrase.len;
    p->at++;
    skip_space(p);
    if (!is_at_end(p) && peek(p) == '@') {
        address.route = take_route(p);
    }
    address.mailbox = take_local(p);
    if (!is_at_end(p) && peek(p) == '@') {
        p->at++;
        address.host = take_domain(p);
    }
    skip_rest(p);
    address.name = find_name(p, phrase_end);
    add(p, address);
    begin_address(p);
}

/* At the "@" of an address without brackets: the words joined by dots in front are its local part.
 */
static void take_bare(struct parser *p)
{
    struct address address = {.kind = ADDRESS_MAILBOX};
    const size_t phrase_end = p->joined_from_phrase;
    address.mailbox = taken(&p->joined);
    p->at++;
    address.host = take_domain(p);
    skip_rest(p);
    address.name = find_name(p, phrase_end);
    add(p, address);
    begin_address(p);
}

/* At ',' or ';' or the end: words without an "@" are a mailbox without a host. */
static void end_address(struct parser *p)
{
    const struct vy_bytes phrase = vy_bytes_trim(taken(&p->phrase));
    if (phrase.len > 0) {
        add(p, (struct address){.kind = ADDRESS_MAILBOX,
                                .name = find_name(p, p->phrase.from),
                                .mailbox = phrase});
    }
    begin_address(p);
}

static void begin_group(struct parser *p)
{
    end_group(p);
    p->in_group = true;
    add(p,
        (struct address){.kind = ADDRESS_GROUP_START, .mailbox = vy_bytes_trim(taken(&p->phrase))});
    begin_address(p);
}

static void parse_next(struct parser *p)
{
    switch (peek(p)) {
    case ',':
        end_address(p);
        p->at++;
        return;
    case ';':
        end_address(p);
        end_group(p);
        p->at++;
        return;
    case ':':
        begin_group(p);
        p->at++;
        return;
    case '<':
        take_angle(p);
        return;
    case '@':
        take_bare(p);
        return;
    default:
        take_word(p);
        return;
    }
}

/* Upper bound of entries: each separator ends an address and may begin or end a group. */
static size_t count_entries(struct vy_bytes value)
{
    size_t count = 3;
    for (size_t i = 0; i < value.len; i++) {
        const uint8_t c = value.data[i];
        count += c == ',' || c == '<' || c == '@' ? 1 : c == ';' || c == ':' ? 2 : 0;
    }
    return VY_MIN(count, (size_t)ADDRESS_COUNT_MAX + 3);
}

static struct vy_err init(struct parser *p, struct vy_arena *arena, struct vy_bytes value)
{
    *p = (struct parser){.in = value, .capacity = count_entries(value)};
    p->items = VY_ARENA_ARRAY(arena, p->capacity, struct address);
    /* Every byte put comes from one byte of input; spaces between words too. */
    p->phrase.data = vy_arena_alloc(arena, value.len + 1);
    p->joined.data = vy_arena_alloc(arena, value.len + 1);
    if (p->items == NULL || p->phrase.data == NULL || p->joined.data == NULL) {
        return vy_error(VY_CODE_LIMIT, "addresses");
    }
    begin_address(p);
    return vy_ok();
}

struct vy_err address_list_parse(struct vy_arena *arena, struct vy_bytes value,
                                 struct address_list *out)
{
    struct parser p;
    VY_TRY(init(&p, arena, value));
    skip_space(&p);
    while (!is_at_end(&p) && !is_full(&p)) {
        parse_next(&p);
        skip_space(&p);
    }
    const bool is_cut = !is_at_end(&p);
    if (!is_cut) {
        end_address(&p);
    }
    end_group(&p);
    *out = (struct address_list){.items = p.items, .count = p.count, .is_cut = is_cut};
    return vy_ok();
}

/* ---- text ---- */

static void append_mailbox_text(struct vy_buf *out, const struct address *address)
{
    const bool has_name = address->name.len > 0;
    if (has_name) {
        encoded_word_decode(out, address->name);
        vy_buf_append_cstr(out, " <");
    }
    charset_append_clean(out, address->mailbox, /* no_controls = */ true);
    if (address->host.data != NULL) {
        vy_buf_append_byte(out, '@');
        charset_append_clean(out, address->host, /* no_controls = */ true);
    }
    vy_buf_append_cstr(out, has_name ? ">" : "");
}

void address_list_append_text(struct vy_buf *out, const struct address_list *list)
{
    const char *separator = "";
    for (size_t i = 0; i < list->count && !out->failed; i++) {
        const struct address *const address = &list->items[i];
        if (address->kind == ADDRESS_GROUP_END) {
            vy_buf_append_byte(out, ';');
            continue;
        }
        vy_buf_append_cstr(out, separator);
        separator = ", ";
        if (address->kind == ADDRESS_GROUP_START) {
            encoded_word_decode(out, address->mailbox);
            vy_buf_append_byte(out, ':');
            separator = " ";
        } else {
            append_mailbox_text(out, address);
        }
    }
}
