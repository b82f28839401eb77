/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/shard_local.h"
#include "base/assert.h"
#include "proto/session_token.h"
#include "replica/replica.h"
#include "tests/lib/test.h"
#include <stdlib.h>

#define RESULT_BYTES_MAX (4U * 1024U * 1024U)
#define ARENA_BYTES_MAX (256U * 1024U * 1024U)
#define STREAM_BYTES_MAX (128U * 1024U * 1024U)
#define PIECE_BYTES 60000U /* of a request stream, as a link would bring it */

/* ---- the log: a group of one ---- */

struct local_proposal {
    struct shard_local *local;
    struct vy_buf command;
    struct vy_buf payloads; /* key length u8, key, value length u32, value */
    shard_log_done_fn done;
    void *arg;
    enum vy_code fail;
    struct vy_list list;
};

static struct shard_local *local_of(struct shard_log *log)
{
    return VY_CONTAINER_OF(log, struct shard_local, log);
}

static void put_payloads(struct shard_local *local, struct vy_bytes bytes)
{
    while (bytes.len > 0) {
        const size_t key_len = bytes.data[0];
        const struct vy_bytes key = vy_bytes_slice(bytes, 1, key_len);
        const size_t value_len = vy_get_be32(bytes.data + 1 + key_len);
        shard_machine_put_payload(&local->machine, key,
                                  vy_bytes_slice(bytes, 5 + key_len, value_len));
        bytes = vy_bytes_from(bytes, 5 + key_len + value_len);
    }
}

static void apply_proposal(void *arg)
{
    struct local_proposal *proposal = arg;
    struct shard_local *local = proposal->local;
    struct vy_err err = vy_ok();
    VY_CLEANUP(vy_buf_deinit) struct vy_buf result;

    vy_buf_init(&result, RESULT_BYTES_MAX);
    vy_list_remove(&proposal->list);
    if (!local->is_leader) {
        err = vy_error(VY_CODE_NOT_LEADER, "test");
    } else if (proposal->fail == VY_CODE_OK || proposal->fail == VY_CODE_UNKNOWN) {
        local->machine.time_ms = VY_MAX(local->machine.time_ms, local->clock.wall_ms);
        put_payloads(local, vy_buf_bytes(&proposal->payloads));
        err = shard_machine_apply_bytes(&local->machine, vy_buf_bytes(&proposal->command), &result);
        assert_false(vy_failed(err));
    }
    if (proposal->fail != VY_CODE_OK) {
        err = vy_error(proposal->fail, "fault of the test");
    }
    proposal->done(proposal->arg, err, vy_buf_bytes(&result));
    vy_buf_deinit(&proposal->command);
    vy_buf_deinit(&proposal->payloads);
    free(proposal);
}

static void local_propose(struct shard_log *log, const struct shard_proposal *given,
                          shard_log_done_fn done, void *arg)
{
    struct shard_local *local = local_of(log);
    struct local_proposal *proposal = calloc(1, sizeof(*proposal));

    assert_non_null(proposal);
    *proposal = (struct local_proposal){.local = local, .done = done, .arg = arg};
    proposal->fail = local->fail_next_propose;
    local->fail_next_propose = VY_CODE_OK;
    local->proposal_count++;
    vy_buf_init(&proposal->command, SHARD_COMMAND_BYTES_MAX);
    vy_buf_init(&proposal->payloads, REPLICA_PROPOSAL_BYTES_MAX);
    vy_buf_append(&proposal->command, given->command);
    for (size_t i = 0; i < given->payload_count; i++) {
        const struct shard_payload *payload = &given->payloads[i];
        assert_true(payload->value.len >= REPLICA_PAYLOAD_BYTES_MIN);
        assert_true(payload->value.len <= REPLICA_PAYLOAD_BYTES_MAX);
        vy_buf_append_byte(&proposal->payloads, (uint8_t)payload->key.len);
        vy_buf_append(&proposal->payloads, payload->key);
        vy_buf_append_be32(&proposal->payloads, (uint32_t)payload->value.len);
        vy_buf_append(&proposal->payloads, payload->value);
    }
    assert_false(vy_failed(vy_buf_error(&proposal->command)));
    assert_false(vy_failed(vy_buf_error(&proposal->payloads)));
    vy_list_init(&proposal->list);
    if (local->is_holding) {
        vy_list_push_back(&local->proposals, &proposal->list);
    } else {
        vy_loop_post(&local->loop.base, apply_proposal, proposal);
    }
}

