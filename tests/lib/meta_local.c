/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/meta_local.h"

#include "base/assert.h"
#include "meta/meta_private.h"
#include "meta/password.h"
#include "meta/tables.h"
#include "proto/password_prep.h"
#include "tests/lib/fault.h"
#include "tests/lib/test.h"
#include <stdio.h>
#include <stdlib.h>

#define REPLY_BYTES_MAX (8U * 1024 * 1024)

/* ---- a group that applies when asked ---- */

struct local_group {
    struct meta_group base;
    struct meta_local *local;
};

static struct meta_local *local_of(struct meta_group *group)
{
    return VY_CONTAINER_OF(group, struct local_group, base)->local;
}

struct local_commit {
    struct vy_list item;
    struct vy_buf command; /* while it is held */
    struct meta_local *local;
    replica_propose_fn callback;
    void *arg;
    struct vy_err err;
    struct vy_buf result;
    uint64_t index;
};

static void commit_tell(void *arg)
{
    struct local_commit *commit = arg;
    struct replica_fsm *fsm = &meta_get_fsm(commit->local->meta)->base;
    fsm->ops->on_applied(fsm, commit->index);
    commit->callback(commit->arg, commit->err, vy_buf_bytes(&commit->result));
    vy_buf_deinit(&commit->result);
    free(commit);
}

static void apply(struct meta_local *local, struct vy_bytes command, struct vy_buf *result)
{
    struct replica_fsm *fsm = &meta_get_fsm(local->meta)->base;
    const uint64_t now_ms = local->clock.wall_ms;
    local->last_ms = VY_MAX(local->last_ms, now_ms);
    const struct replica_entry_meta entry = {
        .index = ++local->index, .term = 1, .time_ms = local->last_ms, .version = 1};
    const struct vy_err err = fsm->ops->apply(fsm, local->txn, &entry, command, result);
    assert_int_equal(err.code, VY_CODE_OK);
    assert_false(vy_failed(txn_error(local->txn)));
    txn_entry_done(local->txn);
    assert_false(vy_failed(txn_commit(local->txn, false)));
}

void meta_local_apply(struct meta_local *local, const struct meta_command *command)
{
    VY_CLEANUP(vy_buf_deinit) struct vy_buf encoded;
    VY_CLEANUP(vy_buf_deinit) struct vy_buf result;
    vy_buf_init(&encoded, REPLICA_COMMAND_BYTES_MAX);
    vy_buf_init(&result, REPLICA_RESULT_BYTES_MAX);
    assert_false(vy_failed(vy_pb_encode(&meta_command_desc, command, &encoded)));
    apply(local, vy_buf_bytes(&encoded), &result);
}

static struct vy_err local_propose(struct meta_group *group, struct vy_bytes command, bool reserve,
                                   replica_propose_fn callback, void *arg)
{
    struct meta_local *local = local_of(group);
    (void)reserve;
    if (!local->is_leader) {
        return vy_error(VY_CODE_NOT_LEADER, "not the leader");
    }
    struct local_commit *commit = fault_safe_realloc(NULL, sizeof(*commit));
    *commit = (struct local_commit){.local = local, .callback = callback, .arg = arg};
    vy_buf_init(&commit->result, REPLICA_RESULT_BYTES_MAX);
    vy_list_init(&commit->item);
    vy_buf_init(&commit->command, REPLICA_COMMAND_BYTES_MAX);
    vy_buf_append(&commit->command, command);
    vy_list_push_back(&local->held, &commit->item);
    if (!local->is_holding) {
        meta_local_release(local);
    }
    return vy_ok();
}

static void release_one(struct meta_local *local, struct local_commit *commit)
{
    const struct vy_bytes command = vy_buf_bytes(&commit->command);
    const enum vy_code fault = local->fail_next_propose;
    local->fail_next_propose = VY_CODE_OK;
    if (fault == VY_CODE_OK || fault == VY_CODE_UNKNOWN) {
        apply(local, command, &commit->result);
    }
    if (fault != VY_CODE_OK) {
        commit->err = vy_error(fault, "as the test wants");
        vy_buf_reset(&commit->result);
    }
    commit->index = local->index;
    vy_buf_deinit(&commit->command);
    vy_loop_post(&local->loop.base, commit_tell, commit);
}

