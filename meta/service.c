/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/meta_private.h"

#include "meta/directory.h"
#include "meta/names.h"
#include "proto/shard.pb.h"

/* ---- recipients ---- */

struct resolve {
    struct vy_bytes address; /* canonical */
    struct resolve_reply reply;
};

static void resolve_answer(struct meta_call *call)
{
    const struct resolve *resolve = call->state;
    meta_metrics_count_resolve(&call->meta->metrics, resolve->reply.result);
    meta_call_reply(call, &resolve->reply);
}

static void resolve_on_worker(struct meta_call *call)
{
    struct resolve *resolve = call->state;
    const struct meta_view view = meta_call_snapshot_view(call);
    call->err = directory_resolve(&view, resolve->address, &resolve->reply);
}

/* Almost all addresses are accounts: a few rows, read here. Aliases may be a thousand. */
static void resolve_now(struct meta_call *call)
{
    struct resolve *resolve = call->state;
    const struct meta_view view = meta_call_view(call);
    struct directory_entry entry;
    struct vy_err err = directory_lookup(&view, resolve->address, &entry);
    if (!vy_failed(err) && entry.kind == DIRECTORY_ALIAS) {
        meta_call_run(call, resolve_on_worker, resolve_answer);
        return;
    }
    if (!vy_failed(err)) {
        err = directory_resolve_entry(&view, &entry, &resolve->reply);
    }
    if (vy_failed(err)) {
        meta_call_fail(call, err);
        return;
    }
    resolve_answer(call);
}

void resolve_call_start(struct meta_call *call)
{
    const struct resolve_request *request = call->message;
    struct resolve *resolve = VY_ARENA_NEW(&call->arena, struct resolve);
    if (resolve == NULL) {
        meta_call_fail(call, vy_error(VY_CODE_LIMIT, "memory for an address"));
        return;
    }
    call->state = resolve;
    call->meta->stats.resolves++;
    const struct vy_err err =
        names_canonical_address(&call->arena, request->address, &resolve->address);
    if (vy_failed(err)) {
        meta_call_fail(call, err);
        return;
    }
    if (!request->fresh) {
        resolve_now(call); /* any member; at most as old as its own log */
        return;
    }
    if (!meta_call_needs_leader(call)) {
        meta_call_barrier(call, resolve_now);
    }
}

struct sender_check {
    struct vy_bytes address;
    bool is_allowed;
};

static void sender_answer(struct meta_call *call)
{
    const struct sender_check *check = call->state;
    const struct sender_check_reply reply = {.allowed = check->is_allowed};
    meta_call_reply(call, &reply);
}

static void sender_on_worker(struct meta_call *call)
{
    const struct sender_check_request *request = call->message;
    struct sender_check *check = call->state;
    const struct meta_view view = meta_call_snapshot_view(call);
    call->err = directory_may_send(&view, request->account_id, check->address, &check->is_allowed);
}

void sender_call_start(struct meta_call *call)
{
    const struct sender_check_request *request = call->message;
    struct sender_check *check = VY_ARENA_NEW(&call->arena, struct sender_check);
    if (check == NULL) {
        meta_call_fail(call, vy_error(VY_CODE_LIMIT, "memory for an address"));
        return;
    }
    call->state = check;
    const struct vy_err err =
        names_canonical_address(&call->arena, request->address, &check->address);
    if (err.code == VY_CODE_ARGUMENT) {
        sender_answer(call); /* no address of ours: not allowed */
    } else if (vy_failed(err)) {
        meta_call_fail(call, err);
    } else {
        meta_call_run(call, sender_on_worker, sender_answer);
    }
}

/* ---- for shards ---- */

static struct vy_err read_account_key(struct meta_call *call, struct account_key_reply *reply)
{
    const struct account_key_request *request = call->message;
    const struct meta_view view = meta_call_view(call);
    struct meta_account_row account;
    bool is_found = false;
    VY_TRY(account_get(&view, request->account_id, &account, &is_found));
    if (!is_found) {
        return vy_error(VY_CODE_NOT_FOUND, "account does not exist");
    }
    VY_TRY(account_key_get(&view, request->account_id, &reply->wrapped_key, &is_found));
    reply->account_epoch = account.epoch;
    reply->state = (enum account_state)account.state;
    reply->quota_bytes = account.quota_bytes;
    reply->is_stale = request->allow_stale;
    return vy_ok(); /* without a key: it is erased, and its state says so */
}

