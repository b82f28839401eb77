/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/nemesis.h"

#include "base/bytes.h"
#include "tests/sim/network.h"
#include <stdlib.h>

#define TURN_MS 200U /* between faults at most, in the wildest runs; up to 16 times as long */
#define DOWN_MS 1500U
#define PAUSE_MS 1500U
#define JUMP_MS (24ULL * 3600 * 1000)
#define SLOW_DISK_MS 250U
#define DISK_MS 2U
#define DELAY_MS 3U
#define SLOW_DELAY_MS 40U

struct fault {
    const char *name;
    unsigned weight;
    void (*strike)(struct nemesis *nemesis);
};
struct nemesis {
    struct sim_world *world;
    uint32_t kinds; /* bits: rows of faults[] that this run uses */
    uint64_t turn_ms;
    bool is_over;
};

static struct sim_process *any_process(struct nemesis *nemesis)
{
    return &nemesis->world->processes[sim_random(nemesis->world, SIM_PROCESSES_MAX)];
}

static struct sim_process *any_member(struct nemesis *nemesis)
{
    return &nemesis->world
                ->processes[sim_random(nemesis->world, SIM_PROCESSES_MAX - SIM_FRONTEND_COUNT)];
}

/* The leader of its group, as it sees itself; or the member that was given. */
static struct sim_process *leader_of(struct nemesis *nemesis, struct sim_process *process)
{
    for (unsigned i = 0; i < SIM_PROCESSES_MAX; i++) {
        struct sim_process *other = &nemesis->world->processes[i];
        if (sim_replica(other) != NULL && other->ops == process->ops &&
            other->group == process->group && replica_is_leader(sim_replica(other))) {
            return other;
        }
    }
    return process;
}

/* A member of some group, the leader more often than not. */
static struct sim_process *target(struct nemesis *nemesis)
{
    struct sim_process *process = any_member(nemesis);
    return sim_chance(nemesis->world, 500) ? process : leader_of(nemesis, process);
}

/* ---- processes ---- */

struct revival {
    struct nemesis *nemesis;
    struct sim_process *process;
};

static void on_revival(void *arg)
{
    const struct revival revival = *(struct revival *)arg;
    free(arg);
    if (!revival.nemesis->world->is_ending && !sim_is_up(revival.process)) {
        sim_start(revival.process);
    }
}

static void revive_later(struct nemesis *nemesis, struct sim_process *process)
{
    struct revival *revival = sim_alloc(sizeof(*revival));
    *revival = (struct revival){.nemesis = nemesis, .process = process};
    sim_at(nemesis->world, sim_random(nemesis->world, DOWN_MS), NULL, on_revival, revival);
}

static void crash(struct nemesis *nemesis, struct sim_process *process, enum sim_death death)
{
    if (sim_is_up(process)) {
        sim_crash(process, death);
        revive_later(nemesis, process);
    }
}

static void strike_kill(struct nemesis *nemesis)
{
    crash(nemesis, sim_chance(nemesis->world, 800) ? target(nemesis) : any_process(nemesis),
          SIM_KILL);
}

static void strike_power(struct nemesis *nemesis)
{
    crash(nemesis, target(nemesis), SIM_POWER_CUT);
}

/* A whole group, or everything, loses its power in one moment. */
static void strike_blackout(struct nemesis *nemesis)
{
    const struct sim_process *some = any_member(nemesis);
    const bool is_all = sim_chance(nemesis->world, 300);
    for (unsigned i = 0; i < SIM_PROCESSES_MAX; i++) {
        struct sim_process *process = &nemesis->world->processes[i];
        if (is_all || (process->ops == some->ops && process->group == some->group)) {
            crash(nemesis, process, SIM_POWER_CUT);
        }
    }
}

static void strike_pause(struct nemesis *nemesis)
{
    struct sim_process *process =
        sim_chance(nemesis->world, 800) ? target(nemesis) : any_process(nemesis);
    if (sim_is_up(process)) {
        sim_pause(process, 1 + sim_random(nemesis->world, PAUSE_MS));
    }
}

/* ---- disks and clocks ---- */

static void strike_disk_error(struct nemesis *nemesis)
{
    struct sim_process *process = target(nemesis);
    if (sim_is_up(process)) {
        sim_say(nemesis->world, "the disk of %s fails", process->name);
        store_mem_fail_write(process->disk, 1 + sim_random(nemesis->world, 3));
        revive_later(nemesis, process);
    }
}

