/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/log_spans.h"

#include "base/assert.h"
#include <stdbool.h>
#include <string.h>

/* Of the max, in two spans that are merged. Among the older spans there are 22 pairs; at most ten
 * of them can be longer than that in entries and ten in bytes, so some pair can always be merged.
 */
#define MERGE_SHARE 10U
#define MERGE_NOT_NEWEST 20U /* the tail that stays, and a little more: it is known best */

void log_spans_init(struct log_spans *spans, uint64_t keep_entries, uint64_t keep_bytes,
                    uint64_t max_entries, uint64_t max_bytes)
{
    VY_ASSERT(keep_entries > 0 && keep_bytes > 0 && max_entries > 0 && max_bytes > 0);
    *spans = (struct log_spans){.keep_entries = keep_entries,
                                .keep_bytes = keep_bytes,
                                .max_entries = max_entries,
                                .max_bytes = max_bytes};
}

void log_spans_begin(struct log_spans *spans, uint64_t base)
{
    spans->base = base;
    spans->count = 0;
    spans->bytes = 0;
}

static uint64_t begin_of(const struct log_spans *spans, size_t at)
{
    return at == 0 ? spans->base : spans->spans[at - 1].last;
}

/* A span that is cut in two keeps its bytes: nobody knows how they were spread. */
static void cut_from(struct log_spans *spans, uint64_t index)
{
    while (spans->count > 0 && begin_of(spans, spans->count - 1) + 1 >= index) {
        spans->bytes -= spans->spans[--spans->count].bytes;
    }
    if (spans->count > 0 && spans->spans[spans->count - 1].last >= index) {
        spans->spans[spans->count - 1].last = index - 1;
    }
}

static bool is_full(const struct log_spans *spans)
{
    const struct log_span *last = &spans->spans[spans->count - 1];
    const uint64_t entries = last->last - begin_of(spans, spans->count - 1);
    return entries * LOG_SPANS_PER_TAIL >= spans->keep_entries ||
           last->bytes * LOG_SPANS_PER_TAIL >= spans->keep_bytes;
}

static void merge_pair(struct log_spans *spans, size_t at)
{
    spans->spans[at].bytes += spans->spans[at + 1].bytes;
    spans->spans[at].last = spans->spans[at + 1].last;
    spans->count--;
    memmove(spans->spans + at + 1, spans->spans + at + 2,
            (spans->count - at - 1) * sizeof(spans->spans[0]));
}

/* Short neighbours, but for the newest. In a log beyond its max there may be none: then the oldest
 * two. */
static void merge_old(struct log_spans *spans)
{
    const size_t before = spans->count;
    for (size_t i = 0; i + 1 + MERGE_NOT_NEWEST < spans->count; i++) {
        const uint64_t entries = spans->spans[i + 1].last - begin_of(spans, i);
        const uint64_t bytes = spans->spans[i].bytes + spans->spans[i + 1].bytes;
        if (entries * MERGE_SHARE <= spans->max_entries &&
            bytes * MERGE_SHARE <= spans->max_bytes) {
            merge_pair(spans, i);
        }
    }
    if (spans->count == before) {
        merge_pair(spans, 0);
    }
}

void log_spans_append(struct log_spans *spans, uint64_t index, uint64_t bytes)
{
    cut_from(spans, index);
    VY_ASSERT(index == begin_of(spans, spans->count) + 1);
    if (spans->count == 0 || is_full(spans)) {
        if (spans->count == LOG_SPANS_MAX) {
            merge_old(spans);
        }
        spans->spans[spans->count++] = (struct log_span){.bytes = 0};
    }
    struct log_span *last = &spans->spans[spans->count - 1];
    last->last = index;
    last->bytes += bytes;
    spans->bytes += bytes;
}

uint64_t log_spans_over(const struct log_spans *spans, uint64_t times)
{
    uint64_t bytes = spans->bytes;
    const uint64_t end = begin_of(spans, spans->count);
    size_t at = 0;
    while (at + 1 < spans->count && (end - begin_of(spans, at) > times * spans->max_entries ||
                                     bytes > times * spans->max_bytes)) {
        bytes -= spans->spans[at].bytes;
        at++;
    }
    return begin_of(spans, at);
}

uint64_t log_spans_limit(const struct log_spans *spans, uint64_t safe)
{
    uint64_t bytes = 0;
    const uint64_t end = begin_of(spans, spans->count);
    size_t at = spans->count;
    while (at > 0) {
        bytes += spans->spans[at - 1].bytes;
        if (end - begin_of(spans, at - 1) > spans->keep_entries || bytes > spans->keep_bytes) {
            break;
        }
        at--;
    }
    at = at == spans->count && at > 0 ? at - 1 : at; /* the newest span stays */
    while (at > 0 && spans->spans[at - 1].last > safe) {
        at--;
    }
    return begin_of(spans, at);
}

void log_spans_cut(struct log_spans *spans, uint64_t base)
{
    size_t gone = 0;
    while (gone < spans->count && spans->spans[gone].last <= base) {
        spans->bytes -= spans->spans[gone].bytes;
        gone++;
    }
    VY_ASSERT(base > spans->base);
    spans->count -= gone;
    memmove(spans->spans, spans->spans + gone, spans->count * sizeof(spans->spans[0]));
    spans->base = base;
}
