/* SPDX-License-Identifier: Apache-2.0 */
/*
 * COPY and MOVE: index rows and references only; email and body are shared by all copies inside the
 * account. A move is a copy and an expunge in one command, so the message is in exactly one place
 * whenever one looks (P2).
 */
#include "base/assert.h"
#include "shard/fsm_private.h"

/* From this many messages on target blocks are filled whole at once. */
#define BULK_MESSAGES_MIN 32U

struct copy_run {
    struct apply *apply;
    struct fsm_account *account;
    struct box *source;
    struct box *target;
    bool is_bulk;
    bool is_move;
    uint32_t end_uid; /* messages from here on were made by this command */
    uint64_t count;
    uint64_t bytes;
    struct expunge expunge;
    struct uid_ranges source_uids;
    struct uid_ranges target_uids;
    bool keywords_mapped;
    uint16_t
        keyword_map[BLOCK_KEYWORDS_MAX]; /* bit there; BLOCK_KEYWORDS_MAX: it has no room for it */
};

/* Target bits of the source's keywords; a keyword that the target has no room for is left behind.
 */
static void map_keywords(struct copy_run *run)
{
    struct keyword_row row;
    struct vy_bytes hash;

    run->keywords_mapped = true;
    /* Loads the row, whatever the hash. */
    uint8_t none[SHARD_HASH_BYTES] = {0};
    hash = vy_bytes(none, sizeof(none));
    (void)box_find_keyword(run->source, run->apply->tx, hash);
    if (vy_failed(vy_pb_decode(&keyword_row_desc, run->apply->arena,
                               vy_buf_bytes(&run->source->keyword_row), &row)) ||
        row.keywords_count != run->source->row.keyword_count) {
        tx_fail(run->apply->tx, vy_error(VY_CODE_CORRUPT, "read keyword row"));
        return;
    }
    for (uint32_t i = 0; i < row.keywords_count; i++) {
        uint32_t bit = box_find_keyword(run->target, run->apply->tx, row.keywords[i].hash);
        if (bit == BLOCK_KEYWORDS_MAX && run->target->row.keyword_count < BLOCK_KEYWORDS_MAX) {
            bit = box_add_keyword(run->target, run->apply->tx, &row.keywords[i]);
        }
        run->keyword_map[i] = (uint16_t)bit;
    }
}

static void translate_keywords(struct copy_run *run, struct block_keywords *keywords)
{
    struct block_keywords there = {.words = {0}};

    if (run->source == run->target) {
        return;
    }
    for (uint32_t w = 0; w < BLOCK_KEYWORD_WORDS; w++) {
        for (uint64_t left = keywords->words[w]; left != 0; left &= left - 1) {
            const uint32_t bit = w * 64 + (uint32_t)__builtin_ctzll(left);
            if (!run->keywords_mapped) {
                map_keywords(run);
            }
            if (run->keyword_map[bit] < BLOCK_KEYWORDS_MAX) {
                there.words[run->keyword_map[bit] / 64] |= UINT64_C(1)
                                                           << (run->keyword_map[bit] % 64);
            }
        }
    }
    *keywords = there;
}

static void count_row(struct copy_run *run, struct box_block *block, uint32_t index)
{
    run->count++;
    run->bytes += block->block.size[index];
}

static void copy_row(struct copy_run *run, struct box_block *block, uint32_t index)
{
    struct block_row row;

    block_get_row(&block->block, index, &row);
    translate_keywords(run, &row.keywords);
    uids_add(&run->source_uids, row.uid);
    uids_add(&run->target_uids,
             message_add_row(run->apply, run->account, run->target, &row, run->is_bulk));
    if (run->is_move) {
        expunge_row(&run->expunge, block, index);
    }
}

static void for_each_row(struct copy_run *run, struct uid_range range,
                         void (*visit)(struct copy_run *run, struct box_block *block,
                                       uint32_t index))
{
    const uint32_t last = VY_MIN(range.last, run->end_uid - 1);
    uint32_t uid = range.first;

    while (uid <= last) {
        struct box_block *block = box_find(run->source, run->apply->tx, uid);
        if (block == NULL) {
            return;
        }
        /* Rows that this command appends to the same block lie behind `last`. */
        uint32_t i = block_lower_bound(&block->block, uid);
        for (; i < block->block.count && block->block.uid[i] <= last; i++) {
            visit(run, block, i);
        }
        if (i < block->block.count) {
            return;
        }
        uid = block_last_uid(&block->block) + 1;
    }
}

