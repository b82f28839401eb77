/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/network.h"

#include "base/bytes.h"
#include "base/codec.h"
#include "base/list.h"
#include "proto/rpc_inproc.h"
#include "proto/rpc_pipe.h"
#include "tests/sim/roles.h"
#include <stdlib.h>
#include <string.h>

#define STALL_MS 20U      /* a cut way is tried again */
#define DUPLICATE_MS 200U /* a repeated frame may come so much later */

enum cut { CUT_NONE, CUT_RAFT, CUT_ALL };

struct rpc_inproc {
    struct sim_network *network;
    struct vy_list listeners;
};
struct way {
    struct replica_transport transport;
    struct sim_network *network;
    struct sim_process *from;
};
struct sim_network {
    struct sim_world *world;
    struct sim_weather weather;
    struct rpc_inproc hub;
    struct way ways[SIM_PROCESSES_MAX];
    enum cut cuts[SIM_PROCESSES_MAX][SIM_PROCESSES_MAX];
};

static bool is_cut(const struct sim_network *network, const struct sim_process *from,
                   const struct sim_process *to)
{
    return network->cuts[from->number][to->number] == CUT_ALL;
}

static uint64_t delay_ms(struct sim_network *network)
{
    return sim_random(network->world, network->weather.delay_ms_max + 1);
}

/* ---- frames of raft ---- */

struct packet {
    struct sim_network *network;
    struct sim_process *from;
    struct sim_process *to;
    uint64_t from_id;
    bool is_bulk;
    size_t len;
    uint8_t bytes[];
};

static void on_packet(void *arg)
{
    struct packet *packet = arg;
    struct sim_process *to = packet->to;
    const bool is_lost =
        packet->network->cuts[packet->from->number][to->number] != CUT_NONE || to->role == NULL;
    if (!is_lost && !packet->network->world->is_ending) {
        sim_note(packet->network->world, vy_crc32c(0, vy_bytes(packet->bytes, packet->len)));
        (packet->is_bulk ? replica_receive_bulk : replica_receive)(
            sim_replica(to), packet->from_id, vy_bytes(packet->bytes, packet->len));
        sim_touch(to);
    }
    free(packet);
}

static void push_packet(const struct way *way, struct sim_process *to, struct vy_bytes frame,
                        bool is_bulk, uint64_t after_ms)
{
    struct packet *packet = sim_alloc(sizeof(*packet) + frame.len);
    packet->network = way->network;
    packet->from = way->from;
    packet->to = to;
    packet->from_id = way->from->member_id;
    packet->is_bulk = is_bulk;
    packet->len = frame.len;
    memcpy(packet->bytes, frame.data, frame.len);
    sim_at(way->network->world, after_ms, to, on_packet, packet);
}

static void send_packet(const struct way *way, struct sim_process *to, struct vy_bytes frame,
                        bool is_bulk)
{
    struct sim_network *network = way->network;
    if (way->from->is_mute || network->cuts[way->from->number][to->number] != CUT_NONE ||
        sim_chance(network->world, network->weather.loss_permille)) {
        return;
    }
    push_packet(way, to, frame, is_bulk, delay_ms(network));
    if (sim_chance(network->world, network->weather.repeat_permille)) {
        push_packet(way, to, frame, is_bulk, sim_random(network->world, DUPLICATE_MS));
    }
}

static void transport_send(struct replica_transport *transport, uint64_t member_id,
                           const char *address, struct vy_bytes frame)
{
    const struct way *way = VY_CONTAINER_OF(transport, struct way, transport);
    struct sim_process *to = sim_find_member(way->network->world, member_id);
    SIM_CHECK(way->network->world, to != NULL && strcmp(address, to->address) == 0,
              "%s sends to member %llu at %s", way->from->name, (unsigned long long)member_id,
              address);
    send_packet(way, to, frame, false);
}

