/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Reading one segment for scrub.h: rows of one family from a key on, up to SCRUB_SEGMENT_BYTES or
 * the family's end, summed up so that equal rows give equal sums. Payloads of entries behind the
 * mark lie under their keys already, or not yet: they are left out.
 *
 * @thread  one at a time: the loop's, or a worker's while it reads a slice
 */
#include "replica/scrub.h"
#include "replica/writer.h"

struct scrub_key {
    uint8_t len;
    uint8_t data[UINT8_MAX];
};
struct scrub_scan {
    uint64_t index; /* of the mark; 0: none in this life */
    unsigned family;
    uint64_t time_ms;                     /* of the mark */
    uint8_t key[STORE_KEY_BYTES_MAX + 1]; /* the next row to read is here or behind */
    size_t key_bytes;
    struct store_snapshot *snapshot; /* owned; NULL: nothing to read */
    uint64_t last_index;             /* of the log there */
    bool has_pending;                /* they were looked up */
    struct scrub_key *pending;       /* owned: to be left out, sorted */
    size_t pending_count;
    size_t pending_capacity;
    uint64_t sum;
    uint64_t bytes;
    uint64_t slice_bytes; /* of the last slice */
    bool is_done;
    bool is_family_end;
    struct vy_err err; /* why the segment cannot be read */
};

/* Where the round stood when the directory was last in use. @errors CORRUPT, what the store says */
VY_CHECKED struct vy_err scrub_scan_load(struct scrub_scan *scan,
                                         const struct store_reader *reader);
/* Takes over the snapshot. */
void scrub_scan_begin(struct scrub_scan *scan, const struct scrub_mark *mark,
                      const struct writer_mark *taken);
/* Reads on; at the end of the segment is_done is set. @blocks for the disk */
void scrub_scan_slice(struct scrub_scan *scan);
void scrub_scan_close(struct scrub_scan *scan); /* gives back the snapshot; the result stays */
