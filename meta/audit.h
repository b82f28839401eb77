/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Reading and checking the audit chain: a gap-free sequence of records, each with the SHA-256 of
 * the hash before it and its own encoding.
 */
#include "meta/tables.h"

#define AUDIT_HASH_BYTES 32U
#define AUDIT_PAGE_ROWS_MAX 1000U
#define AUDIT_ROW_BYTES_MAX (64U * 1024)

/* hash of `row` behind `previous` (empty before the first record); row.hash is not looked at.
 * @errors NOMEM */
VY_CHECKED struct vy_err audit_hash(struct vy_bytes previous, const struct audit_row *row,
                                    struct vy_buf *scratch, uint8_t out[AUDIT_HASH_BYTES]);

/* At most rows_max records from `sequence` on. */
VY_CHECKED struct vy_err audit_read(const struct meta_view *view, uint64_t sequence,
                                    size_t rows_max, struct table_rows *out);

struct audit_check {
    bool is_intact;
    uint64_t record_count;
    uint64_t first_bad_sequence; /* 0: none */
};
/*
 * Walks the whole chain in pages.
 *
 * @reader  one snapshot: the head must be of the same moment
 * @blocks  for as long as reading all records takes
 */
VY_CHECKED struct vy_err audit_verify(const struct store_reader *reader, struct audit_check *out);
