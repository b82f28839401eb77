/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mime.h"

#include "base/assert.h"
#include "mail/mime_private.h"

#define LINE_BYTES_KEPT 128U /* "--", 70 bytes of boundary, "--": more can only be white space */
#define NODES_FIRST 8U
#define NODES_MAX (MIME_PARTS_MAX + 1U)
#define OPEN_MAX (MIME_DEPTH_MAX + 1U)

/* A part whose end was not met yet. */
struct open_part {
    uint16_t node;
    bool is_digest;
    bool is_closed;           /* "--boundary--" was met: what follows is epilogue */
    struct vy_bytes boundary; /* empty: has no parts of its own to be found */
    uint64_t lines_at_body;   /* of lines_seen, where the body begins */
    uint16_t last_child;
};

enum place {
    PLACE_HEADER, /* of the innermost open part */
    PLACE_BODY,   /* its body, preamble or epilogue */
    PLACE_REST    /* the part that stands for all that are too many: nothing is looked for */
};

struct mime_parser {
    struct vy_arena *arena; /* borrowed */
    struct vy_err err;      /* the first one; nothing is read after it */
    struct mime_node *nodes;
    struct mime_fields *fields;
    size_t count;
    size_t capacity;
    struct open_part open[OPEN_MAX];
    size_t open_count;
    enum place place;

    uint64_t offset;     /* of the next byte */
    uint64_t lines_seen; /* LFs in front of it */
    uint64_t header_lines_from;
    struct vy_buf header;  /* owned; of the part in PLACE_HEADER */
    size_t header_line_at; /* where in it the current line begins */
    uint64_t header_bytes_kept;
    bool is_header_over_limit;
    bool is_cut;

    /* The line being read. */
    uint64_t line_start;
    uint8_t line[LINE_BYTES_KEPT];
    bool line_tail_is_space; /* all behind the bytes kept is white space */
    uint8_t last_byte;       /* of the piece before */
    uint8_t eol_bytes;       /* of the line end in front of line_start */
};

static void fail(struct mime_parser *p, struct vy_err err)
{
    if (!vy_failed(p->err)) {
        p->err = err;
    }
}

/* ---- parts ---- */

static bool make_room(struct mime_parser *p)
{
    if (p->count < p->capacity) {
        return true;
    }
    const size_t capacity = p->capacity == 0 ? NODES_FIRST : VY_MIN(p->capacity * 2, NODES_MAX);
    struct mime_node *const nodes = VY_ARENA_ARRAY(p->arena, capacity, struct mime_node);
    struct mime_fields *const fields = VY_ARENA_ARRAY(p->arena, capacity, struct mime_fields);
    if (nodes == NULL || fields == NULL) {
        fail(p, vy_error(VY_CODE_LIMIT, "message parts"));
        return false;
    }
    if (p->count > 0) {
        memcpy(nodes, p->nodes, p->count * sizeof(*nodes));
        memcpy(fields, p->fields, p->count * sizeof(*fields));
    }
    p->nodes = nodes;
    p->fields = fields;
    p->capacity = capacity;
    return true;
}

static struct open_part *innermost(struct mime_parser *p)
{
    return &p->open[p->open_count - 1];
}

/* Makes the node a child of the innermost open part, and that one's last. */
static void link_child(struct mime_parser *p, uint16_t index)
{
    if (p->open_count == 0) {
        return;
    }
    struct open_part *const parent = innermost(p);
    p->nodes[index].parent = parent->node;
    p->nodes[index].depth = (uint8_t)(p->nodes[parent->node].depth + 1);
    if (parent->last_child == MIME_NONE) {
        p->nodes[parent->node].first_child = index;
    } else {
        p->nodes[parent->last_child].next_sibling = index;
    }
    parent->last_child = index;
}

/* A part that begins at the current offset; its header is read next. */
static void begin_part(struct mime_parser *p)
{
    VY_ASSERT(p->open_count < OPEN_MAX && p->count < NODES_MAX);
    if (!make_room(p)) {
        return;
    }
    const uint16_t index = (uint16_t)p->count++;
    p->nodes[index] = (struct mime_node){
        .header_start = p->offset,
        .body_start = p->offset,
        .parent = MIME_NONE,
        .first_child = MIME_NONE,
        .next_sibling = MIME_NONE,
    };
    p->fields[index] = (struct mime_fields){.type = {.data = NULL}};
    link_child(p, index);
    p->open[p->open_count++] = (struct open_part){.node = index, .last_child = MIME_NONE};
    vy_buf_reset(&p->header);
    p->header_lines_from = p->lines_seen;
    p->place = PLACE_HEADER;
    if (p->count == NODES_MAX) { /* M2: this one stands for all that follow */
        p->fields[index].encoding = VY_LIT("binary");
        p->nodes[index].encoding = CTE_BINARY;
        mime_fields_make_opaque(&p->nodes[index], &p->fields[index]);
        innermost(p)->lines_at_body = p->lines_seen;
        p->place = PLACE_REST;
        p->is_cut = true;
    }
}