void shard_local_release(struct shard_local *local)
{
    while (!vy_list_is_empty(&local->proposals)) {
        struct vy_list *item = vy_list_pop_front(&local->proposals);
        vy_loop_post(&local->loop.base, apply_proposal,
                     VY_CONTAINER_OF(item, struct local_proposal, list));
    }
    shard_local_run(local);
}

struct local_barrier {
    struct shard_local *local;
    shard_log_ready_fn ready;
    void *arg;
};

static void pass_barrier(void *arg)
{
    struct local_barrier *barrier = arg;
    const struct vy_err err =
        barrier->local->is_leader ? vy_ok() : vy_error(VY_CODE_NOT_LEADER, "another member leads");

    barrier->ready(barrier->arg, err);
    free(barrier);
}

static void local_read_barrier(struct shard_log *log, shard_log_ready_fn ready, void *arg)
{
    struct local_barrier *barrier = malloc(sizeof(*barrier));

    assert_non_null(barrier);
    *barrier = (struct local_barrier){.local = local_of(log), .ready = ready, .arg = arg};
    vy_loop_post(&barrier->local->loop.base, pass_barrier, barrier);
}

static bool local_is_leader(struct shard_log *log)
{
    return local_of(log)->is_leader;
}

static void local_status(struct shard_log *log, struct shard_log_status *out)
{
    const struct shard_local *local = local_of(log);

    *out = (struct shard_log_status){.is_leader = local->is_leader,
                                     .term = 1,
                                     .commit_index = local->machine.applied,
                                     .applied_index = local->machine.applied};
}

static const char *local_leader_hint(struct shard_log *log)
{
    return local_of(log)->is_leader ? NULL : "node-2";
}

static struct vy_err local_snapshot(struct shard_log *log, struct store_snapshot **out)
{
    return store_snapshot_new(local_of(log)->machine.store, out);
}

/* Done when it is asked for the second time: there are no files. */
static void local_expel(struct shard_log *log, uint64_t account_id, struct expel_report *out)
{
    struct shard_local *local = local_of(log);

    *out = (struct expel_report){.is_cut = local->expelled_account_id == account_id,
                                 .is_rewritten = local->expelled_account_id == account_id};
    local->expelled_account_id = account_id;
}

static const struct shard_log_ops local_log_ops = {
    .propose = local_propose,
    .read_barrier = local_read_barrier,
    .is_leader = local_is_leader,
    .status = local_status,
    .leader_hint = local_leader_hint,
    .snapshot_open = local_snapshot,
    .expel = local_expel,
};

/* ---- meta: every account has a key of its own id ---- */

static void local_account_key(void *meta, uint64_t account_id, shard_meta_key_fn done, void *arg)
{
    struct shard_local *local = meta;
    uint8_t account_key[ACCOUNT_KEY_BYTES];
    uint8_t nonce[12] = {1};
    uint8_t wrapped[WRAPPED_KEY_BYTES];

    local->key_requests++;
    if (local->is_meta_away) {
        done(arg, vy_error(VY_CODE_UNAVAILABLE, "meta is away"), NULL);
        return;
    }
    if (account_id == local->unknown_account_id) {
        done(arg, vy_error(VY_CODE_NOT_FOUND, "no such account"), NULL);
        return;
    }
    memset(account_key, (int)(account_id & 0x7f), sizeof(account_key));
    assert_false(vy_failed(cluster_key_wrap(local->key, account_id, nonce, account_key, wrapped)));
    const struct account_key_reply reply = {
        .wrapped_key = vy_bytes(wrapped, sizeof(wrapped)),
        .account_epoch = 1,
        .state = ACCOUNT_STATE_ACTIVE,
        .quota_bytes = local->quota_bytes,
    };
    done(arg, vy_ok(), &reply);
}

