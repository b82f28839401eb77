/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/rpc_group_private.h"
#include <stdio.h>
#include <stdlib.h>

/* ---- who is asked ---- */

size_t rpc_group_find(const struct rpc_group *group, struct vy_bytes hint)
{
    for (size_t i = 0; hint.len > 0 && i < group->member_count; i++) {
        const struct rpc_group_node *member = group->members[i];
        if (vy_bytes_equal(hint, vy_cstr(member->node)) ||
            vy_bytes_equal(hint, vy_cstr(member->address))) {
            return i;
        }
    }
    return RPC_GROUP_NOBODY;
}

size_t rpc_group_choose(const struct rpc_group *group, uint32_t tried)
{
    for (size_t step = 0; step < group->member_count; step++) {
        const size_t index = (group->leader_index + step) % group->member_count;
        if ((tried & (1U << index)) == 0 && rpc_link_is_up(group->members[index]->link)) {
            return index;
        }
    }
    return RPC_GROUP_NOBODY;
}

void rpc_group_set_leader(struct rpc_group *group, size_t index)
{
    if (group->any_member || group->leader_index == index) {
        return;
    }
    group->leader_index = index;
    rpc_link_hurry(group->members[index]->link);
    vy_log(group->config->log, VY_LOG_INFO, "rpc.group.leader", VY_CSTR("rpc.group", group->name),
           VY_CSTR("rpc.peer", group->members[index]->address));
}

void rpc_group_hurry(struct rpc_group *group)
{
    if (group->any_member) {
        if (rpc_group_is_up(group)) {
            return; /* it will do */
        }
    } else if (rpc_link_is_up(group->members[group->leader_index]->link)) {
        return;
    }
    for (size_t i = 0; i < group->member_count; i++) {
        rpc_link_hurry(group->members[i]->link);
    }
}

bool rpc_group_is_up(const struct rpc_group *group)
{
    return rpc_group_choose(group, 0) != RPC_GROUP_NOBODY;
}

/* ---- members come and go ---- */

static void member_on_state(void *arg, bool is_up)
{
    struct rpc_group_node *member = arg;
    if (is_up) {
        rpc_group_wake_at(member->group, 0);
    }
}

static void node_free(struct rpc_group_node *member)
{
    if (member != NULL) {
        rpc_link_free(member->link);
        free(member);
    }
}

static struct vy_err member_new(struct rpc_group *group, const struct rpc_group_member *from,
                                struct rpc_group_node **out)
{
    struct rpc_group_node *member = calloc(1, sizeof(*member));
    if (member == NULL) {
        return vy_error(VY_CODE_NOMEM, "group member");
    }
    const char *node = from->node == NULL ? "" : from->node;
    if (strlen(node) > RPC_NAME_BYTES_MAX || strlen(from->address) > GROUP_ADDRESS_BYTES_MAX) {
        free(member);
        return vy_error(VY_CODE_ARGUMENT, "group member's name or address");
    }
    member->group = group;
    memcpy(member->node, node, strlen(node));
    memcpy(member->address, from->address, strlen(from->address));
    const struct rpc_link_options options = {.address = from->address,
                                             .peer_roles = group->peer_roles,
                                             .peer_node = node[0] == '\0' ? NULL : node,
                                             .on_state = member_on_state,
                                             .arg = member};
    const struct vy_err err = rpc_link_new(group->config, &options, &member->link);
    if (vy_failed(err)) {
        free(member);
        return err;
    }
    *out = member;
    return vy_ok();
}

static struct rpc_group_node *find_same(const struct rpc_group *group,
                                        const struct rpc_group_member *wanted)
{
    const char *node = wanted->node == NULL ? "" : wanted->node;
    for (size_t i = 0; i < group->member_count; i++) {
        struct rpc_group_node *member = group->members[i];
        if (strcmp(member->address, wanted->address) == 0 && strcmp(member->node, node) == 0) {
            return member;
        }
    }
    return NULL;
}

static size_t index_in(struct rpc_group_node *const *members, size_t count,
                       const struct rpc_group_node *member)
{
    for (size_t i = 0; i < count; i++) {
        if (members[i] == member) {
            return i;
        }
    }
    return RPC_GROUP_NOBODY;
}

static void move_calls(struct rpc_group *group, struct rpc_group_node *const *next, size_t count)
{
    VY_LIST_FOREACH(item, &group->calls)
    {
        struct rpc_group_call *call = VY_CONTAINER_OF(item, struct rpc_group_call, node);
        call->tried = 0;
        if (call->rpc == NULL) {
            continue;
        }
        const size_t index = index_in(next, count, group->members[call->member_index]);
        if (index == RPC_GROUP_NOBODY) {
            rpc_group_call_leave(call);
        } else {
            call->member_index = index;
            call->tried = 1U << index;
        }
    }
}

static void replace_members(struct rpc_group *group, struct rpc_group_node *const *next,
                            size_t count)
{
    const struct rpc_group_node *leader =
        group->member_count == 0 ? NULL : group->members[group->leader_index];
    const size_t leader_index = index_in(next, count, leader);
    move_calls(group, next, count);
    for (size_t i = 0; i < group->member_count; i++) {
        if (index_in(next, count, group->members[i]) == RPC_GROUP_NOBODY) {
            node_free(group->members[i]);
        }
    }
    memcpy(group->members, next, count * sizeof(struct rpc_group_node *));
    group->member_count = count;
    group->leader_index = leader_index == RPC_GROUP_NOBODY ? 0 : leader_index;
    rpc_group_wake_at(group, 0);
}

static struct vy_err check_members(const struct rpc_group_member *members, size_t count)
{
    if (count == 0 || count > RPC_GROUP_MEMBERS_MAX) {
        return vy_error(VY_CODE_ARGUMENT, "number of group members");
    }
    for (size_t i = 1; i < count; i++) {
        for (size_t j = 0; j < i; j++) {
            if (strcmp(members[i].address, members[j].address) == 0) {
                return vy_error(VY_CODE_ARGUMENT, "group member twice");
            }
        }
    }
    return vy_ok();
}

struct vy_err rpc_group_set_members(struct rpc_group *group, const struct rpc_group_member *members,
                                    size_t count)
{
    struct rpc_group_node *next[RPC_GROUP_MEMBERS_MAX] = {NULL};
    VY_TRY(check_members(members, count));
    struct vy_err err = vy_ok();
    size_t made = 0;
    for (; made < count && !vy_failed(err); made++) {
        struct rpc_group_node *same = find_same(group, &members[made]);
        if (same != NULL) {
            next[made] = same;
        } else {
            err = member_new(group, &members[made], &next[made]);
        }
    }
    if (vy_failed(err)) { /* as before the call: only what is new goes */
        for (size_t i = 0; i < made; i++) {
            if (index_in(group->members, group->member_count, next[i]) == RPC_GROUP_NOBODY) {
                node_free(next[i]);
            }
        }
        return err;
    }
    replace_members(group, next, count);
    return vy_ok();
}

void rpc_group_free_members(struct rpc_group *group)
{
    for (size_t i = 0; i < group->member_count; i++) {
        node_free(group->members[i]);
    }
    group->member_count = 0;
}
