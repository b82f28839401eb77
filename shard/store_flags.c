/* SPDX-License-Identifier: Apache-2.0 */
/* STORE: flags and keywords of a set of messages, in one command with one modseq. */
#include "base/assert.h"
#include "mail/flags.h"
#include "proto/shard.pb.h"
#include "shard/fsm_private.h"

/* ---- keywords ---- */

enum shard_code keywords_check(struct apply *apply, struct box *box,
                               const struct sealed_name *keywords, size_t count)
{
    uint64_t missing = 0;

    if (count > SHARD_STORE_KEYWORDS_MAX) {
        return SHARD_CODE_LIMIT;
    }
    for (size_t i = 0; i < count; i++) {
        if (keywords[i].hash.len != SHARD_HASH_BYTES) {
            return SHARD_CODE_PRECONDITION;
        }
        if (box_find_keyword(box, apply->tx, keywords[i].hash) == BLOCK_KEYWORDS_MAX) {
            missing++;
        }
    }
    return box->row.keyword_count + missing > BLOCK_KEYWORDS_MAX ? SHARD_CODE_LIMIT
                                                                 : SHARD_CODE_DONE;
}

struct block_keywords keywords_to_bits(struct apply *apply, struct box *box,
                                       const struct sealed_name *keywords, size_t count,
                                       bool add_missing)
{
    struct block_keywords bits = {.words = {0}};

    for (size_t i = 0; i < count; i++) {
        if (keywords[i].hash.len != SHARD_HASH_BYTES) {
            continue;
        }
        uint32_t bit = box_find_keyword(box, apply->tx, keywords[i].hash);
        if (bit == BLOCK_KEYWORDS_MAX && add_missing &&
            box->row.keyword_count < BLOCK_KEYWORDS_MAX) {
            bit = box_add_keyword(box, apply->tx, &keywords[i]);
            apply_touch_box(apply, box);
        }
        if (bit < BLOCK_KEYWORDS_MAX) {
            bits.words[bit / 64] |= UINT64_C(1) << (bit % 64);
        }
    }
    return bits;
}

/* ---- flags of one message ---- */

struct store_run {
    struct apply *apply;
    struct fsm_account *account;
    struct box *box;
    const struct cmd_store *cmd;
    struct block_keywords keywords;
    bool has_keywords;
    uint64_t modseq; /* 0 until something changes */
    struct uid_ranges changed;
    struct uid_ranges refused;
    struct uid_ranges missing;
};

static uint32_t new_flags(const struct cmd_store *cmd, uint32_t old)
{
    const uint32_t flags = cmd->flags & MAIL_FLAGS_STORABLE;

    switch ((enum store_mode)cmd->mode) {
    case STORE_MODE_ADD:
        return old | flags;
    case STORE_MODE_REMOVE:
        return old & ~flags;
    case STORE_MODE_REPLACE:
        return (old & ~(uint32_t)MAIL_FLAGS_STORABLE) | flags;
    case STORE_MODE_NONE:
        break;
    }
    return old;
}

static uint64_t new_keyword_word(const struct cmd_store *cmd, uint64_t old, uint64_t named)
{
    switch ((enum store_mode)cmd->mode) {
    case STORE_MODE_ADD:
        return old | named;
    case STORE_MODE_REMOVE:
        return old & ~named;
    case STORE_MODE_REPLACE:
        return named;
    case STORE_MODE_NONE:
        break;
    }
    return old;
}

/* True when a bit changed. */
static bool store_keywords(const struct store_run *run, struct block *block, uint32_t index)
{
    uint64_t difference = 0;

    if (!run->has_keywords && (!block->has_keywords || run->cmd->mode != STORE_MODE_REPLACE)) {
        return false;
    }
    if (!block->has_keywords && run->cmd->mode == STORE_MODE_REMOVE) {
        return false; /* and the block stays without a column for them */
    }
    block_use_keywords(block);
    for (uint32_t w = 0; w < BLOCK_KEYWORD_WORDS; w++) {
        uint64_t *word = &block->keywords[index].words[w];
        const uint64_t next = new_keyword_word(run->cmd, *word, run->keywords.words[w]);
        difference |= *word ^ next;
        *word = next;
    }
    return difference != 0;
}

static void recount(struct mailbox_row *row, uint32_t old, uint32_t now)
{
    const uint32_t turned = old ^ now;

    if ((turned & MAIL_FLAG_SEEN) != 0) {
        row->unseen_count += (now & MAIL_FLAG_SEEN) != 0 ? UINT32_MAX : 1;
    }
    if ((turned & MAIL_FLAG_DELETED) != 0) {
        row->deleted_count += (now & MAIL_FLAG_DELETED) != 0 ? 1 : UINT32_MAX;
    }
}

