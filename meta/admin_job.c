/* SPDX-License-Identifier: Apache-2.0 */
/* Long work and how far it is (DEL-8), and the certificates that it ends with. */
#include "base/codec.h"
#include "meta/admin_private.h"
#include "meta/certificate.h"
#include "meta/erase.h"

/* ---- rows as messages ---- */

static struct vy_bytes participant(enum erase_step step)
{
    switch (step) {
    case ERASE_STEP_GROUP:
        return VY_LIT("group of the account");
    case ERASE_STEP_MEMBERS:
        return VY_LIT("files of all members");
    case ERASE_STEP_CERTIFICATE:
        return VY_LIT("certificate");
    case ERASE_STEP_ACCOUNTS:
        return VY_LIT("accounts of the domain");
    case ERASE_STEP_ALIASES:
        return VY_LIT("aliases of the domain, and itself");
    case ERASE_STEP_CHILDREN:
        return VY_LIT("erasures of the accounts");
    case ERASE_STEP_NONE:
        break;
    }
    return VY_LIT("");
}

static struct vy_bytes step_state(const struct erase_step_row *step)
{
    if (step->done_ms != 0) {
        return VY_LIT("done");
    }
    return step->error.len > 0 ? VY_LIT("failed") : VY_LIT("pending");
}

static struct vy_err fill_member(struct vy_arena *arena, const struct erase_member_row *member,
                                 struct admin_job_step *out)
{
    const char *text =
        member->group_id == 0
            ? vy_arena_printf(arena, "meta, member %.*s", VY_PRI(member->node))
            : vy_arena_printf(arena, "group %llu, member %.*s",
                              (unsigned long long)member->group_id, VY_PRI(member->node));
    if (text == NULL) {
        return vy_error(VY_CODE_LIMIT, "memory for steps");
    }
    *out = (struct admin_job_step){.participant = vy_cstr(text),
                                   .state = member->done_ms != 0   ? VY_LIT("done")
                                            : member->left_ms != 0 ? VY_LIT("left")
                                                                   : VY_LIT("pending"),
                                   .error = member->note,
                                   .done_ms = member->done_ms};
    return vy_ok();
}

/* Behind the step in which they are asked. */
static struct vy_err fill_members(struct vy_arena *arena, const struct job_row *row,
                                  struct admin_job_step *steps, size_t *count)
{
    for (size_t i = 0; i < row->members_count; i++) {
        VY_TRY(fill_member(arena, &row->members[i], &steps[(*count)++]));
    }
    return vy_ok();
}

static struct vy_bytes job_state(const struct job_row *row, const struct erase_step_row *next)
{
    if (next == NULL) {
        return VY_LIT("done");
    }
    if (next->error.len > 0) {
        return VY_LIT("failed");
    }
    return next->step == row->steps[0].step && row->child_count == 0 ? VY_LIT("pending")
                                                                     : VY_LIT("running");
}

static struct vy_err fill_job(struct vy_arena *arena, const struct job_row *row,
                              struct admin_job *out)
{
    const struct erase_step_row *next = NULL;
    struct admin_job_step *steps =
        VY_ARENA_ARRAY(arena, row->steps_count + row->members_count + 1, struct admin_job_step);
    size_t count = 0;
    if (steps == NULL) {
        return vy_error(VY_CODE_LIMIT, "memory for steps");
    }
    for (size_t i = 0; i < row->steps_count; i++) {
        steps[count++] = (struct admin_job_step){.participant = participant(row->steps[i].step),
                                                 .state = step_state(&row->steps[i]),
                                                 .error = row->steps[i].error,
                                                 .done_ms = row->steps[i].done_ms,
                                                 .failed_count = row->steps[i].failed_count};
        if (next == NULL && row->steps[i].done_ms == 0) {
            next = &row->steps[i];
        }
        if (row->steps[i].step == ERASE_STEP_MEMBERS) {
            VY_TRY(fill_members(arena, row, steps, &count));
        }
    }
    const bool is_domain = row->kind == JOB_KIND_DOMAIN;
    const uint64_t pending = is_domain ? row->child_pending : erase_pending_members(row);
    *out = (struct admin_job){.kind = is_domain ? VY_LIT("erase-domain") : VY_LIT("erase-account"),
                              .state = job_state(row, next),
                              .created_ms = row->created_ms,
                              .finished_ms = row->finished_ms,
                              .completed_ms = row->completed_ms,
                              .pending_members = row->finished_ms == 0 ? 0 : (uint32_t)pending,
                              .domain = row->domain,
                              .accounts_planned = row->child_planned,
                              .accounts_begun = row->child_count,
                              .accounts_done = row->child_done,
                              .empty_aliases = row->empty_aliases,
                              .empty_aliases_count = row->empty_aliases_count,
                              .steps_count = count,
                              .steps = steps,
                              .error = next == NULL ? vy_bytes(NULL, 0) : next->error};
    if (row->parent_job_id != 0) {
        VY_TRY(admin_text_u64(arena, row->parent_job_id, &out->parent));
    }
    if (is_domain) {
        return admin_text_u64(arena, row->id, &out->id);
    }
    VY_TRY(admin_text_u64(arena, row->id, &out->id));
    return admin_text_u64(arena, row->account_id, &out->account_id);
}

/* ---- lists, oldest first ---- */

