/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A group of three over TCP, each member a process with its own directory, and a client of a fourth
 * process: puts of a key and a value, acknowledged when a majority has synced them. bench/etcd
 * starts it beside etcd.
 *
 *   group_bench member DIR NUMBER PORT_BASE    NUMBER 0 to 2; DIR/ticket lets the directory be
 * filled group_bench load PORT_BASE SECONDS DEPTH VALUE_BYTES
 */
#include "base/assert.h"
#include "proto/rpc_server.h"
#include "replica/raft_link.h"
#include <stdio.h>
#include <stdlib.h>

#define MEMBERS 3U
#define FIRST_ID 101U
#define RAFT_OFFSET 10U
#define METHOD_PUT 0x7F0001U
#define KEY_BYTES 8U
#define DEPTH_MAX 1024U
#define WAITS_MAX 8000000U

static struct rpc_config rpc = {
    .cluster = "bench", .role = RPC_ROLE_ALL, .allow_plain_loopback = true};
static struct vy_log bench_log;

static void set_up(struct vy_loop **loop, const char *node)
{
    VY_ASSERT(!vy_failed(vy_loop_uv_new(loop)));
    bench_log = (struct vy_log){
        .sink = vy_log_sink_stderr(), .clock = vy_clock_system(), .level = VY_LOG_WARN};
    rpc.loop = *loop;
    rpc.rng = vy_rng_system();
    rpc.log = &bench_log;
    rpc.node = node;
}

static const char *address(char out[64], unsigned port)
{
    (void)snprintf(out, 64, "tcp://127.0.0.1:%u", port);
    return out;
}

/* ---- a member ---- */

struct member {
    struct replica_fsm fsm;
    struct replica *replica;
    struct raft_link *raft;
    struct rpc_server *server;
};

static struct vy_err apply(struct replica_fsm *fsm, struct txn *txn,
                           const struct replica_entry_meta *meta, struct vy_bytes command,
                           struct vy_buf *result)
{
    (void)fsm;
    (void)meta;
    (void)result;
    txn_put(txn, REPLICA_FAMILY_FIRST, vy_bytes_slice(command, 0, KEY_BYTES),
            vy_bytes_from(command, KEY_BYTES));
    return vy_ok();
}
static const struct replica_fsm_ops fsm_ops = {.apply = apply};
static const struct store_family families[] = {{.name = "rows"}};

static void on_put_done(void *arg, struct vy_err err, struct vy_bytes result)
{
    if (vy_failed(err)) {
        rpc_server_call_fail(arg, err, NULL, 0);
    } else {
        rpc_server_call_reply(arg, result);
    }
}

static void on_put(void *arg, struct rpc_server_call *call, struct vy_bytes request)
{
    struct member *member = arg;
    const struct replica_proposal proposal = {.command = request};
    const struct vy_err err = request.len <= KEY_BYTES
                                  ? vy_error(VY_CODE_ARGUMENT, "put")
                                  : replica_propose(member->replica, &proposal, on_put_done, call);
    if (vy_failed(err)) {
        rpc_server_call_fail(call, err, NULL, 0);
    }
}

static void on_frame(void *arg, uint64_t member_id, struct vy_bytes frame)
{
    const struct member *member = arg;
    if (member->replica != NULL) {
        replica_receive(member->replica, member_id, frame);
    }
}

static const struct rpc_server_method put_method = {
    .id = METHOD_PUT, .name = "put", .roles = RPC_ROLE_ALL, .handler = on_put};

static int run_member(const char *dir, unsigned number, unsigned base)
{
    static const char *const nodes[MEMBERS] = {"bench-0", "bench-1", "bench-2"};
    static char addresses[MEMBERS][64];
    struct raft_link_member members[MEMBERS];
    struct member member = {
        .fsm = {.ops = &fsm_ops, .families = families, .family_count = 1}
    };
    struct vy_loop *loop = NULL;
    char database[512];
    char ticket[512];
    char own[64];
    set_up(&loop, nodes[number]);
    for (unsigned i = 0; i < MEMBERS; i++) {
        members[i] =
            (struct raft_link_member){.id = FIRST_ID + i,
                                      .node = nodes[i],
                                      .address = address(addresses[i], base + RAFT_OFFSET + i)};
    }
    const struct raft_link_config raft = {.rpc = &rpc,
                                          .member_id = FIRST_ID + number,
                                          .members = members,
                                          .member_count = MEMBERS,
                                          .listen = members[number].address,
                                          .on_frame = on_frame,
                                          .arg = &member};
    VY_ASSERT(!vy_failed(raft_link_new(&raft, &member.raft)));
    (void)snprintf(database, sizeof(database), "%s/replica", dir);
    (void)snprintf(ticket, sizeof(ticket), "%s/ticket", dir);
    const struct replica_config config = {.dir = database,
                                          .name = "bench",
                                          .ticket_path = ticket,
                                          .clock = vy_clock_system(),
                                          .rng = vy_rng_system(),
                                          .loop = loop,
                                          .log = &bench_log,
                                          .fsm = &member.fsm,
                                          .transport = raft_link_transport(member.raft)};
    if (vy_failed(replica_open(&config, &member.replica)) ||
        vy_failed(replica_start(member.replica)) ||
        vy_failed(rpc_server_new(&rpc, &member.server)) ||
        vy_failed(rpc_server_add_methods(member.server, &put_method, 1, &member)) ||
        vy_failed(rpc_server_listen(member.server, address(own, base + number)))) {
        return 1;
    }
    vy_loop_uv_run(loop); /* until it is killed */
    return 0;
}

