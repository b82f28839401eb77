/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries of a shard's log (R3, C6): any bytes are refused or applied, never a crash. The input is
 * a row of commands, each behind two bytes of length, over one set of tables; 0xffff drops what is
 * decoded in memory, as a restart does. After all of them the counters of every mailbox must be
 * what its index holds.
 */
#include "mail/flags.h"
#include "replica/replica.h"
#include "replica/store_mem.h"
#include "shard/fsm.h"
#include "shard/read.h"

#include "base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RESTART 0xffffU
#define CHECK_ARENA_BYTES_MAX (16U * 1024U * 1024U)

struct machine {
    struct fsm *fsm;
    struct store_mem_disk *disk;
    struct store *store;
    struct txn *txn;
    uint64_t time_ms;
};

static bool machine_init(struct machine *m)
{
    static const char *const names[] = {
#define X(name, family, erase) family,
        SHARD_FAMILIES(X)
#undef X
    };
    struct store_family families[REPLICA_FAMILY_FIRST + SHARD_FAMILY_COUNT] = {
        {.name = "raft"}, {.name = "sys"}, {.name = "idem"}};
    const struct fsm_config config = {.cache_bytes = 1024 * 1024, .hash_seed = 1};

    for (unsigned i = 0; i < SHARD_FAMILY_COUNT; i++) {
        families[shard_store_family((enum shard_family)i)].name = names[i];
    }
    const struct store_options options = {.families = families,
                                          .family_count = VY_COUNT_OF(families)};
    *m = (struct machine){.time_ms = 1700000000000U};
    return !vy_failed(store_mem_disk_new(&m->disk)) &&
           !vy_failed(store_mem_open(m->disk, &options, &m->store)) &&
           !vy_failed(txn_new(m->store, &m->txn)) && !vy_failed(fsm_new(&config, &m->fsm));
}

static void machine_deinit(struct machine *m)
{
    fsm_free(m->fsm);
    txn_free(m->txn);
    store_close(m->store);
    store_mem_disk_free(m->disk);
}

/* False: the entry would have stopped the node. */
static bool apply(struct machine *m, struct vy_bytes command)
{
    struct vy_buf result;

    vy_buf_init(&result, REPLICA_RESULT_BYTES_MAX);
    m->time_ms += 1000;
    const struct vy_err err = fsm_apply_command(m->fsm, m->txn, m->time_ms, command, &result);
    vy_buf_deinit(&result);
    txn_entry_done(m->txn);
    if (vy_failed(err)) {
        txn_reset(m->txn);
        return false;
    }
    VY_ASSERT(!vy_failed(txn_commit(m->txn, false)));
    return true;
}

/* ---- what must hold whatever came ---- */

struct counts {
    uint32_t messages;
    uint32_t unseen;
    uint32_t deleted;
    uint32_t last_uid;
    uint64_t bytes;
};

static void count_block(const struct block *block, struct counts *counts)
{
    for (uint32_t i = 0; i < block->count; i++) {
        VY_ASSERT(block->uid[i] > counts->last_uid);
        counts->last_uid = block->uid[i];
        counts->messages++;
        counts->bytes += block->size[i];
        counts->unseen += (block->flags[i] & MAIL_FLAG_SEEN) == 0 ? 1 : 0;
        counts->deleted += (block->flags[i] & MAIL_FLAG_DELETED) != 0 ? 1 : 0;
    }
}

static void check_mailbox(const struct store_reader *reader, uint64_t account_id,
                          uint64_t mailbox_id, const struct mailbox_row *row)
{
    struct counts counts = {.messages = 0};
    struct read_blocks blocks = {.iter = NULL};
    struct block *block = NULL;
    struct vy_arena arena;

    vy_arena_init(&arena, CHECK_ARENA_BYTES_MAX);
    VY_ASSERT(!vy_failed(read_blocks_open(reader, &arena, account_id, mailbox_id, 1, &blocks)));
    do {
        VY_ASSERT(!vy_failed(read_blocks_next(&blocks, &block)));
        if (block != NULL) {
            count_block(block, &counts);
        }
    } while (block != NULL);
    read_blocks_close(&blocks);
    vy_arena_deinit(&arena);
    VY_ASSERT(counts.last_uid < row->uidnext);
    VY_ASSERT(counts.messages == row->message_count);
    VY_ASSERT(counts.unseen == row->unseen_count);
    VY_ASSERT(counts.deleted == row->deleted_count);
    VY_ASSERT(counts.bytes == row->size_bytes);
}

static void check(const struct machine *m)
{
    const struct store_reader *reader = store_newest(m->store);
    const struct store_range all = {.from = {.data = NULL}};
    struct store_iter *iter = NULL;

    VY_ASSERT(!vy_failed(store_iter_new(reader, shard_store_family(SHARD_MBOX), &all, &iter)));
    for (; iter->is_valid; store_iter_next(iter)) {
        uint64_t account_id = 0;
        struct mailbox_row row;
        struct vy_arena arena;
        /* slot and account, 'm', mailbox: keys.h */
        if (!keys_parse_account(iter->key, &account_id) || iter->key.len != 19 ||
            iter->key.data[10] != 'm') {
            continue;
        }
        vy_arena_init(&arena, CHECK_ARENA_BYTES_MAX);
        VY_ASSERT(!vy_failed(vy_pb_decode(&mailbox_row_desc, &arena, iter->value, &row)));
        check_mailbox(reader, account_id, vy_get_be64(iter->key.data + 11), &row);
        vy_arena_deinit(&arena);
    }
    VY_ASSERT(!vy_failed(store_iter_error(iter)));
    store_iter_free(iter);
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
        if (len == RESTART) {
            fsm_reset(m.fsm);
            rest = vy_bytes_from(rest, 2);
            continue;
        }
        const struct vy_bytes command = vy_bytes_slice(rest, 2, len);
        rest = vy_bytes_from(rest, 2 + len);
        is_running = apply(&m, command);
    }
    check(&m);
    machine_deinit(&m);
    return 0;
}
