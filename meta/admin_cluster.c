/* SPDX-License-Identifier: Apache-2.0 */
#include "base/codec.h"
#include "meta/admin_private.h"

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
                                               .role = is_self ? VY_LIT("leader")
                                                       : meta_reaches_member(call->meta, own[i].id)
                                                           ? VY_LIT("follower")
                                                           : VY_LIT("unreachable")};
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
        VY_TRY(vy_arena_dup(&call->arena, vy_cstr(own[i].address), &member->address));
    }
    return vy_ok();
}

static struct vy_err add_nodes(struct meta_call *call, const struct node_row *nodes,
                               size_t node_count, struct admin_member_status *members,
                               size_t *count)
{
    const uint64_t now_ms = meta_now_ms(call->meta);
    for (size_t i = 0; i < node_count; i++) {
        const bool is_silent = now_ms > nodes[i].seen_ms + NODE_SILENT_MS;
        struct admin_member_status *member = &members[(*count)++];
        *member =
            (struct admin_member_status){.group_id = nodes[i].group_id,
                                         .node = nodes[i].node,
                                         .address = nodes[i].link_address,
                                         .role = is_silent ? VY_LIT("unreachable") : nodes[i].role,
                                         .seen_ms = nodes[i].seen_ms};
        VY_TRY(member_id_text(&call->arena, nodes[i].member_id, &member->member_id));
    }
    return vy_ok();
}

static struct vy_err read_status(struct meta_call *call, struct admin_cluster_status_reply *out)
{
    const struct meta_view view = meta_call_view(call);
    const struct node_row *nodes = NULL;
    size_t node_count = 0;
    struct cluster_row cluster;
    struct counter_row counter;
    bool is_found = false;
    VY_TRY(cluster_get(&view, &cluster, &is_found));
    VY_TRY(counter_get(&view, &counter));
    VY_TRY(node_list(&view, &nodes, &node_count));
    struct admin_member_status *members =
        VY_ARENA_ARRAY(&call->arena, node_count + REPLICA_MEMBERS_MAX, struct admin_member_status);
    if (members == NULL) {
        return vy_error(VY_CODE_LIMIT, "memory for members");
    }
    out->members = members;
    out->map_epoch = cluster.map_epoch;
    out->feature_level = cluster.feature_level;
    out->account_count = counter.account_count;
    VY_TRY(hex_text(&call->arena, cluster.cluster_id, &out->cluster_id));
    VY_TRY(add_meta_members(call, members, &out->members_count));
    return add_nodes(call, nodes, node_count, members, &out->members_count);
}

static void status_now(struct meta_call *call)
{
    struct admin_cluster_status_reply reply = {.map_epoch = 0};
    const struct vy_err err = read_status(call, &reply);
    if (vy_failed(err)) {
        meta_call_fail(call, err);
        return;
    }
    meta_call_reply(call, &reply);
}

void admin_get_status(struct meta_call *call)
{
    meta_call_barrier(call, status_now);
}

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
