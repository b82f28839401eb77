/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replica_bench DIR [seconds]: a group of one on RocksDB with a real loop and writer thread, a
 * closed loop of proposals at several depths and sizes, beside the same rows written by a bare loop
 * of synced batches. DIR must be new.
 */
#include "base/assert.h"
#include "replica/replica.h"
#include <stdio.h>
#include <stdlib.h>

struct bench;
struct slot {
    struct bench *bench;
    uint64_t begin_ns;
};
struct bench {
    struct vy_loop *loop;
    struct vy_clock *clock;
    struct replica_fsm fsm;
    struct replica *replica;
    struct slot slots[256];
    struct vy_bytes body;
    bool is_payload;
    unsigned depth;
    unsigned open;
    uint64_t done;
    uint64_t end_ns;
    uint64_t serial;
    uint32_t *waits_us;
    size_t wait_count;
    struct store *bare;
    double seconds;
    size_t scenario;
    uint64_t begin_ns;
    struct replica_status before;
};
static const unsigned depths[] = {1, 16, 64};
static const size_t bodies[] = {0, 16384, 131072};
#define WAITS_MAX 4000000U

static struct vy_err apply(struct replica_fsm *fsm, struct txn *txn,
                           const struct replica_entry_meta *meta, struct vy_bytes command,
                           struct vy_buf *result)
{
    uint8_t key[8];
    (void)fsm;
    vy_put_be64(key, meta->index << 16 | (uint64_t)(vy_buf_len(result) & 0xffff));
    txn_put(txn, REPLICA_FAMILY_FIRST, vy_bytes_slice(command, 0, 8), command);
    vy_buf_append(result, vy_bytes(key, sizeof(key)));
    return vy_ok();
}
static const struct replica_fsm_ops ops = {.apply = apply};
static const struct store_family families[] = {
    {.name = "rows"         },
    { .name = "bodies", .blob_min_bytes = 4096}
};

static void send(struct slot *slot);
static void on_scenario_done(void *arg);

static void on_done(void *arg, struct vy_err err, struct vy_bytes result)
{
    struct slot *slot = arg;
    struct bench *bench = slot->bench;
    const uint64_t now_ns = vy_clock_mono_ns(bench->clock);
    (void)result;
    VY_ASSERT(!vy_failed(err));
    bench->done++;
    bench->open--;
    if (bench->wait_count < WAITS_MAX) {
        bench->waits_us[bench->wait_count++] = (uint32_t)((now_ns - slot->begin_ns) / 1000);
    }
    if (now_ns < bench->end_ns) {
        send(slot);
    } else if (bench->open == 0) {
        vy_loop_post(bench->loop, on_scenario_done, bench);
    }
}

static void send(struct slot *slot)
{
    struct bench *bench = slot->bench;
    uint8_t command[256] = {0};
    uint8_t key[8];
    bench->serial++;
    vy_put_be64(command, bench->serial * 0x9E3779B97F4A7C15ULL);
    vy_put_be64(key, bench->serial);
    const struct replica_payload payload = {
        .family = REPLICA_FAMILY_FIRST + 1, .key = vy_bytes(key, 8), .value = bench->body};
    const struct replica_proposal proposal = {.command = vy_bytes(command, sizeof(command)),
                                              .payloads = &payload,
                                              .payload_count = bench->is_payload ? 1 : 0};
    slot->begin_ns = vy_clock_mono_ns(bench->clock);
    bench->open++;
    const struct vy_err err = replica_propose(bench->replica, &proposal, on_done, slot);
    if (vy_failed(err)) {
        fprintf(stderr, "propose: %s %s\n", vy_code_name(err.code), err.what);
        exit(1);
    }
}

