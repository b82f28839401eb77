/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/uidset.h"

#include "base/assert.h"
#include <stdlib.h>

void uidset_init(struct uidset *set)
{
    *set = (struct uidset){.ranges = NULL};
}

void uidset_deinit(struct uidset *set)
{
    free(set->ranges);
    uidset_init(set);
}

void uidset_clear(struct uidset *set)
{
    set->count = 0;
    set->failed = false;
}

void uidset_move(struct uidset *to, struct uidset *from)
{
    if (to == from) {
        return;
    }
    uidset_deinit(to);
    *to = *from;
    uidset_init(from);
}

struct vy_err uidset_error(const struct uidset *set)
{
    return set->failed ? vy_error(VY_CODE_NOMEM, "uid set") : vy_ok();
}

static uint32_t range_size(const struct uidset_range *range)
{
    return range->last - range->first + 1;
}

static bool reserve(struct uidset *set, size_t count)
{
    if (count <= set->capacity) {
        return true;
    }
    size_t capacity = set->capacity == 0 ? 4 : set->capacity;
    while (capacity < count) {
        capacity *= 2;
    }
    size_t bytes = 0;
    struct uidset_range *ranges = NULL;
    if (count <= UIDSET_RANGES_MAX && vy_mul_size(capacity, sizeof(*ranges), &bytes)) {
        ranges = realloc(set->ranges, bytes);
    }
    if (ranges == NULL) {
        set->failed = true;
        return false;
    }
    set->ranges = ranges;
    set->capacity = capacity;
    return true;
}

/* Makes `before` right from `index` on. */
static void recount(struct uidset *set, size_t index)
{
    uint32_t before = 0;
    if (index > 0 && index <= set->count) {
        before = set->ranges[index - 1].before + range_size(&set->ranges[index - 1]);
    }
    for (size_t i = index; i < set->count; i++) {
        set->ranges[i].before = before;
        before += range_size(&set->ranges[i]);
    }
}

/* A range that begins at or behind the last one's begin: joined to it or put behind it. */
static void append_range(struct uidset *set, uint32_t first, uint32_t last)
{
    uint32_t before = 0;
    if (set->count > 0) {
        struct uidset_range *const end = &set->ranges[set->count - 1];
        if (first <= end->last || first == end->last + 1) {
            end->last = VY_MAX(end->last, last);
            return;
        }
        before = end->before + range_size(end);
    }
    if (reserve(set, set->count + 1)) {
        set->ranges[set->count++] = (struct uidset_range){first, last, before};
    }
}

