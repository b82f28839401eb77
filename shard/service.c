/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/service.h"
#include "base/assert.h"
#include "proto/methods.h"
#include "shard/read.h"
#include "shard/service_private.h"
#include <stdlib.h>

#define SERVICE_ACCOUNTS_MAX_DEFAULT 65536U
#define SERVICE_SEARCH_CPU_MS_DEFAULT 10000U
#define DENIED_LOG_MS 1000U
/* Stream bytes kept until the keys of the account are there: a link's whole window. */
#define SERVICE_EARLY_BYTES_MAX (1024U * 1024U)

/* ---- the methods ---- */

#define ROW(method, desc, who, write, ...)                                                         \
    {                                                                                              \
        .id = METHOD_SHARD_##method, .name = #method, .request_desc = &desc##_request_desc,        \
        .actor = CALL_ACTOR_##who, .is_write = (write), __VA_ARGS__                                \
    }

enum { READS = 0, WRITES = 1 };
/* clang-format off */
static const struct call_method methods[] = {
    ROW(MAILBOX_LIST, mailbox_list, SESSION, READS,
        .reply_desc = &mailbox_list_reply_desc, .start = method_list_start),
    ROW(MAILBOX_CREATE, mailbox_create, SESSION, WRITES,
        .reply_desc = &mailbox_create_reply_desc, .start = method_create_start),
    ROW(MAILBOX_DELETE, mailbox_delete, SESSION, WRITES,
        .reply_desc = &shard_empty_reply_desc, .start = method_delete_start),
    ROW(MAILBOX_RENAME, mailbox_rename, SESSION, WRITES,
        .reply_desc = &shard_empty_reply_desc, .start = method_rename_start),
    ROW(MAILBOX_SUBSCRIBE, mailbox_subscribe, SESSION, WRITES,
        .reply_desc = &shard_empty_reply_desc, .start = method_subscribe_start),
    ROW(MAILBOX_OPEN, mailbox_open, SESSION, WRITES,
        .reply_desc = &mailbox_open_reply_desc, .start = method_open_start),
    ROW(MAILBOX_CLOSE, mailbox_close, SESSION, READS,
        .reply_desc = &shard_empty_reply_desc, .start = method_close_start),
    ROW(MAILBOX_SYNC, mailbox_sync, SESSION, READS,
        .reply_desc = &mailbox_sync_reply_desc, .start = method_sync_start),
    ROW(MESSAGE_STORE, message_store, SESSION, WRITES,
        .reply_desc = &message_store_reply_desc, .start = method_store_start,
        .on_end = method_store_end),
    ROW(MESSAGE_COPY, message_copy, SESSION, WRITES,
        .reply_desc = &message_copy_reply_desc, .start = method_copy_start),
    ROW(MESSAGE_EXPUNGE, message_expunge, SESSION, WRITES,
        .reply_desc = &message_expunge_reply_desc, .start = method_expunge_start),
    ROW(MESSAGE_FETCH, message_fetch, SESSION, READS,
        .reply_desc = &shard_empty_reply_desc, .start = method_fetch_start,
        .view_offset = offsetof(struct message_fetch_request, view_id),
        .on_writable = method_fetch_writable, .on_cancel = method_fetch_cancel,
        .on_end = method_fetch_end),
    ROW(MESSAGE_SEARCH, message_search, SESSION, READS,
        .reply_desc = &message_search_reply_desc, .start = method_search_start,
        .view_offset = offsetof(struct message_search_request, view_id),
        .on_end = method_search_end),
    ROW(MESSAGE_APPEND, message_append, SESSION, WRITES,
        .reply_desc = &message_append_reply_desc, .start = method_append_start,
        .on_data = method_ingest_data, .on_data_end = method_ingest_data_end,
        .on_cancel = method_ingest_cancel, .on_end = method_ingest_end),
    ROW(MESSAGE_DELIVER, message_deliver, DELIVER, WRITES,
        .reply_desc = &message_deliver_reply_desc, .start = method_deliver_start,
        .on_data = method_ingest_data, .on_data_end = method_ingest_data_end,
        .on_cancel = method_ingest_cancel, .on_end = method_ingest_end),
    ROW(QUOTA, quota, SESSION, READS,
        .reply_desc = &quota_reply_desc, .start = method_quota_start),
    ROW(ACCOUNT_WATCH, account_watch, SESSION, READS,
        .reply_desc = &shard_empty_reply_desc, .start = method_watch_start,
        .on_writable = method_watch_writable, .on_cancel = method_watch_cancel,
        .on_end = method_watch_end),
    ROW(ACCOUNT_FENCE, account_fence, META, WRITES,
        .reply_desc = &account_fence_reply_desc, .start = method_fence_start),
    ROW(STATUS, shard_status, META, READS,
        .reply_desc = &shard_status_reply_desc, .start = method_status_start),
    ROW(DELIVERY_END, delivery_end, DELIVER, WRITES,
        .reply_desc = &delivery_end_reply_desc, .start = method_delivery_end_start),
    ROW(DELIVERY_ASK, delivery_ask, DELIVER, WRITES,
        .reply_desc = &delivery_ask_reply_desc, .start = method_delivery_ask_start),
    ROW(ACCOUNT_EXPEL, account_expel, META, READS,
        .reply_desc = &account_expel_reply_desc, .start = method_expel_start),
};
/* clang-format on */