static void strike_slow_disk(struct nemesis *nemesis)
{
    struct sim_process *process = target(nemesis);
    process->disk_ms_max = sim_chance(nemesis->world, 500) ? SLOW_DISK_MS : DISK_MS;
    sim_say(nemesis->world, "the disk of %s takes up to %llu ms", process->name,
            (unsigned long long)process->disk_ms_max);
}

/* Ahead only: clocks of a majority that go ahead and come back may rightly end the life of a
 * retry's key. */
static void strike_clock(struct nemesis *nemesis)
{
    struct sim_process *process = sim_meta(nemesis->world, 0);
    process->wall_offset_ms = (int64_t)sim_random(nemesis->world, JUMP_MS);
    process = sim_shard(nemesis->world, 1, 0);
    process->wall_offset_ms = (int64_t)sim_random(nemesis->world, JUMP_MS);
    sim_say(nemesis->world, "clocks jump");
}

/* ---- network ---- */

static void cut_between(struct nemesis *nemesis, struct sim_process *process, bool is_both_ways,
                        bool raft_only)
{
    const bool is_in = is_both_ways || sim_chance(nemesis->world, 500);
    for (unsigned i = 0; i < SIM_PROCESSES_MAX; i++) {
        if (i != process->number) {
            if (is_in) {
                sim_network_cut(nemesis->world->network, i, process->number, raft_only);
            }
            if (is_both_ways || !is_in) {
                sim_network_cut(nemesis->world->network, process->number, i, raft_only);
            }
        }
    }
    sim_say(nemesis->world, "%s is cut off%s%s", process->name,
            is_both_ways ? ""
            : is_in      ? " from hearing"
                         : " from speaking",
            raft_only ? ", from its group" : "");
}

static void strike_isolate(struct nemesis *nemesis)
{
    cut_between(nemesis, target(nemesis), true, sim_chance(nemesis->world, 500));
}

static void strike_one_way(struct nemesis *nemesis)
{
    cut_between(nemesis, target(nemesis), false, sim_chance(nemesis->world, 500));
}

static void strike_one_link(struct nemesis *nemesis)
{
    const struct sim_process *from = any_process(nemesis);
    const struct sim_process *to = any_process(nemesis);
    sim_network_cut(nemesis->world->network, from->number, to->number, false);
    sim_say(nemesis->world, "%s cannot speak to %s", from->name, to->name);
}

/* Two halves that do not hear each other. */
static void strike_split(struct nemesis *nemesis)
{
    struct sim_world *world = nemesis->world;
    uint32_t side = 0;
    for (unsigned i = 0; i < SIM_PROCESSES_MAX; i++) {
        side |= sim_chance(world, 350) ? 1U << i : 0;
    }
    for (unsigned a = 0; a < SIM_PROCESSES_MAX; a++) {
        for (unsigned b = 0; b < SIM_PROCESSES_MAX; b++) {
            if (((side >> a) & 1U) != ((side >> b) & 1U)) {
                sim_network_cut(world->network, a, b, false);
            }
        }
    }
    sim_say(world, "the network falls apart: %04x", side);
}

/* A leader loses its group and the frontend that is quick to look elsewhere, and keeps the other:
 * that one may still believe in it when the rest has moved on; and if it sleeps meanwhile, so may
 * it itself. */
static void strike_desert(struct nemesis *nemesis)
{
    struct sim_world *world = nemesis->world;
    struct sim_process *leader =
        leader_of(nemesis, sim_shard(world, 1 + (unsigned)sim_random(world, SIM_GROUPS), 0));
    const struct sim_process *lost = sim_frontend(world, 0);
    for (unsigned i = 1; i < SIM_FRONTEND_COUNT; i++) {
        lost = sim_frontend(world, i)->ping_ms < lost->ping_ms ? sim_frontend(world, i) : lost;
    }
    for (unsigned i = 0; i < SIM_PROCESSES_MAX; i++) {
        if (i != leader->number) {
            sim_network_cut(world->network, leader->number, i, i != lost->number);
            sim_network_cut(world->network, i, leader->number, i != lost->number);
        }
    }
    sim_say(world, "%s loses its group and %s", leader->name, lost->name);
    if (sim_is_up(leader) && sim_chance(world, 700)) {
        sim_pause(leader, PAUSE_MS / 2 + sim_random(world, PAUSE_MS));
    }
}

