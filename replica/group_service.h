/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The members of a group, told and changed on behalf of meta (proto/group.proto): as a method of
 * the group's RPC server, and the same for a caller in the process.
 *
 * @thread  the loop's of the replica
 */
#include "proto/group.pb.h"
#include "proto/rpc_server.h"
#include "replica/group_link.h"

/* How a question ended. The reply lives during the call; NULL on failure. */
typedef void (*group_members_fn)(void *arg, struct vy_err err,
                                 const struct group_members_reply *reply);
/* As a leader does: LIST at once, ADD and REMOVE when they are committed (replica_change),
 * TRANSFER when the member leads (replica_transfer_to; at once when it is this one). The callback
 * comes from the loop or inside the call. */
void group_members_ask(struct replica *replica, const struct group_members_request *request,
                       group_members_fn done, void *arg);

struct group_service {
    struct replica *replica;       /* borrowed */
    const struct group_link *link; /* borrowed: names the leader for hints */
    struct rpc_server_method method;
};
/* Adds METHOD_GROUP_MEMBERS; the service must outlive the server. */
VY_CHECKED struct vy_err group_service_add(struct group_service *service,
                                           struct rpc_server *server);
