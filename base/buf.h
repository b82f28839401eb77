/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A growing byte buffer on the heap with a limit. Appends do not return errors: the first that does
 * not fit (limit or memory) marks the buffer failed, later ones do nothing, and vy_buf_error() is
 * asked once at the end. Reading consumes from the front without moving bytes until half is free.
 */
#include "base/bytes.h"
#include "base/err.h"

struct vy_buf {
    uint8_t *data; /* owned */
    size_t start;  /* first byte not consumed */
    size_t end;    /* behind the last byte */
    size_t capacity;
    size_t limit_bytes; /* of unconsumed bytes */
    bool failed;
};

void vy_buf_init(struct vy_buf *buf, size_t limit_bytes);
void vy_buf_deinit(struct vy_buf *buf); /* buf may be used again as if just initialised */
void vy_buf_reset(struct vy_buf *buf);  /* empties, clears failed, keeps the memory */
void vy_buf_release(
    struct vy_buf *buf); /* gives the memory back when empty: for idle connections */

static inline size_t vy_buf_len(const struct vy_buf *buf)
{
    return buf->end - buf->start;
}
static inline struct vy_bytes vy_buf_bytes(const struct vy_buf *buf)
{
    return vy_bytes(buf->data == NULL ? NULL : buf->data + buf->start, buf->end - buf->start);
}
VY_CHECKED struct vy_err vy_buf_error(const struct vy_buf *buf); /* LIMIT when failed */

void vy_buf_append(struct vy_buf *buf, struct vy_bytes bytes);
void vy_buf_append_cstr(struct vy_buf *buf, const char *text);
void vy_buf_append_byte(struct vy_buf *buf, uint8_t byte);
void vy_buf_append_u64(struct vy_buf *buf, uint64_t value); /* decimal */
void vy_buf_append_be16(struct vy_buf *buf, uint16_t value);
void vy_buf_append_be32(struct vy_buf *buf, uint32_t value);
void vy_buf_append_be64(struct vy_buf *buf, uint64_t value);
void vy_buf_printf(struct vy_buf *buf, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Room for at least `size` more bytes, or NULL (and failed). Write there, then vy_buf_added(). */
uint8_t *vy_buf_reserve(struct vy_buf *buf, size_t size);
void vy_buf_added(struct vy_buf *buf, size_t size);
void vy_buf_consume(struct vy_buf *buf, size_t size);
void vy_buf_truncate(struct vy_buf *buf, size_t len); /* keeps the first len unconsumed bytes */