static void transport_send_bulk(struct replica_transport *transport, uint64_t member_id,
                                struct vy_bytes frame)
{
    const struct way *way = VY_CONTAINER_OF(transport, struct way, transport);
    send_packet(way, sim_find_member(way->network->world, member_id), frame, true);
}

struct replica_transport *sim_network_transport(struct sim_network *network,
                                                struct sim_process *process)
{
    return &network->ways[process->number].transport;
}

/* ---- streams ---- */

enum note_kind { NOTE_CONNECT, NOTE_OPEN, NOTE_DATA, NOTE_CLOSED };
struct note {
    struct vy_list item;
    uint64_t due_ms;
    enum note_kind kind;
    struct rpc_block_list blocks; /* owned */
};
/* One side. What the other side said to it waits in `inbox`, in order; the first has an event. */
struct end {
    struct rpc_pipe pipe;
    struct pair *pair;
    unsigned side;
    struct sim_process *process;
    bool is_open; /* this side hears events */
    bool is_closed_told;
    struct vy_list inbox;
    uint64_t last_due_ms;
    bool is_armed;
};
struct pair {
    struct sim_network *network;
    unsigned ref_count; /* open ends, armed inboxes, posts */
    bool is_connected;
    bool is_broken;
    struct end ends[2]; /* dialler, acceptor */
};

static void end_on_event(void *arg);

static void note_free(struct note *note)
{
    rpc_block_list_clear(&note->blocks);
    free(note);
}

static void pair_unref(struct pair *pair)
{
    if (--pair->ref_count > 0) {
        return;
    }
    for (unsigned side = 0; side < 2; side++) {
        for (struct vy_list *item; (item = vy_list_pop_front(&pair->ends[side].inbox)) != NULL;) {
            note_free(VY_CONTAINER_OF(item, struct note, item));
        }
    }
    free(pair);
}

static void arm(struct end *end, uint64_t after_ms)
{
    end->is_armed = true;
    end->pair->ref_count++;
    sim_at(end->pair->network->world, after_ms, end->process, end_on_event, end);
}

/* Says something to `end`; takes the blocks. */
static void tell(struct end *end, enum note_kind kind, struct rpc_block_list *blocks)
{
    struct sim_network *network = end->pair->network;
    const uint64_t now_ms = network->world->now_ms;
    struct note *note = sim_alloc(sizeof(*note));
    note->kind = kind;
    note->due_ms = VY_MAX(end->last_due_ms, now_ms + delay_ms(network));
    if (blocks != NULL) {
        rpc_block_list_join(&note->blocks, blocks);
    }
    end->last_due_ms = note->due_ms;
    vy_list_push_back(&end->inbox, &note->item);
    if (!end->is_armed) {
        arm(end, note->due_ms - now_ms);
    }
}

static void hear_closed(struct end *end, const char *why)
{
    if (end->is_open && !end->is_closed_told) {
        end->is_closed_told = true;
        end->pipe.events->on_closed(end->pipe.arg, vy_error(VY_CODE_CLOSED, why));
    }
}

struct listener {
    struct rpc_listener base;
    struct vy_list item; /* hub->listeners */
    struct sim_process *process;
};

static struct listener *find_listener(struct sim_network *network,
                                      const struct sim_process *process)
{
    VY_LIST_FOREACH(item, &network->hub.listeners)
    {
        struct listener *listener = VY_CONTAINER_OF(item, struct listener, item);
        if (listener->process == process) {
            return listener;
        }
    }
    return NULL;
}

/* At the acceptor's machine: nobody is there, nobody listens, or somebody takes it. */
static void hear_connect(struct end *end)
{
    struct end *dialler = &end->pair->ends[0];
    const struct listener *listener = find_listener(end->pair->network, end->process);
    if (listener == NULL) {
        if (!end->process->has_died_silent) {
            tell(dialler, NOTE_CLOSED, NULL);
        }
        return;
    }
    end->pair->is_connected = true;
    end->pair->ref_count++; /* the acceptor's end, until it is closed */
    tell(dialler, NOTE_OPEN, NULL);
    listener->base.on_accept(listener->base.arg, &end->pipe);
}

