/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Messages of the admin API as text for people: a table with a heading, or one field a line. Times
 * are RFC 3339 UTC, sizes in binary units; what could command a terminal is shown as '?'.
 */
#include "base/buf.h"
#include "proto/pb.h"

enum ctl_format {
    CTL_TEXT,  /* strings, numbers, yes/no; lists with commas */
    CTL_TIME,  /* milliseconds of Unix time; 0: "-" */
    CTL_QUOTA, /* bytes; 0: "unlimited" */
    CTL_NUMBER /* a number; 0 stands for none or not known: "-" */
};
struct ctl_column {
    const char *field; /* name in the message; NULL ends the list */
    const char *title;
    enum ctl_format format;
};
#define CTL_COLUMNS_MAX 16U

struct ctl_table {
    const struct ctl_column *columns; /* borrowed */
    size_t column_count;
    bool raw_bytes;         /* sizes as plain numbers */
    struct vy_arena *arena; /* borrowed; owns the cells */
    struct vy_bytes *cells; /* row by row */
    size_t cell_count;
    size_t cell_capacity;
};
void ctl_table_init(struct ctl_table *table, const struct ctl_column *columns, bool raw_bytes,
                    struct vy_arena *arena);
/* @errors LIMIT arena */
VY_CHECKED struct vy_err ctl_table_add(struct ctl_table *table, const struct vy_pb_desc *desc,
                                       const void *message);
/* Heading and rows, columns two spaces apart. */
void ctl_table_write(const struct ctl_table *table, struct vy_buf *out);
/* The first row, one "Title  value" a line. */
void ctl_table_write_record(const struct ctl_table *table, struct vy_buf *out);

/* For messages too: controls become '?', at most max characters. */
void ctl_append_clean(struct vy_buf *out, struct vy_bytes text, size_t max);
/* Columns of a terminal. */
size_t ctl_text_width(struct vy_bytes text);
