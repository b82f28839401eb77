/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads names of message files from standard input, one a line, and prints for each one line of
 * JSON with its structure and decoded text. For tests that compare the parser with others.
 */
#include "base/codec.h"
#include "mail/charset.h"
#include "mail/encoded_word.h"
#include "mail/mime.h"
#include <stdio.h>
#include <stdlib.h>

#define MESSAGE_BYTES_MAX (64U * 1024U * 1024U)
#define LINE_BYTES_MAX (512U * 1024U * 1024U)
#define PATH_BYTES_MAX 4096

static void put_json_string(struct vy_buf *out, struct vy_bytes utf8)
{
    vy_buf_append_byte(out, '"');
    for (size_t i = 0; i < utf8.len; i++) {
        const uint8_t c = utf8.data[i];
        if (c == '"' || c == '\\') {
            vy_buf_append_byte(out, '\\');
        }
        if (c < ' ' || c == 0x7F) {
            vy_buf_printf(out, "\\u%04x", c);
        } else {
            vy_buf_append_byte(out, c);
        }
    }
    vy_buf_append_byte(out, '"');
}

/* Text of a text part as UTF-8, bytes of any other in base64. */
static void put_content(struct vy_buf *out, const struct mime_node *node, struct vy_bytes body)
{
    struct vy_buf decoded;
    struct vy_buf text;
    vy_buf_init(&decoded, body.len + 16);
    vy_buf_init(&text, 8 * body.len + 64);
    cte_decode((enum cte)node->encoding, body, &decoded);
    if (node->text != MIME_TEXT_NONE) {
        charset_append_utf8(&text, node->charset, vy_buf_bytes(&decoded));
        vy_buf_append_cstr(out, ",\"text\":");
    } else {
        vy_base64_encode(&text, vy_buf_bytes(&decoded));
        vy_buf_append_cstr(out, ",\"bytes\":");
    }
    put_json_string(out, vy_buf_bytes(&text));
    vy_buf_deinit(&decoded);
    vy_buf_deinit(&text);
}

static void put_part(struct vy_buf *out, const struct mime_structure *s, size_t index,
                     struct vy_bytes message)
{
    const struct mime_node *const node = &s->tree.nodes[index];
    struct vy_buf type;
    vy_buf_init(&type, 1024U * 1024U);
    vy_buf_append(&type, s->fields[index].type);
    vy_buf_append_byte(&type, '/');
    vy_buf_append(&type, s->fields[index].subtype);
    vy_buf_append_cstr(out, index == 0 ? "{\"type\":" : ",{\"type\":");
    put_json_string(out, vy_buf_bytes(&type));
    vy_buf_deinit(&type);
    vy_buf_printf(out, ",\"parent\":%d,\"kind\":%u",
                  node->parent == MIME_NONE ? -1 : (int)node->parent, node->kind);
    if (node->kind == MIME_LEAF) {
        put_content(out, node,
                    vy_bytes_slice(message, (size_t)node->body_start,
                                   (size_t)(node->body_end - node->body_start)));
    }
    vy_buf_append_byte(out, '}');
}

static void put_field(struct vy_buf *out, struct vy_bytes header, const char *name, const char *key)
{
    struct header_field field;
    struct vy_buf text;
    if (!header_find(header, vy_cstr(name), &field)) {
        return;
    }
    vy_buf_init(&text, 8 * field.value.len + 64);
    encoded_word_decode(&text, field.value);
    vy_buf_printf(out, ",\"%s\":", key);
    put_json_string(out, vy_buf_bytes(&text));
    vy_buf_deinit(&text);
}

static void dump(struct vy_bytes message)
{
    struct vy_arena arena;
    struct mime_structure s;
    struct vy_buf out;
    vy_arena_init(&arena, 256U * 1024U * 1024U);
    vy_buf_init(&out, LINE_BYTES_MAX);
    if (vy_failed(mime_parse(&arena, message, &s))) {
        vy_buf_append_cstr(&out, "{\"error\":true}");
    } else {
        vy_buf_append_cstr(&out, "{\"parts\":[");
        for (size_t i = 0; i < s.tree.count; i++) {
            put_part(&out, &s, i, message);
        }
        vy_buf_append_byte(&out, ']');
        put_field(&out, s.fields[0].header, "Subject", "subject");
        vy_buf_append_byte(&out, '}');
    }
    vy_buf_append_byte(&out, '\n');
    (void)fwrite(out.data + out.start, 1, vy_buf_len(&out), stdout);
    vy_buf_deinit(&out);
    vy_arena_deinit(&arena);
}

static void dump_file(const char *path, uint8_t *buffer)
{
    FILE *const file = fopen(path, "rb");
    if (file == NULL) {
        (void)fprintf(stderr, "cannot read %s\n", path);
        exit(1);
    }
    const size_t len = fread(buffer, 1, MESSAGE_BYTES_MAX, file);
    (void)fclose(file);
    uint8_t *const exact = malloc(len + 1); /* so that ASan sees a read past the end */
    if (exact == NULL) {
        exit(1);
    }
    memcpy(exact, buffer, len);
    dump(vy_bytes(exact, len));
    free(exact);
}

int main(void)
{
    char path[PATH_BYTES_MAX];
    uint8_t *const buffer = malloc(MESSAGE_BYTES_MAX);
    if (buffer == NULL) {
        return 1;
    }
    while (fgets(path, sizeof(path), stdin) != NULL) {
        path[strcspn(path, "\n")] = '\0';
        dump_file(path, buffer);
    }
    free(buffer);
    return 0;
}
