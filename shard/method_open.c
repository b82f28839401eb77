/* SPDX-License-Identifier: Apache-2.0 */
/* MAILBOX_OPEN (SELECT, EXAMINE) and MAILBOX_CLOSE. */
#include "mail/flags.h"
#include "shard/changes.h"
#include "shard/mailbox_info.h"
#include "shard/service_private.h"

/* Changes since the last SELECT that are read instead of all index blocks. */
#define OPEN_CHANGES_MIN 16U
#define OPEN_CHANGE_MESSAGES 64U

struct open_run {
    struct mailbox_open_reply reply;
    struct mailbox_info info;
    struct mailbox_row row;
    uint64_t mailbox_id;
    struct uid_ranges uids;
};

/* ---- what is there ---- */

static bool is_unseen(const struct block *block, uint32_t index)
{
    return (block->flags[index] & MAIL_FLAG_SEEN) == 0;
}

/* From the index blocks: all UIDs (or only the first unseen one, when `uids` is NULL). */
static struct vy_err scan_blocks(struct call *call, struct open_run *run, uint32_t from_uid,
                                 struct uid_ranges *uids)
{
    struct read_blocks blocks = {.iter = NULL};
    struct block *block = NULL;
    uint32_t *const first_unseen = &run->reply.first_unseen_uid;

    struct vy_err err = read_blocks_open(call_reader(call), &call->arena, call->account_id,
                                         run->mailbox_id, from_uid, &blocks);
    while (!vy_failed(err) && (uids != NULL || *first_unseen == 0)) {
        err = read_blocks_next(&blocks, &block);
        if (block == NULL) {
            break;
        }
        for (uint32_t i = 0; uids != NULL && i < block->count; i++) {
            uids_add(uids, block->uid[i]);
        }
        for (uint32_t i = 0; *first_unseen == 0 && i < block->count; i++) {
            *first_unseen = block->uid[i] >= from_uid && is_unseen(block, i) ? block->uid[i] : 0;
        }
    }
    read_blocks_close(&blocks);
    return err;
}

/* No message below `from_uid` is unseen. */
static struct vy_err find_first_unseen(struct call *call, struct open_run *run, uint32_t from_uid)
{
    return run->row.unseen_count == 0 ? vy_ok() : scan_blocks(call, run, from_uid, NULL);
}

static struct vy_err read_all(struct call *call, struct open_run *run)
{
    uids_init(&run->uids, &call->arena);
    if (run->row.message_count > 0 && run->row.message_count == run->row.uidnext - 1) {
        uids_add_range(&run->uids, 1, run->row.uidnext - 1); /* nothing was ever expunged */
        return find_first_unseen(call, run, 1);
    }
    return scan_blocks(call, run, 1, &run->uids);
}

static uint32_t first_of(const struct uid_ranges *uids)
{
    return uids->count == 0 ? UINT32_MAX : uids->items[0].first;
}

/* The known outline and what happened since. */
static struct vy_err read_since(struct call *call, struct open_run *run,
                                const struct outline *known)
{
    struct uid_ranges left;
    struct uid_ranges old;
    struct changes changes;

    VY_TRY(changes_read(call_reader(call), &call->arena, call->account_id, run->mailbox_id,
                        &run->row, known->modseq, &changes));
    if (changes.is_cut) {
        return read_all(call, run);
    }
    VY_TRY(uids_decode(&call->arena, known->uids, &old));
    uids_init(&left, &call->arena);
    uids_init(&run->uids, &call->arena);
    uids_subtract(&old, &changes.vanished, &left);
    uids_union(&left, &changes.fresh, &run->uids);
    const uint32_t touched = VY_MIN(first_of(&changes.changed), first_of(&changes.fresh));
    const uint32_t from =
        known->first_unseen_uid == 0 ? touched : VY_MIN(touched, known->first_unseen_uid);
    return find_first_unseen(call, run, from);
}

/* Reading a change costs about as much as a block of messages: many changes are not read. */
static bool is_near(const struct open_run *run, const struct outline *known)
{
    const uint64_t changes_max = OPEN_CHANGES_MIN + run->row.message_count / OPEN_CHANGE_MESSAGES;

    return known->modseq >= run->row.change_floor_modseq &&
           known->modseq < run->row.highest_modseq &&
           run->row.highest_modseq - known->modseq <= changes_max;
}

static struct vy_err read_messages(struct call *call, struct open_run *run)
{
    struct outlines *outlines = call->service->outlines;
    struct outline outline;

    const bool is_known =
        outlines_find(outlines, call->account_id, run->mailbox_id, &call->arena, &outline);
    if (is_known && outline.modseq == run->row.highest_modseq) {
        run->reply.uids = outline.uids;
        run->reply.first_unseen_uid = outline.first_unseen_uid;
        return uids_decode(&call->arena, outline.uids, &run->uids);
    }
    VY_TRY(is_known && is_near(run, &outline) ? read_since(call, run, &outline)
                                              : read_all(call, run));
    VY_TRY(uids_encode_arena(&run->uids, &call->arena, &run->reply.uids));
    outline = (struct outline){.modseq = run->row.highest_modseq,
                               .first_unseen_uid = run->reply.first_unseen_uid,
                               .uids = run->reply.uids};
    outlines_keep(outlines, call->account_id, run->mailbox_id, &outline);
    return vy_ok();
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