/* ---- the load ---- */

struct load;
struct slot {
    struct load *load;
    uint64_t begin_ns;
};
struct load {
    struct vy_loop *loop;
    struct vy_clock *clock;
    struct rpc_link *links[MEMBERS];
    unsigned leader;
    bool is_measuring;
    struct vy_timer *timer;
    uint64_t serial;
    uint64_t begin_ns;
    uint64_t end_ns;
    double seconds;
    unsigned depth;
    unsigned open;
    uint8_t command[KEY_BYTES + 65536];
    size_t command_bytes;
    struct slot slots[DEPTH_MAX];
    uint32_t *waits_us;
    size_t wait_count;
};

static void put(struct slot *slot);

static int compare(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a;
    const uint32_t y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void report(struct load *load)
{
    const double took = (double)(vy_clock_mono_ns(load->clock) - load->begin_ns) / 1e9;
    qsort(load->waits_us, load->wait_count, sizeof(uint32_t), compare);
    printf("%.0f puts/s p50 %u us p99 %u us\n", (double)load->wait_count / took,
           load->waits_us[load->wait_count / 2], load->waits_us[load->wait_count * 99 / 100]);
    vy_loop_uv_stop(load->loop);
}

static void on_put_end(void *arg, const struct rpc_status *status, struct vy_bytes reply)
{
    struct slot *slot = arg;
    struct load *load = slot->load;
    const uint64_t now_ns = vy_clock_mono_ns(load->clock);
    (void)reply;
    load->open--;
    if (status->code != VY_CODE_OK) {
        VY_ASSERT(!load->is_measuring); /* nobody fails once a leader is found */
        load->leader = (load->leader + 1) % MEMBERS;
        vy_timer_start(load->timer, 50);
        return;
    }
    if (!load->is_measuring) {
        load->is_measuring = true;
        load->begin_ns = now_ns;
        load->end_ns = now_ns + (uint64_t)(load->seconds * 1e9);
        for (unsigned i = 0; i < load->depth; i++) {
            put(&load->slots[i]);
        }
        return;
    }
    if (load->wait_count < WAITS_MAX) {
        load->waits_us[load->wait_count++] = (uint32_t)((now_ns - slot->begin_ns) / 1000);
    }
    if (now_ns < load->end_ns) {
        put(slot);
    } else if (load->open == 0) {
        report(load);
    }
}
static const struct rpc_call_events put_events = {.on_end = on_put_end};

static void put(struct slot *slot)
{
    struct load *load = slot->load;
    vy_put_be64(load->command, ++load->serial * 0x9E3779B97F4A7C15ULL);
    slot->begin_ns = vy_clock_mono_ns(load->clock);
    load->open++;
    VY_ASSERT(rpc_call_start(load->links[load->leader], METHOD_PUT,
                             vy_bytes(load->command, load->command_bytes), NULL, &put_events,
                             slot) != NULL);
}

static void look_for_leader(void *arg)
{
    struct load *load = arg;
    put(&load->slots[0]);
}

static int run_load(unsigned base, double seconds, unsigned depth, size_t value_bytes)
{
    static struct load load;
    load = (struct load){.clock = vy_clock_system(),
                         .seconds = seconds,
                         .depth = depth,
                         .command_bytes = KEY_BYTES + value_bytes,
                         .waits_us = calloc(WAITS_MAX, sizeof(uint32_t))};
    set_up(&load.loop, "load");
    VY_ASSERT(load.waits_us != NULL);
    for (unsigned i = 0; i < DEPTH_MAX; i++) {
        load.slots[i].load = &load;
    }
    for (unsigned i = 0; i < MEMBERS; i++) {
        char text[64];
        const struct rpc_link_options options = {.address = address(text, base + i)};
        VY_ASSERT(!vy_failed(rpc_link_new(&rpc, &options, &load.links[i])));
    }
    load.timer = vy_timer_new(load.loop, look_for_leader, &load);
    VY_ASSERT(load.timer != NULL);
    vy_timer_start(load.timer, 200);
    vy_loop_uv_run(load.loop);
    return 0; /* the process ends: nothing is worth freeing */
}

int main(int argc, char **argv)
{
    uint64_t n[4] = {0};
    const bool is_member = argc == 5 && strcmp(argv[1], "member") == 0;
    const bool is_load = argc == 6 && strcmp(argv[1], "load") == 0;
    for (int i = is_member ? 3 : 2; i < argc && (is_member || is_load); i++) {
        if (!vy_parse_u64(vy_cstr(argv[i]), &n[i - (is_member ? 3 : 2)])) {
            break;
        }
    }
    if (is_member && n[0] < MEMBERS && n[1] > 0 && n[1] < 65000) {
        return run_member(argv[2], (unsigned)n[0], (unsigned)n[1]);
    }
    if (is_load && n[0] > 0 && n[0] < 65000 && n[1] > 0 && n[2] > 0 && n[2] <= DEPTH_MAX &&
        n[3] > 0 && n[3] <= 65536) {
        return run_load((unsigned)n[0], (double)n[1], (unsigned)n[2], n[3]);
    }
    fprintf(stderr, "usage: group_bench member DIR NUMBER PORT_BASE\n"
                    "       group_bench load PORT_BASE SECONDS DEPTH VALUE_BYTES\n");
    return 2;
}
