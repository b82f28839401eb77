/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/shard_machine.h"
#include "base/assert.h"
#include "base/codec.h"
#include "replica/replica.h"
#include "tests/lib/test.h"
#include <stdlib.h>

#define RESULT_BYTES_MAX (4U * 1024U * 1024U)
#define ARENA_BYTES_MAX (256U * 1024U * 1024U)

static void count_event(void *arg, const struct fsm_event *event)
{
    struct shard_machine *machine = arg;

    machine->events[event->kind]++;
    machine->last_event = *event;
    if (machine->on_event != NULL) {
        machine->on_event(machine->on_event_arg, event);
    }
}

static struct fsm *new_fsm(struct shard_machine *machine)
{
    const struct fsm_config config = {.hash_seed = 1, .on_event = count_event, .arg = machine};
    struct fsm *fsm = NULL;

    assert_false(vy_failed(fsm_new(&config, &fsm)));
    return fsm;
}

void shard_machine_init(struct shard_machine *machine)
{
    struct store_family families[REPLICA_FAMILY_FIRST + SHARD_FAMILY_COUNT] = {
        {.name = "raft"}, {.name = "sys"}, {.name = "idem"}};
    static const char *const names[] = {
#define X(name, family, erase) family,
        SHARD_FAMILIES(X)
#undef X
    };

    *machine = (struct shard_machine){.time_ms = 1700000000000U};
    for (size_t i = 0; i < SHARD_FAMILY_COUNT; i++) {
        families[shard_store_family((enum shard_family)i)].name = names[i];
    }
    const struct store_options options = {.families = families,
                                          .family_count = VY_COUNT_OF(families)};
    assert_false(vy_failed(store_mem_disk_new(&machine->disk)));
    assert_false(vy_failed(store_mem_open(machine->disk, &options, &machine->store)));
    assert_false(vy_failed(txn_new(machine->store, &machine->txn)));
    vy_arena_init(&machine->arena, ARENA_BYTES_MAX);
    machine->fsm = new_fsm(machine);
}

void shard_machine_deinit(struct shard_machine *machine)
{
    fsm_free(machine->fsm);
    txn_free(machine->txn);
    store_close(machine->store);
    store_mem_disk_free(machine->disk);
    vy_arena_deinit(&machine->arena);
}

void shard_machine_restart(struct shard_machine *machine)
{
    fsm_free(machine->fsm);
    machine->fsm = new_fsm(machine);
}

struct vy_err shard_machine_apply_bytes(struct shard_machine *machine, struct vy_bytes command,
                                        struct vy_buf *result)
{
    const struct vy_err err =
        fsm_apply_command(machine->fsm, machine->txn, machine->time_ms, command, result);

    txn_entry_done(machine->txn);
    if (vy_failed(err)) {
        txn_reset(machine->txn);
        return err;
    }
    machine->applied++;
    return txn_commit(machine->txn, false);
}

struct shard_result shard_machine_apply(struct shard_machine *machine,
                                        const struct shard_command *command)
{
    struct shard_command versioned = *command;
    struct shard_result result;
    struct vy_bytes copy;
    VY_CLEANUP(vy_buf_deinit) struct vy_buf encoded;
    VY_CLEANUP(vy_buf_deinit) struct vy_buf raw;

    vy_buf_init(&encoded, SHARD_COMMAND_BYTES_MAX * 4);
    vy_buf_init(&raw, RESULT_BYTES_MAX);
    versioned.version = SHARD_COMMAND_VERSION;
    assert_false(vy_failed(vy_pb_encode(&shard_command_desc, &versioned, &encoded)));
    const struct vy_err err = shard_machine_apply_bytes(machine, vy_buf_bytes(&encoded), &raw);
    if (vy_failed(err)) {
        fail_msg("apply: %s: %s", vy_code_name(err.code), err.what);
    }
    assert_false(vy_failed(vy_arena_dup(&machine->arena, vy_buf_bytes(&raw), &copy)));
    assert_false(vy_failed(vy_pb_decode(&shard_result_desc, &machine->arena, copy, &result)));
    return result;
}

void shard_machine_put_payload(struct shard_machine *machine, struct vy_bytes key,
                               struct vy_bytes value)
{
    struct store_batch *batch = NULL;

    assert_false(vy_failed(store_batch_new(machine->store, &batch)));
    store_batch_put(batch, shard_store_family(SHARD_BODY), key, value);
    assert_false(vy_failed(store_write(machine->store, batch, false)));
    store_batch_free(batch);
}

/* Visits every row of a family. */
static size_t walk(const struct shard_machine *machine, enum shard_family family, uint32_t *crc)
{
    const struct store_range all = {.from = {.data = NULL}};
    struct store_iter *iter = NULL;
    size_t count = 0;

    assert_false(vy_failed(
        store_iter_new(store_newest(machine->store), shard_store_family(family), &all, &iter)));
    for (; iter->is_valid; store_iter_next(iter)) {
        if (crc != NULL) {
            *crc = vy_crc32c(*crc, iter->key);
            *crc = vy_crc32c(*crc, iter->value);
        }
        count++;
    }
    assert_false(vy_failed(store_iter_error(iter)));
    store_iter_free(iter);
    return count;
}

size_t shard_machine_count_rows(const struct shard_machine *machine, enum shard_family family)
{
    return walk(machine, family, NULL);
}

uint32_t shard_machine_digest(const struct shard_machine *machine)
{
    uint32_t crc = 0;

    for (unsigned family = 0; family < SHARD_FAMILY_COUNT; family++) {
        walk(machine, (enum shard_family)family, &crc);
    }
    return crc;
}
