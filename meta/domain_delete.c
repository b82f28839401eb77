/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DEL-9: a domain deleted with all that it has. The intent is one entry; then the leader deletes
 * the accounts one by one, each with an intent and a job of its own that names this one as its
 * parent (saga_domain.c), then the aliases and the domain. Nothing is added to a domain on its way
 * out.
 */
#include "meta/erase.h"
#include "meta/fsm_private.h"

#define ALIASES_A_STEP 32U    /* deleted by one entry */
#define EMPTY_ALIASES_MAX 64U /* named in the job */

struct vy_err domain_check_stays(struct fsm_step *step, const struct domain_row *domain)
{
    return domain->deleting_job_id == 0
               ? vy_ok()
               : fsm_refuse(step, META_OUTCOME_PRECONDITION,
                            "domain %.*s is being deleted by job %llu", VY_PRI(domain->name),
                            (unsigned long long)domain->deleting_job_id);
}

/* ---- the intent ---- */

static struct vy_err put_intent(struct fsm_step *step, const struct domain_row *domain)
{
    const struct meta_key open = meta_key_open_job(domain->deleting_job_id);
    struct erase_step_row steps[ERASE_DOMAIN_STEP_COUNT];
    for (size_t i = 0; i < ERASE_DOMAIN_STEP_COUNT; i++) {
        steps[i] = (struct erase_step_row){.step = erase_domain_steps[i]};
    }
    const struct job_row job = {.id = domain->deleting_job_id,
                                .kind = JOB_KIND_DOMAIN,
                                .domain = domain->name,
                                .created_ms = step->entry->time_ms,
                                .child_planned = domain->account_count,
                                .steps_count = ERASE_DOMAIN_STEP_COUNT,
                                .steps = steps};
    txn_put(step->txn, META_FAMILY_JOB, meta_key_bytes(&open), VY_LIT("1"));
    return erase_put_job(step, &job);
}

struct vy_err domain_begin_delete(struct fsm_step *step, struct domain_row *domain)
{
    const struct cmd_domain_delete *cmd = step->command->domain_delete;
    struct counter_row counter;
    step->result.job_id = domain->deleting_job_id;
    if (domain->deleting_job_id != 0) {
        return vy_ok(); /* the same job */
    }
    if (cmd->account_count != domain->account_count || cmd->alias_count != domain->alias_count) {
        return fsm_refuse(step, META_OUTCOME_PRECONDITION,
                          "the domain has %llu accounts and %llu aliases now, others than when the "
                          "delete was confirmed: look at it and confirm again",
                          (unsigned long long)domain->account_count,
                          (unsigned long long)domain->alias_count);
    }
    const struct delete_consent consent = {.is_needed = cmd->second_admin,
                                           .actor = cmd->actor,
                                           .asked_by = &domain->delete_asked_by,
                                           .asked_ms = &domain->delete_asked_ms};
    const bool is_agreed = delete_is_agreed(step, &consent);
    if (fsm_is_dry(step)) {
        return vy_ok();
    }
    if (!is_agreed) {
        return fsm_put(step, META_FAMILY_DOMAIN, domain->name, &domain_row_desc, domain);
    }
    VY_TRY(counter_get(&step->view, &counter));
    domain->deleting_job_id = ++counter.next_job_id;
    domain->catch_all = vy_bytes(NULL, 0);
    step->result.job_id = domain->deleting_job_id;
    fsm_tell_address(step, domain->name);
    VY_TRY(fsm_put(step, META_FAMILY_CLUSTER, META_KEY_COUNTER, &counter_row_desc, &counter));
    VY_TRY(fsm_put(step, META_FAMILY_DOMAIN, domain->name, &domain_row_desc, domain));
    return put_intent(step, domain);
}

/* ---- its accounts ---- */

struct vy_err domain_owns_account(struct fsm_step *step, uint64_t parent_job_id,
                                  const struct meta_account_row *account, bool *out)
{
    struct job_row job;
    bool is_found = false;
    VY_TRY(job_get(&step->view, parent_job_id, &job, &is_found));
    *out = is_found && job.kind == JOB_KIND_DOMAIN && job.finished_ms == 0 &&
           account->address.len > 0 && vy_bytes_equal(fsm_domain_of(account->address), job.domain);
    return vy_ok();
}

