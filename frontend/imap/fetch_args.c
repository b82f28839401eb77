/* SPDX-License-Identifier: Apache-2.0 */
/* FETCH items and section specs (RFC 3501 section 6.4.5, RFC 3516, 7162, 8474, 8970). */
#include "frontend/imap/fetch_args.h"
#include "base/assert.h"
#include "mail/section.h"

#define LABEL_BYTES_MAX 65536U

static struct vy_err too_large(void)
{
    return vy_error(VY_CODE_LIMIT, "command is too large");
}

/* ---- sections ---- */

/* Reads "1.2." into the path; what follows is a word or the end. */
static struct vy_err parse_path(struct imap_parser *p, struct fetch_section *section)
{
    uint8_t path[2 * IMAP_SECTION_DEPTH_MAX];
    size_t depth = 0;
    while (vy_ascii_is_digit(imap_parser_peek(p))) {
        uint32_t number = 0;
        VY_TRY(imap_parse_u32(p, &number));
        if (number == 0 || depth == IMAP_SECTION_DEPTH_MAX) {
            return vy_error(VY_CODE_SYNTAX, "not a part number"); /* I15 */
        }
        /* No message has 65,535 parts (M2): a larger number names nothing either. */
        vy_put_be16(path + 2 * depth, (uint16_t)VY_MIN(number, UINT16_MAX));
        depth++;
        if (!imap_parse_try(p, '.')) {
            break;
        }
    }
    return depth == 0 ? vy_ok()
                      : vy_arena_dup(p->arena, vy_bytes(path, 2 * depth), &section->part_path);
}

static struct vy_err parse_fields(struct imap_parser *p, struct fetch_section *section)
{
    struct vy_bytes *const fields =
        VY_ARENA_ARRAY(p->arena, IMAP_SECTION_FIELDS_MAX, struct vy_bytes);
    if (fields == NULL) {
        return too_large();
    }
    VY_TRY(imap_parse_space(p));
    VY_TRY(imap_parse_byte(p, '(', "header names are missing"));
    do {
        if (section->fields_count == IMAP_SECTION_FIELDS_MAX) {
            return vy_error(VY_CODE_SYNTAX, "too many header names");
        }
        VY_TRY(imap_parse_astring(p, &fields[section->fields_count++]));
    } while (imap_parse_try(p, ' '));
    section->fields = fields;
    return imap_parse_byte(p, ')', "header names do not end");
}

/* "HEADER", "HEADER.FIELDS (..)", "TEXT", "MIME", or nothing. */
static struct vy_err parse_section_text(struct imap_parser *p, struct fetch_section *section)
{
    const bool ends_with_dot = p->at > 0 && p->in.data[p->at - 1] == '.';
    section->kind = MAIL_SECTION_WHOLE;
    if (imap_parse_try_word(p, "HEADER.FIELDS.NOT")) {
        section->kind = MAIL_SECTION_HEADER_FIELDS_NOT;
        return parse_fields(p, section);
    }
    if (imap_parse_try_word(p, "HEADER.FIELDS")) {
        section->kind = MAIL_SECTION_HEADER_FIELDS;
        return parse_fields(p, section);
    }
    if (imap_parse_try_word(p, "HEADER")) {
        section->kind = MAIL_SECTION_HEADER;
    } else if (imap_parse_try_word(p, "TEXT")) {
        section->kind = MAIL_SECTION_TEXT;
    } else if (section->part_path.len > 0 && imap_parse_try_word(p, "MIME")) {
        section->kind = MAIL_SECTION_MIME;
    } else if (ends_with_dot) {
        return vy_error(VY_CODE_SYNTAX, "not a section");
    }
    return vy_ok();
}

static struct vy_err parse_partial(struct imap_parser *p, struct fetch_section *section)
{
    if (!imap_parse_try(p, '<')) {
        return vy_ok();
    }
    VY_TRY(imap_parse_u32(p, &section->partial_offset));
    VY_TRY(imap_parse_byte(p, '.', "not a partial"));
    VY_TRY(imap_parse_u32(p, &section->partial_length));
    section->partial = true;
    if (section->partial_length == 0) {
        return vy_error(VY_CODE_SYNTAX, "partial of no bytes");
    }
    return imap_parse_byte(p, '>', "not a partial");
}

/* ---- labels: the section as it is named in the response ---- */

static void write_path(struct vy_buf *out, struct vy_bytes path)
{
    for (size_t at = 0; at + 2 <= path.len; at += 2) {
        vy_buf_append_cstr(out, at > 0 ? "." : "");
        vy_buf_append_u64(out, vy_get_be16(path.data + at));
    }
}