static const struct shard_meta_ops local_meta_ops = {.account_key = local_account_key};

/* ---- life ---- */

static void on_fsm_event(void *arg, const struct fsm_event *event)
{
    struct shard_local *local = arg;

    service_on_event(local->service, event);
}

struct shard_local *shard_local_new(void)
{
    return shard_local_new_group(2, NULL, NULL);
}

struct shard_local *shard_local_new_group(uint64_t group_id, const struct shard_peer_ops *peer_ops,
                                          void *peers)
{
    static const uint8_t key_bytes[CLUSTER_KEY_BYTES] = {7, 7, 7};
    struct shard_local *local = calloc(1, sizeof(*local));

    assert_non_null(local);
    shard_machine_init(&local->machine);
    fake_clock_init(&local->clock);
    fake_loop_init(&local->loop, &local->clock);
    fake_rng_init(&local->rng, 42);
    vy_list_init(&local->proposals);
    vy_arena_init(&local->arena, ARENA_BYTES_MAX);
    local->log.ops = &local_log_ops;
    assert_false(vy_failed(cluster_key_new(key_bytes, &local->key)));
    assert_false(vy_failed(vy_workers_new(0, 1024, &local->workers)));
    const struct service_config config = {
        .loop = &local->loop.base,
        .workers = local->workers,
        .rng = &local->rng.base,
        .clock = &local->clock.base,
        .log = &local->vy_log,
        .replica = &local->log,
        .cluster_key = local->key,
        .meta_ops = &local_meta_ops,
        .meta = local,
        .peer_ops = peer_ops,
        .peers = peers,
        .group_id = group_id,
        .member_id = 77,
        .hash_seed = 3,
    };
    assert_false(vy_failed(service_new(&config, &local->service)));
    local->machine.on_event = on_fsm_event;
    local->machine.on_event_arg = local;
    shard_local_set_leader(local, true);
    return local;
}

void shard_local_free(struct shard_local *local)
{
    shard_local_run(local);
    service_free(local->service);
    vy_workers_free(local->workers);
    cluster_key_free(local->key);
    vy_arena_deinit(&local->arena);
    fake_loop_deinit(&local->loop);
    shard_machine_deinit(&local->machine);
    free(local);
}

void shard_local_set_leader(struct shard_local *local, bool is_leader)
{
    local->is_leader = is_leader;
    service_on_leader(local->service, is_leader);
}

void shard_local_run(struct shard_local *local)
{
    fake_loop_run_posts(&local->loop);
}

const struct shard_actor *shard_local_actor(struct shard_local *local, uint64_t account_id,
                                            uint64_t epoch)
{
    struct shard_actor *actor = VY_ARENA_NEW(&local->arena, struct shard_actor);
    const struct session_claims claims = {
        .account_id = account_id,
        .account_epoch = epoch,
        .expires_ms = local->clock.wall_ms + 86400000,
    };
    VY_CLEANUP(vy_buf_deinit) struct vy_buf token;

    assert_non_null(actor);
    vy_buf_init(&token, SESSION_TOKEN_BYTES_MAX);
    assert_false(vy_failed(session_token_seal(local->key, &claims, &token)));
    *actor = (struct shard_actor){.account_id = account_id, .account_epoch = epoch};
    assert_false(
        vy_failed(vy_arena_dup(&local->arena, vy_buf_bytes(&token), &actor->session_token)));
    return actor;
}

/* ---- calls ---- */

