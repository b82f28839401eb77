/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/world.h"

#include "base/codec.h"
#include "replica/dir.h"
#include "tests/sim/network.h"
#include "tests/sim/roles.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WALL_START_MS 1767225600000ULL /* 2026-01-01 */
#define START_MS 1000U
#define LOG_MAX_ENTRIES 24U /* in runs with snapshots */
#define PING_MS 100U        /* the most eager process; others wait up to eight times as long */
#define TURNS_MAX 100000U   /* of one loop in one step: more is a livelock */

void (*sim_on_fail)(const struct sim_world *world);

/* ---- directories ---- */

static void remove_dirs(const struct sim_process *process)
{
    static const char *const suffixes[] = {"", ".incoming", ".outgoing", ".replaced", ".refused"};
    for (size_t i = 0; process->disk != NULL && i < VY_COUNT_OF(suffixes); i++) {
        char path[160];
        (void)snprintf(path, sizeof(path), "%s%s", process->dir, suffixes[i]);
        vy_ignore(dir_remove(path), "mostly there is none");
    }
}

/* Tickets, and what is left of snapshots. */
static void remove_all_dirs(const struct sim_world *world)
{
    for (unsigned i = 0; i < SIM_PROCESSES_MAX; i++) {
        (void)unlink(world->processes[i].ticket);
        remove_dirs(&world->processes[i]);
    }
    (void)rmdir(world->dir);
}

/* ---- words ---- */

void sim_say(struct sim_world *world, const char *format, ...)
{
    va_list arguments;
    if (world->verbosity == 0) {
        return;
    }
    va_start(arguments, format);
    printf("%6llu ", (unsigned long long)world->now_ms);
    vprintf(format, arguments);
    printf("\n");
    va_end(arguments);
}

void sim_fail(struct sim_world *world, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    printf("seed %llu, %llu ms: ", (unsigned long long)world->seed,
           (unsigned long long)world->now_ms);
    vprintf(format, arguments);
    printf("\n");
    va_end(arguments);
    if (sim_on_fail != NULL) {
        sim_on_fail(world);
    }
    remove_all_dirs(world);
    (void)fflush(stdout);
    _Exit(EXIT_FAILURE);
}

void *sim_alloc(size_t size)
{
    void *memory = calloc(1, size);
    VY_ASSERT(memory != NULL);
    return memory;
}

void sim_note(struct sim_world *world, uint64_t what)
{
    world->hash = vy_mix64(world->hash + VY_MIX64_STEP + what);
}

/* ---- time and events ---- */

static uint64_t world_mono_ns(struct vy_clock *clock)
{
    return VY_CONTAINER_OF(clock, struct sim_world, clock)->now_ms * 1000000U;
}

static uint64_t world_wall_ms(struct vy_clock *clock)
{
    return VY_CONTAINER_OF(clock, struct sim_world, clock)->wall_ms;
}

static uint64_t process_mono_ns(struct vy_clock *clock)
{
    return VY_CONTAINER_OF(clock, struct sim_process, clock)->world->now_ms * 1000000U;
}

static uint64_t process_wall_ms(struct vy_clock *clock)
{
    const struct sim_process *process = VY_CONTAINER_OF(clock, struct sim_process, clock);
    return process->world->wall_ms + (uint64_t)process->wall_offset_ms;
}

static bool is_before(const struct sim_event *a, const struct sim_event *b)
{
    return a->due_ms != b->due_ms ? a->due_ms < b->due_ms : a->serial < b->serial;
}

