/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/cluster_fixture.h"

#include "base/assert.h"
#include "replica/dir.h"
#include "replica/ticket.h"
#include "tests/lib/test.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST_ID 101U

unsigned cluster_random(struct cluster *cluster, unsigned below)
{
    return (unsigned)vy_rng_below(&cluster->rng.base, below);
}

static uint64_t now_ms(const struct cluster *cluster)
{
    return cluster->clock.mono_ns / 1000000U;
}

/* ---- clocks ---- */

static uint64_t node_mono_ns(struct vy_clock *clock)
{
    return VY_CONTAINER_OF(clock, struct cluster_node, clock)->cluster->clock.mono_ns;
}

static uint64_t node_wall_ms(struct vy_clock *clock)
{
    const struct cluster_node *node = VY_CONTAINER_OF(clock, struct cluster_node, clock);
    return node->cluster->clock.wall_ms + (uint64_t)node->wall_offset_ms;
}

/* ---- network ---- */

struct cluster_node *cluster_find_node(struct cluster *cluster, uint64_t id)
{
    for (unsigned i = 0; i < cluster->count; i++) {
        if (cluster->nodes[i].id == id) {
            return &cluster->nodes[i];
        }
    }
    return NULL;
}

static void push_packet(struct cluster *cluster, const struct cluster_node *from,
                        const struct cluster_node *to, struct vy_bytes frame, bool is_bulk)
{
    if (cluster->packet_count == cluster->packet_capacity) {
        cluster->packet_capacity = VY_MAX(64U, cluster->packet_capacity * 2);
        cluster->packets =
            realloc(cluster->packets, cluster->packet_capacity * sizeof(*cluster->packets));
        assert_non_null(cluster->packets);
    }
    struct cluster_packet *packet = &cluster->packets[cluster->packet_count++];
    *packet = (struct cluster_packet){
        .due_ms = now_ms(cluster) + vy_rng_below(&cluster->rng.base, cluster->delay_ms_max + 1),
        .serial = cluster->serial++,
        .from = from->number,
        .to_id = to->id,
        .from_id = from->id,
        .is_bulk = is_bulk,
        .bytes = malloc(frame.len),
        .len = frame.len};
    assert_non_null(packet->bytes);
    memcpy(packet->bytes, frame.data, frame.len);
}

static void send_packet(struct cluster_node *node, uint64_t member_id, struct vy_bytes frame,
                        bool is_bulk)
{
    struct cluster *cluster = node->cluster;
    const struct cluster_node *to = cluster_find_node(cluster, member_id);
    if (to == NULL) {
        return; /* its disk is gone */
    }
    if (cluster->is_cut[node->number][to->number] ||
        cluster_random(cluster, 1000) < cluster->loss_permille) {
        return;
    }
    push_packet(cluster, node, to, frame, is_bulk);
    if (cluster_random(cluster, 1000) < cluster->repeat_permille) {
        push_packet(cluster, node, to, frame, is_bulk);
    }
}

static void transport_send(struct replica_transport *transport, uint64_t member_id,
                           const char *address, struct vy_bytes frame)
{
    struct cluster_node *node = VY_CONTAINER_OF(transport, struct cluster_node, transport);
    const struct cluster_node *to = cluster_find_node(node->cluster, member_id);
    if (to == NULL) {
        return; /* its disk is gone */
    }
    assert_string_equal(address, to->address);
    send_packet(node, member_id, frame, false);
}

static void transport_send_bulk(struct replica_transport *transport, uint64_t member_id,
                                struct vy_bytes frame)
{
    send_packet(VY_CONTAINER_OF(transport, struct cluster_node, transport), member_id, frame, true);
}

static void deliver(struct cluster *cluster, size_t at)
{
    const struct cluster_packet packet = cluster->packets[at];
    cluster->packets[at] = cluster->packets[--cluster->packet_count];
    struct cluster_node *node = cluster_find_node(cluster, packet.to_id);
    if (node != NULL && node->replica != NULL && !cluster->is_cut[packet.from][node->number]) {
        const struct vy_bytes frame = vy_bytes(packet.bytes, packet.len);
        if (packet.is_bulk) {
            replica_receive_bulk(node->replica, packet.from_id, frame);
        } else {
            replica_receive(node->replica, packet.from_id, frame);
        }
    }
    free(packet.bytes);
}

