/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far an erasure is: one entry for each step that ended, or failed for now, and for what its
 * members say. An erasure ends when its certificate is signed, also while members are away; it is
 * complete when they have said that their files are clean, and the certificate was signed again.
 */
#include "meta/erase.h"

#include "meta/fsm_private.h"

/* In the order in which they are done. */
const enum erase_step erase_steps[ERASE_STEP_COUNT] = {ERASE_STEP_GROUP, ERASE_STEP_MEMBERS,
                                                       ERASE_STEP_CERTIFICATE};

const enum erase_step erase_domain_steps[ERASE_DOMAIN_STEP_COUNT] = {
    ERASE_STEP_ACCOUNTS, ERASE_STEP_ALIASES, ERASE_STEP_CHILDREN, ERASE_STEP_CERTIFICATE};

struct vy_err erase_put_job(struct fsm_step *step, const struct job_row *job)
{
    const struct meta_key key = meta_key_job(job->id);
    return fsm_put(step, META_FAMILY_JOB, meta_key_bytes(&key), &job_row_desc, job);
}

size_t erase_pending_members(const struct job_row *job)
{
    size_t count = 0;
    for (size_t i = 0; i < job->members_count; i++) {
        count += erase_is_settled(&job->members[i]) ? 0 : 1;
    }
    return count;
}

enum erase_step erase_next_step(const struct job_row *job)
{
    for (size_t i = 0; i < job->steps_count; i++) {
        if (job->steps[i].done_ms == 0) {
            return job->steps[i].step;
        }
    }
    if (job->completed_ms != 0 || job->kind == JOB_KIND_DOMAIN) {
        return ERASE_STEP_NONE; /* a domain's is complete when its accounts' are */
    }
    return erase_pending_members(job) > 0 ? ERASE_STEP_MEMBERS : ERASE_STEP_CERTIFICATE;
}

/* ---- members ---- */

static struct erase_member_row *find_member(struct erase_member_row *members, size_t count,
                                            const struct erase_member_row *like)
{
    for (size_t i = 0; i < count; i++) {
        if (members[i].group_id == like->group_id && members[i].member_id == like->member_id) {
            return &members[i];
        }
    }
    return NULL;
}

/* What is told replaces what was known; a time that is set stays. */
static struct vy_err merge_members(struct fsm_step *step, struct job_row *job)
{
    const struct cmd_erase_step *cmd = step->command->erase_step;
    struct erase_member_row *members = VY_ARENA_ARRAY(
        step->view.arena, job->members_count + cmd->members_count + 1, struct erase_member_row);
    size_t count = job->members_count;
    if (members == NULL) {
        return vy_error(VY_CODE_NOMEM, "members of an erasure");
    }
    for (size_t i = 0; i < count; i++) {
        members[i] = job->members[i];
    }
    for (size_t i = 0; i < cmd->members_count; i++) {
        struct erase_member_row *known = find_member(members, count, &cmd->members[i]);
        if (known == NULL) {
            known = &members[count++];
        } else if (erase_is_settled(known)) {
            continue;
        }
        *known = cmd->members[i];
        known->done_ms = known->done_ms != 0 ? step->entry->time_ms : 0;
        known->left_ms = known->left_ms != 0 ? step->entry->time_ms : 0;
    }
    job->members = members;
    job->members_count = count;
    return vy_ok();
}

/* ---- the end ---- */

static struct vy_err set_erased(struct fsm_step *step, const struct job_row *job)
{
    struct meta_account_row account;
    enum account_state to = ACCOUNT_STATE_NONE;
    bool is_found = false;
    VY_TRY(account_get(&step->view, job->account_id, &account, &is_found));
    if (!is_found || !lifecycle_next((enum account_state)account.state, LIFECYCLE_ERASED, &to)) {
        return vy_error(VY_CODE_CORRUPT, "account of an erasure");
    }
    account.state = (uint32_t)to;
    fsm_tell_account(step, &account);
    return fsm_put_account(step, &account);
}

static struct vy_err count_for_parent(struct fsm_step *step, const struct job_row *job,
                                      bool is_first)
{
    const bool is_complete = job->completed_ms != 0;
    if (is_first) {
        VY_TRY(domain_count_child(step, job->parent_job_id, ERASE_CHILD_DONE));
        return is_complete ? vy_ok()
                           : domain_count_child(step, job->parent_job_id, ERASE_CHILD_PENDING);
    }
    return is_complete ? domain_count_child(step, job->parent_job_id, ERASE_CHILD_COMPLETE)
                       : vy_ok();
}

