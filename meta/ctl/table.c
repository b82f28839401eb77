/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/ctl/table.h"

#include "base/assert.h"
#include "base/codec.h"
#include "meta/ctl/json.h"
#include <stdio.h>
#include <time.h>
#include <utf8proc.h>

#define CELL_CHARS_MAX 200U
#define CELL_BYTES_MAX 4096U

/* ---- text ---- */

static bool is_printable(uint32_t c)
{
    const utf8proc_category_t kind = utf8proc_category((utf8proc_int32_t)c);
    return kind != UTF8PROC_CATEGORY_CC && kind != UTF8PROC_CATEGORY_CF &&
           kind != UTF8PROC_CATEGORY_CS && kind != UTF8PROC_CATEGORY_ZL &&
           kind != UTF8PROC_CATEGORY_ZP;
}

void ctl_append_clean(struct vy_buf *out, struct vy_bytes text, size_t max)
{
    size_t at = 0;
    uint32_t c = 0;
    for (size_t count = 0; vy_utf8_next(text, &at, &c); count++) {
        if (count == max) {
            vy_buf_append_cstr(out, "...");
            return;
        }
        vy_utf8_append(out, is_printable(c) ? c : '?');
    }
}

size_t ctl_text_width(struct vy_bytes text)
{
    size_t at = 0;
    size_t width = 0;
    uint32_t c = 0;
    while (vy_utf8_next(text, &at, &c)) {
        const int columns = utf8proc_charwidth((utf8proc_int32_t)c);
        width += columns > 0 ? (size_t)columns : 0;
    }
    return width;
}

/* ---- cells ---- */

static void append_time(struct vy_buf *out, uint64_t ms)
{
    const time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    char text[32];
    if (ms == 0 || gmtime_r(&seconds, &tm) == NULL ||
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0) {
        vy_buf_append_byte(out, '-');
        return;
    }
    vy_buf_append_cstr(out, text);
}

static void append_quota(struct vy_buf *out, uint64_t bytes, bool is_raw)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    size_t unit = 0;
    uint64_t tenths = bytes > UINT64_MAX / 10 ? UINT64_MAX : bytes * 10;
    if (is_raw || bytes == 0) {
        if (is_raw) {
            vy_buf_append_u64(out, bytes);
        } else {
            vy_buf_append_cstr(out, "unlimited");
        }
        return;
    }
    while (tenths >= 10240 && unit + 1 < VY_COUNT_OF(units)) {
        tenths /= 1024;
        unit++;
    }
    vy_buf_append_u64(out, tenths / 10);
    if (tenths % 10 != 0) {
        vy_buf_append_byte(out, '.');
        vy_buf_append_u64(out, tenths % 10);
    }
    vy_buf_append_byte(out, ' ');
    vy_buf_append_cstr(out, units[unit]);
}

static void append_list(struct vy_buf *out, const struct vy_pb_field *field, const void *message)
{
    for (size_t i = 0; i < ctl_field_count(field, message); i++) {
        struct vy_bytes item;
        memcpy(&item, ctl_field_item(field, message, i), sizeof(item));
        if (i > 0) {
            vy_buf_append_byte(out, ',');
        }
        ctl_append_clean(out, item, CELL_CHARS_MAX);
    }
}

static void append_text(struct vy_buf *out, const struct vy_pb_field *field, const void *message)
{
    if (field->repeated) {
        append_list(out, field, message);
    } else if (field->kind == VY_PB_STRING || field->kind == VY_PB_BYTES) {
        ctl_append_clean(out, ctl_field_bytes(field, message), CELL_CHARS_MAX);
    } else if (field->kind == VY_PB_BOOL) {
        vy_buf_append_cstr(out, ctl_field_u64(field, message) != 0 ? "yes" : "no");
    } else {
        vy_buf_append_u64(out, ctl_field_u64(field, message));
    }
}