void cluster_isolate(struct cluster *cluster, unsigned number, bool is_cut)
{
    for (unsigned i = 0; i < cluster->count; i++) {
        cluster->is_cut[i][number] = is_cut && i != number;
        cluster->is_cut[number][i] = is_cut && i != number;
    }
}

void cluster_heal(struct cluster *cluster)
{
    memset(cluster->is_cut, 0, sizeof(cluster->is_cut));
    cluster->loss_permille = 0;
    cluster->repeat_permille = 0;
}

/* ---- nodes ---- */

static void on_wake(void *arg)
{
    struct cluster_node *node = arg;
    if (node->pump_due_ms == UINT64_MAX) {
        node->pump_due_ms = now_ms(node->cluster) +
                            vy_rng_below(&node->cluster->rng.base, node->cluster->disk_ms_max + 1);
    }
}

static void on_fail_stop(void *arg, struct vy_err err)
{
    struct cluster_node *node = arg;
    assert_true(vy_failed(err));
    node->failures++;
}

static void on_stopped(void *arg)
{
    struct cluster_node *node = arg;
    node->is_stopped = true;
}

static void write_ticket(struct cluster *cluster, struct cluster_node *node, bool is_join)
{
    struct ticket ticket = {
        .group_id = 5, .member_id = node->id, .cluster_id = {1, 2, 3}
    };
    if (is_join) {
        struct replica *leader = cluster_leader(cluster)->replica;
        ticket.is_join = true;
        ticket.peer_count = replica_get_members(leader, ticket.peers, REPLICA_MEMBERS_MAX);
        ticket.peers[ticket.peer_count++] =
            (struct replica_member){.id = node->id, .address = node->address};
    }
    for (unsigned i = 0; i < cluster->count && !is_join; i++) {
        ticket.peers[ticket.peer_count++] = (struct replica_member){
            .id = cluster->nodes[i].id, .address = cluster->nodes[i].address};
    }
    snprintf(node->ticket, sizeof(node->ticket), "%s/ticket-%u", cluster->dir, node->number);
    assert_false(vy_failed(ticket_write(node->ticket, &ticket)));
}

static void on_members(void *arg, const struct replica_member *members, size_t count)
{
    struct cluster_node *node = arg;
    node->is_member = false;
    for (size_t i = 0; i < count; i++) {
        node->is_member = node->is_member || members[i].id == node->id;
    }
}

/* As meta's map does for shards: who is there, not who votes. */
static void introduce_all(struct cluster *cluster)
{
    struct replica_member members[CLUSTER_NODES_MAX];
    size_t count = 0;
    for (unsigned i = 0; i < cluster->count; i++) {
        if (cluster->nodes[i].id != 0) {
            members[count++] = (struct replica_member){.id = cluster->nodes[i].id,
                                                       .address = cluster->nodes[i].address};
        }
    }
    for (unsigned i = 0; i < cluster->count; i++) {
        if (cluster->nodes[i].replica != NULL) {
            assert_false(vy_failed(replica_introduce(cluster->nodes[i].replica, members, count)));
        }
    }
}

void cluster_start_node(struct cluster *cluster, unsigned number)
{
    struct cluster_node *node = &cluster->nodes[number];
    const struct replica_config config = {.dir = node->dir,
                                          .name = node->address,
                                          .open_store = store_mem_open_as,
                                          .open_store_arg = node->disk,
                                          .ticket_path = node->ticket,
                                          .clock = &node->clock,
                                          .rng = &cluster->rng.base,
                                          .loop = &cluster->loop.base,
                                          .fsm = &node->fsm.base,
                                          .transport = &node->transport,
                                          .on_members = on_members,
                                          .on_members_arg = node,
                                          .writer_mode = REPLICA_WRITER_MANUAL,
                                          .writer_wake = on_wake,
                                          .writer_wake_arg = node,
                                          .election_timeout_ms = 200,
                                          .tail_bytes_max = 64 * 1024,
                                          .log_keep_entries = cluster->log_keep_entries,
                                          .scrub_period_ms = cluster->scrub_period_ms,
                                          .log_max_entries = cluster->log_max_entries,
                                          .snapshot_bytes_per_s = cluster->snapshot_bytes_per_s,
                                          .log = &cluster->log,
                                          .on_fail_stop = on_fail_stop,
                                          .on_fail_stop_arg = node};
    kv_init(&node->fsm);
    node->pump_due_ms = UINT64_MAX;
    node->installs_seen = 0;
    node->log_first_index = UINT64_MAX; /* a cut may have been lost with the power */
    node->is_stopped = false;
    node->opened++;
    assert_null(node->replica);
    assert_false(vy_failed(replica_open(&config, &node->replica)));
    assert_false(vy_failed(replica_start(node->replica)));
    introduce_all(cluster);
}

