/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/section.h"

#include "base/assert.h"

/* A place on a path: a message (the node of its body), or a part by number. */
struct place {
    uint16_t node;
    bool is_part;
};

/* The child with that number, or MIME_NONE. */
static uint16_t find_child(const struct mime_tree *tree, uint16_t parent, uint16_t number)
{
    uint16_t child = tree->nodes[parent].first_child;
    while (number > 1 && child != MIME_NONE) {
        child = tree->nodes[child].next_sibling;
        number--;
    }
    return child;
}

/*
 * One number of a path (RFC 3501 section 6.4.5): of a multipart, its part; of a message that is no
 * multipart, 1 is its body; a message/rfc822 part is looked through. False: names nothing.
 */
static bool step(const struct mime_tree *tree, uint16_t number, struct place *place)
{
    if (number == 0) {
        return false;
    }
    if (place->is_part && tree->nodes[place->node].kind == MIME_MESSAGE) {
        *place = (struct place){.node = tree->nodes[place->node].first_child};
    }
    if (tree->nodes[place->node].kind == MIME_MULTIPART) {
        *place = (struct place){find_child(tree, place->node, number), true};
        return place->node != MIME_NONE;
    }
    const bool is_body = !place->is_part && number == 1;
    place->is_part = true;
    return is_body;
}

static struct mail_section_range make_range(const struct mime_tree *tree, uint16_t part,
                                            uint64_t from, uint64_t to)
{
    VY_ASSERT(from <= to && part < tree->count);
    return (struct mail_section_range){.offset = from, .len = to - from, .part = part};
}

static bool resolve_place(const struct mime_tree *tree, struct place place,
                          enum mail_section_kind kind, struct mail_section_range *out)
{
    const struct mime_node *node = &tree->nodes[place.node];
    if (kind == MAIL_SECTION_WHOLE) {
        const uint64_t from = place.is_part ? node->body_start : node->header_start;
        *out = make_range(tree, place.node, from, node->body_end);
        return true;
    }
    if (kind == MAIL_SECTION_MIME) {
        *out = make_range(tree, place.node, node->header_start, node->body_start);
        return place.is_part;
    }
    /* HEADER and TEXT are of messages: the one asked for, or the one in a message/rfc822. */
    if (place.is_part) {
        if (node->kind != MIME_MESSAGE) {
            return false;
        }
        place.node = node->first_child;
        node = &tree->nodes[place.node];
    }
    *out = kind == MAIL_SECTION_TEXT
               ? make_range(tree, place.node, node->body_start, node->body_end)
               : make_range(tree, place.node, node->header_start, node->body_start);
    return true;
}

bool mail_section_resolve(const struct mime_tree *tree, const struct mail_section *section,
                          struct mail_section_range *out)
{
    struct place place = {.node = 0};
    for (size_t i = 0; i < section->path_count; i++) {
        if (!step(tree, section->path[i], &place)) {
            return false;
        }
    }
    return resolve_place(tree, place, section->kind, out);
}

bool mail_section_resolve_path(const struct mime_tree *tree, struct vy_bytes path_be16,
                               enum mail_section_kind kind, struct mail_section_range *out)
{
    struct place place = {.node = 0};
    if (path_be16.len % 2 != 0) {
        return false;
    }
    for (size_t i = 0; i < path_be16.len; i += 2) {
        if (!step(tree, vy_get_be16(path_be16.data + i), &place)) {
            return false;
        }
    }
    return resolve_place(tree, place, kind, out);
}

static bool is_named(struct vy_bytes name, const struct vy_bytes *names, size_t name_count)
{
    for (size_t i = 0; i < name_count; i++) {
        if (vy_bytes_equal_nocase(name, names[i])) {
            return true;
        }
    }
    return false;
}

void mail_section_filter(struct vy_buf *out, struct vy_bytes header, const struct vy_bytes *names,
                         size_t name_count, bool exclude)
{
    struct header_iter iter;
    struct header_field field;

    header_iter_init(&iter, header);
    while (header_iter_next(&iter, &field)) {
        /* "Name :" is shown under its name (M7); what has no name is in the rest. */
        const struct vy_bytes name = vy_bytes_trim(field.name);
        if ((name.len > 0 && is_named(name, names, name_count)) != exclude) {
            vy_buf_append(out, field.raw);
        }
    }
    vy_buf_append_cstr(out, "\r\n");
}

void mail_section_partial(struct mail_section_range *range, uint32_t offset, uint32_t length)
{
    const uint64_t skipped = VY_MIN((uint64_t)offset, range->len);
    range->offset += skipped;
    range->len = VY_MIN(range->len - skipped, (uint64_t)length);
}

static struct vy_err not_a_section(void)
{
    return vy_error(VY_CODE_SYNTAX, "not a section");
}

static struct vy_err parse_keyword(struct vy_bytes text, bool has_path, enum mail_section_kind *out)
{
    static const struct {
        const char *word;
        enum mail_section_kind kind;
    } words[] = {
        {"HEADER",            MAIL_SECTION_HEADER           },
        {"HEADER.FIELDS",     MAIL_SECTION_HEADER_FIELDS    },
        {"HEADER.FIELDS.NOT", MAIL_SECTION_HEADER_FIELDS_NOT},
        {"TEXT",              MAIL_SECTION_TEXT             },
        {"MIME",              MAIL_SECTION_MIME             },
    };
    for (size_t i = 0; i < VY_COUNT_OF(words); i++) {
        if (vy_bytes_equal_nocase(text, vy_cstr(words[i].word))) {
            *out = words[i].kind;
            return *out == MAIL_SECTION_MIME && !has_path ? not_a_section() : vy_ok();
        }
    }
    return not_a_section();
}

/* Part numbers above what can be (M2) name nothing, whatever they are. */
static struct vy_err parse_number(struct vy_bytes text, uint16_t *out)
{
    uint32_t number = 0;
    if (text.len == 0 || text.len > 10 || text.data[0] == '0' || !vy_parse_u32(text, &number)) {
        return not_a_section(); /* I15 */
    }
    *out = (uint16_t)VY_MIN(number, (uint32_t)UINT16_MAX);
    return vy_ok();
}

struct vy_err mail_section_parse(struct vy_arena *arena, struct vy_bytes text,
                                 struct mail_section *out)
{
    struct mail_section section = {.kind = MAIL_SECTION_WHOLE};
    uint16_t path[MAIL_SECTION_DEPTH_MAX];
    bool has_dot = false; /* something must follow */

    while (text.len > 0 && vy_ascii_is_digit(text.data[0])) {
        if (section.path_count == MAIL_SECTION_DEPTH_MAX) {
            return vy_error(VY_CODE_LIMIT, "section is too deep");
        }
        has_dot = vy_bytes_find_byte(text, '.', 0) != SIZE_MAX;
        VY_TRY(parse_number(vy_bytes_cut(&text, '.'), &path[section.path_count]));
        section.path_count++;
    }
    if (text.len > 0) {
        VY_TRY(parse_keyword(text, section.path_count > 0, &section.kind));
    } else if (has_dot) {
        return not_a_section();
    }
    if (section.path_count > 0) {
        struct vy_bytes copy;
        VY_TRY(vy_arena_dup(arena, vy_bytes(path, section.path_count * sizeof(path[0])), &copy));
        section.path = (const uint16_t *)(const void *)copy.data;
    }
    *out = section;
    return vy_ok();
}
