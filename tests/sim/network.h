/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The network between simulated processes. Raft frames travel as datagrams: delayed, lost, repeated
 * and reordered by chance. Everything else goes over the real link (proto/rpc.h), whose pipes are
 * streams here: in order, delayed, stalled while the way is cut, broken by chance. network.c stands
 * in for proto/rpc_inproc.c, so "inproc:NAME" is the process of that name.
 */
#include "tests/sim/world.h"

struct rpc_inproc;
struct sim_network *sim_network_new(struct sim_world *world);
void sim_network_free(struct sim_network *network);
struct rpc_inproc *sim_network_hub(struct sim_network *network);
struct replica_transport *sim_network_transport(struct sim_network *network,
                                                struct sim_process *process);

struct sim_weather {
    uint64_t delay_ms_max;
    unsigned loss_permille;   /* of frames */
    unsigned repeat_permille; /* of frames */
    unsigned break_permille;  /* of pieces of streams: both ends hear that it broke */
};
struct sim_weather *sim_network_weather(struct sim_network *network);
/* One way. Frames are lost; streams stall. raft_only: clients and other roles still get through. */
void sim_network_cut(struct sim_network *network, unsigned from, unsigned to, bool raft_only);
void sim_network_heal(struct sim_network *network); /* no cuts, the weather stays */