size_t uidset_lower_bound(const struct uidset *set, uint32_t number)
{
    size_t low = 0;
    size_t high = set->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (set->ranges[middle].last < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Puts `range` in place of the ranges [from, to). */
static void replace_ranges(struct uidset *set, size_t from, size_t to, struct uidset_range range)
{
    const size_t tail = set->count - to;
    if (from == to && !reserve(set, set->count + 1)) {
        return;
    }
    memmove(&set->ranges[from + 1], &set->ranges[to], tail * sizeof(set->ranges[0]));
    set->ranges[from] = range;
    set->count = from + 1 + tail;
    recount(set, from);
}

void uidset_add_range(struct uidset *set, uint32_t first, uint32_t last)
{
    VY_ASSERT(first <= last);
    if (last == 0) {
        return;
    }
    first = VY_MAX(first, 1U);
    if (set->count == 0 || first >= set->ranges[set->count - 1].first) {
        append_range(set, first, last);
        return;
    }
    /* Ranges that overlap or touch: from the one that ends at first - 1 or later. */
    const size_t from = uidset_lower_bound(set, first - 1);
    size_t to = from;
    struct uidset_range merged = {first, last, 0};
    while (to < set->count && (uint64_t)set->ranges[to].first <= (uint64_t)last + 1) {
        merged.first = VY_MIN(merged.first, set->ranges[to].first);
        merged.last = VY_MAX(merged.last, set->ranges[to].last);
        to++;
    }
    replace_ranges(set, from, to, merged);
}

void uidset_add(struct uidset *set, uint32_t number)
{
    uidset_add_range(set, number, number);
}

void uidset_remove_range(struct uidset *set, uint32_t first, uint32_t last)
{
    VY_ASSERT(first <= last);
    const size_t from = uidset_lower_bound(set, first);
    if (from == set->count || set->ranges[from].first > last) {
        return;
    }
    struct uidset_range *const range = &set->ranges[from];
    if (range->first < first && range->last > last) { /* splits one range */
        const struct uidset_range left = {range->first, first - 1, 0};
        range->first = last + 1;
        replace_ranges(set, from, from, left);
        return;
    }
    size_t to = from;
    if (range->first < first) {
        range->last = first - 1;
        to++;
    }
    const size_t gone = to;
    while (to < set->count && set->ranges[to].last <= last) {
        to++;
    }
    if (to < set->count && set->ranges[to].first <= last) {
        set->ranges[to].first = last + 1;
    }
    memmove(&set->ranges[gone], &set->ranges[to], (set->count - to) * sizeof(set->ranges[0]));
    set->count -= to - gone;
    recount(set, from);
}

void uidset_remove(struct uidset *set, uint32_t number)
{
    uidset_remove_range(set, number, number);
}

bool uidset_is_empty(const struct uidset *set)
{
    return set->count == 0;
}

uint32_t uidset_count(const struct uidset *set)
{
    if (set->count == 0) {
        return 0;
    }
    const struct uidset_range *const end = &set->ranges[set->count - 1];
    return end->before + range_size(end);
}

uint32_t uidset_first(const struct uidset *set)
{
    return set->count == 0 ? 0 : set->ranges[0].first;
}

uint32_t uidset_last(const struct uidset *set)
{
    return set->count == 0 ? 0 : set->ranges[set->count - 1].last;
}

bool uidset_contains(const struct uidset *set, uint32_t number)
{
    const size_t index = uidset_lower_bound(set, number);
    return index < set->count && set->ranges[index].first <= number;
}

bool uidset_equal(const struct uidset *a, const struct uidset *b)
{
    for (size_t i = 0; i < a->count && i < b->count; i++) {
        if (a->ranges[i].first != b->ranges[i].first || a->ranges[i].last != b->ranges[i].last) {
            return false;
        }
    }
    return a->count == b->count;
}

uint32_t uidset_count_upto(const struct uidset *set, uint32_t number)
{
    const size_t index = uidset_lower_bound(set, number);
    if (index == set->count) {
        return uidset_count(set);
    }
    const struct uidset_range *const range = &set->ranges[index];
    return range->before + (range->first <= number ? number - range->first + 1 : 0);
}

uint32_t uidset_rank(const struct uidset *set, uint32_t number)
{
    return uidset_contains(set, number) ? uidset_count_upto(set, number) : 0;
}

/* Index of the range with place 1..count in it. */
static size_t find_place(const struct uidset *set, uint32_t place)
{
    size_t low = 0;
    size_t high = set->count;
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        if (set->ranges[middle].before < place) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

uint32_t uidset_nth(const struct uidset *set, uint32_t place)
{
    if (place == 0 || place > uidset_count(set)) {
        return 0;
    }
    const struct uidset_range *const range = &set->ranges[find_place(set, place)];
    return range->first + (place - range->before - 1);
}

/* Numbers at places first..last, both there. */
static void add_places(const struct uidset *set, uint32_t first, uint32_t last, struct uidset *out)
{
    for (size_t i = find_place(set, first); i < set->count && set->ranges[i].before < last; i++) {
        const struct uidset_range *const range = &set->ranges[i];
        const uint32_t from = VY_MAX(first, range->before + 1);
        const uint32_t to = VY_MIN(last, range->before + range_size(range));
        append_range(out, range->first + (from - range->before - 1),
                     range->first + (to - range->before - 1));
    }
}

void uidset_select(const struct uidset *set, const struct uidset *places, struct uidset *out)
{
    const uint32_t count = uidset_count(set);
    uidset_clear(out);
    for (size_t i = 0; i < places->count && places->ranges[i].first <= count; i++) {
        add_places(set, places->ranges[i].first, VY_MIN(places->ranges[i].last, count), out);
    }
}

void uidset_ranks(const struct uidset *set, const struct uidset *numbers, struct uidset *out)
{
    size_t at = 0;

    uidset_clear(out);
    for (size_t i = 0; i < set->count; i++) {
        const struct uidset_range *const range = &set->ranges[i];
        while (at < numbers->count && numbers->ranges[at].last < range->first) {
            at++;
        }
        for (size_t k = at; k < numbers->count && numbers->ranges[k].first <= range->last; k++) {
            const uint32_t first = VY_MAX(numbers->ranges[k].first, range->first);
            const uint32_t last = VY_MIN(numbers->ranges[k].last, range->last);
            append_range(out, range->before + (first - range->first) + 1,
                         range->before + (last - range->first) + 1);
        }
    }
}
