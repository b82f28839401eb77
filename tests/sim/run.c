/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/run.h"

#include "tests/sim/check.h"
#include "tests/sim/nemesis.h"
#include "tests/sim/operator.h"
#include "tests/sim/workload.h"
#include <stdio.h>
#include <stdlib.h>

#define FORM_MS 20000U   /* an empty cluster is ready by then */
#define FAULT_MS 4000U   /* at least, and as much again by chance */
#define SETTLE_MS 60000U /* everything goes on by then once the faults are over (P6) */
#define STEP_MS 20U
#define LIST_TRIES_MAX 20U
#define SEEDS_TO_JUDGE 25U

struct run {
    struct sim_world *world;
    struct ledger *ledger;
    struct workload *workload;
    struct operator* operator;
    struct nemesis *nemesis;
    struct check *check;
};

static void on_step(void *arg, struct sim_process *process)
{
    struct run *run = arg;
    check_step(run->check, process);
    if (process->disk == NULL) {
        workload_look(run->workload, process);
    }
}

/* Runs until it holds, at most for `ms`. */
static bool run_until(struct run *run, bool (*holds)(struct run *run), uint64_t ms)
{
    const uint64_t end_ms = run->world->now_ms + ms;
    while (!holds(run) && run->world->now_ms < end_ms) {
        sim_run_ms(run->world, STEP_MS);
    }
    return holds(run);
}

/* ---- forming ---- */

static bool is_formed(struct run *run)
{
    for (unsigned i = 0; i < SIM_PROCESSES_MAX; i++) {
        const struct sim_process *process = &run->world->processes[i];
        if ((process->ops == &sim_role_shard && !sim_shard_is_ready(process)) ||
            (process->ops == &sim_role_frontend && !sim_frontend_is_ready(process))) {
            return false;
        }
    }
    return true;
}

static bool is_operator_idle(struct run *run)
{
    return operator_is_idle(run->operator);
}

static void operate(struct run *run)
{
    SIM_CHECK(run->world, run_until(run, is_operator_idle, FORM_MS),
              "the operator gets no answer while nothing is broken");
}

static bool is_workload_idle(struct run *run)
{
    return workload_is_idle(run->workload);
}

/* As many in each group; those of a group that has enough are left alone. */
static void create_accounts(struct run *run)
{
    unsigned counts[SIM_GROUPS] = {0};
    unsigned tries = 0;
    for (unsigned i = 0; i < LEDGER_ACCOUNTS;) {
        struct ledger_account *account = &run->ledger->accounts[i];
        (void)snprintf(account->address, sizeof(account->address), "user%u@sim.test", tries++);
        operator_create_account(run->operator, i);
        operate(run);
        operator_find_group(run->operator, i);
        operate(run);
        unsigned *count = &counts[run->operator->group_id - 1];
        account->group = (unsigned)run->operator->group_id;
        if (*count < LEDGER_ACCOUNTS / SIM_GROUPS) {
            (*count)++;
            i++;
        }
    }
}

static void form(struct run *run)
{
    for (unsigned i = 0; i < SIM_PROCESSES_MAX; i++) {
        sim_start(&run->world->processes[i]);
    }
    SIM_CHECK(run->world, run_until(run, is_formed, FORM_MS), "the cluster does not form");
    operator_create_domain(run->operator);
    operate(run);
    create_accounts(run);
    for (unsigned i = 0; i < LEDGER_ACCOUNTS; i++) {
        workload_make_box(run->workload, i);
        SIM_CHECK(run->world, run_until(run, is_workload_idle, FORM_MS), "a client hangs");
    }
    sim_say(run->world, "the cluster is formed");
}

/* ---- the end ---- */

static bool is_idle(struct run *run)
{
    return workload_is_idle(run->workload) && operator_is_idle(run->operator);
}

static bool is_settled(struct run *run)
{
    return check_is_settled(run->check);
}

static bool is_decided(struct run *run)
{
    return check_holds_nothing(run->check);
}

static void list(struct run *run, unsigned account, enum ledger_box box)
{
    const uint64_t reads = run->workload->reads;
    for (unsigned i = 0; i < LIST_TRIES_MAX && run->workload->reads == reads; i++) {
        workload_list(run->workload, account, box);
        SIM_CHECK(run->world, run_until(run, is_workload_idle, SETTLE_MS), "a client hangs");
    }
    SIM_CHECK(run->world, run->workload->reads > reads,
              "%s of user%u cannot be read after the faults", ledger_boxes[box], account);
}

static void finish(struct run *run)
{
    nemesis_stop(run->nemesis);
    run->workload->is_stopping = true;
    run->operator->is_stopping = true;
    SIM_CHECK(run->world, run_until(run, is_idle, SETTLE_MS),
              "somebody still waits for an answer after the faults");
    SIM_CHECK(run->world, run_until(run, is_decided, SETTLE_MS),
              "a group still holds copies of deliveries that are over");
    for (unsigned i = 0; i < LEDGER_ACCOUNTS; i++) {
        if (!run->ledger->accounts[i].exists) {
            operator_restore(run->operator, i);
            operate(run);
        }
        for (unsigned box = 0; box < LEDGER_BOX_COUNT; box++) {
            list(run, i, (enum ledger_box)box);
        }
        ledger_check_moves(run->ledger, i);
    }
    ledger_check_whole(run->ledger);
    SIM_CHECK(run->world, run_until(run, is_settled, SETTLE_MS),
              "members stay behind after the faults");
}

