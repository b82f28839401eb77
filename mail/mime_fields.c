/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mime_private.h"

#include "mail/charset.h"

enum content_field {
    CONTENT_TYPE,
    CONTENT_ENCODING,
    CONTENT_DISPOSITION,
    CONTENT_ID,
    CONTENT_DESCRIPTION,
    CONTENT_LANGUAGE,
    CONTENT_LOCATION,
    CONTENT_MD5,
    CONTENT_COUNT
};
static const char *const content_names[CONTENT_COUNT] = {
    [CONTENT_TYPE] = "Type",
    [CONTENT_ENCODING] = "Transfer-Encoding",
    [CONTENT_DISPOSITION] = "Disposition",
    [CONTENT_ID] = "ID",
    [CONTENT_DESCRIPTION] = "Description",
    [CONTENT_LANGUAGE] = "Language",
    [CONTENT_LOCATION] = "Location",
    [CONTENT_MD5] = "MD5",
};

/* Raw values by field; the first usable one of each name. data == NULL: absent. */
struct content_values {
    struct vy_bytes raw[CONTENT_COUNT];
};

static void collect(struct vy_bytes header, struct content_values *out)
{
    struct header_iter iter;
    struct header_field field;

    *out = (struct content_values){.raw = {{.data = NULL}}};
    header_iter_init(&iter, header);
    while (header_iter_next(&iter, &field)) {
        if (!field.is_usable || !vy_bytes_starts_with_nocase(field.name, VY_LIT("Content-"))) {
            continue;
        }
        const struct vy_bytes name = vy_bytes_from(field.name, 8);
        for (size_t i = 0; i < CONTENT_COUNT; i++) {
            if (out->raw[i].data == NULL &&
                vy_bytes_equal_nocase(name, vy_cstr(content_names[i]))) {
                out->raw[i] = field.value;
            }
        }
    }
}

static bool is_token(struct vy_bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        const uint8_t c = text.data[i];
        if (c <= ' ' || c >= 0x7F || strchr("()<>@,;:\\\"/[]?=", c) != NULL) {
            return false;
        }
    }
    return text.len > 0;
}

/* RFC 2045 section 5.2: what is not well formed is text/plain. */
static void set_type(struct vy_bytes value, struct mime_fields *fields)
{
    struct vy_bytes subtype = value;
    const struct vy_bytes type = vy_bytes_trim(vy_bytes_cut(&subtype, '/'));
    subtype = vy_bytes_trim(subtype);
    if (is_token(type) && is_token(subtype)) {
        fields->type = type;
        fields->subtype = subtype;
        return;
    }
    fields->type = VY_LIT("text");
    fields->subtype = VY_LIT("plain");
}

static struct vy_err read_type(struct vy_arena *arena, struct vy_bytes raw, bool in_digest,
                               struct mime_fields *fields)
{
    struct param_field parsed;
    if (raw.data == NULL) {
        fields->type = in_digest ? VY_LIT("message") : VY_LIT("text");
        fields->subtype = in_digest ? VY_LIT("rfc822") : VY_LIT("plain");
        return vy_ok();
    }
    VY_TRY(param_parse(arena, raw, &parsed));
    set_type(parsed.value, fields);
    fields->params = parsed.params;
    return vy_ok();
}

static struct vy_err read_encoding(struct vy_arena *arena, struct vy_bytes raw,
                                   struct mime_node *node, struct mime_fields *fields)
{
    struct param_field parsed = {.value = {.data = NULL}};
    if (raw.data != NULL) {
        VY_TRY(param_parse(arena, raw, &parsed));
    }
    fields->encoding = parsed.value.len > 0 ? parsed.value : VY_LIT("7bit");
    node->encoding = (uint8_t)cte_find(fields->encoding);
    return vy_ok();
}

static struct vy_err read_disposition(struct vy_arena *arena, struct vy_bytes raw,
                                      struct mime_node *node, struct mime_fields *fields)
{
    struct param_field parsed;
    if (raw.data == NULL) {
        return vy_ok();
    }
    VY_TRY(param_parse(arena, raw, &parsed));
    if (parsed.value.len > 0) {
        fields->disposition = parsed.value;
        fields->disposition_params = parsed.params;
        node->is_attachment = vy_bytes_equal(parsed.value, VY_LIT("attachment"));
    }
    return vy_ok();
}

static struct vy_err read_languages(struct vy_arena *arena, struct vy_bytes raw,
                                    struct mime_fields *fields)
{
    struct param_field parsed;
    if (raw.data == NULL) {
        return vy_ok();
    }
    VY_TRY(param_parse(arena, raw, &parsed));
    struct vy_bytes *const items = VY_ARENA_ARRAY(arena, MIME_LANGUAGES_MAX, struct vy_bytes);
    if (items == NULL) {
        return vy_error(VY_CODE_LIMIT, "languages");
    }
    while (parsed.value.len > 0 && fields->language_count < MIME_LANGUAGES_MAX) {
        const struct vy_bytes tag = vy_bytes_trim(vy_bytes_cut(&parsed.value, ','));
        if (tag.len > 0) {
            items[fields->language_count++] = tag;
        }
    }
    fields->languages = items;
    return vy_ok();
}

