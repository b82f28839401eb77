/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/shard_links.h"

#include "meta/meta_private.h"
#include <stdio.h>
#include <stdlib.h>

#define NODES_ARENA_BYTES_MAX (4U * 1024 * 1024) /* all registered nodes */
#define ADDRESS_BYTES_MAX 255U                   /* what a node may register */

struct member_link {
    struct vy_list item;
    char node[RPC_NAME_BYTES_MAX + 1];
    char address[ADDRESS_BYTES_MAX + 1];
    struct rpc_link *link; /* owned; NULL: could not be made */
};

/* ---- groups ---- */

static struct vy_err read_members(struct meta_shard_links *links, struct vy_arena *arena,
                                  uint64_t group_id, struct rpc_group_member *out, size_t *count)
{
    const struct meta_view view = {.reader = links->meta->group->ops->newest(links->meta->group),
                                   .arena = arena};
    const struct node_row *nodes = NULL;
    size_t node_count = 0;
    VY_TRY(node_list(&view, &nodes, &node_count));
    for (size_t i = 0; i < node_count && *count < RPC_GROUP_MEMBERS_MAX; i++) {
        if (nodes[i].group_id != group_id) {
            continue;
        }
        struct rpc_group_member *member = &out[*count];
        member->node = vy_arena_cstr(arena, nodes[i].node);
        member->address = vy_arena_cstr(arena, nodes[i].link_address);
        if (member->node == NULL || member->address == NULL) {
            return vy_error(VY_CODE_NOMEM, "members of a group");
        }
        (*count)++;
    }
    return *count > 0 ? vy_ok()
                      : vy_error(VY_CODE_UNAVAILABLE, "no member of the group has registered");
}

static struct vy_err add_group(struct meta_shard_links *links, uint64_t group_id,
                               const struct rpc_group_member *members, size_t count)
{
    struct meta_shard_group *group = &links->groups[links->group_count];
    char name[40];
    if (links->group_count == META_GROUPS_MAX) {
        return vy_error(VY_CODE_LIMIT, "groups of shards");
    }
    (void)snprintf(name, sizeof(name), "shard-%llu", (unsigned long long)group_id);
    const struct rpc_group_options options = {.name = name, .peer_roles = RPC_ROLE_SHARD};
    VY_TRY(rpc_group_new(links->rpc, &options, members, count, &group->calls));
    group->group_id = group_id;
    links->group_count++;
    return vy_ok();
}

struct vy_err meta_shard_links_group(struct meta_shard_links *links, uint64_t group_id,
                                     struct rpc_group **out)
{
    struct rpc_group_member members[RPC_GROUP_MEMBERS_MAX];
    struct vy_arena arena;
    size_t count = 0;
    size_t at = 0;
    if (links->is_stopping) {
        return vy_error(VY_CODE_UNAVAILABLE, "meta is stopping");
    }
    vy_arena_init(&arena, NODES_ARENA_BYTES_MAX);
    struct vy_err err = read_members(links, &arena, group_id, members, &count);
    while (at < links->group_count && links->groups[at].group_id != group_id) {
        at++;
    }
    if (!vy_failed(err)) {
        err = at < links->group_count
                  ? rpc_group_set_members(links->groups[at].calls, members, count)
                  : add_group(links, group_id, members, count);
    }
    vy_arena_deinit(&arena);
    if (!vy_failed(err)) {
        *out = links->groups[at].calls;
    }
    return err;
}

/* ---- single members ---- */

static struct vy_err find_member(struct meta_shard_links *links, struct vy_bytes node,
                                 struct member_link **out)
{
    VY_LIST_FOREACH(item, &links->members)
    {
        struct member_link *member = VY_CONTAINER_OF(item, struct member_link, item);
        if (vy_bytes_equal(vy_cstr(member->node), node)) {
            *out = member;
            return vy_ok();
        }
    }
    struct member_link *member = calloc(1, sizeof(*member));
    if (member == NULL) {
        return vy_error(VY_CODE_NOMEM, "link to a shard");
    }
    memcpy(member->node, node.data, node.len);
    vy_list_push_back(&links->members, &member->item);
    *out = member;
    return vy_ok();
}

static struct vy_err dial(const struct meta_shard_links *links, struct member_link *member,
                          enum rpc_role role, struct vy_bytes address)
{
    struct rpc_link *old = member->link;
    memcpy(member->address, address.data, address.len);
    member->address[address.len] = '\0';
    const struct rpc_link_options options = {
        .address = member->address, .peer_roles = role, .peer_node = member->node};
    member->link = NULL;
    const struct vy_err err = rpc_link_new(links->rpc, &options, &member->link);
    rpc_link_free(old); /* ends its calls */
    return err;
}

struct vy_err meta_shard_links_member(struct meta_shard_links *links, enum rpc_role role,
                                      struct vy_bytes node, struct vy_bytes address,
                                      struct rpc_link **out)
{
    struct member_link *member = NULL;
    if (links->is_stopping) {
        return vy_error(VY_CODE_UNAVAILABLE, "meta is stopping");
    }
    if (node.len == 0 || node.len > RPC_NAME_BYTES_MAX || address.len > ADDRESS_BYTES_MAX) {
        return vy_error(VY_CODE_ARGUMENT, "name or address of a shard");
    }
    VY_TRY(find_member(links, node, &member));
    const bool is_same = member->link != NULL && vy_bytes_equal(vy_cstr(member->address), address);
    if (!is_same || (!rpc_link_is_up(member->link) && rpc_link_open_calls(member->link) == 0)) {
        VY_TRY(dial(links, member, role, address));
    }
    *out = member->link;
    return vy_ok();
}

/* ---- life ---- */

void meta_shard_links_init(struct meta_shard_links *links, const struct rpc_config *rpc)
{
    *links = (struct meta_shard_links){.rpc = rpc};
    vy_list_init(&links->members);
}

void meta_shard_links_stop(struct meta_shard_links *links)
{
    links->is_stopping = true;
    for (size_t i = 0; i < links->group_count; i++) {
        rpc_group_free(links->groups[i].calls);
    }
    links->group_count = 0;
    struct vy_list *item = vy_list_pop_front(&links->members);
    while (item != NULL) {
        struct member_link *member = VY_CONTAINER_OF(item, struct member_link, item);
        rpc_link_free(member->link);
        free(member);
        item = vy_list_pop_front(&links->members);
    }
}