/* A domain's: it has no members of its own, but accounts that may have. */
static void certify_domain(struct fsm_step *step, struct job_row *job)
{
    const struct meta_key open = meta_key_open_job(job->id);
    job->certificate = step->command->erase_step->certificate;
    job->certificate_serial++;
    job->finished_ms = step->entry->time_ms;
    job->completed_ms = job->child_pending == 0 ? step->entry->time_ms : 0;
    txn_delete(step->txn, META_FAMILY_JOB, meta_key_bytes(&open));
}

/* A certificate is signed: the first one, or one that follows it. */
static struct vy_err certify(struct fsm_step *step, struct job_row *job)
{
    if (job->kind == JOB_KIND_DOMAIN) {
        certify_domain(step, job);
        return vy_ok();
    }
    const struct meta_key open = meta_key_open_job(job->id);
    const struct meta_key waiting = meta_key_waiting_job(job->id);
    const bool is_first = job->finished_ms == 0;
    const uint64_t now_ms = step->entry->time_ms;
    job->certificate = step->command->erase_step->certificate;
    job->certificate_serial++;
    if (erase_pending_members(job) == 0) {
        job->completed_ms = now_ms;
        txn_delete(step->txn, META_FAMILY_JOB, meta_key_bytes(&waiting));
    } else {
        txn_put(step->txn, META_FAMILY_JOB, meta_key_bytes(&waiting), VY_LIT("1"));
    }
    VY_TRY(count_for_parent(step, job, is_first));
    if (!is_first) {
        return vy_ok();
    }
    job->finished_ms = now_ms;
    txn_delete(step->txn, META_FAMILY_JOB, meta_key_bytes(&open));
    return set_erased(step, job);
}

/* ---- one step ---- */

static struct vy_err end_step(struct fsm_step *step, struct job_row *job)
{
    const struct cmd_erase_step *cmd = step->command->erase_step;
    struct erase_step_row *steps =
        VY_ARENA_ARRAY(step->view.arena, job->steps_count, struct erase_step_row);
    if (steps == NULL) {
        return vy_error(VY_CODE_NOMEM, "steps of an erasure");
    }
    for (size_t i = 0; i < job->steps_count; i++) {
        steps[i] = job->steps[i];
        if (steps[i].step != cmd->step || steps[i].done_ms != 0) {
            continue;
        }
        steps[i].error = cmd->error;
        steps[i].failed_count += cmd->error.len > 0 ? 1 : 0;
        steps[i].done_ms = cmd->error.len > 0 ? 0 : step->entry->time_ms;
    }
    job->steps = steps;
    return vy_ok();
}

struct vy_err erase_apply_step(struct fsm_step *step)
{
    const struct cmd_erase_step *cmd = step->command->erase_step;
    struct job_row job;
    bool is_found = false;
    VY_TRY(job_get(&step->view, cmd->job_id, &job, &is_found));
    if (!is_found || job.steps_count > ERASE_STEPS_MAX || cmd->step == ERASE_STEP_NONE ||
        erase_next_step(&job) != cmd->step) {
        return fsm_refuse(step, META_OUTCOME_STALE, "the step is done, or not to be done yet");
    }
    if (cmd->members_count >
        ERASE_MEMBERS_MAX - VY_MIN((size_t)ERASE_MEMBERS_MAX, job.members_count)) {
        return fsm_refuse(step, META_OUTCOME_LIMIT, "too many members of an erasure");
    }
    VY_TRY(merge_members(step, &job));
    bool is_over = !cmd->pending;
    if (job.kind == JOB_KIND_DOMAIN && is_over && cmd->error.len == 0) {
        VY_TRY(domain_end_step(step, &job, &is_over));
    }
    if (is_over) {
        VY_TRY(end_step(step, &job));
    }
    if (cmd->step == ERASE_STEP_CERTIFICATE && !cmd->pending && cmd->error.len == 0) {
        VY_TRY(certify(step, &job));
    }
    return erase_put_job(step, &job);
}