static int compare(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a;
    const uint32_t y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* `depth` rows of a batch, synced, again and again. */
static void run_bare(struct bench *bench, struct store *store, unsigned depth, size_t body,
                     double seconds)
{
    struct store_batch *batch = NULL;
    static uint8_t bytes[1024 * 1024];
    uint64_t done = 0;
    VY_ASSERT(!vy_failed(store_batch_new(store, &batch)));
    const uint64_t begin_ns = vy_clock_mono_ns(bench->clock);
    while (vy_clock_mono_ns(bench->clock) - begin_ns < (uint64_t)(seconds * 1e9)) {
        store_batch_clear(batch);
        for (unsigned i = 0; i < depth; i++, done++) {
            uint8_t key[8];
            vy_put_be64(key, done * 0x9E3779B97F4A7C15ULL);
            store_batch_put(batch, 0, vy_bytes(key, 8), vy_bytes(bytes, 256));
            if (body > 0) {
                store_batch_put(batch, 1, vy_bytes(key, 8), vy_bytes(bytes, body));
            }
        }
        VY_ASSERT(!vy_failed(store_write(store, batch, true)));
    }
    const double took = (double)(vy_clock_mono_ns(bench->clock) - begin_ns) / 1e9;
    printf("bare %7zu  batch of  %3u  %9.0f ops/s\n", body, depth, (double)done / took);
    fflush(stdout);
    store_batch_free(batch);
}

static void on_stopped(void *arg)
{
    vy_loop_uv_stop(arg);
}

static void begin_scenario(struct bench *bench)
{
    static uint8_t bytes[1024 * 1024];
    if (bench->scenario == VY_COUNT_OF(depths) * VY_COUNT_OF(bodies)) {
        replica_stop(bench->replica, on_stopped, bench->loop);
        return;
    }
    const unsigned depth = depths[bench->scenario % VY_COUNT_OF(depths)];
    const size_t body = bodies[bench->scenario / VY_COUNT_OF(depths)];
    for (size_t i = 0; i < body; i++) {
        bytes[i] = (uint8_t)(i * 2654435761U >> 7);
    }
    run_bare(bench, bench->bare, depth, body, bench->seconds);
    replica_get_status(bench->replica, &bench->before);
    bench->body = vy_bytes(bytes, body);
    bench->is_payload = body > 0;
    bench->depth = depth;
    bench->done = 0;
    bench->wait_count = 0;
    bench->begin_ns = vy_clock_mono_ns(bench->clock);
    bench->end_ns = bench->begin_ns + (uint64_t)(bench->seconds * 1e9);
    for (unsigned i = 0; i < depth; i++) {
        bench->slots[i].bench = bench;
        send(&bench->slots[i]);
    }
}

static void on_scenario_done(void *arg)
{
    struct bench *bench = arg;
    struct replica_status after;
    const double took = (double)(vy_clock_mono_ns(bench->clock) - bench->begin_ns) / 1e9;
    replica_get_status(bench->replica, &after);
    const double syncs = (double)(after.sync_count - bench->before.sync_count);
    qsort(bench->waits_us, bench->wait_count, sizeof(uint32_t), compare);
    printf("replica %7zu in flight %3u  %8.0f ops/s  p50 %6u us  p99 %6u us  %5.1f per sync, "
           "sync %5.0f us\n",
           bench->body.len, bench->depth, (double)bench->done / took,
           bench->waits_us[bench->wait_count / 2], bench->waits_us[bench->wait_count * 99 / 100],
           (double)bench->done / syncs, (double)(after.sync_us - bench->before.sync_us) / syncs);
    fflush(stdout);
    bench->scenario++;
    begin_scenario(bench);
}

static void begin(void *arg)
{
    struct bench *bench = arg;
    if (replica_is_leader(bench->replica)) {
        begin_scenario(bench);
    } else {
        vy_loop_post(bench->loop, begin, bench);
    }
}

int main(int argc, char **argv)
{
    struct bench bench = {
        .clock = vy_clock_system(), .fsm = {.ops = &ops, .families = families, .family_count = 2}
    };
    bench.seconds = argc > 2 ? strtod(argv[2], NULL) : 2;
    char dir[512];
    if (argc < 2) {
        fprintf(stderr, "usage: replica_bench DIR [seconds]\n");
        return 2;
    }
    bench.waits_us = calloc(WAITS_MAX, sizeof(uint32_t));
    VY_ASSERT(bench.waits_us != NULL && !vy_failed(vy_loop_uv_new(&bench.loop)));
    const struct vy_log log = {
        .sink = vy_log_sink_stderr(), .clock = bench.clock, .level = VY_LOG_INFO};
    snprintf(dir, sizeof(dir), "%s/replica", argv[1]);
    const struct replica_config config = {.dir = dir,
                                          .name = "bench",
                                          .bootstrap_alone = true,
                                          .clock = bench.clock,
                                          .rng = vy_rng_system(),
                                          .loop = bench.loop,
                                          .log = &log,
                                          .fsm = &bench.fsm};
    if (vy_failed(replica_open(&config, &bench.replica)) ||
        vy_failed(replica_start(bench.replica))) {
        return 1;
    }
    snprintf(dir, sizeof(dir), "%s/bare", argv[1]);
    const struct store_options options = {.dir = dir, .families = families, .family_count = 2};
    VY_ASSERT(!vy_failed(store_rocks_open(&options, &bench.bare)));
    vy_loop_post(bench.loop, begin, &bench);
    vy_loop_uv_run(bench.loop);
    store_close(bench.bare);
    replica_free(bench.replica);
    vy_loop_uv_free(bench.loop);
    free(bench.waits_us);
    return 0;
}
