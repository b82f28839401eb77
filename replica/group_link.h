/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The raft link of a group whose members a configuration file names (settings.h): what meta's role
 * and a shard's open in the same way.
 *
 * @thread  that of rpc->loop
 */
#include "proto/settings.h"
#include "replica/raft_link.h"

struct group_link_config {
    const struct rpc_config *rpc;          /* borrowed whole, must outlive the link */
    const struct settings_member *members; /* read during the call */
    size_t member_count;
    const struct settings_member *self;                                     /* one of them */
    void (*on_frame)(void *arg, uint64_t member_id, struct vy_bytes frame); /* raft_link.h */
    void (*on_bulk)(void *arg, uint64_t member_id, struct vy_bytes frame);
    void *arg;
};
/* *out is NULL in a group of one: nobody calls, and nobody is called. @errors ARGUMENT a member
 * without a raft address; what raft_link_new says */
VY_CHECKED struct vy_err group_link_open(const struct group_link_config *config,
                                         struct raft_link **out);
/* The same members for replica_config; out has room for member_count. Strings are borrowed. */
void group_link_members(const struct settings_member *members, size_t member_count,
                        struct replica_member *out);
