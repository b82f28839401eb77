/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/meta_client.h"
#include "proto/event_stream.h"
#include "proto/meta_members.h"
#include <stdlib.h>

#define REGISTER_EVERY_MS 20000U
#define RETRY_MS 500U
#define DEADLINE_MS 10000U
#define KEY_LEADER_MS 2000U /* longer than meta takes to elect, mostly */
#define KEY_ANY_MS 2500U
#define REQUEST_BYTES_MAX 4096U
#define REPLY_ARENA_BYTES_MAX 16384U
#define MAP_BYTES_MAX (4U * 1024U * 1024U)
#define VERSION_TEXT "0.1.0"

struct meta_client {
    struct meta_client_config config;
    struct rpc_group *meta; /* owned */
    struct rpc_group *any;  /* owned; the same members, of which any may answer */
    struct rpc_group_call *registering;
    struct vy_timer *register_timer; /* owned */
    bool is_registered;
    bool is_refused;                 /* said once */
    struct rpc_group_call *map_call; /* NULL: none open */
    uint64_t map_epoch;
    bool is_map_wanted;
    struct meta_members members;
    struct rpc_group_call *watch;
    struct vy_timer *watch_timer; /* owned */
    struct event_reader reader;
    uint64_t cursor;
    bool is_leader_lost; /* a key was asked for in vain, and the leader has not answered since */
};

static struct rpc_group_call *ask(struct rpc_group *group, uint32_t method,
                                  const struct vy_pb_desc *desc, const void *request,
                                  const struct rpc_call_options *options,
                                  const struct rpc_call_events *events, void *arg)
{
    struct rpc_group_call *call = NULL;
    struct vy_buf buf;

    vy_buf_init(&buf, REQUEST_BYTES_MAX);
    if (!vy_failed(vy_pb_encode(desc, request, &buf))) {
        call = rpc_group_call(group, method, vy_buf_bytes(&buf), options, events, arg);
    }
    vy_buf_deinit(&buf);
    return call;
}

/* ---- the map: where meta and the own group's other members are ---- */

static void ask_map(struct meta_client *client);

static void take_map(struct meta_client *client, struct vy_bytes bytes)
{
    struct cluster_map_reply map;
    struct vy_arena arena;

    vy_arena_init(&arena, MAP_BYTES_MAX);
    if (!vy_failed(vy_pb_decode(&cluster_map_reply_desc, &arena, bytes, &map))) {
        meta_members_note(&client->members, &map);
        client->map_epoch = map.epoch;
        for (size_t i = 0; i < map.groups_count; i++) {
            if (map.groups[i].group_id == client->config.group_id &&
                client->config.on_map_group != NULL) {
                client->config.on_map_group(client->config.arg, &map.groups[i]);
            }
        }
    }
    vy_arena_deinit(&arena);
}

static void map_on_end(void *arg, const struct rpc_status *status, struct vy_bytes bytes)
{
    struct meta_client *client = arg;

    client->map_call = NULL;
    if (status->code == VY_CODE_OK) {
        take_map(client, bytes);
    }
    if (client->is_map_wanted) { /* what came may have been made before */
        client->is_map_wanted = false;
        ask_map(client);
    }
}

static const struct rpc_call_events map_events = {.on_end = map_on_end};

static void ask_map(struct meta_client *client)
{
    const struct cluster_map_request request = {.known_epoch = client->map_epoch};
    const struct rpc_call_options options = {.deadline_ms = DEADLINE_MS, .idempotent = true};

    if (client->map_call != NULL) {
        client->is_map_wanted = true;
        return;
    }
    client->map_call = ask(client->any, METHOD_META_CLUSTER_MAP, &cluster_map_request_desc,
                           &request, &options, &map_events, client);
}

/* In a turn where no call of the groups is on the stack. */
static void take_members(struct meta_client *client)
{
    if (!client->members.is_new) {
        return;
    }
    client->members.is_new = false;
    vy_ignore(meta_members_put(&client->members, client->meta), "those known before are there");
    vy_ignore(meta_members_put(&client->members, client->any), "those known before are there");
}

/* ---- registration ---- */

static void found_leader(struct meta_client *client)
{
    if (client->is_leader_lost) {
        client->is_leader_lost = false;
        client->config.on_meta_leader(client->config.arg);
    }
}