static void append_cell(const struct ctl_table *table, const struct ctl_column *column,
                        const struct vy_pb_field *field, const void *message, struct vy_buf *out)
{
    switch (column->format) {
    case CTL_TEXT:
        append_text(out, field, message);
        break;
    case CTL_TIME:
        append_time(out, ctl_field_u64(field, message));
        break;
    case CTL_QUOTA:
        append_quota(out, ctl_field_u64(field, message), table->raw_bytes);
        break;
    case CTL_NUMBER:
        if (ctl_field_u64(field, message) == 0) {
            vy_buf_append_byte(out, '-');
        } else {
            vy_buf_append_u64(out, ctl_field_u64(field, message));
        }
        break;
    }
    if (vy_buf_len(out) == 0) {
        vy_buf_append_byte(out, '-');
    }
}

/* ---- tables ---- */

void ctl_table_init(struct ctl_table *table, const struct ctl_column *columns, bool raw_bytes,
                    struct vy_arena *arena)
{
    *table = (struct ctl_table){.columns = columns, .raw_bytes = raw_bytes, .arena = arena};
    while (columns[table->column_count].field != NULL) {
        table->column_count++;
    }
    VY_ASSERT(table->column_count <= CTL_COLUMNS_MAX);
}

static struct vy_err reserve_row(struct ctl_table *table)
{
    if (table->cell_count + table->column_count <= table->cell_capacity) {
        return vy_ok();
    }
    const size_t capacity = table->cell_capacity * 2 + 64 * table->column_count;
    struct vy_bytes *cells = VY_ARENA_ARRAY(table->arena, capacity, struct vy_bytes);
    if (cells == NULL) {
        return vy_error(VY_CODE_LIMIT, "too many rows for a table; use --output json or --limit");
    }
    for (size_t i = 0; i < table->cell_count; i++) {
        cells[i] = table->cells[i];
    }
    table->cells = cells;
    table->cell_capacity = capacity;
    return vy_ok();
}

struct vy_err ctl_table_add(struct ctl_table *table, const struct vy_pb_desc *desc,
                            const void *message)
{
    VY_TRY(reserve_row(table));
    for (size_t i = 0; i < table->column_count; i++) {
        const struct vy_pb_field *field = ctl_field_find(desc, table->columns[i].field);
        struct vy_buf cell;
        VY_ASSERT(field != NULL);
        vy_buf_init(&cell, CELL_BYTES_MAX);
        append_cell(table, &table->columns[i], field, message, &cell);
        const struct vy_err err =
            vy_arena_dup(table->arena, vy_buf_bytes(&cell), &table->cells[table->cell_count]);
        vy_buf_deinit(&cell);
        VY_TRY(err);
        table->cell_count++;
    }
    return vy_ok();
}

static void append_padded(struct vy_buf *out, struct vy_bytes text, size_t width)
{
    vy_buf_append(out, text);
    for (size_t at = ctl_text_width(text); at < width; at++) {
        vy_buf_append_byte(out, ' ');
    }
}

void ctl_table_write(const struct ctl_table *table, struct vy_buf *out)
{
    size_t widths[CTL_COLUMNS_MAX];
    const size_t columns = table->column_count;
    for (size_t i = 0; i < columns; i++) {
        widths[i] = ctl_text_width(vy_cstr(table->columns[i].title));
    }
    for (size_t i = 0; i < table->cell_count; i++) {
        widths[i % columns] = VY_MAX(widths[i % columns], ctl_text_width(table->cells[i]));
    }
    for (size_t i = 0; i < columns; i++) {
        append_padded(out, vy_cstr(table->columns[i].title), i + 1 < columns ? widths[i] + 2 : 0);
    }
    vy_buf_append_byte(out, '\n');
    for (size_t i = 0; i < table->cell_count; i++) {
        const bool is_last = i % columns == columns - 1;
        append_padded(out, table->cells[i], is_last ? 0 : widths[i % columns] + 2);
        if (is_last) {
            vy_buf_append_byte(out, '\n');
        }
    }
}

void ctl_table_write_record(const struct ctl_table *table, struct vy_buf *out)
{
    size_t width = 0;
    for (size_t i = 0; i < table->column_count; i++) {
        width = VY_MAX(width, ctl_text_width(vy_cstr(table->columns[i].title)));
    }
    for (size_t i = 0; i < table->column_count && i < table->cell_count; i++) {
        append_padded(out, vy_cstr(table->columns[i].title), width + 2);
        vy_buf_append(out, table->cells[i]);
        vy_buf_append_byte(out, '\n');
    }
}
