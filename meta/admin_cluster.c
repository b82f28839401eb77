/* SPDX-License-Identifier: Apache-2.0 */
#include "base/codec.h"
#include "meta/admin_private.h"
#include <stdlib.h>

#define PLANS_MAX 128U              /* one a group, and some */
#define NODE_SILENT_MS (90U * 1000) /* three registrations missed */

static struct vy_err hex_text(struct vy_arena *arena, struct vy_bytes bytes, struct vy_bytes *out)
{
    struct vy_buf buf;
    vy_buf_init(&buf, 256);
    vy_hex_encode(&buf, bytes);
    struct vy_err err = vy_buf_error(&buf);
    if (!vy_failed(err)) {
        err = vy_arena_dup(arena, vy_buf_bytes(&buf), out);
    }
    vy_buf_deinit(&buf);
    return err;
}

/* Nothing for what is no member of a Raft group, such as a frontend. */
static struct vy_err member_id_text(struct vy_arena *arena, uint64_t id, struct vy_bytes *out)
{
    const char *text = id == 0 ? "" : vy_arena_printf(arena, "%016llx", (unsigned long long)id);
    if (text == NULL) {
        return vy_error(VY_CODE_LIMIT, "memory for a number");
    }
    *out = vy_cstr(text);
    return vy_ok();
}

/* In the log it stands behind the node's name. */
static struct vy_bytes bare_address(const char *text)
{
    const struct vy_bytes address = vy_cstr(text);
    const size_t at = vy_bytes_find_byte(address, '@', 0);
    return at == SIZE_MAX ? address : vy_bytes_from(address, at + 1);
}

static struct vy_bytes meta_member_role(const struct meta_call *call,
                                        const struct replica_member *member, bool is_self)
{
    return is_self                                        ? VY_LIT("leader")
           : !meta_reaches_member(call->meta, member->id) ? VY_LIT("unreachable")
           : member->is_learner                           ? VY_LIT("learner")
                                                          : VY_LIT("follower");
}

/* Of meta's own group: what this member, the leader, knows. */
static struct vy_err add_meta_members(struct meta_call *call, struct admin_member_status *members,
                                      size_t *count)
{
    struct meta_group *group = call->meta->group;
    struct replica_member own[REPLICA_MEMBERS_MAX];
    struct replica_status status = {.term = 0};
    struct replica_identity identity = {.group_id = 0};
    const size_t own_count = group->ops->get_members(group, own, REPLICA_MEMBERS_MAX);
    group->ops->get_status(group, &status);
    group->ops->get_identity(group, &identity);
    for (size_t i = 0; i < own_count; i++) {
        const bool is_self = own[i].id == identity.member_id;
        const char *node = meta_member_node(call->meta, own[i].id);
        struct admin_member_status *member = &members[(*count)++];
        *member = (struct admin_member_status){.node = VY_LIT("meta"),
                                               .role = meta_member_role(call, &own[i], is_self)};
        if (is_self) {
            member->term = status.term;
            member->commit_index = status.commit_index;
            member->applied_index = status.applied_index;
            member->seen_ms = meta_now_ms(call->meta);
        }
        VY_TRY(member_id_text(&call->arena, own[i].id, &member->member_id));
        if (node != NULL) {
            VY_TRY(vy_arena_dup(&call->arena, vy_cstr(node), &member->node));
        }
        VY_TRY(vy_arena_dup(&call->arena, bare_address(own[i].address), &member->address));
    }
    return vy_ok();
}

/* ---- nodes that have registered ---- */

struct status {
    struct admin_cluster_status_reply reply;
    struct admin_member_status *members; /* the reply's */
    size_t shards_first;                 /* in members */
    struct meta_probe *probes;           /* one a shard, in the order of members */
    size_t probe_count;
};

/* By group, then as they are stored: by name. */
static int compare_shards(const void *a, const void *b)
{
    const struct node_row *left = a;
    const struct node_row *right = b;
    return left->group_id != right->group_id ? (left->group_id < right->group_id ? -1 : 1)
                                             : vy_bytes_compare(left->node, right->node);
}

/* How it does is not known yet. */
static struct vy_err add_shard(struct meta_call *call, struct status *status,
                               const struct node_row *node)
{
    struct admin_member_status *member = &status->members[status->reply.members_count++];
    *member = (struct admin_member_status){.group_id = node->group_id,
                                           .node = node->node,
                                           .address = node->link_address,
                                           .role = VY_LIT("unreachable"),
                                           .seen_ms = node->seen_ms};
    status->probes[status->probe_count++] = (struct meta_probe){.group_id = node->group_id,
                                                                .member_id = node->member_id,
                                                                .node = node->node,
                                                                .address = node->link_address};
    return member_id_text(&call->arena, node->member_id, &member->member_id);
}

