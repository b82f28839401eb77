/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole groups under random faults, by seed: crashes that lose what was not
 * synced, partitions, lost, repeated and reordered frames, slow disks, handing
 * over, clocks that jump. Checked: one leader in a term, equal digests at equal
 * indexes (both in the fixture), nothing acknowledged is lost, a retried key
 * counts once, reads are never old, payloads are there exactly for the commands
 * that were applied, no log is cut beyond what every member has on disk, and
 * once the faults stop, everybody gets on (P1, P6, P10, P12, P15).
 *
 * replica_sim_test [first seed [seeds]] runs others than the usual ones; CLUSTER_LOG=1 prints what
 * the members log.
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
/* The change of members in hand. */
struct sim_change {
    struct call call;
    bool has_open;
    enum replica_change_kind kind;
    uint64_t id;
};
struct sim {
    struct cluster *cluster;
    bool has_changes;
    struct sim_change change;
    uint64_t dead_id; /* its disk is lost for good, and it is a member still; 0:
                         none */
    struct client clients[CLIENTS];
    bool is_quiet;
    uint64_t reads;
    uint64_t last_entry_ms;
};

static uint64_t first_seed = 1;
static uint64_t seed_count = 200;
#define MARKS_ON_THEIR_WAY 2U
#define SEEDS_TO_JUDGE 20U /* how much happened; one that is replayed alone may be a quiet one */
static uint64_t cuts;      /* of logs, in all seeds */
static uint64_t scrubs;    /* rounds of comparing that ended */
static uint64_t installs;  /* of snapshots */
static uint64_t damages;   /* to snapshots on their way */

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

/* ---- members come and go ---- */

static uint64_t changes_done; /* in all seeds */
static uint64_t voters_lost;  /* whose disk was lost, and that were replaced */

static bool has_learner(const struct replica_member *members, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (members[i].is_learner) {
            return true;
        }
    }
    return false;
}

static void finish_change(struct sim *sim)
{
    struct sim_change *change = &sim->change;
    struct cluster_node *node = cluster_find_node(sim->cluster, change->id);
    change->has_open = false;
    assert_int_equal(change->call.answers, 1);
    if (change->call.code == VY_CODE_OK) {
        changes_done++;
        if (change->kind == REPLICA_REMOVE && node != NULL) {
            cluster_lose_node(sim->cluster, node->number);
        }
        if (change->kind == REPLICA_REMOVE && change->id == sim->dead_id) {
            sim->dead_id = 0;
            voters_lost++;
        }
    }
}

static void add_member(struct sim *sim, struct replica *leader)
{
    struct cluster *cluster = sim->cluster;
    unsigned places = 0;
    for (unsigned i = 0; i < CLUSTER_NODES_MAX; i++) {
        places += cluster->nodes[i].id == 0;
    }
    if (places == 0) {
        return;
    }
    struct cluster_node *node = cluster_new_node(cluster);
    const struct replica_change wanted = {
        .kind = REPLICA_ADD, .member_id = node->id, .address = node->address};
    sim->change =
        (struct sim_change){.call = {.code = VY_CODE_COUNT}, .kind = REPLICA_ADD, .id = node->id};
    sim->change.has_open =
        !vy_failed(replica_change(leader, &wanted, call_on_read, &sim->change.call));
    if (sim->change.has_open) {
        cluster_start_node(cluster, node->number);
    } else {
        cluster_lose_node(cluster, node->number);
    }
}

static void remove_member(struct sim *sim, struct replica *leader, uint64_t id)
{
    const struct replica_change wanted = {.kind = REPLICA_REMOVE, .member_id = id};
    sim->change =
        (struct sim_change){.call = {.code = VY_CODE_COUNT}, .kind = REPLICA_REMOVE, .id = id};
    sim->change.has_open =
        !vy_failed(replica_change(leader, &wanted, call_on_read, &sim->change.call));
}

/* Nobody catches up, and all members know it: no promotion is under way. */
static bool are_agreed(struct cluster *cluster, const struct replica_member *members, size_t count)
{
    struct replica_member theirs[REPLICA_MEMBERS_MAX];
    for (size_t i = 0; i < count; i++) {
        const struct cluster_node *node = cluster_find_node(cluster, members[i].id);
        if (node == NULL || node->replica == NULL || has_learner(members, count) ||
            replica_get_members(node->replica, theirs, REPLICA_MEMBERS_MAX) != count ||
            has_learner(theirs, count)) {
            return false;
        }
    }
    return true;
}