static void for_each(struct copy_run *run, const struct uid_ranges *uids,
                     void (*visit)(struct copy_run *run, struct box_block *block, uint32_t index))
{
    for (size_t i = 0; i < uids->count; i++) {
        for_each_row(run, uids->items[i], visit);
    }
}

static void copy_rows(struct copy_run *run, const struct uid_ranges *uids)
{
    struct apply *apply = run->apply;
    const uint64_t added_modseq = apply_take_modseq(apply, run->account);
    uint64_t expunge_modseq = added_modseq;

    /* Within one mailbox the two changes are two records, so they need two numbers. */
    if (run->is_move && run->source == run->target) {
        expunge_modseq = ++run->account->row.modseq;
    }
    run->is_bulk = run->count >= BULK_MESSAGES_MIN || run->source == run->target;
    if (run->is_move && !expunge_begin(&run->expunge, apply, run->source, expunge_modseq)) {
        return;
    }
    uids_init(&run->source_uids, apply->arena);
    uids_init(&run->target_uids, apply->arena);
    for_each(run, uids, copy_row);
    change_note(apply, run->target, added_modseq, CHANGE_ADDED, &run->target_uids);
    if (run->is_move) {
        expunge_end(&run->expunge, run->account);
    }
}

static enum shard_code copy_check(struct copy_run *run, const struct cmd_copy *cmd,
                                  struct uid_ranges *uids)
{
    struct apply *apply = run->apply;
    const enum shard_code code = apply_open_account(apply, apply->command->account_id,
                                                    apply->command->account_epoch, &run->account);

    if (code != SHARD_CODE_DONE) {
        return code;
    }
    run->source = apply_open_box(apply, run->account->account_id, cmd->mailbox_id);
    if (run->source == NULL || run->source->row.no_select) {
        return SHARD_CODE_NOT_FOUND;
    }
    if (cmd->target_hash.len != SHARD_HASH_BYTES) {
        return SHARD_CODE_NO_TARGET;
    }
    run->target = apply_find_box(apply, run->account->account_id, cmd->target_hash);
    if (run->target == NULL || run->target->row.no_select) {
        return SHARD_CODE_NO_TARGET;
    }
    if (vy_failed(uids_decode(apply->arena, cmd->uids, uids))) {
        return SHARD_CODE_PRECONDITION;
    }
    run->end_uid = run->source->row.uidnext;
    for_each(run, uids, count_row);
    /* A move takes no more room than there was. */
    return message_check_room(run->account, run->target, run->count, run->is_move ? 0 : run->bytes);
}

enum shard_code fsm_copy(struct apply *apply)
{
    const struct cmd_copy *cmd = apply->command->copy;
    struct copy_run run = {.apply = apply, .is_move = cmd->move};
    struct shard_result *result = apply->result;
    struct uid_ranges uids;

    enum shard_code code = copy_check(&run, cmd, &uids);
    if (run.is_move && code == SHARD_CODE_QUOTA) {
        code = SHARD_CODE_DONE; /* moving out of a full account must stay possible */
    }
    if (code != SHARD_CODE_DONE) {
        return code;
    }
    result->uidvalidity = run.target->row.uidvalidity;
    result->mailbox_id = run.target->mailbox_id;
    if (run.count == 0) {
        return SHARD_CODE_DONE;
    }
    /* Within one mailbox the session has the copies to hear of as well: it must ask. */
    result->previous_modseq = run.source == run.target ? 0 : run.source->row.highest_modseq;
    copy_rows(&run, &uids);
    result->modseq = run.is_move ? run.expunge.modseq : run.account->modseq;
    if (vy_failed(uids_encode_arena(&run.target_uids, apply->arena, &result->uids)) ||
        vy_failed(uids_encode_arena(&run.source_uids, apply->arena, &result->source_uids))) {
        tx_fail(apply->tx, vy_error(VY_CODE_NOMEM, "encode uids"));
    }
    return SHARD_CODE_DONE;
}

void move_everything(struct apply *apply, struct fsm_account *account, struct box *source,
                     struct box *target)
{
    struct copy_run run = {.apply = apply,
                           .account = account,
                           .source = source,
                           .target = target,
                           .is_move = true,
                           .end_uid = source->row.uidnext,
                           .count = source->row.message_count};
    struct uid_ranges all;

    if (run.count == 0) {
        return;
    }
    uids_init(&all, apply->arena);
    uids_add_range(&all, 1, source->row.uidnext - 1);
    copy_rows(&run, &all);
}
