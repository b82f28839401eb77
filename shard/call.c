/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/call.h"
#include "base/assert.h"
#include "replica/replica.h"
#include "shard/read.h"
#include "shard/service_private.h"
#include <stdlib.h>

/* ---- ends ---- */

void call_free(struct call *call)
{
    struct service *service = call->service;

    VY_ASSERT(!call->is_busy);
    if (call->method->on_end != NULL) {
        call->method->on_end(call);
    }
    store_snapshot_free(call->snapshot);
    account_keys_unref(service->accounts, call->entry);
    if (call->ended != NULL) {
        *call->ended = true;
    }
    vy_buf_deinit(&call->early);
    vy_buf_deinit(&call->command);
    vy_arena_deinit(&call->arena);
    vy_list_remove(&call->list);
    service->stats.calls_open--;
    free(call);
}

void call_reply_bytes(struct call *call, struct vy_bytes reply)
{
    call->transport_ops->reply(call->transport, reply);
    call_free(call);
}

void call_reply(struct call *call, const void *reply)
{
    VY_CLEANUP(vy_buf_deinit) struct vy_buf encoded;

    vy_buf_init(&encoded, CALL_REPLY_BYTES_MAX);
    const struct vy_err err = vy_pb_encode(call->method->reply_desc, reply, &encoded);
    if (vy_failed(err)) {
        call_fail(call, err);
        return;
    }
    call_reply_bytes(call, vy_buf_bytes(&encoded));
}

/* The trace that the frontend began leads from its log line to this one. */
static void log_failure(const struct call *call, struct vy_err err)
{
    const struct call_transport_ops *ops = call->transport_ops;
    const uint8_t *trace = ops->trace_id == NULL ? NULL : ops->trace_id(call->transport);
    uint64_t account_id = call->account_id;
    size_t account_count = account_id == 0 ? 0 : 1;

    if (call->method->request_desc == &message_deliver_request_desc && call->request != NULL) {
        const struct message_deliver_request *request = call->request;
        account_count = request->recipients_count;
        account_id = account_count == 0 ? 0 : request->recipients[0].account_id;
    }
    vy_log(call->service->config.log, VY_LOG_ERROR, "shard.call.failed", VY_ID("trace", trace),
           VY_CSTR("rpc.method", call->method->name), VY_HEX("shard.account", account_id),
           VY_U64("shard.accounts", account_count), VY_LOG_ERR(err));
}

void call_fail(struct call *call, struct vy_err err)
{
    struct shard_log *replica = call->service->config.replica;
    const char *hint = err.code == VY_CODE_NOT_LEADER ? replica->ops->leader_hint(replica) : NULL;

    call->service->stats.calls_failed++;
    if (err.code == VY_CODE_CORRUPT || err.code == VY_CODE_INTERNAL || err.code == VY_CODE_IO) {
        log_failure(call, err);
    }
    call->transport_ops->fail(call->transport, err, hint,
                              err.code == VY_CODE_BUSY ? CALL_RETRY_AFTER_MS : 0);
    call_free(call);
}

void call_refuse(struct call *call, const struct shard_result *result, const char *what)
{
    call_fail(call, vy_error(shard_code_to_vy(result->code), what));
}

const struct store_reader *call_reader(const struct call *call)
{
    VY_ASSERT(call->snapshot != NULL);
    return store_snapshot_reader(call->snapshot);
}

const struct seal_keys *call_keys(const struct call *call)
{
    VY_ASSERT(call->entry != NULL);
    return call->entry->keys;
}

/* ---- begin ---- */

void call_start_handler(struct call *call)
{
    bool *const outer = call->ended;
    bool ended = false;

    call->ended = &ended;
    call->is_started = true;
    call->method->start(call);
    /* What came while the keys were fetched. */
    if (!ended && vy_failed(vy_buf_error(&call->early))) {
        call_fail(call, vy_error(VY_CODE_LIMIT, "stream began before its call"));
    }
    if (!ended && vy_buf_len(&call->early) > 0) {
        service_call_data(call, vy_buf_bytes(&call->early));
    }
    if (!ended && call->early_ended) {
        service_call_data_end(call);
    }
    if (ended) {
        if (outer != NULL) {
            *outer = true;
        }
        return;
    }
    vy_buf_deinit(&call->early);
    call->ended = outer;
}