static void write_section_text(struct vy_buf *out, const struct fetch_section *section)
{
    static const char *const words[] = {
        [MAIL_SECTION_WHOLE] = "",
        [MAIL_SECTION_HEADER] = "HEADER",
        [MAIL_SECTION_HEADER_FIELDS] = "HEADER.FIELDS",
        [MAIL_SECTION_HEADER_FIELDS_NOT] = "HEADER.FIELDS.NOT",
        [MAIL_SECTION_TEXT] = "TEXT",
        [MAIL_SECTION_MIME] = "MIME",
    };
    VY_ASSERT(section->kind < VY_COUNT_OF(words) && words[section->kind] != NULL);
    const char *const word = words[section->kind];
    vy_buf_append_cstr(out, section->part_path.len > 0 && word[0] != '\0' ? "." : "");
    vy_buf_append_cstr(out, word);
    for (size_t i = 0; i < section->fields_count; i++) {
        vy_buf_append_cstr(out, i == 0 ? " (" : " ");
        imap_write_astring(out, section->fields[i]);
    }
    vy_buf_append_cstr(out, section->fields_count > 0 ? ")" : "");
}

static struct vy_err make_label(struct vy_arena *arena, const struct fetch_section *section,
                                struct vy_bytes *out)
{
    const char *const name = section->binary_size ? "BINARY.SIZE["
                             : section->binary    ? "BINARY["
                                                  : "BODY[";
    struct vy_buf text;
    vy_buf_init(&text, LABEL_BYTES_MAX);
    vy_buf_append_cstr(&text, name);
    write_path(&text, section->part_path);
    write_section_text(&text, section);
    vy_buf_append_byte(&text, ']');
    if (section->partial) {
        vy_buf_append_byte(&text, '<');
        vy_buf_append_u64(&text, section->partial_offset);
        vy_buf_append_byte(&text, '>');
    }
    struct vy_err err = vy_buf_error(&text);
    if (!vy_failed(err)) {
        err = vy_arena_dup(arena, vy_buf_bytes(&text), out);
    }
    vy_buf_deinit(&text);
    return err;
}

static struct vy_err add_section(struct imap_fetch_args *args, const struct fetch_section *section,
                                 struct vy_bytes label)
{
    if (args->section_count == IMAP_FETCH_SECTIONS_MAX) {
        return vy_error(VY_CODE_LIMIT, "too many items");
    }
    args->sections[args->section_count] = *section;
    args->labels[args->section_count] = label;
    args->section_count++;
    return vy_ok();
}

/* Behind "BODY[" and its kin. */
static struct vy_err parse_section(struct imap_parser *p, struct imap_fetch_args *args,
                                   struct fetch_section section, bool is_peek)
{
    struct vy_bytes label = {.data = NULL};
    VY_TRY(parse_path(p, &section));
    if (!section.binary) {
        VY_TRY(parse_section_text(p, &section));
    } else {
        section.kind = MAIL_SECTION_WHOLE;
    }
    VY_TRY(imap_parse_byte(p, ']', "section does not end"));
    if (!section.binary_size) {
        VY_TRY(parse_partial(p, &section));
    }
    VY_TRY(make_label(p->arena, &section, &label));
    args->sets_seen = args->sets_seen || !is_peek;
    return add_section(args, &section, label);
}

/* ---- items ---- */

static const struct {
    const char *word;
    uint32_t items;
} plain_items[] =
    {
        {"UID",           IMAP_ITEM_UID          },
        {"FLAGS",         IMAP_ITEM_FLAGS        },
        {"MODSEQ",        IMAP_ITEM_MODSEQ       },
        {"RFC822.SIZE",   IMAP_ITEM_SIZE         },
        {"INTERNALDATE",  IMAP_ITEM_INTERNALDATE },
        {"EMAILID",       IMAP_ITEM_EMAILID      },
        {"THREADID",      IMAP_ITEM_THREADID     },
        {"ENVELOPE",      IMAP_ITEM_ENVELOPE     },
        {"BODYSTRUCTURE", IMAP_ITEM_BODYSTRUCTURE},
},
  macros[] = {
      {"ALL", IMAP_ITEM_FLAGS | IMAP_ITEM_INTERNALDATE | IMAP_ITEM_SIZE | IMAP_ITEM_ENVELOPE},
      {"FAST", IMAP_ITEM_FLAGS | IMAP_ITEM_INTERNALDATE | IMAP_ITEM_SIZE},
      {"FULL", IMAP_ITEM_FLAGS | IMAP_ITEM_INTERNALDATE | IMAP_ITEM_SIZE | IMAP_ITEM_ENVELOPE |
                   IMAP_ITEM_BODY},
};

/* Items that are a section under another name. */
static const struct {
    const char *word;
    uint32_t kind;
    bool is_peek;
} rfc822_items[] = {
    {"RFC822.HEADER", MAIL_SECTION_HEADER, true },
    {"RFC822.TEXT",   MAIL_SECTION_TEXT,   false},
    {"RFC822",        MAIL_SECTION_WHOLE,  false},
};

static const struct {
    const char *word; /* up to and with "[" */
    bool is_peek;
    bool binary;
    bool binary_size;
} section_items[] = {
    {"BODY[",        false, false, false},
    {"BODY.PEEK[",   true,  false, false},
    {"BINARY[",      false, true,  false},
    {"BINARY.PEEK[", true,  true,  false},
    {"BINARY.SIZE[", true,  true,  true },
};