static void account_key_now(struct meta_call *call)
{
    struct account_key_reply reply = {.account_epoch = 0};
    const struct account_key_request *request = call->message;
    struct vy_err err = read_account_key(call, &reply);
    if (err.code == VY_CODE_NOT_FOUND && request->allow_stale) {
        err = vy_error(VY_CODE_UNAVAILABLE, "account is not known here yet");
    }
    if (vy_failed(err)) {
        meta_call_fail(call, err);
        return;
    }
    meta_call_reply(call, &reply);
}

/*
 * With allow_stale any member answers from its applied state, so that mail flows while meta has no
 * majority. That is safe: the wrapped key never changes while the account lives, and what may have
 * changed, the epoch, is fenced in the log of the account's own group, which every call of a shard
 * is checked against. An account that is not here may be made elsewhere: UNAVAILABLE, not
 * NOT_FOUND.
 */
void account_key_call_start(struct meta_call *call)
{
    const struct account_key_request *request = call->message;
    if (request->allow_stale) {
        account_key_now(call);
        return;
    }
    if (!meta_call_needs_leader(call)) {
        meta_call_barrier(call, account_key_now);
    }
}

/* ---- nodes ---- */

#define NODE_SEEN_STEP_MS (30U * 1000) /* how exact "seen" is: one entry per node and step */
#define NODE_NAME_BYTES_MAX 128U
#define NODE_ADDRESS_BYTES_MAX 255U

static void register_answer(struct meta_call *call)
{
    const struct node_register_reply reply = {.cursor = meta_watch_cursor(call->meta->watch)};
    meta_call_reply(call, &reply);
}

static void register_on_committed(struct meta_call *call)
{
    if (call->result.outcome != META_OUTCOME_OK) {
        meta_call_refuse(call, &call->result);
        return;
    }
    register_answer(call);
}

static bool is_same_node(const struct node_row *a, const struct node_register_request *b)
{
    return a->group_id == b->group_id && a->member_id == b->member_id &&
           a->incarnation == b->incarnation && vy_bytes_equal(a->link_address, b->link_address) &&
           vy_bytes_equal(a->raft_address, b->raft_address) &&
           vy_bytes_equal(a->version, b->version);
}

static struct vy_err check_register(const struct meta_call *call)
{
    const struct node_register_request *request = call->message;
    if (request->node.len == 0 || request->node.len > NODE_NAME_BYTES_MAX ||
        request->role.len == 0 || request->role.len > 32 ||
        vy_bytes_find_byte(request->role, '/', 0) != SIZE_MAX) {
        return vy_error(VY_CODE_ARGUMENT, "name or role of a node");
    }
    if (request->link_address.len > NODE_ADDRESS_BYTES_MAX ||
        request->raft_address.len > NODE_ADDRESS_BYTES_MAX || request->version.len > 64) {
        return vy_error(VY_CODE_LIMIT, "address or version of a node");
    }
    if (vy_bytes_equal(request->role, VY_LIT("meta"))) { /* places its members itself */
        return vy_error(VY_CODE_DENIED, "role of a node");
    }
    const char *proven = call->peer.node;
    if (proven != NULL && !vy_bytes_equal(vy_cstr(proven), request->node)) { /* R2 */
        return vy_error(VY_CODE_DENIED, "a node registers under its own name only");
    }
    return vy_ok();
}

static struct vy_err is_known_node(struct meta_call *call, bool *out)
{
    const struct node_register_request *request = call->message;
    const struct meta_view view = meta_call_view(call);
    const struct meta_key key = meta_key_node(request->role, request->node);
    struct node_row row;
    bool is_found = false;
    VY_TRY(table_get(&view, META_FAMILY_CLUSTER, meta_key_bytes(&key), &node_row_desc, &row,
                     &is_found));
    *out = is_found && is_same_node(&row, request) &&
           meta_now_ms(call->meta) < row.seen_ms + NODE_SEEN_STEP_MS;
    return vy_ok();
}

