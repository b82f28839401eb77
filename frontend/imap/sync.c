/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telling the client what changed in the selected mailbox: MAILBOX_SYNC from the modseq told last,
 * then EXPUNGE, EXISTS and FETCH in that order. The account's change feed says when to ask; the
 * mailbox's log is the truth.
 */
#include "base/assert.h"
#include "frontend/imap/imap.h"
#include "mail/flags.h"

#define SYNC_ARENA_BYTES_MAX                                                                       \
    16777216U /* a decoded reply of 4 MiB: a change is 3 times its encoding */
#define WATCH_RETRY_MS 1000U
#define WATCH_RETRY_SHIFT_MAX 5U

static void call_sync(struct imap_session *s)
{
    const struct mailbox_sync_request request = {
        .actor = &s->account.actor,
        .mailbox_id = s->view->mailbox_id,
        .view_id = s->view->view_id,
        .after_modseq = s->view->told_modseq,
    };
    s->view->must_sync = false; /* what is heard from here on asks for another one */
    s->sync.step = IMAP_SYNC_CALL;
    s->sync.call_id = imap_call_apart(s, METHOD_SHARD_MAILBOX_SYNC, &request, false);
}

void imap_sync_start(struct imap_session *s)
{
    VY_ASSERT(s->view != NULL);
    if (s->sync.step == IMAP_SYNC_NONE) {
        call_sync(s);
    } else {
        s->sync.step = IMAP_SYNC_AGAIN;
    }
}

static void write_exists(struct imap_session *s)
{
    vy_buf_printf(&s->out, "* %u EXISTS\r\n* %u RECENT\r\n", imap_view_exists(s->view),
                  uidset_count(&s->view->recent));
}

static struct vy_err tell_gone(struct imap_session *s, struct vy_bytes vanished)
{
    struct uidset gone = {.ranges = NULL};
    struct vy_err err = uidset_decode(vanished, &gone);
    if (!vy_failed(err)) {
        err = imap_view_expunge(s->view, &gone, &s->out);
    }
    uidset_deinit(&gone);
    return err;
}

/* \Recent of new messages; of those that this session was told of only. */
static struct vy_err add_recent(struct imap_view *view, struct vy_bytes encoded)
{
    struct uidset uids = {.ranges = NULL};
    struct uidset known = {.ranges = NULL};
    struct vy_err err = uidset_decode(encoded, &uids);
    if (!vy_failed(err)) {
        uidset_intersect(&view->uids, &uids, &known);
        err = uidset_error(&known);
    }
    for (size_t i = 0; i < known.count; i++) {
        uidset_add_range(&view->recent, known.ranges[i].first, known.ranges[i].last);
    }
    uidset_deinit(&uids);
    uidset_deinit(&known);
    return vy_failed(err) ? err : uidset_error(&view->recent);
}

static struct vy_err tell_new(struct imap_session *s, const struct mailbox_sync_reply *reply)
{
    struct uidset uids = {.ranges = NULL};
    bool is_new = false;
    struct vy_err err = uidset_decode(reply->new_uids, &uids);
    if (!vy_failed(err)) {
        err = imap_view_add(s->view, &uids, &is_new);
    }
    uidset_deinit(&uids);
    if (vy_failed(err) || !is_new) {
        return err;
    }
    VY_TRY(add_recent(s->view, reply->recent_uids));
    write_exists(s);
    return vy_ok();
}

static void tell_flags(struct imap_session *s, const struct flag_change *change)
{
    const uint32_t place = uidset_rank(&s->view->uids, change->uid);
    if (place == 0 || imap_view_is_own(s->view, change->modseq)) {
        return;
    }
    vy_buf_printf(&s->out, "* %u FETCH (UID %u FLAGS ", place, change->uid);
    imap_write_flags(&s->out, s->view, change->flags, change->keyword_bits,
                     uidset_contains(&s->view->recent, change->uid));
    if ((s->enabled & IMAP_ENABLED_CONDSTORE) != 0) {
        vy_buf_printf(&s->out, " MODSEQ (%llu)", (unsigned long long)change->modseq);
    }
    vy_buf_append_cstr(&s->out, ")\r\n");
}

static struct vy_err tell(struct imap_session *s, const struct mailbox_sync_reply *reply)
{
    VY_TRY(tell_gone(s, reply->vanished));
    VY_TRY(tell_new(s, reply));
    if (reply->keywords_count > s->view->keyword_count) {
        VY_TRY(imap_view_set_keywords(s->view, reply->keywords, reply->keywords_count));
        imap_write_flags_known(s);
    }
    for (size_t i = 0; i < reply->changed_count; i++) {
        tell_flags(s, &reply->changed[i]);
    }
    s->view->uidnext = VY_MAX(s->view->uidnext, reply->uidnext);
    imap_view_note_told(s->view, reply->highest_modseq);
    return vy_ok();
}

