/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * SEARCH: a program of keys over every message of a mailbox, in truth values of three kinds. What
 * the index does not decide is asked of the summary, then of the header, and only then of the text
 * of the message; a message whose outcome is known stops there. search.c: the call and the program;
 * search_keys.c: keys of the index and the summary; search_message.c: header and text.
 *
 * @thread  a worker during a slice, else the loop
 */
#include "mail/search_text.h"
#include "mail/summary.h"
#include "mail/uidset.h"
#include "shard/block.h"
#include "shard/body.h"
#include "shard/call.h"
#include "shard/read.h"
#include "shard/uids.h"

#define SEARCH_STEPS_MAX 1024U                /* I17 */
#define SEARCH_TEXT_KEY_BYTES_MAX 65536U      /* of all keys together, before folding */
#define SEARCH_SLICE_NS (20U * 1000U * 1000U) /* of work between two looks at the loop */
#define SEARCH_SCRATCH_BYTES_MAX (8U * 1024U * 1024U)

enum search_truth { SEARCH_FALSE, SEARCH_TRUE, SEARCH_UNKNOWN };
/* What must be read to know a key's value; dearer ones last. */
enum search_level { SEARCH_INDEX, SEARCH_SUMMARY, SEARCH_HEADER, SEARCH_TEXT, SEARCH_LEVEL_COUNT };

struct search_key {
    enum search_op op;
    enum search_level level;
    uint64_t number;
    struct vy_bytes field; /* HEADER */
    size_t summary_field;  /* HEADER: offset in struct summary; 0: none */
    struct vy_bytes text;  /* folded */
    struct uid_ranges uids;
    size_t range; /* of uids, while UIDs ascend */
    uint32_t keyword_bit;
};

struct search {
    struct call *call;
    const struct message_search_request *request;
    struct search_key *keys; /* arena; one for each step */
    enum search_truth *values;
    enum search_truth *stack;
    enum search_level top_level;          /* of the dearest key */
    const struct vy_bytes *keyword_names; /* arena; by bit */
    size_t keyword_count;
    struct uid_ranges within;
    size_t within_range;
    bool is_open;
    bool is_finished;
    uint64_t now_ms;
    uint64_t spent_ns;
    struct read_blocks blocks;
    struct block *block;
    uint32_t index;      /* of the next message */
    struct vy_buf found; /* uid set; as many ranges as the mailbox makes */
    struct uidset_writer found_writer;
    struct uid_range found_run; /* not written yet; first 0: none */
    uint64_t highest_modseq;
    uint64_t damaged_count;
    struct vy_arena scratch; /* of one message */
    struct body body;
    struct vy_buf text;
    struct vy_buf folded;
};

/* ---- search_keys.c ---- */
/* Folds texts, decodes sets, finds keywords. @errors ARGUMENT not a program; LIMIT; SYNTAX */
VY_CHECKED struct vy_err search_keys_prepare(struct search *search);
enum search_truth search_key_in_index(struct search *search, struct search_key *key,
                                      uint32_t index);
enum search_truth search_key_in_summary(const struct search_key *key, const struct summary *summary,
                                        struct vy_buf *folded);

/* ---- search_message.c: fill values of keys that are still unknown ---- */
VY_CHECKED struct vy_err search_in_header(struct search *search, const struct summary *summary);
VY_CHECKED struct vy_err search_in_text(struct search *search, const struct summary *summary);