static void note_persisted(struct cluster_node *node)
{
    struct replica_status status;
    replica_get_status(node->replica, &status);
    node->persisted_index = status.persisted_index;
    node->cluster->last_index = VY_MAX(node->cluster->last_index, status.last_index);
}

void cluster_stop_node(struct cluster *cluster, unsigned number)
{
    struct cluster_node *node = &cluster->nodes[number];
    note_persisted(node); /* it may have acknowledged since the last check */
    replica_stop(node->replica, on_stopped, node);
    fake_loop_run_posts(&cluster->loop);
    while (!node->is_stopped) {
        replica_pump(node->replica);
        fake_loop_run_posts(&cluster->loop);
    }
    replica_free(node->replica);
    node->replica = NULL;
    node->pump_due_ms = UINT64_MAX;
    node->installs += node->fsm.installs;
    node->fsm.installs = 0;
}

uint64_t cluster_member_id(unsigned number)
{
    return FIRST_ID + number;
}

void cluster_crash_node(struct cluster *cluster, unsigned number)
{
    struct cluster_node *node = &cluster->nodes[number];
    store_mem_fail_write(node->disk, 1); /* nothing more gets to the disk */
    const unsigned failures = node->failures;
    cluster_stop_node(cluster, number);
    node->failures = failures;
    store_mem_fail_write(node->disk, 0);
    const size_t unsynced = store_mem_unsynced(node->disk);
    store_mem_crash(node->disk, cluster_random(cluster, (unsigned)unsynced + 1));
}

bool cluster_damage_snapshot(struct cluster *cluster, unsigned number)
{
    char path[160];
    struct stat info;
    uint8_t byte = 0;
    struct replica_status status = {.snapshot = {.is_fetching = false}};
    if (cluster->nodes[number].replica != NULL) {
        replica_get_status(cluster->nodes[number].replica, &status);
    }
    if (!status.snapshot.is_fetching) {
        return false; /* what is verified has no checksum any more in this store */
    }
    snprintf(path, sizeof(path), "%s.incoming/db/%03u.rows", cluster->nodes[number].dir,
             cluster_random(cluster, 5));
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    assert_int_equal(fstat(fd, &info), 0);
    const off_t at =
        info.st_size == 0 ? 0 : (off_t)vy_rng_below(&cluster->rng.base, (uint64_t)info.st_size);
    const bool is_damaged = pread(fd, &byte, 1, at) == 1;
    byte ^= 16;
    assert_true(!is_damaged || pwrite(fd, &byte, 1, at) == 1);
    assert_int_equal(close(fd), 0);
    return is_damaged;
}

/* ---- checks ---- */

static void check_leader(struct cluster *cluster, const struct cluster_node *node)
{
    const uint64_t term = node->fsm.term;
    if (!node->fsm.is_leader) {
        return;
    }
    if (term >= cluster->leader_terms) {
        const size_t count = (size_t)term * 2;
        cluster->leaders = realloc(cluster->leaders, count * sizeof(uint64_t));
        assert_non_null(cluster->leaders);
        memset(cluster->leaders + cluster->leader_terms, 0,
               (count - cluster->leader_terms) * sizeof(uint64_t));
        cluster->leader_terms = count;
    }
    if (cluster->leaders[term] != 0 && cluster->leaders[term] != node->number + 1U) {
        fail_msg("two leaders in term %llu", (unsigned long long)term);
    }
    cluster->leaders[term] = node->number + 1U;
}

