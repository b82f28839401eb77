/* SPDX-License-Identifier: Apache-2.0 */
/* The cluster map: groups, slots, nodes. Its epoch rises when a reader must look again. */
#include "base/map.h"
#include "meta/fsm_private.h"

static bool spans_cover_all_slots(const struct cmd_bootstrap *cmd)
{
    uint32_t next = 0;
    for (size_t i = 0; i < cmd->slots_count; i++) {
        if (cmd->slots[i].first != next || cmd->slots[i].last < cmd->slots[i].first ||
            cmd->slots[i].last >= VY_SLOT_COUNT) {
            return false;
        }
        next = cmd->slots[i].last + 1;
    }
    return next == VY_SLOT_COUNT;
}

struct vy_err topology_apply_bootstrap(struct fsm_step *step)
{
    const struct cmd_bootstrap *cmd = step->command->bootstrap;
    struct cluster_row row;
    bool is_found = false;
    VY_TRY(cluster_get(&step->view, &row, &is_found));
    if (is_found) {
        return vy_bytes_equal(row.cluster_id, cmd->cluster_id)
                   ? vy_ok()
                   : fsm_refuse(step, META_OUTCOME_EXISTS, "the cluster has another id already");
    }
    if (cmd->cluster_id.len != REPLICA_CLUSTER_ID_BYTES || cmd->group_ids_count == 0 ||
        !spans_cover_all_slots(cmd)) {
        return fsm_refuse(step, META_OUTCOME_ARGUMENT, "cluster id, groups or slots");
    }
    row = (struct cluster_row){.cluster_id = cmd->cluster_id,
                               .created_ms = step->entry->time_ms,
                               .feature_level = cmd->feature_level,
                               .map_epoch = 1,
                               .group_ids_count = cmd->group_ids_count,
                               .group_ids = cmd->group_ids,
                               .slots_count = cmd->slots_count,
                               .slots = cmd->slots};
    fsm_tell_map(step);
    return fsm_put(step, META_FAMILY_CLUSTER, META_KEY_CLUSTER, &cluster_row_desc, &row);
}

static bool is_same_place(const struct node_row *a, const struct node_row *b)
{
    return a->group_id == b->group_id && a->member_id == b->member_id &&
           vy_bytes_equal(a->link_address, b->link_address) &&
           vy_bytes_equal(a->raft_address, b->raft_address);
}

struct vy_err topology_raise_epoch(struct fsm_step *step)
{
    struct cluster_row row;
    bool is_found = false;
    VY_TRY(cluster_get(&step->view, &row, &is_found));
    if (!is_found) {
        return vy_ok(); /* the first map has all nodes of before */
    }
    row.map_epoch++;
    fsm_tell_map(step);
    return fsm_put(step, META_FAMILY_CLUSTER, META_KEY_CLUSTER, &cluster_row_desc, &row);
}

#define LIFE_SHIFT 40U /* of an incarnation: count, then chance (replica/life.h) */

/* Lower, or the same start of another disk. */
static bool is_old_copy(const struct node_row *old, const struct node_row *node)
{
    const bool is_same_count = node->incarnation >> LIFE_SHIFT == old->incarnation >> LIFE_SHIFT;
    return node->incarnation < old->incarnation ||
           (node->incarnation > old->incarnation && is_same_count && node->group_id != 0 &&
            node->incarnation >> LIFE_SHIFT != 0);
}

/* R11, P12: a name belongs to one disk. A lower incarnation is an old image of it. */
static struct vy_err check_identity(struct fsm_step *step, const struct node_row *old,
                                    const struct node_row *node)
{
    if (node->member_id == old->member_id && is_old_copy(old, node)) {
        return fsm_refuse(step, META_OUTCOME_PRECONDITION,
                          "node %.*s was started from an old copy of its disk", VY_PRI(node->node));
    }
    if (node->member_id != old->member_id && old->member_id != 0 && node->group_id != 0) {
        return fsm_refuse(step, META_OUTCOME_PRECONDITION,
                          "node %.*s has another member id than before: replace it explicitly",
                          VY_PRI(node->node));
    }
    return vy_ok();
}

/* A member that was removed comes back: it is told, and finds no place on the map. */
static struct vy_err check_not_gone(struct fsm_step *step, const struct node_row *node)
{
    struct member_row row;
    bool is_found = false;
    if (node->group_id == 0) {
        return vy_ok();
    }
    VY_TRY(member_get(&step->view, node->group_id, node->member_id, &row, &is_found));
    return !is_found || row.plan != MEMBER_PLAN_GONE
               ? vy_ok()
               : fsm_refuse(
                     step, META_OUTCOME_PRECONDITION,
                     "node %.*s was removed from group %llu: stop it, its directory is of no "
                     "more use",
                     VY_PRI(node->node), (unsigned long long)node->group_id);
}

/* The same member under another name: it was moved, and has one place. */
static struct vy_err drop_old_names(struct fsm_step *step, const struct node_row *node)
{
    const struct node_row *nodes = NULL;
    size_t count = 0;
    if (node->group_id == 0) {
        return vy_ok();
    }
    VY_TRY(node_list(&step->view, &nodes, &count));
    for (size_t i = 0; i < count; i++) {
        if (nodes[i].group_id == node->group_id && nodes[i].member_id == node->member_id &&
            !vy_bytes_equal(nodes[i].node, node->node)) {
            const struct meta_key key = meta_key_node(nodes[i].role, nodes[i].node);
            txn_delete(step->txn, META_FAMILY_CLUSTER, meta_key_bytes(&key));
        }
    }
    return vy_ok();
}

static struct vy_err check_node_count(struct fsm_step *step)
{
    const struct node_row *nodes = NULL;
    size_t count = 0;
    VY_TRY(node_list(&step->view, &nodes, &count));
    return count < META_NODES_MAX ? vy_ok()
                                  : fsm_refuse(step, META_OUTCOME_LIMIT,
                                               "the cluster has %u nodes already", META_NODES_MAX);
}

struct vy_err topology_apply_register(struct fsm_step *step)
{
    const struct node_row *node = step->command->node_register->node;
    if (node == NULL || node->node.len == 0 || node->node.len + node->role.len > 200) {
        return fsm_refuse(step, META_OUTCOME_ARGUMENT, "name of a node");
    }
    const struct meta_key key = meta_key_node(node->role, node->node);
    struct node_row old;
    bool is_known = false;
    VY_TRY(table_get(&step->view, META_FAMILY_CLUSTER, meta_key_bytes(&key), &node_row_desc, &old,
                     &is_known));
    VY_TRY(is_known ? check_identity(step, &old, node) : check_node_count(step));
    if (!fsm_is_refused(step)) {
        VY_TRY(check_not_gone(step, node));
    }
    if (fsm_is_refused(step)) {
        return vy_ok();
    }
    VY_TRY(drop_old_names(step, node));
    struct node_row row = *node;
    row.registered_ms = is_known ? old.registered_ms : step->entry->time_ms;
    row.seen_ms = step->entry->time_ms;
    VY_TRY(fsm_put(step, META_FAMILY_CLUSTER, meta_key_bytes(&key), &node_row_desc, &row));
    const bool is_on_map = node->member_id != 0; /* frontends are not */
    return is_on_map && !(is_known && is_same_place(&old, &row)) ? topology_raise_epoch(step)
                                                                 : vy_ok();
}