void meta_local_release(struct meta_local *local)
{
    struct vy_list *item = vy_list_pop_front(&local->held);
    local->is_holding = false;
    while (item != NULL) {
        release_one(local, VY_CONTAINER_OF(item, struct local_commit, item));
        item = vy_list_pop_front(&local->held);
    }
}

struct local_barrier {
    replica_read_fn callback;
    void *arg;
};

static void barrier_tell(void *arg)
{
    const struct local_barrier barrier = *(struct local_barrier *)arg;
    free(arg);
    barrier.callback(barrier.arg, vy_ok());
}

static struct vy_err local_barrier(struct meta_group *group, replica_read_fn callback, void *arg)
{
    struct meta_local *local = local_of(group);
    if (!local->is_leader) {
        return vy_error(VY_CODE_NOT_LEADER, "not the leader");
    }
    struct local_barrier *barrier = fault_safe_realloc(NULL, sizeof(*barrier));
    *barrier = (struct local_barrier){.callback = callback, .arg = arg};
    vy_loop_post(&local->loop.base, barrier_tell, barrier);
    return vy_ok();
}

static struct vy_err local_snapshot(struct meta_group *group, struct store_snapshot **out,
                                    uint64_t *applied_index)
{
    if (applied_index != NULL) {
        *applied_index = local_of(group)->index;
    }
    return store_snapshot_new(local_of(group)->store, out);
}

static const struct store_reader *local_newest(struct meta_group *group)
{
    return store_newest(local_of(group)->store);
}

static void local_expel(struct meta_group *group, uint64_t account_id, struct expel_report *out)
{
    const struct meta_local *local = local_of(group);
    (void)account_id;
    *out = (struct expel_report){.is_rewritten = !local->is_unexpelled,
                                 .is_cut = !local->is_unexpelled};
}

static void local_ask(void *arg, const struct meta_expel *what, meta_expel_fn done, void *done_arg)
{
    struct meta_local *local = arg;
    local->member_asked = what->member_id;
    (void)snprintf(local->member_address, sizeof(local->member_address), "%.*s",
                   VY_PRI(what->address));
    done(done_arg, local->member_err, &local->member_answer);
}
static const struct meta_expel_ops local_expel_ops = {.ask = local_ask};

static bool local_is_leader(struct meta_group *group)
{
    return local_of(group)->is_leader;
}

static bool local_leader_hint(struct meta_group *group, struct replica_member *out)
{
    *out = (struct replica_member){.id = 1, .address = "tcp://127.0.0.1:7070"};
    return local_of(group) != NULL;
}

static void local_get_status(struct meta_group *group, struct replica_status *out)
{
    *out = (struct replica_status){.role = REPLICA_ROLE_LEADER,
                                   .term = 1,
                                   .commit_index = local_of(group)->index,
                                   .applied_index = local_of(group)->index};
}

static void local_get_identity(struct meta_group *group, struct replica_identity *out)
{
    (void)group;
    *out = (struct replica_identity){
        .cluster_id = {1, 2, 3},
          .group_id = 1, .member_id = 1
    };
}

static size_t local_get_members(struct meta_group *group, struct replica_member *out,
                                size_t out_max)
{
    size_t count = out_max > 0 && local_leader_hint(group, out) ? 1 : 0;
    if (local_of(group)->added_member_id != 0 && count < out_max) {
        out[count++] = (struct replica_member){.id = local_of(group)->added_member_id,
                                               .address = "tcp://127.0.0.1:2"};
    }
    return count;
}

static void local_group_free(struct meta_group *group)
{
    free(VY_CONTAINER_OF(group, struct local_group, base));
}

static const struct meta_group_ops local_group_ops = {
    .propose = local_propose,
    .barrier = local_barrier,
    .snapshot = local_snapshot,
    .newest = local_newest,
    .expel = local_expel,
    .is_leader = local_is_leader,
    .leader_hint = local_leader_hint,
    .get_status = local_get_status,
    .get_identity = local_get_identity,
    .get_members = local_get_members,
    .free = local_group_free,
};

