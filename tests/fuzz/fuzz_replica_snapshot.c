/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What members say about snapshots (R8): frames, and lists of files. Odd first byte: a frame whose
 * checksum is repaired; even: a list. What is accepted survives the way back, and names nothing
 * outside of its directory.
 */
#include "base/assert.h"
#include "base/codec.h"
#include "replica/snapshot_frame.h"
#include <stdlib.h>
#include <string.h>

#define CRC_AT 4U

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_frame(uint8_t *bytes, size_t len)
{
    struct snapshot_frame frame;
    struct snapshot_frame again;
    struct vy_buf out;
    if (len < CRC_AT + 4) {
        return;
    }
    memset(bytes + CRC_AT, 0, 4);
    vy_put_be32(bytes + CRC_AT, vy_crc32c(0, vy_bytes(bytes, len)));
    if (vy_failed(snapshot_frame_decode(vy_bytes(bytes, len), &frame))) {
        return;
    }
    vy_buf_init(&out, SNAPSHOT_FRAME_BYTES_MAX);
    VY_ASSERT(!vy_failed(snapshot_frame_encode(&frame, &out)));
    VY_ASSERT(!vy_failed(snapshot_frame_decode(vy_buf_bytes(&out), &again)));
    VY_ASSERT(again.kind == frame.kind && again.file == frame.file &&
              again.offset == frame.offset && again.outcome == frame.outcome);
    VY_ASSERT(vy_bytes_equal(again.bytes, frame.bytes));
    vy_buf_deinit(&out);
}

static void check_list(struct vy_bytes bytes)
{
    struct snapshot_manifest manifest;
    struct vy_buf out;
    if (vy_failed(snapshot_manifest_decode(bytes, &manifest))) {
        return;
    }
    for (size_t i = 0; i < manifest.count; i++) {
        const char *name = manifest.files[i].name;
        VY_ASSERT(name[0] != '\0' && name[0] != '.' && strchr(name, '/') == NULL);
        VY_ASSERT(strncmp(name, "MEMBER", 6) != 0);
    }
    vy_buf_init(&out, SNAPSHOT_MANIFEST_BYTES_MAX);
    VY_ASSERT(!vy_failed(snapshot_manifest_encode(&manifest, &out)));
    VY_ASSERT(vy_bytes_equal(vy_buf_bytes(&out), bytes));
    vy_buf_deinit(&out);
    snapshot_manifest_deinit(&manifest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    if (data[0] % 2 == 0) {
        check_list(vy_bytes(data + 1, size - 1));
        return 0;
    }
    uint8_t *copy = malloc(size - 1);
    VY_ASSERT(copy != NULL);
    memcpy(copy, data + 1, size - 1);
    check_frame(copy, size - 1);
    free(copy);
    return 0;
}
