/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/meta_members.h"

#include <string.h>

static bool copy(struct vy_bytes text, char *out, size_t bytes)
{
    if (text.len == 0 || text.len >= bytes) {
        return false;
    }
    memcpy(out, text.data, text.len);
    out[text.len] = '\0';
    return true;
}

void meta_members_note(struct meta_members *members, const struct cluster_map_reply *map)
{
    struct meta_members fresh = {.count = 0};
    for (size_t i = 0; i < map->meta_count && fresh.count < RPC_GROUP_MEMBERS_MAX; i++) {
        const struct map_member *member = &map->meta[i];
        if (copy(member->node, fresh.items[fresh.count].node, META_MEMBERS_NODE_BYTES) &&
            copy(member->link_address, fresh.items[fresh.count].address,
                 META_MEMBERS_ADDRESS_BYTES)) {
            fresh.count++;
        }
    }
    const bool is_same = fresh.count == members->count &&
                         memcmp(fresh.items, members->items, sizeof(fresh.items)) == 0;
    if (fresh.count > 0 && !is_same) {
        *members = fresh;
        members->is_new = true;
    }
}

struct vy_err meta_members_put(const struct meta_members *members, struct rpc_group *group)
{
    struct rpc_group_member list[RPC_GROUP_MEMBERS_MAX];
    for (size_t i = 0; i < members->count; i++) {
        list[i] = (struct rpc_group_member){.node = members->items[i].node,
                                            .address = members->items[i].address};
    }
    return rpc_group_set_members(group, list, members->count);
}

struct vy_err meta_members_of_group(struct vy_arena *arena, const struct map_group *group,
                                    struct rpc_group_member out[RPC_GROUP_MEMBERS_MAX])
{
    if (group->members_count > RPC_GROUP_MEMBERS_MAX) {
        return vy_error(VY_CODE_LIMIT, "members of a group");
    }
    for (size_t i = 0; i < group->members_count; i++) {
        out[i].node = vy_arena_cstr(arena, group->members[i].node);
        out[i].address = vy_arena_cstr(arena, group->members[i].link_address);
        if (out[i].node == NULL || out[i].address == NULL) {
            return vy_error(VY_CODE_LIMIT, "cluster map");
        }
    }
    return vy_ok();
}
