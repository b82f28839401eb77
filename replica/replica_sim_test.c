/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole groups under random faults, by seed: crashes that lose what was not synced, partitions,
 * lost, repeated and reordered frames, slow disks, handing over, clocks that jump. Checked: one
 * leader in a term, equal digests at equal indexes (both in the fixture), nothing acknowledged is
 * lost, a retried key counts once, reads are never old, payloads are there exactly for the commands
 * that were applied, no log is cut beyond what every member has on disk, and once the faults stop,
 * everybody gets on (P1, P6, P10, P12, P15).
 *
 * replica_sim_test [first seed [seeds]] runs others than the usual ones.
 */
#include "base/assert.h"
#include "replica/cluster_fixture.h"
#include "tests/lib/test.h"
#include <stdio.h>
#include <stdlib.h>

#define CLIENTS 4U
#define FAULT_MS 4000U
#define BODY_BYTES REPLICA_PAYLOAD_BYTES_MIN

struct client {
    unsigned number;
    unsigned token; /* of the command in hand */
    bool has_open;  /* a command is on its way */
    bool is_body;   /* it carries a payload */
    bool has_tried; /* the token in hand was proposed at least once */
    unsigned done;  /* tokens acknowledged */
    struct call call;
    uint64_t sent_ms;
    bool is_reading;
    struct call read;
    unsigned read_floor; /* acknowledged when the read began */
    unsigned read_node;
};
struct sim {
    struct cluster *cluster;
    struct client clients[CLIENTS];
    bool is_quiet;
    uint64_t reads;
    uint64_t last_entry_ms;
};

static uint64_t first_seed = 1;
static uint64_t seed_count = 200;
static uint64_t cuts; /* of logs, in all seeds */

static unsigned counter_of(struct replica *replica, unsigned client)
{
    char key[16];
    char value[32];
    uint32_t number = 0;
    snprintf(key, sizeof(key), "n%u", client);
    kv_get(replica, key, value, sizeof(value));
    assert_true(value[0] == '\0' || vy_parse_u32(vy_cstr(value), &number));
    return number;
}

/* ---- clients ---- */

static void propose(struct sim *sim, struct client *client, struct replica *replica)
{
    char command[64];
    char key[32];
    static uint8_t body[BODY_BYTES];
    /* A body has a key of its own for every try: keys are never used twice. */
    snprintf(key, sizeof(key), "b%u-%llu", client->number,
             (unsigned long long)sim->cluster->serial++);
    memset(body, (int)client->token, sizeof(body));
    if (client->is_body) {
        snprintf(command, sizeof(command), "set %s body", key);
    } else {
        snprintf(command, sizeof(command), "add n%u c%u-%u", client->number, client->number,
                 client->token);
    }
    const struct replica_payload payload = {
        .family = KV_FAMILY_BODIES, .key = vy_cstr(key), .value = vy_bytes(body, sizeof(body))};
    const struct replica_proposal proposal = {.command = vy_cstr(command),
                                              .payloads = &payload,
                                              .payload_count = client->is_body ? 1 : 0};
    client->call = (struct call){.code = VY_CODE_COUNT};
    client->has_open =
        !vy_failed(replica_propose(replica, &proposal, call_on_proposed, &client->call));
    client->has_tried = client->has_tried || client->has_open;
}

static void take_answer(struct sim *sim, struct client *client)
{
    (void)sim;
    client->has_open = false;
    assert_int_equal(client->call.answers, 1);
    if (client->is_body) {
        client->is_body = false; /* stored or not, the next one is another */
        return;
    }
    if (client->call.code == VY_CODE_OK) {
        uint32_t number = 0;
        client->done++;
        assert_true(vy_parse_u32(vy_cstr(client->call.result), &number));
        assert_int_equal(number, client->done); /* its own tokens only, each once */
        client->token++;
        client->has_tried = false;
    }
}