static void hear_data(struct end *end, struct note *note)
{
    struct rpc_block *block = rpc_block_list_pop(&note->blocks);
    if (!end->is_open && !end->process->has_died_silent) {
        tell(&end->pair->ends[1 - end->side], NOTE_CLOSED, NULL); /* reset: nobody is there */
    }
    while (block != NULL) {
        if (end->is_open) {
            sim_note(end->pair->network->world, vy_crc32c(0, rpc_block_bytes(block)));
            end->pipe.events->on_data(end->pipe.arg, rpc_block_bytes(block));
        }
        rpc_block_free(block);
        block = rpc_block_list_pop(&note->blocks);
    }
}

static void hear(struct end *end, struct note *note)
{
    static const struct rpc_pipe_peer same_cluster = {.is_authenticated = true};
    switch (note->kind) {
    case NOTE_CONNECT:
        hear_connect(end);
        break;
    case NOTE_OPEN:
        if (end->is_open) {
            end->pipe.events->on_open(end->pipe.arg, &same_cluster);
        }
        break;
    case NOTE_DATA:
        hear_data(end, note);
        break;
    case NOTE_CLOSED:
        hear_closed(end, "peer closed");
        break;
    }
}

static void end_on_event(void *arg)
{
    struct end *end = arg;
    struct pair *pair = end->pair;
    struct sim_network *network = pair->network;
    const uint64_t now_ms = network->world->now_ms;
    end->is_armed = false;
    if (network->world->is_ending) {
        pair_unref(pair);
        return;
    }
    if (is_cut(network, pair->ends[1 - end->side].process, end->process)) {
        arm(end, 1 + sim_random(network->world, STALL_MS)); /* sent again by the machine */
    }
    while (!end->is_armed && !vy_list_is_empty(&end->inbox)) {
        struct note *note = VY_CONTAINER_OF(end->inbox.next, struct note, item);
        if (note->due_ms > now_ms) {
            arm(end, note->due_ms - now_ms);
            break;
        }
        vy_list_remove(&note->item);
        hear(end, note);
        note_free(note);
        sim_touch(end->process);
    }
    pair_unref(pair);
}

/* ---- as the link sees a stream ---- */

static struct end *end_of(struct rpc_pipe *pipe)
{
    return VY_CONTAINER_OF(pipe, struct end, pipe);
}

static void end_on_sent(void *arg)
{
    struct end *end = arg;
    if (end->is_open) {
        end->pipe.events->on_sent(end->pipe.arg);
    }
    pair_unref(end->pair);
}

static void break_pair(struct pair *pair)
{
    pair->is_broken = true;
    tell(&pair->ends[0], NOTE_CLOSED, NULL);
    tell(&pair->ends[1], NOTE_CLOSED, NULL);
}

static void end_send(struct rpc_pipe *pipe, struct rpc_block_list *blocks)
{
    struct end *end = end_of(pipe);
    struct pair *pair = end->pair;
    struct sim_network *network = pair->network;
    if (end->process->is_mute || pair->is_broken) {
        rpc_block_list_clear(blocks);
        return;
    }
    if (sim_chance(network->world, network->weather.break_permille)) {
        rpc_block_list_clear(blocks);
        break_pair(pair);
        return;
    }
    tell(&pair->ends[1 - end->side], NOTE_DATA, blocks);
    pair->ref_count++;
    vy_loop_post(&end->process->loop.base, end_on_sent, end);
}

static void end_close(struct rpc_pipe *pipe)
{
    struct end *end = end_of(pipe);
    struct pair *pair = end->pair;
    const bool is_told = pair->is_connected && !pair->is_broken &&
                         !(end->process->is_mute && end->process->has_died_silent);
    end->is_open = false;
    if (is_told) {
        tell(&pair->ends[1 - end->side], NOTE_CLOSED, NULL);
    }
    pair_unref(pair);
}

