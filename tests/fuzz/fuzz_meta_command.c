/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries of meta's log (R3, C6): any bytes are refused or applied, never a crash. The input is a
 * row of commands, each behind two bytes of length, over one set of tables; after all of them the
 * audit chain must be whole.
 */
#include "meta/audit.h"
#include "meta/directory.h"
#include "meta/fsm.h"
#include "replica/store_mem.h"

#include "base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct machine {
    struct meta_fsm fsm;
    struct store_mem_disk *disk;
    struct store *store;
    struct txn *txn;
    uint64_t index;
};

static bool machine_init(struct machine *m)
{
    struct store_family families[REPLICA_FAMILY_FIRST + META_FAMILY_COUNT] = {
        {.name = "raft"}, {.name = "sys"}, {.name = "idem"}};
    for (size_t i = 0; i < META_FAMILY_COUNT; i++) {
        families[REPLICA_FAMILY_FIRST + i] = meta_families[i];
    }
    const struct store_options options = {.families = families,
                                          .family_count = VY_COUNT_OF(families)};
    *m = (struct machine){.index = 0};
    meta_fsm_init(&m->fsm);
    return !vy_failed(store_mem_disk_new(&m->disk)) &&
           !vy_failed(store_mem_open(m->disk, &options, &m->store)) &&
           !vy_failed(txn_new(m->store, &m->txn));
}

static void machine_deinit(struct machine *m)
{
    txn_free(m->txn);
    store_close(m->store);
    store_mem_disk_free(m->disk);
    meta_fsm_deinit(&m->fsm);
}

/* False: the entry would have stopped the node. */
static bool apply(struct machine *m, struct vy_bytes command)
{
    struct vy_buf result;
    vy_buf_init(&result, REPLICA_RESULT_BYTES_MAX);
    m->index++;
    const struct replica_entry_meta entry = {
        .index = m->index, .term = 1, .time_ms = 1700000000000U + m->index, .version = 1};
    const struct vy_err err =
        m->fsm.base.ops->apply(&m->fsm.base, m->txn, &entry, command, &result);
    vy_buf_deinit(&result);
    if (vy_failed(err)) {
        txn_reset(m->txn);
        return false;
    }
    txn_entry_done(m->txn);
    VY_ASSERT(!vy_failed(txn_commit(m->txn, false)));
    return true;
}

static void check(struct machine *m)
{
    struct audit_check whole;
    struct resolve_reply reply;
    struct vy_arena arena;
    vy_arena_init(&arena, 4U * 1024 * 1024);
    const struct meta_view view = {.reader = store_newest(m->store), .arena = &arena};
    VY_ASSERT(!vy_failed(audit_verify(view.reader, &whole)));
    VY_ASSERT(whole.is_intact);
    vy_ignore(directory_resolve(&view, VY_LIT("a@d.test"), &reply), "any answer will do");
    vy_arena_deinit(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct machine m;
    struct vy_bytes rest = vy_bytes(data, size);
    if (!machine_init(&m)) {
        machine_deinit(&m);
        return 0;
    }
    bool is_running = true;
    while (is_running && rest.len > 2) {
        const size_t len = vy_get_be16(rest.data);
        const struct vy_bytes command = vy_bytes_slice(rest, 2, len);
        rest = vy_bytes_from(rest, 2 + len);
        is_running = apply(&m, command);
    }
    check(&m);
    machine_deinit(&m);
    return 0;
}
