/* SPDX-License-Identifier: Apache-2.0 */
#include "frontend/route.h"

#include "base/assert.h"
#include "frontend/route_private.h"
#include <stdio.h>
#include <stdlib.h>

/* ---- groups ---- */

size_t route_find_group(const struct route *route, uint64_t id)
{
    for (size_t i = 0; i < route->groups_count; i++) {
        if (route->groups[i]->id == id) {
            return i;
        }
    }
    return ROUTE_GROUPS_MAX;
}

static void free_names(char **names)
{
    for (size_t i = 0; i < (size_t)RPC_GROUP_MEMBERS_MAX * 2; i++) {
        free(names[i]);
    }
}

static void free_group(struct route_group *group)
{
    for (size_t i = 0; i < ROUTE_WATCH_LINKS_MAX; i++) {
        rpc_group_free(group->watches[i].group);
    }
    rpc_group_free(group->group);
    free_names(group->names);
    free(group);
}

/* Copies of the members, for links that are made later. */
static struct vy_err keep_members(struct route_group *group, const struct rpc_group_member *members,
                                  size_t count)
{
    char *names[RPC_GROUP_MEMBERS_MAX * 2] = {NULL};
    for (size_t i = 0; i < count; i++) {
        names[2 * i] = strdup(members[i].node);
        names[2 * i + 1] = strdup(members[i].address);
        if (names[2 * i] == NULL || names[2 * i + 1] == NULL) {
            free_names(names);
            return vy_error(VY_CODE_NOMEM, "members of a group");
        }
    }
    free_names(group->names);
    memcpy(group->names, names, sizeof(names));
    for (size_t i = 0; i < count; i++) {
        group->members[i] =
            (struct rpc_group_member){.node = names[2 * i], .address = names[2 * i + 1]};
    }
    group->members_count = count;
    return vy_ok();
}

static struct vy_err open_links(struct route *route, const struct route_group *group,
                                const char *what, struct rpc_group **out)
{
    char name[48];
    (void)snprintf(name, sizeof(name), "%s-%llu", what, (unsigned long long)group->id);
    const struct rpc_group_options options = {.name = name, .peer_roles = RPC_ROLE_SHARD};
    return rpc_group_new(route->rpc, &options, group->members, group->members_count, out);
}

static struct vy_err add_group(struct route *route, uint64_t id,
                               const struct rpc_group_member *members, size_t count)
{
    if (route->groups_count == ROUTE_GROUPS_MAX) {
        return vy_error(VY_CODE_LIMIT, "groups in the cluster map");
    }
    struct route_group *group = calloc(1, sizeof(*group));
    if (group == NULL) {
        return vy_error(VY_CODE_NOMEM, "group");
    }
    group->id = id;
    struct vy_err err = keep_members(group, members, count);
    if (!vy_failed(err)) {
        err = open_links(route, group, "shard", &group->group);
    }
    if (vy_failed(err)) {
        free_group(group);
        return err;
    }
    route->groups[route->groups_count++] = group;
    return vy_ok();
}

struct vy_err route_set_group(struct route *route, uint64_t id,
                              const struct rpc_group_member *members, size_t count)
{
    const size_t index = route_find_group(route, id);
    if (index == ROUTE_GROUPS_MAX) {
        return add_group(route, id, members, count);
    }
    struct route_group *group = route->groups[index];
    VY_TRY(keep_members(group, members, count));
    VY_TRY(rpc_group_set_members(group->group, members, count));
    for (size_t i = 0; i < ROUTE_WATCH_LINKS_MAX; i++) {
        if (group->watches[i].group != NULL) {
            VY_TRY(rpc_group_set_members(group->watches[i].group, members, count));
        }
    }
    return vy_ok();
}

/* ---- watches ---- */

