/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/uids.h"
#include "base/assert.h"
#include "mail/uidset.h"

void uids_init(struct uid_ranges *uids, struct vy_arena *arena)
{
    *uids = (struct uid_ranges){.arena = arena};
}

/* Arena memory cannot grow in place: twice the room each time wastes at most as much again. */
static bool make_room(struct uid_ranges *uids)
{
    if (uids->count < uids->capacity) {
        return true;
    }
    const size_t capacity = uids->capacity == 0 ? 4 : uids->capacity * 2;
    struct uid_range *items =
        capacity > UIDS_RANGES_MAX ? NULL : VY_ARENA_ARRAY(uids->arena, capacity, struct uid_range);
    if (items == NULL) {
        uids->failed = true;
        return false;
    }
    if (uids->count > 0) {
        memcpy(items, uids->items, uids->count * sizeof(*items));
    }
    uids->items = items;
    uids->capacity = capacity;
    return true;
}

void uids_add_range(struct uid_ranges *uids, uint32_t first, uint32_t last)
{
    VY_DEBUG_ASSERT(first <= last);
    if (uids->count > 0) {
        struct uid_range *end = &uids->items[uids->count - 1];
        VY_DEBUG_ASSERT(first > end->last);
        if (first == end->last + 1) {
            end->last = last;
            return;
        }
    }
    if (make_room(uids)) {
        uids->items[uids->count++] = (struct uid_range){first, last};
    }
}

void uids_add(struct uid_ranges *uids, uint32_t uid)
{
    uids_add_range(uids, uid, uid);
}

bool uids_contains(const struct uid_ranges *uids, uint32_t uid)
{
    size_t low = 0;
    size_t high = uids->count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (uids->items[middle].last < uid) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < uids->count && uids->items[low].first <= uid;
}

uint64_t uids_count(const struct uid_ranges *uids)
{
    uint64_t count = 0;

    for (size_t i = 0; i < uids->count; i++) {
        count += (uint64_t)uids->items[i].last - uids->items[i].first + 1;
    }
    return count;
}

/* Adds a range that may touch or overlap the last one. */
static void add_merging(struct uid_ranges *out, struct uid_range range)
{
    if (out->count > 0) {
        struct uid_range *end = &out->items[out->count - 1];
        if (range.first <= end->last || range.first == end->last + 1) {
            end->last = VY_MAX(end->last, range.last);
            return;
        }
    }
    uids_add_range(out, range.first, range.last);
}

void uids_union(const struct uid_ranges *a, const struct uid_ranges *b, struct uid_ranges *out)
{
    size_t i = 0;
    size_t j = 0;

    out->failed = out->failed || a->failed || b->failed;
    while (i < a->count || j < b->count) {
        if (j == b->count || (i < a->count && a->items[i].first <= b->items[j].first)) {
            add_merging(out, a->items[i++]);
        } else {
            add_merging(out, b->items[j++]);
        }
    }
}

void uids_intersect(const struct uid_ranges *a, const struct uid_ranges *b, struct uid_ranges *out)
{
    size_t i = 0;
    size_t j = 0;

    out->failed = out->failed || a->failed || b->failed;
    while (i < a->count && j < b->count) {
        const uint32_t first = VY_MAX(a->items[i].first, b->items[j].first);
        const uint32_t last = VY_MIN(a->items[i].last, b->items[j].last);
        if (first <= last) {
            uids_add_range(out, first, last);
        }
        if (a->items[i].last < b->items[j].last) {
            i++;
        } else {
            j++;
        }
    }
}

void uids_subtract(const struct uid_ranges *a, const struct uid_ranges *b, struct uid_ranges *out)
{
    size_t j = 0;

    out->failed = out->failed || a->failed || b->failed;
    for (size_t i = 0; i < a->count; i++) {
        uint64_t first = a->items[i].first;
        const uint32_t last = a->items[i].last;
        while (j < b->count && b->items[j].last < first) {
            j++;
        }
        for (size_t k = j; k < b->count && b->items[k].first <= last; k++) {
            if (b->items[k].first > first) {
                uids_add_range(out, (uint32_t)first, b->items[k].first - 1);
            }
            first = VY_MAX(first, (uint64_t)b->items[k].last + 1);
        }
        if (first <= last) {
            uids_add_range(out, (uint32_t)first, last);
        }
    }
}

/* ---- the compact form ---- */

struct vy_err uids_decode(struct vy_arena *arena, struct vy_bytes encoded, struct uid_ranges *out)
{
    struct uidset_reader reader = uidset_reader(encoded);
    uint32_t first = 0;
    uint32_t last = 0;

    uids_init(out, arena);
    while (!out->failed && uidset_read_range(&reader, &first, &last)) {
        uids_add_range(out, first, last);
    }
    if (reader.is_corrupt) {
        return vy_error(VY_CODE_SYNTAX, "read uid set");
    }
    return out->failed ? vy_error(VY_CODE_LIMIT, "read uid set") : vy_ok();
}

void uids_encode(const struct uid_ranges *uids, struct vy_buf *out)
{
    struct uidset_writer writer = {.last = 0};

    for (size_t i = 0; i < uids->count; i++) {
        uidset_write_range(&writer, out, uids->items[i].first, uids->items[i].last);
    }
}

struct vy_err uids_encode_arena(const struct uid_ranges *uids, struct vy_arena *arena,
                                struct vy_bytes *out)
{
    VY_CLEANUP(vy_buf_deinit) struct vy_buf encoded;

    vy_buf_init(&encoded, (size_t)UIDS_RANGES_MAX * UIDSET_RANGE_BYTES_MAX);
    if (uids->failed) {
        return vy_error(VY_CODE_LIMIT, "encode uid set");
    }
    *out = vy_bytes(NULL, 0);
    if (uids->count == 0) {
        return vy_ok();
    }
    uids_encode(uids, &encoded);
    VY_TRY(vy_buf_error(&encoded));
    return vy_arena_dup(arena, vy_buf_bytes(&encoded), out);
}