static void end_start(struct rpc_pipe *pipe)
{
    struct end *end = end_of(pipe);
    end->is_open = true;
    if (end->side == 0) {
        tell(&end->pair->ends[1], NOTE_CONNECT, NULL);
    } else {
        tell(end, NOTE_OPEN, NULL);
    }
}

static const struct rpc_pipe_ops pipe_ops = {
    .start = end_start, .send = end_send, .close = end_close};

static struct sim_process *process_of(const struct rpc_config *config)
{
    return VY_CONTAINER_OF(VY_CONTAINER_OF(config->loop, struct sim_loop, base), struct sim_process,
                           loop);
}

struct vy_err rpc_inproc_dial(const struct rpc_config *config, const struct rpc_address *address,
                              struct rpc_pipe **out)
{
    struct sim_network *network = config->inproc->network;
    struct pair *pair = sim_alloc(sizeof(*pair));
    pair->network = network;
    pair->ref_count = 1; /* the dialler's end */
    for (unsigned side = 0; side < 2; side++) {
        pair->ends[side] = (struct end){.pipe.ops = &pipe_ops, .pair = pair, .side = side};
        vy_list_init(&pair->ends[side].inbox);
    }
    pair->ends[0].process = process_of(config);
    pair->ends[1].process = sim_find_process(network->world, address->name);
    SIM_CHECK(network->world, pair->ends[1].process != NULL, "%s dials %s",
              pair->ends[0].process->name, address->name);
    *out = &pair->ends[0].pipe;
    return vy_ok();
}

static void listener_close(struct rpc_listener *base)
{
    struct listener *listener = VY_CONTAINER_OF(base, struct listener, base);
    vy_list_remove(&listener->item);
    free(listener);
}

static const struct rpc_listener_ops listener_ops = {.close = listener_close};

struct vy_err rpc_inproc_listen(const struct rpc_config *config, const struct rpc_address *address,
                                struct rpc_listener **out)
{
    struct sim_network *network = config->inproc->network;
    struct listener *listener = sim_alloc(sizeof(*listener));
    listener->base.ops = &listener_ops;
    listener->process = process_of(config);
    VY_ASSERT(strcmp(address->name, listener->process->name) == 0);
    VY_ASSERT(find_listener(network, listener->process) == NULL);
    vy_list_push_back(&network->hub.listeners, &listener->item);
    *out = &listener->base;
    return vy_ok();
}

/* ---- weather and cuts ---- */

struct sim_weather *sim_network_weather(struct sim_network *network)
{
    return &network->weather;
}

void sim_network_cut(struct sim_network *network, unsigned from, unsigned to, bool raft_only)
{
    network->cuts[from][to] = raft_only ? CUT_RAFT : CUT_ALL;
}

void sim_network_heal(struct sim_network *network)
{
    memset(network->cuts, 0, sizeof(network->cuts));
}

/* ---- life ---- */

struct sim_network *sim_network_new(struct sim_world *world)
{
    struct sim_network *network = sim_alloc(sizeof(*network));
    network->world = world;
    network->weather.delay_ms_max = 3;
    network->hub.network = network;
    vy_list_init(&network->hub.listeners);
    for (unsigned i = 0; i < SIM_PROCESSES_MAX; i++) {
        network->ways[i] = (struct way){
            .transport = {.send = transport_send, .send_bulk = transport_send_bulk},
            .network = network,
            .from = &world->processes[i]
        };
    }
    return network;
}

void sim_network_free(struct sim_network *network)
{
    VY_ASSERT(vy_list_is_empty(&network->hub.listeners));
    free(network);
}

struct rpc_inproc *sim_network_hub(struct sim_network *network)
{
    return &network->hub;
}
