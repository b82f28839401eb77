/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/group_link.h"

#include "base/assert.h"

struct vy_err group_link_open(const struct group_link_config *config, struct raft_link **out)
{
    struct raft_link_member members[SETTINGS_MEMBERS_MAX];
    VY_ASSERT(config->member_count <= SETTINGS_MEMBERS_MAX);
    if (config->member_count == 1) {
        *out = NULL;
        return vy_ok();
    }
    for (size_t i = 0; i < config->member_count; i++) {
        const struct settings_member *member = &config->members[i];
        if (member->raft == NULL) {
            return vy_error(VY_CODE_ARGUMENT, "a member of the group has no raft address");
        }
        members[i] = (struct raft_link_member){
            .id = member->id, .node = member->node, .address = member->raft};
    }
    const struct raft_link_config link = {.rpc = config->rpc,
                                          .member_id = config->self->id,
                                          .members = members,
                                          .member_count = config->member_count,
                                          .listen = config->self->raft,
                                          .on_frame = config->on_frame,
                                          .on_bulk = config->on_bulk,
                                          .arg = config->arg};
    return raft_link_new(&link, out);
}

void group_link_members(const struct settings_member *members, size_t member_count,
                        struct replica_member *out)
{
    for (size_t i = 0; i < member_count; i++) {
        out[i] = (struct replica_member){.id = members[i].id,
                                         .address = members[i].raft != NULL ? members[i].raft
                                                                            : members[i].link};
    }
}
