/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The step in which every member that had files of the account gets rid of what is left in them:
 * all of meta's group and all of the account's. Each is asked again and again until it says that it
 * is clean; who is away is left pending after a while, and asked for as long as it is a member.
 */
#include "meta/saga_private.h"
#include "proto/shard.pb.h"

#define AWAY_MS 10000U            /* a member that cannot be reached, or waits for one */
#define WORK_MS (10U * 60 * 1000) /* one that rewrites its files */
#define NOTE_MS 1000U             /* before, what they wait for is not worth an entry */

/* ---- who they are ---- */

static struct vy_err copy_node(struct erase_run *run, struct vy_bytes node, struct vy_bytes *out)
{
    return vy_arena_dup(&run->arena, node, out);
}

static struct vy_err list_meta(struct erase_run *run)
{
    struct meta *meta = erase_run_meta(run);
    struct replica_member members[REPLICA_MEMBERS_MAX];
    const size_t count = meta->group->ops->get_members(meta->group, members, REPLICA_MEMBERS_MAX);
    for (size_t i = 0; i < VY_MIN(count, (size_t)REPLICA_MEMBERS_MAX); i++) {
        const char *node = meta_member_node(meta, members[i].id);
        struct erase_member_row *member = &run->members[run->member_count++];
        *member = (struct erase_member_row){.member_id = members[i].id};
        VY_TRY(copy_node(run, vy_cstr(node == NULL ? members[i].address : node), &member->node));
    }
    return vy_ok();
}

static struct vy_err read_nodes(struct erase_run *run, const struct node_row **out, size_t *count)
{
    struct meta_group *group = erase_run_meta(run)->group;
    const struct meta_view view = {.reader = group->ops->newest(group), .arena = &run->arena};
    return node_list(&view, out, count);
}

static struct vy_err list_shards(struct erase_run *run)
{
    const struct node_row *nodes = NULL;
    size_t count = 0;
    VY_TRY(read_nodes(run, &nodes, &count));
    for (size_t i = 0; i < count && run->member_count < ERASE_MEMBERS_MAX; i++) {
        if (nodes[i].group_id == run->group_id && nodes[i].group_id != 0) {
            run->members[run->member_count++] =
                (struct erase_member_row){.group_id = nodes[i].group_id,
                                          .member_id = nodes[i].member_id,
                                          .node = nodes[i].node};
        }
    }
    return vy_ok();
}

struct vy_err erase_members_list(struct erase_run *run)
{
    run->member_count = 0;
    run->members = VY_ARENA_ARRAY(&run->arena, ERASE_MEMBERS_MAX, struct erase_member_row);
    if (run->members == NULL) {
        return vy_error(VY_CODE_NOMEM, "members of an erasure");
    }
    VY_TRY(list_meta(run));
    return list_shards(run);
}

/* ---- what they say ---- */

static void set_note(struct erase_answer *answer, const char *note)
{
    if (!vy_bytes_equal(answer->member->note, vy_cstr(note))) {
        answer->member->note = vy_cstr(note);
        answer->is_changed = true;
    }
}

static void take_answer(struct erase_answer *answer, const struct account_expel_reply *reply)
{
    answer->is_working = reply->applied && !reply->rewritten;
    if (reply->log_cut) {
        answer->member->done_ms = 1; /* the entry knows the time */
        answer->is_changed = true;
        set_note(answer, "");
    } else if (!reply->applied) {
        set_note(answer, "has not applied the erasure yet");
    } else if (!reply->rewritten) {
        set_note(answer, "rewrites its files");
    } else {
        set_note(answer, "its log is cut when all members of its group are there");
    }
}

static void finish(struct erase_run *run);

static void answer_on_reply(void *arg, struct vy_err err, const struct account_expel_reply *reply)
{
    struct erase_answer *answer = arg;
    struct erase_run *run = answer->run;
    if (vy_failed(err)) {
        set_note(answer, "cannot be reached");
    } else {
        take_answer(answer, reply);
    }
    if (--run->open_count == 0) {
        finish(run);
    }
}

/* ---- asking ---- */

static const struct node_row *find_node(const struct node_row *nodes, size_t count,
                                        const struct erase_member_row *member)
{
    for (size_t i = 0; i < count; i++) {
        const bool is_meta = vy_bytes_equal(nodes[i].role, VY_LIT("meta"));
        if (nodes[i].group_id == member->group_id && nodes[i].member_id == member->member_id &&
            is_meta == (member->group_id == 0)) {
            return &nodes[i];
        }
    }
    return NULL;
}

static bool is_meta_member(const struct meta *meta, uint64_t member_id)
{
    struct replica_member members[REPLICA_MEMBERS_MAX];
    const size_t count = meta->group->ops->get_members(meta->group, members, REPLICA_MEMBERS_MAX);
    for (size_t i = 0; i < VY_MIN(count, (size_t)REPLICA_MEMBERS_MAX); i++) {
        if (members[i].id == member_id) {
            return true;
        }
    }
    return false;
}

/* False: it is no member any more. Those of meta that were there from the beginning stand in the
 * process's file, those that were added later on the map. */