const struct call_method *service_methods(size_t *count)
{
    *count = VY_COUNT_OF(methods);
    return methods;
}

const struct call_method *service_find_method(uint32_t id)
{
    for (size_t i = 0; i < VY_COUNT_OF(methods); i++) {
        if (methods[i].id == id) {
            return &methods[i];
        }
    }
    return NULL;
}

/* ---- life ---- */

static struct vy_err make_parts(struct service *service)
{
    const struct service_config *config = &service->config;
    const struct account_keys_config accounts = {
        .cluster_key = config->cluster_key,
        .meta_ops = config->meta_ops,
        .meta = config->meta,
        .accounts_max = config->accounts_max,
        .hash_seed = config->hash_seed,
    };

    VY_TRY(account_keys_new(&accounts, &service->accounts));
    VY_TRY(views_new(service, &service->views));
    VY_TRY(outlines_new(config->hash_seed, &service->outlines));
    VY_TRY(watches_new(service, &service->watches));
    VY_TRY(settler_new(service, &service->settler));
    return purger_new(service, &service->purger);
}

struct vy_err service_new(const struct service_config *config, struct service **out)
{
    struct service *service = calloc(1, sizeof(*service));

    if (service == NULL) {
        return vy_error(VY_CODE_NOMEM, "allocate shard service");
    }
    service->config = *config;
    if (config->view_lease_ms == 0) {
        service->config.view_lease_ms = SERVICE_VIEW_LEASE_MS_DEFAULT;
    }
    if (config->search_cpu_ms == 0) {
        service->config.search_cpu_ms = SERVICE_SEARCH_CPU_MS_DEFAULT;
    }
    if (config->accounts_max == 0) {
        service->config.accounts_max = SERVICE_ACCOUNTS_MAX_DEFAULT;
    }
    vy_list_init(&service->calls);
    const struct vy_err err = make_parts(service);
    if (vy_failed(err)) {
        service_free(service);
        return err;
    }
    *out = service;
    return vy_ok();
}

void service_free(struct service *service)
{
    if (service == NULL) {
        return;
    }
    while (!vy_list_is_empty(&service->calls)) {
        struct call *call = VY_CONTAINER_OF(service->calls.next, struct call, list);
        call->is_busy = false; /* nothing that could come back runs any more */
        call_fail(call, vy_error(VY_CODE_UNAVAILABLE, "shard is stopping"));
    }
    settler_free(service->settler);
    purger_free(service->purger);
    watches_free(service->watches);
    outlines_free(service->outlines);
    views_free(service->views);
    account_keys_free(service->accounts);
    free(service);
}

bool service_is_quiet(const struct service *service)
{
    VY_LIST_FOREACH(item, &service->calls)
    {
        if (VY_CONTAINER_OF(item, struct call, list)->is_busy) {
            return false;
        }
    }
    return purger_is_quiet(service->purger) && settler_is_quiet(service->settler);
}

/* ---- a call arrives ---- */

static void refuse(struct service *service, const struct call_transport_ops *ops, void *transport,
                   struct vy_err err)
{
    service->stats.calls_failed++;
    ops->fail(transport, err, NULL, err.code == VY_CODE_BUSY ? CALL_RETRY_AFTER_MS : 0);
}

static struct call *make_call(struct service *service, const struct call_method *method,
                              const uint8_t *idempotency_key, const struct call_transport_ops *ops,
                              void *transport)
{
    struct call *call = calloc(1, sizeof(*call));

    if (call == NULL) {
        return NULL;
    }
    call->service = service;
    call->method = method;
    call->transport_ops = ops;
    call->transport = transport;
    vy_arena_init(&call->arena, CALL_ARENA_BYTES_MAX);
    vy_buf_init(&call->command, SHARD_COMMAND_BYTES_MAX);
    vy_buf_init(&call->early, SERVICE_EARLY_BYTES_MAX);
    if (idempotency_key != NULL) {
        call->has_key = true;
        memcpy(call->idempotency_key, idempotency_key, sizeof(call->idempotency_key));
    }
    vy_list_push_back(&service->calls, &call->list);
    service->stats.calls_open++;
    return call;
}