static size_t take_stream(void *transport, struct vy_bytes bytes)
{
    struct shard_local_call *call = transport;
    const size_t taken = VY_MIN(bytes.len, call->credit);

    assert_false(call->is_ended);
    vy_buf_append(&call->stream, vy_bytes_slice(bytes, 0, taken));
    call->credit -= taken;
    return taken;
}

static void take_consumed(void *transport, size_t count)
{
    struct shard_local_call *call = transport;

    call->consumed += count;
}

static void take_reply(void *transport, struct vy_bytes reply)
{
    struct shard_local_call *call = transport;

    assert_false(call->is_ended);
    vy_buf_append(&call->reply, reply);
    call->is_ended = true;
    call->call = NULL;
}

static void take_failure(void *transport, struct vy_err err, const char *leader_hint,
                         uint32_t retry_after_ms)
{
    struct shard_local_call *call = transport;

    (void)leader_hint;
    (void)retry_after_ms;
    assert_false(call->is_ended);
    assert_true(vy_failed(err));
    call->err = err;
    call->is_ended = true;
    call->call = NULL;
}

static const struct call_transport_ops local_transport = {
    .send = take_stream,
    .consumed = take_consumed,
    .reply = take_reply,
    .fail = take_failure,
};

const struct call_transport_ops *shard_local_transport(void)
{
    return &local_transport;
}

void shard_local_begin(struct shard_local *local, struct shard_local_call *call, uint32_t method,
                       const uint8_t *idempotency_key, const void *request)
{
    const struct call_method *row = service_find_method(method);
    VY_CLEANUP(vy_buf_deinit) struct vy_buf encoded;

    assert_non_null(row);
    *call = (struct shard_local_call){.local = local, .credit = SIZE_MAX};
    vy_buf_init(&call->reply, STREAM_BYTES_MAX);
    vy_buf_init(&call->stream, STREAM_BYTES_MAX);
    vy_buf_init(&encoded, STREAM_BYTES_MAX);
    assert_false(vy_failed(vy_pb_encode(row->request_desc, request, &encoded)));
    struct call *started = service_call_start(local->service, method, vy_buf_bytes(&encoded),
                                              idempotency_key, &local_transport, call);
    assert_true((started == NULL) == call->is_ended);
    call->call = started;
}

static void send_body(struct shard_local_call *call, struct vy_bytes body)
{
    while (body.len > 0 && !call->is_ended) {
        service_call_data(call->call, vy_bytes_slice(body, 0, PIECE_BYTES));
        body = vy_bytes_from(body, VY_MIN(body.len, (size_t)PIECE_BYTES));
        shard_local_run(call->local);
    }
    if (!call->is_ended) {
        service_call_data_end(call->call);
    }
}

struct vy_err shard_local_call(struct shard_local *local, uint32_t method,
                               const uint8_t *idempotency_key, const void *request,
                               struct vy_bytes body, void *reply, struct vy_buf *stream)
{
    struct shard_local_call call;
    struct vy_bytes copy;

    shard_local_begin(local, &call, method, idempotency_key, request);
    send_body(&call, body);
    shard_local_run(local);
    assert_true(call.is_ended);
    if (stream != NULL) {
        vy_buf_append(stream, vy_buf_bytes(&call.stream));
    }
    if (!vy_failed(call.err) && reply != NULL) {
        assert_false(vy_failed(vy_arena_dup(&local->arena, vy_buf_bytes(&call.reply), &copy)));
        assert_false(vy_failed(
            vy_pb_decode(service_find_method(method)->reply_desc, &local->arena, copy, reply)));
    }
    const struct vy_err err = call.err;
    shard_local_end(&call);
    return err;
}

void shard_local_end(struct shard_local_call *call)
{
    if (!call->is_ended) {
        service_call_cancel(call->call);
        shard_local_run(call->local);
    }
    assert_true(call->is_ended);
    vy_buf_deinit(&call->reply);
    vy_buf_deinit(&call->stream);
}