/* One at a time, of a group that does without it, and never brought back. */
static void lose_voter(struct sim *sim, const struct replica_member *members, size_t count)
{
    struct cluster *cluster = sim->cluster;
    const uint64_t id = members[cluster_random(cluster, (unsigned)count)].id;
    struct cluster_node *node = cluster_find_node(cluster, id);
    if (sim->dead_id == 0 && count >= 3 && node != NULL && are_agreed(cluster, members, count)) {
        sim->dead_id = id;
        cluster_lose_node(cluster, node->number);
    }
}

static void change_members(struct sim *sim)
{
    struct cluster *cluster = sim->cluster;
    struct cluster_node *leader = cluster_leader(cluster);
    struct replica_member members[REPLICA_MEMBERS_MAX];
    if (sim->change.has_open && sim->change.call.answers > 0) {
        finish_change(sim);
    }
    if (leader == NULL || sim->change.has_open) {
        return;
    }
    const size_t count = replica_get_members(leader->replica, members, REPLICA_MEMBERS_MAX);
    const unsigned dice = cluster_random(cluster, 10);
    if (dice == 0) {
        lose_voter(sim, members, count);
    } else if (dice < 6 && count < 6) {
        add_member(sim, leader->replica);
    } else if (sim->dead_id != 0) {
        remove_member(sim, leader->replica, sim->dead_id);
    } else {
        remove_member(sim, leader->replica, members[cluster_random(cluster, (unsigned)count)].id);
    }
}

/* Is it one of the group, as the leader has it? */
static bool is_in_group(struct cluster *cluster, uint64_t id)
{
    struct replica_member members[REPLICA_MEMBERS_MAX];
    struct cluster_node *leader = cluster_leader(cluster);
    const size_t count =
        leader == NULL ? 0 : replica_get_members(leader->replica, members, REPLICA_MEMBERS_MAX);
    for (size_t i = 0; i < count; i++) {
        if (members[i].id == id) {
            return true;
        }
    }
    return false;
}

/* ---- faults ---- */

/* What a link says when both connections are gone: true after a crash, at other times a lie. */
static void tell_lost(struct cluster_node *node, uint64_t member_id)
{
    if (node->replica != NULL && node->transport.lost != NULL) {
        node->transport.lost(node->transport.lost_arg, member_id);
    }
}

