/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/changes.h"
#include "base/assert.h"
#include "shard/change.h"
#include <stdlib.h>

/*
 * A UID is added once and expunged once, so the order of records does not matter: the ranges of
 * each kind are gathered, then sorted and merged once.
 */
struct pile {
    struct uid_range *items; /* arena; in any order */
    size_t count;
    size_t capacity;
    uint64_t uid_count; /* repetitions counted as well */
};

static bool pile_up(struct vy_arena *arena, struct pile *pile, const struct uid_ranges *uids)
{
    if (uids->count > pile->capacity - pile->count) {
        const size_t capacity = 2 * (pile->capacity + uids->count);
        struct uid_range *items = VY_ARENA_ARRAY(arena, capacity, struct uid_range);
        if (items == NULL) {
            return false;
        }
        if (pile->count > 0) {
            memcpy(items, pile->items, pile->count * sizeof(*items));
        }
        pile->items = items;
        pile->capacity = capacity;
    }
    if (uids->count > 0) {
        memcpy(pile->items + pile->count, uids->items, uids->count * sizeof(*uids->items));
    }
    pile->count += uids->count;
    pile->uid_count += uids_count(uids);
    return true;
}

static int compare_ranges(const void *a, const void *b)
{
    const struct uid_range *left = a;
    const struct uid_range *right = b;

    return left->first < right->first ? -1 : left->first > right->first;
}

static void merge(struct pile *pile, struct uid_ranges *out)
{
    if (pile->count == 0) {
        return;
    }
    qsort(pile->items, pile->count, sizeof(*pile->items), compare_ranges);
    struct uid_range run = pile->items[0];
    for (size_t i = 1; i < pile->count; i++) {
        if (pile->items[i].first <= run.last) {
            run.last = VY_MAX(run.last, pile->items[i].last);
            continue;
        }
        uids_add_range(out, run.first, run.last);
        run = pile->items[i];
    }
    uids_add_range(out, run.first, run.last);
}

static struct vy_err check_sets(const struct changes *changes)
{
    return changes->vanished.failed || changes->fresh.failed || changes->changed.failed
               ? vy_error(VY_CODE_LIMIT, "fold changes")
               : vy_ok();
}

static struct vy_err fold(struct vy_arena *arena, struct pile piles[CHANGE_EXPUNGED + 1],
                          struct changes *out)
{
    struct uid_ranges added;
    struct uid_ranges flagged;

    uids_init(&added, arena);
    uids_init(&flagged, arena);
    merge(&piles[CHANGE_EXPUNGED], &out->vanished);
    merge(&piles[CHANGE_ADDED], &added);
    merge(&piles[CHANGE_FLAGS], &flagged);
    uids_subtract(&added, &out->vanished, &out->fresh);
    uids_subtract(&flagged, &out->vanished, &out->changed);
    return check_sets(out);
}

static struct vy_err read_records(struct store_iter *iter, struct vy_arena *arena,
                                  struct changes *out)
{
    struct pile piles[CHANGE_EXPUNGED + 1] = {{.items = NULL}};

    for (; iter->is_valid; store_iter_next(iter)) {
        struct change_record record;
        uint64_t mailbox_id = 0;
        uint64_t modseq = 0;
        if (!keys_parse_modseq(iter->key, &mailbox_id, &modseq)) {
            return vy_error(VY_CODE_CORRUPT, "read change record key");
        }
        if (piles[CHANGE_FLAGS].uid_count >= CHANGES_FLAGS_MAX) {
            out->is_cut = true;
            break;
        }
        VY_TRY(change_decode(iter->value, arena, &record));
        if (!pile_up(arena, &piles[record.kind], &record.uids)) {
            return vy_error(VY_CODE_LIMIT, "read changes");
        }
        out->up_to_modseq = modseq;
    }
    VY_TRY(store_iter_error(iter));
    return fold(arena, piles, out);
}

/* No records reach back so far: everything that is there may be new, everything that is not there
 * is gone. */
static struct vy_err from_blocks(const struct store_reader *reader, struct vy_arena *arena,
                                 uint64_t account_id, uint64_t mailbox_id,
                                 const struct mailbox_row *row, uint64_t after_modseq,
                                 struct changes *out)
{
    struct read_blocks blocks = {.iter = NULL};
    struct uid_ranges all;
    struct block *block = NULL;

    struct vy_err err = read_blocks_open(reader, arena, account_id, mailbox_id, 1, &blocks);
    while (!vy_failed(err)) {
        err = read_blocks_next(&blocks, &block);
        if (block == NULL) {
            break;
        }
        for (uint32_t i = 0; i < block->count; i++) {
            uids_add(&out->fresh, block->uid[i]);
            if (block->modseq[i] > after_modseq) {
                uids_add(&out->changed, block->uid[i]);
            }
        }
    }
    read_blocks_close(&blocks);
    VY_TRY(err);
    uids_init(&all, arena);
    if (row->uidnext > 1) {
        uids_add_range(&all, 1, row->uidnext - 1);
    }
    uids_subtract(&all, &out->fresh, &out->vanished);
    out->up_to_modseq = row->highest_modseq;
    return check_sets(out);
}

struct vy_err changes_read(const struct store_reader *reader, struct vy_arena *arena,
                           uint64_t account_id, uint64_t mailbox_id, const struct mailbox_row *row,
                           uint64_t after_modseq, struct changes *out)
{
    const struct shard_key end = keys_box_end(account_id, mailbox_id);
    struct store_iter *iter = NULL;

    *out = (struct changes){.up_to_modseq = row->highest_modseq};
    uids_init(&out->vanished, arena);
    uids_init(&out->fresh, arena);
    uids_init(&out->changed, arena);
    if (after_modseq >= row->highest_modseq) {
        return vy_ok();
    }
    if (after_modseq < row->change_floor_modseq) {
        return from_blocks(reader, arena, account_id, mailbox_id, row, after_modseq, out);
    }
    const struct shard_key first = keys_change(account_id, mailbox_id, after_modseq + 1);
    const struct store_range range = {.from = shard_key_bytes(&first), .to = shard_key_bytes(&end)};
    out->up_to_modseq = after_modseq;
    VY_TRY(store_iter_new(reader, shard_store_family(SHARD_CHG), &range, &iter));
    const struct vy_err err = read_records(iter, arena, out);
    store_iter_free(iter);
    if (!vy_failed(err) && !out->is_cut) {
        out->up_to_modseq = row->highest_modseq;
    }
    return err;
}