static struct vy_err decode_request(struct call *call, struct vy_bytes bytes)
{
    const struct vy_pb_desc *desc = call->method->request_desc;
    void *request = vy_arena_alloc(&call->arena, desc->struct_bytes);
    struct vy_bytes copy;

    if (request == NULL) {
        return vy_error(VY_CODE_LIMIT, "decode request");
    }
    VY_TRY(vy_arena_dup(&call->arena, bytes, &copy));
    VY_TRY(vy_pb_decode(desc, &call->arena, copy, request));
    call->request = request;
    if (call->method->actor == CALL_ACTOR_SESSION) {
        /* The table's rule: field 1 of every such request is the actor. */
        VY_ASSERT(desc->fields[0].number == 1 && desc->fields[0].desc == &shard_actor_desc);
        memcpy(&call->actor, (const uint8_t *)request + desc->fields[0].offset,
               sizeof(call->actor));
    }
    return vy_ok();
}

/* R6. A line a second at most, with how many there were: who was taken over may ask often. */
static void log_denied(struct call *call, struct vy_err err)
{
    struct service *service = call->service;
    const struct call_transport_ops *ops = call->transport_ops;
    const uint8_t *trace = ops->trace_id == NULL ? NULL : ops->trace_id(call->transport);
    const uint64_t now_ms = vy_clock_mono_ns(service->config.clock) / 1000000;
    const uint64_t account_id = call->actor == NULL ? 0 : call->actor->account_id;

    if (service->denied_next_ms > now_ms) {
        return;
    }
    service->denied_next_ms = now_ms + DENIED_LOG_MS;
    vy_log(service->config.log, VY_LOG_WARN, "shard.call.denied", VY_ID("trace", trace),
           VY_CSTR("rpc.method", call->method->name), VY_HEX("shard.account", account_id),
           VY_U64("shard.denied", service->stats.calls_denied), VY_LOG_ERR(err));
}

static struct vy_err admit(struct call *call, struct vy_bytes request)
{
    struct service *service = call->service;

    VY_TRY(decode_request(call, request));
    const struct vy_err err = actor_check(service, call->method, call->actor, &call->arena);
    if (vy_failed(err)) {
        service->stats.calls_denied++;
        log_denied(call, err);
        return err;
    }
    /* Sessions are served where their account's log is led; meta may ask anyone how it is. */
    struct shard_log *replica = service->config.replica;
    if ((call->method->is_write || call->method->actor == CALL_ACTOR_SESSION) &&
        !replica->ops->is_leader(replica)) {
        return vy_error(VY_CODE_NOT_LEADER, "another member leads");
    }
    return vy_ok();
}

static void touch_view(const struct call *call)
{
    uint64_t view_id = 0;

    if (call->method->view_offset != 0) {
        memcpy(&view_id, (const uint8_t *)call->request + call->method->view_offset,
               sizeof(view_id));
        views_touch(call->service->views, call->account_id, view_id);
    }
}

static void on_keys(void *arg, struct vy_err err, struct account_entry *entry)
{
    struct call *call = arg;

    call->is_busy = false;
    if (!vy_failed(err)) {
        err = actor_check_entry(entry, call->account_epoch);
    }
    if (!vy_failed(err) && call->is_cancelled) {
        err = vy_error(VY_CODE_CANCELLED, "caller is gone");
    }
    if (vy_failed(err)) {
        call_fail(call, err);
        return;
    }
    account_keys_ref(entry);
    call->entry = entry;
    touch_view(call);
    call_start_handler(call);
}

/* Of an account that is not in memory: what the group's own log knows needs no meta, which may be
 * out of reach just when a fence has come from it (design 6). */
static struct vy_err check_row_epoch(struct call *call)
{
    struct shard_log *log = call->service->config.replica;
    struct store_snapshot *snapshot = NULL;
    struct account_row row;
    bool found = false;

    if (account_keys_find(call->service->accounts, call->account_id) != NULL) {
        return vy_ok();
    }
    VY_TRY(log->ops->snapshot_open(log, &snapshot));
    const struct vy_err err =
        read_account(store_snapshot_reader(snapshot), &call->arena, call->account_id, &row, &found);
    store_snapshot_free(snapshot);
    VY_TRY(err);
    return found && call->account_epoch < row.epoch
               ? vy_error(VY_CODE_STALE, "account epoch is over")
               : vy_ok();
}