/* ---- life ---- */

static void open_store(struct meta_local *local)
{
    struct store_family families[REPLICA_FAMILY_FIRST + META_FAMILY_COUNT] = {
        [REPLICA_FAMILY_RAFT] = {.name = "raft"},
        [REPLICA_FAMILY_SYS] = {.name = "sys"},
        [REPLICA_FAMILY_IDEM] = {.name = "idem"}};
    for (size_t i = 0; i < META_FAMILY_COUNT; i++) {
        families[REPLICA_FAMILY_FIRST + i] = meta_families[i];
    }
    const struct store_options options = {.families = families,
                                          .family_count = VY_COUNT_OF(families)};
    assert_false(vy_failed(store_mem_disk_new(&local->disk)));
    assert_false(vy_failed(store_mem_open(local->disk, &options, &local->store)));
    assert_false(vy_failed(txn_new(local->store, &local->txn)));
}

static void build(struct meta_local *local, uint32_t scram_iterations,
                  const struct meta_fence_ops *fence, void *fence_arg)
{
    static const uint64_t group_ids[] = {META_LOCAL_GROUP_ID};
    const struct meta_config config = {.clock = &local->clock.base,
                                       .rng = &local->rng.base,
                                       .loop = &local->loop.base,
                                       .log = &local->log,
                                       .workers = local->workers,
                                       .key = local->key,
                                       .metrics = local->metrics,
                                       .fence = fence,
                                       .fence_arg = fence_arg,
                                       .expel = &local_expel_ops,
                                       .expel_arg = local,
                                       .group_ids = group_ids,
                                       .group_count = VY_COUNT_OF(group_ids),
                                       .scram_iterations =
                                           scram_iterations == 0 ? 4096 : scram_iterations};
    struct local_group *group = fault_safe_realloc(NULL, sizeof(*group));
    *group = (struct local_group){.base = {.ops = &local_group_ops}, .local = local};
    local->group = &group->base;
    assert_false(vy_failed(meta_new(&config, &local->meta)));
    meta_set_group(local->meta, &group->base);
    assert_false(vy_failed(meta_start(local->meta)));
}

void meta_local_need_second_admin(struct meta_local *local)
{
    local->meta->config.second_admin = true;
}

struct meta_local *meta_local_new(uint32_t scram_iterations, const struct meta_fence_ops *fence,
                                  void *fence_arg)
{
    uint8_t key[CLUSTER_KEY_BYTES];
    struct meta_local *local = fault_safe_realloc(NULL, sizeof(*local));
    *local = (struct meta_local){.index = 0};
    vy_list_init(&local->held);
    memset(key, 7, sizeof(key));
    fake_clock_init(&local->clock);
    fake_loop_init(&local->loop, &local->clock);
    fake_rng_init(&local->rng, 1);
    local->log = (struct vy_log){.clock = &local->clock.base, .level = VY_LOG_DEBUG};
    vy_arena_init(&local->arena, 2 * REPLY_BYTES_MAX);
    assert_false(vy_failed(cluster_key_new(key, &local->key)));
    assert_false(vy_failed(vy_metrics_new(&local->metrics)));
    assert_false(vy_failed(vy_workers_new(0, 64, &local->workers)));
    open_store(local);
    build(local, scram_iterations, fence, fence_arg);
    meta_local_set_leader(local, true);
    return local;
}

void meta_local_set_probe(struct meta_local *local, const struct meta_probe_ops *probe, void *arg)
{
    local->meta->config.probe = probe;
    local->meta->config.probe_arg = arg;
}

static void on_stopped(void *arg)
{
    *(bool *)arg = true;
}

