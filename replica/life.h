/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The lives of members (R11). Every start of a member is a life: a count, and chance, in one
 * number. A member keeps its own lives, and the newest life of each peer that it has heard, both on
 * disk. A peer in a new life is believed once it has named its life that was known before: a disk
 * that was put back from an old copy cannot, however often it is started, also after we have been
 * restarted.
 */
#include "base/bytes.h"
#include "replica/core.h"

#define LIFE_CHANCE_BITS 40U
static inline uint64_t life_count(uint64_t life)
{
    return life >> LIFE_CHANCE_BITS;
}

/* A member's own, the newest last; what is older than LIVES_MAX starts is forgotten. */
#define LIVES_MAX 1024U
struct lives {
    uint64_t items[LIVES_MAX];
    size_t count;
};
/* The next life: appended. */
uint64_t lives_begin(struct lives *lives, uint64_t last, uint64_t chance);
/* The life with that count. False: there is none; *out is then 0 for one that was never lived, and
 * UINT64_MAX for one before those that are remembered. */
bool lives_find(const struct lives *lives, uint64_t count, uint64_t *out);
