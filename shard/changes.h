/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What changed in a mailbox behind a modseq, from its change records; where those are gone, from
 * the index blocks.
 *
 * @thread  a worker
 */
#include "shard/read.h"
#include "shard/uids.h"

/* A reply names at most about so many changed messages: who gets fewer than there are asks again
 * from up_to_modseq. One record is never cut. */
#define CHANGES_FLAGS_MAX 65536U

struct changes {
    struct uid_ranges vanished; /* of the messages that were there then, and maybe others */
    struct uid_ranges fresh;    /* added behind the modseq and still there */
    struct uid_ranges changed;  /* still there, flags changed since then */
    uint64_t up_to_modseq;      /* what the sets tell */
    bool is_cut;
};
/* @errors CORRUPT, LIMIT, and what the store says */
VY_CHECKED struct vy_err changes_read(const struct store_reader *reader, struct vy_arena *arena,
                                      uint64_t account_id, uint64_t mailbox_id,
                                      const struct mailbox_row *row, uint64_t after_modseq,
                                      struct changes *out);