static void load_keys(struct call *call)
{
    call->account_id = call->actor->account_id;
    call->account_epoch = call->actor->account_epoch;
    const struct vy_err err = check_row_epoch(call);
    if (vy_failed(err)) {
        call_fail(call, err);
        return;
    }
    call->is_busy = true;
    account_keys_load(call->service->accounts, call->account_id, on_keys, call);
}

struct call *service_call_start(struct service *service, uint32_t method_id,
                                struct vy_bytes request, const uint8_t *idempotency_key,
                                const struct call_transport_ops *ops, void *transport)
{
    const struct call_method *method = service_find_method(method_id);
    bool ended = false;

    service->stats.calls++;
    if (method == NULL) {
        refuse(service, ops, transport, vy_error(VY_CODE_UNSUPPORTED, "unknown shard method"));
        return NULL;
    }
    struct call *call = service->stats.calls_open >= SERVICE_CALLS_MAX
                            ? NULL
                            : make_call(service, method, idempotency_key, ops, transport);
    if (call == NULL) {
        refuse(service, ops, transport, vy_error(VY_CODE_BUSY, "too many open calls"));
        return NULL;
    }
    call->ended = &ended;
    const struct vy_err err = admit(call, request);
    if (vy_failed(err)) {
        call_fail(call, err);
        return NULL;
    }
    if (call->actor == NULL) {
        call_start_handler(call);
    } else {
        load_keys(call);
    }
    if (ended) {
        return NULL;
    }
    call->ended = NULL;
    return call;
}

/* ---- what the carrier reports ---- */

void service_call_data(struct call *call, struct vy_bytes bytes)
{
    if (!call->is_started) {
        vy_buf_append(&call->early, bytes);
        return;
    }
    if (call->method->on_data != NULL) {
        call->method->on_data(call, bytes);
    } else {
        call->transport_ops->consumed(call->transport, bytes.len);
    }
}

void service_call_data_end(struct call *call)
{
    if (!call->is_started) {
        call->early_ended = true;
        return;
    }
    call->data_ended = true;
    if (call->method->on_data_end != NULL) {
        call->method->on_data_end(call);
    }
}

void service_call_writable(struct call *call)
{
    if (call->is_started && call->method->on_writable != NULL) {
        call->method->on_writable(call);
    }
}

void service_call_cancel(struct call *call)
{
    call->is_cancelled = true;
    if (call->is_started && call->method->on_cancel != NULL) {
        call->method->on_cancel(call);
    }
}

/* ---- what the group reports ---- */

void service_on_event(struct service *service, const struct fsm_event *event)
{
    switch (event->kind) {
    case FSM_EVENT_MAILBOX:
    case FSM_EVENT_LIST:
        watches_on_change(service->watches, event);
        break;
    case FSM_EVENT_FENCE:
        account_keys_fence(service->accounts, event->account_id, event->modseq);
        watches_on_fence(service->watches, event->account_id, event->modseq);
        if (event->is_erased) {
            views_drop_account(service->views, event->account_id);
            outlines_drop_account(service->outlines, event->account_id);
        }
        break;
    case FSM_EVENT_GONE:
        purger_note(service->purger, event);
        break;
    }
}

void service_on_events_lost(struct service *service)
{
    watches_end_all(service->watches, vy_error(VY_CODE_BUSY, "change feed is too far behind"));
    purger_on_lost(service->purger);
}

void service_on_installed(struct service *service)
{
    service_on_events_lost(service);
    account_keys_drop_all(service->accounts);
    views_clear(service->views);
    outlines_clear(service->outlines);
}

void service_on_account_change(struct service *service, uint64_t account_id, uint64_t epoch)
{
    account_keys_fence(service->accounts, account_id, epoch);
    watches_on_fence(service->watches, account_id, epoch);
}

void service_on_meta_leader(struct service *service)
{
    account_keys_drop_stale(service->accounts);
}

void service_on_leader(struct service *service, bool is_leader)
{
    if (!is_leader) {
        watches_end_all(service->watches, vy_error(VY_CODE_NOT_LEADER, "leadership moved"));
        views_clear(service->views);
        outlines_clear(service->outlines);
    }
    purger_on_leader(service->purger, is_leader);
    settler_on_leader(service->settler, is_leader);
}

const struct service_stats *service_stats(struct service *service)
{
    service->stats.views_open = views_count(service->views);
    return &service->stats;
}