static void finish_read(struct sim *sim, struct client *client)
{
    client->is_reading = false;
    assert_int_equal(client->read.answers, 1);
    const struct cluster_node *node = &sim->cluster->nodes[client->read_node];
    if (client->read.code != VY_CODE_OK || node->replica == NULL) {
        return;
    }
    sim->reads++;
    if (counter_of(node->replica, client->number) < client->read_floor) {
        fail_msg("client %u read less than was acknowledged", client->number);
    }
}

static void act(struct sim *sim, struct client *client)
{
    struct cluster *cluster = sim->cluster;
    struct cluster_node *node = &cluster->nodes[cluster_random(cluster, cluster->count)];
    if (client->has_open && client->call.answers > 0) {
        take_answer(sim, client);
    }
    if (client->is_reading && client->read.answers > 0) {
        finish_read(sim, client);
    }
    if (node->replica == NULL) {
        return;
    }
    if (!client->is_reading && cluster_random(cluster, 4) == 0) {
        client->read = (struct call){.code = VY_CODE_COUNT};
        client->read_floor = client->done;
        client->read_node = node->number;
        client->is_reading =
            !vy_failed(replica_read_index(node->replica, 0, call_on_read, &client->read));
    }
    if (!client->has_open) {
        client->is_body = !sim->is_quiet && !client->has_tried && cluster_random(cluster, 5) == 0;
        propose(sim, client, node->replica);
    }
}

/* ---- faults ---- */

static void hurt(struct sim *sim)
{
    struct cluster *cluster = sim->cluster;
    const unsigned number = cluster_random(cluster, cluster->count);
    struct cluster_node *node = &cluster->nodes[number];
    switch (cluster_random(cluster, 13)) {
    case 0:
        if (node->replica != NULL) {
            cluster_crash_node(cluster, number);
        }
        break;
    case 1:
    case 2:
        if (node->replica == NULL) {
            cluster_start_node(cluster, number);
        }
        break;
    case 3:
        cluster_isolate(cluster, number, true);
        break;
    case 4:
        cluster->is_cut[number][cluster_random(cluster, cluster->count)] = true; /* one way */
        break;
    case 5:
    case 6:
        memset(cluster->is_cut, 0, sizeof(cluster->is_cut));
        break;
    case 7:
        cluster->disk_ms_max = cluster_random(cluster, 4) == 0 ? 400 : 20;
        break;
    case 8:
        if (node->replica != NULL && cluster_leader(cluster) != NULL) {
            struct replica *leader = cluster_leader(cluster)->replica;
            static struct call ignored; /* any answer, or none after a crash */
            vy_ignore(replica_transfer(leader, call_on_read, &ignored), "busy already");
        }
        break;
    case 9:
        /* One clock, and ahead: a majority of them, or one behind that comes back, may rightly end
         * the life of a retry's key. */
        cluster->nodes[0].wall_offset_ms = (int64_t)cluster_random(cluster, 86400000);
        break;
    case 10:
        if (node->replica != NULL) { /* an erasure: no tail of the log is to stay */
            struct replica_status status;
            replica_get_status(node->replica, &status);
            replica_cut_behind(node->replica, status.applied_index);
        }
        break;
    default:
        cluster->loss_permille = cluster_random(cluster, 3) * 60;
        cluster->repeat_permille = cluster_random(cluster, 3) * 60;
        break;
    }
}

/* ---- the end ---- */

static void all_settled(struct sim *sim)
{
    struct cluster *cluster = sim->cluster;
    cluster_heal(cluster);
    cluster->disk_ms_max = 5;
    sim->is_quiet = true;
    for (unsigned i = 0; i < cluster->count; i++) {
        cluster->nodes[i].wall_offset_ms = 0;
        if (cluster->nodes[i].replica == NULL) {
            cluster_start_node(cluster, i);
        }
    }
    for (unsigned i = 0; i < 100; i++) {
        cluster_run_ms(cluster, 100);
        for (unsigned k = 0; k < CLIENTS; k++) {
            struct client *client = &sim->clients[k];
            if (client->has_open && client->call.answers > 0) {
                take_answer(sim, client);
            }
            if (client->is_reading && client->read.answers > 0) {
                finish_read(sim, client);
            }
            struct cluster_node *leader = cluster_leader(cluster);
            if (!client->has_open && client->has_tried && leader != NULL) {
                propose(sim, client, leader->replica); /* until its outcome is known */
            }
        }
    }
    cluster_run_ms(cluster, 1000);
}