void meta_local_free(struct meta_local *local)
{
    bool is_stopped = false;
    meta_stop(local->meta, on_stopped, &is_stopped);
    (void)fake_loop_run_posts(&local->loop);
    assert_true(is_stopped);
    meta_free(local->meta);
    vy_metrics_free(local->metrics);
    txn_free(local->txn);
    store_close(local->store);
    store_mem_disk_free(local->disk);
    vy_workers_free(local->workers);
    cluster_key_free(local->key);
    vy_arena_deinit(&local->arena);
    fake_loop_deinit(&local->loop);
    free(local);
}

void meta_local_set_leader(struct meta_local *local, bool is_leader)
{
    struct replica_fsm *fsm = &meta_get_fsm(local->meta)->base;
    local->is_leader = is_leader;
    fsm->ops->on_leader_change(fsm, is_leader, 1);
    (void)fake_loop_run_posts(&local->loop);
}

void meta_local_run_ms(struct meta_local *local, uint64_t ms)
{
    fake_loop_run_ms(&local->loop, ms);
}

/* ---- calls ---- */

struct answer {
    struct meta_local *local;
    bool is_there;
    struct vy_err err;
    struct vy_bytes reply;
};

static void on_reply(void *arg, struct vy_err err, const char *message, struct vy_bytes reply)
{
    struct answer *answer = arg;
    assert_false(answer->is_there);
    answer->is_there = true;
    answer->err = err;
    (void)snprintf(answer->local->message, sizeof(answer->local->message), "%s", message);
    if (!vy_failed(err)) {
        assert_false(vy_failed(vy_arena_dup(&answer->local->arena, reply, &answer->reply)));
    }
}

static struct vy_err finish(struct meta_local *local, const struct answer *answer,
                            struct vy_bytes *reply)
{
    (void)fake_loop_run_posts(&local->loop);
    assert_true(answer->is_there);
    if (!vy_failed(answer->err)) {
        *reply = answer->reply;
    }
    return answer->err;
}

struct vy_err meta_local_call_bytes(struct meta_local *local, uint32_t method,
                                    struct vy_bytes request, struct vy_bytes *reply)
{
    struct answer answer = {.local = local};
    const struct meta_peer peer = {.role = RPC_ROLE_ALL};
    vy_arena_reset(&local->arena);
    meta_service_call(local->meta, method, request, &peer, on_reply, &answer);
    return finish(local, &answer, reply);
}

struct vy_err meta_local_admin_bytes(struct meta_local *local, const struct vy_pb_method *method,
                                     struct vy_bytes request, struct vy_bytes *reply)
{
    struct answer answer = {.local = local};
    const struct meta_actor actor = {.kind = VY_LIT("operator"),
                                     .name = vy_cstr(local->actor == NULL ? "root" : local->actor),
                                     .peer = VY_LIT("unix")};
    vy_arena_reset(&local->arena);
    meta_admin_call(local->meta, method, request, &actor, on_reply, &answer);
    return finish(local, &answer, reply);
}

static void encode(const struct vy_pb_desc *desc, const void *message, struct vy_buf *out)
{
    vy_buf_init(out, REPLY_BYTES_MAX);
    assert_false(vy_failed(vy_pb_encode(desc, message, out)));
}

static void decode(struct meta_local *local, const struct vy_pb_desc *desc, struct vy_bytes bytes,
                   void *reply)
{
    assert_false(vy_failed(vy_pb_decode(desc, &local->arena, bytes, reply)));
}

struct vy_err meta_local_call(struct meta_local *local, uint32_t method,
                              const struct vy_pb_desc *request_desc, const void *request,
                              const struct vy_pb_desc *reply_desc, void *reply)
{
    struct vy_buf buf;
    struct vy_bytes bytes = {.len = 0};
    encode(request_desc, request, &buf);
    const struct vy_err err = meta_local_call_bytes(local, method, vy_buf_bytes(&buf), &bytes);
    vy_buf_deinit(&buf);
    if (!vy_failed(err)) {
        decode(local, reply_desc, bytes, reply);
    }
    return err;
}