static void push_event(struct sim_world *world, const struct sim_event *event)
{
    if (world->event_count == world->event_capacity) {
        world->event_capacity = VY_MAX(256U, world->event_capacity * 2);
        world->events = realloc(world->events, world->event_capacity * sizeof(*world->events));
        VY_ASSERT(world->events != NULL);
    }
    size_t at = world->event_count++;
    while (at > 0 && is_before(event, &world->events[(at - 1) / 2])) {
        world->events[at] = world->events[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    world->events[at] = *event;
}

static struct sim_event pop_event(struct sim_world *world)
{
    const struct sim_event first = world->events[0];
    const struct sim_event last = world->events[--world->event_count];
    size_t at = 0;
    for (size_t child = 1; child < world->event_count; child = 2 * at + 1) {
        if (child + 1 < world->event_count &&
            is_before(&world->events[child + 1], &world->events[child])) {
            child++;
        }
        if (!is_before(&world->events[child], &last)) {
            break;
        }
        world->events[at] = world->events[child];
        at = child;
    }
    world->events[at] = last;
    return first;
}

void sim_at(struct sim_world *world, uint64_t delay_ms, struct sim_process *process,
            void (*fn)(void *arg), void *arg)
{
    const struct sim_event event = {.due_ms = world->now_ms + delay_ms,
                                    .serial = world->next_serial++,
                                    .process = process,
                                    .fn = fn,
                                    .arg = arg};
    push_event(world, &event);
}

void sim_touch(struct sim_process *process)
{
    process->is_touched = true;
}

/* ---- finding processes ---- */

struct sim_process *sim_meta(struct sim_world *world, unsigned place)
{
    VY_ASSERT(place < SIM_META_COUNT);
    return &world->processes[place];
}

struct sim_process *sim_shard(struct sim_world *world, unsigned group, unsigned place)
{
    VY_ASSERT(group >= 1 && group <= SIM_GROUPS && place < SIM_SHARD_COUNT);
    return &world->processes[SIM_META_COUNT + (group - 1) * SIM_SHARD_COUNT + place];
}

struct sim_process *sim_frontend(struct sim_world *world, unsigned place)
{
    VY_ASSERT(place < SIM_FRONTEND_COUNT);
    return &world->processes[SIM_META_COUNT + SIM_GROUPS * SIM_SHARD_COUNT + place];
}

struct sim_process *sim_find_process(struct sim_world *world, const char *name)
{
    for (unsigned i = 0; i < SIM_PROCESSES_MAX; i++) {
        if (strcmp(world->processes[i].name, name) == 0) {
            return &world->processes[i];
        }
    }
    return NULL;
}

struct sim_process *sim_find_member(struct sim_world *world, uint64_t member_id)
{
    for (unsigned i = 0; i < SIM_PROCESSES_MAX; i++) {
        if (world->processes[i].member_id == member_id) {
            return &world->processes[i];
        }
    }
    return NULL;
}

struct replica *sim_replica(const struct sim_process *process)
{
    return process->role == NULL || process->ops->replica == NULL
               ? NULL
               : process->ops->replica(process->role);
}

/* ---- life and death of a process ---- */

void sim_start(struct sim_process *process)
{
    struct sim_world *world = process->world;
    VY_ASSERT(process->role == NULL);
    sim_loop_init(&process->loop, &process->clock);
    process->boot++;
    process->is_mute = false;
    process->has_died_silent = false;
    process->has_failed = false;
    process->is_pump_due = false;
    process->paused_until_ms = 0;
    sim_say(world, "%s starts", process->name);
    sim_note(world, process->number);
    const struct vy_err err = process->ops->start(process, &process->role);
    if (vy_failed(err)) {
        sim_fail(world, "%s does not start: %s (%s)", process->name, vy_code_name(err.code),
                 err.what == NULL ? "" : err.what);
    }
    sim_touch(process);
}

static void on_stopped(void *arg)
{
    struct sim_process *process = arg;
    process->is_stopped = true;
}

/* Frees what a death frees in an instant. Its writer finds a dead disk, its peers hear nothing. */
static void end_role(struct sim_process *process)
{
    process->is_stopped = false;
    process->ops->stop(process->role, on_stopped, process);
    sim_loop_run_posts(&process->loop);
    for (unsigned i = 0; !process->is_stopped; i++) {
        VY_ASSERT(i < TURNS_MAX);
        struct replica *replica = sim_replica(process);
        if (replica != NULL) {
            (void)replica_pump(replica);
        }
        sim_loop_run_posts(&process->loop);
    }
    process->ops->free(process->role);
    sim_loop_run_posts(&process->loop);
    process->role = NULL;
    sim_loop_deinit(&process->loop);
}

void sim_crash(struct sim_process *process, enum sim_death death)
{
    struct sim_world *world = process->world;
    VY_ASSERT(process->role != NULL);
    process->is_mute = true;
    process->has_died_silent = death == SIM_POWER_CUT;
    process->paused_until_ms = 0;
    sim_note(world, 100 + process->number);
    if (process->disk != NULL) {
        store_mem_fail_write(process->disk, 1);
    }
    end_role(process);
    if (process->disk == NULL) {
        sim_say(world, "%s dies", process->name);
        return;
    }
    store_mem_fail_write(process->disk, 0);
    const size_t unsynced = store_mem_unsynced(process->disk);
    const size_t kept = death == SIM_KILL ? unsynced : sim_random(world, unsynced + 1);
    store_mem_crash(process->disk, kept);
    sim_say(world, "%s dies%s; %zu of %zu unsynced writes stay", process->name,
            death == SIM_POWER_CUT ? " with its machine" : "", kept, unsynced);
}

void sim_pause(struct sim_process *process, uint64_t ms)
{
    sim_say(process->world, "%s is paused for %llu ms", process->name, (unsigned long long)ms);
    process->paused_until_ms = process->world->now_ms + ms;
    process->wakes_to_io = sim_chance(process->world, 500);
}

/* ---- disks ---- */

static void pump(struct sim_process *process)
{
    struct sim_world *world = process->world;
    const uint64_t before = store_mem_sync_count(process->disk);
    struct replica *replica = sim_replica(process);
    const bool has_more = replica_pump(replica);
    if (store_mem_sync_count(process->disk) != before) {
        world->durable_writes++;
        if (world->crash_at_write > 0 &&
            (world->crash_process == NULL || world->crash_process == process) &&
            --world->crash_at_write == 0) {
            process->has_failed = true;
            sim_say(world, "%s reaches the write to die at", process->name);
            sim_crash(process, world->crash_death);
            return;
        }
    }
    if (has_more) {
        sim_process_wake_disk(process);
    }
}

struct pump_due {
    struct sim_process *process;
    unsigned boot;
};

static void on_pump(void *arg)
{
    const struct pump_due due = *(struct pump_due *)arg;
    free(arg);
    if (due.process->role == NULL || due.process->boot != due.boot) {
        return;
    }
    due.process->is_pump_due = false;
    pump(due.process);
    sim_touch(due.process);
}

void sim_process_wake_disk(void *arg)
{
    struct sim_process *process = arg;
    if (process->is_pump_due || process->is_mute) {
        return;
    }
    struct pump_due *due = sim_alloc(sizeof(*due));
    *due = (struct pump_due){.process = process, .boot = process->boot};
    process->is_pump_due = true;
    sim_at(process->world, sim_random(process->world, process->disk_ms_max + 1), process, on_pump,
           due);
}

void sim_process_on_disk_failed(void *arg, struct vy_err err)
{
    struct sim_process *process = arg;
    if (!process->is_mute) { /* else it is dying already */
        sim_say(process->world, "%s ends itself: %s", process->name, err.what);
        if (err.code != VY_CODE_IO) {
            sim_fail(process->world, "%s finds its own state broken: %s (%s)", process->name,
                     vy_code_name(err.code), err.what == NULL ? "" : err.what);
        }
    }
    process->is_mute = true; /* the real one ends in this instant */
    process->has_failed = true;
}

/* ---- steps ---- */

/* The process that is due first by its timers; *out_ms: when. */
static struct sim_process *next_timer(struct sim_world *world, uint64_t *out_ms)
{
    struct sim_process *first = NULL;
    *out_ms = UINT64_MAX;
    for (unsigned i = 0; i < SIM_PROCESSES_MAX; i++) {
        struct sim_process *process = &world->processes[i];
        if (process->role == NULL) {
            continue;
        }
        const uint64_t due_ms = sim_loop_due_ms(&process->loop);
        const uint64_t at_ms =
            due_ms == UINT64_MAX ? due_ms : VY_MAX(due_ms, process->paused_until_ms);
        if (at_ms < *out_ms) {
            *out_ms = at_ms;
            first = process;
        }
    }
    return first;
}

static void advance_to(struct sim_world *world, uint64_t ms)
{
    if (ms > world->now_ms) {
        world->wall_ms += ms - world->now_ms;
        world->now_ms = ms;
    }
}

static void run_event(struct sim_world *world)
{
    struct sim_event event = pop_event(world);
    if (event.process != NULL && sim_is_paused(event.process)) {
        /* Which of its sockets a process looks at first when it wakes is chance. */
        event.due_ms = event.process->paused_until_ms;
        event.serial = sim_random(world, world->next_serial);
        push_event(world, &event);
        return;
    }
    sim_note(world, event.process == NULL ? 0 : event.process->number);
    event.fn(event.arg);
}

/* What a step has set going in the processes that it touched. */
static void settle(struct sim_world *world)
{
    for (unsigned i = 0; i < SIM_PROCESSES_MAX; i++) {
        struct sim_process *process = &world->processes[i];
        if (!process->is_touched) {
            continue;
        }
        process->is_touched = false;
        if (process->role != NULL) {
            unsigned turns = 0;
            do {
                VY_ASSERT(turns++ < TURNS_MAX);
                sim_loop_run_posts(&process->loop);
            } while (!sim_is_paused(process) && sim_loop_poll(&process->loop));
        }
        if (process->role != NULL && process->has_failed) {
            sim_crash(process, SIM_KILL);
        }
        if (world->on_step != NULL) {
            world->on_step(world->on_step_arg, process);
        }
    }
}

/* A timer and something else are due at once. */
static bool is_timer_first(const struct sim_process *process)
{
    const bool has_just_woken = process->paused_until_ms == process->world->now_ms;
    return has_just_woken ? !process->wakes_to_io : sim_chance(process->world, 500);
}

bool sim_step(struct sim_world *world, uint64_t end_ms)
{
    uint64_t timer_ms = UINT64_MAX;
    settle(world);
    struct sim_process *process = next_timer(world, &timer_ms);
    const uint64_t event_ms = world->event_count == 0 ? UINT64_MAX : world->events[0].due_ms;
    const uint64_t due_ms = VY_MIN(timer_ms, event_ms);
    if (due_ms > end_ms) {
        advance_to(world, end_ms);
        return false;
    }
    advance_to(world, due_ms);
    world->steps++;
    if (timer_ms < event_ms || (timer_ms == event_ms && is_timer_first(process))) {
        sim_note(world, 200 + process->number);
        sim_loop_run_timer(&process->loop);
        sim_touch(process);
    } else {
        run_event(world);
    }
    settle(world);
    return true;
}

void sim_run_ms(struct sim_world *world, uint64_t ms)
{
    const uint64_t end_ms = world->now_ms + ms;
    while (sim_step(world, end_ms)) {
    }
}

/* ---- life of the world ---- */

static void print_log(void *arg, enum vy_log_level level, const char *line, size_t len)
{
    const struct sim_process *process = arg;
    (void)level;
    if (!process->is_mute) {
        printf("%6llu %s: %.*s\n", (unsigned long long)process->world->now_ms, process->name,
               (int)len, line);
    }
}

static void add_process(struct sim_world *world, unsigned number, const struct sim_role_ops *ops,
                        unsigned group, unsigned place)
{
    struct sim_process *process = &world->processes[number];
    process->world = world;
    process->number = number;
    process->ops = ops;
    process->group = group;
    process->place = place;
    process->clock = (struct vy_clock){.mono_ns = process_mono_ns, .wall_ms = process_wall_ms};
    process->disk_ms_max = 2;
    process->ping_ms = PING_MS << sim_random(world, 4);
    fake_rng_init(&process->rng, world->seed * 1000 + number);
    if (group > 0) {
        (void)snprintf(process->address, SIM_ADDRESS_BYTES, "inproc:shard-%u-%u", group, place);
    } else {
        (void)snprintf(process->address, SIM_ADDRESS_BYTES, "inproc:%s-%u", ops->name, place);
    }
    process->name = strchr(process->address, ':') + 1;
    process->log_sink = (struct vy_log_sink){.write = print_log, .arg = process};
    process->log = (struct vy_log){.sink = world->verbosity > 1 ? &process->log_sink : NULL,
                                   .clock = &process->clock,
                                   .level = VY_LOG_INFO};
    if (ops->replica != NULL) {
        process->member_id = 101 + number;
        VY_ASSERT(!vy_failed(store_mem_disk_new(&process->disk)));
    }
}

struct sim_world *sim_world_new(uint64_t seed, unsigned verbosity)
{
    struct sim_world *world = sim_alloc(sizeof(*world));
    world->seed = seed;
    world->verbosity = verbosity;
    world->now_ms = START_MS;
    world->wall_ms = WALL_START_MS;
    world->clock = (struct vy_clock){.mono_ns = world_mono_ns, .wall_ms = world_wall_ms};
    fake_rng_init(&world->rng, seed);
    world->log_max_entries = sim_chance(world, 500) ? 0 : LOG_MAX_ENTRIES;
    /* Tickets are synced to the disk: memory is enough. */
    const char *place =
        access("/dev/shm", W_OK) == 0 ? "/dev/shm/volary-sim-XXXXXX" : "/tmp/volary-sim-XXXXXX";
    (void)snprintf(world->dir, sizeof(world->dir), "%s", place);
    VY_ASSERT(mkdtemp(world->dir) != NULL);
    world->network = sim_network_new(world);
    unsigned number = 0;
    for (unsigned i = 0; i < SIM_META_COUNT; i++) {
        add_process(world, number++, &sim_role_meta, 0, i);
    }
    for (unsigned i = 0; i < SIM_GROUPS * SIM_SHARD_COUNT; i++) {
        add_process(world, number++, &sim_role_shard, 1 + i / SIM_SHARD_COUNT, i % SIM_SHARD_COUNT);
    }
    for (unsigned i = 0; i < SIM_FRONTEND_COUNT; i++) {
        add_process(world, number++, &sim_role_frontend, 0, i);
    }
    for (unsigned i = 0; i < number; i++) {
        if (world->processes[i].disk != NULL) {
            sim_write_ticket(&world->processes[i]);
            VY_ASSERT(mkdir(world->processes[i].dir, 0700) == 0);
        }
    }
    return world;
}

void sim_world_free(struct sim_world *world)
{
    world->is_ending = true;
    for (unsigned i = SIM_PROCESSES_MAX; i-- > 0;) {
        if (world->processes[i].role != NULL) {
            sim_crash(&world->processes[i], SIM_KILL);
        }
    }
    while (world->event_count > 0) {
        const struct sim_event event = pop_event(world); /* those of the dead only free */
        event.fn(event.arg);
    }
    remove_all_dirs(world);
    for (unsigned i = 0; i < SIM_PROCESSES_MAX; i++) {
        store_mem_disk_free(world->processes[i].disk);
    }
    sim_network_free(world->network);
    free(world->events);
    free(world);
}
