/* SPDX-License-Identifier: Apache-2.0 */
/* MAILBOX_OPEN (SELECT, EXAMINE) and MAILBOX_CLOSE. */
#include "mail/flags.h"
#include "shard/changes.h"
#include "shard/mailbox_info.h"
#include "shard/service_private.h"

struct open_run {
    struct mailbox_open_reply reply;
    struct mailbox_info info;
    struct mailbox_row row;
    uint64_t mailbox_id;
    struct uid_ranges uids;
};

/* ---- what is there ---- */

static void note_block(struct open_run *run, const struct block *block)
{
    for (uint32_t i = 0; i < block->count; i++) {
        uids_add(&run->uids, block->uid[i]);
    }
    for (uint32_t i = 0; i < block->count && run->reply.first_unseen_uid == 0; i++) {
        if ((block->flags[i] & MAIL_FLAG_SEEN) == 0) {
            run->reply.first_unseen_uid = block->uid[i];
        }
    }
}

static struct vy_err read_messages(struct call *call, struct open_run *run)
{
    struct read_blocks blocks = {.iter = NULL};
    struct block *block = NULL;

    uids_init(&run->uids, &call->arena);
    struct vy_err err = read_blocks_open(call_reader(call), &call->arena, call->account_id,
                                         run->mailbox_id, 1, &blocks);
    while (!vy_failed(err)) {
        err = read_blocks_next(&blocks, &block);
        if (block == NULL) {
            break;
        }
        note_block(run, block);
    }
    read_blocks_close(&blocks);
    VY_TRY(err);
    return uids_encode_arena(&run->uids, &call->arena, &run->reply.uids);
}

/* QRESYNC (RFC 7162 section 3.2.5): of the messages that the client knows, those that are gone. */
static struct vy_err read_vanished(struct call *call, struct open_run *run)
{
    const struct mailbox_open_request *request = call->request;
    struct uid_ranges known;
    struct uid_ranges vanished;
    struct changes changes;

    if (request->known_modseq == 0 || request->known_uidvalidity != run->row.uidvalidity) {
        return vy_ok();
    }
    VY_TRY(changes_read(call_reader(call), &call->arena, call->account_id, run->mailbox_id,
                        &run->row, request->known_modseq, &changes));
    if (changes.is_cut) { /* expunges behind the cut count too: what is not there is gone */
        uids_init(&changes.vanished, &call->arena);
        uids_init(&known, &call->arena);
        uids_add_range(&known, 1, run->row.uidnext - 1);
        uids_subtract(&known, &run->uids, &changes.vanished);
    }
    if (request->known_uids.len == 0) {
        return uids_encode_arena(&changes.vanished, &call->arena, &run->reply.vanished);
    }
    VY_TRY(uids_decode(&call->arena, request->known_uids, &known));
    uids_init(&vanished, &call->arena);
    uids_intersect(&changes.vanished, &known, &vanished);
    return uids_encode_arena(&vanished, &call->arena, &run->reply.vanished);
}

static struct vy_err open_work(struct call *call)
{
    const struct mailbox_open_request *request = call->request;
    struct open_run *run = call->state;
    struct vy_bytes *keywords = NULL;
    uint8_t hash[SHARD_HASH_BYTES];
    bool found = false;

    names_hash_mailbox(call_keys(call), request->name, hash);
    VY_TRY(read_mailbox_id(call_reader(call), call->account_id, hash, &run->mailbox_id));
    if (run->mailbox_id != 0) {
        VY_TRY(read_mailbox(call_reader(call), &call->arena, call->account_id, run->mailbox_id,
                            &run->row, &found));
    }
    if (!found || run->row.no_select) {
        return vy_error(VY_CODE_NOT_FOUND, "open mailbox");
    }
    VY_TRY(mailbox_info_fill(call, run->mailbox_id, &run->row, &run->info));
    VY_TRY(read_messages(call, run));
    VY_TRY(read_vanished(call, run));
    VY_TRY(read_keywords(call_reader(call), &call->arena, call_keys(call), call->account_id,
                         run->mailbox_id, &keywords, &run->reply.keywords_count));
    run->reply.keywords = keywords;
    run->reply.info = &run->info;
    return vy_ok();
}

/* ---- \Recent ---- */

static void reply_opened(struct call *call, uint32_t first_recent_uid)
{
    struct open_run *run = call->state;
    struct uid_ranges from;
    struct uid_ranges recent;

    uids_init(&from, &call->arena);
    uids_init(&recent, &call->arena);
    uids_add_range(&from, first_recent_uid, UINT32_MAX);
    uids_intersect(&run->uids, &from, &recent);
    run->info.recent_count = (uint32_t)uids_count(&recent);
    const struct vy_err err = uids_encode_arena(&recent, &call->arena, &run->reply.recent_uids);
    if (vy_failed(err)) {
        call_fail(call, err);
        return;
    }
    call_reply(call, &run->reply);
}

static void recent_taken(struct call *call, const struct shard_result *result)
{
    if (result->code != SHARD_CODE_DONE) {
        call_refuse(call, result, "open mailbox");
        return;
    }
    reply_opened(call, result->first_recent_uid);
}

static void open_done(struct call *call)
{
    const struct mailbox_open_request *request = call->request;
    const struct open_run *run = call->state;
    const struct view_state state = {.view_id = request->view_id,
                                     .mailbox_id = run->mailbox_id,
                                     .told_modseq = run->row.highest_modseq,
                                     .is_read_only = request->read_only};

    if (request->view_id != 0) {
        const struct vy_err err = views_open(call->service->views, call->account_id, &state);
        if (vy_failed(err)) {
            call_fail(call, err);
            return;
        }
    }
    /* Most SELECTs find nothing new: they write nothing. */
    if (!request->read_only && run->row.first_recent_uid < run->row.uidnext) {
        const struct cmd_mailbox_open take = {.mailbox_id = run->mailbox_id};
        call_propose(call, &(struct shard_command){.mailbox_open = &take}, NULL, 0, recent_taken);
        return;
    }
    reply_opened(call, run->row.first_recent_uid);
}

void method_open_start(struct call *call)
{
    call->state = VY_ARENA_NEW(&call->arena, struct open_run);
    if (call->state == NULL) {
        call_fail(call, vy_error(VY_CODE_LIMIT, "open mailbox"));
        return;
    }
    call_read(call, open_work, open_done);
}

void method_close_start(struct call *call)
{
    const struct mailbox_close_request *request = call->request;

    views_close(call->service->views, call->account_id, request->view_id);
    call_reply(call, &(struct shard_empty_reply){.modseq = 0});
}
