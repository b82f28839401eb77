/* SPDX-License-Identifier: Apache-2.0 */
/* MAILBOX_SYNC: what a session has not been told of its mailbox yet. Asking tells how far it was
 * told: content expunged up to there is no longer kept for it (IMAP-F2). */
#include "shard/changes.h"
#include "shard/service_private.h"

struct sync_run {
    struct mailbox_sync_reply reply;
    struct changes changes;
    uint32_t first_recent_uid;
};

static struct vy_err keyword_bits(struct call *call, const struct block *block, uint32_t index,
                                  struct vy_bytes *out)
{
    *out = vy_bytes(NULL, 0);
    if (!block->has_keywords) {
        return vy_ok();
    }
    uint8_t bits[BLOCK_KEYWORDS_MAX / 8];
    size_t len = 0;
    for (size_t i = 0; i < sizeof(bits); i++) {
        bits[i] = (uint8_t)(block->keywords[index].words[i / 8] >> (8 * (i % 8)));
        len = bits[i] != 0 ? i + 1 : len;
    }
    return len == 0 ? vy_ok() : vy_arena_dup(&call->arena, vy_bytes(bits, len), out);
}

static struct vy_err add_changed(struct call *call, const struct block *block,
                                 const struct uid_ranges *wanted, struct flag_change *out,
                                 size_t room, size_t *count)
{
    for (uint32_t i = 0; i < block->count && *count < room; i++) {
        if (!uids_contains(wanted, block->uid[i])) {
            continue;
        }
        struct flag_change *change = &out[(*count)++];
        *change = (struct flag_change){
            .uid = block->uid[i], .flags = block->flags[i], .modseq = block->modseq[i]};
        VY_TRY(keyword_bits(call, block, i, &change->keyword_bits));
    }
    return vy_ok();
}

static struct vy_err read_changed(struct call *call, const struct uid_ranges *wanted,
                                  struct mailbox_sync_reply *reply)
{
    const struct mailbox_sync_request *request = call->request;
    const uint64_t room = uids_count(wanted);
    struct read_blocks blocks = {.iter = NULL};
    struct block *block = NULL;

    if (room == 0) {
        return vy_ok();
    }
    struct flag_change *changed = VY_ARENA_ARRAY(&call->arena, room, struct flag_change);
    if (changed == NULL) {
        return vy_error(VY_CODE_LIMIT, "read changed flags");
    }
    reply->changed = changed;
    const uint32_t last = wanted->items[wanted->count - 1].last;
    struct vy_err err = read_blocks_open(call_reader(call), &call->arena, call->account_id,
                                         request->mailbox_id, wanted->items[0].first, &blocks);
    while (!vy_failed(err)) {
        err = read_blocks_next(&blocks, &block);
        if (vy_failed(err) || block == NULL || block_first_uid(block) > last) {
            break;
        }
        err = add_changed(call, block, wanted, changed, room, &reply->changed_count);
    }
    read_blocks_close(&blocks);
    return err;
}

static struct vy_err fill_reply(struct call *call, const struct mailbox_row *row)
{
    const struct mailbox_sync_request *request = call->request;
    struct sync_run *run = call->state;
    struct mailbox_sync_reply *reply = &run->reply;
    struct vy_bytes *keywords = NULL;

    VY_TRY(changes_read(call_reader(call), &call->arena, call->account_id, request->mailbox_id, row,
                        request->after_modseq, &run->changes));
    VY_TRY(uids_encode_arena(&run->changes.vanished, &call->arena, &reply->vanished));
    VY_TRY(uids_encode_arena(&run->changes.fresh, &call->arena, &reply->new_uids));
    VY_TRY(read_changed(call, &run->changes.changed, reply));
    VY_TRY(read_keywords(call_reader(call), &call->arena, call_keys(call), call->account_id,
                         request->mailbox_id, &keywords, &reply->keywords_count));
    reply->keywords = keywords;
    reply->uidnext = row->uidnext;
    reply->highest_modseq = run->changes.up_to_modseq;
    reply->more = run->changes.is_cut;
    run->first_recent_uid = row->first_recent_uid;
    return vy_ok();
}

static struct vy_err sync_work(struct call *call)
{
    const struct mailbox_sync_request *request = call->request;
    struct sync_run *run = call->state;
    struct mailbox_row row;
    bool found = false;

    VY_TRY(read_mailbox(call_reader(call), &call->arena, call->account_id, request->mailbox_id,
                        &row, &found));
    if (!found || row.no_select) {
        run->reply.mailbox_deleted = true;
        return vy_ok();
    }
    return fill_reply(call, &row);
}

/* Messages from this UID on were told to no session before. */
static void reply_with_recent(struct call *call, uint32_t first_recent_uid)
{
    struct sync_run *run = call->state;
    struct uid_ranges from;
    struct uid_ranges recent;

    uids_init(&from, &call->arena);
    uids_init(&recent, &call->arena);
    uids_add_range(&from, first_recent_uid, UINT32_MAX);
    uids_intersect(&run->changes.fresh, &from, &recent);
    const struct vy_err err = uids_encode_arena(&recent, &call->arena, &run->reply.recent_uids);
    if (vy_failed(err)) {
        call_fail(call, err);
        return;
    }
    call_reply(call, &run->reply);
}

static void recent_taken(struct call *call, const struct shard_result *result)
{
    struct sync_run *run = call->state;

    if (result->code == SHARD_CODE_DONE) {
        reply_with_recent(call, result->first_recent_uid);
    } else { /* the mailbox went away meanwhile: the next sync says so */
        call_reply(call, &run->reply);
    }
}

static bool has_new_recent(const struct sync_run *run)
{
    const struct uid_ranges *fresh = &run->changes.fresh;

    return fresh->count > 0 && fresh->items[fresh->count - 1].last >= run->first_recent_uid;
}

static void sync_done(struct call *call)
{
    const struct mailbox_sync_request *request = call->request;
    struct views *views = call->service->views;
    struct sync_run *run = call->state;
    const struct view_state state = {.view_id = request->view_id,
                                     .mailbox_id = request->mailbox_id,
                                     .told_modseq = request->after_modseq,
                                     .is_read_only = true};

    if (run->reply.mailbox_deleted) {
        views_close(views, call->account_id, request->view_id);
        call_reply(call, &run->reply);
        return;
    }
    /* After a failover the new leader learns of the view this way. */
    const struct vy_err err = views_open(views, call->account_id, &state);
    if (vy_failed(err)) {
        call_fail(call, err);
        return;
    }
    if (has_new_recent(run) && views_takes_recent(views, call->account_id, request->view_id)) {
        const struct cmd_mailbox_open take = {.mailbox_id = request->mailbox_id};
        call->has_key = false; /* taking \Recent twice takes it once */
        call_propose(call, &(struct shard_command){.mailbox_open = &take}, NULL, 0, recent_taken);
        return;
    }
    call_reply(call, &run->reply);
}

void method_sync_start(struct call *call)
{
    call->state = VY_ARENA_NEW(&call->arena, struct sync_run);
    if (call->state == NULL) {
        call_fail(call, vy_error(VY_CODE_LIMIT, "sync mailbox"));
        return;
    }
    call_read(call, sync_work, sync_done);
}
