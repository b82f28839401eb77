/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Adding and removing members: the group's leader is asked first, so that what cannot work is
 * refused at once; then the plan is committed, and member_saga.c carries it out.
 */
#include "meta/admin_private.h"
#include "replica/ticket.h"

#define RAFT_BYTES_MAX 150U /* with the node it is an address in the log */

struct member_work {
    struct admin_write write; /* first: call->state points to it */
    struct member_row plan;
    struct vy_bytes group_name; /* "meta" or a number */
    struct vy_bytes ticket;
    struct cmd_member_plan body;
};

static struct member_work *work_of(struct meta_call *call)
{
    return VY_CONTAINER_OF(admin_write_of(call), struct member_work, write);
}

static void fail_text(struct meta_call *call, enum vy_code code, const char *what, const char *text)
{
    meta_call_fail_text(call, vy_error(code, what), text == NULL ? what : text);
}

/* False: the call has ended. */
static bool begin(struct meta_call *call, const struct admin_write_options *options)
{
    struct admin_write *write = admin_write_new(call, options);
    struct member_work *work = VY_ARENA_NEW(&call->arena, struct member_work);
    if (write == NULL) {
        return false;
    }
    if (work == NULL) {
        meta_call_fail(call, vy_error(VY_CODE_LIMIT, "memory for a plan"));
        return false;
    }
    work->write = *write;
    call->state = &work->write;
    return true;
}

/* ---- what is named ---- */

static bool is_node_name(struct vy_bytes name)
{
    for (size_t i = 0; i < name.len; i++) {
        const uint8_t c = name.data[i];
        if (!vy_ascii_is_alnum(c) && c != '-' && c != '.' && c != '_') {
            return false;
        }
    }
    return name.len > 0 && name.len <= 100;
}

static bool is_address(struct vy_bytes address, size_t bytes_max)
{
    for (size_t i = 0; i < address.len; i++) {
        if (address.data[i] <= ' ' || address.data[i] > '~' || address.data[i] == '@' ||
            address.data[i] == '"') {
            return false;
        }
    }
    return address.len > 0 && address.len <= bytes_max &&
           vy_bytes_starts_with(address, VY_LIT("tcp://"));
}

static struct vy_err find_group(struct meta_call *call, struct vy_bytes name, uint64_t *out)
{
    const struct meta_view view = meta_call_view(call);
    struct cluster_row cluster;
    bool is_found = false;
    if (vy_bytes_equal(name, VY_LIT("meta"))) {
        *out = 0;
        return vy_ok();
    }
    if (!vy_parse_u64(name, out) || *out == 0) {
        return vy_error(VY_CODE_ARGUMENT, "a group is 'meta' or a number");
    }
    VY_TRY(cluster_get(&view, &cluster, &is_found));
    for (size_t i = 0; i < cluster.group_ids_count; i++) {
        if (cluster.group_ids[i] == *out) {
            return vy_ok();
        }
    }
    return vy_error(VY_CODE_NOT_FOUND, "there is no such group (volaryctl slot list)");
}

static struct vy_err name_group(struct meta_call *call, uint64_t group_id, struct vy_bytes *out)
{
    *out = VY_LIT("meta");
    return group_id == 0 ? vy_ok() : admin_text_u64(&call->arena, group_id, out);
}

static bool is_member_role(const struct node_row *node)
{
    return node->member_id != 0;
}

/* A member by the name of its process; of a planned one that never came too. */
static struct vy_err find_member(struct meta_call *call, struct vy_bytes name, bool has_group,
                                 uint64_t group_id, struct member_row *out)
{
    const struct meta_view view = meta_call_view(call);
    const struct node_row *nodes = NULL;
    const struct member_row *rows = NULL;
    size_t count = 0;
    size_t found = 0;
    VY_TRY(node_list(&view, &nodes, &count));
    for (size_t i = 0; i < count; i++) {
        if (is_member_role(&nodes[i]) && vy_bytes_equal(nodes[i].node, name) &&
            (!has_group || nodes[i].group_id == group_id)) {
            found++;
            *out = (struct member_row){.group_id = nodes[i].group_id,
                                       .member_id = nodes[i].member_id,
                                       .node = nodes[i].node,
                                       .link_address = nodes[i].link_address,
                                       .raft_address = nodes[i].raft_address};
        }
    }
    VY_TRY(member_list(&view, &rows, &count));
    for (size_t i = 0; found == 0 && i < count; i++) {
        if (vy_bytes_equal(rows[i].node, name) && rows[i].plan != MEMBER_PLAN_GONE &&
            (!has_group || rows[i].group_id == group_id)) {
            found++;
            *out = rows[i];
        }
    }
    return found == 1 ? vy_ok()
           : found == 0
               ? vy_error(VY_CODE_NOT_FOUND,
                          "there is no member on this node (volaryctl member list)")
               : vy_error(VY_CODE_ARGUMENT, "this node has members of two groups: say --group");
}

/* ---- asking the group ---- */

static const struct group_member *find_in(const struct group_members_reply *reply, uint64_t id)
{
    for (size_t i = 0; i < reply->members_count; i++) {
        if (reply->members[i].member_id == id) {
            return &reply->members[i];
        }
    }
    return NULL;
}

