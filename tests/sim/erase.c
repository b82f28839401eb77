/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/erase.h"

#include "meta/tables.h"
#include "proto/meta.pb.h"
#include "tests/sim/operator.h"
#include "tests/sim/roles.h"
#include <stdio.h>
#include <stdlib.h>

#define FORM_MS 20000U
#define CALL_MS 60000U /* of the operator, over an election and a start */
#define JOB_MS 180000U /* all members clean, with their starts */
#define DOWN_MS 1500U  /* how long the dead one is away */
#define STEP_MS 20U
#define DEATHS_MAX 400U /* far above what one delete writes */

struct sweep {
    struct sim_world *world;
    struct ledger *ledger;
    struct operator* operator;
    uint64_t down_since_ms; /* 0: all are up */
    uint64_t account_id;
    unsigned deaths;
};

/* ---- time, in which the dead come back ---- */

static struct sim_process *find_dead(struct sweep *sweep)
{
    for (unsigned i = 0; i < SIM_PROCESSES_MAX; i++) {
        struct sim_process *process = &sweep->world->processes[i];
        if (process->ops != NULL && !sim_is_up(process)) {
            return process;
        }
    }
    return NULL;
}

static void run_step(struct sweep *sweep)
{
    sim_run_ms(sweep->world, STEP_MS);
    struct sim_process *dead = find_dead(sweep);
    if (dead == NULL) {
        sweep->down_since_ms = 0;
    } else if (sweep->down_since_ms == 0) {
        sweep->down_since_ms = sweep->world->now_ms;
        sweep->deaths++;
    } else if (sweep->world->now_ms - sweep->down_since_ms >= DOWN_MS) {
        sim_start(dead);
        sweep->down_since_ms = 0;
    }
}

static bool run_until(struct sweep *sweep, bool (*holds)(struct sweep *sweep), uint64_t ms)
{
    const uint64_t end_ms = sweep->world->now_ms + ms;
    while (!holds(sweep) && sweep->world->now_ms < end_ms) {
        run_step(sweep);
    }
    return holds(sweep);
}

static bool is_idle(struct sweep *sweep)
{
    return operator_is_idle(sweep->operator);
}

static void operate(struct sweep *sweep, const char *what)
{
    SIM_CHECK(sweep->world, run_until(sweep, is_idle, CALL_MS), "%s: no answer", what);
}

/* ---- what must be true on every member ---- */

static bool is_formed(struct sweep *sweep)
{
    for (unsigned i = 0; i < SIM_PROCESSES_MAX; i++) {
        const struct sim_process *process = &sweep->world->processes[i];
        if (process->ops == &sim_role_shard &&
            (!sim_is_up(process) || !sim_shard_is_ready(process))) {
            return false;
        }
    }
    return true;
}

/* Erased, and its key in no table of this member of meta. */
static bool is_gone_at(struct sweep *sweep, const struct sim_process *process)
{
    struct vy_arena arena;
    struct meta_account_row account = {.id = 0};
    struct vy_bytes wrapped = {.len = 0};
    bool is_found = false;
    bool has_key = true;
    vy_arena_init(&arena, 65536);
    const struct meta_view view = {.reader = store_newest(replica_store(sim_replica(process))),
                                   .arena = &arena};
    const bool is_read = !vy_failed(account_get(&view, sweep->account_id, &account, &is_found)) &&
                         !vy_failed(account_key_get(&view, sweep->account_id, &wrapped, &has_key));
    const bool is_gone = is_read && is_found && account.state == ACCOUNT_STATE_ERASED && !has_key;
    vy_arena_deinit(&arena);
    return is_gone;
}

static bool is_gone_everywhere(struct sweep *sweep)
{
    for (unsigned i = 0; i < SIM_META_COUNT; i++) {
        const struct sim_process *process = sim_meta(sweep->world, i);
        if (!sim_is_up(process) || !is_gone_at(sweep, process)) {
            return false;
        }
    }
    return find_dead(sweep) == NULL;
}

/* ---- one delete ---- */

static void make_account(struct sweep *sweep, unsigned number)
{
    struct ledger_account *account = &sweep->ledger->accounts[0];
    (void)snprintf(account->address, sizeof(account->address), "gone%u@%s", number, SIM_DOMAIN);
    operator_create_account(sweep->operator, 0);
    operate(sweep, "create");
    operator_find_group(sweep->operator, 0);
    operate(sweep, "show");
    sweep->account_id = sweep->operator->account_id;
}

/* True: somebody died on the way. */
static bool delete_with_death_at(struct sweep *sweep, unsigned number)
{
    struct sim_world *world = sweep->world;
    make_account(sweep, number);
    world->crash_process = NULL;
    world->crash_death = number % 2 == 0 ? SIM_KILL : SIM_POWER_CUT;
    world->crash_at_write = number;
    sweep->operator->is_job_complete = false;
    operator_delete_account(sweep->operator, 0);
    operate(sweep, "delete");
    const char *job = sweep->operator->job;
    do {
        operator_get_job(sweep->operator);
        operate(sweep, "job");
        for (unsigned i = 0; i < 10; i++) {
            run_step(sweep);
        }
    } while (!sweep->operator->is_job_complete && world->now_ms<JOB_MS *(number + 1));
    SIM_CHECK(world, sweep->operator->is_job_complete,
              "job %s of a delete with a death at write %u is not complete", job, number);
    SIM_CHECK(world, run_until(sweep, is_gone_everywhere, JOB_MS),
              "the account of job %s is not gone on every member of meta", job);
    const bool has_died = world->crash_at_write == 0;
    world->crash_at_write = 0;
    return has_died;
}

static void form(struct sweep *sweep)
{
    for (unsigned i = 0; i < SIM_PROCESSES_MAX; i++) {
        sim_start(&sweep->world->processes[i]);
    }
    SIM_CHECK(sweep->world, run_until(sweep, is_formed, FORM_MS), "the cluster does not form");
    operator_create_domain(sweep->operator);
    operate(sweep, "domain");
}

unsigned erase_sweep(uint64_t seed, unsigned verbosity)
{
    struct sweep sweep = {.world = sim_world_new(seed, verbosity)};
    unsigned number = 1;
    sweep.ledger = ledger_new(sweep.world);
    sweep.operator= operator_new(sweep.world, sweep.ledger);
    form(&sweep);
    while (number < DEATHS_MAX && delete_with_death_at(&sweep, number)) {
        number++;
    }
    printf(
        "seed %llu: a delete survived a death at each of its %u durable writes (%llu s of virtual "
        "time)\n",
        (unsigned long long)seed, number - 1, (unsigned long long)sweep.world->now_ms / 1000);
    SIM_CHECK(sweep.world, number < DEATHS_MAX && number > 10, "%u deaths: not a sweep",
              number - 1);
    sim_world_free(sweep.world);
    operator_free(sweep.operator);
    ledger_free(sweep.ledger);
    return sweep.deaths;
}
