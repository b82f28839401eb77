/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What SELECT tells of whole mailboxes, remembered: which UIDs there are and the first one unseen,
 * each as of one modseq. A mailbox that did not change since is opened without reading its index,
 * however large it is; of one that did, its changes are read. What a mailbox holds at a modseq is
 * fixed by the log, so an outline is never wrong, only old.
 *
 * @thread  any
 */
#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"

#define OUTLINES_BYTES_MAX (16U * 1024U * 1024U) /* of all; those opened longest ago go first */
#define OUTLINE_UIDS_BYTES_MAX (1024U * 1024U)   /* of one; a mailbox with more holes is read */

struct outlines;

struct outline {
    uint64_t modseq;           /* the mailbox's highest */
    uint32_t first_unseen_uid; /* 0: none */
    struct vy_bytes uids;      /* compact form */
};

VY_CHECKED struct vy_err outlines_new(uint64_t hash_seed, struct outlines **out);
void outlines_free(struct outlines *outlines); /* NULL is allowed */
/* False: none is known, or the arena is full. uids lives in the arena. */
bool outlines_find(struct outlines *outlines, uint64_t account_id, uint64_t mailbox_id,
                   struct vy_arena *arena, struct outline *out);
/* Keeps a copy unless a newer one is known. Without memory it is not kept. */
void outlines_keep(struct outlines *outlines, uint64_t account_id, uint64_t mailbox_id,
                   const struct outline *outline);
void outlines_drop_account(struct outlines *outlines, uint64_t account_id);
void outlines_clear(struct outlines *outlines);
