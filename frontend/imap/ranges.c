/* SPDX-License-Identifier: Apache-2.0 */
#include "frontend/imap/ranges.h"
#include "base/assert.h"
#include <stdlib.h>

void imap_ranges_deinit(struct imap_ranges *ranges)
{
    free(ranges->items);
    *ranges = (struct imap_ranges){.items = NULL};
}

static bool make_room(struct imap_ranges *ranges)
{
    if (ranges->count < ranges->capacity) {
        return true;
    }
    const size_t capacity = ranges->capacity == 0 ? 2 : ranges->capacity * 2;
    size_t bytes = 0;
    struct imap_range *items = NULL;
    if (vy_mul_size(capacity, sizeof(*items), &bytes)) {
        items = realloc(ranges->items, bytes);
    }
    if (items == NULL) {
        ranges->failed = true;
        return false;
    }
    ranges->items = items;
    ranges->capacity = capacity;
    return true;
}

void imap_ranges_add(struct imap_ranges *ranges, uint32_t first, uint32_t last)
{
    VY_ASSERT(first <= last);
    uint32_t before = 0;
    if (ranges->count > 0) {
        struct imap_range *const end = &ranges->items[ranges->count - 1];
        VY_ASSERT(first > end->last);
        if (first == end->last + 1) {
            end->last = last;
            return;
        }
        before = end->before + (end->last - end->first + 1);
    }
    if (make_room(ranges)) {
        ranges->items[ranges->count++] = (struct imap_range){first, last, before};
    }
}

uint32_t imap_ranges_total(const struct imap_ranges *ranges)
{
    if (ranges->count == 0) {
        return 0;
    }
    const struct imap_range *const end = &ranges->items[ranges->count - 1];
    return end->before + (end->last - end->first + 1);
}

size_t imap_ranges_lower_bound(const struct imap_ranges *ranges, uint32_t number)
{
    size_t low = 0;
    size_t high = ranges->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (ranges->items[middle].last < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

uint32_t imap_ranges_place(const struct imap_ranges *ranges, uint32_t number)
{
    const size_t index = imap_ranges_lower_bound(ranges, number);
    if (index == ranges->count || ranges->items[index].first > number) {
        return 0;
    }
    return ranges->items[index].before + (number - ranges->items[index].first) + 1;
}

uint32_t imap_ranges_at(const struct imap_ranges *ranges, uint32_t place)
{
    VY_ASSERT(place >= 1 && place <= imap_ranges_total(ranges));
    size_t low = 0;
    size_t high = ranges->count;
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        if (ranges->items[middle].before < place) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return ranges->items[low].first + (place - ranges->items[low].before - 1);
}

void imap_ranges_add_common(const struct imap_ranges *ranges, uint32_t first, uint32_t last,
                            struct imap_ranges *out)
{
    for (size_t i = imap_ranges_lower_bound(ranges, first); i < ranges->count; i++) {
        const struct imap_range *const range = &ranges->items[i];
        if (range->first > last) {
            return;
        }
        imap_ranges_add(out, VY_MAX(range->first, first), VY_MIN(range->last, last));
    }
}

void imap_ranges_intersect(const struct imap_ranges *a, const struct imap_ranges *b,
                           struct imap_ranges *out)
{
    size_t at_a = 0;
    size_t at_b = 0;
    while (at_a < a->count && at_b < b->count) {
        const struct imap_range *const x = &a->items[at_a];
        const struct imap_range *const y = &b->items[at_b];
        const uint32_t first = VY_MAX(x->first, y->first);
        const uint32_t last = VY_MIN(x->last, y->last);
        if (first <= last) {
            imap_ranges_add(out, first, last);
        }
        if (x->last <= y->last) {
            at_a++;
        } else {
            at_b++;
        }
    }
}

void imap_ranges_subtract(const struct imap_ranges *a, const struct imap_ranges *b,
                          struct imap_ranges *out)
{
    size_t at_b = 0;
    for (size_t i = 0; i < a->count; i++) {
        uint64_t first = a->items[i].first; /* one past UINT32_MAX is needed */
        const uint32_t last = a->items[i].last;
        while (at_b < b->count && b->items[at_b].last < first) {
            at_b++;
        }
        while (at_b < b->count && b->items[at_b].first <= last) {
            if (b->items[at_b].first > first) {
                imap_ranges_add(out, (uint32_t)first, b->items[at_b].first - 1);
            }
            first = (uint64_t)b->items[at_b].last + 1;
            if (b->items[at_b].last >= last) {
                break;
            }
            at_b++;
        }
        if (first <= last) {
            imap_ranges_add(out, (uint32_t)first, last);
        }
    }
}

void imap_ranges_move(struct imap_ranges *to, struct imap_ranges *from)
{
    imap_ranges_deinit(to);
    *to = *from;
    *from = (struct imap_ranges){.items = NULL};
}

struct vy_err imap_ranges_error(const struct imap_ranges *ranges)
{
    return ranges->failed ? vy_error(VY_CODE_NOMEM, "message ranges") : vy_ok();
}