void node_register_call_start(struct meta_call *call)
{
    const struct node_register_request *request = call->message;
    bool is_known = false;
    if (meta_call_needs_leader(call)) {
        return;
    }
    struct vy_err err = check_register(call);
    if (!vy_failed(err)) {
        err = is_known_node(call, &is_known);
    }
    if (vy_failed(err)) {
        meta_call_fail(call, err);
        return;
    }
    if (is_known) {
        register_answer(call);
        return;
    }
    const struct node_row node = {.group_id = request->group_id,
                                  .member_id = request->member_id,
                                  .role = request->role,
                                  .node = request->node,
                                  .link_address = request->link_address,
                                  .raft_address = request->raft_address,
                                  .incarnation = request->incarnation,
                                  .version = request->version};
    const struct cmd_node_register body = {.node = &node};
    const struct meta_command command = {.version = META_COMMAND_VERSION, .node_register = &body};
    meta_call_propose(call, &command, /* reserve = */ true, register_on_committed);
}

/* ---- the cluster map ---- */

struct map_builder {
    struct vy_arena *arena;
    const struct node_row *nodes;
    size_t node_count;
};

static struct vy_err build_group(const struct map_builder *builder, uint64_t group_id,
                                 struct map_group *out)
{
    struct map_member *members =
        VY_ARENA_ARRAY(builder->arena, builder->node_count + 1, struct map_member);
    size_t count = 0;
    if (members == NULL) {
        return vy_error(VY_CODE_LIMIT, "memory for the map");
    }
    for (size_t i = 0; i < builder->node_count; i++) {
        const struct node_row *node = &builder->nodes[i];
        if (node->group_id != group_id) {
            continue;
        }
        members[count++] = (struct map_member){.member_id = node->member_id,
                                               .node = node->node,
                                               .link_address = node->link_address,
                                               .raft_address = node->raft_address,
                                               .seen_ms = node->seen_ms};
    }
    *out = (struct map_group){.group_id = group_id, .members_count = count, .members = members};
    return vy_ok();
}

static struct vy_err build_groups(const struct map_builder *builder,
                                  const struct cluster_row *cluster, struct cluster_map_reply *out)
{
    struct map_group *groups =
        VY_ARENA_ARRAY(builder->arena, cluster->group_ids_count + 1, struct map_group);
    if (groups == NULL) {
        return vy_error(VY_CODE_LIMIT, "memory for the map");
    }
    for (size_t i = 0; i < cluster->group_ids_count; i++) {
        VY_TRY(build_group(builder, cluster->group_ids[i], &groups[i]));
    }
    out->groups = groups;
    out->groups_count = cluster->group_ids_count;
    return vy_ok();
}

static struct vy_err build_meta(const struct map_builder *builder, struct cluster_map_reply *out)
{
    struct map_member *members =
        VY_ARENA_ARRAY(builder->arena, builder->node_count + 1, struct map_member);
    if (members == NULL) {
        return vy_error(VY_CODE_LIMIT, "memory for the map");
    }
    for (size_t i = 0; i < builder->node_count; i++) {
        const struct node_row *node = &builder->nodes[i];
        if (vy_bytes_equal(node->role, VY_LIT("meta"))) {
            members[out->meta_count++] = (struct map_member){.member_id = node->member_id,
                                                             .node = node->node,
                                                             .link_address = node->link_address,
                                                             .raft_address = node->raft_address,
                                                             .seen_ms = node->seen_ms};
        }
    }
    out->meta = members;
    return vy_ok();
}

static struct vy_err build_slots(struct vy_arena *arena, const struct cluster_row *cluster,
                                 struct cluster_map_reply *out)
{
    struct slot_range *slots = VY_ARENA_ARRAY(arena, cluster->slots_count + 1, struct slot_range);
    if (slots == NULL) {
        return vy_error(VY_CODE_LIMIT, "memory for the map");
    }
    for (size_t i = 0; i < cluster->slots_count; i++) {
        slots[i] = (struct slot_range){.first = cluster->slots[i].first,
                                       .last = cluster->slots[i].last,
                                       .group_id = cluster->slots[i].group_id};
    }
    out->slots = slots;
    out->slots_count = cluster->slots_count;
    return vy_ok();
}

static struct vy_err build_map(struct meta_call *call, struct cluster_map_reply *out)
{
    const struct cluster_map_request *request = call->message;
    const struct meta_view view = meta_call_view(call);
    struct map_builder builder = {.arena = &call->arena};
    struct cluster_row cluster;
    bool is_found = false;
    VY_TRY(cluster_get(&view, &cluster, &is_found));
    if (!is_found) {
        return vy_error(VY_CODE_UNAVAILABLE, "the cluster is not formed yet");
    }
    out->cluster_id = cluster.cluster_id;
    out->epoch = cluster.map_epoch;
    out->feature_level = cluster.feature_level;
    if (request->known_epoch == cluster.map_epoch) {
        return vy_ok(); /* nothing new: no groups, no slots */
    }
    VY_TRY(node_list(&view, &builder.nodes, &builder.node_count));
    VY_TRY(build_groups(&builder, &cluster, out));
    VY_TRY(build_meta(&builder, out));
    return build_slots(&call->arena, &cluster, out);
}

