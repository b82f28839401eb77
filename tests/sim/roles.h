/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the simulated processes run: the roles as their main functions put them together, but with
 * a disk in memory, a pumped writer, no threads and no sockets of their own. */
#include "meta/meta.h"
#include "tests/sim/world.h"

#define SIM_DOMAIN "sim.test"

extern const struct sim_role_ops sim_role_meta;
extern const struct sim_role_ops sim_role_shard;
extern const struct sim_role_ops sim_role_frontend;

/* Of a process that is up. */
struct meta *sim_meta_of(const struct sim_process *process);
bool sim_frontend_is_ready(const struct sim_process *process); /* knows the map */
bool sim_shard_is_ready(const struct sim_process *process);    /* has registered */
enum sim_port { SIM_PORT_SMTP, SIM_PORT_LMTP, SIM_PORT_IMAP, SIM_PORT_COUNT };
/* Hands a connected socket to the frontend, as its listener does. */
void sim_frontend_accept(const struct sim_process *process, enum sim_port port, int fd);

/* For the roles. */
void sim_write_ticket(struct sim_process *process);
void sim_process_wake_disk(void *process);
void sim_process_on_disk_failed(void *process, struct vy_err err);
