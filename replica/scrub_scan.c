/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/scrub_scan.h"

#include "base/codec.h"
#include "replica/log.h"
#include <stdlib.h>

#define SLICE_BYTES (1U * 1024 * 1024)

/* ---- payloads of entries behind the mark ---- */

static int compare_keys(const void *a, const void *b)
{
    const struct scrub_key *left = a;
    const struct scrub_key *right = b;
    return vy_bytes_compare(vy_bytes(left->data, left->len), vy_bytes(right->data, right->len));
}

static struct vy_err add_key(struct scrub_scan *scan, struct vy_bytes key)
{
    if (scan->pending_count == scan->pending_capacity) {
        const size_t capacity = scan->pending_capacity == 0 ? 64 : scan->pending_capacity * 2;
        struct scrub_key *bigger = realloc(scan->pending, capacity * sizeof(*bigger));
        if (bigger == NULL) {
            return vy_error(VY_CODE_NOMEM, "payloads that are on their way");
        }
        scan->pending = bigger;
        scan->pending_capacity = capacity;
    }
    struct scrub_key *added = &scan->pending[scan->pending_count++];
    added->len = (uint8_t)key.len;
    memcpy(added->data, key.data, key.len);
    return vy_ok();
}

static struct vy_err find_pending(struct scrub_scan *scan)
{
    const struct store_reader *reader = store_snapshot_reader(scan->snapshot);
    scan->has_pending = true;
    for (uint64_t index = scan->index + 1; index <= scan->last_index; index++) {
        struct entry *entry = NULL;
        VY_TRY(log_read_entry(reader, index, false, &entry));
        struct vy_err err = vy_ok();
        for (size_t i = 0; i < entry->payload_count && !vy_failed(err); i++) {
            if (entry->payloads[i].family == scan->family) {
                err = add_key(scan, entry->payloads[i].key);
            }
        }
        entry_unref(entry);
        VY_TRY(err);
    }
    if (scan->pending_count > 0) {
        qsort(scan->pending, scan->pending_count, sizeof(*scan->pending), compare_keys);
    }
    return vy_ok();
}

static bool is_pending(const struct scrub_scan *scan, struct vy_bytes key)
{
    struct scrub_key wanted = {.len = (uint8_t)key.len};
    if (scan->pending_count == 0 || key.len > sizeof(wanted.data)) {
        return false;
    }
    memcpy(wanted.data, key.data, key.len);
    return bsearch(&wanted, scan->pending, scan->pending_count, sizeof(wanted), compare_keys) !=
           NULL;
}

/* ---- rows ---- */

static void add_row(struct scrub_scan *scan, struct vy_bytes key, struct vy_bytes value)
{
    const uint64_t both =
        (uint64_t)vy_crc32c((uint32_t)key.len, key) << 32 | vy_crc32c((uint32_t)value.len, value);
    scan->sum = vy_mix64(vy_mix64(scan->sum + VY_MIX64_STEP) ^ both);
    scan->bytes += key.len + value.len;
    scan->slice_bytes += key.len + value.len;
}

/* The smallest key behind this one. */
static void stand_behind(struct scrub_scan *scan, struct vy_bytes key)
{
    memcpy(scan->key, key.data, key.len);
    scan->key[key.len] = 0;
    scan->key_bytes = key.len + 1;
}

static struct vy_err read_rows(struct scrub_scan *scan)
{
    const struct store_range range = {.from = vy_bytes(scan->key, scan->key_bytes),
                                      .is_bulk = true};
    struct store_iter *iter = NULL;
    if (!scan->has_pending) {
        VY_TRY(find_pending(scan));
    }
    VY_TRY(store_iter_new(store_snapshot_reader(scan->snapshot), scan->family, &range, &iter));
    while (iter->is_valid && scan->slice_bytes < SLICE_BYTES && scan->bytes < SCRUB_SEGMENT_BYTES) {
        if (!is_pending(scan, iter->key)) {
            add_row(scan, iter->key, iter->value);
        }
        stand_behind(scan, iter->key);
        store_iter_next(iter);
    }
    const bool is_full = scan->bytes >= SCRUB_SEGMENT_BYTES;
    const struct vy_err err = store_iter_error(iter);
    scan->is_family_end = !is_full && !iter->is_valid;
    scan->is_done = is_full || scan->is_family_end;
    store_iter_free(iter);
    return err;
}

void scrub_scan_slice(struct scrub_scan *scan)
{
    scan->slice_bytes = 0;
    scan->err = read_rows(scan);
    if (vy_failed(scan->err)) {
        scan->is_done = true;
    }
}

/* ---- marks ---- */

static void take_mark(struct scrub_scan *scan, const struct scrub_mark *mark)
{
    scan->family = mark->family;
    scan->time_ms = mark->time_ms;
    scan->key_bytes = mark->key.len;
    if (mark->key.len > 0) {
        memcpy(scan->key, mark->key.data, mark->key.len);
    }
}

struct vy_err scrub_scan_load(struct scrub_scan *scan, const struct store_reader *reader)
{
    struct store_value value = {.is_found = false};
    struct scrub_mark mark;
    *scan = (struct scrub_scan){.family = SCRUB_END};
    VY_TRY(store_get(reader, REPLICA_FAMILY_SYS, writer_mark_key, &value));
    if (value.is_found && scrub_decode(value.bytes, &mark)) {
        take_mark(scan, &mark); /* a mark of a newer version: the round begins again */
    }
    store_value_release(&value);
    return vy_ok();
}

void scrub_scan_begin(struct scrub_scan *scan, const struct scrub_mark *mark,
                      const struct writer_mark *taken)
{
    *scan = (struct scrub_scan){.index = taken->index,
                                .snapshot = taken->snapshot,
                                .last_index = taken->last_index,
                                .sum = vy_mix64(taken->digest)};
    take_mark(scan, mark);
}

void scrub_scan_close(struct scrub_scan *scan)
{
    store_snapshot_free(scan->snapshot);
    scan->snapshot = NULL;
    free(scan->pending);
    scan->pending = NULL;
    scan->pending_count = 0;
    scan->pending_capacity = 0;
    scan->has_pending = false;
}