static struct rpc_group *watch_link_at(struct route *route, struct route_group *group, size_t at)
{
    struct route_watch_link *link = &group->watches[at];
    if (link->group == NULL) {
        const struct vy_err err = open_links(route, group, "watch", &link->group);
        if (vy_failed(err)) {
            vy_log(route->rpc->log, VY_LOG_WARN, "frontend.link.failed", VY_LOG_ERR(err));
            return NULL;
        }
    }
    return link->group;
}

struct rpc_group *route_watch_link(struct route *route, uint64_t account_id, uint32_t *out_ticket)
{
    if (route->epoch == 0) {
        return NULL;
    }
    const size_t index = route->slots[vy_slot_of_account(account_id)];
    struct route_group *group = route->groups[index];
    for (size_t i = 0; i < ROUTE_WATCH_LINKS_MAX; i++) {
        if (group->watches[i].count < ROUTE_WATCHES_PER_LINK) {
            struct rpc_group *link = watch_link_at(route, group, i);
            if (link != NULL) {
                group->watches[i].count++;
                *out_ticket = (uint32_t)(index * ROUTE_WATCH_LINKS_MAX + i + 1);
            }
            return link;
        }
    }
    return NULL;
}

void route_watch_done(struct route *route, uint32_t ticket)
{
    VY_ASSERT(ticket > 0 && (ticket - 1) / ROUTE_WATCH_LINKS_MAX < route->groups_count);
    struct route_group *group = route->groups[(ticket - 1) / ROUTE_WATCH_LINKS_MAX];
    struct route_watch_link *link = &group->watches[(ticket - 1) % ROUTE_WATCH_LINKS_MAX];
    VY_ASSERT(link->count > 0);
    link->count--;
}

/* ---- life ---- */

static struct vy_err connect_meta(struct route *route, const struct route_config *config)
{
    const struct rpc_group_options leader = {.name = "meta", .peer_roles = RPC_ROLE_META};
    const struct rpc_group_options any = {
        .name = "meta-any", .peer_roles = RPC_ROLE_META, .any_member = true};
    VY_TRY(rpc_group_new(config->rpc, &leader, config->meta_members, config->meta_members_count,
                         &route->meta));
    return rpc_group_new(config->rpc, &any, config->meta_members, config->meta_members_count,
                         &route->meta_any);
}

struct vy_err route_new(const struct route_config *config, struct route **out)
{
    struct route *route = calloc(1, sizeof(*route));
    if (route == NULL) {
        return vy_error(VY_CODE_NOMEM, "route");
    }
    route->config = *config;
    route->rpc = config->rpc;
    struct vy_err err = connect_meta(route, config);
    if (!vy_failed(err)) {
        err = route_map_start(route);
    }
    if (vy_failed(err)) {
        route_free(route);
        return err;
    }
    *out = route;
    return vy_ok();
}

void route_free(struct route *route)
{
    if (route == NULL) {
        return;
    }
    route_map_stop(route);
    for (size_t i = 0; i < route->groups_count; i++) {
        free_group(route->groups[i]);
    }
    rpc_group_free(route->meta_any);
    rpc_group_free(route->meta);
    free(route);
}

/* ---- asking ---- */

struct rpc_group *route_meta(struct route *route)
{
    return route->meta;
}

struct rpc_group *route_meta_any(struct route *route)
{
    return route->meta_any;
}

static const struct route_group *group_of_account(const struct route *route, uint64_t account_id)
{
    return route->epoch == 0 ? NULL : route->groups[route->slots[vy_slot_of_account(account_id)]];
}

struct rpc_group *route_shard(struct route *route, uint64_t account_id)
{
    const struct route_group *group = group_of_account(route, account_id);
    return group == NULL ? NULL : group->group;
}

uint64_t route_group_of(struct route *route, uint64_t account_id)
{
    const struct route_group *group = group_of_account(route, account_id);
    return group == NULL ? 0 : group->id;
}

bool route_is_ready(const struct route *route)
{
    return route->epoch != 0;
}