static void strike_heal(struct nemesis *nemesis)
{
    sim_network_heal(nemesis->world->network);
    sim_say(nemesis->world, "all ways are open");
}

static void strike_weather(struct nemesis *nemesis)
{
    struct sim_world *world = nemesis->world;
    struct sim_weather *weather = sim_network_weather(world->network);
    weather->delay_ms_max = sim_chance(world, 300) ? SLOW_DELAY_MS : DELAY_MS;
    weather->loss_permille = (unsigned)sim_random(world, 3) * 60;
    weather->repeat_permille = (unsigned)sim_random(world, 3) * 60;
    weather->break_permille = (unsigned)sim_random(world, 3) * 10;
    sim_say(world, "weather: %llu ms, %u lost, %u repeated, %u broken of 1000",
            (unsigned long long)weather->delay_ms_max, weather->loss_permille,
            weather->repeat_permille, weather->break_permille);
}

/* clang-format off */
static const struct fault faults[] = {
    { "heal",       20, strike_heal },
    { "kill",       10, strike_kill },
    { "power",      10, strike_power },
    { "blackout",    4, strike_blackout },
    { "pause",      12, strike_pause },
    { "disk-error",  6, strike_disk_error },
    { "slow-disk",   6, strike_slow_disk },
    { "clock",       4, strike_clock },
    { "isolate",    10, strike_isolate },
    { "split",      10, strike_split },
    { "desert",     16, strike_desert },
    { "one-way",     6, strike_one_way },
    { "one-link",    6, strike_one_link },
    { "weather",    12, strike_weather },
};
/* clang-format on */

static bool is_used(const struct nemesis *nemesis, size_t kind)
{
    return kind == 0 || ((nemesis->kinds >> kind) & 1U) != 0;
}

static void strike(struct nemesis *nemesis)
{
    unsigned sum = 0;
    for (size_t i = 0; i < VY_COUNT_OF(faults); i++) {
        sum += is_used(nemesis, i) ? faults[i].weight : 0;
    }
    uint64_t at = sim_random(nemesis->world, sum);
    for (size_t i = 0; i < VY_COUNT_OF(faults); i++) {
        const unsigned weight = is_used(nemesis, i) ? faults[i].weight : 0;
        if (at < weight) {
            faults[i].strike(nemesis);
            return;
        }
        at -= weight;
    }
}

static void on_turn(void *arg)
{
    struct nemesis *nemesis = arg;
    if (nemesis->world->is_ending || nemesis->is_over) {
        return;
    }
    strike(nemesis);
    sim_at(nemesis->world, 1 + sim_random(nemesis->world, nemesis->turn_ms), NULL, on_turn,
           nemesis);
}

void nemesis_start(struct nemesis *nemesis)
{
    sim_at(nemesis->world, sim_random(nemesis->world, nemesis->turn_ms), NULL, on_turn, nemesis);
}

void nemesis_stop(struct nemesis *nemesis)
{
    struct sim_world *world = nemesis->world;
    nemesis->is_over = true;
    sim_say(world, "the faults are over");
    sim_network_heal(world->network);
    *sim_network_weather(world->network) = (struct sim_weather){.delay_ms_max = DELAY_MS};
    for (unsigned i = 0; i < SIM_PROCESSES_MAX; i++) {
        struct sim_process *process = &world->processes[i];
        process->disk_ms_max = DISK_MS;
        process->wall_offset_ms = 0;
        if (process->disk != NULL) {
            store_mem_fail_write(process->disk, 0);
        }
        process->paused_until_ms = 0;
        if (!sim_is_up(process)) {
            sim_start(process);
        }
    }
}

struct nemesis *nemesis_new(struct sim_world *world)
{
    struct nemesis *nemesis = sim_alloc(sizeof(*nemesis));
    nemesis->world = world;
    /* One run in four has every kind, the others about half of them. */
    nemesis->kinds = sim_chance(world, 250) ? UINT32_MAX : (uint32_t)vy_rng_u64(&world->rng.base);
    nemesis->turn_ms = TURN_MS << sim_random(world, 5);
    return nemesis;
}

void nemesis_free(struct nemesis *nemesis)
{
    free(nemesis);
}