static void register_on_end(void *arg, const struct rpc_status *status, struct vy_bytes reply)
{
    struct meta_client *client = arg;
    const struct vy_log *log = client->config.rpc->log;

    (void)reply; /* its cursor is for caches that are filled before the watch starts */
    client->registering = NULL;
    if (status->code == VY_CODE_OK) {
        found_leader(client);
    }
    if (status->code == VY_CODE_PRECONDITION && !client->is_refused) {
        client->is_refused = true;
        vy_log(log, VY_LOG_ERROR, "shard.register.refused",
               VY_CSTR("sys.reason", "meta has no place for this member: it was removed from its "
                                     "group, or runs on an old copy of its disk (volaryctl member "
                                     "list); stop it"));
    }
    if (status->code != VY_CODE_OK) {
        vy_log(log, VY_LOG_WARN, "shard.register.failed",
               VY_CSTR("err.code", vy_code_name(status->code)),
               VY_STR("err.text", status->message));
    } else if (!client->is_registered) {
        client->is_registered = true;
        vy_log(log, VY_LOG_INFO, "shard.register.ok",
               VY_U64("shard.group", client->config.group_id));
    }
    vy_timer_start(client->register_timer,
                   status->code == VY_CODE_OK ? REGISTER_EVERY_MS : RETRY_MS);
}

static const struct rpc_call_events register_events = {.on_end = register_on_end};

static void register_now(void *arg)
{
    struct meta_client *client = arg;
    const struct meta_client_config *config = &client->config;
    const struct node_register_request request = {
        .group_id = config->group_id,
        .member_id = config->member_id,
        .role = VY_LIT("shard"),
        .node = vy_cstr(config->rpc->node),
        .link_address = vy_cstr(config->link_address),
        .raft_address = vy_cstr(config->raft_address == NULL ? "" : config->raft_address),
        .incarnation = config->incarnation,
        .version = VY_LIT(VERSION_TEXT),
    };
    take_members(client);
    ask_map(client);
    /* The same row however often it is written. */
    const struct rpc_call_options options = {.deadline_ms = DEADLINE_MS, .idempotent = true};

    client->registering = ask(client->meta, METHOD_META_NODE_REGISTER, &node_register_request_desc,
                              &request, &options, &register_events, client);
    if (client->registering == NULL) {
        vy_timer_start(client->register_timer, RETRY_MS);
    }
}

bool meta_client_is_registered(const struct meta_client *client)
{
    return client->is_registered;
}

/* ---- account keys ---- */

struct key_question {
    struct meta_client *client;
    uint64_t account_id;
    bool is_of_any; /* the second question: any member answers */
    shard_meta_key_fn done;
    void *arg;
};

static void ask_any_for_key(struct key_question *question);

static void key_finish(struct key_question *question, struct vy_err err, struct vy_bytes bytes)
{
    struct account_key_reply reply;
    struct vy_arena arena;

    vy_arena_init(&arena, REPLY_ARENA_BYTES_MAX);
    if (!vy_failed(err)) {
        err = vy_pb_decode(&account_key_reply_desc, &arena, bytes, &reply);
    }
    question->done(question->arg, err, vy_failed(err) ? NULL : &reply);
    vy_arena_deinit(&arena);
    free(question);
}

/* Nobody answered: not what an answer says. */
static bool is_no_answer(enum vy_code code)
{
    return code == VY_CODE_UNAVAILABLE || code == VY_CODE_NOT_LEADER || code == VY_CODE_UNKNOWN;
}

/* Its return is looked for more often than registration needs. */
static void lose_leader(struct meta_client *client)
{
    client->is_leader_lost = true;
    if (client->registering == NULL) {
        vy_timer_start(client->register_timer, RETRY_MS);
    }
}

static void key_on_end(void *arg, const struct rpc_status *status, struct vy_bytes bytes)
{
    struct key_question *question = arg;

    if (!is_no_answer(status->code)) {
        key_finish(question, rpc_status_err(status), bytes);
    } else if (question->is_of_any) { /* a question changes nothing: certainly not executed */
        key_finish(question, vy_error(VY_CODE_UNAVAILABLE, "no member of meta gives the key"),
                   bytes);
    } else {
        lose_leader(question->client);
        ask_any_for_key(question);
    }
}

static const struct rpc_call_events key_events = {.on_end = key_on_end};

static void ask_group_for_key(struct key_question *question, struct rpc_group *group,
                              uint32_t deadline_ms)
{
    const struct account_key_request request = {.account_id = question->account_id,
                                                .allow_stale = question->is_of_any};
    const struct rpc_call_options options = {.deadline_ms = deadline_ms, .idempotent = true};

    if (ask(group, METHOD_META_ACCOUNT_KEY, &account_key_request_desc, &request, &options,
            &key_events, question) == NULL) {
        key_finish(question, vy_error(VY_CODE_BUSY, "ask for an account key"), vy_bytes(NULL, 0));
    }
}

static void ask_any_for_key(struct key_question *question)
{
    question->is_of_any = true;
    ask_group_for_key(question, question->client->any, KEY_ANY_MS);
}

