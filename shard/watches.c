/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/watches.h"
#include "base/list.h"
#include "base/map.h"
#include "proto/event_stream.h"
#include "shard/read.h"
#include "shard/service_private.h"
#include <stdlib.h>

#define WATCH_OUT_BYTES_MAX 8192U /* encoded and not taken by the link yet */

struct watch_change {
    uint64_t mailbox_id;
    uint64_t modseq;
};

/* One feed: the state of its call. */
struct watch {
    struct call *call;           /* borrowed; the call owns the watch */
    struct account_feeds *owner; /* NULL: not registered */
    struct vy_list of_account;
    struct vy_list of_all;
    struct view_told
        *selected; /* owned while a read runs: mailboxes selected before the feed stood */
    size_t selected_count;
    struct watch_change *read; /* arena: found behind the cursor */
    size_t read_count;
    bool read_is_cut;     /* the worker's, while it reads */
    bool is_behind;       /* more changed than pending can name */
    uint64_t list_modseq; /* the mailbox list changed and that is untold; 0: not */
    struct watch_change pending[WATCH_PENDING_MAX];
    size_t pending_count;
    struct vy_buf out;
};

struct account_feeds {
    uint64_t account_id;
    size_t count;
    struct vy_list feeds;
};

struct watches {
    struct service *service; /* borrowed */
    struct vy_map accounts;  /* id -> struct account_feeds, owned */
    struct vy_list all;      /* every registered feed */
};

struct vy_err watches_new(struct service *service, struct watches **out)
{
    struct watches *watches = calloc(1, sizeof(*watches));

    if (watches == NULL) {
        return vy_error(VY_CODE_NOMEM, "allocate watches");
    }
    watches->service = service;
    vy_map_init(&watches->accounts, service->config.hash_seed);
    vy_list_init(&watches->all);
    *out = watches;
    return vy_ok();
}

void watches_free(struct watches *watches)
{
    if (watches != NULL) {
        VY_ASSERT(watches->accounts.count == 0);
        vy_map_deinit(&watches->accounts);
        free(watches);
    }
}

/* ---- registration ---- */

static struct vy_err join(struct watches *watches, struct watch *watch, uint64_t account_id)
{
    struct account_feeds *owner = vy_map_get(&watches->accounts, account_id);

    if (owner == NULL) {
        owner = calloc(1, sizeof(*owner));
        if (owner == NULL || vy_failed(vy_map_put(&watches->accounts, account_id, owner))) {
            free(owner);
            return vy_error(VY_CODE_NOMEM, "open change feed");
        }
        owner->account_id = account_id;
        vy_list_init(&owner->feeds);
    }
    if (owner->count >= WATCHES_ACCOUNT_MAX) {
        return vy_error(VY_CODE_BUSY, "too many change feeds of the account");
    }
    owner->count++;
    watch->owner = owner;
    vy_list_push_back(&owner->feeds, &watch->of_account);
    vy_list_push_back(&watches->all, &watch->of_all);
    return vy_ok();
}

static void leave(struct watches *watches, struct watch *watch)
{
    struct account_feeds *owner = watch->owner;

    if (owner == NULL) {
        return;
    }
    watch->owner = NULL;
    vy_list_remove(&watch->of_account);
    vy_list_remove(&watch->of_all);
    if (--owner->count == 0) {
        vy_map_remove(&watches->accounts, owner->account_id);
        free(owner);
    }
}

/* ---- telling ---- */

static void push_out(struct watch *watch)
{
    struct call *call = watch->call;

    if (vy_buf_len(&watch->out) > 0) {
        const size_t taken = call->transport_ops->send(call->transport, vy_buf_bytes(&watch->out));
        vy_buf_consume(&watch->out, taken);
    }
    if (vy_buf_len(&watch->out) == 0) {
        vy_buf_release(&watch->out); /* thousands of feeds are silent most of the time */
    }
}

static void write_event(struct watch *watch, const struct account_event *event)
{
    vy_ignore(event_stream_append(&watch->out, &account_event_desc, event),
              "the buffer was empty, and holds every pending change");
}

static void flush(struct watch *watch)
{
    if (vy_buf_len(&watch->out) > 0) {
        return; /* what comes meanwhile is coalesced */
    }
    for (size_t i = 0; i < watch->pending_count; i++) {
        const struct watch_change *change = &watch->pending[i];
        write_event(watch, &(struct account_event){.mailbox_id = change->mailbox_id,
                                                   .highest_modseq = change->modseq,
                                                   .cursor = change->modseq});
    }
    watch->pending_count = 0;
    if (watch->list_modseq != 0) {
        write_event(watch, &(struct account_event){.mailbox_list_changed = true,
                                                   .cursor = watch->list_modseq});
        watch->list_modseq = 0;
    }
    push_out(watch);
}

