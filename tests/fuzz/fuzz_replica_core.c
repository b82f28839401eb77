/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A member of three and peers that send anything (R5, R7): whatever they say, what is appended
 * follows the log, what was committed is never cut, terms never fall. Each step takes a few bytes:
 * what happens, then small numbers.
 */
#include "base/assert.h"
#include "replica/core.h"
#include <stdlib.h>

#define STEPS_MAX 64U
#define ENTRIES_MAX 4U

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
    struct core *core;
    struct vy_bytes in;
    uint64_t now_ms;
    uint64_t tickets;
    uint64_t last_index;
    uint64_t term;
};

static uint8_t next(struct world *world)
{
    if (world->in.len == 0) {
        return 0;
    }
    const uint8_t byte = world->in.data[0];
    world->in = vy_bytes_from(world->in, 1);
    return byte;
}

static struct vy_err on_persist(void *arg, uint64_t term, uint64_t voted_for)
{
    struct world *world = arg;
    (void)voted_for;
    VY_ASSERT(term >= world->term);
    world->term = term;
    return vy_ok();
}

static uint64_t on_append(void *arg, uint64_t index, struct entry *const *entries, size_t count)
{
    struct world *world = arg;
    VY_ASSERT(count > 0 && entries[0]->index == index);
    VY_ASSERT(index <= world->last_index + 1);
    VY_ASSERT(index > core_commit_index(world->core));
    world->last_index = index + count - 1;
    return ++world->tickets;
}

static void on_send(void *arg, uint64_t to, const struct core_message *message)
{
    const struct world *world = arg;
    VY_ASSERT(to == 2 || to == 3);
    VY_ASSERT(message->prev_index + message->count <= world->last_index);
}

static const struct core_ops ops = {.persist = on_persist, .append = on_append, .send = on_send};

static void start(struct world *world)
{
    static const struct replica_member members[] = {
        {.id = 1, .address = "1"},
        {.id = 2, .address = "2"},
        {.id = 3, .address = "3"}
    };
    const struct core_config config = {.id = 1,
                                       .address = "1",
                                       .seed = 1,
                                       .election_timeout_ms = 100,
                                       .heartbeat_ms = 20,
                                       .ops = &ops,
                                       .arg = world};
    struct core_row rows[3] = {{.term = 1}, {.term = 1}, {.term = 2}};
    const struct core_state state = {.term = 2, .rows = rows, .row_count = 3};
    struct vy_buf body;
    struct entry *first = NULL;
    vy_buf_init(&body, 4096);
    VY_ASSERT(!vy_failed(core_encode_members(members, 3, &body)));
    VY_ASSERT(!vy_failed(entry_new_raw(1, ENTRY_CHANGE, vy_buf_bytes(&body), &first)));
    rows[0].change = first;
    world->term = 2;
    world->last_index = 3;
    world->now_ms = 1000;
    VY_ASSERT(!vy_failed(core_new(&config, &world->core)));
    VY_ASSERT(!vy_failed(core_start(world->core, world->now_ms, &state)));
    entry_unref(first);
    vy_buf_deinit(&body);
}

static struct vy_err receive(struct world *world)
{
    struct entry *entries[ENTRIES_MAX];
    struct core_message message = {.kind = (enum core_kind)(1 + next(world) % 5), .version = 1};
    const uint64_t from = 2 + next(world) % 3; /* 4 is a stranger */
    const uint8_t flags = next(world);
    message.term = 1 + next(world) % 16;
    message.is_granted = flags & 1;
    message.pre_vote = flags & 2;
    message.disrupt_leader = flags & 4;
    message.last_index = next(world) % 16;
    message.last_term = next(world) % 16;
    message.rejected = (flags & 8) != 0 ? next(world) % 16 : 0;
    if (message.kind == CORE_APPEND) {
        message.prev_index = message.last_index;
        message.prev_term = VY_MIN(message.last_term, message.term);
        message.prev_term = message.prev_index == 0 ? 0 : VY_MAX(message.prev_term, 1U);
        message.commit = next(world) % 16;
        message.entries = entries;
        message.count = next(world) % (ENTRIES_MAX + 1);
        for (size_t i = 0; i < message.count; i++) { /* as frame_decode lets through */
            const uint64_t before = i == 0 ? message.prev_term : entries[i - 1]->term;
            const uint64_t term = VY_MIN(message.term, VY_MAX(before, 1U) + next(world) % 3);
            VY_ASSERT(
                !vy_failed(entry_new_raw(term, ENTRY_BARRIER, vy_bytes(NULL, 0), &entries[i])));
        }
    }
    const struct vy_err err = core_receive(world->core, world->now_ms, from, &message);
    for (size_t i = 0; i < message.count; i++) {
        entry_unref(entries[i]);
    }
    return err;
}

static struct vy_err submit(struct world *world)
{
    struct entry *entry = NULL;
    VY_TRY(entry_new_raw(core_term(world->core), ENTRY_BARRIER, vy_bytes(NULL, 0), &entry));
    const struct vy_err err = core_submit(world->core, world->now_ms, &entry, 1);
    entry_unref(entry);
    return err.code == VY_CODE_NOT_LEADER ? vy_ok() : err;
}

static struct vy_err step(struct world *world)
{
    switch (next(world) % 6) {
    case 0:
        world->now_ms = VY_MAX(world->now_ms, core_timeout_ms(world->core));
        return core_tick(world->core, world->now_ms);
    case 1:
        return core_written(world->core, world->now_ms, world->tickets);
    case 2:
        return submit(world);
    default:
        world->now_ms += next(world) % 64;
        return receive(world);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world world = {.in = vy_bytes(data, size)};
    start(&world);
    for (unsigned i = 0; i < STEPS_MAX && world.in.len > 0; i++) {
        const uint64_t commit = core_commit_index(world.core);
        if (vy_failed(step(&world))) {
            break; /* the member ends: logs that differ below what was committed */
        }
        VY_ASSERT(core_commit_index(world.core) >= commit);
        VY_ASSERT(core_applicable(world.core) <= core_persisted_index(world.core));
        VY_ASSERT(core_last_index(world.core) == world.last_index);
        VY_ASSERT(core_commit_index(world.core) <= world.last_index);
    }
    core_free(world.core);
    return 0;
}