struct vy_err meta_local_admin(struct meta_local *local, const char *service, const char *name,
                               const void *request, void *reply)
{
    char full[96];
    struct vy_buf buf;
    struct vy_bytes bytes = {.len = 0};
    (void)snprintf(full, sizeof(full), "volary.admin.v1.%s", service);
    const struct vy_pb_method *method = meta_admin_find_method(vy_cstr(full), vy_cstr(name));
    assert_non_null(method);
    encode(method->request, request, &buf);
    const struct vy_err err = meta_local_admin_bytes(local, method, vy_buf_bytes(&buf), &bytes);
    vy_buf_deinit(&buf);
    if (!vy_failed(err)) {
        decode(local, method->reply, bytes, reply);
    }
    return err;
}

/* ---- shorthands ---- */

void meta_local_add_domain(struct meta_local *local, const char *name, const char *catch_all)
{
    const struct admin_create_domain_request request = {
        .name = vy_cstr(name), .catch_all = vy_cstr(catch_all == NULL ? "" : catch_all)};
    struct admin_domain reply;
    assert_false(
        vy_failed(meta_local_admin(local, "DomainService", "CreateDomain", &request, &reply)));
}

uint64_t meta_local_add_account(struct meta_local *local, const char *address, const char *password,
                                char *out_password, size_t out_bytes)
{
    const struct admin_create_account_request request = {
        .account = vy_cstr(address), .password = vy_cstr(password == NULL ? "" : password)};
    struct admin_create_account_reply reply;
    uint64_t id = 0;
    assert_false(
        vy_failed(meta_local_admin(local, "AccountService", "CreateAccount", &request, &reply)));
    assert_true(vy_parse_u64(reply.id, &id));
    if (out_password != NULL) {
        (void)snprintf(out_password, out_bytes, "%.*s", VY_PRI(reply.password));
    }
    return id;
}

void meta_local_add_alias(struct meta_local *local, const char *alias, const char *target)
{
    const struct vy_bytes targets[] = {vy_cstr(target)};
    const struct admin_create_alias_request request = {
        .alias = vy_cstr(alias), .targets_count = 1, .targets = targets};
    struct admin_alias reply;
    assert_false(
        vy_failed(meta_local_admin(local, "AliasService", "CreateAlias", &request, &reply)));
}

struct vy_err meta_local_login(struct meta_local *local, const char *name, const char *password,
                               enum login_protocol protocol, struct login_reply *reply)
{
    const struct login_context context = {.protocol = protocol,
                                          .mechanism = LOGIN_MECHANISM_PLAIN,
                                          .typed_name = vy_cstr(name),
                                          .remote_ip = VY_LIT("192.0.2.1")};
    return meta_local_login_as(local, &context, password, reply);
}

struct vy_err meta_local_login_as(struct meta_local *local, const struct login_context *context,
                                  const char *password, struct login_reply *reply)
{
    uint8_t hash[32];
    uint8_t tag[PASSWORD_TAG_BYTES];
    uint8_t challenge[1024];
    struct vy_arena arena;
    struct vy_bytes prepared = {.len = 0};
    vy_arena_init(&arena, 64U * 1024);
    assert_false(vy_failed(password_prepare(&arena, vy_cstr(password), &prepared)));
    password_hash(prepared, hash);
    struct login_request request = {.context = context,
                                    .password_hash = vy_bytes(hash, sizeof(hash))};
    struct vy_err err = meta_local_call(local, METHOD_META_LOGIN, &login_request_desc, &request,
                                        &login_reply_desc, reply);
    if (!vy_failed(err) && reply->result == LOGIN_RESULT_NEED_ARGON2) {
        assert_true(reply->challenge.len <= sizeof(challenge));
        memcpy(challenge, reply->challenge.data, reply->challenge.len);
        assert_false(vy_failed(password_argon2(prepared, reply->salt, tag)));
        request = (struct login_request){.context = context,
                                         .password_hash = vy_bytes(hash, sizeof(hash)),
                                         .argon2_tag = vy_bytes(tag, sizeof(tag)),
                                         .challenge = vy_bytes(challenge, reply->challenge.len)};
        err = meta_local_call(local, METHOD_META_LOGIN, &login_request_desc, &request,
                              &login_reply_desc, reply);
    }
    vy_arena_deinit(&arena);
    return err;
}