/* Aliases elsewhere that lost their last target by the account that is deleted now. */
static struct vy_err add_empty_aliases(struct fsm_step *step, struct job_row *job)
{
    const size_t room =
        EMPTY_ALIASES_MAX - VY_MIN((size_t)EMPTY_ALIASES_MAX, job->empty_aliases_count);
    const size_t more = VY_MIN(room, step->result.names_count);
    struct vy_bytes *names =
        VY_ARENA_ARRAY(step->view.arena, job->empty_aliases_count + more + 1, struct vy_bytes);
    size_t count = 0;
    if (names == NULL) {
        return vy_error(VY_CODE_NOMEM, "names of aliases");
    }
    for (size_t i = 0; i < job->empty_aliases_count; i++) {
        names[count++] = job->empty_aliases[i];
    }
    for (size_t i = 0; i < more; i++) {
        const bool is_inside =
            vy_bytes_equal(fsm_domain_of(step->result.names[i]), job->domain); /* goes itself */
        names[count] = step->result.names[i];
        count += is_inside ? 0 : 1;
    }
    job->empty_aliases = names;
    job->empty_aliases_count = count;
    return vy_ok();
}

struct vy_err domain_count_child(struct fsm_step *step, uint64_t parent_job_id,
                                 enum erase_child what)
{
    struct job_row job;
    bool is_found = false;
    if (parent_job_id == 0) {
        return vy_ok();
    }
    VY_TRY(job_get(&step->view, parent_job_id, &job, &is_found));
    if (!is_found || job.kind != JOB_KIND_DOMAIN) {
        return vy_error(VY_CODE_CORRUPT, "parent of an erasure");
    }
    switch (what) {
    case ERASE_CHILD_BEGUN:
        job.child_count++;
        VY_TRY(add_empty_aliases(step, &job));
        break;
    case ERASE_CHILD_DONE:
        job.child_done++;
        break;
    case ERASE_CHILD_PENDING:
        job.child_pending++;
        break;
    case ERASE_CHILD_COMPLETE:
        job.child_pending -= job.child_pending > 0 ? 1 : 0;
        if (job.child_pending == 0 && job.finished_ms != 0) {
            job.completed_ms = step->entry->time_ms;
        }
        break;
    }
    return erase_put_job(step, &job);
}

/* ---- its aliases, and itself ---- */

/* The first addresses of the domain that are still something; retired ones are nobody's. */
static struct vy_err delete_aliases(struct fsm_step *step, struct vy_bytes name, bool *is_over)
{
    uint8_t end[META_ADDRESS_BYTES_MAX + 2];
    struct meta_key prefix = {.len = 0};
    VY_ASSERT(name.len < META_ADDRESS_BYTES_MAX);
    memcpy(prefix.data, name.data, name.len);
    prefix.data[name.len] = 0;
    prefix.len = name.len + 1;
    const struct table_page page = {.family = META_FAMILY_ALIAS,
                                    .from = meta_key_bytes(&prefix),
                                    .to = store_prefix_end(meta_key_bytes(&prefix), end),
                                    .rows_max = ALIASES_A_STEP};
    struct table_rows rows = {.count = 0};
    VY_TRY(table_read_page(&step->view, &page, &rows));
    for (size_t i = 0; i < rows.count; i++) {
        const struct vy_bytes local = vy_bytes_from(rows.keys[i], prefix.len);
        const char *text =
            vy_arena_printf(step->view.arena, "%.*s@%.*s", VY_PRI(local), VY_PRI(name));
        if (text == NULL) {
            return vy_error(VY_CODE_NOMEM, "name of an alias");
        }
        VY_TRY(alias_delete(step, vy_cstr(text)));
    }
    *is_over = !rows.is_more;
    return vy_ok();
}

static struct vy_err delete_domain(struct fsm_step *step, struct vy_bytes name)
{
    txn_delete(step->txn, META_FAMILY_DOMAIN, name);
    fsm_tell_address(step, name);
    return vy_ok();
}

struct vy_err domain_end_step(struct fsm_step *step, const struct job_row *job, bool *is_over)
{
    struct domain_row domain;
    bool is_found = false;
    switch (step->command->erase_step->step) {
    case ERASE_STEP_ACCOUNTS:
        VY_TRY(domain_get(&step->view, job->domain, &domain, &is_found));
        *is_over = !is_found || domain.account_count == 0;
        break;
    case ERASE_STEP_ALIASES:
        VY_TRY(delete_aliases(step, job->domain, is_over));
        return *is_over ? delete_domain(step, job->domain) : vy_ok();
    case ERASE_STEP_CHILDREN:
        *is_over = job->child_done == job->child_count;
        break;
    case ERASE_STEP_CERTIFICATE:
    case ERASE_STEP_NONE:
    case ERASE_STEP_GROUP:
    case ERASE_STEP_MEMBERS:
        break;
    }
    return vy_ok();
}