static void add_sums(const struct run *run, struct run_sums *sums)
{
    sums->seeds++;
    sums->steps += run->world->steps;
    sums->tried += run->workload->tried;
    sums->done += run->workload->done;
    sums->reads += run->workload->reads;
    sums->changes += run->operator->done;
    sums->leaders += check_leaders(run->check);
    sums->installs += check_installs(run->check);
    sums->durable_writes += run->world->durable_writes;
    sums->virtual_ms += run->world->now_ms;
}

void run_print_sums(const struct run_sums *sums)
{
    printf("%llu seeds, %llu s of virtual time, %llu steps, %llu synced writes, %llu leaders, "
           "%llu snapshots; %llu of %llu operations acknowledged, %llu listings held against "
           "them, %llu changes by the operator\n",
           (unsigned long long)sums->seeds, (unsigned long long)sums->virtual_ms / 1000,
           (unsigned long long)sums->steps, (unsigned long long)sums->durable_writes,
           (unsigned long long)sums->leaders, (unsigned long long)sums->installs,
           (unsigned long long)sums->done, (unsigned long long)sums->tried,
           (unsigned long long)sums->reads, (unsigned long long)sums->changes);
}

bool run_was_busy(const struct run_sums *sums)
{
    const uint64_t seeds = sums->seeds;
    return seeds < SEEDS_TO_JUDGE || (sums->done > seeds * 40 && sums->reads > seeds * 30 &&
                                      sums->leaders > seeds * 4 && sums->installs > 0);
}

static void run_init(struct run *run, uint64_t seed, unsigned verbosity)
{
    *run = (struct run){.world = sim_world_new(seed, verbosity)};
    run->ledger = ledger_new(run->world);
    run->workload = workload_new(run->world, run->ledger);
    run->operator= operator_new(run->world, run->ledger);
    run->nemesis = nemesis_new(run->world);
    run->check = check_new(run->world);
    run->world->on_step = on_step;
    run->world->on_step_arg = run;
}

static void run_deinit(struct run *run)
{
    run->world->on_step = NULL;
    sim_world_free(run->world);
    check_free(run->check);
    nemesis_free(run->nemesis);
    operator_free(run->operator);
    workload_free(run->workload);
    ledger_free(run->ledger);
}

uint64_t run_seed(uint64_t seed, unsigned verbosity, struct run_sums *sums)
{
    struct run run;
    run_init(&run, seed, verbosity);
    form(&run);
    workload_start(run.workload);
    operator_start(run.operator);
    nemesis_start(run.nemesis);
    sim_run_ms(run.world, FAULT_MS + sim_random(run.world, FAULT_MS));
    finish(&run);
    add_sums(&run, sums);
    const uint64_t hash = run.world->hash;
    run_deinit(&run);
    return hash;
}

/* ---- one delivery, and a death at a chosen moment of it ---- */

#define DEAD_MS 300U
#define ATTEMPTS_MAX 20U

static void kill_frontends(struct run *run)
{
    for (unsigned i = 0; i < SIM_FRONTEND_COUNT; i++) {
        sim_crash(sim_frontend(run->world, i), SIM_KILL);
    }
}

/* Until the client has its answer, or none; frontends die at that write of whomsoever. */
static bool attempt(struct run *run, bool is_frontends, uint64_t kill_at_writes)
{
    bool is_killed = false;
    workload_deliver_to_groups(run->workload);
    for (unsigned ms = 0; ms < SETTLE_MS && !workload_is_idle(run->workload); ms++) {
        sim_run_ms(run->world, 1);
        if (is_frontends && !is_killed && run->world->durable_writes >= kill_at_writes) {
            kill_frontends(run);
            is_killed = true;
        }
    }
    SIM_CHECK(run->world, workload_is_idle(run->workload), "a client hangs");
    return is_killed;
}

static void revive_all(struct run *run)
{
    sim_run_ms(run->world, DEAD_MS);
    for (unsigned i = 0; i < SIM_PROCESSES_MAX; i++) {
        if (!sim_is_up(&run->world->processes[i])) {
            sim_start(&run->world->processes[i]);
        }
    }
}

bool run_crash_at(uint64_t seed, unsigned verbosity, const struct run_crash *crash,
                  struct run_sums *sums)
{
    struct run run;
    run_init(&run, seed, verbosity);
    form(&run);
    const bool is_frontends = crash->victim == RUN_VICTIM_FRONTENDS;
    run.world->crash_death = crash->victim == RUN_VICTIM_CUT ? SIM_POWER_CUT : SIM_KILL;
    run.world->crash_at_write = is_frontends ? 0 : crash->write;
    bool has_died = attempt(&run, is_frontends, run.world->durable_writes + crash->write);
    has_died = is_frontends ? has_died : run.world->crash_at_write == 0;
    run.world->crash_at_write = 0;
    for (unsigned i = 0; i < ATTEMPTS_MAX && !crash->gives_up && workload_wants_again(run.workload);
         i++) {
        revive_all(&run);
        (void)attempt(&run, false, 0);
    }
    SIM_CHECK(run.world, crash->gives_up || !workload_wants_again(run.workload),
              "the client is never heard");
    finish(&run);
    add_sums(&run, sums);
    run_deinit(&run);
    return has_died;
}