static void ask_group(struct meta_call *call, meta_group_fn done)
{
    static const struct group_members_request list = {.operation = GROUP_OPERATION_LIST};
    const struct meta_config *config = &call->meta->config;
    if (config->groups == NULL) {
        meta_call_fail(call, vy_error(VY_CODE_UNSUPPORTED, "members cannot be changed here"));
        return;
    }
    config->groups->ask(config->groups_arg, work_of(call)->plan.group_id, &list, done, call);
}

static void fail_asking(struct meta_call *call, struct vy_err err, struct vy_bytes text)
{
    const char *told =
        vy_arena_printf(&call->arena, "the leader of group %.*s does not answer: %.*s",
                        VY_PRI(work_of(call)->group_name), VY_PRI(text));
    const enum vy_code code = err.code == VY_CODE_DENIED ? err.code : VY_CODE_UNAVAILABLE;
    fail_text(call, code, "leader of a group", told);
}

/* Would these, less one, have a majority that answers? */
static bool has_quorum(const struct group_members_reply *reply, uint64_t without)
{
    size_t voters = 0;
    size_t heard = 0;
    for (size_t i = 0; i < reply->members_count; i++) {
        const struct group_member *member = &reply->members[i];
        if (!member->learner && member->member_id != without) {
            voters++;
            heard += member->answers;
        }
    }
    return heard > voters / 2;
}

static void propose_plan(struct meta_call *call, meta_call_fn next)
{
    struct member_work *work = work_of(call);
    work->body = (struct cmd_member_plan){.member = &work->plan};
    work->write.name = work->plan.node;
    work->write.command.member_plan = &work->body;
    const char *detail = vy_arena_printf(
        &call->arena, "%s group %.*s",
        work->plan.plan == MEMBER_PLAN_ADD ? "add to" : "remove from", VY_PRI(work->group_name));
    work->write.detail = vy_cstr(detail == NULL ? "" : detail);
    admin_propose(call, 0, next);
}

/* ---- adding ---- */

static struct vy_err write_ticket(struct meta_call *call, const struct group_members_reply *reply,
                                  uint64_t group_id)
{
    struct member_work *work = work_of(call);
    struct ticket ticket = {
        .group_id = group_id, .member_id = work->plan.member_id, .is_join = true};
    struct vy_buf text;
    const char *own = vy_arena_printf(&call->arena, "%.*s@%.*s", VY_PRI(work->plan.node),
                                      VY_PRI(work->plan.raft_address));
    if (reply->cluster_id.len != sizeof(ticket.cluster_id) || own == NULL ||
        reply->members_count >= REPLICA_MEMBERS_MAX) {
        return vy_error(VY_CODE_LIMIT, "a group has at most 9 members");
    }
    memcpy(ticket.cluster_id, reply->cluster_id.data, sizeof(ticket.cluster_id));
    for (size_t i = 0; i < reply->members_count; i++) {
        const char *address = vy_arena_cstr(&call->arena, reply->members[i].address);
        if (address == NULL) {
            return vy_error(VY_CODE_LIMIT, "memory for a ticket");
        }
        ticket.peers[ticket.peer_count++] =
            (struct replica_member){.id = reply->members[i].member_id, .address = address};
    }
    ticket.peers[ticket.peer_count++] =
        (struct replica_member){.id = ticket.member_id, .address = own};
    vy_buf_init(&text, TICKET_BYTES_MAX);
    struct vy_err err = ticket_format(&ticket, &text);
    if (!vy_failed(err)) {
        err = vy_arena_dup(&call->arena, vy_buf_bytes(&text), &work->ticket);
    }
    vy_buf_deinit(&text);
    return err;
}

static void add_answer(struct meta_call *call)
{
    const struct member_work *work = work_of(call);
    if (admin_is_refused(call)) {
        return;
    }
    if (call->result.replayed) {
        fail_text(call, VY_CODE_EXISTS, "ticket was given before",
                  "this was done before and its ticket is given once: remove the member and add it "
                  "again");
        return;
    }
    const char *id =
        vy_arena_printf(&call->arena, "%016llx", (unsigned long long)work->plan.member_id);
    const char *record =
        vy_arena_printf(&call->arena, "{id: %llu, node: %.*s, link: \"%.*s\", raft: \"%.*s\"}",
                        (unsigned long long)work->plan.member_id, VY_PRI(work->plan.node),
                        VY_PRI(work->plan.link_address), VY_PRI(work->plan.raft_address));
    const struct admin_add_member_reply reply = {
        .member_id = vy_cstr(id == NULL ? "" : id),
        .group = work->group_name,
        .node = work->plan.node,
        .ticket = work->write.options->validate_only ? vy_bytes(NULL, 0) : work->ticket,
        .member = vy_cstr(record == NULL ? "" : record)};
    member_saga_kick(call->meta->members);
    meta_call_reply(call, &reply);
}

