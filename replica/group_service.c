/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/group_service.h"

#include "proto/methods.h"
#include <stdio.h>
#include <stdlib.h>

#define REQUEST_BYTES_MAX 1024U
#define REPLY_BYTES_MAX 8192U
#define CALLS_MAX 16U

/* ---- one question ---- */

struct question {
    struct replica *replica;
    group_members_fn done;
    void *arg;
};

static void answer(struct replica *replica, group_members_fn done, void *arg)
{
    struct replica_member members[REPLICA_MEMBERS_MAX];
    struct group_member rows[REPLICA_MEMBERS_MAX];
    struct replica_identity identity;
    struct replica_status status;
    const size_t count = replica_get_members(replica, members, REPLICA_MEMBERS_MAX);
    replica_get_identity(replica, &identity);
    replica_get_status(replica, &status);
    for (size_t i = 0; i < count && i < REPLICA_MEMBERS_MAX; i++) {
        rows[i] =
            (struct group_member){.member_id = members[i].id,
                                  .address = vy_cstr(members[i].address),
                                  .learner = members[i].is_learner,
                                  .answers = replica_member_answers(replica, members[i].id),
                                  .match_index = replica_member_match(replica, members[i].id)};
    }
    const struct group_members_reply reply = {
        .cluster_id = vy_bytes(identity.cluster_id, sizeof(identity.cluster_id)),
        .group_id = identity.group_id,
        .leader_id = identity.member_id,
        .last_index = status.last_index,
        .members_count = VY_MIN(count, REPLICA_MEMBERS_MAX),
        .members = rows};
    done(arg, vy_ok(), &reply);
}

static void on_changed(void *arg, struct vy_err err)
{
    struct question *question = arg;
    if (vy_failed(err)) {
        question->done(question->arg, err, NULL);
    } else {
        answer(question->replica, question->done, question->arg);
    }
    free(question);
}

static struct vy_err change(struct replica *replica, const struct group_members_request *request,
                            struct question *question)
{
    char address[REPLICA_ADDRESS_BYTES_MAX + 1];
    if (request->address.len > REPLICA_ADDRESS_BYTES_MAX) {
        return vy_error(VY_CODE_LIMIT, "address of a member");
    }
    (void)snprintf(address, sizeof(address), "%.*s", VY_PRI(request->address));
    if (request->operation == GROUP_OPERATION_TRANSFER) {
        return replica_transfer_to(replica, request->member_id, on_changed, question);
    }
    const bool is_add = request->operation == GROUP_OPERATION_ADD;
    const struct replica_change wanted = {.kind = is_add ? REPLICA_ADD : REPLICA_REMOVE,
                                          .member_id = request->member_id,
                                          .address = address};
    return replica_change(replica, &wanted, on_changed, question);
}

void group_members_ask(struct replica *replica, const struct group_members_request *request,
                       group_members_fn done, void *arg)
{
    if (!replica_is_leader(replica)) {
        done(arg, vy_error(VY_CODE_NOT_LEADER, "members of a group"), NULL);
        return;
    }
    struct replica_identity identity;
    replica_get_identity(replica, &identity);
    const bool is_done = request->operation == GROUP_OPERATION_TRANSFER &&
                         request->member_id == identity.member_id; /* asked once more */
    if (request->operation == GROUP_OPERATION_LIST || is_done) {
        answer(replica, done, arg);
        return;
    }
    struct question *question = malloc(sizeof(*question));
    if (question == NULL) {
        done(arg, vy_error(VY_CODE_NOMEM, "members of a group"), NULL);
        return;
    }
    *question = (struct question){.replica = replica, .done = done, .arg = arg};
    const struct vy_err err = change(replica, request, question);
    if (vy_failed(err)) {
        free(question);
        done(arg, err, NULL);
    }
}

/* ---- on the link ---- */

struct carrier {
    const struct group_service *service;
    struct rpc_server_call *call; /* NULL: the asker is gone */
};

static const char *leader_node(const struct group_service *service)
{
    struct replica_member leader;
    return replica_leader_hint(service->replica, &leader)
               ? group_link_node(service->link, leader.id)
               : NULL;
}

static void carrier_on_cancel(void *arg)
{
    struct carrier *carrier = arg;
    rpc_server_call_fail(carrier->call, vy_error(VY_CODE_CANCELLED, "meta is gone"), NULL, 0);
    carrier->call = NULL; /* the change goes on and ends in the carrier */
}
static const struct rpc_server_call_events carrier_events = {.on_cancel = carrier_on_cancel};

static struct vy_err reply(struct carrier *carrier, const struct group_members_reply *message)
{
    struct vy_buf buf;
    vy_buf_init(&buf, REPLY_BYTES_MAX);
    const struct vy_err err = vy_pb_encode(&group_members_reply_desc, message, &buf);
    if (!vy_failed(err)) {
        rpc_server_call_reply(carrier->call, vy_buf_bytes(&buf));
    }
    vy_buf_deinit(&buf);
    return err;
}

static void carrier_on_done(void *arg, struct vy_err err, const struct group_members_reply *message)
{
    struct carrier *carrier = arg;
    if (carrier->call != NULL) {
        if (!vy_failed(err)) {
            err = reply(carrier, message);
        }
        if (vy_failed(err)) {
            const bool is_elsewhere = err.code == VY_CODE_NOT_LEADER;
            rpc_server_call_fail(carrier->call, err,
                                 is_elsewhere ? leader_node(carrier->service) : NULL, 0);
        }
    }
    free(carrier);
}

static void on_members(void *arg, struct rpc_server_call *call, struct vy_bytes bytes)
{
    struct group_service *service = arg;
    struct group_members_request request;
    struct vy_arena arena;
    struct carrier *carrier = malloc(sizeof(*carrier));
    vy_arena_init(&arena, 4 * REQUEST_BYTES_MAX);
    struct vy_err err = carrier == NULL ? vy_error(VY_CODE_BUSY, "memory") : vy_ok();
    if (!vy_failed(err)) {
        err = vy_pb_decode(&group_members_request_desc, &arena, bytes, &request);
    }
    if (vy_failed(err)) {
        rpc_server_call_fail(call, err, NULL, 0);
        free(carrier);
    } else {
        *carrier = (struct carrier){.service = service, .call = call};
        rpc_server_call_set_events(call, &carrier_events, carrier);
        group_members_ask(service->replica, &request, carrier_on_done, carrier);
    }
    vy_arena_deinit(&arena);
}

struct vy_err group_service_add(struct group_service *service, struct rpc_server *server)
{
    service->method = (struct rpc_server_method){.id = METHOD_GROUP_MEMBERS,
                                                 .name = "group.members",
                                                 .roles = RPC_ROLE_META,
                                                 .request_bytes_max = REQUEST_BYTES_MAX,
                                                 .in_flight_max = CALLS_MAX,
                                                 .handler = on_members};
    return rpc_server_add_methods(server, &service->method, 1, service);
}