/* False: the feed is too far behind to name what it missed. */
static bool note(struct watch *watch, uint64_t mailbox_id, uint64_t modseq)
{
    for (size_t i = 0; i < watch->pending_count; i++) {
        if (watch->pending[i].mailbox_id == mailbox_id) {
            watch->pending[i].modseq = VY_MAX(watch->pending[i].modseq, modseq);
            return true;
        }
    }
    if (watch->pending_count == WATCH_PENDING_MAX) {
        return false;
    }
    watch->pending[watch->pending_count++] = (struct watch_change){mailbox_id, modseq};
    return true;
}

void watches_on_change(struct watches *watches, const struct fsm_event *event)
{
    struct account_feeds *owner = vy_map_get(&watches->accounts, event->account_id);
    size_t left = owner == NULL ? 0 : owner->count;

    for (struct vy_list *item = left == 0 ? NULL : owner->feeds.next; left > 0; left--) {
        struct watch *watch = VY_CONTAINER_OF(item, struct watch, of_account);
        item = item->next; /* the watch may end; the owner goes with the last of them only */
        if (event->kind == FSM_EVENT_LIST) {
            watch->list_modseq = event->modseq;
        } else if (!note(watch, event->mailbox_id, event->modseq)) {
            watch->is_behind = true;
        }
        if (watch->call->is_busy) {
            continue; /* its read is not done: told then */
        }
        if (watch->is_behind) {
            call_fail(watch->call, vy_error(VY_CODE_BUSY, "change feed is too far behind"));
        } else {
            flush(watch);
        }
    }
}

static void end_over(struct watch *watch)
{
    /* Whatever it still had to hear does not matter to a session that is over. */
    if (vy_buf_len(&watch->out) == 0) {
        write_event(watch, &(struct account_event){.session_over = true});
        push_out(watch);
    }
    call_fail(watch->call, vy_error(VY_CODE_STALE, "account epoch is over"));
}

void watches_on_fence(struct watches *watches, uint64_t account_id, uint64_t epoch)
{
    struct account_feeds *owner = vy_map_get(&watches->accounts, account_id);
    size_t left = owner == NULL ? 0 : owner->count;

    for (struct vy_list *item = left == 0 ? NULL : owner->feeds.next; left > 0; left--) {
        struct watch *watch = VY_CONTAINER_OF(item, struct watch, of_account);
        item = item->next;
        if (watch->call->account_epoch < epoch && !watch->call->is_busy) {
            end_over(watch);
        }
    }
}

void watches_end_all(struct watches *watches, struct vy_err err)
{
    struct vy_list *next = NULL;

    for (struct vy_list *item = watches->all.next; item != &watches->all; item = next) {
        struct watch *watch = VY_CONTAINER_OF(item, struct watch, of_all);
        next = item->next;
        if (!watch->call->is_busy) { /* a busy one finds out when its read is done */
            call_fail(watch->call, err);
        }
    }
}

/* ---- the method ---- */

static void note_read(struct watch *watch, uint64_t mailbox_id, uint64_t modseq)
{
    if (watch->read_count == WATCH_PENDING_MAX) {
        watch->read_is_cut = true;
        return;
    }
    watch->read[watch->read_count++] = (struct watch_change){mailbox_id, modseq};
}

/* What changed behind the caller's cursor, as if it happened now. */
static struct vy_err read_behind_cursor(struct call *call, struct watch *watch, uint64_t cursor)
{
    const struct shard_key first = keys_mailbox_first(call->account_id);
    const struct shard_key end = keys_mailbox_end(call->account_id);
    const struct store_range range = {.from = shard_key_bytes(&first), .to = shard_key_bytes(&end)};
    struct store_iter *iter = NULL;
    struct vy_err err = vy_ok();

    VY_TRY(store_iter_new(call_reader(call), shard_store_family(SHARD_MBOX), &range, &iter));
    for (; iter->is_valid && !vy_failed(err) && !watch->read_is_cut; store_iter_next(iter)) {
        struct mailbox_row row;
        err = vy_pb_decode(&mailbox_row_desc, &call->arena, iter->value, &row);
        if (!vy_failed(err) && row.highest_modseq > cursor) {
            note_read(watch, vy_get_be64(iter->key.data + iter->key.len - 8), row.highest_modseq);
        }
    }
    if (!vy_failed(err)) {
        err = store_iter_error(iter);
    }
    store_iter_free(iter);
    return err;
}

/* A feed may come to stand only after its session has selected a mailbox (another link, a leader to
 * be found): what changed there in between is told. */
