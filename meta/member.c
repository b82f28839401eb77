/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plans to change the members of groups. The group's own log decides who its members are; a row
 * here says what is wanted, so that the next leader goes on with it, and who was removed, so that
 * an id is never used again. One plan at a time in a group.
 */
#include "meta/fsm_private.h"

static struct vy_err put(struct fsm_step *step, const struct member_row *row)
{
    const struct meta_key key = meta_key_member(row->group_id, row->member_id);
    return fsm_put(step, META_FAMILY_CLUSTER, meta_key_bytes(&key), &member_row_desc, row);
}

static bool is_open(const struct member_row *row)
{
    return row->plan == MEMBER_PLAN_ADD || row->plan == MEMBER_PLAN_REMOVE;
}

/* ---- the map: nodes of members come and go with them ---- */

static struct vy_bytes role_of(uint64_t group_id)
{
    return group_id == 0 ? VY_LIT("meta") : VY_LIT("shard");
}

static struct vy_err drop_node(struct fsm_step *step, uint64_t group_id, uint64_t member_id)
{
    const struct node_row *nodes = NULL;
    size_t count = 0;
    VY_TRY(node_list(&step->view, &nodes, &count));
    for (size_t i = 0; i < count; i++) {
        if (nodes[i].group_id == group_id && nodes[i].member_id == member_id &&
            vy_bytes_equal(nodes[i].role, role_of(group_id))) {
            const struct meta_key key = meta_key_node(nodes[i].role, nodes[i].node);
            txn_delete(step->txn, META_FAMILY_CLUSTER, meta_key_bytes(&key));
        }
    }
    return topology_raise_epoch(step);
}

/* Meta's members do not register: they are on the map from when they are wanted. */
static struct vy_err put_meta_node(struct fsm_step *step, const struct member_row *member)
{
    const struct meta_key key = meta_key_node(VY_LIT("meta"), member->node);
    const struct node_row row = {.member_id = member->member_id,
                                 .role = VY_LIT("meta"),
                                 .node = member->node,
                                 .link_address = member->link_address,
                                 .raft_address = member->raft_address,
                                 .registered_ms = step->entry->time_ms,
                                 .seen_ms = step->entry->time_ms};
    VY_TRY(fsm_put(step, META_FAMILY_CLUSTER, meta_key_bytes(&key), &node_row_desc, &row));
    return topology_raise_epoch(step);
}

/* ---- a plan ---- */

static struct vy_err check_name(struct fsm_step *step, const struct member_row *member)
{
    const struct meta_key key = meta_key_node(role_of(member->group_id), member->node);
    struct node_row row;
    bool is_found = false;
    if (member->node.len == 0 || member->node.len > 100 || member->raft_address.len == 0 ||
        member->raft_address.len > 150 || member->link_address.len > 255) {
        return fsm_refuse(step, META_OUTCOME_ARGUMENT, "name or address of a member");
    }
    VY_TRY(table_get(&step->view, META_FAMILY_CLUSTER, meta_key_bytes(&key), &node_row_desc, &row,
                     &is_found));
    return is_found && row.member_id != member->member_id
               ? fsm_refuse(step, META_OUTCOME_EXISTS,
                            "node %.*s is a member already: choose another name for the new one",
                            VY_PRI(member->node))
               : vy_ok();
}

/* Another plan of the group that is not at its end; the same member's may be turned round. */
static struct vy_err check_alone(struct fsm_step *step, const struct member_row *member)
{
    const struct member_row *rows = NULL;
    size_t count = 0;
    VY_TRY(member_list(&step->view, &rows, &count));
    for (size_t i = 0; i < count; i++) {
        const bool is_own = rows[i].member_id == member->member_id;
        if (rows[i].group_id == member->group_id && is_open(&rows[i]) && !is_own) {
            return fsm_refuse(step, META_OUTCOME_PRECONDITION,
                              "node %.*s is being %s: one change of a group's members at a time "
                              "(volaryctl member list)",
                              VY_PRI(rows[i].node),
                              rows[i].plan == MEMBER_PLAN_ADD ? "added" : "removed");
        }
    }
    return count < META_MEMBERS_MAX
               ? vy_ok()
               : fsm_refuse(step, META_OUTCOME_LIMIT, "too many members came and went");
}

static struct vy_err check_plan(struct fsm_step *step, const struct member_row *member,
                                const struct member_row *old, bool is_known)
{
    if (member->member_id == 0 || !is_open(member)) {
        return fsm_refuse(step, META_OUTCOME_ARGUMENT, "plan for a member");
    }
    if (is_known && old->plan == MEMBER_PLAN_GONE) {
        return fsm_refuse(step, META_OUTCOME_NOT_FOUND, "node %.*s was removed already",
                          VY_PRI(old->node));
    }
    if (is_known && member->plan == MEMBER_PLAN_ADD) {
        return fsm_refuse(step, META_OUTCOME_CONFLICT, "id of a new member");
    }
    VY_TRY(check_alone(step, member));
    return fsm_is_refused(step) || member->plan != MEMBER_PLAN_ADD ? vy_ok()
                                                                   : check_name(step, member);
}

struct vy_err member_apply_plan(struct fsm_step *step)
{
    const struct member_row *member = step->command->member_plan->member;
    struct member_row old;
    bool is_known = false;
    if (member == NULL) {
        return fsm_refuse(step, META_OUTCOME_ARGUMENT, "plan for a member");
    }
    VY_TRY(member_get(&step->view, member->group_id, member->member_id, &old, &is_known));
    VY_TRY(check_plan(step, member, &old, is_known));
    if (fsm_is_refused(step) || fsm_is_dry(step)) {
        return vy_ok();
    }
    struct member_row row = *member;
    row.created_ms = step->entry->time_ms;
    step->result.member_id = row.member_id;
    VY_TRY(put(step, &row));
    return row.plan == MEMBER_PLAN_ADD && row.group_id == 0 ? put_meta_node(step, &row) : vy_ok();
}

/* ---- its steps ---- */

static struct vy_err bury(struct fsm_step *step, const struct member_row *row)
{
    struct member_row gone = *row;
    gone.plan = MEMBER_PLAN_GONE;
    gone.done_ms = step->entry->time_ms;
    gone.error = vy_bytes(NULL, 0);
    VY_TRY(put(step, &gone));
    return drop_node(step, row->group_id, row->member_id);
}

static struct vy_err finish(struct fsm_step *step, const struct member_row *row)
{
    struct member_row replaced;
    bool is_known = false;
    if (row->plan == MEMBER_PLAN_REMOVE) {
        return bury(step, row);
    }
    struct member_row done = *row;
    done.plan = MEMBER_PLAN_NONE;
    done.done_ms = step->entry->time_ms;
    done.error = vy_bytes(NULL, 0);
    VY_TRY(put(step, &done));
    if (row->replaces == 0) {
        return vy_ok();
    }
    VY_TRY(member_get(&step->view, row->group_id, row->replaces, &replaced, &is_known));
    replaced.group_id = row->group_id;
    replaced.member_id = row->replaces;
    return bury(step, &replaced);
}

struct vy_err member_apply_step(struct fsm_step *step)
{
    const struct cmd_member_step *cmd = step->command->member_step;
    struct member_row row;
    bool is_known = false;
    VY_TRY(member_get(&step->view, cmd->group_id, cmd->member_id, &row, &is_known));
    if (!is_known || !is_open(&row)) {
        return fsm_refuse(step, META_OUTCOME_NOT_FOUND, "there is no such plan");
    }
    if (cmd->done) {
        return finish(step, &row);
    }
    row.error = cmd->error;
    return put(step, &row);
}