static unsigned count_rows(struct replica *replica, unsigned family, struct vy_bytes prefix)
{
    struct store_iter *iter = NULL;
    uint8_t end[8];
    unsigned count = 0;
    const struct store_range range = {.from = prefix, .to = store_prefix_end(prefix, end)};
    assert_false(
        vy_failed(store_iter_new(store_newest(replica_store(replica)), family, &range, &iter)));
    for (; iter->is_valid; store_iter_next(iter)) {
        count++;
    }
    store_iter_free(iter);
    return count;
}

static void check_end(struct sim *sim, uint64_t seed)
{
    struct cluster *cluster = sim->cluster;
    struct replica_status first;
    struct replica_status status;
    replica_get_status(cluster->nodes[0].replica, &first);
    if (cluster_leader(cluster) == NULL) {
        fail_msg("seed %llu: no leader after the faults stopped", (unsigned long long)seed);
    }
    for (unsigned i = 0; i < cluster->count; i++) {
        struct cluster_node *node = &cluster->nodes[i];
        replica_get_status(node->replica, &status);
        assert_int_equal(node->failures, 0);
        assert_int_equal(status.applied_index, first.applied_index);
        assert_int_equal(status.digest, first.digest);
        for (unsigned k = 0; k < CLIENTS; k++) {
            assert_false(sim->clients[k].has_tried);
            assert_int_equal(counter_of(node->replica, k), sim->clients[k].done);
        }
        assert_int_equal(count_rows(node->replica, KV_FAMILY_BODIES, VY_LIT("b")),
                         count_rows(node->replica, KV_FAMILY_ROWS, VY_LIT("b")));
    }
}

static void run_seed(uint64_t seed, uint64_t *done, uint64_t *reads)
{
    struct sim sim = {.cluster = cluster_new(seed % 3 == 0 ? 5 : 3, seed)};
    struct cluster *cluster = sim.cluster;
    cluster->delay_ms_max = 1 + cluster_random(cluster, 20);
    for (unsigned i = 0; i < CLIENTS; i++) {
        sim.clients[i].number = i;
    }
    const uint64_t end_ms = cluster->clock.mono_ns / 1000000U + FAULT_MS;
    while (cluster_step(cluster, end_ms)) {
        act(&sim, &sim.clients[cluster_random(cluster, CLIENTS)]);
        if (cluster_random(cluster, 150) == 0) {
            hurt(&sim);
        }
    }
    all_settled(&sim);
    check_end(&sim, seed);
    for (unsigned i = 0; i < CLIENTS; i++) {
        *done += sim.clients[i].done;
    }
    *reads += sim.reads;
    for (unsigned i = 0; i < cluster->count; i++) {
        cuts += cluster->nodes[i].cuts;
    }
    cluster_free(cluster);
}

static void groups_keep_their_promises_under_random_faults(void **state)
{
    (void)state;
    uint64_t done = 0;
    uint64_t reads = 0;
    for (uint64_t seed = first_seed; seed < first_seed + seed_count; seed++) {
        fprintf(stderr, seed_count == 1 || getenv("SIM_VERBOSE") ? "seed %llu\n" : "",
                (unsigned long long)seed);
        run_seed(seed, &done, &reads);
    }
    print_message("%llu writes acknowledged, %llu reads, %llu cuts of logs\n",
                  (unsigned long long)done, (unsigned long long)reads, (unsigned long long)cuts);
    assert_true(done > seed_count * 20); /* the faults left room for work */
    assert_true(reads > seed_count * 10);
    assert_true(cuts > seed_count * 10);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_keep_their_promises_under_random_faults),
    };
    assert_true(argc < 2 || vy_parse_u64(vy_cstr(argv[1]), &first_seed));
    seed_count = argc > 1 ? 1 : seed_count;
    assert_true(argc < 3 || vy_parse_u64(vy_cstr(argv[2]), &seed_count));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