static void store_row(struct store_run *run, struct box_block *cached, uint32_t index)
{
    struct block *block = &cached->block;
    const uint32_t old = block->flags[index];

    if (run->cmd->has_unchanged_since && block->modseq[index] > run->cmd->unchanged_since) {
        uids_add(&run->refused, block->uid[index]);
        return;
    }
    const uint32_t now = new_flags(run->cmd, old);
    const bool keywords_changed = store_keywords(run, block, index);
    if (now == old && !keywords_changed) {
        return;
    }
    if (run->modseq == 0) {
        run->modseq = apply_take_modseq(run->apply, run->account);
    }
    block->flags[index] = now;
    block->modseq[index] = run->modseq;
    recount(&run->box->row, old, now);
    box_touch_block(run->box, cached);
    uids_add(&run->changed, block->uid[index]);
}

/* ---- the command ---- */

static void note_missing(struct store_run *run, uint32_t first, uint32_t end)
{
    /* "1:*" of a client names UIDs that were never given: those are not missed. */
    const uint32_t limit = VY_MIN(end, run->box->row.uidnext);

    if (first < limit) {
        uids_add_range(&run->missing, first, limit - 1);
    }
}

static void store_range(struct store_run *run, struct uid_range range)
{
    uint32_t uid = range.first;

    for (;;) {
        struct box_block *block = box_find(run->box, run->apply->tx, uid);
        if (block == NULL) {
            break;
        }
        uint32_t i = block_lower_bound(&block->block, uid);
        for (; i < block->block.count && block->block.uid[i] <= range.last; i++) {
            note_missing(run, uid, block->block.uid[i]);
            store_row(run, block, i);
            if (block->block.uid[i] == range.last) {
                return;
            }
            uid = block->block.uid[i] + 1;
        }
        if (i < block->block.count) {
            break; /* the next message lies behind the range */
        }
    }
    note_missing(run, uid, range.last == UINT32_MAX ? UINT32_MAX : range.last + 1);
}

static void store_finish(struct store_run *run)
{
    struct shard_result *result = run->apply->result;
    struct vy_arena *arena = run->apply->arena;

    if (run->modseq != 0) {
        change_note(run->apply, run->box, run->modseq, CHANGE_FLAGS, &run->changed);
    }
    result->modseq = run->modseq;
    result->mailbox_id = run->box->mailbox_id;
    if (vy_failed(uids_encode_arena(&run->refused, arena, &result->source_uids)) ||
        vy_failed(uids_encode_arena(&run->missing, arena, &result->missing))) {
        tx_fail(run->apply->tx, vy_error(VY_CODE_NOMEM, "encode uids"));
    }
}

static enum shard_code check_store(struct store_run *run, struct uid_ranges *uids)
{
    struct apply *apply = run->apply;
    const struct cmd_store *cmd = run->cmd;
    const enum shard_code code = apply_open_account(apply, apply->command->account_id,
                                                    apply->command->account_epoch, &run->account);

    if (code != SHARD_CODE_DONE) {
        return code;
    }
    run->box = apply_open_box(apply, run->account->account_id, cmd->mailbox_id);
    if (run->box == NULL || run->box->row.no_select) {
        return SHARD_CODE_NOT_FOUND;
    }
    if (cmd->mode < STORE_MODE_ADD || cmd->mode > STORE_MODE_REPLACE ||
        vy_failed(uids_decode(apply->arena, cmd->uids, uids))) {
        return SHARD_CODE_PRECONDITION;
    }
    return cmd->mode == STORE_MODE_REMOVE
               ? SHARD_CODE_DONE
               : keywords_check(apply, run->box, cmd->keywords, cmd->keywords_count);
}

enum shard_code fsm_store(struct apply *apply)
{
    const struct cmd_store *cmd = apply->command->store;
    struct store_run run = {.apply = apply, .cmd = cmd};
    struct uid_ranges uids;

    const enum shard_code code = check_store(&run, &uids);
    if (code != SHARD_CODE_DONE) {
        return code;
    }
    apply->result->previous_modseq = run.box->row.highest_modseq;
    run.keywords = keywords_to_bits(apply, run.box, cmd->keywords, cmd->keywords_count,
                                    cmd->mode != STORE_MODE_REMOVE);
    for (uint32_t w = 0; w < BLOCK_KEYWORD_WORDS; w++) {
        run.has_keywords = run.has_keywords || run.keywords.words[w] != 0;
    }
    uids_init(&run.changed, apply->arena);
    uids_init(&run.refused, apply->arena);
    uids_init(&run.missing, apply->arena);
    for (size_t i = 0; i < uids.count; i++) {
        store_range(&run, uids.items[i]);
    }
    store_finish(&run);
    return SHARD_CODE_DONE;
}