static struct vy_err read_behind_views(struct call *call, struct watch *watch)
{
    for (size_t i = 0; i < watch->selected_count; i++) {
        const struct view_told *told = &watch->selected[i];
        struct mailbox_row row;
        bool found = false;
        VY_TRY(read_mailbox(call_reader(call), &call->arena, call->account_id, told->mailbox_id,
                            &row, &found));
        if (!found || row.highest_modseq > told->modseq) {
            /* A mailbox that is gone: any number above brings its sessions here to ask. */
            note_read(watch, told->mailbox_id, found ? row.highest_modseq : told->modseq + 1);
        }
    }
    return vy_ok();
}

/* @thread a worker */
static struct vy_err read_changes(struct call *call)
{
    const struct account_watch_request *request = call->request;
    struct watch *watch = call->state;

    watch->read = VY_ARENA_ARRAY(&call->arena, WATCH_PENDING_MAX, struct watch_change);
    if (watch->read == NULL) {
        return vy_error(VY_CODE_LIMIT, "read changes");
    }
    return request->cursor != 0 ? read_behind_cursor(call, watch, request->cursor)
                                : read_behind_views(call, watch);
}

/* What may have happened while the read ran. */
static struct vy_err check_alive(struct watch *watch)
{
    const struct call *call = watch->call;
    struct shard_log *replica = call->service->config.replica;

    if (!replica->ops->is_leader(replica)) {
        return vy_error(VY_CODE_NOT_LEADER, "leadership moved");
    }
    if (call->is_cancelled) {
        return vy_error(VY_CODE_CANCELLED, "caller is gone");
    }
    return watch->is_behind ? vy_error(VY_CODE_BUSY, "change feed is too far behind") : vy_ok();
}

static void forget_selected(struct watch *watch)
{
    free(watch->selected);
    watch->selected = NULL;
}

static void changes_read(struct call *call)
{
    struct watch *watch = call->state;

    call_close_snapshot(call);
    forget_selected(watch);
    watch->is_behind = watch->is_behind || watch->read_is_cut;
    for (size_t i = 0; i < watch->read_count && !watch->is_behind; i++) {
        watch->is_behind = !note(watch, watch->read[i].mailbox_id, watch->read[i].modseq);
    }
    const struct vy_err err = check_alive(watch);
    if (vy_failed(err)) {
        call_fail(call, err);
    } else if (call->entry->is_gone || call->entry->epoch > call->account_epoch) {
        end_over(watch);
    } else {
        flush(watch);
    }
}

static struct vy_err note_selected(struct call *call, struct watch *watch)
{
    /* On the heap, for it is needed for a moment and the call lives for hours. */
    watch->selected = malloc(VIEWS_ACCOUNT_MAX * sizeof(*watch->selected));
    if (watch->selected == NULL) {
        return vy_error(VY_CODE_NOMEM, "open change feed");
    }
    watch->selected_count =
        views_told(call->service->views, call->account_id, watch->selected, VIEWS_ACCOUNT_MAX);
    if (watch->selected_count == 0) {
        forget_selected(watch);
    }
    return vy_ok();
}

void method_watch_start(struct call *call)
{
    const struct account_watch_request *request = call->request;
    struct watch *watch = calloc(1, sizeof(*watch));

    if (watch == NULL) {
        call_fail(call, vy_error(VY_CODE_NOMEM, "open change feed"));
        return;
    }
    watch->call = call;
    call->state = watch;
    vy_list_init(&watch->of_account);
    vy_list_init(&watch->of_all);
    vy_buf_init(&watch->out, WATCH_OUT_BYTES_MAX);
    /* Registered before the read: nothing falls between the two. */
    struct vy_err err = join(call->service->watches, watch, call->account_id);
    if (!vy_failed(err)) {
        err = note_selected(call, watch);
    }
    if (vy_failed(err)) {
        call_fail(call, err);
    } else if (request->cursor != 0 || watch->selected_count > 0) {
        call_read(call, read_changes, changes_read);
    }
}

void method_watch_writable(struct call *call)
{
    struct watch *watch = call->state;

    push_out(watch);
    if (!call->is_busy) {
        flush(watch);
    }
}

void method_watch_cancel(struct call *call)
{
    if (!call->is_busy) {
        call_fail(call, vy_error(VY_CODE_CANCELLED, "caller is gone"));
    }
}

void method_watch_end(struct call *call)
{
    struct watch *watch = call->state;

    if (watch == NULL) {
        return;
    }
    leave(call->service->watches, watch);
    forget_selected(watch);
    vy_buf_deinit(&watch->out);
    free(watch);
    call->state = NULL;
}