/* The innermost part ends at `end`, with `lines` LFs in front of that. */
static void end_part(struct mime_parser *p, uint64_t end, uint64_t lines)
{
    const struct open_part *const part = innermost(p);
    struct mime_node *const node = &p->nodes[part->node];
    node->body_end = VY_MAX(end, node->body_start);
    node->body_lines = (uint32_t)(VY_MAX(lines, part->lines_at_body) - part->lines_at_body);
    if (node->kind == MIME_MULTIPART && node->first_child == MIME_NONE) {
        mime_fields_make_opaque(node, &p->fields[part->node]);
    }
    p->open_count--;
}

/* ---- headers ---- */

static void keep_header(struct mime_parser *p, struct vy_bytes bytes)
{
    if (bytes.len > HEADER_BYTES_MAX - p->header_bytes_kept) {
        p->is_header_over_limit = true;
        bytes.len = HEADER_BYTES_MAX - p->header_bytes_kept;
    }
    p->header_bytes_kept += bytes.len;
    vy_buf_append(&p->header, bytes);
    if (p->header.failed) {
        fail(p, vy_error(VY_CODE_NOMEM, "message header"));
    }
}

static struct vy_err read_fields(struct mime_parser *p, uint16_t index,
                                 struct mime_verdict *verdict)
{
    struct vy_bytes header;
    const bool has_parent = p->open_count > 1;
    const bool in_digest = has_parent && p->open[p->open_count - 2].is_digest;
    VY_TRY(vy_arena_dup(p->arena, vy_buf_bytes(&p->header), &header));
    if (vy_failed(header_check_limits(header))) {
        p->is_header_over_limit = true;
    }
    return mime_fields_read(p->arena, header, in_digest, &p->nodes[index], &p->fields[index],
                            verdict);
}

/* What has parts, as far as depth allows. */
static void enter_part(struct mime_parser *p, const struct mime_verdict *verdict, bool has_body)
{
    struct open_part *const part = innermost(p);
    struct mime_node *const node = &p->nodes[part->node];
    struct mime_fields *const fields = &p->fields[part->node];

    if (verdict->kind == MIME_LEAF) {
        return;
    }
    if (node->depth >= MIME_DEPTH_MAX || !has_body) {
        p->is_cut = p->is_cut || has_body; /* M1 */
        mime_fields_make_opaque(node, fields);
        return;
    }
    node->kind = (uint8_t)verdict->kind;
    if (verdict->kind == MIME_MULTIPART) {
        part->boundary = verdict->boundary;
        part->is_digest = vy_bytes_equal(fields->subtype, VY_LIT("digest"));
        return;
    }
    begin_part(p); /* the message inside */
}

/*
 * The header ended at `end`, with `lines` LFs in front of that.
 * @has_body  by its blank line, not because the part ended
 */
static void end_header(struct mime_parser *p, uint64_t end, uint64_t lines, bool has_body)
{
    struct open_part *const part = innermost(p);
    struct mime_node *const node = &p->nodes[part->node];
    struct mime_verdict verdict;

    node->body_start = end;
    node->header_lines = (uint32_t)(lines - p->header_lines_from);
    part->lines_at_body = lines;
    p->place = PLACE_BODY;
    const struct vy_err err = read_fields(p, part->node, &verdict);
    if (vy_failed(err)) {
        fail(p, err);
        return;
    }
    enter_part(p, &verdict, has_body);
}

/* ---- boundaries ---- */

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The line read, without white space behind it; empty: cannot be a boundary. */
static struct vy_bytes boundary_line(const struct mime_parser *p)
{
    const uint64_t bytes = p->offset - p->line_start;
    size_t len = (size_t)VY_MIN(bytes, (uint64_t)LINE_BYTES_KEPT);
    if (len < 3 || p->line[0] != '-' || p->line[1] != '-' ||
        (bytes > LINE_BYTES_KEPT && !p->line_tail_is_space)) {
        return vy_bytes(NULL, 0);
    }
    while (is_space(p->line[len - 1])) {
        len--;
    }
    return vy_bytes(p->line, len);
}