static struct vy_err read_text(struct vy_arena *arena, struct vy_bytes raw, struct vy_bytes *out)
{
    return raw.data == NULL ? vy_ok() : header_unfold_arena(arena, raw, out);
}

/* text/...: which text, and its charset. */
static void read_text_kind(struct mime_node *node, const struct mime_fields *fields)
{
    node->text = MIME_TEXT_NONE;
    if (!vy_bytes_equal(fields->type, VY_LIT("text"))) {
        return;
    }
    node->text = vy_bytes_equal(fields->subtype, VY_LIT("plain"))  ? MIME_TEXT_PLAIN
                 : vy_bytes_equal(fields->subtype, VY_LIT("html")) ? MIME_TEXT_HTML
                                                                   : MIME_TEXT_OTHER;
    struct vy_buf name;
    vy_buf_init(&name, 128);
    if (!param_append_decoded(&name, &fields->params, VY_LIT("charset"))) {
        node->charset = CHARSET_ASCII;
    } else {
        node->charset = name.failed ? CHARSET_UNKNOWN : charset_find(vy_buf_bytes(&name));
    }
    vy_buf_deinit(&name);
}

/* A message in a transfer encoding that hides it is not looked into: RFC 2046 section 5.2.1 has
 * none. */
static bool is_plain_encoding(uint8_t encoding)
{
    return encoding != CTE_BASE64 && encoding != CTE_QUOTED_PRINTABLE;
}

static struct vy_err find_boundary(struct vy_arena *arena, const struct mime_fields *fields,
                                   struct vy_bytes *out)
{
    struct vy_buf text;
    struct vy_err err = vy_ok();
    *out = param_find(&fields->params, VY_LIT("boundary"));
    if (out->data == NULL) { /* in RFC 2231 pieces or with a charset */
        vy_buf_init(&text, 4096);
        if (param_append_decoded(&text, &fields->params, VY_LIT("boundary")) && !text.failed) {
            err = vy_arena_dup(arena, vy_buf_bytes(&text), out);
        }
        vy_buf_deinit(&text);
    }
    while (out->len > 0 && out->data[out->len - 1] == ' ') {
        out->len--; /* never the last character of a boundary */
    }
    return err;
}

static struct vy_err judge(struct vy_arena *arena, struct mime_node *node,
                           struct mime_fields *fields, struct mime_verdict *verdict)
{
    *verdict = (struct mime_verdict){.kind = MIME_LEAF};
    if (vy_bytes_equal(fields->type, VY_LIT("multipart"))) {
        VY_TRY(find_boundary(arena, fields, &verdict->boundary));
        const size_t len = verdict->boundary.len;
        if (len > 0 && len <= MIME_BOUNDARY_BYTES_MAX) {
            verdict->kind = MIME_MULTIPART;
        } else {
            mime_fields_make_opaque(node, fields); /* M3 */
        }
    } else if (vy_bytes_equal(fields->type, VY_LIT("message")) &&
               (vy_bytes_equal(fields->subtype, VY_LIT("rfc822")) ||
                vy_bytes_equal(fields->subtype, VY_LIT("global")))) {
        if (is_plain_encoding(node->encoding)) {
            verdict->kind = MIME_MESSAGE;
        } else {
            mime_fields_make_opaque(node, fields);
        }
    }
    return vy_ok();
}

struct vy_err mime_fields_read(struct vy_arena *arena, struct vy_bytes header, bool in_digest,
                               struct mime_node *node, struct mime_fields *fields,
                               struct mime_verdict *verdict)
{
    struct content_values values;
    collect(header, &values);
    fields->header = header;
    VY_TRY(read_type(arena, values.raw[CONTENT_TYPE], in_digest, fields));
    VY_TRY(read_encoding(arena, values.raw[CONTENT_ENCODING], node, fields));
    VY_TRY(read_disposition(arena, values.raw[CONTENT_DISPOSITION], node, fields));
    VY_TRY(read_languages(arena, values.raw[CONTENT_LANGUAGE], fields));
    VY_TRY(read_text(arena, values.raw[CONTENT_ID], &fields->id));
    VY_TRY(read_text(arena, values.raw[CONTENT_DESCRIPTION], &fields->description));
    VY_TRY(read_text(arena, values.raw[CONTENT_LOCATION], &fields->location));
    VY_TRY(read_text(arena, values.raw[CONTENT_MD5], &fields->md5));
    read_text_kind(node, fields);
    return judge(arena, node, fields, verdict);
}

void mime_fields_make_opaque(struct mime_node *node, struct mime_fields *fields)
{
    node->kind = MIME_LEAF;
    node->text = MIME_TEXT_NONE;
    node->charset = CHARSET_UNKNOWN;
    fields->type = VY_LIT("application");
    fields->subtype = VY_LIT("octet-stream");
    fields->params = (struct param_list){.items = NULL};
}
