/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * How long the log on disk is, in a bounded table: runs of entries with their bytes, the older ones
 * coarser the longer the log gets. Says where the log may be cut so that a tail of the wanted
 * length stays. An estimate of lengths only: what is safe to cut is the caller's to know.
 */
#include <stddef.h>
#include <stdint.h>

#define LOG_SPANS_MAX 64U
#define LOG_SPANS_PER_TAIL 16U /* the tail that stays is this many spans: the grain of cutting */

struct log_span {
    uint64_t last; /* index; the span begins behind the one before */
    uint64_t bytes;
};
struct log_spans {
    struct log_span spans[LOG_SPANS_MAX];
    size_t count;
    uint64_t base; /* the log begins behind it */
    uint64_t bytes;
    uint64_t keep_entries;
    uint64_t keep_bytes;
    uint64_t max_entries; /* spans are merged so that a log of this length is known well enough */
    uint64_t max_bytes;
};

/* keep: a tail of at most so many entries and bytes stays; max: of the whole log, when it must be
 * cut. None is zero. */
void log_spans_init(struct log_spans *spans, uint64_t keep_entries, uint64_t keep_bytes,
                    uint64_t max_entries, uint64_t max_bytes);
void log_spans_begin(struct log_spans *spans, uint64_t base); /* an empty log */
/* Forgets what is there from `index` on, then adds an entry with this index. */
void log_spans_append(struct log_spans *spans, uint64_t index, uint64_t bytes);
/* The lowest index up to which the log would have to go so that what stays is at most `times` the
 * max; the base: it is short enough. The newest span always stays. */
uint64_t log_spans_over(const struct log_spans *spans, uint64_t times);
/* The highest index, not above `safe`, up to which the log may go; the base: nothing may. */
uint64_t log_spans_limit(const struct log_spans *spans, uint64_t safe);
/* The log begins behind `base` now, in the table. A span that is cut in two keeps its bytes. */
void log_spans_cut(struct log_spans *spans, uint64_t base);