/* P10 */
static void check_digest(struct cluster *cluster, const struct cluster_node *node)
{
    struct replica_status status;
    replica_get_status(node->replica, &status);
    assert_true(status.applied_index <= status.last_index);
    assert_true(cluster->may_differ || status.scrub_problems == 0); /* P4 */
    if (status.applied_index >= cluster->digest_count) {
        const size_t count = (size_t)(status.applied_index + 1) * 2;
        cluster->digests = realloc(cluster->digests, count * sizeof(uint64_t));
        assert_non_null(cluster->digests);
        memset(cluster->digests + cluster->digest_count, 0,
               (count - cluster->digest_count) * sizeof(uint64_t));
        cluster->digest_count = count;
    }
    uint64_t *digest = &cluster->digests[status.applied_index];
    if (status.applied_index > 0 && *digest != 0 && *digest != status.digest) {
        fail_msg("node %u differs at index %llu", node->number,
                 (unsigned long long)status.applied_index);
    }
    *digest = status.digest;
}

static bool is_voter_for(const struct cluster_node *node, uint64_t id)
{
    struct replica_member members[REPLICA_MEMBERS_MAX];
    const size_t count = replica_get_members(node->replica, members, REPLICA_MEMBERS_MAX);
    bool is_voter = false;
    for (size_t i = 0; i < count; i++) {
        is_voter = is_voter || (members[i].id == id && !members[i].is_learner);
    }
    return is_voter;
}

/* As all logs say: a leader may know of its removal before the others do, and one that is only just
 * being added may come after a cut. */
static bool is_voter_for_all(const struct cluster *cluster, uint64_t id)
{
    bool is_voter = true;
    for (unsigned i = 0; i < cluster->count; i++) {
        const struct cluster_node *node = &cluster->nodes[i];
        is_voter = is_voter && (node->replica == NULL || is_voter_for(node, id));
    }
    return is_voter;
}

/* What a member has cut, every member has on its disk, also those that are down; or the log had
 * become as long as it may. */
static void check_cut(struct cluster *cluster, struct cluster_node *node)
{
    struct replica_status status;
    replica_get_status(node->replica, &status);
    if (node->log_first_index == UINT64_MAX) {
        node->log_first_index = status.log_first_index; /* as its disk says */
    }
    if (status.log_first_index < node->log_first_index) {
        fail_msg("the log of node %u begins earlier than it did", node->number);
    }
    node->cuts += status.log_first_index > node->log_first_index && node->log_first_index > 1;
    const bool is_installed = node->fsm.installs > node->installs_seen;
    const bool is_cut = status.log_first_index > node->log_first_index && !is_installed;
    node->installs_seen = node->fsm.installs;
    node->log_first_index = status.log_first_index;
    const uint64_t longest =
        cluster->log_max_entries == 0 ? UINT64_MAX : cluster->log_max_entries / 2;
    for (unsigned i = 0; i < cluster->count && is_cut; i++) {
        if (is_voter_for_all(cluster, cluster->nodes[i].id) &&
            status.log_first_index > 1 + cluster->nodes[i].persisted_index &&
            status.log_first_index + longest > cluster->last_index) {
            fail_msg("node %u cut up to %llu of %llu, node %u has only %llu", node->number,
                     (unsigned long long)status.log_first_index,
                     (unsigned long long)cluster->last_index, i,
                     (unsigned long long)cluster->nodes[i].persisted_index);
        }
    }
}

static void check(struct cluster *cluster)
{
    for (unsigned i = 0; i < cluster->count; i++) {
        if (cluster->nodes[i].replica != NULL) {
            note_persisted(&cluster->nodes[i]);
        }
    }
    for (unsigned i = 0; i < cluster->count; i++) {
        if (cluster->nodes[i].replica != NULL) {
            check_leader(cluster, &cluster->nodes[i]);
            check_digest(cluster, &cluster->nodes[i]);
            check_cut(cluster, &cluster->nodes[i]);
        }
    }
}

/* ---- time ---- */

static size_t next_packet(const struct cluster *cluster)
{
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < cluster->packet_count; i++) {
        const struct cluster_packet *packet = &cluster->packets[i];
        if (best == SIZE_MAX || packet->due_ms < cluster->packets[best].due_ms ||
            (packet->due_ms == cluster->packets[best].due_ms &&
             packet->serial < cluster->packets[best].serial)) {
            best = i;
        }
    }
    return best;
}

static struct cluster_node *next_pump(struct cluster *cluster)
{
    struct cluster_node *best = NULL;
    for (unsigned i = 0; i < cluster->count; i++) {
        struct cluster_node *node = &cluster->nodes[i];
        if (node->replica != NULL && node->pump_due_ms != UINT64_MAX &&
            (best == NULL || node->pump_due_ms < best->pump_due_ms)) {
            best = node;
        }
    }
    return best;
}

