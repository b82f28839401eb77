/* SPDX-License-Identifier: Apache-2.0 */
/* Set algebra, iteration, text and compact form of UID sets. Results are built in ascending order,
 * so that each range is appended in O(1). */
#include "base/assert.h"
#include "mail/uidset.h"

void uidset_union(const struct uidset *a, const struct uidset *b, struct uidset *out)
{
    size_t i = 0;
    size_t j = 0;

    uidset_clear(out);
    while (i < a->count || j < b->count) {
        const bool take_a =
            j == b->count || (i < a->count && a->ranges[i].first <= b->ranges[j].first);
        const struct uidset_range *const range = take_a ? &a->ranges[i++] : &b->ranges[j++];
        uidset_add_range(out, range->first, range->last);
    }
    out->failed = out->failed || a->failed || b->failed;
}

void uidset_intersect(const struct uidset *a, const struct uidset *b, struct uidset *out)
{
    size_t i = 0;
    size_t j = 0;

    uidset_clear(out);
    while (i < a->count && j < b->count) {
        const uint32_t first = VY_MAX(a->ranges[i].first, b->ranges[j].first);
        const uint32_t last = VY_MIN(a->ranges[i].last, b->ranges[j].last);
        if (first <= last) {
            uidset_add_range(out, first, last);
        }
        if (a->ranges[i].last < b->ranges[j].last) {
            i++;
        } else {
            j++;
        }
    }
    out->failed = out->failed || a->failed || b->failed;
}

void uidset_subtract(const struct uidset *a, const struct uidset *b, struct uidset *out)
{
    size_t j = 0;

    uidset_clear(out);
    for (size_t i = 0; i < a->count; i++) {
        uint64_t first = a->ranges[i].first; /* one past UINT32_MAX is needed */
        const uint32_t last = a->ranges[i].last;
        while (j < b->count && b->ranges[j].last < first) {
            j++;
        }
        while (j < b->count && b->ranges[j].first <= last) {
            if (b->ranges[j].first > first) {
                uidset_add_range(out, (uint32_t)first, b->ranges[j].first - 1);
            }
            first = (uint64_t)b->ranges[j].last + 1;
            if (first > last) {
                break; /* this range of b may reach into a's next one */
            }
            j++;
        }
        if (first <= last) {
            uidset_add_range(out, (uint32_t)first, last);
        }
    }
    out->failed = out->failed || a->failed || b->failed;
}

struct uidset_iter uidset_iter(const struct uidset *set)
{
    return (struct uidset_iter){.set = set, .next = uidset_first(set)};
}

bool uidset_next(struct uidset_iter *iter, uint32_t *out)
{
    const struct uidset *const set = iter->set;
    if (iter->index == set->count) {
        return false;
    }
    *out = (uint32_t)iter->next;
    iter->next++;
    if (iter->next > set->ranges[iter->index].last) {
        iter->index++;
        iter->next = iter->index < set->count ? set->ranges[iter->index].first : 0;
    }
    return true;
}

void uidset_append_text(struct vy_buf *out, const struct uidset *set)
{
    for (size_t i = 0; i < set->count; i++) {
        if (i > 0) {
            vy_buf_append_byte(out, ',');
        }
        vy_buf_append_u64(out, set->ranges[i].first);
        if (set->ranges[i].last > set->ranges[i].first) {
            vy_buf_append_byte(out, ':');
            vy_buf_append_u64(out, set->ranges[i].last);
        }
    }
}

static size_t put_varint(uint8_t *to, uint32_t value)
{
    size_t len = 0;
    while (value >= 0x80) {
        to[len++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    to[len++] = (uint8_t)value;
    return len;
}

void uidset_write_range(struct uidset_writer *writer, struct vy_buf *out, uint32_t first,
                        uint32_t last)
{
    VY_ASSERT(first > writer->last && first <= last);
    uint8_t text[UIDSET_RANGE_BYTES_MAX];
    size_t len = put_varint(text, first - writer->last);
    len += put_varint(text + len, last - first);
    vy_buf_append(out, vy_bytes(text, len));
    writer->last = last;
}

void uidset_encode(struct vy_buf *out, const struct uidset *set)
{
    struct uidset_writer writer = {.last = 0};
    for (size_t i = 0; i < set->count; i++) {
        uidset_write_range(&writer, out, set->ranges[i].first, set->ranges[i].last);
    }
}

struct uidset_reader uidset_reader(struct vy_bytes encoded)
{
    return (struct uidset_reader){.rest = encoded};
}

/* Shortest form only, so that a set has one encoding. */
static bool take_varint(struct vy_bytes *rest, uint32_t *out)
{
    uint64_t value = 0;
    for (size_t i = 0; i < 5 && i < rest->len; i++) {
        const uint8_t byte = rest->data[i];
        value |= (uint64_t)(byte & 0x7F) << (7 * i);
        if (byte < 0x80) {
            *rest = vy_bytes_from(*rest, i + 1);
            *out = (uint32_t)value;
            return value <= UINT32_MAX && (byte != 0 || i == 0);
        }
    }
    return false;
}

bool uidset_read_range(struct uidset_reader *reader, uint32_t *first, uint32_t *last)
{
    uint32_t gap = 0;
    uint32_t length = 0;

    if (reader->rest.len == 0 || reader->is_corrupt) {
        return false;
    }
    reader->is_corrupt = !take_varint(&reader->rest, &gap) || !take_varint(&reader->rest, &length);
    const uint64_t begin = (uint64_t)reader->last + gap;
    const uint64_t end = begin + length;
    /* A gap of 1 would touch the range before: not what a writer makes. */
    reader->is_corrupt =
        reader->is_corrupt || gap < (reader->last == 0 ? 1U : 2U) || end > UINT32_MAX;
    if (reader->is_corrupt) {
        return false;
    }
    *first = (uint32_t)begin;
    *last = (uint32_t)end;
    reader->last = *last;
    return true;
}

struct vy_err uidset_decode(struct vy_bytes encoded, struct uidset *out)
{
    struct uidset_reader reader = uidset_reader(encoded);
    uint32_t first = 0;
    uint32_t last = 0;

    uidset_clear(out);
    while (uidset_read_range(&reader, &first, &last)) {
        uidset_add_range(out, first, last);
    }
    if (reader.is_corrupt) {
        uidset_clear(out);
        return vy_error(VY_CODE_CORRUPT, "uid set");
    }
    return uidset_error(out);
}
