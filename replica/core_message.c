/* SPDX-License-Identifier: Apache-2.0 */
/* Messages between libraft's form and ours. */
#include "replica/core_private.h"

bool core_message_of_raft(const struct raft_message *from, struct core_message *to)
{
    *to = (struct core_message){.entries = NULL};
    switch (from->type) {
    case RAFT_REQUEST_VOTE:
        to->kind = CORE_VOTE;
        to->version = from->request_vote.version;
        to->term = from->request_vote.term;
        to->last_index = from->request_vote.last_log_index;
        to->last_term = from->request_vote.last_log_term;
        to->disrupt_leader = from->request_vote.disrupt_leader;
        to->pre_vote = from->request_vote.pre_vote;
        return true;
    case RAFT_REQUEST_VOTE_RESULT:
        to->kind = CORE_VOTE_RESULT;
        to->version = from->request_vote_result.version;
        to->term = from->request_vote_result.term;
        to->is_granted = from->request_vote_result.vote_granted;
        to->pre_vote = from->request_vote_result.pre_vote;
        return true;
    case RAFT_APPEND_ENTRIES:
        to->kind = CORE_APPEND;
        to->version = from->append_entries.version;
        to->term = from->append_entries.term;
        to->prev_index = from->append_entries.prev_log_index;
        to->prev_term = from->append_entries.prev_log_term;
        to->commit = from->append_entries.leader_commit;
        to->count = from->append_entries.n_entries;
        return true;
    case RAFT_APPEND_ENTRIES_RESULT:
        to->kind = CORE_APPEND_RESULT;
        to->version = from->append_entries_result.version;
        to->term = from->append_entries_result.term;
        to->rejected = from->append_entries_result.rejected;
        to->last_index = from->append_entries_result.last_log_index;
        return true;
    case RAFT_TIMEOUT_NOW:
        to->kind = CORE_TIMEOUT_NOW;
        to->version = from->timeout_now.version;
        to->term = from->timeout_now.term;
        to->last_index = from->timeout_now.last_log_index;
        to->last_term = from->timeout_now.last_log_term;
        return true;
    case RAFT_INSTALL_SNAPSHOT:
        return false; /* snapshots are not there yet: ops->behind */
    }
    return false;
}

void core_message_to_raft(const struct core_message *from, struct raft_message *to)
{
    switch (from->kind) {
    case CORE_VOTE:
        to->type = RAFT_REQUEST_VOTE;
        to->request_vote = (struct raft_request_vote){.version = from->version,
                                                      .term = from->term,
                                                      .candidate_id = to->server_id,
                                                      .last_log_index = from->last_index,
                                                      .last_log_term = from->last_term,
                                                      .disrupt_leader = from->disrupt_leader,
                                                      .pre_vote = from->pre_vote};
        break;
    case CORE_VOTE_RESULT:
        to->type = RAFT_REQUEST_VOTE_RESULT;
        to->request_vote_result =
            (struct raft_request_vote_result){.version = from->version,
                                              .term = from->term,
                                              .vote_granted = from->is_granted,
                                              .pre_vote = from->pre_vote,
                                              .features = from->features,
                                              .capacity = from->capacity};
        break;
    case CORE_APPEND_RESULT:
        to->type = RAFT_APPEND_ENTRIES_RESULT;
        to->append_entries_result =
            (struct raft_append_entries_result){.version = from->version,
                                                .term = from->term,
                                                .rejected = from->rejected,
                                                .last_log_index = from->last_index,
                                                .features = from->features,
                                                .capacity = from->capacity};
        break;
    case CORE_TIMEOUT_NOW:
        to->type = RAFT_TIMEOUT_NOW;
        to->timeout_now = (struct raft_timeout_now){.version = from->version,
                                                    .term = from->term,
                                                    .last_log_index = from->last_index,
                                                    .last_log_term = from->last_term};
        break;
    case CORE_APPEND:
        to->type = RAFT_APPEND_ENTRIES;
        break;
    case CORE_READ:
    case CORE_READ_RESULT:
    case CORE_LIFE_ASK:
    case CORE_LIFE:
    case CORE_SCRUB:
    case CORE_SCRUB_RESULT:
    case CORE_REBUILD:
        break;
    }
}