static void pump(struct cluster_node *node)
{
    node->pump_due_ms = UINT64_MAX;
    if (replica_pump(node->replica)) {
        on_wake(node); /* there may be more */
    }
}

static void advance_to(struct cluster *cluster, uint64_t ms)
{
    if (ms > now_ms(cluster)) {
        fake_clock_advance_ms(&cluster->clock, ms - now_ms(cluster));
    }
}

bool cluster_step(struct cluster *cluster, uint64_t end_ms)
{
    fake_loop_run_posts(&cluster->loop);
    check(cluster);
    const size_t packet = next_packet(cluster);
    struct cluster_node *node = next_pump(cluster);
    const uint64_t packet_ms = packet == SIZE_MAX ? UINT64_MAX : cluster->packets[packet].due_ms;
    const uint64_t pump_ms = node == NULL ? UINT64_MAX : node->pump_due_ms;
    const uint64_t timer_ms = fake_loop_next_due_ms(&cluster->loop);
    const uint64_t due_ms = VY_MIN(packet_ms, VY_MIN(pump_ms, timer_ms));
    if (due_ms > end_ms) {
        advance_to(cluster, end_ms);
        return false;
    }
    advance_to(cluster, due_ms);
    if (packet_ms == due_ms) {
        deliver(cluster, packet);
    } else if (pump_ms == due_ms) {
        pump(node);
    } else {
        fake_loop_run_timer(&cluster->loop);
    }
    fake_loop_run_posts(&cluster->loop);
    return true;
}

void cluster_run_ms(struct cluster *cluster, uint64_t ms)
{
    const uint64_t end_ms = now_ms(cluster) + ms;
    while (cluster_step(cluster, end_ms)) {
    }
    check(cluster);
}

struct cluster_node *cluster_leader(struct cluster *cluster)
{
    struct cluster_node *best = NULL;
    for (unsigned i = 0; i < cluster->count; i++) {
        struct cluster_node *node = &cluster->nodes[i];
        if (node->replica != NULL && replica_is_leader(node->replica) &&
            (best == NULL || node->fsm.term > best->fsm.term)) {
            best = node;
        }
    }
    return best;
}

struct cluster_node *cluster_follower(struct cluster *cluster)
{
    for (unsigned i = 0; i < cluster->count; i++) {
        struct cluster_node *node = &cluster->nodes[i];
        if (node->replica != NULL && !replica_is_leader(node->replica)) {
            return node;
        }
    }
    return NULL;
}

struct cluster_node *cluster_wait_leader(struct cluster *cluster, uint64_t ms)
{
    const uint64_t end_ms = now_ms(cluster) + ms;
    while (cluster_leader(cluster) == NULL && cluster_step(cluster, end_ms)) {
    }
    return cluster_leader(cluster);
}

void cluster_wait_call(struct cluster *cluster, const struct call *call, uint64_t ms)
{
    const uint64_t end_ms = now_ms(cluster) + ms;
    while (call->answers == 0 && cluster_step(cluster, end_ms)) {
    }
}

/* ---- life ---- */

static void print_line(void *arg, enum vy_log_level level, const char *line, size_t len)
{
    (void)arg;
    (void)level;
    fprintf(stderr, "%.*s\n", (int)len, line);
}

static void init_log(struct cluster *cluster)
{
    static const struct vy_log_sink sink = {.write = print_line};
    cluster->log = (struct vy_log){.sink = getenv("CLUSTER_LOG") == NULL ? NULL : &sink,
                                   .clock = &cluster->clock.base,
                                   .level = VY_LOG_INFO};
}

static void init_node(struct cluster *cluster, unsigned number)
{
    struct cluster_node *node = &cluster->nodes[number];
    *node = (struct cluster_node){.cluster = cluster, .number = number, .id = cluster->next_id++};
    node->clock = (struct vy_clock){.mono_ns = node_mono_ns, .wall_ms = node_wall_ms};
    node->transport.send = transport_send;
    node->transport.send_bulk = transport_send_bulk;
    snprintf(node->dir, sizeof(node->dir), "%s/db-%u", cluster->dir, (unsigned)node->id);
    assert_int_equal(mkdir(node->dir, 0700), 0);
    node->pump_due_ms = UINT64_MAX;
    snprintf(node->address, sizeof(node->address), "node-%u", (unsigned)node->id);
    assert_false(vy_failed(store_mem_disk_new(&node->disk)));
}