/* Index in `open` of the outermost part whose boundary the line is (M3); SIZE_MAX: of none. */
static size_t find_boundary(const struct mime_parser *p, struct vy_bytes line, bool *is_last)
{
    const struct vy_bytes name = vy_bytes_from(line, 2);
    for (size_t i = 0; i < p->open_count && name.len > 0; i++) {
        const struct open_part *const part = &p->open[i];
        const size_t len = part->boundary.len;
        const bool fits = name.len == len || name.len == len + 2;
        if (len == 0 || part->is_closed || !fits ||
            memcmp(name.data, part->boundary.data, len) != 0) {
            continue;
        }
        if (name.len == len || (name.data[len] == '-' && name.data[len + 1] == '-')) {
            *is_last = name.len > len;
            return i;
        }
    }
    return SIZE_MAX;
}

/* Ends all parts inside open[keep]. The line end in front of a boundary belongs to the boundary
 * (RFC 2046 section 5.1.1), but where it is that of a header nothing can be taken away from the
 * body. */
static void end_parts_at_boundary(struct mime_parser *p, size_t keep, uint64_t lines)
{
    uint64_t end = p->line_start - p->eol_bytes;
    uint64_t lines_at_end = lines - (p->eol_bytes > 0 ? 1 : 0);
    while (p->open_count > keep + 1) {
        const uint16_t index = innermost(p)->node;
        end_part(p, end, lines_at_end);
        if (p->nodes[index].body_end > end) { /* parents reach as far as their parts */
            end = p->nodes[index].body_end;
            lines_at_end = lines;
        }
    }
}

/*
 * A line was read whole: if it is a boundary, does what that means.
 * @lines  LFs in front of it
 */
static bool take_boundary(struct mime_parser *p, uint64_t lines)
{
    bool is_last = false;
    const struct vy_bytes line = boundary_line(p);
    const size_t found = line.len == 0 ? SIZE_MAX : find_boundary(p, line, &is_last);
    if (found == SIZE_MAX) {
        return false;
    }
    if (p->place == PLACE_HEADER) { /* a part without a blank line */
        vy_buf_truncate(&p->header, VY_MIN(p->header_line_at, vy_buf_len(&p->header)));
        end_header(p, p->line_start, lines, /* has_body = */ false);
    }
    end_parts_at_boundary(p, found, lines);
    p->place = PLACE_BODY;
    if (is_last) {
        p->open[found].is_closed = true;
    } else {
        begin_part(p);
    }
    return true;
}

/* ---- lines ---- */

/* Keeps what may turn out to be a boundary: the begin of a line that begins with '-'. */
static void keep_line(struct mime_parser *p, struct vy_bytes piece)
{
    const uint64_t before = p->offset - p->line_start;
    if (before == 0) {
        p->line[0] = piece.data[0];
        p->line_tail_is_space = true;
    }
    if (p->line[0] != '-') {
        return;
    }
    if (before < LINE_BYTES_KEPT) {
        const size_t room = LINE_BYTES_KEPT - (size_t)before;
        const size_t len = VY_MIN(piece.len, room);
        memcpy(p->line + before, piece.data, len);
        piece = vy_bytes_from(piece, len);
    }
    for (size_t i = 0; i < piece.len && p->line_tail_is_space; i++) {
        p->line_tail_is_space = is_space(piece.data[i]);
    }
}

/* The line's LF was read. */
static void end_line(struct mime_parser *p, bool has_cr)
{
    const uint64_t bytes = p->offset - p->line_start;
    const bool is_blank = bytes == 1 || (bytes == 2 && has_cr);

    p->lines_seen++;
    const bool is_boundary = p->line[0] == '-' && take_boundary(p, p->lines_seen - 1);
    if (!is_boundary && is_blank && p->place == PLACE_HEADER) {
        end_header(p, p->offset, p->lines_seen, /* has_body = */ true);
    }
    p->line_start = p->offset;
    p->eol_bytes = has_cr ? 2 : 1;
    p->header_line_at = vy_buf_len(&p->header);
}

