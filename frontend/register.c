/* SPDX-License-Identifier: Apache-2.0 */
#include "frontend/register.h"

#include "proto/meta_members.h"
#include <stdlib.h>

#define REGISTER_EVERY_MS 20000U
#define REGISTER_RETRY_MS 500U
#define REGISTER_DEADLINE_MS 10000U
#define REQUEST_BYTES_MAX 4096U
#define MAP_BYTES_MAX (4U * 1024U * 1024U)

struct node_register {
    struct node_register_config config;
    struct rpc_group *meta; /* owned */
    struct rpc_group_call *call;
    struct rpc_group_call *map_call; /* NULL: none open */
    uint64_t map_epoch;
    struct meta_members members;
    struct vy_timer *timer; /* owned */
    bool is_done;
};

/* ---- where meta is: the file names its first members only ---- */

static void map_on_end(void *arg, const struct rpc_status *status, struct vy_bytes bytes)
{
    struct node_register *reg = arg;
    struct cluster_map_reply map;
    struct vy_arena arena;
    reg->map_call = NULL;
    vy_arena_init(&arena, MAP_BYTES_MAX);
    if (status->code == VY_CODE_OK &&
        !vy_failed(vy_pb_decode(&cluster_map_reply_desc, &arena, bytes, &map))) {
        meta_members_note(&reg->members, &map);
        reg->map_epoch = map.epoch;
    }
    vy_arena_deinit(&arena);
}

static const struct rpc_call_events map_events = {.on_end = map_on_end};

static void ask_map(struct node_register *reg)
{
    const struct cluster_map_request request = {.known_epoch = reg->map_epoch};
    const struct rpc_call_options options = {.deadline_ms = REGISTER_DEADLINE_MS,
                                             .idempotent = true};
    struct vy_buf buf;
    vy_buf_init(&buf, REQUEST_BYTES_MAX);
    if (reg->map_call == NULL &&
        !vy_failed(vy_pb_encode(&cluster_map_request_desc, &request, &buf))) {
        reg->map_call = rpc_group_call(reg->meta, METHOD_META_CLUSTER_MAP, vy_buf_bytes(&buf),
                                       &options, &map_events, reg);
    }
    vy_buf_deinit(&buf);
}

static void take_members(struct node_register *reg)
{
    if (reg->members.is_new) {
        reg->members.is_new = false;
        vy_ignore(meta_members_put(&reg->members, reg->meta), "those known before are still there");
    }
}

/* ---- registration ---- */

static void register_on_end(void *arg, const struct rpc_status *status, struct vy_bytes reply)
{
    struct node_register *reg = arg;
    (void)reply; /* the cursor is for caches that are filled before the watch starts */
    reg->call = NULL;
    if (status->code != VY_CODE_OK) {
        vy_log(reg->config.rpc->log, VY_LOG_WARN, "frontend.register.failed",
               VY_CSTR("err.code", vy_code_name(status->code)),
               VY_STR("err.text", status->message));
    } else if (!reg->is_done) {
        reg->is_done = true;
        vy_log(reg->config.rpc->log, VY_LOG_INFO, "frontend.register.ok");
    }
    vy_timer_start(reg->timer, status->code == VY_CODE_OK ? REGISTER_EVERY_MS : REGISTER_RETRY_MS);
}

static const struct rpc_call_events register_events = {.on_end = register_on_end};

static void register_on_timer(void *arg)
{
    struct node_register *reg = arg;
    const struct node_register_request request = {
        .role = VY_LIT("frontend"),
        .node = vy_cstr(reg->config.rpc->node),
        .incarnation = reg->config.incarnation,
        .version = vy_cstr(reg->config.version),
    };
    /* The same row however often it is written. */
    const struct rpc_call_options options = {.deadline_ms = REGISTER_DEADLINE_MS,
                                             .idempotent = true};
    struct vy_buf buf;
    take_members(reg);
    ask_map(reg);
    vy_buf_init(&buf, REQUEST_BYTES_MAX);
    if (!vy_failed(vy_pb_encode(&node_register_request_desc, &request, &buf))) {
        reg->call = rpc_group_call(reg->meta, METHOD_META_NODE_REGISTER, vy_buf_bytes(&buf),
                                   &options, &register_events, reg);
    }
    vy_buf_deinit(&buf);
    if (reg->call == NULL) {
        vy_timer_start(reg->timer, REGISTER_RETRY_MS);
    }
}

struct vy_err node_register_new(const struct node_register_config *config,
                                struct node_register **out)
{
    const struct rpc_group_options options = {.name = "meta-register", .peer_roles = RPC_ROLE_META};
    struct node_register *reg = calloc(1, sizeof(*reg));
    if (reg == NULL) {
        return vy_error(VY_CODE_NOMEM, "registration");
    }
    reg->config = *config;
    reg->timer = vy_timer_new(config->rpc->loop, register_on_timer, reg);
    const struct vy_err err = reg->timer == NULL
                                  ? vy_error(VY_CODE_NOMEM, "timer")
                                  : rpc_group_new(config->rpc, &options, config->meta_members,
                                                  config->meta_members_count, &reg->meta);
    if (vy_failed(err)) {
        node_register_free(reg);
        return err;
    }
    register_on_timer(reg);
    *out = reg;
    return vy_ok();
}

void node_register_free(struct node_register *reg)
{
    if (reg == NULL) {
        return;
    }
    rpc_group_call_cancel(reg->call);
    rpc_group_call_cancel(reg->map_call);
    rpc_group_free(reg->meta);
    vy_timer_free(reg->timer);
    free(reg);
}

bool node_register_is_done(const struct node_register *reg)
{
    return reg->is_done;
}