static struct vy_err read_jobs(struct meta_call *call, struct admin_list_jobs_reply *out)
{
    const struct admin_list_jobs_request *request = call->message;
    const struct meta_view view = meta_call_snapshot_view(call);
    uint64_t after = 0;
    struct table_rows rows = {.count = 0};
    if (request->page != NULL && request->page->after.len > 0 &&
        !vy_parse_u64(request->page->after, &after)) {
        return vy_error(VY_CODE_ARGUMENT, "a list of jobs goes on behind the id of a job");
    }
    const struct meta_key from = meta_key_job(after + 1);
    const struct meta_key to = meta_key_job(UINT64_MAX);
    const struct table_page page = {.family = META_FAMILY_JOB,
                                    .from = meta_key_bytes(&from),
                                    .to = meta_key_bytes(&to),
                                    .rows_max = admin_page_rows(request->page),
                                    .desc = &job_row_desc};
    VY_TRY(table_read_page(&view, &page, &rows));
    const struct job_row *jobs = rows.rows;
    struct admin_job *list = VY_ARENA_ARRAY(&call->arena, rows.count + 1, struct admin_job);
    if (list == NULL) {
        return vy_error(VY_CODE_LIMIT, "memory for jobs");
    }
    for (size_t i = 0; i < rows.count; i++) {
        VY_TRY(fill_job(&call->arena, &jobs[i], &list[i]));
    }
    out->jobs = list;
    out->jobs_count = rows.count;
    if (rows.is_more) {
        out->next = list[rows.count - 1].id;
    }
    return vy_ok();
}

static void list_on_worker(struct meta_call *call)
{
    struct admin_list_jobs_reply *reply = VY_ARENA_NEW(&call->arena, struct admin_list_jobs_reply);
    call->state = reply;
    call->err = reply == NULL ? vy_error(VY_CODE_LIMIT, "memory for jobs") : read_jobs(call, reply);
}

static void list_answer(struct meta_call *call)
{
    meta_call_reply(call, call->state);
}

void admin_list_jobs(struct meta_call *call)
{
    admin_read(call, list_on_worker, list_answer);
}

/* ---- one ---- */

static struct vy_err read_job(struct meta_call *call, struct admin_job *out)
{
    const struct admin_get_job_request *request = call->message;
    const struct meta_view view = meta_call_view(call);
    struct job_row row;
    uint64_t id = 0;
    bool is_found = false;
    if (!vy_parse_u64(request->id, &id)) {
        return vy_error(VY_CODE_ARGUMENT, "the id of a job is a number");
    }
    VY_TRY(job_get(&view, id, &row, &is_found));
    if (!is_found) {
        return vy_error(VY_CODE_NOT_FOUND, "there is no such job");
    }
    VY_TRY(fill_job(&call->arena, &row, out));
    out->certificate = row.certificate;
    return vy_ok();
}

static void get_now(struct meta_call *call)
{
    struct admin_job reply;
    const struct vy_err err = read_job(call, &reply);
    if (vy_failed(err)) {
        meta_call_fail(call, err);
        return;
    }
    meta_call_reply(call, &reply);
}

void admin_get_job(struct meta_call *call)
{
    meta_call_barrier(call, get_now);
}

/* ---- certificates ---- */

void admin_verify_certificate(struct meta_call *call)
{
    const struct admin_verify_certificate_request *request = call->message;
    struct replica_identity identity;
    struct certificate_claims claims = {.job_id = {.len = 0}};
    call->meta->group->ops->get_identity(call->meta->group, &identity);
    const struct vy_err err = certificate_verify(
        call->meta->config.key, vy_bytes(identity.cluster_id, sizeof(identity.cluster_id)),
        request->text, &claims);
    if (vy_failed(err) && err.code != VY_CODE_SYNTAX && err.code != VY_CODE_AUTH) {
        meta_call_fail(call, err);
        return;
    }
    const struct admin_verify_certificate_reply reply = {
        .valid = !vy_failed(err),
        .reason = vy_failed(err) ? vy_cstr(err.what) : vy_bytes(NULL, 0),
        .intent = claims.job_id,
        .account_id = claims.account_id,
        .serial = claims.serial,
        .pending_members = claims.pending};
    meta_call_reply(call, &reply);
}

static struct vy_err encode_hex(struct vy_arena *arena, struct vy_bytes bytes, struct vy_bytes *out)
{
    struct vy_buf text;
    vy_buf_init(&text, 1024);
    vy_hex_encode(&text, bytes);
    struct vy_err err = vy_buf_error(&text);
    if (!vy_failed(err)) {
        err = vy_arena_dup(arena, vy_buf_bytes(&text), out);
    }
    vy_buf_deinit(&text);
    return err;
}

static struct vy_err read_key(struct meta_call *call, struct admin_certificate_key *out)
{
    struct replica_identity identity;
    uint8_t key[CERTIFICATE_KEY_BYTES];
    call->meta->group->ops->get_identity(call->meta->group, &identity);
    const struct vy_bytes cluster_id = vy_bytes(identity.cluster_id, sizeof(identity.cluster_id));
    VY_TRY(certificate_public_key(call->meta->config.key, cluster_id, key));
    VY_TRY(encode_hex(&call->arena, vy_bytes(key, sizeof(key)), &out->public_key));
    return encode_hex(&call->arena, cluster_id, &out->cluster_id);
}

void admin_get_certificate_key(struct meta_call *call)
{
    struct admin_certificate_key reply;
    const struct vy_err err = read_key(call, &reply);
    if (vy_failed(err)) {
        meta_call_fail(call, err);
        return;
    }
    meta_call_reply(call, &reply);
}
