/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A group's members as the roles of a process know them, and the raft link to them. Three sources:
 * the group's own log, which decides who belongs to it; the cluster map, which names members that a
 * log that is behind does not have yet; and the configuration file (settings.h), which the group
 * began with. In the log an address is NODE@ADDRESS; older ones have no node, then the file has it.
 *
 * Whoever is named by one of them may speak to us, as the node that its certificate proves (R2).
 *
 * @thread  that of rpc->loop
 */
#include "proto/settings.h"
#include "replica/raft_link.h"

struct group_link;

struct group_link_config {
    const struct rpc_config *rpc;          /* borrowed whole, must outlive the link */
    const struct settings_member *members; /* of the file; copied */
    size_t member_count;
    const struct settings_member *self;                                     /* one of them */
    void (*on_frame)(void *arg, uint64_t member_id, struct vy_bytes frame); /* raft_link.h */
    void (*on_bulk)(void *arg, uint64_t member_id, struct vy_bytes frame);
    void *arg;
};
/* Without a raft address of its own the group is one of one, and stays so. @errors ARGUMENT; what
 * raft_link_new says */
VY_CHECKED struct vy_err group_link_open(const struct group_link_config *config,
                                         struct group_link **out);
void group_link_free(struct group_link *link); /* as raft_link_free. NULL is allowed */

/* What every role's replica has of the link (transport, address, on_members) and of the settings:
 * memory, ticket, and those that begin with raft and scrub. Borrowed of both; the rest stays. */
void group_link_configure(struct group_link *link, const struct vy_config *settings,
                          struct replica_config *config);
const char *group_link_address(const struct group_link *link);
/* Once it is open: it is told of members that its log does not name. */
void group_link_set_replica(struct group_link *link, struct replica *replica);

/* What the map says of the group. Strings are read during the call; what is too long is left out.
 */
struct group_link_member {
    uint64_t id;
    struct vy_bytes node;
    struct vy_bytes raft;
};
void group_link_set_map(struct group_link *link, const struct group_link_member *members,
                        size_t count);

const char *group_link_node(const struct group_link *link, uint64_t member_id); /* NULL: unknown */
bool group_link_reaches(const struct group_link *link, uint64_t member_id);
/* The newest entry of the log names this member: it was not removed, and does not join only now. */
bool group_link_is_member(const struct group_link *link);
/* "NODE@ADDRESS" in two; *node is empty when there is none. */
void group_link_split(struct vy_bytes text, struct vy_bytes *node, struct vy_bytes *address);
