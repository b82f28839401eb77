/* SPDX-License-Identifier: Apache-2.0 */
/* The store that is none: while a member's database is being replaced, nobody reads or writes. */
#include "replica/store.h"

static struct vy_err refuse(void)
{
    return vy_error(VY_CODE_UNAVAILABLE, "the database is being replaced");
}

static void closed_close(struct store *store)
{
    (void)store;
}

static struct vy_err closed_batch_new(struct store *store, struct store_batch **out)
{
    (void)store;
    (void)out;
    return refuse();
}

static struct vy_err closed_write(struct store *store, const struct store_batch *batch, bool sync)
{
    (void)store;
    (void)batch;
    (void)sync;
    return refuse();
}

static struct vy_err closed_snapshot_new(struct store *store, struct store_snapshot **out)
{
    (void)store;
    (void)out;
    return refuse();
}

static struct vy_err closed_flush(struct store *store)
{
    (void)store;
    return refuse();
}

static struct vy_err closed_checkpoint(struct store *store, const char *dir)
{
    (void)store;
    (void)dir;
    return refuse();
}

static struct vy_err closed_compact(struct store *store, unsigned family, struct vy_bytes from,
                                    struct vy_bytes to)
{
    (void)store;
    (void)family;
    (void)from;
    (void)to;
    return refuse();
}

static struct vy_err closed_remove_dead_files(struct store *store, size_t *out)
{
    (void)store;
    (void)out;
    return refuse();
}

static struct vy_err closed_free_bytes(struct store *store, uint64_t *out)
{
    (void)store;
    (void)out;
    return refuse();
}

static uint64_t closed_floor_bytes(const struct store *store)
{
    (void)store;
    return 0;
}

static struct vy_err closed_get(const struct store_reader *reader, unsigned family,
                                struct vy_bytes key, struct store_value *out)
{
    (void)reader;
    (void)family;
    (void)key;
    (void)out;
    return refuse();
}

static struct vy_err closed_iter_new(const struct store_reader *reader, unsigned family,
                                     const struct store_range *range, struct store_iter **out)
{
    (void)reader;
    (void)family;
    (void)range;
    (void)out;
    return refuse();
}

static const struct store_ops closed_ops = {
    .close = closed_close,
    .batch_new = closed_batch_new,
    .write = closed_write,
    .snapshot_new = closed_snapshot_new,
    .flush = closed_flush,
    .checkpoint = closed_checkpoint,
    .compact = closed_compact,
    .remove_dead_files = closed_remove_dead_files,
    .free_bytes = closed_free_bytes,
    .floor_bytes = closed_floor_bytes,
    .check = closed_flush,
};
static const struct store_reader_ops closed_reader_ops = {.get = closed_get,
                                                          .iter_new = closed_iter_new};

struct store *store_closed(void)
{
    static struct store closed = {
        .ops = &closed_ops, .newest = {.ops = &closed_reader_ops}, .family_count = 0};
    return &closed; /* never changes but for its pins */
}