/* NOOP and CHECK promise a look at the shard: when it cannot be had they say so. */
static void fail_sync(struct imap_session *s, struct vy_err err)
{
    if (s->view != NULL) {
        s->view->must_sync = true;
    }
    if (err.code == VY_CODE_NOT_FOUND) {
        imap_session_bye(s, "Selected mailbox was deleted", "mailbox deleted");
        return;
    }
    if (s->run.row != NULL && s->run.is_over && (s->run.row->traits & IMAP_SYNC) != 0) {
        imap_end_error(s, err);
    }
}

void imap_sync_ended(struct imap_session *s, struct vy_err err, struct vy_bytes reply)
{
    const bool again = s->sync.step == IMAP_SYNC_AGAIN;
    s->sync = (struct imap_sync){.step = IMAP_SYNC_NONE};
    struct vy_arena arena;
    struct mailbox_sync_reply message = {.uidnext = 0};
    vy_arena_init(&arena, SYNC_ARENA_BYTES_MAX);
    if (!vy_failed(err)) {
        err = vy_pb_decode(&mailbox_sync_reply_desc, &arena, reply, &message);
    }
    if (!vy_failed(err) && message.mailbox_deleted) {
        err = vy_error(VY_CODE_NOT_FOUND, "mailbox deleted");
    }
    if (!vy_failed(err)) {
        err = tell(s, &message);
    }
    const bool more = again || (!vy_failed(err) && message.more);
    vy_arena_deinit(&arena);
    if (vy_failed(err)) {
        fail_sync(s, err);
    } else if (more) {
        call_sync(s);
    }
}

/* ---- the change feed ---- */

/* IDLE is told at once; other commands look when they end. */
static void tell_if_idling(struct imap_session *s)
{
    const bool is_idling = s->run.row != NULL && s->run.on_line != NULL && s->run.wants_sync;
    if (is_idling && imap_view_is_behind(s->view)) {
        imap_sync_start(s);
    }
}

void imap_watch_open(struct imap_session *s)
{
    if (s->watch.call_id != 0 || s->is_eof || s->state < IMAP_STATE_AUTHENTICATED) {
        return;
    }
    const struct account_watch_request request = {.actor = &s->account.actor};
    s->watch.retry_ms = 0;
    s->watch.call_id = imap_call_apart(s, METHOD_SHARD_ACCOUNT_WATCH, &request, false);
    if (s->view != NULL && s->watch.failures > 0) {
        s->view->must_sync = true; /* what happened without a feed is not known */
        tell_if_idling(s);
    }
}

static void note_event(struct imap_session *s, const struct account_event *event)
{
    s->watch.failures = 0;
    if (event->session_over) {
        imap_session_bye(s, "[UNAVAILABLE] Session is over, sign in again",
                         "account epoch is over");
        return;
    }
    if (s->view == NULL || event->mailbox_id != s->view->mailbox_id) {
        return;
    }
    s->view->hint_modseq = VY_MAX(s->view->hint_modseq, event->highest_modseq);
    tell_if_idling(s);
}

size_t imap_watch_data(struct imap_session *s, struct vy_bytes data)
{
    struct vy_bytes in = data;
    bool found = true;
    while (found && !s->is_closing) {
        struct vy_bytes bytes = {.data = NULL};
        struct vy_arena arena;
        struct account_event event = {.mailbox_id = 0};
        vy_arena_init(&arena, EVENT_STREAM_BYTES_MAX);
        struct vy_err err = event_reader_next(&s->watch.reader, &in, &bytes, &found);
        if (!vy_failed(err) && found) {
            err = vy_pb_decode(&account_event_desc, &arena, bytes, &event);
        }
        if (!vy_failed(err) && found) {
            note_event(s, &event);
        }
        vy_arena_deinit(&arena);
        if (vy_failed(err)) {
            const uint64_t call_id = s->watch.call_id;
            imap_watch_ended(s, err);
            imap_call_cancel(s, call_id);
            return data.len;
        }
    }
    return data.len;
}

void imap_watch_ended(struct imap_session *s, struct vy_err err)
{
    const uint32_t shift = VY_MIN(s->watch.failures, WATCH_RETRY_SHIFT_MAX);
    vy_ignore(err, "opened again, and commands ask the shard until then");
    event_reader_deinit(&s->watch.reader);
    event_reader_init(&s->watch.reader);
    s->watch.call_id = 0;
    s->watch.failures++;
    s->watch.retry_ms = s->base.now_ms + ((uint64_t)WATCH_RETRY_MS << shift);
}

void imap_watch_close(struct imap_session *s)
{
    imap_call_cancel(s, s->watch.call_id);
    s->watch.call_id = 0;
    s->watch.retry_ms = 0;
}
