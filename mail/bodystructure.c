/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/bodystructure.h"

#include "mail/envelope.h"
#include "mail/imap_string.h"

struct writer {
    struct vy_buf *out;
    struct vy_arena *scratch;
    const struct mime_structure *structure;
    bool is_extended;
};

static void put(struct writer *w, const char *text)
{
    vy_buf_append_cstr(w->out, text);
}

static void put_string(struct writer *w, struct vy_bytes text)
{
    imap_string_append_or_nil(w->out, text);
}

static void put_params(struct writer *w, const struct param_list *params)
{
    if (params->count == 0) {
        put(w, "NIL");
        return;
    }
    for (size_t i = 0; i < params->count; i++) {
        put(w, i == 0 ? "(" : " ");
        put_string(w, params->items[i].name);
        put(w, " ");
        put_string(w, params->items[i].value);
    }
    put(w, ")");
}

static void put_disposition(struct writer *w, const struct mime_fields *fields)
{
    if (fields->disposition.data == NULL) {
        put(w, "NIL");
        return;
    }
    put(w, "(");
    put_string(w, fields->disposition);
    put(w, " ");
    put_params(w, &fields->disposition_params);
    put(w, ")");
}

static void put_languages(struct writer *w, const struct mime_fields *fields)
{
    if (fields->language_count == 0) {
        put(w, "NIL");
        return;
    }
    for (size_t i = 0; i < fields->language_count; i++) {
        put(w, i == 0 ? "(" : " ");
        put_string(w, fields->languages[i]);
    }
    put(w, ")");
}

/* body-fld-dsp and what follows it in body-ext-1part and body-ext-mpart. */
static void put_common_extension(struct writer *w, const struct mime_fields *fields)
{
    put(w, " ");
    put_disposition(w, fields);
    put(w, " ");
    put_languages(w, fields);
    put(w, " ");
    put_string(w, fields->location);
}

/* text/plain without parameters is told as what it means (RFC 2045 section 5.2). */
static void put_type_params(struct writer *w, const struct mime_node *node,
                            const struct mime_fields *fields)
{
    if (fields->params.count == 0 && node->text == MIME_TEXT_PLAIN) {
        put(w, "(\"charset\" \"us-ascii\")");
        return;
    }
    put_params(w, &fields->params);
}

/* Type up to the size in octets: the same for all that is no multipart. */
static void put_basic(struct writer *w, const struct mime_node *node,
                      const struct mime_fields *fields)
{
    put_string(w, fields->type);
    put(w, " ");
    put_string(w, fields->subtype);
    put(w, " ");
    put_type_params(w, node, fields);
    put(w, " ");
    put_string(w, fields->id);
    put(w, " ");
    put_string(w, fields->description);
    put(w, " ");
    put_string(w, fields->encoding);
    put(w, " ");
    vy_buf_append_u64(w->out, node->body_end - node->body_start);
}

static void put_lines(struct writer *w, const struct mime_node *node)
{
    put(w, " ");
    vy_buf_append_u64(w->out, node->body_lines);
}

static void put_leaf_extension(struct writer *w, const struct mime_fields *fields)
{
    if (w->is_extended) {
        put(w, " ");
        put_string(w, fields->md5);
        put_common_extension(w, fields);
    }
    put(w, ")");
}

/* A part, up to its own parts. */
static struct vy_err open_part(struct writer *w, uint16_t index)
{
    const struct mime_node *const node = &w->structure->tree.nodes[index];
    const struct mime_fields *const fields = &w->structure->fields[index];

    put(w, "(");
    switch ((enum mime_kind)node->kind) {
    case MIME_MULTIPART:
        return vy_ok();
    case MIME_MESSAGE:
        put_basic(w, node, fields);
        put(w, " ");
        VY_TRY(envelope_append(w->out, w->scratch, w->structure->fields[node->first_child].header));
        put(w, " ");
        return vy_ok();
    case MIME_LEAF:
        put_basic(w, node, fields);
        if (node->text != MIME_TEXT_NONE) {
            put_lines(w, node);
        }
        put_leaf_extension(w, fields);
        return vy_ok();
    }
    return vy_ok();
}

/* What stands behind a part's own parts. */
static void close_part(struct writer *w, uint16_t index)
{
    const struct mime_node *const node = &w->structure->tree.nodes[index];
    const struct mime_fields *const fields = &w->structure->fields[index];

    if (node->kind == MIME_MESSAGE) {
        put_lines(w, node);
        put_leaf_extension(w, fields);
        return;
    }
    put(w, " ");
    put_string(w, fields->subtype);
    if (w->is_extended) {
        put(w, " ");
        put_params(w, &fields->params);
        put_common_extension(w, fields);
    }
    put(w, ")");
}

struct vy_err bodystructure_append(struct vy_buf *out, struct vy_arena *scratch,
                                   const struct mime_structure *structure, uint16_t root,
                                   enum bodystructure_form form)
{
    struct writer w = {.out = out,
                       .scratch = scratch,
                       .structure = structure,
                       .is_extended = form == BODYSTRUCTURE_EXTENDED};
    const struct mime_node *const nodes = structure->tree.nodes;
    uint16_t at = root;

    for (;;) {
        VY_TRY(open_part(&w, at));
        if (nodes[at].first_child != MIME_NONE) {
            at = nodes[at].first_child;
            continue;
        }
        while (at != root && nodes[at].next_sibling == MIME_NONE) {
            at = nodes[at].parent;
            close_part(&w, at);
        }
        if (at == root) {
            return vy_ok();
        }
        at = nodes[at].next_sibling;
    }
}