void cluster_map_call_start(struct meta_call *call)
{
    struct cluster_map_reply reply = {.epoch = 0};
    const struct vy_err err = build_map(call, &reply);
    if (vy_failed(err)) {
        meta_call_fail(call, err);
        return;
    }
    meta_call_reply(call, &reply);
}

/* ---- what an erased account left in the files of this member, leader or not ---- */

static struct vy_err read_expel(struct meta_call *call, struct account_expel_reply *out)
{
    const struct account_expel_request *request = call->message;
    struct meta_group *group = call->meta->group;
    struct replica_identity identity;
    struct meta_account_row account;
    struct expel_report report = {.is_cut = false};
    bool is_found = false;
    const struct meta_view view = meta_call_view(call);
    VY_TRY(account_get(&view, request->account_id, &account, &is_found));
    const bool is_erased = is_found && account.state >= ACCOUNT_STATE_ERASING;
    if (is_erased) {
        group->ops->expel(group, request->account_id, &report);
    }
    group->ops->get_identity(group, &identity);
    *out = (struct account_expel_reply){.member_id = identity.member_id,
                                        .applied = is_erased,
                                        .rewritten = report.is_rewritten,
                                        .log_cut = report.is_cut};
    return vy_ok();
}

void expel_call_start(struct meta_call *call)
{
    struct account_expel_reply reply;
    const struct vy_err err = read_expel(call, &reply);
    if (vy_failed(err)) {
        meta_call_fail(call, err);
        return;
    }
    meta_call_reply(call, &reply);
}

/* ---- dispatch ---- */

struct service_method {
    uint32_t id;
    const struct vy_pb_desc *request;
    const struct vy_pb_desc *reply;
    meta_call_fn start;
};
/* clang-format off */
static const struct service_method service_methods[] = {
    {METHOD_META_LOGIN,         &login_request_desc,         &login_reply_desc,         login_call_start},
    {METHOD_META_RESOLVE,       &resolve_request_desc,       &resolve_reply_desc,       resolve_call_start},
    {METHOD_META_SENDER_CHECK,  &sender_check_request_desc,  &sender_check_reply_desc,  sender_call_start},
    {METHOD_META_ACCOUNT_KEY,   &account_key_request_desc,   &account_key_reply_desc,   account_key_call_start},
    {METHOD_META_NODE_REGISTER, &node_register_request_desc, &node_register_reply_desc, node_register_call_start},
    {METHOD_META_CLUSTER_MAP,   &cluster_map_request_desc,   &cluster_map_reply_desc,   cluster_map_call_start},
    {METHOD_META_ACCOUNT_EXPEL, &account_expel_request_desc, &account_expel_reply_desc, expel_call_start},
};
/* clang-format on */

static void start(struct meta_call *call, meta_call_fn fn)
{
    if (call->peer.attempt != NULL) {
        const struct vy_err err = vy_arena_dup(
            &call->arena, vy_bytes(call->peer.attempt, META_ATTEMPT_BYTES), &call->attempt);
        if (vy_failed(err)) {
            meta_call_fail(call, err);
            return;
        }
    }
    fn(call);
}

void meta_service_call(struct meta *meta, uint32_t method, struct vy_bytes request,
                       const struct meta_peer *peer, meta_reply_fn reply, void *arg)
{
    for (size_t i = 0; i < VY_COUNT_OF(service_methods); i++) {
        const struct service_method *row = &service_methods[i];
        if (row->id != method) {
            continue;
        }
        struct meta_call *call = meta_call_new(meta, row->request, request, reply, arg);
        if (call != NULL) {
            call->reply_desc = row->reply;
            call->peer = peer == NULL ? (struct meta_peer){.role = 0} : *peer;
            start(call, row->start);
        }
        return;
    }
    const struct vy_err err = vy_error(VY_CODE_UNSUPPORTED, "method of meta");
    reply(arg, err, err.what, vy_bytes(NULL, 0));
}