static bool find_address(struct erase_run *run, const struct erase_member_row *member,
                         struct vy_bytes *node, struct vy_bytes *address)
{
    struct meta *meta = erase_run_meta(run);
    const struct node_row *nodes = NULL;
    size_t count = 0;
    if (member->group_id == 0 && !is_meta_member(meta, member->member_id)) {
        return false;
    }
    if (vy_failed(read_nodes(run, &nodes, &count))) {
        return true; /* not known now; asked again */
    }
    const struct node_row *row = find_node(nodes, count, member);
    if (row != NULL) {
        *node = row->node;
        *address = row->link_address;
    } else if (member->group_id == 0) {
        const char *name = meta_member_node(meta, member->member_id);
        const char *link = meta_member_link(meta, member->member_id);
        *node = vy_cstr(name == NULL ? "" : name);
        *address = vy_cstr(link == NULL ? "" : link);
    }
    return row != NULL || member->group_id == 0;
}

static void ask_self(struct erase_answer *answer)
{
    struct erase_run *run = answer->run;
    struct meta_group *group = erase_run_meta(run)->group;
    struct expel_report report = {.is_cut = false};
    group->ops->expel(group, run->job.account_id, &report); /* the leader has applied the intent */
    const struct account_expel_reply reply = {
        .applied = true, .rewritten = report.is_rewritten, .log_cut = report.is_cut};
    take_answer(answer, &reply);
}

static void ask(struct erase_answer *answer)
{
    struct erase_run *run = answer->run;
    const struct meta_config *config = &erase_run_meta(run)->config;
    struct erase_member_row *member = answer->member;
    struct replica_identity self;
    struct meta_expel what = {.group_id = member->group_id,
                              .member_id = member->member_id,
                              .account_id = run->job.account_id};
    erase_run_meta(run)->group->ops->get_identity(erase_run_meta(run)->group, &self);
    if (member->group_id == 0 && member->member_id == self.member_id) {
        ask_self(answer);
        return;
    }
    if (!find_address(run, member, &what.node, &what.address)) {
        member->left_ms = 1;
        answer->is_changed = true;
        set_note(answer, "is no member any more; it was never seen clean");
        return;
    }
    if (config->expel == NULL || what.address.len == 0) {
        set_note(answer, "cannot be reached");
        return;
    }
    run->open_count++;
    config->expel->ask(config->expel_arg, &what, answer_on_reply, answer);
}

/* Copies of the members that are not settled. */
static struct vy_err make_answers(struct erase_run *run)
{
    run->answer_count = 0;
    run->members = VY_ARENA_ARRAY(&run->arena, ERASE_MEMBERS_MAX, struct erase_member_row);
    run->answers = VY_ARENA_ARRAY(&run->arena, ERASE_MEMBERS_MAX, struct erase_answer);
    if (run->members == NULL || run->answers == NULL) {
        return vy_error(VY_CODE_NOMEM, "members of an erasure");
    }
    for (size_t i = 0; i < VY_MIN(run->job.members_count, (size_t)ERASE_MEMBERS_MAX); i++) {
        if (!erase_is_settled(&run->job.members[i])) {
            struct erase_member_row *member = &run->members[run->answer_count];
            *member = run->job.members[i];
            run->answers[run->answer_count++] = (struct erase_answer){.run = run, .member = member};
        }
    }
    return vy_ok();
}

static void first_asked(void *arg)
{
    struct erase_run *run = arg;
    if (--run->open_count == 0) {
        finish(run);
    }
}

void erase_members_start(struct erase_run *run)
{
    const struct vy_err err = make_answers(run);
    if (vy_failed(err)) {
        erase_run_done(run, err);
        return;
    }
    run->open_count = 1; /* this, until all are asked */
    for (size_t i = 0; i < run->answer_count; i++) {
        ask(&run->answers[i]);
    }
    vy_loop_post(erase_run_meta(run)->config.loop, first_asked, run);
}

/* ---- and what follows from it ---- */

static uint64_t waited_ms(const struct erase_run *run)
{
    uint64_t since_ms = 0;
    const uint64_t now_ms = meta_now_ms(erase_run_meta(run));
    for (size_t i = 0; i < run->job.steps_count; i++) {
        since_ms =
            run->job.steps[i].step == ERASE_STEP_GROUP ? run->job.steps[i].done_ms : since_ms;
    }
    return now_ms > since_ms ? now_ms - since_ms : 0;
}

/* Only those with something new are told. */
static void keep_changed(struct erase_run *run)
{
    run->member_count = 0;
    for (size_t i = 0; i < run->answer_count; i++) {
        if (run->answers[i].is_changed) {
            run->members[run->member_count++] = *run->answers[i].member;
        }
    }
}

static void finish(struct erase_run *run)
{
    const uint64_t waited = waited_ms(run);
    const bool is_first = run->job.finished_ms == 0;
    bool is_over = true;
    bool is_soon = false;
    for (size_t i = 0; i < run->answer_count; i++) {
        const struct erase_answer *answer = &run->answers[i];
        const bool is_settled = erase_is_settled(answer->member);
        is_soon = is_soon || (!is_settled && is_first && waited < AWAY_MS);
        is_over = is_over &&
                  (is_settled || (is_first && waited >= (answer->is_working ? WORK_MS : AWAY_MS)));
    }
    keep_changed(run);
    run->is_pending = !is_over;
    if (is_over || (run->member_count > 0 && (!is_first || waited >= NOTE_MS))) {
        erase_run_done(run, vy_ok());
    } else {
        erase_run_rest(run, is_soon);
    }
}