struct cluster_node *cluster_new_node(struct cluster *cluster)
{
    unsigned number = 0;
    while (number < cluster->count && cluster->nodes[number].id != 0) {
        number++;
    }
    assert_true(number < CLUSTER_NODES_MAX);
    cluster->count = VY_MAX(cluster->count, number + 1);
    init_node(cluster, number);
    write_ticket(cluster, &cluster->nodes[number], true);
    return &cluster->nodes[number];
}

static void remove_dirs(const struct cluster_node *node)
{
    static const char *const suffixes[] = {"", ".incoming", ".outgoing", ".replaced", ".refused"};
    for (size_t i = 0; i < VY_COUNT_OF(suffixes); i++) {
        char path[128];
        snprintf(path, sizeof(path), "%s%s", node->dir, suffixes[i]);
        assert_false(vy_failed(dir_remove(path)));
    }
}

void cluster_lose_node(struct cluster *cluster, unsigned number)
{
    struct cluster_node *node = &cluster->nodes[number];
    if (node->replica != NULL) {
        cluster_crash_node(cluster, number);
    }
    (void)unlink(node->ticket); /* of one that was never started */
    store_mem_disk_free(node->disk);
    remove_dirs(node);
    *node = (struct cluster_node){.number = number, .pump_due_ms = UINT64_MAX};
}

struct cluster *cluster_new(unsigned count, uint64_t seed)
{
    return cluster_new_with(&(struct cluster_options){.count = count, .seed = seed});
}

struct cluster *cluster_new_with(const struct cluster_options *options)
{
    const unsigned count = options->count;
    const uint64_t seed = options->seed;
    struct cluster *cluster = calloc(1, sizeof(*cluster));
    assert_non_null(cluster);
    fake_clock_init(&cluster->clock);
    fake_loop_init(&cluster->loop, &cluster->clock);
    fake_rng_init(&cluster->rng, seed);
    cluster->count = count;
    cluster->delay_ms_max = 5;
    cluster->log_keep_entries = 1 + seed % 40;
    init_log(cluster);
    cluster->log_max_entries = options->log_max_entries;
    cluster->snapshot_bytes_per_s =
        options->log_max_entries == 0 ? 0 : 300000 + 50000 * (seed % 20);
    cluster->disk_ms_max = 5;
    cluster->scrub_period_ms = options->scrub_period_ms;
    /* Directories are synced at every step of a snapshot: in memory that costs nothing. */
    snprintf(cluster->dir, sizeof(cluster->dir), "%s/volary-replica-XXXXXX",
             access("/dev/shm", W_OK | X_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(cluster->dir));
    cluster->next_id = FIRST_ID;
    for (unsigned i = 0; i < count; i++) {
        init_node(cluster, i);
    }
    for (unsigned i = 0; i < count; i++) {
        write_ticket(cluster, &cluster->nodes[i], false);
        cluster_start_node(cluster, i);
    }
    return cluster;
}

void cluster_free(struct cluster *cluster)
{
    for (unsigned i = 0; i < cluster->count; i++) {
        if (cluster->nodes[i].replica != NULL) {
            cluster_stop_node(cluster, i);
        }
        if (cluster->nodes[i].id != 0) {
            store_mem_disk_free(cluster->nodes[i].disk);
            remove_dirs(&cluster->nodes[i]);
        }
    }
    for (size_t i = 0; i < cluster->packet_count; i++) {
        free(cluster->packets[i].bytes);
    }
    free(cluster->packets);
    free(cluster->leaders);
    free(cluster->digests);
    fake_loop_deinit(&cluster->loop);
    assert_int_equal(rmdir(cluster->dir), 0); /* every ticket was used up */
    free(cluster);
}

void cluster_propose_ok(struct cluster *cluster, const char *command)
{
    struct call call;
    struct cluster_node *leader = cluster_wait_leader(cluster, 5000);
    assert_non_null(leader);
    assert_false(vy_failed(kv_propose(leader->replica, &call, "%s", command)));
    cluster_wait_call(cluster, &call, 5000);
    assert_int_equal(call.answers, 1);
    assert_int_equal(call.code, VY_CODE_OK);
}
