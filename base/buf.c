/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include "base/assert.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define BUF_BYTES_FIRST 256U

void vy_buf_init(struct vy_buf *buf, size_t limit_bytes)
{
    *buf = (struct vy_buf){.limit_bytes = limit_bytes};
}

void vy_buf_deinit(struct vy_buf *buf)
{
    free(buf->data);
    vy_buf_init(buf, buf->limit_bytes);
}

void vy_buf_reset(struct vy_buf *buf)
{
    buf->start = 0;
    buf->end = 0;
    buf->failed = false;
}

void vy_buf_release(struct vy_buf *buf)
{
    if (vy_buf_len(buf) == 0 && !buf->failed) {
        vy_buf_deinit(buf);
    }
}

struct vy_err vy_buf_error(const struct vy_buf *buf)
{
    return buf->failed ? vy_error(VY_CODE_LIMIT, "buffer") : vy_ok();
}

/* Moves what is left to the front once half of the memory is free there. */
static void compact(struct vy_buf *buf)
{
    if (buf->start >= buf->capacity / 2 && buf->start > 0) {
        memmove(buf->data, buf->data + buf->start, vy_buf_len(buf));
        buf->end -= buf->start;
        buf->start = 0;
    }
}

static bool grow(struct vy_buf *buf, size_t size)
{
    compact(buf);
    if (buf->data != NULL && size <= buf->capacity - buf->end) {
        return true;
    }
    size_t capacity = buf->capacity == 0 ? BUF_BYTES_FIRST : buf->capacity;
    while (capacity - buf->end < size) {
        if (!vy_mul_size(capacity, 2, &capacity)) {
            return false;
        }
    }
    uint8_t *data = realloc(buf->data, capacity);
    if (data == NULL) {
        return false;
    }
    buf->data = data;
    buf->capacity = capacity;
    return true;
}

/* Room for `size` bytes under the limit, and `spare` bytes of memory behind them that do not count.
 */
static uint8_t *reserve(struct vy_buf *buf, size_t size, size_t spare)
{
    const size_t len = vy_buf_len(buf);
    size_t wanted = 0;
    if (buf->failed || size > buf->limit_bytes || len > buf->limit_bytes - size ||
        !vy_add_size(size, spare, &wanted)) {
        buf->failed = true;
        return NULL;
    }
    if ((buf->data == NULL || wanted > buf->capacity - buf->end) && !grow(buf, wanted)) {
        buf->failed = true;
        return NULL;
    }
    return buf->data + buf->end;
}

uint8_t *vy_buf_reserve(struct vy_buf *buf, size_t size)
{
    return reserve(buf, size, 0);
}

void vy_buf_added(struct vy_buf *buf, size_t size)
{
    VY_ASSERT(size <= buf->capacity - buf->end);
    buf->end += size;
}

void vy_buf_append(struct vy_buf *buf, struct vy_bytes bytes)
{
    if (bytes.len == 0) {
        return;
    }
    uint8_t *room = vy_buf_reserve(buf, bytes.len);
    if (room != NULL) {
        memcpy(room, bytes.data, bytes.len);
        vy_buf_added(buf, bytes.len);
    }
}

void vy_buf_append_cstr(struct vy_buf *buf, const char *text)
{
    vy_buf_append(buf, vy_cstr(text));
}

void vy_buf_append_byte(struct vy_buf *buf, uint8_t byte)
{
    vy_buf_append(buf, vy_bytes(&byte, 1));
}

void vy_buf_append_u64(struct vy_buf *buf, uint64_t value)
{
    uint8_t digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (uint8_t)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    vy_buf_append(buf, vy_bytes(digits + at, sizeof(digits) - at));
}

void vy_buf_append_be16(struct vy_buf *buf, uint16_t value)
{
    uint8_t bytes[2];
    vy_put_be16(bytes, value);
    vy_buf_append(buf, vy_bytes(bytes, sizeof(bytes)));
}

void vy_buf_append_be32(struct vy_buf *buf, uint32_t value)
{
    uint8_t bytes[4];
    vy_put_be32(bytes, value);
    vy_buf_append(buf, vy_bytes(bytes, sizeof(bytes)));
}

void vy_buf_append_be64(struct vy_buf *buf, uint64_t value)
{
    uint8_t bytes[8];
    vy_put_be64(bytes, value);
    vy_buf_append(buf, vy_bytes(bytes, sizeof(bytes)));
}

void vy_buf_printf(struct vy_buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    uint8_t *room = len < 0 ? NULL : reserve(buf, (size_t)len, /* for vsnprintf's NUL */ 1);
    if (room == NULL) {
        buf->failed = true;
        return;
    }
    va_start(args, format);
    (void)vsnprintf((char *)room, (size_t)len + 1, format, args);
    va_end(args);
    vy_buf_added(buf, (size_t)len);
}

void vy_buf_consume(struct vy_buf *buf, size_t size)
{
    VY_ASSERT(size <= vy_buf_len(buf));
    buf->start += size;
    if (buf->start == buf->end) {
        buf->start = 0;
        buf->end = 0;
    }
}

void vy_buf_truncate(struct vy_buf *buf, size_t len)
{
    VY_ASSERT(len <= vy_buf_len(buf));
    buf->end = buf->start + len;
}
