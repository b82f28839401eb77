/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/snapshot_frame.h"

#include "base/assert.h"
#include "base/codec.h"
#include <string.h>

/*
 * magic u16, version u8, kind u8, crc u32 over the frame with this field zero, cluster 16, group,
 * from, to u64, id 16, hash 32, and five u64: list's bytes, index, term, offset, and file u32 with
 * length or outcome u32; then the bytes of DATA.
 */
#define MAGIC 0x5653U
#define VERSION 1U
#define CRC_AT 4U
#define ID_AT 48U
#define HEAD_BYTES (ID_AT + SNAPSHOT_ID_BYTES + SNAPSHOT_HASH_BYTES + 40U)
#define INDEX_MAX (1ULL << 62)

struct vy_err snapshot_frame_encode(const struct snapshot_frame *frame, struct vy_buf *out)
{
    uint8_t head[HEAD_BYTES];
    uint8_t *at = head + ID_AT;
    vy_put_be16(head, MAGIC);
    head[2] = VERSION;
    head[3] = (uint8_t)frame->kind;
    vy_put_be32(head + CRC_AT, 0);
    memcpy(head + 8, frame->cluster_id, REPLICA_CLUSTER_ID_BYTES);
    vy_put_be64(head + 24, frame->group_id);
    vy_put_be64(head + 32, frame->from);
    vy_put_be64(head + 40, frame->to);
    memcpy(at, frame->offer.id, SNAPSHOT_ID_BYTES);
    at += SNAPSHOT_ID_BYTES;
    memcpy(at, frame->offer.manifest_hash, SNAPSHOT_HASH_BYTES);
    at += SNAPSHOT_HASH_BYTES;
    vy_put_be64(at, frame->offer.manifest_bytes);
    vy_put_be64(at + 8, frame->offer.index);
    vy_put_be64(at + 16, frame->offer.term);
    vy_put_be64(at + 24, frame->offset);
    vy_put_be32(at + 32, frame->file);
    vy_put_be32(at + 36, frame->kind == SNAPSHOT_DONE ? (uint32_t)frame->outcome : frame->length);
    const size_t start = vy_buf_len(out);
    vy_buf_append(out, vy_bytes(head, sizeof(head)));
    vy_buf_append(out, frame->bytes);
    VY_TRY(vy_buf_error(out));
    const struct vy_bytes whole = vy_bytes_from(vy_buf_bytes(out), start);
    vy_put_be32(out->data + out->start + start + CRC_AT, vy_crc32c(0, whole));
    return vy_ok();
}

static uint32_t crc_of(struct vy_bytes frame)
{
    static const uint8_t zero[4] = {0};
    uint32_t crc = vy_crc32c(0, vy_bytes(frame.data, CRC_AT));
    crc = vy_crc32c(crc, vy_bytes(zero, sizeof(zero)));
    return vy_crc32c(crc, vy_bytes_from(frame, CRC_AT + sizeof(zero)));
}

static void take_head(const uint8_t *head, struct snapshot_frame *out)
{
    const uint8_t *at = head + ID_AT;
    out->kind = (enum snapshot_kind)head[3];
    memcpy(out->cluster_id, head + 8, REPLICA_CLUSTER_ID_BYTES);
    out->group_id = vy_get_be64(head + 24);
    out->from = vy_get_be64(head + 32);
    out->to = vy_get_be64(head + 40);
    memcpy(out->offer.id, at, SNAPSHOT_ID_BYTES);
    at += SNAPSHOT_ID_BYTES;
    memcpy(out->offer.manifest_hash, at, SNAPSHOT_HASH_BYTES);
    at += SNAPSHOT_HASH_BYTES;
    out->offer.manifest_bytes = vy_get_be64(at);
    out->offer.index = vy_get_be64(at + 8);
    out->offer.term = vy_get_be64(at + 16);
    out->offset = vy_get_be64(at + 24);
    out->file = vy_get_be32(at + 32);
    out->length = vy_get_be32(at + 36);
}

static struct vy_err check(struct snapshot_frame *frame)
{
    const bool has_bytes = frame->bytes.len > 0;
    const uint32_t last = frame->length;
    bool is_good = has_bytes == (frame->kind == SNAPSHOT_DATA);
    switch (frame->kind) {
    case SNAPSHOT_OFFER:
        is_good = is_good && frame->offer.index > 0 && frame->offer.index < INDEX_MAX &&
                  frame->offer.term > 0 && frame->offer.term < INDEX_MAX &&
                  frame->offer.manifest_bytes > 0 &&
                  frame->offer.manifest_bytes <= SNAPSHOT_MANIFEST_BYTES_MAX;
        break;
    case SNAPSHOT_FETCH:
        is_good = is_good && last > 0 && last <= SNAPSHOT_PIECE_BYTES;
        VY_FALLTHROUGH;
    case SNAPSHOT_DATA:
        is_good = is_good && frame->file <= SNAPSHOT_FILES_MAX && frame->offset < INT64_MAX / 2 &&
                  frame->bytes.len <= SNAPSHOT_PIECE_BYTES;
        break;
    case SNAPSHOT_DONE:
        is_good = is_good && last >= SNAPSHOT_TAKEN && last <= SNAPSHOT_FAILED;
        frame->outcome = (enum snapshot_outcome)(is_good ? last : SNAPSHOT_FAILED);
        break;
    case SNAPSHOT_GONE:
        break;
    }
    return is_good ? vy_ok() : vy_error(VY_CODE_CORRUPT, "frame about a snapshot");
}

struct vy_err snapshot_frame_decode(struct vy_bytes bytes, struct snapshot_frame *out)
{
    struct snapshot_frame frame = {.kind = SNAPSHOT_GONE};
    if (bytes.len > SNAPSHOT_FRAME_BYTES_MAX) {
        return vy_error(VY_CODE_LIMIT, "frame is too long");
    }
    if (bytes.len < HEAD_BYTES || vy_get_be16(bytes.data) != MAGIC ||
        vy_get_be32(bytes.data + CRC_AT) != crc_of(bytes)) {
        return vy_error(VY_CODE_CORRUPT, "not a frame about a snapshot");
    }
    if (bytes.data[2] != VERSION || bytes.data[3] < SNAPSHOT_OFFER ||
        bytes.data[3] > SNAPSHOT_GONE) {
        return vy_error(VY_CODE_UNSUPPORTED, "frame of a newer version");
    }
    take_head(bytes.data, &frame);
    frame.bytes = vy_bytes_from(bytes, HEAD_BYTES);
    VY_TRY(check(&frame));
    *out = frame;
    return vy_ok();
}
