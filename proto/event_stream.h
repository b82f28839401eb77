/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Streams of small messages (ACCOUNT_WATCH, META_WATCH): u32 big-endian length, then that many
 * bytes of encoded message. The reader takes any split.
 */
#include "base/buf.h"
#include "base/err.h"
#include "proto/pb.h"

#define EVENT_STREAM_BYTES_MAX 65536U /* of one message: a watch event is tens of bytes */

/* @errors LIMIT of out, or a message over EVENT_STREAM_BYTES_MAX; out is then as before */
VY_CHECKED struct vy_err event_stream_append(struct vy_buf *out, const struct vy_pb_desc *desc,
                                             const void *message);

struct event_reader {
    struct vy_buf partial; /* owned; the message being gathered; no memory between messages */
    size_t reported_bytes; /* of partial, already given out */
};
void event_reader_init(struct event_reader *reader);
void event_reader_deinit(struct event_reader *reader);
/*
 * Takes bytes from the front of *in. *out is one encoded message, borrowed until the next call;
 * *found is false when all input is taken and no message is whole.
 *
 * @errors CORRUPT a length over the limit; NOMEM
 */
VY_CHECKED struct vy_err event_reader_next(struct event_reader *reader, struct vy_bytes *in,
                                           struct vy_bytes *out, bool *found);