static void ask_key(void *meta, uint64_t account_id, shard_meta_key_fn done, void *arg)
{
    struct meta_client *client = meta;
    struct key_question *question = malloc(sizeof(*question));

    if (question == NULL) {
        done(arg, vy_error(VY_CODE_NOMEM, "ask for an account key"), NULL);
        return;
    }
    *question =
        (struct key_question){.client = client, .account_id = account_id, .done = done, .arg = arg};
    if (client->is_leader_lost) {
        ask_any_for_key(question);
    } else {
        ask_group_for_key(question, client->meta, KEY_LEADER_MS);
    }
}

const struct shard_meta_ops meta_client_ops = {.account_key = ask_key};

/* ---- accounts that change ---- */

static void take_event(struct meta_client *client, struct vy_bytes bytes)
{
    struct meta_event event;
    struct vy_arena arena;

    vy_arena_init(&arena, EVENT_STREAM_BYTES_MAX);
    if (!vy_failed(vy_pb_decode(&meta_event_desc, &arena, bytes, &event))) {
        client->cursor = event.cursor;
        if (event.map_changed || event.reset) {
            ask_map(client);
        }
        /* A reset needs nothing here: what must not be missed, fences, comes through the log. */
        if (event.account_id != 0) {
            client->config.on_account_change(client->config.arg, event.account_id,
                                             event.account_epoch);
        }
    }
    vy_arena_deinit(&arena);
}

static void watch_on_data(void *arg, struct vy_bytes bytes)
{
    struct meta_client *client = arg;
    const size_t count = bytes.len;
    struct vy_bytes message;
    bool found = true;

    while (found && !vy_failed(event_reader_next(&client->reader, &bytes, &message, &found))) {
        if (found) {
            take_event(client, message);
        }
    }
    rpc_group_call_consumed(client->watch, count);
}

static void watch_on_end(void *arg, const struct rpc_status *status, struct vy_bytes reply)
{
    struct meta_client *client = arg;

    (void)status; /* opened again, from the cursor */
    (void)reply;
    client->watch = NULL;
    event_reader_deinit(&client->reader);
    event_reader_init(&client->reader);
    vy_timer_start(client->watch_timer, RETRY_MS);
}

static const struct rpc_call_events watch_events = {.on_data = watch_on_data,
                                                    .on_end = watch_on_end};

static void watch_now(void *arg)
{
    struct meta_client *client = arg;
    const struct meta_watch_request request = {.cursor = client->cursor};
    const struct rpc_call_options options = {.endless = true};

    client->watch = ask(client->meta, METHOD_META_WATCH, &meta_watch_request_desc, &request,
                        &options, &watch_events, client);
    if (client->watch == NULL) {
        vy_timer_start(client->watch_timer, RETRY_MS);
    }
}

/* ---- life ---- */

static struct vy_err open_groups(struct meta_client *client)
{
    const struct meta_client_config *config = &client->config;
    const struct rpc_group_options leader = {.name = "meta", .peer_roles = RPC_ROLE_META};
    const struct rpc_group_options any = {
        .name = "meta-any", .peer_roles = RPC_ROLE_META, .any_member = true};

    VY_TRY(
        rpc_group_new(config->rpc, &leader, config->members, config->member_count, &client->meta));
    return rpc_group_new(config->rpc, &any, config->members, config->member_count, &client->any);
}

struct vy_err meta_client_new(const struct meta_client_config *config, struct meta_client **out)
{
    struct meta_client *client = calloc(1, sizeof(*client));

    if (client == NULL) {
        return vy_error(VY_CODE_NOMEM, "client of meta");
    }
    client->config = *config;
    event_reader_init(&client->reader);
    client->register_timer = vy_timer_new(config->rpc->loop, register_now, client);
    client->watch_timer = vy_timer_new(config->rpc->loop, watch_now, client);
    struct vy_err err = client->register_timer == NULL || client->watch_timer == NULL
                            ? vy_error(VY_CODE_NOMEM, "timers of meta's client")
                            : open_groups(client);
    if (vy_failed(err)) {
        meta_client_free(client);
        return err;
    }
    register_now(client);
    watch_now(client);
    *out = client;
    return vy_ok();
}

void meta_client_free(struct meta_client *client)
{
    if (client == NULL) {
        return;
    }
    rpc_group_call_cancel(client->registering);
    rpc_group_call_cancel(client->map_call);
    rpc_group_call_cancel(client->watch);
    rpc_group_free(client->meta); /* its last calls must not go on with any member */
    rpc_group_free(client->any);
    vy_timer_free(client->register_timer);
    vy_timer_free(client->watch_timer);
    event_reader_deinit(&client->reader);
    free(client);
}
