/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/event_stream.h"

#define LENGTH_BYTES 4U

struct vy_err event_stream_append(struct vy_buf *out, const struct vy_pb_desc *desc,
                                  const void *message)
{
    const size_t size = vy_pb_encoded_size(desc, message);
    const size_t before = vy_buf_len(out);
    if (size > EVENT_STREAM_BYTES_MAX || vy_buf_reserve(out, LENGTH_BYTES + size) == NULL) {
        return vy_error(VY_CODE_LIMIT, "event stream: message size");
    }
    vy_buf_append_be32(out, (uint32_t)size);
    const struct vy_err err = vy_pb_encode(desc, message, out);
    if (vy_failed(err)) {
        vy_buf_truncate(out, before);
    }
    return err;
}

void event_reader_init(struct event_reader *reader)
{
    *reader = (struct event_reader){.reported_bytes = 0};
    vy_buf_init(&reader->partial, LENGTH_BYTES + EVENT_STREAM_BYTES_MAX);
}

void event_reader_deinit(struct event_reader *reader)
{
    vy_buf_deinit(&reader->partial);
}

/* Moves bytes into partial until it holds `want`; false when the input ended first. */
static bool reader_fill(struct event_reader *reader, struct vy_bytes *in, size_t want)
{
    const size_t have = vy_buf_len(&reader->partial);
    const size_t size = VY_MIN(in->len, want > have ? want - have : 0);
    vy_buf_append(&reader->partial, vy_bytes_slice(*in, 0, size));
    *in = vy_bytes_from(*in, size);
    return vy_buf_len(&reader->partial) >= want;
}

struct vy_err event_reader_next(struct event_reader *reader, struct vy_bytes *in,
                                struct vy_bytes *out, bool *found)
{
    *found = false;
    if (reader->reported_bytes > 0) {
        vy_buf_reset(&reader->partial);
        vy_buf_release(&reader->partial);
        reader->reported_bytes = 0;
    }
    if (!reader_fill(reader, in, LENGTH_BYTES)) {
        return reader->partial.failed ? vy_buf_error(&reader->partial) : vy_ok();
    }
    const size_t size = vy_get_be32(vy_buf_bytes(&reader->partial).data);
    if (size > EVENT_STREAM_BYTES_MAX) {
        return vy_error(VY_CODE_CORRUPT, "event stream: message length");
    }
    if (!reader_fill(reader, in, LENGTH_BYTES + size)) {
        return reader->partial.failed ? vy_buf_error(&reader->partial) : vy_ok();
    }
    reader->reported_bytes = LENGTH_BYTES + size;
    *out = vy_bytes_from(vy_buf_bytes(&reader->partial), LENGTH_BYTES);
    *found = true;
    return vy_ok();
}
