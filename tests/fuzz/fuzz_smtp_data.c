/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A message by DATA or in one chunk, whole and cut into pieces of the size that the first byte
 * says: both give the same bytes, fault and end (S4). What passes holds no bare CR or LF, and by
 * DATA no NUL either (S1 to S5).
 */
#include "base/assert.h"
#include "frontend/smtp/data.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    struct vy_buf out;
    enum smtp_data_fault fault;
    enum smtp_data_status status;
    uint64_t size_bytes;
    size_t unread;
};

static bool is_recipient(void *arg, struct vy_bytes address)
{
    (void)arg;
    return vy_bytes_equal(address, VY_LIT("a@b"));
}

static void take_all(struct vy_bytes in, size_t cut, bool is_chunk, struct outcome *o)
{
    static const struct smtp_header_config config = {.message_id_line =
                                                         VY_LIT("Message-ID: <x>\r\n"),
                                                     .date_line = VY_LIT("Date: x\r\n"),
                                                     .is_recipient = is_recipient};
    struct smtp_data data;
    uint64_t left = in.len;
    size_t at = 0;
    vy_buf_init(&o->out, 64U * 1024U * 1024U);
    smtp_data_init(&data, 65536, &config);
    o->status = SMTP_DATA_MORE;
    while (at < in.len && o->status == SMTP_DATA_MORE &&
           (is_chunk || data.fault != SMTP_DATA_BARE_EOL)) {
        const struct vy_bytes piece = vy_bytes_slice(in, at, cut);
        struct vy_bytes rest = piece;
        o->status = is_chunk ? smtp_data_take_chunk(&data, &left, &rest, &o->out, SIZE_MAX)
                             : smtp_data_take_dotted(&data, &rest, &o->out, SIZE_MAX);
        at += piece.len - rest.len;
    }
    if (o->status == SMTP_DATA_OVER) {
        smtp_data_finish(&data, &o->out);
    }
    o->fault = data.fault;
    o->size_bytes = data.size_bytes;
    o->unread = data.fault == SMTP_DATA_BARE_EOL && !is_chunk ? 0 : in.len - at;
}

static void check(const struct outcome *o, bool is_chunk)
{
    const struct vy_bytes out = vy_buf_bytes(&o->out);
    for (size_t i = 0; o->fault == SMTP_DATA_FINE && i < out.len; i++) {
        const bool is_cr = out.data[i] == '\r';
        const bool is_lf = out.data[i] == '\n';
        /* The CR that a chunk ends with shows only at its end. */
        VY_ASSERT(!is_cr || i + 1 == out.len || out.data[i + 1] == '\n');
        VY_ASSERT(!is_lf || (i > 0 && out.data[i - 1] == '\r'));
        VY_ASSERT(is_chunk || out.data[i] != 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    const bool is_chunk = (data[0] & 1) != 0;
    const struct vy_bytes in = vy_bytes(data + 1, size - 1);
    struct outcome whole;
    struct outcome split;
    take_all(in, in.len + 1, is_chunk, &whole);
    take_all(in, (size_t)(data[0] >> 1) + 1, is_chunk, &split);
    VY_ASSERT(whole.fault == split.fault);
    VY_ASSERT(whole.status == split.status);
    VY_ASSERT(whole.unread == split.unread);
    if (whole.fault == SMTP_DATA_FINE) {
        VY_ASSERT(whole.size_bytes == split.size_bytes);
        VY_ASSERT(vy_bytes_equal(vy_buf_bytes(&whole.out), vy_buf_bytes(&split.out)));
    }
    check(&whole, is_chunk);
    vy_buf_deinit(&whole.out);
    vy_buf_deinit(&split.out);
    return 0;
}
