/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A shard's state machine over store_mem, for tests. Fails the running cmocka test when something
 * happens that must not.
 */
#include "base/arena.h"
#include "replica/store_mem.h"
#include "shard/fsm.h"

struct shard_machine {
    struct fsm *fsm;
    struct store_mem_disk *disk;
    struct store *store;
    struct txn *txn;
    struct vy_arena arena; /* of results */
    uint64_t time_ms;      /* of the next entry */
    uint64_t applied;      /* commands so far */
    unsigned events[FSM_EVENT_GONE + 1];
    struct fsm_event last_event;
    void (*on_event)(void *arg, const struct fsm_event *event); /* besides counting; may be NULL */
    void *on_event_arg;
};
void shard_machine_init(struct shard_machine *machine);
void shard_machine_deinit(struct shard_machine *machine);
/* Applies and writes. The version is filled in. The result lives in machine->arena. */
struct shard_result shard_machine_apply(struct shard_machine *machine,
                                        const struct shard_command *command);
struct vy_err shard_machine_apply_bytes(struct shard_machine *machine, struct vy_bytes command,
                                        struct vy_buf *result);
/* A payload of an entry, as the log stores it. */
void shard_machine_put_payload(struct shard_machine *machine, struct vy_bytes key,
                               struct vy_bytes value);
size_t shard_machine_count_rows(const struct shard_machine *machine, enum shard_family family);
/* CRC over all families of the state machine: equal for equal states. */
uint32_t shard_machine_digest(const struct shard_machine *machine);
/* Forgets the decoded mailboxes, as after a restart. */
void shard_machine_restart(struct shard_machine *machine);