static struct vy_err add_shards(struct meta_call *call, struct status *status,
                                const struct node_row *nodes, size_t node_count)
{
    struct node_row *shards = VY_ARENA_ARRAY(&call->arena, node_count + 1, struct node_row);
    size_t count = 0;
    status->probes = VY_ARENA_ARRAY(&call->arena, node_count + 1, struct meta_probe);
    if (shards == NULL || status->probes == NULL) {
        return vy_error(VY_CODE_LIMIT, "memory for shards");
    }
    for (size_t i = 0; i < node_count; i++) {
        if (nodes[i].group_id != 0) {
            shards[count++] = nodes[i];
        }
    }
    qsort(shards, count, sizeof(shards[0]), compare_shards);
    status->shards_first = status->reply.members_count;
    for (size_t i = 0; i < count; i++) {
        VY_TRY(add_shard(call, status, &shards[i]));
    }
    return vy_ok();
}

/* Nobody calls them: that they register is all that is known of them. */
static struct vy_err add_frontends(struct meta_call *call, struct status *status,
                                   const struct node_row *nodes, size_t node_count)
{
    const uint64_t now_ms = meta_now_ms(call->meta);
    for (size_t i = 0; i < node_count; i++) {
        if (nodes[i].group_id != 0 || nodes[i].member_id != 0) {
            continue;
        }
        const bool is_silent = now_ms > nodes[i].seen_ms + NODE_SILENT_MS;
        struct admin_member_status *member = &status->members[status->reply.members_count++];
        *member =
            (struct admin_member_status){.node = nodes[i].node,
                                         .address = nodes[i].link_address,
                                         .role = is_silent ? VY_LIT("unreachable") : nodes[i].role,
                                         .seen_ms = nodes[i].seen_ms};
    }
    return vy_ok();
}

/* ---- shards, asked ---- */

/* A term has one leader. A member that claims an older term has not heard that it was replaced. */
static bool is_newest_claim(const struct status *status, const struct meta_probe *claim)
{
    for (size_t i = 0; i < status->probe_count; i++) {
        const struct meta_probe *other = &status->probes[i];
        if (other->group_id == claim->group_id && other->is_reached && other->leads &&
            other->term > claim->term) {
            return false;
        }
    }
    return true;
}

static void fill_shards(struct meta_call *call, struct status *status)
{
    for (size_t i = 0; i < status->probe_count; i++) {
        const struct meta_probe *probe = &status->probes[i];
        struct admin_member_status *member = &status->members[status->shards_first + i];
        if (!probe->is_reached) {
            continue;
        }
        member->role =
            probe->leads && is_newest_claim(status, probe) ? VY_LIT("leader") : VY_LIT("follower");
        if (member->plan.len > 0 && vy_bytes_starts_with(member->plan, VY_LIT("adding"))) {
            member->role = VY_LIT("learner");
        }
        member->term = probe->term;
        member->commit_index = probe->commit_index;
        member->applied_index = probe->applied_index;
        member->seen_ms = meta_now_ms(call->meta);
    }
}

static void status_on_probed(void *arg, struct vy_err err)
{
    struct meta_call *call = arg;
    struct status *status = call->state;
    if (vy_failed(err)) {
        meta_call_fail(call, err);
        return;
    }
    fill_shards(call, status);
    meta_call_reply(call, &status->reply);
}

/* ---- plans for members ---- */

static struct vy_err plan_text(struct meta_call *call, const struct member_row *row,
                               const struct member_row *rows, size_t count,
                               const struct node_row *nodes, size_t node_count,
                               struct vy_bytes *out)
{
    struct vy_bytes replaced = {.len = 0};
    *out = row->plan == MEMBER_PLAN_REMOVE ? VY_LIT("removing") : VY_LIT("adding");
    if (row->plan == MEMBER_PLAN_REMOVE || row->replaces == 0) {
        return vy_ok();
    }
    for (size_t i = 0; i < count; i++) {
        if (rows[i].group_id == row->group_id && rows[i].member_id == row->replaces) {
            replaced = rows[i].node;
        }
    }
    for (size_t i = 0; i < node_count; i++) {
        if (nodes[i].group_id == row->group_id && nodes[i].member_id == row->replaces) {
            replaced = nodes[i].node;
        }
    }
    const char *text = vy_arena_printf(&call->arena, "adding for %.*s", VY_PRI(replaced));
    if (text == NULL) {
        return vy_error(VY_CODE_LIMIT, "memory for a plan");
    }
    *out = vy_cstr(text);
    return vy_ok();
}

/* The member of a plan among those that are listed; one that never came is added to the list. */
static struct vy_err find_planned(struct meta_call *call, struct status *status,
                                  const struct member_row *row, struct admin_member_status **out)
{
    struct vy_bytes id = {.len = 0};
    VY_TRY(member_id_text(&call->arena, row->member_id, &id));
    for (size_t i = 0; i < status->reply.members_count; i++) {
        if (status->members[i].group_id == row->group_id &&
            vy_bytes_equal(status->members[i].member_id, id)) {
            *out = &status->members[i];
            return vy_ok();
        }
    }
    *out = &status->members[status->reply.members_count++];
    **out = (struct admin_member_status){.group_id = row->group_id,
                                         .member_id = id,
                                         .node = row->node,
                                         .address = row->link_address,
                                         .role = VY_LIT("unreachable")};
    return vy_ok();
}