/* ---- first use of an account in this group ---- */

static void repeat_step(struct call *call);

static void on_init_done(void *arg, struct vy_err err, struct vy_bytes result)
{
    struct call *call = arg;

    (void)result; /* refused or not, the step that needed it finds out */
    call->is_busy = false;
    if (vy_failed(err)) {
        call_fail(call, err);
        return;
    }
    repeat_step(call);
}

static void propose_init(struct call *call)
{
    struct shard_log *replica = call->service->config.replica;
    struct shard_command command;
    VY_CLEANUP(vy_buf_deinit) struct vy_buf encoded;

    vy_buf_init(&encoded, SHARD_COMMAND_BYTES_MAX);
    if (call->entry == NULL || call->init_tries++ >= CALL_INIT_TRIES_MAX) {
        call_fail(call, vy_error(VY_CODE_UNAVAILABLE, "set up account"));
        return;
    }
    struct vy_err err = account_init_build(call->service, &call->arena, call->entry, &command);
    if (!vy_failed(err)) {
        err = vy_pb_encode(&shard_command_desc, &command, &encoded);
    }
    if (vy_failed(err)) {
        call_fail(call, err);
        return;
    }
    const struct shard_proposal proposal = {.command = vy_buf_bytes(&encoded), .reserve = true};
    call->is_busy = true;
    replica->ops->propose(replica, &proposal, on_init_done, call);
}

/* ---- propose ---- */

static void on_proposed(void *arg, struct vy_err err, struct vy_bytes bytes);

static void send_proposal(struct call *call)
{
    struct shard_log *replica = call->service->config.replica;
    const struct shard_proposal proposal = {
        .command = vy_buf_bytes(&call->command),
        .payloads = call->payloads,
        .payload_count = call->payload_count,
        .reserve = call->brings_no_mail,
    };

    call->is_busy = true;
    call->is_reading = false;
    replica->ops->propose(replica, &proposal, on_proposed, call);
}

static void on_proposed(void *arg, struct vy_err err, struct vy_bytes bytes)
{
    struct call *call = arg;
    struct shard_result result;

    call->is_busy = false;
    if (!vy_failed(err)) {
        err = vy_pb_decode(&shard_result_desc, &call->arena, bytes, &result);
    }
    if (vy_failed(err)) {
        call_fail(call, err);
        return;
    }
    /* Deliveries have no one account: their handler sets up those that need it. */
    if (result.code == SHARD_CODE_NO_INIT && call->entry != NULL) {
        propose_init(call);
        return;
    }
    call->on_result(call, &result);
}

/* Long chunks go beside the command, short ones in it. */
static struct vy_err split_payloads(struct call *call, struct shard_command *command,
                                    const struct shard_payload *payloads, size_t count)
{
    call->payloads = NULL;
    call->payload_count = 0;
    if (count == 0) {
        return vy_ok();
    }
    struct shard_payload *const apart = VY_ARENA_ARRAY(&call->arena, count, struct shard_payload);
    struct body_row *const inside = VY_ARENA_ARRAY(&call->arena, count, struct body_row);
    if (apart == NULL || inside == NULL) {
        return vy_error(VY_CODE_LIMIT, "gather body chunks");
    }
    for (size_t i = 0; i < count; i++) {
        if (payloads[i].value.len >= REPLICA_PAYLOAD_BYTES_MIN) {
            apart[call->payload_count++] = payloads[i];
        } else {
            inside[command->bodies_count++] =
                (struct body_row){.key = payloads[i].key, .value = payloads[i].value};
        }
    }
    command->bodies = inside;
    call->payloads = apart;
    return vy_ok();
}