/* Takes bytes up to the next LF, or all; returns how many. */
static size_t take_piece(struct mime_parser *p, struct vy_bytes bytes)
{
    const size_t lf = vy_bytes_find_byte(bytes, '\n', 0);
    const struct vy_bytes piece = vy_bytes_slice(bytes, 0, lf == SIZE_MAX ? bytes.len : lf + 1);
    const bool is_line_start = p->offset == p->line_start;
    const bool has_cr =
        piece.len >= 2 ? piece.data[piece.len - 2] == '\r' : !is_line_start && p->last_byte == '\r';
    keep_line(p, piece);
    if (p->place == PLACE_HEADER) {
        keep_header(p, piece);
    }
    p->offset += piece.len;
    p->last_byte = piece.data[piece.len - 1];
    if (lf != SIZE_MAX && !vy_failed(p->err)) {
        end_line(p, has_cr);
    }
    return piece.len;
}

/* Whole lines of a body that cannot be boundaries: most bytes of most messages. Returns how many.
 */
static size_t skip_lines(struct mime_parser *p, struct vy_bytes bytes)
{
    size_t at = 0;
    uint64_t lines = 0;
    while (at < bytes.len && bytes.data[at] != '-') {
        const uint8_t *const lf = memchr(bytes.data + at, '\n', bytes.len - at);
        if (lf == NULL) {
            break;
        }
        at = (size_t)(lf - bytes.data) + 1;
        lines++;
    }
    if (lines > 0) {
        p->eol_bytes = at >= 2 && bytes.data[at - 2] == '\r' ? 2 : 1;
        p->lines_seen += lines;
        p->offset += at;
        p->line_start = p->offset;
        p->last_byte = '\n';
    }
    return at;
}

static void count_lines(struct mime_parser *p, struct vy_bytes bytes)
{
    for (size_t at = vy_bytes_find_byte(bytes, '\n', 0); at != SIZE_MAX;
         at = vy_bytes_find_byte(bytes, '\n', at + 1)) {
        p->lines_seen++;
    }
    p->offset += bytes.len;
}

/* ---- the parser ---- */

struct vy_err mime_parser_new(struct vy_arena *arena, struct mime_parser **out)
{
    struct mime_parser *const p = VY_ARENA_NEW(arena, struct mime_parser);
    if (p == NULL) {
        return vy_error(VY_CODE_LIMIT, "message parser");
    }
    p->arena = arena;
    vy_buf_init(&p->header, HEADER_BYTES_MAX);
    begin_part(p);
    VY_TRY(p->err);
    *out = p;
    return vy_ok();
}

void mime_parser_feed(struct mime_parser *parser, struct vy_bytes bytes)
{
    while (bytes.len > 0 && !vy_failed(parser->err)) {
        size_t taken = 0;
        if (parser->place == PLACE_REST) {
            count_lines(parser, bytes);
            return;
        }
        if (parser->place == PLACE_BODY && parser->offset == parser->line_start) {
            taken = skip_lines(parser, bytes);
        }
        if (taken == 0) {
            taken = take_piece(parser, bytes);
        }
        bytes = vy_bytes_from(bytes, taken);
    }
}

/* The message ends, perhaps in the middle of a line or of a header. */
static void end_message(struct mime_parser *p)
{
    const bool is_in_line = p->offset > p->line_start;
    if (is_in_line && p->place != PLACE_REST && p->line[0] == '-') {
        (void)take_boundary(p, p->lines_seen);
    }
    if (p->place == PLACE_HEADER && !vy_failed(p->err)) {
        end_header(p, p->offset, p->lines_seen, /* has_body = */ false);
    }
    while (p->open_count > 0) {
        end_part(p, p->offset, p->lines_seen);
    }
}

struct vy_err mime_parser_finish(struct mime_parser *parser, struct mime_structure *out)
{
    if (!vy_failed(parser->err)) {
        end_message(parser);
    }
    vy_buf_deinit(&parser->header);
    VY_TRY(parser->err);
    *out = (struct mime_structure){
        .tree = {.nodes = parser->nodes, .count = parser->count},
        .fields = parser->fields,
        .size_bytes = parser->offset,
        .is_header_over_limit = parser->is_header_over_limit,
        .is_cut = parser->is_cut,
    };
    return vy_ok();
}

struct vy_err mime_parse(struct vy_arena *arena, struct vy_bytes message,
                         struct mime_structure *out)
{
    struct mime_parser *parser = NULL;
    VY_TRY(mime_parser_new(arena, &parser));
    mime_parser_feed(parser, message);
    return mime_parser_finish(parser, out);
}