static struct vy_err add_plans(struct meta_call *call, struct status *status,
                               const struct node_row *nodes, size_t node_count)
{
    const struct meta_view view = meta_call_view(call);
    const struct member_row *rows = NULL;
    size_t count = 0;
    size_t added = 0;
    VY_TRY(member_list(&view, &rows, &count));
    for (size_t i = 0; i < count && added < PLANS_MAX; i++) {
        struct admin_member_status *member = NULL;
        if (rows[i].plan != MEMBER_PLAN_ADD && rows[i].plan != MEMBER_PLAN_REMOVE) {
            continue;
        }
        added++;
        VY_TRY(find_planned(call, status, &rows[i], &member));
        VY_TRY(plan_text(call, &rows[i], rows, count, nodes, node_count, &member->plan));
        member->error = rows[i].error;
    }
    return vy_ok();
}

/* ---- status ---- */

static struct vy_err read_status(struct meta_call *call, struct status *status)
{
    const struct meta_view view = meta_call_view(call);
    struct admin_cluster_status_reply *reply = &status->reply;
    const struct node_row *nodes = NULL;
    size_t node_count = 0;
    struct cluster_row cluster;
    struct counter_row counter;
    bool is_found = false;
    VY_TRY(cluster_get(&view, &cluster, &is_found));
    VY_TRY(counter_get(&view, &counter));
    VY_TRY(node_list(&view, &nodes, &node_count));
    status->members = VY_ARENA_ARRAY(&call->arena, node_count + REPLICA_MEMBERS_MAX + PLANS_MAX,
                                     struct admin_member_status);
    if (status->members == NULL) {
        return vy_error(VY_CODE_LIMIT, "memory for members");
    }
    reply->members = status->members;
    reply->map_epoch = cluster.map_epoch;
    reply->feature_level = cluster.feature_level;
    reply->account_count = counter.account_count;
    VY_TRY(hex_text(&call->arena, cluster.cluster_id, &reply->cluster_id));
    VY_TRY(add_meta_members(call, status->members, &reply->members_count));
    VY_TRY(add_shards(call, status, nodes, node_count));
    VY_TRY(add_frontends(call, status, nodes, node_count));
    return add_plans(call, status, nodes, node_count);
}

static void status_now(struct meta_call *call)
{
    const struct meta_config *config = &call->meta->config;
    struct status *status = VY_ARENA_NEW(&call->arena, struct status);
    const struct vy_err err =
        status == NULL ? vy_error(VY_CODE_LIMIT, "memory for status") : read_status(call, status);
    if (vy_failed(err)) {
        meta_call_fail(call, err);
        return;
    }
    call->state = status;
    if (status->probe_count == 0) {
        meta_call_reply(call, &status->reply);
    } else if (config->probe == NULL) {
        meta_call_fail(call, vy_error(VY_CODE_UNSUPPORTED, "shards cannot be asked here"));
    } else {
        config->probe->probe(config->probe_arg, status->probes, status->probe_count,
                             status_on_probed, call);
    }
}

void admin_get_status(struct meta_call *call)
{
    meta_call_barrier(call, status_now);
}

/* ---- slots ---- */

static struct vy_err read_slots(struct meta_call *call, struct admin_list_slots_reply *out)
{
    const struct meta_view view = meta_call_view(call);
    struct cluster_row cluster;
    bool is_found = false;
    VY_TRY(cluster_get(&view, &cluster, &is_found));
    struct admin_admin_slot_range *slots =
        VY_ARENA_ARRAY(&call->arena, cluster.slots_count + 1, struct admin_admin_slot_range);
    if (slots == NULL) {
        return vy_error(VY_CODE_LIMIT, "memory for slots");
    }
    for (size_t i = 0; i < cluster.slots_count; i++) {
        slots[i] = (struct admin_admin_slot_range){.first = cluster.slots[i].first,
                                                   .last = cluster.slots[i].last,
                                                   .group_id = cluster.slots[i].group_id};
    }
    *out = (struct admin_list_slots_reply){
        .slots_count = cluster.slots_count, .slots = slots, .epoch = cluster.map_epoch};
    return vy_ok();
}

static void slots_now(struct meta_call *call)
{
    struct admin_list_slots_reply reply = {.epoch = 0};
    const struct vy_err err = read_slots(call, &reply);
    if (vy_failed(err)) {
        meta_call_fail(call, err);
        return;
    }
    meta_call_reply(call, &reply);
}

void admin_list_slots(struct meta_call *call)
{
    meta_call_barrier(call, slots_now);
}