static void hurt(struct sim *sim)
{
    struct cluster *cluster = sim->cluster;
    const unsigned number = cluster_random(cluster, cluster->count);
    struct cluster_node *node = &cluster->nodes[number];
    switch (cluster_random(cluster, 15)) {
    case 0:
        if (node->replica != NULL) {
            cluster_crash_node(cluster, number);
            for (unsigned i = 0; i < cluster->count; i++) {
                tell_lost(&cluster->nodes[i], cluster_member_id(number));
            }
        }
        break;
    case 1:
    case 2:
        if (node->replica == NULL && node->id != 0) {
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
        /* One clock, and ahead: a majority of them, or one behind that comes back,
         * may rightly end the life of a retry's key. */
        if (!sim->has_changes) { /* a group that shrinks to one: that one is the majority */
            cluster->nodes[0].wall_offset_ms = (int64_t)cluster_random(cluster, 86400000);
        }
        break;
    case 10:
        if (node->replica != NULL &&
            !sim->has_changes) { /* an erasure: no tail of the log is to stay */
            struct replica_status status;
            replica_get_status(node->replica, &status);
            replica_cut_behind(node->replica, status.applied_index);
        }
        break;
    case 11:
        tell_lost(node, cluster_member_id(cluster_random(cluster, cluster->count)));
        break;
    case 12:
        for (unsigned i = 0; i < cluster->count; i++) {
            damages += cluster_damage_snapshot(cluster, i) ? 1 : 0;
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
        if (cluster->nodes[i].replica == NULL && cluster->nodes[i].id != 0) {
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

/* Everybody who is there votes: a new member was filled and promoted. */
static void check_members(struct sim *sim, uint64_t seed)
{
    struct replica_member members[REPLICA_MEMBERS_MAX];
    struct replica *leader = cluster_leader(sim->cluster)->replica;
    const size_t count = replica_get_members(leader, members, REPLICA_MEMBERS_MAX);
    if (has_learner(members, count)) {
        fail_msg("seed %llu: a new member was not promoted", (unsigned long long)seed);
    }
    for (size_t i = 0; i < count; i++) {
        assert_true(members[i].id == sim->dead_id ||
                    cluster_find_node(sim->cluster, members[i].id) != NULL);
    }
}

static void check_end(struct sim *sim, uint64_t seed)
{
    struct cluster *cluster = sim->cluster;
    struct replica_status first;
    struct replica_status status;
    if (cluster_leader(cluster) == NULL) {
        fail_msg("seed %llu: no leader after the faults stopped", (unsigned long long)seed);
    }
    replica_get_status(cluster_leader(cluster)->replica, &first);
    check_members(sim, seed);
    for (unsigned i = 0; i < cluster->count; i++) {
        struct cluster_node *node = &cluster->nodes[i];
        if (!is_in_group(cluster, node->id)) {
            continue;
        }
        replica_get_status(node->replica, &status);
        assert_int_equal(node->failures, 0);
        /* Marks of the scrub go on; digests at equal indexes are compared all the time. */
        if (status.applied_index + MARKS_ON_THEIR_WAY < first.applied_index) {
            fail_msg("seed %llu: member %llu stays behind", (unsigned long long)seed,
                     (unsigned long long)node->id);
        }
        for (unsigned k = 0; k < CLIENTS; k++) {
            assert_false(sim->clients[k].has_tried);
            assert_int_equal(counter_of(node->replica, k), sim->clients[k].done);
        }
        assert_int_equal(count_rows(node->replica, KV_FAMILY_BODIES, VY_LIT("b")),
                         count_rows(node->replica, KV_FAMILY_ROWS, VY_LIT("b")));
    }
}

static void run_seed(uint64_t seed, bool has_changes, uint64_t *done, uint64_t *reads)
{
    const unsigned count = has_changes ? 1 + (unsigned)(seed % 4) : seed % 3 == 0 ? 5 : 3;
    struct sim sim = {
        .cluster = cluster_new_with(&(struct cluster_options){.count = count,
                                                              .seed = seed,
                                                              .scrub_period_ms = 100 + seed % 2000,
                                                              .log_max_entries = 20 + seed % 50}),
        .has_changes = has_changes};
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
        if (has_changes && cluster_random(cluster, 60) == 0) {
            change_members(&sim);
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
        if (cluster->nodes[i].replica != NULL) {
            struct replica_status status;
            replica_get_status(cluster->nodes[i].replica, &status);
            scrubs += status.scrub_rounds;
        }
        installs += cluster->nodes[i].installs + cluster->nodes[i].fsm.installs;
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
        run_seed(seed, false, &done, &reads);
    }
    print_message("%llu writes acknowledged, %llu reads, %llu cuts of logs, %llu snapshots, "
                  "%llu damaged on their way\n",
                  (unsigned long long)done, (unsigned long long)reads, (unsigned long long)cuts,
                  (unsigned long long)installs, (unsigned long long)damages);
    if (seed_count >= SEEDS_TO_JUDGE) {
        assert_true(done > seed_count * 20); /* the faults left room for work */
        assert_true(reads > seed_count * 10);
        assert_true(cuts > seed_count * 10);
        assert_true(scrubs > seed_count);
    }
}

/* The same while members come, go, die for good and are replaced, the leader
 * among them. */
static void groups_that_change_keep_them_too(void **state)
{
    (void)state;
    uint64_t done = 0;
    uint64_t reads = 0;
    for (uint64_t seed = first_seed; seed < first_seed + seed_count; seed++) {
        fprintf(stderr, seed_count == 1 || getenv("SIM_VERBOSE") ? "seed %llu\n" : "",
                (unsigned long long)seed);
        run_seed(seed, true, &done, &reads);
    }
    print_message("%llu writes acknowledged, %llu reads, %llu changes of "
                  "members, %llu lost voters "
                  "replaced\n",
                  (unsigned long long)done, (unsigned long long)reads,
                  (unsigned long long)changes_done, (unsigned long long)voters_lost);
    if (seed_count >= SEEDS_TO_JUDGE) {
        assert_true(done > seed_count * 20);
        assert_true(changes_done > seed_count * 2);
        assert_true(voters_lost > 0);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_keep_their_promises_under_random_faults),
        cmocka_unit_test(groups_that_change_keep_them_too),
    };
    assert_true(argc < 2 || vy_parse_u64(vy_cstr(argv[1]), &first_seed));
    seed_count = argc > 1 ? 1 : seed_count;
    assert_true(argc < 3 || vy_parse_u64(vy_cstr(argv[2]), &seed_count));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