static void add_on_listed(void *arg, struct vy_err err, struct vy_bytes text,
                          const struct group_members_reply *reply)
{
    struct meta_call *call = arg;
    struct member_work *work = work_of(call);
    if (vy_failed(err)) {
        fail_asking(call, err, text);
        return;
    }
    if (work->plan.replaces != 0 && !has_quorum(reply, work->plan.replaces)) {
        fail_text(call, VY_CODE_PRECONDITION, "no majority", NULL);
        return;
    }
    do { /* chance; 63 bits, so that every file format takes it for a number */
        work->plan.member_id = vy_rng_u64(call->meta->config.rng) >> 1;
    } while (work->plan.member_id == 0 || find_in(reply, work->plan.member_id) != NULL);
    const struct vy_err made = write_ticket(call, reply, reply->group_id);
    if (vy_failed(made)) {
        meta_call_fail(call, made);
        return;
    }
    propose_plan(call, add_answer);
}

static struct vy_err read_add(struct meta_call *call)
{
    const struct admin_add_member_request *request = call->message;
    struct member_work *work = work_of(call);
    struct member_row replaced;
    if (!is_node_name(request->node)) {
        return vy_error(VY_CODE_ARGUMENT,
                        "name of a node: 1 to 100 letters, digits, '-', '.' and '_'");
    }
    if (!is_address(request->raft_address, RAFT_BYTES_MAX) ||
        !is_address(request->link_address, 255)) {
        return vy_error(VY_CODE_ARGUMENT, "an address is tcp://HOST:PORT");
    }
    work->plan = (struct member_row){.node = request->node,
                                     .link_address = request->link_address,
                                     .raft_address = request->raft_address,
                                     .plan = MEMBER_PLAN_ADD};
    if (request->replaces.len > 0) {
        uint64_t group_id = 0;
        if (request->group.len > 0) {
            VY_TRY(find_group(call, request->group, &group_id));
        }
        VY_TRY(find_member(call, request->replaces, request->group.len > 0, group_id, &replaced));
        work->plan.replaces = replaced.member_id;
        work->plan.group_id = replaced.group_id;
    } else {
        VY_TRY(find_group(call, request->group, &work->plan.group_id));
    }
    return name_group(call, work->plan.group_id, &work->group_name);
}

void admin_add_member(struct meta_call *call)
{
    const struct admin_add_member_request *request = call->message;
    if (!begin(call, request->write)) {
        return;
    }
    const struct vy_err err = read_add(call);
    if (vy_failed(err)) {
        meta_call_fail(call, err);
        return;
    }
    ask_group(call, add_on_listed);
}

/* ---- removing ---- */

static void remove_answer(struct meta_call *call)
{
    const struct member_work *work = work_of(call);
    if (admin_is_refused(call)) {
        return;
    }
    const char *id =
        vy_arena_printf(&call->arena, "%016llx", (unsigned long long)work->plan.member_id);
    const struct admin_remove_member_reply reply = {.member_id = vy_cstr(id == NULL ? "" : id),
                                                    .group = work->group_name,
                                                    .node = work->plan.node,
                                                    .plan = VY_LIT("removing")};
    member_saga_kick(call->meta->members);
    meta_call_reply(call, &reply);
}

static void remove_on_listed(void *arg, struct vy_err err, struct vy_bytes text,
                             const struct group_members_reply *reply)
{
    struct meta_call *call = arg;
    const struct member_work *work = work_of(call);
    size_t voters = 0;
    if (vy_failed(err)) {
        fail_asking(call, err, text);
        return;
    }
    for (size_t i = 0; i < reply->members_count; i++) {
        voters += !reply->members[i].learner;
    }
    const struct group_member *member = find_in(reply, work->plan.member_id);
    const bool is_voter = member != NULL && !member->learner;
    if (is_voter && voters == 1) {
        fail_text(call, VY_CODE_PRECONDITION, "last member",
                  "it is the last member of its group: its data would be gone");
    } else if (is_voter && !has_quorum(reply, work->plan.member_id)) {
        fail_text(call, VY_CODE_PRECONDITION, "no majority",
                  "the members that would be left have no majority that answers: start the others, "
                  "or replace the dead one first (volaryctl member replace)");
    } else {
        propose_plan(call, remove_answer);
    }
}

static struct vy_err read_remove(struct meta_call *call)
{
    const struct admin_remove_member_request *request = call->message;
    struct member_work *work = work_of(call);
    uint64_t group_id = 0;
    if (request->group.len > 0) {
        VY_TRY(find_group(call, request->group, &group_id));
    }
    VY_TRY(find_member(call, request->node, request->group.len > 0, group_id, &work->plan));
    work->plan.plan = MEMBER_PLAN_REMOVE;
    work->plan.error = vy_bytes(NULL, 0);
    work->plan.replaces = 0;
    return name_group(call, work->plan.group_id, &work->group_name);
}

void admin_remove_member(struct meta_call *call)
{
    const struct admin_remove_member_request *request = call->message;
    if (!begin(call, request->write)) {
        return;
    }
    const struct vy_err err = read_remove(call);
    if (vy_failed(err)) {
        meta_call_fail(call, err);
        return;
    }
    ask_group(call, remove_on_listed);
}
