/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Keeps this frontend in meta's list of nodes: registers at the start and again from time to time,
 * which is how operators see that it is there.
 *
 * @thread  that of rpc->loop
 */
#include "proto/rpc_group.h"

struct node_register;

struct node_register_config {
    const struct rpc_config *rpc; /* borrowed */
    const struct rpc_group_member *meta_members;
    size_t meta_members_count;
    uint64_t incarnation; /* of this start */
    const char *version;  /* literal */
};
/* The first try starts at once. @errors of rpc_group_new; NOMEM */
VY_CHECKED struct vy_err node_register_new(const struct node_register_config *config,
                                           struct node_register **out);
void node_register_free(struct node_register *reg);          /* NULL is allowed */
bool node_register_is_done(const struct node_register *reg); /* meta has confirmed once */