void call_propose(struct call *call, struct shard_command *command,
                  const struct shard_payload *payloads, size_t payload_count,
                  call_result_fn on_result)
{
    command->version = SHARD_COMMAND_VERSION;
    if (command->account_id == 0) {
        command->account_id = call->account_id;
        command->account_epoch = call->account_epoch;
    }
    if (call->has_key) {
        command->idempotency_key = vy_bytes(call->idempotency_key, sizeof(call->idempotency_key));
    }
    call->brings_no_mail = command->append == NULL && command->deliver == NULL &&
                           command->stage == NULL && command->hold == NULL;
    vy_buf_reset(&call->command);
    struct vy_err err = split_payloads(call, command, payloads, payload_count);
    if (!vy_failed(err)) {
        err = vy_pb_encode(&shard_command_desc, command, &call->command);
    }
    if (vy_failed(err)) {
        call_fail(call, err);
        return;
    }
    call->on_result = on_result;
    send_proposal(call);
}

/* ---- read ---- */

void call_close_snapshot(struct call *call)
{
    store_snapshot_free(call->snapshot);
    call->snapshot = NULL;
}

static struct vy_err check_account_row(struct call *call)
{
    struct account_row row;
    bool found = false;

    VY_TRY(read_account(call_reader(call), &call->arena, call->account_id, &row, &found));
    if (found && row.erased) {
        return vy_error(VY_CODE_STALE, "account is erased");
    }
    if (!found || row.inbox_id == 0) {
        call->needs_init = true;
        return vy_error(VY_CODE_UNAVAILABLE, "account is not set up");
    }
    return call->account_epoch < row.epoch ? vy_error(VY_CODE_STALE, "account epoch is over")
                                           : vy_ok();
}

static struct vy_err open_and_check(struct call *call)
{
    struct shard_log *replica = call->service->config.replica;

    if (call->snapshot == NULL) {
        VY_TRY(replica->ops->snapshot_open(replica, &call->snapshot));
    }
    return call->entry == NULL ? vy_ok() : check_account_row(call);
}

/* @thread a worker */
static void run_work(void *arg)
{
    struct call *call = arg;

    call->needs_init = false;
    call->work_err = vy_ok();
    if (call->is_reading) {
        call->work_err = open_and_check(call);
    }
    if (!vy_failed(call->work_err)) {
        call->work_err = call->work(call);
    }
}

static void work_done(void *arg)
{
    struct call *call = arg;

    call->is_busy = false;
    if (call->needs_init) {
        call_close_snapshot(call);
        propose_init(call);
        return;
    }
    if (vy_failed(call->work_err)) {
        call_fail(call, call->work_err);
        return;
    }
    call->on_done(call);
}

static void submit_work(struct call *call)
{
    const struct service_config *config = &call->service->config;

    call->is_busy = true;
    const struct vy_err err =
        vy_workers_submit(config->workers, config->loop, run_work, work_done, call);
    if (vy_failed(err)) {
        call->is_busy = false;
        call_fail(call, err);
    }
}

static void on_read_ready(void *arg, struct vy_err err)
{
    struct call *call = arg;

    call->is_busy = false;
    if (vy_failed(err)) {
        call_fail(call, err);
        return;
    }
    submit_work(call);
}

static void start_read(struct call *call)
{
    struct shard_log *replica = call->service->config.replica;

    call->is_busy = true;
    replica->ops->read_barrier(replica, on_read_ready, call);
}

void call_read(struct call *call, call_work_fn work, call_step_fn done)
{
    /* A read step begins with what is committed now, not with what an earlier step of the call saw.
     */
    call_close_snapshot(call);
    call->work = work;
    call->on_done = done;
    call->is_reading = true;
    start_read(call);
}

void call_read_applied(struct call *call, call_work_fn work, call_step_fn done)
{
    call_close_snapshot(call);
    call->work = work;
    call->on_done = done;
    call->is_reading = true;
    submit_work(call);
}

void call_work(struct call *call, call_work_fn work, call_step_fn done)
{
    call->work = work;
    call->on_done = done;
    call->is_reading = false;
    submit_work(call);
}

static void repeat_step(struct call *call)
{
    if (call->is_reading) {
        start_read(call);
    } else {
        send_proposal(call);
    }
}
