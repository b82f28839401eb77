/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Reading all data back, and comparing the members with each other (P4, P10). The leader marks a
 * segment in the log: "what the tables hold here, from this row on". Every member takes a snapshot
 * right behind the mark, so all look at the same moment, reads the segment at a set rate and sums
 * it up; the leader asks for the sums and marks the next segment. Checksums of the store see every
 * byte on the way, damage that they cannot see makes a sum that differs. A snapshot lives as long
 * as one segment takes. Where the round stands is kept with the tables: the next leader goes on
 * there.
 *
 * Mark, the body of a barrier: u8 version, u8 family (SCRUB_END: a round ended), u64 wall clock of
 * the leader in ms, first key.
 *
 * @thread  the loop's; rows are read on a thread of its own
 */
#include "replica/core.h"

#define SCRUB_VERSION 1U
#define SCRUB_END 0xFFU
#define SCRUB_MARK_BYTES_MIN 10U
#define SCRUB_SEGMENT_BYTES (64U * 1024 * 1024)
#define SCRUB_RATE_BYTES (8ULL * 1024 * 1024) /* a second, unless configured */

struct scrub_mark {
    unsigned family;
    uint64_t time_ms;
    struct vy_bytes key; /* empty: the family's first row */
};
void scrub_encode(const struct scrub_mark *mark, struct vy_buf *out);
/* key borrows from the body. False: not a mark that this version knows. */
bool scrub_decode(struct vy_bytes body, struct scrub_mark *out);

struct writer_mark;
struct scrub;
/* @errors NOMEM, CORRUPT, what the store says */
VY_CHECKED struct vy_err scrub_new(struct replica *replica, struct scrub **out);
/* Nothing is being read: scrub_stop is done, or it never started. NULL is allowed. */
void scrub_free(struct scrub *scrub);
/* The replica leads, or no longer; a mark was applied (its members are taken over). */
void scrub_lead_changed(struct scrub *scrub);
void scrub_on_mark(struct scrub *scrub, const struct writer_mark *mark);
void scrub_on_message(struct scrub *scrub, uint64_t from, const struct core_message *message);
/* Ends the reading; done runs once no thread of it touches the store any more, at once if none
 * does.
 */
void scrub_stop(struct scrub *scrub, vy_loop_fn done, void *arg);