static struct vy_err try_section_item(struct imap_parser *p, struct imap_fetch_args *args,
                                      bool *found)
{
    *found = true;
    for (size_t i = 0; i < VY_COUNT_OF(section_items); i++) {
        const struct vy_bytes word = vy_cstr(section_items[i].word);
        if (vy_bytes_starts_with_nocase(imap_parser_rest(p), word)) {
            const struct fetch_section section = {.binary = section_items[i].binary,
                                                  .binary_size = section_items[i].binary_size};
            p->at += word.len;
            return parse_section(p, args, section, section_items[i].is_peek);
        }
    }
    for (size_t i = 0; i < VY_COUNT_OF(rfc822_items); i++) {
        if (imap_parse_try_word(p, rfc822_items[i].word)) {
            const struct fetch_section section = {.kind = rfc822_items[i].kind};
            args->sets_seen = args->sets_seen || !rfc822_items[i].is_peek;
            return add_section(args, &section, vy_cstr(rfc822_items[i].word));
        }
    }
    *found = false;
    return vy_ok();
}

/* "PREVIEW" or "PREVIEW (LAZY)": previews are made at delivery, so lazy or not is the same (RFC
 * 8970). */
static bool try_preview(struct imap_parser *p, struct imap_fetch_args *args)
{
    if (!imap_parse_try_word(p, "PREVIEW")) {
        return false;
    }
    const struct vy_bytes lazy = VY_LIT(" (LAZY)");
    if (vy_bytes_starts_with_nocase(imap_parser_rest(p), lazy)) {
        p->at += lazy.len;
    }
    args->items |= IMAP_ITEM_PREVIEW;
    return true;
}

static struct vy_err parse_item(struct imap_session *s, struct imap_parser *p,
                                struct imap_fetch_args *args)
{
    bool found = false;
    args->item_count++;
    if (args->item_count > IMAP_FETCH_SECTIONS_MAX) {
        return vy_error(VY_CODE_LIMIT, "too many items"); /* I16 */
    }
    VY_TRY(try_section_item(p, args, &found));
    if (found || try_preview(p, args)) {
        return vy_ok();
    }
    for (size_t i = 0; i < VY_COUNT_OF(plain_items); i++) {
        if (imap_parse_try_word(p, plain_items[i].word)) {
            args->items |= plain_items[i].items;
            s->enabled |= plain_items[i].items == IMAP_ITEM_MODSEQ ? IMAP_ENABLED_CONDSTORE : 0;
            return vy_ok();
        }
    }
    if (imap_parse_try_word(p, "BODY")) {
        args->items |= IMAP_ITEM_BODY;
        return vy_ok();
    }
    return vy_error(VY_CODE_SYNTAX, "unknown item");
}

static struct vy_err parse_items(struct imap_session *s, struct imap_parser *p,
                                 struct imap_fetch_args *args)
{
    for (size_t i = 0; i < VY_COUNT_OF(macros); i++) {
        if (imap_parse_try_word(p, macros[i].word)) {
            args->items = macros[i].items;
            return vy_ok();
        }
    }
    if (!imap_parse_try(p, '(')) {
        return parse_item(s, p, args);
    }
    do {
        VY_TRY(parse_item(s, p, args));
    } while (imap_parse_try(p, ' '));
    return imap_parse_byte(p, ')', "items do not end");
}

/* SP "(" "CHANGEDSINCE" SP mod-sequence ")" (RFC 7162 section 3.1.4.1) */
static struct vy_err parse_modifiers(struct imap_session *s, struct imap_parser *p,
                                     struct imap_fetch_args *args)
{
    if (!imap_parse_try(p, ' ')) {
        return vy_ok();
    }
    VY_TRY(imap_parse_byte(p, '(', "modifiers are missing"));
    if (!imap_parse_try_word(p, "CHANGEDSINCE")) {
        return vy_error(VY_CODE_SYNTAX, "unknown modifier");
    }
    VY_TRY(imap_parse_space(p));
    VY_TRY(imap_parse_u64(p, &args->changed_since));
    args->has_changed_since = true;
    args->items |= IMAP_ITEM_MODSEQ;
    s->enabled |= IMAP_ENABLED_CONDSTORE;
    return imap_parse_byte(p, ')', "modifiers do not end");
}

struct vy_err imap_fetch_parse(struct imap_session *s, struct imap_parser *p)
{
    struct imap_fetch_args *const args = VY_ARENA_NEW(p->arena, struct imap_fetch_args);
    if (args == NULL) {
        return too_large();
    }
    s->run.args = args;
    VY_TRY(imap_parse_space(p));
    VY_TRY(imap_parse_set(p, &args->set));
    VY_TRY(imap_parse_space(p));
    VY_TRY(parse_items(s, p, args));
    VY_TRY(parse_modifiers(s, p, args));
    if ((s->run.row->traits & IMAP_BY_UID) != 0) {
        args->items |= IMAP_ITEM_UID; /* RFC 3501 section 6.4.8 */
    }
    return vy_ok();
}
